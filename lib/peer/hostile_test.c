/* The peer against others that do everything wrong: it stays, it forgets them, and it is bounded in
 * what they can make it keep. */
#include "peer/raw_testing.h"

#include "identity/envelope.h"
#include "proto/ping/ping.h"
#include "wire/multihash.h"
#include "wire/protobuf.h"

struct scene {
    struct world world;
    struct world_node *node;
    struct raw *raw;
    size_t memory_before;
};

static void scene_init(struct scene *scene, bool reader) {
    world_init(&scene->world, memory_world());
    scene->node = world_add(&scene->world);
    scene->node->config.capability_reader = reader;
    scene->node->config.kad_namespaces = world_namespaces();
    assert_true(world_start(scene->node));
    world_run(&scene->world, NANOS_SECOND);
    scene->memory_before = scene->node->memory.memory.used;
    scene->raw = raw_new(&scene->world, 1);
    raw_connect(scene->raw, scene->node);
    assert_non_null(scene->raw->link);
}

/* The connection is still good for something. */
static void check_alive(struct scene *scene) {
    struct raw_stream *stream = raw_open_protocol(scene->raw, PING_PROTOCOL);
    static const uint8_t payload[PING_SIZE] = {1, 2, 3};
    raw_write(scene->raw, stream, BYTES_ARRAY(payload), true);
    raw_run(scene->raw, NANOS_SECOND);
    assert_bytes_equal(raw_answer(stream, PING_PROTOCOL), BYTES_ARRAY(payload));
    assert_true(stream->got_end);
    assert_null(stream->stream);
}

/* Nothing is left of the other side when it is gone. */
static void scene_done(struct scene *scene) {
    raw_run(scene->raw, 2 * NANOS_MINUTE);
    assert_int_equal(peer_stream_count(scene->node->peer), 0);
    raw_free(scene->raw);
    world_run(&scene->world, 10 * NANOS_SECOND);
    assert_int_equal(peer_connection_count(scene->node->peer), 0);
    /* Arrays that have grown stay: events, timers, the map of peers. */
    assert_in_range(scene->node->memory.memory.used, 0, scene->memory_before + 16384);
    world_done(&scene->world);
}

/* --- negotiation ------------------------------------------------------------------------------ */

static void bad_negotiations(void **state) {
    (void)state;
    const struct {
        struct bytes bytes;
        bool fin;
        bool refused; /* answered and ended, instead of a reset */
    } cases[] = {
        {BYTES_LITERAL("GET / HTTP/1.1\r\n\r\n"), false, false},
        {BYTES_LITERAL("\x13/multistream/2.0.0\n"), false, false},
        {BYTES_LITERAL("\x13/multistream/1.0.0\n\x01x"), false, false},
        {BYTES_LITERAL("\x13/multistream/1.0.0\n\xff\xff\xff\xff\xff"), false, false},
        {BYTES_LITERAL("\x13/multistream/1.0.0\n"), true, false},
        {BYTES_LITERAL(""), true, false},
        {BYTES_LITERAL("\x13/multistream/1.0.0\n\x03/x\n"), true, true},
        {BYTES_LITERAL("\x13/multistream/1.0.0\n\x03/x\n\xff\xff\xff\xff\xff"), false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scene scene;
        scene_init(&scene, false);
        struct raw_stream *stream = raw_open(scene.raw);
        raw_write(scene.raw, stream, cases[i].bytes, cases[i].fin);
        /* The first one may still become a long line: there it takes the time-out. */
        raw_run(scene.raw, i == 0 ? 11 * NANOS_SECOND : NANOS_SECOND);
        assert_int_equal(stream->got_reset, !cases[i].refused);
        if (cases[i].refused) {
            assert_bytes_equal(bytes_of(stream->bytes, stream->read),
                               BYTES_LITERAL("\x13/multistream/1.0.0\n\x03na\n"));
            assert_true(stream->got_end);
        }
        check_alive(&scene);
        scene_done(&scene);
    }
}

static void many_proposals(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    struct raw_stream *stream = raw_open(scene.raw);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x13/multistream/1.0.0\n"), false);
    for (int i = 0; i < 40 && stream->stream != NULL; i++) {
        raw_write(scene.raw, stream, BYTES_LITERAL("\x03/x\n"), false);
        raw_run(scene.raw, 100 * NANOS_MILLISECOND);
    }
    assert_true(stream->got_reset);
    assert_in_range(stream->read, 20 + 4 * 10, 20 + 4 * 16);
    /* The right one after some wrong ones. */
    stream = raw_open(scene.raw);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x13/multistream/1.0.0\n\x03/x\n\x03/y\n"), false);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x11/ipfs/ping/1.0.0\n"), false);
    raw_run(scene.raw, NANOS_SECOND);
    assert_bytes_equal(
        bytes_of(stream->bytes, stream->read),
        BYTES_LITERAL("\x13/multistream/1.0.0\n\x03na\n\x03na\n\x11/ipfs/ping/1.0.0\n"));
    scene_done(&scene);
}

