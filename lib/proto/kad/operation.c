/* An operation's life: a lookup, for some then a round of storing, and its end. */
#include "proto/kad/internal.h"

#include "proto/kad/distance.h"
#include "util/ensure.h"

/* Servers that must give a valid value before a search ends. */
#define VALUES_WANTED 4
/* A bootstrap is a lookup after another. */
#define BOOTSTRAP_TIMEOUT_FACTOR 4

static size_t count_default(enum kad_operation_kind kind) {
    switch (kind) {
    case KAD_FIND_PEER:
        return 1;
    case KAD_GET_VALUE:
        return VALUES_WANTED;
    default:
        return SIZE_MAX;
    }
}

static enum kad_message_type lookup_type(enum kad_operation_kind kind) {
    switch (kind) {
    case KAD_FIND_PROVIDERS:
        return KAD_MESSAGE_GET_PROVIDERS;
    case KAD_GET_VALUE:
        return KAD_MESSAGE_GET_VALUE;
    default:
        return KAD_MESSAGE_FIND_NODE;
    }
}

static size_t key_size_max(enum kad_operation_kind kind) {
    return kind == KAD_FIND_PROVIDERS || kind == KAD_PROVIDE ? KAD_PROVIDER_KEY_SIZE_MAX
                                                             : KAD_VALUE_KEY_SIZE_MAX;
}

/* --- Memory --------------------------------------------------------------------------------- */

/* What is of no use once the operation has ended. */
static void release_work(struct kad *kad, struct operation *operation) {
    requests_orphan(kad, operation);
    query_done(&operation->query);
    block_unref(operation->store_request);
    operation->store_request = NULL;
    memory_put(kad->memory, operation->targets, QUERY_RESULT_MAX * sizeof(struct target));
    operation->targets = NULL;
    operation->target_count = 0;
    memory_put(kad->memory, operation->holders, KAD_VALUES_MAX * sizeof(struct holder));
    operation->holders = NULL;
    operation->holder_count = 0;
}

void operation_free(struct kad *kad, struct operation *operation) {
    release_work(kad, operation);
    for (size_t i = 0; i < operation->found_count; i++) {
        struct found *found = operation->found[i];
        memory_put(kad->memory, found, sizeof(*found) + found->addresses_size);
    }
    memory_put(kad->memory, operation->found,
               operation->found_capacity * sizeof(operation->found[0]));
    block_unref(operation->value);
    list_remove(&kad->operations, &operation->node);
    memory_put(kad->memory, operation, sizeof(*operation));
}

static struct operation *operation_new(struct kad *kad, enum kad_operation_kind kind,
                                       struct bytes key, bool is_internal, nanos now) {
    struct operation *operation = memory_zero(kad->memory, sizeof(*operation));
    if (operation == NULL) {
        return NULL;
    }
    operation->kind = kind;
    operation->is_internal = is_internal;
    operation->started = now;
    operation->key_size = key.size;
    memcpy(operation->key, key.data, key.size);
    operation->query.memory = kad->memory;
    list_append(&kad->operations, &operation->node);
    return operation;
}

/* --- Lookups -------------------------------------------------------------------------------- */

/* Begins a lookup for `key` as the operation's next one. */
static int lookup_begin(struct kad *kad, struct operation *operation, struct bytes key, nanos now) {
    struct sha256_digest target = sha256(key);
    query_init(&operation->query, kad->memory, &kad->limits, &target, members_spacing(kad, now));
    operation->request_type = lookup_type(operation->kind);
    struct writer writer = writer_of((struct span){operation->request, sizeof(operation->request)});
    kad_message_put_head(&writer, operation->request_type, key);
    ENSURE(writer.error == 0);
    operation->request_size = writer.size;
    return members_seed(kad, &operation->query);
}

