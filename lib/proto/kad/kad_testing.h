/* Peers and addresses out of thin air, for the tests. */
#ifndef PROTO_KAD_KAD_TESTING_H
#define PROTO_KAD_KAD_TESTING_H

#include "crypto/hash.h"
#include "crypto/random.h"
#include "identity/peer_id.h"
#include "proto/kad/addresses.h"
#include "util/ensure.h"
#include "wire/multiaddr.h"

static inline void testing_random(struct random *random, uint8_t seed) {
    uint8_t bytes[32] = {seed};
    random_init(random, bytes);
}

/* An Ed25519 peer id around 32 random bytes. */
static inline struct peer_id testing_peer(struct random *random) {
    static const uint8_t head[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    struct peer_id id = {.size = sizeof(head) + 32};
    memcpy(id.bytes, head, sizeof(head));
    random_fill(random, (struct span){id.bytes + sizeof(head), 32});
    return id;
}

static inline struct sha256_digest testing_hash(const struct peer_id *id) {
    return sha256(peer_id_bytes(id));
}

/* The peer at /ip4/a.b.c.d/udp/4001/quic-v1. */
static inline struct kad_addresses testing_address(const struct peer_id *id, uint8_t a, uint8_t b,
                                                   uint8_t c, uint8_t d) {
    struct netaddr netaddr = {.family = NETADDR_IP4, .port = 4001, .ip = {a, b, c, d}};
    struct multiaddr address;
    multiaddr_from_quic(&netaddr, &address);
    struct kad_addresses packed = {0};
    bool added = kad_addresses_add(&packed, id, multiaddr_bytes(&address));
    ENSURE(added);
    return packed;
}

#endif
