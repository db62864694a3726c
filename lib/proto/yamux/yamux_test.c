/* One side against hand-made frames: what each makes of state, events and answers. */
#include "proto/yamux/testing.h"

static void opens_lazily(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, true, NULL);
    struct yamux_stream *stream = testing_open(&side);
    assert_int_equal(yamux_stream_id(stream), 1);
    assert_false(yamux_stream_inbound(stream));
    assert_ptr_equal(yamux_stream_mux(stream), side.mux);
    testing_settle(&side);
    testing_expect(&side, "");
    testing_write(&side, 1, "hello", false);
    testing_write(&side, 1, " world", true);
    assert_int_equal(yamux_stream_unsent(stream), 11);
    testing_settle(&side);
    testing_expect(&side, ">DATA 1 11 SYN 'hello world'; >WINDOW 1 0 FIN");
    testing_feed(&side, YAMUX_DATA, YAMUX_ACK | YAMUX_FIN, 1, 3, "bye");
    testing_expect(&side, "data 1 3 'bye' fin; over 1");
    struct yamux_info info;
    yamux_info(side.mux, &info);
    assert_int_equal(info.streams_outbound, 0);
    assert_int_equal(info.backlog, 0);
    assert_int_equal(info.frames_in, 1);
    assert_int_equal(info.frames_out, 2);
    assert_int_equal(yamux_stream_id(testing_open(&side)), 3);
    testing_done(&side);
}

/* go opens with an empty window update, rust with its first data; js answers with credit. */
static void every_way_to_open(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
    testing_expect(&side, "opened 1; >WINDOW 1 0 ACK");
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 3, 2, "hi");
    testing_expect(&side, "opened 3; data 3 2 'hi'; >WINDOW 3 0 ACK");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 5, 1000000, NULL);
    testing_expect(&side, "opened 5; >WINDOW 5 0 ACK");
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 7, 0, NULL);
    testing_expect(&side, "opened 7; >WINDOW 7 0 ACK");
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 9, 2, "hi");
    testing_expect(&side, "opened 9; data 9 2 'hi' fin; >WINDOW 9 0 ACK");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN | YAMUX_FIN, 11, 0, NULL);
    testing_expect(&side, "opened 11; data 11 0 fin; >WINDOW 11 0 ACK");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN | YAMUX_RST, 13, 0, NULL);
    testing_expect(&side, "");
    testing_write(&side, 9, "", true);
    testing_settle(&side);
    testing_expect(&side, ">WINDOW 9 0 FIN; over 9");
    /* Every way to acknowledge ours. */
    const unsigned acks[][2] = {{YAMUX_WINDOW, 0}, {YAMUX_WINDOW, 9000}, {YAMUX_DATA, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(acks); i++) {
        uint32_t id = yamux_stream_id(testing_open(&side));
        testing_write(&side, id, "x", false);
        testing_settle(&side);
        side.trace_size = 0;
        struct yamux_info info;
        yamux_info(side.mux, &info);
        assert_int_equal(info.backlog, 1);
        testing_feed(&side, (enum yamux_type)acks[i][0], YAMUX_ACK, id, acks[i][1], NULL);
        yamux_info(side.mux, &info);
        assert_int_equal(info.backlog, 0);
        testing_expect(&side, "");
    }
    testing_done(&side);
}

/* The acknowledgement goes with the answer, where there is one at once. */
static void acknowledges_with_data(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    const struct yamux_frame frame = {YAMUX_DATA, YAMUX_SYN, 1, 0};
    uint8_t header[YAMUX_HEADER_SIZE];
    yamux_frame_encode(&frame, header);
    yamux_receive(side.mux, BYTES_ARRAY(header), side.now);
    (void)testing_events(&side);
    testing_write(&side, 1, "at once", false);
    testing_settle(&side);
    testing_expect(&side, "opened 1; >DATA 1 7 ACK 'at once'");
    testing_done(&side);
}

static void pings(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_PING, YAMUX_SYN, 0, 0, NULL);
    testing_expect(&side, ">PING 0 0 ACK");
    /* Control frames come before data. */
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
    side.trace_size = 0;
    testing_write(&side, 1, "data", false);
    testing_feed(&side, YAMUX_PING, YAMUX_SYN, 0, 1, NULL);
    testing_expect(&side, ">PING 0 0 ACK; >DATA 1 4 'data'");
    /* An answer to nothing. */
    testing_feed(&side, YAMUX_PING, YAMUX_ACK, 0, 5, NULL);
    testing_expect(&side, "");
    testing_done(&side);
}

