/* Two sides and a pipe between them in virtual time: what is written on a stream is numbered bytes,
 * which the other side checks and, where it is told to, sends back. Not part of the library. */
#ifndef YAMUX_PAIR_TESTING_H
#define YAMUX_PAIR_TESTING_H

#include "proto/yamux/yamux.h"
#include "util/list.h"
#include "util/testing.h"

#define PAIR_PERIOD 251
#define PAIR_RUN    65536

/* Bytes `index`, `index` + 1, … of any stream, PAIR_RUN of them. */
static inline const uint8_t *pair_bytes(size_t index) {
    static uint8_t bytes[PAIR_PERIOD + PAIR_RUN];
    if (bytes[1] == 0) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)(i % PAIR_PERIOD);
        }
    }
    return bytes + index % PAIR_PERIOD;
}

/* What one side does on one stream; its owner's object. */
struct pair_flow {
    struct pair_end *end;
    struct yamux_stream *stream; /* NULL once it is over */
    size_t to_send;
    size_t sent;
    bool fin_sent;
    size_t received;
    bool fin_received;
    bool reset;
    bool echoes; /* sends back what it receives, its FIN too */
    struct list_node node;
};

/* Bytes under way. */
struct pair_parcel {
    struct list_node node;
    nanos arrival;
    size_t size;
    uint8_t data[];
};

struct pair_end {
    struct memory *memory;
    struct yamux *mux;
    struct list flows;
    struct list under_way; /* to this end */
    bool over;
    int error;
    bool held; /* does not consume */
    size_t unconsumed;
    size_t streams_opened;
};

struct pair {
    struct memory heap;
    struct budget budget;
    struct pair_end ends[2];
    nanos now;
    nanos delay;
    size_t part;      /* input is handed in so many bytes at a time; 0: as it was sent */
    size_t room;      /* the channel's, for one transmit */
    size_t block;     /* bytes of a block that is written, PAIR_RUN at most */
    bool failed;      /* an allocation did, and somebody noticed */
    uint64_t carried; /* bytes */
};

/* `memory` NULL takes the pair's own. False: an allocation failed. */
static inline bool pair_init(struct pair *pair, struct memory *memory,
                             const struct yamux_limits *limits) {
    memset(pair, 0, sizeof(*pair));
    memory_init(&pair->heap, SIZE_MAX);
    pair->budget.bytes_max = (size_t)256 << 20;
    pair->now = NANOS_SECOND;
    pair->room = 262144;
    pair->block = 65536;
    for (int i = 0; i < 2; i++) {
        struct pair_end *end = &pair->ends[i];
        list_init(&end->flows);
        list_init(&end->under_way);
        end->memory = memory != NULL ? memory : &pair->heap;
        struct random random;
        const uint8_t seed[32] = {3, (uint8_t)i};
        random_init(&random, seed);
        const struct yamux_config config = {
            .initiator = i == 0,
            .memory = end->memory,
            .budget = &pair->budget,
            .random = &random,
            .limits = limits != NULL ? *limits : yamux_limits_default,
        };
        int error = yamux_new(&config, pair->now, &end->mux);
        if (error != 0) {
            assert_int_equal(error, PLASM_NO_MEMORY);
            pair->failed = true;
            return false;
        }
    }
    return true;
}

static inline void pair_done(struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        struct pair_end *end = &pair->ends[i];
        yamux_free(end->mux);
        while (!list_empty(&end->flows)) {
            struct pair_flow *flow = LIST_ENTRY(list_first(&end->flows), struct pair_flow, node);
            list_remove(&end->flows, &flow->node);
            free(flow);
        }
        while (!list_empty(&end->under_way)) {
            struct pair_parcel *parcel =
                LIST_ENTRY(list_first(&end->under_way), struct pair_parcel, node);
            list_remove(&end->under_way, &parcel->node);
            free(parcel);
        }
    }
    assert_int_equal(pair->heap.used, 0);
    assert_int_equal(pair->budget.bytes, 0);
}

static inline struct pair_flow *pair_flow_new(struct pair_end *end, struct yamux_stream *stream) {
    struct pair_flow *flow = calloc(1, sizeof(*flow));
    ENSURE(flow != NULL);
    flow->end = end;
    flow->stream = stream;
    list_append(&end->flows, &flow->node);
    *yamux_stream_user(stream) = flow;
    return flow;
}

/* Writes as much as is accepted, in blocks of pair->block. */
static inline void pair_write(struct pair *pair, struct pair_flow *flow) {
    while (flow->stream != NULL && !flow->reset && !flow->fin_sent) {
        size_t size = flow->to_send - flow->sent;
        size = size < pair->block ? size : pair->block;
        bool fin = flow->sent + size == flow->to_send && (!flow->echoes || flow->fin_received);
        if (size == 0 && !fin) {
            return;
        }
        struct block *block = block_new(flow->end->memory, size);
        size_t accepted = 0;
        int error = block != NULL ? 0 : PLASM_NO_MEMORY;
        if (error == 0) {
            memcpy(block->data, pair_bytes(flow->sent), size);
            error = yamux_stream_write(flow->stream, block, 0, size, fin, &accepted);
        }
        block_unref(block);
        if (error == PLASM_NO_MEMORY) {
            pair->failed = true;
            flow->reset = true;
            yamux_stream_reset(flow->stream, 1);
            return;
        }
        if (error != 0) {
            assert_int_equal(error, PLASM_CLOSED);
            return;
        }
        flow->sent += accepted;
        if (accepted < size) {
            return;
        }
        flow->fin_sent = fin;
    }
}

