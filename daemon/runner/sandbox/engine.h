/* wasmtime as plasm-run uses it: one engine a flavour, with the WASI host linked in. */
#ifndef SANDBOX_ENGINE_H
#define SANDBOX_ENGINE_H

#include <wasmtime.h>

#include "runner/protocol.h"
#include "runner/sandbox/wasi.h"

/* Native stack a module may use; its own stack lies in its memory. */
#define ENGINE_STACK_BYTES_MAX (512 * 1024)
/* As many as wasmtime takes in a module. */
#define ENGINE_TABLES_MAX 100

struct engine {
    wasm_engine_t *engine;
    wasmtime_linker_t *linker; /* all of WASI preview 1 */
};

enum engine_use {
    ENGINE_RUNS, /* loads code of either kind below; one instance at a time */
    ENGINE_COMPILES,
    ENGINE_COMPILES_QUICKLY, /* to slower code */
};

/* The functions of the linker act on `wasi`, which must outlive the engine. PLASM_NO_MEMORY,
 * PLASM_FAILED. */
MUST_CHECK int engine_init(struct engine *engine, enum runner_flavour flavour, enum engine_use use,
                           struct wasi *wasi);
void engine_done(struct engine *engine);

/* Copies an error's text as one printable line, and deletes the error. `room` is
 * RUNNER_TEXT_SIZE_MAX + 1 bytes. */
void engine_error_text(wasmtime_error_t *error, char *room);
/* The same for a trap with a code: what happened, and in which function. */
void engine_trap_text(wasm_trap_t *trap, wasmtime_trap_code_t code, char *room);

#endif
