/* Relays from the client's side: reserving places on them; and what all streams of the relay
 * protocols share. */
#include "peer/internal.h"

#include "util/ensure.h"
#include "wire/varint.h"

/* A status was sent: the other side has this long to end its direction. */
#define RELAY_LINGER_TIMEOUT (5 * NANOS_SECOND)

uint64_t relay_unix_now(const struct peer *peer) {
    return peer->relay.unix_seconds + nanos_since(peer->now, peer->relay.unix_at) / NANOS_SECOND;
}

void peer_set_unix_time(struct peer *peer, uint64_t unix_seconds, nanos now) {
    peer->relay.unix_seconds = unix_seconds;
    peer->relay.unix_at = now;
}

int relay_service_init(struct peer *peer) {
    struct peer_relay *relay = &peer->relay;
    relay_client_init(&relay->client, &peer->config.id, peer->memory);
    list_init(&relay->bridges);
    list_init(&relay->circuits);
    list_init(&relay->punches);
    relay->timer.kind = TIMER_RELAY;
    return peer_timer_start(peer, &relay->timer, TIMER_PARKED);
}

void relay_service_free(struct peer *peer) {
    circuits_free(peer);
    relay_client_done(&peer->relay.client);
    if (peer->relay.serves) {
        relay_server_done(&peer->relay.server);
    }
}

/* --- messages --------------------------------------------------------------------------------- */

int relay_send(struct peer_stream *stream, enum relay_protocol protocol,
               const struct relay_message *message) {
    struct buffer out;
    buffer_init(&out, stream->peer->memory, RELAY_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
    int error = relay_message_encode(protocol, message, &out);
    if (error == 0) {
        error = stream_send(stream, buffer_bytes(&out), false);
    }
    buffer_done(&out);
    return error;
}

int relay_read(struct peer_stream *stream, enum relay_protocol protocol, struct bytes data,
               struct relay_message *ret_message, size_t *ret_size) {
    int error = buffer_append(&stream->in, data);
    struct bytes payload;
    if (error == 0) {
        error = frame_read(buffer_bytes(&stream->in), RELAY_MESSAGE_SIZE_MAX, &payload, ret_size);
    }
    return error == 0 ? relay_message_decode(protocol, payload, ret_message) : error;
}

/* --- reservations ----------------------------------------------------------------------------- */

int peer_add_relay(struct peer *peer, const struct multiaddr *relay, nanos now) {
    peer->now = now;
    struct peer_id id;
    if (peer_id_decode(multiaddr_peer_id(relay), &id) != 0) {
        return PLASM_INVALID;
    }
    return relay_client_add(&peer->relay.client, &id, relay, 1, true, now);
}

void peer_use_relays(struct peer *peer, bool on, nanos now) {
    peer->now = now;
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        if (!on && connection->reserved) {
            connection->reserved = false;
            connection_keep(connection, false);
        }
    }
    relay_client_enable(&peer->relay.client, on, now);
    relay_service_run(peer);
}

size_t peer_relay_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                            size_t count_max) {
    return relay_client_addresses(&peer->relay.client, ret_addresses, count_max);
}

static void ask(struct peer *peer, const struct relay_ask *what) {
    struct peer_connection *connection = peer_connection_to(peer, &what->relay);
    if (connection != NULL && !connection->relayed) {
        relay_service_connected(connection, what->id);
        return;
    }
    const struct dial_waiter waiter = {.kind = WAITER_RESERVATION, .request = what->id};
    if (dial_start(peer, &what->relay, what->addresses, what->address_count, &waiter) != 0) {
        relay_client_failed(&peer->relay.client, what->id, peer->now);
    }
}

void relay_service_connected(struct peer_connection *connection, uint64_t request) {
    struct peer *peer = connection->peer;
    struct peer_stream *stream;
    int error = connection->relayed
                    ? PLASM_UNREACHABLE
                    : stream_open(connection, SERVICE_HOP, RELAY_HOP_PROTOCOL, &stream);
    if (error != 0) {
        relay_client_failed(&peer->relay.client, request, peer->now);
        return;
    }
    stream->request = request;
    buffer_init(&stream->in, peer->memory, RELAY_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
    const struct relay_message reserve = {.type = RELAY_RESERVE};
    if (relay_send(stream, RELAY_HOP, &reserve) != 0) {
        relay_client_failed(&peer->relay.client, request, peer->now);
        stream_abort(stream, 0);
    }
}

void relay_service_failed(struct peer *peer, uint64_t request) {
    relay_client_failed(&peer->relay.client, request, peer->now);
}

static void log_answer(struct peer_stream *stream, int error, uint32_t status) {
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&stream->connection->known->id, id);
    if (error == 0) {
        log_event(stream->peer->log, LOG_LEVEL_INFO, "relay", "%s keeps a place for us", id);
    } else {
        log_event(stream->peer->log, LOG_LEVEL_WARNING, "relay", "%s keeps no place for us: %s", id,
                  status > RELAY_STATUS_OK ? relay_status_text(status)
                                           : plasm_error_message(error));
    }
}

