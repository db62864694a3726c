/* A libp2p peer without I/O: connections, dialling, stream dispatch, identify, ping, Kademlia and
 * capability records over any transport. Bytes reach it through the transports; what it wants of
 * the world comes out as events.
 *
 * Use: after anything happened (datagrams received by a transport, a timer, a call below) take
 * events with peer_next_event() until it returns false, let the transports transmit, and wait
 * until peer_deadline(). Handles in events stay valid until the event that ends them has been
 * taken and the next call is made. Bytes in events are borrowed until the next call. */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "crypto/random.h"
#include "peer/resources.h"
#include "peer/transport.h"
#include "proto/kad/addresses.h"
#include "proto/kad/namespace.h"
#include "util/buffer.h"
#include "util/log.h"

struct peer;
struct peer_connection;
struct peer_stream;

/* Bounds; see limits.md of the documentation for where they come from. */
struct peer_limits {
    struct resource_limits resources;
    nanos dial_timeout;
    nanos negotiation_timeout;
};
extern const struct peer_limits peer_limits_default;

#define PEER_DIAL_ADDRESSES_MAX 16
#define PEER_OWN_ADDRESSES_MAX  16
#define PEER_TRANSPORTS_MAX     8
#define PEER_PROTOCOLS_MAX      16
#define PEER_BOOTSTRAP_MAX      32
/* Peers of the local network dialled at once; and what their events have for a place in the list.
 */
#define PEER_NEARBY_MAX 16
#define PEER_NEARBY     SIZE_MAX

struct peer_config {
    struct peer_id id;
    struct public_key key;
    const char *agent;                    /* "plasm/0.1.0" */
    const char *kad_protocol;             /* "/phase/kad/1.0.0" */
    bool kad_server;                      /* answer the DHT's requests; a client only asks */
    struct kad_namespaces kad_namespaces; /* values kept besides /pk/ */
    bool perf_server;                     /* answer /perf: whoever asks gets all the bandwidth */
    bool capability_reader;       /* list the capability protocol, so that workers push theirs */
    const char *const *protocols; /* the application's, accepted from anybody; they outlive it */
    size_t protocol_count;
    struct memory *memory;
    uint8_t seed[32];
    const struct log_sink *log; /* may be NULL */
    struct peer_limits limits;
};

enum peer_event_type {
    PEER_EVENT_CONNECTED,       /* connection; request of peer_connect, 0 for accepted ones and for
                                   peer_bootstrap's: `count` is then the place in its list */
    PEER_EVENT_CONNECT_FAILED,  /* request, error, text: which address failed how */
    PEER_EVENT_IDENTIFIED,      /* connection; error: the other side did not say who it is */
    PEER_EVENT_DISCONNECTED,    /* connection, error */
    PEER_EVENT_STREAM_OPENED,   /* stream, protocol: the other side began to speak it */
    PEER_EVENT_STREAM_DATA,     /* stream, data, fin; give credit with peer_stream_consume */
    PEER_EVENT_STREAM_WRITABLE, /* stream */
    PEER_EVENT_STREAM_CLOSED,   /* stream, error: 0 both sides are done, PLASM_RESET,
                                   PLASM_UNSUPPORTED (protocol refused), PLASM_CLOSED */
    PEER_EVENT_PONG,            /* request, error, elapsed */
    PEER_EVENT_PERF,            /* request, error, elapsed: upload, elapsed_down */
    PEER_EVENT_PROVIDER,        /* request, peer_id, data: packed for kad_address_next() */
    PEER_EVENT_LOOKUP_DONE,     /* request, error, count: results or peers told; elapsed, asked,
                                   hops */
    PEER_EVENT_VALUE,           /* request, data */
    PEER_EVENT_CAPABILITY,      /* connection, data: a signed envelope, not checked yet */
    PEER_EVENT_BOOTSTRAPPED,    /* count: peers in the routing table */
    PEER_EVENT_RELAYED,         /* count: our addresses by relays, see peer/relay.h */
    PEER_EVENT_SIGN,            /* request, sign, data: the payload; answer with peer_signed */
    PEER_EVENT_RESOLVE,         /* request, resolve, data: the name; answer with peer_resolved */
    PEER_EVENT_REACHABILITY,    /* what peer/reachability.h tells has changed */
    PEER_EVENT_PROBED,          /* request, error, data, count: see peer_probe */
};

enum peer_sign { PEER_SIGN_RECORD, PEER_SIGN_CAPABILITY, PEER_SIGN_RELAY_VOUCHER };

