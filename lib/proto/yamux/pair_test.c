/* Two machines with each other: bulk, turns, growing windows, any split, any failing allocation. */
#include "proto/yamux/pair_testing.h"

static void assert_echoed(const struct pair_flow *flow, size_t size) {
    assert_int_equal(flow->sent, size);
    assert_int_equal(flow->received, size);
    assert_true(flow->fin_received);
    assert_false(flow->reset);
    assert_null(flow->stream);
}

static void carries_streams_both_ways(void **state) {
    (void)state;
    struct pair pair;
    assert_true(pair_init(&pair, NULL, NULL));
    struct pair_flow *flows[20];
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        flows[i] = pair_open(&pair, i % 2 == 0 ? 0 : 1, i * i * i * 300);
    }
    pair_run(&pair);
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        assert_echoed(flows[i], i * i * i * 300);
    }
    for (int i = 0; i < 2; i++) {
        struct yamux_info info;
        yamux_info(pair.ends[i].mux, &info);
        assert_int_equal(info.streams_inbound + info.streams_outbound + info.backlog, 0);
        assert_int_equal(info.queued_bytes, 0);
        assert_int_equal(pair.ends[i].streams_opened, 10);
        assert_false(pair.ends[i].over);
    }
    pair_done(&pair);
}

/* Whatever sizes bytes arrive and leave in. */
static void any_split(void **state) {
    (void)state;
    for (size_t part = 1; part < 40; part++) {
        struct pair pair;
        assert_true(pair_init(&pair, NULL, NULL));
        pair.part = part;
        pair.room = part;
        pair.block = 1 + part * 7 % 50;
        struct pair_flow *flows[] = {pair_open(&pair, 0, 500), pair_open(&pair, 1, 77),
                                     pair_open(&pair, 0, 0)};
        pair_run(&pair);
        assert_echoed(flows[0], 500);
        assert_echoed(flows[1], 77);
        assert_echoed(flows[2], 0);
        yamux_close(pair.ends[0].mux, 0);
        pair_run(&pair);
        assert_true(pair.ends[0].over && pair.ends[1].over);
        assert_int_equal(pair.ends[0].error, 0);
        assert_int_equal(pair.ends[1].error, 0);
        pair_done(&pair);
    }
}

/* Whatever fails, nothing leaks, nothing hangs, and what came is right. */
static void any_failing_allocation(void **state) {
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        size_t n = 0;
        bool failed = true;
        while (failed) {
            struct memory_failing failing;
            memory_failing_init(&failing, n, sticky == 1);
            struct pair pair;
            if (pair_init(&pair, &failing.memory, NULL)) {
                pair.block = 1000;
                struct pair_flow *flows[] = {pair_open(&pair, 0, 30000), pair_open(&pair, 1, 2000),
                                             pair_open(&pair, 0, 0)};
                pair_run(&pair);
                for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
                    struct pair_flow *flow = flows[i];
                    bool whole = flow != NULL && !flow->reset && flow->fin_received &&
                                 flow->received == flow->sent;
                    assert_true(whole || failing.failed);
                    assert_true(flow == NULL || flow->stream == NULL);
                }
            }
            pair_done(&pair);
            assert_int_equal(failing.memory.used, 0);
            failed = failing.failed;
            n++;
        }
        assert_true(n > 10);
    }
}

/* 50 ms away: 256 KiB a round trip are 2.5 MB/s; growing windows make it fast. */
static void windows_grow_with_the_path(void **state) {
    (void)state;
    struct pair pair;
    assert_true(pair_init(&pair, NULL, NULL));
    pair.delay = 50 * NANOS_MILLISECOND;
    const size_t size = (size_t)200 << 20;
    struct pair_flow *flow = pair_open(&pair, 0, 0);
    (void)flow;
    pair_run(&pair);
    struct pair_flow *bulk = pair_open(&pair, 0, size);
    nanos began = pair.now;
    pair_run(&pair);
    assert_echoed(bulk, size);
    nanos took = pair.now - began;
    /* 200 MiB there and back: 80 s with the first window, 2.5 s with the largest all the time. */
    assert_true(took < 6 * NANOS_SECOND);
    struct yamux_info info;
    yamux_info(pair.ends[1].mux, &info);
    assert_true(info.rtt >= 100 * NANOS_MILLISECOND);
    pair_done(&pair);
}

static size_t largest_window(struct pair *pair) {
    size_t largest = 0;
    for (struct list_node *node = list_first(&pair->ends[1].flows); node != NULL;
         node = list_next(&pair->ends[1].flows, node)) {
        struct pair_flow *flow = LIST_ENTRY(node, struct pair_flow, node);
        size_t window = flow->stream != NULL ? yamux_stream_window(flow->stream) : 0;
        largest = window > largest ? window : largest;
    }
    return largest;
}

