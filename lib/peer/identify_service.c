/* The peer's side of identify: telling who we are, learning who they are. */
#include "peer/internal.h"

#include "proto/capability/capability.h"
#include "proto/identify/identify.h"
#include "util/ensure.h"
#include "wire/varint.h"

#define IDENTIFY_TIMEOUT          (10 * NANOS_SECOND)
#define IDENTIFY_PROTOCOL_VERSION "phase/1.0.0"

/* Joins the key, addresses and record into our message to this connection's peer. */
static int encode_ours(struct peer_connection *connection, struct buffer *out) {
    struct peer *peer = connection->peer;
    uint8_t key[KEY_ENCODED_MAX];
    struct writer writer = writer_of((struct span){key, sizeof(key)});
    public_key_encode(&peer->config.key, &writer);
    ENSURE(writer.error == 0);
    struct identify message = {
        .protocol_version = BYTES_LITERAL(IDENTIFY_PROTOCOL_VERSION),
        .agent = bytes_of_string(peer->config.agent),
        .public_key = writer_bytes(&writer),
        /* a relay's address says nothing of theirs */
        .observed = connection->relayed ? bytes_of(NULL, 0) : multiaddr_bytes(&connection->remote)};
    if (peer->record != NULL) {
        message.signed_record = block_bytes(peer->record);
    }
    for (size_t i = 0; i < peer->address_count; i++) {
        message.addresses[message.address_count++] = multiaddr_bytes(&peer->addresses[i]);
    }
    for (size_t i = 0; i < peer->protocol_count; i++) {
        /* Listing the capability protocol asks for pushes: only who reads or has one does. */
        if (peer->protocol_services[i] != SERVICE_CAPABILITY || peer->config.capability_reader ||
            peer->capability != NULL) {
            message.protocols[message.protocol_count++] = bytes_of_string(peer->protocol_names[i]);
        }
    }
    return identify_encode(&message, out);
}

static void send_ours(struct peer_stream *stream) {
    struct buffer out;
    buffer_init(&out, stream->peer->memory, 2 * IDENTIFY_SENT_MAX);
    int error = encode_ours(stream->connection, &out);
    if (error == 0) {
        error = stream_send(stream, buffer_bytes(&out), true);
    }
    buffer_done(&out);
    if (error == 0) {
        stream->tells = true;
        stream->connection->telling++;
        stream->connection->told_version = stream->peer->identify_version;
    }
    if (error != 0) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

/* The first identify of a connection has ended without one. */
static void failed(struct peer_connection *connection, int error) {
    log_event(connection->peer->log, LOG_LEVEL_DEBUG, "identify", "failed: %s",
              plasm_error_message(error));
    if (!connection->identified && !connection->ended) {
        struct peer_event event = {
            .type = PEER_EVENT_IDENTIFIED, .connection = connection, .error = error};
        (void)peer_emit(connection->peer, &event);
    }
}

void identify_start(struct peer_connection *connection) {
    struct peer_stream *stream;
    int error = stream_open(connection, SERVICE_IDENTIFY, IDENTIFY_PROTOCOL, &stream);
    if (error != 0) {
        failed(connection, error);
        return;
    }
    buffer_init(&stream->in, connection->peer->memory, IDENTIFY_TOTAL_MAX);
    /* The question is the stream itself: nothing of ours follows. */
    error = stream_send(stream, bytes_of(NULL, 0), true);
    if (error != 0) {
        stream_abort(stream, 0);
        failed(connection, error);
    }
}

void identify_answer(struct peer_stream *stream) {
    if (stream->service == SERVICE_IDENTIFY) {
        send_ours(stream);
        return;
    }
    buffer_init(&stream->in, stream->peer->memory, IDENTIFY_TOTAL_MAX);
}

/* Tells what changed since the other side heard of us last. Who has not asked yet will ask. One
 * message after the other: on streams side by side the older one may arrive last. */
static void push(struct peer_connection *connection) {
    struct peer_stream *stream;
    if (connection->takes_push && connection->told_version != 0 && connection->telling == 0 &&
        connection->told_version != connection->peer->identify_version &&
        stream_open(connection, SERVICE_IDENTIFY_PUSH, IDENTIFY_PUSH_PROTOCOL, &stream) == 0) {
        send_ours(stream);
    }
}

void identify_push_all(struct peer *peer) {
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        push(connection);
    }
}

void identify_ended(struct peer_stream *stream, int error) {
    struct peer_connection *connection = stream->connection;
    if (stream->tells) {
        connection->telling--;
        push(connection);
    } else if (!stream->inbound && stream->service == SERVICE_IDENTIFY && !connection->identified) {
        failed(connection, error != 0 ? error : PLASM_CLOSED);
    }
}

/* The addresses of a signed record count more than plain ones; one that does not hold, or is of
 * somebody else, counts nothing. */
