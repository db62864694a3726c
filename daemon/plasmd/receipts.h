/* The receipt of a job that is over: made from what plasmd carried, signed by plasm-sign, stored,
 * and given to those who watch. */
#ifndef PLASMD_RECEIPTS_H
#define PLASMD_RECEIPTS_H

#include "plasmd/job.h"

/* The run is over and its output is with the machine: makes the receipt and asks for its signature.
 * Once that has come, the receipt is stored and sent, and the job freed. Calling it again does
 * nothing. */
void job_conclude(struct job *job, nanos now);
/* The job is about to be freed: no answer is waited for. */
void job_receipt_forget(struct job *job);

#endif
