/* perf: every split of the header, what ends too early, comes too late or is too much. */
#include "proto/perf/perf.h"

#include "util/testing.h"

static void header_at_every_split(void **state) {
    (void)state;
    /* 0x0102030405060708 bytes wanted, three sent. */
    static const uint8_t input[] = {1, 2, 3, 4, 5, 6, 7, 8, 'a', 'b', 'c'};
    for (size_t split = 0; split <= sizeof(input); split++) {
        struct perf_server server = {0};
        assert_int_equal(perf_server_receive(&server, bytes_of(input, split), false), 0);
        assert_false(server.ended);
        assert_int_equal(
            perf_server_receive(&server, bytes_of(input + split, sizeof(input) - split), true), 0);
        assert_true(server.ended);
        assert_true(server.unsent == 0x0102030405060708);
        assert_int_equal(server.received, 3);
        assert_int_equal(perf_server_receive(&server, bytes_of(input, 1), false), PLASM_STATE);
    }
    for (size_t size = 0; size < PERF_HEADER_SIZE; size++) {
        struct perf_server server = {0};
        assert_int_equal(perf_server_receive(&server, bytes_of(input, size), true),
                         PLASM_TRUNCATED);
    }
}

static void both_ends_agree(void **state) {
    (void)state;
    struct perf_client client;
    struct perf_server server = {0};
    perf_client_init(&client, 5, 7, 100);
    assert_int_equal(perf_server_receive(&server, BYTES_ARRAY(client.header), false), 0);
    assert_int_equal(perf_server_receive(&server, BYTES_LITERAL("hello"), true), 0);
    client.unsent = 0;
    perf_client_sent(&client);
    assert_int_equal(server.unsent, 7);
    bool done = true;
    assert_int_equal(perf_client_receive(&client, BYTES_LITERAL("goo"), false, 150, &done), 0);
    assert_false(done);
    assert_int_equal(perf_client_receive(&client, BYTES_LITERAL("dbye"), true, 190, &done), 0);
    assert_true(done);
    assert_int_equal(client.uploaded - client.started, 50);
    assert_int_equal(client.ended - client.uploaded, 40);
}

static void nothing_either_way(void **state) {
    (void)state;
    struct perf_client client;
    bool done = false;
    perf_client_init(&client, 0, 0, 1);
    perf_client_sent(&client);
    assert_int_equal(perf_client_receive(&client, bytes_of(NULL, 0), true, 4, &done), 0);
    assert_true(done);
    assert_int_equal(client.uploaded, 4);
}

static void wrong_answers(void **state) {
    (void)state;
    bool done = false;
    struct perf_client client;
    perf_client_init(&client, 1, 2, 1);
    assert_int_equal(perf_client_receive(&client, BYTES_LITERAL("a"), false, 2, &done),
                     PLASM_MALFORMED); /* before we have ended */
    perf_client_init(&client, 1, 2, 1);
    assert_int_equal(perf_client_receive(&client, bytes_of(NULL, 0), true, 2, &done),
                     PLASM_TRUNCATED);
    perf_client_init(&client, 0, 2, 1);
    perf_client_sent(&client);
    assert_int_equal(perf_client_receive(&client, BYTES_LITERAL("abc"), false, 2, &done),
                     PLASM_MALFORMED); /* too much */
    assert_int_equal(perf_client_receive(&client, BYTES_LITERAL("a"), true, 2, &done),
                     PLASM_TRUNCATED);
    assert_false(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_at_every_split),
        cmocka_unit_test(both_ends_agree),
        cmocka_unit_test(nothing_either_way),
        cmocka_unit_test(wrong_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
