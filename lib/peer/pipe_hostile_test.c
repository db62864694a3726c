/* What the other side of a pipe may do to be a nuisance, at every step of the way to streams. */
#include "peer/pipe_raw_testing.h"
#include "peer/pipe_secure_testing.h"
#include "proto/multistream/multistream.h"

static const struct world_kind *secured_world(void) {
    PIPE_WORLD(kind, "secured");
    *pipe_world_settings() =
        (struct pipe_world_settings){.secure = pipe_world_tls, .unsecure = pipe_world_unsecure};
    return &kind;
}

static struct pipe_stats stats_of(struct world_node *node) {
    struct pipe_stats stats;
    pipe_transport_stats(pipe_raw_node(node)->transport, &stats);
    return stats;
}

static const char greeting[] = "\x13/multistream/1.0.0\n";

/* Nobody waits longer than ten seconds, whatever is said meanwhile. */
static void slow_handshakes_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    struct world_node *node = world_node_new(&world);
    size_t used = node->memory.memory.used;
    struct pipe *silent = pipe_raw_accept(node, 1);
    struct pipe *slow = pipe_raw_accept(node, 2);
    for (size_t i = 0; i < 9; i++) { /* a byte a second */
        world_run(&world, NANOS_SECOND);
        pipe_raw_say(node, slow, bytes_of(greeting + i, 1));
    }
    assert_non_null(pipe_raw_end(node, silent));
    assert_non_null(pipe_raw_end(node, slow));
    assert_int_equal(stats_of(node).handshakes_inbound, 2);
    world_run(&world, 2 * NANOS_SECOND);
    assert_null(pipe_raw_end(node, silent));
    assert_null(pipe_raw_end(node, slow));
    assert_int_equal(stats_of(node).handshakes_inbound, 0);
    assert_int_equal(stats_of(node).handshakes_failed, 2);
    assert_int_equal(world_count(node, PEER_EVENT_CONNECTED), 0);
    assert_in_range(node->memory.memory.used, 0, used + 1024); /* the heap's array may have grown */
    world_done(&world);
}

/* Who only dials waits no longer either. */
static void slow_listeners_are_left(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    struct world_node *node = world_node_new(&world);
    struct pipe *pipe = pipe_raw_dial(node);
    assert_non_null(pipe);
    pipe_raw_say(node, pipe, bytes_of_string(greeting));
    world_run(&world, 11 * NANOS_SECOND);
    assert_null(pipe_raw_end(node, pipe));
    const struct peer_event *failed = world_last(node, PEER_EVENT_CONNECT_FAILED, 0);
    assert_non_null(failed);
    assert_int_equal(failed->error, PLASM_TIMEOUT);
    world_done(&world);
}

