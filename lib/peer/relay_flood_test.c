/* A relay among strangers who want all of it: places and circuits stay within their bounds, what is
 * beyond is refused with a status, and nothing stays of those who are gone. */
#include "peer/raw_testing.h"
#include "proto/relay/message.h"

#define STRANGERS 12
/* Between requests of one who may go on for ever, though they are all refused: below 20 a second.
 */
#define PACE (60 * NANOS_MILLISECOND)

struct flood {
    struct world world;
    struct world_node *relay;
    struct raw *raws[STRANGERS];
    size_t memory_before;
};

static void flood_init(struct flood *flood, const struct relay_limits *limits) {
    *flood = (struct flood){.memory_before = 0};
    world_init(&flood->world, memory_world());
    flood->relay = world_add(&flood->world);
    assert_true(world_start(flood->relay));
    assert_int_equal(peer_serve_relay(flood->relay->peer, limits, flood->world.now), 0);
    world_run(&flood->world, NANOS_SECOND);
    flood->memory_before = flood->relay->memory.memory.used;
}

/* The `number`th stranger, at 10.`network`. */
static struct raw *come(struct flood *flood, size_t number, uint8_t network) {
    struct raw *raw = raw_new_in(&flood->world, network, (uint8_t)(number + 1));
    raw_connect(raw, flood->relay);
    assert_non_null(raw->link);
    flood->raws[number] = raw;
    return raw;
}

static struct peer_relay_stats stats_of(const struct flood *flood) {
    struct peer_relay_stats stats;
    peer_relay_stats(flood->relay->peer, &stats);
    return stats;
}

static void flood_done(struct flood *flood) {
    for (size_t i = 0; i < STRANGERS; i++) {
        if (flood->raws[i] != NULL) {
            raw_free(flood->raws[i]);
        }
    }
    world_run(&flood->world, 2 * NANOS_MINUTE);
    assert_int_equal(peer_connection_count(flood->relay->peer), 0);
    assert_int_equal(stats_of(flood).reservations, 0);
    assert_int_equal(stats_of(flood).circuits, 0);
    assert_in_range(flood->relay->memory.memory.used, 0, flood->memory_before + 32768);
    world_done(&flood->world);
}

/* Says one message of the hop protocol on a stream of its own. */
static struct raw_stream *ask(struct raw *raw, const struct relay_message *message) {
    struct memory memory;
    struct buffer out;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, 2 * RELAY_MESSAGE_SIZE_MAX);
    assert_int_equal(relay_message_encode(RELAY_HOP, message, &out), 0);
    struct raw_stream *stream = raw_open_protocol(raw, RELAY_HOP_PROTOCOL);
    raw_write(raw, stream, buffer_bytes(&out), false);
    buffer_done(&out);
    return stream;
}

static struct raw_stream *reserve(struct raw *raw) {
    const struct relay_message message = {.type = RELAY_RESERVE};
    return ask(raw, &message);
}

static struct raw_stream *connect_to(struct raw *raw, const struct peer_id *id) {
    const struct relay_message message = {.type = RELAY_CONNECT, .peer = peer_id_bytes(id)};
    return ask(raw, &message);
}

/* The status that was answered, 0 for none. */
static uint32_t answer(const struct raw_stream *stream) {
    struct bytes bytes = raw_answer(stream, RELAY_HOP_PROTOCOL);
    struct bytes payload;
    size_t size;
    struct relay_message message;
    if (frame_read(bytes, RELAY_MESSAGE_SIZE_MAX, &payload, &size) != 0 ||
        relay_message_decode(RELAY_HOP, payload, &message) != 0) {
        return 0;
    }
    assert_int_equal(message.type, RELAY_STATUS);
    return message.status;
}

/* Our direction of a stream ends, or it would stay until its time is over. */
static void finish(struct raw *raw, struct raw_stream *stream) {
    if (stream->stream != NULL) {
        raw_write(raw, stream, bytes_of(NULL, 0), true);
        raw_run(raw, 10 * NANOS_MILLISECOND);
    }
}

/* One who asks again and again has one place, and costs few signatures. */
static void places_again_and_again(void **state) {
    (void)state;
    struct flood flood;
    flood_init(&flood, &relay_limits_default);
    struct raw *raw = come(&flood, 0, 9);
    size_t good = 0;
    size_t refused = 0;
    for (int i = 0; i < 200; i++) {
        struct raw_stream *stream = reserve(raw);
        raw_run(raw, PACE);
        uint32_t status = answer(stream);
        good += status == RELAY_STATUS_OK;
        refused += status == RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
        assert_int_equal(stats_of(&flood).reservations, 1);
        finish(raw, stream);
    }
    assert_in_range(good, 1, RELAY_REFRESHES_BURST + 1);
    assert_int_equal(good + refused, 200);
    flood_done(&flood);
}

