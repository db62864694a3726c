/* One iterative lookup: whom to ask next, and when the closest peers are found.
 *
 * The lookup runs over disjoint paths (S/Kademlia): each path asks other peers and follows only
 * what these told it, so that a liar misleads its own path and no other. A peer is asked once; its
 * answer counts for every path that has heard of it. A path has ended when the k closest peers it
 * heard of, the unreachable and the silent left out, have answered. */
#ifndef PROTO_KAD_QUERY_H
#define PROTO_KAD_QUERY_H

#include "crypto/hash.h"
#include "identity/peer_id.h"
#include "proto/kad/addresses.h"
#include "proto/kad/limits.h"
#include "util/bytes.h"
#include "util/memory.h"
#include "util/time.h"

enum query_state {
    QUERY_HEARD,
    QUERY_WAITING, /* asked */
    QUERY_SLOW,    /* asked so long ago that nobody waits for it; an answer is still welcome */
    QUERY_ANSWERED,
    QUERY_FAILED,
};

/* Who named a peer: so many are remembered. */
#define QUERY_SOURCES_MAX 3
/* Who named so many more peers that are silent than peers that answered is not believed. */
#define QUERY_SILENT_MAX 3

/* One peer of the lookup, in one allocation with its addresses. */
struct query_peer {
    struct sha256_digest distance;
    struct peer_id id;
    uint8_t state;        /* enum query_state */
    uint8_t paths;        /* bit p: path p has heard of it */
    uint8_t path;         /* that asked it */
    uint8_t hops;         /* referrals from our own table to it */
    uint8_t source_count; /* 0: from our own table */
    uint16_t silent;      /* peers it named that failed or are slow, */
    uint16_t proven;      /* that answered, */
    uint16_t asking;      /* that are being asked */
    uint16_t addresses_size;
    struct kad_groups groups;
    struct query_peer *sources[QUERY_SOURCES_MAX]; /* they answered, so they stay */
    nanos asked;
    uint8_t addresses[];
};

static inline struct bytes query_peer_addresses(const struct query_peer *peer) {
    return bytes_of(peer->addresses, peer->addresses_size);
}

struct query {
    struct memory *memory;
    const struct kad_limits *limits;
    struct sha256_digest target;
    uint64_t spacing; /* distance (its head) from a peer to the next, on average; 0: not known */
    struct query_peer **peers; /* nearest first */
    size_t size;
    size_t capacity;
    size_t path_count;
    size_t candidates[KAD_PATHS_MAX]; /* QUERY_HEARD peers a path knows */
    size_t asking[KAD_PATHS_MAX];     /* QUERY_WAITING peers it has asked */
    bool is_exhausted;                /* nobody is to be asked before something changes */
    size_t seed_count;
    size_t dealt;      /* peers dealt out to the paths because there were few seeds */
    size_t turn;       /* path whose turn it is to ask */
    size_t window;     /* requests under way at once; grows when peers are silent */
    size_t waiting;    /* QUERY_WAITING */
    nanos first_asked; /* of those; NANOS_NEVER without any */
    size_t slow;       /* QUERY_SLOW */
    size_t asked;      /* in all */
    size_t answered;
    size_t failed;
    size_t hops;        /* of the farthest peer that answered */
    nanos answer_times; /* sum */
};

/* `limits` is borrowed; `spacing` as kad_crowd_max's. */
void query_init(struct query *query, struct memory *memory, const struct kad_limits *limits,
                const struct sha256_digest *target, uint64_t spacing);
void query_done(struct query *query);

/* Adds a peer from our own knowledge; the paths take them in turn. A peer that is there already is
 * not added again. PLASM_NO_MEMORY. */
MUST_CHECK int query_seed(struct query *query, const struct peer_id *id,
                          const struct sha256_digest *hash, struct bytes addresses);
/* Adds a peer that `from` told of, to the path that asked `from`. One that is there already comes
 * to be known to this path. What is too far to matter is left out. PLASM_NO_MEMORY. */
MUST_CHECK int query_hear(struct query *query, struct query_peer *from, const struct peer_id *id,
                          const struct sha256_digest *hash, struct bytes addresses);
/* The peer with this digest of its id, or NULL. */
struct query_peer *query_find(const struct query *query, const struct sha256_digest *hash);

/* The next peer to ask, now marked as asked, or NULL when there is none for now. Silent peers are
 * given up by query_expire alone. */
struct query_peer *query_next(struct query *query, nanos now);
/* The peer answered: call it before query_hear for what it told. */
void query_answered(struct query *query, struct query_peer *peer, nanos now);
void query_failed(struct query *query, struct query_peer *peer);
/* Gives up waiting for peers that were asked too long ago. */
void query_expire(struct query *query, nanos now);
/* When query_expire changes something next; NANOS_NEVER. */
nanos query_deadline(const struct query *query);
/* True when every path has ended. The silent are left out only where somebody has answered. */
bool query_finished(const struct query *query);

/* The closest peers that answered, nearest first: the k nearest of all, and of each path the
 * nearest k / paths it heard of (they differ only when somebody lied). Returns how many, at most
 * QUERY_RESULT_MAX. Borrowed. */
#define QUERY_RESULT_MAX (KAD_K + KAD_K)
size_t query_result(const struct query *query, struct query_peer *ret_peers[QUERY_RESULT_MAX]);

#endif
