/* Streams: opening, writing, giving credit, ending. */
#include "proto/yamux/internal.h"
#include "util/ensure.h"

static struct bytes key_of(uint32_t id, uint8_t room[4]) {
    memcpy(room, &id, sizeof(id));
    return bytes_of(room, sizeof(id));
}

struct yamux_stream *yamux_stream_find(struct yamux *mux, uint32_t id) {
    if (mux->last == NULL || mux->last->id != id) {
        uint8_t key[4];
        mux->last = MAP_ENTRY(map_get(&mux->streams, key_of(id, key)), struct yamux_stream, node);
    }
    return mux->last;
}

struct yamux_stream *yamux_stream_add(struct yamux *mux, uint32_t id, bool inbound) {
    struct yamux_stream *stream = memory_zero(mux->memory, sizeof(struct yamux_stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->mux = mux;
    stream->id = id;
    stream->inbound = inbound;
    stream->send_window = YAMUX_WINDOW_BYTES;
    stream->window = YAMUX_WINDOW_BYTES;
    stream->receive_window = YAMUX_WINDOW_BYTES;
    if (map_put(&mux->streams, &stream->node, key_of(id, stream->key)) != 0) {
        memory_put(mux->memory, stream, sizeof(struct yamux_stream));
        return NULL;
    }
    *(inbound ? &mux->inbound : &mux->outbound) += 1;
    return stream;
}

static void unlink_node(struct list *list, struct list_node *node) {
    if (list_linked(node)) {
        list_remove(list, node);
    }
}

/* Takes it out of what is to be sent, and gives back what the window grew by. */
static void release(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    unlink_node(&mux->control, &stream->control_node);
    unlink_node(&mux->ready, &stream->ready_node);
    yamux_queue_done(&stream->queue, mux->memory);
    if (mux->budget != NULL) {
        mux->budget->bytes -= stream->window - YAMUX_WINDOW_BYTES;
    }
    stream->window = YAMUX_WINDOW_BYTES;
}

void yamux_stream_free(struct yamux_stream *stream) {
    if (stream == NULL) {
        return;
    }
    release(stream);
    unlink_node(&stream->mux->eventful, &stream->event_node);
    memory_put(stream->mux->memory, stream, sizeof(struct yamux_stream));
}

void yamux_stream_tell(struct yamux_stream *stream) {
    if (!list_linked(&stream->event_node)) {
        list_append(&stream->mux->eventful, &stream->event_node);
    }
}

static bool may_open(const struct yamux *mux) {
    return mux->outbound < mux->limits.streams_outbound_max &&
           mux->backlog < mux->limits.backlog_max && mux->next_id <= UINT32_MAX - 2;
}

void yamux_stream_acknowledged(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    if (stream->inbound || stream->acked) {
        return;
    }
    stream->acked = true;
    mux->backlog--;
    if (mux->open_refused && may_open(mux)) {
        mux->open_refused = false;
        mux->available = true;
    }
}

void yamux_stream_end(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    ENSURE(!stream->over);
    stream->over = true;
    map_remove(&mux->streams, &stream->node);
    if (mux->last == stream) {
        mux->last = NULL;
    }
    if (mux->payload.stream == stream) {
        mux->payload.stream = NULL;
    }
    if (!stream->syn_due) {
        mux->stray_bytes += stream->receive_window;
        mux->stray_frames += YAMUX_STRAY_FRAMES;
    }
    release(stream);
    *(stream->inbound ? &mux->inbound : &mux->outbound) -= 1;
    yamux_stream_acknowledged(stream);
    if (mux->open_refused && may_open(mux)) {
        mux->open_refused = false;
        mux->available = true;
    }
    stream->ev_writable = false;
    stream->ev_closed = true;
    yamux_stream_tell(stream);
}

void yamux_stream_end_if_finished(struct yamux_stream *stream) {
    if (!stream->over && stream->fin_received && stream->fin_sent) {
        yamux_stream_end(stream);
    }
}

void yamux_stream_ready(struct yamux_stream *stream) {
    bool bytes = stream->queue.bytes > 0 && stream->send_window > 0;
    bool fin = stream->queue.bytes == 0 && stream->fin_wanted && !stream->fin_sent;
    if (!stream->over && (bytes || fin) && !list_linked(&stream->ready_node)) {
        list_append(&stream->mux->ready, &stream->ready_node);
    }
}

size_t yamux_stream_credit(const struct yamux_stream *stream) {
    size_t credit = stream->window - stream->receive_window - stream->unconsumed;
    return !stream->fin_seen && credit >= stream->window / 2 ? credit : 0;
}

void yamux_queue_reset(struct yamux *mux, uint32_t stream_id, uint32_t code) {
    if (mux->reset_count == YAMUX_RESETS_MAX) {
        yamux_fail(mux, PLASM_LIMIT, YAMUX_CODE_PROTOCOL, "too many streams to be refused");
        return;
    }
    if (mux->reset_count == mux->reset_capacity) {
        size_t capacity = mux->reset_capacity > 0 ? 2 * mux->reset_capacity : 16;
        struct yamux_reset *resets = memory_resize(mux->memory, mux->resets,
                                                   mux->reset_capacity * sizeof(struct yamux_reset),
                                                   capacity * sizeof(struct yamux_reset));
        if (resets == NULL) {
            yamux_fail(mux, PLASM_NO_MEMORY, YAMUX_CODE_INTERNAL, "no memory to refuse a stream");
            return;
        }
        mux->resets = resets;
        mux->reset_capacity = capacity;
    }
    mux->resets[mux->reset_count] = (struct yamux_reset){.stream_id = stream_id, .code = code};
    mux->reset_count++;
}

/* --- for the owner ---------------------------------------------------------------------------- */

int yamux_stream_open(struct yamux *mux, struct yamux_stream **ret_stream) {
    if (mux->over) {
        return PLASM_CLOSED;
    }
    if (!may_open(mux)) {
        mux->open_refused = true;
        return PLASM_LIMIT;
    }
    struct yamux_stream *stream = yamux_stream_add(mux, mux->next_id, false);
    if (stream == NULL) {
        return PLASM_NO_MEMORY;
    }
    stream->syn_due = true;
    mux->next_id += 2;
    mux->backlog++;
    *ret_stream = stream;
    return 0;
}

int yamux_stream_write(struct yamux_stream *stream, struct block *block, size_t offset, size_t size,
                       bool fin, size_t *ret_accepted) {
    struct yamux *mux = stream->mux;
    if (mux->over || stream->over || stream->fin_wanted) {
        return PLASM_CLOSED;
    }
    ENSURE(size == 0 || (block != NULL && offset <= block->size && size <= block->size - offset));
    size_t room = mux->limits.unsent_bytes_max - stream->queue.bytes;
    size_t accepted = yamux_queue_full(&stream->queue) ? 0 : size < room ? size : room;
    if (accepted > 0 &&
        yamux_queue_push(&stream->queue, mux->memory, block, offset, accepted) != 0) {
        return PLASM_NO_MEMORY;
    }
    stream->blocked = size > 0 ? accepted < size : stream->blocked;
    stream->fin_wanted = fin && accepted == size;
    yamux_stream_ready(stream);
    *ret_accepted = accepted;
    return 0;
}

void yamux_stream_consume(struct yamux_stream *stream, size_t size) {
    struct yamux *mux = stream->mux;
    if (mux->over || stream->over) {
        return;
    }
    size_t to_come = mux->payload.stream == stream ? mux->payload.left : 0;
    ENSURE(size <= stream->unconsumed - to_come);
    stream->unconsumed -= size;
    if (yamux_stream_credit(stream) > 0 && !list_linked(&stream->control_node)) {
        list_append(&mux->control, &stream->control_node);
    }
}

void yamux_stream_reset(struct yamux_stream *stream, uint32_t code) {
    struct yamux *mux = stream->mux;
    if (mux->over || stream->over) {
        return;
    }
    if (!stream->syn_due) {
        yamux_queue_reset(mux, stream->id, code);
    }
    if (!mux->over) {
        yamux_stream_end(stream);
    }
}

void **yamux_stream_user(struct yamux_stream *stream) {
    return &stream->user;
}

struct yamux *yamux_stream_mux(const struct yamux_stream *stream) {
    return stream->mux;
}

bool yamux_stream_inbound(const struct yamux_stream *stream) {
    return stream->inbound;
}

uint32_t yamux_stream_id(const struct yamux_stream *stream) {
    return stream->id;
}

size_t yamux_stream_unsent(const struct yamux_stream *stream) {
    return stream->queue.bytes;
}

size_t yamux_stream_window(const struct yamux_stream *stream) {
    return stream->window;
}
