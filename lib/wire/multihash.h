/* Multihashes and content identifiers, as far as DHT keys need them. */
#ifndef WIRE_MULTIHASH_H
#define WIRE_MULTIHASH_H

#include "util/cursor.h"

enum multihash_code { MULTIHASH_IDENTITY = 0x00, MULTIHASH_SHA2_256 = 0x12 };

#define MULTIHASH_DIGEST_MAX 128
/* Code and size are uvarints. A CID has a version byte and a codec before it. */
#define MULTIHASH_SIZE_MAX (9 + 2 + MULTIHASH_DIGEST_MAX)
#define CID_SIZE_MAX       (1 + 9 + MULTIHASH_SIZE_MAX)

struct multihash {
    uint64_t code;
    struct bytes digest; /* borrowed */
};

/* Reads one multihash; more bytes may follow. PLASM_TRUNCATED, PLASM_MALFORMED or PLASM_TOO_LARGE
 * (digest over MULTIHASH_DIGEST_MAX) are latched in the cursor. Any code and any digest size pass:
 * what a code means is the caller's. Spec: multiformats/multihash. */
struct multihash multihash_read(struct cursor *cursor);
void multihash_write(struct writer *writer, uint64_t code, struct bytes digest);

/* The multihash (34 bytes) of the CID (version 1, raw, sha2-256) of `content`: the DHT key under
 * which providers of a tag such as "phase:worker:v1" are found. */
#define CONTENT_KEY_SIZE 34
void content_key(struct bytes content, uint8_t ret_key[CONTENT_KEY_SIZE]);
/* Binary CID (v0 or v1, nothing after it) to its multihash bytes, borrowed. PLASM_MALFORMED.
 * Spec: multiformats/cid. */
MUST_CHECK int cid_multihash(struct bytes cid, struct bytes *ret_multihash);

#endif
