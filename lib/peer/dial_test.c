/* In which order addresses are dialled, and when the next one is. */
#include "peer/memory_world_testing.h"

static struct world_node *at(struct world *world, const char *address) {
    struct world_node *node = world_add(world);
    node->address = world_address(address);
    assert_true(world_start(node));
    return node;
}

static struct world_node *silent_at(struct world *world, const char *address) {
    struct world_node *node = at(world, address);
    ((struct memory_transport *)node->transport)->silent = true;
    return node;
}

/* Dials the addresses of nodes, whoever is there: who it was, and how long it took. */
static struct world_node *dial(struct world_node *from, struct world_node *const *nodes,
                               size_t count, nanos *ret_elapsed) {
    struct world *world = from->world;
    struct multiaddr addresses[PEER_DIAL_ADDRESSES_MAX];
    for (size_t i = 0; i < count; i++) {
        addresses[i] = nodes[i]->address;
    }
    nanos begun = world->now;
    uint64_t request = 0;
    assert_int_equal(peer_connect(from->peer, NULL, addresses, count, world->now, &request), 0);
    const struct peer_event *event =
        world_await(from, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE);
    assert_non_null(event);
    *ret_elapsed = world->now - begun;
    struct peer_id id = *peer_connection_id(event->connection);
    world_run(world, 20 * NANOS_SECOND);
    assert_int_equal(peer_connection_count(from->peer), 1); /* the losers were closed */
    for (size_t i = 0; i < count; i++) {
        if (peer_id_equal(&id, &nodes[i]->id)) {
            return nodes[i];
        }
    }
    return NULL;
}

static void quic_comes_first(void **state) {
    (void)state;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *from = world_node_new(&world);
    struct world_node *nodes[] = {at(&world, "/ip4/10.1.0.1/tcp/1"),
                                  at(&world, "/ip4/10.1.0.1/udp/1/quic-v1")};
    nanos elapsed;
    assert_ptr_equal(dial(from, nodes, 2, &elapsed), nodes[1]);
    assert_int_equal(elapsed, 2 * world.delay);
    assert_int_equal(world_count(nodes[0], PEER_EVENT_CONNECTED), 0);
    world_done(&world);
}

static void tcp_follows_silence(void **state) {
    (void)state;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *from = world_node_new(&world);
    struct world_node *nodes[] = {silent_at(&world, "/ip4/10.1.0.1/udp/1/quic-v1"),
                                  silent_at(&world, "/ip4/10.1.0.2/udp/1/quic-v1"),
                                  silent_at(&world, "/ip4/10.1.0.3/udp/1/quic-v1"),
                                  at(&world, "/ip4/10.1.0.1/tcp/1")};
    nanos elapsed;
    assert_ptr_equal(dial(from, nodes, 4, &elapsed), nodes[3]);
    assert_int_equal(elapsed, 250 * NANOS_MILLISECOND + 2 * world.delay);
    world_done(&world);
}

static void tcp_follows_refusal_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *from = world_node_new(&world);
    struct world_node *gone = world_add(&world);
    struct world_node *nodes[] = {gone, at(&world, "/ip4/10.1.0.1/tcp/1")};
    nanos elapsed;
    assert_ptr_equal(dial(from, nodes, 2, &elapsed), nodes[1]);
    assert_int_equal(elapsed, 4 * world.delay);
    world_done(&world);
}

static void families_take_turns(void **state) {
    (void)state;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *from = world_node_new(&world);
    struct world_node *nodes[] = {at(&world, "/ip4/10.1.0.1/udp/1/quic-v1"),
                                  silent_at(&world, "/ip6/2001:db8::1/udp/1/quic-v1"),
                                  silent_at(&world, "/ip6/2001:db8::2/udp/1/quic-v1")};
    nanos elapsed;
    assert_ptr_equal(dial(from, nodes, 3, &elapsed), nodes[0]); /* second, though listed first */
    assert_int_equal(elapsed, 250 * NANOS_MILLISECOND + 2 * world.delay);
    world_done(&world);
}

/* A port of a host, whatever is there. */
static void a_bare_port_is_tried_both_ways(void **state) {
    (void)state;
    struct world world;
    world_init(&world, memory_world());
    struct world_node *from = world_node_new(&world);
    struct world_node *node = at(&world, "/ip4/10.1.0.1/tcp/77");
    struct multiaddr bare = world_address("/ip4/10.1.0.1/udp/77");
    uint64_t request = 0;
    assert_int_equal(peer_connect(from->peer, &node->id, &bare, 1, world.now, &request), 0);
    const struct peer_event *event =
        world_await(from, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE);
    assert_non_null(event);
    assert_true(multiaddr_equal(peer_connection_remote(event->connection), &node->address));

    /* By name, too; the text names both. */
    bare = world_address("/dns4/host.example/udp/78");
    assert_int_equal(peer_connect(from->peer, NULL, &bare, 1, world.now, &request), 0);
    event = world_await(from, PEER_EVENT_RESOLVE, 0, WORLD_PATIENCE);
    struct multiaddr ip = world_address("/ip4/10.1.0.1");
    peer_resolved(from->peer, event->request, &ip, 1, world.now);
    event = world_await(from, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(event);
    char text[1024];
    bytes_cut_string(event->data, text, sizeof(text));
    assert_non_null(strstr(text, "/ip4/10.1.0.1/udp/78/quic-v1: the peer cannot be reached"));
    assert_non_null(strstr(text, "/ip4/10.1.0.1/tcp/78: the peer cannot be reached"));
    world_done(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quic_comes_first),
        cmocka_unit_test(tcp_follows_silence),
        cmocka_unit_test(tcp_follows_refusal_at_once),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(a_bare_port_is_tried_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
