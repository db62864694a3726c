/* A binary heap whose nodes know their own place. */
#include "util/heap.h"

#include "util/error.h"

#define HEAP_CAPACITY_MIN 8

void heap_init(struct heap *heap, struct memory *memory) {
    *heap = (struct heap){.memory = memory};
}

void heap_done(struct heap *heap) {
    for (size_t i = 0; i < heap->size; i++) {
        heap->slots[i].node->index = 0;
    }
    memory_put(heap->memory, heap->slots, heap->capacity * sizeof(struct heap_slot));
    heap_init(heap, heap->memory);
}

static void heap_place(struct heap *heap, struct heap_slot slot, size_t place) {
    heap->slots[place] = slot;
    slot.node->index = place + 1;
}

static void heap_up(struct heap *heap, struct heap_slot slot, size_t place) {
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (heap->slots[parent].deadline <= slot.deadline) {
            break;
        }
        heap_place(heap, heap->slots[parent], place);
        place = parent;
    }
    heap_place(heap, slot, place);
}

static void heap_down(struct heap *heap, struct heap_slot slot, size_t place) {
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->size) {
            break;
        }
        if (child + 1 < heap->size &&
            heap->slots[child + 1].deadline < heap->slots[child].deadline) {
            child++;
        }
        if (slot.deadline <= heap->slots[child].deadline) {
            break;
        }
        heap_place(heap, heap->slots[child], place);
        place = child;
    }
    heap_place(heap, slot, place);
}

int heap_set(struct heap *heap, struct heap_node *node, nanos deadline) {
    if (deadline == NANOS_NEVER) {
        heap_remove(heap, node);
        return 0;
    }
    if (heap_linked(node)) {
        nanos old = node->deadline;
        node->deadline = deadline;
        struct heap_slot moved = {deadline, node};
        if (deadline < old) {
            heap_up(heap, moved, node->index - 1);
        } else {
            heap_down(heap, moved, node->index - 1);
        }
        return 0;
    }
    if (heap->size == heap->capacity) {
        size_t capacity = heap->capacity > 0 ? heap->capacity * 2 : HEAP_CAPACITY_MIN;
        struct heap_slot *slots =
            memory_resize(heap->memory, heap->slots, heap->capacity * sizeof(struct heap_slot),
                          capacity * sizeof(struct heap_slot));
        if (slots == NULL) {
            return PLASM_NO_MEMORY;
        }
        heap->slots = slots;
        heap->capacity = capacity;
    }
    node->deadline = deadline;
    heap->size++;
    heap_up(heap, (struct heap_slot){deadline, node}, heap->size - 1);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
    if (!heap_linked(node)) {
        return;
    }
    size_t place = node->index - 1;
    node->index = 0;
    heap->size--;
    struct heap_slot last = heap->slots[heap->size];
    if (place == heap->size) {
        return;
    }
    if (place > 0 && heap->slots[(place - 1) / 2].deadline > last.deadline) {
        heap_up(heap, last, place);
    } else {
        heap_down(heap, last, place);
    }
}

struct heap_node *heap_first(const struct heap *heap) {
    return heap->size > 0 ? heap->slots[0].node : NULL;
}

nanos heap_deadline(const struct heap *heap) {
    return heap->size > 0 ? heap->slots[0].deadline : NANOS_NEVER;
}
