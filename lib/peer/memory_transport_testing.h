/* A transport in memory and virtual time: links and streams as transport.h describes them, without
 * cryptography. Objects are freed as early as the contract allows, so that a sanitizer sees who
 * holds one too long; bytes can be cut into pieces of any size. For tests. */
#ifndef PEER_MEMORY_TRANSPORT_TESTING_H
#define PEER_MEMORY_TRANSPORT_TESTING_H

#include "peer/transport.h"
#include "util/list.h"
#include "util/testing.h"

struct memory_link;
struct memory_stream;

/* What is on its way. */
enum memory_item_kind {
    ITEM_CONNECTED,
    ITEM_CLOSE,
    ITEM_DATA,
    ITEM_CREDIT,
    ITEM_RESET,    /* the sender gave up sending */
    ITEM_STOP,     /* the sender does not read any more */
    ITEM_SEND_END, /* our end of sending was received */
    ITEM_CLOSED,   /* to oneself: both directions of a stream are over */
};

struct memory_item {
    struct list_node node;
    enum memory_item_kind kind;
    nanos at;
    struct memory_link *link;
    struct memory_stream *stream;
    int error;
    uint64_t code;
    const char *reason;
    struct block *block;
    size_t offset;
    size_t size;
    bool fin;
};

struct memory_net {
    const nanos *now;
    nanos delay;      /* one way */
    size_t piece_max; /* bytes of one LINK_STREAM_DATA */
    size_t window;    /* bytes of a stream under way or not consumed */
    size_t streams_max;
    struct list transports;
};

struct memory_transport {
    struct transport transport;
    struct list_node node; /* in net->transports */
    struct memory_net *net;
    struct multiaddr address;
    struct peer_id id;
    struct public_key key;
    bool silent;        /* dials to it are not answered */
    bool guarded;       /* nor are those from where it has not punched to, so many times */
    size_t opens_after; /* punches that do nothing */
    size_t punches;
    struct multiaddr opened; /* where the last one went */
    struct list links;
    struct list items;             /* by time */
    struct memory_stream *closed;  /* freed at the next call */
    struct memory_link *gone;      /* likewise */
    struct block *shown;           /* likewise: bytes of the last event */
    struct memory_stream *opening; /* its first event after LINK_STREAM_OPENED is still to come */
};

struct memory_link {
    struct link link;
    struct list_node node;
    struct memory_transport *transport;
    struct memory_link *far; /* NULL once it is gone */
    bool announced;          /* LINK_CONNECTED was given */
    bool closed;
    bool keeps_alive;
    struct multiaddr remote;
    struct peer_id far_id;
    struct public_key far_key;
    struct list streams;
    size_t opened;
};

struct memory_stream {
    struct link_stream stream;
    struct list_node node;
    struct memory_link *link;
    struct memory_stream *far; /* NULL once it is gone */
    bool ours;                 /* we opened it */
    bool announced;
    bool finished;     /* nothing more may be written */
    bool send_over;    /* and that was received */
    bool receive_over; /* FIN or a reset was received */
    bool discards;     /* what still comes is not shown */
    bool closing;      /* ITEM_CLOSED is on its way */
    bool wants_writable;
    size_t credit;
};

static inline struct memory_transport *memory_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct memory_transport, transport);
}

static inline struct memory_link *memory_of_link(struct link *link) {
    return CONTAINER_OF(link, struct memory_link, link);
}

static inline struct memory_stream *memory_of_stream(struct link_stream *stream) {
    return CONTAINER_OF(stream, struct memory_stream, stream);
}

static inline void *memory_alloc(size_t size) {
    void *object = calloc(1, size);
    ENSURE(object != NULL);
    return object;
}

/* Puts an item in by its time. */
static inline struct memory_item *memory_post(struct memory_link *link,
                                              struct memory_stream *stream,
                                              enum memory_item_kind kind, nanos at) {
    struct memory_item *item = memory_alloc(sizeof(*item));
    *item = (struct memory_item){.kind = kind, .at = at, .link = link, .stream = stream};
    struct list *items = &link->transport->items;
    struct list_node *next = list_first(items);
    while (next != NULL && CONTAINER_OF(next, struct memory_item, node)->at <= at) {
        next = list_next(items, next);
    }
    if (next == NULL) {
        list_append(items, &item->node);
    } else {
        item->node.next = next;
        item->node.prev = next->prev;
        next->prev->next = &item->node;
        next->prev = &item->node;
        items->size++;
    }
    return item;
}

