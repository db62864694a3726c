/* The provider store: its bounds, whom it gives out, what expires. */
#include "proto/kad/providers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kad/distance.h"
#include "proto/kad/kad_testing.h"

struct fixture {
    struct memory memory;
    struct random random;
    struct kad_limits limits;
    struct sha256_digest own;
    struct providers providers;
};

static void setup_with(struct fixture *fixture, struct memory *memory) {
    memory_init(&fixture->memory, SIZE_MAX);
    testing_random(&fixture->random, 1);
    kad_limits_default(&fixture->limits);
    fixture->own = sha256(BYTES_LITERAL("own"));
    const uint64_t secret[2] = {1, 2};
    providers_init(&fixture->providers, memory != NULL ? memory : &fixture->memory,
                   &fixture->limits, &fixture->own, secret);
}

static void setup(struct fixture *fixture) {
    setup_with(fixture, NULL);
}

static void teardown(struct fixture *fixture) {
    providers_done(&fixture->providers);
    assert_int_equal(fixture->memory.used, 0);
}

static int add_at(struct fixture *fixture, struct bytes key, const struct peer_id *peer, uint8_t a,
                  uint8_t b, nanos now) {
    struct kad_addresses addresses = testing_address(peer, a, b, 0, 1);
    struct kad_groups groups = kad_groups_of(NULL, kad_addresses_bytes(&addresses));
    return providers_add(&fixture->providers, key, peer, &groups, kad_addresses_bytes(&addresses),
                         now);
}

static int add(struct fixture *fixture, struct bytes key, const struct peer_id *peer, nanos now) {
    return add_at(fixture, key, peer, 10, 0, now);
}

static size_t get(struct fixture *fixture, struct bytes key, nanos now,
                  struct provider_view *ret_views) {
    return providers_get(&fixture->providers, key, NULL, &fixture->random, now, ret_views,
                         KAD_PROVIDERS_ANSWERED_MAX);
}

static const struct bytes key_a = {.data = (const uint8_t *)"key a", .size = 5};
static const struct bytes key_b = {.data = (const uint8_t *)"key b", .size = 5};

static void what_goes_in_comes_out(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    struct peer_id peers[2] = {testing_peer(&fixture.random), testing_peer(&fixture.random)};
    struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
    assert_int_equal(get(&fixture, key_a, 0, views), 0);
    assert_int_equal(add(&fixture, key_a, &peers[0], 0), 0);
    assert_int_equal(add(&fixture, key_a, &peers[0], 0), 0); /* once more is no second record */
    assert_int_equal(add(&fixture, key_b, &peers[0], 0), 0);
    assert_int_equal(add(&fixture, key_b, &peers[1], 0), 0);
    assert_int_equal(fixture.providers.records, 3);
    assert_int_equal(get(&fixture, key_a, 1, views), 1);
    assert_true(peer_id_equal(views[0].peer, &peers[0]));
    struct kad_addresses addresses = testing_address(&peers[0], 10, 0, 0, 1);
    assert_true(bytes_equal(views[0].addresses, kad_addresses_bytes(&addresses)));
    assert_int_equal(get(&fixture, key_b, 1, views), 2);
    assert_int_equal(providers_get(&fixture.providers, key_b, &peers[1], &fixture.random, 1, views,
                                   KAD_PROVIDERS_ANSWERED_MAX),
                     1);
    assert_true(peer_id_equal(views[0].peer, &peers[0]));
    /* New addresses count for all keys of the peer. */
    assert_int_equal(add_at(&fixture, key_b, &peers[0], 192, 9, 2), 0);
    assert_int_equal(get(&fixture, key_a, 3, views), 1);
    addresses = testing_address(&peers[0], 192, 9, 0, 1);
    assert_true(bytes_equal(views[0].addresses, kad_addresses_bytes(&addresses)));
    teardown(&fixture);
}

