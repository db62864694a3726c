/* What peers must do over every transport, over the simulator's links. */
#include "peer/conformance_testing.h"

#include "links.h"

/* The world's clock and the simulation's are kept the same: the world asks the simulation when
 * something is due and lets it catch up. */
struct links_world {
    struct sim sim;
    struct network network;
    struct links links;
    size_t running;
};

struct links_world_node {
    struct site site;
    struct transport *transport;
};

static struct links_world *links_world_of(struct world *world) {
    if (world->between == NULL) {
        struct links_world *between = calloc(1, sizeof(*between));
        ENSURE(between != NULL);
        struct network_options options = {.access_min = world->delay / 2,
                                          .access_max = world->delay / 2};
        sim_init(&between->sim, 1, NULL);
        between->sim.now = world->now;
        network_init(&between->network, &between->sim, &options);
        links_init(&between->links, &between->network);
        world->between = between;
    }
    return world->between;
}

/* The world drains all its nodes by itself. */
static void arrived(struct site *site) {
    (void)site;
}

/* A node that starts again is where it was. */
static struct links_world_node *node_here(struct links_world *between, struct world_node *node) {
    struct netaddr address;
    struct bytes id;
    ENSURE(multiaddr_to_quic(&node->address, &address, &id) == 0);
    struct site *site = network_find(&between->network, &address);
    if (site != NULL) {
        return CONTAINER_OF(site, struct links_world_node, site);
    }
    struct links_world_node *here = calloc(1, sizeof(*here));
    ENSURE(here != NULL);
    here->site = (struct site){.number = (uint32_t)node->index,
                               .address = address,
                               .listens = true,
                               .id = &node->id,
                               .arrived = arrived};
    network_add(&between->network, &here->site);
    return here;
}

static bool links_world_start(struct world_node *node) {
    struct links_world *between = links_world_of(node->world);
    struct links_world_node *here = node_here(between, node);
    here->site.is_alive = true;
    here->transport = links_transport_new(&between->links, &here->site);
    between->running++;
    node->transport = here;
    return peer_add_transport(node->peer, here->transport) == 0;
}

static void links_world_stop(struct world_node *node) {
    struct links_world *between = node->world->between;
    struct links_world_node *here = node->transport;
    links_transport_flush(here->transport);
    links_transport_free(here->transport);
    here->site.is_alive = false;
    here->site.died = node->world->now;
    here->transport = NULL;
    node->transport = NULL;
    between->running--;
    if (between->running == 0) { /* what is on its way holds memory of the nodes */
        sim_run_out(&between->sim);
    }
}

static bool links_world_move(struct world *world) {
    struct links_world *between = links_world_of(world);
    uint64_t steps = between->sim.steps;
    for (size_t i = 0; i < world->node_count; i++) {
        struct links_world_node *here = world->nodes[i].transport;
        if (here != NULL) {
            links_transport_flush(here->transport);
        }
    }
    while (sim_step(&between->sim, world->now)) {
    }
    return between->sim.steps > steps;
}

static nanos links_world_deadline(const struct world *world) {
    const struct links_world *between = world->between;
    return between != NULL ? heap_deadline(&between->sim.timers) : NANOS_NEVER;
}

static void links_world_done(struct world *world) {
    struct links_world *between = world->between;
    struct map_node *node = map_next(&between->network.sites, NULL);
    while (node != NULL) {
        struct map_node *next = map_next(&between->network.sites, node);
        map_remove(&between->network.sites, node);
        struct site *site = CONTAINER_OF(node, struct site, by_address);
        free(CONTAINER_OF(site, struct links_world_node, site));
        node = next;
    }
    links_done(&between->links);
    network_done(&between->network);
    sim_done(&between->sim);
    free(between);
}

int main(void) {
    static const struct world_kind kind = {.name = "peer over simulated links",
                                           .start = links_world_start,
                                           .stop = links_world_stop,
                                           .move = links_world_move,
                                           .deadline = links_world_deadline,
                                           .done = links_world_done};
    return conformance_run(&kind);
}
