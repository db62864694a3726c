/* One lookup by itself: order, paths, who is waited for, who is believed, when it ends. */
#include "proto/kad/query.h"

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
    struct sha256_digest target;
    struct query query;
};

static int hear_of(struct query *query, struct query_peer *from, const struct peer_id *id) {
    struct sha256_digest hash = testing_hash(id);
    return query_hear(query, from, id, &hash, bytes_of(NULL, 0));
}

static void setup(struct fixture *fixture) {
    memory_init(&fixture->memory, SIZE_MAX);
    testing_random(&fixture->random, 1);
    kad_limits_default(&fixture->limits);
    fixture->target = sha256(BYTES_LITERAL("target"));
    query_init(&fixture->query, &fixture->memory, &fixture->limits, &fixture->target, 0);
}

static void teardown(struct fixture *fixture) {
    query_done(&fixture->query);
    assert_int_equal(fixture->memory.used, 0);
}

static struct peer_id seed(struct fixture *fixture) {
    struct peer_id id = testing_peer(&fixture->random);
    struct sha256_digest hash = testing_hash(&id);
    assert_int_equal(query_seed(&fixture->query, &id, &hash, bytes_of(NULL, 0)), 0);
    return id;
}

static void seeds(struct fixture *fixture, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)seed(fixture);
    }
}

static struct peer_id hear(struct fixture *fixture, struct query_peer *from) {
    struct peer_id id = testing_peer(&fixture->random);
    assert_int_equal(hear_of(&fixture->query, from, &id), 0);
    return id;
}

/* All that may be asked now. */
static size_t ask_all(struct fixture *fixture, nanos now, struct query_peer **ret_peers) {
    size_t count = 0;
    struct query_peer *peer;
    while ((peer = query_next(&fixture->query, now)) != NULL) {
        ret_peers[count++] = peer;
    }
    return count;
}

static void nobody_to_ask_is_the_end(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    assert_true(query_finished(&fixture.query));
    assert_null(query_next(&fixture.query, 0));
    assert_int_equal(query_deadline(&fixture.query), NANOS_NEVER);
    struct query_peer *result[QUERY_RESULT_MAX];
    assert_int_equal(query_result(&fixture.query, result), 0);
    teardown(&fixture);
}

static void asks_alpha_at_once_each_once(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 30);
    struct query_peer *asked[64];
    assert_int_equal(ask_all(&fixture, 0, asked), KAD_ALPHA);
    assert_false(query_finished(&fixture.query));
    size_t of_path[KAD_PATHS_MAX] = {0};
    for (size_t i = 0; i < KAD_ALPHA; i++) {
        of_path[asked[i]->path]++;
        for (size_t j = 0; j < i; j++) {
            assert_ptr_not_equal(asked[i], asked[j]);
        }
    }
    for (size_t i = 0; i < KAD_PATHS_MAX; i++) {
        assert_in_range(of_path[i], 2, 3);
    }
    /* One answers: one more is asked. */
    query_answered(&fixture.query, asked[0], 1);
    assert_int_equal(ask_all(&fixture, 1, asked), 1);
    teardown(&fixture);
}

/* Answers everything until the lookup has ended. */
static void run(struct fixture *fixture) {
    struct query_peer *asked[64];
    for (nanos now = 1; !query_finished(&fixture->query); now++) {
        size_t count = ask_all(fixture, now, asked);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            query_answered(&fixture->query, asked[i], now);
        }
        assert_true(now < 1000);
    }
}

static void the_result_is_the_closest_in_order(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 60);
    run(&fixture);
    struct query_peer *result[QUERY_RESULT_MAX];
    size_t count = query_result(&fixture.query, result);
    assert_true(count >= KAD_K);
    for (size_t i = 0; i < KAD_K; i++) {
        assert_ptr_equal(result[i], fixture.query.peers[i]);
    }
    teardown(&fixture);
}

