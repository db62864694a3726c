/* The peer's side of ping: echoing for others, measuring for the application. */
#include "peer/internal.h"

#include "util/ensure.h"

/* An echo stream that says nothing for this long is closed. */
#define PING_IDLE_TIMEOUT NANOS_MINUTE
#define PING_TIMEOUT      (10 * NANOS_SECOND)
/* After the answer the other side has this long to end its direction. */
#define PING_LINGER_TIMEOUT (2 * NANOS_SECOND)

/* A measuring stream is kept for the next ping: go allows it 10 seconds without one. */
#define PING_KEEP_TIMEOUT (8 * NANOS_SECOND)
/* rust-libp2p answers only the first few pings on a stream promptly: where a kept one is silent
 * for so long, a new one is asked, and from then on each ping of the connection has its own. */
#define PING_PATIENCE    (NANOS_SECOND / 2)
#define PING_RETRIES_MAX 3
#define PING_RETRY_PAUSE (20 * NANOS_MILLISECOND)

/* One ping on its way, or the last one's remains on a stream that is kept. Streams end by FIN:
 * others allow only two of them and take a while to notice a reset. */
struct ping {
    struct ping_client client;
    bool kept;       /* its stream carried one before */
    unsigned resets; /* by the other side, so far */
};

static struct ping *ping_of(struct peer_stream *stream) {
    return stream->user;
}

static void ping_free(struct peer_stream *stream) {
    memory_put(stream->peer->memory, stream->user, sizeof(struct ping));
    stream->user = NULL;
    if (stream->connection->ping_stream == stream) {
        stream->connection->ping_stream = NULL;
    }
}

/* Sends the ping of a stream whose time has come. */
static int send_ping(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct ping *ping = ping_of(stream);
    struct bytes payload;
    int error = ping_client_send(&ping->client, &peer->random, peer->now, &payload);
    ENSURE(error == 0);
    peer_timer_set(peer, &stream->timer,
                   nanos_add(peer->now, ping->kept ? PING_PATIENCE : PING_TIMEOUT));
    return stream_send(stream, payload, false);
}

/* Opens a stream for `ping`, which it owns on success; nothing is sent yet. */
static int open_ping(struct peer_connection *connection, struct ping *ping, uint64_t request,
                     struct peer_stream **ret_stream) {
    int error = stream_open(connection, SERVICE_PING, PING_PROTOCOL, ret_stream);
    if (error == 0) {
        (*ret_stream)->user = ping;
        (*ret_stream)->request = request;
    }
    return error;
}

static int new_ping(struct peer_connection *connection, uint64_t request,
                    struct peer_stream **ret_stream) {
    struct memory *memory = connection->peer->memory;
    struct ping *ping = memory_zero(memory, sizeof(*ping));
    if (ping == NULL) {
        return PLASM_NO_MEMORY;
    }
    int error = open_ping(connection, ping, request, ret_stream);
    if (error != 0) {
        memory_put(memory, ping, sizeof(*ping));
    }
    return error;
}

int peer_ping(struct peer *peer, struct peer_connection *connection, nanos now,
              uint64_t *ret_request) {
    peer->now = now;
    struct peer_stream *stream = connection->ping_stream;
    uint64_t request = peer_request(peer);
    if (stream != NULL) {
        connection->ping_stream = NULL;
        stream->request = request;
    } else {
        int error = new_ping(connection, request, &stream);
        if (error != 0) {
            return error;
        }
    }
    *ret_request = request;
    int error = send_ping(stream);
    if (error != 0) {
        ping_free(stream);
        stream_abort(stream, 0);
    }
    return error;
}

/* Hands the ping over to a new stream, to be sent after `pause`. */
static bool ping_again(struct peer_stream *stream, nanos pause) {
    struct ping *ping = ping_of(stream);
    struct peer_stream *next;
    if (stream->connection->ended ||
        open_ping(stream->connection, ping, stream->request, &next) != 0) {
        return false;
    }
    ping->client = (struct ping_client){.waiting = false};
    ping->kept = false;
    stream->user = NULL;
    peer_timer_set(stream->peer, &next->timer, nanos_add(stream->peer->now, pause));
    return true;
}

/* A kept stream may have been closed meanwhile. And the other side may have too many ping streams,
 * having not noticed yet that the ones before are over. */
