/* Who comes from one place and goes on from another counts where it is. */
#include "peer/quic_world_testing.h"

#define PLACES 3

struct moving {
    struct world world;
    struct world_node *node;
    struct world_node *others[PLACES];
    struct peer_connection *connections[PLACES];
};

static struct world_node *start_at(struct moving *moving, uint8_t network) {
    struct world_node *node = world_add(&moving->world);
    const struct netaddr address = {.family = NETADDR_IP4, .ip = {10, network, 0, 1}, .port = 4001};
    multiaddr_from_quic(&address, &node->address);
    node->config.kad_server = false;
    assert_true(world_start(node));
    return node;
}

/* Others, each of its own network, take all places of a node. */
static void moving_init(struct moving *moving, uint32_t per_ip_max) {
    *moving = (struct moving){.node = NULL};
    world_init(&moving->world, quic_world());
    moving->node = world_add(&moving->world);
    struct admission_limits *limits = &moving->node->config.limits.resources.admission;
    limits->connections_inbound_max = PLACES;
    limits->connections_per_ip_max = per_ip_max;
    assert_true(world_start(moving->node));
    for (uint8_t i = 0; i < PLACES; i++) {
        moving->others[i] = start_at(moving, (uint8_t)(20 + i));
        moving->connections[i] = world_connect(moving->others[i], moving->node);
    }
}

/* A NAT gives all of them other addresses, and they go on. */
static void move_all(struct moving *moving, bool one_address) {
    for (size_t i = 0; i < PLACES; i++) {
        struct quic_world_node *quic = moving->others[i]->transport;
        quic->outside = (struct netaddr){.family = NETADDR_IP4,
                                         .ip = {10, 9, 0, one_address ? 1 : (uint8_t)(i + 1)},
                                         .port = (uint16_t)(5000 + i)};
        int error = 0;
        struct world_stream *stream =
            world_open(moving->others[i], moving->connections[i], WORLD_ECHO, 1000, &error);
        assert_non_null(stream);
        world_await_close(stream);
        world_stream_free(stream);
        world_run(&moving->world, NANOS_SECOND);
    }
}

static void those_who_moved_together_make_room(void **state) {
    (void)state;
    struct moving moving;
    moving_init(&moving, PLACES);
    move_all(&moving, false);
    assert_int_equal(peer_connection_count(moving.node->peer), PLACES);
    struct world_node *newcomer = start_at(&moving, 30);
    (void)world_connect(newcomer, moving.node);
    world_run(&moving.world, NANOS_SECOND);
    assert_int_equal(peer_connection_count(moving.node->peer), PLACES);
    assert_non_null(peer_connection_to(moving.node->peer, &newcomer->id));
    world_done(&moving.world);
}

static void an_address_has_its_share_only(void **state) {
    (void)state;
    struct moving moving;
    moving_init(&moving, PLACES - 1);
    move_all(&moving, true);
    assert_int_equal(peer_connection_count(moving.node->peer), PLACES - 1);
    assert_null(peer_connection_to(moving.node->peer, &moving.others[PLACES - 1]->id));
    world_done(&moving.world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_moved_together_make_room),
        cmocka_unit_test(an_address_has_its_share_only),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
