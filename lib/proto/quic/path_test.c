/* Paths that change: NATs that rebind, addresses that come and go, migration on purpose. */
#include "proto/quic/pair_testing.h"

static void echo(struct pair *pair, int side, const struct quic_event *event) {
    size_t *received = pair->test;
    if (event->type == QUIC_STREAM_DATA) {
        received[side] += event->data.size;
        quic_stream_consume(event->stream, event->data.size);
        if (side == SERVER) {
            struct block *block = block_copy(&pair->sides[side].memory.memory, event->data);
            assert_non_null(block);
            size_t accepted;
            assert_int_equal(
                quic_stream_write(event->stream, block, 0, block->size, event->fin, &accepted), 0);
            block_unref(block);
        }
    }
}

static void send_some(struct pair *pair, struct quic_stream *stream, size_t size) {
    struct block *block = pair_block(pair, CLIENT, 0, size);
    size_t accepted;
    assert_int_equal(quic_stream_write(stream, block, 0, size, false, &accepted), 0);
    assert_int_equal(accepted, size);
    block_unref(block);
}

/* What the client sends comes from another address from now on, and what goes to the old one is
 * lost: the client itself knows nothing of it. */
static struct netaddr nat_outside;

static bool nat(struct pair *pair, int from, struct quic_datagram *datagram) {
    if (from == CLIENT) {
        datagram->remote = nat_outside;
        return true;
    }
    if (!netaddr_equal(&datagram->local, &nat_outside)) {
        return false;
    }
    datagram->local = pair->sides[CLIENT].address;
    return true;
}

static void nat_rebinds(void **state) {
    (void)state;
    struct pair pair;
    size_t received[2] = {0};
    pair_init(&pair, 1);
    pair.network.delay = 10 * NANOS_MILLISECOND;
    pair.on_event = echo;
    pair.test = received;
    pair.filter = nat;
    nat_outside = pair_address("203.0.113.5", 10001);
    pair_start(&pair);
    pair_connect(&pair);
    assert_true(netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &nat_outside));
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    send_some(&pair, stream, 20000);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(received[CLIENT], 20000);
    for (uint16_t i = 1; i <= 5; i++) { /* another port, then another address too */
        nat_outside.port = (uint16_t)(nat_outside.port + 1);
        nat_outside.ip[3] = i > 2 ? (uint8_t)i : nat_outside.ip[3];
        send_some(&pair, stream, 20000);
        pair_run(&pair, 10 * NANOS_SECOND);
        assert_int_equal(received[CLIENT], 20000 * (i + 1U));
        assert_true(netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &nat_outside));
        assert_int_equal(pair.sides[SERVER].path_changed, i);
        assert_int_equal(quic_connections_of(pair.sides[SERVER].endpoint, &nat_outside), 1);
    }
    assert_int_equal(pair.sides[CLIENT].path_changed, 0);
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_done(&pair);
}

/* A packet sent on from somewhere else does not take the connection there. */
static void replayed_from_elsewhere(void **state) {
    (void)state;
    struct pair pair;
    size_t received[2] = {0};
    pair_init(&pair, 2);
    pair.network.delay = 10 * NANOS_MILLISECOND;
    pair.on_event = echo;
    pair.test = received;
    pair_start(&pair);
    pair_connect(&pair);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    send_some(&pair, stream, 1000);
    /* The attacker is faster than the client's own packet. */
    static uint8_t room[QUIC_PACKET_SIZE_MAX];
    struct quic_packet packet;
    assert_true(quic_transmit(pair.sides[CLIENT].endpoint,
                              (struct span){.data = room, .size = sizeof(room)}, pair.now,
                              &packet));
    struct quic_datagram datagram = {.local = pair.sides[SERVER].address,
                                     .remote = pair_address("198.51.100.66", 666),
                                     .bytes = bytes_of(room, packet.size)};
    quic_receive(pair.sides[SERVER].endpoint, &datagram, pair.now, pair.unix_seconds);
    pair_run(&pair, 100 * NANOS_MILLISECOND);
    send_some(&pair, stream, 1000);
    pair_run(&pair, 10 * NANOS_SECOND);
    assert_int_equal(received[CLIENT], 2000);
    assert_true(
        netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &pair.sides[CLIENT].address));
    pair_done(&pair);
}

