/* Handshakes: whom one connects to, and whom not, and why. */
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
    assert_true(
        netaddr_equal(quic_conn_remote(pair.sides[SERVER].conn), &pair.sides[CLIENT].address));
    struct quic_conn_info info;
    quic_conn_info(pair.sides[CLIENT].conn, &info);
    assert_true(info.smoothed_rtt >= 200 * NANOS_MICROSECOND &&
                info.smoothed_rtt < 300 * NANOS_MICROSECOND);
    quic_conn_close(pair.sides[CLIENT].conn, 0, "done", pair.now);
    pair_run(&pair, NANOS_SECOND);
    assert_int_equal(pair.sides[CLIENT].closed, 1);
    assert_int_equal(pair.sides[SERVER].closed, 1);
    assert_int_equal(pair.sides[CLIENT].last_closed.error, 0);
    assert_int_equal(pair.sides[SERVER].last_closed.error, 0);
    assert_true(pair.sides[SERVER].last_closed.by_peer);
    assert_non_null(strstr(pair.sides[SERVER].closed_text, "done"));
    pair_done(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
