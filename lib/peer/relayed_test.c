/* Peers through a relay: the conformance list, and what is different about relayed connections. */
#include "peer/conformance_testing.h"
#include "peer/relayed_world_testing.h"

static void connections_know_their_relay(void **state) {
    (void)state;
    struct world world;
    world_init(&world, relayed_world());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    struct peer_connection *back = peer_connection_to(b->peer, &a->id);
    assert_true(peer_connection_relayed(connection) && peer_connection_relayed(back));
    assert_true(multiaddr_equal(peer_connection_remote(connection), &b->address));
    assert_true(multiaddr_has(peer_connection_remote(back), MULTIADDR_P2P_CIRCUIT));
    assert_true(peer_connection_inbound(back));
    struct identify message;
    world_identify_of(a, b, &message);
    assert_int_equal(message.observed.size, 0); /* a relay's address says nothing of ours */
    const struct relayed_world *between = world.between;
    assert_int_equal(peer_routing_size(a->peer), 1); /* the relay alone */
    struct peer_connection *relay = peer_connection_to(a->peer, &between->relay->id);
    assert_false(peer_connection_relayed(relay));
    /* An idle one is let go after a while, by either side; the relay's is kept. */
    world_run(&world, 5 * NANOS_MINUTE);
    assert_null(peer_connection_to(a->peer, &b->id));
    struct peer_relay_stats stats;
    peer_relay_stats(between->relay->peer, &stats);
    assert_int_equal(stats.circuits, 0);
    assert_int_equal(stats.circuits_total, 1);
    assert_ptr_equal(peer_connection_to(a->peer, &between->relay->id), relay);
    (void)world_connect(b, a);
    world_done(&world);
}

static int dial_error(struct world_node *from, const char *text, const struct peer_id *expected) {
    struct multiaddr address = world_address(text);
    uint64_t request = 0;
    int error = peer_connect(from->peer, expected, &address, 1, from->world->now, &request);
    if (error != 0) {
        return error;
    }
    const struct peer_event *event =
        world_await(from, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(event);
    return event->error;
}

static void bad_addresses(void **state) {
    (void)state;
    struct world world;
    world_init(&world, relayed_world());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_add(&world); /* never starts: no reservation */
    const struct relayed_world *between = world.between;
    char relay[MULTIADDR_TEXT_MAX];
    struct multiaddr full = world_full_address(between->relay);
    assert_int_equal(multiaddr_format(&full, relay, sizeof(relay)), 0);
    char text[4 * MULTIADDR_TEXT_MAX];
    snprintf(text, sizeof(text), "%s/p2p-circuit", relay);
    assert_int_equal(dial_error(a, text, &b->id), PLASM_NOT_FOUND); /* no reservation */
    assert_int_equal(dial_error(a, text, NULL), PLASM_INVALID);     /* whom? */
    snprintf(text, sizeof(text), "%s/p2p-circuit/p2p-circuit", relay);
    assert_int_not_equal(dial_error(a, text, &b->id), 0);
    assert_int_not_equal(dial_error(a, "/p2p-circuit", &b->id), 0);
    /* Somebody who is no relay, nobody at all. */
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&between->relay->id, id);
    snprintf(text, sizeof(text), "/ip4/10.7.7.7/udp/1/quic-v1/p2p/%s/p2p-circuit", id);
    peer_disconnect(a->peer, peer_connection_to(a->peer, &between->relay->id), world.now);
    peer_use_relays(a->peer, false, world.now);
    world_run(&world, NANOS_SECOND);
    assert_int_equal(dial_error(a, text, &b->id), PLASM_UNREACHABLE);
    world_done(&world);
}

/* The relay goes away under a connection, or either side drops its connection to it. */
static void circuits_break(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct world world;
        world_init(&world, relayed_world());
        struct world_node *a = world_node_new(&world);
        struct world_node *b = world_node_new(&world);
        struct peer_connection *connection = world_connect(a, b);
        int error = 0;
        struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 1 << 20, &error);
        assert_non_null(stream);
        world_run(&world, 2 * world.delay);
        const struct relayed_world *between = world.between;
        struct peer *whose = way == 0 ? a->peer : way == 1 ? b->peer : between->relay->peer;
        const struct peer_id *whom = way == 2 ? &a->id : &between->relay->id;
        peer_disconnect(whose, peer_connection_to(whose, whom), world.now);
        world_await_close(stream);
        assert_int_not_equal(stream->error, 0);
        world_stream_free(stream);
        world_run(&world, 30 * NANOS_SECOND);
        assert_null(peer_connection_to(a->peer, &b->id));
        assert_null(peer_connection_to(b->peer, &a->id));
        world_echo(a, world_connect(a, b), 10000); /* and again */
        world_done(&world);
    }
}