static bool survives_reset(struct peer_stream *stream) {
    struct ping *ping = ping_of(stream);
    if (!ping->client.waiting || ping->resets == PING_RETRIES_MAX) {
        return false;
    }
    ping->resets++;
    return ping_again(stream, ping->kept ? 0 : (nanos)ping->resets * PING_RETRY_PAUSE);
}

bool ping_expire(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct ping *ping = ping_of(stream);
    if (stream->inbound || ping == NULL) {
        return false;
    }
    if (stream->connection->ping_stream == stream) { /* nobody asked for one more */
        ping_free(stream);
        stream_finish(stream, nanos_add(peer->now, PING_LINGER_TIMEOUT));
        return true;
    }
    if (!ping->client.waiting) {
        int error = send_ping(stream);
        if (error != 0) {
            ping_ended(stream, error);
            stream_abort(stream, 0);
        }
        return true;
    }
    if (!ping->kept || !ping_again(stream, 0)) {
        return false;
    }
    stream->connection->pings_apart = true;
    stream_finish(stream, nanos_add(peer->now, PING_LINGER_TIMEOUT));
    return true;
}

static void answer(struct peer_stream *stream, struct bytes data, bool fin) {
    struct ping_server *server = stream->user;
    struct peer *peer = stream->peer;
    if (server == NULL) {
        server = memory_zero(peer->memory, sizeof(*server));
        stream->user = server;
    }
    int error = server == NULL ? PLASM_NO_MEMORY : 0;
    while (error == 0 && data.size > 0) {
        size_t consumed;
        if (ping_server_receive(server, data, &consumed)) {
            error = stream_send(stream, BYTES_ARRAY(server->bytes), false);
        }
        data = bytes_slice(data, consumed, data.size);
    }
    if (error == 0 && fin) {
        error = stream_send(stream, bytes_of(NULL, 0), true);
    }
    if (error != 0) {
        ping_ended(stream, error);
        stream_abort(stream, PEER_RESET_PROTOCOL);
        return;
    }
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, PING_IDLE_TIMEOUT));
}

static void emit_pong(struct peer_stream *stream, int error, nanos rtt) {
    struct peer_event event = {
        .type = PEER_EVENT_PONG, .request = stream->request, .error = error, .elapsed = rtt};
    (void)peer_emit(stream->peer, &event);
}

static void take_answer(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    struct ping *ping = ping_of(stream);
    bool done = false;
    nanos rtt = 0;
    int error = ping_client_receive(&ping->client, data, peer->now, &done, &rtt);
    if (error == 0 && !done && fin) {
        error = PLASM_TRUNCATED;
    }
    if (error == 0 && !done) {
        return;
    }
    emit_pong(stream, error, rtt);
    struct peer_connection *connection = stream->connection;
    if (error == 0 && !fin && !connection->pings_apart && connection->ping_stream == NULL) {
        ping->kept = true;
        ping->resets = 0;
        connection->ping_stream = stream;
        peer_timer_set(peer, &stream->timer, nanos_add(peer->now, PING_KEEP_TIMEOUT));
        return;
    }
    ping_free(stream);
    if (error == 0) {
        stream_finish(stream, nanos_add(peer->now, PING_LINGER_TIMEOUT));
    } else {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

void ping_data(struct peer_stream *stream, struct bytes data, bool fin) {
    if (stream->inbound) {
        answer(stream, data, fin);
    } else if (stream->user == NULL) {
        return; /* answered already */
    } else if (stream->connection->ping_stream != stream) {
        take_answer(stream, data, fin);
    } else if (data.size > 0 || fin) { /* the other side will have no more of them */
        ping_free(stream);
        stream_finish(stream, nanos_add(stream->peer->now, PING_LINGER_TIMEOUT));
    }
}

void ping_ended(struct peer_stream *stream, int error) {
    if (stream->inbound) {
        memory_put(stream->peer->memory, stream->user, sizeof(struct ping_server));
        stream->user = NULL;
        return;
    }
    if (stream->user == NULL || (error == PLASM_RESET && survives_reset(stream))) {
        return;
    }
    if (stream->connection->ping_stream != stream) {
        emit_pong(stream, error != 0 ? error : PLASM_CLOSED, 0);
    }
    ping_free(stream);
}
