/* What this module's tests share: one side driven by hand-made frames, whose events and answers are
 * written down as text. Not part of the library. */
#ifndef YAMUX_TESTING_H
#define YAMUX_TESTING_H

#include <stdio.h>

#include "proto/yamux/frame.h"
#include "proto/yamux/yamux.h"
#include "util/testing.h"

#define TESTING_STREAMS 1024
#define TESTING_TRACE   16384

/* One side, as its owner sees it. */
struct testing_side {
    struct memory heap;
    struct memory *memory;
    struct budget budget;
    struct yamux *mux;
    nanos now;
    bool consumes;  /* gives credit for what it receives at once */
    size_t sent_at; /* bytes that the channel takes at a time; 0: all */
    struct yamux_stream *streams[TESTING_STREAMS]; /* by id / 2 */
    bool over;
    struct yamux_event last_closed;
    char trace[TESTING_TRACE];
    size_t trace_size;
    uint8_t *wire; /* what was transmitted and not yet decoded */
    size_t wire_size;
    uint32_t ping_value; /* of the last ping that it sent */
};

static inline void testing_init(struct testing_side *side, bool initiator,
                                const struct yamux_limits *limits) {
    memset(side, 0, sizeof(*side));
    memory_init(&side->heap, SIZE_MAX);
    side->memory = &side->heap;
    side->budget.bytes_max = (size_t)64 << 20;
    side->now = NANOS_SECOND;
    side->consumes = true;
    struct random random;
    const uint8_t seed[32] = {7, initiator};
    random_init(&random, seed);
    struct yamux_config config = {
        .initiator = initiator,
        .memory = side->memory,
        .budget = &side->budget,
        .random = &random,
        .limits = limits != NULL ? *limits : yamux_limits_default,
    };
    assert_int_equal(yamux_new(&config, side->now, &side->mux), 0);
}

static inline void testing_done(struct testing_side *side) {
    yamux_free(side->mux);
    free(side->wire);
    assert_int_equal(side->heap.used, 0);
    assert_int_equal(side->budget.bytes, 0);
}

static inline void testing_say(struct testing_side *side, const char *format, ...)
    PRINTF_FORMAT(2, 3);
static inline void testing_say(struct testing_side *side, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof(side->trace) - side->trace_size;
    int size = vsnprintf(side->trace + side->trace_size, room, format, arguments);
    va_end(arguments);
    ENSURE(size >= 0 && (size_t)size < room);
    side->trace_size += (size_t)size;
}

static inline void testing_bytes(struct testing_side *side, struct bytes bytes) {
    if (bytes.size > 0 && bytes.size <= 32) {
        testing_say(side, " '%.*s'", (int)bytes.size, (const char *)bytes.data);
    }
}

static inline void testing_event(struct testing_side *side, const struct yamux_event *event) {
    uint32_t id = event->stream != NULL ? yamux_stream_id(event->stream) : 0;
    switch (event->type) {
    case YAMUX_CLOSED:
        side->over = true;
        side->last_closed = *event;
        testing_say(side, "closed %s code %u%s; ", plasm_error_name(event->error),
                    (unsigned)event->code, event->by_peer ? " by peer" : "");
        return;
    case YAMUX_STREAM_OPENED:
        side->streams[id / 2 % TESTING_STREAMS] = event->stream;
        testing_say(side, "opened %u; ", id);
        return;
    case YAMUX_STREAM_DATA:
        testing_say(side, "data %u %zu", id, event->data.size);
        testing_bytes(side, event->data);
        testing_say(side, "%s; ", event->fin ? " fin" : "");
        if (side->consumes) {
            yamux_stream_consume(event->stream, event->data.size);
        }
        return;
    case YAMUX_STREAM_WRITABLE:
        testing_say(side, "writable %u; ", id);
        return;
    case YAMUX_STREAM_RESET:
        testing_say(side, "reset %u code %u; ", id, (unsigned)event->code);
        return;
    case YAMUX_STREAM_CLOSED:
        side->streams[id / 2 % TESTING_STREAMS] = NULL;
        testing_say(side, "over %u; ", id);
        return;
    case YAMUX_STREAMS_AVAILABLE:
        testing_say(side, "available; ");
        return;
    }
}

static inline bool testing_events(struct testing_side *side) {
    struct yamux_event event;
    bool any = false;
    while (yamux_next_event(side->mux, &event)) {
        testing_event(side, &event);
        any = true;
    }
    return any;
}

/* Appends to side->wire what the machine gives once. */
static inline size_t testing_transmit(struct testing_side *side, size_t size) {
    struct bytes pieces[YAMUX_PIECES_MAX];
    size_t count = yamux_transmit(side->mux, pieces, YAMUX_PIECES_MAX, size, side->now);
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all += pieces[i].size;
    }
    size_t taken = side->sent_at > 0 && side->sent_at < all ? side->sent_at : all;
    side->wire = realloc(side->wire, side->wire_size + taken + 1);
    ENSURE(side->wire != NULL);
    size_t left = taken;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t part = pieces[i].size < left ? pieces[i].size : left;
        memcpy(side->wire + side->wire_size, pieces[i].data, part);
        side->wire_size += part;
        left -= part;
    }
    yamux_sent(side->mux, taken);
    return taken;
}

