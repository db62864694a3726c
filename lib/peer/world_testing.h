/* Peers and what is between them, in virtual time: what the tests of lib/peer play on. A world has
 * a kind of transport; the same tests run on each. */
#ifndef PEER_WORLD_TESTING_H
#define PEER_WORLD_TESTING_H

#include "identity/envelope.h"
#include "peer/peer.h"
#include "peer/relay.h"
#include "proto/capability/capability.h"
#include "proto/identify/identify.h"
#include "proto/kad/addresses.h"
#include "util/testing.h"

#ifndef WORLD_NODES_MAX
#define WORLD_NODES_MAX 16
#endif
#define WORLD_KAD    "/world/kad/1.0.0"
#define WORLD_ECHO   "/world/echo/1.0.0"
#define WORLD_NOBODY "/world/nobody/1.0.0"
/* Turns of the world without time passing: more is a loop that does not end. */
#define WORLD_TURNS_MAX 200000
#define WORLD_PIECE_MAX 65536
/* What is waited for happens within this time or never. */
#define WORLD_PATIENCE (60 * NANOS_SECOND)

struct world;
struct world_node;

struct world_kind {
    const char *name;
    /* Makes the node's transport and tells its peer; false when memory is out. */
    bool (*start)(struct world_node *node);
    void (*stop)(struct world_node *node);
    /* Carries what is due; true when there was anything. NULL when events do it by themselves. */
    bool (*move)(struct world *world);
    nanos (*deadline)(const struct world *world);
    void (*done)(struct world *world);
    /* Sets the node's address; NULL: QUIC's. */
    void (*address)(struct world_node *node);
    bool relayed; /* its nodes reach each other through a relay */
};

/* An event as it was, with a copy of what it pointed to. */
struct world_event {
    struct peer_event event;
    nanos at;
    uint8_t *data;
};

struct world_node {
    struct world *world;
    size_t index;
    struct memory_failing memory;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    struct multiaddr address; /* without /p2p */
    struct peer_config config;
    struct peer *peer; /* NULL: not running */
    void *transport;   /* the kind's own */
    struct world_event *events;
    size_t event_count;
    size_t event_capacity;
    bool ignores_streams; /* streams that others open are left as they are, */
    bool holds_credit;    /* and what arrives on them is not given credit for */
    bool refuses_to_sign;
    void (*on_event)(struct world_node *node, const struct peer_event *event); /* may be NULL */
    size_t echoes; /* streams served now */
};

struct world {
    const struct world_kind *kind;
    nanos now;
    nanos delay; /* one way */
    int64_t unix_seconds;
    struct world_node nodes[WORLD_NODES_MAX];
    size_t node_count;
    void *between; /* the kind's own */
    bool out_of_memory_expected;
    void *test;
};

/* --- streams of the application --------------------------------------------------------------- */

/* Both ends of WORLD_ECHO. The asking end writes a pattern (byte i is i % 251) and checks what
 * comes back; the answering end returns what it gets until FIN. */
struct world_stream {
    struct world_node *node;
    struct peer_stream *stream; /* NULL once it has ended */
    bool echoes;
    size_t to_write;
    size_t written;
    bool finishes;
    bool finished;
    struct buffer pending; /* echo: read, not written */
    size_t read;
    bool changed; /* what came back was not what was sent */
    bool got_end;
    bool closed;
    int error;
};

static inline void world_stream_free(struct world_stream *stream) {
    if (stream->stream != NULL) {
        *peer_stream_user(stream->stream) = NULL;
        peer_stream_close(stream->stream, 0);
    }
    buffer_done(&stream->pending);
    free(stream);
}

static inline int world_stream_write_some(struct world_stream *stream, size_t *ret_accepted) {
    struct memory *memory = &stream->node->memory.memory;
    size_t left = stream->echoes ? stream->pending.size : stream->to_write - stream->written;
    size_t size = left < WORLD_PIECE_MAX ? left : WORLD_PIECE_MAX;
    bool ends = size == left && (stream->echoes ? stream->got_end : stream->finishes);
    if (size == 0 && !ends) {
        *ret_accepted = 0;
        return PLASM_STATE; /* nothing to do */
    }
    struct block *block = block_new(memory, size);
    if (block == NULL) {
        return PLASM_NO_MEMORY;
    }
    for (size_t i = 0; i < size; i++) {
        block->data[i] = stream->echoes ? stream->pending.data[stream->pending.start + i]
                                        : (uint8_t)((stream->written + i) % 251);
    }
    int error = peer_stream_write(stream->stream, block, 0, size, ends, ret_accepted);
    block_unref(block);
    if (error == 0) {
        stream->finished = ends && *ret_accepted == size;
        stream->written += *ret_accepted;
        if (stream->echoes) {
            buffer_consume(&stream->pending, *ret_accepted);
            peer_stream_consume(stream->stream, *ret_accepted);
        }
        error = *ret_accepted < size ? PLASM_STATE : 0;
    }
    return error;
}

