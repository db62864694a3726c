/* What an endpoint says to strangers, and how it holds out: Retry, versions, resets, limits. */
#include "proto/quic/internal.h"
#include "proto/quic/pair_testing.h"

static struct quic_stats stats_of(const struct pair *pair, int side) {
    struct quic_stats stats;
    quic_stats(pair->sides[side].endpoint, &stats);
    return stats;
}

static void receive(struct pair *pair, int side, const struct netaddr *remote, const void *data,
                    size_t size) {
    struct quic_datagram datagram = {
        .local = pair->sides[side].address, .remote = *remote, .bytes = bytes_of(data, size)};
    quic_receive(pair->sides[side].endpoint, &datagram, pair->now, pair->unix_seconds);
}

/* The first datagram that a fresh dial sends. */
static size_t first_datagram(struct pair *pair, uint8_t *room, size_t room_size) {
    struct quic_packet packet;
    pair_dial(pair);
    assert_true(quic_transmit(pair->sides[CLIENT].endpoint,
                              (struct span){.data = room, .size = room_size}, pair->now, &packet));
    assert_int_equal(packet.size, packet.segment_size);
    return packet.size;
}

static void retry(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 1);
    pair.sides[SERVER].config.always_retry = true;
    pair_start(&pair);
    pair_connect(&pair);
    assert_int_equal(stats_of(&pair, SERVER).retries_sent, 1);
    pair_done(&pair);
}

/* Above the rate addresses have to be proven; everybody gets in. */
static void retry_under_load(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 2);
    pair.sides[SERVER].config.limits.admission.retry_accepts_per_second = 5;
    pair_start(&pair);
    for (unsigned i = 1; i <= 10; i++) {
        pair_dial(&pair);
        pair_run(&pair, 10 * NANOS_MILLISECOND);
        assert_int_equal(pair.sides[SERVER].connected, i);
    }
    assert_int_equal(stats_of(&pair, SERVER).retries_sent, 5);
    pair_done(&pair);
}

static bool change_token(struct pair *pair, int from, struct quic_datagram *datagram) {
    (void)pair;
    if (from == CLIENT && datagram->bytes.size >= 1200) {
        /* First byte, version, id of 8 and its size, id of 8 and its size, token size, magic. */
        uint8_t *bytes = (uint8_t *)(uintptr_t)datagram->bytes.data;
        if (bytes[0] >> 4 == 0xc && bytes[5 + 1 + bytes[5] + 9] > 0) {
            bytes[5 + 1 + bytes[5] + 9 + 10] ^= 1;
        }
    }
    return true;
}

static void forged_token(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 3);
    pair.sides[SERVER].config.always_retry = true;
    pair.filter = change_token;
    pair_start(&pair);
    pair_dial(&pair);
    pair_run(&pair, 20 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 0);
    assert_int_equal(pair.sides[SERVER].connected, 0);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_true(stats_of(&pair, SERVER).refused > 0);
    pair_done(&pair);
}

/* A token proves one address only, and not for long. */
static void stolen_token(void **state) {
    (void)state;
    static uint8_t room[QUIC_PACKET_SIZE_MAX];
    for (int late = 0; late < 2; late++) {
        struct pair pair;
        pair_init(&pair, 4);
        pair.sides[SERVER].config.always_retry = true;
        pair_start(&pair);
        size_t size = first_datagram(&pair, room, sizeof(room));
        receive(&pair, SERVER, &pair.sides[CLIENT].address, room, size);
        struct quic_packet packet;
        assert_true(quic_transmit(pair.sides[SERVER].endpoint,
                                  (struct span){.data = room, .size = sizeof(room)}, pair.now,
                                  &packet));
        receive(&pair, CLIENT, &pair.sides[SERVER].address, room, packet.size);
        assert_true(quic_transmit(pair.sides[CLIENT].endpoint,
                                  (struct span){.data = room, .size = sizeof(room)}, pair.now,
                                  &packet));
        struct netaddr thief = pair_address("198.51.100.1", 4001);
        pair.now += late ? 11 * NANOS_SECOND : 0;
        receive(&pair, SERVER, late ? &pair.sides[CLIENT].address : &thief, room, packet.size);
        assert_int_equal(stats_of(&pair, SERVER).refused, 1);
        assert_int_equal(stats_of(&pair, SERVER).connections, 0);
        pair_done(&pair);
    }
}

