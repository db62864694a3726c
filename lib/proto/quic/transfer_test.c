/* Streams: large transfers over good and bad networks, resets, stops, limits. */
#include "proto/quic/internal.h"
#include "proto/quic/pair_testing.h"

#define STREAMS_MAX 300

/* One direction of one stream. */
struct flow {
    struct quic_stream *stream;
    uint64_t to_send;
    uint64_t sent;
    bool fin_sent;
    uint64_t received;
    bool fin;
    bool reset;
    bool stopped;
    bool closed;
    uint64_t code;
};

/* What both sides of a transfer do: the client sends on streams it opens, the server sends back as
 * much as it got. */
struct transfer {
    struct flow flows[2][STREAMS_MAX]; /* by stream number */
    size_t count[2];
    bool echo;
    bool no_consume;
    size_t chunk;
    size_t blocked; /* writes that were not accepted in whole */
    unsigned streams_available;
};

static struct flow *flow_of(struct transfer *transfer, int side, struct quic_stream *stream) {
    struct flow *flow = *quic_stream_user(stream);
    if (flow == NULL) {
        assert_true(transfer->count[side] < STREAMS_MAX);
        flow = &transfer->flows[side][transfer->count[side]++];
        flow->stream = stream;
        *quic_stream_user(stream) = flow;
    }
    return flow;
}

static void pump(struct pair *pair, int side, struct flow *flow) {
    struct transfer *transfer = pair->test;
    while (!flow->fin_sent && !flow->stopped && flow->stream != NULL) {
        uint64_t left = flow->to_send - flow->sent;
        if (left == 0 && transfer->echo && side == SERVER && !flow->fin) {
            return;
        }
        size_t size = left < transfer->chunk ? (size_t)left : transfer->chunk;
        struct block *block = NULL;
        if (size > 0) {
            block = pair_block(pair, side, flow->sent, size);
            if (block == NULL) {
                return;
            }
        }
        bool fin = size == left && !(transfer->echo && side == SERVER && !flow->fin);
        size_t accepted = 0;
        int error = quic_stream_write(flow->stream, block, 0, size, fin, &accepted);
        block_unref(block);
        if (error != 0) {
            assert_true(error == PLASM_CLOSED || error == PLASM_NO_MEMORY);
            return;
        }
        flow->sent += accepted;
        flow->fin_sent = fin && accepted == size;
        if (accepted < size) {
            transfer->blocked++;
            return;
        }
        if (size == 0) {
            return;
        }
    }
}

static void on_data(struct pair *pair, int side, const struct quic_event *event) {
    struct transfer *transfer = pair->test;
    struct flow *flow = flow_of(transfer, side, event->stream);
    assert_false(flow->fin);
    assert_true(event->data.size > 0 || event->fin);
    pair_check_bytes(event->data, flow->received);
    flow->received += event->data.size;
    flow->fin = event->fin;
    if (!transfer->no_consume) {
        quic_stream_consume(event->stream, event->data.size);
    }
    if (transfer->echo && side == SERVER) {
        flow->to_send = flow->received;
        pump(pair, side, flow);
    }
}

static void on_event(struct pair *pair, int side, const struct quic_event *event) {
    struct transfer *transfer = pair->test;
    struct flow *flow = event->stream != NULL ? flow_of(transfer, side, event->stream) : NULL;
    switch (event->type) {
    case QUIC_STREAM_DATA:
        on_data(pair, side, event);
        break;
    case QUIC_STREAM_WRITABLE:
        pump(pair, side, flow);
        break;
    case QUIC_STREAM_RESET:
        assert_false(flow->reset);
        flow->reset = true;
        flow->code = event->code;
        break;
    case QUIC_STREAM_STOPPED:
        assert_false(flow->stopped);
        flow->stopped = true;
        flow->code = event->code;
        break;
    case QUIC_STREAM_CLOSED:
        assert_false(flow->closed);
        flow->closed = true;
        flow->stream = NULL;
        break;
    case QUIC_STREAMS_AVAILABLE:
        transfer->streams_available++;
        break;
    default:
        break;
    }
}

