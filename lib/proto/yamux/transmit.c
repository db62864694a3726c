/* What is sent next: control frames first, then a frame of each stream in turn. */
#include "proto/yamux/internal.h"
#include "util/ensure.h"

/* Frames take their place in a row of pieces, and stay until they are on their way: a stream that
 * ends meanwhile cannot leave half a frame behind. */
static size_t free_pieces(const struct yamux *mux) {
    return YAMUX_PIECES_MAX - mux->piece_count;
}

static struct yamux_piece *add_piece(struct yamux *mux, size_t size) {
    ENSURE(mux->piece_first + mux->piece_count < YAMUX_PIECES_MAX);
    struct yamux_piece *piece = &mux->pieces[mux->piece_first + mux->piece_count];
    mux->piece_count++;
    mux->piece_bytes += size;
    piece->block = NULL;
    piece->offset = 0;
    piece->size = size;
    return piece;
}

static void stage_frame(struct yamux *mux, enum yamux_type type, unsigned flags, uint32_t stream_id,
                        uint32_t length) {
    const struct yamux_frame frame = {
        .type = type, .flags = (uint16_t)flags, .stream_id = stream_id, .length = length};
    yamux_frame_encode(&frame, add_piece(mux, YAMUX_HEADER_SIZE)->header);
    mux->frames_out++;
}

void yamux_unstage(struct yamux *mux) {
    size_t kept = 0;
    if (mux->piece_count > 0) {
        const struct yamux_piece *first = &mux->pieces[mux->piece_first];
        bool begun = first->block != NULL || first->offset > 0;
        while (begun && kept < mux->piece_count &&
               (kept == 0 || mux->pieces[mux->piece_first + kept].block != NULL)) {
            kept++;
        }
    }
    while (mux->piece_count > kept) {
        mux->piece_count--;
        struct yamux_piece *piece = &mux->pieces[mux->piece_first + mux->piece_count];
        mux->piece_bytes -= piece->size;
        block_unref(piece->block);
    }
}

/* The first frame on a stream of ours opens it, the first on one of theirs acknowledges it. */
static unsigned opening_flags(struct yamux_stream *stream) {
    unsigned flags = (stream->syn_due ? YAMUX_SYN : 0U) | (stream->ack_due ? YAMUX_ACK : 0U);
    stream->syn_due = false;
    stream->ack_due = false;
    return flags;
}

/* Doubles a window that is so small that waiting for credit takes a good part of the time: where
 * the bytes consumed in two round trips at the present rate do not fit half of it. */
static void grow_window(struct yamux_stream *stream, size_t consumed) {
    struct yamux *mux = stream->mux;
    nanos took = nanos_since(mux->now, stream->epoch);
    stream->epoch = mux->now;
    if (mux->rtt == 0 || nanos_since(mux->now, mux->rtt_at) >= mux->limits.rtt_interval) {
        yamux_want_ping(mux);
    }
    size_t grown = 2 * stream->window;
    if (grown > mux->limits.window_bytes_max) {
        grown = mux->limits.window_bytes_max;
    }
    size_t more = grown - stream->window;
    /* A window is a promise, not memory: the other half is for what is really held. */
    size_t spare = mux->budget != NULL ? mux->budget->bytes_max / 2 : 0;
    bool limits = took / 4 < mux->rtt && took * stream->window < 4 * mux->rtt * consumed;
    if (limits && mux->budget != NULL && budget_has(mux->budget, more + spare)) {
        mux->budget->bytes += more;
        stream->window = grown;
    }
}

static void stage_control(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    list_remove(&mux->control, &stream->control_node);
    size_t credit = yamux_stream_credit(stream);
    if (credit == 0 && (!stream->ack_due || list_linked(&stream->ready_node))) {
        return;
    }
    if (credit > 0) {
        grow_window(stream, credit);
        credit = yamux_stream_credit(stream);
    }
    stream->receive_window += credit;
    stage_frame(mux, YAMUX_WINDOW, opening_flags(stream), stream->id, (uint32_t)credit);
}

static uint32_t stage_slices(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    size_t size = stream->queue.bytes;
    if (size > stream->send_window) {
        size = (size_t)stream->send_window;
    }
    if (size > YAMUX_FRAME_BYTES_MAX) {
        size = YAMUX_FRAME_BYTES_MAX;
    }
    size_t left = size;
    while (left > 0 && free_pieces(mux) > 0) {
        struct yamux_slice slice = yamux_queue_pop(&stream->queue, left);
        struct yamux_piece *piece = add_piece(mux, slice.size);
        piece->block = slice.block;
        piece->offset = slice.offset;
        left -= slice.size;
    }
    return (uint32_t)(size - left);
}

