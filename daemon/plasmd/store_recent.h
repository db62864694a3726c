/* The keys of the jobs accepted lately, so that a new offer costs no query. Two halves: the older
 * is dropped when the newer is old enough by a clock that nobody sets. Full, it says so and every
 * offer is looked up. */
#ifndef PLASMD_STORE_RECENT_H
#define PLASMD_STORE_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recent_half {
    int64_t *keys; /* open addressing, 0 is empty */
    size_t places;
    size_t count;
    int64_t since_ms;
    bool overrun;
};

struct recent {
    struct recent_half newer;
    struct recent_half older;
};

/* `life_ms`: how long a key is kept at least. */
void recent_add(struct recent *recent, int64_t key, int64_t clock_ms, int64_t life_ms);
/* False only for a key that was certainly not added lately. */
bool recent_may_have(const struct recent *recent, int64_t key);
void recent_done(struct recent *recent);

#endif
