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
        for (size_t j = 0; j < table->bucket_sizes[i]; j++) {
            struct table_peer *peer = table->buckets[i][j].peer;
            memory_put(table->memory, peer, peer_size(peer->addresses_size));
        }
        memory_put(table->memory, table->buckets[i], KAD_K * sizeof(struct table_slot));
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
    size_t bucket = table_bucket(table, hash);
    uint64_t head = kad_head(hash);
    for (size_t i = 0; i < table->bucket_sizes[bucket]; i++) {
        const struct table_slot *slot = &table->buckets[bucket][i];
        if (slot->head == head && sha256_equal(&slot->peer->hash, hash)) {
            return slot->peer;
        }
    }
    return NULL;
}

/* How many of a bucket's peers, `except` left out, have one of the groups. */
static void count_groups(const struct table *table, size_t bucket, const struct kad_groups *groups,
                         const struct table_peer *except, size_t *ip4, size_t *ip6) {
    for (size_t i = 0; i < table->bucket_sizes[bucket]; i++) {
        const struct table_slot *slot = &table->buckets[bucket][i];
        if (slot->peer != except) {
            *ip4 += groups->ip4 != 0 && slot->groups.ip4 == groups->ip4;
            *ip6 += groups->ip6 != 0 && slot->groups.ip6 == groups->ip6;
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

size_t table_crowd(const struct table *table, size_t bucket, const struct sha256_digest *hash,
                   uint64_t within) {
    uint64_t head = kad_head(hash);
    size_t count = 0;
    for (size_t i = 0; i < table->bucket_sizes[bucket]; i++) {
        count += (table->buckets[bucket][i].head ^ head) < within;
    }
    return count;
}

static struct table_slot *slot_of(const struct table *table, const struct table_peer *peer) {
    struct table_slot *slot = &table->buckets[table_bucket(table, &peer->hash)][peer->place];
    ENSURE(slot->peer == peer);
    return slot;
}

/* Gives the peer other addresses; it moves in memory. Without memory it keeps the old ones. */
static struct table_peer *peer_readdress(struct table *table, struct table_peer *peer,
                                         const struct kad_groups *groups, struct bytes addresses) {
    struct table_slot *slot = slot_of(table, peer);
    if (addresses.size != peer->addresses_size) {
        struct table_peer *moved = memory_resize(
            table->memory, peer, peer_size(peer->addresses_size), peer_size(addresses.size));
        if (moved == NULL) {
            return peer;
        }
        slot->peer = moved;
        peer = moved;
        peer->addresses_size = (uint16_t)addresses.size;
    }
    memcpy(peer->addresses, addresses.data, addresses.size);
    peer->groups = *groups;
    slot->groups = *groups;
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
    if (table->buckets[bucket] == NULL) {
        table->buckets[bucket] = memory_get(table->memory, KAD_K * sizeof(struct table_slot));
    }
    peer = table->buckets[bucket] != NULL ? memory_zero(table->memory, peer_size(addresses.size))
                                          : NULL;
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
    peer->place = table->bucket_sizes[bucket]++;
    table->buckets[bucket][peer->place] =
        (struct table_slot){.head = kad_head(hash), .groups = *groups, .peer = peer};
    table->size++;
    *ret_peer = peer;
    return 0;
}

void table_remove(struct table *table, struct table_peer *peer) {
    size_t bucket = table_bucket(table, &peer->hash);
    struct table_slot *slot = slot_of(table, peer);
    table->bucket_sizes[bucket]--;
    *slot = table->buckets[bucket][table->bucket_sizes[bucket]];
    slot->peer->place = peer->place;
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
    struct table_peer *oldest = NULL;
    for (size_t i = 0; i < table->bucket_sizes[bucket]; i++) {
        struct table_peer *peer = table->buckets[bucket][i].peer;
        if (oldest == NULL || peer_is_staler(peer, oldest)) {
            oldest = peer;
        }
    }
    return oldest;
}

struct table_peer *table_next(const struct table *table, const struct table_peer *peer) {
    size_t bucket = 0;
    if (peer != NULL) {
        bucket = table_bucket(table, &peer->hash);
        size_t next = peer->place + (size_t)1;
        if (next < table->bucket_sizes[bucket]) {
            return table->buckets[bucket][next].peer;
        }
        bucket++;
    }
    while (bucket < KAD_BUCKETS && table->bucket_sizes[bucket] == 0) {
        bucket++;
    }
    return bucket < KAD_BUCKETS ? table->buckets[bucket][0].peer : NULL;
}

/* What table_closest has found so far, nearest first. */
struct closest {
    const struct table_peer **peers;
    size_t size;
    size_t size_max;
    const struct sha256_digest *target;
    const struct peer_id *exclude;
    bool with_failed;
    uint64_t target_head;
    uint64_t distances[TABLE_CLOSEST_MAX]; /* of `peers`: the first eight bytes */
};

/* Their distances from the target begin with the same eight bytes. */
static bool is_nearer(const struct sha256_digest *target, const struct table_peer *a,
                      const struct table_peer *b) {
    struct sha256_digest to_a = kad_distance(target, &a->hash);
    struct sha256_digest to_b = kad_distance(target, &b->hash);
    return kad_distance_compare(&to_a, &to_b) < 0;
}

/* Peers are looked at themselves only when they get a place: they are all over memory. */
static void closest_take(struct closest *closest, const struct table_slot *slot) {
    uint64_t distance = slot->head ^ closest->target_head;
    size_t place = closest->size;
    while (place > 0 && distance <= closest->distances[place - 1] &&
           (distance < closest->distances[place - 1] ||
            is_nearer(closest->target, slot->peer, closest->peers[place - 1]))) {
        place--;
    }
    if (place == closest->size_max || (slot->peer->failures > 0 && !closest->with_failed) ||
        (closest->exclude != NULL && peer_id_equal(&slot->peer->id, closest->exclude))) {
        return;
    }
    if (closest->size < closest->size_max) {
        closest->size++;
    }
    size_t moved = closest->size - place - 1;
    memmove(&closest->peers[place + 1], &closest->peers[place], moved * sizeof(closest->peers[0]));
    memmove(&closest->distances[place + 1], &closest->distances[place],
            moved * sizeof(closest->distances[0]));
    closest->peers[place] = slot->peer;
    closest->distances[place] = distance;
}

static void closest_take_bucket(struct closest *closest, const struct table *table, size_t bucket) {
    for (size_t i = 0; i < table->bucket_sizes[bucket]; i++) {
        closest_take(closest, &table->buckets[bucket][i]);
    }
}

size_t table_closest(const struct table *table, const struct sha256_digest *target,
                     const struct peer_id *exclude, bool with_failed,
                     const struct table_peer **ret_peers, size_t n) {
    struct closest closest = {.peers = ret_peers,
                              .size_max = n,
                              .target = target,
                              .exclude = exclude,
                              .with_failed = with_failed,
                              .target_head = kad_head(target)};
    ENSURE(n <= TABLE_CLOSEST_MAX);
    if (n == 0) {
        return 0;
    }
    /* Peers of the target's own bucket share more bits with it than all others do; those of the
     * deeper buckets all share exactly as many as we do; then come the shallower ones in order. */
    size_t bucket = table_bucket(table, target);
    closest_take_bucket(&closest, table, bucket);
    if (closest.size < n) {
        for (size_t i = bucket + 1; i < KAD_BUCKETS; i++) {
            closest_take_bucket(&closest, table, i);
        }
    }
    for (size_t i = bucket; i-- > 0 && closest.size < n;) {
        closest_take_bucket(&closest, table, i);
    }
    return closest.size;
}
