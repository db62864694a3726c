/* The asking end of AutoNAT: one question on one stream, v1 or v2.
 *
 * After every input transmit until it gives 0 (it gives nothing for good once the answer is there),
 * then take the event. In v2 a success counts only with the nonce that came back on a dial-back
 * stream: hand that in with autonat_client_dialled_back(). */
#ifndef AUTONAT_CLIENT_H
#define AUTONAT_CLIENT_H

#include "proto/autonat/message.h"
#include "util/buffer.h"
#include "util/time.h"

/* Addresses in one question at most. */
#define AUTONAT_CLIENT_ADDRESSES_MAX 16
/* go-libp2p serves a v2 request within 15 s, a v1 request within 60 s (a failed dial takes its
 * whole time there). */
#define AUTONAT_V1_CLIENT_TIMEOUT (60 * NANOS_SECOND)
#define AUTONAT_V2_CLIENT_TIMEOUT (20 * NANOS_SECOND)
/* The dial-back may still be on its way when the answer says that it was sent. */
#define AUTONAT_NONCE_TIMEOUT (5 * NANOS_SECOND)

struct autonat_client {
    enum autonat_version version;
    struct memory *memory;
    uint64_t nonce;
    size_t address_count;
    struct multiaddr *addresses;
    struct buffer in;
    struct buffer out;
    size_t data_left; /* to be sent yet, for a dial elsewhere */
    bool paid;        /* it may ask for data once */
    nanos deadline;
    bool answered;
    bool dialled_back;
    struct multiaddr dialler; /* where the dial-back came from */
    bool decided;
    bool given;
    int error;
    bool has_index;
    size_t index;
    struct multiaddr reached; /* v1 */
};

/* `own_id` is only sent in v1, `nonce` only in v2. Copies the addresses. PLASM_INVALID (none or too
 * many), PLASM_NO_MEMORY. */
MUST_CHECK int autonat_client_init(struct autonat_client *client, enum autonat_version version,
                                   struct bytes own_id, const struct multiaddr *addresses,
                                   size_t count, uint64_t nonce, struct memory *memory, nanos now);
void autonat_client_done(struct autonat_client *client);

void autonat_client_receive(struct autonat_client *client, struct bytes input, bool fin, nanos now);
size_t autonat_client_transmit(struct autonat_client *client, struct span room);
/* True when the nonce is this question's. `remote` is where the connection it came on is from. */
bool autonat_client_dialled_back(struct autonat_client *client, uint64_t nonce,
                                 const struct multiaddr *remote);
/* NANOS_NEVER once the event was given. */
nanos autonat_client_deadline(const struct autonat_client *client);
void autonat_client_expire(struct autonat_client *client, nanos now);

struct autonat_answer {
    /* 0: reached; PLASM_UNREACHABLE: not; PLASM_REFUSED: it dials none of them; PLASM_LIMIT: not
     * now; PLASM_UNTRUSTED: it claims what the nonce does not prove; PLASM_MALFORMED,
     * PLASM_TRUNCATED, PLASM_TIMEOUT, PLASM_FAILED (its own fault). */
    int error;
    bool has_index; /* which of the addresses it was; v1 may not say */
    size_t index;
    const struct multiaddr *address; /* v1: what it says it reached; NULL when it does not */
};
/* Once. */
bool autonat_client_next_event(struct autonat_client *client, struct autonat_answer *ret_answer);

#endif
