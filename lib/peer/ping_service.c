/* The peer's side of ping: echoing for others, measuring for the application. */
#include "peer/internal.h"

#include "util/ensure.h"

/* An echo stream that says nothing for this long is closed. */
#define PING_IDLE_TIMEOUT NANOS_MINUTE
#define PING_TIMEOUT      (10 * NANOS_SECOND)
/* After the answer the other side has this long to end its direction. */
#define PING_LINGER_TIMEOUT (2 * NANOS_SECOND)

#define PING_RETRIES_MAX 3
#define PING_RETRY_PAUSE (20 * NANOS_MILLISECOND)

/* A measuring stream lives for one ping: some peers answer only the first one promptly. It ends by
 * FIN: others allow only two such streams and take a while to notice a reset. */
static struct ping_client *client_of(struct peer_stream *stream) {
    return stream->user;
}

static void client_free(struct peer_stream *stream) {
    memory_put(stream->peer->memory, stream->user, sizeof(struct ping_client));
    stream->user = NULL;
}

/* Sends the ping of a stream whose time has come. */
static int send_ping(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct bytes payload;
    int error = ping_client_send(client_of(stream), &peer->random, peer->now, &payload);
    ENSURE(error == 0);
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, PING_TIMEOUT));
    return stream_send(stream, payload, false);
}

/* Opens a stream for `client`, which it owns on success; nothing is sent yet. */
static int open_ping(struct peer_connection *connection, struct ping_client *client,
                     uint64_t request, struct peer_stream **ret_stream) {
    int error = stream_open(connection, SERVICE_PING, PING_PROTOCOL, ret_stream);
    if (error == 0) {
        (*ret_stream)->user = client;
        (*ret_stream)->request = request;
    }
    return error;
}

int peer_ping(struct peer *peer, struct peer_connection *connection, nanos now,
              uint64_t *ret_request) {
    peer->now = now;
    struct ping_client *client = memory_zero(peer->memory, sizeof(*client));
    if (client == NULL) {
        return PLASM_NO_MEMORY;
    }
    struct peer_stream *stream;
    uint64_t request = peer_request(peer);
    int error = open_ping(connection, client, request, &stream);
    if (error != 0) {
        memory_put(peer->memory, client, sizeof(*client));
        return error;
    }
    *ret_request = request;
    error = send_ping(stream);
    if (error != 0) {
        client_free(stream);
        stream_abort(stream, 0);
    }
    return error;
}

/* The other side has too many ping streams: it has not noticed yet that the ones before are over.
 * Tries again a little later. */
static bool ping_again(struct peer_stream *stream) {
    struct ping_client *client = client_of(stream);
    struct peer_connection *connection = stream->connection;
    struct peer_stream *next;
    if (connection->ended || stream->parts == PING_RETRIES_MAX ||
        open_ping(connection, client, stream->request, &next) != 0) {
        return false;
    }
    memset(client, 0, sizeof(*client));
    next->parts = stream->parts + 1;
    stream->user = NULL;
    nanos pause = (nanos)(next->parts * PING_RETRY_PAUSE);
    peer_timer_set(stream->peer, &next->timer, nanos_add(stream->peer->now, pause));
    return true;
}

bool ping_expire(struct peer_stream *stream) {
    if (stream->inbound || stream->user == NULL || client_of(stream)->waiting) {
        return false;
    }
    int error = send_ping(stream);
    if (error != 0) {
        ping_ended(stream, error);
        stream_abort(stream, 0);
    }
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

void ping_data(struct peer_stream *stream, struct bytes data, bool fin) {
    if (stream->inbound) {
        answer(stream, data, fin);
        return;
    }
    if (stream->user == NULL) {
        return; /* answered already */
    }
    bool done = false;
    nanos rtt = 0;
    int error = ping_client_receive(client_of(stream), data, stream->peer->now, &done, &rtt);
    if (error == 0 && !done && fin) {
        error = PLASM_TRUNCATED;
    }
    if (error == 0 && !done) {
        return;
    }
    emit_pong(stream, error, rtt);
    client_free(stream);
    if (error == 0) {
        stream_finish(stream, nanos_add(stream->peer->now, PING_LINGER_TIMEOUT));
    } else {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

void ping_ended(struct peer_stream *stream, int error) {
    if (stream->inbound) {
        memory_put(stream->peer->memory, stream->user, sizeof(struct ping_server));
        stream->user = NULL;
    } else if (stream->user != NULL && !(error == PLASM_RESET && ping_again(stream))) {
        emit_pong(stream, error != 0 ? error : PLASM_CLOSED, 0);
        client_free(stream);
    }
}
