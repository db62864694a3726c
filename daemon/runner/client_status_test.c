/* Every way a job can end, with real modules in real runners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/runner_testing.h"

/* One runner client and the compiled modules for all tests here. */
static struct testing testing;
static struct testing_image plain;
static struct testing_image metered;

static int set_up(void **state) {
    struct runner_client_config config;
    (void)state;
    testing_config(&config);
    if (!testing_start(&testing, &config)) {
        return -1;
    }
    struct bytes module = testing_module("limits");
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &plain);
    testing_compile(&testing, module, RUNNER_FLAVOUR_METERED, &metered);
    free((void *)(uintptr_t)module.data);
    return plain.outcome == RUNNER_COMPILE_OK && metered.outcome == RUNNER_COMPILE_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    testing_image_done(&plain);
    testing_image_done(&metered);
    testing_stop(&testing);
    return 0;
}

/* Runs `limits.wasm COMMAND NUMBER`; `change` may be NULL. */
static void run(const char *command, const char *number, void (*change)(struct runner_request *),
                struct testing_job *ret_job) {
    const char *arguments[] = {"limits", command, number, NULL};
    struct testing_strings strings;
    struct runner_request request;
    testing_request(&plain, arguments, &strings, &request);
    if (change != NULL) {
        change(&request);
    }
    testing_run(&testing, &request, ret_job);
}

static void assert_ended(const struct testing_job *job, enum runner_status status,
                         int64_t exit_code) {
    assert_string_equal(runner_status_name(job->result.status), runner_status_name(status));
    assert_int_equal(job->result.exit_code, exit_code);
    assert_true(job->result.wall_us > 0);
}

static void assert_output(const struct testing_job *job, const char *output) {
    struct bytes bytes = buffer_bytes(&job->output);
    assert_int_equal(bytes.size, strlen(output));
    assert_memory_equal(bytes.data, output, bytes.size);
}

