/* Reference-counted immutable bytes: what a stream sends stays where it is until acknowledged. */
#ifndef UTIL_BLOCK_H
#define UTIL_BLOCK_H

#include "util/bytes.h"
#include "util/memory.h"

/* Header and bytes in one allocation. Filled by its maker, then shared and never changed. */
struct block {
    struct memory *memory;
    uint32_t references;
    size_t size;
    uint8_t data[];
};

/* A new block with one reference, its bytes not set; NULL when memory is out. */
MUST_CHECK struct block *block_new(struct memory *memory, size_t size);
/* A new block with a copy of `bytes`. */
MUST_CHECK struct block *block_copy(struct memory *memory, struct bytes bytes);
/* One more reference; returns the block. */
struct block *block_ref(struct block *block);
/* One less; the last frees it. NULL is allowed. */
void block_unref(struct block *block);

static inline struct bytes block_bytes(const struct block *block) {
    return bytes_of(block->data, block->size);
}

#endif
