/* Relays (circuit relay v2) and the way from a relayed to a direct connection (DCUtR): reserving a
 * place on relays, being a relay, connections through one.
 *
 * A relayed connection is a connection like others (security and muxer run end to end), but a
 * limited one: the relay ends it after some time or bytes. Where there is a direct one too, that is
 * what peer_connection_to() gives, and the relayed one is closed when nothing runs on it any more.
 * Specs: libp2p/specs relay/circuit-v2.md, relay/DCUtR.md. */
#ifndef PEER_RELAY_H
#define PEER_RELAY_H

#include "peer/peer.h"
#include "proto/relay/server.h"

/* The time of day, for reservations. Tell it before anything below and again now and then. */
void peer_set_unix_time(struct peer *peer, uint64_t unix_seconds, nanos now);

/* Where circuits become connections: the transport over byte pipes (pipe_transport.h), which is
 * added to the peer besides. Without it nothing is dialled or accepted through relays. Once.
 * PLASM_LIMIT. */
MUST_CHECK int peer_set_circuits(struct peer *peer, struct transport *pipes);

/* A relay of the operator's choice, ending in /p2p. PLASM_INVALID, PLASM_NO_MEMORY, PLASM_LIMIT. */
MUST_CHECK int peer_add_relay(struct peer *peer, const struct multiaddr *relay, nanos now);
/* While on, places are kept on two relays, if that many serve us: those added, else peers that list
 * the protocol. Off at first; to be on while nobody reaches us directly. PEER_EVENT_RELAYED tells
 * changes. */
void peer_use_relays(struct peer *peer, bool on, nanos now);
/* Our addresses by relays, ending in /p2p-circuit. */
size_t peer_relay_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                            size_t count_max);

/* Serves as a relay from now on. PLASM_STATE when it does already, PLASM_LIMIT. */
MUST_CHECK int peer_serve_relay(struct peer *peer, const struct relay_limits *limits, nanos now);

struct peer_relay_stats {
    size_t reservations_held; /* ours, on others */
    size_t reservations;      /* others', on us */
    size_t circuits;          /* through us */
    uint64_t circuits_total;
    uint64_t bytes_relayed;
    uint64_t punches;        /* attempts to open NATs */
    uint64_t punches_direct; /* direct connections that came of relayed ones */
    uint64_t refused;        /* RESERVE and CONNECT */
};
void peer_relay_stats(const struct peer *peer, struct peer_relay_stats *ret_stats);

/* True for a connection through a relay. */
bool peer_connection_relayed(const struct peer_connection *connection);

#endif
