/* Every reason to say no, and what is lowered instead. */
#include "plasmd/admission.h"

#include <stdio.h>

#include "util/testing.h"

static struct manifest manifest;
static struct admit_node node;
static struct admit_load load;
static struct admit_offer offer;
static struct admit_answer answer;

#define NOW 1000000

static int set_up(void **state) {
    (void)state;
    manifest = (struct manifest){
        .module_size = 1000,
        .limits = {.fuel = 0, .memory_bytes = 1000, .wall_ms = 1000, .output_bytes = 1000},
        .profile = PROFILE_WASIP1,
        .expires_s = NOW + 600};
    node = (struct admit_node){
        .arch = "x86_64",
        .runtime = "wasmtime-48",
        .limits = {.job = {.memory_bytes = 1000, .wall_ms = 1000, .output_bytes = 1000},
                   .module_bytes = 1000,
                   .stdin_bytes = 1000},
        .jobs_max = 10,
        .jobs_per_client_max = 5};
    load = (struct admit_load){.sandbox_ready = true, .bytes_left = 10000};
    offer = (struct admit_offer){.manifest = &manifest, .stdin_size = 1000, .now_unix_s = NOW};
    return 0;
}

static enum admit_verdict ask(void) {
    admit(&node, &load, &offer, false, &answer);
    return answer.verdict;
}

static void expect_no(enum job_rejection code, const char *text) {
    assert_int_equal(ask(), ADMIT_REJECT);
    assert_int_equal(answer.code, code);
    assert_string_equal(answer.text, text);
}

static void what_fits_runs(void **state) {
    (void)state;
    assert_int_equal(ask(), ADMIT_RUN);
    assert_memory_equal(&answer.effective, &manifest.limits, sizeof(manifest.limits));
    manifest.profile = PROFILE_DETERMINISTIC_1;
    manifest.limits.fuel = 1;
    assert_int_equal(ask(), ADMIT_RUN);
}

static void wasip1_is_lowered(void **state) {
    (void)state;
    manifest.limits =
        (struct job_limits){.memory_bytes = 1001, .wall_ms = 999, .output_bytes = UINT64_MAX};
    node.limits.job.fuel = 77;
    assert_int_equal(ask(), ADMIT_CLAMP);
    assert_int_equal(answer.effective.memory_bytes, 1000);
    assert_int_equal(answer.effective.wall_ms, 999);
    assert_int_equal(answer.effective.output_bytes, 1000);
    assert_int_equal(answer.effective.fuel, 77);
    assert_int_equal(answer.limit_count, 3);
    assert_string_equal(answer.limits[0].name, "memory_bytes");
    assert_int_equal(answer.limits[0].asked, 1001);
    assert_int_equal(answer.limits[0].allowed, 1000);
    assert_string_equal(answer.limits[2].name, "fuel");
}

/* What would be another question is refused. */
static void deterministic_is_refused(void **state) {
    (void)state;
    manifest.profile = PROFILE_DETERMINISTIC_1;
    manifest.limits.fuel = 78;
    node.limits.job.fuel = 77;
    expect_no(JOB_REJECTED_LIMIT, "fuel is over the worker's limit: 78 asked, 77 allowed");
    manifest.limits.fuel = 77;
    manifest.limits.wall_ms = 5000;
    expect_no(JOB_REJECTED_LIMIT, "wall_ms is over the worker's limit: 5000 asked, 1000 allowed");
    assert_string_equal(answer.limits[0].name, "wall_ms");
}

static void sizes_are_never_lowered(void **state) {
    (void)state;
    manifest.module_size = 1001;
    expect_no(JOB_REJECTED_LIMIT,
              "module_bytes is over the worker's limit: 1001 asked, 1000 allowed");
    manifest.module_size = 1000;
    offer.stdin_size = 1001;
    expect_no(JOB_REJECTED_LIMIT,
              "stdin_bytes is over the worker's limit: 1001 asked, 1000 allowed");
}

