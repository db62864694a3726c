/* The jobs that wait: for their module to be compiled, then for a runner. Both are given to clients
 * in turn (scheduler.h), and those who wait hear where they stand. */
#ifndef PLASMD_QUEUE_H
#define PLASMD_QUEUE_H

#include "plasmd/job.h"

/* How often those who wait are told where they stand, when that has changed. */
#define QUEUE_NEWS_INTERVAL (500 * NANOS_MILLISECOND)

/* Jobs before one more of this client, as `accepted` says it: 0, it would run at once. */
uint64_t queue_position_of_new(const struct worker *worker, const struct session *session);
/* The job waits for what it needs next, or fails; it may be gone afterwards. */
void queue_job(struct job *job, nanos now);
/* A compilation ended that took so much processor time: those that waited for it go on. */
void queue_compiled(struct worker *worker, uint64_t cpu_us, nanos now);
/* Tells those who wait. */
void queue_tell(struct worker *worker, nanos now);

#endif
