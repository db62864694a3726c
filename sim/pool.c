/* A free list over pieces of memory. */
#include "pool.h"

#include <stdalign.h>
#include <string.h>

#include "util/ensure.h"

struct pool_object {
    struct pool_object *next;
};

struct pool_piece {
    struct pool_piece *next;
    alignas(max_align_t) uint8_t objects[];
};

void pool_init(struct pool *pool, struct memory *memory, size_t object_size, size_t object_count) {
    size_t unit = alignof(max_align_t);
    size_t rounded = (object_size + unit - 1) / unit * unit;
    *pool = (struct pool){.memory = memory,
                          .object_size = rounded,
                          .piece_size = sizeof(struct pool_piece) + rounded * object_count};
}

void pool_done(struct pool *pool) {
    while (pool->pieces != NULL) {
        struct pool_piece *piece = pool->pieces;
        pool->pieces = piece->next;
        memory_put(pool->memory, piece, pool->piece_size);
    }
    pool->unused = NULL;
    pool->out = 0;
}

static void carve(struct pool *pool) {
    struct pool_piece *piece = memory_get(pool->memory, pool->piece_size);
    ENSURE(piece != NULL);
    piece->next = pool->pieces;
    pool->pieces = piece;
    size_t count = (pool->piece_size - sizeof(*piece)) / pool->object_size;
    for (size_t i = count; i-- > 0;) {
        struct pool_object *object = (void *)(piece->objects + i * pool->object_size);
        object->next = pool->unused;
        pool->unused = object;
    }
}

void *pool_get(struct pool *pool) {
    if (pool->unused == NULL) {
        carve(pool);
    }
    struct pool_object *object = pool->unused;
    pool->unused = object->next;
    pool->out++;
    memset(object, 0, pool->object_size);
    return object;
}

void pool_put(struct pool *pool, void *object) {
    ENSURE(pool->out > 0);
    struct pool_object *unused = object;
    unused->next = pool->unused;
    pool->unused = unused;
    pool->out--;
}