/* The present lookup is over: its bucket is fresh, its numbers go to the operation's. */
static void lookup_end(struct kad *kad, struct operation *operation, nanos now) {
    struct query *query = &operation->query;
    requests_orphan(kad, operation);
    if (query->answered > 0) {
        kad->table.refreshed[table_bucket(&kad->table, &query->target)] = now;
    }
    operation->asked += query->asked;
    operation->answered += query->answered;
    operation->failed += query->failed;
    if (query->hops > operation->hops) {
        operation->hops = query->hops;
    }
}

/* After a lookup of ourselves: whoever shares more bits with us than the farthest of the k closest
 * is one of them. Only the other buckets, whose number this is, hold more than it found. */
static size_t buckets_to_refresh(const struct query *query) {
    struct query_peer *closest[QUERY_RESULT_MAX];
    size_t count = query_result(query, closest);
    if (count < KAD_K) {
        return 0; /* these are all there are */
    }
    uint64_t head = kad_head(&closest[KAD_K - 1]->distance);
    size_t buckets = 1 + (head != 0 ? (size_t)__builtin_clzll(head) : KAD_BUCKETS);
    return buckets < KAD_REFRESH_BUCKETS_MAX ? buckets : KAD_REFRESH_BUCKETS_MAX;
}

static bool bucket_is_fresh(const struct kad *kad, size_t bucket, nanos now) {
    nanos refreshed = kad->table.refreshed[bucket];
    return refreshed != 0 && nanos_since(now, refreshed) < kad->limits.refresh_interval / 2;
}

bool operation_refresh_wanted(const struct kad *kad, nanos now) {
    /* Others find a server by what its neighbours know: it looks who they are. */
    bool wanted = kad->mode == KAD_SERVER || kad->table.size < KAD_K;
    for (size_t bucket = 0; !wanted && bucket < kad->refresh_buckets; bucket++) {
        wanted = !members_fill(kad, bucket, now);
    }
    return wanted;
}

/* Goes on to the next bucket that wants refreshing; false when there is none. */
static bool bootstrap_next(struct kad *kad, struct operation *operation, nanos now) {
    while (operation->bucket < kad->refresh_buckets) {
        size_t bucket = operation->bucket++;
        uint8_t key[REFRESH_KEY_SIZE];
        if (bucket_is_fresh(kad, bucket, now) || members_fill(kad, bucket, now) ||
            !refresh_key(kad, bucket, key)) {
            continue;
        }
        query_done(&operation->query);
        if (lookup_begin(kad, operation, BYTES_ARRAY(key), now) != 0) {
            operation->is_out_of_memory = true;
        }
        operation->query.window = KAD_REFRESH_WINDOW;
        return true;
    }
    return false;
}

/* --- Storing -------------------------------------------------------------------------------- */

static int announcement_encode(const struct kad *kad, struct operation *operation) {
    uint8_t room[KAD_PROVIDER_KEY_SIZE_MAX + PEER_ID_SIZE_MAX + 2 * KAD_ADDRESSES_BYTES_MAX];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, operation_key(operation));
    if (!kad_message_put_peer(&writer, KAD_LIST_PROVIDERS, &kad->own_id,
                              kad_addresses_bytes(&kad->own_addresses), KAD_CONNECTED, false,
                              sizeof(room) - writer.size)) {
        return PLASM_STATE;
    }
    ENSURE(writer.error == 0);
    operation->store_request = block_copy(kad->memory, writer_bytes(&writer));
    return operation->store_request != NULL ? 0 : PLASM_NO_MEMORY;
}

static int value_encode(const struct kad *kad, struct operation *operation) {
    struct bytes key = operation_key(operation);
    struct bytes value = block_bytes(operation->value);
    uint8_t room[KAD_VALUE_SIZE_MAX + 2 * KAD_VALUE_KEY_SIZE_MAX + 32];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, key);
    kad_message_put_record(&writer, key, value);
    ENSURE(writer.error == 0);
    operation->store_request = block_copy(kad->memory, writer_bytes(&writer));
    return operation->store_request != NULL ? 0 : PLASM_NO_MEMORY;
}