/* Unknown versions are answered when they are large, with version 1. */
static void version_negotiation(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 5);
    pair_start(&pair);
    static uint8_t room[QUIC_PACKET_SIZE_MAX];
    uint8_t packet[1200] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8,  1,  2,  3, 4,
                            5,    6,    7,    8,    4,    11, 12, 13, 14};
    struct quic_packet answer;
    struct span span = {.data = room, .size = sizeof(room)};
    receive(&pair, SERVER, &pair.sides[CLIENT].address, packet, sizeof(packet) - 1);
    assert_false(quic_transmit(pair.sides[SERVER].endpoint, span, pair.now, &answer));
    receive(&pair, SERVER, &pair.sides[CLIENT].address, packet, sizeof(packet));
    assert_true(quic_transmit(pair.sides[SERVER].endpoint, span, pair.now, &answer));
    assert_true(answer.size < 100);
    static const uint8_t expected[] = {0, 0, 0, 0, 4, 11, 12, 13, 14, 8, 1,
                                       2, 3, 4, 5, 6, 7,  8,  0,  0,  0, 1};
    assert_true(room[0] & 0x80);
    assert_memory_equal(room + 1, expected, sizeof(expected));
    /* QUIC version 2 is not spoken either, though ngtcp2 could. */
    static const uint8_t version2[] = {0x6b, 0x33, 0x43, 0xcf};
    memcpy(packet + 1, version2, 4);
    receive(&pair, SERVER, &pair.sides[CLIENT].address, packet, sizeof(packet));
    assert_true(quic_transmit(pair.sides[SERVER].endpoint, span, pair.now, &answer));
    assert_int_equal(stats_of(&pair, SERVER).versions_sent, 2);
    pair_done(&pair);
}

static bool answer_with_version(struct pair *pair, int from, struct quic_datagram *datagram) {
    if (from != CLIENT) {
        return false;
    }
    /* As a server would that speaks nothing but 0xff00001d: ids exchanged. */
    const uint8_t *bytes = datagram->bytes.data;
    uint8_t answer[64] = {0x80, 0, 0, 0, 0, 8};
    assert_int_equal(bytes[5], 8);
    memcpy(answer + 6, bytes + 15, 8);
    answer[14] = 8;
    memcpy(answer + 15, bytes + 6, 8);
    static const uint8_t draft[] = {0xff, 0, 0, 0x1d};
    memcpy(answer + 23, draft, 4);
    struct quic_datagram reply = {
        .local = datagram->remote, .remote = datagram->local, .bytes = bytes_of(answer, 27)};
    pair_enqueue(pair, CLIENT, &reply, pair->now + NANOS_MILLISECOND);
    return false;
}

static void no_common_version(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 6);
    pair.filter = answer_with_version;
    pair_start(&pair);
    pair_dial(&pair);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_UNSUPPORTED);
    pair_done(&pair);
}

static void restart(struct pair *pair, int side) {
    struct pair_side *restarted = &pair->sides[side];
    quic_endpoint_free(restarted->endpoint);
    restarted->conn = NULL;
    random_fill(&pair->random, (struct span){.data = restarted->config.seed, .size = 32});
    assert_int_equal(quic_endpoint_new(&restarted->config, &restarted->endpoint), 0);
}

/* A server that lost its state but kept its secret ends the connection at once. */
static void stateless_reset(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 7);
    pair_start(&pair);
    pair_connect(&pair);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
    pair_run(&pair, NANOS_SECOND);
    restart(&pair, SERVER);
    pair_run(&pair, 6 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_CLOSED);
    assert_true(pair.sides[CLIENT].last_closed.by_peer);
    assert_true(stats_of(&pair, SERVER).resets_sent > 0);
    pair_dial(&pair); /* and a new one can be made */
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 2);
    pair_done(&pair);
}

