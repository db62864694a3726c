/* HMAC-SHA-256, for files of our own that must not have been changed. RFC 2104. */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include "crypto/hash.h"

#define MAC_KEY_SIZE 32

/* Of `message` under `key`. Compare with crypto_equal(). */
struct sha256_digest mac_sha256(const uint8_t key[MAC_KEY_SIZE], struct bytes message);

#endif