static void take_record(const struct peer_connection *connection, const struct identify *message,
                        struct peer_record *record) {
    struct envelope envelope;
    if (message->signed_record.size == 0 ||
        envelope_open(message->signed_record, BYTES_LITERAL(PEER_RECORD_DOMAIN), &envelope) != 0 ||
        !peer_id_equal(&envelope.signer, &connection->known->id) ||
        !bytes_equal(envelope.payload_type, BYTES_LITERAL(PEER_RECORD_TYPE)) ||
        peer_record_decode(envelope.payload, record) != 0 ||
        !peer_id_equal(&record->peer_id, &connection->known->id)) {
        record->address_count = 0;
    }
}

/* The claimed key must be the one the handshake proved. */
static bool key_matches(const struct peer_connection *connection, const struct identify *message) {
    struct public_key key;
    return message->public_key.size == 0 || (public_key_decode(message->public_key, &key) == 0 &&
                                             peer_id_check(&connection->known->id, &key) == 0);
}

static void learn(struct peer_connection *connection, const struct identify *message) {
    struct peer *peer = connection->peer;
    struct peer_record record = {.address_count = 0};
    take_record(connection, message, &record);
    bool server = identify_has_protocol(message, peer->config.kad_protocol);
    bool signed_ones = record.address_count > 0;
    const struct bytes *addresses = signed_ones ? record.addresses : message->addresses;
    size_t count = signed_ones ? record.address_count : message->address_count;
    /* The DHT does not ask over relays. */
    kad_service_identified(connection, addresses, count, server && !connection->relayed);
    relay_service_identified(connection, addresses, count,
                             identify_has_protocol(message, RELAY_HOP_PROTOCOL));
    reachability_identified(connection, message);
    bool read_before = connection->reads_capability;
    connection->reads_capability = identify_has_protocol(message, CAPABILITY_PROTOCOL);
    connection->takes_push = identify_has_protocol(message, IDENTIFY_PUSH_PROTOCOL);
    if (!connection->identified) {
        connection->identified = true;
        struct peer_event event = {.type = PEER_EVENT_IDENTIFIED, .connection = connection};
        (void)peer_emit(peer, &event);
        dcutr_identified(connection);
        push(connection); /* what changed after it had asked and before we knew it takes pushes */
    }
    if (connection->reads_capability && !read_before) {
        capability_push(connection);
    }
}

/* The payloads of all frames, joined: protobuf merges what is joined. */
static int join_parts(struct bytes input, struct buffer *out) {
    int error = input.size > 0 ? 0 : PLASM_MALFORMED;
    for (size_t parts = 0; input.size > 0 && error == 0; parts++) {
        struct bytes part;
        size_t frame;
        error = parts < IDENTIFY_PARTS_MAX ? frame_read(input, IDENTIFY_PART_MAX, &part, &frame)
                                           : PLASM_TOO_LARGE;
        if (error == 0) {
            error = buffer_append(out, part);
            input = bytes_slice(input, frame, input.size);
        }
    }
    return error;
}

/* Checks what came, and completes a push with what is known. */
static int read_message(const struct peer_stream *stream, struct buffer *out) {
    const struct peer_connection *connection = stream->connection;
    struct identify message = {0};
    int error = join_parts(buffer_bytes(&stream->in), out);
    if (error == 0) {
        error = identify_merge(buffer_bytes(out), &message);
    }
    if (error == 0 && !key_matches(connection, &message)) {
        error = PLASM_UNTRUSTED;
    }
    struct identify before = {0};
    if (error == 0 && stream->service == SERVICE_IDENTIFY_PUSH &&
        identify_merge(peer_connection_identify(connection), &before) == 0) {
        error = identify_inherit(&before, &message, out);
    }
    return error;
}

static int finished(struct peer_stream *stream) {
    struct peer_connection *connection = stream->connection;
    struct buffer joined;
    buffer_init(&joined, stream->peer->memory, 4 * IDENTIFY_TOTAL_MAX);
    int error = read_message(stream, &joined);
    struct block *kept =
        error == 0 ? block_copy(stream->peer->memory, buffer_bytes(&joined)) : NULL;
    buffer_done(&joined);
    if (kept == NULL) {
        return error != 0 ? error : PLASM_NO_MEMORY;
    }
    block_unref(connection->identify);
    connection->identify = kept;
    struct identify message = {0};
    error = identify_merge(block_bytes(kept), &message);
    if (error == 0) {
        learn(connection, &message);
    }
    return error;
}

void identify_data(struct peer_stream *stream, struct bytes data, bool fin) {
    /* Who asked is told by the other side, who is pushed to by this one. */
    bool reads = stream->inbound == (stream->service == SERVICE_IDENTIFY_PUSH);
    int error = reads ? buffer_append(&stream->in, data) : 0;
    if (error == 0 && reads && fin) {
        error = finished(stream);
        if (error == 0 && stream->inbound) {
            error = stream_send(stream, bytes_of(NULL, 0), true);
        }
    }
    if (error != 0) {
        if (!stream->inbound) {
            failed(stream->connection, error);
        }
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}
