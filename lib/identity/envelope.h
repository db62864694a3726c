/* Signed envelopes (RFC 0002) and peer records (RFC 0003) of libp2p. */
#ifndef IDENTITY_ENVELOPE_H
#define IDENTITY_ENVELOPE_H

#include "identity/peer_id.h"
#include "util/buffer.h"

#define ENVELOPE_SIZE_MAX 8192

/* A read envelope; everything borrowed from the input but the key. */
struct envelope {
    struct public_key key;
    struct peer_id signer;
    struct bytes payload_type;
    struct bytes payload;
};

/* Decodes and verifies under `domain` (ours, 64 bytes at most). PLASM_MALFORMED, PLASM_TOO_LARGE,
 * PLASM_UNTRUSTED, PLASM_UNSUPPORTED. Spec: libp2p/specs RFC/0002-signed-envelopes.md. */
MUST_CHECK int envelope_open(struct bytes envelope, struct bytes domain,
                             struct envelope *ret_envelope);
/* Appends the bytes that the identity key must sign. */
MUST_CHECK int envelope_message(struct bytes domain, struct bytes payload_type,
                                struct bytes payload, struct buffer *out);
/* Appends the envelope around an Ed25519 or other signature. PLASM_TOO_LARGE above
 * ENVELOPE_SIZE_MAX, PLASM_NO_MEMORY. */
MUST_CHECK int envelope_seal(const struct public_key *key, struct bytes payload_type,
                             struct bytes payload, struct bytes signature, struct buffer *out);

/* Peer records: domain "libp2p-peer-record", payload type 0x0301. */
#define PEER_RECORD_DOMAIN        "libp2p-peer-record"
#define PEER_RECORD_TYPE          "\x03\x01"
#define PEER_RECORD_SIZE_MAX      8192
#define PEER_RECORD_ADDRESSES_MAX 64

struct peer_record {
    struct peer_id peer_id;
    uint64_t seq;
    size_t address_count;
    struct bytes
        addresses[PEER_RECORD_ADDRESSES_MAX]; /* binary multiaddrs, borrowed, not checked */
};

/* Appends the payload. PLASM_TOO_LARGE above PEER_RECORD_SIZE_MAX, PLASM_NO_MEMORY. */
MUST_CHECK int peer_record_encode(const struct peer_record *record, struct buffer *out);
/* PLASM_MALFORMED; addresses beyond the maximum are left out. */
MUST_CHECK int peer_record_decode(struct bytes payload, struct peer_record *ret_record);

#endif
