/* Signatures: making Ed25519 ones, checking all that libp2p identities use. */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include "util/bytes.h"

#define ED25519_PUBLIC_SIZE    32
#define ED25519_SEED_SIZE      32
#define ED25519_SIGNATURE_SIZE 64

/* Must be called once before anything of crypto/; calling it again does nothing. PLASM_FAILED when
 * the libraries cannot start. */
MUST_CHECK int crypto_init(void);

struct ed25519_secret {
    uint8_t seed[ED25519_SEED_SIZE];
    uint8_t public_key[ED25519_PUBLIC_SIZE];
};

/* RFC 8032, section 5.1.5. */
void ed25519_from_seed(struct ed25519_secret *secret, const uint8_t seed[ED25519_SEED_SIZE]);
/* Wipes the secret. */
void ed25519_done(struct ed25519_secret *secret);
void ed25519_sign(const struct ed25519_secret *secret, struct bytes message,
                  uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);
/* PLASM_UNTRUSTED unless the signature (64 bytes) is right for the message; small-order keys and
 * non-canonical encodings are refused. */
MUST_CHECK int ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], struct bytes message,
                              struct bytes signature);

/* secp256k1: public key 33 bytes compressed, signature DER (S may be the higher of its two values),
 * SHA-256 of the message. PLASM_MALFORMED for a bad key, PLASM_UNTRUSTED for a bad signature. */
MUST_CHECK int secp256k1_verify(struct bytes public_key, struct bytes message,
                                struct bytes signature);
/* ECDSA and RSA (PKCS#1 v1.5), SHA-256: public key as DER SubjectPublicKeyInfo (PKIX); RSA keys of
 * 2048 to 8192 bits, ECDSA signatures in strict DER. Errors as above, PLASM_UNSUPPORTED for another
 * algorithm or an unknown curve, PLASM_NO_MEMORY. */
MUST_CHECK int spki_verify(struct bytes spki, struct bytes message, struct bytes signature);

/* Bytes from the operating system, for seeds: only host/ and key generation call this.
 * Never fails to give bytes; ends the process where the system has none. */
void crypto_system_random(struct span room);
/* The processor has instructions for AES. */
bool crypto_has_aes(void);
/* Overwrites secrets; not optimised away. */
void crypto_wipe(void *secret, size_t size);
/* Equal in constant time. */
bool crypto_equal(const void *a, const void *b, size_t size);

#endif