static void stage_data(struct yamux_stream *stream) {
    struct yamux *mux = stream->mux;
    list_remove(&mux->ready, &stream->ready_node);
    if (stream->queue.bytes > 0 && stream->send_window > 0) {
        struct yamux_piece *header = add_piece(mux, YAMUX_HEADER_SIZE);
        struct yamux_frame frame = {.type = YAMUX_DATA, .stream_id = stream->id};
        frame.flags = (uint16_t)opening_flags(stream);
        frame.length = stage_slices(stream);
        yamux_frame_encode(&frame, header->header);
        mux->frames_out++;
        stream->send_window -= frame.length;
        stream->uncredited += frame.length;
    }
    if (stream->queue.bytes == 0 && stream->fin_wanted && !stream->fin_sent &&
        free_pieces(mux) > 0) {
        stage_frame(mux, YAMUX_WINDOW, opening_flags(stream) | YAMUX_FIN, stream->id, 0);
        stream->fin_sent = true;
    }
    if (stream->blocked && stream->queue.bytes <= mux->limits.unsent_bytes_low &&
        !yamux_queue_full(&stream->queue)) {
        stream->blocked = false;
        stream->ev_writable = true;
        yamux_stream_tell(stream);
    }
    yamux_stream_ready(stream);
    yamux_stream_end_if_finished(stream);
}

static void stage_connection(struct yamux *mux) {
    size_t pongs = 0;
    while (pongs < mux->pong_count && free_pieces(mux) > 0) {
        stage_frame(mux, YAMUX_PING, YAMUX_ACK, 0, mux->pongs[pongs]);
        pongs++;
    }
    mux->pong_count -= pongs;
    memmove(mux->pongs, mux->pongs + pongs, mux->pong_count * sizeof(mux->pongs[0]));
    if (mux->ping_due && free_pieces(mux) > 0) {
        stage_frame(mux, YAMUX_PING, YAMUX_SYN, 0, mux->ping_value);
        mux->ping_due = false;
        mux->ping_sent = true;
        mux->ping_at = mux->now;
    }
    size_t resets = 0;
    while (resets < mux->reset_count && free_pieces(mux) > 0) {
        stage_frame(mux, YAMUX_WINDOW, YAMUX_RST, mux->resets[resets].stream_id,
                    mux->resets[resets].code);
        resets++;
    }
    mux->reset_count -= resets;
    if (mux->reset_count > 0) {
        memmove(mux->resets, mux->resets + resets, mux->reset_count * sizeof(mux->resets[0]));
    }
}

static void stage(struct yamux *mux, size_t size) {
    if (mux->piece_first > 0) {
        memmove(mux->pieces, mux->pieces + mux->piece_first,
                mux->piece_count * sizeof(mux->pieces[0]));
        mux->piece_first = 0;
    }
    if (mux->goodbye_due && free_pieces(mux) > 0) {
        mux->goodbye_due = false;
        stage_frame(mux, YAMUX_GO_AWAY, 0, 0, mux->code);
    }
    if (mux->over) {
        return;
    }
    stage_connection(mux);
    while (!list_empty(&mux->control) && free_pieces(mux) > 0) {
        stage_control(LIST_ENTRY(list_first(&mux->control), struct yamux_stream, control_node));
    }
    while (!list_empty(&mux->ready) && mux->piece_bytes < size && free_pieces(mux) > 1) {
        stage_data(LIST_ENTRY(list_first(&mux->ready), struct yamux_stream, ready_node));
    }
}

size_t yamux_transmit(struct yamux *mux, struct bytes *pieces, size_t count, size_t size,
                      nanos now) {
    mux->now = now;
    stage(mux, size);
    size_t given = count < mux->piece_count ? count : mux->piece_count;
    for (size_t i = 0; i < given; i++) {
        const struct yamux_piece *piece = &mux->pieces[mux->piece_first + i];
        const uint8_t *data = piece->block != NULL ? piece->block->data : piece->header;
        pieces[i] = bytes_of(data + piece->offset, piece->size);
    }
    return given;
}

void yamux_sent(struct yamux *mux, size_t size) {
    ENSURE(size <= mux->piece_bytes);
    mux->piece_bytes -= size;
    while (size > 0) {
        struct yamux_piece *piece = &mux->pieces[mux->piece_first];
        size_t part = size < piece->size ? size : piece->size;
        piece->offset += part;
        piece->size -= part;
        size -= part;
        if (piece->size == 0) {
            block_unref(piece->block);
            mux->piece_first++;
            mux->piece_count--;
        }
    }
}
