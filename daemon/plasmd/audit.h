/* plasmd audit: what ran, for whom, how it ended and what it cost, from the database alone. */
#ifndef PLASMD_AUDIT_H
#define PLASMD_AUDIT_H

#include <stdbool.h>

/* As given on the command line; NULL where not. */
struct audit_options {
    const char *client; /* peer id */
    const char *module; /* "sha256:<hex>", or the beginning of the hex */
    const char *status; /* a receipt's, "lost" or "running" */
    const char *since;  /* "2026-11-25", "2026-11-25T14:00:00", UTC, or "90m", "12h", "7d" ago */
    const char *until;
    const char *limit;   /* the newest so many */
    const char *summary; /* "client" or "module": totals instead of jobs */
    bool json;
    bool follow;
};

/* Prints, and returns the exit code. Only reads; plasmd may be running. */
int audit_run(const char *state_dir, const struct audit_options *options);

#endif
