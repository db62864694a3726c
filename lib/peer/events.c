/* The events that wait for the application: a queue, and what must not be lost when there is no
 * memory for it. */
#include "peer/internal.h"

#define EVENTS_CAPACITY_MIN 16

static struct queued_event *event_at(const struct peer *peer, size_t i) {
    return &peer->events[(peer->event_start + i) % peer->event_capacity];
}

static bool events_grow(struct peer *peer) {
    size_t capacity = peer->event_capacity > 0 ? 2 * peer->event_capacity : EVENTS_CAPACITY_MIN;
    struct queued_event *events = memory_get(peer->memory, capacity * sizeof(struct queued_event));
    if (events == NULL) {
        return false;
    }
    for (size_t i = 0; i < peer->event_count; i++) {
        events[i] = *event_at(peer, i);
    }
    memory_put(peer->memory, peer->events, peer->event_capacity * sizeof(struct queued_event));
    peer->events = events;
    peer->event_capacity = capacity;
    peer->event_start = 0;
    return true;
}

bool peer_emit(struct peer *peer, const struct peer_event *event) {
    if (bootstrap_event(peer, event)) {
        return true;
    }
    struct block *payload = NULL;
    if (event->data.size > 0) {
        payload = block_copy(peer->memory, event->data);
    }
    if ((event->data.size > 0 && payload == NULL) ||
        (peer->event_count == peer->event_capacity && !events_grow(peer))) {
        block_unref(payload);
        log_event(peer->log, LOG_LEVEL_ERROR, "peer", "out of memory: an event is lost");
        return false;
    }
    peer->event_count++;
    *event_at(peer, peer->event_count - 1) =
        (struct queued_event){.event = *event, .payload = payload};
    return true;
}

/* The ends of streams and connections that found no place in the queue. */
static bool take_unreported(struct peer *peer, struct peer_event *ret_event) {
    for (struct list_node *node = list_first(&peer->ended_streams); node != NULL;
         node = list_next(&peer->ended_streams, node)) {
        struct peer_stream *stream = CONTAINER_OF(node, struct peer_stream, node);
        if (stream->unreported) {
            stream->unreported = false;
            *ret_event = (struct peer_event){
                .type = PEER_EVENT_STREAM_CLOSED, .stream = stream, .error = stream->end_error};
            return true;
        }
    }
    for (struct list_node *node = list_first(&peer->ended_connections); node != NULL;
         node = list_next(&peer->ended_connections, node)) {
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, node);
        if (connection->unreported) {
            connection->unreported = false;
            *ret_event = (struct peer_event){.type = PEER_EVENT_DISCONNECTED,
                                             .connection = connection,
                                             .peer_id = connection->known->id,
                                             .error = connection->end_error};
            return true;
        }
    }
    return false;
}

bool events_take(struct peer *peer, struct peer_event *ret_event) {
    if (peer->event_count == 0) {
        return take_unreported(peer, ret_event);
    }
    struct queued_event *queued = event_at(peer, 0);
    *ret_event = queued->event;
    if (queued->payload != NULL) {
        ret_event->data = block_bytes(queued->payload);
        peer->taken = queued->payload;
    }
    peer->event_start = (peer->event_start + 1) % peer->event_capacity;
    peer->event_count--;
    return true;
}

/* Keeps the events for which `unwanted` is false, in their order. */
static void forget(struct peer *peer, bool (*unwanted)(const struct peer_event *, const void *),
                   const void *what) {
    size_t kept = 0;
    for (size_t i = 0; i < peer->event_count; i++) {
        struct queued_event *queued = event_at(peer, i);
        if (unwanted(&queued->event, what)) {
            block_unref(queued->payload);
        } else {
            *event_at(peer, kept++) = *queued;
        }
    }
    peer->event_count = kept;
}

static bool is_of_stream(const struct peer_event *event, const void *stream) {
    return event->stream == stream;
}

static bool is_of_request(const struct peer_event *event, const void *request) {
    return event->request == *(const uint64_t *)request;
}

static bool is_any(const struct peer_event *event, const void *nothing) {
    (void)event;
    (void)nothing;
    return true;
}

void events_forget_stream(struct peer *peer, const struct peer_stream *stream) {
    forget(peer, is_of_stream, stream);
}

void events_forget_request(struct peer *peer, uint64_t request) {
    forget(peer, is_of_request, &request);
}

void events_drop(struct peer *peer) {
    forget(peer, is_any, NULL);
}

bool events_name_stream(const struct peer *peer, const struct peer_stream *stream) {
    for (size_t i = 0; i < peer->event_count; i++) {
        if (event_at(peer, i)->event.stream == stream) {
            return true;
        }
    }
    return stream->unreported;
}

bool events_name_connection(const struct peer *peer, const struct peer_connection *connection) {
    for (size_t i = 0; i < peer->event_count; i++) {
        if (event_at(peer, i)->event.connection == connection) {
            return true;
        }
    }
    return connection->unreported;
}
