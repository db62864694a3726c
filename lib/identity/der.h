/* Walking DER (ITU-T X.690): bounded, nothing copied, strict about lengths. */
#ifndef IDENTITY_DER_H
#define IDENTITY_DER_H

#include "util/cursor.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0, /* [0] EXPLICIT, and so on */
    DER_CONTEXT_3 = 0xa3,
};

/* One element: the whole of it, and what is inside; both borrowed. */
struct der {
    uint8_t tag;
    struct bytes whole;
    struct bytes content;
};

/* The next element of whatever tag below 31. Latches PLASM_MALFORMED in the cursor: what a DER
 * certificate lacks will not come later. */
struct der der_next(struct cursor *in);
/* The next element, which must have this tag. */
struct der der_expect(struct cursor *in, uint8_t tag);
/* True when the next element has this tag. */
bool der_next_is(const struct cursor *in, uint8_t tag);
/* The content of the next element of this tag, to be walked itself. */
struct cursor der_enter(struct cursor *in, uint8_t tag);
/* Latches PLASM_MALFORMED when something is left. */
void der_end(struct cursor *in);

/* UTCTime or GeneralizedTime in the forms of RFC 5280 (4.1.2.5: with seconds, in Z) as unix
 * seconds. Latches PLASM_MALFORMED. */
int64_t der_time(struct cursor *in);

#endif
