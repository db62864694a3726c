/* Streams: opening, agreeing on a protocol, and moving bytes between a link and whoever speaks. */
#include "peer/internal.h"

#include "util/ensure.h"

/* A stream whose proposals were all refused is thrown away after this long. */
#define REFUSAL_LINGER_TIMEOUT (2 * NANOS_SECOND)
/* Handed to a link at a time: it keeps the whole piece while it needs one byte of it. */
#define OUT_PIECE_SIZE ((size_t)64 * 1024)

static struct peer_stream *stream_new(struct peer_connection *connection,
                                      struct link_stream *link_stream, bool inbound) {
    struct peer *peer = connection->peer;
    struct peer_stream *stream = memory_zero(peer->memory, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->select = memory_get(peer->memory, sizeof(*stream->select));
    if (stream->select == NULL) {
        memory_put(peer->memory, stream, sizeof(*stream));
        return NULL;
    }
    stream->timer.kind = TIMER_STREAM;
    if (peer_timer_start(peer, &stream->timer,
                         nanos_add(peer->now, peer->config.limits.negotiation_timeout)) != 0) {
        memory_put(peer->memory, stream->select, sizeof(*stream->select));
        memory_put(peer->memory, stream, sizeof(*stream));
        return NULL;
    }
    stream->peer = peer;
    stream->connection = connection;
    stream->link_stream = link_stream;
    stream->inbound = inbound;
    buffer_init(&stream->in, peer->memory, 0);
    buffer_init(&stream->out, peer->memory, SERVICE_OUT_MAX);
    link_stream->user = stream;
    list_append(&connection->streams, &stream->node);
    connection->stream_handles++;
    connection->known->streams += inbound;
    connection->known->service_streams[SERVICE_NONE] += inbound;
    return stream;
}

static void select_free(struct peer_stream *stream) {
    memory_put(stream->peer->memory, stream->select, sizeof(*stream->select));
    stream->select = NULL;
}

/* Out of the connection and the timers, to be freed when nobody can hold it any more. */
static void stream_retire(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    ENSURE(list_linked(&stream->node));
    if (stream->link_stream != NULL) {
        stream->link_stream->user = NULL;
        stream->link_stream = NULL;
    }
    heap_remove(&peer->timers, &stream->timer.node);
    list_remove(&stream->connection->streams, &stream->node);
    list_append(&peer->ended_streams, &stream->node);
    if (stream->service == SERVICE_APPLICATION) {
        stream->connection->application_streams--;
        connection_update_keep_alive(stream->connection);
    }
    if (stream->inbound) {
        stream->connection->known->streams--;
        stream->connection->known->service_streams[stream->service]--;
    }
    stream->service = SERVICE_NONE;
}

void streams_reap(struct peer *peer) {
    struct list_node *node = list_first(&peer->ended_streams);
    while (node != NULL) {
        struct peer_stream *stream = CONTAINER_OF(node, struct peer_stream, node);
        node = list_next(&peer->ended_streams, node);
        if (events_name_stream(peer, stream)) {
            continue;
        }
        list_remove(&peer->ended_streams, &stream->node);
        buffer_done(&stream->in);
        buffer_done(&stream->out);
        select_free(stream);
        stream->connection->stream_handles--;
        memory_put(peer->memory, stream, sizeof(*stream));
    }
}

static void set_service(struct peer_stream *stream, enum peer_service service) {
    if (stream->inbound) {
        stream->connection->known->service_streams[stream->service]--;
        stream->connection->known->service_streams[service]++;
    }
    stream->service = service;
    if (service == SERVICE_APPLICATION) {
        stream->connection->application_streams++;
        connection_update_keep_alive(stream->connection);
    }
}

static int send_negotiation(struct peer_stream *stream) {
    uint8_t room[MULTISTREAM_TRANSMIT_MAX];
    size_t size = multistream_transmit(stream->select, (struct span){room, sizeof(room)});
    return stream_send(stream, bytes_of(room, size), false);
}

int stream_open(struct peer_connection *connection, enum peer_service service, const char *protocol,
                struct peer_stream **ret_stream) {
    if (connection->ended) {
        return PLASM_CLOSED;
    }
    struct link *link = connection->link;
    struct link_stream *link_stream;
    int error = link->transport->verbs->open(link, &link_stream);
    if (error != 0) {
        return error;
    }
    struct peer_stream *stream = stream_new(connection, link_stream, false);
    if (stream == NULL) {
        link_stream->user = NULL;
        link->transport->verbs->reset(link_stream, 0);
        return PLASM_NO_MEMORY;
    }
    stream->protocol = protocol;
    stream->names[0] = protocol;
    set_service(stream, service);
    multistream_init(stream->select, MULTISTREAM_DIALLER, stream->names, 1);
    error = send_negotiation(stream);
    if (error != 0) {
        stream_abort(stream, 0);
        return error;
    }
    *ret_stream = stream;
    return 0;
}

/* Hands bytes of `out` to the link as far as it takes them, and asks again only when it says so: a
 * sender of many small pieces to somebody who does not read must not have all copied each time. */
static int flush_out(struct peer_stream *stream) {
    int error = 0;
    while (error == 0 && !stream->out_blocked && (stream->out.size > 0 || stream->out_fin)) {
        struct bytes piece = bytes_slice(buffer_bytes(&stream->out), 0, OUT_PIECE_SIZE);
        struct block *block = block_copy(stream->peer->memory, piece);
        if (block == NULL) {
            return PLASM_NO_MEMORY;
        }
        bool fin = stream->out_fin && piece.size == stream->out.size;
        size_t accepted = 0;
        error = stream->link_stream->link->transport->verbs->write(stream->link_stream, block, 0,
                                                                   block->size, fin, &accepted);
        if (error == 0) {
            stream->out_blocked = accepted < block->size;
            stream->output_ended = fin && !stream->out_blocked;
            stream->out_fin = stream->out_fin && !stream->output_ended;
            buffer_consume(&stream->out, accepted);
        }
        block_unref(block);
    }
    return error;
}

int stream_send(struct peer_stream *stream, struct bytes bytes, bool fin) {
    ENSURE(!stream->out_fin);
    if (stream->link_stream == NULL || stream->output_ended) {
        return PLASM_CLOSED;
    }
    int error = buffer_append(&stream->out, bytes);
    if (error != 0) {
        return error;
    }
    stream->out_fin = fin;
    return flush_out(stream);
}

void stream_finish(struct peer_stream *stream, nanos deadline) {
    peer_timer_set(stream->peer, &stream->timer, deadline);
    if (!stream->output_ended && !stream->out_fin &&
        stream_send(stream, bytes_of(NULL, 0), true) != 0) {
        stream_abort(stream, 0);
    }
}

void stream_abort(struct peer_stream *stream, uint64_t code) {
    if (stream->link_stream != NULL && !(stream->input_ended && stream->output_ended)) {
        stream->link_stream->link->transport->verbs->reset(stream->link_stream, code);
    }
    if (stream->inbound && code == PEER_RESET_PROTOCOL) {
        connection_stream_broken(stream->connection);
    }
    stream_retire(stream);
}

/* Ends a stream that went wrong: the link's stream is reset, whoever speaks on it is told. */
static void stream_fail(struct peer_stream *stream, int error) {
    if (stream->link_stream != NULL) {
        stream->link_stream->link->transport->verbs->reset(stream->link_stream,
                                                           PEER_RESET_PROTOCOL);
    }
    if (stream->inbound) {
        connection_stream_broken(stream->connection);
    }
    stream_lost(stream, error);
}

void stream_lost(struct peer_stream *stream, int error) {
    struct peer *peer = stream->peer;
    if (stream->service == SERVICE_APPLICATION) {
        struct peer_event event = {
            .type = PEER_EVENT_STREAM_CLOSED, .stream = stream, .error = error};
        stream->end_error = error;
        stream->unreported = !peer_emit(peer, &event);
        stream_retire(stream);
        return;
    }
    service_ended(stream, error);
    stream_retire(stream);
}

void stream_expire(struct peer_stream *stream) {
    if ((stream->service == SERVICE_PING && ping_expire(stream)) || autonat_expire(stream)) {
        return;
    }
    stream_fail(stream, PLASM_TIMEOUT);
}

void stream_opened(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = event->link->user;
    event->stream->user = NULL;
    bool over = connection != NULL &&
                connection->known->streams >= peer->resources.limits.streams_per_peer_max;
    if (over) {
        connection_stream_broken(connection);
    }
    struct peer_stream *stream =
        connection != NULL && !over ? stream_new(connection, event->stream, true) : NULL;
    if (stream == NULL) {
        event->link->transport->verbs->reset(event->stream, over ? PEER_RESET_LIMIT : 0);
        return;
    }
    multistream_init(stream->select, MULTISTREAM_LISTENER, peer->protocol_names,
                     connection->probe ? SERVICE_PROTOCOLS_PROBE : peer->protocol_count);
}

/* The protocol is agreed on. */
static void negotiated(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    size_t selected = stream->select->selected;
    select_free(stream);
    if (!stream->inbound) {
        if (stream->service == SERVICE_APPLICATION) {
            heap_remove(&peer->timers, &stream->timer.node);
        }
        service_agreed(stream);
        return;
    }
    enum peer_service service = peer->protocol_services[selected];
    if (service != SERVICE_APPLICATION && stream->connection->known->service_streams[service] >=
                                              peer->resources.limits.streams_per_protocol_max) {
        connection_stream_broken(stream->connection);
        stream_abort(stream, PEER_RESET_LIMIT);
        return;
    }
    stream->protocol = peer->protocol_names[selected];
    set_service(stream, peer->protocol_services[selected]);
    if (stream->service == SERVICE_APPLICATION) {
        heap_remove(&peer->timers, &stream->timer.node);
        struct peer_event event = {.type = PEER_EVENT_STREAM_OPENED,
                                   .connection = stream->connection,
                                   .stream = stream,
                                   .protocol = stream->protocol};
        if (!peer_emit(peer, &event)) {
            stream_abort(stream, PEER_RESET_PROTOCOL); /* nobody knows of it */
        }
        return;
    }
    service_opened(stream);
}

/* Whoever proposed lazily has sent data of a protocol we do not speak, which is no negotiation: a
 * reset would overtake the refusal, so let that arrive. */
static void refuse(struct peer_stream *stream) {
    stream->refused = true;
    stream_finish(stream, nanos_add(stream->peer->now, REFUSAL_LINGER_TIMEOUT));
}

/* Takes the negotiation's part of the input. False when the stream is over or needs more. */
static bool negotiate(struct peer_stream *stream, struct bytes *data, bool fin) {
    size_t consumed = 0;
    int error = multistream_receive(stream->select, *data, &consumed);
    stream->link_stream->link->transport->verbs->consume(stream->link_stream, consumed);
    *data = bytes_slice(*data, consumed, data->size);
    bool refusing = stream->inbound && stream->select->proposal > 0;
    if ((error == 0 || refusing) && !stream->output_ended && !stream->out_fin) {
        int send_error = send_negotiation(stream);
        error = error == 0 ? send_error : error;
    }
    if (error == 0 && !stream->select->done && fin) {
        error = PLASM_TRUNCATED;
    }
    if (refusing && (error == PLASM_MALFORMED || error == PLASM_TRUNCATED)) {
        refuse(stream);
        return false;
    }
    if (error != 0) {
        stream_fail(stream, error);
        return false;
    }
    if (!stream->select->done) {
        return false;
    }
    negotiated(stream);
    return true;
}

bool stream_data(struct peer *peer, const struct link_event *event, struct peer_event *ret_event) {
    struct peer_stream *stream = event->stream->user;
    struct bytes data = event->data;
    if (stream == NULL || stream->refused) {
        event->link->transport->verbs->consume(event->stream, data.size);
        return false;
    }
    bool opening = stream->select != NULL;
    if (opening && !negotiate(stream, &data, event->fin)) {
        return false;
    }
    if (stream->link_stream == NULL || (opening && data.size == 0 && !event->fin)) {
        return false;
    }
    stream->input_ended = event->fin;
    if (stream->service != SERVICE_APPLICATION) {
        if (stream->service != SERVICE_HOP && stream->service != SERVICE_STOP) {
            event->link->transport->verbs->consume(event->stream, data.size);
        }
        service_data(stream, data, event->fin);
        return false;
    }
    struct peer_event arrived = {
        .type = PEER_EVENT_STREAM_DATA, .stream = stream, .data = data, .fin = event->fin};
    if (opening && stream->inbound) { /* after the queued PEER_EVENT_STREAM_OPENED */
        if (!peer_emit(peer, &arrived)) {
            stream_fail(stream, PLASM_NO_MEMORY);
        }
        return false;
    }
    *ret_event = arrived;
    return true;
}

bool stream_writable(const struct link_event *event, struct peer_event *ret_event) {
    struct peer_stream *stream = event->stream->user;
    if (stream == NULL) {
        return false;
    }
    stream->out_blocked = false;
    int error = flush_out(stream);
    if (error != 0) {
        stream_fail(stream, error);
        return false;
    }
    if (stream->service == SERVICE_PERF && stream->out.size == 0) {
        perf_writable(stream);
        return false;
    }
    if (stream->service == SERVICE_HOP || stream->service == SERVICE_STOP) {
        relay_service_writable(stream);
        return false;
    }
    if (!stream->want_writable || stream->out.size > 0) {
        return false;
    }
    stream->want_writable = false;
    *ret_event = (struct peer_event){.type = PEER_EVENT_STREAM_WRITABLE, .stream = stream};
    return true;
}

void stream_over(const struct link_event *event) {
    struct peer_stream *stream = event->stream->user;
    if (stream == NULL) {
        return;
    }
    if (event->type == LINK_STREAM_RESET) {
        stream_fail(stream, PLASM_RESET);
        return;
    }
    stream->link_stream = NULL; /* it is gone: there is nothing left to reset */
    event->stream->user = NULL;
    stream_lost(stream, stream->input_ended && stream->output_ended ? 0 : PLASM_RESET);
}

/* Some implementations stop reading as soon as they have said what they had to say: what they sent
 * still counts. An application that has something left to send has lost its reader. */
void stream_unread(const struct link_event *event) {
    struct peer_stream *stream = event->stream->user;
    if (stream == NULL) {
        return;
    }
    if (stream->service == SERVICE_APPLICATION && !stream->output_ended) {
        stream_fail(stream, PLASM_RESET);
        return;
    }
    buffer_clear(&stream->out);
    stream->out_fin = false;
    stream->output_ended = true;
}

int peer_stream_open(struct peer *peer, struct peer_connection *connection, const char *protocol,
                     nanos now, struct peer_stream **ret_stream) {
    peer->now = now;
    return stream_open(connection, SERVICE_APPLICATION, protocol, ret_stream);
}

int peer_stream_write(struct peer_stream *stream, struct block *block, size_t offset, size_t size,
                      bool fin, size_t *ret_accepted) {
    if (stream->link_stream == NULL) {
        return PLASM_CLOSED;
    }
    ENSURE(!stream->output_ended && !stream->out_fin);
    size_t accepted = 0;
    int error;
    if (stream->out.size > 0) { /* the negotiation has not left yet: stay behind it */
        struct bytes bytes =
            block != NULL ? bytes_of(block->data + offset, size) : bytes_of(NULL, 0);
        error = stream_send(stream, bytes, fin);
        accepted = error == 0 ? size : 0;
        error = error == PLASM_TOO_LARGE ? 0 : error;
    } else {
        error = stream->link_stream->link->transport->verbs->write(stream->link_stream, block,
                                                                   offset, size, fin, &accepted);
        stream->output_ended = error == 0 && fin && accepted == size;
    }
    if (error != 0) {
        return error;
    }
    stream->want_writable = accepted < size;
    *ret_accepted = accepted;
    return 0;
}

void peer_stream_consume(struct peer_stream *stream, size_t size) {
    if (stream->link_stream != NULL) {
        stream->link_stream->link->transport->verbs->consume(stream->link_stream, size);
    }
}

void peer_stream_close(struct peer_stream *stream, uint64_t code) {
    struct peer *peer = stream->peer;
    events_forget_stream(peer, stream);
    stream->unreported = false;
    if (stream->service == SERVICE_APPLICATION) { /* else it has ended by itself already */
        stream_abort(stream, code);
    }
}

struct peer_connection *peer_stream_connection(const struct peer_stream *stream) {
    return stream->connection;
}

void **peer_stream_user(struct peer_stream *stream) {
    return &stream->user;
}
