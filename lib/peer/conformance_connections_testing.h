/* Conformance: connections, dialling, limits, identify and ping. */
#ifndef PEER_CONFORMANCE_CONNECTIONS_TESTING_H
#define PEER_CONFORMANCE_CONNECTIONS_TESTING_H

#include <stdio.h>

#include "peer/world_testing.h"

/* --- connections ------------------------------------------------------------------------------ */

static void connects_and_knows(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    struct peer_connection *back = peer_connection_to(b->peer, &a->id);

    assert_true(peer_id_equal(peer_connection_id(connection), &b->id));
    assert_true(peer_id_equal(peer_connection_id(back), &a->id));
    assert_int_equal(peer_connection_key(connection)->size, b->key.size);
    assert_memory_equal(peer_connection_key(connection)->data, b->key.data, b->key.size);
    assert_false(peer_connection_inbound(connection));
    assert_true(peer_connection_inbound(back));
    assert_true(multiaddr_equal(peer_connection_remote(connection), &b->address));
    /* Over a relay each side is where the relay is. */
    assert_true(multiaddr_equal(peer_connection_remote(back), &a->address));
    assert_int_equal(world_count(a, PEER_EVENT_IDENTIFIED), 1);
    assert_int_equal(world_count(b, PEER_EVENT_IDENTIFIED), 1);
    assert_int_equal(world_last(a, PEER_EVENT_IDENTIFIED, 0)->error, 0);
    assert_int_equal(world_count(b, PEER_EVENT_CONNECTED), 1);

    struct identify message;
    world_identify_of(a, b, &message);
    assert_true(bytes_equal_string(message.agent, "world/1"));
    assert_true(identify_has_protocol(&message, WORLD_KAD));
    assert_true(identify_has_protocol(&message, WORLD_ECHO));
    assert_false(identify_has_protocol(&message, CAPABILITY_PROTOCOL));
    assert_true(message.signed_record.size > 0);
    assert_int_equal(message.address_count, world.kind->relayed ? 2 : 1); /* and by the relay */
    assert_bytes_equal(message.addresses[0], multiaddr_bytes(&b->address));
    if (world.kind->relayed) { /* nobody sees where the other one is */
        assert_int_equal(message.observed.size, 0);
    } else {
        assert_bytes_equal(message.observed, multiaddr_bytes(&a->address));
    }

    /* Who is connected is not dialled again. */
    struct multiaddr address = world_full_address(b);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, &address, 1, world.now, &request), 0);
    assert_ptr_equal(world_await(a, PEER_EVENT_CONNECTED, request, 0)->connection, connection);
    assert_int_equal(peer_connect(a->peer, &b->id, NULL, 0, world.now, &request), 0);
    assert_ptr_equal(world_await(a, PEER_EVENT_CONNECTED, request, 0)->connection, connection);
    assert_int_equal(world_connections(a), 1);
    world_done(&world);
}

static void ends_are_told(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    for (int round = 0; round < 4; round++) {
        world_forget(a);
        world_forget(b);
        struct peer_connection *connection = world_connect(a, b);
        bool by_dialler = round % 2 == 0;
        struct world_node *closer = by_dialler ? a : b;
        peer_disconnect(closer->peer, by_dialler ? connection : peer_connection_to(b->peer, &a->id),
                        world.now);
        assert_non_null(world_await(a, PEER_EVENT_DISCONNECTED, 0, WORLD_PATIENCE));
        assert_non_null(world_await(b, PEER_EVENT_DISCONNECTED, 0, WORLD_PATIENCE));
        assert_true(peer_id_equal(&world_last(a, PEER_EVENT_DISCONNECTED, 0)->peer_id, &b->id));
        assert_int_equal(world_count(a, PEER_EVENT_DISCONNECTED), 1);
        assert_int_equal(world_count(b, PEER_EVENT_DISCONNECTED), 1);
        assert_null(peer_connection_to(a->peer, &b->id));
        assert_int_equal(world_connections(b), 0);
        if (world.kind->relayed) { /* a last stream to the relay, which lingers */
            world_run(&world, 10 * NANOS_SECOND);
        }
        assert_int_equal(peer_stream_count(b->peer), 0);
    }
    world_done(&world);
}

