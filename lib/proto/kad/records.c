/* One allocation a record: key and value behind its head. */
#include "proto/kad/records.h"

#include "proto/kad/distance.h"

struct record {
    struct map_node node;
    struct sha256_digest hash;
    nanos stored;
    size_t key_size;
    size_t value_size;
    uint8_t bytes[]; /* key, value */
};

static struct record *record_of(struct map_node *node) {
    return MAP_ENTRY(node, struct record, node);
}

static size_t record_size(const struct record *record) {
    return sizeof(*record) + record->key_size + record->value_size;
}

static struct bytes record_value(const struct record *record) {
    return bytes_of(record->bytes + record->key_size, record->value_size);
}

void records_init(struct records *records, struct memory *memory, const struct kad_limits *limits,
                  const struct kad_namespaces *namespaces, const struct sha256_digest *own,
                  const uint64_t secret[2]) {
    *records =
        (struct records){.memory = memory, .limits = limits, .namespaces = namespaces, .own = *own};
    map_init(&records->map, memory, secret);
}

static void record_free(struct records *records, struct record *record) {
    map_remove(&records->map, &record->node);
    memory_put(records->memory, record, record_size(record));
}

static bool record_is_live(const struct records *records, const struct record *record, nanos now) {
    return nanos_since(now, record->stored) < records->limits->record_life;
}

/* Frees the records that `all` or their age condemns. */
static void records_drop(struct records *records, bool all, nanos now) {
    struct map_node *node = map_next(&records->map, NULL);
    while (node != NULL) {
        struct map_node *next = map_next(&records->map, node);
        if (all || !record_is_live(records, record_of(node), now)) {
            record_free(records, record_of(node));
        }
        node = next;
    }
}

void records_done(struct records *records) {
    records_drop(records, true, 0);
    map_done(&records->map);
}

void records_sweep(struct records *records, nanos now) {
    records_drop(records, false, now);
}

/* The record farthest from us, if it is farther than `hash`. */
static struct record *record_to_replace(const struct records *records,
                                        const struct sha256_digest *hash) {
    struct sha256_digest farthest = kad_distance(&records->own, hash);
    struct record *victim = NULL;
    for (struct map_node *node = map_next(&records->map, NULL); node != NULL;
         node = map_next(&records->map, node)) {
        struct sha256_digest distance = kad_distance(&records->own, &record_of(node)->hash);
        if (kad_distance_compare(&distance, &farthest) > 0) {
            farthest = distance;
            victim = record_of(node);
        }
    }
    return victim;
}

int records_put(struct records *records, struct bytes key, struct bytes value, nanos now) {
    int error = kad_value_check(records->namespaces, key, value);
    if (error != 0) {
        return error;
    }
    struct record *old = record_of(map_get(&records->map, key));
    if (old != NULL && bytes_equal(record_value(old), value)) {
        old->stored = now;
        return 0;
    }
    if (old != NULL && record_is_live(records, old, now) &&
        kad_value_check(records->namespaces, key, record_value(old)) == 0 &&
        !kad_value_better(records->namespaces, key, value, record_value(old))) {
        return PLASM_CONFLICT;
    }
    struct sha256_digest hash = sha256(key);
    if (old == NULL && records->map.size >= records->limits->records_max) {
        old = record_to_replace(records, &hash);
        if (old == NULL) {
            return PLASM_LIMIT;
        }
    }
    struct record *record = memory_get(records->memory, sizeof(*record) + key.size + value.size);
    if (record == NULL) {
        return PLASM_NO_MEMORY;
    }
    *record = (struct record){
        .hash = hash, .stored = now, .key_size = key.size, .value_size = value.size};
    memcpy(record->bytes, key.data, key.size);
    if (value.size > 0) {
        memcpy(record->bytes + key.size, value.data, value.size);
    }
    if (old != NULL) {
        record_free(records, old);
    }
    error = map_put(&records->map, &record->node, bytes_of(record->bytes, key.size));
    if (error != 0) {
        memory_put(records->memory, record, record_size(record));
    }
    return error;
}

int records_get(const struct records *records, struct bytes key, nanos now,
                struct bytes *ret_value) {
    const struct record *record = record_of(map_get(&records->map, key));
    if (record == NULL || !record_is_live(records, record, now)) {
        return PLASM_NOT_FOUND;
    }
    *ret_value = record_value(record);
    return 0;
}
