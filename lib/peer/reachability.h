/* The one book of our own addresses: where they come from, which of them others can reach, what
 * kind of NAT is in between, and which are told to others.
 *
 * Sources: the host names what the interfaces have, what the operator announces and what a router
 * maps; the relay service what its reservations give; peers tell by identify what they see. Peers
 * that serve AutoNAT are asked to dial the candidates back. What comes out is published to
 * identify, the signed peer record and the DHT by itself, and PEER_EVENT_REACHABILITY tells that
 * something changed (then read it here: the capability record, the relay client and the log do).
 *
 * It works once peer_reachability_start() was called; a peer that only dials needs none of it.
 * Specs: libp2p/specs autonat/autonat-v1.md, autonat-v2.md, identify/README.md. */
#ifndef PEER_REACHABILITY_H
#define PEER_REACHABILITY_H

#include "peer/peer.h"

/* Where one of our addresses comes from. */
enum own_source {
    OWN_INTERFACE, /* the machine has it and listens there */
    OWN_ANNOUNCED, /* the operator says so */
    OWN_MAPPED,    /* a router forwards it to us (UPnP, NAT-PMP) */
    OWN_OBSERVED,  /* peers see us there */
    OWN_RELAYED,   /* ".../p2p/RELAY/p2p-circuit" of a reservation */
};
#define OWN_SOURCES 5

/* Bounds of the book: addresses in all and of one source; observations and observers remembered. */
#define OWN_ADDRESSES_MAX            32
#define OWN_ADDRESSES_PER_SOURCE_MAX 16
#define OWN_OBSERVATIONS_MAX         128

enum reachability {
    REACHABILITY_UNKNOWN,
    REACHABILITY_PUBLIC,  /* somebody else reached it, proven by our nonce */
    REACHABILITY_PRIVATE, /* several tried and did not */
};

/* What the router in between does with ports, as far as peers' reports tell. */
enum nat_type {
    NAT_UNKNOWN,
    NAT_NONE,                 /* peers see an address that the machine has itself */
    NAT_ENDPOINT_INDEPENDENT, /* every peer sees the same port: hole punching works */
    NAT_SYMMETRIC,            /* another port for every peer: only relays and mappings help */
};

struct own_address {
    struct multiaddr address; /* without /p2p of ours */
    enum own_source source;
    enum reachability reachability;
    bool published;
    size_t observers; /* distinct networks that see us there */
    size_t reached;   /* AutoNAT servers that reached it, and that did not */
    size_t failed;
};

/* Begins keeping the book and publishing. `unix_us` is the time of day: the peer record's sequence
 * numbers grow from it. */
void peer_reachability_start(struct peer *peer, uint64_t unix_us, nanos now);
/* Replaces all addresses of a source (every one but OWN_OBSERVED), without /p2p of ours; what is
 * over the bound is left out. Publishes what that changes. */
void peer_own_addresses_set(struct peer *peer, enum own_source source,
                            const struct multiaddr *addresses, size_t count, nanos now);
/* The machine's network is another one now (an interface came or went): what peers saw and tried
 * before does not count any more, everything is asked anew. */
void peer_network_changed(struct peer *peer, nanos now);

/* The whole book, best first; how many. */
size_t peer_own_addresses(const struct peer *peer, struct own_address *ret_addresses,
                          size_t count_max);
/* What is published now. */
size_t peer_published_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                                size_t count_max);
/* Where peers see us from outside, most observers first, also those too few have seen to publish
 * them: what a hole punch offers (libp2p/specs relay/DCUtR.md). */
size_t peer_observed_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                               size_t count_max);
/* Of all direct addresses together: PUBLIC when one that counts outside is reached, PRIVATE when
 * those that were tried are not. */
enum reachability peer_reachability(const struct peer *peer);
/* Of UDP or of TCP. */
enum nat_type peer_nat_type(const struct peer *peer, bool tcp);
const char *own_source_name(enum own_source source);
const char *reachability_name(enum reachability reachability);
const char *nat_type_name(enum nat_type type);

/* Transports for dial-backs alone: they share no address and port with those that listen, so that
 * nothing but an open door lets their packets in. With the first one we serve AutoNAT v1 and v2.
 * PLASM_LIMIT. */
MUST_CHECK int peer_add_probe_transport(struct peer *peer, struct transport *transport);
/* Asks the other side (an AutoNAT server, v2 or else v1) to dial these back, best first.
 * PEER_EVENT_PROBED with the request: error 0 (data: the address that was reached; `count` its
 * place in the list), PLASM_UNREACHABLE (data, count: the one that was not), PLASM_REFUSED (it
 * dials none of them), PLASM_LIMIT (not now), PLASM_UNSUPPORTED (it serves no AutoNAT),
 * PLASM_UNTRUSTED (claims what our nonce does not prove), PLASM_TIMEOUT, PLASM_CLOSED.
 * PLASM_INVALID, PLASM_NO_MEMORY, PLASM_LIMIT. */
MUST_CHECK int peer_probe(struct peer *peer, struct peer_connection *connection,
                          const struct multiaddr *addresses, size_t count, nanos now,
                          uint64_t *ret_request);
/* Where the other side sees us, from its identify; false before that, or when it does not say. */
bool peer_connection_observed(const struct peer_connection *connection,
                              struct multiaddr *ret_address);

#endif
