/* The Kademlia DHT of one node, as a machine: answers in, requests and events out.
 *
 * The host (lib/peer or a test) drives it:
 *   after any input: kad_next_event until false, kad_next_ask until false, then re-arm its timer
 *   with kad_deadline(); when the time comes: kad_expire().
 * For each ask the host connects to the peer (it may know more addresses than the ask names), opens
 * a stream, writes the request with its length prefix and gives back the answer's payload by
 * kad_answer() or, whatever went wrong, kad_answer_failed(). It reports every identified peer by
 * kad_peer_identified(): that is how peers become seeds of lookups and members of the table.
 *
 * Everything that happens follows from the inputs, their times and the random generator.
 * Spec: libp2p/specs kad-dht/README.md; bounds: proto/kad/limits.h. */
#ifndef PROTO_KAD_KAD_H
#define PROTO_KAD_KAD_H

#include "crypto/random.h"
#include "identity/peer_id.h"
#include "proto/kad/addresses.h"
#include "proto/kad/limits.h"
#include "proto/kad/namespace.h"
#include "util/buffer.h"
#include "util/memory.h"
#include "util/netaddr.h"
#include "util/time.h"

/* The project's DHT; the host negotiates it, this module does not care. */
#define KAD_PROTOCOL "/phase/kad/1.0.0"

struct kad;

/* A server answers requests and may be in other nodes' tables; a client only asks. Who is a client
 * does not list the protocol in identify. */
enum kad_mode { KAD_CLIENT, KAD_SERVER };

struct kad_config {
    struct peer_id own_id;
    enum kad_mode mode;
    struct kad_limits limits;         /* start from kad_limits_default() */
    struct kad_namespaces namespaces; /* list and contexts must live as long as the machine */
    struct random *random;            /* the caller's, must live as long as the machine */
};

/* PLASM_NO_MEMORY; PLASM_INVALID for an empty own id. */
MUST_CHECK int kad_new(const struct kad_config *config, struct memory *memory, nanos now,
                       struct kad **ret_kad);
/* Ends everything without events. NULL is allowed. */
void kad_free(struct kad *kad);

void kad_set_mode(struct kad *kad, enum kad_mode mode);
/* Our own addresses as others should dial them (binary multiaddrs, with or without /p2p/own id):
 * they go into ADD_PROVIDER and into answers that name us. Keys we provide are announced again
 * soon when they change. PLASM_MALFORMED when one is no multiaddr; then nothing changes. */
MUST_CHECK int kad_set_addresses(struct kad *kad, const struct bytes *addresses, size_t count,
                                 nanos now);

/* --- What the host reports ------------------------------------------------------------------ */

/* A peer, as far as the host knows it. */
struct kad_peer {
    struct peer_id id;
    const struct bytes *addresses; /* binary multiaddrs as identify gave them */
    size_t address_count;
    const struct netaddr *remote; /* the connection's far end; NULL when relayed or not connected */
    bool is_server;               /* lists the protocol */
    bool is_connected;
};

/* Call after identify and after each identify push. Also with is_connected false for a server known
 * from elsewhere (mDNS, remembered): it seeds lookups until better ones are known. A peer enters
 * the table once it is a server here and has answered a request; a server that comes to be a client
 * leaves it. PLASM_NO_MEMORY: the peer is not noted, nothing else is lost. */
MUST_CHECK int kad_peer_identified(struct kad *kad, const struct kad_peer *peer, nanos now);
/* The last connection to the peer has ended. */
void kad_peer_disconnected(struct kad *kad, const struct peer_id *id, nanos now);
/* Asks a peer who its nearest to us are, and those it names in turn, as far as they are nearer than
 * the k we know: where a network was in two parts, one peer of the other is enough to meet all that
 * should know us. For a peer that is connected or known. */
void kad_ask_neighbours(struct kad *kad, const struct peer_id *id, nanos now);

/* A request that came in: the payload of one message. `room` must have KAD_MESSAGE_SIZE_MAX bytes
 * and receives the answer's payload; *ret_size 0 means there is none to send (ADD_PROVIDER).
 * `remote` is the connection's far end or NULL. PLASM_MALFORMED, PLASM_TOO_LARGE (reset the
 * stream), PLASM_UNSUPPORTED (we are a client, or an unknown request), PLASM_REFUSED (a record we
 * do not keep), PLASM_LIMIT (the stores are full), PLASM_NO_MEMORY. */
