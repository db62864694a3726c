/* What plasm doctor finds out, one line a check. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/cli.h"

enum doctor_status { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    const struct cli_options *options;
    json_t *checks;
    size_t failures;
};

/* Adds a finding: what it is about, a sentence, and what to try next (NULL: nothing). Printed at
 * once, unless JSON is wanted. */
void doctor_say(struct doctor *doctor, const char *name, enum doctor_status status,
                const char *next, const char *format, ...) PRINTF_FORMAT(5, 6);

/* doctor_system.c: what this machine says */
void doctor_clock(struct doctor *doctor);
void doctor_firewall(struct doctor *doctor);
void doctor_router(struct doctor *doctor);
/* True when a program listens on UDP port 4001 here. */
bool doctor_worker_listens(void);
/* True when an interface of this machine has the IP address. */
bool doctor_is_own_ip(const char *ip);

#endif