static inline struct pair_flow *pair_open(struct pair *pair, int end, size_t size) {
    struct yamux_stream *stream;
    int error = yamux_stream_open(pair->ends[end].mux, &stream);
    if (error != 0) {
        assert_true(error == PLASM_NO_MEMORY || error == PLASM_CLOSED);
        pair->failed = true;
        return NULL;
    }
    struct pair_flow *flow = pair_flow_new(&pair->ends[end], stream);
    flow->to_send = size;
    pair_write(pair, flow);
    return flow;
}

static inline void pair_data(struct pair *pair, struct pair_flow *flow,
                             const struct yamux_event *event) {
    for (size_t at = 0; at < event->data.size; at += PAIR_RUN) {
        struct bytes run = bytes_slice(event->data, at, PAIR_RUN);
        ENSURE(memcmp(run.data, pair_bytes(flow->received + at), run.size) == 0);
    }
    ENSURE(!flow->fin_received);
    flow->received += event->data.size;
    flow->fin_received = event->fin;
    flow->end->unconsumed += event->data.size;
    if (!flow->end->held) {
        yamux_stream_consume(event->stream, event->data.size);
    }
    if (flow->echoes) {
        flow->to_send = flow->received;
        pair_write(pair, flow);
    }
}

static inline void pair_event(struct pair *pair, struct pair_end *end,
                              const struct yamux_event *event) {
    struct pair_flow *flow = event->stream != NULL ? *yamux_stream_user(event->stream) : NULL;
    switch (event->type) {
    case YAMUX_CLOSED:
        end->over = true;
        end->error = event->error;
        for (struct list_node *node = list_first(&end->flows); node != NULL;
             node = list_next(&end->flows, node)) {
            LIST_ENTRY(node, struct pair_flow, node)->stream = NULL;
        }
        return;
    case YAMUX_STREAM_OPENED:
        end->streams_opened++;
        pair_flow_new(end, event->stream)->echoes = true;
        return;
    case YAMUX_STREAM_DATA:
        pair_data(pair, flow, event);
        return;
    case YAMUX_STREAM_WRITABLE:
        pair_write(pair, flow);
        return;
    case YAMUX_STREAM_RESET:
        flow->reset = true;
        return;
    case YAMUX_STREAM_CLOSED:
        flow->stream = NULL;
        return;
    case YAMUX_STREAMS_AVAILABLE:
        return;
    }
}

/* Sends what an end has to send; true when that was anything. */
static inline bool pair_transmit(struct pair *pair, int from) {
    struct pair_end *end = &pair->ends[from];
    struct bytes pieces[YAMUX_PIECES_MAX];
    size_t count = yamux_transmit(end->mux, pieces, ARRAY_SIZE(pieces), pair->room, pair->now);
    if (count == 0) {
        return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
    }
    size = size < pair->room ? size : pair->room;
    struct pair_parcel *parcel = malloc(sizeof(*parcel) + size);
    ENSURE(parcel != NULL);
    parcel->node = (struct list_node){0};
    parcel->arrival = pair->now + pair->delay;
    parcel->size = size;
    size_t filled = 0;
    for (size_t i = 0; i < count && filled < size; i++) {
        size_t part = pieces[i].size < size - filled ? pieces[i].size : size - filled;
        memcpy(parcel->data + filled, pieces[i].data, part);
        filled += part;
    }
    yamux_sent(end->mux, size);
    pair->carried += size;
    list_append(&pair->ends[1 - from].under_way, &parcel->node);
    return true;
}

static inline void pair_drain(struct pair *pair, int index) {
    struct yamux_event event;
    do {
        while (yamux_next_event(pair->ends[index].mux, &event)) {
            pair_event(pair, &pair->ends[index], &event);
        }
    } while (pair_transmit(pair, index));
}

static inline void pair_deliver(struct pair *pair, int index) {
    struct pair_end *end = &pair->ends[index];
    struct pair_parcel *parcel = LIST_ENTRY(list_first(&end->under_way), struct pair_parcel, node);
    list_remove(&end->under_way, &parcel->node);
    size_t part = pair->part > 0 ? pair->part : parcel->size;
    for (size_t at = 0; at < parcel->size; at += part) {
        size_t size = parcel->size - at < part ? parcel->size - at : part;
        yamux_receive(end->mux, bytes_of(parcel->data + at, size), pair->now);
        struct yamux_event event;
        while (yamux_next_event(end->mux, &event)) {
            pair_event(pair, end, &event);
        }
    }
    free(parcel);
    pair_drain(pair, index);
}

/* Runs until nothing is under way. */
static inline void pair_run(struct pair *pair) {
    pair_drain(pair, 0);
    pair_drain(pair, 1);
    for (;;) {
        int next = -1;
        nanos arrival = NANOS_NEVER;
        for (int i = 0; i < 2; i++) {
            struct pair_parcel *parcel =
                LIST_ENTRY(list_first(&pair->ends[i].under_way), struct pair_parcel, node);
            if (parcel != NULL && parcel->arrival < arrival) {
                arrival = parcel->arrival;
                next = i;
            }
        }
        if (next < 0) {
            return;
        }
        pair->now = arrival > pair->now ? arrival : pair->now;
        pair_deliver(pair, next);
    }
}

#endif
