/* X25519 by libsodium. */
#include "crypto/dh.h"

#include <sodium.h>

void x25519_public(const uint8_t secret[X25519_SIZE], uint8_t ret_public_key[X25519_SIZE]) {
    (void)crypto_scalarmult_curve25519_base(ret_public_key, secret);
}

int x25519(const uint8_t secret[X25519_SIZE], const uint8_t public_key[X25519_SIZE],
           uint8_t ret_shared[X25519_SIZE]) {
    uint8_t shared[X25519_SIZE];
    if (crypto_scalarmult_curve25519(shared, secret, public_key) != 0) {
        return PLASM_UNTRUSTED;
    }
    memcpy(ret_shared, shared, sizeof(shared));
    sodium_memzero(shared, sizeof(shared));
    return 0;
}
