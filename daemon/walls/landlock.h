/* Landlock: gives up rights to files, and to whatever else this kernel knows, for good. */
#ifndef WALLS_LANDLOCK_H
#define WALLS_LANDLOCK_H

#include "util/bytes.h"
#include "util/error.h"

/* The kernel's ABI version, or 0 where there is no Landlock. */
uint32_t landlock_abi(void);

/* Gives up every right to files, TCP ports, abstract sockets and signals of others. Restricts this
 * thread and what it starts; needs no_new_privs. Returns the ABI version, or 0 where there is no
 * Landlock (then nothing is restricted). */
uint32_t landlock_enter(void);

/* What remains allowed below a place, or of a file. */
enum landlock_use {
    LANDLOCK_READ,   /* read files and directories */
    LANDLOCK_CHANGE, /* that, and make, write, rename and remove files and directories */
    LANDLOCK_NAMES,  /* of a directory: make and remove its files; opening any is not allowed */
};

struct landlock_place {
    const char *path; /* where there is none, nothing is allowed */
    enum landlock_use use;
};

/* Keeps this thread and what it starts to these places; the network, signals and files that are
 * open already stay as they were. Mounting and tracing processes outside is over too. Needs
 * no_new_privs. PLASM_UNSUPPORTED where there is no Landlock, PLASM_IO (errno). */
MUST_CHECK int landlock_keep_to(const struct landlock_place *places, size_t count);

#endif
