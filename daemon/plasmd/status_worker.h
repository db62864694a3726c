/* The status page, API and metrics of a worker: opens their port and gathers what they show. */
#ifndef PLASMD_STATUS_WORKER_H
#define PLASMD_STATUS_WORKER_H

#include "plasmd/worker.h"

/* Opens the port, before plasmd gives up what it needs for that. Where it is taken the worker runs
 * without, and says so: always true. */
bool status_open(struct worker *worker);
/* Answers from now on; true too. */
bool status_start(struct worker *worker);
void status_stop(struct worker *worker);

#endif
