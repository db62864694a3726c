/* For tests and benchmarks: a runner client with a loop around it, and jobs whose output is kept.
 */
#ifndef RUNNER_RUNNER_TESTING_H
#define RUNNER_RUNNER_TESTING_H

#include "runner/runner_client.h"
#include "util/buffer.h"

#define TESTING_OUTPUT_MAX (8 * 1024 * 1024)

struct testing {
    struct memory memory;
    struct runner_client *client;
    uint32_t walls;
    uint32_t landlock_abi;
    bool started;
    size_t deaths; /* RUNNER_EVENT_DIED, and the last of them: */
    int death_signal;
    size_t stops; /* RUNNER_EVENT_STOPPED */
};

/* What a compilation gave; the descriptor is closed by testing_image_done. */
struct testing_image {
    bool over;
    enum runner_compile_outcome outcome;
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    int fd;
    uint64_t size;
    uint64_t cpu_us;
};

/* A job and everything that came of it. */
struct testing_job {
    struct runner_job *job;
    bool over;
    struct runner_result result; /* its text is in `text` */
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    struct buffer output; /* standard output */
    struct buffer errors; /* standard error */
    size_t chunks;        /* OUTPUT events */
    size_t largest_chunk;
};

nanos testing_now(void);
/* The defaults, with the plasm-run of this build. */
void testing_config(struct runner_client_config *ret_config);
/* Starts a client and waits for its zygote. False, with a word on standard error, otherwise. */
MUST_CHECK bool testing_start(struct testing *testing, const struct runner_client_config *config);
void testing_stop(struct testing *testing);

/* Runs the loop until `*condition`, or for `timeout`: then false. */
MUST_CHECK bool testing_loop(struct testing *testing, const bool *condition, nanos timeout);
/* Runs the loop for that long. */
void testing_wait(struct testing *testing, nanos time);

/* The bytes of a file, from malloc; ends the process where it cannot be read. */
struct bytes testing_file(const char *path);
/* A module of wasm-examples/tests, by name. */
struct bytes testing_module(const char *name);

/* Compiles and waits for the end. */
void testing_compile(struct testing *testing, struct bytes module, enum runner_flavour flavour,
                     struct testing_image *ret_image);
void testing_image_done(struct testing_image *image);

/* A request with defaults: 5 s, 64 MiB, 1 MiB of output, no fuel, `arguments` NULL-terminated.
 * `storage` holds its strings. */
struct testing_strings {
    struct bytes args[16];
};
void testing_request(const struct testing_image *image, const char *const *arguments,
                     struct testing_strings *storage, struct runner_request *ret_request);
/* Submits; `job` must stay where it is until it is over. Ends the process where that fails. */
void testing_submit(struct testing *testing, struct runner_request *request,
                    struct testing_job *job);
/* Submits and waits for the end, 30 s at most. */
void testing_run(struct testing *testing, struct runner_request *request, struct testing_job *job);
void testing_job_done(struct testing_job *job);

#endif
