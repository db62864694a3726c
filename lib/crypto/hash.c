/* SHA-256 through GnuTLS, which picks the processor's instructions for it. */
#include "crypto/hash.h"

#include <gnutls/crypto.h>

#include "util/ensure.h"

/* Never defined: a `struct hash *` is GnuTLS's own handle under another name. */
static gnutls_hash_hd_t hash_handle(const struct hash *hash) {
    return (gnutls_hash_hd_t)(uintptr_t)hash;
}

struct sha256_digest sha256(struct bytes input) {
    struct sha256_digest digest;
    const void *data = input.size > 0 ? (const void *)input.data : "";
    ENSURE(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, input.size, digest.bytes) == 0);
    return digest;
}

struct hash *hash_new(void) {
    gnutls_hash_hd_t handle;
    if (gnutls_hash_init(&handle, GNUTLS_DIG_SHA256) != 0) {
        return NULL;
    }
    return (struct hash *)(void *)handle;
}

void hash_update(struct hash *hash, struct bytes input) {
    if (input.size > 0) {
        ENSURE(gnutls_hash(hash_handle(hash), input.data, input.size) == 0);
    }
}

struct sha256_digest hash_digest(const struct hash *hash) {
    /* gnutls_hash_output would start the hash again from nothing; a copy is ended instead. */
    gnutls_hash_hd_t copy = gnutls_hash_copy(hash_handle(hash));
    ENSURE(copy != NULL);
    struct sha256_digest digest;
    gnutls_hash_deinit(copy, digest.bytes);
    return digest;
}

void hash_free(struct hash *hash) {
    if (hash != NULL) {
        gnutls_hash_deinit(hash_handle(hash), NULL);
    }
}
