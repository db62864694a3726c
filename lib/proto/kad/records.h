/* Values of the DHT that others gave us, bounded and expiring. */
#ifndef PROTO_KAD_RECORDS_H
#define PROTO_KAD_RECORDS_H

#include "crypto/hash.h"
#include "proto/kad/limits.h"
#include "proto/kad/namespace.h"
#include "util/map.h"
#include "util/memory.h"
#include "util/time.h"

struct records {
    struct memory *memory;
    const struct kad_limits *limits;
    const struct kad_namespaces *namespaces;
    struct sha256_digest own; /* far keys make room for near ones */
    struct map map;
};

/* `limits` and `namespaces` are borrowed; `secret` keys the map. */
void records_init(struct records *records, struct memory *memory, const struct kad_limits *limits,
                  const struct kad_namespaces *namespaces, const struct sha256_digest *own,
                  const uint64_t secret[2]);
void records_done(struct records *records);

/* Keeps the value if its namespace allows it and no better one is here. The same value again is
 * renewed. What kad_value_check says; PLASM_CONFLICT (a better one is kept), PLASM_LIMIT (all
 * places are taken by nearer keys), PLASM_NO_MEMORY. */
MUST_CHECK int records_put(struct records *records, struct bytes key, struct bytes value,
                           nanos now);
/* The value, borrowed until the store changes; PLASM_NOT_FOUND. */
MUST_CHECK int records_get(const struct records *records, struct bytes key, nanos now,
                           struct bytes *ret_value);
/* Drops what has expired. */
void records_sweep(struct records *records, nanos now);

#endif
