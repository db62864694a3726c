/* The machine behind peer/reachability.h: addresses, what peers saw, what AutoNAT servers reached,
 * and what follows from it. No connections here, no clock. */
#ifndef PEER_OWN_ADDRESSES_H
#define PEER_OWN_ADDRESSES_H

#include "peer/reachability.h"

/* Distinct networks (IPv4 /24, IPv6 /48; single addresses where they are private) that must see us
 * at an address before it is published unproven: on the Internet, and in private networks. */
#define OWN_OBSERVERS_MIN         4
#define OWN_OBSERVERS_PRIVATE_MIN 2
/* What was seen or tried longer ago counts no more. */
#define OWN_OBSERVATION_LIFE (30 * NANOS_MINUTE)
#define OWN_VERDICT_LIFE     (2 * NANOS_HOUR)
/* Verdicts kept an address, one a server. */
#define OWN_VERDICTS_MAX           8
#define OWN_VERDICTS_PER_GROUP_MAX 2
/* An address is proven once servers of so many IP groups (IPv4 /16, IPv6 /32; single addresses
 * where they are private) have reached it, or of as many as there are servers of: one alone may be
 * anybody's, with any number of names. Claims of v1, which no nonce proves, take more. */
#define OWN_REACHED_MIN    3
#define OWN_V1_REACHED_MIN 3
/* IP groups of servers that are counted: far more than are wanted. */
#define OWN_SERVERS_MAX 32
/* What was proven is doubted, and what was tried is given up, after so many failures. */
#define OWN_FAILED_MIN 2
/* Pauses before an address is tried again: while nothing is known, and once something is. */
#define OWN_PROBE_FIRST   NANOS_SECOND
#define OWN_PROBE_CONFIRM NANOS_SECOND
#define OWN_PROBE_UNKNOWN (10 * NANOS_SECOND)
#define OWN_PROBE_PUBLIC  (20 * NANOS_MINUTE)
#define OWN_PROBE_PRIVATE (5 * NANOS_MINUTE)

struct own_verdict {
    uint64_t server;
    struct netaddr at_address; /* the server's */
    nanos at;
    int error; /* 0 reached, PLASM_UNREACHABLE, PLASM_REFUSED */
    size_t times;
    bool v1;
};

struct own_entry {
    struct own_address own;
    enum netaddr_scope scope;
    nanos next_probe;
    size_t verdict_count;
    struct own_verdict verdicts[OWN_VERDICTS_MAX];
};

struct own_observation {
    nanos at;
    struct netaddr observed;
    struct netaddr observer;
    bool tcp;
    bool outbound;
};

struct own_addresses {
    struct memory *memory;
    size_t count;
    struct own_entry *entries[OWN_ADDRESSES_MAX];
    size_t observation_count;
    struct own_observation *observations; /* OWN_OBSERVATIONS_MAX, once there are any */
    size_t server_count;
    struct netaddr servers[OWN_SERVERS_MAX]; /* one of each IP group of those there are now */
    bool changed;                            /* since own_addresses_changed() */
};

void own_addresses_init(struct own_addresses *book, struct memory *memory);
void own_addresses_done(struct own_addresses *book);
/* True once after something changed that reachability.h tells. */
bool own_addresses_changed(struct own_addresses *book);

void own_addresses_set(struct own_addresses *book, enum own_source source,
                       const struct multiaddr *addresses, size_t count, nanos now);
/* A peer at `observer` sees us at `observed`; `outbound`: we dialled it. */
void own_addresses_observe(struct own_addresses *book, const struct multiaddr *observed,
                           const struct netaddr *observer, bool outbound, nanos now);
/* Forgets what was seen and tried. */
void own_addresses_reset(struct own_addresses *book, nanos now);
/* Forgets what is too old. */
void own_addresses_expire(struct own_addresses *book, nanos now);

/* The same IPv4 /16 or IPv6 /32; where they are private: the same IP address. */
bool own_addresses_same_group(const struct netaddr *a, const struct netaddr *b);
/* Where the AutoNAT servers are that could be asked now: how many words there can be. */
void own_addresses_servers(struct own_addresses *book, const struct netaddr *servers, size_t count);
/* The address to ask the server at `address` about now: false when there is none for it. */
bool own_addresses_next_probe(struct own_addresses *book, const struct netaddr *address,
                              uint64_t server, nanos now, struct multiaddr *ret_address);
/* When an address is due for a try, NANOS_NEVER when none will be. */
nanos own_addresses_probe_deadline(const struct own_addresses *book);
/* How it ended with the server at `from`: 0, PLASM_UNREACHABLE, PLASM_REFUSED; any other error says
 * nothing. */
void own_addresses_probed(struct own_addresses *book, const struct multiaddr *address,
                          const struct netaddr *from, uint64_t server, bool v1, int error,
                          nanos now);

enum reachability own_addresses_reachability(const struct own_addresses *book);
enum nat_type own_addresses_nat(const struct own_addresses *book, bool tcp);
/* Marks what is to be published and gives it, best first. */
size_t own_addresses_publish(struct own_addresses *book, struct multiaddr *ret_addresses,
                             size_t count_max);

#endif
