/* ChaCha20 with fast key erasure. */
#include "crypto/random.h"

#include <sodium.h>

#include "util/ensure.h"

void random_init(struct random *random, const uint8_t seed[32]) {
    memcpy(random->key, seed, sizeof(random->key));
    memset(random->pool, 0, sizeof(random->pool));
    random->left = 0;
}

void random_done(struct random *random) {
    sodium_memzero(random, sizeof(*random));
}

/* Every block of key stream begins with the key of the next, so no key is used twice and the nonce
 * can stay zero. */
static void random_refill(struct random *random) {
    static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    uint8_t stream[sizeof(random->key) + sizeof(random->pool)];
    crypto_stream_chacha20_ietf(stream, sizeof(stream), nonce, random->key);
    memcpy(random->key, stream, sizeof(random->key));
    memcpy(random->pool, stream + sizeof(random->key), sizeof(random->pool));
    random->left = sizeof(random->pool);
    sodium_memzero(stream, sizeof(stream));
}

void random_fill(struct random *random, struct span room) {
    size_t done = 0;
    while (done < room.size) {
        if (random->left == 0) {
            random_refill(random);
        }
        size_t size = room.size - done < random->left ? room.size - done : random->left;
        uint8_t *unused = random->pool + sizeof(random->pool) - random->left;
        memcpy(room.data + done, unused, size);
        /* What was given must not be found in the state later. */
        memset(unused, 0, size);
        random->left -= size;
        done += size;
    }
}

uint64_t random_u64(struct random *random) {
    uint8_t bytes[8];
    random_fill(random, (struct span){.data = bytes, .size = sizeof(bytes)});
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

uint64_t random_below(struct random *random, uint64_t bound) {
    ENSURE(bound > 0);
    /* The lowest 2^64 mod bound values would make small results likelier: draw again. */
    uint64_t unfair = (UINT64_MAX - bound + 1) % bound;
    uint64_t value;
    do {
        value = random_u64(random);
    } while (value < unfair);
    return value % bound;
}
