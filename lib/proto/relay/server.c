/* Reservations and the accounts of circuits. */
#include "proto/relay/server.h"

#include "util/ensure.h"

const struct relay_limits relay_limits_default = {
    .reservations_max = 128,
    .reservations_per_ip_max = 8,
    .circuits_max = 512,
    .circuits_per_peer_max = 16,
    .reservation_life = NANOS_HOUR,
    .circuit_duration_max = 10 * NANOS_MINUTE,
    .circuit_bytes_max = UINT64_C(32) << 20,
};

#define REFRESH_PAUSE (NANOS_MINUTE / RELAY_REFRESHES_PER_MINUTE)
/* Of an IPv6 address counts what one customer is given. */
#define PLACE_IP6_BYTES 7

/* Where reservations come from. */
struct relay_place {
    struct map_node node;
    size_t reservations;
    uint8_t size;
    uint8_t bytes[16];
};

/* A peer with a reservation or circuits. */
struct relay_party {
    struct map_node node;
    struct heap_node timer; /* the reservation's end; linked while there is one */
    struct peer_id id;
    struct relay_place *place; /* NULL where it does not count */
    size_t circuits;
    nanos refreshes_saved; /* REFRESH_PAUSE each */
    nanos refreshes_counted_at;
};

void relay_server_init(struct relay_server *server, const struct relay_limits *limits,
                       struct memory *memory, const uint64_t secret[2]) {
    *server = (struct relay_server){.limits = *limits, .memory = memory};
    map_init(&server->peers, memory, secret);
    map_init(&server->places, memory, secret);
    heap_init(&server->reservation_ends, memory);
    heap_init(&server->circuit_ends, memory);
}

static bool is_reserved(const struct relay_party *party) {
    return heap_linked(&party->timer);
}

static struct relay_party *party_get(const struct relay_server *server, const struct peer_id *id) {
    return MAP_ENTRY(map_get(&server->peers, peer_id_bytes(id)), struct relay_party, node);
}

static struct relay_party *party_make(struct relay_server *server, const struct peer_id *id) {
    struct relay_party *party = party_get(server, id);
    if (party != NULL) {
        return party;
    }
    party = memory_zero(server->memory, sizeof(*party));
    if (party == NULL) {
        return NULL;
    }
    party->id = *id;
    party->refreshes_saved = RELAY_REFRESHES_BURST * REFRESH_PAUSE;
    if (map_put(&server->peers, &party->node, peer_id_bytes(&party->id)) != 0) {
        memory_put(server->memory, party, sizeof(*party));
        return NULL;
    }
    return party;
}

static void party_put(struct relay_server *server, struct relay_party *party) {
    if (party->circuits == 0 && !is_reserved(party)) {
        map_remove(&server->peers, &party->node);
        memory_put(server->memory, party, sizeof(*party));
    }
}

/* --- places ----------------------------------------------------------------------------------- */

static struct bytes place_of(const struct netaddr *from) {
    if (from == NULL || netaddr_is_loopback(from)) {
        return bytes_of(NULL, 0);
    }
    struct bytes ip = netaddr_ip(from);
    return from->family == NETADDR_IP6 ? bytes_slice(ip, 0, PLACE_IP6_BYTES) : ip;
}

static struct relay_place *place_get(const struct relay_server *server, struct bytes key) {
    return MAP_ENTRY(map_get(&server->places, key), struct relay_place, node);
}

static struct relay_place *place_add(struct relay_server *server, struct bytes key) {
    struct relay_place *place = place_get(server, key);
    if (place == NULL) {
        place = memory_zero(server->memory, sizeof(*place));
        if (place == NULL) {
            return NULL;
        }
        place->size = (uint8_t)key.size;
        memcpy(place->bytes, key.data, key.size);
        if (map_put(&server->places, &place->node, bytes_of(place->bytes, place->size)) != 0) {
            memory_put(server->memory, place, sizeof(*place));
            return NULL;
        }
    }
    place->reservations++;
    return place;
}

static void place_release(struct relay_server *server, struct relay_place *place) {
    if (place != NULL && --place->reservations == 0) {
        map_remove(&server->places, &place->node);
        memory_put(server->memory, place, sizeof(*place));
    }
}

/* --- reservations ----------------------------------------------------------------------------- */

static void reservation_end(struct relay_server *server, struct relay_party *party) {
    heap_remove(&server->reservation_ends, &party->timer);
    place_release(server, party->place);
    party->place = NULL;
    server->reservations--;
    party_put(server, party);
}

/* True when the peer may cost us one more signature. */
static bool may_refresh(struct relay_party *party, nanos now) {
    nanos full = RELAY_REFRESHES_BURST * REFRESH_PAUSE;
    nanos saved = nanos_add(party->refreshes_saved, nanos_since(now, party->refreshes_counted_at));
    party->refreshes_saved = nanos_min(saved, full);
    party->refreshes_counted_at = now;
    if (party->refreshes_saved < REFRESH_PAUSE) {
        return false;
    }
    party->refreshes_saved -= REFRESH_PAUSE;
    return true;
}

static enum relay_status reservation_begin(struct relay_server *server, struct relay_party *party,
                                           const struct netaddr *from, nanos until) {
    struct bytes key = place_of(from);
    const struct relay_place *known = key.size > 0 ? place_get(server, key) : NULL;
    if (server->reservations >= server->limits.reservations_max ||
        (known != NULL && known->reservations >= server->limits.reservations_per_ip_max)) {
        return RELAY_STATUS_RESERVATION_REFUSED;
    }
    struct relay_place *place = key.size > 0 ? place_add(server, key) : NULL;
    if (key.size > 0 && place == NULL) {
        return RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
    }
    if (heap_set(&server->reservation_ends, &party->timer, until) != 0) {
        place_release(server, place);
        return RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
    }
    party->place = place;
    server->reservations++;
    return RELAY_STATUS_OK;
}

