/* Handshakes: whom one connects to, and whom not, and why. */
#include "proto/quic/internal.h"
#include "proto/quic/pair_testing.h"

static void both_ways(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 1);
    pair_start(&pair);
    pair_connect(&pair);
    assert_true(peer_id_equal(&pair.sides[CLIENT].peer, &pair.sides[SERVER].id));
    assert_true(peer_id_equal(&pair.sides[SERVER].peer, &pair.sides[CLIENT].id));
    assert_false(quic_conn_inbound(pair.sides[CLIENT].conn));
    assert_true(quic_conn_inbound(pair.sides[SERVER].conn));
    assert_ptr_equal(quic_conn_endpoint(pair.sides[SERVER].conn), pair.sides[SERVER].endpoint);
    assert_true(
        netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &pair.sides[CLIENT].address));
    assert_true(
        netaddr_equal(quic_conn_local(pair.sides[SERVER].conn), &pair.sides[SERVER].address));
    struct quic_conn_info info;
    quic_conn_info(pair.sides[CLIENT].conn, &info);
    assert_true(info.smoothed_rtt >= 200 * NANOS_MICROSECOND &&
                info.smoothed_rtt < 300 * NANOS_MICROSECOND);
    assert_int_equal(quic_connections_of(pair.sides[SERVER].endpoint, &pair.sides[CLIENT].address),
                     1);
    quic_conn_close(pair.sides[CLIENT].conn, 0, "done", pair.now);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[SERVER].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, 0);
    assert_int_equal(pair.sides[SERVER].last_closed.error, 0);
    assert_true(pair.sides[SERVER].last_closed.by_peer);
    assert_false(pair.sides[CLIENT].last_closed.by_peer);
    assert_non_null(strstr(pair.sides[SERVER].closed_text, "done"));
    assert_int_equal(quic_connections_of(pair.sides[SERVER].endpoint, &pair.sides[CLIENT].address),
                     0);
    /* Nothing lingers for ever. */
    assert_true(pair_next(&pair) == NANOS_NEVER);
    pair_done(&pair);
}

/* The handshake takes one round trip for the client, and data may come with its last flight. */
static void takes_one_round_trip(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 2);
    pair.network.delay = 50 * NANOS_MILLISECOND;
    pair_start(&pair);
    pair_dial(&pair);
    pair_run(&pair, 100 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 1);
    assert_int_equal(pair.sides[SERVER].connected, 0);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), 0);
    pair_run(&pair, 50 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[SERVER].connected, 1);
    pair_done(&pair);
}

static void anybody_will_do(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 3);
    pair_start(&pair);
    assert_int_equal(pair_try_dial(&pair, NULL), 0);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 1);
    assert_true(peer_id_equal(&pair.sides[CLIENT].peer, &pair.sides[SERVER].id));
    pair_done(&pair);
}

/* No stream and no event of a connection before it is connected. */
static void not_connected_yet(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 4);
    pair_start(&pair);
    pair_dial(&pair);
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), PLASM_STATE);
    assert_int_equal(
        quic_conn_migrate(pair.sides[CLIENT].conn, &pair.sides[CLIENT].address, pair.now),
        PLASM_STATE);
    quic_conn_close(pair.sides[CLIENT].conn, 5, "changed my mind", pair.now);
    assert_int_equal(quic_stream_open(pair.sides[CLIENT].conn, &stream), PLASM_CLOSED);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 0);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_CLOSED);
    assert_int_equal(pair.sides[SERVER].closed, 0); /* never heard of it */
    pair_done(&pair);
}

static void wrong_peer(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 5);
    pair_start(&pair);
    assert_int_equal(pair_try_dial(&pair, &pair.sides[CLIENT].id), 0);
    pair_run(&pair, NANOS_SECOND);
    const struct pair_side *client = &pair.sides[CLIENT];
    assert_int_equal(client->connected, 0);
    assert_int_equal(client->closed, 1);
    assert_int_equal(client->last_closed.error, PLASM_UNTRUSTED);
    assert_int_equal(client->last_closed.code, 0x12a);
    char text[PEER_ID_TEXT_MAX];
    peer_id_format(&pair.sides[SERVER].id, text);
    assert_non_null(strstr(client->closed_text, text));
    assert_int_equal(pair.sides[SERVER].connected, 0);
    struct quic_stats stats;
    quic_stats(pair.sides[SERVER].endpoint, &stats);
    assert_int_equal(stats.handshakes_failed, 1);
    assert_int_equal(stats.connections, 0);
    pair_done(&pair);
}