/* Streams that say nothing, as many as there may be. */
static void silent_streams(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    struct raw_stream *streams[250];
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        streams[i] = raw_open(scene.raw);
        raw_write(scene.raw, streams[i], BYTES_LITERAL("\x13"), false);
    }
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(peer_stream_count(scene.node->peer) >= ARRAY_SIZE(streams));
    raw_run(scene.raw, 10 * NANOS_SECOND);
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        assert_true(streams[i]->got_reset);
    }
    check_alive(&scene);
    scene_done(&scene);
}

/* --- identify --------------------------------------------------------------------------------- */

static struct raw_stream *their_identify(struct scene *scene) {
    raw_run(scene->raw, NANOS_SECOND);
    struct raw_stream *stream = raw_theirs(scene->raw, IDENTIFY_PROTOCOL);
    assert_non_null(stream);
    return stream;
}

/* A framed identify message of this scene's raw peer. */
static size_t identify_message(const struct public_key *key, const char *agent, uint8_t *room,
                               size_t room_size) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, room_size);
    uint8_t encoded[KEY_ENCODED_MAX];
    struct writer writer = writer_of(test_span(encoded, sizeof(encoded)));
    public_key_encode(key, &writer);
    struct identify message = {.agent = bytes_of_string(agent),
                               .public_key = writer_bytes(&writer),
                               .protocol_count = 1,
                               .protocols = {BYTES_LITERAL(IDENTIFY_PUSH_PROTOCOL)}};
    ENSURE(identify_encode(&message, &out) == 0);
    size_t size = out.size;
    memcpy(room, buffer_bytes(&out).data, size);
    buffer_done(&out);
    return size;
}

static void bad_identify_answers(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct scene scene;
        scene_init(&scene, false);
        struct raw_stream *stream = their_identify(&scene);
        raw_negotiate(scene.raw, stream, IDENTIFY_PROTOCOL);
        static uint8_t room[100000];
        size_t size = 0;
        int wanted = PLASM_MALFORMED;
        struct public_key other_key = scene.node->key;
        switch (i) {
        case 0: /* nothing at all */
            break;
        case 1: /* no protobuf */
            memcpy(room, "\x04\xff\xff\xff\xff", 5);
            size = 5;
            break;
        case 2: /* cut off */
            size = identify_message(&scene.raw->key, "raw", room, sizeof(room)) - 3;
            wanted = PLASM_TRUNCATED;
            break;
        case 3: /* another's key */
            size = identify_message(&other_key, "raw", room, sizeof(room));
            wanted = PLASM_UNTRUSTED;
            break;
        case 4: /* a part over the bound */
            memset(room, 0, sizeof(room));
            memcpy(room, "\x81\x40", 2);
            size = 9000;
            wanted = PLASM_TOO_LARGE;
            break;
        case 5: /* more parts than are read */
            for (size_t part = 0; part < 11; part++) {
                memcpy(room + size, "\x03\x32\x01x", 4);
                size += 4;
            }
            wanted = PLASM_TOO_LARGE;
            break;
        }
        raw_write(scene.raw, stream, bytes_of(room, size), true);
        raw_run(scene.raw, NANOS_SECOND);
        const struct peer_event *event = world_last(scene.node, PEER_EVENT_IDENTIFIED, 0);
        assert_non_null(event);
        assert_int_equal(event->error, wanted);
        assert_int_equal(peer_connection_identify(event->connection).size, 0);
        check_alive(&scene);
        scene_done(&scene);
    }
}

