/* Two hash sets of keys, the younger and the older. */
#include "plasmd/store_recent.h"

#include <stdlib.h>

/* Places in each half, powers of two: at first, and at most. */
#define RECENT_PLACES_MIN 1024
#define RECENT_PLACES_MAX (1U << 20)

static int64_t *recent_place(const struct recent_half *half, int64_t key) {
    size_t place = (size_t)key & (half->places - 1);
    while (half->keys[place] != 0 && half->keys[place] != key) {
        place = (place + 1) & (half->places - 1);
    }
    return &half->keys[place];
}

/* Twice the places; false when that is too many, or memory is out. */
static bool recent_grow(struct recent_half *half) {
    struct recent_half grown = *half;
    grown.places = half->places > 0 ? 2 * half->places : RECENT_PLACES_MIN;
    grown.keys = grown.places <= RECENT_PLACES_MAX ? calloc(grown.places, sizeof(int64_t)) : NULL;
    if (grown.keys == NULL) {
        return false;
    }
    for (size_t i = 0; i < half->places; i++) {
        if (half->keys[i] != 0) {
            *recent_place(&grown, half->keys[i]) = half->keys[i];
        }
    }
    free(half->keys);
    *half = grown;
    return true;
}

void recent_add(struct recent *recent, int64_t key, int64_t clock_ms, int64_t life_ms) {
    struct recent_half *newer = &recent->newer;
    if (clock_ms - newer->since_ms > life_ms) {
        free(recent->older.keys);
        recent->older = *newer;
        *newer = (struct recent_half){.since_ms = clock_ms};
    }
    if (!newer->overrun && 2 * newer->count >= newer->places && !recent_grow(newer)) {
        newer->overrun = true;
    }
    if (!newer->overrun) {
        *recent_place(newer, key) = key;
        newer->count++;
    }
}

static bool half_may_have(const struct recent_half *half, int64_t key) {
    return half->overrun || (half->places > 0 && *recent_place(half, key) != 0);
}

bool recent_may_have(const struct recent *recent, int64_t key) {
    return half_may_have(&recent->newer, key) || half_may_have(&recent->older, key);
}

void recent_done(struct recent *recent) {
    free(recent->newer.keys);
    free(recent->older.keys);
}
