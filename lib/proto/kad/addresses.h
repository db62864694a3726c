/* The addresses of a peer, packed into few bytes: a length byte and a binary multiaddr each. */
#ifndef PROTO_KAD_ADDRESSES_H
#define PROTO_KAD_ADDRESSES_H

#include "identity/peer_id.h"
#include "proto/kad/limits.h"
#include "util/netaddr.h"

/* Gives the next binary multiaddr (borrowed, valid, without /p2p at its end) of packed addresses
 * and moves `packed` on; false at the end. */
bool kad_address_next(struct bytes *packed, struct bytes *ret_address);

/* Collects addresses of one peer up to the bounds of limits.h. Start zeroed. */
struct kad_addresses {
    uint16_t size;
    uint8_t count;
    uint8_t data[KAD_ADDRESSES_BYTES_MAX];
};

static inline struct bytes kad_addresses_bytes(const struct kad_addresses *addresses) {
    return bytes_of(addresses->data, addresses->size);
}

/* Adds one binary multiaddr as a peer sent it: a /p2p component at its end is cut off when it
 * names `peer`. Returns false, and adds nothing, when it names somebody else, is malformed, is
 * there already or does not fit. */
bool kad_addresses_add(struct kad_addresses *addresses, const struct peer_id *peer,
                       struct bytes address);
/* Adds a list in two rounds: plain IP addresses first, since others (relayed, with certificate
 * hashes) are long and would crowd them out. */
void kad_addresses_add_list(struct kad_addresses *addresses, const struct peer_id *peer,
                            const struct bytes *list, size_t count);

/* True for an address that begins with a private, loopback or unspecified IP. */
bool kad_address_is_private(struct bytes address);

/* The IP groups a peer belongs to: networks are what an attacker has to pay for. 0 is none: private
 * ranges, no address at all. Peers known by names alone are a group of their own, since a name
 * costs nothing. */
struct kad_groups {
    uint32_t ip4; /* the /16, with a bit set that makes it non-zero */
    uint32_t ip6; /* the /32, likewise */
};

static inline bool kad_groups_any(const struct kad_groups *groups) {
    return groups->ip4 != 0 || groups->ip6 != 0;
}

/* True when two peers share a group. */
static inline bool kad_groups_meet(const struct kad_groups *a, const struct kad_groups *b) {
    return (a->ip4 != 0 && a->ip4 == b->ip4) || (a->ip6 != 0 && a->ip6 == b->ip6);
}

/* Of a connection's remote address where there is one, else of the first public IPv4 and IPv6
 * address of the packed list. `remote` may be NULL. */
struct kad_groups kad_groups_of(const struct netaddr *remote, struct bytes packed);

#endif
