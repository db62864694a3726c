/* Our own circuits: pipes whose bytes travel in a stream of a connection to a relay. What is
 * dialled through a relay is asked for by CONNECT, what others dial comes in by STOP. */
#include "peer/internal.h"

#include "proto/dcutr/dcutr.h"
#include "util/ensure.h"
#include "wire/varint.h"

/* The relay has this long to find the other side and hear its answer. */
#define CIRCUIT_CONNECT_TIMEOUT (15 * NANOS_SECOND)
/* After our last byte the other side has this long to end its direction. */
#define CIRCUIT_LINGER_TIMEOUT (5 * NANOS_SECOND)
/* Bytes of a pipe that are taken at a time, and those that may wait for the stream. */
#define CIRCUIT_ROOM_SIZE  32768
#define CIRCUIT_UNSENT_MAX 65536

struct circuit {
    struct list_node node; /* in peer->relay.circuits */
    struct pipe *pipe;
    struct peer_stream *stream; /* NULL while the relay is dialled */
    uint64_t request;           /* of that dial */
    bool connected;             /* bytes are the pipe's from now on */
    bool blocked;               /* the pipe may have more for the stream */
};

static bool circuit_dials(const struct pipe_provider *provider, const struct multiaddr *address) {
    (void)provider;
    return multiaddr_has(address, MULTIADDR_P2P_CIRCUIT);
}

int peer_set_circuits(struct peer *peer, struct transport *pipes) {
    struct peer_relay *relay = &peer->relay;
    relay->provider.dials = circuit_dials;
    int error = pipe_transport_add_provider(pipes, &relay->provider);
    if (error == 0) {
        error = peer_serve(peer, RELAY_STOP_PROTOCOL, SERVICE_STOP);
    }
    if (error == 0) {
        error = peer_serve(peer, DCUTR_PROTOCOL, SERVICE_DCUTR);
        relay->pipes = pipes;
    }
    return error;
}

static struct circuit *circuit_new(struct peer *peer, struct pipe *pipe) {
    struct circuit *circuit = memory_zero(peer->memory, sizeof(*circuit));
    if (circuit != NULL) {
        circuit->pipe = pipe;
        *pipe_user(pipe) = circuit;
        list_append(&peer->relay.circuits, &circuit->node);
    }
    return circuit;
}

/* The circuit is over, its pipe too; the stream is left to the caller. */
static void circuit_end(struct peer *peer, struct circuit *circuit, int error) {
    struct pipe *pipe = circuit->pipe;
    if (circuit->stream != NULL) {
        circuit->stream->user = NULL;
        circuit->stream->connection->circuits--;
        connection_keep(circuit->stream->connection, false);
    }
    list_remove(&peer->relay.circuits, &circuit->node);
    memory_put(peer->memory, circuit, sizeof(*circuit));
    *pipe_user(pipe) = NULL;
    pipe_ended(pipe, error, peer->now);
}

static void circuit_abort(struct peer *peer, struct circuit *circuit, int error) {
    struct peer_stream *stream = circuit->stream;
    circuit_end(peer, circuit, error);
    if (stream != NULL) {
        stream_abort(stream, 0);
    }
}

static void attach(struct circuit *circuit, struct peer_stream *stream) {
    circuit->stream = stream;
    stream->user = circuit;
    stream->connection->circuits++;
    connection_keep(stream->connection, true);
}

/* --- dialling --------------------------------------------------------------------------------- */

/* "…/p2p/RELAY/p2p-circuit": where the relay is and who it is. */
static int relay_of(const struct multiaddr *address, struct multiaddr *ret_relay,
                    struct peer_id *ret_id) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    *ret_relay = (struct multiaddr){.size = 0};
    bool found = false;
    while (multiaddr_next(&cursor, &part)) {
        if (part.code == MULTIADDR_P2P_CIRCUIT) {
            if (found) {
                return PLASM_UNSUPPORTED; /* a relay behind a relay */
            }
            found = true;
        } else if (!found && multiaddr_append(ret_relay, part.code, part.value) != 0) {
            return PLASM_INVALID;
        }
    }
    return peer_id_decode(multiaddr_peer_id(ret_relay), ret_id) == 0 ? 0 : PLASM_INVALID;
}

static void call(struct circuit *circuit, struct peer_connection *connection) {
    struct peer *peer = connection->peer;
    struct peer_stream *stream;
    int error = connection->relayed
                    ? PLASM_UNREACHABLE
                    : stream_open(connection, SERVICE_HOP, RELAY_HOP_PROTOCOL, &stream);
    if (error != 0) {
        circuit_abort(peer, circuit, error);
        return;
    }
    attach(circuit, stream);
    buffer_init(&stream->in, peer->memory, SERVICE_OUT_MAX);
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, CIRCUIT_CONNECT_TIMEOUT));
    const struct relay_message connect = {.type = RELAY_CONNECT,
                                          .peer = peer_id_bytes(pipe_expected(circuit->pipe))};
    error = relay_send(stream, RELAY_HOP, &connect);
    if (error != 0) {
        circuit_abort(peer, circuit, error);
    }
}

