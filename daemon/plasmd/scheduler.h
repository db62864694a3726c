/* Whose job runs next: equal running time for every share, and in a share each client in turn.
 *
 * A share is what has one claim on the machine: an IP prefix, so that many identities behind one
 * address get no more than one. The one that has used least of late goes first; who was idle
 * begins level with the others and cannot save up. No clock, no I/O; O(log shares) a job.
 *
 *   scheduler_enter    a job exists and counts for its client
 *   scheduler_ready    it may run from now on: it waits
 *   scheduler_next     whose turn it is; scheduler_take: it runs
 *   scheduler_spent    what it used
 *   scheduler_leave    it is over, whatever it was doing */
#ifndef PLASMD_SCHEDULER_H
#define PLASMD_SCHEDULER_H

#include "util/heap.h"
#include "util/list.h"
#include "util/map.h"

/* Longest names, in bytes. */
#define SCHEDULER_SHARE_SIZE_MAX  64
#define SCHEDULER_CLIENT_SIZE_MAX 64
/* A job costs its share at least so much: what it costs the daemon. */
#define SCHEDULER_COST_MIN (100 * NANOS_MICROSECOND)
/* Shares without jobs whose use is remembered. */
#define SCHEDULER_IDLE_MAX 4096

struct scheduler {
    struct memory *memory;
    struct map shares;
    struct map clients;
    struct heap turns; /* of shares with jobs that wait: those that used least first */
    struct heap idle;  /* shares without jobs that are ahead of the others */
    nanos level;       /* what the share had used whose turn came last */
    size_t waiting;    /* jobs */
};

/* Lives in the job; zeroed at first. */
struct scheduler_job {
    struct list_node node; /* of its client's jobs that wait */
    struct scheduler_client *client;
    uint64_t number; /* place in its client's queue */
    nanos reckoned;  /* charged when it was taken, until it is known what it used */
    bool running;
};

/* `secret` as for map_init. */
void scheduler_init(struct scheduler *scheduler, struct memory *memory, const uint64_t secret[2]);
/* After every job has left. */
void scheduler_done(struct scheduler *scheduler);

/* `share` and `client` are copied. A client is in the share of its first job as long as it has
 * any. PLASM_NO_MEMORY. */
MUST_CHECK int scheduler_enter(struct scheduler *scheduler, struct scheduler_job *job,
                               struct bytes share, struct bytes client);
/* PLASM_NO_MEMORY: it does not wait. */
MUST_CHECK int scheduler_ready(struct scheduler *scheduler, struct scheduler_job *job);
/* The job whose turn it is, or NULL; it waits on until it is taken. */
struct scheduler_job *scheduler_next(const struct scheduler *scheduler);
/* A job that waits (the next one) begins. */
void scheduler_take(struct scheduler *scheduler, struct scheduler_job *job);
/* A job that was taken used so much running time. At most once. */
void scheduler_spent(struct scheduler *scheduler, struct scheduler_job *job, nanos used);
/* Forgets the job; does nothing where it never entered. */
void scheduler_leave(struct scheduler *scheduler, struct scheduler_job *job);

/* About how many jobs run before this one that waits; 0 for one that does not wait. */
size_t scheduler_position(const struct scheduler *scheduler, const struct scheduler_job *job);
/* The same for one more job of this client. */
size_t scheduler_position_of_new(const struct scheduler *scheduler, struct bytes share,
                                 struct bytes client);
/* Jobs that entered and did not leave. */
size_t scheduler_share_jobs(const struct scheduler *scheduler, struct bytes share);
size_t scheduler_client_jobs(const struct scheduler *scheduler, struct bytes client);

#endif