/* Nodes that can be reached directly when both open their doors: DCUtR's second half. */
static void publish_direct(struct world_node *node) {
    struct relayed_world_node *own = node->transport;
    own->direct->guarded = false;
    peer_set_addresses(node->peer, &own->direct->address, 1, node->world->now, node->world->now);
    world_run(node->world, 20 * node->world->delay);
}

static void relayed_connections_become_direct(void **state) {
    (void)state;
    /* No door, one that opens late, never, and at once: a dial at the same moment finds it shut. */
    for (int way = 0; way < 4; way++) {
        struct world world;
        world_init(&world, relayed_world());
        struct world_node *a = world_node_new(&world);
        struct world_node *b = world_node_new(&world);
        publish_direct(a);
        publish_direct(b);
        struct relayed_world_node *own_a = a->transport;
        struct relayed_world_node *own_b = b->transport;
        own_b->direct->guarded = way > 0;
        own_b->direct->opens_after = way == 2 ? 100 : way == 1 ? 2 : 0;
        own_a->direct->guarded = way != 3;
        own_a->direct->opens_after = 0;
        uint64_t request = 0;
        struct multiaddr address = b->address;
        assert_int_equal(peer_connect(a->peer, &b->id, &address, 1, world.now, &request), 0);
        const struct peer_event *connected =
            world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE);
        assert_non_null(connected);
        struct peer_connection *first = connected->connection;
        assert_true(peer_connection_relayed(first));
        world_run(&world, 30 * NANOS_SECOND);
        struct peer_connection *now = peer_connection_to(a->peer, &b->id);
        struct peer_connection *back = peer_connection_to(b->peer, &a->id);
        assert_non_null(now);
        assert_non_null(back);
        assert_int_equal(peer_connection_relayed(now), way == 2);
        assert_int_equal(peer_connection_relayed(back), way == 2);
        struct peer_relay_stats stats;
        peer_relay_stats(b->peer, &stats);
        assert_int_equal(stats.punches_direct, way != 2);
        assert_int_equal(stats.punches, way == 0 ? 1 : way == 2 ? 3 : 2);
        world_echo(a, now, 10000);
        /* Only one way is left. */
        const struct relayed_world *between = world.between;
        peer_relay_stats(between->relay->peer, &stats);
        assert_int_equal(stats.circuits, way == 2);
        world_done(&world);
    }
}

/* The n-th allocation of one side fails while a circuit is made, used and replaced. */
static bool fails_at(size_t side, size_t n, bool sticky) {
    struct world world;
    world_init(&world, relayed_world());
    struct world_node *nodes[2] = {world_node_new(&world), world_node_new(&world)};
    publish_direct(nodes[0]);
    publish_direct(nodes[1]);
    struct memory_failing *memory = &nodes[side]->memory;
    memory->countdown = n;
    memory->sticky = sticky;
    uint64_t request = 0;
    struct multiaddr address = nodes[1]->address;
    int error = peer_connect(nodes[0]->peer, &nodes[1]->id, &address, 1, world.now, &request);
    assert_true(error == 0 || error == PLASM_NO_MEMORY);
    world_run(&world, 200 * NANOS_MILLISECOND);
    struct peer_connection *connection = peer_connection_to(nodes[0]->peer, &nodes[1]->id);
    if (connection != NULL) {
        error = peer_ping(nodes[0]->peer, connection, world.now, &request);
        assert_true(error == 0 || error == PLASM_NO_MEMORY);
    }
    world_run(&world, 20 * NANOS_SECOND);
    connection = peer_connection_to(nodes[0]->peer, &nodes[1]->id);
    if (!memory->failed) { /* the story is worth telling */
        assert_non_null(connection);
        assert_false(peer_connection_relayed(connection));
    }
    bool failed = memory->failed;
    world_done(&world);
    return failed;
}

static void allocations_fail(void **state) {
    (void)state;
    for (size_t side = 0; side < 2; side++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            size_t n = 0;
            while (fails_at(side, n, sticky != 0)) {
                n++;
                ENSURE(n < 100000);
            }
            print_message("side %zu: %zu allocations\n", side, n);
            assert_true(n > 50);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_know_their_relay),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(circuits_break),
        cmocka_unit_test(relayed_connections_become_direct),
        cmocka_unit_test(allocations_fail),
    };
    if (crypto_init() != 0) {
        return 1;
    }
    int failed = conformance_run(relayed_world());
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
