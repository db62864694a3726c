/* One job in a fresh store: how it begins, runs, and ends. */
#ifndef SANDBOX_JOB_H
#define SANDBOX_JOB_H

#include "runner/sandbox/engine.h"

/* What a runner inherits from the zygote: an engine a flavour, and the host's side of a job. */
struct job_host {
    struct engine plain;
    struct engine metered;
    struct wasi wasi;
    struct control control;
    struct output output;
};

/* A module that is loaded, or the reason why it is not. */
struct job_code {
    enum runner_flavour flavour;
    const struct engine *engine;
    wasmtime_instance_pre_t *instance_pre; /* NULL: it could not be loaded */
    uint64_t memory_min_bytes;
    enum runner_status failed_status; /* of every job then, and why */
    char failed_text[RUNNER_TEXT_SIZE_MAX + 1];
};

/* How a job ended. */
struct job_ending {
    enum runner_status status;
    int64_t exit_code;
    uint64_t fuel;
    char text[RUNNER_TEXT_SIZE_MAX + 1];
};

/* PLASM_NO_MEMORY, PLASM_FAILED, PLASM_IO. `host` must stay where it is. */
MUST_CHECK int job_host_init(struct job_host *host);
void job_host_done(struct job_host *host);

/* Loads the image behind `image_fd`. What fails is kept in `ret_code`. */
void job_load(const struct job_host *host, const struct runner_load *load, int image_fd,
              struct job_code *ret_code);
/* Nothing is loaded; jobs fail with this. */
void job_not_loaded(struct job_code *code, enum runner_status status, const char *text);
void job_unload(struct job_code *code);

/* Runs one job to its end. Its output beyond what was sent already waits in host->output. Gives the
 * store, if there was one, for job_clean: an answer need not wait for it. */
void job_run(struct job_host *host, const struct job_code *code,
             const struct runner_job_message *job, int stdin_fd, struct job_ending *ret_ending,
             wasmtime_store_t **ret_store);
/* Gives back the job's memory. NULL is allowed. */
void job_clean(wasmtime_store_t *store);

#endif
