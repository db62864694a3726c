/* Being a relay: answering RESERVE and CONNECT, and carrying the bytes of circuits from one
 * connection to another within their limits. */
#include "peer/internal.h"

#include "util/ensure.h"
#include "wire/varint.h"

/* The called peer has this long to answer, the caller waits a little longer. */
#define STOP_TIMEOUT (10 * NANOS_SECOND)
#define HOP_TIMEOUT  (STOP_TIMEOUT + 5 * NANOS_SECOND)
/* After a status, or the end of the other half of a circuit. */
#define BRIDGE_LINGER_TIMEOUT (10 * NANOS_SECOND)
/* What a stream's window lets arrive before its bytes were passed on. */
#define BRIDGE_OUT_MAX ((size_t)24 << 20)

/* One circuit: bytes of ends[0], the caller, go to ends[1] and the other way round. */
struct bridge {
    struct list_node node; /* in peer->relay.bridges */
    struct relay_circuit *circuit;
    struct peer_stream *ends[2]; /* NULL once it is over */
    size_t owed[2];              /* received from ends[i], credit not given back yet */
    bool begun;
};

int peer_serve_relay(struct peer *peer, const struct relay_limits *limits, nanos now) {
    peer->now = now;
    struct peer_relay *relay = &peer->relay;
    if (relay->serves) {
        return PLASM_STATE;
    }
    int error = peer_serve(peer, RELAY_HOP_PROTOCOL, SERVICE_HOP);
    if (error == 0) {
        const uint64_t secret[2] = {random_u64(&peer->random), random_u64(&peer->random)};
        relay_server_init(&relay->server, limits, peer->memory, secret);
        relay->serves = true;
    }
    return error;
}

static void log_refusal(const struct peer_stream *stream, enum relay_status status) {
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&stream->connection->known->id, id);
    log_event(stream->peer->log, LOG_LEVEL_DEBUG, "relay", "%s is refused: %s", id,
              relay_status_text(status));
}

