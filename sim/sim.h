/* Virtual time: one queue of everything that is due, and the randomness of a seed. Nothing else in
 * the simulator decides what happens next. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "crypto/random.h"
#include "trace.h"
#include "util/heap.h"

/* When a run begins, and what the clock on the wall says then (2027-01-15). */
#define SIM_START         NANOS_SECOND
#define SIM_START_UNIX_MS INT64_C(1800000000000)

/* Something that is due at some time; lives in what it belongs to. */
struct timer {
    struct heap_node node;
    void (*due)(struct timer *timer); /* out of the queue by then */
};

struct sim {
    nanos now;
    struct memory memory; /* of the simulator itself, not of the nodes */
    struct heap timers;
    struct random random;
    struct trace trace;
    uint64_t steps;
    uint64_t steps_now; /* since time last moved */
};

/* `trace_file` is borrowed and may be NULL. */
void sim_init(struct sim *sim, uint64_t seed, FILE *trace_file);
/* Everything taken from `memory` must have been given back. */
void sim_done(struct sim *sim);

int64_t sim_unix_ms(const struct sim *sim);
/* Sets when the timer is due; a time in the past means now, NANOS_NEVER takes it out. */
void sim_at(struct sim *sim, struct timer *timer, nanos when);
void sim_cancel(struct sim *sim, struct timer *timer);
/* Lets the next thing happen. False when there is none until `until`: then it is `until`. */
bool sim_step(struct sim *sim, nanos until);

/* Lets everything happen until nothing is due any more. */
void sim_run_out(struct sim *sim);

/* Uniform in [low, high]. */
uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high);
/* Seeds a generator of its own, which draws no more from the shared one. */
void sim_seed(struct sim *sim, uint8_t ret_seed[32]);

#endif