static void keeps_alive(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, true, NULL);
    assert_true(yamux_deadline(side.mux) == NANOS_NEVER);
    yamux_keep_alive(side.mux, true, side.now);
    assert_true(yamux_deadline(side.mux) == 16 * NANOS_SECOND);
    side.now = 15 * NANOS_SECOND;
    yamux_expire(side.mux, side.now);
    testing_settle(&side);
    testing_expect(&side, "");
    side.now = 16 * NANOS_SECOND;
    yamux_expire(side.mux, side.now);
    (void)testing_transmit(&side, 100);
    struct yamux_frame ping;
    assert_int_equal(yamux_frame_decode(side.wire, &ping), 0);
    testing_frames(&side);
    testing_expect(&side, ">PING 0 0 SYN");
    assert_true(yamux_deadline(side.mux) == 26 * NANOS_SECOND);
    /* Another value is no answer. */
    side.now += 20 * NANOS_MILLISECOND;
    testing_feed(&side, YAMUX_PING, YAMUX_ACK, 0, ping.length + 1, NULL);
    assert_true(yamux_deadline(side.mux) == side.now + 10 * NANOS_SECOND);
    testing_feed(&side, YAMUX_PING, YAMUX_ACK, 0, ping.length, NULL);
    struct yamux_info info;
    yamux_info(side.mux, &info);
    assert_true(info.rtt == 20 * NANOS_MILLISECOND);
    /* Silence. */
    side.now = yamux_deadline(side.mux);
    assert_true(side.now == 16 * NANOS_SECOND + 20 * NANOS_MILLISECOND + 15 * NANOS_SECOND);
    yamux_expire(side.mux, side.now);
    testing_settle(&side);
    testing_expect(&side, ">PING 0 0 SYN");
    /* What is heard meanwhile gives it more time. */
    side.now += 9 * NANOS_SECOND;
    testing_feed(&side, YAMUX_PING, YAMUX_SYN, 0, 0, NULL);
    testing_expect(&side, ">PING 0 0 ACK");
    side.now += 9 * NANOS_SECOND;
    yamux_expire(side.mux, side.now);
    testing_settle(&side);
    testing_expect(&side, "");
    side.now += NANOS_SECOND;
    yamux_expire(side.mux, side.now);
    testing_settle(&side);
    testing_expect(&side, "closed timeout code 2; >GOAWAY 0 2");
    assert_true(yamux_deadline(side.mux) == NANOS_NEVER);
    testing_done(&side);
}

static void half_closes(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 1, 1, "q");
    testing_write(&side, 1, "answer", false);
    testing_settle(&side);
    testing_feed(&side, YAMUX_WINDOW, 0, 1, 100, NULL);
    testing_write(&side, 1, "more", true);
    size_t accepted = 0;
    assert_int_equal(yamux_stream_write(testing_stream(&side, 1), NULL, 0, 0, false, &accepted),
                     PLASM_CLOSED);
    testing_settle(&side);
    testing_expect(&side, "opened 1; data 1 1 'q' fin; >WINDOW 1 0 ACK; >DATA 1 6 'answer'; "
                          ">DATA 1 4 'more'; >WINDOW 1 0 FIN; over 1");
    testing_done(&side);
}

