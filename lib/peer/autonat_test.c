/* AutoNAT between peers linked in memory: proofs, who vanishes in between, and memory that ends. */
#include "peer/memory_world_testing.h"
#include "peer/reachability.h"

/* A node's second transport, at another port, for dial-backs. */
static struct memory_transport *probes[WORLD_NODES_MAX];

static bool start(struct world_node *node) {
    if (!memory_world_start(node)) {
        return false;
    }
    struct netaddr address = {
        .family = NETADDR_IP4, .ip = {10, 0, 0, (uint8_t)(node->index + 1)}, .port = 5001};
    struct multiaddr other;
    multiaddr_from_quic(&address, &other);
    probes[node->index] =
        memory_transport_new(memory_net_of(node->world), &other, &node->id, &node->key);
    if (peer_add_probe_transport(node->peer, &probes[node->index]->transport) != 0) {
        memory_transport_free(probes[node->index]);
        probes[node->index] = NULL;
        node->world->out_of_memory_expected = true;
    }
    return true;
}

static void stop(struct world_node *node) {
    memory_world_stop(node);
    if (probes[node->index] != NULL) {
        memory_transport_free(probes[node->index]);
        probes[node->index] = NULL;
    }
}

static const struct world_kind *kind(void) {
    static struct world_kind made;
    made = *memory_world();
    made.name = "AutoNAT over memory";
    made.start = start;
    made.stop = stop;
    return &made;
}

static void listen(struct world_node *node) {
    struct world *world = node->world;
    peer_reachability_start(node->peer, (uint64_t)world->unix_seconds * 1000000, world->now);
    peer_own_addresses_set(node->peer, OWN_INTERFACE, &node->address, 1, world->now);
}

static void connect_to(struct world_node *a, struct world_node *b) {
    struct multiaddr address = world_full_address(b);
    uint64_t request;
    int error = peer_connect(a->peer, NULL, &address, 1, a->world->now, &request);
    assert_true(error == 0 || error == PLASM_NO_MEMORY);
}

static void proven_by_a_nonce(void **state) {
    (void)state;
    struct world world;
    world_init(&world, kind());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    listen(a);
    assert_int_equal(peer_reachability(a->peer), REACHABILITY_UNKNOWN);
    connect_to(a, b);
    world_run(&world, 5 * NANOS_SECOND);
    assert_int_equal(peer_reachability(a->peer), REACHABILITY_PUBLIC);
    assert_non_null(world_last(a, PEER_EVENT_REACHABILITY, 0));
    struct own_address own[OWN_ADDRESSES_MAX];
    assert_int_equal(peer_own_addresses(a->peer, own, OWN_ADDRESSES_MAX), 1);
    assert_true(own[0].published && own[0].reached == 1 && own[0].observers == 1);
    /* The server's application saw one connection only: the one that was dialled to it. */
    assert_int_equal(peer_connection_count(b->peer), 1);
    assert_int_equal(world_count(b, PEER_EVENT_CONNECTED), 1);
    assert_int_equal(peer_nat_type(a->peer, false), NAT_NONE);
    /* After a change of network nothing is known until it is proven again. */
    peer_network_changed(a->peer, world.now);
    assert_int_equal(peer_reachability(a->peer), REACHABILITY_UNKNOWN);
    world_run(&world, 15 * NANOS_SECOND);
    assert_int_equal(peer_reachability(a->peer), REACHABILITY_PUBLIC);
    world_stop(a);
    world_stop(b);
    world_done(&world);
}

static void nobody_behind_the_address(void **state) {
    (void)state;
    struct world world;
    world_init(&world, kind());
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    connect_to(a, b);
    world_run(&world, NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(a->peer, &b->id);
    struct multiaddr addresses[] = {world_address("/ip4/10.0.0.1/udp/9/quic-v1"),
                                    world_address("/ip4/10.7.7.7/udp/9/quic-v1")};
    uint64_t closed;
    uint64_t foreign;
    assert_int_equal(peer_probe(a->peer, connection, &addresses[0], 1, world.now, &closed), 0);
    assert_int_equal(peer_probe(a->peer, connection, &addresses[1], 1, world.now, &foreign), 0);
    world_run(&world, 30 * NANOS_SECOND);
    assert_int_equal(world_last(a, PEER_EVENT_PROBED, closed)->error, PLASM_UNREACHABLE);
    assert_int_equal(world_last(a, PEER_EVENT_PROBED, foreign)->error, PLASM_REFUSED);
    world_stop(a);
    world_stop(b);
    world_done(&world);
}

static void vanishing(void **state) {
    (void)state;
    for (nanos after = 0; after < 80 * NANOS_MILLISECOND; after += 2 * NANOS_MILLISECOND) {
        for (int who = 0; who < 2; who++) {
            struct world world;
            world_init(&world, kind());
            struct world_node *nodes[] = {world_node_new(&world), world_node_new(&world)};
            connect_to(nodes[0], nodes[1]);
            world_run(&world, NANOS_SECOND);
            struct peer_connection *connection = peer_connection_to(nodes[0]->peer, &nodes[1]->id);
            uint64_t request;
            assert_int_equal(
                peer_probe(nodes[0]->peer, connection, &nodes[0]->address, 1, world.now, &request),
                0);
            world_run(&world, after);
            world_stop(nodes[who]);
            world_run(&world, 30 * NANOS_SECOND);
            if (who == 1) { /* whoever asked hears of the end, whatever it was */
                assert_non_null(world_last(nodes[0], PEER_EVENT_PROBED, request));
            }
            world_stop(nodes[1 - who]);
            world_done(&world);
        }
    }
}

static bool without_memory_from(size_t n, size_t who) {
    struct world world;
    world_init(&world, kind());
    world.out_of_memory_expected = true;
    struct world_node *nodes[] = {world_add(&world), world_add(&world)};
    memory_failing_init(&nodes[who]->memory, n, false);
    if (world_start(nodes[0]) && world_start(nodes[1])) {
        listen(nodes[0]);
        listen(nodes[1]);
        connect_to(nodes[0], nodes[1]);
        world_run(&world, 10 * NANOS_SECOND);
    }
    bool failed = nodes[who]->memory.failed;
    if (!failed) {
        assert_int_equal(peer_reachability(nodes[0]->peer), REACHABILITY_PUBLIC);
    }
    world_stop(nodes[0]);
    world_stop(nodes[1]);
    world_done(&world);
    return failed;
}

static void failing_allocations(void **state) {
    (void)state;
    for (size_t who = 0; who < 2; who++) {
        for (size_t n = 0; without_memory_from(n, who); n++) {
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proven_by_a_nonce),
        cmocka_unit_test(nobody_behind_the_address),
        cmocka_unit_test(vanishing),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