/* One side with a certificate that does not hold: who is told what. */
static const struct {
    struct testing_certificate options;
    int error;
    uint64_t code;
} bad_certificates[] = {
    {{.valid_to = TESTING_UNIX_SECONDS - 10}, PLASM_EXPIRED, 0x12d},
    {{.valid_from = TESTING_UNIX_SECONDS + 10}, PLASM_EXPIRED, 0x12d},
    {{.no_binding = true}, PLASM_MALFORMED, 0x12a},
    {{.bad_binding = true}, PLASM_UNTRUSTED, 0x12a},
    {{.other_critical = true}, PLASM_UNSUPPORTED, 0x12b},
};

static void bad_server_certificates(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_certificates); i++) {
        struct pair pair;
        pair_init(&pair, 6);
        testing_pack_certificate(&bad_certificates[i].options, &pair.sides[SERVER].secret,
                                 &pair.sides[SERVER].certificate);
        pair_start(&pair);
        pair_dial(&pair);
        pair_run(&pair, NANOS_SECOND);
        const struct pair_side *client = &pair.sides[CLIENT];
        assert_int_equal(client->connected + pair.sides[SERVER].connected, 0);
        assert_int_equal(client->closed, 1);
        assert_int_equal(client->last_closed.error, bad_certificates[i].error);
        assert_int_equal(client->last_closed.code, bad_certificates[i].code);
        assert_false(client->last_closed.by_peer);
        pair_done(&pair);
    }
}

/* The client has finished before the server judges: it is connected, and then refused. */
static void bad_client_certificates(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_certificates); i++) {
        struct pair pair;
        pair_init(&pair, 7);
        testing_pack_certificate(&bad_certificates[i].options, &pair.sides[CLIENT].secret,
                                 &pair.sides[CLIENT].certificate);
        pair_start(&pair);
        pair_dial(&pair);
        pair_run(&pair, NANOS_SECOND);
        const struct pair_side *client = &pair.sides[CLIENT];
        assert_int_equal(pair.sides[SERVER].connected, 0);
        assert_int_equal(pair.sides[SERVER].closed, 0);
        assert_int_equal(client->closed, 1);
        assert_int_equal(client->last_closed.error, PLASM_REFUSED);
        assert_int_equal(client->last_closed.code, bad_certificates[i].code);
        assert_true(client->last_closed.by_peer);
        assert_false(client->last_closed.is_application);
        pair_done(&pair);
    }
}

static void no_client_certificate(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 8);
    pair_start(&pair);
    gnutls_certificate_free_keys(pair.sides[CLIENT].endpoint->credentials);
    pair_dial(&pair);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_REFUSED);
    assert_int_equal(pair.sides[CLIENT].last_closed.code, 0x174);
    assert_int_equal(pair.sides[SERVER].connected, 0);
    struct quic_stats stats;
    quic_stats(pair.sides[SERVER].endpoint, &stats);
    assert_int_equal(stats.handshakes_failed, 1);
    pair_done(&pair);
}

static void other_protocol(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 9);
    pair.sides[CLIENT].config.alpn = "h3";
    pair_start(&pair);
    pair_dial(&pair);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].connected + pair.sides[SERVER].connected, 0);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_UNSUPPORTED);
    assert_int_equal(pair.sides[CLIENT].last_closed.code, 0x178);
    assert_true(pair.sides[CLIENT].last_closed.by_peer);
    pair_done(&pair);
}