static struct flow *open_flow(struct pair *pair, uint64_t to_send) {
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair->sides[CLIENT].conn, &stream), 0);
    struct flow *flow = flow_of(pair->test, CLIENT, stream);
    flow->to_send = to_send;
    pump(pair, CLIENT, flow);
    return flow;
}

static void begin(struct pair *pair, struct transfer *transfer, uint8_t seed) {
    memset(transfer, 0, sizeof(*transfer));
    transfer->chunk = 100000;
    pair_init(pair, seed);
    pair->on_event = on_event;
    pair->test = transfer;
}

static struct transfer the_transfer;

/* Every byte there and back, and every stream ends. */
static void run_echo(struct pair *pair, size_t streams, uint64_t size, nanos duration) {
    struct transfer *transfer = pair->test;
    transfer->echo = true;
    for (size_t i = 0; i < streams; i++) {
        (void)open_flow(pair, size);
    }
    pair_run(pair, duration);
    assert_int_equal(transfer->count[SERVER], streams);
    for (size_t i = 0; i < streams; i++) {
        for (int side = 0; side < 2; side++) {
            const struct flow *flow = &transfer->flows[side][i];
            assert_int_equal(flow->received, size);
            assert_true(flow->fin && flow->closed && !flow->reset && !flow->stopped);
        }
    }
    if (pair->sides[CLIENT].closed != 0) {
        print_error("closed: %s\n", pair->sides[CLIENT].closed_text);
    }
    assert_int_equal(pair->sides[CLIENT].closed, 0);
}

static void small_messages(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 1);
    pair_start(&pair);
    pair_connect(&pair);
    run_echo(&pair, 40, 100, NANOS_SECOND);
    pair_done(&pair);
}

static void empty_stream(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 2);
    pair_start(&pair);
    pair_connect(&pair);
    run_echo(&pair, 1, 0, NANOS_SECOND);
    pair_done(&pair);
}

static void large_transfer(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 3);
    pair_start(&pair);
    pair_connect(&pair);
    run_echo(&pair, 1, 40 << 20, 20 * NANOS_SECOND);
    assert_true(the_transfer.blocked > 0);
    /* Windows and batches have grown: much fewer datagrams than packets. */
    struct quic_stats stats;
    quic_stats(pair.sides[CLIENT].endpoint, &stats);
    assert_true(pair.sent_datagrams < stats.packets_sent);
    pair_done(&pair);
}

static void many_streams_share(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 4);
    pair.network.delay = 5 * NANOS_MILLISECOND;
    pair_start(&pair);
    pair_connect(&pair);
    the_transfer.echo = false;
    for (size_t i = 0; i < 8; i++) {
        (void)open_flow(&pair, 4 << 20);
    }
    /* At any time none is far ahead: they are served in turn. */
    for (int i = 0; i < 10; i++) {
        pair_run(&pair, 20 * NANOS_MILLISECOND);
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        for (size_t s = 0; s < 8; s++) {
            uint64_t received = the_transfer.flows[SERVER][s].received;
            least = received < least ? received : least;
            most = received > most ? received : most;
        }
        assert_true(2 * least >= most);
    }
    pair_run(&pair, 30 * NANOS_SECOND);
    for (size_t s = 0; s < 8; s++) {
        assert_int_equal(the_transfer.flows[SERVER][s].received, 4 << 20);
    }
    pair_done(&pair);
}

static void bad_networks(void **state) {
    (void)state;
    static const struct pair_network networks[] = {
        {.delay = 10 * NANOS_MILLISECOND, .loss_percent = 5},
        {.delay = 10 * NANOS_MILLISECOND, .reorder_percent = 20},
        {.delay = 10 * NANOS_MILLISECOND, .duplicate_percent = 20},
        {.delay = NANOS_MILLISECOND,
         .loss_percent = 10,
         .reorder_percent = 10,
         .duplicate_percent = 10},
        {.delay = 50 * NANOS_MILLISECOND, .loss_percent = 20, .no_gso = true},
        {.delay = NANOS_MILLISECOND, .no_gro = true},
        {.delay = NANOS_MILLISECOND, .mtu = 1252},
    };
    for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
        for (uint8_t seed = 1; seed <= 4; seed++) {
            struct pair pair;
            begin(&pair, &the_transfer, (uint8_t)(seed + 10 * i));
            pair.network = networks[i];
            pair_start(&pair);
            pair_dial(&pair);
            pair_run(&pair, 8 * NANOS_SECOND);
            assert_int_equal(pair.sides[SERVER].connected, 1);
            quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
            run_echo(&pair, 3, 300000, 120 * NANOS_SECOND);
            quic_conn_close(pair.sides[CLIENT].conn, 0, "", pair.now);
            pair_run(&pair, 40 * NANOS_SECOND);
            assert_int_equal(pair.sides[SERVER].closed, 1);
            pair_done(&pair);
        }
    }
}

