/* The muxer of a pipe and its streams, as a link's. */
#include "peer/pipe_internal.h"

/* Room below which nothing more is sealed: a frame of a secure channel and its overhead. */
#define SEAL_ROOM_MIN 1024

static struct pipe_stream *of_stream(struct link_stream *stream) {
    return CONTAINER_OF(stream, struct pipe_stream, stream);
}

int streams_begin(struct pipe *pipe) {
    struct pipe_transport *transport = pipe->transport;
    struct yamux_config config = {.initiator = !pipe->listener,
                                  .memory = transport->memory,
                                  .budget = transport->budget,
                                  .random = &transport->random,
                                  .limits = yamux_limits_default};
    return yamux_new(&config, transport->now, &pipe->mux);
}

void streams_receive(struct pipe *pipe, struct bytes data) {
    yamux_receive(pipe->mux, data, pipe->transport->now);
    pipe_touch(pipe);
}

void streams_done(struct pipe *pipe) {
    struct list_node *node;
    while ((node = list_first(&pipe->streams)) != NULL) {
        pipe_stream_free(CONTAINER_OF(node, struct pipe_stream, node));
    }
    yamux_free(pipe->mux);
    pipe->mux = NULL;
}

static struct pipe_stream *stream_new(struct pipe *pipe, struct yamux_stream *yamux) {
    struct pipe_stream *stream = memory_zero(pipe->transport->memory, sizeof(*stream));
    if (stream != NULL) {
        stream->stream.link = &pipe->link;
        stream->yamux = yamux;
        list_append(&pipe->streams, &stream->node);
        *yamux_stream_user(yamux) = stream;
    }
    return stream;
}

void pipe_stream_free(struct pipe_stream *stream) {
    struct pipe *pipe = pipe_of(stream->stream.link);
    list_remove(&pipe->streams, &stream->node);
    memory_put(pipe->transport->memory, stream, sizeof(*stream));
}

/* --- events ----------------------------------------------------------------------------------- */

/* A stream we have no memory for is ended as soon as it is seen. */
static bool translate_opened(struct pipe *pipe, struct yamux_stream *yamux,
                             struct link_event *ret_event) {
    struct pipe_stream *stream = stream_new(pipe, yamux);
    if (stream == NULL) {
        yamux_stream_reset(yamux, 0);
        return false;
    }
    ret_event->type = LINK_STREAM_OPENED;
    ret_event->stream = &stream->stream;
    return true;
}

static bool translate_stream(struct pipe *pipe, const struct yamux_event *event,
                             struct link_event *ret_event) {
    struct pipe_stream *stream = *yamux_stream_user(event->stream);
    if (stream == NULL) {
        if (event->type == YAMUX_STREAM_DATA) {
            yamux_stream_consume(event->stream, event->data.size);
        }
        return false;
    }
    ret_event->stream = &stream->stream;
    ret_event->code = event->code;
    switch (event->type) {
    case YAMUX_STREAM_DATA:
        ret_event->type = LINK_STREAM_DATA;
        ret_event->data = event->data;
        ret_event->fin = event->fin;
        return true;
    case YAMUX_STREAM_WRITABLE:
        ret_event->type = LINK_STREAM_WRITABLE;
        return true;
    case YAMUX_STREAM_RESET:
        ret_event->type = LINK_STREAM_RESET;
        return true;
    case YAMUX_STREAM_CLOSED:
        ret_event->type = LINK_STREAM_CLOSED;
        stream->yamux = NULL;
        pipe->transport->closed_stream = stream;
        return true;
    case YAMUX_CLOSED:
    case YAMUX_STREAM_OPENED:
    case YAMUX_STREAMS_AVAILABLE:
        break;
    }
    return false;
}

bool streams_event(struct pipe *pipe, struct link_event *ret_event, bool *ret_any) {
    struct yamux_event event;
    *ret_any = pipe->mux != NULL && yamux_next_event(pipe->mux, &event);
    if (!*ret_any) {
        return false;
    }
    switch (event.type) {
    case YAMUX_CLOSED:
        pipe_fail(pipe, event.error, event.code, event.text);
        return false;
    case YAMUX_STREAM_OPENED:
        return translate_opened(pipe, event.stream, ret_event);
    case YAMUX_STREAMS_AVAILABLE:
        return false;
    case YAMUX_STREAM_DATA:
    case YAMUX_STREAM_WRITABLE:
    case YAMUX_STREAM_RESET:
    case YAMUX_STREAM_CLOSED:
        return translate_stream(pipe, &event, ret_event);
    }
    return false;
}

size_t streams_transmit(struct pipe *pipe, struct span room) {
    size_t written = 0;
    while (pipe->mux != NULL && room.size - written >= SEAL_ROOM_MIN) {
        struct bytes pieces[YAMUX_PIECES_MAX];
        size_t count = yamux_transmit(pipe->mux, pieces, YAMUX_PIECES_MAX, room.size - written,
                                      pipe->transport->now);
        if (count == 0) {
            break;
        }
        size_t taken = 0;
        written +=
            pipe->security->seal(pipe->channel, pieces, count,
                                 (struct span){room.data + written, room.size - written}, &taken);
        if (taken == 0) {
            break;
        }
        yamux_sent(pipe->mux, taken);
    }
    return written;
}

/* --- verbs ------------------------------------------------------------------------------------ */

int pipe_link_open(struct link *link, struct link_stream **ret_stream) {
    struct pipe *pipe = pipe_of(link);
    if (pipe->over || pipe->mux == NULL) {
        return PLASM_CLOSED;
    }
    struct yamux_stream *yamux;
    int error = yamux_stream_open(pipe->mux, &yamux);
    if (error != 0) {
        return error;
    }
    struct pipe_stream *stream = stream_new(pipe, yamux);
    if (stream == NULL) {
        yamux_stream_reset(yamux, 0);
        pipe_wake(pipe);
        return PLASM_NO_MEMORY;
    }
    *ret_stream = &stream->stream;
    return 0;
}

/* The stream's own, or NULL where it or its link is over. */
static struct yamux_stream *open_stream(struct link_stream *stream) {
    return pipe_of(stream->link)->over ? NULL : of_stream(stream)->yamux;
}

int pipe_stream_write(struct link_stream *stream, struct block *block, size_t offset, size_t size,
                      bool fin, size_t *ret_accepted) {
    struct yamux_stream *yamux = open_stream(stream);
    if (yamux == NULL) {
        return PLASM_CLOSED;
    }
    pipe_touch(pipe_of(stream->link));
    return yamux_stream_write(yamux, block, offset, size, fin, ret_accepted);
}

void pipe_stream_consume(struct link_stream *stream, size_t size) {
    struct yamux_stream *yamux = open_stream(stream);
    if (yamux != NULL && size > 0) {
        yamux_stream_consume(yamux, size);
        pipe_touch(pipe_of(stream->link));
    }
}

void pipe_stream_reset(struct link_stream *stream, uint64_t code) {
    struct yamux_stream *yamux = open_stream(stream);
    if (yamux != NULL) {
        yamux_stream_reset(yamux, (uint32_t)code);
        pipe_wake(pipe_of(stream->link));
        pipe_touch(pipe_of(stream->link));
    }
}