/* RSA and other identities and TLS keys are fine. */
static void other_certificates(void **state) {
    (void)state;
    static const struct testing_certificate kinds[] = {
        {.critical = true, .key_usage = true},
        {.key_type = GNUTLS_PK_EDDSA_ED25519, .bits = 256, .digest = GNUTLS_DIG_SHA512},
        {.valid_to = INT64_C(67090118400)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (int side = 0; side < 2; side++) {
            struct pair pair;
            pair_init(&pair, 10);
            testing_pack_certificate(&kinds[i], &pair.sides[side].secret,
                                     &pair.sides[side].certificate);
            pair_start(&pair);
            pair_connect(&pair);
            pair_done(&pair);
        }
    }
}

static void dial_arguments(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 11);
    pair_start(&pair);
    struct quic_endpoint *endpoint = pair.sides[CLIENT].endpoint;
    struct quic_conn *conn = NULL;
    struct netaddr remote = pair_address("2001:db8::1", 4001); /* the other family */
    assert_int_equal(quic_dial(endpoint, &remote, NULL, NULL, 0, pair.now, &conn), PLASM_INVALID);
    remote = pair_address("192.0.2.9", 0);
    assert_int_equal(quic_dial(endpoint, &remote, NULL, NULL, 0, pair.now, &conn), PLASM_INVALID);
    remote = pair_address("0.0.0.0", 4001);
    assert_int_equal(quic_dial(endpoint, &remote, NULL, NULL, 0, pair.now, &conn), PLASM_INVALID);
    remote = (struct netaddr){0};
    assert_int_equal(quic_dial(endpoint, &remote, NULL, NULL, 0, pair.now, &conn), PLASM_INVALID);
    assert_null(conn);
    pair_done(&pair);
}

static void bad_configurations(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 12);
    struct quic_config config = pair.sides[CLIENT].config;
    struct quic_endpoint *endpoint;
    config.idle_timeout = 0;
    assert_int_equal(quic_endpoint_new(&config, &endpoint), PLASM_INVALID);
    config = pair.sides[CLIENT].config;
    config.local.family = NETADDR_NONE;
    assert_int_equal(quic_endpoint_new(&config, &endpoint), PLASM_INVALID);
    config = pair.sides[CLIENT].config;
    struct certificate garbage = {.der_size = 100, .key_der_size = 100};
    config.certificate = &garbage;
    assert_int_equal(quic_endpoint_new(&config, &endpoint), PLASM_FAILED);
    quic_endpoint_free(NULL);
    pair_start(&pair);
    pair_done(&pair);
}

/* First flights get lost: the handshake ends well all the same, soon. */
static void lost_flights(void **state) {
    (void)state;
    for (uint8_t seed = 0; seed < 20; seed++) {
        struct pair pair;
        pair_init(&pair, seed);
        pair.network.delay = 20 * NANOS_MILLISECOND;
        pair.network.loss_percent = 30;
        pair_start(&pair);
        pair_dial(&pair);
        pair_run(&pair, 9 * NANOS_SECOND);
        assert_int_equal(pair.sides[CLIENT].connected, 1);
        assert_int_equal(pair.sides[SERVER].connected, 1);
        pair_done(&pair);
    }
}

static void nobody_answers(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 13);
    pair.network.cut[SERVER] = true;
    pair_start(&pair);
    pair_dial(&pair);
    pair_run(&pair, 9900 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 0);
    pair_run(&pair, 200 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_TIMEOUT);
    assert_string_equal(pair.sides[CLIENT].closed_text, "no answer");
    pair_done(&pair);
}

static void unreachable(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 14);
    pair_start(&pair);
    pair_connect(&pair);
    /* What is connected does not believe it. */
    struct netaddr *server = &pair.sides[SERVER].address;
    quic_unreachable(pair.sides[CLIENT].endpoint, server, pair.now);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 0);
    pair.network.cut[SERVER] = true;
    pair_dial(&pair);
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    struct netaddr other = pair_address("192.0.2.77", 4002);
    quic_unreachable(pair.sides[CLIENT].endpoint, &other, pair.now);
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 0);
    quic_unreachable(pair.sides[CLIENT].endpoint, server, pair.now);
    pair_run(&pair, 10 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, PLASM_UNREACHABLE);
    pair_done(&pair);
}

/* A ClientHello of two datagrams, as go and rust send, and a server that asks for another key
 * share: an FFDHE key share of 1024 bytes makes both. */
static gnutls_priority_t large_hello(struct quic_endpoint *endpoint) {
    gnutls_priority_t own = endpoint->priority;
    assert_int_equal(gnutls_priority_init(&endpoint->priority,
                                          "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:"
                                          "+GROUP-FFDHE8192:+GROUP-X25519:"
                                          "%DISABLE_TLS13_COMPAT_MODE",
                                          NULL),
                     0);
    return own;
}

static void drop_priority(struct quic_endpoint *endpoint, gnutls_priority_t own) {
    gnutls_priority_deinit(endpoint->priority);
    endpoint->priority = own;
}

