/* Memory: every allocation fails once, budgets are spent, strangers cannot hold more than theirs.
 */
#include "proto/quic/internal.h"
#include "proto/quic/pair_testing.h"

static void talk(struct pair *pair, int side, const struct quic_event *event) {
    if (event->type == QUIC_STREAM_DATA) {
        quic_stream_consume(event->stream, event->data.size);
        if (side == SERVER && event->fin) {
            struct block *block = pair_block(pair, SERVER, 0, 3000);
            size_t accepted;
            if (block == NULL ||
                quic_stream_write(event->stream, block, 0, 3000, true, &accepted) != 0) {
                quic_stream_reset(event->stream, 1);
            }
            block_unref(block);
        }
    }
    if (event->type == QUIC_CONNECTED && side == CLIENT) {
        struct quic_stream *stream;
        if (quic_stream_open(event->conn, &stream) != 0) {
            return;
        }
        struct block *block = pair_block(pair, CLIENT, 0, 5000);
        size_t accepted;
        if (block == NULL || quic_stream_write(stream, block, 0, 5000, true, &accepted) != 0) {
            quic_stream_reset(stream, 2);
        }
        block_unref(block);
    }
}

/* One story: dial, a request, an answer, goodbye. Whatever fails, nothing leaks and nobody hangs:
 * the connection ends on both sides. True when the n-th allocation of `side` was reached. */
static bool story(int side, size_t n, bool sticky, bool retry) {
    struct pair pair;
    pair_init(&pair, 1);
    pair.on_event = talk;
    pair.sides[SERVER].config.always_retry = retry;
    pair.network.loss_percent = n % 3 == 0 ? 5 : 0;
    memory_failing_init(&pair.sides[side].memory, n, sticky);
    for (int i = 0; i < 2; i++) {
        int error = quic_endpoint_new(&pair.sides[i].config, &pair.sides[i].endpoint);
        assert_true(error == 0 || (error == PLASM_NO_MEMORY && i == side));
    }
    if (pair.sides[CLIENT].endpoint != NULL && pair.sides[SERVER].endpoint != NULL) {
        int error = pair_try_dial(&pair, NULL);
        assert_true(error == 0 || (error == PLASM_NO_MEMORY && side == CLIENT));
        if (error == 0) {
            pair_run(&pair, 500 * NANOS_MILLISECOND);
            if (pair.sides[CLIENT].conn != NULL) {
                quic_conn_close(pair.sides[CLIENT].conn, 0, "", pair.now);
            }
            pair_run(&pair, 60 * NANOS_SECOND);
            assert_int_equal(pair.sides[CLIENT].closed, 1);
            assert_int_equal(pair.sides[SERVER].closed, pair.sides[SERVER].connected);
        }
    }
    bool failed = pair.sides[side].memory.failed;
    pair_done(&pair);
    return failed;
}

static void every_allocation_fails(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        size_t n = 0;
        while (story(side, n, false, n % 5 == 0)) {
            n++;
        }
        assert_true(n > 50);
    }
}

static void all_later_allocations_fail(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        for (size_t n = 0; story(side, n, true, false); n += 3) {
        }
    }
}

/* Sends with holes, so that the receiver must keep what it cannot give yet. */
static bool lose_first_of_stream(struct pair *pair, int from, struct quic_datagram *datagram) {
    size_t *large = pair->test;
    if (from == CLIENT && datagram->bytes.size > 1000) {
        (*large)++;
        return *large % 40 != 1;
    }
    return true;
}

static void consume(struct pair *pair, int side, const struct quic_event *event) {
    (void)pair, (void)side;
    if (event->type == QUIC_STREAM_DATA) {
        quic_stream_consume(event->stream, event->data.size);
    }
}

static void send_streams(struct pair *pair, struct quic_conn *conn, int count) {
    for (int i = 0; i < count; i++) {
        struct quic_stream *stream;
        assert_int_equal(quic_stream_open(conn, &stream), 0);
        struct block *block = pair_block(pair, CLIENT, 0, 200000);
        size_t accepted;
        assert_int_equal(quic_stream_write(stream, block, 0, 200000, true, &accepted), 0);
        block_unref(block);
    }
}

/* Over a budget of `room` those that hold most end, and only those. How many did. */
static size_t exceed(size_t room, struct budget *shared) {
    struct pair pair;
    size_t large = 0;
    pair_init(&pair, 2);
    pair.network.delay = 50 * NANOS_MILLISECOND;
    pair.sides[SERVER].config.limits.state_bytes_max = room;
    pair.sides[SERVER].config.budget = shared;
    pair.on_event = consume;
    pair_start(&pair);
    pair_connect(&pair);
    struct quic_conn *greedy = pair.sides[CLIENT].conn;
    pair_dial(&pair);
    pair_run(&pair, NANOS_SECOND);
    struct quic_conn *modest = pair.sides[CLIENT].conn;
    assert_int_equal(pair.sides[SERVER].connected, 2);
    struct quic_stats stats;
    quic_stats(pair.sides[SERVER].endpoint, &stats);
    assert_true(stats.state_bytes < 200000);
    /* Much is under way at a time, */
    send_streams(&pair, greedy, 30);
    pair_run(&pair, 10 * NANOS_SECOND);
    /* and the beginning of each stream is lost, the rest arrives, and retransmissions are lost too.
     */
    pair.filter = lose_first_of_stream;
    pair.test = &large;
    send_streams(&pair, greedy, 4);
    for (int i = 0; i < 400 && pair.sides[SERVER].closed == 0; i++) {
        pair_run(&pair, 5 * NANOS_MILLISECOND);
        quic_stats(pair.sides[SERVER].endpoint, &stats);
        assert_true(stats.state_bytes <= room + 2 * QUIC_STATE_BYTES_GUARANTEED);
    }
    pair.filter = NULL;
    pair_run(&pair, NANOS_SECOND);
    if (pair.sides[SERVER].closed > 0) {
        assert_int_equal(pair.sides[SERVER].last_closed.error, PLASM_LIMIT);
        assert_int_equal(pair.sides[SERVER].closed, 1);
    }
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(modest, &stream), 0);
    size_t closed = pair.sides[SERVER].closed;
    pair_done(&pair);
    return closed;
}

static void state_budget(void **state) {
    (void)state;
    assert_int_equal(exceed(64000000, NULL), 0);
    assert_int_equal(exceed(200000, NULL), 1);
}

/* Others hold all there is: what is left is what each may have anyway. And all comes back. */
static void shared_budget(void **state) {
    (void)state;
    struct budget plenty = {.bytes = 1000000, .bytes_max = 64000000};
    assert_int_equal(exceed(63000000, &plenty), 0);
    assert_int_equal(plenty.bytes, 1000000);
    struct budget spent = {.bytes = 64000000, .bytes_max = 64000000};
    assert_int_equal(exceed(0, &spent), 1);
    assert_int_equal(spent.bytes, 64000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(all_later_allocations_fail),
        cmocka_unit_test(state_budget),
        cmocka_unit_test(shared_budget),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
