/* Buckets, diversity caps and the search for the closest. */
#include "proto/kad/table.h"

#include "proto/kad/distance.h"
#include "util/ensure.h"

void table_init(struct table *table, struct memory *memory, const struct sha256_digest *own) {
    *table = (struct table){.memory = memory, .own = *own};
}

static size_t peer_size(size_t addresses_size) {
    return sizeof(struct table_peer) + addresses_size;
}

void table_done(struct table *table) {
    for (size_t i = 0; i < KAD_BUCKETS; i++) {
        struct table_peer *peer = table->buckets[i];
        while (peer != NULL) {
            struct table_peer *next = peer->next;
            memory_put(table->memory, peer, peer_size(peer->addresses_size));
            peer = next;
        }
        table->buckets[i] = NULL;
        table->bucket_sizes[i] = 0;
    }
    table->size = 0;
}

size_t table_bucket(const struct table *table, const struct sha256_digest *hash) {
    size_t prefix = kad_common_prefix(&table->own, hash);
    return prefix < KAD_BUCKETS ? prefix : KAD_BUCKETS - 1;
}

struct table_peer *table_find(const struct table *table, const struct sha256_digest *hash) {
    struct table_peer *peer = table->buckets[table_bucket(table, hash)];
    while (peer != NULL && !sha256_equal(&peer->hash, hash)) {
        peer = peer->next;
    }
    return peer;
}

/* How many of a bucket's peers, `except` left out, have one of the groups. */
static void count_groups(const struct table *table, size_t bucket, const struct kad_groups *groups,
                         const struct table_peer *except, size_t *ip4, size_t *ip6) {
    for (const struct table_peer *peer = table->buckets[bucket]; peer != NULL; peer = peer->next) {
        if (peer != except) {
            *ip4 += groups->ip4 != 0 && peer->groups.ip4 == groups->ip4;
            *ip6 += groups->ip6 != 0 && peer->groups.ip6 == groups->ip6;
        }
    }
}

static bool groups_fit(const struct table *table, size_t bucket, const struct kad_groups *groups,
                       const struct table_peer *except) {
    size_t ip4 = 0;
    size_t ip6 = 0;
    count_groups(table, bucket, groups, except, &ip4, &ip6);
    if (ip4 >= KAD_BUCKET_PER_GROUP_MAX || ip6 >= KAD_BUCKET_PER_GROUP_MAX) {
        return false;
    }
    for (size_t i = 0; i < KAD_BUCKETS; i++) {
        if (i != bucket) {
            count_groups(table, i, groups, except, &ip4, &ip6);
        }
    }
    return ip4 < KAD_TABLE_PER_GROUP_MAX && ip6 < KAD_TABLE_PER_GROUP_MAX;
}

bool table_group_allows(const struct table *table, size_t bucket, const struct kad_groups *groups) {
    return groups_fit(table, bucket, groups, NULL);
}

/* The pointer that points to the peer. */
static struct table_peer **peer_link(struct table *table, const struct table_peer *peer) {
    struct table_peer **link = &table->buckets[table_bucket(table, &peer->hash)];
    while (*link != peer) {
        ENSURE(*link != NULL);
        link = &(*link)->next;
    }
    return link;
}

/* Gives the peer other addresses; it moves in memory. Without memory it keeps the old ones. */
static struct table_peer *peer_readdress(struct table *table, struct table_peer *peer,
                                         const struct kad_groups *groups, struct bytes addresses) {
    if (addresses.size != peer->addresses_size) {
        struct table_peer **link = peer_link(table, peer);
        struct table_peer *moved = memory_resize(
            table->memory, peer, peer_size(peer->addresses_size), peer_size(addresses.size));
        if (moved == NULL) {
            return peer;
        }
        *link = moved;
        peer = moved;
        peer->addresses_size = (uint16_t)addresses.size;
    }
    memcpy(peer->addresses, addresses.data, addresses.size);
    peer->groups = *groups;
    return peer;
}

static struct table_peer *peer_renew(struct table *table, struct table_peer *peer,
                                     const struct kad_groups *groups, struct bytes addresses,
                                     nanos now) {
    if (addresses.size > 0 && !bytes_equal(addresses, table_peer_addresses(peer)) &&
        groups_fit(table, table_bucket(table, &peer->hash), groups, peer)) {
        peer = peer_readdress(table, peer, groups, addresses);
    }
    peer->seen = now;
    peer->failures = 0;
    peer->check_at = NANOS_NEVER;
    return peer;
}