static void records_expire_unless_renewed(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    struct peer_id peers[2] = {testing_peer(&fixture.random), testing_peer(&fixture.random)};
    struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
    nanos life = fixture.limits.provider_life;
    assert_int_equal(add(&fixture, key_a, &peers[0], 0), 0);
    assert_int_equal(add(&fixture, key_a, &peers[1], 0), 0);
    assert_int_equal(add(&fixture, key_b, &peers[1], 0), 0);
    assert_int_equal(add(&fixture, key_a, &peers[0], life / 2), 0);
    assert_int_equal(get(&fixture, key_a, life - 1, views), 2);
    assert_int_equal(get(&fixture, key_a, life, views), 1);
    assert_true(peer_id_equal(views[0].peer, &peers[0]));
    providers_sweep(&fixture.providers, life);
    assert_int_equal(fixture.providers.records, 1);
    assert_int_equal(fixture.providers.keys.size, 1);
    assert_int_equal(fixture.providers.peers.size, 1);
    assert_int_equal(get(&fixture, key_a, life + life / 2, views), 0);
    providers_sweep(&fixture.providers, life + life / 2);
    assert_int_equal(fixture.providers.records, 0);
    assert_int_equal(fixture.providers.bytes, 0);
    teardown(&fixture);
}

static void a_hot_key_answers_with_a_random_few(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    enum { PROVIDERS = 100, ROUNDS = 1000 };
    struct peer_id peers[PROVIDERS];
    size_t times[PROVIDERS] = {0};
    size_t times_first[PROVIDERS] = {0};
    for (size_t i = 0; i < PROVIDERS; i++) {
        peers[i] = testing_peer(&fixture.random);
        assert_int_equal(add(&fixture, key_a, &peers[i], 0), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
        assert_int_equal(get(&fixture, key_a, 1, views), KAD_PROVIDERS_ANSWERED_MAX);
        for (size_t i = 0; i < PROVIDERS; i++) {
            size_t named = 0;
            for (size_t j = 0; j < KAD_PROVIDERS_ANSWERED_MAX; j++) {
                named += peer_id_equal(views[j].peer, &peers[i]);
            }
            assert_true(named <= 1);
            times[i] += named;
            times_first[i] += peer_id_equal(views[0].peer, &peers[i]);
        }
    }
    /* Expected 200 times of 1,000, and 10 times first; six standard deviations are 76 and 19. */
    for (size_t i = 0; i < PROVIDERS; i++) {
        assert_in_range(times[i], 124, 276);
        assert_true(times_first[i] <= 29);
    }
    teardown(&fixture);
}

static void a_key_has_so_many_places(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    struct peer_id first = testing_peer(&fixture.random);
    assert_int_equal(add(&fixture, key_a, &first, 0), 0);
    for (size_t i = 1; i < fixture.limits.providers_per_key_max; i++) {
        struct peer_id peer = testing_peer(&fixture.random);
        assert_int_equal(add(&fixture, key_a, &peer, NANOS_MINUTE), 0);
    }
    struct peer_id late = testing_peer(&fixture.random);
    assert_int_equal(add(&fixture, key_a, &late, 2 * NANOS_MINUTE), PLASM_LIMIT);
    assert_int_equal(fixture.providers.peers.size, fixture.limits.providers_per_key_max);
    /* Those that are there may renew. */
    assert_int_equal(add(&fixture, key_a, &first, 3 * NANOS_MINUTE), 0);
    /* Who missed a renewal makes room: not `first`, which did not. */
    assert_int_equal(add(&fixture, key_a, &late, 45 * NANOS_MINUTE), PLASM_LIMIT);
    assert_int_equal(add(&fixture, key_a, &late, 46 * NANOS_MINUTE), 0);
    assert_int_equal(fixture.providers.records, fixture.limits.providers_per_key_max);
    struct provider_view views[1];
    bool is_there = false;
    for (int i = 0; i < 10000 && !is_there; i++) {
        assert_int_equal(providers_get(&fixture.providers, key_a, NULL, &fixture.random,
                                       46 * NANOS_MINUTE, views, 1),
                         1);
        is_there = peer_id_equal(views[0].peer, &first);
    }
    assert_true(is_there);
    teardown(&fixture);
}

static void a_network_gets_few_places_of_a_key(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    for (int i = 0; i < 20; i++) {
        struct peer_id peer = testing_peer(&fixture.random);
        assert_int_equal(add_at(&fixture, key_a, &peer, 192, 7, 0),
                         i < KAD_PROVIDERS_PER_GROUP_MAX ? 0 : PLASM_LIMIT);
        struct peer_id elsewhere = testing_peer(&fixture.random);
        assert_int_equal(add_at(&fixture, key_a, &elsewhere, 192, (uint8_t)(20 + i), 0), 0);
        struct peer_id nearby = testing_peer(&fixture.random);
        assert_int_equal(add_at(&fixture, key_a, &nearby, 10, 7, 0), 0);
    }
    teardown(&fixture);
}

static void a_peer_has_so_many_keys(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    struct peer_id greedy = testing_peer(&fixture.random);
    for (uint8_t i = 0; i < KAD_KEYS_PER_PROVIDER_MAX; i++) {
        assert_int_equal(add(&fixture, bytes_of(&i, 1), &greedy, 0), 0);
    }
    assert_int_equal(add(&fixture, key_a, &greedy, 0), PLASM_LIMIT);
    assert_int_equal(fixture.providers.keys.size, KAD_KEYS_PER_PROVIDER_MAX);
    struct peer_id other = testing_peer(&fixture.random);
    assert_int_equal(add(&fixture, key_a, &other, 0), 0);
    assert_int_equal(add(&fixture, key_a, &greedy, 0), PLASM_LIMIT);
    teardown(&fixture);
}

/* With all places for keys taken, the nearest to us stay. */
static void near_keys_push_out_far_ones(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    fixture.limits.provider_keys_max = 50;
    enum { KEYS = 400 };
    struct sha256_digest distances[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        struct peer_id peer = testing_peer(&fixture.random);
        struct sha256_digest hash = sha256(bytes_of(&i, sizeof(i)));
        distances[i] = kad_distance(&fixture.own, &hash);
        int error = add(&fixture, bytes_of(&i, sizeof(i)), &peer, 0);
        assert_true(error == 0 || error == PLASM_LIMIT);
        assert_true(fixture.providers.keys.size <= 50);
    }
    assert_int_equal(fixture.providers.keys.size, 50);
    for (size_t i = 0; i < KEYS; i++) {
        size_t nearer = 0;
        for (size_t j = 0; j < KEYS; j++) {
            nearer += kad_distance_compare(&distances[j], &distances[i]) < 0;
        }
        struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
        assert_int_equal(get(&fixture, bytes_of(&i, sizeof(i)), 0, views), nearer < 50);
    }
    teardown(&fixture);
}

static void bytes_are_bounded(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    fixture.limits.providers_bytes_max = 20000;
    size_t stored = 0;
    for (size_t i = 0; i < 500; i++) {
        struct peer_id peer = testing_peer(&fixture.random);
        int error = add(&fixture, bytes_of(&i, sizeof(i)), &peer, 0);
        assert_true(error == 0 || error == PLASM_NO_MEMORY);
        stored += error == 0;
        assert_true(fixture.providers.bytes <= 20000);
    }
    assert_in_range(stored, 10, 200);
    assert_int_equal(fixture.providers.records, stored);
    teardown(&fixture);
}

/* A story that touches everything; true when it went through without an error. */
static bool story(struct fixture *fixture) {
    bool whole = true;
    struct random ids;
    testing_random(&ids, 9);
    for (size_t i = 0; i < 12; i++) {
        struct peer_id peer = testing_peer(&ids);
        whole &= add(fixture, key_a, &peer, i) == 0;
        whole &= add(fixture, bytes_of(&i, sizeof(i)), &peer, i) == 0;
        struct kad_addresses more = testing_address(&peer, 10, 1, 1, 1);
        struct multiaddr address;
        assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/10.0.0.1/tcp/1"), &address), 0);
        assert_true(kad_addresses_add(&more, &peer, multiaddr_bytes(&address)));
        const struct kad_groups nowhere = {0};
        whole &= providers_add(&fixture->providers, key_a, &peer, &nowhere,
                               kad_addresses_bytes(&more), i) == 0;
    }
    struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
    size_t count = get(fixture, key_a, 12, views);
    return whole && count == 12;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct memory_failing failing;
            memory_failing_init(&failing, n, sticky);
            struct fixture fixture;
            setup_with(&fixture, &failing.memory);
            bool whole = story(&fixture);
            failed = failing.failed;
            assert_int_equal(whole, !failed);
            teardown(&fixture);
            assert_int_equal(failing.memory.used, 0);
            assert_true(n < 1000);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(records_expire_unless_renewed),
        cmocka_unit_test(a_hot_key_answers_with_a_random_few),
        cmocka_unit_test(a_key_has_so_many_places),
        cmocka_unit_test(a_network_gets_few_places_of_a_key),
        cmocka_unit_test(a_peer_has_so_many_keys),
        cmocka_unit_test(near_keys_push_out_far_ones),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
