/* Compiling one module: pre-scan, compile, check that it can be linked, serialise. Runs in a
 * process of its own, under limits that it sets itself. */
#ifndef SANDBOX_COMPILE_H
#define SANDBOX_COMPILE_H

#include "runner/protocol.h"

struct compile_report {
    enum runner_compile_outcome outcome;
    uint64_t image_size;
    char text[RUNNER_TEXT_SIZE_MAX + 1]; /* why not: one printable line */
};

/* Compiles `module` and writes the image to `image_fd`. The limits of processor time and memory
 * must stand already (sandbox_limit_compile). */
void compile_module(struct bytes module, enum runner_flavour flavour,
                    const struct runner_compile_limits *limits, int image_fd,
                    struct compile_report *ret_report);

/* What to report when the process is stopped by a limit instead of ending by itself: called from
 * the handlers of SIGXCPU and SIGABRT, so it only writes to `ret_report`. */
void compile_stopped(int signal, const struct runner_compile_limits *limits,
                     struct compile_report *ret_report);

#endif