/* Two connections to one peer, which end at the same time. */
static void connections_end_together(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct multiaddr to_a = world_full_address(a);
    struct multiaddr to_b = world_full_address(b);
    uint64_t from_a = 0;
    uint64_t from_b = 0;
    assert_int_equal(peer_connect(a->peer, NULL, &to_b, 1, world.now, &from_a), 0);
    assert_int_equal(peer_connect(b->peer, NULL, &to_a, 1, world.now, &from_b), 0);
    assert_non_null(world_await(a, PEER_EVENT_CONNECTED, from_a, WORLD_PATIENCE));
    assert_non_null(world_await(b, PEER_EVENT_CONNECTED, from_b, WORLD_PATIENCE));
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_connections(a), 2);
    assert_int_equal(world_connections(b), 2);
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(a->peer, connection)) != NULL) {
        if (peer_id_equal(peer_connection_id(connection), &b->id)) { /* not the relay */
            peer_disconnect(a->peer, connection, world.now);
        }
    }
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_count(a, PEER_EVENT_DISCONNECTED), 2);
    assert_int_equal(world_count(b, PEER_EVENT_DISCONNECTED), 2);
    assert_int_equal(world_connections(a), 0);
    assert_int_equal(world_connections(b), 0);
    world_done(&world);
}

static void another_identity_is_refused(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct world_node *c = world_node_new(&world);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &c->id, &b->address, 1, world.now, &request), 0);
    const struct peer_event *failed =
        world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(failed);
    assert_int_equal(failed->error, PLASM_UNTRUSTED);
    assert_int_equal(world_connections(a), 0);
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_connections(b), 0);

    /* Without a name whoever is there will do. */
    assert_int_equal(peer_connect(a->peer, NULL, &b->address, 1, world.now, &request), 0);
    const struct peer_event *connected =
        world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE);
    assert_non_null(connected);
    assert_true(peer_id_equal(peer_connection_id(connected->connection), &b->id));
    world_done(&world);
}

static bool text_has(struct bytes text, const char *part) {
    char room[1024];
    bytes_cut_string(text, room, sizeof(room));
    return strstr(room, part) != NULL;
}

static void nobody_there(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_add(&world); /* does not run */
    nanos begun = world.now;
    uint64_t request = 0;
    struct multiaddr address = world_full_address(b);
    assert_int_equal(peer_connect(a->peer, NULL, &address, 1, world.now, &request), 0);
    const struct peer_event *failed =
        world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(failed);
    assert_true(failed->error == PLASM_UNREACHABLE || failed->error == PLASM_TIMEOUT ||
                (world.kind->relayed && failed->error == PLASM_NOT_FOUND)); /* says the relay */
    char text[MULTIADDR_TEXT_MAX];
    assert_int_equal(multiaddr_format(&b->address, text, sizeof(text)), 0);
    assert_true(text_has(failed->data, text));
    assert_in_range(world.now - begun, 0, peer_limits_default.dial_timeout);

    /* No address at all. */
    assert_int_equal(peer_connect(a->peer, &b->id, NULL, 0, world.now, &request), 0);
    failed = world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_int_equal(failed->error, PLASM_NOT_FOUND);
    assert_int_equal(peer_connect(a->peer, NULL, NULL, 0, world.now, &request), PLASM_INVALID);
    assert_int_equal(peer_connect(a->peer, &a->id, &address, 1, world.now, &request),
                     PLASM_INVALID);

    /* Nobody waits for it any more. */
    world_forget(a);
    assert_int_equal(peer_connect(a->peer, NULL, &address, 1, world.now, &request), 0);
    world_run(&world, NANOS_MILLISECOND);
    peer_connect_cancel(a->peer, request, world.now);
    world_run(&world, WORLD_PATIENCE);
    assert_null(world_last(a, PEER_EVENT_CONNECT_FAILED, request));
    world_done(&world);
}

