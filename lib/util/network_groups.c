/* Counting connections by network, with a count of the networks of each size: the largest is known
 * without a search. */
#include "util/network_groups.h"

#include "util/ensure.h"

#define KEY_MAX 5

struct group {
    struct map_node node;
    size_t size;
    uint8_t key[KEY_MAX]; /* family, then the bytes of the network */
};

void network_groups_init(struct network_groups *groups, struct memory *memory,
                         const uint64_t secret[2]) {
    *groups = (struct network_groups){.memory = memory};
    map_init(&groups->map, memory, secret);
}

void network_groups_done(struct network_groups *groups) {
    struct map_node *node;
    while ((node = map_next(&groups->map, NULL)) != NULL) {
        map_remove(&groups->map, node);
        memory_put(groups->memory, CONTAINER_OF(node, struct group, node), sizeof(struct group));
    }
    map_done(&groups->map);
}

static struct bytes key_of(const struct netaddr *address, uint8_t room[KEY_MAX]) {
    size_t size = address->family == NETADDR_IP4 ? 2 : address->family == NETADDR_IP6 ? 4 : 0;
    room[0] = address->family;
    memcpy(room + 1, address->ip, size);
    return bytes_of(room, size + 1);
}

static struct group *find(const struct network_groups *groups, const struct netaddr *address) {
    uint8_t room[KEY_MAX];
    return MAP_ENTRY(map_get(&groups->map, key_of(address, room)), struct group, node);
}

static size_t capped(size_t size) {
    return size < NETWORK_GROUP_SIZE_MAX ? size : NETWORK_GROUP_SIZE_MAX;
}

static void resize(struct network_groups *groups, struct group *group, size_t size) {
    if (group->size > 0) {
        groups->groups_of_size[capped(group->size)]--;
    }
    group->size = size;
    if (size > 0) {
        groups->groups_of_size[capped(size)]++;
    }
    if (capped(size) > groups->largest) {
        groups->largest = capped(size);
    }
    /* Sizes change by one: this is a step at most. */
    while (groups->largest > 0 && groups->groups_of_size[groups->largest] == 0) {
        groups->largest--;
    }
}

int network_groups_add(struct network_groups *groups, const struct netaddr *address) {
    struct group *group = find(groups, address);
    if (group == NULL) {
        group = memory_zero(groups->memory, sizeof(*group));
        if (group == NULL) {
            return PLASM_NO_MEMORY;
        }
        struct bytes key = key_of(address, group->key);
        if (map_put(&groups->map, &group->node, key) != 0) {
            memory_put(groups->memory, group, sizeof(*group));
            return PLASM_NO_MEMORY;
        }
    }
    resize(groups, group, group->size + 1);
    return 0;
}

void network_groups_remove(struct network_groups *groups, const struct netaddr *address) {
    struct group *group = find(groups, address);
    ENSURE(group != NULL);
    resize(groups, group, group->size - 1);
    if (group->size == 0) {
        map_remove(&groups->map, &group->node);
        memory_put(groups->memory, group, sizeof(*group));
    }
}

size_t network_groups_size(const struct network_groups *groups, const struct netaddr *address) {
    const struct group *group = find(groups, address);
    return group != NULL ? capped(group->size) : 0;
}

size_t network_groups_largest(const struct network_groups *groups) {
    return groups->largest;
}