/* A reader that gives no credit stops the writer; credit lets it go on. */
static void flow_control(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 5);
    pair_start(&pair);
    pair_connect(&pair);
    the_transfer.no_consume = true;
    struct flow *flow = open_flow(&pair, 2 << 20);
    pair_run(&pair, 2 * NANOS_SECOND);
    struct flow *other = &the_transfer.flows[SERVER][0];
    assert_int_equal(other->received, 512 << 10);
    assert_false(flow->fin_sent);
    /* The second stream gets what the connection's window has left. */
    (void)open_flow(&pair, 2 << 20);
    pair_run(&pair, 2 * NANOS_SECOND);
    assert_int_equal(the_transfer.flows[SERVER][1].received, 256 << 10);
    the_transfer.no_consume = false;
    quic_stream_consume(other->stream, 512 << 10);
    quic_stream_consume(the_transfer.flows[SERVER][1].stream, 256 << 10);
    /* More than was received counts for nothing. */
    quic_stream_consume(other->stream, 100 << 20);
    pair_run(&pair, 5 * NANOS_SECOND);
    assert_int_equal(other->received, 2 << 20);
    assert_int_equal(the_transfer.flows[SERVER][1].received, 2 << 20);
    pair_done(&pair);
}

/* What a closed stream has not consumed does not take the connection's window with it. */
static void credit_of_closed_streams(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 6);
    pair_start(&pair);
    pair_connect(&pair);
    the_transfer.no_consume = true;
    for (int i = 0; i < 20; i++) {
        struct flow *flow = open_flow(&pair, 200000);
        pair_run(&pair, NANOS_SECOND);
        struct flow *other = &the_transfer.flows[SERVER][i];
        assert_int_equal(other->received, 200000);
        if (i % 2 == 0) { /* ended by both */
            size_t accepted;
            assert_int_equal(quic_stream_write(other->stream, NULL, 0, 0, true, &accepted), 0);
        } else { /* given up */
            quic_stream_reset(other->stream, 1);
            quic_stream_stop(other->stream, 1);
        }
        pair_run(&pair, NANOS_SECOND);
        assert_true(flow->closed && other->closed);
    }
    pair_done(&pair);
}

static void resets(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 7);
    pair.network.delay = 5 * NANOS_MILLISECOND;
    pair_start(&pair);
    pair_connect(&pair);
    struct flow *flow = open_flow(&pair, 100 << 20);
    pair_run(&pair, 50 * NANOS_MILLISECOND);
    struct flow *other = &the_transfer.flows[SERVER][0];
    assert_true(other->received > 0);
    quic_stream_reset(flow->stream, 77);
    size_t accepted;
    assert_int_equal(quic_stream_write(flow->stream, NULL, 0, 0, true, &accepted), PLASM_CLOSED);
    pair_run(&pair, NANOS_SECOND);
    assert_true(other->reset && !other->fin);
    assert_int_equal(other->code, 77);
    assert_false(flow->closed); /* the other direction is open still */
    assert_int_equal(quic_stream_write(other->stream, NULL, 0, 0, true, &accepted), 0);
    pair_run(&pair, NANOS_SECOND);
    assert_true(flow->closed && flow->fin && other->closed);
    assert_int_equal(pair.sides[CLIENT].closed, 0);
    pair_done(&pair);
}

