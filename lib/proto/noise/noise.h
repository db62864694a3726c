/* Noise as libp2p secures ordered byte pipes with it: XX_25519_ChaChaPoly_SHA256, identities and
 * extensions in the payloads, then messages of up to 65535 bytes. Sans-I/O: bytes in, events and
 * bytes out; handshake deadlines are the owner's.
 *
 * After any call: drain noise_next_event() until it gives false, then noise_transmit() until 0. A
 * failure latches: NOISE_FAILED is the last event. There is no goodbye on the wire: who owns the
 * pipe sees its end.
 * Specs: libp2p/specs noise/README.md; noiseprotocol.org revision 34; libp2p/specs
 * connections/inlined-muxer-negotiation.md. */
#ifndef PROTO_NOISE_NOISE_H
#define PROTO_NOISE_NOISE_H

#include "crypto/aead.h"
#include "crypto/dh.h"
#include "crypto/random.h"
#include "identity/peer_id.h"
#include "util/memory.h"

#define NOISE_PROTOCOL "/noise"

/* A message on the wire, without its two bytes of length; what it carries at most. */
#define NOISE_MESSAGE_SIZE_MAX 65535
#define NOISE_DATA_SIZE_MAX    (NOISE_MESSAGE_SIZE_MAX - AEAD_TAG_SIZE)
/* What a message is longer on the wire than the data in it. */
#define NOISE_OVERHEAD (2 + AEAD_TAG_SIZE)
/* A handshake message of a peer: the longest key, its signature and some extensions. */
#define NOISE_HANDSHAKE_SIZE_MAX 4096
/* Muxers in a peer's extension that are looked at, and in our own. */
#define NOISE_MUXERS_MAX       16
#define NOISE_MUXERS_OURS_MAX  4
#define NOISE_MUXER_NAME_MAX   64
#define NOISE_PAYLOAD_SIZE_MAX 128
#define NOISE_BINDING_PREFIX   "noise-libp2p-static-key:"
#define NOISE_BINDING_SIZE     (sizeof(NOISE_BINDING_PREFIX) - 1 + X25519_SIZE)

/* The static key pair and the payload that binds it to the identity: made once a process, because
 * the signature is another's business:
 *   noise_identity_prepare(&identity, secret)
 *   (the signer signs noise_binding(identity.public_key) with the identity key)
 *   noise_identity_finish(&identity, ...)
 */
struct noise_identity {
    uint8_t secret[X25519_SIZE];
    uint8_t public_key[X25519_SIZE];
    uint16_t payload_size; /* 0: not finished */
    uint8_t payload[NOISE_PAYLOAD_SIZE_MAX];
};

/* `secret` are 32 random bytes. */
void noise_identity_prepare(struct noise_identity *identity, const uint8_t secret[X25519_SIZE]);
/* What the identity key signs for a static public key. */
void noise_binding(const uint8_t public_key[X25519_SIZE], uint8_t ret_message[NOISE_BINDING_SIZE]);
/* PLASM_UNTRUSTED when the signature is not the key's, PLASM_UNSUPPORTED unless it is Ed25519. */
MUST_CHECK int noise_identity_finish(struct noise_identity *identity, const struct public_key *key,
                                     struct bytes signature);
/* Wipes the secret. */
void noise_identity_done(struct noise_identity *identity);

struct noise_config {
    bool initiator;
    const struct noise_identity *identity; /* borrowed until noise_free */
    const struct peer_id *expected;        /* copied; NULL: any */
    /* For early negotiation, in order of preference; borrowed until noise_free; may be none. */
    const char *const *muxers;
    size_t muxer_count;
    struct memory *memory;
    struct random *random; /* used in noise_new() alone */
};

enum noise_event_type {
    NOISE_READY,  /* peer_id, key, muxer */
    NOISE_DATA,   /* data */
    NOISE_END,    /* never: here so that secure channels are alike */
    NOISE_FAILED, /* error, text */
};

struct noise_event {
    enum noise_event_type type;
    /* PLASM_MALFORMED, PLASM_UNTRUSTED (a tag, a signature, or not the expected peer),
     * PLASM_UNSUPPORTED (the peer's key type), PLASM_NO_MEMORY, PLASM_LIMIT (nonces used up). */
    int error;
    struct peer_id peer_id;
    const struct public_key *key; /* borrowed, as all here, until the next call */
    const char *muxer;            /* one of the config's, agreed on early; or NULL */
    struct bytes data;
    const char *text;
};

struct noise;

/* An initiator has something to transmit at once. PLASM_NO_MEMORY; PLASM_INVALID for more than
 * NOISE_MUXERS_OURS_MAX muxers, a name that is too long, or an identity that is not finished. */
MUST_CHECK int noise_new(const struct noise_config *config, struct noise **ret_noise);
/* Wipes the keys. NULL is allowed. */
void noise_free(struct noise *noise);

/* Takes all of `input`, which is changed (messages are opened where they lie) and must stay until
 * noise_next_event() has given false. PLASM_STATE when events of an earlier input are still there;
 * after a failure the input is ignored and 0 returned. */
MUST_CHECK int noise_receive(struct noise *noise, struct span input);
bool noise_next_event(struct noise *noise, struct noise_event *ret_event);
/* Handshake messages for the other side, 0 when there are none. */
size_t noise_transmit(struct noise *noise, struct span room);
/* Seals as much of the pieces as fits `room`, in as few messages as possible; returns the bytes
 * written, *ret_taken says how many of the pieces' bytes are in them. 0 before NOISE_READY was
 * given, while handshake bytes wait to be transmitted, after a failure, and for a room that is too
 * small. `room` overlaps no piece. */
size_t noise_seal(struct noise *noise, const struct bytes *pieces, size_t count, struct span room,
                  size_t *ret_taken);

#endif