/* Writes as much as is taken. */
static inline void world_stream_pump(struct world_stream *stream) {
    int error = 0;
    while (error == 0 && stream->stream != NULL && !stream->finished) {
        size_t accepted = 0;
        error = world_stream_write_some(stream, &accepted);
    }
    if (error != 0 && error != PLASM_STATE && error != PLASM_CLOSED) {
        ENSURE(error == PLASM_NO_MEMORY);
        peer_stream_close(stream->stream, 1);
        stream->stream = NULL;
        stream->closed = true;
        stream->error = error;
    }
}

static inline void world_stream_data(struct world_stream *stream, const struct peer_event *event) {
    stream->got_end = event->fin;
    if (stream->echoes) {
        if (buffer_append(&stream->pending, event->data) != 0) {
            peer_stream_close(stream->stream, 1);
            stream->stream = NULL;
            stream->closed = true;
            stream->error = PLASM_NO_MEMORY;
            return;
        }
        world_stream_pump(stream);
    } else {
        for (size_t i = 0; i < event->data.size; i++) {
            stream->changed = stream->changed || event->data.data[i] != (stream->read + i) % 251;
        }
        peer_stream_consume(stream->stream, event->data.size);
    }
    stream->read += event->data.size;
}

static inline void world_stream_event(struct world_node *node, const struct peer_event *event) {
    struct world_stream *stream = *peer_stream_user(event->stream);
    if (event->type == PEER_EVENT_STREAM_OPENED && !node->ignores_streams) {
        stream = calloc(1, sizeof(*stream));
        ENSURE(stream != NULL && *peer_stream_user(event->stream) == NULL);
        stream->node = node;
        stream->stream = event->stream;
        stream->echoes = true;
        buffer_init(&stream->pending, &node->memory.memory, SIZE_MAX);
        *peer_stream_user(event->stream) = stream;
        node->echoes++;
        return;
    }
    if (stream == NULL) {
        if (event->type == PEER_EVENT_STREAM_DATA && !node->holds_credit) {
            peer_stream_consume(event->stream, event->data.size);
        }
        return;
    }
    if (event->type == PEER_EVENT_STREAM_DATA) {
        world_stream_data(stream, event);
    } else if (event->type == PEER_EVENT_STREAM_WRITABLE) {
        world_stream_pump(stream);
    } else if (event->type == PEER_EVENT_STREAM_CLOSED) {
        stream->stream = NULL;
        stream->closed = true;
        stream->error = event->error;
    }
    if (stream->closed && stream->echoes) {
        node->echoes--;
        world_stream_free(stream);
    }
}

/* Opens a stream that writes `size` bytes and then finishes. NULL: the error is *ret_error. */
static inline struct world_stream *world_open(struct world_node *node,
                                              struct peer_connection *connection,
                                              const char *protocol, size_t size, int *ret_error) {
    struct peer_stream *opened;
    *ret_error = peer_stream_open(node->peer, connection, protocol, node->world->now, &opened);
    if (*ret_error != 0) {
        return NULL;
    }
    struct world_stream *stream = calloc(1, sizeof(*stream));
    ENSURE(stream != NULL);
    stream->node = node;
    stream->stream = opened;
    stream->to_write = size;
    stream->finishes = true;
    buffer_init(&stream->pending, &node->memory.memory, SIZE_MAX);
    *peer_stream_user(opened) = stream;
    world_stream_pump(stream);
    return stream;
}

/* --- events ----------------------------------------------------------------------------------- */

static inline void world_note(struct world_node *node, const struct peer_event *event) {
    if (node->event_count == node->event_capacity) {
        node->event_capacity = node->event_capacity > 0 ? 2 * node->event_capacity : 64;
        node->events = realloc(node->events, node->event_capacity * sizeof(struct world_event));
        ENSURE(node->events != NULL);
    }
    struct world_event *noted = &node->events[node->event_count++];
    *noted = (struct world_event){.event = *event, .at = node->world->now};
    if (event->data.size > 0) {
        noted->data = malloc(event->data.size);
        ENSURE(noted->data != NULL);
        memcpy(noted->data, event->data.data, event->data.size);
        noted->event.data.data = noted->data;
    }
}

