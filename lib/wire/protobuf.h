/* Protocol buffers on the wire, read in place and written in order, without a generator: a message
 * is a loop over fields; nothing is allocated or copied and every bound is the caller's to see. */
#ifndef WIRE_PROTOBUF_H
#define WIRE_PROTOBUF_H

#include "util/cursor.h"

enum protobuf_type {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5,
};

/* One field. `number` and `type` are the wire's; of the other two one is set. */
struct protobuf_field {
    uint32_t number;
    enum protobuf_type type;
    uint64_t value;     /* varint, fixed32, fixed64 */
    struct bytes bytes; /* strings, bytes, submessages: borrowed */
};

/* Reads the next field; false at the end of the message or after an error, which is then latched in
 * the cursor (PLASM_TRUNCATED or PLASM_MALFORMED; in a whole message both mean malformed). Groups
 * are refused. A varint may have 10 bytes (64 bits) and need not be minimal.
 * Spec: protobuf.dev "Encoding". */
bool protobuf_next(struct cursor *message, struct protobuf_field *ret_field);

/* Typed access: the value when the wire type fits; else latches PLASM_MALFORMED in `message` and
 * gives 0 or nothing. */
uint64_t protobuf_varint(struct cursor *message, const struct protobuf_field *field);
struct bytes protobuf_bytes(struct cursor *message, const struct protobuf_field *field);

/* Writers. Zero and empty are written too: leaving out is the caller's decision. */
void protobuf_put_varint(struct writer *writer, uint32_t number, uint64_t value);
void protobuf_put_bytes(struct writer *writer, uint32_t number, struct bytes bytes);
void protobuf_put_string(struct writer *writer, uint32_t number, const char *string);
/* Writes the head of a submessage whose encoded size is known. */
void protobuf_put_head(struct writer *writer, uint32_t number, size_t size);
/* A submessage written in place, its size unknown before: `begin` leaves one byte for the size,
 * `end` fills it in and moves the content where the size needs more. One may lie in another. */
size_t protobuf_begin(struct writer *writer, uint32_t number);
void protobuf_end(struct writer *writer, size_t mark);
/* Sizes of the fields as written above. */
size_t protobuf_varint_size(uint32_t number, uint64_t value);
size_t protobuf_bytes_size(uint32_t number, size_t size);

#endif