/* What a path's peers tell is asked by this path, and not by the others. */
static void paths_do_not_mix(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, KAD_PATHS_MAX);
    struct query_peer *asked[64];
    assert_int_equal(ask_all(&fixture, 0, asked), KAD_PATHS_MAX);
    for (size_t i = 0; i < KAD_PATHS_MAX; i++) {
        query_answered(&fixture.query, asked[i], 1);
        for (int j = 0; j < 5; j++) {
            (void)hear(&fixture, asked[i]);
        }
    }
    for (size_t i = 0; i < fixture.query.size; i++) {
        const struct query_peer *peer = fixture.query.peers[i];
        assert_true(peer->paths == 1 || peer->paths == 2 || peer->paths == 4 || peer->paths == 8);
        if (peer->hops == 1) {
            assert_int_equal(peer->paths, 1u << peer->sources[0]->path);
        }
    }
    /* Heard of on a second path as well, a peer is known there, and asked once. */
    size_t first = fixture.query.peers[0]->state == QUERY_HEARD ? 0 : 1;
    struct query_peer *shared = fixture.query.peers[first];
    struct query_peer *other = asked[0]->path == shared->sources[0]->path ? asked[1] : asked[0];
    assert_int_equal(hear_of(&fixture.query, other, &shared->id), 0);
    assert_int_equal(shared->paths, 1u << other->path | 1u << shared->sources[0]->path);
    assert_int_equal(fixture.query.size, KAD_PATHS_MAX * 6);
    run(&fixture);
    assert_int_equal(fixture.query.asked, KAD_PATHS_MAX * 6);
    assert_int_equal(fixture.query.hops, 1);
    teardown(&fixture);
}

/* From one seed the paths part behind it. */
static void few_seeds_are_dealt_out(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 1);
    struct query_peer *asked[64];
    assert_int_equal(ask_all(&fixture, 0, asked), 1);
    query_answered(&fixture.query, asked[0], 1);
    for (int i = 0; i < 20; i++) {
        (void)hear(&fixture, asked[0]);
    }
    size_t of_path[KAD_PATHS_MAX] = {0};
    for (size_t i = 0; i < fixture.query.size; i++) {
        for (size_t path = 0; path < KAD_PATHS_MAX; path++) {
            of_path[path] += fixture.query.peers[i]->hops == 1 &&
                             (fixture.query.peers[i]->paths >> path & 1) != 0;
        }
    }
    for (size_t path = 0; path < KAD_PATHS_MAX; path++) {
        assert_int_equal(of_path[path], 5);
    }
    teardown(&fixture);
}

static void the_silent_are_not_waited_for(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 40);
    struct query_peer *asked[64];
    size_t count = ask_all(&fixture, 0, asked);
    assert_int_equal(count, KAD_ALPHA);
    /* Nobody has answered yet: the longest patience. */
    assert_int_equal(query_deadline(&fixture.query), fixture.limits.straggler_max);
    query_expire(&fixture.query, fixture.limits.straggler_max - 1);
    assert_int_equal(fixture.query.slow, 0);
    /* Quick answers make for little patience. */
    for (size_t i = 0; i < 5; i++) {
        query_answered(&fixture.query, asked[i], NANOS_MILLISECOND);
    }
    assert_int_equal(query_deadline(&fixture.query), fixture.limits.straggler_min);
    query_expire(&fixture.query, fixture.limits.straggler_min);
    assert_int_equal(fixture.query.slow, 5);
    assert_int_equal(fixture.query.waiting, 0);
    /* More are asked at once, and the lookup ends without the silent. */
    size_t more = ask_all(&fixture, fixture.limits.straggler_min, asked + count);
    assert_true(more > KAD_ALPHA);
    for (size_t i = count; i < count + more; i++) {
        query_answered(&fixture.query, asked[i], fixture.limits.straggler_min + 1);
    }
    run(&fixture);
    assert_int_equal(fixture.query.slow, 5);
    /* A late answer is welcome. */
    query_answered(&fixture.query, asked[9], NANOS_SECOND);
    query_failed(&fixture.query, asked[8]);
    assert_int_equal(fixture.query.slow, 3);
    assert_int_equal(fixture.query.failed, 1);
    teardown(&fixture);
}

static void all_are_silent(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 3);
    struct query_peer *asked[64];
    assert_int_equal(ask_all(&fixture, 0, asked), 3);
    query_expire(&fixture.query, NANOS_SECOND);
    assert_int_equal(fixture.query.slow, 3);
    assert_false(query_finished(&fixture.query));
    query_failed(&fixture.query, asked[0]);
    query_failed(&fixture.query, asked[1]);
    assert_false(query_finished(&fixture.query));
    query_answered(&fixture.query, asked[2], 3 * NANOS_SECOND);
    assert_true(query_finished(&fixture.query));
    teardown(&fixture);
}

