/* The WASI preview 1 host: standard streams, arguments, environment, clocks, random numbers, exit.
 * There are no files and no sockets: every function exists, and answers with the errno that a
 * program without any would get.
 *
 * Under deterministic/1 everything a module can see is decided by the job: the clock begins at
 * WASI_VIRTUAL_EPOCH_NS and advances by one nanosecond for each unit of fuel and by what
 * poll_oneoff sleeps; random numbers are the ChaCha20 stream of the job's seed.
 * Spec: WebAssembly/WASI, legacy/preview1. */
#ifndef SANDBOX_WASI_H
#define SANDBOX_WASI_H

#include <wasmtime.h>

#include "runner/protocol.h"
#include "runner/sandbox/chacha20.h"
#include "runner/sandbox/control.h"
#include "runner/sandbox/output.h"

#define WASI_FUNCTION_COUNT 46
#define WASI_FD_COUNT       3
/* 2000-01-01T00:00:00Z. */
#define WASI_VIRTUAL_EPOCH_NS (UINT64_C(946684800) * NANOS_SECOND)

enum wasi_fd_kind { WASI_FD_CLOSED, WASI_FD_STDIN, WASI_FD_STDOUT, WASI_FD_STDERR };

struct wasi_fd {
    enum wasi_fd_kind kind;
    uint16_t flags; /* as fd_fdstat_set_flags left them */
    uint64_t rights;
};

struct wasi_function;

/* What a linker's function is called with. */
struct wasi_binding {
    const struct wasi_function *function;
    struct wasi *wasi;
};

/* The host side of one job; a runner has one, used again and again. */
struct wasi {
    struct control *control;
    struct output *output;
    struct wasi_binding bindings[WASI_FUNCTION_COUNT];

    const struct runner_job_message *job;
    int stdin_fd; /* -1: the bytes in `job` */
    uint64_t stdin_offset;
    struct wasi_fd fds[WASI_FD_COUNT];
    bool memory_known;
    wasmtime_memory_t memory;
    nanos slept; /* of the virtual clock */
    struct chacha20 random;
    int64_t exit_code; /* of proc_exit */
};

void wasi_init(struct wasi *wasi, struct control *control, struct output *output);
/* Defines all 46 functions. PLASM_NO_MEMORY, PLASM_FAILED. */
MUST_CHECK int wasi_define(struct wasi *wasi, wasmtime_linker_t *linker);
/* For each job; `job` and the descriptor (-1 for none) are borrowed until the next. */
void wasi_begin(struct wasi *wasi, const struct runner_job_message *job, int stdin_fd);

#endif
