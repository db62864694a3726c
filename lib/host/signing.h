/* What an identity key may sign, and how: each kind of request is checked, and the bytes that are
 * signed are made here. There is no way to have anything else signed. No I/O. */
#ifndef HOST_SIGNING_H
#define HOST_SIGNING_H

#include "identity/peer_id.h"
#include "util/memory.h"

/* Largest payload of any kind, bytes: a receipt, a peer record. */
#define SIGNING_PAYLOAD_SIZE_MAX 8192

/* Kinds of request and what their payload is. The numbers are plasm-sign's protocol. */
enum signing_kind {
    SIGNING_TLS = 1,           /* SubjectPublicKeyInfo of a P-256 key: the certificate's binding */
    SIGNING_NOISE = 2,         /* static X25519 key, 32 bytes: Noise's binding */
    SIGNING_PEER_RECORD = 3,   /* payload of an envelope that names this identity */
    SIGNING_CAPABILITY = 4,    /* likewise */
    SIGNING_RELAY_VOUCHER = 5, /* likewise; the relay is this identity */
    SIGNING_RECEIPT = 6,       /* a receipt in canonical JSON, whose worker is this identity */
    SIGNING_SUMMARY = 7,       /* the same; its four-key summary is what is signed */
};

/* The key, and who it is. Lives where its owner protects it. */
struct signing_identity {
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    char id_text[PEER_ID_TEXT_MAX];
};

/* Takes a copy of the secret. */
void signing_identity_init(struct signing_identity *identity, const struct ed25519_secret *secret);
/* Wipes it. */
void signing_identity_done(struct signing_identity *identity);

/* Checks the payload and signs what its kind says. PLASM_INVALID: not well formed, not in its one
 * canonical form, or another identity's; PLASM_UNSUPPORTED: no such kind; PLASM_NO_MEMORY. */
MUST_CHECK int signing_sign(const struct signing_identity *identity, enum signing_kind kind,
                            struct bytes payload, struct memory *memory,
                            uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);

/* Domain and payload type of the envelopes of kinds PEER_RECORD, CAPABILITY and RELAY_VOUCHER. */
void signing_envelope(enum signing_kind kind, struct bytes *ret_domain, struct bytes *ret_type);

#endif
