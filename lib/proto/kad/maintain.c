/* What the machine does by itself: announcing again, refreshing buckets, forgetting the expired. */
#include "proto/kad/internal.h"

#include "util/ensure.h"
#include "wire/multihash.h"

/* After an announcement nobody got: when somebody comes to be known, and anyway. */
#define RETRY_SOON  NANOS_SECOND
#define RETRY_LATER NANOS_MINUTE
/* An announcement that fewer than k servers got, or that was made in a network so many times
 * smaller, is repeated so long after it, when the network has grown. */
#define REPEAT_GROWN (30 * NANOS_SECOND)
#define GROWN_FACTOR 2
/* A client's table does not grow by itself: while fewer than k servers get an announcement, each
 * next one comes twice as late as the one before; and the first that k servers got, made by
 * somebody who had only just come, is repeated once. */
#define REPEAT_FEW   (30 * NANOS_SECOND)
#define REPEAT_FIRST (3 * NANOS_MINUTE)
/* The first peer of an empty table: the host has this long to bootstrap by itself. */
#define FIRST_REFRESH_DELAY NANOS_SECOND
/* Nodes started together should not work together: times vary by 1/8. */
#define JITTER_SHARE 8
/* A client keeps its table fresh for itself alone: so many times less often. */
#define CLIENT_PATIENCE 3
/* Random keys tried for a bucket, times what it takes on average. */
#define REFRESH_TRIES_FACTOR 8

static nanos jittered(struct kad *kad, nanos interval) {
    nanos share = interval / JITTER_SHARE;
    return share > 0 ? interval - random_below(kad->random, share) : interval;
}

nanos client_patience(const struct kad *kad, nanos interval) {
    bool is_longer = kad->mode == KAD_CLIENT && interval < NANOS_NEVER / CLIENT_PATIENCE;
    return is_longer ? interval * CLIENT_PATIENCE : interval;
}

static nanos refresh_interval(struct kad *kad) {
    return jittered(kad, client_patience(kad, kad->limits.refresh_interval));
}

static struct provided *provided_of(struct list_node *node) {
    return LIST_ENTRY(node, struct provided, node);
}

struct provided *provided_find(const struct kad *kad, struct bytes key) {
    struct provided *provided = provided_of(list_first(&kad->provided));
    while (provided != NULL && !bytes_equal(provided_key(provided), key)) {
        provided = provided_of(list_next(&kad->provided, &provided->node));
    }
    return provided;
}

static int provided_get(struct kad *kad, struct bytes key, struct provided **ret_provided) {
    struct provided *provided = provided_find(kad, key);
    if (provided == NULL) {
        if (kad->provided.size >= KAD_PROVIDED_KEYS_MAX) {
            return PLASM_LIMIT;
        }
        provided = memory_zero(kad->memory, sizeof(*provided));
        if (provided == NULL) {
            return PLASM_NO_MEMORY;
        }
        provided->due = NANOS_NEVER;
        provided->key_size = (uint8_t)key.size;
        memcpy(provided->key, key.data, key.size);
        list_append(&kad->provided, &provided->node);
    }
    *ret_provided = provided;
    return 0;
}

static void provided_free(struct kad *kad, struct provided *provided) {
    list_remove(&kad->provided, &provided->node);
    memory_put(kad->memory, provided, sizeof(*provided));
}

void provided_free_all(struct kad *kad) {
    while (!list_empty(&kad->provided)) {
        provided_free(kad, provided_of(list_first(&kad->provided)));
    }
}

/* Starts the announcement of a key that is in the list. */
static int announce(struct kad *kad, struct provided *provided, const struct kad_options *options,
                    bool is_internal, nanos now, uint64_t *ret_operation) {
    provided->due = NANOS_NEVER;
    provided->is_changed = false;
    provided->is_running = true;
    return operation_start(kad, KAD_PROVIDE, provided_key(provided), bytes_of(NULL, 0), options,
                           is_internal, now, ret_operation);
}

/* It could not even begin. */
static void announce_later(struct provided *provided, nanos now) {
    provided->is_running = false;
    provided->due = nanos_add(now, RETRY_LATER);
}

int kad_provide(struct kad *kad, struct bytes key, const struct kad_options *options, nanos now,
                uint64_t *ret_operation) {
    if (key.size == 0 || key.size > KAD_PROVIDER_KEY_SIZE_MAX) {
        return PLASM_INVALID;
    }
    bool is_new = provided_find(kad, key) == NULL;
    struct provided *provided;
    int error = provided_get(kad, key, &provided);
    if (error != 0) {
        return error;
    }
    error = announce(kad, provided, options, false, now, ret_operation);
    if (error != 0 && is_new) {
        provided_free(kad, provided);
    } else if (error != 0) {
        announce_later(provided, now);
    }
    return error;
}

void kad_unprovide(struct kad *kad, struct bytes key) {
    struct provided *provided = provided_find(kad, key);
    if (provided != NULL) {
        provided_free(kad, provided);
    }
}

void provided_ended(struct kad *kad, struct bytes key, int status, size_t stored, nanos now) {
    struct provided *provided = provided_find(kad, key);
    if (provided == NULL) {
        return;
    }
    bool is_first = stored >= KAD_K && provided->stored < KAD_K;
    provided->is_running = false;
    provided->stored = stored;
    provided->known = kad->table.size;
    provided->spacing = members_spacing(kad, now);
    provided->ended = now;
    if (status == PLASM_STATE) {
        provided->due = NANOS_NEVER; /* kad_set_addresses wakes it */
    } else if (provided->is_changed) {
        provided->due = nanos_add(now, RETRY_SOON);
    } else if (stored == 0) {
        provided->due = nanos_add(now, RETRY_LATER);
    } else {
        nanos longer = nanos_max(2 * provided->pause, REPEAT_FEW);
        provided->pause = stored < KAD_K ? nanos_min(longer, kad->limits.republish_interval) : 0;
        nanos interval = stored < KAD_K ? provided->pause : is_first ? REPEAT_FIRST : NANOS_NEVER;
        interval = nanos_min(interval, kad->limits.republish_interval);
        provided->due = nanos_add(now, jittered(kad, interval));
    }
}

