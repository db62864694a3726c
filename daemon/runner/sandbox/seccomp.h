/* Which system calls each kind of process may make; any other one kills it. */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "util/bytes.h"

/* Filters only add up: a runner forked from the zygote is under the zygote's and its own. */
enum seccomp_role {
    SECCOMP_ROLE_WAIT,    /* outside the process namespace: waits, exits */
    SECCOMP_ROLE_ZYGOTE,  /* also makes processes, and loads code */
    SECCOMP_ROLE_COMPILE, /* also makes code executable, which it never runs; writes its image */
    SECCOMP_ROLE_RUNNER,  /* once its code is loaded: no new executable memory */
    SECCOMP_ROLE_COUNT
};

/* Builds the filter of a role, so that a forked child can take it in microseconds. Once a role.
 * PLASM_NO_MEMORY, PLASM_IO. */
MUST_CHECK int seccomp_prepare(enum seccomp_role role);
/* Puts the process under the filter of its role for good, building it where it is not prepared.
 * Needs no_new_privs. PLASM_NO_MEMORY, PLASM_IO. */
MUST_CHECK int seccomp_enter(enum seccomp_role role);

#endif
