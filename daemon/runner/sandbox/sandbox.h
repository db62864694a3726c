/* The walls around everything plasm-run does: no network, no files, no other processes, no secrets.
 *
 * They stand before anything of a stranger's is read. What the kernel or its administrator refuses
 * (namespaces, Landlock) is left out and reported; seccomp, rlimits and the loss of all privileges
 * are not optional: without them the process does not go on. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "runner/protocol.h"

/* Largest number of descriptors sandbox_enter can keep. */
#define SANDBOX_KEEP_MAX 4

/* Whom the process becomes where it starts as root. */
#define SANDBOX_NOBODY 65534

struct sandbox_options {
    const int *keep; /* descriptors that stay open; all others are closed, 0 to 2 become /dev/null
                        unless they are among them */
    size_t keep_count;
    uint64_t data_bytes_max; /* RLIMIT_DATA */
    uint64_t file_bytes_max; /* RLIMIT_FSIZE */
};

struct sandbox_walls {
    uint32_t walls; /* bits of enum runner_wall */
    uint32_t landlock_abi;
};

/* Wipes the environment and the arguments after the first, which may hold what is nobody's
 * business. First thing in main, after the arguments were understood. */
void sandbox_forget_environment(char **environment);

/* Goes behind all walls but seccomp. Where there is a process namespace this forks: the caller goes
 * on in the child, the parent only waits and exits as the child did; it never returns. The process
 * dies with the one that started it. PLASM_IO where a wall that is not optional does not stand. */
MUST_CHECK int sandbox_enter(const struct sandbox_options *options,
                             struct sandbox_walls *ret_walls);

/* The same for RLIMIT_DATA, which counts what can be written to: memory, heap. Does nothing under
 * AddressSanitizer, whose shadow is terabytes of it. (RLIMIT_AS is of no use: wasmtime reserves far
 * more than it uses.) */
MUST_CHECK int sandbox_limit_data(uint64_t value);

/* The last step of a forked runner, before it reads anything: no more processes, dies with the
 * zygote (whose process id, as it sees it itself, is `parent`). */
MUST_CHECK int sandbox_enter_runner(int parent);

#endif
