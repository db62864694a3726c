/* Conformance: streams of the application, and capability records on theirs. */
#ifndef PEER_CONFORMANCE_STREAMS_TESTING_H
#define PEER_CONFORMANCE_STREAMS_TESTING_H

#include "peer/world_testing.h"

/* --- streams ---------------------------------------------------------------------------------- */

static void streams_carry_bytes(void **state) {
    struct world world;
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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
    world_init(&world, world_kind_of(state));
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

#endif
