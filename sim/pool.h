/* Objects of one size, carved from large pieces and used again: nothing is allocated per packet. */
#ifndef SIM_POOL_H
#define SIM_POOL_H

#include "util/memory.h"

struct pool {
    struct memory *memory;
    size_t object_size;
    size_t piece_size; /* bytes, header included */
    struct pool_piece *pieces;
    struct pool_object *unused;
    size_t out; /* objects in use */
};

/* `object_count` objects are carved at a time. */
void pool_init(struct pool *pool, struct memory *memory, size_t object_size, size_t object_count);
/* Frees everything, objects in use too. */
void pool_done(struct pool *pool);

/* A zeroed object. The program ends where memory does. */
void *pool_get(struct pool *pool);
void pool_put(struct pool *pool, void *object);

#endif
