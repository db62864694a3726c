/* plasm bench: the same job many times, so many in flight; every receipt is verified. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/job.h"

#define COUNT_DEFAULT  1000
#define COUNT_MAX      10000000
#define IN_FLIGHT_MAX  1024
#define JOB_TIMEOUT_MS 30000

struct bench {
    const struct cli_options *options;
    const struct cli_job *files;
    struct plasm_client *client;
    size_t count;
    size_t in_flight;
    size_t started;
    size_t done;
    size_t failed;
    uint64_t *latencies_ns; /* of jobs that held */
    struct plasm_job *jobs[IN_FLIGHT_MAX];
    uint64_t begun_ns[IN_FLIGHT_MAX];
};

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int start(struct bench *bench, size_t slot) {
    bench->begun_ns[slot] = now_ns();
    bench->started++;
    return plasm_submit_start(bench->client, bench->files->request, bench->files->module,
                              bench->files->module_size, bench->files->input,
                              bench->files->input_size, &bench->jobs[slot]);
}

/* Takes a job that is over; its receipt has been checked by the library. */
static void finish(struct bench *bench, size_t slot) {
    int64_t exit_code = -1;
    int error = plasm_job_verdict(bench->jobs[slot], &exit_code);
    if (error == 0 && exit_code == 0) {
        bench->latencies_ns[bench->done - bench->failed] = now_ns() - bench->begun_ns[slot];
    } else {
        bench->failed++;
        (void)fprintf(stderr, "plasm: job failed: %s\n",
                      error != 0 ? plasm_last_error() : "its exit code is not 0");
    }
    bench->done++;
    plasm_job_free(bench->jobs[slot]);
    bench->jobs[slot] = NULL;
}

static int run_all(struct bench *bench) {
    while (bench->done < bench->count) {
        for (size_t slot = 0; slot < bench->in_flight; slot++) {
            if (bench->jobs[slot] != NULL && plasm_job_state(bench->jobs[slot]) == 2) {
                finish(bench, slot);
            }
            if (bench->jobs[slot] == NULL && bench->started < bench->count) {
                int error = start(bench, slot);
                if (error != 0) {
                    return error;
                }
            }
        }
        if (bench->done < bench->count) {
            int error = plasm_client_wait(bench->client, JOB_TIMEOUT_MS);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static double percentile_us(const struct bench *bench, size_t good, unsigned percent) {
    size_t place = good * percent / 100;
    return good > 0 ? (double)bench->latencies_ns[place < good ? place : good - 1] / 1000 : 0;
}

static void report(struct bench *bench, uint64_t elapsed_ns) {
    size_t good = bench->done - bench->failed;
    qsort(bench->latencies_ns, good, sizeof(uint64_t), compare);
    double rate = (double)good * 1e9 / (double)elapsed_ns;
    double p50 = percentile_us(bench, good, 50);
    double p99 = percentile_us(bench, good, 99);
    if (bench->options->json) {
        (void)cli_print_event("bench", json_pack("{s:I, s:I, s:I, s:f, s:f, s:f}", "jobs",
                                                 (json_int_t)bench->done, "failed",
                                                 (json_int_t)bench->failed, "in_flight",
                                                 (json_int_t)bench->in_flight, "jobs_per_second",
                                                 rate, "p50_us", p50, "p99_us", p99));
        return;
    }
    printf("%zu jobs, %zu in flight, %zu failed: %.0f jobs/s, p50 %.0f us, p99 %.0f us\n",
           bench->done, bench->in_flight, bench->failed, rate, p50, p99);
}

/* One job that is waited for: finds the worker, sends the module, warms it up. */
static int warm_up(const struct bench *bench) {
    struct plasm_job *job;
    int error = plasm_submit(bench->client, bench->files->request, bench->files->module,
                             bench->files->module_size, bench->files->input,
                             bench->files->input_size, &job);
    if (error == 0) {
        const char *answer;
        error = plasm_job_result(job, &answer);
        plasm_job_free(job);
    }
    return error;
}

static int run_bench(struct bench *bench) {
    int error = warm_up(bench);
    uint64_t begun = now_ns();
    if (error == 0) {
        error = run_all(bench);
    }
    for (size_t slot = 0; slot < bench->in_flight; slot++) {
        plasm_job_free(bench->jobs[slot]);
    }
    if (error != 0) {
        return cli_fail_last(bench->options, EXIT_FAILED, error);
    }
    report(bench, now_ns() - begun);
    return bench->failed == 0 ? EXIT_DONE : EXIT_FAILED;
}

int command_bench(struct cli_options *options) {
    int64_t count = COUNT_DEFAULT;
    int64_t in_flight = 1;
    if ((options->count != NULL && !cli_number(options->count, false, &count)) || count < 1 ||
        count > COUNT_MAX) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--count must be 1 to %d", COUNT_MAX);
    }
    if ((options->concurrency != NULL && !cli_number(options->concurrency, false, &in_flight)) ||
        in_flight < 1 || in_flight > IN_FLIGHT_MAX) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--concurrency must be 1 to %d",
                        IN_FLIGHT_MAX);
    }
    struct cli_job files;
    int code = cli_job_read(options, false, &files);
    if (code != EXIT_DONE) {
        return code;
    }
    struct bench *bench = calloc(1, sizeof(*bench));
    uint64_t *latencies = calloc((size_t)count, sizeof(uint64_t));
    code = EXIT_FAILED;
    if (bench != NULL && latencies != NULL && cli_client(options, &bench->client) == 0) {
        bench->options = options;
        bench->files = &files;
        bench->count = (size_t)count;
        bench->in_flight = (size_t)in_flight;
        bench->latencies_ns = latencies;
        code = run_bench(bench);
        plasm_client_free(bench->client);
    }
    free(latencies);
    free(bench);
    cli_job_done(&files);
    return code;
}
