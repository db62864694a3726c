/* Reading frames where they are: headers change state, payload becomes events. */
#include "proto/yamux/internal.h"
#include "util/ensure.h"

void yamux_receive(struct yamux *mux, struct bytes input, nanos now) {
    mux->now = now;
    ENSURE(mux->input.size == 0);
    if (!mux->over && input.size > 0) {
        mux->heard = now;
        mux->input = input;
    }
}

/* True when the next frame's header is whole. */
static bool read_header(struct yamux *mux) {
    size_t missing = YAMUX_HEADER_SIZE - mux->header_size;
    size_t size = missing < mux->input.size ? missing : mux->input.size;
    if (size > 0) {
        memcpy(mux->header + mux->header_size, mux->input.data, size);
    }
    mux->input = bytes_slice(mux->input, size, SIZE_MAX);
    mux->header_size += size;
    return mux->header_size == YAMUX_HEADER_SIZE;
}

/* A frame that asks for nothing: harmless, unless they are many. */
static void count_idle(struct yamux *mux) {
    if (!yamux_rate_take(&mux->idle_rate, mux->limits.idle_frames_per_second,
                         mux->limits.idle_frames_burst, mux->now)) {
        yamux_fail(mux, PLASM_LIMIT, YAMUX_CODE_PROTOCOL, "too many frames that ask for nothing");
    }
}

/* A stream that is reset, by them or because there are too many: it cost more than it brought. */
static void count_reset(struct yamux *mux) {
    if (!yamux_rate_take(&mux->reset_rate, mux->limits.resets_per_second, mux->limits.resets_burst,
                         mux->now)) {
        yamux_fail(mux, PLASM_LIMIT, YAMUX_CODE_PROTOCOL,
                   "too many streams opened and reset, or beyond those allowed");
    }
}

static void receive_ping(struct yamux *mux, const struct yamux_frame *frame) {
    if ((frame->flags & YAMUX_SYN) == 0) {
        if (!mux->ping_sent || frame->length != mux->ping_value) {
            count_idle(mux);
            return;
        }
        mux->ping_sent = false;
        nanos rtt = nanos_max(nanos_since(mux->now, mux->ping_at), 1);
        mux->rtt = nanos_min(rtt, YAMUX_RTT_MAX);
        mux->rtt_at = mux->now;
        return;
    }
    if (mux->pong_count == YAMUX_PONGS_MAX) {
        yamux_fail(mux, PLASM_LIMIT, YAMUX_CODE_PROTOCOL, "too many pings at once");
        return;
    }
    mux->pongs[mux->pong_count] = frame->length;
    mux->pong_count++;
    count_idle(mux);
}

/* Nobody wants the payload that follows. */
static void discard(struct yamux *mux, size_t size) {
    mux->payload.pending = true;
    mux->payload.stream = NULL;
    mux->payload.left = size;
    mux->payload.fin = false;
}

/* Frames for a stream that is gone: the other side may not know yet. It had credit for their bytes,
 * which stays valid. */
static void receive_stray(struct yamux *mux, const struct yamux_frame *frame) {
    if (mux->stray_frames > 0) {
        mux->stray_frames--;
    } else {
        count_idle(mux);
    }
    if (mux->over || frame->type != YAMUX_DATA || frame->length == 0) {
        return;
    }
    if (frame->length > mux->stray_bytes) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "data for no stream");
        return;
    }
    mux->stray_bytes -= frame->length;
    discard(mux, frame->length);
}

/* The stream that a SYN opens, or NULL where it does not get one. */
static struct yamux_stream *accept_stream(struct yamux *mux, const struct yamux_frame *frame) {
    bool odd = (frame->stream_id & 1) != 0;
    if (odd == mux->initiator) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "a stream with a number of ours");
        return NULL;
    }
    if (yamux_stream_find(mux, frame->stream_id) != NULL) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "a stream opened twice");
        return NULL;
    }
    struct yamux_stream *stream = NULL;
    bool born_reset = (frame->flags & YAMUX_RST) != 0;
    if (!born_reset && mux->inbound < mux->limits.streams_inbound_max) {
        stream = yamux_stream_add(mux, frame->stream_id, true);
    }
    if (stream != NULL) {
        stream->ack_due = true;
        list_append(&mux->control, &stream->control_node);
        stream->ev_opened = true;
        yamux_stream_tell(stream);
        return stream;
    }
    count_reset(mux);
    if (!mux->over) {
        mux->stray_bytes += YAMUX_WINDOW_BYTES;
        mux->stray_frames += YAMUX_STRAY_FRAMES;
        if (!born_reset) {
            yamux_queue_reset(mux, frame->stream_id, YAMUX_RESET_LIMIT);
        }
    }
    return NULL;
}

