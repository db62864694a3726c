/* libp2p over QUIC version 1 without I/O: an endpoint is one UDP socket that dials and accepts.
 *
 * Use: hand in datagrams with quic_receive() and time with quic_expire(); after either, and after
 * any other call, take events with quic_next_event() until it returns false, then packets with
 * quic_transmit() until it returns false. Sending makes events too (QUIC_STREAM_WRITABLE), so begin
 * again until neither gives anything; then wait for a datagram or quic_deadline(), which is in the
 * past while there is something left to take. A batch of datagrams (GRO) is best given whole: what
 * it carries of a stream comes as one event.
 *
 * Handles: a connection is valid until its QUIC_CLOSED has been taken and the next call on the
 * endpoint is made; a stream until its QUIC_STREAM_CLOSED, or the QUIC_CLOSED of its connection,
 * likewise. QUIC_CLOSED ends all streams of the connection without a word about each. Every
 * connection, dialled or accepted, ends with exactly one QUIC_CLOSED, except at
 * quic_endpoint_free(). An accepted connection is first heard of by QUIC_CONNECTED; one whose
 * handshake fails never is (only in the counters and the log).
 *
 * Specs: RFC 9000, 9001, 9002; libp2p/specs quic/README.md, tls/tls.md. */
#ifndef QUIC_QUIC_H
#define QUIC_QUIC_H

#include "identity/certificate.h"
#include "util/admission.h"
#include "util/block.h"
#include "util/budget.h"
#include "util/log.h"
#include "util/netaddr.h"
#include "util/time.h"

struct quic_endpoint;
struct quic_conn;
struct quic_stream;

#define QUIC_SECRET_SIZE 32
/* Room that quic_transmit() needs at least, for one packet. */
#define QUIC_PACKET_SIZE_MAX 1500
/* Largest datagram that may arrive. Over loopback, where the path is known to take them, packets of
 * this size are used both ways; elsewhere they fit an Ethernet frame. */
#define QUIC_DATAGRAM_SIZE_MAX 16000
/* Room that lets it fill the largest batch (GSO). */
#define QUIC_BATCH_SIZE_MAX 65000
/* Longest text sent with quic_conn_close(); what is longer is cut. */
#define QUIC_REASON_MAX 160

/* Transport error codes (RFC 9000, section 20.1) that quic_event.code may have; a TLS alert is
 * QUIC_CODE_CRYPTO + alert. */
enum quic_code {
    QUIC_CODE_NONE = 0x00,
    QUIC_CODE_INTERNAL = 0x01,
    QUIC_CODE_REFUSED = 0x02,
    QUIC_CODE_CRYPTO = 0x100,
};

enum quic_congestion { QUIC_CUBIC, QUIC_RENO, QUIC_BBR };

/* Bounds; those of limits.md are the defaults. Zero in quic_config.limits is never "no bound". */
struct quic_limits {
    struct admission_limits admission; /* of an endpoint without quic_config.admission */
    uint32_t streams_inbound_max;      /* open at a time, in a connection */
    uint32_t stream_window_bytes;      /* receive windows at first, */
    uint32_t stream_window_bytes_max;  /* and how far they grow when bytes are consumed fast */
    uint32_t connection_window_bytes;
    uint32_t connection_window_bytes_max;
    size_t unsent_bytes_max;         /* of a stream's written bytes not in a packet yet */
    size_t unsent_bytes_low;         /* QUIC_STREAM_WRITABLE at or below it */
    size_t unacknowledged_bytes_max; /* of a stream's written bytes in all, sent ones too */
    size_t state_bytes_max; /* without a budget of the config: of all connections' state and
                               reordered bytes; when it is spent, those that hold most lose */
};

