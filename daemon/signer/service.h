/* plasm-sign's side of the protocol: a packet of requests in, a packet of answers out. No I/O. */
#ifndef SIGNER_SERVICE_H
#define SIGNER_SERVICE_H

#include "signer/protocol.h"

struct sign_service {
    const struct signing_identity *identity; /* NULL: there is none, `fault` says why */
    const char *fault;                       /* one line for people, SIGN_TEXT_SIZE_MAX at most */
    struct memory *memory;
};

/* Answers all requests of a packet. `room` is SIGN_ANSWERS_SIZE_MAX bytes. PLASM_MALFORMED: hang
 * up. */
MUST_CHECK int sign_service_answer(const struct sign_service *service, struct bytes packet,
                                   struct span room, struct bytes *ret_answers);

#endif
