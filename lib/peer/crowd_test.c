/* A node whose places are all taken: nobody is kept out by those who come from fewer networks than
 * there are places. */
#include "peer/raw_testing.h"
#include "proto/relay/message.h"

#define PLACES 3

struct crowd {
    struct world world;
    struct world_node *node;
    struct raw *raws[8];
    size_t count;
};

static void crowd_init(struct crowd *crowd) {
    *crowd = (struct crowd){.count = 0};
    world_init(&crowd->world, memory_world());
    crowd->node = world_add(&crowd->world);
    crowd->node->config.limits.resources.admission.connections_inbound_max = PLACES;
    assert_true(world_start(crowd->node));
    world_run(&crowd->world, NANOS_SECOND);
}

/* One more from 10.`network`; it is there at first, whatever becomes of it. */
static struct raw *come(struct crowd *crowd, uint8_t network) {
    struct raw *raw = raw_new_in(&crowd->world, network, (uint8_t)(1 + crowd->count));
    crowd->raws[crowd->count++] = raw;
    raw_connect(raw, crowd->node);
    raw_run(raw, 10 * crowd->world.delay);
    return raw;
}

/* Who is still connected, as a row of digits. */
static const char *present(struct crowd *crowd) {
    static char row[16];
    size_t size = 0;
    for (size_t i = 0; i < crowd->count; i++) {
        raw_run(crowd->raws[i], crowd->world.delay);
        if (crowd->raws[i]->link != NULL) {
            row[size++] = (char)('0' + i);
        }
    }
    row[size] = '\0';
    return row;
}

static void crowd_done(struct crowd *crowd) {
    for (size_t i = 0; i < crowd->count; i++) {
        raw_free(crowd->raws[i]);
    }
    world_run(&crowd->world, 10 * NANOS_SECOND);
    assert_int_equal(peer_connection_count(crowd->node->peer), 0);
    world_done(&crowd->world);
}

static void newcomers_of_other_networks(void **state) {
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    for (int i = 0; i < PLACES; i++) {
        (void)come(&crowd, 9);
    }
    assert_string_equal(present(&crowd), "012");
    struct raw *same = come(&crowd, 9);
    assert_null(same->link);
    assert_int_equal(same->close_code, PEER_CLOSE_LIMIT);
    /* The latest of those who are most makes room. */
    (void)come(&crowd, 10);
    assert_string_equal(present(&crowd), "014");
    assert_int_equal(crowd.raws[2]->close_code, PEER_CLOSE_LIMIT);
    /* A second one would have as much as the others then. */
    (void)come(&crowd, 10);
    assert_string_equal(present(&crowd), "014");
    (void)come(&crowd, 11);
    assert_string_equal(present(&crowd), "046");
    /* All have one. */
    (void)come(&crowd, 12);
    assert_string_equal(present(&crowd), "046");
    assert_int_equal(peer_connection_count(crowd.node->peer), PLACES);
    crowd_done(&crowd);
}

/* Who uses its connection keeps it, as long as there is another. */
static void used_ones_stay(void **state) {
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    for (int i = 0; i < PLACES; i++) {
        struct raw *raw = come(&crowd, 9);
        if (i != 1) {
            struct raw_stream *stream = raw_open_protocol(raw, WORLD_ECHO);
            raw_write(raw, stream, BYTES_LITERAL("work"), false);
            raw_run(raw, 10 * crowd.world.delay);
        }
    }
    (void)come(&crowd, 10);
    assert_string_equal(present(&crowd), "023");
    (void)come(&crowd, 11);
    assert_string_equal(present(&crowd), "034");
    crowd_done(&crowd);
}

/* Who is reached through us is using its connection, too. */
static void reservations_stay(void **state) {
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    assert_int_equal(peer_serve_relay(crowd.node->peer, &relay_limits_default, crowd.world.now), 0);
    for (int i = 0; i < PLACES; i++) {
        (void)come(&crowd, 9);
    }
    struct raw *raw = crowd.raws[PLACES - 1];
    const struct relay_message message = {.type = RELAY_RESERVE};
    struct buffer out;
    buffer_init(&out, &raw->memory, 2 * RELAY_MESSAGE_SIZE_MAX);
    assert_int_equal(relay_message_encode(RELAY_HOP, &message, &out), 0);
    struct raw_stream *stream = raw_open_protocol(raw, RELAY_HOP_PROTOCOL);
    raw_write(raw, stream, buffer_bytes(&out), true);
    buffer_done(&out);
    raw_run(raw, NANOS_SECOND);
    struct peer_relay_stats stats;
    peer_relay_stats(crowd.node->peer, &stats);
    assert_int_equal(stats.reservations, 1);
    (void)come(&crowd, 10);
    assert_string_equal(present(&crowd), "023");
    crowd_done(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_of_other_networks),
        cmocka_unit_test(used_ones_stay),
        cmocka_unit_test(reservations_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
