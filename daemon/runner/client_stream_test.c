/* What goes in and comes out of a job: input, output, their order, their pace, back-pressure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <unistd.h>

#include "runner/runner_testing.h"

static struct testing testing;
static struct testing_image image;
static struct testing_image wasi_image;
static struct testing_image wasi_metered;

static int set_up(void **state) {
    struct runner_client_config config;
    (void)state;
    testing_config(&config);
    if (!testing_start(&testing, &config)) {
        return -1;
    }
    struct bytes module = testing_module("streams");
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    free((void *)(uintptr_t)module.data);
    module = testing_module("wasi");
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &wasi_image);
    testing_compile(&testing, module, RUNNER_FLAVOUR_METERED, &wasi_metered);
    free((void *)(uintptr_t)module.data);
    return image.outcome == RUNNER_COMPILE_OK && wasi_image.outcome == RUNNER_COMPILE_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(testing.deaths, 0);
    testing_image_done(&image);
    testing_image_done(&wasi_image);
    testing_image_done(&wasi_metered);
    testing_stop(&testing);
    return 0;
}

static void assert_bytes(const struct buffer *buffer, struct bytes expected) {
    struct bytes bytes = buffer_bytes(buffer);
    assert_int_equal(bytes.size, expected.size);
    assert_true(bytes_equal(bytes, expected));
}

static void assert_ok(const struct testing_job *job) {
    if (job->result.status != RUNNER_STATUS_OK) {
        fail_msg("%s: %s", runner_status_name(job->result.status), job->text);
    }
}

static void echo(struct bytes input, bool from_file) {
    const char *arguments[] = {"streams", "echo", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    int fd = -1;
    testing_request(&image, arguments, &strings, &request);
    request.limits.output_bytes = input.size;
    request.stdin_bytes = input;
    if (from_file) {
        assert_int_equal(runner_memfd(input, &fd), 0);
        request.stdin_bytes = bytes_of(NULL, 0);
        request.stdin_fd = fd;
        request.stdin_size = input.size;
    }
    testing_run(&testing, &request, &job);
    assert_ok(&job);
    assert_bytes(&job.output, input);
    assert_int_equal(job.errors.size, 0);
    assert_true(job.largest_chunk <= RUNNER_OUTPUT_SIZE_MAX);
    testing_job_done(&job);
    if (fd >= 0) {
        close(fd);
    }
}

static void input_comes_through_unchanged(void **state) {
    static const size_t sizes[] = {0, 1, 4999, 5000, 5001, 32768, 65536, 3000000};
    uint8_t *input = malloc(3000000);
    (void)state;
    assert_non_null(input);
    for (size_t i = 0; i < 3000000; i++) {
        input[i] = (uint8_t)(i * 31 ^ i >> 8);
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        if (sizes[i] <= RUNNER_STDIN_INLINE_MAX) {
            echo(bytes_of(input, sizes[i]), false);
        }
        if (sizes[i] > 0) {
            echo(bytes_of(input, sizes[i]), true);
        }
    }
    free(input);
}

static void a_file_shorter_than_announced_fails(void **state) {
    const char *arguments[] = {"streams", "echo", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    assert_int_equal(runner_memfd(BYTES_LITERAL("short"), &request.stdin_fd), 0);
    request.stdin_size = 6;
    testing_run(&testing, &request, &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_FAILED);
    testing_job_done(&job);
    close(request.stdin_fd);
}

static void the_streams_keep_their_order(void **state) {
    const char *arguments[] = {"streams", "both", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    testing_run(&testing, &request, &job);
    assert_ok(&job);
    assert_bytes(&job.output, BYTES_LITERAL("outoutout"));
    assert_bytes(&job.errors, BYTES_LITERAL("errerrerr"));
    assert_int_equal(job.chunks, 6); /* in turn, as they were written */
    testing_job_done(&job);
}

