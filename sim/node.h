/* One node of a simulated network: the real peer and, where it is a client, the real core, with the
 * simulator in the place of the host. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "client/core/core.h"
#include "crypto/sign.h"
#include "links.h"

struct node;
struct quic_port;

/* What workers say of themselves. */
#define NODE_RUNTIME "wasmtime-48"
#define NODE_ARCH    "x86_64"

/* Who wants to know what the nodes of a simulation do. */
struct node_listener {
    void (*event)(void *context, struct node *node, const struct peer_event *event);
    /* Whatever a client was busy with is done for now. */
    void (*settled)(void *context, struct node *node);
    void *context;
};

struct node_config {
    struct network *network;
    struct links *links; /* NULL: the real bytes of QUIC */
    const struct node_listener *listener;
    const char *agent;
    bool kad_server;
    bool is_natted;
    const struct multiaddr *relay; /* a NATed node says it is behind; NULL: nobody can reach it */
    bool is_client;                /* has a core */
    bool is_sybil; /* claims to be a server of the DHT, and leaves its requests to the listener */
    bool signs_records; /* else the peer record is refused a signature: many cost much time */
};

struct node {
    struct site site;
    struct timer timer;
    struct node_config config;
    struct sim *sim;
    struct memory memory; /* of the peer and the core, and of blocks they sent */
    struct random random; /* the core's */
    struct ed25519_secret secret;
    struct peer_id id;
    bool is_busy;
    struct transport *transport;
    struct quic_port *quic; /* NULL: it is on links */
    struct peer *peer;      /* NULL while it is not there */
    struct core *core;
};

/* Gives the node its place; it does not do anything yet. `node` is zeroed by the caller and must
 * stay where it is; what `config` points to outlives it. `number` names it in traces. */
void node_init(struct node *node, const struct node_config *config, uint32_t number);
/* Comes to life: `bootstrap` are multiaddrs to join through. A client's core is made with it. */
void node_start(struct node *node, const struct multiaddr *bootstrap, size_t bootstrap_count);
/* After any call on the node's peer or core: takes what there is to take, sends, sets its timer. */
void node_settle(struct node *node);
/* Ends without a word to anybody. */
void node_die(struct node *node);
void node_done(struct node *node);

/* Its address with /p2p. */
void node_address(const struct node *node, struct multiaddr *ret_address);
/* Announces a worker's capability record, valid as long as one may be. */
void node_set_capability(struct node *node);

static inline struct node *node_of_site(struct site *site) {
    return CONTAINER_OF(site, struct node, site);
}

#endif
