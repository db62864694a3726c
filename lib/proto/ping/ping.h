/* libp2p ping 1.0.0: 32 bytes there and back. Spec: libp2p/specs ping/ping.md. */
#ifndef PROTO_PING_H
#define PROTO_PING_H

#include "crypto/random.h"
#include "util/bytes.h"
#include "util/time.h"

#define PING_PROTOCOL "/ipfs/ping/1.0.0"
#define PING_SIZE     32

/* The answering side: whole pings only, so that a slow peer costs 32 bytes. */
struct ping_server {
    size_t size;
    uint8_t bytes[PING_SIZE];
};

/* Takes input up to the end of one ping. Returns true when one is complete in `bytes` and must be
 * written back before the next call; *ret_consumed says how much was taken. */
bool ping_server_receive(struct ping_server *server, struct bytes input, size_t *ret_consumed);

/* The asking side: one ping at a time. */
struct ping_client {
    bool waiting;
    nanos sent_at;
    size_t size;
    uint8_t bytes[PING_SIZE];
};

/* A fresh payload to send; valid until the answer. PLASM_STATE while one is under way. */
MUST_CHECK int ping_client_send(struct ping_client *client, struct random *random, nanos now,
                                struct bytes *ret_payload);
/* Returns 0 with *ret_done and the round trip when the answer is complete; PLASM_MALFORMED for
 * another answer than what was sent, or one nobody asked for. */
MUST_CHECK int ping_client_receive(struct ping_client *client, struct bytes input, nanos now,
                                   bool *ret_done, nanos *ret_rtt);

#endif