/* A reader that wants no more stops the writer. */
static void stops(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 8);
    pair.network.delay = 5 * NANOS_MILLISECOND;
    pair_start(&pair);
    pair_connect(&pair);
    struct flow *flow = open_flow(&pair, 100 << 20);
    pair_run(&pair, 50 * NANOS_MILLISECOND);
    struct flow *other = &the_transfer.flows[SERVER][0];
    assert_true(other->received > 0);
    assert_false(flow->stopped);
    quic_stream_stop(other->stream, 55);
    uint64_t received = other->received;
    pair_run(&pair, 11 * NANOS_MILLISECOND);
    assert_true(flow->stopped);
    assert_int_equal(flow->code, 55);
    size_t accepted;
    assert_int_equal(quic_stream_write(other->stream, NULL, 0, 0, true, &accepted), 0);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(other->received, received);
    assert_true(flow->closed && other->closed);
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_done(&pair);
}

/* STOP_SENDING is told at once, also of a stream that nothing was ever written to. */
static void stop_of_idle_stream(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 9);
    pair_start(&pair);
    pair_connect(&pair);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    struct flow *flow = flow_of(&the_transfer, CLIENT, stream);
    struct block *block = pair_block(&pair, CLIENT, 0, 5);
    size_t accepted;
    assert_int_equal(quic_stream_write(stream, block, 0, 5, false, &accepted), 0);
    block_unref(block);
    pair_run(&pair, 100 * NANOS_MILLISECOND);
    struct flow *other = &the_transfer.flows[SERVER][0];
    quic_stream_stop(stream, 99); /* the server never wrote on it */
    pair_run(&pair, 100 * NANOS_MILLISECOND);
    assert_true(other->stopped);
    assert_int_equal(other->code, 99);
    assert_int_equal(quic_stream_write(other->stream, NULL, 0, 0, true, &accepted), PLASM_CLOSED);
    assert_false(other->closed);
    assert_int_equal(quic_stream_write(stream, NULL, 0, 0, true, &accepted), 0);
    pair_run(&pair, NANOS_SECOND);
    assert_true(other->closed && flow->closed);
    pair_done(&pair);
}

static void stream_limit(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 10);
    pair.sides[SERVER].config.limits.streams_inbound_max = 10;
    pair_start(&pair);
    pair_connect(&pair);
    the_transfer.echo = true;
    for (size_t i = 0; i < 10; i++) {
        (void)open_flow(&pair, 1000);
    }
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), PLASM_LIMIT);
    assert_int_equal(the_transfer.streams_available, 0);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(the_transfer.streams_available, 1);
    /* Streams that end make room for others, without end. */
    for (size_t i = 0; i < 200; i++) {
        struct flow *flow = open_flow(&pair, 1000);
        pair_run(&pair, 100 * NANOS_MILLISECOND);
        assert_true(flow->closed);
    }
    pair_done(&pair);
}

/* The server opens streams too, and both use many at a time. */
static void both_sides_open(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 11);
    pair_start(&pair);
    pair_connect(&pair);
    the_transfer.echo = true;
    for (size_t i = 0; i < 100; i++) {
        (void)open_flow(&pair, 5000);
        struct quic_stream *stream;
        assert_int_equal(quic_stream_open(pair.sides[SERVER].conn, &stream), 0);
        quic_stream_reset(stream, i);
        quic_stream_stop(stream, i);
        (void)flow_of(&the_transfer, SERVER, stream);
    }
    pair_run(&pair, 5 * NANOS_SECOND);
    size_t resets_seen = 0;
    for (size_t i = 0; i < the_transfer.count[CLIENT]; i++) {
        resets_seen += the_transfer.flows[CLIENT][i].reset;
    }
    assert_int_equal(resets_seen, 100);
    pair_done(&pair);
}

/* Bytes stay referenced exactly until they are acknowledged. */
static void block_references(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 12);
    pair_start(&pair);
    pair_connect(&pair);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    struct block *block = pair_block(&pair, CLIENT, 0, 1000);
    size_t accepted;
    assert_int_equal(quic_stream_write(stream, block, 0, 400, false, &accepted), 0);
    assert_int_equal(quic_stream_write(stream, block, 400, 600, false, &accepted), 0);
    assert_int_equal(block->references, 3);
    assert_int_equal(quic_stream_unacknowledged(stream), 1000);
    pair.network.cut[SERVER] = true; /* acknowledgements are lost */
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    assert_int_equal(block->references, 3);
    pair.network.cut[SERVER] = false;
    pair_run(&pair, 5 * NANOS_SECOND);
    assert_int_equal(block->references, 1);
    assert_int_equal(quic_stream_unacknowledged(stream), 0);
    block_unref(block);
    pair_done(&pair);
}