static int targets_new(struct kad *kad, struct operation *operation) {
    operation->targets = memory_zero(kad->memory, QUERY_RESULT_MAX * sizeof(struct target));
    return operation->targets != NULL ? 0 : PLASM_NO_MEMORY;
}

/* After the lookup: the closest that answered get what is to be stored. */
static void store_begin(struct kad *kad, struct operation *operation, nanos now) {
    struct query_peer *closest[QUERY_RESULT_MAX];
    size_t count = query_result(&operation->query, closest);
    int error = targets_new(kad, operation);
    if (error == 0) {
        error = operation->kind == KAD_PROVIDE ? announcement_encode(kad, operation)
                                               : value_encode(kad, operation);
    }
    if (error != 0) {
        operation_finish(kad, operation, error, now);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        operation->targets[i] = (struct target){.peer = closest[i]};
    }
    operation->target_count = count;
    operation->phase = OPERATION_STORE;
}

/* How long a target is waited for: while nobody has stored anything, as long as it takes. */
static nanos store_patience(const struct kad *kad, const struct operation *operation) {
    return operation->count > 0 ? kad->limits.straggler_max : kad->limits.request_timeout;
}

/* True when no target is worth waiting for. */
static bool store_is_over(const struct kad *kad, const struct operation *operation, nanos now) {
    nanos patience = store_patience(kad, operation);
    for (size_t i = 0; i < operation->target_count; i++) {
        const struct target *target = &operation->targets[i];
        if (target->state == TARGET_PENDING ||
            (target->state == TARGET_WAITING && nanos_since(now, target->asked) < patience)) {
            return false;
        }
    }
    return true;
}

/* Those who gave a value that was not the best get it, in an operation of their own that takes
 * over the peers of this one. */
static void correct_outdated(struct kad *kad, struct operation *operation, nanos now) {
    if (operation->value == NULL || operation->holders == NULL ||
        kad->operations.size >= kad->limits.operations_max) {
        return;
    }
    struct sha256_digest best = sha256(block_bytes(operation->value));
    size_t outdated = 0;
    for (size_t i = 0; i < operation->holder_count; i++) {
        outdated += !sha256_equal(&operation->holders[i].value, &best);
    }
    struct operation *correction =
        outdated > 0 ? operation_new(kad, KAD_PUT_VALUE, operation_key(operation), true, now)
                     : NULL;
    if (correction == NULL) {
        return;
    }
    correction->id = ++kad->last_operation;
    correction->deadline = nanos_add(now, kad->limits.operation_timeout);
    correction->value = block_ref(operation->value);
    if (targets_new(kad, correction) != 0 || value_encode(kad, correction) != 0) {
        operation_free(kad, correction);
        return;
    }
    for (size_t i = 0; i < operation->holder_count; i++) {
        if (!sha256_equal(&operation->holders[i].value, &best)) {
            correction->targets[correction->target_count++] =
                (struct target){.peer = operation->holders[i].peer};
        }
    }
    correction->query = operation->query;
    operation->query = (struct query){.memory = kad->memory};
    correction->phase = OPERATION_STORE;
}

/* --- The end -------------------------------------------------------------------------------- */

/* How an operation that came to its end by itself has done. */
static int final_status(const struct operation *operation) {
    bool has_result = operation->count > 0;
    if (operation->kind == KAD_BOOTSTRAP || operation->kind == KAD_FIND_CLOSEST) {
        has_result = operation->answered > 0;
    }
    if (has_result) {
        return 0;
    }
    if (operation->is_out_of_memory) {
        return PLASM_NO_MEMORY;
    }
    bool is_storing = operation->kind == KAD_PROVIDE || operation->kind == KAD_PUT_VALUE;
    return operation->asked > 0 && (operation->answered == 0 || is_storing) ? PLASM_UNREACHABLE
                                                                            : PLASM_NOT_FOUND;
}