/* With another secret the reset means nothing. */
static void reset_with_other_secret(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 8);
    pair_start(&pair);
    pair_connect(&pair);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
    pair_run(&pair, NANOS_SECOND);
    pair.sides[SERVER].config.reset_secret[0] ^= 1;
    restart(&pair, SERVER);
    pair_run(&pair, 20 * NANOS_SECOND);
    assert_true(stats_of(&pair, SERVER).resets_sent > 0);
    assert_int_equal(pair.sides[CLIENT].closed, 0);
    pair_run(&pair, 20 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_TIMEOUT);
    pair_done(&pair);
}

/* Two endpoints that know nothing of each other must not send resets back and forth. */
static void resets_end(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 9);
    pair.sides[CLIENT].config.accept = true;
    pair_start(&pair);
    uint8_t noise[1200];
    random_fill(&pair.random, (struct span){.data = noise, .size = sizeof(noise)});
    noise[0] = 0x40;
    receive(&pair, SERVER, &pair.sides[CLIENT].address, noise, sizeof(noise));
    pair_run(&pair, NANOS_SECOND);
    assert_true(stats_of(&pair, CLIENT).resets_sent + stats_of(&pair, SERVER).resets_sent < 30);
    /* And they are bounded in number. */
    for (int i = 0; i < 1000; i++) {
        noise[1] = (uint8_t)i;
        receive(&pair, SERVER, &pair.sides[CLIENT].address, noise, sizeof(noise));
        static uint8_t room[QUIC_PACKET_SIZE_MAX];
        struct quic_packet packet;
        while (quic_transmit(pair.sides[SERVER].endpoint,
                             (struct span){.data = room, .size = sizeof(room)}, pair.now,
                             &packet)) {
            assert_true(packet.size < 50);
        }
    }
    assert_true(stats_of(&pair, SERVER).resets_sent <= 230);
    pair_done(&pair);
}

/* Garbage and cut packets, of every kind, to both sides, before and during a connection. */
static void garbage(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 10);
    pair_start(&pair);
    pair_connect(&pair);
    static const uint8_t firsts[] = {0x00, 0x40, 0x7f, 0x80, 0xc0, 0xc3, 0xd0, 0xe0, 0xf0, 0xff};
    for (size_t i = 0; i < 20000; i++) {
        uint8_t noise[QUIC_PACKET_SIZE_MAX + 100];
        size_t size =
            i % 8 == 0 ? 1200 + random_below(&pair.random, 400) : random_below(&pair.random, 100);
        random_fill(&pair.random, (struct span){.data = noise, .size = size});
        if (size > 6) {
            noise[0] = firsts[i % ARRAY_SIZE(firsts)];
            if (i % 3 > 0) { /* version 1, and an id of a likely size */
                memcpy(noise + 1, "\0\0\0\1\x08", 5);
            }
        }
        int side = (int)(i % 2);
        receive(&pair, side, &pair.sides[1 - side].address, noise, size);
        if (i % 50 == 0) {
            pair_run(&pair, NANOS_MILLISECOND);
        }
    }
    pair_run(&pair, 5 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_done(&pair);
}

/* A first datagram cut at every byte, or with any byte changed, does no harm. */
static void truncated_initials(void **state) {
    (void)state;
    static uint8_t room[QUIC_PACKET_SIZE_MAX];
    struct pair pair;
    pair_init(&pair, 11);
    pair.sides[SERVER].config.limits.admission.accepts_per_ip_burst = 10000;
    pair.sides[SERVER].config.limits.admission.retry_accepts_per_second = 10000;
    pair_start(&pair);
    size_t size = first_datagram(&pair, room, sizeof(room));
    struct netaddr *client = &pair.sides[CLIENT].address;
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, room, cut);
        receive(&pair, SERVER, client, copy, cut);
        free(copy);
        assert_int_equal(stats_of(&pair, SERVER).connections, 0);
    }
    struct quic_event event;
    for (size_t i = 0; i < size; i++) {
        room[i] ^= 0x55;
        receive(&pair, SERVER, client, room, size);
        assert_false(quic_next_event(pair.sides[SERVER].endpoint, &event));
        room[i] ^= 0x55;
    }
    receive(&pair, SERVER, client, room, size); /* and the right one is understood */
    assert_int_equal(stats_of(&pair, SERVER).connections, 1);
    pair_done(&pair);
}