static void endless_identify(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    struct raw_stream *stream = their_identify(&scene);
    raw_negotiate(scene.raw, stream, IDENTIFY_PROTOCOL);
    static uint8_t zeros[4096];
    for (int i = 0; i < 50 && stream->stream != NULL; i++) {
        raw_write(scene.raw, stream, BYTES_ARRAY(zeros), false);
        raw_run(scene.raw, 10 * NANOS_MILLISECOND);
    }
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_stop);
    assert_int_equal(world_last(scene.node, PEER_EVENT_IDENTIFIED, 0)->error, PLASM_TOO_LARGE);

    /* And one that is never answered. */
    struct raw *other = raw_new(&scene.world, 2);
    raw_connect(other, scene.node);
    world_forget(scene.node);
    raw_run(other, 11 * NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_IDENTIFIED, 0)->error, PLASM_TIMEOUT);
    raw_free(other);
    scene_done(&scene);
}

static void bad_and_partial_pushes(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    uint8_t room[512];
    struct raw_stream *stream = their_identify(&scene);
    raw_negotiate(scene.raw, stream, IDENTIFY_PROTOCOL);
    size_t size = identify_message(&scene.raw->key, "raw/1", room, sizeof(room));
    raw_write(scene.raw, stream, bytes_of(room, size), true);
    raw_run(scene.raw, NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(scene.node->peer, &scene.raw->id);
    struct identify message = {0};
    assert_int_equal(identify_merge(peer_connection_identify(connection), &message), 0);
    assert_true(bytes_equal_string(message.agent, "raw/1"));

    /* Only the protocols; the rest stays. */
    stream = raw_open_protocol(scene.raw, IDENTIFY_PUSH_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x04\x1a\x02/q"), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_end);
    message = (struct identify){.address_count = 0};
    assert_int_equal(identify_merge(peer_connection_identify(connection), &message), 0);
    assert_true(bytes_equal_string(message.agent, "raw/1"));
    assert_true(message.public_key.size > 0);
    assert_int_equal(message.protocol_count, 1);
    assert_true(identify_has_protocol(&message, "/q"));

    /* Bad ones change nothing. */
    size = identify_message(&scene.node->key, "raw/2", room, sizeof(room));
    stream = raw_open_protocol(scene.raw, IDENTIFY_PUSH_PROTOCOL);
    raw_write(scene.raw, stream, bytes_of(room, size), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_reset);
    stream = raw_open_protocol(scene.raw, IDENTIFY_PUSH_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x02\xff\xff"), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_reset);
    message = (struct identify){.address_count = 0};
    assert_int_equal(identify_merge(peer_connection_identify(connection), &message), 0);
    assert_true(bytes_equal_string(message.agent, "raw/1"));
    assert_int_equal(world_count(scene.node, PEER_EVENT_IDENTIFIED), 1);
    scene_done(&scene);
}

/* Whoever takes no pushes gets none; who does gets the last state, one message at a time. */
static void pushes_wait_for_each_other(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    uint8_t room[512];
    struct raw_stream *stream = their_identify(&scene);
    raw_negotiate(scene.raw, stream, IDENTIFY_PROTOCOL);
    size_t size = identify_message(&scene.raw->key, "raw/1", room, sizeof(room));
    raw_write(scene.raw, stream, bytes_of(room, size), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(peer_add_protocol(scene.node->peer, "/p/0", scene.world.now), 0);
    raw_run(scene.raw, NANOS_SECOND);
    /* It has not asked us yet, and will get everything when it does. */
    assert_null(raw_theirs(scene.raw, IDENTIFY_PUSH_PROTOCOL));
    stream = raw_open_protocol(scene.raw, IDENTIFY_PROTOCOL);
    raw_write(scene.raw, stream, bytes_of(NULL, 0), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_end);

    assert_int_equal(peer_add_protocol(scene.node->peer, "/p/1", scene.world.now), 0);
    assert_int_equal(peer_add_protocol(scene.node->peer, "/p/2", scene.world.now), 0);
    assert_int_equal(peer_add_protocol(scene.node->peer, "/p/3", scene.world.now), 0);
    raw_run(scene.raw, NANOS_SECOND);
    struct raw_stream *first = raw_theirs(scene.raw, IDENTIFY_PUSH_PROTOCOL);
    assert_non_null(first);
    size_t streams = scene.raw->stream_count;
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(scene.raw->stream_count, streams);
    raw_negotiate(scene.raw, first, IDENTIFY_PUSH_PROTOCOL);
    raw_write(scene.raw, first, bytes_of(NULL, 0), true);
    raw_run(scene.raw, NANOS_SECOND);
    struct raw_stream *second = raw_theirs(scene.raw, IDENTIFY_PUSH_PROTOCOL);
    assert_ptr_not_equal(first, second);
    struct bytes payload;
    size_t frame;
    assert_int_equal(
        frame_read(raw_answer(second, IDENTIFY_PUSH_PROTOCOL), IDENTIFY_PART_MAX, &payload, &frame),
        0);
    struct identify message = {0};
    assert_int_equal(identify_merge(payload, &message), 0);
    assert_true(identify_has_protocol(&message, "/p/3"));
    assert_int_equal(scene.raw->stream_count, streams + 1);
    scene_done(&scene);
}

/* --- ping ------------------------------------------------------------------------------------- */

static void pings_of_others(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    /* Half a ping, and no more for a minute. */
    struct raw_stream *stream = raw_open_protocol(scene.raw, PING_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("0123456789"), false);
    raw_run(scene.raw, 30 * NANOS_SECOND);
    assert_int_equal(raw_answer(stream, PING_PROTOCOL).size, 0);
    raw_write(scene.raw, stream, BYTES_LITERAL("0123456789012345678901"), false);
    raw_run(scene.raw, 59 * NANOS_SECOND);
    assert_bytes_equal(raw_answer(stream, PING_PROTOCOL),
                       BYTES_LITERAL("01234567890123456789012345678901"));
    assert_false(stream->got_reset);
    raw_run(scene.raw, 3 * NANOS_SECOND);
    assert_true(stream->got_reset);

    /* Half a ping and the end. */
    stream = raw_open_protocol(scene.raw, PING_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("0123456789"), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(raw_answer(stream, PING_PROTOCOL).size, 0);
    assert_true(stream->got_end);

    /* Who never reads the answers is cut off before they fill the memory. */
    stream = raw_open_protocol(scene.raw, PING_PROTOCOL);
    stream->holds_credit = true;
    static uint8_t pings[65536];
    size_t used_max = 0;
    for (int i = 0; i < 100 && !stream->got_reset; i++) {
        raw_write(scene.raw, stream, BYTES_ARRAY(pings), false);
        raw_run(scene.raw, 20 * NANOS_MILLISECOND);
        size_t used = scene.node->memory.memory.used;
        used_max = used > used_max ? used : used_max;
    }
    assert_true(stream->got_reset);
    assert_in_range(used_max, 0, 1024 * 1024);
    check_alive(&scene);
    scene_done(&scene);
}

static void pings_of_ours(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    raw_run(scene.raw, NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(scene.node->peer, &scene.raw->id);
    uint64_t request = 0;
    /* Never answered. */
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, 11 * NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, PLASM_TIMEOUT);
    /* Answered with something else. */
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, NANOS_SECOND);
    struct raw_stream *stream = raw_theirs(scene.raw, PING_PROTOCOL);
    raw_negotiate(scene.raw, stream, PING_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("01234567890123456789012345678901"), false);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, PLASM_MALFORMED);
    /* Answered with the end. */
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, NANOS_SECOND);
    stream = raw_theirs(scene.raw, PING_PROTOCOL);
    raw_negotiate(scene.raw, stream, PING_PROTOCOL);
    raw_write(scene.raw, stream, bytes_of(NULL, 0), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, PLASM_TRUNCATED);
    /* Reset, as by those who think they have too many such streams: tried again, not for ever. */
    for (int resets = 1; resets <= 4; resets += 3) {
        assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
        for (int i = 0; i < resets; i++) {
            raw_run(scene.raw, 100 * NANOS_MILLISECOND);
            stream = raw_theirs(scene.raw, PING_PROTOCOL);
            memory_reset(stream->stream, 0);
        }
        raw_run(scene.raw, 100 * NANOS_MILLISECOND);
        if (resets == 1) {
            stream = raw_theirs(scene.raw, PING_PROTOCOL);
            struct bytes payload = raw_answer(stream, PING_PROTOCOL);
            assert_int_equal(payload.size, PING_SIZE);
            raw_negotiate(scene.raw, stream, PING_PROTOCOL);
            raw_write(scene.raw, stream, payload, false);
            raw_run(scene.raw, NANOS_SECOND);
        }
        assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error,
                         resets == 1 ? 0 : PLASM_RESET);
    }
    /* Not spoken. */
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, NANOS_SECOND);
    stream = raw_theirs(scene.raw, PING_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x13/multistream/1.0.0\n\x03na\n"), false);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, PLASM_UNSUPPORTED);
    scene_done(&scene);
}

static void pings_share_a_stream(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    raw_run(scene.raw, NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(scene.node->peer, &scene.raw->id);
    struct raw_stream *stream;
    uint64_t request = 0;
    /* The stream of the last ping is asked again. One that is silent then is not asked any more:
     * the next gets the ping, and every ping its own. */
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, 200 * NANOS_MILLISECOND);
    stream = raw_theirs(scene.raw, PING_PROTOCOL);
    raw_negotiate(scene.raw, stream, PING_PROTOCOL);
    raw_write(scene.raw, stream, raw_answer(stream, PING_PROTOCOL), false);
    raw_run(scene.raw, NANOS_SECOND);
    assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, 0);
    assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
    raw_run(scene.raw, 200 * NANOS_MILLISECOND);
    assert_ptr_equal(raw_theirs(scene.raw, PING_PROTOCOL), stream);
    assert_int_equal(raw_answer(stream, PING_PROTOCOL).size, 2 * PING_SIZE);
    raw_run(scene.raw, 400 * NANOS_MILLISECOND);
    for (int i = 0; i < 2; i++) {
        struct raw_stream *next = raw_theirs(scene.raw, PING_PROTOCOL);
        assert_ptr_not_equal(next, stream);
        stream = next;
        raw_negotiate(scene.raw, stream, PING_PROTOCOL);
        raw_write(scene.raw, stream, raw_answer(stream, PING_PROTOCOL), false);
        raw_run(scene.raw, 100 * NANOS_MILLISECOND);
        assert_int_equal(world_last(scene.node, PEER_EVENT_PONG, request)->error, 0);
        assert_int_equal(peer_ping(scene.node->peer, connection, scene.world.now, &request), 0);
        raw_run(scene.raw, 100 * NANOS_MILLISECOND);
    }
    raw_run(scene.raw, 11 * NANOS_SECOND);
    scene_done(&scene);
}

