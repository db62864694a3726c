/* Unsigned varints and the frames they prefix. */
#include "wire/varint.h"

#include "util/ensure.h"

#define UVARINT_MAX (UINT64_MAX >> 1)

uint64_t uvarint_read(struct cursor *cursor) {
    uint64_t value = 0;
    for (unsigned i = 0; i < UVARINT_SIZE_MAX; i++) {
        uint8_t byte = cursor_u8(cursor);
        if (cursor->error != 0) {
            return 0;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (byte == 0 && i > 0) {
                break;
            }
            return value;
        }
    }
    cursor_fail(cursor, PLASM_MALFORMED);
    return 0;
}

void uvarint_write(struct writer *writer, uint64_t value) {
    ENSURE(value <= UVARINT_MAX);
    uint8_t *room = writer_reserve(writer, uvarint_size(value));
    if (room == NULL) {
        return;
    }
    while (value >= 0x80) {
        *room++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *room = (uint8_t)value;
}

size_t uvarint_size(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

int frame_read(struct bytes input, size_t payload_max, struct bytes *ret_payload,
               size_t *ret_frame_size) {
    struct cursor cursor = cursor_of(input);
    uint64_t size = uvarint_read(&cursor);
    if (cursor.error != 0) {
        return cursor.error;
    }
    if (size > payload_max) {
        return PLASM_TOO_LARGE;
    }
    struct bytes payload = cursor_take(&cursor, (size_t)size);
    if (cursor.error != 0) {
        return cursor.error;
    }
    *ret_payload = payload;
    *ret_frame_size = input.size - cursor.left.size;
    return 0;
}
