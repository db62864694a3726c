/* Hole punching as the one who is called sees it: which addresses of the caller's are tried. */
#include "peer/internal.h"
#include "peer/relayed_world_testing.h"
#include "proto/dcutr/dcutr.h"

/* What the called side was made to dial, or to send datagrams to. */
static struct multiaddr tried[256];
static size_t tried_count;

static void note(const struct multiaddr *address) {
    if (tried_count < ARRAY_SIZE(tried)) {
        tried[tried_count++] = *address;
    }
}

static int noting_dial(struct transport *transport, const struct multiaddr *address,
                       const struct peer_id *expected, nanos hint, nanos now,
                       struct link **ret_link) {
    (void)transport, (void)expected, (void)hint, (void)now, (void)ret_link;
    note(address);
    return PLASM_UNREACHABLE;
}

static int noting_punch(struct transport *transport, const struct multiaddr *address,
                        const struct peer_id *expected, bool listener, nanos hint, nanos now,
                        struct link **ret_link) {
    (void)listener;
    return noting_dial(transport, address, expected, hint, now, ret_link);
}

static bool was_tried(const char *text) {
    struct multiaddr address = world_address(text);
    for (size_t i = 0; i < tried_count; i++) {
        if (multiaddr_equal(&tried[i], &address)) {
            return true;
        }
    }
    return false;
}

/* A called node whose dials are noted, and who calls it. */
static void noting_world(struct world *world, struct transport_verbs *verbs,
                         const struct multiaddr *addresses, size_t count) {
    world_init(world, relayed_world());
    struct world_node *caller = world_node_new(world);
    struct world_node *called = world_node_new(world);
    peer_set_addresses(caller->peer, addresses, count, 99, world->now);
    struct relayed_world_node *own = called->transport;
    *verbs = *own->direct->transport.verbs;
    verbs->dial = noting_dial;
    verbs->punch = noting_punch;
    own->direct->transport.verbs = verbs;
    tried_count = 0;
}

/* Dialling what a caller names counts as the attempt that it is. */
static void dials_are_attempts(void **state) {
    (void)state;
    struct world world;
    struct transport_verbs verbs;
    const struct multiaddr address = world_address("/ip4/203.0.113.5/tcp/4001");
    const struct netaddr nowhere = {.family = NETADDR_NONE};
    noting_world(&world, &verbs, &address, 1);
    (void)world_connect(&world.nodes[0], &world.nodes[1]);
    world_run(&world, 30 * NANOS_SECOND);
    struct punch_limiter *limiter = &world.nodes[1].peer->relay.punch_limiter;
    assert_int_equal(limiter->count, DCUTR_ATTEMPTS_MAX);
    assert_true(was_tried("/ip4/203.0.113.5/tcp/4001"));
    world_done(&world);
    /* After too many nothing is dialled. */
    noting_world(&world, &verbs, &address, 1);
    limiter = &world.nodes[1].peer->relay.punch_limiter;
    while (punch_limiter_take(limiter, &world.nodes[0].id, &nowhere, world.now)) {
    }
    (void)world_connect(&world.nodes[0], &world.nodes[1]);
    world_run(&world, 10 * NANOS_SECOND);
    assert_false(was_tried("/ip4/203.0.113.5/tcp/4001"));
    world_done(&world);
}

/* A caller names addresses: neither this very machine, nor all of a network, is to be dialled. */
static void punches_go_to_single_others(void **state) {
    (void)state;
    static const char *const names[] = {
        "/ip4/127.0.0.1/tcp/22",        "/ip4/0.0.0.0/tcp/22",
        "/ip4/224.0.0.1/udp/5/quic-v1", "/ip4/255.255.255.255/udp/5/quic-v1",
        "/ip4/169.254.169.254/tcp/80",  "/ip6/ff02::1/udp/5/quic-v1",
        "/ip4/10.3.3.3/udp/5/quic-v1",  "/ip4/203.0.113.5/tcp/4001",
        "/ip6/::ffff:127.0.0.1/tcp/22",
    };
    struct world world;
    struct transport_verbs verbs;
    struct multiaddr addresses[ARRAY_SIZE(names)];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        addresses[i] = world_address(names[i]);
    }
    noting_world(&world, &verbs, addresses, ARRAY_SIZE(names));
    peer_set_addresses(world.nodes[1].peer, &addresses[7], 1, 99, world.now);
    (void)world_connect(&world.nodes[0], &world.nodes[1]);
    world_run(&world, 30 * NANOS_SECOND);
    assert_true(was_tried("/ip4/203.0.113.5/tcp/4001"));
    assert_true(was_tried("/ip4/10.3.3.3/udp/5/quic-v1")); /* as the relay is private, too */
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (was_tried(names[i]) && i != 6 && i != 7) {
            fail_msg("%s", names[i]);
        }
    }
    world_done(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dials_are_attempts),
        cmocka_unit_test(punches_go_to_single_others),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
