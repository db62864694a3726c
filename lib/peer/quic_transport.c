/* Translation between a QUIC endpoint and the peer's idea of a transport. */
#include "peer/quic_transport.h"

#include "util/list.h"

struct quic_transport {
    struct transport transport;
    struct quic_endpoint *endpoint;
    struct memory *memory;
    uint8_t family;
    struct list links;
    struct list ended;               /* links to be freed at the next call, with their streams */
    struct quic_link_stream *closed; /* likewise, a stream */
};

struct quic_link {
    struct link link;
    struct list_node node; /* in links, then in ended */
    struct quic_conn *conn;
    struct list streams;
};

struct quic_link_stream {
    struct link_stream stream;
    struct list_node node;
    struct quic_stream *quic; /* NULL once it is closed */
};

static struct quic_transport *of_transport(struct transport *transport) {
    return CONTAINER_OF(transport, struct quic_transport, transport);
}

static struct quic_link *of_link(struct link *link) {
    return CONTAINER_OF(link, struct quic_link, link);
}

static struct quic_link_stream *of_stream(struct link_stream *stream) {
    return CONTAINER_OF(stream, struct quic_link_stream, stream);
}

static void free_streams(struct quic_transport *quic, struct quic_link *link) {
    struct list_node *node;
    while ((node = list_first(&link->streams)) != NULL) {
        list_remove(&link->streams, node);
        memory_put(quic->memory, CONTAINER_OF(node, struct quic_link_stream, node),
                   sizeof(struct quic_link_stream));
    }
}

/* What ended with the last event. */
static void reap(struct quic_transport *quic) {
    if (quic->closed != NULL) {
        list_remove(&of_link(quic->closed->stream.link)->streams, &quic->closed->node);
        memory_put(quic->memory, quic->closed, sizeof(*quic->closed));
        quic->closed = NULL;
    }
    struct list_node *node;
    while ((node = list_first(&quic->ended)) != NULL) {
        list_remove(&quic->ended, node);
        struct quic_link *link = CONTAINER_OF(node, struct quic_link, node);
        free_streams(quic, link);
        memory_put(quic->memory, link, sizeof(*link));
    }
}

static struct quic_link *link_new(struct quic_transport *quic, struct quic_conn *conn,
                                  bool inbound) {
    struct quic_link *link = memory_zero(quic->memory, sizeof(*link));
    if (link != NULL) {
        link->link.transport = &quic->transport;
        link->link.inbound = inbound;
        link->link.admission = inbound ? quic_admission(quic->endpoint) : NULL;
        link->conn = conn;
        list_init(&link->streams);
        list_append(&quic->links, &link->node);
        *quic_conn_user(conn) = link;
    }
    return link;
}

static struct quic_link_stream *stream_new(struct quic_link *link, struct quic_stream *quic) {
    struct quic_transport *transport = of_transport(link->link.transport);
    struct quic_link_stream *stream = memory_zero(transport->memory, sizeof(*stream));
    if (stream != NULL) {
        stream->stream.link = &link->link;
        stream->quic = quic;
        list_append(&link->streams, &stream->node);
        *quic_stream_user(quic) = stream;
    }
    return stream;
}

static bool quic_dials(const struct transport *transport, const struct multiaddr *address) {
    struct netaddr remote;
    struct bytes id;
    return multiaddr_to_quic(address, &remote, &id) == 0 &&
           remote.family == CONTAINER_OF(transport, const struct quic_transport, transport)->family;
}

static int quic_link_dial(struct transport *transport, const struct multiaddr *address,
                          const struct peer_id *expected, nanos hint, nanos now,
                          struct link **ret_link) {
    struct quic_transport *quic = of_transport(transport);
    struct netaddr remote;
    struct bytes id;
    int error = multiaddr_to_quic(address, &remote, &id);
    struct quic_conn *conn = NULL;
    if (error == 0) {
        error = quic_dial(quic->endpoint, &remote, NULL, expected, hint, now, &conn);
    }
    if (error != 0) {
        return error;
    }
    struct quic_link *link = link_new(quic, conn, false);
    if (link == NULL) {
        quic_conn_close(conn, 0, "", now);
        return PLASM_NO_MEMORY;
    }
    *ret_link = &link->link;
    return 0;
}