/* The last word on a hop stream that carries no circuit. */
static void finish_hop(struct peer_stream *stream, const struct relay_message *message) {
    struct peer *peer = stream->peer;
    struct peer_connection *connection = stream->connection;
    /* That somebody else does not answer is not the fault of who calls. */
    bool blamed =
        message->status != RELAY_STATUS_OK && message->status != RELAY_STATUS_CONNECTION_FAILED;
    stream->user = NULL;
    stream->parts = 1;
    if (message->status != RELAY_STATUS_OK) {
        peer->relay.stats.refused++;
        log_refusal(stream, (enum relay_status)message->status);
    }
    if (relay_send(stream, RELAY_HOP, message) == 0) {
        stream_finish(stream, nanos_add(peer->now, BRIDGE_LINGER_TIMEOUT));
    } else {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
    if (blamed) {
        (void)peer_refused(connection, peer->now);
    }
}

static void refuse_hop(struct peer_stream *stream, enum relay_status status) {
    const struct relay_message message = {.type = RELAY_STATUS, .status = status};
    finish_hop(stream, &message);
}

/* --- reservations ----------------------------------------------------------------------------- */

static void reserve(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct netaddr from;
    const struct peer_connection *connection = stream->connection;
    bool has_from = address_netaddr(&connection->remote, &from);
    nanos until;
    enum relay_status status =
        connection->relayed ? RELAY_STATUS_PERMISSION_DENIED /* a relay behind a relay */
                            : relay_server_reserve(&peer->relay.server, &connection->known->id,
                                                   has_from ? &from : NULL, peer->now, &until);
    if (status != RELAY_STATUS_OK) {
        refuse_hop(stream, status);
        return;
    }
    const struct relay_voucher voucher = {.relay = peer->config.id,
                                          .peer = connection->known->id,
                                          .expires_unix = relay_unix_now(peer) +
                                                          (until - peer->now) / NANOS_SECOND};
    uint8_t room[RELAY_VOUCHER_SIZE_MAX];
    size_t size = relay_voucher_encode(&voucher, room);
    stream->request = peer_request(peer);
    stream->parts = (size_t)voucher.expires_unix;
    struct peer_event event = {.type = PEER_EVENT_SIGN,
                               .request = stream->request,
                               .sign = PEER_SIGN_RELAY_VOUCHER,
                               .data = bytes_of(room, size)};
    if (!peer_emit(peer, &event)) {
        stream->request = 0;
        refuse_hop(stream, RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
    }
}

/* Our direct addresses with our id: those the Internet reaches, or all where there are none. */
static void add_addresses(const struct peer *peer, struct relay_reservation *reservation,
                          struct multiaddr *room) {
    for (int pass = 0; pass < 2 && reservation->address_count == 0; pass++) {
        for (size_t i = 0; i < peer->address_count; i++) {
            size_t place = reservation->address_count;
            struct netaddr ip;
            bool counts = !multiaddr_has(&peer->addresses[i], MULTIADDR_P2P_CIRCUIT) &&
                          (pass > 0 || !address_netaddr(&peer->addresses[i], &ip) ||
                           !netaddr_is_private(&ip));
            if (place < RELAY_ADDRESSES_MAX && counts) {
                room[place] = peer->addresses[i];
                if (multiaddr_append(&room[place], MULTIADDR_P2P,
                                     peer_id_bytes(&peer->config.id)) == 0) {
                    reservation->addresses[place] = multiaddr_bytes(&room[place]);
                    reservation->address_count++;
                }
            }
        }
    }
}

static void reserved(struct peer_stream *stream, struct bytes voucher) {
    struct peer *peer = stream->peer;
    struct multiaddr room[RELAY_ADDRESSES_MAX];
    struct relay_message message = {
        .type = RELAY_STATUS,
        .status = RELAY_STATUS_OK,
        .reservation = {.present = true, .expires_unix = stream->parts, .voucher = voucher},
        .limit = relay_server_limit(&peer->relay.server)};
    add_addresses(peer, &message.reservation, room);
    stream->request = 0;
    finish_hop(stream, &message);
}

static struct peer_stream *stream_waiting_for(struct peer *peer, uint64_t request) {
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        for (struct list_node *node = list_first(&connection->streams); node != NULL;
             node = list_next(&connection->streams, node)) {
            struct peer_stream *stream = CONTAINER_OF(node, struct peer_stream, node);
            if (stream->service == SERVICE_HOP && stream->inbound && stream->request == request) {
                return stream;
            }
        }
    }
    return NULL;
}

bool bridge_signed(struct peer *peer, uint64_t request, struct bytes envelope) {
    struct peer_stream *stream = stream_waiting_for(peer, request);
    if (stream == NULL) {
        return false;
    }
    if (envelope.size > 0) {
        reserved(stream, envelope);
        return true;
    }
    stream->request = 0;
    relay_server_release(&peer->relay.server, &stream->connection->known->id);
    refuse_hop(stream, RELAY_STATUS_RESERVATION_REFUSED);
    return true;
}

/* --- circuits --------------------------------------------------------------------------------- */

static size_t end_of(const struct bridge *bridge, const struct peer_stream *stream) {
    return bridge->ends[1] == stream;
}

static void bridge_free(struct peer *peer, struct bridge *bridge) {
    for (size_t i = 0; i < 2; i++) {
        if (bridge->ends[i] != NULL) {
            bridge->ends[i]->user = NULL;
        }
    }
    list_remove(&peer->relay.bridges, &bridge->node);
    relay_circuit_end(bridge->circuit);
    memory_put(peer->memory, bridge, sizeof(*bridge));
}

/* Resets what there is of a circuit that carries bytes. */
static void bridge_reset(struct peer *peer, struct bridge *bridge, const char *why) {
    log_event(peer->log, LOG_LEVEL_DEBUG, "relay", "a circuit ends: %s", why);
    struct peer_stream *ends[2] = {bridge->ends[0], bridge->ends[1]};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i] != NULL) {
            connection_keep(ends[i]->connection, false);
        }
    }
    bridge_free(peer, bridge);
    for (size_t i = 0; i < 2; i++) {
        if (ends[i] != NULL) {
            stream_abort(ends[i], PEER_RESET_PROTOCOL);
        }
    }
}

/* The called peer did not take it: the caller is told, the other stream given up. */
static void bridge_refuse(struct peer *peer, struct bridge *bridge, enum relay_status status) {
    struct peer_stream *source = bridge->ends[0];
    struct peer_stream *target = bridge->ends[1];
    bridge_free(peer, bridge);
    if (target != NULL) {
        stream_abort(target, PEER_RESET_PROTOCOL);
    }
    if (source != NULL) {
        refuse_hop(source, status);
    }
}

