/* A token bucket: so many at once, so many a second in the long run. */
#ifndef UTIL_BUCKET_H
#define UTIL_BUCKET_H

#include <stdbool.h>

#include "util/time.h"

struct bucket {
    uint64_t level; /* billionths of a token */
    nanos filled;
};

static inline void bucket_fill(struct bucket *bucket, uint32_t burst, nanos now) {
    *bucket = (struct bucket){.level = burst * NANOS_SECOND, .filled = now};
}

/* Takes one; false when there is none. */
static inline bool bucket_take(struct bucket *bucket, uint32_t per_second, uint32_t burst,
                               nanos now) {
    uint64_t full = burst * NANOS_SECOND;
    nanos elapsed = nanos_since(now, bucket->filled);
    bucket->filled = now;
    if (per_second > 0 && elapsed > full / per_second) {
        bucket->level = full;
    } else {
        bucket->level += elapsed * per_second;
        bucket->level = bucket->level > full ? full : bucket->level;
    }
    if (bucket->level < NANOS_SECOND) {
        return false;
    }
    bucket->level -= NANOS_SECOND;
    return true;
}

#endif
