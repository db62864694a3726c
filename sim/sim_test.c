/* Tests of virtual time and its trace. */
#include "sim.h"

#include "util/testing.h"

struct alarm {
    struct timer timer;
    struct sim *sim;
    nanos rang;
    int order;
    nanos again; /* sets itself once more */
};

static int rung;

static void ring(struct timer *timer) {
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    assert_false(heap_linked(&timer->node));
    alarm->rang = alarm->sim->now;
    alarm->order = ++rung;
    if (alarm->again != 0) {
        sim_at(alarm->sim, timer, alarm->again);
        alarm->again = 0;
    }
}

static void things_happen_in_order(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 1, NULL);
    rung = 0;
    struct alarm alarms[4] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(alarms); i++) {
        alarms[i].timer.due = ring;
        alarms[i].sim = &sim;
    }
    sim_at(&sim, &alarms[0].timer, SIM_START + 30);
    sim_at(&sim, &alarms[1].timer, SIM_START + 10);
    sim_at(&sim, &alarms[2].timer, 0); /* the past is now */
    sim_at(&sim, &alarms[3].timer, SIM_START + 20);
    sim_cancel(&sim, &alarms[3].timer);
    alarms[1].again = SIM_START + 15;
    assert_true(sim_step(&sim, SIM_START + 25));
    assert_int_equal(alarms[2].rang, SIM_START);
    assert_true(sim_step(&sim, SIM_START + 25));
    assert_int_equal(alarms[1].rang, SIM_START + 10);
    assert_true(sim_step(&sim, SIM_START + 25));
    assert_int_equal(alarms[1].rang, SIM_START + 15);
    assert_false(sim_step(&sim, SIM_START + 25));
    assert_int_equal(sim.now, SIM_START + 25);
    sim_run_out(&sim);
    assert_int_equal(alarms[0].rang, SIM_START + 30);
    assert_int_equal(alarms[3].rang, 0);
    assert_int_equal(sim.steps, 4);
    assert_false(sim_step(&sim, SIM_START + NANOS_SECOND / 2));
    assert_true(sim_unix_ms(&sim) == SIM_START_UNIX_MS + 500);
    sim_done(&sim);
}

static void a_seed_repeats(void **state) {
    (void)state;
    uint64_t first[3];
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct sim a;
        struct sim b;
        sim_init(&a, seed, NULL);
        sim_init(&b, seed, NULL);
        for (int i = 0; i < 100; i++) {
            uint64_t number = sim_between(&a, 5, 9);
            assert_in_range(number, 5, 9);
            assert_int_equal(sim_between(&b, 5, 9), number);
        }
        uint8_t of_a[32];
        uint8_t of_b[32];
        sim_seed(&a, of_a);
        sim_seed(&b, of_b);
        assert_memory_equal(of_a, of_b, sizeof(of_a));
        memcpy(&first[seed], of_a, sizeof(first[seed]));
        sim_done(&a);
        sim_done(&b);
    }
    assert_true(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
}

/* The file holds what was hashed, over many bufferfuls. */
static void the_trace_is_what_was_hashed(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    static struct trace trace;
    trace_init(&trace, file);
    TRACE(&trace, 0, "nothing", 0);
    TRACE(&trace, UINT64_MAX, "much", UINT64_MAX, 10, 999, 1, 2, 3, 4, 5);
    for (uint64_t i = 0; i < 20000; i++) {
        TRACE(&trace, i * i, "line", i);
    }
    struct sha256_digest digest = trace_end(&trace);
    TRACE(&trace, 1, "late", 1);
    assert_int_equal(trace.lines, 20002);
    assert_false(trace.is_file_broken);
    trace_done(&trace);

    long size = ftell(file);
    assert_true(size > 3 * TRACE_BUFFER_SIZE);
    char *text = malloc((size_t)size);
    assert_non_null(text);
    rewind(file);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    static const char begin[] =
        "0 nothing 0\n18446744073709551615 much 18446744073709551615 10 999 "
        "1 2 3 4 5\n0 line 0\n1 line 1\n4 line 2\n";
    assert_memory_equal(text, begin, sizeof(begin) - 1);
    struct sha256_digest expected = sha256(bytes_of(text, (size_t)size));
    assert_true(sha256_equal(&digest, &expected));
    free(text);
    fclose(file);
}

static void a_broken_file_is_noticed(void **state) {
    (void)state;
    FILE *file = fopen("/dev/full", "w");
    if (file == NULL) {
        skip(); /* a system without it */
    }
    static struct trace trace;
    trace_init(&trace, file);
    for (uint64_t i = 0; i < 20000; i++) {
        TRACE(&trace, i, "line", i);
    }
    assert_true(trace.is_file_broken);
    trace_done(&trace);
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(things_happen_in_order),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(the_trace_is_what_was_hashed),
        cmocka_unit_test(a_broken_file_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
