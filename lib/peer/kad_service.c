/* The peer's side of Kademlia: carries the machine's questions to others and theirs to it. */
#include "peer/internal.h"

#include "util/ensure.h"
#include "wire/varint.h"

/* Operations of the machine and requests of the peer count apart; this bit tells them apart. */
#define KAD_REQUEST_BIT (UINT64_C(1) << 63)
/* A stream that asks nothing more for this long is closed. */
#define KAD_IDLE_TIMEOUT NANOS_MINUTE
/* After the answer the other side has this long to end its direction. */
#define KAD_LINGER_TIMEOUT (5 * NANOS_SECOND)

int kad_service_init(struct peer *peer) {
    struct kad_config config = {.own_id = peer->config.id,
                                .mode = peer->config.kad_server ? KAD_SERVER : KAD_CLIENT,
                                .namespaces = peer->config.kad_namespaces,
                                .random = &peer->random};
    kad_limits_default(&config.limits);
    return kad_new(&config, peer->memory, 0, &peer->kad);
}

void kad_service_free(struct peer *peer) {
    kad_free(peer->kad);
}

void kad_service_identified(struct peer_connection *connection, const struct bytes *addresses,
                            size_t count, bool is_server) {
    struct peer *peer = connection->peer;
    struct bytes list[KAD_ADDRESSES_MAX + 1];
    size_t size = 0;
    /* Where we dialled it, it certainly is. */
    if (!connection->link->inbound) {
        list[size++] = multiaddr_bytes(&connection->remote);
    }
    for (size_t i = 0; i < count && size < ARRAY_SIZE(list); i++) {
        list[size++] = addresses[i];
    }
    struct netaddr remote;
    bool has_remote = !connection->relayed && address_netaddr(&connection->remote, &remote);
    struct kad_peer known = {.id = connection->known->id,
                             .addresses = list,
                             .address_count = size,
                             .remote = has_remote ? &remote : NULL,
                             .is_server = is_server,
                             .is_connected = true};
    if (kad_peer_identified(peer->kad, &known, peer->now) != 0) {
        log_event(peer->log, LOG_LEVEL_WARNING, "kad", "out of memory: a peer is not noted");
    }
    if (is_server) {
        bootstrap_server_known(peer);
    }
}

void kad_service_disconnected(struct peer *peer, const struct peer_id *id) {
    kad_peer_disconnected(peer->kad, id, peer->now);
}

void kad_service_addresses(struct peer *peer) {
    struct bytes list[PEER_OWN_ADDRESSES_MAX];
    for (size_t i = 0; i < peer->address_count; i++) {
        list[i] = multiaddr_bytes(&peer->addresses[i]);
    }
    int error = kad_set_addresses(peer->kad, list, peer->address_count, peer->now);
    ENSURE(error == 0 || error == PLASM_NO_MEMORY);
}

