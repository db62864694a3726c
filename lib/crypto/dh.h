/* X25519 key agreement. RFC 7748. */
#ifndef CRYPTO_DH_H
#define CRYPTO_DH_H

#include "util/bytes.h"

/* Secrets, public keys and shared secrets alike. */
#define X25519_SIZE 32

/* Any 32 random bytes are a secret. */
void x25519_public(const uint8_t secret[X25519_SIZE], uint8_t ret_public_key[X25519_SIZE]);
/* PLASM_UNTRUSTED for a public key of small order, which makes the result known to everybody. */
MUST_CHECK int x25519(const uint8_t secret[X25519_SIZE], const uint8_t public_key[X25519_SIZE],
                      uint8_t ret_shared[X25519_SIZE]);

#endif