static void garbage_ends_a_pipe(void **state) {
    (void)state;
    const struct bytes garbage[] = {
        BYTES_LITERAL(
            "GET / HTTP/1.1\r\nHost: here\r\nUser-Agent: somebody who is lost, or looking "
            "around\r\nAccept: */*\r\n\r\n"),
        BYTES_LITERAL("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, for a while"),
        BYTES_LITERAL("\x13/multistream/1.0.0\n\x0b/tls/1.0.0\nGET / HTTP/1.1\r\n\r\n"),
        BYTES_LITERAL("\x13/multistream/9.9.9\n"),
        BYTES_LITERAL("\x13/multistream/1.0.0\n\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
    };
    struct world world;
    world_init(&world, secured_world());
    struct world_node *node = world_node_new(&world);
    for (uint8_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        struct pipe *pipe = pipe_raw_accept(node, i);
        pipe_raw_say(node, pipe, garbage[i]);
        assert_int_equal(stats_of(node).handshakes_inbound, 0);
        assert_int_equal(stats_of(node).handshakes_failed, i + 1);
        world_run(&world, 3 * NANOS_SECOND);
        assert_null(pipe_raw_end(node, pipe)); /* though the other side did not hang up */
        pipe = pipe_raw_dial(node);
        pipe_raw_say(node, pipe, garbage[i]);
        world_run(&world, 12 * NANOS_SECOND);
        assert_null(pipe_raw_end(node, pipe));
    }
    assert_int_equal(world_count(node, PEER_EVENT_CONNECTED), 0);
    assert_int_equal(world_count(node, PEER_EVENT_CONNECT_FAILED), ARRAY_SIZE(garbage));
    world_done(&world);
}

/* Proposals that nobody speaks are refused, but not for ever. */
static void proposals_are_counted(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    struct world_node *node = world_node_new(&world);
    struct pipe *pipe = pipe_raw_accept(node, 1);
    pipe_raw_say(node, pipe, bytes_of_string(greeting));
    for (int i = 0; i < MULTISTREAM_PROPOSALS_MAX; i++) {
        pipe_raw_say(node, pipe, BYTES_LITERAL("\x0b/plaintext\n"));
        assert_int_equal(stats_of(node).handshakes_failed, 0);
    }
    pipe_raw_say(node, pipe, BYTES_LITERAL("\x0b/plaintext\n"));
    assert_int_equal(stats_of(node).handshakes_failed, 1);
    world_done(&world);
}

/* What waits to be looked at counts in a budget that others share; a little is everybody's. */
static void what_waits_is_bounded(void **state) {
    (void)state;
    struct budget budget = {.bytes = 50000, .bytes_max = 150000}; /* others hold some of it */
    struct world world;
    world_init(&world, secured_world());
    pipe_world_settings()->budget = &budget;
    struct world_node *node = world_node_new(&world);
    static uint8_t bytes[90000];
    struct pipe *first = pipe_raw_accept(node, 1);
    struct pipe *second = pipe_raw_accept(node, 2);
    pipe_receive_copy(first, BYTES_ARRAY(bytes), world.now);
    assert_int_equal(budget.bytes, 140000);
    pipe_receive_copy(second, bytes_of(bytes, 60000), world.now); /* beyond it */
    assert_int_equal(budget.bytes, 200000);
    assert_int_equal(stats_of(node).handshakes_failed, 0);
    pipe_receive_copy(second, bytes_of(bytes, 60000), world.now);
    assert_int_equal(budget.bytes, 200000);
    assert_int_equal(stats_of(node).handshakes_failed, 1);
    world_run(&world, 20 * NANOS_SECOND);
    assert_int_equal(pipe_raw_node(node)->ends.size, 0);
    assert_int_equal(budget.bytes, 50000);
    world_done(&world);
    pipe_world_settings()->budget = NULL;
}

static void the_oldest_handshake_goes(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    pipe_world_settings()->admits = true;
    struct world_node *node = world_node_new(&world);
    struct world_node *honest = world_node_new(&world);
    struct pipe *last = NULL;
    for (uint8_t i = 0; i < 100; i++) {
        last = pipe_raw_accept(node, i);
        pipe_raw_settle(node);
        assert_true(stats_of(node).handshakes_inbound <= 64);
    }
    assert_non_null(pipe_raw_end(node, last));
    assert_int_equal(pipe_raw_node(node)->ends.size, 64);
    assert_int_equal(stats_of(node).handshakes_evicted, 36);
    (void)world_connect(honest, node); /* who goes on gets through */
    world_done(&world);
}

static struct pipe *pipe_between(struct world_node *node) {
    struct list_node *end = list_first(&pipe_raw_node(node)->ends);
    return CONTAINER_OF(end, struct pipe_world_end, node)->pipe;
}

static void garbage_after_the_upgrade(void **state) {
    (void)state;
    static size_t (*const ways[])(struct world_node *, const struct pipe_security **) = {
        pipe_world_tls, pipe_world_noise};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct world world;
        world_init(&world, secured_world());
        pipe_world_settings()->secure = ways[i];
        pipe_world_settings()->whole = true; /* what is put in stands between two records */
        struct world_node *a = world_node_new(&world);
        struct world_node *b = world_node_new(&world);
        struct peer_connection *connection = world_connect(a, b);
        int error = 0;
        struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 3000000, &error);
        world_run(&world, 3 * world.delay);
        uint8_t garbage[8000];
        uint64_t seed = 5;
        test_random_fill(&seed, garbage, sizeof(garbage));
        memcpy(garbage, "\x17\x03\x03\x01\x00", 5); /* a record, as far as one sees */
        pipe_raw_say(b, pipe_between(b), BYTES_ARRAY(garbage));
        assert_int_equal(world_last(b, PEER_EVENT_DISCONNECTED, 0)->error, PLASM_UNTRUSTED);
        world_run(&world, 5 * NANOS_SECOND);
        assert_non_null(world_last(a, PEER_EVENT_DISCONNECTED, 0));
        assert_true(stream->closed);
        assert_int_equal(peer_connection_count(b->peer), 0);
        assert_int_equal(list_empty(&pipe_raw_node(b)->ends), true);
        world_stream_free(stream);
        world_done(&world);
    }
}