static void handshakes_are_bounded(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 12);
    pair.sides[SERVER].config.limits.admission.handshakes_inbound_max = 5;
    pair.network.cut[SERVER] = true; /* the client never goes on */
    pair_start(&pair);
    for (int i = 0; i < 20; i++) {
        pair_dial(&pair);
        pair_run(&pair, NANOS_MILLISECOND);
        assert_true(stats_of(&pair, SERVER).handshakes_inbound <= 5);
    }
    assert_int_equal(stats_of(&pair, SERVER).handshakes_evicted, 15);
    pair_run(&pair, 30 * NANOS_SECOND);
    assert_int_equal(stats_of(&pair, SERVER).handshakes_inbound, 0);
    assert_int_equal(pair.sides[CLIENT].closed, 20);
    pair_done(&pair);
}

static void connections_are_bounded(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 13);
    pair.sides[SERVER].config.limits.admission.connections_inbound_max = 3;
    pair_start(&pair);
    for (int i = 0; i < 5; i++) {
        pair_dial(&pair);
        pair_run(&pair, 10 * NANOS_MILLISECOND);
    }
    assert_int_equal(pair.sides[SERVER].connected, 3);
    assert_int_equal(pair.sides[CLIENT].closed, 2);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_REFUSED);
    assert_int_equal(pair.sides[CLIENT].last_closed.code, QUIC_CODE_REFUSED);
    assert_non_null(strstr(pair.sides[CLIENT].closed_text, "too many connections"));
    assert_int_equal(stats_of(&pair, SERVER).refused, 2);
    pair_done(&pair);
}

static void connections_of_an_address(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 14);
    pair.sides[SERVER].config.limits.admission.connections_per_ip_max = 2;
    pair_start(&pair);
    for (int i = 0; i < 3; i++) {
        pair_dial(&pair);
        pair_run(&pair, 10 * NANOS_MILLISECOND);
    }
    assert_int_equal(pair.sides[SERVER].connected, 2);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_REFUSED);
    /* Another address is welcome. */
    pair.sides[CLIENT].address = pair_address("192.0.2.10", 4001);
    struct quic_conn *conn;
    assert_int_equal(quic_dial(pair.sides[CLIENT].endpoint, &pair.sides[SERVER].address,
                               &pair.sides[CLIENT].address, NULL, 0, pair.now, &conn),
                     0);
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[SERVER].connected, 3);
    pair_done(&pair);
}

/* An address that makes connections too fast has to prove itself, and then has its rate. */
static void rate_of_an_address(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 15);
    struct quic_limits *limits = &pair.sides[SERVER].config.limits;
    limits->admission.accepts_per_ip_burst = 3;
    limits->admission.accepts_per_ip_per_second = 1;
    pair_start(&pair);
    for (int i = 0; i < 8; i++) {
        pair_dial(&pair);
        pair_run(&pair, NANOS_MILLISECOND);
    }
    assert_int_equal(pair.sides[SERVER].connected, 6);
    assert_int_equal(stats_of(&pair, SERVER).retries_sent, 5);
    assert_int_equal(pair.sides[CLIENT].closed, 2);
    pair_run(&pair, 2 * NANOS_SECOND);
    pair_dial(&pair);
    pair_run(&pair, NANOS_MILLISECOND);
    assert_int_equal(pair.sides[SERVER].connected, 7);
    pair_done(&pair);
}

