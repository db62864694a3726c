/* What peers must do over every transport: one list of tests, run on each kind of world. */
#ifndef PEER_CONFORMANCE_TESTING_H
#define PEER_CONFORMANCE_TESTING_H

#include <stdio.h>

#include "peer/world_testing.h"
#include "wire/multihash.h"

static const struct world_kind *kind_of(void **state) {
    return *state;
}

/* --- connections ------------------------------------------------------------------------------ */

static void connects_and_knows(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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
    assert_int_equal(message.address_count, 1);
    assert_bytes_equal(message.addresses[0], multiaddr_bytes(&b->address));
    assert_bytes_equal(message.observed, multiaddr_bytes(&a->address));

    /* Who is connected is not dialled again. */
    struct multiaddr address = world_full_address(b);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &b->id, &address, 1, world.now, &request), 0);
    assert_ptr_equal(world_await(a, PEER_EVENT_CONNECTED, request, 0)->connection, connection);
    assert_int_equal(peer_connect(a->peer, &b->id, NULL, 0, world.now, &request), 0);
    assert_ptr_equal(world_await(a, PEER_EVENT_CONNECTED, request, 0)->connection, connection);
    assert_int_equal(peer_connection_count(a->peer), 1);
    assert_null(peer_connection_next(a->peer, connection));
    world_done(&world);
}

static void ends_are_told(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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
        assert_int_equal(peer_connection_count(b->peer), 0);
        assert_int_equal(peer_stream_count(b->peer), 0);
    }
    world_done(&world);
}

/* Two connections to one peer, which end at the same time. */
static void connections_end_together(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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
    assert_int_equal(peer_connection_count(a->peer), 2);
    assert_int_equal(peer_connection_count(b->peer), 2);
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(a->peer, connection)) != NULL) {
        peer_disconnect(a->peer, connection, world.now);
    }
    world_run(&world, NANOS_SECOND);
    assert_int_equal(world_count(a, PEER_EVENT_DISCONNECTED), 2);
    assert_int_equal(world_count(b, PEER_EVENT_DISCONNECTED), 2);
    assert_int_equal(peer_connection_count(a->peer), 0);
    assert_int_equal(peer_connection_count(b->peer), 0);
    world_done(&world);
}

static void another_identity_is_refused(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct world_node *c = world_node_new(&world);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, &c->id, &b->address, 1, world.now, &request), 0);
    const struct peer_event *failed =
        world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(failed);
    assert_int_equal(failed->error, PLASM_UNTRUSTED);
    assert_int_equal(peer_connection_count(a->peer), 0);
    world_run(&world, NANOS_SECOND);
    assert_int_equal(peer_connection_count(b->peer), 0);

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
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_add(&world); /* does not run */
    nanos begun = world.now;
    uint64_t request = 0;
    struct multiaddr address = world_full_address(b);
    assert_int_equal(peer_connect(a->peer, NULL, &address, 1, world.now, &request), 0);
    const struct peer_event *failed =
        world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE);
    assert_non_null(failed);
    assert_true(failed->error == PLASM_UNREACHABLE || failed->error == PLASM_TIMEOUT);
    assert_true(text_has(failed->data, "/ip4/10.0.0.2/udp/4001/quic-v1"));
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
    world_init(&world, kind_of(state));
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
    assert_int_equal(peer_connection_count(a->peer), 1);
    world_done(&world);
}

/* Two askers share one dial. */
static void one_dial_for_all(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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
    assert_int_equal(peer_connection_count(b->peer), 1);
    world_done(&world);
}

static void names_are_resolved(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct multiaddr name = world_address("/dns4/node.example/udp/4001/quic-v1");
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
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    uint64_t request = 0;
    assert_int_equal(peer_connect(a->peer, NULL, &a->address, 1, world.now, &request), 0);
    assert_non_null(world_await(a, PEER_EVENT_CONNECT_FAILED, request, WORLD_PATIENCE));
    world_run(&world, NANOS_SECOND);
    assert_int_equal(peer_connection_count(a->peer), 0);
    assert_null(world_last(a, PEER_EVENT_CONNECTED, 0));
    world_done(&world);
}

