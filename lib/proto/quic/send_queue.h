/* What a stream wrote: blocks that stay until the peer has them. */
#ifndef QUIC_SEND_QUEUE_H
#define QUIC_SEND_QUEUE_H

#include "util/block.h"

/* Blocks waiting in one queue at most: many small writes must not cost more than large ones. */
#define SEND_QUEUE_SEGMENTS_MAX 4096

struct send_segment {
    struct block *block;
    const uint8_t *data;
    size_t size;
};

/* Bytes pass from the back (pushed) over the middle (sent) to the front (acknowledged, gone). */
struct send_queue {
    struct memory *memory;
    struct send_segment *segments; /* ring of `capacity` places */
    size_t capacity;
    size_t first;      /* place of the oldest segment */
    size_t count;      /* segments in the ring */
    size_t sent_count; /* of them sent in whole */
    size_t sent_part;  /* bytes sent of the one after those */
    size_t acked_part; /* bytes acknowledged of the oldest */
    size_t unsent;     /* bytes */
    size_t unacked;    /* bytes, with the unsent ones */
};

void send_queue_init(struct send_queue *queue, struct memory *memory);
/* Gives up all references and memory. */
void send_queue_done(struct send_queue *queue);
/* Takes a reference. PLASM_NO_MEMORY, PLASM_LIMIT. */
MUST_CHECK int send_queue_push(struct send_queue *queue, struct block *block, size_t offset,
                               size_t size);
/* The i-th piece of what is not sent yet; empty behind the last. */
struct bytes send_queue_unsent(const struct send_queue *queue, size_t i);
/* The first `size` unsent bytes were sent. */
void send_queue_sent(struct send_queue *queue, size_t size);
/* The oldest `size` bytes were acknowledged. */
void send_queue_acked(struct send_queue *queue, size_t size);
/* Forgets what was not sent. */
void send_queue_drop_unsent(struct send_queue *queue);

#endif