static void report_closest(struct kad *kad, struct operation *operation) {
    struct query_peer *closest[QUERY_RESULT_MAX];
    size_t count = query_result(&operation->query, closest);
    for (size_t i = 0; i < count && i < KAD_K && i < operation->count_max; i++) {
        operation_found(kad, operation, &closest[i]->id, query_peer_addresses(closest[i]));
        operation->count++;
    }
}

void operation_finish(struct kad *kad, struct operation *operation, int status, nanos now) {
    if (operation->phase == OPERATION_DONE) {
        return;
    }
    if (operation->phase == OPERATION_LOOKUP) {
        lookup_end(kad, operation, now);
    }
    if (operation->kind == KAD_FIND_CLOSEST) {
        report_closest(kad, operation);
    } else if (operation->kind == KAD_BOOTSTRAP) {
        operation->count = operation->answered;
    } else if (operation->kind == KAD_GET_VALUE) {
        correct_outdated(kad, operation, now);
    }
    operation->status = status != 0 ? status : final_status(operation);
    operation->phase = OPERATION_DONE;
    operation->ended = now;
    release_work(kad, operation);
    if (operation->kind == KAD_PROVIDE) {
        provided_ended(kad, operation_key(operation), operation->status, operation->count, now);
    }
}

/* The lookup has run to its end: what comes next. */
static void lookup_finished(struct kad *kad, struct operation *operation, nanos now) {
    bool is_storing = operation->kind == KAD_PROVIDE || operation->kind == KAD_PUT_VALUE;
    if (operation->kind == KAD_BOOTSTRAP) {
        if (operation->bucket == 0) {
            kad->refresh_buckets = buckets_to_refresh(&operation->query);
        }
        lookup_end(kad, operation, now);
        if (!bootstrap_next(kad, operation, now)) {
            /* Its numbers are counted already. */
            query_done(&operation->query);
            operation->query = (struct query){.memory = kad->memory};
            operation_finish(kad, operation, 0, now);
        }
    } else if (is_storing && operation->query.answered > 0) {
        lookup_end(kad, operation, now);
        store_begin(kad, operation, now);
    } else {
        operation_finish(kad, operation, 0, now);
    }
}

/* A lookup that only fills a bucket has done when the bucket is filled. */
static bool refresh_is_over(const struct kad *kad, const struct operation *operation, nanos now) {
    return operation->kind == KAD_BOOTSTRAP && operation->bucket > 0 &&
           members_fill(kad, operation->bucket - 1, now);
}

void operation_advance(struct kad *kad, struct operation *operation, nanos now) {
    /* A bootstrap may pass over several lookups that have nobody to ask. */
    while (operation->phase == OPERATION_LOOKUP) {
        if (operation->count >= operation->count_max) {
            operation_finish(kad, operation, 0, now);
        } else if (query_finished(&operation->query) || refresh_is_over(kad, operation, now)) {
            lookup_finished(kad, operation, now);
        } else {
            break;
        }
    }
    if (operation->phase == OPERATION_STORE && store_is_over(kad, operation, now)) {
        operation_finish(kad, operation, 0, now);
    }
}

nanos operation_deadline(const struct kad *kad, const struct operation *operation) {
    if (operation->phase == OPERATION_DONE) {
        return NANOS_NEVER;
    }
    nanos deadline = operation->deadline;
    if (operation->phase == OPERATION_LOOKUP) {
        return nanos_min(deadline, query_deadline(&operation->query));
    }
    /* The targets that are waited for longest decide last. */
    nanos last = 0;
    for (size_t i = 0; i < operation->target_count; i++) {
        const struct target *target = &operation->targets[i];
        if (target->state == TARGET_PENDING) {
            return deadline;
        }
        if (target->state == TARGET_WAITING) {
            last = nanos_max(last, nanos_add(target->asked, store_patience(kad, operation)));
        }
    }
    return nanos_min(deadline, last);
}

