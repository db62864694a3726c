/* The peer without memory: every allocation fails once, alone and with all after it. Nothing may
 * crash or leak, and handles must be told of their end whatever happens. */
#include "peer/memory_world_testing.h"
#include "peer/pipe_secure_testing.h"
#include "peer/quic_world_testing.h"
#include "wire/multihash.h"

/* What a call may say here; the story goes on without it. */
static void allow(int error) {
    assert_true(error == 0 || error == PLASM_NO_MEMORY || error == PLASM_CLOSED ||
                error == PLASM_LIMIT);
}

/* A life with a bit of everything; whatever fails is skipped. */
static void story(struct world_node *tested, struct world_node *other) {
    struct world *world = tested->world;
    struct multiaddr to_other = world_full_address(other);
    struct multiaddr to_tested = world_full_address(tested);
    struct multiaddr name = world_address("/dns/x.example/udp/1/quic-v1");
    uint64_t request = 0;
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("k"), key);
    allow(peer_set_capability(tested->peer, BYTES_LITERAL("{}"), world->now));
    peer_bootstrap(tested->peer, &to_other, 1, world->now);
    allow(peer_connect(tested->peer, NULL, &name, 1, world->now, &request));
    world_run(world, NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(tested->peer, &other->id);
    struct world_stream *stream = NULL;
    int error = 0;
    if (connection != NULL) {
        allow(peer_ping(tested->peer, connection, world->now, &request));
        stream = world_open(tested, connection, WORLD_ECHO, 50000, &error);
    }
    allow(peer_provide(tested->peer, BYTES_ARRAY(key), world->now, &request));
    allow(peer_provide(other->peer, BYTES_ARRAY(key), world->now, &request));
    world_run(world, NANOS_SECOND);
    allow(peer_find_providers(tested->peer, BYTES_ARRAY(key), 1, world->now, &request));
    allow(peer_put_value(tested->peer, BYTES_LITERAL("/w/k"), BYTES_LITERAL("v"), world->now,
                         &request));
    allow(peer_add_protocol(tested->peer, "/world/new/1", world->now));
    world_run(world, NANOS_SECOND);
    if (stream != NULL) {
        world_stream_free(stream);
    }
    connection = peer_connection_to(tested->peer, &other->id);
    if (connection != NULL) {
        peer_disconnect(tested->peer, connection, world->now);
    }
    world_run(world, NANOS_SECOND);
    /* And as the side that is called. */
    allow(peer_connect(other->peer, NULL, &to_tested, 1, world->now, &request));
    world_run(world, NANOS_SECOND);
    connection = peer_connection_to(other->peer, &tested->id);
    if (connection != NULL) {
        stream = world_open(other, connection, WORLD_ECHO, 50000, &error);
        allow(peer_ping(other->peer, connection, world->now, &request));
        allow(peer_find_peer(other->peer, &tested->id, world->now, &request));
        world_run(world, NANOS_SECOND);
        if (stream != NULL) {
            world_stream_free(stream);
        }
        connection = peer_connection_to(other->peer, &tested->id);
        if (connection != NULL) {
            peer_disconnect(other->peer, connection, world->now);
        }
    }
    world_run(world, 30 * NANOS_SECOND);
    /* The application has been told of the end of all it was told of. */
    assert_true(peer_connection_count(tested->peer) > 0 || tested->echoes == 0);
}

/* True when the n-th allocation came to pass. */
static bool fails_at(const struct world_kind *kind, size_t n, bool sticky) {
    struct world world;
    world_init(&world, kind);
    struct world_node *other = world_add(&world);
    other->config.capability_reader = true;
    assert_true(world_start(other));
    struct world_node *tested = world_add(&world);
    tested->config.kad_namespaces = world_namespaces();
    memory_failing_init(&tested->memory, n, sticky);
    if (world_start(tested)) {
        story(tested, other);
    }
    bool failed = tested->memory.failed;
    if (!failed) { /* the story is worth telling */
        assert_non_null(world_last(other, PEER_EVENT_CAPABILITY, 0));
        assert_non_null(world_last(other, PEER_EVENT_STREAM_OPENED, 0));
        assert_non_null(world_last(tested, PEER_EVENT_STREAM_OPENED, 0));
        assert_non_null(world_last(tested, PEER_EVENT_RESOLVE, 0));
        assert_non_null(world_last(tested, PEER_EVENT_BOOTSTRAPPED, 0));
        assert_non_null(world_last(tested, PEER_EVENT_PROVIDER, 0));
        assert_int_equal(world_last(tested, PEER_EVENT_PONG, 0)->error, 0);
        assert_int_equal(world_last(other, PEER_EVENT_PONG, 0)->error, 0);
    }
    world_done(&world);
    return failed;
}

static void every_allocation(const struct world_kind *kind, bool sticky, size_t step) {
    size_t n = 0;
    while (fails_at(kind, n, sticky)) {
        n += step;
        ENSURE(n < 1000000);
    }
    print_message("%s: %zu allocations\n", kind->name, n);
    assert_true(n > 100);
}

static void over_memory_once(void **state) {
    (void)state;
    every_allocation(memory_world(), false, 1);
}

static void over_memory_from_then_on(void **state) {
    (void)state;
    every_allocation(memory_world(), true, 1);
}

/* QUIC's own allocations are its own tests' business: a sample. */
static void over_quic_once(void **state) {
    (void)state;
    every_allocation(quic_world(), false, 7);
}

static void over_quic_from_then_on(void **state) {
    (void)state;
    every_allocation(quic_world(), true, 13);
}

static const struct world_kind *noise_world(void) {
    PIPE_WORLD(kind, "peer over Noise and Yamux");
    *pipe_world_settings() =
        (struct pipe_world_settings){.secure = pipe_world_noise, .unsecure = pipe_world_unsecure};
    return &kind;
}

static const struct world_kind *tls_world(void) {
    PIPE_WORLD(kind, "peer over TLS and Yamux");
    *pipe_world_settings() =
        (struct pipe_world_settings){.secure = pipe_world_tls, .unsecure = pipe_world_unsecure};
    return &kind;
}

static void over_noise_once(void **state) {
    (void)state;
    every_allocation(noise_world(), false, 1);
}

static void over_noise_from_then_on(void **state) {
    (void)state;
    every_allocation(noise_world(), true, 1);
}

static void over_tls_once(void **state) {
    (void)state;
    every_allocation(tls_world(), false, 3);
}

static void over_tls_from_then_on(void **state) {
    (void)state;
    every_allocation(tls_world(), true, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_memory_once), cmocka_unit_test(over_memory_from_then_on),
        cmocka_unit_test(over_quic_once),   cmocka_unit_test(over_quic_from_then_on),
        cmocka_unit_test(over_noise_once),  cmocka_unit_test(over_noise_from_then_on),
        cmocka_unit_test(over_tls_once),    cmocka_unit_test(over_tls_from_then_on),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
