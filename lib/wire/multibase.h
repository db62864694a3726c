/* Text encodings: base58btc, base32 lower case, base64, base64url; with and without prefix. */
#ifndef WIRE_MULTIBASE_H
#define WIRE_MULTIBASE_H

#include "util/bytes.h"

/* The prefix is the encoding. Spec: multiformats/multibase. */
enum multibase {
    MULTIBASE_BASE16 = 'f',
    MULTIBASE_BASE32 = 'b',
    MULTIBASE_BASE58BTC = 'z',
    MULTIBASE_BASE64 = 'm',
    MULTIBASE_BASE64URL = 'u',
};

/* Longest input of the quadratic base58. */
#define BASE58_INPUT_MAX 256

/* Each writes text with a NUL into `room`: PLASM_TOO_LARGE where it does not fit (or base58 input
 * over its bound); each reads text into `room`, PLASM_MALFORMED for a wrong character, padding
 * or bits left over that are not zero, PLASM_TOO_LARGE. Base16 and base32 are read in either case.
 */
MUST_CHECK int base58_encode(struct bytes from, char *room, size_t room_size);
MUST_CHECK int base58_decode(struct bytes text, struct span room, size_t *ret_size);
MUST_CHECK int base32_encode(struct bytes from, char *room, size_t room_size);
MUST_CHECK int base32_decode(struct bytes text, struct span room, size_t *ret_size);
/* Standard alphabet with padding (RFC 4648, section 4); the decoder insists on both. */
MUST_CHECK int base64_encode(struct bytes from, char *room, size_t room_size);
MUST_CHECK int base64_decode(struct bytes text, struct span room, size_t *ret_size);
static inline size_t base64_size(size_t size) {
    return (size + 2) / 3 * 4;
}

/* With the prefix, and without padding. PLASM_UNSUPPORTED for another prefix than those above. */
MUST_CHECK int multibase_encode(enum multibase base, struct bytes from, char *room,
                                size_t room_size);
MUST_CHECK int multibase_decode(struct bytes text, struct span room, size_t *ret_size);

#endif