void provided_readdress(struct kad *kad, nanos now) {
    for (struct provided *provided = provided_of(list_first(&kad->provided)); provided != NULL;
         provided = provided_of(list_next(&kad->provided, &provided->node))) {
        provided->is_changed = true;
        if (!provided->is_running) {
            provided->due = nanos_min(provided->due, nanos_add(now, RETRY_SOON));
        }
    }
}

/* Whether others may be closest to the key by now: fewer than k servers got it, or peers have
 * become much denser around us, as they do when a network grows or its parts meet. */
static bool has_outgrown(struct kad *kad, const struct provided *provided, nanos now) {
    if (provided->stored < KAD_K) {
        return true;
    }
    uint64_t spacing = members_spacing(kad, now);
    return provided->spacing != 0 ? provided->spacing / GROWN_FACTOR >= spacing
                                  : kad->table.size >= GROWN_FACTOR * provided->known;
}

void maintain_table_grew(struct kad *kad, nanos now) {
    bool bootstraps = false;
    for (struct list_node *node = list_first(&kad->operations); node != NULL;
         node = list_next(&kad->operations, node)) {
        bootstraps |= LIST_ENTRY(node, struct operation, node)->kind == KAD_BOOTSTRAP;
    }
    if (kad->table.size == 1 && !bootstraps && kad->limits.refresh_interval != NANOS_NEVER) {
        kad->refresh_at = nanos_min(kad->refresh_at, nanos_add(now, FIRST_REFRESH_DELAY));
    }
    for (struct provided *provided = provided_of(list_first(&kad->provided)); provided != NULL;
         provided = provided_of(list_next(&kad->provided, &provided->node))) {
        if (provided->due == NANOS_NEVER || !has_outgrown(kad, provided, now)) {
            continue;
        }
        nanos when = provided->stored == 0
                         ? nanos_add(now, RETRY_SOON)
                         : nanos_max(nanos_add(provided->ended, REPEAT_GROWN), now);
        provided->due = nanos_min(provided->due, when);
    }
}

/* A random peer id (as of a hashed key) whose digest lies in the bucket. */
bool refresh_key(struct kad *kad, size_t bucket, uint8_t ret_key[REFRESH_KEY_SIZE]) {
    uint8_t key[REFRESH_KEY_SIZE] = {MULTIHASH_SHA2_256, SHA256_SIZE};
    random_fill(kad->random, (struct span){key + 2, SHA256_SIZE});
    size_t tries = (size_t)REFRESH_TRIES_FACTOR << (bucket + 1);
    for (size_t i = 0; i < tries; i++) {
        /* Counting is enough to make another digest. */
        key[2] = (uint8_t)(key[2] + 1);
        key[3] = (uint8_t)(key[3] + (key[2] == 0));
        key[4] = (uint8_t)(key[4] + (key[2] == 0 && key[3] == 0));
        struct sha256_digest digest = sha256(BYTES_ARRAY(key));
        if (table_bucket(&kad->table, &digest) == bucket) {
            memcpy(ret_key, key, sizeof(key));
            return true;
        }
    }
    return false;
}

static void expire_provided(struct kad *kad, nanos now) {
    for (struct provided *provided = provided_of(list_first(&kad->provided)); provided != NULL;
         provided = provided_of(list_next(&kad->provided, &provided->node))) {
        uint64_t operation;
        if (provided->due <= now && announce(kad, provided, NULL, true, now, &operation) != 0) {
            announce_later(provided, now);
        }
    }
}

int kad_bootstrap(struct kad *kad, const struct kad_options *options, nanos now,
                  uint64_t *ret_operation) {
    if (kad->limits.refresh_interval != NANOS_NEVER) {
        kad->refresh_at = nanos_add(now, refresh_interval(kad));
    }
    return operation_start(kad, KAD_BOOTSTRAP, peer_id_bytes(&kad->own_id), bytes_of(NULL, 0),
                           options, false, now, ret_operation);
}

void maintain_expire(struct kad *kad, nanos now) {
    expire_provided(kad, now);
    if (kad->refresh_at <= now) {
        kad->refresh_at = nanos_add(now, refresh_interval(kad));
        members_check_silent(kad, now);
        uint64_t operation;
        /* Without memory or a place the next interval will do. */
        int error = operation_refresh_wanted(kad, now)
                        ? operation_start(kad, KAD_BOOTSTRAP, peer_id_bytes(&kad->own_id),
                                          bytes_of(NULL, 0), NULL, true, now, &operation)
                        : 0;
        ENSURE(error == 0 || error == PLASM_LIMIT || error == PLASM_NO_MEMORY);
    }
    if (kad->sweep_at <= now) {
        kad->sweep_at = nanos_add(now, kad->limits.sweep_interval);
        providers_sweep(&kad->providers, now);
        records_sweep(&kad->records, now);
    }
}

nanos maintain_deadline(const struct kad *kad) {
    nanos deadline = kad->refresh_at;
    if (kad->providers.records > 0 || kad->records.map.size > 0) {
        deadline = nanos_min(deadline, kad->sweep_at);
    }
    for (struct provided *provided = provided_of(list_first(&kad->provided)); provided != NULL;
         provided = provided_of(list_next(&kad->provided, &provided->node))) {
        deadline = nanos_min(deadline, provided->due);
    }
    return deadline;
}
