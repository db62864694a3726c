/* What a hostile side tries, and at which count it is over for it. */
#include "proto/yamux/testing.h"

/* Feeds the same frame until the connection ends; returns how many it took. */
static size_t flood(struct testing_side *side, const struct yamux_frame *frame, size_t times,
                    uint32_t id_step) {
    size_t count = 0;
    struct yamux_frame next = *frame;
    while (!side->over && count < times) {
        testing_feed(side, next.type, next.flags, next.stream_id, next.length, NULL);
        side->trace_size = 0;
        next.stream_id += id_step;
        count++;
    }
    return count;
}

/* Frames that ask for nothing are taken in a burst, then at a rate. */
static void floods_of_nothing(void **state) {
    (void)state;
    static const struct yamux_frame frames[] = {
        {YAMUX_PING, YAMUX_SYN, 0, 7},
        {YAMUX_PING, YAMUX_ACK, 0, 7},
        {YAMUX_DATA, 0, 1, 0},
        {YAMUX_WINDOW, 0, 1, 0},
        {YAMUX_WINDOW, 0, 1, 1},
        {YAMUX_WINDOW, 0, 99, 5},
        {YAMUX_WINDOW, YAMUX_RST, 1000001, 0},
        {YAMUX_WINDOW, YAMUX_ACK, 1, 0},
        {YAMUX_DATA, YAMUX_ACK, 1, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct testing_side side;
        testing_init(&side, false, NULL);
        testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
        size_t count = flood(&side, &frames[i], 5000, 0);
        assert_true(side.over);
        assert_int_equal(side.last_closed.error, PLASM_LIMIT);
        assert_int_equal(count, yamux_limits_default.idle_frames_burst + 1);
        testing_done(&side);

        testing_init(&side, false, NULL);
        testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
        for (int second = 0; second < 30; second++) {
            (void)flood(&side, &frames[i], yamux_limits_default.idle_frames_per_second, 0);
            side.now += NANOS_SECOND;
        }
        assert_false(side.over);
        testing_done(&side);
    }
}

static void rapid_resets(void **state) {
    (void)state;
    for (int together = 0; together < 2; together++) {
        struct testing_side side;
        testing_init(&side, false, NULL);
        uint32_t opened = 0;
        while (!side.over && opened < 5000) {
            uint32_t id = 2 * opened + 1;
            unsigned flags = together == 1 ? YAMUX_SYN | YAMUX_RST : YAMUX_SYN;
            testing_feed(&side, YAMUX_WINDOW, flags, id, 0, NULL);
            if (together == 0) {
                testing_feed(&side, YAMUX_WINDOW, YAMUX_RST, id, 0, NULL);
            }
            side.trace_size = 0;
            opened++;
        }
        assert_int_equal(opened, yamux_limits_default.resets_burst + 1);
        assert_int_equal(side.last_closed.error, PLASM_LIMIT);
        testing_done(&side);
    }
}

/* Streams beyond the bound, by one that does not read our refusals. */
static void stream_flood(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    static uint8_t bytes[3000 * YAMUX_HEADER_SIZE];
    for (uint32_t i = 0; i < 3000; i++) {
        const struct yamux_frame frame = {YAMUX_WINDOW, YAMUX_SYN, 2 * i + 1, 0};
        yamux_frame_encode(&frame, bytes + i * YAMUX_HEADER_SIZE);
    }
    size_t before = side.heap.used;
    yamux_receive(side.mux, bytes_of(bytes, 1200 * YAMUX_HEADER_SIZE), side.now);
    (void)testing_events(&side);
    assert_false(side.over);
    struct yamux_info info;
    yamux_info(side.mux, &info);
    assert_int_equal(info.streams_inbound, 256);
    assert_true(side.heap.used - before < (size_t)256 * 1024);
    yamux_receive(side.mux, bytes_of(bytes + 1200 * YAMUX_HEADER_SIZE, 1800 * YAMUX_HEADER_SIZE),
                  side.now);
    (void)testing_events(&side);
    assert_true(side.over);
    assert_int_equal(side.last_closed.error, PLASM_LIMIT);
    testing_done(&side);
}

/* Who reads our refusals and goes on: taken in a burst, then at a rate. */
static void refused_streams(void **state) {
    (void)state;
    const struct yamux_limits *limits = &yamux_limits_default;
    const struct yamux_frame open = {YAMUX_WINDOW, YAMUX_SYN, 1, 0};
    struct testing_side side;
    testing_init(&side, false, NULL);
    size_t count = flood(&side, &open, 5000, 2);
    assert_true(side.over);
    assert_int_equal(count, limits->streams_inbound_max + limits->resets_burst + 1);
    assert_int_equal(side.last_closed.error, PLASM_LIMIT);
    assert_int_equal(side.last_closed.code, YAMUX_CODE_PROTOCOL);
    testing_done(&side);

    testing_init(&side, false, NULL);
    struct yamux_frame next = open;
    for (int second = 0; second < 30; second++) {
        (void)flood(&side, &next, limits->resets_per_second, 2);
        next.stream_id += 2 * limits->resets_per_second;
        side.now += NANOS_SECOND;
    }
    assert_false(side.over);
    testing_done(&side);
}

static void pings_that_are_not_read(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    uint8_t bytes[33 * YAMUX_HEADER_SIZE];
    for (uint32_t i = 0; i < 33; i++) {
        const struct yamux_frame frame = {YAMUX_PING, YAMUX_SYN, 0, i};
        yamux_frame_encode(&frame, bytes + i * YAMUX_HEADER_SIZE);
    }
    yamux_receive(side.mux, BYTES_ARRAY(bytes), side.now);
    (void)testing_events(&side);
    assert_int_equal(side.last_closed.error, PLASM_LIMIT);
    testing_done(&side);
}

/* Everything that ends a connection at once as a protocol error. */
static void protocol_errors(void **state) {
    (void)state;
    static const struct {
        const char *why;
        struct yamux_frame frames[3];
        size_t count;
    } cases[] = {
        {"a frame beyond the window", {{YAMUX_DATA, YAMUX_SYN, 1, 262145}}, 1},
        {"the same once more", {{YAMUX_DATA, YAMUX_SYN, 1, 262144}, {YAMUX_DATA, 0, 1, 1}}, 2},
        {"a stream opened twice",
         {{YAMUX_DATA, YAMUX_SYN, 1, 0}, {YAMUX_DATA, YAMUX_SYN, 1, 0}},
         2},
        {"our own number", {{YAMUX_WINDOW, YAMUX_SYN, 2, 0}}, 1},
        {"data for no stream", {{YAMUX_DATA, 0, 1, 1}}, 1},
        {"data for a stream of ours that is not", {{YAMUX_DATA, YAMUX_ACK, 2, 1}}, 1},
        {"a window beyond all bounds",
         {{YAMUX_WINDOW, YAMUX_SYN, 1, UINT32_MAX - 262144}, {YAMUX_WINDOW, 0, 1, 1}},
         2},
        {"more for a stream that is over than its window",
         {{YAMUX_DATA, YAMUX_SYN, 1, 5},
          {YAMUX_WINDOW, YAMUX_RST, 1, 0},
          {YAMUX_DATA, 0, 1, 262140}},
         3},
        {"more after FIN than its window",
         {{YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 1, 262144}, {YAMUX_DATA, 0, 1, 1}},
         2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct testing_side side;
        testing_init(&side, false, NULL);
        side.consumes = false;
        for (size_t j = 0; j < cases[i].count; j++) {
            assert_false(side.over);
            const struct yamux_frame *frame = &cases[i].frames[j];
            testing_feed(&side, frame->type, frame->flags, frame->stream_id, frame->length, NULL);
        }
        if (!side.over) {
            fail_msg("%s", cases[i].why);
        }
        assert_int_equal(side.last_closed.error, PLASM_MALFORMED);
        assert_int_equal(side.last_closed.code, YAMUX_CODE_PROTOCOL);
        assert_true(strlen(side.last_closed.text) > 0);
        side.trace[side.trace_size - 2] = 0;
        assert_non_null(strstr(side.trace, ">GOAWAY 0 1"));
        testing_done(&side);
    }
}

/* Wrong versions and types, and plain text. */
static void no_yamux_at_all(void **state) {
    (void)state;
    const char *const inputs[] = {"GET / HTTP/1.1\r\n\r\n", "\x13/multistream/1.0.0\n",
                                  "\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00"};
    const size_t sizes[] = {18, 20, 12};
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        struct testing_side side;
        testing_init(&side, false, NULL);
        yamux_receive(side.mux, test_copy(bytes_of(inputs[i], sizes[i])), side.now);
        testing_settle(&side);
        testing_expect(&side, "closed malformed code 1; >GOAWAY 0 1");
        testing_done(&side);
    }
}

/* Late frames of streams that ended in good order are nobody's fault, however many. */
static void stragglers_are_forgiven(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t id = 2 * i + 1;
        testing_feed(&side, YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, id, 3, "abc");
        testing_write(&side, id, "x", true);
        testing_settle(&side);
        testing_feed(&side, YAMUX_WINDOW, 0, id, 1, NULL);
        testing_feed(&side, YAMUX_WINDOW, YAMUX_RST, id, 0, NULL);
        assert_false(side.over);
        side.trace_size = 0;
    }
    struct yamux_info info;
    yamux_info(side.mux, &info);
    assert_int_equal(info.streams_inbound, 0);
    testing_done(&side);
}

