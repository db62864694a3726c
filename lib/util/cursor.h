/* Reading and writing bytes in order, with a sticky error: check once at the end. */
#ifndef UTIL_CURSOR_H
#define UTIL_CURSOR_H

#include "util/bytes.h"

/* Reads borrowed bytes. After the first failure every read gives zeros and `error` stays. */
struct cursor {
    struct bytes left;
    int error; /* 0 or PLASM_TRUNCATED; a decoder may latch its own */
};

static inline struct cursor cursor_of(struct bytes input) {
    return (struct cursor){.left = input, .error = 0};
}

/* Latches `error` unless one is latched already. */
void cursor_fail(struct cursor *cursor, int error);
/* The next `size` bytes, borrowed; empty and PLASM_TRUNCATED where there are fewer. */
struct bytes cursor_take(struct cursor *cursor, size_t size);
uint8_t cursor_u8(struct cursor *cursor);
/* Big endian (network order) unless the name says little. */
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
uint32_t cursor_u32_little(struct cursor *cursor);
uint64_t cursor_u64_little(struct cursor *cursor);

/* Writes into given room. After the first overflow nothing more is written and `error` stays
 * PLASM_TOO_LARGE. */
struct writer {
    struct span room;
    size_t size; /* written so far */
    int error;
};

static inline struct writer writer_of(struct span room) {
    return (struct writer){.room = room, .size = 0, .error = 0};
}

static inline struct bytes writer_bytes(const struct writer *writer) {
    return bytes_of(writer->room.data, writer->size);
}

/* Room for `size` bytes that the caller fills, or NULL and PLASM_TOO_LARGE. */
uint8_t *writer_reserve(struct writer *writer, size_t size);
void writer_bytes_put(struct writer *writer, struct bytes bytes);
void writer_u8(struct writer *writer, uint8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_u64(struct writer *writer, uint64_t value);
void writer_u32_little(struct writer *writer, uint32_t value);
void writer_u64_little(struct writer *writer, uint64_t value);

#endif
