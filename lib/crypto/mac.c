/* HMAC by GnuTLS, whose SHA-256 is the accelerated one. */
#include "crypto/mac.h"

#include <gnutls/crypto.h>

#include "crypto/sign.h"
#include "util/ensure.h"

struct sha256_digest mac_sha256(const uint8_t key[MAC_KEY_SIZE], struct bytes message) {
    struct sha256_digest digest;
    int status = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, MAC_KEY_SIZE, message.data, message.size,
                                  digest.bytes);
    ENSURE(status == 0);
    return digest;
}

void mac_hkdf(const uint8_t key[MAC_KEY_SIZE], struct bytes input, uint8_t ret_first[MAC_KEY_SIZE],
              uint8_t ret_second[MAC_KEY_SIZE]) {
    static const uint8_t one[] = {1};
    struct sha256_digest secret = mac_sha256(key, input);
    struct sha256_digest first = mac_sha256(secret.bytes, BYTES_ARRAY(one));
    uint8_t more[SHA256_SIZE + 1];
    memcpy(more, first.bytes, SHA256_SIZE);
    more[SHA256_SIZE] = 2;
    struct sha256_digest second = mac_sha256(secret.bytes, BYTES_ARRAY(more));
    memcpy(ret_first, first.bytes, MAC_KEY_SIZE);
    memcpy(ret_second, second.bytes, MAC_KEY_SIZE);
    crypto_wipe(&secret, sizeof(secret));
    crypto_wipe(&first, sizeof(first));
    crypto_wipe(&second, sizeof(second));
    crypto_wipe(more, sizeof(more));
}
