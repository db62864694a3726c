/* What `run` and `bench` share: the module, the input and the request of a job. */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include "cli/cli.h"

struct cli_job {
    uint8_t *module;
    size_t module_size;
    uint8_t *input;
    size_t input_size;
    char *request; /* JSON */
};

/* Reads the files and builds the request; `remember`: so that its receipt can be fetched again.
 * EXIT_DONE, or the exit code after it has said why. */
int cli_job_read(const struct cli_options *options, bool remember, struct cli_job *ret_job);
void cli_job_done(struct cli_job *job);

#endif