static void the_next_address_is_tried(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct world_node *gone = world_add(&world);
    struct multiaddr addresses[3] = {gone->address, b->address, b->address};
    nanos begun = world.now;
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, addresses, 3, world.now, &request), 0);
    assert_non_null(world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE));
    assert_in_range(world.now - begun, 0, NANOS_SECOND);
    world_run(&world, 20 * NANOS_SECOND);
    assert_int_equal(world_connections(a), 1);
    world_done(&world);
}

/* Two askers share one dial. */
static void one_dial_for_all(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    uint64_t first = 0;
    uint64_t second = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, &b->address, 1, world.now, &first), 0);
    assert_int_equal(peer_connect(a->peer, &b->id, &b->address, 1, world.now, &second), 0);
    assert_int_not_equal(first, second);
    const struct peer_event *connected =
        world_await(a, PEER_EVENT_CONNECTED, first, WORLD_PATIENCE);
    assert_non_null(connected);
    struct peer_connection *connection = connected->connection;
    connected = world_await(a, PEER_EVENT_CONNECTED, second, WORLD_PATIENCE);
    assert_non_null(connected);
    assert_ptr_equal(connected->connection, connection);
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_connections(b), 1);
    world_done(&world);
}

static void names_are_resolved(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct bytes behind_ip = bytes_slice(multiaddr_bytes(&b->address), 5, MULTIADDR_SIZE_MAX);
    struct multiaddr name = world_address("/dns4/node.example");
    memcpy(name.bytes + name.size, behind_ip.data, behind_ip.size);
    name.size = (uint16_t)(name.size + behind_ip.size);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, &name, 1, world.now, &request), 0);
    const struct peer_event *resolve = world_await(a, PEER_EVENT_RESOLVE, 0, WORLD_PATIENCE);
    assert_non_null(resolve);
    assert_int_equal(resolve->resolve, MULTIADDR_DNS4);
    assert_true(bytes_equal_string(resolve->data, "node.example"));
    struct multiaddr ips[2] = {world_address("/ip4/10.0.0.99"), world_address("/ip4/10.0.0.2")};
    peer_resolved(a->peer, resolve->request, ips, 2, world.now);
    assert_non_null(world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE));
    peer_disconnect(a->peer, peer_connection_to(a->peer, &b->id), world.now);
    world_run(&world, NANOS_SECOND);

    /* /dnsaddr: records of others are passed over, one leads to another name. */
    world_forget(a);
    name = world_address("/dnsaddr/boot.example");
    assert_int_equal(multiaddr_append(&name, MULTIADDR_P2P, peer_id_bytes(&b->id)), 0);
    assert_int_equal(peer_connect(a->peer, NULL, &name, 1, world.now, &request), 0);
    resolve = world_await(a, PEER_EVENT_RESOLVE, 0, WORLD_PATIENCE);
    assert_int_equal(resolve->resolve, MULTIADDR_DNSADDR);
    assert_true(bytes_equal_string(resolve->data, "boot.example"));
    struct multiaddr records[2] = {world_full_address(a), world_address("/dnsaddr/b.example")};
    assert_int_equal(multiaddr_append(&records[1], MULTIADDR_P2P, peer_id_bytes(&b->id)), 0);
    uint64_t resolving = resolve->request;
    world_forget(a);
    peer_resolved(a->peer, resolving, records, 2, world.now);
    resolve = world_await(a, PEER_EVENT_RESOLVE, 0, WORLD_PATIENCE);
    assert_true(bytes_equal_string(resolve->data, "b.example"));
    records[0] = world_full_address(b);
    peer_resolved(a->peer, resolve->request, records, 1, world.now);
    assert_non_null(world_await(a, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE));
    peer_disconnect(a->peer, peer_connection_to(a->peer, &b->id), world.now);
    world_run(&world, NANOS_SECOND);

    /* A name that leads to itself ends. */
    world_forget(a);
    name = world_address("/dnsaddr/loop.example");
    assert_int_equal(peer_connect(a->peer, &b->id, &name, 1, world.now, &request), 0);
    for (int i = 0; i < 10 && world_last(a, PEER_EVENT_CONNECT_FAILED, request) == NULL; i++) {
        resolve = world_await(a, PEER_EVENT_RESOLVE, 0, NANOS_SECOND);
        if (resolve != NULL) {
            struct multiaddr again = world_address("/dnsaddr/loop.example/tcp/1");
            resolving = resolve->request;
            world_forget(a);
            peer_resolved(a->peer, resolving, &again, 1, world.now);
        }
    }
    assert_non_null(world_await(a, PEER_EVENT_CONNECT_FAILED, request, NANOS_SECOND));

    /* No such name. */
    name = world_address("/dns/none.example/udp/1/quic-v1");
    world_forget(a);
    assert_int_equal(peer_connect(a->peer, &b->id, &name, 1, world.now, &request), 0);
    resolve = world_await(a, PEER_EVENT_RESOLVE, 0, WORLD_PATIENCE);
    peer_resolved(a->peer, resolve->request, NULL, 0, world.now);
    const struct peer_event *failed = world_await(a, PEER_EVENT_CONNECT_FAILED, request, 0);
    assert_non_null(failed);
    assert_int_equal(failed->error, PLASM_NOT_FOUND);
    assert_true(text_has(failed->data, "none.example"));
    world_done(&world);
}

