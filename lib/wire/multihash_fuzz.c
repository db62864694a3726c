/* Fuzzes multihashes and CIDs: what is read is written the same way. */
#include "util/ensure.h"
#include "wire/multihash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    struct bytes multihash;
    if (cid_multihash(input, &multihash) == 0) {
        ENSURE(size <= CID_SIZE_MAX && multihash.size <= MULTIHASH_SIZE_MAX);
        ENSURE(multihash.data + multihash.size == data + size);
        struct cursor whole = cursor_of(multihash);
        (void)multihash_read(&whole);
        ENSURE(whole.error == 0 && whole.left.size == 0);
    }
    struct cursor cursor = cursor_of(input);
    while (cursor.left.size > 0) {
        struct bytes before = cursor.left;
        struct multihash hash = multihash_read(&cursor);
        if (cursor.error != 0) {
            ENSURE(hash.digest.size == 0);
            break;
        }
        uint8_t room[MULTIHASH_SIZE_MAX];
        struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
        multihash_write(&writer, hash.code, hash.digest);
        ENSURE(writer.error == 0);
        ENSURE(bytes_equal(writer_bytes(&writer),
                           bytes_slice(before, 0, before.size - cursor.left.size)));
    }
    return 0;
}