static void call_target(struct peer_stream *source, struct bridge *bridge,
                        struct peer_connection *connection) {
    struct peer *peer = source->peer;
    struct peer_stream *target;
    if (stream_open(connection, SERVICE_STOP, RELAY_STOP_PROTOCOL, &target) != 0) {
        bridge_refuse(peer, bridge, RELAY_STATUS_CONNECTION_FAILED);
        return;
    }
    target->user = bridge;
    bridge->ends[1] = target;
    buffer_init(&target->in, peer->memory, SERVICE_OUT_MAX);
    peer_timer_set(peer, &target->timer, nanos_add(peer->now, STOP_TIMEOUT));
    peer_timer_set(peer, &source->timer, nanos_add(peer->now, HOP_TIMEOUT));
    const struct relay_message message = {.type = RELAY_CONNECT,
                                          .peer = peer_id_bytes(&source->connection->known->id),
                                          .limit = relay_server_limit(&peer->relay.server)};
    if (relay_send(target, RELAY_STOP, &message) != 0) {
        bridge_refuse(peer, bridge, RELAY_STATUS_CONNECTION_FAILED);
    }
}

static void connect_circuit(struct peer_stream *stream, const struct relay_message *message) {
    struct peer *peer = stream->peer;
    struct peer_id target;
    if (peer_id_decode(message->peer, &target) != 0) {
        refuse_hop(stream, RELAY_STATUS_MALFORMED_MESSAGE);
        return;
    }
    struct relay_circuit *circuit = NULL;
    enum relay_status status =
        stream->connection->relayed
            ? RELAY_STATUS_PERMISSION_DENIED
            : relay_server_connect(&peer->relay.server, &stream->connection->known->id, &target,
                                   &circuit);
    struct peer_connection *connection = peer_connection_to(peer, &target);
    if (status == RELAY_STATUS_OK && (connection == NULL || connection->relayed)) {
        status = RELAY_STATUS_NO_RESERVATION;
    }
    struct bridge *bridge =
        status == RELAY_STATUS_OK ? memory_zero(peer->memory, sizeof(*bridge)) : NULL;
    if (bridge == NULL) {
        if (circuit != NULL) {
            relay_circuit_end(circuit);
        }
        refuse_hop(stream,
                   status == RELAY_STATUS_OK ? RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED : status);
        return;
    }
    bridge->circuit = circuit;
    circuit->user = bridge;
    bridge->ends[0] = stream;
    stream->user = bridge;
    list_append(&peer->relay.bridges, &bridge->node);
    call_target(stream, bridge, connection);
}

/* Credit goes back to an end when what it sent has been passed on. */
static void give_credit(struct bridge *bridge, size_t from) {
    const struct peer_stream *to = bridge->ends[1 - from];
    struct peer_stream *stream = bridge->ends[from];
    if (stream != NULL && bridge->owed[from] > 0 && (to == NULL || to->out.size == 0)) {
        size_t size = bridge->owed[from];
        bridge->owed[from] = 0;
        peer_stream_consume(stream, size);
    }
}

/* Passes on bytes that `stream` brought, for `owed` of which credit is still to be given; the
 * bridge may be gone afterwards. */
static void forward(struct peer_stream *stream, struct bytes data, bool fin, size_t owed) {
    struct peer *peer = stream->peer;
    struct bridge *bridge = stream->user;
    size_t from = end_of(bridge, stream);
    struct peer_stream *to = bridge->ends[1 - from];
    size_t taken = relay_circuit_take(bridge->circuit, (enum relay_direction)from, data.size);
    bridge->owed[from] += owed;
    peer->relay.stats.bytes_relayed += taken;
    if (to == NULL) {
        bridge_reset(peer, bridge, "the other side is gone");
        return;
    }
    int error = stream_send(to, bytes_slice(data, 0, taken), fin && taken == data.size);
    if (error != 0) {
        bridge_reset(peer, bridge, plasm_error_message(error));
        return;
    }
    if (taken < data.size) {
        bridge_reset(peer, bridge, "it has carried all it may");
        return;
    }
    give_credit(bridge, from);
}

