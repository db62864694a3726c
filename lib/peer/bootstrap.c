/* Getting into the network: dial what was given, all at once and again while nobody answers, then
 * look ourselves up. */
#include "peer/internal.h"

#define BOOTSTRAP_PAUSE_MIN (1 * NANOS_SECOND)
#define BOOTSTRAP_PAUSE_MAX (60 * NANOS_SECOND)
/* How often one of those we joined through is asked who is near us, by and by all of them: after a
 * network was in two parts that knows nothing of each other, they bring it together. */
#define BOOTSTRAP_AGAIN (10 * NANOS_MINUTE)
/* Servers in the routing table with which nobody on the local network is needed to begin with. */
#define NEARBY_ENOUGH KAD_K

void peer_bootstrap(struct peer *peer, const struct multiaddr *addresses, size_t count, nanos now) {
    peer->now = now;
    struct bootstrap *bootstrap = &peer->bootstrap;
    bootstrap_free(peer);
    count = count < PEER_BOOTSTRAP_MAX ? count : PEER_BOOTSTRAP_MAX;
    if (count > 0) {
        bootstrap->addresses = memory_get(peer->memory, count * sizeof(struct multiaddr));
        bootstrap->requests = memory_zero(peer->memory, count * sizeof(uint64_t));
        if (bootstrap->addresses == NULL || bootstrap->requests == NULL) {
            memory_put(peer->memory, bootstrap->addresses, count * sizeof(struct multiaddr));
            memory_put(peer->memory, bootstrap->requests, count * sizeof(uint64_t));
            bootstrap->addresses = NULL;
            bootstrap->requests = NULL;
            return;
        }
        memcpy(bootstrap->addresses, addresses, count * sizeof(struct multiaddr));
        bootstrap->count = count;
    }
    bootstrap->pause = BOOTSTRAP_PAUSE_MIN;
    bootstrap_expire(peer);
}

/* Ourselves, or somebody who is connected, is not dialled. */
static bool is_wanted(struct peer *peer, const struct multiaddr *address) {
    struct bytes named = multiaddr_peer_id(address);
    struct peer_id id;
    if (named.size == 0 || peer_id_decode(named, &id) != 0) {
        return true;
    }
    return !peer_id_equal(&id, &peer->config.id) && peer_connection_to(peer, &id) == NULL;
}

void peer_discovered(struct peer *peer, const struct peer_id *id, const struct multiaddr *addresses,
                     size_t count, nanos now) {
    peer->now = now;
    if (peer_id_equal(id, &peer->config.id) || peer_connection_to(peer, id) != NULL ||
        peer_routing_size(peer) >= NEARBY_ENOUGH) {
        return;
    }
    for (size_t i = 0; i < PEER_NEARBY_MAX; i++) {
        uint64_t *request = &peer->bootstrap.nearby[i];
        if (*request == 0) {
            if (peer_connect(peer, id, addresses, count, now, request) != 0) {
                *request = 0;
            }
            return;
        }
    }
}

/* Times vary by half, so that nodes started together do not come together. */
static void again_later(struct peer *peer) {
    nanos half = BOOTSTRAP_AGAIN / 2;
    peer->bootstrap.again_at =
        nanos_add(peer->now, BOOTSTRAP_AGAIN - half / 2 + random_below(&peer->random, half));
}

/* Asks any one of those we joined through, connected or not, who is near us. */
static void meet_again(struct peer *peer) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    again_later(peer);
    if (bootstrap->count == 0 || bootstrap->again != 0) {
        return;
    }
    const struct multiaddr *address =
        &bootstrap->addresses[random_below(&peer->random, bootstrap->count)];
    if (is_wanted(peer, address)) {
        uint64_t request = 0;
        if (peer_connect(peer, NULL, address, 1, peer->now, &request) == 0) {
            bootstrap->again = request;
        }
        return;
    }
    struct peer_id id;
    if (peer_id_decode(multiaddr_peer_id(address), &id) == 0) {
        kad_ask_neighbours(peer->kad, &id, peer->now);
    }
}

