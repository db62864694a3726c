/* A connection's life: making and freeing it, its events, its end, its signs of life. */
#include "proto/yamux/yamux.h"

#include "proto/yamux/internal.h"
#include "util/ensure.h"

const struct yamux_limits yamux_limits_default = {
    .streams_inbound_max = 256,
    .streams_outbound_max = 256,
    .backlog_max = 256,
    .window_bytes_max = (size_t)16 << 20,
    .unsent_bytes_max = 256 << 10,
    .unsent_bytes_low = 64 << 10,
    .resets_per_second = 100,
    .resets_burst = 1000,
    .idle_frames_per_second = 100,
    .idle_frames_burst = 1000,
    .keep_alive_interval = 15 * NANOS_SECOND,
    .ping_timeout = 10 * NANOS_SECOND,
    .rtt_interval = 10 * NANOS_SECOND,
};

static bool limits_valid(const struct yamux_limits *limits) {
    return limits->streams_inbound_max > 0 && limits->streams_outbound_max > 0 &&
           limits->backlog_max > 0 && limits->window_bytes_max >= YAMUX_WINDOW_BYTES &&
           limits->window_bytes_max <= UINT32_MAX && limits->unsent_bytes_max > 0 &&
           limits->unsent_bytes_low < limits->unsent_bytes_max && limits->resets_per_second > 0 &&
           limits->resets_burst > 0 && limits->idle_frames_per_second > 0 &&
           limits->idle_frames_burst > 0 && limits->keep_alive_interval > 0 &&
           limits->ping_timeout > 0 && limits->rtt_interval > 0;
}

int yamux_new(const struct yamux_config *config, nanos now, struct yamux **ret_mux) {
    if (config->memory == NULL || config->random == NULL || !limits_valid(&config->limits)) {
        return PLASM_INVALID;
    }
    struct yamux *mux = memory_zero(config->memory, sizeof(struct yamux));
    if (mux == NULL) {
        return PLASM_NO_MEMORY;
    }
    mux->memory = config->memory;
    mux->budget = config->budget;
    mux->limits = config->limits;
    mux->initiator = config->initiator;
    mux->next_id = config->initiator ? 1 : 2;
    mux->now = now;
    mux->heard = now;
    const uint64_t secret[2] = {random_u64(config->random), random_u64(config->random)};
    map_init(&mux->streams, mux->memory, secret);
    mux->ping_value = (uint32_t)random_u64(config->random);
    mux->reset_rate.since = now;
    mux->idle_rate.since = now;
    mux->text = "";
    list_init(&mux->eventful);
    list_init(&mux->control);
    list_init(&mux->ready);
    *ret_mux = mux;
    return 0;
}

/* Every stream that its owner may still hold, in the map or waiting to tell its end. */
static void free_streams(struct yamux *mux) {
    yamux_stream_free(mux->taken);
    mux->taken = NULL;
    struct map_node *node = map_next(&mux->streams, NULL);
    while (node != NULL) {
        struct yamux_stream *stream = MAP_ENTRY(node, struct yamux_stream, node);
        node = map_next(&mux->streams, node);
        map_remove(&mux->streams, &stream->node);
        yamux_stream_free(stream);
    }
    while (!list_empty(&mux->eventful)) {
        yamux_stream_free(LIST_ENTRY(list_first(&mux->eventful), struct yamux_stream, event_node));
    }
    map_done(&mux->streams);
    mux->last = NULL;
}

void yamux_free(struct yamux *mux) {
    if (mux == NULL) {
        return;
    }
    free_streams(mux);
    yamux_unstage(mux);
    for (size_t i = 0; i < mux->piece_count; i++) {
        block_unref(mux->pieces[mux->piece_first + i].block);
    }
    memory_put(mux->memory, mux->resets, mux->reset_capacity * sizeof(struct yamux_reset));
    memory_put(mux->memory, mux, sizeof(struct yamux));
}