/* Small messages wait for nothing but the path: not for acknowledgement timers, not for the pacer,
 * also right after the handshake and after a pause. */
static void round_trips_are_prompt(void **state) {
    (void)state;
    static const nanos delays[] = {20 * NANOS_MICROSECOND, NANOS_MILLISECOND,
                                   30 * NANOS_MILLISECOND};
    for (size_t d = 0; d < ARRAY_SIZE(delays); d++) {
        struct pair pair;
        begin(&pair, &the_transfer, 13);
        pair.network.delay = delays[d];
        the_transfer.echo = true;
        pair_start(&pair);
        pair_dial(&pair);
        pair_run(&pair, 2 * delays[d]);
        assert_int_equal(pair.sides[CLIENT].connected, 1);
        for (size_t i = 0; i < 60; i++) {
            struct flow *flow = open_flow(&pair, 1000);
            pair_run(&pair, 2 * delays[d] + 10 * NANOS_MICROSECOND);
            assert_int_equal(flow->received, 1000);
            if (i % 20 == 19) {
                pair_run(&pair, NANOS_SECOND);
            }
        }
        pair_done(&pair);
    }
}

/* On a short path timers give an answer time to be there; on a long one they ring when they are
 * due. */
static void timers_ring_late_on_short_paths(void **state) {
    (void)state;
    static const struct {
        nanos delay;
        nanos late;
    } cases[] = {{5 * NANOS_MILLISECOND, NANOS_MILLISECOND}, {80 * NANOS_MILLISECOND, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct pair pair;
        begin(&pair, &the_transfer, 15);
        pair.network.delay = cases[i].delay;
        pair_start(&pair);
        pair_connect(&pair);
        (void)open_flow(&pair, 1000);
        pair_run(&pair, cases[i].delay);
        struct quic_conn *conn = pair.sides[SERVER].conn;
        nanos expiry = ngtcp2_conn_get_expiry(conn->ngtcp2);
        assert_true(expiry > pair.now);
        assert_int_equal(quic_deadline(pair.sides[SERVER].endpoint), expiry + cases[i].late);
        pair_done(&pair);
    }
}

static nanos burst_at;
static size_t burst_size;
static size_t burst_max;

static bool count_burst(struct pair *pair, int from, struct quic_datagram *datagram) {
    if (from == CLIENT) {
        burst_size = pair->now == burst_at ? burst_size : 0;
        burst_at = pair->now;
        burst_size += datagram->bytes.size;
        burst_max = burst_size > burst_max ? burst_size : burst_max;
    }
    return true;
}

/* On a long path large amounts leave in portions, and the path is used all the same. */
static void bursts_are_paced(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 14);
    pair.network.delay = 30 * NANOS_MILLISECOND;
    pair.filter = count_burst;
    pair_start(&pair);
    pair_connect(&pair);
    burst_max = 0;
    struct flow *flow = open_flow(&pair, 20 << 20);
    pair_run(&pair, 3 * NANOS_SECOND);
    assert_true(flow->closed || flow->fin_sent);
    assert_int_equal(the_transfer.flows[SERVER][0].received, 20 << 20);
    struct quic_conn_info info;
    quic_conn_info(pair.sides[CLIENT].conn, &info);
    assert_true(info.congestion_window_bytes > 1000000);
    assert_true(burst_max < info.congestion_window_bytes / 30);
    pair_done(&pair);
}

static bool change_delay(struct pair *pair, int from, struct quic_datagram *datagram) {
    (void)from;
    (void)datagram;
    pair->network.delay = (900 + random_below(&pair->random, 200)) * NANOS_MICROSECOND;
    return true;
}