void operations_seed(struct kad *kad, const struct peer_id *id, struct bytes addresses) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    for (struct list_node *node = list_first(&kad->operations); node != NULL;
         node = list_next(&kad->operations, node)) {
        struct operation *operation = LIST_ENTRY(node, struct operation, node);
        if (operation->phase == OPERATION_LOOKUP && operation->query.size < KAD_K &&
            query_seed(&operation->query, id, &hash, addresses) != 0) {
            operation->is_out_of_memory = true;
        }
    }
}

/* --- The beginning -------------------------------------------------------------------------- */

/* What we know ourselves counts as an answer. */
static void take_own_knowledge(struct kad *kad, struct operation *operation, nanos now) {
    struct bytes key = operation_key(operation);
    struct bytes value;
    if (operation->kind == KAD_FIND_PEER) {
        struct peer_id id;
        bool is_connected;
        ENSURE(peer_id_decode(key, &id) == 0);
        struct bytes addresses = members_addresses(kad, &id, &is_connected);
        operation_take_target(kad, operation, &id, addresses);
        if (is_connected && operation->count > 0) {
            operation->count_max = 1;
        }
    } else if (operation->kind == KAD_FIND_PROVIDERS) {
        struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
        size_t count = providers_get(&kad->providers, key, &kad->own_id, kad->random, now, views,
                                     ARRAY_SIZE(views));
        for (size_t i = 0; i < count; i++) {
            operation_found(kad, operation, views[i].peer, views[i].addresses);
        }
    } else if (operation->kind == KAD_GET_VALUE &&
               records_get(&kad->records, key, now, &value) == 0 &&
               kad_value_check(&kad->namespaces, key, value) == 0) {
        operation_take_value(kad, operation, NULL, value);
    }
}

/* Everything that may fail. */
static int operation_prepare(struct kad *kad, struct operation *operation, struct bytes value,
                             nanos now) {
    if (operation->kind == KAD_PUT_VALUE) {
        operation->value = block_copy(kad->memory, value);
        if (operation->value == NULL) {
            return PLASM_NO_MEMORY;
        }
    }
    if (operation->kind == KAD_GET_VALUE) {
        operation->holders = memory_zero(kad->memory, KAD_VALUES_MAX * sizeof(struct holder));
        if (operation->holders == NULL) {
            return PLASM_NO_MEMORY;
        }
    }
    return lookup_begin(kad, operation, operation_key(operation), now);
}

int operation_start(struct kad *kad, enum kad_operation_kind kind, struct bytes key,
                    struct bytes value, const struct kad_options *options, bool is_internal,
                    nanos now, uint64_t *ret_id) {
    if (key.size == 0 || key.size > key_size_max(kind)) {
        return PLASM_INVALID;
    }
    if (kad->operations.size >= kad->limits.operations_max) {
        return PLASM_LIMIT;
    }
    struct operation *operation = operation_new(kad, kind, key, is_internal, now);
    if (operation == NULL) {
        return PLASM_NO_MEMORY;
    }
    int error = operation_prepare(kad, operation, value, now);
    if (error != 0) {
        operation_free(kad, operation);
        return error;
    }
    nanos timeout = kad->limits.operation_timeout;
    if (kind == KAD_BOOTSTRAP) {
        timeout *= BOOTSTRAP_TIMEOUT_FACTOR;
    }
    if (options != NULL && options->timeout > 0) {
        timeout = options->timeout;
    }
    operation->deadline = nanos_add(now, timeout);
    operation->count_max =
        options != NULL && options->count_max > 0 ? options->count_max : count_default(kind);
    if (kind == KAD_PROVIDE || kind == KAD_PUT_VALUE) {
        operation->count_max = SIZE_MAX;
    }
    operation->id = ++kad->last_operation;
    *ret_id = operation->id;
    if (kind == KAD_PROVIDE && kad->own_addresses.count == 0) {
        operation_finish(kad, operation, PLASM_STATE, now);
        return 0;
    }
    take_own_knowledge(kad, operation, now);
    operation_advance(kad, operation, now);
    return 0;
}
