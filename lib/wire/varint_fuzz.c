/* Fuzzes uvarints and frames: what is read must be written the same way. */
#include "util/ensure.h"
#include "wire/varint.h"

#define PAYLOAD_MAX 1024

static void fuzz_uvarint(struct bytes input) {
    struct cursor cursor = cursor_of(input);
    while (cursor.error == 0 && cursor.left.size > 0) {
        struct bytes before = cursor.left;
        uint64_t value = uvarint_read(&cursor);
        if (cursor.error != 0) {
            ENSURE(value == 0);
            break;
        }
        uint8_t room[UVARINT_SIZE_MAX];
        struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
        uvarint_write(&writer, value);
        ENSURE(writer.error == 0 && writer.size == uvarint_size(value));
        ENSURE(bytes_equal(writer_bytes(&writer),
                           bytes_slice(before, 0, before.size - cursor.left.size)));
    }
}

static void fuzz_frames(struct bytes input) {
    for (;;) {
        struct bytes payload;
        size_t frame_size;
        int error = frame_read(input, PAYLOAD_MAX, &payload, &frame_size);
        if (error != 0) {
            ENSURE(error == PLASM_TRUNCATED || error == PLASM_MALFORMED ||
                   error == PLASM_TOO_LARGE);
            return;
        }
        ENSURE(payload.size <= PAYLOAD_MAX && frame_size > payload.size);
        ENSURE(frame_size <= input.size);
        ENSURE(payload.data + payload.size == input.data + frame_size || payload.size == 0);
        input = bytes_slice(input, frame_size, input.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_uvarint(bytes_of(data, size));
    fuzz_frames(bytes_of(data, size));
    return 0;
}