/* Frames of 1 MiB and more, as js sends them into a window that has grown. */
static void large_frames(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 1, 200000, NULL);
    side.now += 100 * NANOS_MILLISECOND;
    testing_feed(&side, YAMUX_PING, YAMUX_ACK, 0, side.ping_value, NULL);
    struct yamux_stream *stream = testing_stream(&side, 1);
    while (yamux_stream_window(stream) < (16U << 20)) {
        size_t window = yamux_stream_window(stream);
        testing_feed(&side, YAMUX_DATA, 0, 1, (uint32_t)window / 2, NULL);
        side.now += NANOS_MILLISECOND;
        assert_false(side.over);
        side.trace_size = 0;
    }
    testing_feed(&side, YAMUX_DATA, 0, 1, 4 << 20, NULL);
    testing_expect(&side, "data 1 4194304");
    testing_feed(&side, YAMUX_DATA, 0, 1, 16 << 20, NULL);
    testing_expect(&side, "closed malformed code 1; >GOAWAY 0 1");
    testing_done(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_of_nothing),
        cmocka_unit_test(rapid_resets),
        cmocka_unit_test(stream_flood),
        cmocka_unit_test(refused_streams),
        cmocka_unit_test(pings_that_are_not_read),
        cmocka_unit_test(protocol_errors),
        cmocka_unit_test(no_yamux_at_all),
        cmocka_unit_test(stragglers_are_forgiven),
        cmocka_unit_test(large_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
