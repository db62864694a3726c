/* What plasmd and plasm-sign say to each other.
 *
 * The socket is AF_UNIX SOCK_SEQPACKET: a packet holds one or more frames, whole, and no more than
 * SIGN_PACKET_SIZE_MAX bytes. Integers are big endian.
 *
 *   request   kind (uint8), number (uint32), size (uint16), `size` bytes of payload
 *   answer    outcome (uint8), number (uint32), size (uint16), `size` bytes
 *
 * Kinds are enum signing_kind (host/signing.h) and SIGN_IDENTIFY, whose payload is the protocol's
 * version (uint16) and whose answer is the public key, 32 bytes; other answers are signatures, 64
 * bytes. Where the outcome is not SIGN_OK the bytes are a line of text for people. Answers come in
 * the order of the requests, those of a packet in one packet. Whoever sends what does not decode is
 * hung up on. A request may be sent again: the same key signs the same bytes alike. */
#ifndef SIGNER_PROTOCOL_H
#define SIGNER_PROTOCOL_H

#include "host/signing.h"
#include "util/cursor.h"

/* Grows with every change of a frame. */
#define SIGN_PROTOCOL_VERSION 1

/* Bounds. A packet full of the largest requests has room for seven. */
#define SIGN_PACKET_SIZE_MAX  65536
#define SIGN_FRAMES_MAX       64
#define SIGN_FRAME_HEAD_SIZE  7
#define SIGN_TEXT_SIZE_MAX    200
#define SIGN_ANSWERS_SIZE_MAX (SIGN_FRAMES_MAX * (SIGN_FRAME_HEAD_SIZE + SIGN_TEXT_SIZE_MAX))
#define SIGN_VERSION_SIZE     2

/* Asks who the signer is; the first thing on a connection. */
#define SIGN_IDENTIFY 0

enum sign_outcome {
    SIGN_OK = 0,
    SIGN_REFUSED = 1, /* the payload is not what its kind says, or not this identity's */
    SIGN_FAILED = 2,  /* the signer has no key, or no memory */
    SIGN_VERSION = 3, /* another version of this protocol */
};

struct sign_request {
    uint8_t kind;
    uint32_t number;
    struct bytes payload; /* borrowed */
};

struct sign_answer {
    enum sign_outcome outcome;
    uint32_t number;
    struct bytes body; /* borrowed */
};

/* Takes the next request of a packet, or answer. Sizes are checked against what the kind or outcome
 * allows; the payload is not looked at. PLASM_MALFORMED. */
MUST_CHECK int sign_request_next(struct cursor *packet, struct sign_request *ret_request);
MUST_CHECK int sign_answer_next(struct cursor *packet, struct sign_answer *ret_answer);

/* Append a frame; the writer's error says whether there was room. */
void sign_request_put(struct writer *packet, const struct sign_request *request);
void sign_answer_put(struct writer *packet, const struct sign_answer *answer);

#endif
