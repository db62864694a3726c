/* Keys and providers refer to each other; a peer's addresses are kept once for all its keys. */
#include "proto/kad/providers.h"

#include "proto/kad/distance.h"
#include "util/ensure.h"

/* Places of a key at first; doubled up to providers_per_key_max. */
#define PLACES_MIN 4

struct provider {
    struct map_node node; /* by the peer's id */
    struct peer_id id;
    uint16_t keys; /* records that refer to it */
    uint16_t addresses_size;
    struct kad_groups groups;
    uint8_t *addresses;
};

struct provider_place {
    struct provider *provider;
    nanos renewed;
};

struct provider_key {
    struct map_node node;
    struct sha256_digest hash;
    uint8_t size;
    uint8_t bytes[KAD_PROVIDER_KEY_SIZE_MAX];
    size_t count;
    size_t capacity;
    struct provider_place *places;
};

void providers_init(struct providers *providers, struct memory *memory,
                    const struct kad_limits *limits, const struct sha256_digest *own,
                    const uint64_t secret[2]) {
    *providers = (struct providers){.memory = memory, .limits = limits, .own = *own};
    map_init(&providers->keys, memory, secret);
    map_init(&providers->peers, memory, secret);
}

static struct bytes provider_addresses(const struct provider *provider) {
    return bytes_of(provider->addresses, provider->addresses_size);
}

static void *store_resize(struct providers *providers, void *old, size_t old_size, size_t size) {
    ENSURE(providers->bytes >= old_size);
    if (providers->bytes - old_size + size > providers->limits->providers_bytes_max) {
        return NULL;
    }
    void *block = memory_resize(providers->memory, old, old_size, size);
    if (block != NULL) {
        providers->bytes += size;
        providers->bytes -= old_size;
    }
    return block;
}

static void store_put(struct providers *providers, void *old, size_t size) {
    if (old != NULL) {
        providers->bytes -= size;
        memory_put(providers->memory, old, size);
    }
}

static void provider_free(struct providers *providers, struct provider *provider) {
    map_remove(&providers->peers, &provider->node);
    store_put(providers, provider->addresses, provider->addresses_size);
    store_put(providers, provider, sizeof(*provider));
}

static void place_remove(struct providers *providers, struct provider_key *key, size_t place) {
    struct provider *provider = key->places[place].provider;
    key->places[place] = key->places[--key->count];
    providers->records--;
    if (--provider->keys == 0) {
        provider_free(providers, provider);
    }
}

static void key_free(struct providers *providers, struct provider_key *key) {
    while (key->count > 0) {
        place_remove(providers, key, key->count - 1);
    }
    map_remove(&providers->keys, &key->node);
    store_put(providers, key->places, key->capacity * sizeof(key->places[0]));
    store_put(providers, key, sizeof(*key));
}

static struct provider_key *key_of(struct map_node *node) {
    return MAP_ENTRY(node, struct provider_key, node);
}

static struct provider *provider_of(struct map_node *node) {
    return MAP_ENTRY(node, struct provider, node);
}

void providers_done(struct providers *providers) {
    struct map_node *node = map_next(&providers->keys, NULL);
    while (node != NULL) {
        struct map_node *next = map_next(&providers->keys, node);
        key_free(providers, key_of(node));
        node = next;
    }
    ENSURE(providers->records == 0 && providers->bytes == 0);
    map_done(&providers->keys);
    map_done(&providers->peers);
}

static bool place_is_live(const struct providers *providers, const struct provider_place *place,
                          nanos now) {
    return nanos_since(now, place->renewed) < providers->limits->provider_life;
}

/* Takes the key farthest from us out, unless `hash` is farther. */
static bool make_room_for_key(struct providers *providers, const struct sha256_digest *hash) {
    struct sha256_digest farthest = kad_distance(&providers->own, hash);
    struct provider_key *victim = NULL;
    for (struct map_node *node = map_next(&providers->keys, NULL); node != NULL;
         node = map_next(&providers->keys, node)) {
        struct provider_key *key = key_of(node);
        struct sha256_digest distance = kad_distance(&providers->own, &key->hash);
        if (kad_distance_compare(&distance, &farthest) > 0) {
            farthest = distance;
            victim = key;
        }
    }
    if (victim == NULL) {
        return false;
    }
    key_free(providers, victim);
    return true;
}