static inline void memory_item_free(struct memory_transport *transport, struct memory_item *item) {
    list_remove(&transport->items, &item->node);
    block_unref(item->block);
    free(item);
}

/* Takes away what is on its way to a link, or to one of its streams. */
static inline void memory_forget(struct memory_link *link, const struct memory_stream *stream) {
    struct memory_transport *transport = link->transport;
    struct list_node *node = list_first(&transport->items);
    while (node != NULL) {
        struct memory_item *item = CONTAINER_OF(node, struct memory_item, node);
        node = list_next(&transport->items, node);
        if (item->link == link && (stream == NULL || item->stream == stream)) {
            memory_item_free(transport, item);
        }
    }
}

static inline void memory_stream_free(struct memory_stream *stream) {
    memory_forget(stream->link, stream);
    if (stream->far != NULL) {
        stream->far->far = NULL;
    }
    stream->link->opened -= stream->ours;
    list_remove(&stream->link->streams, &stream->node);
    free(stream);
}

static inline void memory_link_free(struct memory_link *link) {
    struct list_node *node;
    while ((node = list_first(&link->streams)) != NULL) {
        memory_stream_free(CONTAINER_OF(node, struct memory_stream, node));
    }
    memory_forget(link, NULL);
    if (link->far != NULL) {
        link->far->far = NULL;
    }
    list_remove(&link->transport->links, &link->node);
    free(link);
}

static inline void memory_reap(struct memory_transport *transport) {
    block_unref(transport->shown);
    transport->shown = NULL;
    if (transport->closed != NULL) {
        memory_stream_free(transport->closed);
        transport->closed = NULL;
    }
    if (transport->gone != NULL) {
        memory_link_free(transport->gone);
        transport->gone = NULL;
    }
}

static inline struct memory_link *memory_link_new(struct memory_transport *transport,
                                                  const struct multiaddr *remote, bool inbound) {
    struct memory_link *link = memory_alloc(sizeof(*link));
    link->link.transport = &transport->transport;
    link->link.inbound = inbound;
    link->transport = transport;
    link->remote = *remote;
    list_init(&link->streams);
    list_append(&transport->links, &link->node);
    return link;
}

static inline struct memory_stream *memory_stream_new(struct memory_link *link, bool ours) {
    struct memory_stream *stream = memory_alloc(sizeof(*stream));
    stream->stream.link = &link->link;
    stream->link = link;
    stream->ours = ours;
    stream->announced = ours;
    stream->credit = link->transport->net->window;
    link->opened += ours;
    list_append(&link->streams, &stream->node);
    return stream;
}

static inline struct memory_transport *memory_at(struct memory_net *net,
                                                 const struct multiaddr *address) {
    for (struct list_node *node = list_first(&net->transports); node != NULL;
         node = list_next(&net->transports, node)) {
        struct memory_transport *transport = CONTAINER_OF(node, struct memory_transport, node);
        if (multiaddr_equal(&transport->address, address)) {
            return transport;
        }
    }
    return NULL;
}

/* --- verbs ------------------------------------------------------------------------------------ */

static inline bool memory_dials(const struct transport *transport,
                                const struct multiaddr *address) {
    (void)transport;
    struct netaddr remote;
    struct bytes id;
    return multiaddr_to_quic(address, &remote, &id) == 0 ||
           multiaddr_to_tcp(address, &remote, &id) == 0;
}