static int quic_link_punch(struct transport *transport, const struct multiaddr *address,
                           const struct peer_id *expected, bool listener, nanos rtt, nanos now,
                           struct link **ret_link) {
    struct netaddr remote;
    struct bytes id;
    if (!listener) {
        return quic_link_dial(transport, address, expected, rtt, now, ret_link);
    }
    int error = multiaddr_to_quic(address, &remote, &id);
    return error == 0 ? quic_punch(of_transport(transport)->endpoint, &remote) : error;
}

/* A connection or stream we have no memory for is ended as soon as it is seen. */
static bool translate_connected(struct quic_transport *quic, const struct quic_event *event,
                                struct link_event *ret_event) {
    struct quic_link *link = *quic_conn_user(event->conn);
    if (link == NULL && quic_conn_inbound(event->conn)) {
        link = link_new(quic, event->conn, true);
    }
    if (link == NULL) {
        quic_conn_close(event->conn, QUIC_CODE_INTERNAL, "out of memory", 0);
        return false;
    }
    ret_event->type = LINK_CONNECTED;
    ret_event->link = &link->link;
    ret_event->peer_id = event->identity->peer_id;
    ret_event->key = &event->identity->key;
    multiaddr_from_quic(quic_conn_remote(event->conn), &ret_event->remote);
    return true;
}

static bool translate_closed(struct quic_transport *quic, const struct quic_event *event,
                             struct link_event *ret_event) {
    struct quic_link *link = *quic_conn_user(event->conn);
    if (link == NULL) {
        return false;
    }
    list_remove(&quic->links, &link->node);
    list_append(&quic->ended, &link->node);
    link->conn = NULL;
    ret_event->type = LINK_CLOSED;
    ret_event->link = &link->link;
    ret_event->error = event->error;
    ret_event->code = event->code;
    ret_event->data = bytes_of_string(event->text);
    return true;
}

static bool translate_moved(const struct quic_event *event, struct link_event *ret_event) {
    struct quic_link *link = *quic_conn_user(event->conn);
    if (link == NULL) {
        return false;
    }
    ret_event->type = LINK_MOVED;
    ret_event->link = &link->link;
    multiaddr_from_quic(quic_conn_remote(event->conn), &ret_event->remote);
    return true;
}

static bool translate_opened(const struct quic_event *event, struct link_event *ret_event) {
    struct quic_link *link = *quic_conn_user(event->conn);
    struct quic_link_stream *stream = link != NULL ? stream_new(link, event->stream) : NULL;
    if (stream == NULL) {
        quic_stream_reset(event->stream, 0);
        quic_stream_stop(event->stream, 0);
        return false;
    }
    ret_event->type = LINK_STREAM_OPENED;
    ret_event->link = &link->link;
    ret_event->stream = &stream->stream;
    return true;
}

static bool translate_stream(struct quic_transport *quic, const struct quic_event *event,
                             struct link_event *ret_event) {
    struct quic_link_stream *stream = *quic_stream_user(event->stream);
    if (stream == NULL) {
        quic_stream_consume(event->stream, event->data.size);
        return false;
    }
    ret_event->link = stream->stream.link;
    ret_event->stream = &stream->stream;
    ret_event->code = event->code;
    switch (event->type) {
    case QUIC_STREAM_DATA:
        ret_event->type = LINK_STREAM_DATA;
        ret_event->data = event->data;
        ret_event->fin = event->fin;
        return true;
    case QUIC_STREAM_WRITABLE:
        ret_event->type = LINK_STREAM_WRITABLE;
        return true;
    case QUIC_STREAM_RESET:
        ret_event->type = LINK_STREAM_RESET;
        return true;
    case QUIC_STREAM_STOPPED:
        ret_event->type = LINK_STREAM_STOPPED;
        return true;
    case QUIC_STREAM_CLOSED:
        ret_event->type = LINK_STREAM_CLOSED;
        stream->quic = NULL;
        quic->closed = stream;
        return true;
    case QUIC_CONNECTED:
    case QUIC_CLOSED:
    case QUIC_PATH_CHANGED:
    case QUIC_STREAMS_AVAILABLE:
    case QUIC_STREAM_OPENED:
        break;
    }
    return false;
}