/* The frames in side->wire as text; pings' values do not matter. */
static inline void testing_frames(struct testing_side *side) {
    static const char *const names[] = {"DATA", "WINDOW", "PING", "GOAWAY"};
    size_t at = 0;
    while (side->wire_size - at >= YAMUX_HEADER_SIZE) {
        struct yamux_frame frame;
        assert_int_equal(yamux_frame_decode(side->wire + at, &frame), 0);
        size_t payload = frame.type == YAMUX_DATA ? frame.length : 0;
        side->ping_value = frame.type == YAMUX_PING ? frame.length : side->ping_value;
        if (side->wire_size - at - YAMUX_HEADER_SIZE < payload) {
            break;
        }
        testing_say(side, ">%s %u %u", names[frame.type], frame.stream_id,
                    frame.type == YAMUX_PING ? 0 : frame.length);
        testing_say(side, "%s%s%s%s", (frame.flags & YAMUX_SYN) != 0 ? " SYN" : "",
                    (frame.flags & YAMUX_ACK) != 0 ? " ACK" : "",
                    (frame.flags & YAMUX_FIN) != 0 ? " FIN" : "",
                    (frame.flags & YAMUX_RST) != 0 ? " RST" : "");
        testing_bytes(side, bytes_of(side->wire + at + YAMUX_HEADER_SIZE, payload));
        testing_say(side, "; ");
        at += YAMUX_HEADER_SIZE + payload;
    }
    if (side->wire_size > at) {
        memmove(side->wire, side->wire + at, side->wire_size - at);
    }
    side->wire_size -= at;
}

/* Everything that is due: events and answers, until there are none. */
static inline void testing_settle(struct testing_side *side) {
    bool more = true;
    while (more) {
        more = testing_events(side);
        more = testing_transmit(side, 262144) > 0 || more;
        testing_frames(side);
    }
}

static inline void testing_expect(struct testing_side *side, const char *expected) {
    side->trace[side->trace_size] = 0;
    if (side->trace_size >= 2) {
        side->trace[side->trace_size - 2] = 0; /* the last "; " */
    }
    assert_string_equal(side->trace, expected);
    side->trace_size = 0;
    side->trace[0] = 0;
}

/* Hands in one frame; `payload` NULL: none, or zeros as many as a data frame's length says. */
static inline void testing_feed(struct testing_side *side, enum yamux_type type, unsigned flags,
                                uint32_t id, uint32_t length, const char *payload) {
    const struct yamux_frame frame = {
        .type = type, .flags = (uint16_t)flags, .stream_id = id, .length = length};
    size_t size = YAMUX_HEADER_SIZE + (type == YAMUX_DATA ? length : 0);
    uint8_t *bytes = calloc(1, size);
    ENSURE(bytes != NULL);
    yamux_frame_encode(&frame, bytes);
    if (payload != NULL) {
        memcpy(bytes + YAMUX_HEADER_SIZE, payload, length);
    }
    yamux_receive(side->mux, bytes_of(bytes, size), side->now);
    testing_settle(side);
    free(bytes);
}

static inline struct yamux_stream *testing_stream(struct testing_side *side, uint32_t id) {
    struct yamux_stream *stream = side->streams[id / 2 % TESTING_STREAMS];
    ENSURE(stream != NULL);
    return stream;
}

/* Opens one; its id is the next. */
static inline struct yamux_stream *testing_open(struct testing_side *side) {
    struct yamux_stream *stream = NULL;
    assert_int_equal(yamux_stream_open(side->mux, &stream), 0);
    side->streams[yamux_stream_id(stream) / 2 % TESTING_STREAMS] = stream;
    return stream;
}

static inline void testing_write(struct testing_side *side, uint32_t id, const char *text,
                                 bool fin) {
    struct block *block = block_copy(&side->heap, bytes_of_string(text));
    size_t accepted = 0;
    ENSURE(block != NULL);
    assert_int_equal(
        yamux_stream_write(testing_stream(side, id), block, 0, block->size, fin, &accepted), 0);
    assert_int_equal(accepted, block->size);
    block_unref(block);
}

/* Writes `size` zeros as far as they are accepted. */
static inline size_t testing_write_zeros(struct testing_side *side, uint32_t id, size_t size,
                                         bool fin) {
    struct block *block = block_new(&side->heap, size);
    size_t accepted = 0;
    ENSURE(block != NULL);
    memset(block->data, 0, size);
    assert_int_equal(yamux_stream_write(testing_stream(side, id), block, 0, size, fin, &accepted),
                     0);
    block_unref(block);
    return accepted;
}

#endif
