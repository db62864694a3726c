/* A runner: one module, its jobs one at a time, each in a fresh store. */
#ifndef SANDBOX_RUNNER_H
#define SANDBOX_RUNNER_H

#include "runner/sandbox/engine.h"

/* One engine a flavour, made by the zygote and inherited by every runner. */
struct runner_engines {
    struct engine plain;
    struct engine metered;
    struct wasi wasi;
    struct control control;
    struct output output;
};

/* PLASM_NO_MEMORY, PLASM_FAILED, PLASM_IO. `engines` must stay where it is. */
MUST_CHECK int runner_engines_init(struct runner_engines *engines);

/* Serves the parent at the other end of `socket` until that is closed; never returns. The process
 * must be behind all walls but the runner's seccomp, which comes here, after loading. */
_Noreturn void runner_serve(struct runner_engines *engines, int socket, uint64_t data_bytes_max);

#endif
