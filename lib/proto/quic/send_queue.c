/* The ring of blocks a stream sends from. */
#include "proto/quic/send_queue.h"

#include "util/ensure.h"

#define SEGMENTS_MIN 4

void send_queue_init(struct send_queue *queue, struct memory *memory) {
    *queue = (struct send_queue){.memory = memory};
}

static struct send_segment *segment_at(const struct send_queue *queue, size_t i) {
    return &queue->segments[(queue->first + i) & (queue->capacity - 1)];
}

void send_queue_done(struct send_queue *queue) {
    for (size_t i = 0; i < queue->count; i++) {
        block_unref(segment_at(queue, i)->block);
    }
    memory_put(queue->memory, queue->segments, queue->capacity * sizeof(*queue->segments));
    send_queue_init(queue, queue->memory);
}

static int grow(struct send_queue *queue) {
    size_t capacity = queue->capacity > 0 ? 2 * queue->capacity : SEGMENTS_MIN;
    struct send_segment *segments = memory_get(queue->memory, capacity * sizeof(*segments));
    if (segments == NULL) {
        return PLASM_NO_MEMORY;
    }
    for (size_t i = 0; i < queue->count; i++) {
        segments[i] = *segment_at(queue, i);
    }
    memory_put(queue->memory, queue->segments, queue->capacity * sizeof(*segments));
    queue->segments = segments;
    queue->capacity = capacity;
    queue->first = 0;
    return 0;
}

int send_queue_push(struct send_queue *queue, struct block *block, size_t offset, size_t size) {
    ENSURE(size > 0 && offset <= block->size && size <= block->size - offset);
    if (queue->count == SEND_QUEUE_SEGMENTS_MAX) {
        return PLASM_LIMIT;
    }
    if (queue->count == queue->capacity && grow(queue) != 0) {
        return PLASM_NO_MEMORY;
    }
    *segment_at(queue, queue->count) = (struct send_segment){
        .block = block_ref(block), .data = block->data + offset, .size = size};
    queue->count++;
    queue->unsent += size;
    queue->unacked += size;
    return 0;
}

struct bytes send_queue_unsent(const struct send_queue *queue, size_t i) {
    if (queue->sent_count + i >= queue->count) {
        return bytes_of(NULL, 0);
    }
    const struct send_segment *segment = segment_at(queue, queue->sent_count + i);
    size_t part = i == 0 ? queue->sent_part : 0;
    return bytes_of(segment->data + part, segment->size - part);
}

void send_queue_sent(struct send_queue *queue, size_t size) {
    ENSURE(size <= queue->unsent);
    queue->unsent -= size;
    queue->sent_part += size;
    while (queue->sent_count < queue->count &&
           queue->sent_part >= segment_at(queue, queue->sent_count)->size) {
        queue->sent_part -= segment_at(queue, queue->sent_count)->size;
        queue->sent_count++;
    }
}

void send_queue_acked(struct send_queue *queue, size_t size) {
    ENSURE(size <= queue->unacked - queue->unsent);
    queue->unacked -= size;
    queue->acked_part += size;
    while (queue->count > 0 && queue->acked_part >= segment_at(queue, 0)->size) {
        struct send_segment *oldest = segment_at(queue, 0);
        queue->acked_part -= oldest->size;
        block_unref(oldest->block);
        queue->first = (queue->first + 1) & (queue->capacity - 1);
        queue->count--;
        queue->sent_count--;
    }
}

void send_queue_drop_unsent(struct send_queue *queue) {
    queue->unacked -= queue->unsent;
    queue->unsent = 0;
    size_t keep = queue->sent_count + (queue->sent_part > 0 ? 1 : 0);
    while (queue->count > keep) {
        queue->count--;
        block_unref(segment_at(queue, queue->count)->block);
    }
    if (queue->sent_part > 0) { /* what was sent of the last one is all of it now */
        segment_at(queue, keep - 1)->size = queue->sent_part;
        queue->sent_count = keep;
        queue->sent_part = 0;
    }
}
