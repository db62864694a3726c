/* HMAC by GnuTLS, whose SHA-256 is the accelerated one. */
#include "crypto/mac.h"

#include <gnutls/crypto.h>

#include "util/ensure.h"

struct sha256_digest mac_sha256(const uint8_t key[MAC_KEY_SIZE], struct bytes message) {
    struct sha256_digest digest;
    int status = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, MAC_KEY_SIZE, message.data, message.size,
                                  digest.bytes);
    ENSURE(status == 0);
    return digest;
}
