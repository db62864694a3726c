/* The peer's side of capability records: a worker pushes its own, a reader takes others'. */
#include "peer/internal.h"

#include "proto/capability/exchange.h"
#include "util/ensure.h"

static struct bytes own_record(const struct peer *peer) {
    return peer->capability != NULL ? block_bytes(peer->capability) : bytes_of(NULL, 0);
}

/* Sends what the exchange has and finishes our direction; false when the stream is gone. */
static bool send_all(struct peer_stream *stream) {
    struct capability_exchange *exchange = stream->user;
    uint8_t room[CAPABILITY_ENVELOPE_SIZE_MAX + 16];
    size_t size = capability_exchange_transmit(exchange, (struct span){room, sizeof(room)});
    if (stream_send(stream, bytes_of(room, size), true) == 0) {
        return true;
    }
    capability_ended(stream);
    stream_abort(stream, PEER_RESET_PROTOCOL);
    return false;
}

static bool begin(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct capability_exchange *exchange = memory_get(peer->memory, sizeof(*exchange));
    if (exchange == NULL) {
        stream_abort(stream, 0);
        return false;
    }
    capability_exchange_init(exchange, own_record(peer), peer->memory, peer->now);
    stream->user = exchange;
    peer_timer_set(peer, &stream->timer, capability_exchange_deadline(exchange));
    return send_all(stream);
}

void capability_opened(struct peer_stream *stream) {
    (void)begin(stream);
}

void capability_push(struct peer_connection *connection) {
    struct peer_stream *stream;
    if (connection->peer->capability == NULL || !connection->reads_capability ||
        stream_open(connection, SERVICE_CAPABILITY, CAPABILITY_PROTOCOL, &stream) != 0) {
        return;
    }
    (void)begin(stream);
}

void capability_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    struct capability_exchange *exchange = stream->user;
    capability_exchange_receive(exchange, data);
    if (fin) {
        capability_exchange_receive_fin(exchange);
    }
    struct capability_exchange_event event;
    if (!capability_exchange_next_event(exchange, &event)) {
        return;
    }
    if (event.type == CAPABILITY_EXCHANGE_RECORD && peer->config.capability_reader) {
        struct peer_event record = {.type = PEER_EVENT_CAPABILITY,
                                    .connection = stream->connection,
                                    .data = event.envelope};
        (void)peer_emit(peer, &record);
    }
    if (event.type == CAPABILITY_EXCHANGE_FAILED) {
        capability_ended(stream);
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

void capability_ended(struct peer_stream *stream) {
    if (stream->user != NULL) {
        capability_exchange_done(stream->user);
        memory_put(stream->peer->memory, stream->user, sizeof(struct capability_exchange));
        stream->user = NULL;
    }
}