/* The last event of a type, of a request where that is not 0; NULL when there was none. */
static inline const struct peer_event *world_last(const struct world_node *node,
                                                  enum peer_event_type type, uint64_t request) {
    for (size_t i = node->event_count; i > 0; i--) {
        const struct peer_event *event = &node->events[i - 1].event;
        if (event->type == type && (request == 0 || event->request == request)) {
            return event;
        }
    }
    return NULL;
}

static inline size_t world_count(const struct world_node *node, enum peer_event_type type) {
    size_t count = 0;
    for (size_t i = 0; i < node->event_count; i++) {
        count += node->events[i].event.type == type;
    }
    return count;
}

/* Connections to other nodes: the one to the relay that keeps a place for us does not count. */
static inline size_t world_connections(const struct world_node *node) {
    size_t count = peer_connection_count(node->peer);
    return node->world->kind->relayed ? count - 1 : count;
}

static inline void world_forget(struct world_node *node) {
    for (size_t i = 0; i < node->event_count; i++) {
        free(node->events[i].data);
    }
    node->event_count = 0;
}

#define WORLD_BYTES(literal)                                                                       \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* As the host's signer does. */
static inline void world_sign(struct world_node *node, const struct peer_event *event) {
    static const struct bytes kinds[][2] = {
        [PEER_SIGN_RECORD] = {WORLD_BYTES(PEER_RECORD_DOMAIN), WORLD_BYTES(PEER_RECORD_TYPE)},
        [PEER_SIGN_CAPABILITY] = {WORLD_BYTES(CAPABILITY_DOMAIN),
                                  WORLD_BYTES(CAPABILITY_PAYLOAD_TYPE)},
        [PEER_SIGN_RELAY_VOUCHER] = {WORLD_BYTES(RELAY_VOUCHER_DOMAIN),
                                     WORLD_BYTES(RELAY_VOUCHER_TYPE)},
    };
    struct bytes domain = kinds[event->sign][0];
    struct bytes type = kinds[event->sign][1];
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer message;
    struct buffer envelope;
    buffer_init(&message, &memory, 2 * ENVELOPE_SIZE_MAX);
    buffer_init(&envelope, &memory, ENVELOPE_SIZE_MAX);
    if (!node->refuses_to_sign) {
        uint8_t signature[ED25519_SIGNATURE_SIZE];
        ENSURE(envelope_message(domain, type, event->data, &message) == 0);
        ed25519_sign(&node->secret, buffer_bytes(&message), signature);
        ENSURE(envelope_seal(&node->key, type, event->data, BYTES_ARRAY(signature), &envelope) ==
               0);
    }
    peer_signed(node->peer, event->request, buffer_bytes(&envelope), node->world->now);
    buffer_done(&message);
    buffer_done(&envelope);
}

/* Takes all events of a node; true when there were any. */
static inline bool world_drain(struct world_node *node) {
    bool any = false;
    struct peer_event event;
    while (node->peer != NULL && peer_next_event(node->peer, node->world->now, &event)) {
        any = true;
        world_note(node, &event);
        if (event.type == PEER_EVENT_SIGN) {
            world_sign(node, &event);
        } else if (event.stream != NULL) {
            world_stream_event(node, &event);
        }
        if (node->on_event != NULL) {
            node->on_event(node, &event);
        }
    }
    return any;
}

/* --- life ------------------------------------------------------------------------------------- */

static inline void world_init(struct world *world, const struct world_kind *kind) {
    memset(world, 0, sizeof(*world));
    world->kind = kind;
    world->now = 1000 * NANOS_SECOND;
    world->delay = 5 * NANOS_MILLISECOND;
    world->unix_seconds = INT64_C(1750000000); /* a day in June 2025 */
}

/* Adds a node that does not run yet: its configuration may be changed before world_start. */
static inline struct world_node *world_add(struct world *world) {
    static const char *const protocols[] = {WORLD_ECHO};
    ENSURE(world->node_count < WORLD_NODES_MAX);
    struct world_node *node = &world->nodes[world->node_count];
    node->world = world;
    node->index = world->node_count++;
    memory_failing_init(&node->memory, SIZE_MAX, false);
    uint8_t seed[ED25519_SEED_SIZE] = {(uint8_t)(node->index + 1), 7};
    ed25519_from_seed(&node->secret, seed);
    public_key_from_ed25519(node->secret.public_key, &node->key);
    peer_id_from_key(&node->key, &node->id);
    struct netaddr address = {
        .family = NETADDR_IP4, .ip = {10, 0, 0, (uint8_t)(node->index + 1)}, .port = 4001};
    multiaddr_from_quic(&address, &node->address);
    if (world->kind->address != NULL) {
        world->kind->address(node);
    }
    node->config = (struct peer_config){.id = node->id,
                                        .key = node->key,
                                        .agent = "world/1",
                                        .kad_protocol = WORLD_KAD,
                                        .kad_server = true,
                                        .protocols = protocols,
                                        .protocol_count = ARRAY_SIZE(protocols),
                                        .seed = {(uint8_t)node->index, 1},
                                        .limits = peer_limits_default};
    return node;
}