static void resets(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    /* Theirs, with a code that is no credit. */
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_RST, 1, UINT32_MAX, NULL);
    testing_expect(&side, "opened 1; >WINDOW 1 0 ACK; reset 1 code 4294967295; over 1");
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 3, 1, "a");
    testing_feed(&side, YAMUX_DATA, YAMUX_RST, 3, 4, "gone");
    testing_expect(&side, "opened 3; data 3 1 'a'; >WINDOW 3 0 ACK; reset 3 code 0; over 3");
    /* Ours; what they send before they know is nothing to us. */
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 5, 0, NULL);
    testing_write(&side, 5, "never sent", false);
    yamux_stream_reset(testing_stream(&side, 5), 9);
    testing_settle(&side);
    testing_feed(&side, YAMUX_DATA, 0, 5, 6, "ignore");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_FIN, 5, 0, NULL);
    testing_expect(&side, "opened 5; >WINDOW 5 0 ACK; over 5; >WINDOW 5 9 RST");
    /* Of a stream that nobody heard of, nothing is sent. */
    struct yamux_stream *quiet = testing_open(&side);
    testing_write(&side, yamux_stream_id(quiet), "x", false);
    yamux_stream_reset(quiet, 1);
    yamux_stream_reset(quiet, 1);
    testing_settle(&side);
    testing_expect(&side, "over 2");
    /* In the middle of its data: the rest is dropped. */
    const struct yamux_frame frame = {YAMUX_DATA, YAMUX_SYN | YAMUX_FIN, 7, 6};
    uint8_t bytes[YAMUX_HEADER_SIZE + 6] = {0};
    yamux_frame_encode(&frame, bytes);
    yamux_receive(side.mux, bytes_of(bytes, YAMUX_HEADER_SIZE + 2), side.now);
    testing_settle(&side);
    yamux_stream_reset(testing_stream(&side, 7), 0);
    testing_settle(&side);
    yamux_receive(side.mux, bytes_of(bytes + YAMUX_HEADER_SIZE + 2, 4), side.now);
    testing_settle(&side);
    testing_feed(&side, YAMUX_PING, YAMUX_SYN, 0, 0, NULL);
    side.trace[side.trace_size] = 0;
    assert_non_null(strstr(side.trace, "over 7; >WINDOW 7 0 RST; >PING 0 0 ACK"));
    testing_done(&side);
}

/* A stream that ends while one of its frames is half on the wire leaves a whole frame there. */
static void reset_within_a_frame(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
    side.trace_size = 0;
    testing_write(&side, 1, "a frame", false);
    side.sent_at = 15;
    assert_int_equal(testing_transmit(&side, 1000), 15);
    side.sent_at = 0;
    yamux_stream_reset(testing_stream(&side, 1), 3);
    testing_settle(&side);
    testing_expect(&side, "over 1; >DATA 1 7 'a frame'; >WINDOW 1 3 RST");
    testing_done(&side);
}

static void goes_away(void **state) {
    (void)state;
    static const struct {
        uint32_t code;
        const char *trace;
    } cases[] = {
        {0, "opened 1; >WINDOW 1 0 ACK; closed ok code 0 by peer"},
        {2, "opened 1; >WINDOW 1 0 ACK; closed closed code 2 by peer"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct testing_side side;
        testing_init(&side, false, NULL);
        testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
        testing_feed(&side, YAMUX_GO_AWAY, 0, 0, cases[i].code, NULL);
        testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 3, 0, NULL);
        testing_expect(&side, cases[i].trace);
        struct yamux_stream *stream;
        assert_int_equal(yamux_stream_open(side.mux, &stream), PLASM_CLOSED);
        testing_done(&side);
    }
    struct testing_side side;
    testing_init(&side, false, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 1, 0, NULL);
    side.trace_size = 0;
    testing_write(&side, 1, "begun", false);
    side.sent_at = 4;
    (void)testing_transmit(&side, 1000);
    side.sent_at = 0;
    testing_write(&side, 1, "not begun", false);
    yamux_close(side.mux, 0x1006);
    yamux_close(side.mux, 0);
    testing_settle(&side);
    testing_expect(&side, "closed closed code 4102; >DATA 1 5 'begun'; >GOAWAY 0 4102");
    testing_done(&side);
}

