/* Direct connection upgrade through relay: two peers on a relayed connection tell each other their
 * addresses, measure the way between them and agree on the moment to open their NATs.
 *
 * The initiator is the side that was called (it accepted the relayed connection): it sends CONNECT,
 * gets CONNECT, sends SYNC and punches half a round trip later. The responder punches when SYNC
 * arrives, and is the client of the connection that comes of it. One machine is one attempt on one
 * stream; who tries again uses a new one.
 *
 * Use: dcutr_receive() with what came, dcutr_expire() at dcutr_deadline(); after either drain
 * dcutr_next_event() and send what dcutr_transmit() gives.
 * Spec: libp2p/specs relay/DCUtR.md. */
#ifndef PROTO_DCUTR_H
#define PROTO_DCUTR_H

#include "util/buffer.h"
#include "util/time.h"
#include "wire/multiaddr.h"

#define DCUTR_PROTOCOL "/libp2p/dcutr"

/* A message without its length prefix. */
#define DCUTR_MESSAGE_SIZE_MAX 4096
#define DCUTR_ADDRESSES_MAX    16
#define DCUTR_ATTEMPTS_MAX     3
#define DCUTR_ANSWER_TIMEOUT   (10 * NANOS_SECOND)

enum dcutr_type { DCUTR_CONNECT = 100, DCUTR_SYNC = 300 };

struct dcutr_message {
    enum dcutr_type type;
    size_t address_count;
    struct bytes addresses[DCUTR_ADDRESSES_MAX]; /* binary multiaddrs, borrowed, not checked */
};

/* Appends the message with its length prefix; addresses that would take it over the maximum are
 * left out. PLASM_NO_MEMORY. */
MUST_CHECK int dcutr_message_encode(const struct dcutr_message *message, struct buffer *out);
/* Decodes a message without its length prefix; addresses over the maximum are left out.
 * PLASM_MALFORMED. */
MUST_CHECK int dcutr_message_decode(struct bytes payload, struct dcutr_message *ret_message);

enum dcutr_role { DCUTR_INITIATOR, DCUTR_RESPONDER };

enum dcutr_state {
    DCUTR_WAITS_CONNECT,
    DCUTR_WAITS_SYNC,
    DCUTR_WAITS_MOMENT, /* SYNC is under way */
    DCUTR_DONE,
    DCUTR_OVER, /* failed */
};

enum dcutr_event_type {
    DCUTR_PUNCH,  /* now: the other side's addresses, rtt; the stream has served its purpose */
    DCUTR_FAILED, /* error: PLASM_MALFORMED, PLASM_TIMEOUT, PLASM_NOT_FOUND (no address that can
                     be dialled), PLASM_TRUNCATED, PLASM_NO_MEMORY */
};

struct dcutr_event {
    enum dcutr_event_type type;
    int error;
    nanos rtt; /* of the relayed connection */
    size_t address_count;
    const struct multiaddr *addresses; /* borrowed as long as the machine */
};

struct dcutr {
    enum dcutr_role role;
    enum dcutr_state state;
    struct buffer in;
    struct buffer out;
    nanos sent_at;
    nanos deadline;
    nanos rtt;
    bool has_event;
    int error;
    size_t address_count;
    struct multiaddr addresses[DCUTR_ADDRESSES_MAX]; /* the other side's */
    size_t own_count;
    struct multiaddr own[DCUTR_ADDRESSES_MAX];
};

/* `own` are our addresses as others see them (at most DCUTR_ADDRESSES_MAX count). The initiator has
 * something to transmit at once. PLASM_NO_MEMORY. */
MUST_CHECK int dcutr_init(struct dcutr *dcutr, enum dcutr_role role, const struct multiaddr *own,
                          size_t own_count, struct memory *memory, nanos now);
void dcutr_done(struct dcutr *dcutr);

/* Takes what came on the stream; `fin` when nothing follows. What comes after the end is ignored.
 */
void dcutr_receive(struct dcutr *dcutr, struct bytes input, bool fin, nanos now);
nanos dcutr_deadline(const struct dcutr *dcutr);
void dcutr_expire(struct dcutr *dcutr, nanos now);
bool dcutr_next_event(struct dcutr *dcutr, struct dcutr_event *ret_event);
/* Bytes to send, 0 when none. */
size_t dcutr_transmit(struct dcutr *dcutr, struct span room);

#endif
