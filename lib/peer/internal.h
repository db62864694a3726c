/* The parts of a peer that its files share. Nothing outside lib/peer includes this. */
#ifndef PEER_INTERNAL_H
#define PEER_INTERNAL_H

#include "peer/dcutr_policy.h"
#include "peer/peer.h"
#include "peer/pipe_transport.h"
#include "peer/relay.h"
#include "proto/autonat/message.h"
#include "proto/identify/identify.h"
#include "proto/kad/kad.h"
#include "proto/multistream/multistream.h"
#include "proto/ping/ping.h"
#include "proto/relay/client.h"
#include "util/heap.h"
#include "util/list.h"
#include "util/map.h"

/* What a stream is for. */
enum peer_service {
    SERVICE_NONE, /* accepted, protocol not agreed on */
    SERVICE_IDENTIFY,
    SERVICE_IDENTIFY_PUSH,
    SERVICE_PING,
    SERVICE_PERF,
    SERVICE_KAD,
    SERVICE_CAPABILITY,
    SERVICE_HOP,
    SERVICE_STOP,
    SERVICE_DCUTR,
    SERVICE_AUTONAT,
    SERVICE_AUTONAT_BACK,
    SERVICE_APPLICATION,
};
#define SERVICE_COUNT (SERVICE_APPLICATION + 1)

/* How many of our own protocols are accepted besides the application's. */
#define SERVICE_PROTOCOLS_MAX 12
/* Of them, in their order, those that a connection made for a dial-back serves: identify, its push,
 * ping. */
#define SERVICE_PROTOCOLS_PROBE 3
/* Unsent bytes a service may keep for a stream whose peer does not read. */
#define SERVICE_OUT_MAX 131072
/* Application error code of a reset for a bad message. */
#define PEER_RESET_PROTOCOL 1

/* A deadline in the peer's heap and what to do then. It is there as long as its object has anything
 * to wait for, so that setting it never fails. */
#define TIMER_PARKED (NANOS_NEVER - 1)
enum peer_timer_kind {
    TIMER_STREAM,
    TIMER_DIAL,
    TIMER_BOOTSTRAP,
    TIMER_RELAY,
    TIMER_PUNCH,
    TIMER_REACHABILITY
};
struct peer_timer {
    struct heap_node node;
    enum peer_timer_kind kind;
};

struct peer_stream {
    struct peer *peer;
    struct peer_connection *connection;
    struct link_stream *link_stream; /* NULL once it has ended */
    struct list_node node;           /* in connection->streams, then peer->ended_streams */
    struct peer_timer timer;
    enum peer_service service;
    bool inbound;
    bool tells;   /* identify: our message is on its way */
    bool refused; /* no proposal was ours: what still comes is thrown away */
    bool input_ended;
    bool output_ended;
    bool unreported; /* PEER_EVENT_STREAM_CLOSED found no place in the queue */
    int end_error;
    const char *protocol;
    const char *names[1];       /* what a dialled stream proposes */
    struct multistream *select; /* while negotiating */
    struct buffer in;           /* a service's incomplete message */
    struct buffer out;          /* what the link has not taken yet */
    bool out_fin;               /* the sending side ends after `out` */
    bool out_blocked;           /* the link took less than it was given: it says when to go on */
    bool want_writable;         /* the application was refused room */
    uint64_t request;           /* a service's own */
    size_t parts;               /* identify: messages so far; kad: requests so far; hop: not 0 once
                                   the question was answered, or when the reservation that is being
                                   signed ends */
    void *user;
};

struct peer_connection {
    struct peer *peer;
    struct link *link;
    struct list_node node;    /* in peer->connections, then peer->ended_connections */
    struct list_node sibling; /* in the known peer's list */
    struct known_peer *known;
    struct netaddr address;         /* where it comes from; family 0 through a relay */
    struct admission_ticket ticket; /* where the transport has none */
    struct bucket broken;           /* streams that came to no end */
    struct bucket refused;          /* requests */
    struct public_key *key;
    struct multiaddr remote;
    struct list streams;
    struct peer_stream *ping_stream; /* kept for the next ping, NULL for none */
    size_t application_streams;
    size_t stream_handles; /* streams not freed yet, ended ones too */
    size_t circuits;       /* streams that carry one of ours */
    size_t keeps;          /* of our own that want it kept alive: reservations, circuits */
    bool inbound;
    bool relayed;  /* through a relay */
    bool reserved; /* to a relay that keeps a place for us */
    nanos ends_at; /* relayed, beside a direct one: when to see whether it is idle */
    bool probe;    /* made for a dial-back: the application never hears of it */
    bool identified;
    uint8_t autonat;    /* the version it serves, 0: none */
    nanos autonat_next; /* when the address book may ask it again */
    bool reads_capability;
    bool pings_apart; /* the other side does not answer twice on one stream */
    bool takes_push;
    bool expelled; /* closed for what it did, or for another */
    bool ended;
    bool unreported; /* PEER_EVENT_DISCONNECTED found no place in the queue */
    int end_error;
    uint64_t told_version;  /* what we said of ourselves last; 0: nothing */
    size_t telling;         /* streams on which that is under way */
    struct block *identify; /* parts joined */
    void *user;
};

