/* A hundred machines in virtual time, some of them dead, slow or liars: what is stored is found all
 * the same, and soon. Delays are 5 to 50 ms one way, a dial to a dead node costs 5 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/sign.h"
#include "proto/kad/network_testing.h"

/* What must hold in bad company. */
struct expectation {
    size_t right_min;  /* of the closest honest servers, on average */
    nanos elapsed_max; /* of a whole lookup or an announcement */
    nanos found_max;   /* until a provider is found */
};

static void live_among(struct network *network, const struct expectation *expected) {
    enum { ROUNDS = 12 };
    size_t right = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t room[34];
        struct bytes key = network_random_key(network, room);
        size_t provider = network_random_node(network, HONEST);
        size_t seeker = network_random_node(network, HONEST);
        const struct network_result *result = network_provide(network, provider, key);
        assert_int_equal(result->done.status, 0);
        assert_true(result->done.count >= KAD_K / 2);
        assert_in_range(result->done.elapsed, 1, expected->elapsed_max);
        if (seeker != provider) {
            nanos before = network->now;
            result = network_find_providers(network, seeker, key, 1);
            assert_int_equal(result->done.status, 0);
            assert_true(network_has_found(result, &network->nodes[provider].id));
            assert_in_range(result->first_found - before, 0, expected->found_max);
        }
        result = network_find_closest(network, seeker, key);
        assert_int_equal(result->done.status, 0);
        assert_in_range(result->done.elapsed, 1, expected->elapsed_max);
        right += network_count_right(network, result, key, seeker);
    }
    assert_true(right >= expected->right_min * ROUNDS);
}

static void a_third_is_dead(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 90, 5);
    network_grow(&network, 90);
    /* Stored before they died. */
    uint8_t room[34];
    struct bytes key = network_random_key(&network, room);
    size_t provider = network_random_node(&network, HONEST);
    assert_int_equal(network_provide(&network, provider, key)->done.count, KAD_K);
    network.nodes[provider].behaviour = CLIENT; /* so that it stays */
    network_turn(&network, 30, DEAD);
    size_t seeker = network_random_node(&network, HONEST);
    nanos before = network.now;
    const struct network_result *result = network_find_providers(&network, seeker, key, 1);
    assert_int_equal(result->done.status, 0);
    assert_in_range(network.now - before, 0, NANOS_SECOND);
    const struct expectation expected = {
        .right_min = 16, .elapsed_max = 3 * NANOS_SECOND, .found_max = NANOS_SECOND};
    live_among(&network, &expected);
    /* Who was silent for long has been asked: the tables know the living alone. */
    network_run(&network, 70 * NANOS_MINUTE);
    size_t dead = 0;
    size_t all = 0;
    for (size_t i = 0; i < network.count; i++) {
        struct peer_id ids[KAD_K];
        if (network.nodes[i].behaviour != HONEST) {
            continue;
        }
        size_t count = kad_table_closest(network.nodes[i].kad, key, ids, KAD_K);
        for (size_t j = 0; j < count; j++) {
            dead += network.nodes[network_find(&network, &ids[j])].behaviour == DEAD;
        }
        all += count;
    }
    assert_true(all > 800 && dead * 50 < all);
    network_done(&network);
}

static void among(enum behaviour behaviour, uint8_t seed, const struct expectation *expected) {
    struct network network;
    network_init(&network, 70, seed);
    network_grow(&network, 70);
    network_turn(&network, 14, behaviour);
    live_among(&network, expected);
    network_done(&network);
}

static void a_fifth_refuses(void **state) {
    (void)state;
    among(REFUSED, 6,
          &(struct expectation){
              .right_min = 17, .elapsed_max = NANOS_SECOND, .found_max = 500 * NANOS_MILLISECOND});
}

static void a_fifth_is_slow(void **state) {
    (void)state;
    among(SLOW, 7,
          &(struct expectation){
              .right_min = 17, .elapsed_max = 3 * NANOS_SECOND, .found_max = NANOS_SECOND});
}

static void a_fifth_answers_garbage(void **state) {
    (void)state;
    among(GARBAGE, 8,
          &(struct expectation){
              .right_min = 17, .elapsed_max = NANOS_SECOND, .found_max = 500 * NANOS_MILLISECOND});
}

static void a_fifth_answers_too_much(void **state) {
    (void)state;
    among(HUGE, 9,
          &(struct expectation){
              .right_min = 17, .elapsed_max = NANOS_SECOND, .found_max = 500 * NANOS_MILLISECOND});
}

static void a_fifth_names_itself(void **state) {
    (void)state;
    among(SELFISH, 10,
          &(struct expectation){
              .right_min = 14, .elapsed_max = 2 * NANOS_SECOND, .found_max = NANOS_SECOND});
}

/* Those who do not exist are close to every key and silent when they are dialled. */
static void a_fifth_names_nobodies(void **state) {
    (void)state;
    among(BOGUS, 11,
          &(struct expectation){
              .right_min = 13, .elapsed_max = 4 * NANOS_SECOND, .found_max = 2 * NANOS_SECOND});
}

/* Forty identities made to be closest to one key, all in one network, who know only each other. */
static void an_eclipse_from_one_network_fails(void **state) {
    (void)state;
    struct network network;
    network_init(&network, 120, 12);
    network.public_addresses = true;
    uint8_t room[34];
    struct bytes key = network_random_key(&network, room);
    network.eclipsed = key;
    network_grow(&network, 80);
    for (int i = 0; i < 40; i++) {
        size_t node = network_add(&network, ECLIPSE, NULL, NULL);
        /* They present themselves to many. */
        for (int j = 0; j < 40; j++) {
            size_t victim = network_random_node(&network, HONEST);
            network_connect(&network, node, victim);
            network_drain(&network, victim);
        }
    }
    network_run(&network, 10 * NANOS_SECOND);
    for (int i = 0; i < 10; i++) {
        size_t provider = network_random_node(&network, HONEST);
        const struct network_result *result = network_provide(&network, provider, key);
        assert_true(result->done.count > KAD_K / 2);
        size_t seeker = network_random_node(&network, HONEST);
        result = network_find_providers(&network, seeker, key, 0);
        assert_true(seeker == provider || network_has_found(result, &network.nodes[provider].id));
        /* Of the closest at most three are theirs. */
        result = network_find_closest(&network, seeker, key);
        size_t theirs = 0;
        for (size_t j = 0; j < result->found_count; j++) {
            size_t node = network_find(&network, &result->found[j]);
            theirs += network.nodes[node].behaviour == ECLIPSE;
        }
        assert_true(theirs <= KAD_LOOKUP_PER_GROUP_MAX);
        assert_int_equal(result->found_count, KAD_K);
    }
    network_done(&network);
}

static int start_crypto(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_third_is_dead),
        cmocka_unit_test(a_fifth_refuses),
        cmocka_unit_test(a_fifth_is_slow),
        cmocka_unit_test(a_fifth_answers_garbage),
        cmocka_unit_test(a_fifth_answers_too_much),
        cmocka_unit_test(a_fifth_names_itself),
        cmocka_unit_test(a_fifth_names_nobodies),
        cmocka_unit_test(an_eclipse_from_one_network_fails),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