static inline int memory_dial(struct transport *transport, const struct multiaddr *address,
                              const struct peer_id *expected, nanos hint, nanos now,
                              struct link **ret_link) {
    (void)hint;
    struct memory_transport *from = memory_of(transport);
    struct memory_net *net = from->net;
    struct memory_transport *to = memory_at(net, address);
    struct memory_link *link = memory_link_new(from, address, false);
    ENSURE(now == *net->now);
    *ret_link = &link->link;
    if (to == NULL) {
        memory_post(link, NULL, ITEM_CLOSE, now + 2 * net->delay)->error = PLASM_UNREACHABLE;
        return 0;
    }
    if (to->silent || (to->guarded && !multiaddr_equal(&to->opened, &from->address))) {
        return 0; /* the peer's own patience ends it */
    }
    if (expected != NULL && !peer_id_equal(expected, &to->id)) {
        memory_post(link, NULL, ITEM_CLOSE, now + 2 * net->delay)->error = PLASM_UNTRUSTED;
        return 0;
    }
    struct memory_link *far = memory_link_new(to, &from->address, true);
    link->far = far;
    link->far_id = to->id;
    link->far_key = to->key;
    far->far = link;
    far->far_id = from->id;
    far->far_key = from->key;
    /* As in TLS 1.3: the accepting side hears of the other's identity half a round trip later. */
    memory_post(link, NULL, ITEM_CONNECTED, now + 2 * net->delay);
    memory_post(far, NULL, ITEM_CONNECTED, now + 3 * net->delay);
    return 0;
}

/* The listener opens its door for whoever dials from there; the other side dials. */
static inline int memory_punch(struct transport *transport, const struct multiaddr *address,
                               const struct peer_id *expected, bool listener, nanos rtt, nanos now,
                               struct link **ret_link) {
    struct memory_transport *from = memory_of(transport);
    if (!listener) {
        return memory_dial(transport, address, expected, rtt, now, ret_link);
    }
    if (++from->punches > from->opens_after) {
        from->opened = *address;
    }
    return 0;
}

static inline void memory_close(struct link *link, uint64_t code, const char *reason, nanos now) {
    struct memory_link *near = memory_of_link(link);
    if (near->closed) {
        return;
    }
    near->closed = true;
    struct memory_link *far = near->far;
    if (far != NULL && !far->closed) {
        struct memory_item *item =
            memory_post(far, NULL, ITEM_CLOSE, now + near->transport->net->delay);
        item->code = code;
        item->reason = reason;
        item->error = code != 0 ? PLASM_CLOSED : 0;
    }
    memory_forget(near, NULL);
    struct memory_item *item = memory_post(near, NULL, ITEM_CLOSE, now);
    item->code = code;
    item->error = code != 0 ? PLASM_CLOSED : 0;
}

static inline void memory_keep_alive(struct link *link, bool on) {
    memory_of_link(link)->keeps_alive = on;
}

static inline int memory_open(struct link *link, struct link_stream **ret_stream) {
    struct memory_link *near = memory_of_link(link);
    if (near->closed || near->far == NULL) {
        return PLASM_CLOSED;
    }
    if (near->opened >= near->transport->net->streams_max) {
        return PLASM_LIMIT;
    }
    struct memory_stream *stream = memory_stream_new(near, true);
    stream->far = memory_stream_new(near->far, false);
    stream->far->far = stream;
    *ret_stream = &stream->stream;
    return 0;
}

/* Something for the other end of a stream, if it is still there. */
static inline struct memory_item *memory_send(struct memory_stream *stream,
                                              enum memory_item_kind kind) {
    const struct memory_net *net = stream->link->transport->net;
    if (stream->far == NULL || stream->link->closed || stream->far->link->closed) {
        return NULL;
    }
    return memory_post(stream->far->link, stream->far, kind, *net->now + net->delay);
}

static inline void memory_check_over(struct memory_stream *stream) {
    if (stream->send_over && stream->receive_over && !stream->closing && stream->announced) {
        stream->closing = true;
        memory_post(stream->link, stream, ITEM_CLOSED, *stream->link->transport->net->now);
    }
}

