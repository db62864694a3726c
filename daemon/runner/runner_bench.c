/* Measures a warm job from parent to parent, a first job, and the same module inside one process.
 *
 *   runner_bench MODULE [JOBS]
 *
 * Prints microseconds, median and 99th percentile. */
#include <stdio.h>
#include <stdlib.h>

#include "runner/runner_testing.h"
#include "util/ensure.h"

static int compare(const void *a, const void *b) {
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void print_row(const char *name, uint64_t *samples, size_t count) {
    qsort(samples, count, sizeof(*samples), compare);
    printf("%-28s %9.1f %9.1f\n", name, (double)samples[count / 2] / 1000,
           (double)samples[count * 99 / 100] / 1000);
}

static void measure_jobs(struct testing *testing, struct runner_request *request, uint64_t *samples,
                         size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct testing_job job;
        nanos start = testing_now();
        testing_run(testing, request, &job);
        samples[i] = testing_now() - start;
        if (job.result.status != RUNNER_STATUS_OK) {
            fprintf(stderr, "%s: %s\n", runner_status_name(job.result.status), job.text);
            exit(EXIT_FAILURE);
        }
        testing_job_done(&job);
    }
}

/* Each job as the first of another client: a waiting runner loads the module. */
static void measure_first(struct testing *testing, struct runner_request *request,
                          uint64_t *samples, size_t count) {
    char key[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "client %zu", i);
        request->key = bytes_of_string(key);
        measure_jobs(testing, request, samples + i, 1);
        runner_client_forget(testing->client, request->key);
        testing_wait(testing, 3 * NANOS_MILLISECOND); /* the next one is forked */
    }
    request->key = BYTES_LITERAL("bench");
}

int main(int argc, char **argv) {
    struct runner_client_config config;
    struct testing testing;
    struct testing_image image;
    struct testing_image metered;
    struct testing_strings strings;
    struct runner_request request;
    size_t count = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 5000;
    if (argc < 2 || count == 0) {
        fprintf(stderr, "usage: runner_bench MODULE [JOBS]\n");
        return 2;
    }
    uint64_t *samples = malloc(count * sizeof(*samples));
    testing_config(&config);
    if (samples == NULL || !testing_start(&testing, &config)) {
        return 1;
    }
    struct bytes module = testing_file(argv[1]);
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    testing_compile(&testing, module, RUNNER_FLAVOUR_METERED, &metered);
    if (image.outcome != RUNNER_COMPILE_OK || metered.outcome != RUNNER_COMPILE_OK) {
        fprintf(stderr, "%s%s\n", image.text, metered.text);
        return 1;
    }
    printf("%-28s %9s %9s\n", "microseconds", "p50", "p99");
    for (size_t i = 0; i < 20; i++) {
        struct testing_image again;
        nanos start = testing_now();
        testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &again);
        samples[i < count ? i : 0] = testing_now() - start;
        testing_image_done(&again);
    }
    print_row("compile", samples, count < 20 ? count : 20);
    static const char *const arguments[] = {"bench", NULL};
    testing_request(&image, arguments, &strings, &request);
    request.key = BYTES_LITERAL("bench");
    measure_jobs(&testing, &request, samples, count < 100 ? count : 100);
    measure_jobs(&testing, &request, samples, count);
    print_row("warm job, wasip1", samples, count);
    measure_first(&testing, &request, samples, count < 200 ? count : 200);
    print_row("first job, wasip1", samples, count < 200 ? count : 200);
    request.image_fd = metered.fd;
    request.image_size = metered.size;
    request.deterministic = true;
    request.limits.fuel = 1000000000;
    measure_jobs(&testing, &request, samples, count);
    print_row("warm job, deterministic/1", samples, count);
    testing_image_done(&image);
    testing_image_done(&metered);
    testing_stop(&testing);
    free(samples);
    return 0;
}
