/* What a stream has still to send: slices of blocks, in order. */
#ifndef YAMUX_QUEUE_H
#define YAMUX_QUEUE_H

#include "util/block.h"

/* Slices that a stream keeps at most: bounds what many tiny writes cost. */
#define YAMUX_SLICES_MAX 1024
/* Slices that need no memory of their own. */
#define YAMUX_SLICES_INLINE 2

struct yamux_slice {
    struct block *block; /* one reference */
    size_t offset;
    size_t size;
};

/* A ring; zeroed it is empty. */
struct yamux_queue {
    struct yamux_slice *more; /* NULL: the inline ones */
    struct yamux_slice few[YAMUX_SLICES_INLINE];
    size_t capacity; /* of `more` */
    size_t first;
    size_t count;
    size_t bytes;
};

static inline bool yamux_queue_full(const struct yamux_queue *queue) {
    return queue->count >= YAMUX_SLICES_MAX;
}

/* Takes a reference of its own. A slice that continues the last one becomes part of it.
 * PLASM_NO_MEMORY. The queue must not be full, `size` not 0. */
MUST_CHECK int yamux_queue_push(struct yamux_queue *queue, struct memory *memory,
                                struct block *block, size_t offset, size_t size);
/* Takes up to `size` bytes of the first slice; the reference is the caller's. The queue must not be
 * empty, `size` not 0. */
struct yamux_slice yamux_queue_pop(struct yamux_queue *queue, size_t size);
/* Drops everything and frees the memory. */
void yamux_queue_done(struct yamux_queue *queue, struct memory *memory);

#endif