struct peer_event {
    enum peer_event_type type;
    struct peer_connection *connection;
    struct peer_stream *stream;
    uint64_t request;
    int error;
    const char *protocol;
    bool fin;
    enum peer_sign sign;
    enum multiaddr_code resolve; /* MULTIADDR_DNS, _DNS4, _DNS6 or _DNSADDR */
    size_t count;
    nanos elapsed;
    nanos elapsed_down;
    size_t asked; /* requests the lookup made */
    size_t hops;  /* the longest chain of referrals it followed */
    struct peer_id peer_id;
    struct bytes data; /* or text, without NUL */
};

/* PLASM_NO_MEMORY, PLASM_INVALID. `config` is copied; what it points to is borrowed. */
MUST_CHECK int peer_new(const struct peer_config *config, struct peer **ret_peer);
/* Frees everything of its own; the transports must outlive it and are left alone. */
void peer_free(struct peer *peer);
/* What transports ask about new connections, for their configuration; as long as the peer. */
struct admission *peer_admission(struct peer *peer);
/* Whom to refuse from now on; connections of denied peers end. PLASM_NO_MEMORY: as before. */
MUST_CHECK int peer_set_access(struct peer *peer, const struct access_rules *rules, nanos now);
/* The application refused a request of the other side, or found it invalid: those who go on and on
 * are disconnected and named in the log. True when this was one too many. */
bool peer_refused(struct peer_connection *connection, nanos now);
/* PLASM_LIMIT. */
MUST_CHECK int peer_add_transport(struct peer *peer, struct transport *transport);

bool peer_next_event(struct peer *peer, nanos now, struct peer_event *ret_event);
nanos peer_deadline(const struct peer *peer);
void peer_expire(struct peer *peer, nanos now);

/* Our reachable addresses, without /p2p: for identify, the peer record and the DHT. Brings
 * PEER_EVENT_SIGN. `seq` must grow from record to record, over restarts too (unix microseconds). */
void peer_set_addresses(struct peer *peer, const struct multiaddr *addresses, size_t count,
                        uint64_t seq, nanos now);
/* The worker's capability payload (canonical JSON): PEER_EVENT_SIGN, then pushed to every connected
 * reader and to those that come. PLASM_NO_MEMORY. */
MUST_CHECK int peer_set_capability(struct peer *peer, struct bytes payload, nanos now);
/* The answer to PEER_EVENT_SIGN: a signed envelope, or empty when the signer refused. */
void peer_signed(struct peer *peer, uint64_t request, struct bytes envelope, nanos now);
/* The answer to PEER_EVENT_RESOLVE: for DNS names addresses of one /ip4 or /ip6 component, for
 * /dnsaddr whole multiaddrs. None: the name did not resolve. */
void peer_resolved(struct peer *peer, uint64_t request, const struct multiaddr *results,
                   size_t count, nanos now);

/* Connects to any of the addresses (each with or without /p2p; one that ends with /udp/port is
 * tried with QUIC and with TCP; `expected` NULL takes the identity found there), or to a peer whose
 * addresses are known already. A connection that exists is given at once. Brings
 * PEER_EVENT_CONNECTED or _CONNECT_FAILED with the request. PLASM_INVALID, PLASM_NO_MEMORY,
 * PLASM_LIMIT. */
MUST_CHECK int peer_connect(struct peer *peer, const struct peer_id *expected,
                            const struct multiaddr *addresses, size_t count, nanos now,
                            uint64_t *ret_request);
/* Nobody waits for this request any more. */
void peer_connect_cancel(struct peer *peer, uint64_t request, nanos now);
void peer_disconnect(struct peer *peer, struct peer_connection *connection, nanos now);
/* Serves one more of the application's protocols, borrowed as long as the peer, and tells
 * everybody who is connected. PLASM_CONFLICT when it is served already, PLASM_LIMIT. */
MUST_CHECK int peer_add_protocol(struct peer *peer, const char *protocol, nanos now);
/* An open connection to the peer, or NULL. */
struct peer_connection *peer_connection_to(struct peer *peer, const struct peer_id *id);
/* The open connections, oldest first: NULL gives the first, the last gives NULL. */
struct peer_connection *peer_connection_next(const struct peer *peer,
                                             const struct peer_connection *connection);
size_t peer_connection_count(const struct peer *peer);
/* Open streams of all connections, those of our own protocols too, but for those that carry
 * relayed connections. */
size_t peer_stream_count(const struct peer *peer);

const struct peer_id *peer_connection_id(const struct peer_connection *connection);
const struct public_key *peer_connection_key(const struct peer_connection *connection);
/* Without /p2p. */
const struct multiaddr *peer_connection_remote(const struct peer_connection *connection);
/* The IP address it comes from; family NETADDR_NONE through a relay. */
const struct netaddr *peer_connection_address(const struct peer_connection *connection);
bool peer_connection_inbound(const struct peer_connection *connection);
/* The identify message (parts joined), borrowed as long as the connection; empty before
 * PEER_EVENT_IDENTIFIED. For identify_merge(). */
