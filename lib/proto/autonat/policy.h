/* What an AutoNAT server may dial for whom, and how often: rules that keep it from being a weapon
 * against others. */
#ifndef AUTONAT_POLICY_H
#define AUTONAT_POLICY_H

#include "util/time.h"
#include "wire/multiaddr.h"

/* Requests a minute: of all, of one peer, of one network (IPv4 /24, IPv6 /48; loopback exempt), and
 * those that dial another address than the requester's own. go-libp2p has 60, 12, -, 12. */
#define AUTONAT_REQUESTS_PER_MINUTE             60
#define AUTONAT_REQUESTS_PER_PEER_PER_MINUTE    12
#define AUTONAT_REQUESTS_PER_NETWORK_PER_MINUTE 24
#define AUTONAT_DATA_REQUESTS_PER_MINUTE        12
/* Served at a time: of one peer, in all. */
#define AUTONAT_REQUESTS_PER_PEER_MAX 2
#define AUTONAT_REQUESTS_MAX          32

/* Bytes that a requester has to send before an address that is not its own is dialled (a number
 * between the two is drawn), so that attacking through us costs more than attacking. */
#define AUTONAT_DATA_SIZE_MIN 30000
#define AUTONAT_DATA_SIZE_MAX 100000

enum autonat_verdict {
    AUTONAT_REFUSE,
    AUTONAT_DIAL_FREELY,   /* the requester's own IP address */
    AUTONAT_DIAL_FOR_DATA, /* another public one */
};

/* `requester` is where the request came from, NULL for a relayed one. Private addresses are only
 * dialled where they are the requester's own. Specs: autonat-v2.md, "Amplification Attack
 * Prevention". */
enum autonat_verdict autonat_judge(const struct netaddr *requester,
                                   const struct multiaddr *address);
/* For v1: `address` with the IP replaced by the requester's, the only one that is dialled.
 * PLASM_UNSUPPORTED when it begins with no IP address or is a circuit. */
MUST_CHECK int autonat_with_ip(const struct netaddr *requester, const struct multiaddr *address,
                               struct multiaddr *ret_address);
/* True when a connection to `address` (/p2p does not count) looks like one at `other`: the same
 * protocols, any IP addresses and ports. */
bool autonat_same_protocols(const struct multiaddr *address, const struct multiaddr *other);

struct autonat_taken {
    nanos at;
    uint64_t peer;
    uint64_t network;
    bool data;
};

/* A sliding window of one minute. Zeroed at first. */
struct autonat_limiter {
    size_t start;
    size_t count;
    struct autonat_taken taken[AUTONAT_REQUESTS_PER_MINUTE];
};

/* Counts one request more, unless that is too many: false. */
bool autonat_limiter_take(struct autonat_limiter *limiter, struct bytes peer_id,
                          const struct netaddr *requester, nanos now);
/* The peer's latest request is one that dials elsewhere: false when those are too many. */
bool autonat_limiter_take_data(struct autonat_limiter *limiter, struct bytes peer_id, nanos now);

#endif
