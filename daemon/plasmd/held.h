/* Counts the bytes that offers, jobs and answers hold, of all and of each share, so that no share
 * takes what is there for everybody. No I/O. */
#ifndef PLASMD_HELD_H
#define PLASMD_HELD_H

#include "util/map.h"

struct held {
    struct memory *memory;
    struct map shares; /* that hold something */
    uint64_t bytes;
};

/* Bounds, in bytes. */
struct held_bounds {
    uint64_t all;
    uint64_t share;
};

/* `secret` as for map_init. */
void held_init(struct held *held, struct memory *memory, const uint64_t secret[2]);
/* When nothing is held any more. */
void held_done(struct held *held);
/* Bytes this share may add; `share` as of the scheduler, SCHEDULER_SHARE_SIZE_MAX bytes at most. */
uint64_t held_room(const struct held *held, const struct held_bounds *bounds, struct bytes share);
/* False: there is no room, or no memory. */
MUST_CHECK bool held_add(struct held *held, const struct held_bounds *bounds, struct bytes share,
                         uint64_t bytes);
/* No more than this share has added. */
void held_subtract(struct held *held, struct bytes share, uint64_t bytes);

#endif