static void begin(struct bridge *bridge) {
    struct peer *peer = bridge->ends[0]->peer;
    const struct relay_message ok = {.type = RELAY_STATUS,
                                     .status = RELAY_STATUS_OK,
                                     .limit = relay_server_limit(&peer->relay.server)};
    if (relay_circuit_begin(bridge->circuit, peer->now) != 0 ||
        relay_send(bridge->ends[0], RELAY_HOP, &ok) != 0) {
        bridge_refuse(peer, bridge, RELAY_STATUS_CONNECTION_FAILED);
        return;
    }
    bridge->begun = true;
    peer->relay.stats.circuits_total++;
    for (size_t i = 0; i < 2; i++) {
        struct peer_stream *end = bridge->ends[i];
        peer_timer_set(peer, &end->timer, TIMER_PARKED);
        end->out.size_max = BRIDGE_OUT_MAX;
        connection_keep(end->connection, true);
    }
    /* What either side said too early. */
    for (size_t i = 0; i < 2; i++) {
        struct peer_stream *end = bridge->ends[i];
        if (end->in.size > 0 || end->input_ended) {
            struct buffer early = end->in;
            buffer_init(&end->in, peer->memory, 0);
            forward(end, buffer_bytes(&early), end->input_ended, 0);
            buffer_done(&early);
            if (end->user == NULL) {
                return; /* the bridge is gone */
            }
        }
    }
}

void bridge_hop_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct bridge *bridge = stream->user;
    if (bridge != NULL && bridge->begun) {
        forward(stream, data, fin, data.size);
        return;
    }
    peer_stream_consume(stream, data.size);
    if (stream->parts != 0) {
        return; /* it said what it had to say */
    }
    if (bridge != NULL) { /* a caller in a hurry */
        if (buffer_append(&stream->in, data) != 0) {
            bridge_refuse(stream->peer, bridge, RELAY_STATUS_MALFORMED_MESSAGE);
        }
        return;
    }
    struct relay_message message;
    size_t size;
    int error = relay_read(stream, RELAY_HOP, data, &message, &size);
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    if (error != 0) {
        refuse_hop(stream, RELAY_STATUS_MALFORMED_MESSAGE);
    } else if (message.type == RELAY_RESERVE) {
        reserve(stream);
    } else if (message.type == RELAY_CONNECT) {
        connect_circuit(stream, &message);
        if (stream->user != NULL) {
            buffer_consume(&stream->in, size);
        }
    } else {
        refuse_hop(stream, RELAY_STATUS_UNEXPECTED_MESSAGE);
    }
}

void bridge_stop_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct bridge *bridge = stream->user;
    if (bridge->begun) {
        forward(stream, data, fin, data.size);
        return;
    }
    peer_stream_consume(stream, data.size);
    struct relay_message message;
    size_t size;
    int error = relay_read(stream, RELAY_STOP, data, &message, &size);
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    if (error != 0 || message.type != RELAY_STATUS || message.status != RELAY_STATUS_OK) {
        bridge_refuse(stream->peer, bridge, RELAY_STATUS_CONNECTION_FAILED);
        return;
    }
    buffer_consume(&stream->in, size);
    begin(bridge);
}

void bridge_writable(struct peer_stream *stream) {
    struct bridge *bridge = stream->user;
    if (bridge != NULL && bridge->begun) {
        give_credit(bridge, 1 - end_of(bridge, stream));
    }
}

void bridge_ended(struct peer_stream *stream, int error) {
    struct peer *peer = stream->peer;
    struct bridge *bridge = stream->user;
    if (bridge == NULL) {
        return;
    }
    size_t end = end_of(bridge, stream);
    stream->user = NULL;
    bridge->ends[end] = NULL;
    if (!bridge->begun) {
        bridge_refuse(peer, bridge, RELAY_STATUS_CONNECTION_FAILED);
        return;
    }
    connection_keep(stream->connection, false);
    struct peer_stream *other = bridge->ends[1 - end];
    if (error != 0) {
        bridge_reset(peer, bridge, plasm_error_message(error));
    } else if (other == NULL) {
        bridge_free(peer, bridge);
    } else {
        peer_timer_set(peer, &other->timer, nanos_add(peer->now, BRIDGE_LINGER_TIMEOUT));
    }
}

void bridge_expire(struct peer *peer) {
    struct relay_circuit *circuit;
    while ((circuit = relay_server_expire(&peer->relay.server, peer->now)) != NULL) {
        bridge_reset(peer, circuit->user, "its time is over");
    }
}