struct quic_config {
    const struct certificate *certificate;  /* copied */
    struct memory *memory;                  /* for all but the TLS library's own, borrowed */
    uint8_t seed[32];                       /* of connection ids and the like; unpredictable */
    uint8_t reset_secret[QUIC_SECRET_SIZE]; /* of stateless resets: should survive a restart */
    uint8_t token_secret[QUIC_SECRET_SIZE]; /* of Retry tokens */
    /* The socket's own address, for dialled connections. An unspecified IP leaves the choice of the
     * source address to the system, packet by packet. */
    struct netaddr local;
    const char *alpn;  /* the application protocol that both sides must name; borrowed */
    bool accept;       /* false: no connection is accepted, only dialled */
    bool always_retry; /* every new connection has to prove its address first */
    enum quic_congestion congestion;
    nanos idle_timeout;        /* the smaller one of both sides counts */
    nanos keep_alive_interval; /* of connections that have it on */
    nanos handshake_timeout;
    nanos initial_rtt; /* assumed until measured: the first retransmission comes after 3 of it */
    struct quic_limits limits;
    /* Whom it asks about new connections, shared with other transports: borrowed, and outlives the
     * connections. NULL: one of its own. */
    struct admission *admission;
    /* What connections' state and reordered bytes count in, shared with others, and instead of
     * state_bytes_max: borrowed, and outlives the endpoint. NULL: one of its own. */
    struct budget *budget;
    const struct log_sink *log; /* may be NULL */
};

/* Defaults of limits.md, and libp2p for the protocol; certificate, memory, secrets, seed and local
 * are left for the caller. */
void quic_config_init(struct quic_config *config);

/* PLASM_INVALID, PLASM_NO_MEMORY, PLASM_FAILED (TLS library, or a certificate it does not take). */
MUST_CHECK int quic_endpoint_new(const struct quic_config *config,
                                 struct quic_endpoint **ret_endpoint);
/* Frees everything at once, without goodbyes: quic_endpoint_close() and the transmits come before.
 * NULL is allowed. */
void quic_endpoint_free(struct quic_endpoint *endpoint);
/* Closes every connection (a QUIC_CLOSED each) and accepts no more. */
void quic_endpoint_close(struct quic_endpoint *endpoint, uint64_t code, const char *reason,
                         nanos now);
/* Accepting can be turned on and off; what is connected stays. */
void quic_endpoint_accept(struct quic_endpoint *endpoint, bool accept);

/* Datagrams as they came from the socket. */
struct quic_datagram {
    struct netaddr local; /* where it arrived (PKTINFO), or the socket's address when not known */
    struct netaddr remote;
    uint8_t ecn; /* the two bits of the IP header */
    struct bytes bytes;
    size_t segment_size; /* GRO: `bytes` are datagrams of this size, the last may be shorter; 0: one
                            datagram */
};

/* `unix_seconds` is the time of day, for the peer's certificate. The bytes are not needed after the
 * call. Whatever is wrong with them is an event of a connection, or is counted and dropped. */
void quic_receive(struct quic_endpoint *endpoint, const struct quic_datagram *datagram, nanos now,
                  int64_t unix_seconds);

/* Equal-sized packets of one path, one behind the other; the last may be shorter. */
struct quic_packet {
    struct netaddr local; /* source to send from; its IP may be unspecified */
    struct netaddr remote;
    uint8_t ecn;         /* the two bits of the IP header */
    size_t size;         /* of all packets */
    size_t segment_size; /* of each (GSO); == size when it is one */
};

/* Fills `room` (QUIC_PACKET_SIZE_MAX at least; QUIC_BATCH_SIZE_MAX for the largest batches; with
 * QUIC_PACKET_SIZE_MAX at most one packet comes, for sockets without GSO). False: nothing to send
 * now. What is given is taken as sent: a packet the socket does not take is the caller's to keep or
 * to drop (it is then sent again like a lost one). */
bool quic_transmit(struct quic_endpoint *endpoint, struct span room, nanos now,
                   struct quic_packet *ret_packet);

/* When quic_expire() is due; NANOS_NEVER when nothing is awaited. */
nanos quic_deadline(const struct quic_endpoint *endpoint);
void quic_expire(struct quic_endpoint *endpoint, nanos now);

