/* Numbers gathered during a run, to say something of all of them at its end. */
#ifndef SIM_SAMPLES_H
#define SIM_SAMPLES_H

#include "util/memory.h"

struct samples {
    struct memory *memory;
    uint64_t *values;
    size_t count;
    size_t capacity;
    bool is_sorted;
};

void samples_init(struct samples *samples, struct memory *memory);
void samples_done(struct samples *samples);
void samples_add(struct samples *samples, uint64_t value);
/* 0 when there are none. */
double samples_mean(const struct samples *samples);
/* The smallest value that `percent` of all do not exceed; 100 gives the largest. 0 when there are
 * none. */
uint64_t samples_percentile(struct samples *samples, unsigned percent);

#endif
