/* What a hole punch may do to others: the addresses are named by the other side, and whoever is
 * there did not ask for our packets. */
#ifndef PEER_DCUTR_POLICY_H
#define PEER_DCUTR_POLICY_H

#include "identity/peer_id.h"
#include "util/netaddr.h"
#include "util/time.h"
#include "wire/multiaddr.h"

/* Addresses tried at a time: in all, and of one IP address (QUIC, TCP, another port). */
#define PUNCH_TARGETS_MAX        8
#define PUNCH_TARGETS_PER_IP_MAX 3
/* Attempts a minute: of all, through one relay's IP address, with one peer. */
#define PUNCHES_PER_MINUTE           128
#define PUNCHES_PER_RELAY_PER_MINUTE 64
#define PUNCHES_PER_PEER_PER_MINUTE  8

/* What of the offered addresses may be tried, in their order, without /p2p; ret_targets holds
 * PUNCH_TARGETS_MAX. Never: relayed ones and groups of hosts. Loopback and link-local ones only
 * where the relay, at `relay`, is on the same. Private ones only in the same network: the relay's
 * is private, too, or one of `own` (where we listen and are seen) is in the same IPv4 /24 or IPv6
 * /64, or others see both sides at the same public IP address, which is their NAT's. */
size_t punch_targets(const struct multiaddr *offered, size_t offered_count,
                     const struct netaddr *relay, const struct multiaddr *own, size_t own_count,
                     struct multiaddr *ret_targets);

struct punch_taken {
    nanos at;
    uint64_t peer;
    struct netaddr relay;
};

/* A sliding window of one minute. Zeroed at first. */
struct punch_limiter {
    size_t start;
    size_t count;
    struct punch_taken taken[PUNCHES_PER_MINUTE];
};

/* Counts one attempt more, unless that is too many: false. */
bool punch_limiter_take(struct punch_limiter *limiter, const struct peer_id *peer,
                        const struct netaddr *relay, nanos now);

#endif