static void we_are_nobody_to_dial(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, NULL, &a->address, 1, world.now, &request), 0);
    assert_non_null(world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE));
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_connections(a), 0);
    assert_null(world_last(a, PEER_EVENT_CONNECTED, 0));
    world_done(&world);
}

static void limits_hold(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *server = world_add(&world);
    server->config.limits.resources.admission.connections_inbound_max = 4;
    server->config.limits.resources.admission.connections_per_ip_max = 2;
    assert_true(world_start(server));
    struct world_node *clients[6];
    for (size_t i = 0; i < 6; i++) {
        clients[i] = world_node_new(&world);
        uint64_t request = 0;
        assert_int_equal(
            peer_connect(clients[i]->peer, &server->id, &server->address, 1, world.now, &request),
            0);
        world_run(&world, NANOS_SECOND);
    }
    assert_int_equal(world_connections(server), 4);
    for (size_t i = 0; i < 6; i++) {
        bool stays = peer_connection_to(clients[i]->peer, &server->id) != NULL;
        assert_int_equal(stays, i < 4);
    }
    /* With one gone there is room again. */
    peer_disconnect(clients[0]->peer, peer_connection_to(clients[0]->peer, &server->id), world.now);
    world_run(&world, NANOS_SECOND);
    (void)world_connect(clients[5], server);
    world_done(&world);
}

/* --- identify --------------------------------------------------------------------------------- */

static void changes_are_pushed(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    (void)world_connect(a, b);
    struct identify message;
    assert_int_equal(peer_add_protocol(b->peer, "/world/new/1", world.now), 0);
    assert_int_equal(peer_add_protocol(b->peer, "/world/new/1", world.now), PLASM_CONFLICT);
    world_run(&world, NANOS_SECOND);
    world_identify_of(a, b, &message);
    assert_true(identify_has_protocol(&message, "/world/new/1"));
    assert_true(identify_has_protocol(&message, WORLD_ECHO));
    assert_true(bytes_equal_string(message.agent, "world/1"));

    struct multiaddr addresses[2] = {b->address, world_address("/ip4/192.0.2.7/udp/4001/quic-v1")};
    peer_set_addresses(b->peer, addresses, 2, world.now / NANOS_MICROSECOND + 1, world.now);
    world_run(&world, NANOS_SECOND);
    world_identify_of(a, b, &message);
    assert_int_equal(message.address_count, world.kind->relayed ? 3 : 2); /* and by the relay */
    assert_bytes_equal(message.addresses[1], multiaddr_bytes(&addresses[1]));
    /* Heard once; nothing is open that was only for this. */
    assert_int_equal(world_count(a, PEER_EVENT_IDENTIFIED), 1);
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);
    size_t added = 0;
    char names[PEER_PROTOCOLS_MAX][24];
    int error = 0;
    while (error == 0) {
        snprintf(names[added], sizeof(names[added]), "/world/more/%zu", added);
        error = peer_add_protocol(a->peer, names[added], world.now);
        added += error == 0;
    }
    assert_int_equal(error, PLASM_LIMIT);
    assert_int_equal(added, PEER_PROTOCOLS_MAX - 1);
    world_run(&world, NANOS_SECOND);
    world_identify_of(b, a, &message);
    assert_true(identify_has_protocol(&message, names[added - 1]));
    world_done(&world);
}

