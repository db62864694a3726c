/* Tests of the bounded byte queue, against a plain array and with failing memory. */
#include "util/buffer.h"

#include "util/testing.h"

static void holds_no_memory_before_it_is_used(void **state) {
    (void)state;
    struct memory memory;
    struct buffer buffer;
    struct span room;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 100);
    assert_int_equal(buffer_append(&buffer, bytes_of(NULL, 0)), 0);
    assert_int_equal(buffer_reserve(&buffer, 0, &room), 0);
    buffer_commit(&buffer, 0);
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    assert_int_equal(buffer_bytes(&buffer).size, 0);
    assert_int_equal(memory.used, 0);
    buffer_done(&buffer);
}

static void keeps_to_its_maximum(void **state) {
    (void)state;
    uint8_t content[200] = {0};
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    for (size_t size_max = 0; size_max < sizeof(content); size_max++) {
        struct buffer buffer;
        struct span room = test_span(NULL, 77);
        buffer_init(&buffer, &memory, size_max);
        assert_int_equal(buffer_append(&buffer, bytes_of(content, size_max + 1)), PLASM_TOO_LARGE);
        assert_int_equal(memory.used, 0);
        assert_int_equal(buffer_append(&buffer, bytes_of(content, size_max)), 0);
        assert_int_equal(buffer_append(&buffer, bytes_of(content, 1)), PLASM_TOO_LARGE);
        assert_int_equal(buffer_reserve(&buffer, SIZE_MAX, &room), PLASM_TOO_LARGE);
        assert_int_equal(room.size, 77);
        assert_int_equal(buffer.size, size_max);
        assert_true(memory.used <= size_max);
        if (size_max > 0) {
            buffer_consume(&buffer, 1);
            assert_int_equal(buffer_append(&buffer, bytes_of(content, 1)), 0);
        }
        buffer_done(&buffer);
        assert_int_equal(memory.used, 0);
    }
}

static void may_be_used_after_done(void **state) {
    (void)state;
    struct memory memory;
    struct buffer buffer;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 10);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(buffer_append(&buffer, BYTES_LITERAL("abc")), 0);
        assert_bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("abc"));
        buffer_done(&buffer);
        assert_int_equal(memory.used, 0);
    }
    buffer_done(&buffer);
}

static void reserved_room_counts_when_committed(void **state) {
    (void)state;
    struct memory memory;
    struct buffer buffer;
    struct span room;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 10);
    assert_int_equal(buffer_reserve(&buffer, 10, &room), 0);
    assert_int_equal(room.size, 10);
    memcpy(room.data, "0123456789", 10);
    assert_int_equal(buffer.size, 0);
    buffer_commit(&buffer, 4);
    assert_bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("0123"));
    assert_int_equal(buffer_reserve(&buffer, 7, &room), PLASM_TOO_LARGE);
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_true(memory.used > 0);
    buffer_done(&buffer);
}

/* Random appends and consumes against the whole history of what went in. */
static void queue_against_a_reference(void **state) {
    (void)state;
    static uint8_t history[400000];
    uint64_t seed = 2;
    struct memory memory;
    struct buffer buffer;
    size_t in = 0;
    size_t out = 0;
    test_random_fill(&seed, history, sizeof(history));
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 3000);
    while (in < sizeof(history) - 1000) {
        size_t size = test_random_below(&seed, 1000);
        if (test_random(&seed) % 2 == 0) {
            int error = buffer_append(&buffer, bytes_of(history + in, size));
            assert_int_equal(error, in - out + size > 3000 ? PLASM_TOO_LARGE : 0);
            in += error == 0 ? size : 0;
        } else {
            size = size < in - out ? size : in - out;
            buffer_consume(&buffer, size);
            out += size;
        }
        assert_bytes_equal(buffer_bytes(&buffer), bytes_of(history + out, in - out));
        assert_true(buffer.capacity <= 3000);
        assert_int_equal(memory.used, buffer.capacity);
    }
    buffer_done(&buffer);
    assert_int_equal(memory.used, 0);
}

static void every_failed_allocation_leaves_it_as_it_was(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        struct buffer buffer;
        char expected[1001] = "";
        size_t size = 0;
        memory_failing_init(&failing, n, false);
        buffer_init(&buffer, &failing.memory, 1000);
        for (int i = 0; i < 100; i++) {
            bool failed_before = failing.failed;
            int error = buffer_append(&buffer, BYTES_LITERAL("0123456789"));
            bool fails_now = failing.failed && !failed_before;
            assert_int_equal(error, fails_now ? PLASM_NO_MEMORY : 0);
            if (error == 0) {
                memcpy(expected + size, "0123456789", 10);
                size += 10;
            }
            assert_bytes_equal(buffer_bytes(&buffer), bytes_of(expected, size));
        }
        failed = failing.failed;
        buffer_done(&buffer);
        assert_int_equal(failing.memory.used, 0);
        assert_true(failed || n > 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_no_memory_before_it_is_used),
        cmocka_unit_test(keeps_to_its_maximum),
        cmocka_unit_test(may_be_used_after_done),
        cmocka_unit_test(reserved_room_counts_when_committed),
        cmocka_unit_test(queue_against_a_reference),
        cmocka_unit_test(every_failed_allocation_leaves_it_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
