/* Peer ids: the multihash of a public key. Spec: libp2p/specs peer-ids/peer-ids.md. */
#ifndef IDENTITY_PEER_ID_H
#define IDENTITY_PEER_ID_H

#include "identity/key.h"

/* sha2-256 ids have 34 bytes; identity ids hold keys of up to 42 encoded bytes. */
#define PEER_ID_SIZE_MAX 44
/* Text in base58 with NUL. */
#define PEER_ID_TEXT_MAX 64

/* Plain data, compared with peer_id_equal. size 0 is no peer. */
struct peer_id {
    uint8_t size;
    uint8_t bytes[PEER_ID_SIZE_MAX];
};

static inline struct bytes peer_id_bytes(const struct peer_id *id) {
    return bytes_of(id->bytes, id->size);
}
static inline bool peer_id_equal(const struct peer_id *a, const struct peer_id *b) {
    return bytes_equal(peer_id_bytes(a), peer_id_bytes(b));
}

/* Of a public key: identity multihash up to 42 bytes of encoded key, sha2-256 above. */
void peer_id_from_key(const struct public_key *key, struct peer_id *ret_id);
/* From binary. PLASM_MALFORMED. */
MUST_CHECK int peer_id_decode(struct bytes binary, struct peer_id *ret_id);
/* From text: base58 ("12D3Koo...", "Qm...") or a CID ("bafz...", libp2p-key). PLASM_MALFORMED,
 * PLASM_UNSUPPORTED (another multibase, or no peer id at all). */
MUST_CHECK int peer_id_parse(struct bytes text, struct peer_id *ret_id);
/* base58 with NUL; `room` holds PEER_ID_TEXT_MAX. */
void peer_id_format(const struct peer_id *id, char *room);
/* The key inside an identity id, PLASM_NOT_FOUND for hashed ones, PLASM_MALFORMED,
 * PLASM_UNSUPPORTED (type). */
MUST_CHECK int peer_id_key(const struct peer_id *id, struct public_key *ret_key);
/* PLASM_UNTRUSTED unless `id` is the id of `key`. */
MUST_CHECK int peer_id_check(const struct peer_id *id, const struct public_key *key);

#endif