static void streams_have_a_bound(void **state) {
    (void)state;
    struct yamux_limits limits = yamux_limits_default;
    limits.streams_inbound_max = 2;
    limits.streams_outbound_max = 3;
    limits.backlog_max = 2;
    struct testing_side side;
    testing_init(&side, true, &limits);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 2, 0, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 4, 0, NULL);
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 6, 3, "abc");
    testing_expect(&side, "opened 2; >WINDOW 2 0 ACK; opened 4; >WINDOW 4 0 ACK; "
                          ">WINDOW 6 4098 RST");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_RST, 2, 0, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_SYN, 8, 0, NULL);
    testing_expect(&side, "reset 2 code 0; over 2; opened 8; >WINDOW 8 0 ACK");

    struct yamux_stream *stream;
    testing_write(&side, yamux_stream_id(testing_open(&side)), "1", false);
    testing_write(&side, yamux_stream_id(testing_open(&side)), "3", false);
    assert_int_equal(yamux_stream_open(side.mux, &stream), PLASM_LIMIT);
    testing_settle(&side);
    side.trace_size = 0;
    testing_feed(&side, YAMUX_WINDOW, YAMUX_ACK, 1, 0, NULL);
    testing_expect(&side, "available");
    testing_write(&side, yamux_stream_id(testing_open(&side)), "5", false);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_ACK, 3, 0, NULL);
    testing_feed(&side, YAMUX_WINDOW, YAMUX_ACK, 5, 0, NULL);
    side.trace_size = 0;
    assert_int_equal(yamux_stream_open(side.mux, &stream), PLASM_LIMIT);
    yamux_stream_reset(testing_stream(&side, 3), 0);
    testing_settle(&side);
    testing_expect(&side, "over 3; available; >WINDOW 3 0 RST");
    testing_done(&side);
}

static void gives_credit_when_consumed(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, false, NULL);
    side.consumes = false;
    testing_feed(&side, YAMUX_DATA, YAMUX_SYN, 1, YAMUX_WINDOW_BYTES, NULL);
    testing_expect(&side, "opened 1; data 1 262144; >WINDOW 1 0 ACK");
    yamux_stream_consume(testing_stream(&side, 1), YAMUX_WINDOW_BYTES / 2 - 1);
    testing_settle(&side);
    testing_expect(&side, "");
    yamux_stream_consume(testing_stream(&side, 1), 1);
    testing_settle(&side);
    testing_expect(&side, ">WINDOW 1 131072; >PING 0 0 SYN");
    testing_feed(&side, YAMUX_DATA, 0, 1, YAMUX_WINDOW_BYTES / 2, NULL);
    testing_expect(&side, "data 1 131072");
    /* One byte more than it may. */
    testing_feed(&side, YAMUX_DATA, 0, 1, 1, NULL);
    testing_expect(&side, "closed malformed code 1; >GOAWAY 0 1");
    testing_done(&side);
}

static void sends_within_the_window(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, true, NULL);
    struct yamux_stream *stream = testing_open(&side);
    assert_int_equal(testing_write_zeros(&side, 1, 300000, true), 262144);
    testing_settle(&side);
    testing_expect(&side, ">DATA 1 65536 SYN; >DATA 1 65536; >DATA 1 65536; >DATA 1 65536; "
                          "writable 1");
    assert_int_equal(testing_write_zeros(&side, 1, 37856, true), 37856);
    testing_settle(&side);
    testing_expect(&side, "");
    testing_feed(&side, YAMUX_WINDOW, YAMUX_ACK, 1, 1000, NULL);
    testing_expect(&side, ">DATA 1 1000");
    testing_feed(&side, YAMUX_WINDOW, 0, 1, 100000, NULL);
    testing_expect(&side, ">DATA 1 36856; >WINDOW 1 0 FIN");
    assert_int_equal(yamux_stream_unsent(stream), 0);
    testing_done(&side);
}

static void takes_turns(void **state) {
    (void)state;
    struct testing_side side;
    testing_init(&side, true, NULL);
    for (int i = 0; i < 3; i++) {
        uint32_t id = yamux_stream_id(testing_open(&side));
        size_t size = id == 3 ? 100 : 150000;
        assert_int_equal(testing_write_zeros(&side, id, size, false), size);
    }
    testing_settle(&side);
    testing_expect(&side, ">DATA 1 65536 SYN; >DATA 3 100 SYN; >DATA 5 65536 SYN; "
                          ">DATA 1 65536; >DATA 5 65536; >DATA 1 18928; >DATA 5 18928");
    testing_done(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_lazily),
        cmocka_unit_test(every_way_to_open),
        cmocka_unit_test(acknowledges_with_data),
        cmocka_unit_test(pings),
        cmocka_unit_test(keeps_alive),
        cmocka_unit_test(half_closes),
        cmocka_unit_test(resets),
        cmocka_unit_test(reset_within_a_frame),
        cmocka_unit_test(goes_away),
        cmocka_unit_test(streams_have_a_bound),
        cmocka_unit_test(gives_credit_when_consumed),
        cmocka_unit_test(sends_within_the_window),
        cmocka_unit_test(takes_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
