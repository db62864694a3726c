/* A world whose nodes reach each other only through a relay, which is a node of its own behind the
 * scenes: links in memory lead to it, circuits through it, pipes with a plain channel on top. */
#ifndef PEER_RELAYED_WORLD_TESTING_H
#define PEER_RELAYED_WORLD_TESTING_H

#include "peer/memory_world_testing.h"
#include "peer/pipe_plain_testing.h"
#include "peer/pipe_transport.h"

/* The relay has a world to itself, which follows the time of the nodes'. */
struct relayed_world {
    struct memory_net net;
    struct world hub;
    struct world_node *relay;
};

struct relayed_world_node {
    struct memory_transport *direct;
    struct transport *pipes;
    struct plain_security *plain;
    const struct pipe_security *securities[1];
};

static inline bool relayed_hub_start(struct world_node *node) {
    struct relayed_world *between = node->world->test;
    struct memory_transport *transport =
        memory_transport_new(&between->net, &node->address, &node->id, &node->key);
    node->transport = transport;
    return peer_add_transport(node->peer, &transport->transport) == 0;
}

static inline struct relayed_world *relayed_world_of(struct world *world) {
    static const struct world_kind hub = {
        .name = "relay", .start = relayed_hub_start, .stop = memory_world_stop};
    if (world->between != NULL) {
        return world->between;
    }
    struct relayed_world *between = memory_alloc(sizeof(*between));
    world->between = between;
    memory_net_init(&between->net, &world->now, world->delay / 2); /* half the way */
    world_init(&between->hub, &hub);
    between->hub.test = between;
    between->hub.now = world->now;
    between->relay = world_add(&between->hub);
    /* Another identity and address than any node's. */
    uint8_t seed[ED25519_SEED_SIZE] = {200, 200};
    ed25519_done(&between->relay->secret);
    ed25519_from_seed(&between->relay->secret, seed);
    public_key_from_ed25519(between->relay->secret.public_key, &between->relay->key);
    peer_id_from_key(&between->relay->key, &between->relay->id);
    between->relay->config.id = between->relay->id;
    between->relay->config.key = between->relay->key;
    between->relay->address = world_address("/ip4/10.1.1.1/udp/4001/quic-v1");
    bool started = world_start(between->relay);
    ENSURE(started);
    struct relay_limits limits = relay_limits_default;
    limits.circuits_per_peer_max = 64;
    int error = peer_serve_relay(between->relay->peer, &limits, world->now);
    ENSURE(error == 0);
    return between;
}

static inline bool relayed_world_move(struct world *world) {
    struct relayed_world *between = relayed_world_of(world);
    between->hub.now = world->now;
    bool busy = world_drain(between->relay);
    if (peer_deadline(between->relay->peer) <= world->now) {
        peer_expire(between->relay->peer, world->now);
        busy = true;
    }
    return busy;
}

static inline nanos relayed_world_deadline(const struct world *world) {
    const struct relayed_world *between = world->between;
    return between != NULL ? peer_deadline(between->relay->peer) : NANOS_NEVER;
}

static inline bool relayed_has_address(struct world *world) {
    struct multiaddr own;
    return peer_relay_addresses(world->nodes[world->node_count - 1].peer, &own, 1) > 0;
}

/* Starts a node and waits until the relay keeps a place for it. */
static inline bool relayed_world_start(struct world_node *node) {
    struct relayed_world *between = relayed_world_of(node->world);
    struct relayed_world_node *own = memory_alloc(sizeof(*own));
    struct netaddr place = {
        .family = NETADDR_IP4, .ip = {10, 0, 0, (uint8_t)(node->index + 1)}, .port = 4001};
    struct multiaddr direct;
    multiaddr_from_quic(&place, &direct);
    own->direct = memory_transport_new(&between->net, &direct, &node->id, &node->key);
    own->direct->guarded = true; /* whatever is punched, unless a test opens the door */
    own->direct->opens_after = SIZE_MAX;
    own->plain = memory_alloc(sizeof(*own->plain));
    plain_security_init(own->plain, "/plain/1", &node->key, true, true);
    own->securities[0] = &own->plain->security;
    struct pipe_config config = {.securities = own->securities,
                                 .security_count = 1,
                                 .memory = &node->memory.memory,
                                 .seed = {(uint8_t)node->index, 3},
                                 .limits = pipe_limits_default};
    struct multiaddr relay = world_full_address(between->relay);
    node->transport = own;
    bool ok = pipe_transport_new(&config, &own->pipes) == 0 &&
              peer_add_transport(node->peer, &own->direct->transport) == 0 &&
              peer_add_transport(node->peer, own->pipes) == 0 &&
              peer_set_circuits(node->peer, own->pipes) == 0 &&
              peer_add_relay(node->peer, &relay, node->world->now) == 0;
    ENSURE(ok);
    peer_set_unix_time(node->peer, (uint64_t)node->world->unix_seconds, node->world->now);
    peer_use_relays(node->peer, true, node->world->now);
    ok = world_until(node->world, relayed_has_address, WORLD_PATIENCE);
    ENSURE(ok);
    world_run(node->world, 10 * node->world->delay);
    world_forget(node);
    return true;
}

static inline void relayed_world_stop(struct world_node *node) {
    struct relayed_world_node *own = node->transport;
    pipe_transport_free(own->pipes);
    memory_transport_free(own->direct);
    free(own->plain);
    free(own);
    node->transport = NULL;
}

static inline void relayed_world_address(struct world_node *node) {
    node->address = world_full_address(relayed_world_of(node->world)->relay);
    int error = multiaddr_append(&node->address, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0));
    ENSURE(error == 0);
}

static inline void relayed_world_done(struct world *world) {
    struct relayed_world *between = world->between;
    world_done(&between->hub);
    free(between);
}

static inline const struct world_kind *relayed_world(void) {
    static const struct world_kind kind = {.name = "peer through a relay",
                                           .start = relayed_world_start,
                                           .stop = relayed_world_stop,
                                           .move = relayed_world_move,
                                           .deadline = relayed_world_deadline,
                                           .done = relayed_world_done,
                                           .address = relayed_world_address,
                                           .relayed = true};
    return &kind;
}

#endif
