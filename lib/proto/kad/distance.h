/* Kademlia's metric: XOR of SHA-256 digests. */
#ifndef PROTO_KAD_DISTANCE_H
#define PROTO_KAD_DISTANCE_H

#include "crypto/hash.h"

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

#endif
