/* Hundreds of machines in virtual time: what is stored is found, among the dead, the slow and
 * liars. Times are virtual; delays are 5 to 50 ms one way, a dial to a dead node costs 5 s. */
#include "proto/kad/network_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/sign.h"

static void the_closest_are_found_exactly(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 150, 1);
    network_grow(&network, 150);
    /* All have come within seconds. In two intervals, give or take, each has looked around again.
     */
    network_run(&network, 2 * network.limits.refresh_interval + NANOS_MINUTE);
    for (int i = 0; i < 30; i++) {
        uint8_t room[34];
        struct bytes key = network_random_key(&network, room);
        size_t node = network_random_node(&network, HONEST);
        const struct network_result *result = network_find_closest(&network, node, key);
        assert_int_equal(result->done.status, 0);
        assert_int_equal(result->found_count, KAD_K);
        assert_int_equal(network_count_right(&network, result, key, node), KAD_K);
        assert_in_range(result->done.asked, KAD_K, 60);
        assert_in_range(result->done.elapsed, 1, NANOS_SECOND);
    }
    network_done(&network);
}

static void what_is_provided_is_found_from_everywhere(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 110, 2);
    network_grow(&network, 100);
    for (int i = 0; i < 10; i++) {
        network_add(&network, CLIENT, NULL, NULL);
        network_join(&network, 100 + (size_t)i, network_random_node(&network, HONEST));
    }
    for (int i = 0; i < 20; i++) {
        uint8_t room[34];
        struct bytes key = network_random_key(&network, room);
        /* Clients provide as well: they only do not answer. */
        size_t provider = network_random_node(&network, i % 2 == 0 ? HONEST : CLIENT);
        const struct network_result *result = network_provide(&network, provider, key);
        assert_int_equal(result->done.status, 0);
        assert_int_equal(result->done.count, KAD_K);
        for (int j = 0; j < 3; j++) {
            size_t seeker = network_random_node(&network, j == 0 ? CLIENT : HONEST);
            if (seeker == provider) {
                continue;
            }
            nanos before = network.now;
            result = network_find_providers(&network, seeker, key, 1);
            assert_int_equal(result->done.status, 0);
            assert_true(network_has_found(result, &network.nodes[provider].id));
            assert_in_range(result->first_found - before, 0, 500 * NANOS_MILLISECOND);
        }
        /* Nobody provides another key. */
        uint8_t other[34];
        result = network_find_providers(&network, network_random_node(&network, HONEST),
                                        network_random_key(&network, other), 0);
        assert_int_equal(result->done.status, PLASM_NOT_FOUND);
        assert_true(result->done.answered >= KAD_K);
    }
    network_done(&network);
}

/* The guide's case: a handful of nodes, of which one knows one other. */
static void a_small_network_works_as_well(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 4, 3);
    network_grow(&network, 3);
    uint8_t room[34];
    struct bytes key = network_random_key(&network, room);
    for (size_t i = 0; i < 3; i++) {
        const struct network_result *result = network_provide(&network, i, key);
        assert_int_equal(result->done.status, 0);
        assert_int_equal(result->done.count, 2);
    }
    size_t client = network_add(&network, CLIENT, NULL, NULL);
    network_connect(&network, client, 0);
    const struct network_result *result = network_find_providers(&network, client, key, 0);
    assert_int_equal(result->done.status, 0);
    assert_int_equal(result->found_count, 3);
    network_done(&network);
}

static void peers_and_values_are_found(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 80, 4);
    network_grow(&network, 80);
    for (int i = 0; i < 20; i++) {
        size_t seeker = network_random_node(&network, HONEST);
        size_t sought = network_random_node(&network, HONEST);
        if (seeker == sought) {
            continue;
        }
        uint64_t operation;
        assert_int_equal(kad_find_peer(network.nodes[seeker].kad, &network.nodes[sought].id, NULL,
                                       network.now, &operation),
                         0);
        const struct network_result *result = network_finish(&network, seeker, operation);
        assert_int_equal(result->done.status, 0);
        assert_true(network_has_found(result, &network.nodes[sought].id));
    }
    for (uint8_t i = 0; i < 10; i++) {
        uint8_t raw[ED25519_PUBLIC_SIZE] = {i};
        struct public_key public_key;
        struct peer_id id;
        public_key_from_ed25519(raw, &public_key);
        peer_id_from_key(&public_key, &id);
        uint8_t value_room[64];
        uint8_t key_room[64];
        struct writer value = writer_of((struct span){value_room, sizeof(value_room)});
        public_key_encode(&public_key, &value);
        struct writer key = writer_of((struct span){key_room, sizeof(key_room)});
        writer_bytes_put(&key, BYTES_LITERAL("/pk/"));
        writer_bytes_put(&key, peer_id_bytes(&id));
        size_t writer = network_random_node(&network, HONEST);
        uint64_t operation;
        assert_int_equal(kad_put_value(network.nodes[writer].kad, writer_bytes(&key),
                                       writer_bytes(&value), NULL, network.now, &operation),
                         0);
        const struct network_result *result = network_finish(&network, writer, operation);
        assert_int_equal(result->done.count, KAD_K);
        size_t reader = network_random_node(&network, HONEST);
        assert_int_equal(kad_get_value(network.nodes[reader].kad, writer_bytes(&key), NULL,
                                       network.now, &operation),
                         0);
        result = network_finish(&network, reader, operation);
        assert_int_equal(result->done.status, 0);
        assert_true(bytes_equal(bytes_of(result->value, result->value_size), writer_bytes(&value)));
    }
    network_done(&network);
}

static struct sha256_digest trace_of_a_run(uint8_t seed) {
    struct network network;
    network_init(&network, 40, seed);
    network_grow(&network, 40);
    network_turn(&network, 10, DEAD);
    uint8_t room[34];
    struct bytes key = network_random_key(&network, room);
    (void)network_provide(&network, network_random_node(&network, HONEST), key);
    (void)network_find_providers(&network, network_random_node(&network, HONEST), key, 0);
    network_run(&network, 15 * NANOS_MINUTE);
    struct sha256_digest trace = hash_digest(network.trace);
    network_done(&network);
    return trace;
}

static void the_same_seed_is_the_same_run(void **state) {
    (void)state;
    struct sha256_digest first = trace_of_a_run(13);
    struct sha256_digest second = trace_of_a_run(13);
    struct sha256_digest other = trace_of_a_run(14);
    assert_true(sha256_equal(&first, &second));
    assert_false(sha256_equal(&first, &other));
}

static void a_node_stays_small(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 80, 15);
    network_grow(&network, 80);
    network_run(&network, 15 * NANOS_MINUTE);
    for (size_t i = 0; i < network.count; i++) {
        assert_in_range(network.nodes[i].memory.used, 1000, 48 * 1024);
        struct kad_counts counts;
        kad_count(network.nodes[i].kad, &counts);
        assert_true(counts.table_peers > KAD_K);
        assert_true(counts.operations <= 1);
    }
    network_done(&network);
}

static int start_crypto(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_closest_are_found_exactly),
        cmocka_unit_test(what_is_provided_is_found_from_everywhere),
        cmocka_unit_test(a_small_network_works_as_well),
        cmocka_unit_test(peers_and_values_are_found),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(a_node_stays_small),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