MUST_CHECK int kad_request(struct kad *kad, const struct peer_id *sender,
                           const struct netaddr *remote, struct bytes request, struct span room,
                           nanos now, size_t *ret_size);

/* The answer's payload to an ask; for an ask without answer (`expects_answer` false), empty bytes
 * once the request is written. Ids that are not under way (too late, cancelled) are ignored. */
void kad_answer(struct kad *kad, uint64_t request, struct bytes answer, nanos now);
/* The ask failed: no connection, a reset, a time-out, the protocol not spoken (PLASM_UNSUPPORTED:
 * the peer is no server and leaves the table at once). */
void kad_answer_failed(struct kad *kad, uint64_t request, int error, nanos now);

/* Time passes: requests and operations run out, keys are announced again, the table is refreshed,
 * old records go. */
void kad_expire(struct kad *kad, nanos now);
/* When kad_expire is due; NANOS_NEVER when nothing is to be done. A time in the past means now. */
nanos kad_deadline(const struct kad *kad);

/* --- Operations ----------------------------------------------------------------------------- */

/* Each starts an operation and gives its id (never 0), which its events carry; one
 * KAD_OPERATION_DONE ends it, also when it could not even begin (nobody to ask: PLASM_NOT_FOUND).
 * Errors of all: PLASM_LIMIT (operations_max), PLASM_NO_MEMORY, PLASM_INVALID (empty or too long
 * key). `options` may be NULL for the defaults. */
struct kad_options {
    size_t count_max; /* stop early at so many results; 0: the default of the operation */
    nanos timeout;    /* 0: limits.operation_timeout */
};

/* Looks for a peer's addresses. Ends at `count_max` different peers that named addresses for it
 * (default 1); connected peers and the table are looked at first. A client-mode peer is found only
 * through nodes that are connected to it. */
MUST_CHECK int kad_find_peer(struct kad *kad, const struct peer_id *id,
                             const struct kad_options *options, nanos now, uint64_t *ret_operation);
/* The k closest servers to a key that answered: KAD_PEER_FOUND for each at the end, nearest first.
 */
MUST_CHECK int kad_find_closest(struct kad *kad, struct bytes key,
                                const struct kad_options *options, nanos now,
                                uint64_t *ret_operation);
/* Looks for providers of a key (multihash bytes, content_key()). Ends at `count_max` distinct ones;
 * default: none, so that all k closest servers are asked. Never finds us ourselves. */
MUST_CHECK int kad_find_providers(struct kad *kad, struct bytes key,
                                  const struct kad_options *options, nanos now,
                                  uint64_t *ret_operation);
/* Announces that we provide a key, now and every republish_interval until kad_unprovide. Asked for
 * a key that is provided already it announces it once more. The operation ends when the closest
 * servers have got it; with none the key is kept and announced as soon as there is one. Ends with
 * PLASM_STATE where no address is set. Announcements by itself are operations with `is_internal`.
 */
MUST_CHECK int kad_provide(struct kad *kad, struct bytes key, const struct kad_options *options,
                           nanos now, uint64_t *ret_operation);
/* Stops announcing. What others hold expires by itself. */
void kad_unprovide(struct kad *kad, struct bytes key);
/* Stores a value at the closest servers (and here, in server mode). What the namespaces refuse is
 * refused at once (see kad_value_check), so is a worse one than we keep (PLASM_CONFLICT). `count`
 * of the end is how many servers confirmed it. */
MUST_CHECK int kad_put_value(struct kad *kad, struct bytes key, struct bytes value,
                             const struct kad_options *options, nanos now, uint64_t *ret_operation);
/* Looks for the best value of a key: KAD_VALUE_FOUND for the first valid one and for each better
 * one. Ends when `count_max` servers gave a valid value (default 4), and then gives servers that
 * had a worse one the best. */
MUST_CHECK int kad_get_value(struct kad *kad, struct bytes key, const struct kad_options *options,
                             nanos now, uint64_t *ret_operation);
/* Looks up ourselves and then a random key of each bucket that wants refreshing. Call it when the
 * first peer is known; the machine repeats it every refresh_interval. */
