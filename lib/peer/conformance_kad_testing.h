/* Conformance: the DHT over real connections. */
#ifndef PEER_CONFORMANCE_KAD_TESTING_H
#define PEER_CONFORMANCE_KAD_TESTING_H

#include "peer/world_testing.h"
#include "wire/multihash.h"

/* --- the DHT ---------------------------------------------------------------------------------- */

static void the_dht_works(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    enum { NODES = 6 };
    struct world_node *nodes[NODES];
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = world_add(&world);
        nodes[i]->config.kad_server = i != NODES - 1; /* the last one is a client */
        assert_true(world_start(nodes[i]));
        if (i > 0) {
            world_bootstrap(nodes[i], nodes[0]);
        }
    }
    struct world_node *client = nodes[NODES - 1];
    assert_true(peer_routing_size(client->peer) >= 3);
    assert_true(peer_routing_size(nodes[0]->peer) >= 3);
    struct peer_id near[3];
    assert_int_equal(peer_routing_closest(nodes[0]->peer, peer_id_bytes(&nodes[1]->id), near, 3),
                     3);
    assert_true(peer_id_equal(&near[0], &nodes[1]->id));

    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("phase:worker:v1"), key);
    uint64_t provide = 0;
    uint64_t find = 0;
    assert_int_equal(peer_provide(client->peer, BYTES_ARRAY(key), world.now, &provide), 0);
    const struct peer_event *done =
        world_await(client, PEER_EVENT_LOOKUP_DONE, provide, WORLD_PATIENCE);
    assert_non_null(done);
    assert_int_equal(done->error, 0);
    assert_true(done->count >= 3);
    assert_int_equal(peer_find_providers(nodes[2]->peer, BYTES_ARRAY(key), 5, world.now, &find), 0);
    done = world_await(nodes[2], PEER_EVENT_LOOKUP_DONE, find, WORLD_PATIENCE);
    assert_non_null(done);
    assert_int_equal(done->error, 0);
    assert_true(world_found(nodes[2], find, client));
    peer_provide_stop(client->peer, BYTES_ARRAY(key));

    /* Nobody provides this. */
    content_key(BYTES_LITERAL("nothing"), key);
    assert_int_equal(peer_find_providers(nodes[3]->peer, BYTES_ARRAY(key), 5, world.now, &find), 0);
    done = world_await(nodes[3], PEER_EVENT_LOOKUP_DONE, find, WORLD_PATIENCE);
    assert_non_null(done);
    assert_int_equal(done->count, 0);

    assert_int_equal(peer_find_peer(nodes[4]->peer, &nodes[2]->id, world.now, &find), 0);
    assert_non_null(world_await(nodes[4], PEER_EVENT_LOOKUP_DONE, find, WORLD_PATIENCE));
    assert_true(world_found(nodes[4], find, nodes[2]));

    /* No more is heard of what was cancelled. */
    assert_int_equal(peer_find_peer(nodes[4]->peer, &nodes[3]->id, world.now, &find), 0);
    peer_lookup_cancel(nodes[4]->peer, find);
    world_run(&world, WORLD_PATIENCE);
    assert_null(world_last(nodes[4], PEER_EVENT_LOOKUP_DONE, find));
    assert_null(world_last(nodes[4], PEER_EVENT_PROVIDER, find));

    assert_int_equal(peer_stream_count(nodes[0]->peer), 0);
    world_done(&world);
}

static void the_table_survives_a_restart(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *first = world_node_new(&world);
    struct world_node *second = world_node_new(&world);
    struct world_node *third = world_node_new(&world);
    world_bootstrap(second, first);
    world_bootstrap(third, first);
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer table;
    buffer_init(&table, &memory, SIZE_MAX);
    assert_int_equal(peer_routing_export(second->peer, &table), 0);
    world_stop(second);
    assert_true(world_start(second));
    assert_int_equal(peer_routing_import(second->peer, buffer_bytes(&table), world.now), 0);
    uint64_t find = 0;
    assert_int_equal(peer_find_peer(second->peer, &third->id, world.now, &find), 0);
    const struct peer_event *done =
        world_await(second, PEER_EVENT_LOOKUP_DONE, find, WORLD_PATIENCE);
    assert_non_null(done);
    assert_int_equal(done->error, 0);
    assert_true(world_found(second, find, third));
    assert_int_equal(peer_routing_import(second->peer, BYTES_LITERAL("nonsense"), world.now),
                     PLASM_MALFORMED);
    buffer_done(&table);
    world_done(&world);
}

