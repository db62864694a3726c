/* The peer's side of perf: swallowing and sending bytes for others, measuring for the application.
 * What is sent is one block of zeros, again and again. */
#include "peer/internal.h"

#include "proto/perf/perf.h"
#include "util/ensure.h"

/* A stream on which nothing moves for this long is closed. */
#define PERF_IDLE_TIMEOUT (20 * NANOS_SECOND)
#define PERF_BLOCK_SIZE   ((size_t)256 * 1024)

struct perf {
    bool asks;
    struct perf_server server;
    struct perf_client client;
};

static struct perf *perf_of(struct peer_stream *stream) {
    return stream->user;
}

static void perf_free(struct peer_stream *stream) {
    memory_put(stream->peer->memory, stream->user, sizeof(struct perf));
    stream->user = NULL;
}

static struct block *zeros_of(struct peer *peer) {
    if (peer->zeros == NULL) {
        peer->zeros = block_new(peer->memory, PERF_BLOCK_SIZE);
        if (peer->zeros != NULL) {
            memset(peer->zeros->data, 0, peer->zeros->size);
        }
    }
    return peer->zeros;
}

/* Sends until the link takes no more; with the last bytes our direction ends. */
static int send_zeros(struct peer_stream *stream, uint64_t *unsent) {
    struct block *zeros = zeros_of(stream->peer);
    if (zeros == NULL) {
        return PLASM_NO_MEMORY;
    }
    while (!stream->output_ended && stream->out.size == 0) {
        size_t size = *unsent < zeros->size ? (size_t)*unsent : zeros->size;
        bool fin = *unsent == size;
        size_t accepted = 0;
        int error = stream->link_stream->link->transport->verbs->write(stream->link_stream, zeros,
                                                                       0, size, fin, &accepted);
        if (error != 0) {
            return error;
        }
        *unsent -= accepted;
        stream->output_ended = fin && accepted == size;
        if (accepted < size) {
            break;
        }
    }
    return 0;
}

static int perf_send(struct peer_stream *stream) {
    struct perf *perf = perf_of(stream);
    if (!perf->asks) {
        return perf->server.ended ? send_zeros(stream, &perf->server.unsent) : 0;
    }
    int error = send_zeros(stream, &perf->client.unsent);
    if (error == 0 && stream->output_ended) {
        perf_client_sent(&perf->client);
    }
    return error;
}

static void emit_perf(struct peer_stream *stream, int error) {
    const struct perf_client *client = &perf_of(stream)->client;
    struct peer_event event = {.type = PEER_EVENT_PERF, .request = stream->request, .error = error};
    if (error == 0) {
        event.elapsed = nanos_since(client->uploaded, client->started);
        event.elapsed_down = nanos_since(client->ended, client->uploaded);
    }
    (void)peer_emit(stream->peer, &event);
}

static void give_up(struct peer_stream *stream, int error) {
    perf_ended(stream, error);
    stream_abort(stream, PEER_RESET_PROTOCOL);
}

int peer_perf(struct peer *peer, struct peer_connection *connection, uint64_t up_bytes,
              uint64_t down_bytes, nanos now, uint64_t *ret_request) {
    peer->now = now;
    struct perf *perf = memory_zero(peer->memory, sizeof(*perf));
    if (perf == NULL) {
        return PLASM_NO_MEMORY;
    }
    struct peer_stream *stream;
    int error = stream_open(connection, SERVICE_PERF, PERF_PROTOCOL, &stream);
    if (error != 0) {
        memory_put(peer->memory, perf, sizeof(*perf));
        return error;
    }
    perf->asks = true;
    perf_client_init(&perf->client, up_bytes, down_bytes, now);
    stream->user = perf;
    stream->request = peer_request(peer);
    peer_timer_set(peer, &stream->timer, nanos_add(now, PERF_IDLE_TIMEOUT));
    error = stream_send(stream, BYTES_ARRAY(perf->client.header), false);
    if (error == 0) {
        error = perf_send(stream);
    }
    if (error != 0) {
        perf_free(stream);
        stream_abort(stream, 0);
        return error;
    }
    *ret_request = stream->request;
    return 0;
}

void perf_opened(struct peer_stream *stream) {
    stream->user = memory_zero(stream->peer->memory, sizeof(struct perf));
    if (stream->user == NULL) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
        return;
    }
    peer_timer_set(stream->peer, &stream->timer, nanos_add(stream->peer->now, PERF_IDLE_TIMEOUT));
}

static int serve(struct peer_stream *stream, struct bytes data, bool fin) {
    int error = perf_server_receive(&perf_of(stream)->server, data, fin);
    return error == 0 && fin ? perf_send(stream) : error;
}

void perf_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct perf *perf = perf_of(stream);
    if (perf == NULL) {
        return;
    }
    struct peer *peer = stream->peer;
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, PERF_IDLE_TIMEOUT));
    bool done = false;
    int error = perf->asks ? perf_client_receive(&perf->client, data, fin, peer->now, &done)
                           : serve(stream, data, fin);
    if (error != 0) {
        give_up(stream, error);
    } else if (done) {
        emit_perf(stream, 0);
        perf_free(stream);
    }
}

void perf_writable(struct peer_stream *stream) {
    if (stream->user == NULL || stream->output_ended) {
        return;
    }
    peer_timer_set(stream->peer, &stream->timer, nanos_add(stream->peer->now, PERF_IDLE_TIMEOUT));
    int error = perf_send(stream);
    if (error != 0) {
        give_up(stream, error);
    }
}

void perf_ended(struct peer_stream *stream, int error) {
    if (stream->user != NULL && perf_of(stream)->asks) {
        emit_perf(stream, error != 0 ? error : PLASM_CLOSED);
    }
    perf_free(stream);
}
