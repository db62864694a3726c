/* Owned bytes that grow up to a maximum given at the start. */
#ifndef UTIL_BUFFER_H
#define UTIL_BUFFER_H

#include "util/bytes.h"
#include "util/memory.h"

/* A queue of bytes: append at the end, consume at the front. Holds no memory while it is empty
 * and was never written. */
struct buffer {
    struct memory *memory;
    uint8_t *data;
    size_t capacity;
    size_t start; /* first byte not consumed */
    size_t size;  /* bytes not consumed */
    size_t size_max;
};

void buffer_init(struct buffer *buffer, struct memory *memory, size_t size_max);
/* Frees the memory; the buffer may be used again. */
void buffer_done(struct buffer *buffer);

static inline struct bytes buffer_bytes(const struct buffer *buffer) {
    return bytes_of(buffer->size > 0 ? buffer->data + buffer->start : NULL, buffer->size);
}

/* Room for `size` more bytes, to be filled and then committed. Borrows end here.
 * PLASM_TOO_LARGE beyond size_max, PLASM_NO_MEMORY. */
MUST_CHECK int buffer_reserve(struct buffer *buffer, size_t size, struct span *ret_room);
/* Makes the first `size` bytes of the last reservation part of the buffer. */
void buffer_commit(struct buffer *buffer, size_t size);
/* Reserve, copy and commit. Nothing is appended on failure. */
MUST_CHECK int buffer_append(struct buffer *buffer, struct bytes bytes);
/* Drops the first `size` bytes. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Drops all bytes and keeps the memory. */
void buffer_clear(struct buffer *buffer);

#endif
