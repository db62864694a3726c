/* Tests of counted, bounded and failing memory. */
#include "util/memory.h"

#include "util/testing.h"

static void counts_what_is_out(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    uint8_t *a = memory_get(&memory, 10);
    uint8_t *b = memory_zero(&memory, 20);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(memory.used, 30);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(b[i], 0);
    }
    memset(a, 7, 10);
    a = memory_resize(&memory, a, 10, 1000);
    assert_non_null(a);
    assert_int_equal(memory.used, 1020);
    assert_int_equal(a[9], 7);
    a = memory_resize(&memory, a, 1000, 1);
    assert_non_null(a);
    assert_int_equal(a[0], 7);
    assert_int_equal(memory.used, 21);
    memory_put(&memory, a, 1);
    memory_put(&memory, b, 20);
    memory_put(&memory, NULL, 0);
    assert_int_equal(memory.used, 0);
}

static void keeps_to_its_budget(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, 100);
    assert_null(memory_get(&memory, 101));
    assert_null(memory_get(&memory, SIZE_MAX));
    uint8_t *a = memory_get(&memory, 60);
    assert_non_null(a);
    a[59] = 7;
    assert_null(memory_get(&memory, 41));
    assert_null(memory_zero(&memory, 41));
    assert_null(memory_resize(&memory, a, 60, 101));
    assert_int_equal(memory.used, 60);
    assert_int_equal(a[59], 7);
    a = memory_resize(&memory, a, 60, 100);
    assert_non_null(a);
    assert_null(memory_get(&memory, 1));
    memory_put(&memory, a, 100);
    /* A budget that was cut below what is out gives nothing more and takes all back. */
    a = memory_get(&memory, 80);
    assert_non_null(a);
    memory.bytes_max = 50;
    assert_null(memory_get(&memory, 1));
    a = memory_resize(&memory, a, 80, 50);
    assert_non_null(a);
    memory_put(&memory, a, 50);
    assert_int_equal(memory.used, 0);
}

static void fails_once_or_for_good(void **state) {
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        for (size_t n = 0; n < 4; n++) {
            struct memory_failing failing;
            void *blocks[6];
            memory_failing_init(&failing, n, sticky == 1);
            for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
                blocks[i] = memory_get(&failing.memory, 8);
                bool fails = i == n || (sticky == 1 && i > n);
                assert_true((blocks[i] == NULL) == fails);
                assert_true(failing.failed == (i >= n));
            }
            for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
                memory_put(&failing.memory, blocks[i], 8);
            }
            assert_int_equal(failing.memory.used, 0);
        }
    }
}

/* Growing counts as an allocation, shrinking and freeing do not. */
static void growing_fails_too(void **state) {
    (void)state;
    struct memory_failing failing;
    memory_failing_init(&failing, 1, true);
    uint8_t *a = memory_get(&failing.memory, 8);
    assert_non_null(a);
    a[7] = 7;
    assert_null(memory_resize(&failing.memory, a, 8, 9));
    assert_int_equal(a[7], 7);
    a = memory_resize(&failing.memory, a, 8, 4);
    assert_non_null(a);
    memory_put(&failing.memory, a, 4);
    assert_int_equal(failing.memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_out),
        cmocka_unit_test(keeps_to_its_budget),
        cmocka_unit_test(fails_once_or_for_good),
        cmocka_unit_test(growing_fails_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