static void limits_hold(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *server = world_add(&world);
    server->config.limits.connections_inbound_max = 4;
    server->config.limits.connections_per_ip_max = 2;
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
    assert_int_equal(peer_connection_count(server->peer), 4);
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
    world_init(&world, kind_of(state));
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
    assert_int_equal(message.address_count, 2);
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
    world_init(&world, kind_of(state));
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
    world_run(&world, NANOS_SECOND);
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

/* --- streams ---------------------------------------------------------------------------------- */

static void streams_carry_bytes(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    struct peer_connection *back = peer_connection_to(b->peer, &a->id);
    static const size_t sizes[] = {0, 1, 1000, 65536, 3000000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        world_echo(a, connection, sizes[i]);
        world_echo(b, back, sizes[i]);
    }
    world_run(&world, NANOS_SECOND);
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);
    world_done(&world);
}

static void many_streams_at_once(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    enum { STREAMS = 100 };
    struct world_stream *streams[STREAMS];
    for (int round = 0; round < 4; round++) { /* more in all than may be open at a time */
        for (size_t i = 0; i < STREAMS; i++) {
            int error = 0;
            streams[i] = world_open(a, connection, WORLD_ECHO, 100 * i, &error);
            assert_non_null(streams[i]);
        }
        for (size_t i = 0; i < STREAMS; i++) {
            world_await_close(streams[i]);
            assert_int_equal(streams[i]->error, 0);
            assert_int_equal(streams[i]->read, 100 * i);
            assert_false(streams[i]->changed);
            world_stream_free(streams[i]);
        }
    }
    world_done(&world);
}

static void an_unknown_protocol_is_refused(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    /* Lazily written data may look like anything to whoever does not speak the protocol. */
    static const size_t sizes[] = {0, 1, 100, 5000, 200000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int error = 0;
        struct world_stream *stream = world_open(a, connection, WORLD_NOBODY, sizes[i], &error);
        assert_non_null(stream);
        world_await_close(stream);
        assert_int_equal(stream->error, PLASM_UNSUPPORTED);
        assert_int_equal(stream->read, 0);
        world_stream_free(stream);
    }
    world_run(&world, 5 * NANOS_SECOND);
    assert_null(world_last(b, PEER_EVENT_STREAM_OPENED, 0));
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);
    world_done(&world);
}

/* The answering side closes every stream as soon as it hears of it. */
static void close_at_once(struct world_node *node, const struct peer_event *event) {
    (void)node;
    if (event->type == PEER_EVENT_STREAM_OPENED) {
        peer_stream_close(event->stream, 7);
    }
}

static void resets_are_told(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_add(&world);
    b->ignores_streams = true;
    b->on_event = close_at_once;
    assert_true(world_start(b));
    struct peer_connection *connection = world_connect(a, b);
    static const size_t sizes[] = {0, 10, 1000000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int error = 0;
        struct world_stream *stream = world_open(a, connection, WORLD_ECHO, sizes[i], &error);
        world_await_close(stream);
        assert_int_equal(stream->error, PLASM_RESET);
        world_stream_free(stream);
    }
    assert_int_equal(world_count(b, PEER_EVENT_STREAM_OPENED), 3);
    assert_int_equal(world_count(b, PEER_EVENT_STREAM_DATA), 0); /* closed is closed */
    assert_int_equal(world_count(b, PEER_EVENT_STREAM_CLOSED), 0);

    /* And the asking side: what was on its way is not heard of any more. */
    b->on_event = NULL;
    b->ignores_streams = false;
    int error = 0;
    struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 1000000, &error);
    world_run(&world, 3 * world.delay);
    size_t events = a->event_count;
    world_stream_free(stream);
    world_run(&world, NANOS_SECOND);
    for (size_t i = events; i < a->event_count; i++) {
        assert_null(a->events[i].event.stream);
    }
    assert_int_equal(world_last(b, PEER_EVENT_STREAM_CLOSED, 0)->error, PLASM_RESET);
    assert_int_equal(peer_stream_count(a->peer), 0);
    assert_int_equal(peer_stream_count(b->peer), 0);
    world_done(&world);
}