/* A peer we have connections to, or are dialling. */
struct known_peer {
    struct map_node node; /* by id */
    struct peer_id id;
    struct list connections; /* open ones, oldest first */
    size_t handles;          /* connections not freed yet, ended ones too */
    size_t streams;          /* opened by it */
    size_t service_streams[SERVICE_COUNT];
    struct dial *dial;
};

/* Who waits for a dial. */
enum dial_waiter_kind { WAITER_APPLICATION, WAITER_KAD, WAITER_RESERVATION, WAITER_CIRCUIT };
struct dial_waiter {
    struct list_node node;
    enum dial_waiter_kind kind;
    uint64_t request;
    struct block *message; /* kad: the framed request to send once connected */
    bool expects_answer;
    nanos deadline;
};

enum dial_address_state { DIAL_WAITING, DIAL_RESOLVING, DIAL_TRYING, DIAL_FAILED };
/* In order of preference: QUIC carries more and survives a change of address, a relay is a guest's
 * way. */
enum dial_kind { DIAL_QUIC, DIAL_TCP, DIAL_RELAY };
#define DIAL_KINDS 3
struct dial_address {
    enum dial_address_state state;
    enum dial_kind kind;
    uint8_t depth; /* of /dnsaddr */
    int error;
    uint64_t resolve;
    struct link *link;
    struct multiaddr address;
};

struct dial {
    struct peer *peer;
    struct list_node node; /* in peer->dials */
    struct peer_timer timer;
    struct known_peer *known; /* NULL when any identity will do */
    struct list waiters;
    nanos deadline;
    nanos begun;                          /* the first address was tried; NANOS_NEVER before */
    nanos next_try[DIAL_KINDS];           /* a further address of this kind */
    enum netaddr_family last[DIAL_KINDS]; /* of the address tried last */
    size_t address_count;
    struct dial_address *addresses[PEER_DIAL_ADDRESSES_MAX];
};

/* Relays: ours and being one. */
struct peer_relay {
    struct peer_timer timer; /* of the machines below, and of connections that are to end */
    uint64_t unix_seconds;   /* at `unix_at` */
    nanos unix_at;
    struct relay_client client;
    bool serves;
    struct relay_server server; /* while it serves */
    struct list bridges;        /* circuits through us */
    struct transport *pipes;    /* where our circuits become connections, NULL: nowhere */
    struct pipe_provider provider;
    struct list circuits; /* ours */
    struct list punches;
    struct punch_limiter punch_limiter;
    size_t superseded; /* relayed connections beside a direct one: they end when idle */
    struct peer_relay_stats stats;
};

/* An event of our own, waiting to be taken; `payload` backs `event.data`. */
struct queued_event {
    struct peer_event event;
    struct block *payload;
};

struct bootstrap {
    struct peer_timer timer;
    size_t count;
    struct multiaddr *addresses;
    uint64_t *requests; /* of the dials under way, 0 for none */
    nanos pause;
    bool done; /* the table has been filled once */
    uint64_t lookup;
    nanos again_at;                   /* see kad_ask_neighbours; */
    uint64_t again;                   /* the dial for it under way, 0 for none */
    uint64_t nearby[PEER_NEARBY_MAX]; /* dials of peers on the local network, 0 for none */
};

