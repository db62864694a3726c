/* Multihashes and content identifiers. */
#include "wire/multihash.h"

#include "crypto/hash.h"
#include "util/ensure.h"
#include "wire/varint.h"

struct multihash multihash_read(struct cursor *cursor) {
    uint64_t code = uvarint_read(cursor);
    uint64_t size = uvarint_read(cursor);
    if (cursor->error == 0 && size > MULTIHASH_DIGEST_MAX) {
        cursor_fail(cursor, PLASM_TOO_LARGE);
    }
    struct bytes digest = cursor_take(cursor, (size_t)size);
    if (cursor->error != 0) {
        return (struct multihash){0};
    }
    return (struct multihash){.code = code, .digest = digest};
}

void multihash_write(struct writer *writer, uint64_t code, struct bytes digest) {
    uvarint_write(writer, code);
    uvarint_write(writer, digest.size);
    writer_bytes_put(writer, digest);
}

void content_key(struct bytes content, uint8_t ret_key[CONTENT_KEY_SIZE]) {
    struct sha256_digest digest = sha256(content);
    struct writer writer = writer_of((struct span){.data = ret_key, .size = CONTENT_KEY_SIZE});
    multihash_write(&writer, MULTIHASH_SHA2_256, BYTES_ARRAY(digest.bytes));
    ENSURE(writer.error == 0 && writer.size == CONTENT_KEY_SIZE);
}

int cid_multihash(struct bytes cid, struct bytes *ret_multihash) {
    struct cursor cursor = cursor_of(cid);
    /* Version 0 is a bare sha2-256 multihash, and no other version begins with its code. */
    if (cid.size > 0 && cid.data[0] == MULTIHASH_SHA2_256) {
        if (cid.size != CONTENT_KEY_SIZE || cid.data[1] != SHA256_SIZE) {
            return PLASM_MALFORMED;
        }
    } else {
        uint64_t version = uvarint_read(&cursor);
        (void)uvarint_read(&cursor); /* the codec of the content, which is not looked at */
        if (cursor.error != 0 || version != 1) {
            return PLASM_MALFORMED;
        }
    }
    struct bytes multihash = cursor.left;
    (void)multihash_read(&cursor);
    if (cursor.error != 0 || cursor.left.size > 0) {
        return PLASM_MALFORMED;
    }
    *ret_multihash = multihash;
    return 0;
}