/* A reader that gives no credit back stops its writer, and nobody else. */
static void slow_readers_slow_writers(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    int error = 0;
    enum { SIZE = 8000000 };
    b->ignores_streams = true;
    b->holds_credit = true;
    struct world_stream *stream = world_open(a, connection, WORLD_ECHO, SIZE, &error);
    world_run(&world, 20 * NANOS_SECOND);
    assert_false(stream->closed);
    assert_true(stream->written < SIZE);
    size_t held = 0;
    struct peer_stream *reading = world_last(b, PEER_EVENT_STREAM_OPENED, 0)->stream;
    for (size_t i = 0; i < b->event_count; i++) {
        held += b->events[i].event.stream == reading ? b->events[i].event.data.size : 0;
    }
    assert_in_range(held, 1, SIZE - 1);
    b->ignores_streams = false;
    world_echo(a, connection, 10000);

    b->holds_credit = false;
    peer_stream_consume(reading, held);
    world_run(&world, 20 * NANOS_SECOND);
    assert_true(stream->finished);
    assert_int_equal(stream->written, SIZE);
    world_stream_free(stream);
    world_done(&world);
}

static void streams_end_with_their_connection(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *a = world_node_new(&world);
    struct world_node *b = world_node_new(&world);
    struct peer_connection *connection = world_connect(a, b);
    int error = 0;
    struct world_stream *stream = world_open(a, connection, WORLD_ECHO, 10, &error);
    stream->finishes = false;
    struct world_stream *open = world_open(a, connection, WORLD_ECHO, 3000000, &error);
    world_run(&world, 2 * world.delay);
    peer_disconnect(b->peer, peer_connection_to(b->peer, &a->id), world.now);
    assert_non_null(world_await(a, PEER_EVENT_DISCONNECTED, 0, WORLD_PATIENCE));
    assert_true(open->closed);
    assert_int_not_equal(open->error, 0);
    /* Streams first, then the connection. */
    assert_int_equal(a->events[a->event_count - 1].event.type, PEER_EVENT_DISCONNECTED);
    struct peer_stream *none;
    assert_null(peer_connection_to(a->peer, &b->id));
    (void)none;
    world_stream_free(stream);
    world_stream_free(open);
    world_done(&world);
}

/* --- capability ------------------------------------------------------------------------------- */

static void capabilities_reach_readers(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *worker = world_node_new(&world);
    struct world_node *reader = world_add(&world);
    reader->config.capability_reader = true;
    assert_true(world_start(reader));
    struct world_node *other = world_node_new(&world);
    assert_int_equal(peer_set_capability(worker->peer, BYTES_LITERAL("{\"first\":1}"), world.now),
                     0);
    world_settle(&world);

    /* One and a half round trips after the handshake. */
    struct multiaddr address = world_full_address(worker);
    uint64_t request = 0;
    assert_int_equal(peer_connect(reader->peer, NULL, &address, 1, world.now, &request), 0);
    assert_non_null(world_await(reader, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE));
    nanos connected = world.now;
    const struct peer_event *event = world_await(reader, PEER_EVENT_CAPABILITY, 0, WORLD_PATIENCE);
    world_check_capability(event, worker, "{\"first\":1}");
    assert_in_range(world.now - connected, 0, 6 * world.delay);
    (void)world_connect(other, worker);
    assert_null(world_last(other, PEER_EVENT_CAPABILITY, 0));

    /* A new one comes by itself. */
    world_forget(reader);
    assert_int_equal(peer_set_capability(worker->peer, BYTES_LITERAL("{\"second\":2}"), world.now),
                     0);
    world_check_capability(world_await(reader, PEER_EVENT_CAPABILITY, 0, WORLD_PATIENCE), worker,
                           "{\"second\":2}");
    /* A signer that refuses leaves the old one. */
    worker->refuses_to_sign = true;
    world_forget(reader);
    assert_int_equal(peer_set_capability(worker->peer, BYTES_LITERAL("{\"third\":3}"), world.now),
                     0);
    world_run(&world, NANOS_SECOND);
    assert_null(world_last(reader, PEER_EVENT_CAPABILITY, 0));
    struct identify message;
    world_identify_of(reader, worker, &message);
    assert_true(identify_has_protocol(&message, CAPABILITY_PROTOCOL));
    world_run(&world, 5 * NANOS_SECOND);
    assert_int_equal(peer_stream_count(worker->peer), 0);
    assert_int_equal(peer_stream_count(reader->peer), 0);
    world_done(&world);
}