struct peer {
    struct peer_config config;
    struct memory *memory;
    const struct log_sink *log;
    struct random random;
    nanos now;
    uint64_t next_request;
    size_t transport_count;
    struct transport *transports[PEER_TRANSPORTS_MAX];
    size_t transport_turn;
    struct map known;
    struct list connections; /* open ones */
    struct list probes;      /* open ones made for dial-backs */
    struct resources resources;
    struct list ended_connections; /* freed at the next call */
    struct list ended_streams;
    struct list dials;
    struct heap timers;
    struct queued_event *events; /* ring */
    size_t event_capacity;
    size_t event_start;
    size_t event_count;
    struct block *zeros; /* what perf sends; NULL before the first time */
    struct block *taken; /* payload of the event the application holds */
    size_t protocol_count;
    const char *protocol_names[SERVICE_PROTOCOLS_MAX + PEER_PROTOCOLS_MAX];
    enum peer_service protocol_services[SERVICE_PROTOCOLS_MAX + PEER_PROTOCOLS_MAX];
    size_t probe_transport_count;
    struct transport *probe_transports[PEER_TRANSPORTS_MAX]; /* in `transports` too */
    struct autonat_service *autonat;                         /* NULL before it is used */
    struct reachability_book *book;                          /* likewise */
    struct kad *kad;
    struct bootstrap bootstrap;
    struct peer_relay relay;
    size_t address_count;
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    uint64_t record_seq;
    struct block *record;      /* our signed peer record */
    struct block *capability;  /* our signed capability record */
    uint64_t identify_version; /* counts what changes in our identify message; from 1 */
    uint64_t sign_record;      /* the latest PEER_EVENT_SIGN of each kind */
    uint64_t sign_capability;
};

/* peer.c */
/* Serves one more protocol of our own. PLASM_LIMIT. */
MUST_CHECK int peer_serve(struct peer *peer, const char *protocol, enum peer_service service);
/* Our addresses by relays are others now: publishes them. */
void relay_addresses_changed(struct peer *peer, const struct multiaddr *addresses, size_t count);
uint64_t peer_request(struct peer *peer);
/* Puts a timer into the heap. PLASM_NO_MEMORY. */
MUST_CHECK int peer_timer_start(struct peer *peer, struct peer_timer *timer, nanos deadline);
/* Moves a timer that is there; TIMER_PARKED when there is nothing to wait for now. */
void peer_timer_set(struct peer *peer, struct peer_timer *timer, nanos deadline);

/* events.c */
/* Queues an event with a copy of `data`. False when it was lost for want of memory: the request it
 * belongs to then ends by its deadline. */
bool peer_emit(struct peer *peer, const struct peer_event *event);
/* The next event for the application; its data stays until `taken` is let go. */
bool events_take(struct peer *peer, struct peer_event *ret_event);
/* Drops the waiting events of a stream or a request that nobody wants to hear of, or all. */
void events_forget_stream(struct peer *peer, const struct peer_stream *stream);
void events_forget_request(struct peer *peer, uint64_t request);
void events_drop(struct peer *peer);
/* True while an event that waits names the object. */
bool events_name_stream(const struct peer *peer, const struct peer_stream *stream);
bool events_name_connection(const struct peer *peer, const struct peer_connection *connection);

/* connection.c */
/* The IP address and port that an address begins with; false where it does not. */
bool address_netaddr(const struct multiaddr *address, struct netaddr *ret_netaddr);
/* Relayed connections whose peer is reached directly, too, end when nothing runs on them. */
nanos connections_superseded_deadline(const struct peer *peer);
void connections_close_superseded(struct peer *peer);
/* One reason more, or less, to keep a connection alive while nothing runs on it. */
void connection_keep(struct peer_connection *connection, bool on);
struct known_peer *known_peer_get(struct peer *peer, const struct peer_id *id);
/* Finds or makes. NULL without memory. */
struct known_peer *known_peer_make(struct peer *peer, const struct peer_id *id);
/* Frees it when nothing needs it any more. */
void known_peer_release(struct peer *peer, struct known_peer *known);
struct peer_connection *known_peer_connection(const struct known_peer *known);
void connection_connected(struct peer *peer, const struct link_event *event);
void connection_closed(struct peer *peer, const struct link_event *event);
void connection_moved(struct peer *peer, const struct link_event *event);
/* A connection made for a dial-back. NULL without memory. */
struct peer_connection *connection_of_probe(struct peer *peer, const struct link_event *event);
/* An inbound stream came to no end: reset, refused, or never agreed on. Those who go on and on have
 * to go. */
void connection_stream_broken(struct peer_connection *connection);
void connection_update_keep_alive(struct peer_connection *connection);
void connections_reap(struct peer *peer);
void connections_free(struct peer *peer);

/* dial.c */
/* Adds a waiter to the dial of `expected`, making one. Exactly one of the ways to end follows:
 * the connection, or dial_waiter's failure. `message` is taken over on success. */
int dial_start(struct peer *peer, const struct peer_id *expected, const struct multiaddr *addresses,
               size_t count, const struct dial_waiter *waiter);