/* False when memory is out. */
static inline bool world_start(struct world_node *node) {
    node->config.memory = &node->memory.memory;
    if (peer_new(&node->config, &node->peer) != 0) {
        node->peer = NULL;
        return false;
    }
    if (!node->world->kind->start(node)) {
        peer_free(node->peer);
        node->peer = NULL;
        return false;
    }
    peer_set_unix_time(node->peer, (uint64_t)node->world->unix_seconds, node->world->now);
    peer_set_addresses(node->peer, &node->address, 1, node->world->now / NANOS_MICROSECOND,
                       node->world->now);
    return true;
}

static inline struct world_node *world_node_new(struct world *world) {
    struct world_node *node = world_add(world);
    bool started = world_start(node);
    ENSURE(started);
    return node;
}

/* The node is gone from one moment to the next. */
static inline void world_stop(struct world_node *node) {
    if (node->peer == NULL) {
        return;
    }
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(node->peer, connection)) != NULL) {
        peer_disconnect(node->peer, connection, node->world->now);
    }
    (void)world_drain(node); /* streams end */
    peer_free(node->peer);
    node->peer = NULL;
    node->world->kind->stop(node);
    ENSURE(node->echoes == 0);
}

/* Stops all nodes; what they had must all be given back. */
static inline void world_done(struct world *world) {
    for (size_t i = 0; i < world->node_count; i++) {
        world_stop(&world->nodes[i]);
        world_forget(&world->nodes[i]);
        free(world->nodes[i].events);
        ed25519_done(&world->nodes[i].secret);
    }
    for (size_t i = 0; i < world->node_count; i++) {
        ENSURE(world->nodes[i].memory.memory.used == 0);
    }
    if (world->kind->done != NULL) {
        world->kind->done(world);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

/* Everything that happens now. */
static inline void world_settle(struct world *world) {
    bool busy = true;
    for (size_t turns = 0; busy; turns++) {
        ENSURE(turns < WORLD_TURNS_MAX);
        busy = false;
        for (size_t i = 0; i < world->node_count; i++) {
            busy = world_drain(&world->nodes[i]) || busy;
        }
        busy = (world->kind->move != NULL && world->kind->move(world)) || busy;
        for (size_t i = 0; i < world->node_count; i++) {
            struct world_node *node = &world->nodes[i];
            if (node->peer != NULL && peer_deadline(node->peer) <= world->now) {
                peer_expire(node->peer, world->now);
                busy = true;
            }
        }
    }
}

static inline nanos world_deadline(const struct world *world) {
    nanos deadline = world->kind->deadline != NULL ? world->kind->deadline(world) : NANOS_NEVER;
    for (size_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].peer != NULL) {
            deadline = nanos_min(deadline, peer_deadline(world->nodes[i].peer));
        }
    }
    return deadline;
}

/* Lets time pass until the condition holds; false when it does not within `patience`. */
static inline bool world_until(struct world *world, bool (*condition)(struct world *world),
                               nanos patience) {
    nanos end = nanos_add(world->now, patience);
    for (;;) {
        world_settle(world);
        if (condition != NULL && condition(world)) {
            return true;
        }
        nanos next = world_deadline(world);
        if (next > end) {
            world->now = end;
            world_settle(world);
            return condition != NULL && condition(world);
        }
        world->now = nanos_max(next, world->now);
    }
}

static inline void world_run(struct world *world, nanos time) {
    (void)world_until(world, NULL, time);
}

/* Lets time pass until a node has seen an event (of a request, unless 0); NULL when it has not
 * within `patience`. */
static inline const struct peer_event *
world_await(struct world_node *node, enum peer_event_type type, uint64_t request, nanos patience) {
    struct world *world = node->world;
    nanos end = nanos_add(world->now, patience);
    for (;;) {
        world_settle(world);
        const struct peer_event *event = world_last(node, type, request);
        nanos next = world_deadline(world);
        if (event != NULL || next > end) {
            return event;
        }
        world->now = nanos_max(next, world->now);
    }
}

/* --- what tests do all the time --------------------------------------------------------------- */

