/* Nobody holds more than their share, and what is given back is there again. */
#include "plasmd/held.h"

#include "util/testing.h"

static const uint64_t secret[2] = {3, 4};
static const struct held_bounds bounds = {.all = 100, .share = 50};

static void a_share_has_its_bound_and_all_have_one(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, 4096);
    struct held held;
    held_init(&held, &memory, secret);
    const struct bytes a = bytes_of_string("a");
    const struct bytes b = bytes_of_string("b");
    const struct bytes c = bytes_of_string("c");
    assert_true(held_add(&held, &bounds, a, 50));
    assert_false(held_add(&held, &bounds, a, 1));
    assert_int_equal(held_room(&held, &bounds, a), 0);
    assert_int_equal(held_room(&held, &bounds, b), 50);
    assert_true(held_add(&held, &bounds, b, 40));
    assert_int_equal(held_room(&held, &bounds, c), 10);
    assert_false(held_add(&held, &bounds, c, 11));
    held_subtract(&held, a, 20);
    assert_int_equal(held_room(&held, &bounds, a), 20);
    assert_true(held_add(&held, &bounds, c, 11));
    /* The bounds may have been lowered meanwhile. */
    const struct held_bounds low = {.all = 10, .share = 5};
    assert_int_equal(held_room(&held, &low, a), 0);
    held_subtract(&held, a, 30);
    held_subtract(&held, b, 40);
    held_subtract(&held, c, 11);
    assert_int_equal(held.bytes, 0);
    held_done(&held);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_has_its_bound_and_all_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