void dial_connected(struct peer *peer, struct peer_connection *connection, struct link *link);
/* A dialled link ended before it was connected. */
void dial_link_closed(struct peer *peer, struct link *link, int error);
void dial_resolved(struct peer *peer, uint64_t request, const struct multiaddr *results,
                   size_t count);
void dial_expire(struct dial *dial);
void dial_cancel(struct peer *peer, uint64_t request);
void dials_free(struct peer *peer);

/* stream.c */
int stream_open(struct peer_connection *connection, enum peer_service service, const char *protocol,
                struct peer_stream **ret_stream);
/* Copies to the link or, where that is full, to `out`. PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
int stream_send(struct peer_stream *stream, struct bytes bytes, bool fin);
/* Ends our direction, where it has not ended, and gives the other side until `deadline`. */
void stream_finish(struct peer_stream *stream, nanos deadline);
/* Gives up on it without telling the application. */
void stream_abort(struct peer_stream *stream, uint64_t code);
void stream_opened(struct peer *peer, const struct link_event *event);
/* True when `ret_event` is for the application. */
bool stream_data(struct peer *peer, const struct link_event *event, struct peer_event *ret_event);
bool stream_writable(const struct link_event *event, struct peer_event *ret_event);
void stream_over(const struct link_event *event);
void stream_unread(const struct link_event *event);
/* The connection ended under it: the application is told, the service too. */
void stream_lost(struct peer_stream *stream, int error);
void stream_expire(struct peer_stream *stream);
void streams_reap(struct peer *peer);
/* How a service's stream ended: 0 both sides done. */
void service_ended(struct peer_stream *stream, int error);
/* The other side agreed to the protocol of a dialled stream. */
void service_agreed(struct peer_stream *stream);
/* Takes whole input of a service; the stream may be gone afterwards. */
void service_data(struct peer_stream *stream, struct bytes data, bool fin);
/* An accepted stream has its protocol. */
void service_opened(struct peer_stream *stream);

/* identify_service.c */
void identify_start(struct peer_connection *connection);
void identify_answer(struct peer_stream *stream);
void identify_data(struct peer_stream *stream, struct bytes data, bool fin);
void identify_ended(struct peer_stream *stream, int error);
/* Tells every connected peer what changed. */
void identify_push_all(struct peer *peer);

/* ping_service.c */
void ping_data(struct peer_stream *stream, struct bytes data, bool fin);
void ping_ended(struct peer_stream *stream, int error);
/* True when it was not time to give up. */
bool ping_expire(struct peer_stream *stream);

/* perf_service.c */
void perf_opened(struct peer_stream *stream);
void perf_data(struct peer_stream *stream, struct bytes data, bool fin);
void perf_writable(struct peer_stream *stream);
void perf_ended(struct peer_stream *stream, int error);

/* capability_service.c */
void capability_opened(struct peer_stream *stream);
void capability_data(struct peer_stream *stream, struct bytes data, bool fin);
void capability_push(struct peer_connection *connection);
void capability_ended(struct peer_stream *stream);

/* kad_service.c */
int kad_service_init(struct peer *peer);
void kad_service_free(struct peer *peer);
void kad_service_identified(struct peer_connection *connection, const struct bytes *addresses,
                            size_t count, bool is_server);
void kad_service_disconnected(struct peer *peer, const struct peer_id *id);
/* Carries out what the machine wants and queues its events. */
void kad_service_run(struct peer *peer);
void kad_service_opened(struct peer_stream *stream);
void kad_service_agreed(struct peer_stream *stream);
void kad_service_data(struct peer_stream *stream, struct bytes data, bool fin);
void kad_service_ended(struct peer_stream *stream, int error);
/* The dial that a request waited for came to an end. */
void kad_service_connected(struct peer_connection *connection, const struct dial_waiter *waiter);
void kad_service_failed(struct peer *peer, uint64_t request, int error);
void kad_service_addresses(struct peer *peer);
/* Looks ourselves up; its end is a PEER_EVENT_LOOKUP_DONE with *ret_request, 0 when it could not
 * begin. */
void kad_service_bootstrap(struct peer *peer, uint64_t *ret_request);

/* relay_service.c: what relay and relayed streams have in common, and the client's side */
int relay_service_init(struct peer *peer);
void relay_service_free(struct peer *peer);
/* Asks relays, and arms the timer: after anything happened. */
void relay_service_run(struct peer *peer);
void relay_service_expire(struct peer *peer);
void relay_service_identified(struct peer_connection *connection, const struct bytes *addresses,
                              size_t count, bool is_relay);