/* --- Kademlia --------------------------------------------------------------------------------- */

static size_t find_node_frame(uint8_t *room, size_t room_size) {
    struct writer writer = writer_of(test_span(room, room_size));
    uint8_t body[64];
    struct writer message = writer_of(test_span(body, sizeof(body)));
    protobuf_put_varint(&message, 1, 4);
    protobuf_put_bytes(&message, 2, BYTES_LITERAL("some key"));
    uvarint_write(&writer, message.size);
    writer_bytes_put(&writer, writer_bytes(&message));
    return writer.size;
}

static void requests_to_the_dht(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    uint8_t room[128];
    size_t size = find_node_frame(room, sizeof(room));
    /* Several in one go, the end with them. */
    struct raw_stream *stream = raw_open_protocol(scene.raw, WORLD_KAD);
    for (int i = 0; i < 5; i++) {
        raw_write(scene.raw, stream, bytes_of(room, size), i == 4);
    }
    raw_run(scene.raw, NANOS_SECOND);
    struct bytes answers = raw_answer(stream, WORLD_KAD);
    for (int i = 0; i < 5; i++) {
        struct bytes payload;
        size_t frame;
        assert_int_equal(frame_read(answers, 16384, &payload, &frame), 0);
        answers = bytes_slice(answers, frame, answers.size);
    }
    assert_int_equal(answers.size, 0);
    assert_true(stream->got_end);
    /* Cut off, too long, no protobuf, a length that is none. */
    const struct {
        struct bytes bytes;
        bool fin;
        bool reset;
    } cases[] = {
        {BYTES_LITERAL("\x20\x08\x04"), true, false},
        {BYTES_LITERAL("\x81\x80\x01"), false, true},
        {BYTES_LITERAL("\x02\xff\xff"), false, true},
        {BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), false, true},
        {BYTES_LITERAL("\x02\x08\x4d"), false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        stream = raw_open_protocol(scene.raw, WORLD_KAD);
        raw_write(scene.raw, stream, cases[i].bytes, cases[i].fin);
        raw_run(scene.raw, NANOS_SECOND);
        assert_int_equal(stream->got_reset, cases[i].reset);
        assert_int_equal(stream->got_end, !cases[i].reset);
    }
    /* Silence. */
    stream = raw_open_protocol(scene.raw, WORLD_KAD);
    raw_run(scene.raw, 61 * NANOS_SECOND);
    assert_true(stream->got_reset);
    /* Answers that nobody reads. */
    stream = raw_open_protocol(scene.raw, WORLD_KAD);
    stream->holds_credit = true;
    for (int i = 0; i < 100000 && !stream->got_reset; i++) {
        raw_write(scene.raw, stream, bytes_of(room, size), false);
        if (i % 1000 == 0) {
            raw_run(scene.raw, 20 * NANOS_MILLISECOND);
            assert_in_range(scene.node->memory.memory.used, 0, 1024 * 1024);
        }
    }
    check_alive(&scene);
    scene_done(&scene);
}