/* Where all places are taken the next ones are refused; one that is given up is free again. */
static void places_of_many(void **state) {
    (void)state;
    struct flood flood;
    struct relay_limits limits = relay_limits_default;
    limits.reservations_max = 5;
    flood_init(&flood, &limits);
    for (size_t i = 0; i < STRANGERS; i++) {
        struct raw *raw = come(&flood, i, 9);
        struct raw_stream *stream = reserve(raw);
        raw_run(raw, 10 * NANOS_MILLISECOND);
        assert_int_equal(answer(stream),
                         i < 5 ? RELAY_STATUS_OK : RELAY_STATUS_RESERVATION_REFUSED);
        assert_int_equal(stats_of(&flood).reservations, i < 5 ? i + 1 : 5);
    }
    memory_close(flood.raws[0]->link, 0, "", flood.world.now);
    raw_run(flood.raws[0], NANOS_SECOND);
    assert_int_equal(stats_of(&flood).reservations, 4);
    struct raw_stream *stream = reserve(flood.raws[5]);
    raw_run(flood.raws[5], NANOS_SECOND);
    assert_int_equal(answer(stream), RELAY_STATUS_OK);
    flood_done(&flood);
}

/* Circuits to nobody are refused, each with a status, and hold nothing. */
static void circuits_to_nobody(void **state) {
    (void)state;
    struct flood flood;
    flood_init(&flood, &relay_limits_default);
    struct raw *raw = come(&flood, 0, 9);
    struct raw *stranger = come(&flood, 1, 10); /* connected, without a place */
    for (uint8_t i = 0; i < 200; i++) {
        struct peer_id nobody = raw->id;
        nobody.bytes[nobody.size - 1] ^= (uint8_t)(i + 1);
        struct raw_stream *stream = connect_to(raw, i % 2 == 0 ? &nobody : &stranger->id);
        raw_run(raw, PACE);
        assert_int_equal(answer(stream), RELAY_STATUS_NO_RESERVATION);
        assert_int_equal(stats_of(&flood).circuits, 0);
        finish(raw, stream);
    }
    assert_true(stats_of(&flood).refused >= 200);
    flood_done(&flood);
}

/* Who is refused faster than that has to go. */
static void circuits_without_end(void **state) {
    (void)state;
    struct flood flood;
    flood_init(&flood, &relay_limits_default);
    struct raw *raw = come(&flood, 0, 9);
    struct peer_id nobody = raw->id;
    nobody.bytes[nobody.size - 1] ^= 1;
    size_t asked = 0;
    while (raw->link != NULL && asked < 400) {
        struct raw_stream *stream = connect_to(raw, &nobody);
        finish(raw, stream);
        asked++;
    }
    const struct resource_limits *limits = &flood.relay->config.limits.resources;
    assert_in_range(asked, limits->refused_requests_burst, 2 * limits->refused_requests_burst);
    assert_int_equal(raw->close_code, PEER_CLOSE_LIMIT);
    flood_done(&flood);
}

/* Circuits to one who has a place and answers no call: so many wait at a time, and not for ever. */
static void circuits_that_are_not_answered(void **state) {
    (void)state;
    struct flood flood;
    flood_init(&flood, &relay_limits_default);
    struct raw *called = come(&flood, 0, 9);
    struct raw *caller = come(&flood, 1, 10);
    (void)reserve(called);
    raw_run(called, 10 * NANOS_MILLISECOND);
    assert_int_equal(stats_of(&flood).reservations, 1);
    size_t refused = 0;
    struct raw_stream *streams[100];
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        streams[i] = connect_to(caller, &called->id);
        raw_run(caller, 10 * NANOS_MILLISECOND);
        refused += answer(streams[i]) == RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
        assert_true(stats_of(&flood).circuits <= relay_limits_default.circuits_per_peer_max);
    }
    assert_int_equal(refused, ARRAY_SIZE(streams) - relay_limits_default.circuits_per_peer_max);
    size_t used = flood.relay->memory.memory.used;
    assert_in_range(used, 0, flood.memory_before + 262144);
    raw_run(caller, NANOS_MINUTE);
    assert_int_equal(stats_of(&flood).circuits, 0);
    size_t failed = 0;
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        failed += answer(streams[i]) == RELAY_STATUS_CONNECTION_FAILED;
    }
    assert_int_equal(failed, relay_limits_default.circuits_per_peer_max);
    flood_done(&flood);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_again_and_again),
        cmocka_unit_test(places_of_many),
        cmocka_unit_test(circuits_to_nobody),
        cmocka_unit_test(circuits_without_end),
        cmocka_unit_test(circuits_that_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