void relay_service_disconnected(struct peer *peer, const struct peer_id *id);
/* The dial to a relay came to an end. */
void relay_service_connected(struct peer_connection *connection, uint64_t ask);
void relay_service_failed(struct peer *peer, uint64_t ask);
void relay_service_opened(struct peer_stream *stream);
void relay_service_data(struct peer_stream *stream, struct bytes data, bool fin);
void relay_service_writable(struct peer_stream *stream);
void relay_service_ended(struct peer_stream *stream, int error);
uint64_t relay_unix_now(const struct peer *peer);
int relay_send(struct peer_stream *stream, enum relay_protocol protocol,
               const struct relay_message *message);
/* Takes input up to the end of one message. PLASM_TRUNCATED: more is needed. What follows the
 * message stays in `stream->in`, for relay_leftover(). */
int relay_read(struct peer_stream *stream, enum relay_protocol protocol, struct bytes data,
               struct relay_message *ret_message, size_t *ret_size);

/* circuit.c: circuits of our own */
/* Does what their pipes wait for; true when there was anything. Only when no transport has an event
 * left: sending may end the life of bytes that were not taken yet. */
bool circuits_run(struct peer *peer);
void circuits_free(struct peer *peer);
void circuit_relay_connected(struct peer_connection *connection, uint64_t request);
void circuit_relay_failed(struct peer *peer, uint64_t request, int error);
void circuit_hop_data(struct peer_stream *stream, struct bytes data, bool fin);
void circuit_stop_data(struct peer_stream *stream, struct bytes data, bool fin);
void circuit_writable(struct peer_stream *stream);
void circuit_ended(struct peer_stream *stream, int error);

/* dcutr_service.c */
/* A connection was identified: a relayed one may become direct. */
void dcutr_identified(struct peer_connection *connection);
void dcutr_connected(struct peer_connection *connection);
void dcutr_disconnected(struct peer_connection *connection);
/* True when it was one of a punch's. */
bool dcutr_link_closed(struct peer *peer, const struct link *link);
void dcutr_opened(struct peer_stream *stream);
void dcutr_data(struct peer_stream *stream, struct bytes data, bool fin);
void dcutr_ended(struct peer_stream *stream);
void dcutr_expire_timer(struct peer_timer *timer);
void dcutr_free(struct peer *peer);

/* relay_bridge.c: the relay's side */
void bridge_hop_data(struct peer_stream *stream, struct bytes data, bool fin);
void bridge_stop_data(struct peer_stream *stream, struct bytes data, bool fin);
void bridge_writable(struct peer_stream *stream);
void bridge_ended(struct peer_stream *stream, int error);
/* The signer's answer; true when it was for a reservation. */
bool bridge_signed(struct peer *peer, uint64_t request, struct bytes envelope);
void bridge_expire(struct peer *peer);
/* autonat_service.c */
struct autonat_client;
struct autonat_answer;
/* The other end's IP address and port; false for a relayed connection. */
bool connection_netaddr(const struct peer_connection *connection, struct netaddr *ret_netaddr);
bool transport_is_probe(const struct peer *peer, const struct transport *transport);
/* The link is one of a dial-back: true, and it is dealt with. */
bool autonat_link_connected(struct peer *peer, const struct link_event *event);
bool autonat_link_closed(struct peer *peer, const struct link *link);
/* Serves the protocol on which answers' nonces come. PLASM_NO_MEMORY. */
int autonat_ready(struct peer *peer);
/* Asks; `request` 0: the address book hears of the answer. */
int autonat_ask(struct peer_connection *connection, enum autonat_version version,
                const struct multiaddr *addresses, size_t count, uint64_t request);
void autonat_opened(struct peer_stream *stream);
void autonat_agreed(struct peer_stream *stream);
void autonat_data(struct peer_stream *stream, struct bytes data, bool fin);
bool autonat_expire(struct peer_stream *stream);
void autonat_ended(struct peer_stream *stream, int error);
void autonat_free(struct peer *peer);

/* reachability.c */
/* What a peer said in identify; the question it was asked is answered. */
void reachability_identified(struct peer_connection *connection, const struct identify *message);
void reachability_answered(struct peer_connection *connection, const struct autonat_client *client,
                           const struct autonat_answer *answer);
void reachability_expire(struct peer *peer);
void reachability_free(struct peer *peer);

/* bootstrap.c */
void bootstrap_expire(struct peer *peer);
/* A DHT server was identified: enough to begin with. */
void bootstrap_server_known(struct peer *peer);
/* An event of the bootstrap's own dials or lookup; true when it is taken. */
bool bootstrap_event(struct peer *peer, const struct peer_event *event);
void bootstrap_free(struct peer *peer);

#endif
