/* The routing table: servers that answered, in buckets by their common prefix with our own id. */
#ifndef PROTO_KAD_TABLE_H
#define PROTO_KAD_TABLE_H

#include "crypto/hash.h"
#include "proto/kad/addresses.h"
#include "proto/kad/limits.h"
#include "util/memory.h"
#include "util/time.h"

/* Asked for at once. */
#define TABLE_CLOSEST_MAX (4 * KAD_K)

/* One peer, in one allocation with its addresses. */
struct table_peer {
    struct sha256_digest hash;
    struct peer_id id;
    uint8_t place;    /* in its bucket */
    uint8_t failures; /* in a row; a peer with any is not named to others */
    bool is_connected;
    bool is_checking; /* it is being asked for a sign of life */
    uint16_t addresses_size;
    struct kad_groups groups;
    nanos seen;     /* last sign of life */
    nanos failed;   /* last failure that counted */
    nanos check_at; /* when it should be asked for a sign of life; NANOS_NEVER */
    uint8_t addresses[];
};

static inline struct bytes table_peer_addresses(const struct table_peer *peer) {
    return bytes_of(peer->addresses, peer->addresses_size);
}

/* What is looked for most of a peer, side by side with the others of its bucket. */
struct table_slot {
    uint64_t head; /* of its hash, as a number */
    struct kad_groups groups;
    struct table_peer *peer;
};

struct table {
    struct memory *memory;
    struct sha256_digest own;
    size_t size;
    struct table_slot *buckets[KAD_BUCKETS]; /* of KAD_K each; NULL: never used */
    uint8_t bucket_sizes[KAD_BUCKETS];
    nanos refreshed[KAD_BUCKETS]; /* when a lookup last went there; 0 for never */
};

void table_init(struct table *table, struct memory *memory, const struct sha256_digest *own);
void table_done(struct table *table);

/* The bucket a digest belongs to. */
size_t table_bucket(const struct table *table, const struct sha256_digest *hash);
struct table_peer *table_find(const struct table *table, const struct sha256_digest *hash);

/* Adds a peer, or renews one that is there: its addresses (kept when `addresses` is empty or when
 * the new ones would break a cap), its `seen`; its failures are forgotten. Pointers to this peer
 * that were given before end here. PLASM_LIMIT (the bucket is full), PLASM_REFUSED (its IP group is
 * full in the table or the bucket), PLASM_INVALID (ourselves), PLASM_NO_MEMORY. */
MUST_CHECK int table_put(struct table *table, const struct peer_id *id,
                         const struct sha256_digest *hash, const struct kad_groups *groups,
                         struct bytes addresses, nanos now, struct table_peer **ret_peer);
void table_remove(struct table *table, struct table_peer *peer);

/* True when a peer with this digest and these groups could be added, were its bucket not full. */
bool table_group_allows(const struct table *table, size_t bucket, const struct kad_groups *groups);
/* How many peers of a bucket are nearer to a digest than a distance (its head). */
size_t table_crowd(const struct table *table, size_t bucket, const struct sha256_digest *hash,
                   uint64_t within);
/* The peer of a bucket that has been silent longest: one with failures before one without, one not
 * connected before a connected one. NULL for an empty bucket. */
struct table_peer *table_oldest(const struct table *table, size_t bucket);

/* Walks all peers: NULL gives the first, the last gives NULL. */
struct table_peer *table_next(const struct table *table, const struct table_peer *peer);

/* The n (up to TABLE_CLOSEST_MAX) closest peers to `target`, nearest first; `exclude` (or NULL)
 * and, unless `with_failed`, peers with failures are passed over. Returns how many. */
size_t table_closest(const struct table *table, const struct sha256_digest *target,
                     const struct peer_id *exclude, bool with_failed,
                     const struct table_peer **ret_peers, size_t n);

#endif