/* A round trip that goes back and forth over what is paced: nothing is forgotten on the way. */
static void pacing_comes_and_goes(void **state) {
    (void)state;
    for (uint8_t seed = 1; seed <= 5; seed++) {
        struct pair pair;
        begin(&pair, &the_transfer, seed);
        pair.filter = change_delay;
        pair_start(&pair);
        pair_connect(&pair);
        run_echo(&pair, 1, 10 << 20, 5 * NANOS_SECOND);
        pair_done(&pair);
    }
}

/* Data that waits for the pacer when the round trip falls below what is paced: an acknowledgement
 * that leaves in between must not leave it behind. */
static void pacing_ends_while_data_waits(void **state) {
    (void)state;
    struct pair pair;
    begin(&pair, &the_transfer, 15);
    pair_start(&pair);
    pair_connect(&pair);
    struct flow *flow = open_flow(&pair, 1000);
    pair_run(&pair, NANOS_SECOND);
    struct flow *other = &the_transfer.flows[SERVER][0];
    struct block *block = pair_block(&pair, SERVER, 0, 5000);
    size_t accepted;
    assert_int_equal(quic_stream_write(other->stream, block, 0, 5000, false, &accepted), 0);
    block_unref(block);
    while (pair_transmit(&pair, SERVER)) {
    }
    pair.now = pair.datagrams->arrives;
    while (pair.datagrams != NULL) {
        pair_deliver(&pair);
    }
    pair.sides[CLIENT].conn->paced_until = pair.now + NANOS_SECOND;
    struct flow *next = open_flow(&pair, 100000);
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    assert_int_equal(flow->received, 5000);
    assert_true(next->fin_sent);
    assert_int_equal(the_transfer.flows[SERVER][1].received, 100000);
    pair_done(&pair);
}

static size_t largest;

static bool note_largest(struct pair *pair, int from, struct quic_datagram *datagram) {
    (void)pair;
    (void)from;
    largest = datagram->bytes.size > largest ? datagram->bytes.size : largest;
    return true;
}

static void move_to_loopback(struct pair *pair) {
    for (int side = 0; side < 2; side++) {
        pair->sides[side].address = pair_address("127.0.0.1", (uint16_t)(4001 + side));
        pair->sides[side].config.local = pair->sides[side].address;
    }
}

/* Loopback takes large packets, once the handshake is over; and where it does not, as a forwarding
 * to some other network, usual ones do it. */
static void loopback(void **state) {
    (void)state;
    static const size_t mtus[] = {0, 1500, 1252};
    for (size_t i = 0; i < ARRAY_SIZE(mtus); i++) {
        struct pair pair;
        begin(&pair, &the_transfer, 16);
        move_to_loopback(&pair);
        pair.network.mtu = mtus[i];
        pair.filter = note_largest;
        pair_start(&pair);
        largest = 0;
        pair_connect(&pair);
        assert_true(largest <= QUIC_PACKET_SIZE_MAX);
        run_echo(&pair, 3, 3 << 20, 20 * NANOS_SECOND);
        struct quic_conn_info info;
        quic_conn_info(pair.sides[CLIENT].conn, &info);
        if (mtus[i] == 0) {
            assert_int_equal(largest, QUIC_DATAGRAM_SIZE_MAX);
            assert_int_equal(info.packet_size, QUIC_DATAGRAM_SIZE_MAX);
        } else {
            assert_true(info.packet_size <= QUIC_PACKET_SIZE_MAX);
        }
        pair_done(&pair);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_messages),
        cmocka_unit_test(empty_stream),
        cmocka_unit_test(large_transfer),
        cmocka_unit_test(many_streams_share),
        cmocka_unit_test(bad_networks),
        cmocka_unit_test(flow_control),
        cmocka_unit_test(credit_of_closed_streams),
        cmocka_unit_test(resets),
        cmocka_unit_test(stops),
        cmocka_unit_test(stop_of_idle_stream),
        cmocka_unit_test(stream_limit),
        cmocka_unit_test(both_sides_open),
        cmocka_unit_test(block_references),
        cmocka_unit_test(timers_ring_late_on_short_paths),
        cmocka_unit_test(round_trips_are_prompt),
        cmocka_unit_test(bursts_are_paced),
        cmocka_unit_test(pacing_comes_and_goes),
        cmocka_unit_test(pacing_ends_while_data_waits),
        cmocka_unit_test(loopback),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
