/* What strangers may use of a node: connections (by util/admission, which every transport asks),
 * streams by protocol and peer, and who is not wanted. One for a peer; all transports of the peer
 * share it, so that nobody gets a second share by another way in.
 *
 * Refusals have a reason: of a connection before its handshake QUIC's CONNECTION_REFUSED with a
 * text, afterwards the application code PEER_CLOSE_LIMIT or PEER_CLOSE_DENIED with a text; of a
 * stream a reset with PEER_RESET_LIMIT. */
#ifndef PEER_RESOURCES_H
#define PEER_RESOURCES_H

#include "identity/peer_id.h"
#include "peer/transport.h"
#include "util/admission.h"
#include "util/log.h"

/* Application codes of refusals. */
#define PEER_RESET_LIMIT  2
#define PEER_CLOSE_LIMIT  2
#define PEER_CLOSE_DENIED 3

struct resource_limits {
    struct admission_limits admission;
    size_t connections_per_peer_max;
    size_t streams_per_peer_max;        /* opened by it, on all its connections */
    size_t streams_per_protocol_max;    /* of them of one of our own protocols */
    uint32_t broken_streams_per_second; /* of one connection: reset or failed before they came to */
    uint32_t broken_streams_burst;      /* an end; more of them end the connection */
    uint32_t refused_requests_per_second; /* of the application: see resources_refused() */
    uint32_t refused_requests_burst;
};
#define RESOURCE_LIMITS_DEFAULT                                                                    \
    {                                                                                              \
        .admission = ADMISSION_LIMITS_DEFAULT, .connections_per_peer_max = 8,                      \
        .streams_per_peer_max = 1024, .streams_per_protocol_max = 128,                             \
        .broken_streams_per_second = 100, .broken_streams_burst = 1000,                            \
        .refused_requests_per_second = 20, .refused_requests_burst = 100,                          \
    }

/* The operator's lists of peers and prefixes. A denied prefix is refused before any cryptography,
 * a denied peer after the handshake. Exceptions: an allowed prefix is never denied, neither are the
 * peers behind it; an allowed peer is not denied for itself. */
struct access_rules {
    bool deny_all; /* whoever no exception names */
    const struct netprefix *denied_prefixes;
    size_t denied_prefix_count;
    const struct netprefix *allowed_prefixes;
    size_t allowed_prefix_count;
    const struct peer_id *denied_peers;
    size_t denied_peer_count;
    const struct peer_id *allowed_peers;
    size_t allowed_peer_count;
};

struct resources {
    struct resource_limits limits;
    struct admission admission;
    struct memory *memory;
    bool deny_all;
    struct peer_id *peers; /* denied ones, then allowed ones */
    size_t denied_peers;
    size_t allowed_peers;
};

void resources_init(struct resources *resources, const struct resource_limits *limits,
                    struct memory *memory, const uint64_t secret[2]);
void resources_done(struct resources *resources);
/* Copies the rules, which count from now on. PLASM_NO_MEMORY: the old ones stay. */
MUST_CHECK int resources_set_rules(struct resources *resources, const struct access_rules *rules);
/* Where a connection comes from; family 0 where no address of its own is known: through a relay. */
struct netaddr resources_origin(const struct multiaddr *remote);
/* Why nothing is to be had of this peer at this address (family 0: not known), or NULL. */
const char *resources_denied(const struct resources *resources, const struct peer_id *id,
                             const struct netaddr *address);
/* Why an inbound connection that is counted already cannot stay, or NULL. */
const char *resources_over(struct resources *resources, const struct netaddr *address, nanos now);
/* Writes one line for each new offender: "abuse from 203.0.113.7: 50 refused connections in 3 s
 * (connection rate)". */
void resources_log(struct resources *resources, const struct log_sink *log);

#endif
