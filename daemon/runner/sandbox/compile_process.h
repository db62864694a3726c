/* A compile process: one module, then it exits. */
#ifndef SANDBOX_COMPILE_PROCESS_H
#define SANDBOX_COMPILE_PROCESS_H

#include "runner/protocol.h"

/* In a child of the zygote: compiles the module behind `module_fd`, says what came of it on
 * `socket` and exits. */
_Noreturn void compile_process_run(const struct runner_compile_message *request, int socket,
                                   int module_fd, int image_fd);

/* plasm-run --compile: reads a module from descriptor 0 and writes its image to 1, or one line of
 * text to 2, behind the same walls. Gives the exit code, an enum runner_compile_outcome. */
int compile_process_main(enum runner_flavour flavour, const struct runner_compile_limits *limits);

#endif