bool yamux_rate_take(struct yamux_rate *rate, uint32_t per_second, uint32_t burst, nanos now) {
    nanos interval = NANOS_SECOND / per_second;
    nanos back = interval > 0 ? nanos_since(now, rate->since) / interval : burst;
    if (back >= rate->used) {
        rate->used = 0;
        rate->since = now;
    } else {
        rate->used -= (uint32_t)back;
        rate->since += back * interval;
    }
    if (rate->used >= burst) {
        return false;
    }
    rate->used++;
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end(struct yamux *mux, int error, uint32_t code, const char *text) {
    mux->over = true;
    mux->error = error;
    mux->code = code;
    mux->text = text;
    mux->input = (struct bytes){0};
    mux->payload.pending = false;
    mux->available = false;
    mux->pong_count = 0;
    mux->reset_count = 0;
    mux->ping_due = false;
    mux->ping_sent = false;
    yamux_unstage(mux);
    for (struct map_node *node = map_next(&mux->streams, NULL); node != NULL;
         node = map_next(&mux->streams, node)) {
        yamux_queue_done(&MAP_ENTRY(node, struct yamux_stream, node)->queue, mux->memory);
    }
}

void yamux_fail(struct yamux *mux, int error, uint32_t code, const char *text) {
    if (!mux->over) {
        end(mux, error, code, text);
        mux->goodbye_due = true;
    }
}

void yamux_gone(struct yamux *mux, uint32_t code) {
    if (!mux->over) {
        end(mux, code == YAMUX_CODE_NORMAL ? 0 : PLASM_CLOSED, code, "the other side went away");
        mux->over_by_peer = true;
    }
}

void yamux_close(struct yamux *mux, uint32_t code) {
    if (!mux->over) {
        end(mux, code == YAMUX_CODE_NORMAL ? 0 : PLASM_CLOSED, code, "closed");
        mux->goodbye_due = true;
    }
}

/* --- signs of life ---------------------------------------------------------------------------- */

void yamux_want_ping(struct yamux *mux) {
    if (!mux->over && !mux->ping_due && !mux->ping_sent) {
        mux->ping_due = true;
        mux->ping_value++;
        mux->ping_since = mux->now;
    }
}

void yamux_keep_alive(struct yamux *mux, bool on, nanos now) {
    mux->now = now;
    mux->keep_alive = on;
}

nanos yamux_deadline(const struct yamux *mux) {
    if (mux->over) {
        return NANOS_NEVER;
    }
    if (mux->ping_due || mux->ping_sent) {
        return nanos_add(nanos_max(mux->ping_since, mux->heard), mux->limits.ping_timeout);
    }
    return mux->keep_alive ? nanos_add(mux->heard, mux->limits.keep_alive_interval) : NANOS_NEVER;
}

void yamux_expire(struct yamux *mux, nanos now) {
    mux->now = now;
    if (now < yamux_deadline(mux)) {
        return;
    }
    if (mux->ping_due || mux->ping_sent) {
        yamux_fail(mux, PLASM_TIMEOUT, YAMUX_CODE_INTERNAL, "a ping was not answered in time");
    } else {
        yamux_want_ping(mux);
    }
}

/* --- events ----------------------------------------------------------------------------------- */

/* The first thing that a stream has to tell, in the order in which it happened. */
static void stream_event(struct yamux_stream *stream, struct yamux_event *ret_event) {
    ret_event->stream = stream;
    if (stream->ev_opened) {
        stream->ev_opened = false;
        ret_event->type = YAMUX_STREAM_OPENED;
    } else if (stream->ev_writable) {
        stream->ev_writable = false;
        ret_event->type = YAMUX_STREAM_WRITABLE;
    } else if (stream->ev_reset) {
        stream->ev_reset = false;
        ret_event->type = YAMUX_STREAM_RESET;
        ret_event->code = stream->reset_code;
    } else {
        ENSURE(stream->ev_closed);
        stream->ev_closed = false;
        ret_event->type = YAMUX_STREAM_CLOSED;
        stream->mux->taken = stream;
    }
    if (!stream->ev_opened && !stream->ev_writable && !stream->ev_reset && !stream->ev_closed) {
        list_remove(&stream->mux->eventful, &stream->event_node);
    }
}

/* The part of a frame's payload that is there, or its FIN. */
static void payload_event(struct yamux *mux, struct yamux_event *ret_event) {
    struct yamux_stream *stream = mux->payload.stream;
    size_t size = mux->payload.left < mux->input.size ? mux->payload.left : mux->input.size;
    ret_event->type = YAMUX_STREAM_DATA;
    ret_event->stream = stream;
    ret_event->data = bytes_slice(mux->input, 0, size);
    mux->input = bytes_slice(mux->input, size, SIZE_MAX);
    mux->payload.left -= size;
    if (mux->payload.left == 0) {
        ret_event->fin = mux->payload.fin;
        stream->fin_received = mux->payload.fin;
        mux->payload.pending = false;
        mux->payload.stream = NULL;
        yamux_stream_end_if_finished(stream);
    }
}

static void closed_event(struct yamux *mux, struct yamux_event *ret_event) {
    mux->over_told = true;
    ret_event->type = YAMUX_CLOSED;
    ret_event->error = mux->error;
    ret_event->code = mux->code;
    ret_event->by_peer = mux->over_by_peer;
    ret_event->text = mux->text;
}

bool yamux_next_event(struct yamux *mux, struct yamux_event *ret_event) {
    yamux_stream_free(mux->taken);
    mux->taken = NULL;
    struct yamux_event event = {.text = ""};
    if (mux->over_told) {
        free_streams(mux);
        return false;
    }
    if (!mux->over && list_empty(&mux->eventful)) {
        yamux_parse(mux);
    }
    if (mux->over) {
        closed_event(mux, &event);
    } else if (!list_empty(&mux->eventful)) {
        stream_event(LIST_ENTRY(list_first(&mux->eventful), struct yamux_stream, event_node),
                     &event);
    } else if (mux->payload.pending && (mux->payload.left == 0 || mux->input.size > 0)) {
        payload_event(mux, &event);
    } else if (mux->available) {
        mux->available = false;
        event.type = YAMUX_STREAMS_AVAILABLE;
    } else {
        return false;
    }
    *ret_event = event;
    return true;
}

void yamux_info(const struct yamux *mux, struct yamux_info *ret_info) {
    struct yamux_info info = {
        .rtt = mux->rtt,
        .streams_inbound = mux->inbound,
        .streams_outbound = mux->outbound,
        .backlog = mux->backlog,
        .frames_in = mux->frames_in,
        .frames_out = mux->frames_out,
    };
    for (struct map_node *node = map_next(&mux->streams, NULL); node != NULL;
         node = map_next(&mux->streams, node)) {
        info.queued_bytes += MAP_ENTRY(node, struct yamux_stream, node)->queue.bytes;
    }
    *ret_info = info;
}