/* --- ping ------------------------------------------------------------------------------------- */

static void pings_come_back(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    world_run(&world, NANOS_SECOND);
    for (int i = 0; i < 20; i++) {
        uint64_t request = 0;
        assert_int_equal(peer_ping(a->peer, connection, world.now, &request), 0);
        const struct peer_event *pong = world_await(a, PEER_EVENT_PONG, request, WORLD_PATIENCE);
        assert_non_null(pong);
        assert_int_equal(pong->error, 0);
        assert_in_range(pong->elapsed, 2 * world.delay, 3 * world.delay);
    }
    assert_in_range(peer_stream_count(a->peer), 1, 1); /* kept for the next */
    world_run(&world, 10 * NANOS_SECOND);
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);

    /* The connection ends under one. */
    uint64_t request = 0;
    assert_int_equal(peer_ping(a->peer, connection, world.now, &request), 0);
    peer_disconnect(b->peer, peer_connection_to(b->peer, &a->id), world.now);
    const struct peer_event *pong = world_await(a, PEER_EVENT_PONG, request, WORLD_PATIENCE);
    assert_non_null(pong);
    assert_int_not_equal(pong->error, 0);
    world_done(&world);
}

/* --- perf ------------------------------------------------------------------------------------- */

static void throughput_is_measured(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_add(&world);
    b->config.perf_server = true;
    assert_true(world_start(b));
    struct peer_connection *connection = world_connect(a, b);
    static const uint64_t sizes[][2] = {{0, 0},       {1, 0},       {0, 1},
                                        {3000000, 0}, {0, 3000000}, {262144, 262144}};
    uint64_t request = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(
            peer_perf(a->peer, connection, sizes[i][0], sizes[i][1], world.now, &request), 0);
        const struct peer_event *done = world_await(a, PEER_EVENT_PERF, request, WORLD_PATIENCE);
        assert_non_null(done);
        assert_int_equal(done->error, 0);
        assert_in_range(done->elapsed, 2 * world.delay, 20 * NANOS_SECOND);
        assert_in_range(done->elapsed_down, 0, 20 * NANOS_SECOND);
    }
    world_run(&world, NANOS_SECOND);
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);
    /* Not served by everybody. */
    assert_int_equal(
        peer_perf(b->peer, peer_connection_to(b->peer, &a->id), 1, 1, world.now, &request), 0);
    const struct peer_event *refused = world_await(b, PEER_EVENT_PERF, request, WORLD_PATIENCE);
    assert_non_null(refused);
    assert_int_equal(refused->error, PLASM_UNSUPPORTED);
    /* The connection ends under one. */
    assert_int_equal(peer_perf(a->peer, connection, 1 << 30, 1, world.now, &request), 0);
    world_run(&world, world.delay);
    peer_disconnect(b->peer, peer_connection_to(b->peer, &a->id), world.now);
    const struct peer_event *lost = world_await(a, PEER_EVENT_PERF, request, WORLD_PATIENCE);
    assert_non_null(lost);
    assert_int_not_equal(lost->error, 0);
    world_done(&world);
}

#endif
