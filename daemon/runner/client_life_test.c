/* The lives of processes: kept, evicted, killed, crashed, restarted; nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/runner_testing.h"

static struct testing testing;
static struct testing_image image;
static struct testing_strings strings;
static struct runner_request request;

/* Each test has a client of its own. */
static void begin(void (*change)(struct runner_client_config *)) {
    struct runner_client_config config;
    struct bytes module = testing_module("limits");
    testing_config(&config);
    if (change != NULL) {
        change(&config);
    }
    assert_true(testing_start(&testing, &config));
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    assert_int_equal(image.outcome, RUNNER_COMPILE_OK);
    free((void *)(uintptr_t)module.data);
}

static void end(void) {
    testing_image_done(&image);
    testing_stop(&testing);
    /* The zygote was reaped, and it is the only child there was. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void prepare(const char *key, const char *command, const char *number) {
    const char *arguments[] = {"limits", command, number, NULL};
    testing_request(&image, arguments, &strings, &request);
    request.key = bytes_of_string(key);
}

static void run_well(const char *key) {
    struct testing_job job;
    prepare(key, "nothing", "0");
    testing_run(&testing, &request, &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_OK);
    testing_job_done(&job);
}

static void start_loop(const char *key, struct testing_job *job) {
    prepare(key, "loop", "0");
    testing_submit(&testing, &request, job);
    testing_wait(&testing, 50 * NANOS_MILLISECOND);
    assert_false(job->over);
}

static void signal_runner(const struct testing_job *job, int signal) {
    const struct process *process = job->job->process;
    assert_int_equal(syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0), 0);
}

static size_t open_descriptors(void) {
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void no_warm_ones(struct runner_client_config *config) {
    config->runners_warm = 0;
}

static void a_runner_is_kept_for_its_client_and_module(void **state) {
    (void)state;
    begin(no_warm_ones);
    uint64_t forks = runner_client_counts(testing.client).forks;
    run_well("one");
    run_well("one");
    run_well("one");
    assert_int_equal(runner_client_counts(testing.client).forks, forks + 1);
    run_well("two");
    assert_int_equal(runner_client_counts(testing.client).forks, forks + 2);
    assert_int_equal(runner_client_counts(testing.client).runners_idle, 2);
    runner_client_forget(testing.client, BYTES_LITERAL("one"));
    assert_int_equal(runner_client_counts(testing.client).runners_idle, 1);
    run_well("two");
    assert_int_equal(runner_client_counts(testing.client).forks, forks + 2);
    assert_int_equal(testing.deaths, 0);
    end();
}

static void short_idle_timeout(struct runner_client_config *config) {
    config->runners_warm = 1;
    config->idle_timeout = 50 * NANOS_MILLISECOND;
}

static void an_idle_runner_ends(void **state) {
    (void)state;
    begin(short_idle_timeout);
    run_well("one");
    assert_int_equal(runner_client_counts(testing.client).runners_idle, 1);
    testing_wait(&testing, 150 * NANOS_MILLISECOND);
    assert_int_equal(runner_client_counts(testing.client).runners_idle, 0);
    assert_int_equal(runner_client_counts(testing.client).runners_warm, 1);
    assert_int_equal(testing.deaths, 0);
    end();
}

static void two_at_most(struct runner_client_config *config) {
    config->runners_warm = 1;
    config->runners_max = 2;
}

static void runners_are_bounded(void **state) {
    struct testing_job jobs[2];
    struct runner_job *third;
    (void)state;
    begin(two_at_most);
    /* Idle ones make room ... */
    for (int i = 0; i < 6; i++) {
        char key[2] = {(char)('a' + i), 0};
        run_well(key);
        struct runner_client_counts counts = runner_client_counts(testing.client);
        assert_true(counts.runners_idle + counts.runners_busy + counts.runners_warm <= 2);
    }
    /* ... busy ones do not. */
    start_loop("one", &jobs[0]);
    start_loop("two", &jobs[1]);
    prepare("three", "nothing", "0");
    assert_int_equal(runner_client_submit(testing.client, &request, testing_now(), &third),
                     PLASM_LIMIT);
    for (size_t i = 0; i < 2; i++) {
        runner_job_cancel(jobs[i].job, testing_now());
        assert_true(testing_loop(&testing, &jobs[i].over, 5 * NANOS_SECOND));
        testing_job_done(&jobs[i]);
    }
    run_well("three");
    assert_int_equal(testing.deaths, 0);
    end();
}

