/* Integers and byte strings in order, in both directions. */
#include "util/cursor.h"

void cursor_fail(struct cursor *cursor, int error) {
    if (cursor->error == 0) {
        cursor->error = error;
    }
    cursor->left.size = 0;
}

struct bytes cursor_take(struct cursor *cursor, size_t size) {
    if (cursor->error != 0 || size > cursor->left.size) {
        cursor_fail(cursor, PLASM_TRUNCATED);
        return bytes_of(NULL, 0);
    }
    struct bytes taken = bytes_of(cursor->left.data, size);
    cursor->left = bytes_slice(cursor->left, size, cursor->left.size);
    return taken;
}

static uint64_t cursor_big_endian(struct cursor *cursor, size_t size) {
    struct bytes taken = cursor_take(cursor, size);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size; i++) {
        value = value << 8 | taken.data[i];
    }
    return value;
}

static uint64_t cursor_little_endian(struct cursor *cursor, size_t size) {
    struct bytes taken = cursor_take(cursor, size);
    uint64_t value = 0;
    for (size_t i = taken.size; i > 0; i--) {
        value = value << 8 | taken.data[i - 1];
    }
    return value;
}

uint8_t cursor_u8(struct cursor *cursor) {
    return (uint8_t)cursor_big_endian(cursor, 1);
}
uint16_t cursor_u16(struct cursor *cursor) {
    return (uint16_t)cursor_big_endian(cursor, 2);
}
uint32_t cursor_u32(struct cursor *cursor) {
    return (uint32_t)cursor_big_endian(cursor, 4);
}
uint64_t cursor_u64(struct cursor *cursor) {
    return cursor_big_endian(cursor, 8);
}
uint32_t cursor_u32_little(struct cursor *cursor) {
    return (uint32_t)cursor_little_endian(cursor, 4);
}
uint64_t cursor_u64_little(struct cursor *cursor) {
    return cursor_little_endian(cursor, 8);
}

uint8_t *writer_reserve(struct writer *writer, size_t size) {
    if (writer->error != 0 || size > writer->room.size - writer->size) {
        writer->error = PLASM_TOO_LARGE;
        return NULL;
    }
    /* An empty room may have no address to count from. */
    uint8_t *reserved = writer->size > 0 ? writer->room.data + writer->size : writer->room.data;
    writer->size += size;
    return reserved;
}

void writer_bytes_put(struct writer *writer, struct bytes bytes) {
    uint8_t *room = writer_reserve(writer, bytes.size);
    if (room != NULL && bytes.size > 0) {
        memcpy(room, bytes.data, bytes.size);
    }
}

static void writer_big_endian(struct writer *writer, uint64_t value, size_t size) {
    uint8_t *room = writer_reserve(writer, size);
    for (size_t i = size; room != NULL && i > 0; i--) {
        room[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static void writer_little_endian(struct writer *writer, uint64_t value, size_t size) {
    uint8_t *room = writer_reserve(writer, size);
    for (size_t i = 0; room != NULL && i < size; i++) {
        room[i] = (uint8_t)value;
        value >>= 8;
    }
}

void writer_u8(struct writer *writer, uint8_t value) {
    writer_big_endian(writer, value, 1);
}
void writer_u16(struct writer *writer, uint16_t value) {
    writer_big_endian(writer, value, 2);
}
void writer_u32(struct writer *writer, uint32_t value) {
    writer_big_endian(writer, value, 4);
}
void writer_u64(struct writer *writer, uint64_t value) {
    writer_big_endian(writer, value, 8);
}
void writer_u32_little(struct writer *writer, uint32_t value) {
    writer_little_endian(writer, value, 4);
}
void writer_u64_little(struct writer *writer, uint64_t value) {
    writer_little_endian(writer, value, 8);
}
