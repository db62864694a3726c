/* The identity key in its file: libp2p's protobuf PrivateKey, mode 0600, made once. */
#ifndef HOST_IDENTITY_FILE_H
#define HOST_IDENTITY_FILE_H

#include "identity/key.h"

/* Reads the key. PLASM_NOT_FOUND, PLASM_IO (errno), PLASM_UNTRUSTED (others may read the file, or
 * its halves do not match), PLASM_MALFORMED, PLASM_UNSUPPORTED. */
MUST_CHECK int identity_file_read(const char *path, struct ed25519_secret *ret_secret);
/* Reads it, or makes a new key where there is no file: written aside, synced and linked, so that
 * neither a crash nor another process at the same time can leave half a key. */
MUST_CHECK int identity_file_ensure(const char *path, struct ed25519_secret *ret_secret);
/* A key that is in no file. */
void identity_fresh(struct ed25519_secret *ret_secret);

#endif