/* The other side is gone without a word: nothing is heard and nothing comes back. */
static void half_open_pipes_end(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        bool stream_open = round == 1;
        struct world world;
        world_init(&world, secured_world());
        struct world_node *a = world_node_new(&world);
        struct world_node *b = world_node_new(&world);
        struct peer_connection *connection = world_connect(a, b);
        int error = 0;
        struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 0, &error);
        stream->finishes = false;
        world_run(&world, NANOS_SECOND);
        if (!stream_open) {
            world_stream_free(stream);
            world_run(&world, NANOS_SECOND);
        }
        nanos begun = world.now;
        struct pipe_world_end *end =
            list_first(&pipe_raw_node(a)->ends) != NULL
                ? CONTAINER_OF(list_first(&pipe_raw_node(a)->ends), struct pipe_world_end, node)
                : NULL;
        end->far->far = NULL; /* what either says is lost */
        end->far = NULL;
        assert_non_null(world_await(a, PEER_EVENT_DISCONNECTED, 0, 5 * NANOS_MINUTE));
        assert_int_equal(world_last(a, PEER_EVENT_DISCONNECTED, 0)->error, PLASM_TIMEOUT);
        assert_in_range(world.now - begun, 20 * NANOS_SECOND, 100 * NANOS_SECOND);
        if (stream_open) {
            assert_true(stream->closed);
            world_stream_free(stream);
        }
        world_run(&world, NANOS_MINUTE);
        assert_int_equal(peer_connection_count(b->peer), 0);
        assert_true(list_empty(&pipe_raw_node(a)->ends));
        world_done(&world);
    }
}

/* While somebody uses it, an idle connection stays. */
static void keep_alives_keep_alive(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    int error = 0;
    struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 0, &error);
    stream->finishes = false;
    world_run(&world, 10 * NANOS_MINUTE);
    assert_int_equal(peer_connection_count(a->peer), 1);
    assert_int_equal(peer_connection_count(b->peer), 1);
    world_stream_free(stream);
    world_run(&world, 2 * NANOS_MINUTE);
    assert_int_equal(peer_connection_count(a->peer), 0);
    assert_int_equal(peer_connection_count(b->peer), 0);
    world_done(&world);
}

/* A listener that refuses the first proposal is asked for the next. */
static void a_refused_security_is_not_the_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world, secured_world());
    pipe_world_settings()->secure = pipe_world_refusing;
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    world_echo(a, world_connect(a, b), 100000);
    world_done(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_handshakes_end),
        cmocka_unit_test(slow_listeners_are_left),
        cmocka_unit_test(garbage_ends_a_pipe),
        cmocka_unit_test(proposals_are_counted),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(the_oldest_handshake_goes),
        cmocka_unit_test(garbage_after_the_upgrade),
        cmocka_unit_test(half_open_pipes_end),
        cmocka_unit_test(keep_alives_keep_alive),
        cmocka_unit_test(a_refused_security_is_not_the_end),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
