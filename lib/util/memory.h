/* Where memory comes from: injected, so that it can be counted, bounded and made to fail. */
#ifndef UTIL_MEMORY_H
#define UTIL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/compiler.h"

/* An allocator with a budget. Everything that lives as long as a connection or stream takes its
 * memory from one of these; `used` counts the bytes now out. */
struct memory {
    /* As realloc: old NULL allocates, size 0 frees and returns NULL. Sizes are the caller's to
     * remember. */
    void *(*resize)(void *context, void *old, size_t old_size, size_t size);
    void *context;
    size_t used;
    size_t bytes_max; /* SIZE_MAX: no bound */
};

/* The C library's heap, bounded. */
void memory_init(struct memory *memory, size_t bytes_max);

/* NULL when the budget is spent or the heap has no more. `memory_zero` clears what it gives. */
MUST_CHECK void *memory_get(struct memory *memory, size_t size);
MUST_CHECK void *memory_zero(struct memory *memory, size_t size);
/* Grows or shrinks; on NULL the old block stays. `old` may be NULL with old_size 0. */
MUST_CHECK void *memory_resize(struct memory *memory, void *old, size_t old_size, size_t size);
/* `size` is what was asked for. `old` may be NULL. */
void memory_put(struct memory *memory, void *old, size_t size);

/* A heap whose n-th allocation (from 0) fails, and all after it when `sticky`. For tests: run the
 * same story for n = 0, 1, 2 … until it ends with `failed` false. */
struct memory_failing {
    struct memory memory; /* give this one to the code under test */
    size_t countdown;
    bool sticky;
    bool failed;
};

void memory_failing_init(struct memory_failing *failing, size_t n, bool sticky);

#endif