/* Makes the peer believe in a DHT server. */
static void pose_as_server(struct scene *scene) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, 8192);
    struct identify message = {.address_count = 1,
                               .addresses = {multiaddr_bytes(&scene->raw->address)},
                               .protocol_count = 1,
                               .protocols = {BYTES_LITERAL(WORLD_KAD)}};
    ENSURE(identify_encode(&message, &out) == 0);
    struct raw_stream *stream = their_identify(scene);
    raw_negotiate(scene->raw, stream, IDENTIFY_PROTOCOL);
    raw_write(scene->raw, stream, buffer_bytes(&out), true);
    buffer_done(&out);
    raw_run(scene->raw, 20 * NANOS_MILLISECOND);
}

static void answers_of_the_dht(void **state) {
    (void)state;
    const struct bytes answers[] = {BYTES_LITERAL("\x02\xff\xff"), BYTES_LITERAL("\x81\x80\x01"),
                                    BYTES_LITERAL("\x00"), BYTES_LITERAL("\x04\x08\x05\x08\x05"),
                                    BYTES_LITERAL("")};
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("k"), key);
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        for (int fin = 0; fin < 2; fin++) {
            struct scene scene;
            scene_init(&scene, false);
            pose_as_server(&scene);
            uint64_t request = 0;
            assert_int_equal(peer_find_providers(scene.node->peer, BYTES_ARRAY(key), 1,
                                                 scene.world.now, &request),
                             0);
            size_t answered = 0;
            for (int turn = 0; turn < 50; turn++) {
                raw_run(scene.raw, 100 * NANOS_MILLISECOND);
                struct raw_stream *stream = raw_theirs(scene.raw, WORLD_KAD);
                /* Its direction ends after the answer, not with the request. */
                if (stream != NULL && stream->stream != NULL && !stream->got_end) {
                    raw_negotiate(scene.raw, stream, WORLD_KAD);
                    raw_write(scene.raw, stream, answers[i], fin);
                    answered++;
                }
            }
            assert_true(answered > 0);
            raw_run(scene.raw, 30 * NANOS_SECOND);
            const struct peer_event *done = world_last(scene.node, PEER_EVENT_LOOKUP_DONE, request);
            assert_non_null(done);
            assert_int_equal(done->count, 0);
            scene_done(&scene);
        }
    }
}