static void dial(struct peer *peer, struct pipe *pipe) {
    struct multiaddr relay;
    struct peer_id id;
    int error = relay_of(pipe_address(pipe), &relay, &id);
    if (error == 0 && (pipe_expected(pipe) == NULL || peer_id_equal(&id, &peer->config.id))) {
        error = PLASM_INVALID;
    }
    struct circuit *circuit = error == 0 ? circuit_new(peer, pipe) : NULL;
    if (circuit == NULL) {
        pipe_ended(pipe, error != 0 ? error : PLASM_NO_MEMORY, peer->now);
        return;
    }
    struct peer_connection *connection = peer_connection_to(peer, &id);
    if (connection != NULL && !connection->relayed) {
        call(circuit, connection);
        return;
    }
    circuit->request = peer_request(peer);
    const struct dial_waiter waiter = {.kind = WAITER_CIRCUIT, .request = circuit->request};
    bool has_address = relay.size > peer_id_bytes(&id).size + 4;
    error = dial_start(peer, &id, &relay, has_address, &waiter);
    if (error != 0) {
        circuit_abort(peer, circuit, error);
    }
}

static struct circuit *circuit_waiting(struct peer *peer, uint64_t request) {
    for (struct list_node *node = list_first(&peer->relay.circuits); node != NULL;
         node = list_next(&peer->relay.circuits, node)) {
        struct circuit *circuit = CONTAINER_OF(node, struct circuit, node);
        if (circuit->stream == NULL && circuit->request == request) {
            return circuit;
        }
    }
    return NULL; /* nobody waits any more */
}

void circuit_relay_connected(struct peer_connection *connection, uint64_t request) {
    struct circuit *circuit = circuit_waiting(connection->peer, request);
    if (circuit != NULL) {
        call(circuit, connection);
    }
}

void circuit_relay_failed(struct peer *peer, uint64_t request, int error) {
    struct circuit *circuit = circuit_waiting(peer, request);
    if (circuit != NULL) {
        circuit_abort(peer, circuit, error);
    }
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void send_some(struct peer *peer, struct circuit *circuit) {
    uint8_t room[CIRCUIT_ROOM_SIZE];
    struct peer_stream *stream = circuit->stream;
    while (stream->out.size < CIRCUIT_UNSENT_MAX) {
        size_t size = pipe_transmit(circuit->pipe, (struct span){room, sizeof(room)}, peer->now);
        if (size == 0) {
            circuit->blocked = false;
            return;
        }
        int error = stream_send(stream, bytes_of(room, size), false);
        if (error != 0) {
            circuit_abort(peer, circuit, error);
            return;
        }
    }
    circuit->blocked = true;
}

static void finish(struct peer *peer, struct circuit *circuit) {
    struct peer_stream *stream = circuit->stream;
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, CIRCUIT_LINGER_TIMEOUT));
    int error =
        stream->output_ended || stream->out_fin ? 0 : stream_send(stream, bytes_of(NULL, 0), true);
    if (error != 0) {
        circuit_abort(peer, circuit, error);
    }
}

bool circuits_run(struct peer *peer) {
    struct pipe *pipe;
    enum pipe_task task;
    bool any = false;
    while (peer->relay.pipes != NULL && pipe_provider_next(&peer->relay.provider, &pipe, &task)) {
        struct circuit *circuit = *pipe_user(pipe);
        any = true;
        switch (task) {
        case PIPE_DIAL:
            dial(peer, pipe);
            break;
        case PIPE_SEND:
            send_some(peer, circuit);
            break;
        case PIPE_FINISH:
            finish(peer, circuit);
            break;
        case PIPE_DROP:
            if (circuit != NULL) {
                circuit_abort(peer, circuit, PLASM_CLOSED);
            } else {
                pipe_ended(pipe, PLASM_CLOSED, peer->now);
            }
            break;
        }
    }
    return any;
}

/* Bytes of the pipe; the circuit is gone with the last of them. */
static void receive(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    struct circuit *circuit = stream->user;
    if (data.size > 0) {
        pipe_receive_copy(circuit->pipe, data, peer->now);
    }
    if (fin) {
        circuit_end(peer, circuit, 0);
        stream_finish(stream, nanos_add(peer->now, CIRCUIT_LINGER_TIMEOUT));
    }
}