enum quic_event_type {
    QUIC_CONNECTED,         /* identity; for accepted ones the first event of the connection */
    QUIC_CLOSED,            /* error, code, is_application, by_peer, text */
    QUIC_PATH_CHANGED,      /* quic_conn_local(), quic_conn_remote() give other addresses than
                               before: either side moved, a NAT rebound, or the local address became
                               known */
    QUIC_STREAMS_AVAILABLE, /* quic_stream_open() will work that was refused before */
    QUIC_STREAM_OPENED,     /* by the peer; QUIC_STREAM_DATA follows where it sent any */
    QUIC_STREAM_DATA,       /* data, fin: nothing follows */
    QUIC_STREAM_WRITABLE,   /* after a write that was not accepted in whole */
    QUIC_STREAM_RESET,      /* code: the peer gave up sending; no more data comes */
    QUIC_STREAM_STOPPED,    /* code: the peer does not read any more; our sending side was reset */
    QUIC_STREAM_CLOSED,     /* both sides are over; what we sent was received, unless reset */
};

struct quic_event {
    enum quic_event_type type;
    struct quic_conn *conn;
    struct quic_stream *stream; /* QUIC_STREAM_ events */
    /* QUIC_CLOSED: 0 for an orderly end (code 0 of the application, by either side), or
     *   PLASM_TIMEOUT      nothing heard: handshake or idle time-out
     *   PLASM_UNREACHABLE  the network said so: quic_unreachable()
     *   PLASM_UNTRUSTED    the peer's certificate is bad or is of another peer than was expected
     *   PLASM_EXPIRED      the peer's certificate is out of its time
     *   PLASM_UNSUPPORTED  no common version, protocol (ALPN) or algorithm
     *   PLASM_REFUSED      the peer does not want us: limits, our certificate
     *   PLASM_MALFORMED    a protocol error of the peer
     *   PLASM_CLOSED       closed with an application code that is not 0, or by stateless reset
     *   PLASM_NO_MEMORY, PLASM_LIMIT (state_bytes_max), PLASM_FAILED */
    int error;
    uint64_t code;       /* of a CONNECTION_CLOSE, sent or received; RESET, STOPPED */
    bool is_application; /* QUIC_CLOSED: `code` is the application's, not enum quic_code */
    bool by_peer;        /* QUIC_CLOSED: the other side ended it */
    bool fin;            /* QUIC_STREAM_DATA */
    struct bytes data;   /* QUIC_STREAM_DATA, borrowed until the next call */
    const char *text;    /* QUIC_CLOSED: why, for people; never NULL; borrowed likewise */
    const struct certificate_identity *identity; /* QUIC_CONNECTED, borrowed likewise */
};

/* The next event; false when there is none. */
bool quic_next_event(struct quic_endpoint *endpoint, struct quic_event *ret_event);

/* Begins a connection. `local` NULL takes the endpoint's own address. `expected` NULL accepts any
 * identity. `initial_rtt` 0 takes the configuration's; a hole punch wants a small one. The end is
 * QUIC_CONNECTED or QUIC_CLOSED. PLASM_INVALID (address), PLASM_NO_MEMORY, PLASM_FAILED. */
MUST_CHECK int quic_dial(struct quic_endpoint *endpoint, const struct netaddr *remote,
                         const struct netaddr *local, const struct peer_id *expected,
                         nanos initial_rtt, nanos now, struct quic_conn **ret_conn);
/* Sends a datagram of random bytes, which is no QUIC packet, to open a NAT for what comes from
 * there. PLASM_LIMIT when too many wait. */
MUST_CHECK int quic_punch(struct quic_endpoint *endpoint, const struct netaddr *remote);
/* Says goodbye with an application code and a text. QUIC_CLOSED follows, also where the connection
 * was never established. Does nothing where it has ended. What was written and has not been
 * acknowledged may be lost. */
void quic_conn_close(struct quic_conn *conn, uint64_t code, const char *reason, nanos now);
/* While on, an idle connection sends what keeps it from timing out. Off at first. */
void quic_conn_keep_alive(struct quic_conn *conn, bool on);
/* Moves a dialled connection to another local address, with path validation (RFC 9000, section 9).
 * PLASM_STATE when it is not established, was accepted or is moving, PLASM_INVALID for where it is,
 * PLASM_LIMIT when the peer gave no connection id for it. */
MUST_CHECK int quic_conn_migrate(struct quic_conn *conn, const struct netaddr *local, nanos now);
/* The host's addresses changed: connections whose source address the system chooses let their peers
 * hear from them at once. */
