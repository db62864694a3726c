/* Streams: bytes, credit, and how they end. */
#include "links_internal.h"

void stream_release(struct stream_end *stream) {
    struct end *end = end_of(stream->stream.link);
    list_remove(&end->streams, &stream->node);
    stream->is_held = false;
    stream->is_over = true;
    pair_unref(stream->pair);
}

void stream_hold(struct end *end, struct stream_end *stream) {
    stream->is_held = true;
    stream->pair->references++;
    list_append(&end->streams, &stream->node);
}

int link_open(struct link *link, struct link_stream **ret_stream) {
    struct end *end = end_of(link);
    if (end->state != END_OPEN) {
        return PLASM_CLOSED;
    }
    if (end->opened >= LINKS_STREAMS_MAX) {
        return PLASM_LIMIT;
    }
    struct channel *channel = end->channel;
    struct stream_pair *pair = pool_get(&channel->links->streams);
    pair->channel = channel;
    channel->references++;
    for (size_t i = 0; i < 2; i++) {
        pair->ends[i].pair = pair;
        pair->ends[i].sent_max = LINKS_WINDOW_BYTES;
        pair->ends[i].consumed_max = LINKS_WINDOW_BYTES;
    }
    pair->ends[0].stream.link = link;
    pair->ends[1].stream.link = &end_twin(end)->link;
    stream_hold(end, &pair->ends[0]);
    end->opened++;
    *ret_stream = &pair->ends[0].stream;
    return 0;
}

static bool is_usable(const struct stream_end *stream) {
    return stream->is_held && !stream->is_over && end_of(stream->stream.link)->state == END_OPEN;
}

/* Tells the peer when both directions are over. */
static void stream_check(struct stream_end *stream) {
    if (stream->send_over && stream->receive_over && !stream->is_over) {
        stream->is_over = true;
        struct end *end = end_of(stream->stream.link);
        end->opened -= stream == &stream->pair->ends[0];
        (void)frame_tell(end, stream, FRAME_STREAM_OVER);
    }
}

int link_write(struct link_stream *link_stream, struct block *block, size_t offset, size_t size,
               bool fin, size_t *ret_accepted) {
    struct stream_end *stream = stream_of(link_stream);
    if (!is_usable(stream) || stream->fin_sent || stream->send_over) {
        return PLASM_CLOSED;
    }
    uint64_t room = stream->sent_max - stream->sent;
    size_t accepted = size < room ? size : (size_t)room;
    bool ends = fin && accepted == size;
    stream->is_blocked = accepted < size;
    if (accepted > 0 || ends) {
        struct frame *frame = frame_send(end_of(link_stream->link), stream, FRAME_DATA);
        frame->block = accepted > 0 ? block_ref(block) : NULL;
        frame->offset = offset;
        frame->size = accepted;
        frame->fin = ends;
        stream->sent += accepted;
        stream->fin_sent = ends;
    }
    *ret_accepted = accepted;
    return 0;
}

void link_consume(struct link_stream *link_stream, size_t size) {
    struct stream_end *stream = stream_of(link_stream);
    stream->consumed += size;
    if (!is_usable(stream) || stream->receive_over ||
        stream->consumed_max - stream->consumed > LINKS_WINDOW_BYTES / 2) {
        return;
    }
    stream->consumed_max = stream->consumed + LINKS_WINDOW_BYTES;
    frame_send(end_of(link_stream->link), stream, FRAME_CREDIT)->number = stream->consumed_max;
}

void link_reset(struct link_stream *link_stream, uint64_t code) {
    struct stream_end *stream = stream_of(link_stream);
    if (!is_usable(stream)) {
        return;
    }
    struct end *end = end_of(link_stream->link);
    if (!stream->send_over) {
        frame_send(end, stream, FRAME_RESET)->number = code;
        stream->send_over = true;
    }
    if (!stream->receive_over) {
        frame_send(end, stream, FRAME_STOPPED)->number = code;
        stream->receive_over = true;
    }
    stream_check(stream);
}

static void data_received(struct stream_end *stream, const struct frame *frame) {
    if (frame->fin) {
        stream->receive_over = true;
        (void)frame_send(end_of(stream->stream.link), stream, FRAME_FIN_RECEIVED);
        stream_check(stream);
    }
}

bool stream_take(struct stream_end *stream, const struct frame *frame,
                 struct link_event *ret_event) {
    ret_event->stream = &stream->stream;
    ret_event->code = frame->number;
    switch (frame->kind) {
    case FRAME_DATA:
        ret_event->type = LINK_STREAM_DATA;
        ret_event->data = frame->size > 0
                              ? bytes_of(frame->block->data + frame->offset, frame->size)
                              : bytes_of(NULL, 0);
        ret_event->fin = frame->fin;
        if (stream->receive_over) {
            return false;
        }
        data_received(stream, frame);
        return true;
    case FRAME_FIN_RECEIVED:
        stream->send_over = true;
        stream_check(stream);
        return false;
    case FRAME_CREDIT:
        stream->sent_max = frame->number;
        ret_event->type = LINK_STREAM_WRITABLE;
        bool was_blocked = stream->is_blocked;
        stream->is_blocked = false;
        return was_blocked && !stream->send_over;
    case FRAME_RESET:
        ret_event->type = LINK_STREAM_RESET;
        bool receives = !stream->receive_over;
        stream->receive_over = true;
        stream_check(stream);
        return receives;
    case FRAME_STOPPED:
        ret_event->type = LINK_STREAM_STOPPED;
        bool sends = !stream->send_over;
        stream->send_over = true;
        stream_check(stream);
        return sends;
    case FRAME_STREAM_OVER:
    case FRAME_CONNECTED:
    case FRAME_CLOSED:
        break;
    }
    return false;
}
