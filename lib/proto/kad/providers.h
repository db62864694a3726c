/* Who provides what: a bounded store of provider records that others gave us. */
#ifndef PROTO_KAD_PROVIDERS_H
#define PROTO_KAD_PROVIDERS_H

#include "crypto/hash.h"
#include "crypto/random.h"
#include "proto/kad/addresses.h"
#include "proto/kad/limits.h"
#include "util/map.h"
#include "util/memory.h"
#include "util/time.h"

struct provider;     /* a peer that provides something, with its addresses; private */
struct provider_key; /* a key with its providers; private */

struct providers {
    struct memory *memory;
    const struct kad_limits *limits;
    struct sha256_digest own; /* far keys make room for near ones */
    struct map keys;
    struct map peers;
    size_t records;
    size_t bytes; /* memory of all records */
};

/* `limits` is borrowed; `secret` keys the maps. */
void providers_init(struct providers *providers, struct memory *memory,
                    const struct kad_limits *limits, const struct sha256_digest *own,
                    const uint64_t secret[2]);
void providers_done(struct providers *providers);

/* Records, or renews, that `peer` provides `key` (1 to KAD_PROVIDER_KEY_SIZE_MAX bytes). Full:
 * with all keys taken the one farthest from us goes, unless the new one is farther still; with all
 * places of a key taken a provider that missed its renewal goes, if there is one. PLASM_LIMIT
 * (keys, places, the IP group's places, keys of this peer), PLASM_NO_MEMORY (also when
 * providers_bytes_max is spent). */
MUST_CHECK int providers_add(struct providers *providers, struct bytes key,
                             const struct peer_id *peer, const struct kad_groups *groups,
                             struct bytes addresses, nanos now);

/* One provider given out; borrowed until the store changes. */
struct provider_view {
    const struct peer_id *peer;
    struct bytes addresses; /* packed */
};

/* Up to n providers of the key that have not expired, chosen and ordered at random; `exclude` (or
 * NULL) is passed over. Returns how many. n is at most KAD_PROVIDERS_ANSWERED_MAX. */
size_t providers_get(const struct providers *providers, struct bytes key,
                     const struct peer_id *exclude, struct random *random, nanos now,
                     struct provider_view *ret_views, size_t n);

/* Drops what has expired. */
void providers_sweep(struct providers *providers, nanos now);

#endif
