/* Intrusive binary heap of deadlines: the earliest in O(1), change and removal in O(log n). */
#ifndef UTIL_HEAP_H
#define UTIL_HEAP_H

#include <stdbool.h>

#include "util/memory.h"
#include "util/time.h"

/* Lives in the object that has the deadline. `index` is its place + 1; 0 when it is in no heap. */
struct heap_node {
    nanos deadline;
    size_t index;
};

/* A node's place. The deadline stands here too: looking for the earliest touches no object. */
struct heap_slot {
    nanos deadline;
    struct heap_node *node;
};

struct heap {
    struct memory *memory;
    struct heap_slot *slots;
    size_t size;
    size_t capacity;
};

void heap_init(struct heap *heap, struct memory *memory);
/* Frees the array; nodes still inside are marked as being in no heap. */
void heap_done(struct heap *heap);

static inline bool heap_linked(const struct heap_node *node) {
    return node->index != 0;
}

/* Sets the node's deadline, putting it in if needed. NANOS_NEVER takes it out.
 * PLASM_NO_MEMORY leaves it out; a node that is in never fails. */
MUST_CHECK int heap_set(struct heap *heap, struct heap_node *node, nanos deadline);
/* Takes the node out; does nothing where it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* The node with the earliest deadline, or NULL. */
struct heap_node *heap_first(const struct heap *heap);
/* Its deadline, or NANOS_NEVER. */
nanos heap_deadline(const struct heap *heap);

#endif
