/* Streams: what the caller does with them, and what it is told. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

int stream_new(struct quic_conn *conn, int64_t id, struct quic_stream **ret_stream) {
    struct memory *memory = conn->endpoint->memory;
    struct quic_stream *stream = memory_zero(memory, sizeof(*stream));
    if (stream == NULL) {
        return PLASM_NO_MEMORY;
    }
    stream->conn = conn;
    stream->id = id;
    send_queue_init(&stream->queue, memory);
    list_append(&conn->streams, &stream->node);
    *ret_stream = stream;
    return 0;
}

/* The caller has taken it out of the list it was in. */
void stream_free(struct quic_stream *stream) {
    send_queue_done(&stream->queue);
    memory_put(stream->conn->endpoint->memory, stream, sizeof(*stream));
}

void stream_offer(struct quic_stream *stream) {
    bool wants = stream->queue.unsent > 0 || (stream->fin && !stream->fin_sent);
    if (wants && !stream->blocked && !stream->shut && !list_linked(&stream->sendable)) {
        list_append(&stream->conn->sendable, &stream->sendable);
    }
}

void stream_withdraw(struct quic_stream *stream) {
    if (list_linked(&stream->sendable)) {
        list_remove(&stream->conn->sendable, &stream->sendable);
    }
}

static void push(struct quic_stream *stream, enum quic_event_type type, uint64_t code) {
    struct queued_event event = {
        .type = type, .conn = stream->conn, .stream = stream, .code = code};
    int error = event_push(stream->conn->endpoint, &event);
    if (error != 0) {
        conn_break(stream->conn, error);
    }
}

/* How many more bytes may be queued. */
static size_t room_of(const struct quic_stream *stream) {
    const struct quic_limits *limits = &stream->conn->endpoint->config.limits;
    const struct send_queue *queue = &stream->queue;
    if (queue->unsent >= limits->unsent_bytes_max ||
        queue->unacked >= limits->unacknowledged_bytes_max ||
        queue->count >= SEND_QUEUE_SEGMENTS_MAX) {
        return 0;
    }
    size_t unsent = limits->unsent_bytes_max - queue->unsent;
    size_t unacked = limits->unacknowledged_bytes_max - queue->unacked;
    return unsent < unacked ? unsent : unacked;
}

void stream_check_writable(struct quic_stream *stream) {
    const struct quic_limits *limits = &stream->conn->endpoint->config.limits;
    if (stream->want_writable && !stream->shut &&
        stream->queue.unsent <= limits->unsent_bytes_low && room_of(stream) > 0) {
        stream->want_writable = false;
        push(stream, QUIC_STREAM_WRITABLE, 0);
    }
}

void stream_sent(struct quic_stream *stream, size_t size, bool fin) {
    send_queue_sent(&stream->queue, size);
    stream->fin_sent = stream->fin_sent || fin;
    if (stream->queue.unsent == 0 && (!stream->fin || stream->fin_sent)) {
        stream_withdraw(stream);
    }
    stream_check_writable(stream);
}

void stream_stopped(struct quic_stream *stream, uint64_t code) {
    if (stream->closed || stream->shut || (stream->fin_sent && stream->queue.unacked == 0)) {
        return; /* everything was received anyway, or this is known */
    }
    stream->shut = true;
    stream_withdraw(stream);
    send_queue_drop_unsent(&stream->queue);
    push(stream, QUIC_STREAM_STOPPED, code);
}

/* Everything received counts as consumed: the connection's other streams need the credit. */
static void consume_all(struct quic_stream *stream) {
    uint64_t left = stream->received - stream->consumed;
    stream->consumed = stream->received;
    if (left > 0 && stream->conn->ngtcp2 != NULL) {
        ngtcp2_conn_extend_max_offset(stream->conn->ngtcp2, left);
        conn_ready(stream->conn);
    }
}

