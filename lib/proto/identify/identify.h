/* libp2p identify 1.0.0 and identify/push: what a peer says of itself.
 * Spec: libp2p/specs identify/README.md. */
#ifndef PROTO_IDENTIFY_H
#define PROTO_IDENTIFY_H

#include "identity/peer_id.h"
#include "util/buffer.h"

#define IDENTIFY_PROTOCOL      "/ipfs/id/1.0.0"
#define IDENTIFY_PUSH_PROTOCOL "/ipfs/id/push/1.0.0"

/* What we send fits one message of this size: rust-libp2p reads no more than 4096 bytes. */
#define IDENTIFY_SENT_MAX 4096
/* What we take: parts of one message, merged. */
#define IDENTIFY_PART_MAX      8192
#define IDENTIFY_PARTS_MAX     10
#define IDENTIFY_TOTAL_MAX     (IDENTIFY_PART_MAX * IDENTIFY_PARTS_MAX)
#define IDENTIFY_ADDRESSES_MAX 64
#define IDENTIFY_PROTOCOLS_MAX 128

/* One identify message. Everything is borrowed: from the caller when written, from the input when
 * read. Nothing in it is checked but its shape; empty means absent. */
struct identify {
    struct bytes protocol_version;
    struct bytes agent;
    struct bytes public_key;    /* protobuf PublicKey */
    struct bytes observed;      /* binary multiaddr of the reader as the writer sees it */
    struct bytes signed_record; /* envelope with a peer record */
    size_t address_count;
    struct bytes addresses[IDENTIFY_ADDRESSES_MAX]; /* binary multiaddrs */
    size_t protocol_count;
    struct bytes protocols[IDENTIFY_PROTOCOLS_MAX];
};

/* Appends the message with its length prefix. Addresses that would take it over IDENTIFY_SENT_MAX
 * are left out, then the signed record. PLASM_TOO_LARGE when even so it does not fit,
 * PLASM_NO_MEMORY. */
MUST_CHECK int identify_encode(const struct identify *message, struct buffer *out);

/* Merges one part (without length prefix) into `message`, which starts zeroed: single fields are
 * replaced where present, lists grow; what is over the maxima is left out. PLASM_MALFORMED. */
MUST_CHECK int identify_merge(struct bytes part, struct identify *message);

/* Appends, as a part without length prefix, the fields of `before` that `update` lacks: joined to
 * the update they are the whole message again. What an identify/push leaves out has not changed.
 * PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
MUST_CHECK int identify_inherit(const struct identify *before, const struct identify *update,
                                struct buffer *out);

/* True when `protocol` is in the message's list. */
bool identify_has_protocol(const struct identify *message, const char *protocol);

#endif