/* Both streams together are bounded, to the byte. */
static void the_limit_is_exact(void **state) {
    const char *arguments[] = {"streams", "both", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    request.limits.output_bytes = 18;
    testing_run(&testing, &request, &job);
    assert_ok(&job);
    testing_job_done(&job);
    request.limits.output_bytes = 17;
    testing_run(&testing, &request, &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_OUTPUT);
    assert_bytes(&job.output, BYTES_LITERAL("outoutout"));
    assert_bytes(&job.errors, BYTES_LITERAL("errerrer"));
    testing_job_done(&job);
    request.limits.output_bytes = 0;
    testing_run(&testing, &request, &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_OUTPUT);
    assert_int_equal(job.chunks, 0);
    testing_job_done(&job);
}

static void arguments_and_environment_arrive(void **state) {
    const char *arguments[] = {"streams", "arguments", "", "with \"quotes\"", "\xc3\xa4", NULL};
    const struct bytes env[] = {BYTES_LITERAL("A=1"), BYTES_LITERAL("EMPTY=")};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    request.env = env;
    request.env_count = 2;
    testing_run(&testing, &request, &job);
    assert_ok(&job);
    assert_bytes(&job.output,
                 BYTES_LITERAL("arg streams\narg arguments\narg \narg with \"quotes\"\n"
                               "arg \xc3\xa4\nenv A=1\nenv EMPTY=\n"));
    testing_job_done(&job);
}

static void strings_are_bounded(void **state) {
    static char large[RUNNER_STRINGS_SIZE_MAX];
    const char *none[] = {NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct runner_job *job;
    (void)state;
    testing_request(&image, none, &strings, &request);
    struct bytes args[2] = {bytes_of(large, sizeof(large)), BYTES_LITERAL("")};
    memset(large, 'a', sizeof(large));
    request.args = args;
    request.arg_count = 1; /* the NUL is one too many */
    assert_int_equal(runner_client_submit(testing.client, &request, testing_now(), &job),
                     PLASM_TOO_LARGE);
    args[0].size--;
    /* The largest message there is. */
    request.stdin_bytes = bytes_of(large, RUNNER_STDIN_INLINE_MAX);
    struct testing_job last;
    testing_run(&testing, &request, &last);
    assert_ok(&last);
    testing_job_done(&last);
    request.arg_count = 2;
    assert_int_equal(runner_client_submit(testing.client, &request, testing_now(), &job),
                     PLASM_TOO_LARGE);
    args[0] = BYTES_LITERAL("a\0b");
    assert_int_equal(runner_client_submit(testing.client, &request, testing_now(), &job),
                     PLASM_INVALID);
}

/* A long job's output is told while it runs, not at its end. */
static void output_is_told_as_it_is_made(void **state) {
    const char *arguments[] = {"streams", "lines", "3", "300", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    testing_submit(&testing, &request, &job);
    while (job.output.size < strlen("line 0\n") && !job.over) {
        testing_wait(&testing, NANOS_MILLISECOND);
    }
    assert_false(job.over);
    assert_int_equal(job.output.size, strlen("line 0\n"));
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_ok(&job);
    assert_int_equal(job.chunks, 3);
    testing_job_done(&job);
}

/* While nobody reads, a module that writes a lot stands still; then it goes on. */
static void a_paused_job_waits(void **state) {
    const char *arguments[] = {"streams", "count", "5000000", "10000", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    request.limits.output_bytes = 5000000;
    testing_submit(&testing, &request, &job);
    runner_job_pause(job.job);
    testing_wait(&testing, 200 * NANOS_MILLISECOND);
    assert_false(job.over);
    assert_int_equal(job.chunks, 0);
    runner_job_resume(job.job);
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_ok(&job);
    assert_int_equal(job.output.size, 5000000);
    assert_true(job.largest_chunk <= RUNNER_OUTPUT_SIZE_MAX);
    testing_job_done(&job);
}

/* Time runs on for one that cannot write; and a cancel reaches it. */
static void a_paused_job_times_out_and_can_be_cancelled(void **state) {
    const char *arguments[] = {"streams", "count", "5000000", "10000", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    (void)state;
    testing_request(&image, arguments, &strings, &request);
    request.limits.output_bytes = 5000000;
    request.limits.wall_ms = 150;
    testing_submit(&testing, &request, &job);
    runner_job_pause(job.job);
    testing_wait(&testing, 300 * NANOS_MILLISECOND);
    assert_false(job.over);
    runner_job_resume(job.job);
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_int_equal(job.result.status, RUNNER_STATUS_TIMEOUT);
    assert_in_range(job.output.size, 1, 1000000);
    testing_job_done(&job);

    request.limits.wall_ms = 10000;
    testing_submit(&testing, &request, &job);
    runner_job_pause(job.job);
    testing_wait(&testing, 100 * NANOS_MILLISECOND);
    runner_job_cancel(job.job, testing_now());
    assert_true(testing_loop(&testing, &job.over, NANOS_SECOND));
    assert_int_equal(job.result.status, RUNNER_STATUS_CANCELLED);
    testing_job_done(&job);
}

/* The whole of WASI preview 1, as the module wasi.wasm checks it from inside. */
static void wasi_answers_as_specified(void **state) {
    const char *arguments[] = {"first", "the \"second\" arg", "3", NULL};
    const struct bytes env[] = {BYTES_LITERAL("a=text"), BYTES_LITERAL("b=escap \" ing"),
                                BYTES_LITERAL("c=new\nline")};
    (void)state;
    for (int deterministic = 0; deterministic <= 1; deterministic++) {
        struct testing_strings strings;
        struct runner_request request;
        struct testing_job job;
        testing_request(deterministic ? &wasi_metered : &wasi_image, arguments, &strings, &request);
        request.key = BYTES_LITERAL("wasi");
        request.env = env;
        request.env_count = ARRAY_SIZE(env);
        request.stdin_bytes = BYTES_LITERAL("standard input");
        request.deterministic = deterministic != 0;
        request.limits.fuel = deterministic ? 1000000000 : 0;
        testing_run(&testing, &request, &job);
        struct bytes errors = buffer_bytes(&job.errors);
        if (errors.size > 0) {
            fail_msg("%.*s", (int)errors.size, (const char *)errors.data);
        }
        assert_ok(&job);
        assert_bytes(&job.output, BYTES_LITERAL("hello\nrenumbered\n"));
        testing_job_done(&job);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_comes_through_unchanged),
        cmocka_unit_test(a_file_shorter_than_announced_fails),
        cmocka_unit_test(the_streams_keep_their_order),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(arguments_and_environment_arrive),
        cmocka_unit_test(strings_are_bounded),
        cmocka_unit_test(output_is_told_as_it_is_made),
        cmocka_unit_test(a_paused_job_waits),
        cmocka_unit_test(a_paused_job_times_out_and_can_be_cancelled),
        cmocka_unit_test(wasi_answers_as_specified),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