static void hello_of_two_datagrams(void **state) {
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        struct pair pair;
        pair_init(&pair, 15);
        pair.sides[SERVER].config.always_retry = retry == 1;
        pair_start(&pair);
        gnutls_priority_t own = large_hello(pair.sides[CLIENT].endpoint);
        uint64_t before = pair.sent_datagrams;
        pair_dial(&pair);
        pair_flush(&pair);
        struct quic_stats stats;
        quic_stats(pair.sides[CLIENT].endpoint, &stats);
        assert_int_equal(stats.packets_sent, 2);
        assert_true(pair.sent_datagrams > before);
        pair_run(&pair, NANOS_SECOND);
        assert_int_equal(pair.sides[CLIENT].connected, 1);
        assert_int_equal(pair.sides[SERVER].connected, 1);
        /* Datagrams that come at once are answered once. */
        quic_stats(pair.sides[SERVER].endpoint, &stats);
        assert_int_equal(stats.retries_sent, retry);
        drop_priority(pair.sides[CLIENT].endpoint, own);
        pair_done(&pair);
    }
}

static unsigned held_back;

static bool hold_first_back(struct pair *pair, int from, struct quic_datagram *datagram) {
    if (from == CLIENT && held_back++ == 0) {
        pair_enqueue(pair, SERVER, datagram, pair->now + 2 * pair->network.delay);
        return false;
    }
    return true;
}

/* The second datagram comes first: nothing is kept of it for an address that is not proven, but it
 * is answered. */
static void hello_in_wrong_order(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 16);
    pair.network.delay = NANOS_MILLISECOND;
    pair.filter = hold_first_back;
    held_back = 0;
    pair_start(&pair);
    gnutls_priority_t own = large_hello(pair.sides[CLIENT].endpoint);
    pair_dial(&pair);
    pair_run(&pair, 20 * NANOS_MILLISECOND);
    assert_int_equal(pair.sides[CLIENT].connected, 1);
    assert_int_equal(pair.sides[SERVER].connected, 1);
    struct quic_stats stats;
    quic_stats(pair.sides[SERVER].endpoint, &stats);
    assert_int_equal(stats.retries_sent, 2);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.handshakes_failed, 0);
    drop_priority(pair.sides[CLIENT].endpoint, own);
    pair_done(&pair);
}

static void send_some(struct pair *pair, int side) {
    struct quic_stream *stream;
    assert_int_equal(quic_stream_open(pair->sides[side].conn, &stream), 0);
    struct block *block = pair_block(pair, side, 0, 5000);
    size_t accepted;
    assert_int_equal(quic_stream_write(stream, block, 0, 5000, false, &accepted), 0);
    block_unref(block);
    pair_run(pair, 100 * NANOS_MILLISECOND);
    assert_int_equal(quic_stream_unacknowledged(stream), 0);
}

/* Keys change while the connection lives; the TLS session is long gone then. */
static void key_update(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, 17);
    pair_start(&pair);
    pair_connect(&pair);
    assert_null(pair.sides[CLIENT].conn->session);
    assert_null(pair.sides[SERVER].conn->session);
    for (int i = 0; i < 6; i++) {
        send_some(&pair, CLIENT);
        struct quic_conn *conn = pair.sides[i % 2].conn;
        assert_int_equal(ngtcp2_conn_initiate_key_update(conn->ngtcp2, pair.now), 0);
        /* An update is over when both have acknowledged a packet under the new keys. */
        send_some(&pair, CLIENT);
        send_some(&pair, SERVER);
        pair_run(&pair, NANOS_SECOND);
    }
    assert_int_equal(pair.sides[CLIENT].closed + pair.sides[SERVER].closed, 0);
    pair_done(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(takes_one_round_trip),
        cmocka_unit_test(anybody_will_do),
        cmocka_unit_test(not_connected_yet),
        cmocka_unit_test(wrong_peer),
        cmocka_unit_test(bad_server_certificates),
        cmocka_unit_test(bad_client_certificates),
        cmocka_unit_test(no_client_certificate),
        cmocka_unit_test(other_protocol),
        cmocka_unit_test(other_certificates),
        cmocka_unit_test(dial_arguments),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(lost_flights),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(unreachable),
        cmocka_unit_test(hello_of_two_datagrams),
        cmocka_unit_test(hello_in_wrong_order),
        cmocka_unit_test(key_update),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