static void values_are_kept(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *nodes[3];
    for (size_t i = 0; i < 3; i++) {
        nodes[i] = world_add(&world);
        nodes[i]->config.kad_namespaces = world_namespaces();
        assert_true(world_start(nodes[i]));
        if (i > 0) {
            world_bootstrap(nodes[i], nodes[0]);
        }
    }
    uint64_t request = 0;
    struct bytes key = BYTES_LITERAL("/w/key");
    assert_int_equal(
        peer_put_value(nodes[1]->peer, key, BYTES_LITERAL("better"), world.now, &request), 0);
    const struct peer_event *done =
        world_await(nodes[1], PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE);
    assert_int_equal(done->error, 0);
    assert_int_equal(done->count, 2);
    assert_int_equal(peer_get_value(nodes[2]->peer, key, world.now, &request), 0);
    done = world_await(nodes[2], PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE);
    assert_int_equal(done->error, 0);
    assert_true(
        bytes_equal_string(world_last(nodes[2], PEER_EVENT_VALUE, request)->data, "better"));
    /* A worse one than our own, a bad one, one without a namespace. */
    assert_int_equal(
        peer_put_value(nodes[1]->peer, key, BYTES_LITERAL("a worse"), world.now, &request),
        PLASM_CONFLICT);
    assert_int_equal(peer_put_value(nodes[1]->peer, key, BYTES_LITERAL("bad"), world.now, &request),
                     PLASM_MALFORMED);
    assert_int_equal(peer_put_value(nodes[1]->peer, BYTES_LITERAL("/x/key"), BYTES_LITERAL("v"),
                                    world.now, &request),
                     PLASM_UNSUPPORTED);
    assert_int_equal(peer_get_value(nodes[2]->peer, BYTES_LITERAL("/w/none"), world.now, &request),
                     0);
    done = world_await(nodes[2], PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE);
    assert_int_equal(done->error, PLASM_NOT_FOUND);
    world_done(&world);
}

/* Whom nobody answers tries again, and finds its way in as soon as somebody is there. */
static void bootstrap_is_patient(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *late = world_add(&world);
    struct multiaddr addresses[3] = {world_full_address(late), world_full_address(a), a->address};
    peer_bootstrap(a->peer, addresses, 3, world.now); /* ourselves are among them */
    world_run(&world, 40 * NANOS_SECOND);
    assert_null(world_last(a, PEER_EVENT_BOOTSTRAPPED, 0));
    const struct peer_event *failed = world_last(a, PEER_EVENT_CONNECT_FAILED, 0);
    assert_non_null(failed);
    assert_int_equal(failed->request, 0);
    assert_true(world_start(late));
    assert_non_null(world_await(a, PEER_EVENT_BOOTSTRAPPED, 0, 70 * NANOS_SECOND));
    const struct peer_event *connected = world_last(a, PEER_EVENT_CONNECTED, 0);
    assert_int_equal(connected->request, 0);
    assert_int_equal(connected->count, 0);
    assert_int_equal(peer_routing_size(a->peer), 1);

    /* When the last server is gone it begins again. */
    world_forget(a);
    world_stop(late);
    world_run(&world, NANOS_HOUR);
    assert_int_equal(peer_routing_size(a->peer), 0);
    assert_true(world_start(late));
    assert_non_null(world_await(a, PEER_EVENT_BOOTSTRAPPED, 0, 2 * NANOS_MINUTE));
    world_done(&world);
}

#endif