static void receive_reset(struct yamux_stream *stream, const struct yamux_frame *frame) {
    struct yamux *mux = stream->mux;
    if (frame->type == YAMUX_DATA && frame->length > 0) {
        discard(mux, frame->length);
        stream->receive_window -= frame->length;
    }
    if (stream->inbound) {
        count_reset(mux);
    }
    if (!mux->over) {
        /* libp2p puts a code where a window update has its credit. */
        stream->reset_code = frame->type == YAMUX_WINDOW ? frame->length : 0;
        stream->ev_reset = true;
        yamux_stream_end(stream);
    }
}

static void receive_credit(struct yamux_stream *stream, const struct yamux_frame *frame) {
    struct yamux *mux = stream->mux;
    uint32_t credit = frame->length;
    if (credit > UINT32_MAX - stream->send_window) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "a window beyond all bounds");
        return;
    }
    bool nothing = credit == 0 && (frame->flags & (YAMUX_SYN | YAMUX_ACK | YAMUX_FIN)) == 0;
    bool crumb = credit > stream->uncredited && credit < YAMUX_CREDIT_BYTES_MIN && credit > 0;
    if (nothing || crumb) {
        count_idle(mux);
    }
    stream->uncredited -= credit < stream->uncredited ? credit : stream->uncredited;
    stream->send_window += credit;
    if (!mux->over) {
        yamux_stream_ready(stream);
    }
}

/* The payload of a data frame, and the FIN of any. */
static void receive_payload(struct yamux_stream *stream, const struct yamux_frame *frame) {
    struct yamux *mux = stream->mux;
    size_t size = frame->type == YAMUX_DATA ? frame->length : 0;
    bool fin = (frame->flags & YAMUX_FIN) != 0;
    bool nothing = frame->type == YAMUX_DATA && size == 0 && frame->flags == 0;
    if (nothing || (stream->fin_seen && (size > 0 || fin))) {
        count_idle(mux);
    }
    if (mux->over || (size == 0 && !fin)) {
        return;
    }
    stream->receive_window -= size;
    mux->payload.pending = size > 0 || !stream->fin_seen;
    mux->payload.left = size;
    mux->payload.fin = fin;
    mux->payload.stream = stream->fin_seen ? NULL : stream;
    if (!stream->fin_seen) {
        stream->unconsumed += size;
        stream->fin_seen = fin;
        stream->epoch = stream->epoch > 0 ? stream->epoch : mux->now;
    }
}

static void receive_stream_frame(struct yamux *mux, const struct yamux_frame *frame) {
    struct yamux_stream *stream = (frame->flags & YAMUX_SYN) != 0
                                      ? accept_stream(mux, frame)
                                      : yamux_stream_find(mux, frame->stream_id);
    if (mux->over) {
        return;
    }
    /* What was not opened on the wire is none to the other side. */
    if (stream == NULL || stream->syn_due) {
        receive_stray(mux, frame);
        return;
    }
    if (frame->type == YAMUX_DATA && frame->length > stream->receive_window) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "more data than the window allows");
        return;
    }
    struct yamux_frame news = *frame;
    if (stream->inbound || stream->acked) {
        news.flags &= (uint16_t)~YAMUX_ACK;
    } else if ((frame->flags & YAMUX_ACK) != 0) {
        yamux_stream_acknowledged(stream);
    }
    if ((news.flags & YAMUX_RST) != 0) {
        receive_reset(stream, &news);
        return;
    }
    if (news.type == YAMUX_WINDOW) {
        receive_credit(stream, &news);
    }
    if (!mux->over) {
        receive_payload(stream, &news);
    }
}

static void receive_frame(struct yamux *mux) {
    mux->header_size = 0;
    mux->frames_in++;
    struct yamux_frame frame;
    int error = yamux_frame_decode(mux->header, &frame);
    if (error != 0) {
        yamux_fail(mux, PLASM_MALFORMED, YAMUX_CODE_PROTOCOL, "no frame of this protocol");
    } else if (frame.type == YAMUX_PING) {
        receive_ping(mux, &frame);
    } else if (frame.type == YAMUX_GO_AWAY) {
        yamux_gone(mux, frame.length);
    } else {
        receive_stream_frame(mux, &frame);
    }
}

void yamux_parse(struct yamux *mux) {
    while (!mux->over && list_empty(&mux->eventful)) {
        if (!mux->payload.pending) {
            if (!read_header(mux)) {
                return;
            }
            receive_frame(mux);
        } else if (mux->payload.stream != NULL) {
            return;
        } else {
            size_t size = mux->payload.left;
            size = size < mux->input.size ? size : mux->input.size;
            mux->input = bytes_slice(mux->input, size, SIZE_MAX);
            mux->payload.left -= size;
            if (mux->payload.left > 0) {
                return;
            }
            mux->payload.pending = false;
        }
    }
}
