/* How many connections come from each network, and how many from the one that has most: whose place
 * is given away when there are none left. Networks are what an attacker has to pay for: IPv4 /16,
 * IPv6 /32; all without an address (through relays) are one. */
#ifndef UTIL_NETWORK_GROUPS_H
#define UTIL_NETWORK_GROUPS_H

#include "util/map.h"
#include "util/netaddr.h"

/* Larger ones are as this. */
#define NETWORK_GROUP_SIZE_MAX 1023

struct network_groups {
    struct memory *memory;
    struct map map;
    uint32_t groups_of_size[NETWORK_GROUP_SIZE_MAX + 1];
    size_t largest;
};

void network_groups_init(struct network_groups *groups, struct memory *memory,
                         const uint64_t secret[2]);
void network_groups_done(struct network_groups *groups);
/* One more and one less. PLASM_NO_MEMORY. */
MUST_CHECK int network_groups_add(struct network_groups *groups, const struct netaddr *address);
void network_groups_remove(struct network_groups *groups, const struct netaddr *address);
/* Of the address's network, and of the largest; NETWORK_GROUP_SIZE_MAX at most. */
size_t network_groups_size(const struct network_groups *groups, const struct netaddr *address);
size_t network_groups_largest(const struct network_groups *groups);

#endif