/* A round: while we know no server, dial everybody who is not being dialled. */
void bootstrap_expire(struct peer *peer) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    bool alone = peer_routing_size(peer) == 0;
    if (alone) {
        again_later(peer);
    } else if (bootstrap->again_at <= peer->now && peer->config.kad_server) {
        meet_again(peer);
    }
    bootstrap->done = bootstrap->done && !alone;
    for (size_t i = 0; alone && i < bootstrap->count; i++) {
        if (bootstrap->requests[i] == 0 && is_wanted(peer, &bootstrap->addresses[i])) {
            uint64_t request = 0;
            if (peer_connect(peer, NULL, &bootstrap->addresses[i], 1, peer->now, &request) == 0) {
                bootstrap->requests[i] = request;
            }
        }
    }
    peer_timer_set(peer, &bootstrap->timer, nanos_add(peer->now, bootstrap->pause));
    bootstrap->pause = nanos_min(2 * bootstrap->pause, BOOTSTRAP_PAUSE_MAX);
}

void bootstrap_server_known(struct peer *peer) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    if (!bootstrap->done && bootstrap->lookup == 0) {
        kad_service_bootstrap(peer, &bootstrap->lookup);
    }
}

static void took_part(struct peer *peer) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    bootstrap->lookup = 0;
    if (peer_routing_size(peer) == 0) {
        return; /* the timer tries again */
    }
    bootstrap->done = true;
    bootstrap->pause = BOOTSTRAP_PAUSE_MAX;
    struct peer_event event = {.type = PEER_EVENT_BOOTSTRAPPED, .count = peer_routing_size(peer)};
    (void)peer_emit(peer, &event);
}

bool bootstrap_event(struct peer *peer, const struct peer_event *event) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    if (event->type == PEER_EVENT_DISCONNECTED && bootstrap->done && peer_routing_size(peer) == 0) {
        bootstrap->done = false;
        bootstrap->pause = BOOTSTRAP_PAUSE_MIN;
        peer_timer_set(peer, &bootstrap->timer, nanos_add(peer->now, bootstrap->pause));
    }
    if (event->request == 0) {
        return false;
    }
    if (event->type == PEER_EVENT_LOOKUP_DONE && event->request == bootstrap->lookup) {
        took_part(peer);
        return true;
    }
    if (event->type != PEER_EVENT_CONNECTED && event->type != PEER_EVENT_CONNECT_FAILED) {
        return false;
    }
    if (event->request == bootstrap->again) {
        bootstrap->again = 0;
        if (event->type == PEER_EVENT_CONNECTED) {
            kad_ask_neighbours(peer->kad, peer_connection_id(event->connection), peer->now);
        }
        return true; /* nobody else asked for it */
    }
    for (size_t i = 0; i < bootstrap->count + PEER_NEARBY_MAX; i++) {
        bool listed = i < bootstrap->count;
        uint64_t *request =
            listed ? &bootstrap->requests[i] : &bootstrap->nearby[i - bootstrap->count];
        if (*request == event->request) {
            *request = 0;
            /* The application sees it with request 0 and the address's place in the list. */
            struct peer_event shown = *event;
            shown.request = 0;
            shown.count = listed ? i : PEER_NEARBY;
            (void)peer_emit(peer, &shown);
            return true;
        }
    }
    return false;
}

void bootstrap_free(struct peer *peer) {
    struct bootstrap *bootstrap = &peer->bootstrap;
    for (size_t i = 0; i < bootstrap->count; i++) {
        if (bootstrap->requests[i] != 0) {
            dial_cancel(peer, bootstrap->requests[i]);
        }
    }
    if (bootstrap->again != 0) {
        dial_cancel(peer, bootstrap->again);
        bootstrap->again = 0;
    }
    for (size_t i = 0; i < PEER_NEARBY_MAX; i++) {
        if (bootstrap->nearby[i] != 0) {
            dial_cancel(peer, bootstrap->nearby[i]);
            bootstrap->nearby[i] = 0;
        }
    }
    memory_put(peer->memory, bootstrap->addresses, bootstrap->count * sizeof(struct multiaddr));
    memory_put(peer->memory, bootstrap->requests, bootstrap->count * sizeof(uint64_t));
    bootstrap->addresses = NULL;
    bootstrap->requests = NULL;
    bootstrap->count = 0;
}