static void one_per_job(struct runner_client_config *config) {
    config->runner_per_job = true;
}

static void a_process_a_job(void **state) {
    (void)state;
    begin(one_per_job);
    for (int i = 0; i < 5; i++) {
        uint64_t forks = runner_client_counts(testing.client).forks;
        run_well("one");
        testing_wait(&testing, 10 * NANOS_MILLISECOND);
        assert_true(runner_client_counts(testing.client).forks > forks);
        assert_int_equal(runner_client_counts(testing.client).runners_idle, 0);
    }
    assert_int_equal(testing.deaths, 0);
    end();
}

static void a_runner_that_dies_fails_its_job_only(void **state) {
    struct testing_job job;
    struct testing_job other;
    (void)state;
    begin(NULL);
    start_loop("one", &job);
    start_loop("two", &other);
    signal_runner(&job, SIGKILL);
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_int_equal(job.result.status, RUNNER_STATUS_FAILED);
    assert_non_null(strstr(job.text, "signal 9"));
    assert_false(other.over);
    testing_wait(&testing, NANOS_MILLISECOND);
    assert_int_equal(testing.deaths, 1);
    assert_int_equal(testing.death_signal, SIGKILL);
    runner_job_cancel(other.job, testing_now());
    assert_true(testing_loop(&testing, &other.over, 5 * NANOS_SECOND));
    assert_int_equal(other.result.status, RUNNER_STATUS_CANCELLED);
    testing_job_done(&job);
    testing_job_done(&other);
    run_well("one");
    end();
}

/* An idle one that dies is told, and not given another job. */
static void an_idle_runner_that_dies_is_replaced(void **state) {
    struct testing_job job;
    (void)state;
    begin(NULL);
    prepare("one", "nothing", "0");
    testing_submit(&testing, &request, &job);
    const struct process *process = job.job->process;
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_int_equal(syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0), 0);
    testing_job_done(&job);
    testing_wait(&testing, 20 * NANOS_MILLISECOND);
    assert_int_equal(testing.deaths, 1);
    run_well("one");
    end();
}

static void short_grace(struct runner_client_config *config) {
    config->kill_grace = 50 * NANOS_MILLISECOND;
}

/* One that does not listen any more is killed: after its time ... */
static void a_runner_that_hangs_is_killed_in_time(void **state) {
    struct testing_job job;
    (void)state;
    begin(short_grace);
    prepare("one", "loop", "0");
    request.limits.wall_ms = 200;
    testing_submit(&testing, &request, &job);
    testing_wait(&testing, 50 * NANOS_MILLISECOND);
    signal_runner(&job, SIGSTOP);
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_int_equal(job.result.status, RUNNER_STATUS_TIMEOUT);
    assert_in_range(job.result.wall_us, 250000, 2000000);
    testing_job_done(&job);
    run_well("one");
    assert_int_equal(testing.deaths, 0); /* it was our doing */
    end();
}

/* ... or when it is cancelled. */
static void a_runner_that_hangs_can_be_cancelled(void **state) {
    struct testing_job job;
    (void)state;
    begin(NULL);
    start_loop("one", &job);
    signal_runner(&job, SIGSTOP);
    runner_job_cancel(job.job, testing_now());
    runner_job_cancel(job.job, testing_now());
    assert_true(testing_loop(&testing, &job.over, 5 * NANOS_SECOND));
    assert_int_equal(job.result.status, RUNNER_STATUS_CANCELLED);
    testing_job_done(&job);
    run_well("one");
    end();
}