static void accepting_can_be_off(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 16);
    pair_start(&pair);
    quic_endpoint_accept(pair.sides[SERVER].endpoint, false);
    pair_dial(&pair);
    pair_run(&pair, 11 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_TIMEOUT);
    quic_endpoint_accept(pair.sides[SERVER].endpoint, true);
    pair_dial(&pair);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[SERVER].connected, 1);
    pair_done(&pair);
}

static void many_connections(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 17);
    struct quic_limits *limits = &pair.sides[SERVER].config.limits;
    limits->admission.connections_per_ip_max = 500;
    limits->admission.accepts_per_ip_burst = 500;
    limits->admission.handshakes_inbound_max = 500;
    pair_start(&pair);
    for (int i = 0; i < 300; i++) {
        pair_dial(&pair);
    }
    pair_run(&pair, 5 * NANOS_SECOND);
    assert_int_equal(pair.sides[SERVER].connected, 300);
    /* Most of it is ngtcp2's pools. */
    size_t one = stats_of(&pair, SERVER).state_bytes / 300;
    assert_true(one < 80000);
    quic_endpoint_close(pair.sides[SERVER].endpoint, 0, "good night", pair.now);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 300);
    assert_int_equal(pair.sides[SERVER].closed, 300);
    assert_int_equal(stats_of(&pair, SERVER).connections, 0);
    assert_int_equal(stats_of(&pair, SERVER).connections_inbound, 0);
    pair_dial(&pair); /* closed for good */
    pair_run(&pair, 11 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 301);
    pair_done(&pair);
}

/* What arrives for a connection that has ended is answered, ever more rarely. */
static void goodbye_is_repeated(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 18);
    pair.network.delay = 20 * NANOS_MILLISECOND;
    pair_start(&pair);
    pair_connect(&pair);
    pair.network.cut[SERVER] = true;
    quic_conn_close(pair.sides[SERVER].conn, 9, "bye", pair.now);
    pair_run(&pair, NANOS_MILLISECOND);
    pair.network.cut[SERVER] = false;
    assert_int_equal(pair.sides[SERVER].closed, 1);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    size_t accepted;
    assert_int_equal(quic_stream_write(stream, NULL, 0, 0, true, &accepted), 0);
    pair_run(&pair, 100 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.code, 9);
    assert_true(pair.sides[CLIENT].last_closed.is_application);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_CLOSED);
    pair_done(&pair);
}

static void idle_timeout(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 19);
    pair.sides[SERVER].config.idle_timeout = 10 * NANOS_SECOND; /* the smaller one counts */
    pair_start(&pair);
    pair_connect(&pair);
    pair_run(&pair, 8500 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_run(&pair, 2 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[SERVER].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_TIMEOUT);
    assert_true(pair_next(&pair) == NANOS_NEVER);
    pair_done(&pair);
}

static void keep_alive(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 20);
    pair_start(&pair);
    pair_connect(&pair);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, true);
    pair_run(&pair, 300 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    uint64_t sent = stats_of(&pair, CLIENT).packets_sent;
    assert_true(sent > 50 && sent < 100);
    quic_conn_keep_alive(pair.sides[CLIENT].conn, false);
    pair_run(&pair, 40 * NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    pair_done(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry),
        cmocka_unit_test(retry_under_load),
        cmocka_unit_test(forged_token),
        cmocka_unit_test(stolen_token),
        cmocka_unit_test(version_negotiation),
        cmocka_unit_test(no_common_version),
        cmocka_unit_test(stateless_reset),
        cmocka_unit_test(reset_with_other_secret),
        cmocka_unit_test(resets_end),
        cmocka_unit_test(garbage),
        cmocka_unit_test(truncated_initials),
        cmocka_unit_test(handshakes_are_bounded),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(connections_of_an_address),
        cmocka_unit_test(rate_of_an_address),
        cmocka_unit_test(accepting_can_be_off),
        cmocka_unit_test(many_connections),
        cmocka_unit_test(goodbye_is_repeated),
        cmocka_unit_test(idle_timeout),
        cmocka_unit_test(keep_alive),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
