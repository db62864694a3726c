/* The receipt of a job that is over: made from what plasmd carried, signed, stored, and given to
 * those who watch. */
#ifndef PLASMD_RECEIPTS_H
#define PLASMD_RECEIPTS_H

#include "plasmd/job.h"

/* The run is over and its output is with the machine: receipt, store, answer; frees the job. */
void job_conclude(struct job *job, nanos now);

#endif
