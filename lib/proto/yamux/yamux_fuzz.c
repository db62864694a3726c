/* Any bytes from the other side, between any doings of the owner. The first byte chooses roles and
 * limits; then each byte is a step, some with an argument behind it. */
#include <stdlib.h>

#include "proto/yamux/yamux.h"
#include "util/cursor.h"
#include "util/ensure.h"

#define STREAMS_MAX 64

struct owner {
    struct memory memory;
    struct budget budget;
    struct yamux *mux;
    struct yamux_stream *streams[STREAMS_MAX];
    size_t unconsumed[STREAMS_MAX];
    bool over;
    nanos now;
};

static size_t slot_of(struct owner *owner, const struct yamux_stream *stream) {
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (owner->streams[i] == stream) {
            return i;
        }
    }
    return STREAMS_MAX;
}

static void adopt(struct owner *owner, struct yamux_stream *stream) {
    size_t slot = slot_of(owner, NULL);
    ENSURE(slot < STREAMS_MAX);
    owner->streams[slot] = stream;
    owner->unconsumed[slot] = 0;
}

static void drain(struct owner *owner) {
    struct yamux_event event;
    while (yamux_next_event(owner->mux, &event)) {
        ENSURE(!owner->over);
        size_t slot = event.stream != NULL ? slot_of(owner, event.stream) : 0;
        ENSURE(slot < STREAMS_MAX || event.type == YAMUX_STREAM_OPENED);
        if (event.type == YAMUX_CLOSED) {
            owner->over = true;
            memset(owner->streams, 0, sizeof(owner->streams));
        } else if (event.type == YAMUX_STREAM_OPENED) {
            adopt(owner, event.stream);
        } else if (event.type == YAMUX_STREAM_DATA) {
            owner->unconsumed[slot] += event.data.size;
        } else if (event.type == YAMUX_STREAM_CLOSED) {
            owner->streams[slot] = NULL;
        }
    }
}

static void transmit(struct owner *owner, size_t taken_max) {
    struct bytes pieces[8];
    size_t count = yamux_transmit(owner->mux, pieces, ARRAY_SIZE(pieces), 4096, owner->now);
    size_t all = 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        ENSURE(pieces[i].size > 0);
        for (size_t j = 0; j < pieces[i].size; j++) {
            sum = (uint8_t)(sum + pieces[i].data[j]);
        }
        all += pieces[i].size;
    }
    (void)sum;
    yamux_sent(owner->mux, all < taken_max ? all : taken_max);
}

static void write_some(struct owner *owner, struct yamux_stream *stream, uint8_t argument) {
    struct block *block = block_new(&owner->memory, (size_t)argument * 40 + 1);
    size_t accepted = 0;
    ENSURE(block != NULL);
    memset(block->data, argument, block->size);
    int error = yamux_stream_write(stream, block, 0, block->size, argument % 3 == 0, &accepted);
    ENSURE(error == PLASM_CLOSED || accepted <= block->size);
    block_unref(block);
}

static void step(struct owner *owner, struct cursor *input) {
    uint8_t what = cursor_u8(input);
    uint8_t argument = cursor_u8(input);
    size_t slot = argument % STREAMS_MAX;
    struct yamux_stream *stream = owner->streams[slot];
    struct yamux_stream *opened;
    switch (what % 8) {
    case 0:
    case 1: {
        size_t size = argument < input->left.size ? argument : input->left.size;
        void *exact = malloc(size + 1);
        ENSURE(exact != NULL);
        struct bytes taken = cursor_take(input, size);
        if (size > 0) {
            memcpy(exact, taken.data, size);
        }
        yamux_receive(owner->mux, bytes_of(exact, size), owner->now);
        drain(owner);
        free(exact);
        return;
    }
    case 2:
        if (yamux_stream_open(owner->mux, &opened) == 0) {
            adopt(owner, opened);
        }
        break;
    case 3:
        if (stream != NULL) {
            write_some(owner, stream, argument);
        }
        break;
    case 4:
        if (stream != NULL) {
            yamux_stream_consume(stream, owner->unconsumed[slot]);
            owner->unconsumed[slot] = 0;
        }
        break;
    case 5:
        if (stream != NULL) {
            yamux_stream_reset(stream, argument);
        }
        break;
    case 6:
        owner->now += (nanos)argument * 10 * NANOS_MILLISECOND;
        yamux_keep_alive(owner->mux, argument % 2 == 0, owner->now);
        yamux_expire(owner->mux, owner->now);
        break;
    default:
        transmit(owner, argument < 200 ? argument : SIZE_MAX);
        break;
    }
    drain(owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct owner owner = {.now = NANOS_SECOND};
    memory_init(&owner.memory, SIZE_MAX);
    owner.budget.bytes_max = 1 << 20;
    struct random random;
    const uint8_t seed[32] = {1};
    random_init(&random, seed);
    struct yamux_config config = {
        .initiator = (data[0] & 1) != 0,
        .memory = &owner.memory,
        .budget = &owner.budget,
        .random = &random,
        .limits = yamux_limits_default,
    };
    config.limits.streams_inbound_max = 16;
    config.limits.streams_outbound_max = 16;
    config.limits.backlog_max = (data[0] & 2) != 0 ? 4 : 16;
    config.limits.idle_frames_burst = (data[0] & 4) != 0 ? 10 : 100;
    config.limits.unsent_bytes_max = 8192;
    config.limits.unsent_bytes_low = 2048;
    ENSURE(yamux_new(&config, owner.now, &owner.mux) == 0);
    struct cursor input = cursor_of(bytes_of(data + 1, size - 1));
    while (input.left.size > 0) {
        step(&owner, &input);
    }
    yamux_close(owner.mux, 0);
    drain(&owner);
    ENSURE(owner.over);
    for (int i = 0; i < 100; i++) {
        transmit(&owner, SIZE_MAX);
    }
    yamux_free(owner.mux);
    ENSURE(owner.memory.used == 0 && owner.budget.bytes == 0);
    return 0;
}
