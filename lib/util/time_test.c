/* Tests of arithmetic with times. */
#include "util/time.h"

#include "util/testing.h"

static void never_is_the_end(void **state) {
    (void)state;
    assert_true(nanos_add(1, 2) == 3);
    assert_true(nanos_add(NANOS_NEVER, 0) == NANOS_NEVER);
    assert_true(nanos_add(NANOS_NEVER, 1) == NANOS_NEVER);
    assert_true(nanos_add(NANOS_NEVER - 1, 1) == NANOS_NEVER);
    assert_true(nanos_add(NANOS_NEVER - 2, 1) == NANOS_NEVER - 1);
    assert_true(nanos_add(1, NANOS_NEVER) == NANOS_NEVER);
    assert_true(nanos_add(NANOS_NEVER, NANOS_NEVER) == NANOS_NEVER);
}

static void since_is_never_negative(void **state) {
    (void)state;
    assert_true(nanos_since(5, 3) == 2);
    assert_true(nanos_since(3, 3) == 0);
    assert_true(nanos_since(3, 5) == 0);
    assert_true(nanos_since(NANOS_NEVER, 0) == NANOS_NEVER);
}

static void least_and_greatest(void **state) {
    (void)state;
    assert_true(nanos_min(1, NANOS_NEVER) == 1);
    assert_true(nanos_min(NANOS_NEVER, 1) == 1);
    assert_true(nanos_max(1, 2) == 2);
    assert_true(nanos_max(2, 1) == 2);
    assert_true(NANOS_HOUR == UINT64_C(3600000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_is_the_end),
        cmocka_unit_test(since_is_never_negative),
        cmocka_unit_test(least_and_greatest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
