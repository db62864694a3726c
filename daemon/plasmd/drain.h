/* Stopping without losing what was accepted: no new offers, what waits fails with its receipt, what
 * runs may end within its time, and the answers get out. */
#ifndef PLASMD_DRAIN_H
#define PLASMD_DRAIN_H

#include "plasmd/job.h"

/* After the last job: for its answer to reach its client. */
#define DRAIN_LINGER (1 * NANOS_SECOND)
/* For what was told to stop to do so. */
#define DRAIN_KILL (2 * NANOS_SECOND)

/* Somebody wants the worker to stop; asked again, at once. */
void drain_asked(struct worker *worker, const char *who, nanos now);
/* The worker's drain deadline. */
void drain_expire(struct worker *worker, nanos now);
/* After anything happened: stops the loop when all is done. */
void drain_check(struct worker *worker, nanos now);

#endif