void quic_local_changed(struct quic_endpoint *endpoint, nanos now);
/* ICMP says that nobody listens at `remote`: connections to it of which no packet was ever heard
 * end with PLASM_UNREACHABLE. Others do not: the message may be forged. */
void quic_unreachable(struct quic_endpoint *endpoint, const struct netaddr *remote, nanos now);

/* The caller's own pointer, NULL at first. */
void **quic_conn_user(struct quic_conn *conn);
void **quic_stream_user(struct quic_stream *stream);
struct quic_conn *quic_stream_conn(const struct quic_stream *stream);
struct quic_endpoint *quic_conn_endpoint(const struct quic_conn *conn);
bool quic_conn_inbound(const struct quic_conn *conn);
/* As they are now; borrowed as long as the connection. */
const struct netaddr *quic_conn_remote(const struct quic_conn *conn);
const struct netaddr *quic_conn_local(const struct quic_conn *conn);

struct quic_conn_info {
    nanos smoothed_rtt; /* 0 before the first measurement */
    nanos latest_rtt;
    nanos min_rtt;
    uint64_t congestion_window_bytes;
    uint64_t in_flight_bytes;
    size_t packet_size; /* as large as the path is known to take */
    size_t streams;     /* open */
};
void quic_conn_info(const struct quic_conn *conn, struct quic_conn_info *ret_info);

/* Opens a bidirectional stream. It costs nothing on the wire before something is written.
 * PLASM_LIMIT when the peer allows no more now (QUIC_STREAMS_AVAILABLE comes), PLASM_NO_MEMORY,
 * PLASM_CLOSED, PLASM_STATE before QUIC_CONNECTED. */
MUST_CHECK int quic_stream_open(struct quic_conn *conn, struct quic_stream **ret_stream);
/* Queues bytes [offset, offset + size) of `block` and takes a reference until they have been
 * acknowledged; they must not change. *ret_accepted tells how many were taken, which is all or as
 * many as the bounds allow; fewer than `size` brings QUIC_STREAM_WRITABLE later. `fin` ends the
 * sending side once everything was accepted; `block` may be NULL with size 0. PLASM_NO_MEMORY,
 * PLASM_CLOSED (ended, reset or stopped, or `fin` was given before). */
MUST_CHECK int quic_stream_write(struct quic_stream *stream, struct block *block, size_t offset,
                                 size_t size, bool fin, size_t *ret_accepted);
/* Gives credit for `size` received bytes back to the sender. Bytes that never are consumed stop
 * the stream, and in the end the connection; what is left when a stream closes counts as consumed.
 */
void quic_stream_consume(struct quic_stream *stream, size_t size);
/* Gives up sending: what was written may be lost. QUIC_STREAM_CLOSED follows when the receiving
 * side is over too. */
void quic_stream_reset(struct quic_stream *stream, uint64_t code);
/* Gives up receiving: asks the peer to stop, and no more data of this stream comes. */
void quic_stream_stop(struct quic_stream *stream, uint64_t code);
/* Bytes written and not acknowledged. */
size_t quic_stream_unacknowledged(const struct quic_stream *stream);

/* Counters since the endpoint was made, and what there is now. */
struct quic_stats {
    size_t connections; /* now, not closed */
    size_t connections_inbound;
    size_t handshakes_inbound;
    size_t state_bytes; /* memory of connections, without the TLS library's own */
    uint64_t dialled;
    uint64_t accepted;          /* connected */
    uint64_t handshakes_failed; /* inbound ones */
    uint64_t handshakes_evicted;
    uint64_t refused; /* by limits */
    uint64_t retries_sent;
    uint64_t resets_sent;   /* stateless */
    uint64_t versions_sent; /* Version Negotiation */
    uint64_t datagrams_received;
    uint64_t datagrams_dropped; /* of no connection, or unreadable */
    uint64_t packets_sent;
    uint64_t bytes_received;
    uint64_t bytes_sent;
};
void quic_stats(const struct quic_endpoint *endpoint, struct quic_stats *ret_stats);
/* Inbound connections of this IPv4 address or IPv6 /56 now. */
size_t quic_connections_of(const struct quic_endpoint *endpoint, const struct netaddr *address);
/* Who counts its connections. */
struct admission *quic_admission(struct quic_endpoint *endpoint);

#endif