/* The relay's answer to RESERVE, or what kept it away. */
static void answered(struct peer_stream *stream, int error, const struct relay_message *message) {
    struct peer *peer = stream->peer;
    struct peer_connection *connection = stream->connection;
    uint64_t request = stream->request;
    stream->request = 0;
    uint32_t status = error == 0 ? message->status : 0;
    if (error == 0) {
        error = relay_client_answered(&peer->relay.client, request, message, &connection->remote,
                                      relay_unix_now(peer), peer->now);
    } else {
        relay_client_failed(&peer->relay.client, request, peer->now);
    }
    log_answer(stream, error, status);
    if (error == 0 && !connection->reserved) {
        connection->reserved = true;
        connection_keep(connection, true);
    }
}

static void reservation_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct relay_message message;
    size_t size;
    int error = relay_read(stream, RELAY_HOP, data, &message, &size);
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    answered(stream, error, &message);
    if (error == 0) {
        stream_finish(stream, nanos_add(stream->peer->now, RELAY_LINGER_TIMEOUT));
    } else {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

/* --- events of streams and connections -------------------------------------------------------- */

void relay_service_opened(struct peer_stream *stream) {
    buffer_init(&stream->in, stream->peer->memory, RELAY_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
}

void relay_service_data(struct peer_stream *stream, struct bytes data, bool fin) {
    if (stream->service == SERVICE_HOP && stream->inbound) {
        bridge_hop_data(stream, data, fin);
    } else if (stream->service == SERVICE_STOP && !stream->inbound) {
        bridge_stop_data(stream, data, fin);
    } else if (stream->service == SERVICE_STOP) {
        circuit_stop_data(stream, data, fin);
    } else if (stream->request != 0) {
        peer_stream_consume(stream, data.size);
        reservation_data(stream, data, fin);
    } else {
        circuit_hop_data(stream, data, fin);
    }
}

void relay_service_writable(struct peer_stream *stream) {
    if (stream->inbound == (stream->service == SERVICE_HOP)) {
        bridge_writable(stream);
    } else {
        circuit_writable(stream);
    }
}

void relay_service_ended(struct peer_stream *stream, int error) {
    if (stream->inbound == (stream->service == SERVICE_HOP)) {
        bridge_ended(stream, error);
    } else if (stream->request != 0) {
        answered(stream, error != 0 ? error : PLASM_CLOSED, NULL);
    } else {
        circuit_ended(stream, error);
    }
}

void relay_service_identified(struct peer_connection *connection, const struct bytes *addresses,
                              size_t count, bool is_relay) {
    struct peer *peer = connection->peer;
    if (!is_relay || connection->relayed) {
        return;
    }
    struct multiaddr list[RELAY_CANDIDATE_ADDRESSES_MAX];
    size_t size = 0;
    if (!connection->inbound) { /* where we dialled it, it certainly is */
        list[size++] = connection->remote;
    }
    for (size_t i = 0; i < count && size < ARRAY_SIZE(list); i++) {
        size += multiaddr_decode(addresses[i], &list[size]) == 0;
    }
    int error =
        relay_client_add(&peer->relay.client, &connection->known->id, list, size, false, peer->now);
    if (error == PLASM_NO_MEMORY) {
        log_event(peer->log, LOG_LEVEL_WARNING, "relay", "out of memory: a relay is not noted");
    }
}

static bool has_direct(struct peer *peer, const struct peer_id *id) {
    const struct peer_connection *connection = peer_connection_to(peer, id);
    return connection != NULL && !connection->relayed;
}

void relay_service_disconnected(struct peer *peer, const struct peer_id *id) {
    if (has_direct(peer, id)) {
        return;
    }
    relay_client_disconnected(&peer->relay.client, id, peer->now);
    if (peer->relay.serves) {
        relay_server_release(&peer->relay.server, id);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void tell_change(struct peer *peer) {
    if (!relay_client_take_change(&peer->relay.client)) {
        return;
    }
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    size_t count = peer_relay_addresses(peer, addresses, ARRAY_SIZE(addresses));
    relay_addresses_changed(peer, addresses, count);
    struct peer_event event = {.type = PEER_EVENT_RELAYED, .count = count};
    (void)peer_emit(peer, &event);
}

void relay_service_run(struct peer *peer) {
    struct peer_relay *relay = &peer->relay;
    struct relay_ask what;
    while (relay_client_next_ask(&relay->client, peer->now, &what)) {
        ask(peer, &what);
    }
    tell_change(peer);
    nanos deadline = relay_client_deadline(&relay->client);
    if (relay->serves) {
        deadline = nanos_min(deadline, relay_server_deadline(&relay->server));
    }
    deadline = nanos_min(deadline, connections_superseded_deadline(peer));
    deadline = nanos_min(deadline, TIMER_PARKED);
    if (relay->timer.node.deadline != deadline) {
        peer_timer_set(peer, &relay->timer, deadline);
    }
}

void relay_service_expire(struct peer *peer) {
    relay_client_expire(&peer->relay.client, peer->now);
    if (peer->relay.serves) {
        bridge_expire(peer);
    }
    connections_close_superseded(peer);
    relay_service_run(peer);
}

void peer_relay_stats(const struct peer *peer, struct peer_relay_stats *ret_stats) {
    *ret_stats = peer->relay.stats;
    ret_stats->reservations_held = relay_client_reservations(&peer->relay.client);
    if (peer->relay.serves) {
        ret_stats->reservations = peer->relay.server.reservations;
        ret_stats->circuits = peer->relay.server.circuits;
    }
}
