/* A tiny process that starts plasm-run and plasm-sign for plasmd.
 *
 * plasmd locks itself out of the directory with the key (plasmd/lockout.h), and what it starts
 * itself would inherit that: plasm-sign could not read the key, plasm-run not mount its empty root.
 * The starter was forked before. It knows two programs and their arguments by heart and takes
 * nothing else from plasmd; what it starts is plasmd's child. */
#ifndef PLASMD_STARTER_H
#define PLASMD_STARTER_H

#include "util/bytes.h"
#include "util/error.h"

enum starter_program { STARTER_RUNNER, STARTER_SIGNER, STARTER_PROGRAMS };

/* The descriptor that a program gets its socket as, and plasm-sign an ephemeral key. */
#define STARTER_SOCKET_FD 3
#define STARTER_KEY_FD    4

struct starter_plan {
    const char *path;
    char *const *arguments; /* ends with NULL, begins with the name */
};

struct starter;

/* Forks; call it while there is one thread, before anything is opened. With `ephemeral` it makes a
 * key that only it and the plasm-signs it starts ever see. PLASM_NO_MEMORY, PLASM_IO (errno). */
MUST_CHECK int starter_new(const struct starter_plan plans[STARTER_PROGRAMS], bool ephemeral,
                           struct starter **ret_starter);
/* Starts a program with `socket`, which stays the caller's. PLASM_IO (errno; EPIPE when the starter
 * is gone). */
MUST_CHECK int starter_start(struct starter *starter, enum starter_program program, int socket,
                             int *ret_pid);
/* NULL is allowed. */
void starter_free(struct starter *starter);

#endif
