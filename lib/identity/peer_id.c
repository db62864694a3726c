/* Peer ids: making them from keys, and their binary and text forms. */
#include "identity/peer_id.h"

#include "crypto/hash.h"
#include "util/ensure.h"
#include "wire/multibase.h"
#include "wire/multihash.h"
#include "wire/varint.h"

/* Longer encoded keys are hashed. */
#define INLINE_KEY_MAX 42
/* Multicodec of a CID that is a peer id, and the longest such CID. */
#define CODEC_LIBP2P_KEY  0x72
#define PEER_ID_CID_MAX   (2 + PEER_ID_SIZE_MAX)
#define PEER_ID_CID_CHARS 128

void peer_id_from_key(const struct public_key *key, struct peer_id *ret_id) {
    uint8_t room[KEY_ENCODED_MAX];
    struct writer encoded = writer_of((struct span){.data = room, .size = sizeof(room)});
    public_key_encode(key, &encoded);
    ENSURE(encoded.error == 0);
    *ret_id = (struct peer_id){0};
    struct writer id =
        writer_of((struct span){.data = ret_id->bytes, .size = sizeof(ret_id->bytes)});
    if (encoded.size <= INLINE_KEY_MAX) {
        multihash_write(&id, MULTIHASH_IDENTITY, writer_bytes(&encoded));
    } else {
        struct sha256_digest digest = sha256(writer_bytes(&encoded));
        multihash_write(&id, MULTIHASH_SHA2_256, BYTES_ARRAY(digest.bytes));
    }
    ENSURE(id.error == 0);
    ret_id->size = (uint8_t)id.size;
}

int peer_id_decode(struct bytes binary, struct peer_id *ret_id) {
    struct cursor cursor = cursor_of(binary);
    struct multihash hash = multihash_read(&cursor);
    bool inlined = hash.code == MULTIHASH_IDENTITY && hash.digest.size > 0 &&
                   hash.digest.size <= INLINE_KEY_MAX;
    bool hashed = hash.code == MULTIHASH_SHA2_256 && hash.digest.size == SHA256_SIZE;
    if (cursor.error != 0 || cursor.left.size > 0 || (!inlined && !hashed)) {
        return PLASM_MALFORMED;
    }
    *ret_id = (struct peer_id){.size = (uint8_t)binary.size};
    memcpy(ret_id->bytes, binary.data, binary.size);
    return 0;
}

static int parse_cid(const char *text, struct peer_id *ret_id) {
    uint8_t room[PEER_ID_CID_MAX];
    size_t size = 0;
    int error = multibase_decode(bytes_of_string(text),
                                 (struct span){.data = room, .size = sizeof(room)}, &size);
    if (error != 0) {
        return error == PLASM_UNSUPPORTED ? error : PLASM_MALFORMED;
    }
    struct cursor cid = cursor_of(bytes_of(room, size));
    uint64_t version = uvarint_read(&cid);
    uint64_t codec = uvarint_read(&cid);
    if (cid.error != 0 || version != 1 || codec != CODEC_LIBP2P_KEY) {
        return PLASM_MALFORMED;
    }
    return peer_id_decode(cid.left, ret_id);
}

int peer_id_parse(struct bytes text, struct peer_id *ret_id) {
    char string[PEER_ID_CID_CHARS];
    if (text.size == 0 || bytes_to_string(text, string, sizeof(string)) != 0) {
        return PLASM_MALFORMED;
    }
    if (string[0] != '1' && !bytes_start_with(text, BYTES_LITERAL("Qm"))) {
        return parse_cid(string, ret_id);
    }
    uint8_t room[PEER_ID_SIZE_MAX];
    size_t size = 0;
    if (base58_decode(text, (struct span){.data = room, .size = sizeof(room)}, &size) != 0) {
        return PLASM_MALFORMED;
    }
    return peer_id_decode(bytes_of(room, size), ret_id);
}

void peer_id_format(const struct peer_id *id, char *room) {
    ENSURE(base58_encode(peer_id_bytes(id), room, PEER_ID_TEXT_MAX) == 0);
}

int peer_id_key(const struct peer_id *id, struct public_key *ret_key) {
    struct cursor cursor = cursor_of(peer_id_bytes(id));
    struct multihash hash = multihash_read(&cursor);
    if (cursor.error != 0) {
        return PLASM_MALFORMED;
    }
    if (hash.code != MULTIHASH_IDENTITY) {
        return PLASM_NOT_FOUND;
    }
    int error = public_key_decode(hash.digest, ret_key);
    return error == 0 || error == PLASM_UNSUPPORTED ? error : PLASM_MALFORMED;
}

int peer_id_check(const struct peer_id *id, const struct public_key *key) {
    struct peer_id of_key;
    peer_id_from_key(key, &of_key);
    return peer_id_equal(id, &of_key) ? 0 : PLASM_UNTRUSTED;
}