static inline struct multiaddr world_full_address(const struct world_node *node) {
    struct multiaddr address = node->address;
    int error = multiaddr_append(&address, MULTIADDR_P2P, peer_id_bytes(&node->id));
    ENSURE(error == 0);
    return address;
}

/* Connects and waits until both know each other; the dialling side's connection. */
static inline struct peer_connection *world_connect(struct world_node *from,
                                                    struct world_node *to) {
    struct multiaddr address = world_full_address(to);
    uint64_t request = 0;
    assert_int_equal(peer_connect(from->peer, NULL, &address, 1, from->world->now, &request), 0);
    const struct peer_event *event =
        world_await(from, PEER_EVENT_CONNECTED, request, 30 * NANOS_SECOND);
    assert_non_null(event);
    struct peer_connection *connection = event->connection;
    world_run(from->world, 20 * from->world->delay);
    assert_ptr_equal(peer_connection_to(from->peer, &to->id), connection);
    assert_true(peer_connection_identify(connection).size > 0);
    struct peer_connection *back = peer_connection_to(to->peer, &from->id);
    assert_non_null(back);
    assert_true(peer_connection_identify(back).size > 0);
    return connection;
}

static inline void world_identify_of(struct world_node *node, const struct world_node *other,
                                     struct identify *ret_message) {
    struct peer_connection *connection = peer_connection_to(node->peer, &other->id);
    assert_non_null(connection);
    *ret_message = (struct identify){.address_count = 0};
    assert_int_equal(identify_merge(peer_connection_identify(connection), ret_message), 0);
}

static inline struct multiaddr world_address(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

/* Lets time pass until the stream has closed. */
static inline void world_await_close(struct world_stream *stream) {
    struct world *world = stream->node->world;
    for (int i = 0; i < 1000 && !stream->closed; i++) {
        world_run(world, 10 * NANOS_MILLISECOND);
    }
    assert_true(stream->closed);
}

static inline void world_echo(struct world_node *from, struct peer_connection *connection,
                              size_t size) {
    int error = 0;
    struct world_stream *stream = world_open(from, connection, WORLD_ECHO, size, &error);
    assert_non_null(stream);
    world_await_close(stream);
    assert_int_equal(stream->error, 0);
    assert_int_equal(stream->read, size);
    assert_false(stream->changed);
    assert_true(stream->got_end);
    world_stream_free(stream);
}

static inline void world_check_capability(const struct peer_event *event,
                                          const struct world_node *worker, const char *payload) {
    struct envelope envelope;
    assert_non_null(event);
    assert_int_equal(envelope_open(event->data, BYTES_LITERAL(CAPABILITY_DOMAIN), &envelope), 0);
    assert_true(peer_id_equal(&envelope.signer, &worker->id));
    assert_true(bytes_equal_string(envelope.payload, payload));
}

static inline void world_bootstrap(struct world_node *node, const struct world_node *first) {
    struct multiaddr address = world_full_address(first);
    peer_bootstrap(node->peer, &address, 1, node->world->now);
    assert_non_null(world_await(node, PEER_EVENT_BOOTSTRAPPED, 0, WORLD_PATIENCE));
}

static inline bool world_found(const struct world_node *node, uint64_t request,
                               const struct world_node *provider) {
    for (size_t i = 0; i < node->event_count; i++) {
        const struct peer_event *event = &node->events[i].event;
        struct bytes packed = event->data;
        struct bytes address;
        if (event->type == PEER_EVENT_PROVIDER && event->request == request &&
            peer_id_equal(&event->peer_id, &provider->id) && kad_address_next(&packed, &address) &&
            bytes_equal(address, multiaddr_bytes(&provider->address))) {
            return true;
        }
    }
    return false;
}

static inline int world_validate(void *context, struct bytes key, struct bytes value) {
    (void)context;
    (void)key;
    return bytes_start_with(value, BYTES_LITERAL("bad")) ? PLASM_MALFORMED : 0;
}

static inline bool world_better(void *context, struct bytes key, struct bytes candidate,
                                struct bytes current) {
    (void)context;
    (void)key;
    return bytes_compare(candidate, current) > 0;
}

/* Values under /w/: every one but those that begin with "bad"; the world_better is the better. */
static inline struct kad_namespaces world_namespaces(void) {
    static const struct kad_namespace namespace = {"w", world_validate, world_better, NULL};
    return (struct kad_namespaces){&namespace, 1};
}

/* The kind of world that a test of the list is run on. */
static inline const struct world_kind *world_kind_of(void **state) {
    return *state;
}

#endif