/* Writes the request on a stream of its own. */
void kad_service_connected(struct peer_connection *connection, const struct dial_waiter *waiter) {
    struct peer *peer = connection->peer;
    if (waiter->deadline <= peer->now) {
        return; /* the machine has given it up */
    }
    struct peer_stream *stream;
    int error = stream_open(connection, SERVICE_KAD, peer->config.kad_protocol, &stream);
    if (error != 0) {
        kad_answer_failed(peer->kad, waiter->request, error, peer->now);
        return;
    }
    stream->request = waiter->request;
    buffer_init(&stream->in, peer->memory, KAD_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
    peer_timer_set(peer, &stream->timer, waiter->deadline);
    /* Our direction ends later: js-libp2p answers nothing when the end comes with the request, and
     * never sees an end that comes with the negotiation. */
    error = stream_send(stream, block_bytes(waiter->message), false);
    if (error == 0 && waiter->expects_answer) {
        return;
    }
    stream->request = 0;
    if (error == 0) {
        kad_answer(peer->kad, waiter->request, bytes_of(NULL, 0), peer->now);
    } else {
        kad_answer_failed(peer->kad, waiter->request, error, peer->now);
        stream_abort(stream, 0);
    }
}

/* Of a request without an answer the negotiation's answer is all that is waited for. */
void kad_service_agreed(struct peer_stream *stream) {
    if (stream->request == 0) {
        stream_finish(stream, nanos_add(stream->peer->now, KAD_LINGER_TIMEOUT));
    }
}

void kad_service_failed(struct peer *peer, uint64_t request, int error) {
    kad_answer_failed(peer->kad, request, error, peer->now);
}

static struct block *frame(struct peer *peer, struct bytes payload) {
    struct block *block = block_new(peer->memory, uvarint_size(payload.size) + payload.size);
    if (block != NULL) {
        struct writer writer = writer_of((struct span){block->data, block->size});
        uvarint_write(&writer, payload.size);
        writer_bytes_put(&writer, payload);
        ENSURE(writer.error == 0);
    }
    return block;
}

static void ask_peer(struct peer *peer, const struct kad_ask *ask) {
    struct dial_waiter waiter = {.kind = WAITER_KAD,
                                 .request = ask->id,
                                 .expects_answer = ask->expects_answer,
                                 .deadline = ask->deadline,
                                 .message = frame(peer, ask->request)};
    if (waiter.message == NULL) {
        kad_answer_failed(peer->kad, ask->id, PLASM_NO_MEMORY, peer->now);
        return;
    }
    struct peer_connection *connection = peer_connection_to(peer, &ask->peer);
    if (connection != NULL) {
        kad_service_connected(connection, &waiter);
        block_unref(waiter.message);
        return;
    }
    struct multiaddr addresses[KAD_ADDRESSES_MAX];
    size_t count = 0;
    struct bytes packed = ask->addresses;
    struct bytes address;
    while (count < ARRAY_SIZE(addresses) && kad_address_next(&packed, &address)) {
        if (multiaddr_decode(address, &addresses[count]) == 0 &&
            !multiaddr_has(&addresses[count], MULTIADDR_P2P_CIRCUIT)) { /* no guest asks there */
            count++;
        }
    }
    /* The ask's peer id is borrowed from the machine, which the dial may call. */
    struct peer_id id = ask->peer;
    int error = dial_start(peer, &id, addresses, count, &waiter);
    if (error != 0) {
        block_unref(waiter.message);
        kad_answer_failed(peer->kad, ask->id, error, peer->now);
    }
}

static void emit_found(struct peer *peer, const struct kad_event *found) {
    struct peer_event event = {.type = PEER_EVENT_PROVIDER,
                               .request = found->operation | KAD_REQUEST_BIT,
                               .peer_id = found->peer,
                               .data = found->addresses};
    (void)peer_emit(peer, &event);
}

static void emit_done(struct peer *peer, const struct kad_event *ended) {
    const struct kad_done *done = &ended->done;
    log_event(peer->log, LOG_LEVEL_DEBUG, "kad",
              "lookup %llu: %s, %zu results, %zu asked, %zu answered, %zu hops, %llu us",
              (unsigned long long)ended->operation, plasm_error_name(done->status), done->count,
              done->asked, done->answered, done->hops,
              (unsigned long long)(done->elapsed / NANOS_MICROSECOND));
    struct peer_event event = {.type = PEER_EVENT_LOOKUP_DONE,
                               .request = ended->operation | KAD_REQUEST_BIT,
                               .error = done->status,
                               .count = done->count,
                               .elapsed = done->elapsed,
                               .asked = done->asked,
                               .hops = done->hops};
    if (!done->is_internal) {
        (void)peer_emit(peer, &event);
    }
}

static void take_event(struct peer *peer, const struct kad_event *event) {
    char id[PEER_ID_TEXT_MAX];
    struct peer_event value = {.type = PEER_EVENT_VALUE,
                               .request = event->operation | KAD_REQUEST_BIT,
                               .data = event->value};
    switch (event->kind) {
    case KAD_PROVIDER_FOUND:
    case KAD_PEER_FOUND:
        emit_found(peer, event);
        break;
    case KAD_VALUE_FOUND:
        (void)peer_emit(peer, &value);
        break;
    case KAD_OPERATION_DONE:
        emit_done(peer, event);
        break;
    case KAD_TABLE_ADDED:
    case KAD_TABLE_REMOVED:
        peer_id_format(&event->peer, id);
        log_event(peer->log, LOG_LEVEL_DEBUG, "kad", "%s %s the routing table, now %zu", id,
                  event->kind == KAD_TABLE_ADDED ? "joins" : "leaves", event->table_size);
        break;
    }
}

void kad_service_run(struct peer *peer) {
    struct kad_event event;
    while (kad_next_event(peer->kad, &event)) {
        take_event(peer, &event);
    }
    struct kad_ask ask;
    while (kad_next_ask(peer->kad, peer->now, &ask)) {
        ask_peer(peer, &ask);
        while (kad_next_event(peer->kad, &event)) {
            take_event(peer, &event);
        }
    }
}

void kad_service_opened(struct peer_stream *stream) {
    buffer_init(&stream->in, stream->peer->memory, KAD_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
}

/* Answers one request; an error means the stream is not worth keeping. */
static int answer(struct peer_stream *stream, struct bytes request) {
    struct peer *peer = stream->peer;
    uint8_t room[KAD_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX];
    struct netaddr remote;
    bool has_remote =
        !stream->connection->relayed && address_netaddr(&stream->connection->remote, &remote);
    size_t size = 0;
    int error = kad_request(peer->kad, &stream->connection->known->id, has_remote ? &remote : NULL,
                            request, (struct span){room, KAD_MESSAGE_SIZE_MAX}, peer->now, &size);
    if (error != 0 || size == 0) {
        return error;
    }
    struct block *block = frame(peer, bytes_of(room, size));
    if (block == NULL) {
        return PLASM_NO_MEMORY;
    }
    error = stream_send(stream, block_bytes(block), false);
    block_unref(block);
    return error;
}

static int take_requests(struct peer_stream *stream, bool fin) {
    int error = 0;
    struct bytes payload;
    size_t size;
    while (error == 0) {
        error = frame_read(buffer_bytes(&stream->in), KAD_MESSAGE_SIZE_MAX, &payload, &size);
        if (error == 0) {
            error = answer(stream, payload);
            buffer_consume(&stream->in, size);
        }
    }
    if (error != PLASM_TRUNCATED) {
        return error;
    }
    return fin ? stream_send(stream, bytes_of(NULL, 0), true) : 0;
}

static int take_answer(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct bytes payload;
    size_t size;
    int error = frame_read(buffer_bytes(&stream->in), KAD_MESSAGE_SIZE_MAX, &payload, &size);
    if (error == PLASM_TRUNCATED) {
        return 0;
    }
    if (error == 0) {
        kad_answer(peer->kad, stream->request, payload, peer->now);
        stream->request = 0;
        stream_finish(stream, nanos_add(peer->now, KAD_LINGER_TIMEOUT));
    }
    return error;
}

void kad_service_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    if (!stream->inbound && stream->request == 0) {
        return; /* answered already */
    }
    int error = 0;
    /* In pieces that fit the bound of one message, whatever comes in one go. */
    do {
        struct bytes piece = bytes_slice(data, 0, stream->in.size_max - stream->in.size);
        data = bytes_slice(data, piece.size, data.size);
        bool last = data.size == 0;
        error = buffer_append(&stream->in, piece);
        if (error == 0) {
            error = stream->inbound ? take_requests(stream, fin && last) : take_answer(stream);
        }
        if (!stream->inbound && stream->request == 0) {
            return;
        }
    } while (error == 0 && data.size > 0);
    if (error == 0 && !stream->inbound && fin) {
        error = PLASM_TRUNCATED;
    }
    if (error != 0) {
        kad_service_ended(stream, error);
        stream_abort(stream, PEER_RESET_PROTOCOL);
    } else if (stream->inbound) {
        peer_timer_set(peer, &stream->timer, nanos_add(peer->now, KAD_IDLE_TIMEOUT));
    }
}

void kad_service_ended(struct peer_stream *stream, int error) {
    if (!stream->inbound && stream->request != 0) {
        kad_answer_failed(stream->peer->kad, stream->request, error != 0 ? error : PLASM_CLOSED,
                          stream->peer->now);
        stream->request = 0;
    }
}

void kad_service_bootstrap(struct peer *peer, uint64_t *ret_request) {
    uint64_t operation;
    if (kad_bootstrap(peer->kad, NULL, peer->now, &operation) == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
}

int peer_find_providers(struct peer *peer, struct bytes key, size_t count_max, nanos now,
                        uint64_t *ret_request) {
    peer->now = now;
    struct kad_options options = {.count_max = count_max};
    uint64_t operation;
    int error = kad_find_providers(peer->kad, key, &options, now, &operation);
    if (error == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
    return error;
}

int peer_find_peer(struct peer *peer, const struct peer_id *id, nanos now, uint64_t *ret_request) {
    peer->now = now;
    uint64_t operation;
    int error = kad_find_peer(peer->kad, id, NULL, now, &operation);
    if (error == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
    return error;
}

int peer_provide(struct peer *peer, struct bytes key, nanos now, uint64_t *ret_request) {
    peer->now = now;
    uint64_t operation;
    int error = kad_provide(peer->kad, key, NULL, now, &operation);
    if (error == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
    return error;
}

void peer_provide_stop(struct peer *peer, struct bytes key) {
    kad_unprovide(peer->kad, key);
}

int peer_put_value(struct peer *peer, struct bytes key, struct bytes value, nanos now,
                   uint64_t *ret_request) {
    peer->now = now;
    uint64_t operation;
    int error = kad_put_value(peer->kad, key, value, NULL, now, &operation);
    if (error == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
    return error;
}

int peer_get_value(struct peer *peer, struct bytes key, nanos now, uint64_t *ret_request) {
    peer->now = now;
    uint64_t operation;
    int error = kad_get_value(peer->kad, key, NULL, now, &operation);
    if (error == 0) {
        *ret_request = operation | KAD_REQUEST_BIT;
    }
    return error;
}

void peer_lookup_cancel(struct peer *peer, uint64_t request) {
    kad_cancel(peer->kad, request & ~KAD_REQUEST_BIT, peer->now);
    kad_service_run(peer);
    events_forget_request(peer, request);
}

void peer_kad_counts(const struct peer *peer, struct kad_counts *ret_counts) {
    kad_count(peer->kad, ret_counts);
}

size_t peer_routing_size(const struct peer *peer) {
    struct kad_counts counts;
    kad_count(peer->kad, &counts);
    return counts.table_peers;
}

size_t peer_routing_closest(const struct peer *peer, struct bytes key, struct peer_id *ret_ids,
                            size_t count_max) {
    return kad_table_closest(peer->kad, key, ret_ids, count_max < KAD_K ? count_max : KAD_K);
}

int peer_routing_export(const struct peer *peer, struct buffer *out) {
    return kad_export(peer->kad, out);
}

int peer_routing_import(struct peer *peer, struct bytes table, nanos now) {
    peer->now = now;
    return kad_import(peer->kad, table, now);
}
