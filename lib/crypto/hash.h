/* SHA-256, by GnuTLS's accelerated implementation. */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "util/bytes.h"

#define SHA256_SIZE 32

struct sha256_digest {
    uint8_t bytes[SHA256_SIZE];
};

/* The digest of all the bytes at once. */
struct sha256_digest sha256(struct bytes input);

/* In pieces: `hash_new` allocates inside the crypto library; NULL when memory is out. */
struct hash;
MUST_CHECK struct hash *hash_new(void);
void hash_update(struct hash *hash, struct bytes input);
/* The digest of what came so far; more may follow. Ends the process where memory is out. */
struct sha256_digest hash_digest(const struct hash *hash);
/* NULL is allowed. */
void hash_free(struct hash *hash);

static inline bool sha256_equal(const struct sha256_digest *a, const struct sha256_digest *b) {
    return memcmp(a->bytes, b->bytes, SHA256_SIZE) == 0;
}

#endif