static void other_machines_are_unsupported(void **state) {
    (void)state;
    snprintf(manifest.arch, sizeof(manifest.arch), "%s", "aarch64");
    expect_no(JOB_REJECTED_UNSUPPORTED, "arch is not this worker's: aarch64 asked, it is x86_64");
    snprintf(manifest.arch, sizeof(manifest.arch), "%s", "x86_64");
    snprintf(manifest.runtime, sizeof(manifest.runtime), "%s", "wasmtime-47");
    expect_no(JOB_REJECTED_UNSUPPORTED,
              "runtime is not this worker's: wasmtime-47 asked, it is wasmtime-48");
}

static void time_and_state(void **state) {
    (void)state;
    manifest.expires_s = NOW - 10000;
    expect_no(JOB_REJECTED_EXPIRED, "expires is past");
    manifest.expires_s = NOW + 600;
    load.signer_away = true;
    expect_no(JOB_REJECTED_UNAVAILABLE, "nobody is there to sign receipts");
    load.sandbox_ready = false;
    expect_no(JOB_REJECTED_UNAVAILABLE, "the sandbox is starting");
    load.draining = true;
    expect_no(JOB_REJECTED_UNAVAILABLE, "draining: the worker is stopping and takes no new jobs");
}

static void the_queue_is_bounded(void **state) {
    (void)state;
    load.jobs = 10;
    expect_no(JOB_REJECTED_BUSY, "the queue is full: 10 jobs");
    assert_int_equal(answer.retry_after_ms, ADMIT_RETRY_MS);
    load.jobs = 9;
    load.client_jobs = 5;
    expect_no(JOB_REJECTED_BUSY, "too many of your jobs are waiting here: 5");
    load.client_jobs = 4;
    load.share_jobs = 5;
    expect_no(JOB_REJECTED_BUSY, "too many jobs from your address are waiting here: 5");
    load.share_jobs = 4;
    load.bytes_left = 2000;
    assert_int_equal(ask(), ADMIT_RUN);
    load.bytes_left = 1999;
    expect_no(JOB_REJECTED_BUSY, "too many bytes are waiting here");
    load.bytes_left = 0;
    expect_no(JOB_REJECTED_BUSY, "too many bytes are waiting here");
}

static void whoever_asks_hears_every_reason(void **state) {
    (void)state;
    snprintf(manifest.arch, sizeof(manifest.arch), "%s", "aarch64");
    manifest.profile = PROFILE_DETERMINISTIC_1;
    manifest.limits.fuel = 1;
    manifest.limits.memory_bytes = 2000;
    manifest.limits.output_bytes = 3000;
    admit(&node, &load, &offer, true, &answer);
    assert_int_equal(answer.verdict, ADMIT_REJECT);
    assert_int_equal(answer.code, JOB_REJECTED_UNSUPPORTED);
    assert_int_equal(answer.limit_count, 2);
    assert_string_equal(answer.text,
                        "arch is not this worker's: aarch64 asked, it is x86_64; "
                        "memory_bytes is over the worker's limit: 2000 asked, 1000 allowed; "
                        "output_bytes is over the worker's limit: 3000 asked, 1000 allowed");
    admit(&node, &load, &offer, false, &answer);
    assert_int_equal(answer.limit_count, 0);
    assert_string_equal(answer.text, "arch is not this worker's: aarch64 asked, it is x86_64");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_fits_runs, set_up),
        cmocka_unit_test_setup(wasip1_is_lowered, set_up),
        cmocka_unit_test_setup(deterministic_is_refused, set_up),
        cmocka_unit_test_setup(sizes_are_never_lowered, set_up),
        cmocka_unit_test_setup(other_machines_are_unsupported, set_up),
        cmocka_unit_test_setup(time_and_state, set_up),
        cmocka_unit_test_setup(the_queue_is_bounded, set_up),
        cmocka_unit_test_setup(whoever_asks_hears_every_reason, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
