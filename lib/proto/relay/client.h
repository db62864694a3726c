/* Which relays hold a place for us: whom to ask, when to ask again, and under which addresses
 * others then reach us. Its owner connects, sends RESERVE and brings the answer. Spec: libp2p/specs
 * relay/circuit-v2.md. */
#ifndef PROTO_RELAY_CLIENT_H
#define PROTO_RELAY_CLIENT_H

#include "proto/relay/message.h"
#include "util/list.h"
#include "util/time.h"
#include "wire/multiaddr.h"

/* Relays known, those in use and those to fall back on. */
#define RELAY_CANDIDATES_MAX 16
/* Reservations kept at a time. */
#define RELAY_RESERVATIONS_WANTED     2
#define RELAY_CANDIDATE_ADDRESSES_MAX 4
/* After a refusal a relay is asked again later and later. */
#define RELAY_RETRY_PAUSE_MIN (10 * NANOS_SECOND)
#define RELAY_RETRY_PAUSE_MAX (10 * NANOS_MINUTE)
#define RELAY_ANSWER_TIMEOUT  (20 * NANOS_SECOND)

enum relay_candidate_state {
    RELAY_CANDIDATE_IDLE, /* not asked, or not before `due` */
    RELAY_CANDIDATE_ASKED,
    RELAY_CANDIDATE_RESERVED, /* asked again at `due` */
    RELAY_CANDIDATE_REFRESHING,
};

struct relay_candidate {
    struct list_node node; /* in the client, configured ones first */
    struct peer_id id;
    bool configured; /* the operator's: never dropped for another */
    enum relay_candidate_state state;
    uint64_t ask;
    nanos due;
    nanos until; /* of the reservation */
    uint32_t failures;
    struct relay_limit limit;
    size_t address_count;
    struct multiaddr addresses[RELAY_CANDIDATE_ADDRESSES_MAX]; /* to dial it; without /p2p */
    size_t own_count;
    struct multiaddr own[RELAY_CANDIDATE_ADDRESSES_MAX]; /* ours, ending in /p2p-circuit */
};

struct relay_client {
    struct peer_id id;
    struct memory *memory;
    struct list candidates;
    bool enabled;
    bool changed;
    uint64_t asks;
};

/* Whom to ask for a reservation: connect to it if there is no direct connection, and send RESERVE.
 * Ends with relay_client_answered() or relay_client_failed(). */
struct relay_ask {
    uint64_t id;
    struct peer_id relay;
    size_t address_count;
    struct multiaddr addresses[RELAY_CANDIDATE_ADDRESSES_MAX];
};

void relay_client_init(struct relay_client *client, const struct peer_id *id,
                       struct memory *memory);
void relay_client_done(struct relay_client *client);

/* A relay that may be asked. Known already: what is new in its addresses is learned. When there is
 * no room, an unused one that was not configured makes it. PLASM_NO_MEMORY, PLASM_LIMIT. */
MUST_CHECK int relay_client_add(struct relay_client *client, const struct peer_id *relay,
                                const struct multiaddr *addresses, size_t count, bool configured,
                                nanos now);
/* Reservations are kept while enabled; disabling forgets those there are. Off at first. */
void relay_client_enable(struct relay_client *client, bool enabled, nanos now);

/* The next one to ask now; false when none. */
bool relay_client_next_ask(struct relay_client *client, nanos now, struct relay_ask *ret_ask);
/* The relay's STATUS message. `remote` is where we are connected to it (without /p2p), which stands
 * for its addresses when it tells none. Returns 0 when it holds a place for us, else why not
 * (PLASM_REFUSED and so on; PLASM_UNTRUSTED for a voucher that does not hold, PLASM_EXPIRED). */
MUST_CHECK int relay_client_answered(struct relay_client *client, uint64_t ask,
                                     const struct relay_message *message,
                                     const struct multiaddr *remote, uint64_t now_unix, nanos now);
void relay_client_failed(struct relay_client *client, uint64_t ask, nanos now);
/* The last connection to this peer is gone: so is the reservation. */
void relay_client_disconnected(struct relay_client *client, const struct peer_id *relay, nanos now);

/* True while this peer holds a place for us. */
bool relay_client_reserved(const struct relay_client *client, const struct peer_id *relay);
size_t relay_client_reservations(const struct relay_client *client);
/* Our addresses by relays, without /p2p of ours at the end; how many. */
size_t relay_client_addresses(const struct relay_client *client, struct multiaddr *ret_addresses,
                              size_t count_max);
/* True once after the addresses changed. */
bool relay_client_take_change(struct relay_client *client);

nanos relay_client_deadline(const struct relay_client *client);
/* Gives up what was not answered and reservations that ended. */
void relay_client_expire(struct relay_client *client, nanos now);

#endif
