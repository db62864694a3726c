/* The handshake pattern XX of Noise: symmetric state and the three messages, nothing of libp2p.
 * Spec: noiseprotocol.org revision 34, sections 5 and 7.5. */
#ifndef PROTO_NOISE_HANDSHAKE_H
#define PROTO_NOISE_HANDSHAKE_H

#include "crypto/aead.h"
#include "crypto/dh.h"
#include "crypto/hash.h"
#include "util/cursor.h"

#define HANDSHAKE_MESSAGES 3

struct noise_cipher {
    uint8_t key[AEAD_KEY_SIZE];
    uint64_t nonce; /* of the next message; the last one is reserved */
};

struct noise_handshake {
    uint8_t chaining_key[SHA256_SIZE];
    uint8_t hash[SHA256_SIZE];
    bool has_key;
    struct noise_cipher cipher;
    uint8_t s[X25519_SIZE];
    uint8_t s_public[X25519_SIZE];
    uint8_t e[X25519_SIZE];
    uint8_t e_public[X25519_SIZE];
    uint8_t rs[X25519_SIZE];
    uint8_t re[X25519_SIZE];
};

/* `s` is the static pair, `e` the ephemeral secret. The prologue is empty. */
void handshake_init(struct noise_handshake *handshake, const uint8_t s[X25519_SIZE],
                    const uint8_t s_public[X25519_SIZE], const uint8_t e[X25519_SIZE]);
/* Message `number` (0 to 2) with its payload. PLASM_UNTRUSTED for a bad key of the peer,
 * PLASM_TOO_LARGE when the room ends. */
MUST_CHECK int handshake_write(struct noise_handshake *handshake, unsigned number,
                               struct bytes payload, struct writer *writer);
/* Opens message `number` in place; the payload lies in it. PLASM_MALFORMED (too short),
 * PLASM_UNTRUSTED. */
MUST_CHECK int handshake_read(struct noise_handshake *handshake, unsigned number,
                              struct span message, struct bytes *ret_payload);
/* The ciphers of what the initiator and the responder send from now on. */
void handshake_split(const struct noise_handshake *handshake, struct noise_cipher *ret_initiator,
                     struct noise_cipher *ret_responder);

/* The nonce on the wire's side: 32 zero bits, then the number, little endian. Section 12.3. */
void noise_nonce(uint64_t number, uint8_t ret_nonce[AEAD_NONCE_SIZE]);

#endif
