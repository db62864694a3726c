/* The ChaCha20 key stream: the random numbers of deterministic/1. */
#ifndef SANDBOX_CHACHA20_H
#define SANDBOX_CHACHA20_H

#include "util/bytes.h"

#define CHACHA20_KEY_SIZE   32
#define CHACHA20_BLOCK_SIZE 64

/* A stream of bytes decided by the key alone: nonce zero, block counter from 0. */
struct chacha20 {
    uint32_t state[16];
    uint8_t block[CHACHA20_BLOCK_SIZE];
    size_t left; /* unused bytes at the end of `block` */
};

/* Spec: RFC 8439, section 2.4, with a zero nonce and counter 0. */
void chacha20_init(struct chacha20 *chacha, const uint8_t key[CHACHA20_KEY_SIZE]);
/* The next bytes of the stream; how it is cut into calls makes no difference. */
void chacha20_fill(struct chacha20 *chacha, struct span room);

#endif
