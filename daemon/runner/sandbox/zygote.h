/* The zygote: engine ready, confined, single-threaded; forks runners and compile processes. */
#ifndef SANDBOX_ZYGOTE_H
#define SANDBOX_ZYGOTE_H

#include "runner/protocol.h"

struct zygote_options {
    int socket;              /* to plasmd */
    uint64_t data_bytes_max; /* RLIMIT_DATA of a runner */
    uint64_t compile_data_bytes_max;
    uint64_t file_bytes_max; /* RLIMIT_FSIZE while compiling and loading */
};

/* Serves plasmd until the socket is closed. Gives the exit code where it could not begin; in forked
 * children it never returns. */
int zygote_main(const struct zygote_options *options);

#endif
