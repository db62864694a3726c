/* Unsigned varints (multiformats unsigned-varint): minimal, 9 bytes and 63 bits at most. */
#ifndef WIRE_VARINT_H
#define WIRE_VARINT_H

#include "util/cursor.h"

#define UVARINT_SIZE_MAX 9

/* Spec: multiformats/unsigned-varint. PLASM_TRUNCATED, PLASM_MALFORMED (too long, not minimal) are
 * latched in the cursor, 0 is returned. */
uint64_t uvarint_read(struct cursor *cursor);
void uvarint_write(struct writer *writer, uint64_t value);
size_t uvarint_size(uint64_t value);

/* A uvarint-length-prefixed frame at the start of `input`, as multistream, identify, Kademlia and
 * the job protocol use. Returns 0 and the payload (borrowed) and the bytes of the whole frame;
 * PLASM_TRUNCATED (read more), PLASM_TOO_LARGE (payload over `payload_max`, known as soon as the
 * length is), PLASM_MALFORMED. */
MUST_CHECK int frame_read(struct bytes input, size_t payload_max, struct bytes *ret_payload,
                          size_t *ret_frame_size);

#endif
