/* Messages of circuit relay version 2: hop (between a client and its relay), stop (between a relay
 * and the peer that is called) and the reservation voucher.
 * Spec: libp2p/specs relay/circuit-v2.md. */
#ifndef PROTO_RELAY_MESSAGE_H
#define PROTO_RELAY_MESSAGE_H

#include "identity/envelope.h"

#define RELAY_HOP_PROTOCOL  "/libp2p/circuit/relay/0.2.0/hop"
#define RELAY_STOP_PROTOCOL "/libp2p/circuit/relay/0.2.0/stop"

/* A message without its length prefix, either protocol. */
#define RELAY_MESSAGE_SIZE_MAX 4096
/* Addresses of a reservation that are kept; more are left out. */
#define RELAY_ADDRESSES_MAX 16

/* Status codes of the specification. */
enum relay_status {
    RELAY_STATUS_UNUSED = 0,
    RELAY_STATUS_OK = 100,
    RELAY_STATUS_RESERVATION_REFUSED = 200,
    RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED = 201,
    RELAY_STATUS_PERMISSION_DENIED = 202,
    RELAY_STATUS_CONNECTION_FAILED = 203,
    RELAY_STATUS_NO_RESERVATION = 204,
    RELAY_STATUS_MALFORMED_MESSAGE = 400,
    RELAY_STATUS_UNEXPECTED_MESSAGE = 401,
};

/* For people; never NULL. */
const char *relay_status_text(uint32_t status);
/* What a status means for whoever asked: 0 for OK, PLASM_REFUSED, PLASM_LIMIT, PLASM_NOT_FOUND (no
 * reservation), PLASM_UNREACHABLE (the called peer), PLASM_MALFORMED. */
int relay_status_error(uint32_t status);

/* RELAY_RESERVE belongs to hop alone. */
enum relay_message_type { RELAY_RESERVE, RELAY_CONNECT, RELAY_STATUS };

/* What a relay lets through a circuit. Zero: no limit of that kind. */
struct relay_limit {
    bool present; /* absent: an unlimited relay */
    uint32_t duration_seconds;
    uint64_t data_bytes; /* in each direction */
};

struct relay_reservation {
    bool present;
    uint64_t expires_unix; /* seconds */
    size_t address_count;
    struct bytes addresses[RELAY_ADDRESSES_MAX]; /* the relay's, with its /p2p */
    struct bytes voucher;                        /* signed envelope, empty when absent */
};

/* One message of either protocol; everything borrowed, empty means absent. */
struct relay_message {
    enum relay_message_type type;
    struct bytes peer; /* CONNECT: who is called (hop), who calls (stop) */
    struct relay_reservation reservation;
    struct relay_limit limit;
    uint32_t status; /* enum relay_status, or one we do not know */
};

enum relay_protocol { RELAY_HOP, RELAY_STOP };

/* Appends the message with its length prefix. PLASM_TOO_LARGE over RELAY_MESSAGE_SIZE_MAX
 * (addresses are left out first), PLASM_NO_MEMORY. */
MUST_CHECK int relay_message_encode(enum relay_protocol protocol,
                                    const struct relay_message *message, struct buffer *out);
/* Decodes a message without its length prefix. A message without a type has the first one, as
 * protobuf's default says. PLASM_MALFORMED. */
MUST_CHECK int relay_message_decode(enum relay_protocol protocol, struct bytes payload,
                                    struct relay_message *ret_message);

/* A relay's word that it serves a peer; travels in a signed envelope. */
#define RELAY_VOUCHER_DOMAIN   "libp2p-relay-rsvp"
#define RELAY_VOUCHER_TYPE     "\x03\x02"
#define RELAY_VOUCHER_SIZE_MAX 128

struct relay_voucher {
    struct peer_id relay;
    struct peer_id peer;
    uint64_t expires_unix; /* seconds */
};

/* The envelope's payload; returns its size, which fits RELAY_VOUCHER_SIZE_MAX. */
size_t relay_voucher_encode(const struct relay_voucher *voucher,
                            uint8_t room[RELAY_VOUCHER_SIZE_MAX]);
/* PLASM_MALFORMED. */
MUST_CHECK int relay_voucher_decode(struct bytes payload, struct relay_voucher *ret_voucher);
/* Opens an envelope that `relay` must have signed for `peer`. PLASM_UNTRUSTED (signature, or it is
 * of somebody else or for somebody else), PLASM_EXPIRED (at `now_unix`), PLASM_MALFORMED and
 * envelope_open's other errors. */
MUST_CHECK int relay_voucher_check(struct bytes envelope, const struct peer_id *relay,
                                   const struct peer_id *peer, uint64_t now_unix,
                                   struct relay_voucher *ret_voucher);

#endif
