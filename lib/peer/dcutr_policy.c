/* Which addresses a hole punch tries, and how often. */
#include "peer/dcutr_policy.h"

#include <string.h>

static bool netaddr_of(const struct multiaddr *address, struct netaddr *ret_netaddr) {
    struct bytes id;
    return multiaddr_to_quic(address, ret_netaddr, &id) == 0 ||
           multiaddr_to_tcp(address, ret_netaddr, &id) == 0;
}

static bool same_subnet(const struct netaddr *a, const struct netaddr *b) {
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == NETADDR_IP4 ? 3 : 8) == 0;
}

/* Whether the other side seems to be behind the same NAT as we. */
static bool is_seen_with_us(const struct multiaddr *offered, size_t offered_count,
                            const struct netaddr *own) {
    struct netaddr other;
    for (size_t i = 0; i < offered_count; i++) {
        if (netaddr_of(&offered[i], &other) && netaddr_scope(&other) == NETADDR_GLOBAL &&
            netaddr_equal_ip(&other, own)) {
            return true;
        }
    }
    return false;
}

static bool is_near(const struct netaddr *target, const struct multiaddr *offered,
                    size_t offered_count, const struct multiaddr *own, size_t own_count) {
    struct netaddr mine;
    for (size_t i = 0; i < own_count; i++) {
        if (!netaddr_of(&own[i], &mine)) {
            continue;
        }
        bool is_public = netaddr_scope(&mine) == NETADDR_GLOBAL;
        if (is_public ? is_seen_with_us(offered, offered_count, &mine)
                      : same_subnet(&mine, target)) {
            return true;
        }
    }
    return false;
}

size_t punch_targets(const struct multiaddr *offered, size_t offered_count,
                     const struct netaddr *relay, const struct multiaddr *own, size_t own_count,
                     struct multiaddr *ret_targets) {
    struct netaddr chosen[PUNCH_TARGETS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < offered_count && count < PUNCH_TARGETS_MAX; i++) {
        struct netaddr target;
        if (multiaddr_has(&offered[i], MULTIADDR_P2P_CIRCUIT) ||
            !netaddr_of(&offered[i], &target)) {
            continue;
        }
        enum netaddr_scope scope = netaddr_scope(&target);
        bool as_relay = relay != NULL && netaddr_scope(relay) == scope;
        bool allowed =
            scope == NETADDR_GLOBAL || (scope != NETADDR_NOWHERE && as_relay) ||
            (scope == NETADDR_SITE && is_near(&target, offered, offered_count, own, own_count));
        size_t same = 0;
        for (size_t j = 0; j < count; j++) {
            same += netaddr_equal_ip(&chosen[j], &target);
        }
        if (allowed && same < PUNCH_TARGETS_PER_IP_MAX) {
            chosen[count] = target;
            multiaddr_without_peer(&offered[i], &ret_targets[count++]);
        }
    }
    return count;
}

/* A number for a peer that another cannot choose. */
static uint64_t key_of(const struct peer_id *peer) {
    struct bytes id = peer_id_bytes(peer);
    uint64_t key = 0;
    for (size_t i = id.size > sizeof(key) ? id.size - sizeof(key) : 0; i < id.size; i++) {
        key = key << 8 | id.data[i];
    }
    return key;
}

bool punch_limiter_take(struct punch_limiter *limiter, const struct peer_id *peer,
                        const struct netaddr *relay, nanos now) {
    while (limiter->count > 0 &&
           nanos_since(now, limiter->taken[limiter->start].at) >= NANOS_MINUTE) {
        limiter->start = (limiter->start + 1) % PUNCHES_PER_MINUTE;
        limiter->count--;
    }
    struct punch_taken attempt = {.at = now, .peer = key_of(peer), .relay = *relay};
    size_t of_peer = 0;
    size_t of_relay = 0;
    for (size_t i = 0; i < limiter->count; i++) {
        const struct punch_taken *old = &limiter->taken[(limiter->start + i) % PUNCHES_PER_MINUTE];
        of_peer += old->peer == attempt.peer;
        of_relay += netaddr_equal_ip(&old->relay, relay);
    }
    if (limiter->count == PUNCHES_PER_MINUTE || of_peer >= PUNCHES_PER_PEER_PER_MINUTE ||
        of_relay >= PUNCHES_PER_RELAY_PER_MINUTE) {
        return false;
    }
    limiter->taken[(limiter->start + limiter->count++) % PUNCHES_PER_MINUTE] = attempt;
    return true;
}
