/* Measures a job inside one process: what runner_bench's numbers are to be compared with.
 *
 *   inprocess_bench MODULE [JOBS]
 *
 * The same engine, host and limits, without processes, sockets and walls. Prints microseconds,
 * median and 99th percentile. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner/runner_testing.h"
#include "runner/sandbox/compile.h"
#include "runner/sandbox/job.h"
#include "util/ensure.h"

static struct job_host host;

static int compare(const void *a, const void *b) {
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void measure(const char *name, const struct job_code *code, bool deterministic,
                    uint64_t *samples, size_t count) {
    static const uint8_t seed[RUNNER_SEED_SIZE];
    const struct runner_job_message job = {
        .deterministic = deterministic,
        .limits = {.fuel = deterministic ? 1000000000 : 0,
                   .memory_bytes = 64 << 20,
                   .wall_ms = 5000,
                   .output_bytes = 1 << 20},
        .seed = bytes_of(seed, sizeof(seed)),
        .arg_count = 1,
        .args = BYTES_LITERAL("bench\0"),
    };
    for (size_t i = 0; i < count; i++) {
        struct job_ending ending;
        wasmtime_store_t *store;
        nanos start = control_now();
        job_run(&host, code, &job, -1, &ending, &store);
        job_clean(store);
        samples[i] = control_now() - start;
        if (ending.status != RUNNER_STATUS_OK) {
            fprintf(stderr, "%s: %s\n", runner_status_name(ending.status), ending.text);
            exit(EXIT_FAILURE);
        }
    }
    qsort(samples, count, sizeof(*samples), compare);
    printf("%-28s %9.1f %9.1f\n", name, (double)samples[count / 2] / 1000,
           (double)samples[count * 99 / 100] / 1000);
}

static void load(struct bytes module, enum runner_flavour flavour, struct job_code *ret_code) {
    struct runner_compile_limits limits;
    struct compile_report report;
    int image = memfd_create("image", MFD_CLOEXEC);
    runner_compile_limits_default(&limits);
    compile_module(module, flavour, &limits, image, &report);
    if (report.outcome != RUNNER_COMPILE_OK) {
        fprintf(stderr, "%s\n", report.text);
        exit(EXIT_FAILURE);
    }
    const struct runner_load request = {flavour, report.image_size};
    job_load(&host, &request, image, ret_code);
    ENSURE(ret_code->instance_pre != NULL);
    close(image);
}

int main(int argc, char **argv) {
    struct job_code plain;
    struct job_code metered;
    int pair[2]; /* where cancels would come from */
    size_t count = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 5000;
    uint64_t *samples = malloc((count + 1) * sizeof(*samples));
    if (argc < 2 || count == 0 || samples == NULL) {
        fprintf(stderr, "usage: inprocess_bench MODULE [JOBS]\n");
        return 2;
    }
    ENSURE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 && job_host_init(&host) == 0);
    struct bytes module = testing_file(argv[1]);
    load(module, RUNNER_FLAVOUR_PLAIN, &plain);
    load(module, RUNNER_FLAVOUR_METERED, &metered);
    printf("%-28s %9s %9s\n", "microseconds", "p50", "p99");
    control_init(&host.control, pair[0], plain.engine->engine);
    measure("in process, wasip1", &plain, false, samples, count);
    control_init(&host.control, pair[0], metered.engine->engine);
    measure("in process, deterministic/1", &metered, true, samples, count);
    job_unload(&plain);
    job_unload(&metered);
    job_host_done(&host);
    free((void *)(uintptr_t)module.data);
    free(samples);
    return 0;
}