static void dead_ends_are_left(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, 30);
    struct query_peer *asked[64];
    size_t count = ask_all(&fixture, 0, asked);
    for (size_t i = 0; i < count; i++) {
        query_answered(&fixture.query, asked[i], 1);
    }
    /* The liar names twenty that lead nowhere: no more than a few are asked. */
    struct query_peer *liar = asked[0];
    for (int i = 0; i < 20; i++) {
        (void)hear(&fixture, liar);
    }
    size_t of_liar = 0;
    for (nanos now = 2; !query_finished(&fixture.query) && now < 100; now++) {
        count = ask_all(&fixture, now, asked);
        for (size_t i = 0; i < count; i++) {
            if (asked[i]->hops == 1) {
                of_liar++;
                query_failed(&fixture.query, asked[i]);
            } else {
                query_answered(&fixture.query, asked[i], now);
            }
        }
    }
    assert_true(query_finished(&fixture.query));
    assert_int_equal(of_liar, QUERY_SILENT_MAX);
    /* One that an honest peer names too is believed. */
    struct query_peer *vouched = NULL;
    for (size_t i = 0; i < fixture.query.size && vouched == NULL; i++) {
        vouched = fixture.query.peers[i]->state == QUERY_HEARD && fixture.query.peers[i]->hops == 1
                      ? fixture.query.peers[i]
                      : NULL;
    }
    assert_non_null(vouched);
    struct query_peer *honest = fixture.query.peers[fixture.query.size - 1];
    for (size_t i = 0; i < fixture.query.size; i++) {
        if (fixture.query.peers[i]->state == QUERY_ANSWERED && fixture.query.peers[i] != liar) {
            honest = fixture.query.peers[i];
        }
    }
    assert_int_equal(hear_of(&fixture.query, honest, &vouched->id), 0);
    assert_ptr_equal(query_next(&fixture.query, 100), vouched);
    teardown(&fixture);
}

/* Many identities in one network are few of the closest. */
static void a_network_counts_a_few_times(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    for (int i = 0; i < 60; i++) {
        struct peer_id id = testing_peer(&fixture.random);
        struct sha256_digest hash = testing_hash(&id);
        struct kad_addresses addresses =
            testing_address(&id, 192, i % 3 == 0 ? (uint8_t)i : 7, 1, 1);
        assert_int_equal(query_seed(&fixture.query, &id, &hash, kad_addresses_bytes(&addresses)),
                         0);
    }
    run(&fixture);
    struct query_peer *result[QUERY_RESULT_MAX];
    size_t count = query_result(&fixture.query, result);
    const struct peer_id somebody = testing_peer(&fixture.random);
    struct kad_addresses addresses = testing_address(&somebody, 192, 7, 9, 9);
    struct kad_groups crowded = kad_groups_of(NULL, kad_addresses_bytes(&addresses));
    size_t of_crowd = 0;
    for (size_t i = 0; i < count; i++) {
        of_crowd += kad_groups_meet(&result[i]->groups, &crowded);
    }
    assert_int_equal(of_crowd, KAD_LOOKUP_PER_GROUP_MAX);
    assert_true(count >= KAD_K);
    /* They are not all asked, either: at most a few on each path. */
    size_t asked = 0;
    for (size_t i = 0; i < fixture.query.size; i++) {
        asked += fixture.query.peers[i]->state == QUERY_ANSWERED &&
                 kad_groups_meet(&fixture.query.peers[i]->groups, &crowded);
    }
    assert_true(asked <= KAD_PATHS_MAX * KAD_LOOKUP_PER_GROUP_MAX);
    teardown(&fixture);
}

static void what_is_remembered_is_bounded(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, KAD_PATHS_MAX);
    struct query_peer *asked[64];
    size_t count = ask_all(&fixture, 0, asked);
    for (size_t i = 0; i < count; i++) {
        query_answered(&fixture.query, asked[i], 1);
        for (int j = 0; j < 500; j++) {
            (void)hear(&fixture, asked[i]);
        }
    }
    assert_int_equal(fixture.query.size, KAD_PATHS_MAX * (KAD_PATH_CANDIDATES_MAX + 1));
    for (size_t path = 0; path < KAD_PATHS_MAX; path++) {
        assert_int_equal(fixture.query.candidates[path], KAD_PATH_CANDIDATES_MAX);
    }
    for (size_t i = 1; i < fixture.query.size; i++) {
        assert_true(kad_distance_compare(&fixture.query.peers[i - 1]->distance,
                                         &fixture.query.peers[i]->distance) < 0);
    }
    teardown(&fixture);
}

