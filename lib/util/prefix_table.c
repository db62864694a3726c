/* Counting connections by address prefix. */
#include "util/prefix_table.h"

#include "util/bucket.h"
#include "util/ensure.h"

#define KEY_MAX 8

/* Family, then the bytes of the prefix. */
struct prefix_key {
    uint8_t size;
    uint8_t bytes[KEY_MAX];
};

struct prefix {
    struct map_node node;
    struct list_node idle; /* while connections == 0 */
    struct prefix_key key;
    size_t connections;
    struct bucket buckets[2]; /* of unproven and of proven addresses */
    struct prefix_offences offences;
};

void prefix_table_init(struct prefix_table *table, struct memory *memory,
                       const uint64_t secret[2]) {
    table->memory = memory;
    map_init(&table->map, memory, secret);
    list_init(&table->idle);
}

void prefix_table_done(struct prefix_table *table) {
    struct map_node *node;
    while ((node = map_next(&table->map, NULL)) != NULL) {
        map_remove(&table->map, node);
        struct prefix *prefix = CONTAINER_OF(node, struct prefix, node);
        memory_put(table->memory, prefix, sizeof(*prefix));
    }
    map_done(&table->map);
    list_init(&table->idle);
}

/* The first `bits6` bits of IPv6, all of IPv4. */
static struct prefix_key key_of(const struct netaddr *address, size_t bits6) {
    size_t size = address->family == NETADDR_IP6 ? bits6 / 8 : 4;
    struct prefix_key key = {.size = (uint8_t)(size + 1)};
    key.bytes[0] = address->family;
    memcpy(key.bytes + 1, address->ip, size);
    return key;
}

static struct prefix *find(const struct prefix_table *table, const struct prefix_key *key) {
    return MAP_ENTRY(map_get(&table->map, bytes_of(key->bytes, key->size)), struct prefix, node);
}

static void forget(struct prefix_table *table, struct prefix *prefix) {
    list_remove(&table->idle, &prefix->idle);
    map_remove(&table->map, &prefix->node);
    memory_put(table->memory, prefix, sizeof(*prefix));
}

static struct prefix *make(struct prefix_table *table, const struct prefix_key *key) {
    struct prefix *prefix = find(table, key);
    if (prefix != NULL) {
        return prefix;
    }
    if (table->map.size >= PREFIXES_MAX) {
        prefix = LIST_ENTRY(list_first(&table->idle), struct prefix, idle);
        if (prefix == NULL) {
            return NULL;
        }
        forget(table, prefix);
    }
    prefix = memory_zero(table->memory, sizeof(*prefix));
    if (prefix == NULL) {
        return NULL;
    }
    prefix->key = *key;
    if (map_put(&table->map, &prefix->node, bytes_of(prefix->key.bytes, key->size)) != 0) {
        memory_put(table->memory, prefix, sizeof(*prefix));
        return NULL;
    }
    list_append(&table->idle, &prefix->idle);
    return prefix;
}

static size_t count_of(const struct prefix_table *table, const struct netaddr *address,
                       size_t bits6) {
    struct prefix_key key = key_of(address, bits6);
    struct prefix *prefix = find(table, &key);
    return prefix != NULL ? prefix->connections : 0;
}

size_t prefix_table_count(const struct prefix_table *table, const struct netaddr *address) {
    return count_of(table, address, 56);
}

size_t prefix_table_count48(const struct prefix_table *table, const struct netaddr *address) {
    return address->family == NETADDR_IP6 ? count_of(table, address, 48) : 0;
}

static void touch(struct prefix_table *table, struct prefix *prefix) {
    if (prefix->connections == 0) { /* used last */
        list_remove(&table->idle, &prefix->idle);
        list_append(&table->idle, &prefix->idle);
    }
}

struct prefix_offences *prefix_table_offences(struct prefix_table *table,
                                              const struct netaddr *address) {
    struct prefix_key key = key_of(address, 56);
    struct prefix *prefix = make(table, &key);
    if (prefix == NULL) {
        return NULL;
    }
    touch(table, prefix);
    return &prefix->offences;
}

bool prefix_table_allow(struct prefix_table *table, const struct netaddr *address, bool proven,
                        uint32_t per_second, uint32_t burst, nanos now) {
    struct prefix_key key = key_of(address, 56);
    struct prefix *prefix = make(table, &key);
    if (prefix == NULL) {
        return false;
    }
    struct bucket *bucket = &prefix->buckets[proven ? 1 : 0];
    if (bucket->filled == 0) {
        bucket_fill(bucket, burst, now);
    }
    touch(table, prefix);
    return bucket_take(bucket, per_second, burst, now);
}

static int add(struct prefix_table *table, const struct netaddr *address, size_t bits6) {
    struct prefix_key key = key_of(address, bits6);
    struct prefix *prefix = make(table, &key);
    if (prefix == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (prefix->connections++ == 0) {
        list_remove(&table->idle, &prefix->idle);
    }
    return 0;
}

static void subtract(struct prefix_table *table, const struct netaddr *address, size_t bits6) {
    struct prefix_key key = key_of(address, bits6);
    struct prefix *prefix = find(table, &key);
    ENSURE(prefix != NULL && prefix->connections > 0);
    if (--prefix->connections == 0) {
        list_append(&table->idle, &prefix->idle);
        if (prefix->buckets[0].filled == 0 && prefix->buckets[1].filled == 0 &&
            prefix->offences.last == 0) {
            forget(table, prefix); /* there is nothing to remember */
        }
    }
}

int prefix_table_add(struct prefix_table *table, const struct netaddr *address) {
    int error = add(table, address, 56);
    if (error == 0 && address->family == NETADDR_IP6) {
        error = add(table, address, 48);
        if (error != 0) {
            subtract(table, address, 56);
        }
    }
    return error;
}

void prefix_table_remove(struct prefix_table *table, const struct netaddr *address) {
    subtract(table, address, 56);
    if (address->family == NETADDR_IP6) {
        subtract(table, address, 48);
    }
}