/* The record is made after the reader has come. */
static void late_capabilities_reach_readers(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
    struct world_node *worker = world_node_new(&world);
    struct world_node *reader = world_add(&world);
    reader->config.capability_reader = true;
    assert_true(world_start(reader));
    (void)world_connect(worker, reader);
    assert_int_equal(peer_set_capability(worker->peer, BYTES_LITERAL("{}"), world.now), 0);
    world_check_capability(world_await(reader, PEER_EVENT_CAPABILITY, 0, WORLD_PATIENCE), worker,
                           "{}");
    world_run(&world, NANOS_SECOND);
    struct identify message;
    world_identify_of(reader, worker, &message);
    assert_true(identify_has_protocol(&message, CAPABILITY_PROTOCOL));
    world_done(&world);
}

/* --- the DHT ---------------------------------------------------------------------------------- */

static void the_dht_works(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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

    /* Nothing stays open, and the table survives a restart. */
    assert_int_equal(peer_stream_count(nodes[0]->peer), 0);
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer table;
    buffer_init(&table, &memory, SIZE_MAX);
    assert_int_equal(peer_routing_export(nodes[1]->peer, &table), 0);
    struct world_node *heir = world_node_new(&world);
    assert_int_equal(peer_routing_import(heir->peer, buffer_bytes(&table), world.now), 0);
    assert_int_equal(peer_find_peer(heir->peer, &nodes[0]->id, world.now, &find), 0);
    done = world_await(heir, PEER_EVENT_LOOKUP_DONE, find, WORLD_PATIENCE);
    assert_int_equal(done->error, 0);
    buffer_done(&table);
    world_done(&world);
}

static void values_are_kept(void **state) {
    struct world world;
    world_init(&world, kind_of(state));
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
    world_init(&world, kind_of(state));
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

/* --- the list --------------------------------------------------------------------------------- */

#define CONFORMANCE(test)                                                                          \
    { #test, test, NULL, NULL, NULL }

static int conformance_run(const struct world_kind *kind) {
    struct CMUnitTest tests[] = {
        CONFORMANCE(connects_and_knows),
        CONFORMANCE(ends_are_told),
        CONFORMANCE(connections_end_together),
        CONFORMANCE(another_identity_is_refused),
        CONFORMANCE(nobody_there),
        CONFORMANCE(the_next_address_is_tried),
        CONFORMANCE(one_dial_for_all),
        CONFORMANCE(names_are_resolved),
        CONFORMANCE(we_are_nobody_to_dial),
        CONFORMANCE(limits_hold),
        CONFORMANCE(changes_are_pushed),
        CONFORMANCE(pings_come_back),
        CONFORMANCE(streams_carry_bytes),
        CONFORMANCE(many_streams_at_once),
        CONFORMANCE(an_unknown_protocol_is_refused),
        CONFORMANCE(resets_are_told),
        CONFORMANCE(slow_readers_slow_writers),
        CONFORMANCE(streams_end_with_their_connection),
        CONFORMANCE(capabilities_reach_readers),
        CONFORMANCE(late_capabilities_reach_readers),
        CONFORMANCE(the_dht_works),
        CONFORMANCE(values_are_kept),
        CONFORMANCE(bootstrap_is_patient),
    };
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        tests[i].initial_state = (void *)(uintptr_t)kind;
    }
    return _cmocka_run_group_tests(kind->name, tests, ARRAY_SIZE(tests), NULL, NULL);
}

#endif