MUST_CHECK int kad_bootstrap(struct kad *kad, const struct kad_options *options, nanos now,
                             uint64_t *ret_operation);
/* Ends an operation with PLASM_CANCELLED. Unknown ids are ignored. */
void kad_cancel(struct kad *kad, uint64_t operation, nanos now);

/* --- What the host should do ---------------------------------------------------------------- */

/* Send `request` to `peer` and report back under `id` before `deadline`; then the machine has given
 * it up by itself. Borrowed bytes live until the next call on the machine. */
struct kad_ask {
    uint64_t id;
    struct peer_id peer;
    struct bytes addresses; /* packed: walk with kad_address_next; may be empty when connected */
    struct bytes request;   /* payload, without length prefix */
    bool expects_answer;    /* false: report empty bytes once it is written */
    nanos deadline;
};

bool kad_next_ask(struct kad *kad, nanos now, struct kad_ask *ret_ask);

enum kad_operation_kind {
    KAD_FIND_PEER,
    KAD_FIND_CLOSEST,
    KAD_FIND_PROVIDERS,
    KAD_PROVIDE,
    KAD_PUT_VALUE,
    KAD_GET_VALUE,
    KAD_BOOTSTRAP,
};

enum kad_event_kind {
    KAD_PROVIDER_FOUND, /* peer, addresses; once a provider, again when addresses come to be known
                         */
    KAD_PEER_FOUND,     /* peer, addresses */
    KAD_VALUE_FOUND,    /* value */
    KAD_OPERATION_DONE, /* done */
    KAD_TABLE_ADDED,    /* peer, table_size */
    KAD_TABLE_REMOVED,  /* peer, table_size */
};

/* How an operation ended. */
struct kad_done {
    enum kad_operation_kind kind;
    bool is_internal; /* by the machine itself: republishing, refreshing */
    /* 0; PLASM_NOT_FOUND (nobody to ask, or nothing found), PLASM_TIMEOUT, PLASM_CANCELLED,
     * PLASM_STATE (provide without addresses), PLASM_UNREACHABLE (nobody answered),
     * PLASM_NO_MEMORY */
    int status;
    size_t count;    /* providers or peers found, servers that stored, values seen */
    size_t asked;    /* requests made */
    size_t answered; /* answers that held */
    size_t failed;
    size_t hops; /* the longest chain of referrals that was followed */
    nanos elapsed;
};

struct kad_event {
    enum kad_event_kind kind;
    uint64_t operation; /* 0 for table events */
    struct peer_id peer;
    struct bytes addresses; /* packed */
    struct bytes value;
    size_t table_size;
    struct kad_done done;
};

/* The next event; false when there is none. Borrowed bytes live until the next call. */
bool kad_next_event(struct kad *kad, struct kad_event *ret_event);

/* --- Looking inside ------------------------------------------------------------------------- */

struct kad_counts {
    size_t table_peers;
    size_t contacts; /* known peers outside the table: clients, servers not yet checked */
    size_t provider_keys;
    size_t provider_records;
    size_t records;
    size_t provided_keys; /* our own */
    size_t operations;
    size_t requests; /* under way */
};

void kad_count(const struct kad *kad, struct kad_counts *ret_counts);

/* The table's n (at most KAD_K) closest servers to a key by their distance, nearest first; fewer
 * when there are fewer. Returns how many. */
size_t kad_table_closest(const struct kad *kad, struct bytes key, struct peer_id *ret_ids,
                         size_t n);

/* --- Remembering peers ---------------------------------------------------------------------- */

/* Appends the table in a form kad_import reads, the peers seen last first, at most
 * KAD_EXPORT_SIZE_MAX bytes; the host keeps the bytes. PLASM_NO_MEMORY, PLASM_TOO_LARGE (the
 * buffer's bound). */
MUST_CHECK int kad_export(const struct kad *kad, struct buffer *out);
/* Takes such bytes: the peers become seeds of lookups; they enter the table when they answer.
 * PLASM_MALFORMED (a damaged file: nothing is taken), PLASM_UNSUPPORTED (another version),
 * PLASM_NO_MEMORY. */
MUST_CHECK int kad_import(struct kad *kad, struct bytes bytes, nanos now);

#endif
