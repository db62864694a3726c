/* The zygote: engine ready, confined, single-threaded; forks runners and compile processes. */
#ifndef SANDBOX_ZYGOTE_H
#define SANDBOX_ZYGOTE_H

#include "runner/protocol.h"

/* Serves plasmd, at the other end of `socket`, until that is closed. Gives the exit code where it
 * could not begin; in forked children it never returns. */
int zygote_main(int socket);

#endif