static int key_get(struct providers *providers, struct bytes bytes, struct provider_key **ret_key) {
    struct provider_key *key = key_of(map_get(&providers->keys, bytes));
    if (key != NULL) {
        *ret_key = key;
        return 0;
    }
    struct sha256_digest hash = sha256(bytes);
    if (providers->keys.size >= providers->limits->provider_keys_max &&
        !make_room_for_key(providers, &hash)) {
        return PLASM_LIMIT;
    }
    key = store_resize(providers, NULL, 0, sizeof(*key));
    if (key == NULL) {
        return PLASM_NO_MEMORY;
    }
    *key = (struct provider_key){.hash = hash, .size = (uint8_t)bytes.size};
    memcpy(key->bytes, bytes.data, bytes.size);
    int error = map_put(&providers->keys, &key->node, bytes_of(key->bytes, key->size));
    if (error != 0) {
        store_put(providers, key, sizeof(*key));
        return error;
    }
    *ret_key = key;
    return 0;
}

static int provider_get(struct providers *providers, const struct peer_id *id,
                        struct provider **ret_provider) {
    struct provider *provider = provider_of(map_get(&providers->peers, peer_id_bytes(id)));
    if (provider == NULL) {
        provider = store_resize(providers, NULL, 0, sizeof(*provider));
        if (provider == NULL) {
            return PLASM_NO_MEMORY;
        }
        *provider = (struct provider){.id = *id};
        int error = map_put(&providers->peers, &provider->node, peer_id_bytes(&provider->id));
        if (error != 0) {
            store_put(providers, provider, sizeof(*provider));
            return error;
        }
    }
    *ret_provider = provider;
    return 0;
}

static int provider_set_addresses(struct providers *providers, struct provider *provider,
                                  const struct kad_groups *groups, struct bytes addresses) {
    if (addresses.size != provider->addresses_size) {
        uint8_t *moved =
            store_resize(providers, provider->addresses, provider->addresses_size, addresses.size);
        if (moved == NULL) {
            return PLASM_NO_MEMORY;
        }
        provider->addresses = moved;
        provider->addresses_size = (uint16_t)addresses.size;
    }
    memcpy(provider->addresses, addresses.data, addresses.size);
    provider->groups = *groups;
    return 0;
}

/* The place of a provider that missed its renewal by half an interval, the longest silent first. */
static bool make_room_for_place(struct providers *providers, struct provider_key *key, nanos now) {
    nanos patience =
        nanos_add(providers->limits->republish_interval, providers->limits->republish_interval / 2);
    size_t oldest = 0;
    for (size_t i = 1; i < key->count; i++) {
        if (key->places[i].renewed < key->places[oldest].renewed) {
            oldest = i;
        }
    }
    if (key->count == 0 || nanos_since(now, key->places[oldest].renewed) < patience) {
        return false;
    }
    place_remove(providers, key, oldest);
    return true;
}

/* True when one more provider of these groups may come to the key. */
static bool group_allows(const struct provider_key *key, const struct kad_groups *groups) {
    size_t same = 0;
    for (size_t i = 0; i < key->count; i++) {
        same += kad_groups_meet(&key->places[i].provider->groups, groups);
    }
    return same < KAD_PROVIDERS_PER_GROUP_MAX;
}

/* Makes sure that one more place can be taken without failing. */
static int places_reserve(struct providers *providers, struct provider_key *key, nanos now) {
    if (key->count >= providers->limits->providers_per_key_max) {
        return make_room_for_place(providers, key, now) ? 0 : PLASM_LIMIT;
    }
    if (key->count < key->capacity) {
        return 0;
    }
    size_t capacity = key->capacity > 0 ? key->capacity * 2 : PLACES_MIN;
    struct provider_place *places = store_resize(
        providers, key->places, key->capacity * sizeof(places[0]), capacity * sizeof(places[0]));
    if (places == NULL) {
        return PLASM_NO_MEMORY;
    }
    key->places = places;
    key->capacity = capacity;
    return 0;
}