static void without_its_zygote_everything_ends_and_can_begin_again(void **state) {
    struct testing_job jobs[2];
    (void)state;
    begin(NULL);
    run_well("idle");
    start_loop("one", &jobs[0]);
    start_loop("two", &jobs[1]);
    assert_int_equal(kill(testing.client->zygote_pid, SIGKILL), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(testing_loop(&testing, &jobs[i].over, 5 * NANOS_SECOND));
        assert_int_equal(jobs[i].result.status, RUNNER_STATUS_FAILED);
        testing_job_done(&jobs[i]);
    }
    testing_wait(&testing, 10 * NANOS_MILLISECOND);
    assert_int_equal(testing.stops, 1);
    struct runner_job *refused;
    prepare("one", "nothing", "0");
    assert_int_equal(runner_client_submit(testing.client, &request, testing_now(), &refused),
                     PLASM_STATE);
    testing.started = false;
    assert_int_equal(runner_client_start(testing.client), 0);
    assert_int_equal(runner_client_start(testing.client), PLASM_STATE);
    run_well("one"); /* submitted before the new zygote has said a word */
    assert_true(testing.started);
    end();
}

static void a_program_that_is_not_there_cannot_be_started(void **state) {
    struct runner_client_config config;
    struct runner_client *client;
    struct memory memory;
    (void)state;
    memory_init(&memory, SIZE_MAX);
    testing_config(&config);
    config.program = "/nonexistent/plasm-run";
    assert_int_equal(runner_client_new(&config, &memory, &client), 0);
    assert_int_equal(runner_client_start(client), PLASM_IO);
    assert_int_equal(errno, ENOENT);
    runner_client_free(client);
    assert_int_equal(memory.used, 0);
}

static void another_program_is_not_taken_for_plasm_run(void **state) {
    struct runner_client_config config;
    (void)state;
    testing = (struct testing){.client = NULL};
    memory_init(&testing.memory, SIZE_MAX);
    testing_config(&config);
    config.program = "/bin/true";
    assert_int_equal(runner_client_new(&config, &testing.memory, &testing.client), 0);
    assert_int_equal(runner_client_start(testing.client), 0);
    testing_wait(&testing, 100 * NANOS_MILLISECOND);
    assert_int_equal(testing.stops, 1);
    testing_stop(&testing);
}

static void memory_that_fails_is_reported(void **state) {
    struct runner_client_config config;
    (void)state;
    testing_config(&config);
    for (size_t n = 0;; n++) {
        struct memory_failing failing;
        struct runner_client *client;
        memory_failing_init(&failing, n, false);
        int error = runner_client_new(&config, &failing.memory, &client);
        if (error == 0) {
            runner_client_free(client);
        }
        assert_int_equal(failing.memory.used, 0);
        if (!failing.failed) {
            assert_int_equal(error, 0);
            break;
        }
        assert_int_equal(error, PLASM_NO_MEMORY);
    }
}

/* Many jobs of several clients at once, and the client ends in the middle of some. */
static void nothing_is_left_behind(void **state) {
    (void)state;
    size_t before = open_descriptors();
    begin(NULL);
    static const char *const keys[] = {"one", "two", "three", "four"};
    for (int round = 0; round < 50; round++) {
        struct testing_job jobs[ARRAY_SIZE(keys)];
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
            prepare(keys[i], round % 10 == 0 ? "unreachable" : "nothing", "0");
            testing_submit(&testing, &request, &jobs[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
            assert_true(testing_loop(&testing, &jobs[i].over, 5 * NANOS_SECOND));
            assert_int_equal(jobs[i].result.status,
                             round % 10 == 0 ? RUNNER_STATUS_TRAP : RUNNER_STATUS_OK);
            testing_job_done(&jobs[i]);
        }
    }
    struct testing_job abandoned;
    start_loop("five", &abandoned);
    testing_job_done(&abandoned);
    end();
    assert_int_equal(open_descriptors(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runner_is_kept_for_its_client_and_module),
        cmocka_unit_test(an_idle_runner_ends),
        cmocka_unit_test(runners_are_bounded),
        cmocka_unit_test(a_process_a_job),
        cmocka_unit_test(a_runner_that_dies_fails_its_job_only),
        cmocka_unit_test(an_idle_runner_that_dies_is_replaced),
        cmocka_unit_test(a_runner_that_hangs_is_killed_in_time),
        cmocka_unit_test(a_runner_that_hangs_can_be_cancelled),
        cmocka_unit_test(without_its_zygote_everything_ends_and_can_begin_again),
        cmocka_unit_test(a_program_that_is_not_there_cannot_be_started),
        cmocka_unit_test(another_program_is_not_taken_for_plasm_run),
        cmocka_unit_test(memory_that_fails_is_reported),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
