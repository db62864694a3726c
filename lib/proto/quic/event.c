/* Events on their way to the caller, and the room for the bytes they show. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

#define EVENTS_MIN 64

static struct queued_event *event_at(const struct quic_endpoint *endpoint, size_t i) {
    return &endpoint->events[(endpoint->event_first + i) & (endpoint->event_capacity - 1)];
}

static int grow(struct quic_endpoint *endpoint) {
    size_t capacity = endpoint->event_capacity > 0 ? 2 * endpoint->event_capacity : EVENTS_MIN;
    if (capacity > QUIC_EVENTS_MAX) {
        return PLASM_LIMIT;
    }
    struct queued_event *events = memory_get(endpoint->memory, capacity * sizeof(*events));
    if (events == NULL) {
        return PLASM_NO_MEMORY;
    }
    for (size_t i = 0; i < endpoint->event_count; i++) {
        events[i] = *event_at(endpoint, i);
    }
    memory_put(endpoint->memory, endpoint->events, endpoint->event_capacity * sizeof(*events));
    endpoint->events = events;
    endpoint->event_capacity = capacity;
    endpoint->event_first = 0;
    return 0;
}

int event_push(struct quic_endpoint *endpoint, const struct queued_event *event) {
    if (endpoint->event_count == endpoint->event_capacity) {
        int error = grow(endpoint);
        if (error != 0) {
            return error;
        }
    }
    *event_at(endpoint, endpoint->event_count) = *event;
    endpoint->event_count++;
    return 0;
}

/* Puts the bytes behind those of the last event, when they are of the same stream. */
static bool join_data(struct quic_stream *stream, struct bytes data, bool fin) {
    struct quic_endpoint *endpoint = stream->conn->endpoint;
    if (endpoint->event_count == 0) {
        return false;
    }
    struct queued_event *last = event_at(endpoint, endpoint->event_count - 1);
    if (last->type != QUIC_STREAM_DATA || last->stream != stream || last->block != NULL ||
        last->fin || data.size > QUIC_ARENA_SIZE - endpoint->arena_used ||
        (last->data.size > 0 &&
         last->data.data + last->data.size != endpoint->arena + endpoint->arena_used)) {
        return false;
    }
    if (data.size > 0) {
        uint8_t *room = endpoint->arena + endpoint->arena_used;
        memcpy(room, data.data, data.size);
        endpoint->arena_used += data.size;
        last->data.data = last->data.size > 0 ? last->data.data : room;
        last->data.size += data.size;
    }
    last->fin = fin;
    return true;
}

int event_push_data(struct quic_stream *stream, struct bytes data, bool fin) {
    struct quic_endpoint *endpoint = stream->conn->endpoint;
    if (join_data(stream, data, fin)) {
        return 0;
    }
    struct queued_event event = {
        .type = QUIC_STREAM_DATA, .conn = stream->conn, .stream = stream, .fin = fin};
    size_t arena_used = endpoint->arena_used;
    if (data.size > QUIC_ARENA_SIZE - arena_used) {
        /* Much at once: a gap was filled, and what came before is let go. */
        event.block = block_copy(endpoint->memory, data);
        if (event.block == NULL) {
            return PLASM_NO_MEMORY;
        }
        event.data = block_bytes(event.block);
    } else if (data.size > 0) {
        memcpy(endpoint->arena + arena_used, data.data, data.size);
        event.data = bytes_of(endpoint->arena + arena_used, data.size);
        endpoint->arena_used += data.size;
    }
    int error = event_push(endpoint, &event);
    if (error != 0) {
        block_unref(event.block);
    }
    return error;
}

void events_done(struct quic_endpoint *endpoint) {
    for (size_t i = 0; i < endpoint->event_count; i++) {
        block_unref(event_at(endpoint, i)->block);
    }
    memory_put(endpoint->memory, endpoint->events,
               endpoint->event_capacity * sizeof(*endpoint->events));
    endpoint->events = NULL;
    endpoint->event_capacity = 0;
    endpoint->event_count = 0;
}

void events_forget(struct quic_endpoint *endpoint, const struct quic_conn *conn) {
    for (size_t i = 0; i < endpoint->event_count; i++) {
        struct queued_event *event = event_at(endpoint, i);
        event->conn = event->conn == conn ? NULL : event->conn;
    }
}

/* True when the caller has no use for it any more: it ended the stream or the connection since. */
static bool is_stale(const struct queued_event *event) {
    if (event->conn == NULL || event->conn->state >= CONN_CLOSED) {
        return true;
    }
    return event->type == QUIC_STREAM_DATA && event->stream->muted;
}

/* Takes the oldest event that still matters. */
static bool take_queued(struct quic_endpoint *endpoint, struct queued_event *ret_event) {
    while (endpoint->event_count > 0) {
        struct queued_event event = *event_at(endpoint, 0);
        endpoint->event_first = (endpoint->event_first + 1) & (endpoint->event_capacity - 1);
        endpoint->event_count--;
        if (is_stale(&event)) {
            if (event.conn != NULL && event.conn->state < CONN_CLOSED) {
                quic_stream_consume(event.stream, event.data.size);
            }
            block_unref(event.block);
            continue;
        }
        *ret_event = event;
        return true;
    }
    return false;
}

static void give_queued(struct quic_endpoint *endpoint, const struct queued_event *queued,
                        struct quic_event *ret_event) {
    *ret_event = (struct quic_event){.type = queued->type,
                                     .conn = queued->conn,
                                     .stream = queued->stream,
                                     .code = queued->code,
                                     .fin = queued->fin,
                                     .data = queued->data,
                                     .text = ""};
    endpoint->taken_block = queued->block;
    if (queued->type == QUIC_CONNECTED) {
        queued->conn->reported = true;
        ret_event->identity = queued->conn->identity;
        endpoint->taken_identity = queued->conn->identity;
        queued->conn->identity = NULL;
    }
    if (queued->type == QUIC_STREAM_CLOSED) {
        list_remove(&queued->conn->streams, &queued->stream->node);
        list_append(&endpoint->dead_streams, &queued->stream->node);
    }
}

/* QUIC_CLOSED of a connection comes after all that was queued before. */
static bool give_closed(struct quic_endpoint *endpoint, struct quic_event *ret_event) {
    struct quic_conn *conn = LIST_ENTRY(list_first(&endpoint->closed), struct quic_conn, node);
    if (conn == NULL) {
        return false;
    }
    *ret_event = (struct quic_event){.type = QUIC_CLOSED,
                                     .conn = conn,
                                     .error = conn->close_error,
                                     .code = conn->close_code,
                                     .is_application = conn->close_is_application,
                                     .by_peer = conn->close_by_peer,
                                     .text = conn->text};
    endpoint->dead_conn = conn;
    list_remove(&endpoint->closed, &conn->node);
    return true;
}

bool quic_next_event(struct quic_endpoint *endpoint, struct quic_event *ret_event) {
    endpoint_reap(endpoint);
    struct queued_event queued;
    if (take_queued(endpoint, &queued)) {
        give_queued(endpoint, &queued, ret_event);
        return true;
    }
    endpoint->arena_used = 0;
    return give_closed(endpoint, ret_event);
}
