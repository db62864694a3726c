/* ping: echo and measurement at every split, wrong and unasked answers. */
#include "proto/ping/ping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "util/error.h"

static void there_and_back_at_every_split(void **state) {
    (void)state;
    static const uint8_t seed[32] = {7};
    struct random random;
    random_init(&random, seed);
    struct ping_server server = {0};
    struct ping_client client = {0};
    for (size_t split = 0; split <= PING_SIZE; split++) {
        struct bytes payload;
        assert_int_equal(ping_client_send(&client, &random, 1000, &payload), 0);
        assert_int_equal(ping_client_send(&client, &random, 1000, &payload), PLASM_STATE);
        size_t consumed;
        bool whole = ping_server_receive(&server, bytes_slice(payload, 0, split), &consumed);
        assert_true(whole == (split == PING_SIZE));
        if (!whole) {
            assert_true(
                ping_server_receive(&server, bytes_slice(payload, split, PING_SIZE), &consumed));
        }
        bool done = false;
        nanos rtt = 0;
        struct bytes echo = BYTES_ARRAY(server.bytes);
        assert_int_equal(
            ping_client_receive(&client, bytes_slice(echo, 0, split), 1500, &done, &rtt), 0);
        if (!done) {
            assert_int_equal(ping_client_receive(&client, bytes_slice(echo, split, PING_SIZE), 1500,
                                                 &done, &rtt),
                             0);
        }
        assert_true(done);
        assert_int_equal(rtt, 500);
    }
}

static void server_takes_one_ping_at_a_time(void **state) {
    (void)state;
    uint8_t two[2 * PING_SIZE];
    memset(two, 1, PING_SIZE);
    memset(two + PING_SIZE, 2, PING_SIZE);
    struct ping_server server = {0};
    size_t consumed;
    assert_true(ping_server_receive(&server, BYTES_ARRAY(two), &consumed));
    assert_int_equal(consumed, PING_SIZE);
    assert_int_equal(server.bytes[0], 1);
    assert_true(
        ping_server_receive(&server, bytes_of(two + consumed, sizeof(two) - consumed), &consumed));
    assert_int_equal(server.bytes[31], 2);
}

static void client_refuses_wrong_answers(void **state) {
    (void)state;
    static const uint8_t seed[32] = {7};
    struct random random;
    random_init(&random, seed);
    struct ping_client client = {0};
    bool done;
    nanos rtt;
    assert_int_equal(ping_client_receive(&client, BYTES_LITERAL("x"), 1, &done, &rtt),
                     PLASM_MALFORMED);
    struct bytes payload;
    assert_int_equal(ping_client_send(&client, &random, 1, &payload), 0);
    uint8_t wrong[PING_SIZE + 1] = {0};
    memcpy(wrong, payload.data, PING_SIZE);
    assert_int_equal(ping_client_receive(&client, BYTES_ARRAY(wrong), 1, &done, &rtt),
                     PLASM_MALFORMED);
    wrong[PING_SIZE - 1] ^= 1;
    assert_int_equal(ping_client_receive(&client, bytes_of(wrong, PING_SIZE), 1, &done, &rtt),
                     PLASM_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_at_every_split),
        cmocka_unit_test(server_takes_one_ping_at_a_time),
        cmocka_unit_test(client_refuses_wrong_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
