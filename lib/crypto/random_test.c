/* Tests of the seeded generator: its stream, its repetition, its forgetting, its fairness. */
#include "crypto/random.h"

#include "crypto/sign.h"
#include "util/testing.h"

static const uint8_t zero_seed[32];

static int start(void **state) {
    (void)state;
    return crypto_init();
}

/* RFC 8439, appendix A.1, vectors 1 and 2: key and nonce zero, blocks 0 and 1. The first half of
 * block 0 becomes the next key; what is given starts after it. */
static void stream_is_chacha20(void **state) {
    (void)state;
    struct random random;
    random_init(&random, zero_seed);
    uint8_t given[96];
    random_fill(&random, test_span(given, sizeof(given)));
    assert_bytes_equal(
        BYTES_ARRAY(given),
        test_hex("da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
                 "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                 "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"));
}

/* Computed with a ChaCha20 of its own in Python: the first bytes under the second key, which is
 * 76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7. */
static void second_key_is_the_start_of_the_first_stream(void **state) {
    (void)state;
    struct random random;
    random_init(&random, zero_seed);
    uint8_t given[256 + 32];
    random_fill(&random, test_span(given, sizeof(given)));
    assert_bytes_equal(
        bytes_of(given + 256, 32),
        test_hex("afbdad2845b93cdbb2fe6463d2fe162adae0f6e676f0494218f5ce0596e79f5c"));
}

static void pieces_do_not_matter(void **state) {
    (void)state;
    uint8_t whole[1500];
    struct random random;
    random_init(&random, zero_seed);
    random_fill(&random, test_span(whole, sizeof(whole)));
    uint64_t seed = 1;
    for (int round = 0; round < 50; round++) {
        uint8_t pieces[1500];
        random_init(&random, zero_seed);
        for (size_t done = 0; done < sizeof(pieces);) {
            size_t size = test_random_below(&seed, 400);
            size = size < sizeof(pieces) - done ? size : sizeof(pieces) - done;
            random_fill(&random, test_span(pieces + done, size));
            done += size;
        }
        assert_memory_equal(whole, pieces, sizeof(whole));
    }
}

static void seeds_differ(void **state) {
    (void)state;
    uint8_t other_seed[32] = {[31] = 1};
    struct random a;
    struct random b;
    random_init(&a, zero_seed);
    random_init(&b, other_seed);
    assert_int_not_equal(random_u64(&a), random_u64(&b));
}

static void numbers_are_little_endian(void **state) {
    (void)state;
    struct random random;
    random_init(&random, zero_seed);
    assert_true(random_u64(&random) == UINT64_C(0x8d4857517c5941da));
}

/* What was given is nowhere in the state any more, nor does the state lead back to it. */
static void given_bytes_are_forgotten(void **state) {
    (void)state;
    struct random random;
    random_init(&random, zero_seed);
    uint8_t given[100];
    random_fill(&random, test_span(given, sizeof(given)));
    const uint8_t *bytes = (const uint8_t *)&random;
    for (size_t i = 0; i + 8 <= sizeof(random); i++) {
        for (size_t j = 0; j + 8 <= sizeof(given); j++) {
            assert_false(memcmp(bytes + i, given + j, 8) == 0);
        }
    }
    assert_false(memcmp(random.key, zero_seed, sizeof(random.key)) == 0);
    struct random zeros;
    memset(&zeros, 0, sizeof(zeros));
    random_done(&random);
    assert_memory_equal(&random, &zeros, sizeof(random));
}

static void below_stays_below(void **state) {
    (void)state;
    static const uint64_t bounds[] = {1,
                                      2,
                                      3,
                                      10,
                                      UINT64_C(1) << 32,
                                      (UINT64_C(1) << 63) - 1,
                                      UINT64_C(1) << 63,
                                      (UINT64_C(1) << 63) + 1,
                                      UINT64_MAX};
    struct random random;
    random_init(&random, zero_seed);
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        for (int round = 0; round < 1000; round++) {
            assert_true(random_below(&random, bounds[i]) < bounds[i]);
        }
    }
}

/* Three quarters of the range: taking the remainder alone would give the lower third twice as often
 * as the rest. */
static void below_is_fair(void **state) {
    (void)state;
    const uint64_t bound = UINT64_C(3) << 62;
    const uint64_t third = UINT64_C(1) << 62;
    struct random random;
    random_init(&random, zero_seed);
    int counts[3] = {0};
    for (int round = 0; round < 30000; round++) {
        counts[random_below(&random, bound) / third]++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
}

static void dice_are_fair(void **state) {
    (void)state;
    struct random random;
    random_init(&random, zero_seed);
    int counts[6] = {0};
    for (int round = 0; round < 60000; round++) {
        counts[random_below(&random, 6)]++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_is_chacha20),
        cmocka_unit_test(second_key_is_the_start_of_the_first_stream),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(given_bytes_are_forgotten),
        cmocka_unit_test(below_stays_below),
        cmocka_unit_test(below_is_fair),
        cmocka_unit_test(dice_are_fair),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