enum relay_status relay_server_reserve(struct relay_server *server, const struct peer_id *peer,
                                       const struct netaddr *from, nanos now, nanos *ret_until) {
    struct relay_party *party = party_make(server, peer);
    if (party == NULL) {
        return RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
    }
    nanos until = nanos_add(now, server->limits.reservation_life);
    enum relay_status status = RELAY_STATUS_OK;
    if (!may_refresh(party, now)) {
        status = RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
    } else if (is_reserved(party)) {
        int error = heap_set(&server->reservation_ends, &party->timer, until);
        ENSURE(error == 0); /* it is in */
    } else {
        status = reservation_begin(server, party, from, until);
    }
    if (status == RELAY_STATUS_OK) {
        *ret_until = until;
    }
    party_put(server, party);
    return status;
}

void relay_server_release(struct relay_server *server, const struct peer_id *peer) {
    struct relay_party *party = party_get(server, peer);
    if (party != NULL && is_reserved(party)) {
        reservation_end(server, party);
    }
}

bool relay_server_serves(const struct relay_server *server, const struct peer_id *peer) {
    const struct relay_party *party = party_get(server, peer);
    return party != NULL && is_reserved(party);
}

/* --- circuits --------------------------------------------------------------------------------- */

enum relay_status relay_server_connect(struct relay_server *server, const struct peer_id *source,
                                       const struct peer_id *target,
                                       struct relay_circuit **ret_circuit) {
    if (peer_id_equal(source, target)) {
        return RELAY_STATUS_PERMISSION_DENIED;
    }
    if (!relay_server_serves(server, target)) {
        return RELAY_STATUS_NO_RESERVATION;
    }
    size_t each_max = server->limits.circuits_per_peer_max;
    struct relay_party *to = party_get(server, target);
    struct relay_party *from = party_make(server, source);
    struct relay_circuit *circuit = from != NULL &&
                                            server->circuits < server->limits.circuits_max &&
                                            from->circuits < each_max && to->circuits < each_max
                                        ? memory_zero(server->memory, sizeof(*circuit))
                                        : NULL;
    if (circuit == NULL) {
        if (from != NULL) {
            party_put(server, from);
        }
        return RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED;
    }
    circuit->server = server;
    circuit->source = from;
    circuit->target = to;
    from->circuits++;
    to->circuits++;
    server->circuits++;
    *ret_circuit = circuit;
    return RELAY_STATUS_OK;
}

int relay_circuit_begin(struct relay_circuit *circuit, nanos now) {
    nanos duration = circuit->server->limits.circuit_duration_max;
    return duration == 0 ? 0
                         : heap_set(&circuit->server->circuit_ends, &circuit->timer,
                                    nanos_min(nanos_add(now, duration), NANOS_NEVER - 1));
}

size_t relay_circuit_take(struct relay_circuit *circuit, enum relay_direction direction,
                          size_t size) {
    uint64_t bytes_max = circuit->server->limits.circuit_bytes_max;
    uint64_t left = bytes_max == 0 ? UINT64_MAX : bytes_max - circuit->bytes[direction];
    size_t taken = size < left ? size : (size_t)left;
    circuit->bytes[direction] += taken;
    return taken;
}

void relay_circuit_end(struct relay_circuit *circuit) {
    struct relay_server *server = circuit->server;
    heap_remove(&server->circuit_ends, &circuit->timer);
    circuit->source->circuits--;
    circuit->target->circuits--;
    server->circuits--;
    party_put(server, circuit->source);
    party_put(server, circuit->target);
    memory_put(server->memory, circuit, sizeof(*circuit));
}

struct relay_limit relay_server_limit(const struct relay_server *server) {
    const struct relay_limits *limits = &server->limits;
    uint64_t seconds = limits->circuit_duration_max / NANOS_SECOND;
    return (struct relay_limit){
        .present = limits->circuit_duration_max != 0 || limits->circuit_bytes_max != 0,
        .duration_seconds = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX,
        .data_bytes = limits->circuit_bytes_max};
}

/* --- time ------------------------------------------------------------------------------------- */

nanos relay_server_deadline(const struct relay_server *server) {
    return nanos_min(heap_deadline(&server->reservation_ends),
                     heap_deadline(&server->circuit_ends));
}

struct relay_circuit *relay_server_expire(struct relay_server *server, nanos now) {
    while (heap_deadline(&server->reservation_ends) <= now) {
        struct heap_node *node = heap_first(&server->reservation_ends);
        reservation_end(server, CONTAINER_OF(node, struct relay_party, timer));
    }
    if (heap_deadline(&server->circuit_ends) > now) {
        return NULL;
    }
    struct heap_node *node = heap_first(&server->circuit_ends);
    heap_remove(&server->circuit_ends, node);
    return CONTAINER_OF(node, struct relay_circuit, timer);
}

void relay_server_done(struct relay_server *server) {
    ENSURE(server->circuits == 0);
    struct heap_node *node;
    while ((node = heap_first(&server->reservation_ends)) != NULL) {
        reservation_end(server, CONTAINER_OF(node, struct relay_party, timer));
    }
    heap_done(&server->reservation_ends);
    heap_done(&server->circuit_ends);
    map_done(&server->peers);
    map_done(&server->places);
}