static void returning_from_main_is_ok(void **state) {
    struct testing_job job;
    (void)state;
    run("nothing", "0", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    assert_string_equal(job.text, "");
    assert_int_equal(job.result.fuel, 0);
    testing_job_done(&job);
}

static void exit_codes_are_passed_on(void **state) {
    struct testing_job job;
    (void)state;
    run("exit", "7", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_EXIT, 7);
    testing_job_done(&job);
    run("nothing", "33", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_EXIT, 33);
    testing_job_done(&job);
    run("exit", "0", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    testing_job_done(&job);
    run("exit", "-1", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_EXIT, UINT32_MAX);
    testing_job_done(&job);
}

static void traps_say_why(void **state) {
    static const struct {
        const char *command;
        const char *text;
    } cases[] = {
        {"unreachable", "unreachable"},
        {"bounds", "out of bounds memory access"},
        {"divide", "integer divide by zero"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct testing_job job;
        run(cases[i].command, "0", NULL, &job);
        assert_ended(&job, RUNNER_STATUS_TRAP, -1);
        assert_non_null(strstr(job.text, cases[i].text));
        testing_job_done(&job);
    }
}

static void wall_200_ms(struct runner_request *request) {
    request->limits.wall_ms = 200;
}

static void endless_loop_times_out(void **state) {
    struct testing_job job;
    (void)state;
    run("loop", "0", wall_200_ms, &job);
    assert_ended(&job, RUNNER_STATUS_TIMEOUT, -1);
    assert_in_range(job.result.wall_us, 200000, 2000000);
    testing_job_done(&job);
}

static void sleeping_times_out(void **state) {
    struct testing_job job;
    (void)state;
    run("sleep", "60000", wall_200_ms, &job);
    assert_ended(&job, RUNNER_STATUS_TIMEOUT, -1);
    assert_in_range(job.result.wall_us, 200000, 2000000);
    testing_job_done(&job);
    run("sleep", "20", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    assert_true(job.result.wall_us >= 20000);
    testing_job_done(&job);
}

static void fuel_of_a_million(struct runner_request *request) {
    request->limits.fuel = 1000000;
    request->image_fd = metered.fd;
    request->image_size = metered.size;
}

static void endless_loop_runs_out_of_fuel(void **state) {
    struct testing_job job;
    (void)state;
    run("loop", "0", fuel_of_a_million, &job);
    assert_ended(&job, RUNNER_STATUS_FUEL, -1);
    assert_int_equal(job.result.fuel, 1000000);
    testing_job_done(&job);
    run("nothing", "0", fuel_of_a_million, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    assert_in_range(job.result.fuel, 100, 999999);
    testing_job_done(&job);
}

static void memory_10_mib(struct runner_request *request) {
    request->limits.memory_bytes = 10 << 20;
}

static void memory_half_page(struct runner_request *request) {
    request->limits.memory_bytes = 65536;
}

static void memory_grows_to_its_limit_and_no_further(void **state) {
    struct testing_job job;
    (void)state;
    run("grow", "0", memory_10_mib, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    assert_output(&job, "160 pages\n");
    testing_job_done(&job);
    /* The module itself begins with more than one page. */
    run("grow", "0", memory_half_page, &job);
    assert_ended(&job, RUNNER_STATUS_MEMORY, -1);
    assert_non_null(strstr(job.text, "65536 at most"));
    testing_job_done(&job);
}

static void output_100_000(struct runner_request *request) {
    request->limits.output_bytes = 100000;
}

static void output_stops_exactly_at_its_limit(void **state) {
    struct testing_job job;
    (void)state;
    run("flood", "0", output_100_000, &job);
    assert_ended(&job, RUNNER_STATUS_OUTPUT, -1);
    assert_int_equal(job.output.size, 100000);
    assert_true(job.largest_chunk <= RUNNER_OUTPUT_SIZE_MAX);
    testing_job_done(&job);
}

static void deep_recursion_exhausts_the_stack(void **state) {
    struct testing_job job;
    (void)state;
    run("recurse", "1000", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_OK, 0);
    testing_job_done(&job);
    run("recurse", "100000000", NULL, &job);
    assert_ended(&job, RUNNER_STATUS_STACK, -1);
    testing_job_done(&job);
}

/* The best of some tries: other work on the machine is not what is tested. */
static void cancelling_takes_less_than_50_ms(void **state) {
    static const char *const commands[] = {"loop", "sleep"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const char *arguments[] = {"limits", commands[i], "60000", NULL};
        nanos best = NANOS_NEVER;
        for (int tries = 0; tries < 5 && best >= 50 * NANOS_MILLISECOND; tries++) {
            struct testing_strings strings;
            struct runner_request request;
            struct testing_job job;
            testing_request(&plain, arguments, &strings, &request);
            testing_submit(&testing, &request, &job);
            testing_wait(&testing, 100 * NANOS_MILLISECOND);
            assert_false(job.over);
            nanos start = testing_now();
            runner_job_cancel(job.job, start);
            assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
            best = nanos_min(best, testing_now() - start);
            assert_ended(&job, RUNNER_STATUS_CANCELLED, -1);
            testing_job_done(&job);
        }
        assert_true(best < 50 * NANOS_MILLISECOND);
    }
    assert_int_equal(testing.deaths, 0);
}

static void a_cancel_that_comes_late_harms_nobody(void **state) {
    const char *arguments[] = {"limits", "nothing", "0", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        testing_request(&plain, arguments, &strings, &request);
        testing_submit(&testing, &request, &job);
        if (i % 2 == 0) {
            testing_wait(&testing, NANOS_MILLISECOND);
        }
        if (!job.over) {
            runner_job_cancel(job.job, testing_now());
        }
        assert_true(testing_loop(&testing, &job.over, NANOS_SECOND));
        assert_true(job.result.status == RUNNER_STATUS_OK ||
                    job.result.status == RUNNER_STATUS_CANCELLED);
        testing_job_done(&job);
        run("nothing", "5", NULL, &job);
        assert_ended(&job, RUNNER_STATUS_EXIT, 5);
        testing_job_done(&job);
    }
    assert_int_equal(testing.deaths, 0);
}

static void metered_code_is_refused_for_an_unmetered_job(void **state) {
    const char *arguments[] = {"limits", "nothing", "0", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&metered, arguments, &strings, &request);
    request.key = BYTES_LITERAL("another");
    testing_run(&testing, &request, &job);
    assert_ended(&job, RUNNER_STATUS_FAILED, -1);
    testing_job_done(&job);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returning_from_main_is_ok),
        cmocka_unit_test(exit_codes_are_passed_on),
        cmocka_unit_test(traps_say_why),
        cmocka_unit_test(endless_loop_times_out),
        cmocka_unit_test(sleeping_times_out),
        cmocka_unit_test(endless_loop_runs_out_of_fuel),
        cmocka_unit_test(memory_grows_to_its_limit_and_no_further),
        cmocka_unit_test(output_stops_exactly_at_its_limit),
        cmocka_unit_test(deep_recursion_exhausts_the_stack),
        cmocka_unit_test(cancelling_takes_less_than_50_ms),
        cmocka_unit_test(a_cancel_that_comes_late_harms_nobody),
        cmocka_unit_test(metered_code_is_refused_for_an_unmetered_job),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
