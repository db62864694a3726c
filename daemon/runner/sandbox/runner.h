/* A runner: one module, its jobs one at a time. */
#ifndef SANDBOX_RUNNER_H
#define SANDBOX_RUNNER_H

#include "runner/sandbox/job.h"

/* Serves the parent at the other end of `socket` until that is closed; never returns. The process
 * must be behind all walls but the runner's own seccomp, which comes after loading. */
_Noreturn void runner_serve(struct job_host *host, int socket, uint64_t data_bytes_max);

/* That last wall: no new executable memory, no more files, nothing written but to the socket. */
MUST_CHECK int runner_enter(uint64_t data_bytes_max);

#endif
