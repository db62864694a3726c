/* Tests of the heap of deadlines against a search through all of them. */
#include "util/heap.h"

#include "util/testing.h"

#define TIMERS 64

/* The earliest by looking at each; the heap's own must have the same deadline, no node comes before
 * its parent, and each knows its place. */
static void check_first(const struct heap *heap, const struct heap_node *timers,
                        const nanos *deadlines) {
    nanos earliest = NANOS_NEVER;
    size_t count = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        assert_true(heap_linked(&timers[i]) == (deadlines[i] != NANOS_NEVER));
        count += deadlines[i] != NANOS_NEVER;
        earliest = nanos_min(earliest, deadlines[i]);
    }
    assert_int_equal(heap->size, count);
    for (size_t i = 0; i < heap->size; i++) {
        assert_int_equal(heap->slots[i].node->index, i + 1);
        assert_true(heap->slots[i].node->deadline == heap->slots[i].deadline);
        assert_true(heap->slots[i].deadline >= heap->slots[i > 0 ? (i - 1) / 2 : 0].deadline);
    }
    assert_true(heap_deadline(heap) == earliest);
    struct heap_node *first = heap_first(heap);
    assert_true((first == NULL) == (count == 0));
    assert_true(first == NULL || deadlines[first - timers] == earliest);
}

static void random_changes_against_a_reference(void **state) {
    (void)state;
    /* Few different deadlines make many equal ones. */
    static const uint64_t ranges[] = {3, 1000, UINT64_MAX};
    for (size_t range = 0; range < ARRAY_SIZE(ranges); range++) {
        struct heap_node timers[TIMERS] = {{0, 0}};
        nanos deadlines[TIMERS];
        struct memory memory;
        struct heap heap;
        uint64_t seed = range;
        memory_init(&memory, SIZE_MAX);
        heap_init(&heap, &memory);
        for (size_t i = 0; i < TIMERS; i++) {
            deadlines[i] = NANOS_NEVER;
        }
        for (int round = 0; round < 20000; round++) {
            size_t i = test_random_below(&seed, TIMERS);
            uint64_t what = test_random_below(&seed, 10);
            deadlines[i] = what > 1 ? test_random_below(&seed, ranges[range]) : NANOS_NEVER;
            if (what == 0) {
                heap_remove(&heap, &timers[i]);
            } else {
                assert_int_equal(heap_set(&heap, &timers[i], deadlines[i]), 0);
            }
            check_first(&heap, timers, deadlines);
        }
        heap_done(&heap);
        for (size_t i = 0; i < TIMERS; i++) {
            assert_false(heap_linked(&timers[i]));
        }
        assert_int_equal(memory.used, 0);
    }
}

static void gives_sorted_order(void **state) {
    (void)state;
    static struct heap_node timers[1000];
    struct memory memory;
    struct heap heap;
    uint64_t seed = 6;
    memory_init(&memory, SIZE_MAX);
    heap_init(&heap, &memory);
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        assert_int_equal(heap_set(&heap, &timers[i], test_random_below(&seed, 500)), 0);
    }
    nanos last = 0;
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        struct heap_node *first = heap_first(&heap);
        assert_non_null(first);
        assert_true(first->deadline >= last);
        last = first->deadline;
        heap_remove(&heap, first);
    }
    assert_null(heap_first(&heap));
    assert_true(heap_deadline(&heap) == NANOS_NEVER);
    heap_done(&heap);
}

static void removing_what_is_out_does_nothing(void **state) {
    (void)state;
    struct memory memory;
    struct heap heap;
    struct heap_node timer = {0, 0};
    memory_init(&memory, SIZE_MAX);
    heap_init(&heap, &memory);
    heap_remove(&heap, &timer);
    assert_int_equal(heap_set(&heap, &timer, NANOS_NEVER), 0);
    assert_int_equal(memory.used, 0);
    assert_int_equal(heap_set(&heap, &timer, 0), 0);
    assert_true(heap_deadline(&heap) == 0);
    heap_remove(&heap, &timer);
    heap_remove(&heap, &timer);
    assert_int_equal(heap.size, 0);
    heap_done(&heap);
}

static void every_failed_allocation_leaves_the_node_out(void **state) {
    (void)state;
    for (size_t n = 0; n < 4; n++) {
        struct memory_failing failing;
        struct heap heap;
        struct heap_node timers[TIMERS] = {{0, 0}};
        nanos deadlines[TIMERS];
        memory_failing_init(&failing, n, false);
        heap_init(&heap, &failing.memory);
        for (size_t i = 0; i < TIMERS; i++) {
            deadlines[i] = NANOS_NEVER;
        }
        for (size_t i = 0; i < TIMERS; i++) {
            bool failed_before = failing.failed;
            int error = heap_set(&heap, &timers[i], TIMERS - i);
            assert_int_equal(error, failing.failed && !failed_before ? PLASM_NO_MEMORY : 0);
            deadlines[i] = error == 0 ? TIMERS - i : NANOS_NEVER;
            check_first(&heap, timers, deadlines);
            /* What is in may always be changed. */
            if (error != 0 && i > 0) {
                assert_int_equal(heap_set(&heap, &timers[0], 1000), 0);
                deadlines[0] = 1000;
            }
        }
        assert_true(failing.failed);
        heap_done(&heap);
        assert_int_equal(failing.memory.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_against_a_reference),
        cmocka_unit_test(gives_sorted_order),
        cmocka_unit_test(removing_what_is_out_does_nothing),
        cmocka_unit_test(every_failed_allocation_leaves_the_node_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
