/* A world whose nodes are linked in memory. */
#ifndef PEER_MEMORY_WORLD_TESTING_H
#define PEER_MEMORY_WORLD_TESTING_H

#include "peer/memory_transport_testing.h"
#include "peer/world_testing.h"

/* How the next worlds are, set by a test before it makes one; 0 for the default. */
struct memory_world_settings {
    size_t piece_max;
    size_t window;
};

static inline struct memory_world_settings *memory_world_settings(void) {
    static struct memory_world_settings settings;
    return &settings;
}

static inline struct memory_net *memory_net_of(struct world *world) {
    if (world->between == NULL) {
        struct memory_net *net = memory_alloc(sizeof(*net));
        memory_net_init(net, &world->now, world->delay);
        const struct memory_world_settings *settings = memory_world_settings();
        net->piece_max = settings->piece_max > 0 ? settings->piece_max : net->piece_max;
        net->window = settings->window > 0 ? settings->window : net->window;
        world->between = net;
    }
    return world->between;
}

static inline bool memory_world_start(struct world_node *node) {
    struct memory_transport *transport =
        memory_transport_new(memory_net_of(node->world), &node->address, &node->id, &node->key);
    node->transport = transport;
    return peer_add_transport(node->peer, &transport->transport) == 0;
}

static inline void memory_world_stop(struct world_node *node) {
    memory_transport_free(node->transport);
    node->transport = NULL;
}

static inline void memory_world_done(struct world *world) {
    free(world->between);
}

static inline const struct world_kind *memory_world(void) {
    static const struct world_kind kind = {.name = "peer over memory",
                                           .start = memory_world_start,
                                           .stop = memory_world_stop,
                                           .done = memory_world_done};
    return &kind;
}

#endif
