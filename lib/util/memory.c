/* The heap behind struct memory, counted and bounded, and the one that fails on demand. */
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

#include "util/ensure.h"

static void *heap_resize(void *context, void *old, size_t old_size, size_t size) {
    (void)context;
    (void)old_size;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, size);
}

void memory_init(struct memory *memory, size_t bytes_max) {
    *memory = (struct memory){.resize = heap_resize, .context = NULL, .bytes_max = bytes_max};
}

void *memory_get(struct memory *memory, size_t size) {
    return memory_resize(memory, NULL, 0, size);
}

void *memory_zero(struct memory *memory, size_t size) {
    void *block = memory_get(memory, size);
    if (block != NULL) {
        memset(block, 0, size);
    }
    return block;
}

void *memory_resize(struct memory *memory, void *old, size_t old_size, size_t size) {
    ENSURE(size > 0 && memory->used >= old_size);
    size_t others = memory->used - old_size;
    if (others > memory->bytes_max || size > memory->bytes_max - others) {
        return NULL;
    }
    void *block = memory->resize(memory->context, old, old_size, size);
    if (block != NULL) {
        memory->used = others + size;
    }
    return block;
}

void memory_put(struct memory *memory, void *old, size_t size) {
    if (old == NULL) {
        return;
    }
    ENSURE(memory->used >= size);
    memory->used -= size;
    (void)memory->resize(memory->context, old, size, 0);
}

static void *failing_resize(void *context, void *old, size_t old_size, size_t size) {
    struct memory_failing *failing = context;
    if (size > old_size) {
        if (failing->countdown == 0) {
            failing->failed = true;
            failing->countdown = failing->sticky ? 0 : SIZE_MAX;
            return NULL;
        }
        failing->countdown--;
    }
    return heap_resize(NULL, old, old_size, size);
}

void memory_failing_init(struct memory_failing *failing, size_t n, bool sticky) {
    *failing = (struct memory_failing){.countdown = n, .sticky = sticky};
    failing->memory =
        (struct memory){.resize = failing_resize, .context = failing, .bytes_max = SIZE_MAX};
}
