/* Chained hash table over SipHash-2-4. */
#include "util/map.h"

#include "util/ensure.h"

#define MAP_BUCKETS_MIN 16

static uint64_t rotate_left(uint64_t value, int count) {
    return value << count | value >> (64 - count);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012); a table lookup needs no library call. */
static uint64_t map_hash(const uint64_t secret[2], struct bytes key) {
    uint64_t v[4] = {
        secret[0] ^ UINT64_C(0x736f6d6570736575), secret[1] ^ UINT64_C(0x646f72616e646f6d),
        secret[0] ^ UINT64_C(0x6c7967656e657261), secret[1] ^ UINT64_C(0x7465646279746573)};
    size_t offset = 0;
    for (size_t whole = key.size / 8 * 8; offset < whole; offset += 8) {
        uint64_t word = 0;
        for (size_t i = 0; i < 8; i++) {
            word |= (uint64_t)key.data[offset + i] << (8 * i);
        }
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.size << 56;
    for (size_t i = 0; offset + i < key.size; i++) {
        last |= (uint64_t)key.data[offset + i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map, struct memory *memory, const uint64_t secret[2]) {
    *map = (struct map){.memory = memory, .secret = {secret[0], secret[1]}};
}

void map_done(struct map *map) {
    memory_put(map->memory, map->buckets, map->bucket_count * sizeof(struct map_node *));
    map_init(map, map->memory, map->secret);
}

static struct map_node **map_bucket(const struct map *map, uint64_t hash) {
    return &map->buckets[hash & (map->bucket_count - 1)];
}

struct map_node *map_get(const struct map *map, struct bytes key) {
    if (map->size == 0) {
        return NULL;
    }
    uint64_t hash = map_hash(map->secret, key);
    struct map_node *node = *map_bucket(map, hash);
    while (node != NULL && (node->hash != hash || !bytes_equal(node->key, key))) {
        node = node->next;
    }
    return node;
}

static int map_grow(struct map *map) {
    struct map old = *map;
    size_t count = old.bucket_count > 0 ? old.bucket_count * 2 : MAP_BUCKETS_MIN;
    map->buckets = memory_zero(map->memory, count * sizeof(struct map_node *));
    if (map->buckets == NULL) {
        map->buckets = old.buckets;
        return PLASM_NO_MEMORY;
    }
    map->bucket_count = count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct map_node *node = old.buckets[i]; node != NULL;) {
            struct map_node *next = node->next;
            struct map_node **bucket = map_bucket(map, node->hash);
            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    memory_put(map->memory, old.buckets, old.bucket_count * sizeof(struct map_node *));
    return 0;
}

int map_put(struct map *map, struct map_node *node, struct bytes key) {
    if (map_get(map, key) != NULL) {
        return PLASM_CONFLICT;
    }
    /* A full table that cannot grow still works, only slower. */
    if (map->size >= map->bucket_count && map_grow(map) != 0 && map->bucket_count == 0) {
        return PLASM_NO_MEMORY;
    }
    node->key = key;
    node->hash = map_hash(map->secret, key);
    struct map_node **bucket = map_bucket(map, node->hash);
    node->next = *bucket;
    *bucket = node;
    map->size++;
    return 0;
}

void map_remove(struct map *map, struct map_node *node) {
    ENSURE(map->size > 0);
    struct map_node **link = map_bucket(map, node->hash);
    while (*link != node) {
        ENSURE(*link != NULL);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    map->size--;
}

struct map_node *map_next(const struct map *map, const struct map_node *node) {
    size_t bucket = 0;
    if (node != NULL) {
        if (node->next != NULL) {
            return node->next;
        }
        bucket = (size_t)(node->hash & (map->bucket_count - 1)) + 1;
    }
    while (bucket < map->bucket_count && map->buckets[bucket] == NULL) {
        bucket++;
    }
    return bucket < map->bucket_count ? map->buckets[bucket] : NULL;
}
