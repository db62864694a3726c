/* plasmd, run by hand, locks itself out of the directory that has its key.
 *
 * The same user owns both, so file permissions keep nothing from it: Landlock does. What it still
 * has to open is a list of places; everything else, the key with it, can be opened by no thread of
 * plasmd any more, whoever tells it to. Tracing plasm-sign or the starter is over with it. */
#ifndef PLASMD_LOCKOUT_H
#define PLASMD_LOCKOUT_H

#include "plasmd/config.h"

/* Call it while there is one thread: only those made later are locked out too. The directories
 * that stay open must exist. Logs what it could not do. */
void lockout_enter(const struct config *config);

#endif
