/* Remembering good certificates. */
#include "identity/certificate_cache.h"

#include "crypto/hash.h"

struct cached {
    struct map_node node;
    struct list_node used;
    struct sha256_digest digest;
    size_t size; /* of the whole entry: most keys are much shorter than the longest */
    struct peer_id peer_id;
    int64_t valid_from;
    int64_t valid_to;
    struct public_key key; /* its bytes beyond key.size are not there */
};

void certificate_cache_init(struct certificate_cache *cache, struct memory *memory) {
    /* No secret: with so few entries the longest chain is short. */
    static const uint64_t secret[2];
    cache->memory = memory;
    map_init(&cache->map, memory, secret);
    list_init(&cache->used);
}

static void forget(struct certificate_cache *cache, struct cached *cached) {
    map_remove(&cache->map, &cached->node);
    list_remove(&cache->used, &cached->used);
    memory_put(cache->memory, cached, cached->size);
}

void certificate_cache_done(struct certificate_cache *cache) {
    struct list_node *node;
    while ((node = list_first(&cache->used)) != NULL) {
        forget(cache, CONTAINER_OF(node, struct cached, used));
    }
    map_done(&cache->map);
}

static void remember(struct certificate_cache *cache, const struct sha256_digest *digest,
                     const struct certificate_identity *identity) {
    if (cache->used.size >= CERTIFICATE_CACHE_MAX) {
        forget(cache, CONTAINER_OF(list_first(&cache->used), struct cached, used));
    }
    size_t key_size = offsetof(struct public_key, data) + identity->key.size;
    size_t size = offsetof(struct cached, key) + key_size;
    struct cached *cached = memory_get(cache->memory, size);
    if (cached == NULL) {
        return; /* it works without */
    }
    memset(cached, 0, size);
    cached->size = size;
    cached->digest = *digest;
    cached->peer_id = identity->peer_id;
    cached->valid_from = identity->valid_from;
    cached->valid_to = identity->valid_to;
    memcpy(&cached->key, &identity->key, key_size);
    if (map_put(&cache->map, &cached->node, BYTES_ARRAY(cached->digest.bytes)) != 0) {
        memory_put(cache->memory, cached, size);
        return;
    }
    list_append(&cache->used, &cached->used);
}

static int recall(struct certificate_cache *cache, struct cached *cached, int64_t unix_seconds,
                  struct certificate_identity *ret_identity) {
    list_remove(&cache->used, &cached->used);
    list_append(&cache->used, &cached->used);
    if (unix_seconds < cached->valid_from || unix_seconds > cached->valid_to) {
        return PLASM_EXPIRED;
    }
    ret_identity->peer_id = cached->peer_id;
    ret_identity->valid_from = cached->valid_from;
    ret_identity->valid_to = cached->valid_to;
    memcpy(&ret_identity->key, &cached->key, offsetof(struct public_key, data) + cached->key.size);
    return 0;
}

int certificate_cache_check(struct certificate_cache *cache, struct bytes der, int64_t unix_seconds,
                            struct certificate_identity *ret_identity) {
    struct sha256_digest digest = sha256(der);
    struct cached *cached =
        MAP_ENTRY(map_get(&cache->map, BYTES_ARRAY(digest.bytes)), struct cached, node);
    if (cached != NULL) {
        return recall(cache, cached, unix_seconds, ret_identity);
    }
    int error = certificate_check(der, unix_seconds, ret_identity);
    if (error == 0) {
        remember(cache, &digest, ret_identity);
    }
    return error;
}
