/* The peer over links in memory: the conformance list, whole and in pieces of one byte. */
#include "peer/conformance_testing.h"
#include "peer/memory_world_testing.h"

/* Everything that arrives, byte by byte. */
static void in_single_bytes(void **state) {
    (void)state;
    memory_world_settings()->piece_max = 1;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *worker = world_node_new(&world);
    struct world_node *reader = world_add(&world);
    reader->config.capability_reader = true;
    assert_true(world_start(reader));
    assert_int_equal(peer_set_capability(worker->peer, BYTES_LITERAL("{\"x\":1}"), world.now), 0);
    struct peer_connection *connection = world_connect(reader, worker);
    world_check_capability(world_await(reader, PEER_EVENT_CAPABILITY, 0, WORLD_PATIENCE), worker,
                           "{\"x\":1}");
    world_bootstrap(worker, reader);
    uint64_t request = 0;
    assert_int_equal(peer_ping(reader->peer, connection, world.now, &request), 0);
    assert_int_equal(world_await(reader, PEER_EVENT_PONG, request, WORLD_PATIENCE)->error, 0);
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("k"), key);
    assert_int_equal(peer_provide(worker->peer, BYTES_ARRAY(key), world.now, &request), 0);
    assert_int_equal(world_await(worker, PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE)->error,
                     0);
    assert_int_equal(peer_find_providers(reader->peer, BYTES_ARRAY(key), 1, world.now, &request),
                     0);
    assert_int_equal(world_await(reader, PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE)->error,
                     0);
    assert_true(world_found(reader, request, worker));
    world_echo(reader, connection, 3000);
    world_echo(worker, peer_connection_to(worker->peer, &reader->id), 3000);
    int error = 0;
    struct world_stream *stream = world_open(reader, connection, WORLD_NOBODY, 300, &error);
    world_await_close(stream);
    assert_int_equal(stream->error, PLASM_UNSUPPORTED);
    world_stream_free(stream);
    memory_world_settings()->piece_max = 0;
    world_done(&world);
}

/* A window that does not even take our own messages whole. */
static void in_a_tiny_window(void **state) {
    (void)state;
    memory_world_settings()->window = 7;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = NULL;
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, &b->address, 1, world.now, &request), 0);
    connection = world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE)->connection;
    assert_non_null(world_await(a, PEER_EVENT_IDENTIFIED, 0, WORLD_PATIENCE));
    assert_int_equal(world_last(a, PEER_EVENT_IDENTIFIED, 0)->error, 0);
    assert_int_equal(peer_ping(a->peer, connection, world.now, &request), 0);
    assert_int_equal(world_await(a, PEER_EVENT_PONG, request, WORLD_PATIENCE)->error, 0);
    world_echo(a, connection, 2000);
    memory_world_settings()->window = 0;
    world_done(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_single_bytes),
        cmocka_unit_test(in_a_tiny_window),
    };
    int failed = conformance_run(memory_world());
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