static inline int memory_write(struct link_stream *link_stream, struct block *block, size_t offset,
                               size_t size, bool fin, size_t *ret_accepted) {
    struct memory_stream *stream = memory_of_stream(link_stream);
    if (stream->finished || stream->link->closed) {
        return PLASM_CLOSED;
    }
    size_t accepted = size < stream->credit ? size : stream->credit;
    size_t piece_max = stream->link->transport->net->piece_max;
    bool ends = fin && accepted == size;
    size_t sent = 0;
    while (sent < accepted || (ends && sent == 0)) {
        size_t piece = accepted - sent < piece_max ? accepted - sent : piece_max;
        struct memory_item *item = memory_send(stream, ITEM_DATA);
        if (item != NULL) {
            item->block = piece > 0 ? block_ref(block) : NULL;
            item->offset = offset + sent;
            item->size = piece;
            item->fin = ends && sent + piece == accepted;
        }
        sent += piece;
        if (piece == 0) {
            break;
        }
    }
    stream->credit -= accepted;
    stream->finished = ends;
    stream->wants_writable = accepted < size;
    *ret_accepted = accepted;
    return 0;
}

static inline void memory_consume(struct link_stream *link_stream, size_t size) {
    struct memory_item *item =
        size > 0 ? memory_send(memory_of_stream(link_stream), ITEM_CREDIT) : NULL;
    if (item != NULL) {
        item->size = size;
    }
}

static inline void memory_reset(struct link_stream *link_stream, uint64_t code) {
    struct memory_stream *stream = memory_of_stream(link_stream);
    stream->discards = true;
    if (!stream->finished) {
        stream->finished = true;
        struct memory_item *item = memory_send(stream, ITEM_RESET);
        if (item != NULL) {
            item->code = code;
        }
    }
    if (!stream->receive_over) {
        struct memory_item *item = memory_send(stream, ITEM_STOP);
        if (item != NULL) {
            item->code = code;
        }
    }
}

/* --- events ----------------------------------------------------------------------------------- */

static inline bool memory_take_link(struct memory_link *link, const struct memory_item *item,
                                    struct link_event *ret_event) {
    struct memory_transport *transport = link->transport;
    if (item->kind == ITEM_CONNECTED) {
        link->announced = true;
        ret_event->type = LINK_CONNECTED;
        ret_event->peer_id = link->far_id;
        ret_event->key = &link->far_key;
        ret_event->remote = link->remote;
        return true;
    }
    link->closed = true;
    transport->gone = link;
    ret_event->type = LINK_CLOSED;
    ret_event->error = item->error;
    ret_event->code = item->code;
    ret_event->data = bytes_of_string(item->reason != NULL ? item->reason : "");
    /* A dial that was given up before the accepting side heard of it. */
    return link->announced || !link->link.inbound;
}

static inline bool memory_take_stream(struct memory_stream *stream, struct memory_item *item,
                                      struct link_event *ret_event) {
    struct memory_transport *transport = stream->link->transport;
    bool shown = !stream->discards;
    struct memory_item *reply = NULL;
    switch (item->kind) {
    case ITEM_DATA:
        ret_event->type = LINK_STREAM_DATA;
        ret_event->fin = item->fin;
        if (item->block != NULL) {
            ret_event->data = bytes_of(item->block->data + item->offset, item->size);
            transport->shown = block_ref(item->block);
        }
        stream->receive_over = stream->receive_over || item->fin;
        if (item->fin) {
            (void)memory_send(stream, ITEM_SEND_END);
        }
        break;
    case ITEM_CREDIT:
        stream->credit += item->size;
        ret_event->type = LINK_STREAM_WRITABLE;
        shown = shown && stream->wants_writable && !stream->finished;
        stream->wants_writable = stream->wants_writable && !shown;
        break;
    case ITEM_RESET:
        ret_event->type = LINK_STREAM_RESET;
        ret_event->code = item->code;
        stream->receive_over = true;
        (void)memory_send(stream, ITEM_SEND_END);
        break;
    case ITEM_STOP:
        ret_event->type = LINK_STREAM_STOPPED;
        ret_event->code = item->code;
        shown = shown && !stream->send_over;
        if (!stream->finished) {
            stream->finished = true;
            reply = memory_send(stream, ITEM_RESET);
        }
        if (reply != NULL) {
            reply->code = item->code;
        }
        break;
    case ITEM_SEND_END:
        stream->send_over = true;
        shown = false;
        break;
    case ITEM_CLOSED:
        ret_event->type = LINK_STREAM_CLOSED;
        transport->closed = stream;
        return true;
    case ITEM_CONNECTED:
    case ITEM_CLOSE:
        break;
    }
    memory_check_over(stream);
    return shown;
}