static void migration(void **state) {
    (void)state;
    struct pair pair;
    size_t received[2] = {0};
    pair_init(&pair, 3);
    pair.network.delay = 10 * NANOS_MILLISECOND;
    pair.on_event = echo;
    pair.test = received;
    pair_start(&pair);
    pair_connect(&pair);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    send_some(&pair, stream, 50000);
    struct netaddr next = pair_address("192.0.2.50", 5000);
    struct netaddr six = pair_address("2001:db8::1", 5000);
    struct quic_conn *conn = pair.sides[CLIENT].conn;
    assert_int_equal(quic_conn_migrate(conn, &six, pair.now), PLASM_INVALID);
    assert_int_equal(quic_conn_migrate(conn, &pair.sides[CLIENT].address, pair.now), PLASM_INVALID);
    assert_int_equal(quic_conn_migrate(pair.sides[SERVER].conn, &next, pair.now), PLASM_STATE);
    assert_int_equal(quic_conn_migrate(conn, &next, pair.now), 0);
    send_some(&pair, stream, 50000);
    pair_run(&pair, 5 * NANOS_SECOND);
    assert_int_equal(received[CLIENT], 100000);
    assert_int_equal(pair.sides[CLIENT].path_changed, 1);
    assert_int_equal(pair.sides[SERVER].path_changed, 1);
    assert_true(netaddr_equal(quic_conn_local(conn), &next));
    assert_true(netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &next));
    /* And on, as often as one likes: new connection ids are issued. */
    for (uint16_t port = 5001; port < 5012; port++) {
        next.port = port;
        assert_int_equal(quic_conn_migrate(conn, &next, pair.now), 0);
        pair_run(&pair, 5 * NANOS_SECOND);
        assert_true(netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &next));
    }
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_done(&pair);
}

static bool only_old_path(struct pair *pair, int from, struct quic_datagram *datagram) {
    const struct netaddr *client = from == CLIENT ? &datagram->remote : &datagram->local;
    return netaddr_equal(client, &pair->sides[CLIENT].address);
}

/* The new path does not work: the connection stays where it was. */
static void failed_migration(void **state) {
    (void)state;
    struct pair pair;
    size_t received[2] = {0};
    pair_init(&pair, 4);
    pair.network.delay = 10 * NANOS_MILLISECOND;
    pair.on_event = echo;
    pair.test = received;
    pair.filter = only_old_path;
    pair_start(&pair);
    pair_connect(&pair);
    struct netaddr next = pair_address("192.0.2.50", 5000);
    assert_int_equal(quic_conn_migrate(pair.sides[CLIENT].conn, &next, pair.now), 0);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
    pair_run(&pair, 20 * NANOS_SECOND);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    send_some(&pair, stream, 1000);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(received[CLIENT], 1000);
    assert_true(
        netaddr_equal(quic_conn_local(pair.sides[CLIENT].conn), &pair.sides[CLIENT].address));
    pair_done(&pair);
}

/* What is sent to an address that the client had once is lost. */
static bool only_to_client(struct pair *pair, int from, struct quic_datagram *datagram) {
    return from == CLIENT || netaddr_equal(&datagram->local, &pair->sides[CLIENT].address);
}

/* Dialled from 0.0.0.0: the system chooses the source and may choose another one later. */
static void system_chooses_source(void **state) {
    (void)state;
    struct pair pair;
    size_t received[2] = {0};
    pair_init(&pair, 5);
    pair.network.delay = 10 * NANOS_MILLISECOND;
    pair.on_event = echo;
    pair.test = received;
    pair.sides[CLIENT].config.local = pair_address("0.0.0.0", 4001);
    pair.filter = only_to_client;
    pair_start(&pair);
    pair_connect(&pair);
    /* Known from what arrived. */
    assert_true(
        netaddr_equal(quic_conn_local(pair.sides[CLIENT].conn), &pair.sides[CLIENT].address));
    assert_int_equal(pair.sides[CLIENT].path_changed, 0);
    /* The interface gets another address. Nothing is under way, so the peer has to be told. */
    pair.sides[CLIENT].address = pair_address("192.0.2.99", 4001);
    quic_local_changed(pair.sides[CLIENT].endpoint, pair.now);
    pair_run(&pair, NANOS_SECOND);
    assert_true(
        netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &pair.sides[CLIENT].address));
    assert_true(
        netaddr_equal(quic_conn_local(pair.sides[CLIENT].conn), &pair.sides[CLIENT].address));
    assert_int_equal(pair.sides[CLIENT].path_changed, 1);
    assert_int_equal(pair.sides[SERVER].path_changed, 1);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    send_some(&pair, stream, 1000);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(received[CLIENT], 1000);
    pair_done(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nat_rebinds),
        cmocka_unit_test(replayed_from_elsewhere),
        cmocka_unit_test(migration),
        cmocka_unit_test(failed_migration),
        cmocka_unit_test(system_chooses_source),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
