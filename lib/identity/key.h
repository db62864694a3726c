/* libp2p keys: the protobuf PublicKey and PrivateKey, and what they verify and sign.
 * Spec: libp2p/specs peer-ids/peer-ids.md, "Keys". */
#ifndef IDENTITY_KEY_H
#define IDENTITY_KEY_H

#include "crypto/sign.h"
#include "util/cursor.h"

enum key_type { KEY_RSA = 0, KEY_ED25519 = 1, KEY_SECP256K1 = 2, KEY_ECDSA = 3 };

/* Longest key data: an RSA key of 8192 bits in PKIX form. Longest encoded key. */
#define KEY_DATA_MAX    1100
#define KEY_ENCODED_MAX (KEY_DATA_MAX + 8)

struct public_key {
    enum key_type type;
    uint16_t size;
    uint8_t data[KEY_DATA_MAX];
};

/* From the protobuf, which must be the deterministic one: a key has one peer id. PLASM_MALFORMED,
 * PLASM_UNSUPPORTED (unknown type), PLASM_TOO_LARGE. */
MUST_CHECK int public_key_decode(struct bytes protobuf, struct public_key *ret_key);
/* The deterministic protobuf. */
void public_key_encode(const struct public_key *key, struct writer *writer);
/* PLASM_UNTRUSTED for a wrong signature; PLASM_MALFORMED, PLASM_UNSUPPORTED for a bad key. */
MUST_CHECK int public_key_verify(const struct public_key *key, struct bytes message,
                                 struct bytes signature);
void public_key_from_ed25519(const uint8_t key[ED25519_PUBLIC_SIZE], struct public_key *ret_key);

/* Identities of our own are Ed25519. */
#define PRIVATE_KEY_ENCODED_SIZE 68

/* libp2p's protobuf PrivateKey (Ed25519: 64 bytes, seed then public key). */
void private_key_encode(const struct ed25519_secret *secret,
                        uint8_t ret_protobuf[PRIVATE_KEY_ENCODED_SIZE]);
/* Also takes the older form of 96 bytes. PLASM_MALFORMED, PLASM_UNSUPPORTED (not Ed25519),
 * PLASM_UNTRUSTED (halves do not match). */
MUST_CHECK int private_key_decode(struct bytes protobuf, struct ed25519_secret *ret_secret);

#endif