int table_put(struct table *table, const struct peer_id *id, const struct sha256_digest *hash,
              const struct kad_groups *groups, struct bytes addresses, nanos now,
              struct table_peer **ret_peer) {
    ENSURE(addresses.size <= KAD_ADDRESSES_BYTES_MAX);
    struct table_peer *peer = table_find(table, hash);
    if (peer != NULL) {
        *ret_peer = peer_renew(table, peer, groups, addresses, now);
        return 0;
    }
    if (sha256_equal(hash, &table->own)) {
        return PLASM_INVALID;
    }
    size_t bucket = table_bucket(table, hash);
    if (!groups_fit(table, bucket, groups, NULL)) {
        return PLASM_REFUSED;
    }
    if (table->bucket_sizes[bucket] == KAD_K) {
        return PLASM_LIMIT;
    }
    peer = memory_zero(table->memory, peer_size(addresses.size));
    if (peer == NULL) {
        return PLASM_NO_MEMORY;
    }
    peer->hash = *hash;
    peer->id = *id;
    peer->groups = *groups;
    peer->seen = now;
    peer->check_at = NANOS_NEVER;
    peer->addresses_size = (uint16_t)addresses.size;
    if (addresses.size > 0) {
        memcpy(peer->addresses, addresses.data, addresses.size);
    }
    peer->next = table->buckets[bucket];
    table->buckets[bucket] = peer;
    table->bucket_sizes[bucket]++;
    table->size++;
    *ret_peer = peer;
    return 0;
}

void table_remove(struct table *table, struct table_peer *peer) {
    struct table_peer **link = peer_link(table, peer);
    *link = peer->next;
    table->bucket_sizes[table_bucket(table, &peer->hash)]--;
    table->size--;
    memory_put(table->memory, peer, peer_size(peer->addresses_size));
}

/* True when `a` should be given up before `b`. */
static bool peer_is_staler(const struct table_peer *a, const struct table_peer *b) {
    if ((a->failures > 0) != (b->failures > 0)) {
        return a->failures > 0;
    }
    if (a->is_connected != b->is_connected) {
        return !a->is_connected;
    }
    return a->seen < b->seen;
}

struct table_peer *table_oldest(const struct table *table, size_t bucket) {
    struct table_peer *oldest = table->buckets[bucket];
    for (struct table_peer *peer = oldest; peer != NULL; peer = peer->next) {
        if (peer_is_staler(peer, oldest)) {
            oldest = peer;
        }
    }
    return oldest;
}

struct table_peer *table_next(const struct table *table, const struct table_peer *peer) {
    size_t bucket = 0;
    if (peer != NULL) {
        if (peer->next != NULL) {
            return peer->next;
        }
        bucket = table_bucket(table, &peer->hash) + 1;
    }
    while (bucket < KAD_BUCKETS && table->buckets[bucket] == NULL) {
        bucket++;
    }
    return bucket < KAD_BUCKETS ? table->buckets[bucket] : NULL;
}

/* What table_closest has found so far, nearest first. */
struct closest {
    const struct table_peer **peers;
    size_t size;
    size_t size_max;
};

static bool is_nearer(const struct sha256_digest *target, const struct table_peer *a,
                      const struct table_peer *b) {
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        if (a->hash.bytes[i] != b->hash.bytes[i]) {
            return (a->hash.bytes[i] ^ target->bytes[i]) < (b->hash.bytes[i] ^ target->bytes[i]);
        }
    }
    return false;
}

static void closest_take(struct closest *closest, const struct sha256_digest *target,
                         const struct table_peer *peer) {
    size_t place = closest->size;
    while (place > 0 && is_nearer(target, peer, closest->peers[place - 1])) {
        place--;
    }
    if (place == closest->size_max) {
        return;
    }
    if (closest->size < closest->size_max) {
        closest->size++;
    }
    memmove(&closest->peers[place + 1], &closest->peers[place],
            (closest->size - place - 1) * sizeof(closest->peers[0]));
    closest->peers[place] = peer;
}

static void closest_take_bucket(struct closest *closest, const struct table *table, size_t bucket,
                                const struct sha256_digest *target, const struct peer_id *exclude,
                                bool with_failed) {
    for (const struct table_peer *peer = table->buckets[bucket]; peer != NULL; peer = peer->next) {
        if ((peer->failures == 0 || with_failed) &&
            (exclude == NULL || !peer_id_equal(&peer->id, exclude))) {
            closest_take(closest, target, peer);
        }
    }
}

size_t table_closest(const struct table *table, const struct sha256_digest *target,
                     const struct peer_id *exclude, bool with_failed,
                     const struct table_peer **ret_peers, size_t n) {
    struct closest closest = {.peers = ret_peers, .size_max = n};
    if (n == 0) {
        return 0;
    }
    /* Peers of the target's own bucket share more bits with it than all others do; those of the
     * deeper buckets all share exactly as many as we do; then come the shallower ones in order. */
    size_t bucket = table_bucket(table, target);
    closest_take_bucket(&closest, table, bucket, target, exclude, with_failed);
    if (closest.size < n) {
        for (size_t i = bucket + 1; i < KAD_BUCKETS; i++) {
            closest_take_bucket(&closest, table, i, target, exclude, with_failed);
        }
    }
    for (size_t i = bucket; i-- > 0 && closest.size < n;) {
        closest_take_bucket(&closest, table, i, target, exclude, with_failed);
    }
    return closest.size;
}
