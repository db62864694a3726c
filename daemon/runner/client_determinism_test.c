/* deterministic/1: the same job gives the same output and fuel, in whatever process it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/runner_testing.h"

struct answer {
    struct runner_result result;
    char output[2048];
};

static void run_in(struct testing *testing, const struct testing_image *image, uint8_t seed,
                   struct answer *ret_answer) {
    const char *arguments[] = {"determinism", "x", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    testing_request(image, arguments, &strings, &request);
    request.deterministic = true;
    request.limits.fuel = 100000000;
    memset(request.seed, seed, sizeof(request.seed));
    testing_run(testing, &request, &job);
    if (job.result.status != RUNNER_STATUS_OK) {
        fail_msg("%s: %s", runner_status_name(job.result.status), job.text);
    }
    ret_answer->result = job.result;
    ret_answer->result.text = bytes_of(NULL, 0);
    assert_int_equal(
        bytes_to_string(buffer_bytes(&job.output), ret_answer->output, sizeof(ret_answer->output)),
        0);
    testing_job_done(&job);
}

static void start(struct testing *testing, struct bytes module, struct testing_image *ret_image) {
    struct runner_client_config config;
    testing_config(&config);
    assert_true(testing_start(testing, &config));
    testing_compile(testing, module, RUNNER_FLAVOUR_METERED, ret_image);
    assert_int_equal(ret_image->outcome, RUNNER_COMPILE_OK);
}

static void the_same_job_gives_the_same(void **state) {
    struct bytes module = testing_module("determinism");
    struct answer answers[4];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct testing testing;
        struct testing_image image;
        start(&testing, module, &image);
        run_in(&testing, &image, 1, &answers[2 * i]);
        testing_wait(&testing, 30 * NANOS_MILLISECOND);
        run_in(&testing, &image, 1, &answers[2 * i + 1]);
        testing_image_done(&image);
        testing_stop(&testing);
    }
    for (size_t i = 1; i < ARRAY_SIZE(answers); i++) {
        assert_string_equal(answers[i].output, answers[0].output);
        assert_int_equal(answers[i].result.fuel, answers[0].result.fuel);
    }
    free((void *)(uintptr_t)module.data);
}

static void what_it_sees_is_what_the_specification_says(void **state) {
    struct bytes module = testing_module("determinism");
    struct testing testing;
    struct testing_image image;
    struct answer one;
    struct answer other;
    (void)state;
    start(&testing, module, &image);
    run_in(&testing, &image, 0, &one);
    run_in(&testing, &image, 9, &other);
    /* Sleeping takes no time and moves the clock; real time is 2000-01-01 plus the monotonic clock,
     * but for the fuel spent between two readings. */
    assert_non_null(strstr(one.output, "slept 0 1 an hour\n"));
    assert_non_null(strstr(one.output, "real 9466847999999"));
    /* The key stream of RFC 8439, appendix A.1, test vector 1: an all-zero key. */
    assert_non_null(strstr(one.output, "random 76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1a"
                                       "a836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f4"
                                       "1518a11cc387b669b2ee6586"));
    assert_null(strstr(other.output, "random 76b8e0ada0f13d90"));
    /* Every NaN is the canonical one. */
    assert_non_null(strstr(one.output, "nan 7ff8000000000000\nnan 7ff8000000000000\n"));
    /* 64 MiB in steps of seven pages. */
    assert_non_null(strstr(one.output, "pages 10"));
    testing_image_done(&image);
    testing_stop(&testing);
    free((void *)(uintptr_t)module.data);
}

/* deterministic/1 pins wasmtime 48's fuel schedule: the module of the guide, whose bytes are kept,
 * takes exactly this much. Another number here is deterministic/2. */
static void the_fuel_schedule_is_pinned(void **state) {
    struct bytes module = testing_file(PLASM_SOURCE_DIR "/../../wasm-examples/hello/target/"
                                                        "wasm32-wasip1/release/hello.wasm");
    struct testing testing;
    struct testing_image image;
    struct answer answer;
    (void)state;
    start(&testing, module, &image);
    run_in(&testing, &image, 0, &answer);
    assert_string_equal(answer.output, "dlroW ,olleH");
    assert_int_equal(answer.result.fuel, 542);
    testing_image_done(&image);
    testing_stop(&testing);
    free((void *)(uintptr_t)module.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_job_gives_the_same),
        cmocka_unit_test(what_it_sees_is_what_the_specification_says),
        cmocka_unit_test(the_fuel_schedule_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
