/* What a relay promises and to whom: reservations with their limits, and the account of every
 * circuit (bytes, time). Moves no bytes itself: its owner asks before it lets bytes through.
 * Spec: libp2p/specs relay/circuit-v2.md. */
#ifndef PROTO_RELAY_SERVER_H
#define PROTO_RELAY_SERVER_H

#include "proto/relay/message.h"
#include "util/heap.h"
#include "util/list.h"
#include "util/map.h"
#include "util/netaddr.h"

/* Bounds of the service; each an operator's setting. */
struct relay_limits {
    uint32_t reservations_max;
    uint32_t reservations_per_ip_max; /* IPv4 address or IPv6 /56; loopback exempt */
    uint32_t circuits_max;
    uint32_t circuits_per_peer_max; /* from and to one peer, together */
    nanos reservation_life;
    nanos circuit_duration_max; /* 0: no limit */
    uint64_t circuit_bytes_max; /* in each direction; 0: no limit */
};
extern const struct relay_limits relay_limits_default;

/* Refreshing a reservation costs a signature: so many a minute, the first ones at once. */
#define RELAY_REFRESHES_PER_MINUTE 6
#define RELAY_REFRESHES_BURST      6

struct relay_server {
    struct relay_limits limits;
    struct memory *memory;
    struct map peers;
    struct map places; /* IP addresses with reservations */
    struct heap reservation_ends;
    struct heap circuit_ends;
    size_t reservations;
    size_t circuits;
};

enum relay_direction { RELAY_TO_TARGET, RELAY_TO_SOURCE };

struct relay_party;

/* One circuit, from the accepted CONNECT to relay_circuit_end(). */
struct relay_circuit {
    struct relay_server *server;
    struct relay_party *source;
    struct relay_party *target;
    struct heap_node timer;
    uint64_t bytes[2]; /* by direction */
    void *user;        /* the owner's */
};

void relay_server_init(struct relay_server *server, const struct relay_limits *limits,
                       struct memory *memory, const uint64_t secret[2]);
/* Circuits must have been ended. */
void relay_server_done(struct relay_server *server);

/* RESERVE by `peer`, connected from `from` (NULL: an address that does not count). On
 * RELAY_STATUS_OK the reservation holds until *ret_until. Else RELAY_STATUS_RESERVATION_REFUSED
 * (too many) or RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED (asked too often, no memory). */
enum relay_status relay_server_reserve(struct relay_server *server, const struct peer_id *peer,
                                       const struct netaddr *from, nanos now, nanos *ret_until);
/* The peer's last connection is gone: so is its reservation. */
void relay_server_release(struct relay_server *server, const struct peer_id *peer);
bool relay_server_serves(const struct relay_server *server, const struct peer_id *peer);

/* CONNECT from `source` to `target`. RELAY_STATUS_OK and a circuit, RELAY_STATUS_NO_RESERVATION,
 * RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED, RELAY_STATUS_PERMISSION_DENIED (to oneself). */
enum relay_status relay_server_connect(struct relay_server *server, const struct peer_id *source,
                                       const struct peer_id *target,
                                       struct relay_circuit **ret_circuit);
/* Both sides agreed: time counts from now. PLASM_NO_MEMORY. */
MUST_CHECK int relay_circuit_begin(struct relay_circuit *circuit, nanos now);
/* How many of `size` bytes may still pass; they are counted. Fewer than asked: the circuit has
 * carried what it may, and its owner resets it. */
size_t relay_circuit_take(struct relay_circuit *circuit, enum relay_direction direction,
                          size_t size);
void relay_circuit_end(struct relay_circuit *circuit);
/* The limit as CONNECT and STATUS tell it. */
struct relay_limit relay_server_limit(const struct relay_server *server);

nanos relay_server_deadline(const struct relay_server *server);
/* The next circuit whose time is over, or NULL; reservations that ended are forgotten meanwhile. */
struct relay_circuit *relay_server_expire(struct relay_server *server, nanos now);

#endif