/* --- capability ------------------------------------------------------------------------------- */

static void bad_capabilities(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, true);
    /* Too long: known as soon as its length is. */
    struct raw_stream *stream = raw_open_protocol(scene.raw, CAPABILITY_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x81\x80\x01"), false);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(stream->got_reset || stream->got_stop);
    /* Cut off. */
    stream = raw_open_protocol(scene.raw, CAPABILITY_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x05xyz"), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_null(world_last(scene.node, PEER_EVENT_CAPABILITY, 0));
    /* Nothing at all, for a while and at once. */
    stream = raw_open_protocol(scene.raw, CAPABILITY_PROTOCOL);
    raw_run(scene.raw, 11 * NANOS_SECOND);
    assert_true(stream->got_stop);
    stream = raw_open_protocol(scene.raw, CAPABILITY_PROTOCOL);
    raw_write(scene.raw, stream, bytes_of(NULL, 0), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_null(stream->stream);
    assert_null(world_last(scene.node, PEER_EVENT_CAPABILITY, 0));
    /* Whatever came whole is shown, unchecked. */
    stream = raw_open_protocol(scene.raw, CAPABILITY_PROTOCOL);
    raw_write(scene.raw, stream, BYTES_LITERAL("\x03xyz"), true);
    raw_run(scene.raw, NANOS_SECOND);
    assert_true(bytes_equal_string(world_last(scene.node, PEER_EVENT_CAPABILITY, 0)->data, "xyz"));
    check_alive(&scene);
    scene_done(&scene);
}

/* --- many ------------------------------------------------------------------------------------- */

/* A thousand others come and go; nothing stays of them. */
static void nothing_stays(void **state) {
    (void)state;
    struct scene scene;
    scene_init(&scene, false);
    size_t used = 0;
    for (int i = 0; i < 1000; i++) {
        struct raw *raw = raw_new(&scene.world, (uint8_t)(2 + i % 250));
        raw_connect(raw, scene.node);
        struct raw_stream *stream = raw_open_protocol(raw, WORLD_ECHO);
        raw_write(raw, stream, BYTES_LITERAL("some bytes"), i % 2 == 0);
        raw_run(raw, 20 * NANOS_MILLISECOND);
        if (i % 3 == 0) {
            memory_close(raw->link, 3, "bye", scene.world.now);
            raw_run(raw, 20 * NANOS_MILLISECOND);
        }
        raw_free(raw);
        world_run(&scene.world, 20 * NANOS_MILLISECOND);
        world_forget(scene.node);
        assert_int_equal(peer_connection_count(scene.node->peer), 1);
        if (i == 100) {
            used = scene.node->memory.memory.used;
        }
    }
    assert_in_range(scene.node->memory.memory.used, 0, used + 4096);
    scene_done(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_negotiations),
        cmocka_unit_test(many_proposals),
        cmocka_unit_test(silent_streams),
        cmocka_unit_test(bad_identify_answers),
        cmocka_unit_test(endless_identify),
        cmocka_unit_test(bad_and_partial_pushes),
        cmocka_unit_test(pushes_wait_for_each_other),
        cmocka_unit_test(pings_of_others),
        cmocka_unit_test(pings_of_ours),
        cmocka_unit_test(pings_share_a_stream),
        cmocka_unit_test(requests_to_the_dht),
        cmocka_unit_test(answers_of_the_dht),
        cmocka_unit_test(bad_capabilities),
        cmocka_unit_test(nothing_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