static int key_add(struct providers *providers, struct provider_key *key,
                   const struct peer_id *peer, const struct kad_groups *groups,
                   struct bytes addresses, nanos now) {
    for (size_t i = 0; i < key->count; i++) {
        struct provider_place *place = &key->places[i];
        if (peer_id_equal(&place->provider->id, peer)) {
            place->renewed = now;
            return provider_set_addresses(providers, place->provider, groups, addresses);
        }
    }
    if (!group_allows(key, groups)) {
        return PLASM_LIMIT;
    }
    int error = places_reserve(providers, key, now);
    if (error != 0) {
        return error;
    }
    struct provider *provider;
    error = provider_get(providers, peer, &provider);
    if (error != 0) {
        return error;
    }
    error = provider->keys >= KAD_KEYS_PER_PROVIDER_MAX ? PLASM_LIMIT : 0;
    if (error == 0) {
        error = provider_set_addresses(providers, provider, groups, addresses);
    }
    if (error != 0) {
        if (provider->keys == 0) {
            provider_free(providers, provider);
        }
        return error;
    }
    key->places[key->count++] = (struct provider_place){.provider = provider, .renewed = now};
    provider->keys++;
    providers->records++;
    return 0;
}

int providers_add(struct providers *providers, struct bytes key, const struct peer_id *peer,
                  const struct kad_groups *groups, struct bytes addresses, nanos now) {
    ENSURE(key.size > 0 && key.size <= KAD_PROVIDER_KEY_SIZE_MAX && addresses.size > 0);
    /* Before a key makes room by pushing another out. */
    const struct provider *known = provider_of(map_get(&providers->peers, peer_id_bytes(peer)));
    if (known != NULL && known->keys >= KAD_KEYS_PER_PROVIDER_MAX &&
        map_get(&providers->keys, key) == NULL) {
        return PLASM_LIMIT;
    }
    struct provider_key *entry;
    int error = key_get(providers, key, &entry);
    if (error != 0) {
        return error;
    }
    error = key_add(providers, entry, peer, groups, addresses, now);
    if (entry->count == 0) {
        key_free(providers, entry);
    }
    return error;
}

size_t providers_get(const struct providers *providers, struct bytes key,
                     const struct peer_id *exclude, struct random *random, nanos now,
                     struct provider_view *ret_views, size_t n) {
    const struct provider_key *entry = key_of(map_get(&providers->keys, key));
    if (entry == NULL) {
        return 0;
    }
    /* Reservoir sampling; then a shuffle, since the first places of a reservoir are not random. */
    size_t seen = 0;
    size_t count = 0;
    for (size_t i = 0; i < entry->count; i++) {
        const struct provider_place *place = &entry->places[i];
        if (!place_is_live(providers, place, now) ||
            (exclude != NULL && peer_id_equal(&place->provider->id, exclude))) {
            continue;
        }
        seen++;
        size_t slot = count < n ? count++ : (size_t)random_below(random, seen);
        if (slot < n) {
            ret_views[slot] = (struct provider_view){
                .peer = &place->provider->id, .addresses = provider_addresses(place->provider)};
        }
    }
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)random_below(random, i);
        struct provider_view view = ret_views[i - 1];
        ret_views[i - 1] = ret_views[other];
        ret_views[other] = view;
    }
    return count;
}

void providers_sweep(struct providers *providers, nanos now) {
    struct map_node *node = map_next(&providers->keys, NULL);
    while (node != NULL) {
        struct map_node *next = map_next(&providers->keys, node);
        struct provider_key *key = key_of(node);
        for (size_t i = key->count; i-- > 0;) {
            if (!place_is_live(providers, &key->places[i], now)) {
                place_remove(providers, key, i);
            }
        }
        if (key->count == 0) {
            key_free(providers, key);
        }
        node = next;
    }
}