/* What came behind a message that made `stream` a circuit. */
static void begin(struct peer_stream *stream, size_t message_size, bool fin) {
    struct peer *peer = stream->peer;
    struct circuit *circuit = stream->user;
    circuit->connected = true;
    peer_timer_set(peer, &stream->timer, TIMER_PARKED);
    struct buffer early = stream->in;
    buffer_init(&stream->in, peer->memory, 0);
    buffer_consume(&early, message_size);
    receive(stream, buffer_bytes(&early), fin);
    buffer_done(&early);
}

void circuit_hop_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    struct circuit *circuit = stream->user;
    peer_stream_consume(stream, data.size); /* the muxer inside has windows of its own */
    if (circuit == NULL) {
        return;
    }
    if (circuit->connected) {
        receive(stream, data, fin);
        return;
    }
    struct relay_message message;
    size_t size;
    int error = relay_read(stream, RELAY_HOP, data, &message, &size);
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    if (error == 0) {
        error = message.type == RELAY_STATUS ? relay_status_error(message.status) : PLASM_MALFORMED;
    }
    if (error != 0) {
        circuit_abort(peer, circuit, error);
        return;
    }
    pipe_connected(circuit->pipe, peer->now);
    begin(stream, size, fin);
}

void circuit_writable(struct peer_stream *stream) {
    struct circuit *circuit = stream->user;
    if (circuit != NULL && circuit->blocked) {
        send_some(stream->peer, circuit);
    }
}

void circuit_ended(struct peer_stream *stream, int error) {
    if (stream->user != NULL) {
        circuit_end(stream->peer, stream->user, error);
    }
}

/* --- being called ----------------------------------------------------------------------------- */

static void refuse(struct peer_stream *stream, enum relay_status status) {
    const struct relay_message message = {.type = RELAY_STATUS, .status = status};
    stream->parts = 1;
    if (relay_send(stream, RELAY_STOP, &message) == 0) {
        stream_finish(stream, nanos_add(stream->peer->now, CIRCUIT_LINGER_TIMEOUT));
    } else {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

/* Whose circuit it is shows the handshake: what the relay says of the caller is not believed. */
static void accept_call(struct peer_stream *stream, size_t message_size, bool fin) {
    struct peer *peer = stream->peer;
    const struct peer_connection *connection = stream->connection;
    struct multiaddr remote = connection->remote;
    struct pipe *pipe = NULL;
    int error = multiaddr_append(&remote, MULTIADDR_P2P, peer_id_bytes(&connection->known->id));
    if (error == 0) {
        error = multiaddr_append(&remote, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0));
    }
    if (error == 0) {
        error = pipe_accept(peer->relay.pipes, &peer->relay.provider, &remote, peer->now, &pipe);
    }
    if (error != 0) {
        refuse(stream, RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
        return;
    }
    struct circuit *circuit = circuit_new(peer, pipe);
    if (circuit == NULL) {
        pipe_ended(pipe, PLASM_NO_MEMORY, peer->now);
        refuse(stream, RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
        return;
    }
    attach(circuit, stream);
    const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
    if (relay_send(stream, RELAY_STOP, &ok) != 0) {
        circuit_abort(peer, circuit, PLASM_CLOSED);
        return;
    }
    begin(stream, message_size, fin);
}

void circuit_stop_data(struct peer_stream *stream, struct bytes data, bool fin) {
    peer_stream_consume(stream, data.size);
    if (stream->user != NULL) {
        receive(stream, data, fin);
        return;
    }
    if (stream->parts != 0) {
        return; /* it was refused, or is over */
    }
    struct relay_message message;
    size_t size;
    int error = relay_read(stream, RELAY_STOP, data, &message, &size);
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    stream->parts = 1;
    struct peer_id caller;
    if (error != 0 ||
        (message.type == RELAY_CONNECT && peer_id_decode(message.peer, &caller) != 0)) {
        refuse(stream, RELAY_STATUS_MALFORMED_MESSAGE);
    } else if (message.type != RELAY_CONNECT) {
        refuse(stream, RELAY_STATUS_UNEXPECTED_MESSAGE);
    } else if (!relay_client_reserved(&stream->peer->relay.client,
                                      &stream->connection->known->id)) {
        refuse(stream, RELAY_STATUS_PERMISSION_DENIED);
    } else {
        accept_call(stream, size, fin);
    }
}

void circuits_free(struct peer *peer) {
    struct list_node *node;
    while ((node = list_first(&peer->relay.circuits)) != NULL) {
        circuit_end(peer, CONTAINER_OF(node, struct circuit, node), PLASM_CLOSED);
    }
    struct pipe *pipe;
    enum pipe_task task;
    while (peer->relay.pipes != NULL && pipe_provider_next(&peer->relay.provider, &pipe, &task)) {
        pipe_ended(pipe, PLASM_CLOSED, peer->now);
    }
}
