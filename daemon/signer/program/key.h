/* Where plasm-sign's key comes from. */
#ifndef SIGN_PROGRAM_KEY_H
#define SIGN_PROGRAM_KEY_H

#include "identity/key.h"

/* Name of the systemd credential. */
#define KEY_CREDENTIAL "plasm.identity"
#define KEY_FAULT_SIZE 200

struct key_source {
    const char *path; /* of the file; NULL: none */
    bool may_make;    /* a missing file is made */
    int fd;           /* -1, or a descriptor that holds the key, as in the file */
};

/* A credential first, then the descriptor, then the file, whose lock is held until the process
 * ends (`ret_lock`, or -1). False: `fault`, KEY_FAULT_SIZE bytes, says why not. */
bool key_load(const struct key_source *source, struct ed25519_secret *ret_secret, int *ret_lock,
              char *fault);

/* plasm-sign --rotate: puts a new key in the place of the one in `path`, which is kept as
 * `path`.<date>, and says so. Refuses while a plasm-sign holds the lock unless `force`. The exit
 * code. */
int key_rotate(const char *path, bool force);

#endif
