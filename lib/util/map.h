/* Intrusive hash table from byte keys to objects, keyed against collisions by a secret. */
#ifndef UTIL_MAP_H
#define UTIL_MAP_H

#include "util/bytes.h"
#include "util/memory.h"

/* Lives in the object. The key is borrowed from the object and must not change while it is in. */
struct map_node {
    struct map_node *next;
    struct bytes key;
    uint64_t hash;
};

struct map {
    struct memory *memory;
    struct map_node **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t size;
    uint64_t secret[2];
};

/* `secret` should be unpredictable to peers where they choose the keys (SipHash-2-4 key). */
void map_init(struct map *map, struct memory *memory, const uint64_t secret[2]);
/* Frees the table, not the objects. */
void map_done(struct map *map);

/* The node with this key, or NULL. */
struct map_node *map_get(const struct map *map, struct bytes key);
/* Puts `node` in under `key`. PLASM_CONFLICT when the key is there, PLASM_NO_MEMORY. */
MUST_CHECK int map_put(struct map *map, struct map_node *node, struct bytes key);
/* Takes out a node that is in. */
void map_remove(struct map *map, struct map_node *node);
/* Walks the nodes in no order: NULL gives the first, the last gives NULL. The node just given may
 * be removed if `next` was asked for before. */
struct map_node *map_next(const struct map *map, const struct map_node *node);

#define MAP_ENTRY(node, type, member) ((node) != NULL ? CONTAINER_OF(node, type, member) : NULL)

#endif
