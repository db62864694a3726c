/* Tests of reference-counted blocks. */
#include "util/block.h"

#include "util/testing.h"

static void lives_as_long_as_it_is_referred_to(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct block *block = block_copy(&memory, BYTES_LITERAL("hello"));
    assert_non_null(block);
    assert_bytes_equal(block_bytes(block), BYTES_LITERAL("hello"));
    assert_int_equal(memory.used, sizeof(struct block) + 5);
    assert_ptr_equal(block_ref(block), block);
    block_unref(block);
    assert_bytes_equal(block_bytes(block), BYTES_LITERAL("hello"));
    assert_int_equal(memory.used, sizeof(struct block) + 5);
    block_unref(block);
    assert_int_equal(memory.used, 0);
    block_unref(NULL);
}

static void may_be_empty(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct block *block = block_copy(&memory, bytes_of(NULL, 0));
    assert_non_null(block);
    assert_int_equal(block_bytes(block).size, 0);
    block_unref(block);
    assert_int_equal(memory.used, 0);
}

static void memory_may_be_out(void **state) {
    (void)state;
    struct memory memory;
    struct memory_failing failing;
    memory_init(&memory, sizeof(struct block) + 4);
    assert_null(block_new(&memory, 5));
    assert_null(block_new(&memory, SIZE_MAX));
    assert_null(block_new(&memory, SIZE_MAX - sizeof(struct block) + 1));
    struct block *block = block_new(&memory, 4);
    assert_non_null(block);
    assert_null(block_new(&memory, 0));
    block_unref(block);
    memory_failing_init(&failing, 0, true);
    assert_null(block_copy(&failing.memory, BYTES_LITERAL("x")));
    assert_int_equal(failing.memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_as_long_as_it_is_referred_to),
        cmocka_unit_test(may_be_empty),
        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
