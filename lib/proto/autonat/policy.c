/* The rules of an AutoNAT server. */
#include "proto/autonat/policy.h"

#define PEER_KEY_SIZE 8

static bool netaddr_of(const struct multiaddr *address, struct netaddr *ret_netaddr) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part ip;
    if (!multiaddr_next(&cursor, &ip) || (ip.code != MULTIADDR_IP4 && ip.code != MULTIADDR_IP6)) {
        return false;
    }
    *ret_netaddr = (struct netaddr){.family = ip.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6};
    memcpy(ret_netaddr->ip, ip.value.data, ip.value.size);
    return true;
}

static bool has_circuit(const struct multiaddr *address) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    while (multiaddr_next(&cursor, &part)) {
        if (part.code == MULTIADDR_P2P_CIRCUIT) {
            return true;
        }
    }
    return false;
}

enum autonat_verdict autonat_judge(const struct netaddr *requester,
                                   const struct multiaddr *address) {
    struct netaddr target;
    if (requester == NULL || !netaddr_of(address, &target) || has_circuit(address)) {
        return AUTONAT_REFUSE;
    }
    if (netaddr_equal_ip(requester, &target)) {
        return AUTONAT_DIAL_FREELY;
    }
    return netaddr_scope(&target) == NETADDR_GLOBAL ? AUTONAT_DIAL_FOR_DATA : AUTONAT_REFUSE;
}

int autonat_with_ip(const struct netaddr *requester, const struct multiaddr *address,
                    struct multiaddr *ret_address) {
    struct netaddr target;
    if (!netaddr_of(address, &target) || has_circuit(address)) {
        return PLASM_UNSUPPORTED;
    }
    struct multiaddr made = {.size = 0};
    bool is_ip4 = requester->family == NETADDR_IP4;
    int error =
        multiaddr_append(&made, is_ip4 ? MULTIADDR_IP4 : MULTIADDR_IP6, netaddr_ip(requester));
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    (void)multiaddr_next(&cursor, &part);
    while (error == 0 && multiaddr_next(&cursor, &part)) {
        error = part.code == MULTIADDR_P2P ? 0 : multiaddr_append(&made, part.code, part.value);
    }
    if (error == 0) {
        *ret_address = made;
    }
    return error;
}

bool autonat_same_protocols(const struct multiaddr *address, const struct multiaddr *other) {
    struct cursor a = cursor_of(multiaddr_bytes(address));
    struct cursor b = cursor_of(multiaddr_bytes(other));
    for (;;) {
        struct multiaddr_part part_a;
        struct multiaddr_part part_b;
        bool more_a = multiaddr_next(&a, &part_a) && part_a.code != MULTIADDR_P2P;
        bool more_b = multiaddr_next(&b, &part_b) && part_b.code != MULTIADDR_P2P;
        if (!more_a || !more_b) {
            return more_a == more_b;
        }
        if (part_a.code != part_b.code) {
            return false;
        }
    }
}

/* Bytes of a peer id that nobody can choose for all others: its end. */
static uint64_t key_of_peer(struct bytes peer_id) {
    uint64_t key = peer_id.size;
    size_t start = peer_id.size > PEER_KEY_SIZE ? peer_id.size - PEER_KEY_SIZE : 0;
    for (size_t i = start; i < peer_id.size; i++) {
        key = key << 8 | peer_id.data[i];
    }
    return key;
}

/* 0: not counted. */
static uint64_t key_of_network(const struct netaddr *address) {
    if (address == NULL || netaddr_is_loopback(address)) {
        return 0;
    }
    size_t size = address->family == NETADDR_IP4 ? 3 : 6;
    uint64_t key = address->family;
    for (size_t i = 0; i < size; i++) {
        key = key << 8 | address->ip[i];
    }
    return key;
}

static struct autonat_taken *taken_at(struct autonat_limiter *limiter, size_t i) {
    return &limiter->taken[(limiter->start + i) % AUTONAT_REQUESTS_PER_MINUTE];
}

static void forget_old(struct autonat_limiter *limiter, nanos now) {
    while (limiter->count > 0 && nanos_since(now, taken_at(limiter, 0)->at) >= NANOS_MINUTE) {
        limiter->start = (limiter->start + 1) % AUTONAT_REQUESTS_PER_MINUTE;
        limiter->count--;
    }
}

bool autonat_limiter_take(struct autonat_limiter *limiter, struct bytes peer_id,
                          const struct netaddr *requester, nanos now) {
    forget_old(limiter, now);
    struct autonat_taken taken = {
        .at = now, .peer = key_of_peer(peer_id), .network = key_of_network(requester)};
    size_t of_peer = 0;
    size_t of_network = 0;
    for (size_t i = 0; i < limiter->count; i++) {
        const struct autonat_taken *other = taken_at(limiter, i);
        of_peer += other->peer == taken.peer;
        of_network += taken.network != 0 && other->network == taken.network;
    }
    if (limiter->count == AUTONAT_REQUESTS_PER_MINUTE ||
        of_peer >= AUTONAT_REQUESTS_PER_PEER_PER_MINUTE ||
        of_network >= AUTONAT_REQUESTS_PER_NETWORK_PER_MINUTE) {
        return false;
    }
    *taken_at(limiter, limiter->count) = taken;
    limiter->count++;
    return true;
}

bool autonat_limiter_take_data(struct autonat_limiter *limiter, struct bytes peer_id, nanos now) {
    forget_old(limiter, now);
    uint64_t peer = key_of_peer(peer_id);
    size_t of_data = 0;
    struct autonat_taken *latest = NULL;
    for (size_t i = 0; i < limiter->count; i++) {
        struct autonat_taken *taken = taken_at(limiter, i);
        of_data += taken->data;
        if (taken->peer == peer) {
            latest = taken;
        }
    }
    if (latest == NULL || of_data >= AUTONAT_DATA_REQUESTS_PER_MINUTE) {
        return false;
    }
    latest->data = true;
    return true;
}