static bool translate(struct quic_transport *quic, const struct quic_event *event,
                      struct link_event *ret_event) {
    *ret_event = (struct link_event){.type = LINK_CLOSED};
    switch (event->type) {
    case QUIC_CONNECTED:
        return translate_connected(quic, event, ret_event);
    case QUIC_CLOSED:
        return translate_closed(quic, event, ret_event);
    case QUIC_STREAM_OPENED:
        return translate_opened(event, ret_event);
    case QUIC_PATH_CHANGED:
        return translate_moved(event, ret_event);
    case QUIC_STREAMS_AVAILABLE:
        return false;
    case QUIC_STREAM_DATA:
    case QUIC_STREAM_WRITABLE:
    case QUIC_STREAM_RESET:
    case QUIC_STREAM_STOPPED:
    case QUIC_STREAM_CLOSED:
        return translate_stream(quic, event, ret_event);
    }
    return false;
}

static bool quic_transport_next_event(struct transport *transport, struct link_event *ret_event) {
    struct quic_transport *quic = of_transport(transport);
    struct quic_event event;
    for (;;) {
        reap(quic);
        if (!quic_next_event(quic->endpoint, &event)) {
            return false;
        }
        if (translate(quic, &event, ret_event)) {
            return true;
        }
    }
}

static nanos quic_transport_deadline(const struct transport *transport) {
    return quic_deadline(CONTAINER_OF(transport, const struct quic_transport, transport)->endpoint);
}

static void quic_transport_expire(struct transport *transport, nanos now) {
    quic_expire(of_transport(transport)->endpoint, now);
}

static void quic_link_close(struct link *link, uint64_t code, const char *reason, nanos now) {
    if (of_link(link)->conn != NULL) {
        quic_conn_close(of_link(link)->conn, code, reason, now);
    }
}

static void quic_link_keep_alive(struct link *link, bool on) {
    if (of_link(link)->conn != NULL) {
        quic_conn_keep_alive(of_link(link)->conn, on);
    }
}

static int quic_link_open(struct link *link, struct link_stream **ret_stream) {
    struct quic_link *quic = of_link(link);
    if (quic->conn == NULL) {
        return PLASM_CLOSED;
    }
    struct quic_stream *opened;
    int error = quic_stream_open(quic->conn, &opened);
    if (error != 0) {
        return error;
    }
    struct quic_link_stream *stream = stream_new(quic, opened);
    if (stream == NULL) {
        quic_stream_reset(opened, 0);
        quic_stream_stop(opened, 0);
        return PLASM_NO_MEMORY;
    }
    *ret_stream = &stream->stream;
    return 0;
}

static int quic_link_write(struct link_stream *stream, struct block *block, size_t offset,
                           size_t size, bool fin, size_t *ret_accepted) {
    struct quic_stream *quic = of_stream(stream)->quic;
    return quic != NULL ? quic_stream_write(quic, block, offset, size, fin, ret_accepted)
                        : PLASM_CLOSED;
}

static void quic_link_consume(struct link_stream *stream, size_t size) {
    if (of_stream(stream)->quic != NULL && size > 0) {
        quic_stream_consume(of_stream(stream)->quic, size);
    }
}

static void quic_link_reset(struct link_stream *stream, uint64_t code) {
    if (of_stream(stream)->quic != NULL) {
        quic_stream_reset(of_stream(stream)->quic, code);
        quic_stream_stop(of_stream(stream)->quic, code);
    }
}

static const struct transport_verbs quic_verbs = {
    .dials = quic_dials,
    .dial = quic_link_dial,
    .punch = quic_link_punch,
    .next_event = quic_transport_next_event,
    .deadline = quic_transport_deadline,
    .expire = quic_transport_expire,
    .close = quic_link_close,
    .keep_alive = quic_link_keep_alive,
    .open = quic_link_open,
    .write = quic_link_write,
    .consume = quic_link_consume,
    .reset = quic_link_reset,
};

int quic_transport_new(struct quic_endpoint *endpoint, const struct netaddr *local,
                       struct memory *memory, struct transport **ret_transport) {
    struct quic_transport *quic = memory_zero(memory, sizeof(*quic));
    if (quic == NULL) {
        return PLASM_NO_MEMORY;
    }
    quic->transport.verbs = &quic_verbs;
    quic->endpoint = endpoint;
    quic->memory = memory;
    quic->family = local->family;
    list_init(&quic->links);
    list_init(&quic->ended);
    *ret_transport = &quic->transport;
    return 0;
}

void quic_transport_free(struct transport *transport) {
    if (transport == NULL) {
        return;
    }
    struct quic_transport *quic = of_transport(transport);
    struct list_node *node;
    while ((node = list_first(&quic->links)) != NULL) {
        list_remove(&quic->links, node);
        list_append(&quic->ended, node);
    }
    reap(quic);
    memory_put(quic->memory, quic, sizeof(*quic));
}