static void windows_stay_in_the_budget(void **state) {
    (void)state;
    static const struct {
        size_t budget;
        nanos delay;
        size_t window;
    } cases[] = {
        {0, 50 * NANOS_MILLISECOND, 256 << 10},
        {(256 << 10) - 1, 50 * NANOS_MILLISECOND, 256 << 10},
        {1 << 20, 50 * NANOS_MILLISECOND, 512 << 10}, /* half of it is for what is held */
        {100 << 20, 50 * NANOS_MILLISECOND, 16 << 20},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct pair pair;
        assert_true(pair_init(&pair, NULL, NULL));
        pair.budget.bytes_max = cases[i].budget;
        pair.delay = cases[i].delay;
        struct pair_flow *flow = pair_open(&pair, 0, (size_t)100 << 20);
        size_t largest = 0;
        pair_drain(&pair, 0);
        while (flow->stream != NULL && !list_empty(&pair.ends[1].under_way)) {
            pair.now += pair.delay;
            while (!list_empty(&pair.ends[1].under_way)) {
                pair_deliver(&pair, 1);
            }
            size_t window = largest_window(&pair);
            largest = window > largest ? window : largest;
            assert_true(pair.budget.bytes <= cases[i].budget);
            pair.now += pair.delay;
            while (!list_empty(&pair.ends[0].under_way)) {
                pair_deliver(&pair, 0);
            }
        }
        pair_run(&pair);
        assert_echoed(flow, (size_t)100 << 20);
        assert_int_equal(largest, cases[i].window);
        assert_int_equal(pair.budget.bytes, 0);
        pair_done(&pair);
    }
}

/* A reader that is slow, not far away, is given no more. */
static void windows_do_not_grow_for_the_slow(void **state) {
    (void)state;
    struct pair pair;
    assert_true(pair_init(&pair, NULL, NULL));
    pair.ends[1].held = true;
    struct pair_flow *flow = pair_open(&pair, 0, (size_t)8 << 20);
    for (int i = 0; i < 200; i++) {
        pair_run(&pair);
        pair.now += 10 * NANOS_MILLISECOND;
        struct pair_flow *reader =
            LIST_ENTRY(list_first(&pair.ends[1].flows), struct pair_flow, node);
        assert_true(pair.ends[1].unconsumed <= YAMUX_WINDOW_BYTES);
        if (reader->stream != NULL) {
            assert_int_equal(yamux_stream_window(reader->stream), YAMUX_WINDOW_BYTES);
            yamux_stream_consume(reader->stream, pair.ends[1].unconsumed);
        }
        pair.ends[1].unconsumed = 0;
    }
    pair_run(&pair);
    assert_echoed(flow, (size_t)8 << 20);
    pair_done(&pair);
}

/* A stream that nobody reads holds up no other. */
static void streams_do_not_wait_for_each_other(void **state) {
    (void)state;
    struct pair pair;
    assert_true(pair_init(&pair, NULL, NULL));
    pair.ends[1].held = true;
    struct pair_flow *stuck = pair_open(&pair, 0, (size_t)4 << 20);
    pair_run(&pair);
    assert_non_null(stuck->stream);
    pair.ends[1].held = false;
    struct pair_flow *other = pair_open(&pair, 0, (size_t)1 << 20);
    pair_run(&pair);
    assert_echoed(other, (size_t)1 << 20);
    assert_non_null(stuck->stream);
    pair_done(&pair);
}

/* Nothing that was written is copied: the pieces are the blocks. */
static void sends_from_the_blocks(void **state) {
    (void)state;
    struct pair pair;
    assert_true(pair_init(&pair, NULL, NULL));
    struct block *block = block_new(&pair.heap, 100000);
    assert_non_null(block);
    memset(block->data, 1, block->size);
    struct yamux_stream *stream;
    size_t accepted;
    assert_int_equal(yamux_stream_open(pair.ends[0].mux, &stream), 0);
    assert_int_equal(yamux_stream_write(stream, block, 10, 70000, false, &accepted), 0);
    assert_int_equal(accepted, 70000);
    struct bytes pieces[8];
    size_t count = yamux_transmit(pair.ends[0].mux, pieces, ARRAY_SIZE(pieces), 1 << 20, pair.now);
    assert_int_equal(count, 4);
    assert_ptr_equal(pieces[1].data, block->data + 10);
    assert_int_equal(pieces[1].size, YAMUX_FRAME_BYTES_MAX);
    assert_ptr_equal(pieces[3].data, block->data + 10 + YAMUX_FRAME_BYTES_MAX);
    /* Taken in part, the rest is given again; the stream may be gone by then. */
    yamux_sent(pair.ends[0].mux, 12 + 30000);
    yamux_stream_reset(stream, 0);
    count = yamux_transmit(pair.ends[0].mux, pieces, ARRAY_SIZE(pieces), 1 << 20, pair.now);
    assert_int_equal(count, 4);
    assert_ptr_equal(pieces[0].data, block->data + 30010);
    assert_int_equal(block->references, 3);
    yamux_sent(pair.ends[0].mux, pieces[0].size + pieces[1].size + pieces[2].size + 12);
    assert_int_equal(block->references, 1);
    block_unref(block);
    pair_done(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_streams_both_ways),
        cmocka_unit_test(any_split),
        cmocka_unit_test(any_failing_allocation),
        cmocka_unit_test(windows_grow_with_the_path),
        cmocka_unit_test(windows_stay_in_the_budget),
        cmocka_unit_test(windows_do_not_grow_for_the_slow),
        cmocka_unit_test(streams_do_not_wait_for_each_other),
        cmocka_unit_test(sends_from_the_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