void stream_closed(struct quic_stream *stream) {
    stream->closed = true;
    stream->shut = true;
    stream_withdraw(stream);
    consume_all(stream);
    send_queue_done(&stream->queue); /* ngtcp2 sends nothing of it again */
    push(stream, QUIC_STREAM_CLOSED, 0);
}

int quic_stream_open(struct quic_conn *conn, struct quic_stream **ret_stream) {
    if (conn->ngtcp2 == NULL) {
        return PLASM_CLOSED;
    }
    if (conn->state != CONN_OPEN) {
        return PLASM_STATE;
    }
    if (ngtcp2_conn_get_streams_bidi_left(conn->ngtcp2) == 0) {
        conn->want_streams = true;
        return PLASM_LIMIT;
    }
    struct quic_stream *stream;
    int error = stream_new(conn, -1, &stream);
    if (error != 0) {
        return error;
    }
    if (ngtcp2_conn_open_bidi_stream(conn->ngtcp2, &stream->id, stream) != 0) {
        list_remove(&conn->streams, &stream->node);
        stream_free(stream);
        return PLASM_NO_MEMORY;
    }
    *ret_stream = stream;
    return 0;
}

int quic_stream_write(struct quic_stream *stream, struct block *block, size_t offset, size_t size,
                      bool fin, size_t *ret_accepted) {
    struct quic_conn *conn = stream->conn;
    if (conn->ngtcp2 == NULL || stream->shut || stream->fin) {
        return PLASM_CLOSED;
    }
    size_t room = room_of(stream);
    size_t accepted = size < room ? size : room;
    if (accepted > 0) {
        int error = send_queue_push(&stream->queue, block, offset, accepted);
        if (error != 0) {
            return error;
        }
    }
    stream->fin = fin && accepted == size;
    stream->want_writable = accepted < size;
    stream_offer(stream);
    conn_ready(conn);
    *ret_accepted = accepted;
    return 0;
}

void quic_stream_consume(struct quic_stream *stream, size_t size) {
    ngtcp2_conn *conn = stream->conn->ngtcp2;
    uint64_t left = stream->received - stream->consumed;
    uint64_t amount = size < left ? size : left;
    if (conn == NULL || amount == 0) {
        return;
    }
    stream->consumed += amount;
    if (ngtcp2_conn_extend_max_stream_offset(conn, stream->id, amount) != 0) {
        conn_break(stream->conn, PLASM_NO_MEMORY);
    }
    ngtcp2_conn_extend_max_offset(conn, amount);
    conn_ready(stream->conn);
}

void quic_stream_reset(struct quic_stream *stream, uint64_t code) {
    struct quic_conn *conn = stream->conn;
    if (conn->ngtcp2 == NULL || stream->shut) {
        return;
    }
    stream->shut = true;
    stream_withdraw(stream);
    /* Sent bytes stay: ngtcp2 may still look at them until it knows the reset has arrived. */
    send_queue_drop_unsent(&stream->queue);
    if (compat_reset_stream(conn->ngtcp2, stream->id, code) != 0) {
        conn_break(conn, PLASM_NO_MEMORY);
    }
    conn_ready(conn);
}

void quic_stream_stop(struct quic_stream *stream, uint64_t code) {
    struct quic_conn *conn = stream->conn;
    if (conn->ngtcp2 == NULL || stream->closed || stream->muted) {
        return;
    }
    stream->muted = true;
    consume_all(stream);
    if (compat_stop_stream(conn->ngtcp2, stream->id, code) != 0) {
        conn_break(conn, PLASM_NO_MEMORY);
    }
    conn_ready(conn);
}

size_t quic_stream_unacknowledged(const struct quic_stream *stream) {
    return stream->queue.unacked;
}

void **quic_stream_user(struct quic_stream *stream) {
    return &stream->user;
}

struct quic_conn *quic_stream_conn(const struct quic_stream *stream) {
    return stream->conn;
}
