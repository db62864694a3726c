/* Tests of means and percentiles, and of the pool of objects. */
#include "samples.h"

#include "pool.h"
#include "util/testing.h"

static void percentiles(void **state) {
    (void)state;
    struct memory memory;
    struct samples samples;
    memory_init(&memory, SIZE_MAX);
    samples_init(&samples, &memory);
    assert_int_equal(samples_percentile(&samples, 50), 0);
    assert_true(samples_mean(&samples) < 0.001);
    for (uint64_t i = 0; i < 200; i++) {
        samples_add(&samples, (i * 77) % 200 + 1); /* 1 … 200, mixed */
    }
    assert_int_equal(samples_percentile(&samples, 50), 100);
    assert_int_equal(samples_percentile(&samples, 99), 198);
    assert_int_equal(samples_percentile(&samples, 100), 200);
    assert_int_equal(samples_percentile(&samples, 1), 2);
    assert_true(samples_mean(&samples) > 100.49 && samples_mean(&samples) < 100.51);
    samples_add(&samples, 1000);
    assert_int_equal(samples_percentile(&samples, 100), 1000);
    samples_done(&samples);
    samples_add(&samples, 7);
    assert_int_equal(samples_percentile(&samples, 1), 7);
    samples_done(&samples);
    assert_int_equal(memory.used, 0);
}

static void objects_come_back(void **state) {
    (void)state;
    struct memory memory;
    struct pool pool;
    memory_init(&memory, SIZE_MAX);
    pool_init(&pool, &memory, 24, 10);
    void *objects[25];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
            static const uint8_t zeros[24];
            objects[i] = pool_get(&pool);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            assert_memory_equal(objects[i], zeros, sizeof(zeros));
            memset(objects[i], 0xff, 24);
            for (size_t j = 0; j < i; j++) {
                assert_true(objects[i] != objects[j]);
            }
        }
        assert_int_equal(pool.out, ARRAY_SIZE(objects));
        assert_int_equal(memory.used, 3 * pool.piece_size);
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
            pool_put(&pool, objects[i]);
        }
        assert_int_equal(pool.out, 0);
    }
    pool_done(&pool);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles),
        cmocka_unit_test(objects_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