/* However many there are to ask, a lookup ends. */
static void requests_are_bounded(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    seeds(&fixture, KAD_K);
    struct query_peer *asked[64];
    size_t in_flight_max = 0;
    nanos now = 0;
    while (!query_finished(&fixture.query)) {
        size_t count = ask_all(&fixture, now, asked);
        now += NANOS_MILLISECOND;
        for (size_t i = 0; i < count; i++) {
            /* Half answer, and name somebody closer still than all there are. */
            if (i % 2 == 0) {
                query_answered(&fixture.query, asked[i], now);
                for (int j = 0; j < 30; j++) {
                    (void)hear(&fixture, asked[i]);
                }
            }
        }
        size_t in_flight = fixture.query.waiting + fixture.query.slow;
        in_flight_max = in_flight > in_flight_max ? in_flight : in_flight_max;
        if (count == 0) {
            now += NANOS_SECOND;
            query_expire(&fixture.query, now);
        }
        assert_true(now < NANOS_MINUTE);
    }
    assert_true(fixture.query.asked <= KAD_LOOKUP_REQUESTS_MAX);
    assert_true(in_flight_max <= KAD_LOOKUP_IN_FLIGHT_MAX);
    teardown(&fixture);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct fixture fixture;
        setup(&fixture);
        query_init(&fixture.query, &failing.memory, &fixture.limits, &fixture.target, 0);
        int errors = 0;
        for (size_t i = 0; i < 10; i++) {
            struct peer_id id = testing_peer(&fixture.random);
            struct sha256_digest hash = testing_hash(&id);
            errors += query_seed(&fixture.query, &id, &hash, bytes_of(NULL, 0)) != 0;
        }
        struct query_peer *asked[64];
        size_t count = ask_all(&fixture, 0, asked);
        for (size_t i = 0; i < count; i++) {
            query_answered(&fixture.query, asked[i], 1);
            for (int j = 0; j < 5; j++) {
                struct peer_id id = testing_peer(&fixture.random);
                errors += hear_of(&fixture.query, asked[i], &id) != 0;
            }
        }
        run(&fixture);
        failed = failing.failed;
        assert_int_equal(errors, failed);
        teardown(&fixture);
        assert_int_equal(failing.memory.used, 0);
    }
}

/* A peer whose digest is so far from the target, by its head. */
static void seed_at(struct fixture *fixture, uint64_t head) {
    struct peer_id id = testing_peer(&fixture->random);
    struct sha256_digest hash = fixture->target;
    for (size_t i = 0; i < sizeof(head); i++) {
        hash.bytes[i] ^= (uint8_t)(head >> (56 - 8 * i));
    }
    assert_int_equal(query_seed(&fixture->query, &id, &hash, bytes_of(NULL, 0)), 0);
}

/* Many more around the target than there should be: a few of them count, and the others do. */
static void a_crowd_does_not_hide_the_others(void **state) {
    (void)state;
    struct fixture fixture;
    setup(&fixture);
    const uint64_t spacing = UINT64_C(1) << 50;
    fixture.query.spacing = spacing;
    for (uint64_t i = 0; i < KAD_K; i++) {
        seed_at(&fixture, spacing / 64 + i);
        seed_at(&fixture, spacing * (i + 1));
    }
    struct query_peer *asked[2 * KAD_K];
    for (size_t count; (count = ask_all(&fixture, 0, asked)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            query_answered(&fixture.query, asked[i], 1);
        }
    }
    assert_true(query_finished(&fixture.query));
    struct query_peer *result[QUERY_RESULT_MAX];
    size_t count = query_result(&fixture.query, result);
    size_t crowd = 0;
    for (size_t i = 0; i < count; i++) {
        crowd += kad_head(&result[i]->distance) < spacing;
    }
    assert_true(count >= KAD_K);
    /* Each path lets as many in on its own. */
    assert_in_range(crowd, 1, KAD_CROWD_BASE * KAD_PATHS_MAX);
    assert_in_range(count - crowd, KAD_K - KAD_CROWD_BASE, QUERY_RESULT_MAX);
    teardown(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_to_ask_is_the_end),
        cmocka_unit_test(a_crowd_does_not_hide_the_others),
        cmocka_unit_test(asks_alpha_at_once_each_once),
        cmocka_unit_test(the_result_is_the_closest_in_order),
        cmocka_unit_test(paths_do_not_mix),
        cmocka_unit_test(few_seeds_are_dealt_out),
        cmocka_unit_test(the_silent_are_not_waited_for),
        cmocka_unit_test(all_are_silent),
        cmocka_unit_test(dead_ends_are_left),
        cmocka_unit_test(a_network_counts_a_few_times),
        cmocka_unit_test(what_is_remembered_is_bounded),
        cmocka_unit_test(requests_are_bounded),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