struct bytes peer_connection_identify(const struct peer_connection *connection);
void **peer_connection_user(struct peer_connection *connection);

/* Opens a stream for `protocol` (borrowed as long as the stream), lazily: it may be written at
 * once. PLASM_LIMIT, PLASM_NO_MEMORY, PLASM_CLOSED. */
MUST_CHECK int peer_stream_open(struct peer *peer, struct peer_connection *connection,
                                const char *protocol, nanos now, struct peer_stream **ret_stream);
/* As transport_verbs.write. */
MUST_CHECK int peer_stream_write(struct peer_stream *stream, struct block *block, size_t offset,
                                 size_t size, bool fin, size_t *ret_accepted);
void peer_stream_consume(struct peer_stream *stream, size_t size);
/* Ends the stream without a further event, also where one waits already; a reset unless both sides
 * are done. The handle is gone. */
void peer_stream_close(struct peer_stream *stream, uint64_t code);
struct peer_connection *peer_stream_connection(const struct peer_stream *stream);
void **peer_stream_user(struct peer_stream *stream);

/* PEER_EVENT_PONG follows. Errors as peer_stream_open. */
MUST_CHECK int peer_ping(struct peer *peer, struct peer_connection *connection, nanos now,
                         uint64_t *ret_request);

/* Measures throughput by /perf/1.0.0: sends `up_bytes`, then receives `down_bytes`. PEER_EVENT_PERF
 * follows. Errors as peer_stream_open. */
MUST_CHECK int peer_perf(struct peer *peer, struct peer_connection *connection, uint64_t up_bytes,
                         uint64_t down_bytes, nanos now, uint64_t *ret_request);

/* The DHT. Addresses to begin with, all dialled at once and again with growing pauses while nobody
 * answers; then a lookup of ourselves. PEER_EVENT_BOOTSTRAPPED, also later when it was done anew.
 */
void peer_bootstrap(struct peer *peer, const struct multiaddr *addresses, size_t count, nanos now);
/* A peer was found on the local network: dials it unless we know enough servers, or are dialling
 * enough of such peers. PEER_EVENT_CONNECTED or _CONNECT_FAILED come with request 0 and `count`
 * PEER_NEARBY; a server among them is one to begin with. */
void peer_discovered(struct peer *peer, const struct peer_id *id, const struct multiaddr *addresses,
                     size_t count, nanos now);
/* Keys are multihashes. Each result is a PEER_EVENT_PROVIDER; PEER_EVENT_LOOKUP_DONE ends it, after
 * `count_max` results at the latest. PLASM_NO_MEMORY, PLASM_LIMIT. */
MUST_CHECK int peer_find_providers(struct peer *peer, struct bytes key, size_t count_max, nanos now,
                                   uint64_t *ret_request);
/* PEER_EVENT_PROVIDER with the addresses of `id`, if anybody knows it. */
MUST_CHECK int peer_find_peer(struct peer *peer, const struct peer_id *id, nanos now,
                              uint64_t *ret_request);
/* Announces us as a provider, now and every 30 minutes until peer_provide_stop.
 * PEER_EVENT_LOOKUP_DONE tells the first time's end. */
MUST_CHECK int peer_provide(struct peer *peer, struct bytes key, nanos now, uint64_t *ret_request);
void peer_provide_stop(struct peer *peer, struct bytes key);
MUST_CHECK int peer_put_value(struct peer *peer, struct bytes key, struct bytes value, nanos now,
                              uint64_t *ret_request);
/* PEER_EVENT_VALUE with the best valid one, then PEER_EVENT_LOOKUP_DONE. */
MUST_CHECK int peer_get_value(struct peer *peer, struct bytes key, nanos now,
                              uint64_t *ret_request);
/* Stops a lookup; no more events of it. */
void peer_lookup_cancel(struct peer *peer, uint64_t request);
/* What the DHT's machine holds now (proto/kad/kad.h). */
struct kad_counts;
void peer_kad_counts(const struct peer *peer, struct kad_counts *ret_counts);
/* Servers in the routing table. */
size_t peer_routing_size(const struct peer *peer);
/* Those closest to a key, at most 20, nearest first; returns how many. */
size_t peer_routing_closest(const struct peer *peer, struct bytes key, struct peer_id *ret_ids,
                            size_t count_max);
/* The routing table, to be kept over restarts. Appends. / PLASM_MALFORMED. */
MUST_CHECK int peer_routing_export(const struct peer *peer, struct buffer *out);
MUST_CHECK int peer_routing_import(struct peer *peer, struct bytes table, nanos now);

#endif
