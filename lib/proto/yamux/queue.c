/* A ring of block slices that grows by doubling and begins without an allocation. */
#include "proto/yamux/queue.h"

#include "util/ensure.h"

static struct yamux_slice *slice_at(struct yamux_queue *queue, size_t index) {
    if (queue->more == NULL) {
        return &queue->few[(queue->first + index) % YAMUX_SLICES_INLINE];
    }
    return &queue->more[(queue->first + index) & (queue->capacity - 1)];
}

static int grow(struct yamux_queue *queue, struct memory *memory) {
    size_t capacity = queue->more == NULL ? 4 * YAMUX_SLICES_INLINE : 2 * queue->capacity;
    struct yamux_slice *slices = memory_get(memory, capacity * sizeof(struct yamux_slice));
    if (slices == NULL) {
        return PLASM_NO_MEMORY;
    }
    for (size_t i = 0; i < queue->count; i++) {
        slices[i] = *slice_at(queue, i);
    }
    memory_put(memory, queue->more, queue->capacity * sizeof(struct yamux_slice));
    queue->more = slices;
    queue->capacity = capacity;
    queue->first = 0;
    return 0;
}

int yamux_queue_push(struct yamux_queue *queue, struct memory *memory, struct block *block,
                     size_t offset, size_t size) {
    ENSURE(size > 0 && !yamux_queue_full(queue));
    if (queue->count > 0) {
        struct yamux_slice *last = slice_at(queue, queue->count - 1);
        if (last->block == block && last->offset + last->size == offset) {
            last->size += size;
            queue->bytes += size;
            return 0;
        }
    }
    size_t capacity = queue->more == NULL ? YAMUX_SLICES_INLINE : queue->capacity;
    if (queue->count == capacity && grow(queue, memory) != 0) {
        return PLASM_NO_MEMORY;
    }
    queue->count++;
    *slice_at(queue, queue->count - 1) =
        (struct yamux_slice){.block = block_ref(block), .offset = offset, .size = size};
    queue->bytes += size;
    return 0;
}

struct yamux_slice yamux_queue_pop(struct yamux_queue *queue, size_t size) {
    ENSURE(queue->count > 0 && size > 0);
    struct yamux_slice *first = slice_at(queue, 0);
    struct yamux_slice taken = *first;
    if (size < taken.size) {
        taken.size = size;
        block_ref(taken.block);
        first->offset += size;
        first->size -= size;
    } else {
        queue->first++;
        queue->count--;
        if (queue->count == 0) {
            queue->first = 0;
        }
    }
    queue->bytes -= taken.size;
    return taken;
}

void yamux_queue_done(struct yamux_queue *queue, struct memory *memory) {
    while (queue->count > 0) {
        block_unref(yamux_queue_pop(queue, SIZE_MAX).block);
    }
    memory_put(memory, queue->more, queue->capacity * sizeof(struct yamux_slice));
    *queue = (struct yamux_queue){0};
}
