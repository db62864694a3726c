/* Kademlia's metric: XOR of SHA-256 digests. */
#ifndef PROTO_KAD_DISTANCE_H
#define PROTO_KAD_DISTANCE_H

#include "crypto/hash.h"
#include "proto/kad/limits.h"

/* a XOR b; compare two with memcmp. */
static inline struct sha256_digest kad_distance(const struct sha256_digest *a,
                                                const struct sha256_digest *b) {
    struct sha256_digest distance;
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        distance.bytes[i] = a->bytes[i] ^ b->bytes[i];
    }
    return distance;
}

/* <0 when `a` is nearer than `b`, 0 when they are the same. */
static inline int kad_distance_compare(const struct sha256_digest *a,
                                       const struct sha256_digest *b) {
    return memcmp(a->bytes, b->bytes, SHA256_SIZE);
}

/* Bits that both begin with: 0 to 256. */
static inline size_t kad_common_prefix(const struct sha256_digest *a,
                                       const struct sha256_digest *b) {
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        unsigned difference = a->bytes[i] ^ b->bytes[i];
        if (difference != 0) {
            return i * 8 + (size_t)__builtin_clz(difference) - (sizeof(unsigned) - 1) * 8;
        }
    }
    return SHA256_SIZE * 8;
}

/* The first eight bytes of a distance or digest, as a number. */
static inline uint64_t kad_head(const struct sha256_digest *digest) {
    uint64_t head = 0;
    for (size_t i = 0; i < sizeof(head); i++) {
        head = head << 8 | digest->bytes[i];
    }
    return head;
}

/* How many peers may count up to a distance (its head) where one is expected in each `spacing`; 0
 * when nothing is known to expect. */
static inline uint64_t kad_crowd_max(uint64_t head, uint64_t spacing) {
    return spacing == 0 ? UINT64_MAX : KAD_CROWD_BASE + KAD_CROWD_FACTOR * (head / spacing);
}

#endif
