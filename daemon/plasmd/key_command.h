/* plasmd key show, plasmd key rotate. */
#ifndef PLASMD_KEY_COMMAND_H
#define PLASMD_KEY_COMMAND_H

#include "plasmd/config.h"

/* Prints peer id and public key, which the signer says; the exit code. */
int key_show(const struct config *config, bool json);
/* Has plasm-sign put a new key in the place of the old one; the exit code. */
int key_rotate(const struct config *config, bool force);

#endif
