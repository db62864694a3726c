/* What libp2p puts into Noise's second and third message: the identity key, its signature over the
 * static key, and the muxers. Spec: libp2p/specs noise/README.md, "The libp2p Handshake Payload".
 */
#ifndef PROTO_NOISE_PAYLOAD_H
#define PROTO_NOISE_PAYLOAD_H

#include "proto/noise/noise.h"
#include "util/cursor.h"

/* The peer's, borrowed from the message. */
struct noise_payload {
    struct bytes key; /* protobuf PublicKey */
    struct bytes signature;
    struct bytes muxers[NOISE_MUXERS_MAX]; /* what is beyond is not looked at */
    size_t muxer_count;
};

/* PLASM_MALFORMED. */
MUST_CHECK int noise_payload_decode(struct bytes message, struct noise_payload *ret_payload);
/* The identity's payload and our muxers. */
void noise_payload_put(struct writer *writer, const struct noise_identity *identity,
                       const char *const *muxers, size_t muxer_count);
/* The first of the initiator's muxers that the other has too, as one of ours; NULL for none. */
const char *noise_payload_muxer(const struct noise_payload *theirs, bool initiator,
                                const char *const *muxers, size_t muxer_count);

#endif
