/* The virtual internet below all transports: who is where, how long a datagram takes, and which
 * are lost. */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "identity/peer_id.h"
#include "sim.h"
#include "util/map.h"
#include "util/netaddr.h"

/* A datagram carries so much of what is sent. */
#define NETWORK_DATAGRAM_BYTES 1200

struct network_options {
    nanos access_min; /* one way between a node and the middle of the network */
    nanos access_max;
    nanos jitter_max;
    uint32_t loss_ppm; /* datagrams lost of a million */
};
extern const struct network_options network_options_default;
#define NETWORK_LOSS_PPM_MAX 500000

/* Where a node is. */
struct site {
    struct map_node by_address;
    uint32_t number;
    struct netaddr address;
    uint8_t address_key[6];
    nanos access;
    bool is_alive;
    bool listens;   /* takes connections */
    bool is_natted; /* nobody outside can begin to talk to it */
    uint8_t side;   /* of a partition: sides do not hear each other; 0 while there is none */
    nanos died;
    const struct peer_id *id; /* who is there, always the same; borrowed */
    void *port;               /* the transport's own; NULL while there is none */
    /* Something was put into the port: the node should look. */
    void (*arrived)(struct site *site);
};

struct network_counts {
    uint64_t datagrams;
    uint64_t datagrams_lost;
    uint64_t bytes;
    uint64_t dials;
    uint64_t dials_failed;
    uint64_t connections;
};

struct network {
    struct sim *sim;
    struct network_options options;
    struct map sites;
    struct network_counts counts;
};

void network_init(struct network *network, struct sim *sim, const struct network_options *options);
void network_done(struct network *network);

/* Gives the site a place and, unless it has one, an address of its own, a public IPv4 one. The
 * caller has zeroed it and set what it knows already. */
void network_add(struct network *network, struct site *site);
/* Who has the address, or NULL. */
struct site *network_find(const struct network *network, const struct netaddr *address);
/* True when `to` would answer somebody's first datagram. */
bool network_answers(const struct site *to);

/* True when nothing gets through between them. */
static inline bool network_parts(const struct site *a, const struct site *b) {
    return a->side != b->side;
}

/* How long one datagram takes now. */
nanos network_delay(struct network *network, const struct site *from, const struct site *to);
/* Without jitter, there and back. */
nanos network_round_trip(const struct site *a, const struct site *b);
/* Counts a datagram; true when it is lost. */
bool network_loses(struct network *network);
/* How much later `bytes` arrive because datagrams of them are lost and sent again: after `timeout`,
 * and after twice as long each further time. */
nanos network_retransmission(struct network *network, size_t bytes, nanos timeout);

#endif
