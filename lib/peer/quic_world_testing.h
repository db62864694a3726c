/* A world whose nodes are QUIC endpoints, with datagrams carried in memory. */
#ifndef PEER_QUIC_WORLD_TESTING_H
#define PEER_QUIC_WORLD_TESTING_H

#include "identity/certificate_testing.h"
#include "peer/quic_transport.h"
#include "peer/world_testing.h"
#include "util/list.h"

struct quic_world_datagram {
    struct list_node node;
    nanos at;
    struct netaddr from;
    struct netaddr to;
    size_t segment_size;
    size_t size;
    uint8_t bytes[];
};

struct quic_world {
    struct list datagrams; /* by arrival */
};

struct quic_world_node {
    struct quic_endpoint *endpoint;
    struct transport *transport;
    struct netaddr address;
    struct netaddr outside; /* where a NAT lets it be seen: its own address at first */
};

static inline struct quic_world *quic_world_of(struct world *world) {
    if (world->between == NULL) {
        struct quic_world *quic = calloc(1, sizeof(*quic));
        ENSURE(quic != NULL);
        list_init(&quic->datagrams);
        world->between = quic;
    }
    return world->between;
}

static inline bool quic_world_start(struct world_node *node) {
    (void)quic_world_of(node->world);
    struct quic_world_node *quic = calloc(1, sizeof(*quic));
    ENSURE(quic != NULL);
    struct bytes id;
    ENSURE(multiaddr_to_quic(&node->address, &quic->address, &id) == 0);
    quic->outside = quic->address;
    struct certificate certificate;
    testing_own_certificate(&node->secret, &certificate);
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = &certificate;
    config.memory = &node->memory.memory;
    config.local = quic->address;
    config.accept = true;
    uint64_t seed = node->index + node->world->now;
    test_random_fill(&seed, config.seed, sizeof(config.seed));
    test_random_fill(&seed, config.reset_secret, sizeof(config.reset_secret));
    test_random_fill(&seed, config.token_secret, sizeof(config.token_secret));
    int error = quic_endpoint_new(&config, &quic->endpoint);
    certificate_done(&certificate);
    if (error == 0) {
        error = quic_transport_new(quic->endpoint, &quic->address, &node->memory.memory,
                                   &quic->transport);
        if (error != 0) {
            quic_endpoint_free(quic->endpoint);
        }
    }
    if (error != 0) {
        free(quic);
        return false;
    }
    node->transport = quic;
    return peer_add_transport(node->peer, quic->transport) == 0;
}

static inline void quic_world_stop(struct world_node *node) {
    struct quic_world_node *quic = node->transport;
    quic_transport_free(quic->transport);
    quic_endpoint_free(quic->endpoint);
    free(quic);
    node->transport = NULL;
}

static inline bool quic_world_send(struct world_node *node) {
    struct quic_world *between = quic_world_of(node->world);
    struct quic_world_node *quic = node->transport;
    static uint8_t room[QUIC_BATCH_SIZE_MAX];
    struct quic_packet packet;
    bool any = false;
    while (
        quic_transmit(quic->endpoint, test_span(room, sizeof(room)), node->world->now, &packet)) {
        struct quic_world_datagram *datagram = malloc(sizeof(*datagram) + packet.size);
        ENSURE(datagram != NULL);
        *datagram = (struct quic_world_datagram){
            .at = node->world->now + node->world->delay,
            .from = quic->outside,
            .to = packet.remote,
            .size = packet.size,
            .segment_size = packet.segment_size < packet.size ? packet.segment_size : 0};
        memcpy(datagram->bytes, room, packet.size);
        list_append(&between->datagrams, &datagram->node); /* the delay is the same for all */
        any = true;
    }
    return any;
}

static inline void quic_world_deliver(struct world *world,
                                      const struct quic_world_datagram *datagram) {
    for (size_t i = 0; i < world->node_count; i++) {
        struct world_node *node = &world->nodes[i];
        struct quic_world_node *quic = node->transport;
        if (node->peer == NULL || !netaddr_equal(&quic->outside, &datagram->to)) {
            continue;
        }
        struct quic_datagram received = {.local = quic->address,
                                         .remote = datagram->from,
                                         .bytes = bytes_of(datagram->bytes, datagram->size),
                                         .segment_size = datagram->segment_size};
        quic_receive(quic->endpoint, &received, world->now, world->unix_seconds);
        (void)world_drain(node);
        return;
    }
}

static inline bool quic_world_move(struct world *world) {
    bool any = false;
    for (size_t i = 0; i < world->node_count; i++) {
        any = (world->nodes[i].peer != NULL && quic_world_send(&world->nodes[i])) || any;
    }
    struct quic_world *between = quic_world_of(world);
    struct list_node *first;
    while ((first = list_first(&between->datagrams)) != NULL) {
        struct quic_world_datagram *datagram =
            CONTAINER_OF(first, struct quic_world_datagram, node);
        if (datagram->at > world->now) {
            break;
        }
        list_remove(&between->datagrams, first);
        quic_world_deliver(world, datagram);
        free(datagram);
        any = true;
    }
    return any;
}

static inline nanos quic_world_deadline(const struct world *world) {
    const struct quic_world *between = world->between;
    struct list_node *first = between != NULL ? list_first(&between->datagrams) : NULL;
    return first != NULL ? CONTAINER_OF(first, struct quic_world_datagram, node)->at : NANOS_NEVER;
}

static inline void quic_world_done(struct world *world) {
    struct quic_world *between = quic_world_of(world);
    struct list_node *first;
    while ((first = list_first(&between->datagrams)) != NULL) {
        list_remove(&between->datagrams, first);
        free(CONTAINER_OF(first, struct quic_world_datagram, node));
    }
    free(between);
}

static inline const struct world_kind *quic_world(void) {
    static const struct world_kind kind = {.name = "peer over QUIC",
                                           .start = quic_world_start,
                                           .stop = quic_world_stop,
                                           .move = quic_world_move,
                                           .deadline = quic_world_deadline,
                                           .done = quic_world_done};
    return &kind;
}

#endif
