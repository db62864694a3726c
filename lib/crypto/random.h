/* Deterministic random bytes from a seed: the only randomness protocols use. The host seeds it from
 * the system; a simulation seeds it with its number and replays. */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include "util/bytes.h"

/* ChaCha20 key stream (RFC 8439), a fresh key after every refill so that a later leak of the state
 * tells nothing of what was given before. */
struct random {
    uint8_t key[32];
    uint8_t pool[256];
    size_t left; /* unused bytes at the end of `pool` */
};

void random_init(struct random *random, const uint8_t seed[32]);
/* Wipes the state. */
void random_done(struct random *random);
void random_fill(struct random *random, struct span room);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif
