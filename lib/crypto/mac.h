/* HMAC-SHA-256, for files of our own that must not have been changed, and what derives keys by it.
 * RFC 2104, RFC 5869. */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include "crypto/hash.h"

#define MAC_KEY_SIZE 32

/* Of `message` under `key`. Compare with crypto_equal(). */
struct sha256_digest mac_sha256(const uint8_t key[MAC_KEY_SIZE], struct bytes message);

/* Two keys by HKDF from a chaining key and input that may be empty; either may be written to where
 * `key` lies. noiseprotocol.org revision 34, section 4.3. */
void mac_hkdf(const uint8_t key[MAC_KEY_SIZE], struct bytes input, uint8_t ret_first[MAC_KEY_SIZE],
              uint8_t ret_second[MAC_KEY_SIZE]);

#endif
