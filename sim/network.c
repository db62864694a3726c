/* Places on a star: a datagram goes from a node to the middle and out again. */
#include "network.h"

#include "util/ensure.h"

#define PPM 1000000

const struct network_options network_options_default = {
    .access_min = 2 * NANOS_MILLISECOND,
    .access_max = 40 * NANOS_MILLISECOND,
    .jitter_max = 4 * NANOS_MILLISECOND,
    .loss_ppm = 0,
};

void network_init(struct network *network, struct sim *sim, const struct network_options *options) {
    ENSURE(options->access_min <= options->access_max && options->loss_ppm <= NETWORK_LOSS_PPM_MAX);
    *network = (struct network){.sim = sim, .options = *options};
    const uint64_t secret[2] = {random_u64(&sim->random), random_u64(&sim->random)};
    map_init(&network->sites, &sim->memory, secret);
}

void network_done(struct network *network) {
    map_done(&network->sites);
}

static struct bytes address_key(const struct netaddr *address, uint8_t room[6]) {
    memcpy(room, address->ip, 4);
    room[4] = (uint8_t)(address->port >> 8);
    room[5] = (uint8_t)address->port;
    return bytes_of(room, 6);
}

/* An address of the public Internet: bounds on IP prefixes apply as they do out there. */
static void choose_address(struct network *network, struct netaddr *ret_address) {
    struct netaddr address;
    uint8_t first;
    do {
        uint64_t number = random_u64(&network->sim->random);
        address = (struct netaddr){.family = NETADDR_IP4, .port = 4001};
        for (size_t i = 0; i < 4; i++) {
            address.ip[i] = (uint8_t)(number >> (8 * i));
        }
        first = address.ip[0];
    } while (first == 0 || first >= 224 || netaddr_is_private(&address) ||
             network_find(network, &address) != NULL);
    *ret_address = address;
}

void network_add(struct network *network, struct site *site) {
    if (site->address.family == NETADDR_NONE) {
        choose_address(network, &site->address);
    }
    site->access =
        sim_between(network->sim, network->options.access_min, network->options.access_max);
    int error =
        map_put(&network->sites, &site->by_address, address_key(&site->address, site->address_key));
    ENSURE(error == 0);
}

struct site *network_find(const struct network *network, const struct netaddr *address) {
    uint8_t key[6];
    return MAP_ENTRY(map_get(&network->sites, address_key(address, key)), struct site, by_address);
}

bool network_answers(const struct site *to) {
    return to->is_alive && to->listens && !to->is_natted && to->port != NULL;
}

nanos network_delay(struct network *network, const struct site *from, const struct site *to) {
    return from->access + to->access +
           random_below(&network->sim->random, network->options.jitter_max + 1);
}

nanos network_round_trip(const struct site *a, const struct site *b) {
    return 2 * (a->access + b->access);
}

bool network_loses(struct network *network) {
    network->counts.datagrams++;
    if (network->options.loss_ppm == 0 ||
        random_below(&network->sim->random, PPM) >= network->options.loss_ppm) {
        return false;
    }
    network->counts.datagrams_lost++;
    return true;
}

nanos network_retransmission(struct network *network, size_t bytes, nanos timeout) {
    nanos latest = 0;
    network->counts.bytes += bytes;
    size_t datagrams = 1 + bytes / NETWORK_DATAGRAM_BYTES;
    for (size_t i = 0; i < datagrams; i++) {
        nanos late = 0;
        for (nanos pause = timeout; network_loses(network); pause *= 2) {
            late = nanos_add(late, pause);
        }
        latest = nanos_max(latest, late);
    }
    return latest;
}