static inline bool memory_next_event(struct transport *base, struct link_event *ret_event) {
    struct memory_transport *transport = memory_of(base);
    for (;;) {
        memory_reap(transport);
        struct list_node *node = list_first(&transport->items);
        struct memory_item *item = LIST_ENTRY(node, struct memory_item, node);
        if (item == NULL || item->at > *transport->net->now) {
            return false;
        }
        struct link_event event = {.type = LINK_CLOSED, .link = &item->link->link};
        struct memory_stream *stream = item->stream;
        if (stream != NULL && !stream->announced) {
            stream->announced = true;
            event.type = LINK_STREAM_OPENED;
            event.stream = &stream->stream;
            *ret_event = event;
            return true; /* the item itself comes next */
        }
        bool shown = false;
        if (stream == NULL) {
            shown = memory_take_link(item->link, item, &event);
        } else {
            event.stream = &stream->stream;
            shown = memory_take_stream(stream, item, &event);
        }
        memory_item_free(transport, item);
        if (shown) {
            *ret_event = event;
            return true;
        }
    }
}

static inline nanos memory_deadline(const struct transport *transport) {
    const struct memory_transport *memory =
        CONTAINER_OF(transport, const struct memory_transport, transport);
    struct list_node *node = list_first(&memory->items);
    return node != NULL ? CONTAINER_OF(node, struct memory_item, node)->at : NANOS_NEVER;
}

static inline void memory_expire(struct transport *transport, nanos now) {
    (void)transport;
    (void)now;
}

static inline const struct transport_verbs *memory_verbs(void) {
    static const struct transport_verbs verbs = {
        .dials = memory_dials,
        .dial = memory_dial,
        .punch = memory_punch,
        .next_event = memory_next_event,
        .deadline = memory_deadline,
        .expire = memory_expire,
        .close = memory_close,
        .keep_alive = memory_keep_alive,
        .open = memory_open,
        .write = memory_write,
        .consume = memory_consume,
        .reset = memory_reset,
    };
    return &verbs;
}

/* --- life ------------------------------------------------------------------------------------- */

static inline void memory_net_init(struct memory_net *net, const nanos *now, nanos delay) {
    *net = (struct memory_net){.now = now,
                               .delay = delay,
                               .piece_max = SIZE_MAX,
                               .window = (size_t)256 * 1024,
                               .streams_max = 256};
    list_init(&net->transports);
}

/* A place on the net; `id` and `key` are what others see of it. */
static inline struct memory_transport *memory_transport_new(struct memory_net *net,
                                                            const struct multiaddr *address,
                                                            const struct peer_id *id,
                                                            const struct public_key *key) {
    struct memory_transport *transport = memory_alloc(sizeof(*transport));
    transport->transport.verbs = memory_verbs();
    transport->net = net;
    transport->address = *address;
    transport->id = *id;
    transport->key = *key;
    list_init(&transport->links);
    list_init(&transport->items);
    list_append(&net->transports, &transport->node);
    return transport;
}

/* Vanishes without a word: the other ends are closed as by their idle time-out. */
static inline void memory_transport_free(struct memory_transport *transport) {
    memory_reap(transport);
    struct list_node *node;
    while ((node = list_first(&transport->links)) != NULL) {
        struct memory_link *link = CONTAINER_OF(node, struct memory_link, node);
        struct memory_link *far = link->far;
        if (far != NULL && !far->closed) {
            far->closed = true;
            memory_forget(far, NULL);
            memory_post(far, NULL, ITEM_CLOSE, *transport->net->now)->error = PLASM_TIMEOUT;
        }
        memory_link_free(link);
    }
    ENSURE(list_empty(&transport->items));
    list_remove(&transport->net->transports, &transport->node);
    free(transport);
}

#endif
