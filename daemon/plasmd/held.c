/* Bytes by share. */
#include "plasmd/held.h"

#include "plasmd/scheduler.h"
#include "util/ensure.h"

struct held_share {
    struct map_node node;
    uint64_t bytes;
    uint8_t key[SCHEDULER_SHARE_SIZE_MAX];
};

void held_init(struct held *held, struct memory *memory, const uint64_t secret[2]) {
    *held = (struct held){.memory = memory};
    map_init(&held->shares, memory, secret);
}

void held_done(struct held *held) {
    ENSURE(held->bytes == 0 && held->shares.size == 0);
    map_done(&held->shares);
}

static struct held_share *find(const struct held *held, struct bytes share) {
    return MAP_ENTRY(map_get(&held->shares, share), struct held_share, node);
}

static uint64_t left(uint64_t bound, uint64_t bytes) {
    return bytes < bound ? bound - bytes : 0;
}

uint64_t held_room(const struct held *held, const struct held_bounds *bounds, struct bytes share) {
    const struct held_share *found = find(held, share);
    uint64_t all = left(bounds->all, held->bytes);
    uint64_t own = left(bounds->share, found != NULL ? found->bytes : 0);
    return own < all ? own : all;
}

static struct held_share *make(struct held *held, struct bytes share) {
    ENSURE(share.size <= SCHEDULER_SHARE_SIZE_MAX);
    struct held_share *made = memory_zero(held->memory, sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    memcpy(made->key, share.data, share.size);
    if (map_put(&held->shares, &made->node, bytes_of(made->key, share.size)) != 0) {
        memory_put(held->memory, made, sizeof(*made));
        return NULL;
    }
    return made;
}

bool held_add(struct held *held, const struct held_bounds *bounds, struct bytes share,
              uint64_t bytes) {
    if (bytes > held_room(held, bounds, share)) {
        return false;
    }
    if (bytes == 0) {
        return true;
    }
    struct held_share *found = find(held, share);
    if (found == NULL && (found = make(held, share)) == NULL) {
        return false;
    }
    found->bytes += bytes;
    held->bytes += bytes;
    return true;
}

void held_subtract(struct held *held, struct bytes share, uint64_t bytes) {
    if (bytes == 0) {
        return;
    }
    struct held_share *found = find(held, share);
    ENSURE(found != NULL && found->bytes >= bytes);
    found->bytes -= bytes;
    held->bytes -= bytes;
    if (found->bytes == 0) {
        map_remove(&held->shares, &found->node);
        memory_put(held->memory, found, sizeof(*found));
    }
}
