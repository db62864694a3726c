/* The parts of an endpoint that its files share. Nothing outside lib/proto/quic includes this. */
#ifndef QUIC_INTERNAL_H
#define QUIC_INTERNAL_H

#include <gnutls/gnutls.h>

#include "crypto/random.h"
#include "identity/certificate_cache.h"
#include "proto/quic/frames.h"
#include "proto/quic/ngtcp2_compat.h"
#include "proto/quic/path.h"
#include "proto/quic/quic.h"
#include "proto/quic/send_queue.h"
#include "util/bucket.h"
#include "util/heap.h"
#include "util/list.h"
#include "util/map.h"

/* Our own connection ids; long enough to be unguessable, and of one size, as short headers have no
 * length. */
#define QUIC_CID_SIZE 8
/* Ids of one connection in the map at a time: ngtcp2 issues 8 and keeps retired ones for a while,
 * and a client's first choice is there too. */
#define QUIC_CIDS_MAX 20
/* Reset tokens of one connection in the map at a time: one for each path in use. */
#define QUIC_RESETS_MAX 8
/* Of stream data waiting in events: one batch of datagrams. Larger amounts are put in blocks. */
#define QUIC_ARENA_SIZE 65536
/* What every path takes (RFC 9000, section 14). */
#define QUIC_PACKET_SIZE_SAFE 1200
/* A path that was taken for loopback and swallows large packets is found out after this time. */
#define QUIC_BLACK_HOLE_TIME (500 * NANOS_MILLISECOND)
/* Events waiting to be taken at most; beyond, the connection that makes more ends. */
#define QUIC_EVENTS_MAX 65536
/* Connections that have ended and still answer what arrives for them; the oldest goes. */
#define QUIC_LINGERING_MAX 1024
/* State that every connection may have, even when all of them together are over their budget. */
#define QUIC_STATE_BYTES_GUARANTEED 131072
/* Longest text of QUIC_CLOSED, with NUL. */
#define QUIC_TEXT_MAX 192
/* First ids of clients that were lately answered with Retry. */
#define QUIC_RETRIED_MAX 64
/* Answers to datagrams of unknown connections, a second. */
#define QUIC_RESETS_PER_SECOND   100
#define QUIC_VERSIONS_PER_SECOND 1000
/* How long a Retry token is good. */
#define QUIC_RETRY_TOKEN_LIFE (10 * NANOS_SECOND)

struct cid_entry {
    struct map_node node;
    struct quic_conn *conn; /* NULL: the entry is free */
    ngtcp2_cid cid;
};

struct reset_entry {
    struct map_node node;
    struct quic_conn *conn; /* NULL: the entry is free */
    uint64_t seq;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
};

enum conn_state {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_CLOSED,    /* QUIC_CLOSED waits to be taken (or nobody waits for it) */
    CONN_LINGERING, /* taken: only what answers late packets is left */
};

struct quic_conn {
    struct quic_endpoint *endpoint;
    void *user;
    enum conn_state state;
    bool inbound;
    bool reported;  /* QUIC_CONNECTED was queued, or the caller dialled it: it wants a CLOSED */
    bool heard;     /* a packet of the peer was read */
    bool any_local; /* dialled with an unspecified source IP */
    bool keep_alive;
    bool ping;           /* send something at the next transmit */
    bool path_dirty;     /* the path may be another than is known */
    bool want_streams;   /* an open was refused */
    bool data_blocked;   /* by connection flow control, as far as is known */
    bool over_budget;    /* an allocation was refused for the state budget */
    int broken;          /* the connection must end with this error, found where it could not */
    int verify_error;    /* of the peer's certificate */
    bool no_alpn;        /* the peer agreed to no protocol of ours */
    ngtcp2_conn *ngtcp2; /* NULL once closed */
    ngtcp2_mem mem;
    ngtcp2_crypto_conn_ref reference;
    gnutls_session_t session;              /* NULL after the handshake */
    struct certificate_identity *identity; /* between verification and QUIC_CONNECTED */
    struct peer_id expected;               /* size 0: anybody */
    struct admission_ticket ticket;        /* accepted ones */
    struct netaddr local;                  /* as far as is known */
    struct netaddr remote;
    struct netaddr path_local;  /* what ngtcp2 knows it by */
    struct netaddr next_local;  /* while migrating there */
    struct list_node node;      /* in conns, closed or lingering */
    struct list_node handshake; /* in handshakes */
    struct list_node ready;     /* in ready */
    struct heap_node timer;
    struct list streams;
    struct list sendable; /* of them those with something to send */
    size_t state_bytes;
    nanos paced_until;      /* new data waits until then */
    size_t packet_size_max; /* what ngtcp2 may fill; it finds out itself what a path takes, except
                               over loopback */
    nanos last_heard;
    /* How it ended. */
    int close_error;
    uint64_t close_code;
    bool close_is_application;
    bool close_by_peer;
    uint8_t *goodbye; /* our CONNECTION_CLOSE, to be sent again when the peer goes on */
    size_t goodbye_size;
    unsigned goodbye_heard; /* packets since */
    bool goodbye_due;
    nanos linger_until;
    char text[QUIC_TEXT_MAX];
    struct cid_entry cids[QUIC_CIDS_MAX];
    struct reset_entry resets[QUIC_RESETS_MAX];
};

struct quic_stream {
    struct quic_conn *conn;
    void *user;
    int64_t id;
    struct list_node node;     /* in conn->streams, or in endpoint->dead_streams */
    struct list_node sendable; /* in conn->sendable */
    struct send_queue queue;
    uint64_t received;
    uint64_t consumed;
    bool fin; /* the writer has ended */
    bool fin_sent;
    bool shut;    /* our sending side was reset or stopped: nothing more to write */
    bool muted;   /* the caller does not want more data */
    bool blocked; /* by stream flow control */
    bool want_writable;
    bool closed;
};

/* An event that waits, with what its bytes lie in when that is not the arena. */
struct queued_event {
    enum quic_event_type type;
    bool fin;
    struct quic_conn *conn;
    struct quic_stream *stream;
    uint64_t code;
    struct bytes data;
    struct block *block;
};

struct retried {
    ngtcp2_cid dcid;
    nanos at;
};

/* Datagrams of quic_punch() that wait to be sent. */
#define QUIC_PUNCHES_MAX 32
#define QUIC_PUNCH_SIZE  64

struct quic_endpoint {
    struct quic_config config;
    struct memory *memory;
    const struct log_sink *log;
    struct random random;
    const ngtcp2_callbacks *client_callbacks;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    struct certificate_cache certificates;
    nanos now;
    int64_t unix_seconds;
    bool accept;
    struct map cids;
    const struct cid_entry *recent; /* found last */
    struct map resets;
    struct heap timers;
    struct list conns;      /* open or in their handshake */
    struct list handshakes; /* of them accepted ones in their handshake, oldest first */
    struct list closed;     /* QUIC_CLOSED waits */
    struct list lingering;  /* oldest first */
    struct list ready;      /* may have something to send */
    struct list dead_streams;
    struct quic_conn *dead_conn; /* its QUIC_CLOSED was taken last */
    struct certificate_identity *taken_identity;
    struct block *taken_block;
    struct queued_event *events; /* ring */
    size_t event_capacity;
    size_t event_first;
    size_t event_count;
    size_t arena_used;
    struct stop_sending stops[FRAMES_STOPS_MAX]; /* of the packet that is being read */
    size_t stop_count;
    struct admission *admission;
    struct admission own_admission;
    struct bucket reset_bucket;
    struct bucket version_bucket;
    struct retried retried[QUIC_RETRIED_MAX];
    size_t retried_next;
    size_t punch_count;
    struct netaddr punches[QUIC_PUNCHES_MAX]; /* where random datagrams go */
    /* A packet that did not fit its batch, or an answer of no connection. */
    struct quic_packet pending;
    uint8_t pending_bytes[QUIC_DATAGRAM_SIZE_MAX];
    struct quic_stats stats;
    size_t state_bytes;
    struct budget *budget; /* where they count */
    struct budget own_budget;
    uint8_t arena[QUIC_ARENA_SIZE];
};

static inline ngtcp2_cid cid_of(struct bytes bytes) {
    ngtcp2_cid cid;
    ngtcp2_cid_init(&cid, bytes.data, bytes.size);
    return cid;
}
static inline struct bytes cid_bytes(const ngtcp2_cid *cid) {
    return bytes_of(cid->data, cid->datalen);
}
/* endpoint.c */
/* Time as the caller tells it; it never goes back. */
void endpoint_set_time(struct quic_endpoint *endpoint, nanos now);
/* Frees what the caller was told to be gone, at the beginning of the next call. */
void endpoint_reap(struct quic_endpoint *endpoint);
struct quic_conn *endpoint_find(struct quic_endpoint *endpoint, struct bytes cid);
/* Puts an answer of no connection into the pending slot; NULL when that is taken: the answer is
 * then left out, as if it was lost. */
uint8_t *endpoint_answer(struct quic_endpoint *endpoint);
void endpoint_answered(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                       ptrdiff_t size);

/* accept.c */
/* A long-header packet of no known connection. */
void accept_datagram(struct quic_endpoint *endpoint, const struct quic_datagram *datagram);
void accept_version(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                    const ngtcp2_version_cid *version);
/* A short-header packet of no known connection. */
void accept_unknown(struct quic_endpoint *endpoint, const struct quic_datagram *datagram);
/* Answers with Retry. */
void accept_retry(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                  const ngtcp2_pkt_hd *hd);

/* conn.c */
struct conn_options {
    struct netaddr local;
    struct netaddr remote;
    const struct peer_id *expected;
    nanos initial_rtt;
    /* Accepted ones: the client's header, and what its token says. */
    const ngtcp2_pkt_hd *hd;
    const ngtcp2_cid *original_dcid; /* NULL: no Retry was sent */
};
MUST_CHECK int conn_new(struct quic_endpoint *endpoint, const struct conn_options *options,
                        struct quic_conn **ret_conn);
/* Frees all of it, from any state, without events. It is in none of the endpoint's lists that go by
 * `node`. */
void conn_free(struct quic_conn *conn);
void conn_free_streams(struct quic_conn *conn);
/* The ngtcp2 and TLS parts, streams included. */
void conn_free_protocol(struct quic_conn *conn);
void conn_receive(struct quic_conn *conn, const struct quic_datagram *datagram);
void conn_expire(struct quic_conn *conn);
/* Has something to send, or may have. */
void conn_ready(struct quic_conn *conn);
/* Sets the timer to what ngtcp2 waits for. */
void conn_settle(struct quic_conn *conn);
/* Tells the caller when the path is another than before. */
void conn_check_path(struct quic_conn *conn);
/* To be closed with `error` as soon as that is possible. */
void conn_break(struct quic_conn *conn, int error);
void conn_set_timer(struct quic_conn *conn, nanos deadline);
bool conn_add_cid(struct quic_conn *conn, const ngtcp2_cid *cid);
void conn_remove_cid(struct quic_conn *conn, const ngtcp2_cid *cid);

/* callbacks.c */
/* A test may give an endpoint others, to play a peer that keeps no rule. */
extern const ngtcp2_callbacks callbacks_client;
extern const ngtcp2_callbacks callbacks_server;
/* Reads one datagram; the result is ngtcp2's. */
int callbacks_read(struct quic_conn *conn, const ngtcp2_path *path, uint8_t ecn,
                   struct bytes bytes);

/* tls.c */
MUST_CHECK int tls_endpoint_init(struct quic_endpoint *endpoint,
                                 const struct certificate *certificate);
void tls_endpoint_done(struct quic_endpoint *endpoint);
MUST_CHECK int tls_conn_init(struct quic_conn *conn);
/* The session is not needed after the handshake. */
void tls_conn_done(struct quic_conn *conn);
/* Whether the peer agreed on our protocol. */
bool tls_conn_has_alpn(const struct quic_conn *conn);
/* The alert for a certificate that does not hold. */
uint8_t tls_alert_of(int verify_error);
/* "bad_certificate" */
const char *tls_alert_name(uint8_t alert);

/* close.c */
/* All of these do nothing where the connection has ended. `text` may be NULL for the default. */
void close_by_us(struct quic_conn *conn, int error, uint64_t code, bool is_application,
                 const char *text);
/* Without goodbye: time-outs and the like. */
void close_silently(struct quic_conn *conn, int error, const char *text);
/* After ngtcp2 refused to go on with its `code`. */
void close_by_library(struct quic_conn *conn, int code);
/* By stateless reset. */
void close_by_reset(struct quic_conn *conn);
/* A packet for a connection that has ended. */
void close_receive(struct quic_conn *conn);
/* QUIC_CLOSED was taken, or nobody waits for it. */
void close_linger(struct quic_conn *conn);

/* event.c */
MUST_CHECK int event_push(struct quic_endpoint *endpoint, const struct queued_event *event);
/* Stream data, copied; joined with what came before it where that is possible. */
MUST_CHECK int event_push_data(struct quic_stream *stream, struct bytes data, bool fin);
/* Of a connection that nobody was told of: its events are not given. */
void events_forget(struct quic_endpoint *endpoint, const struct quic_conn *conn);
void events_done(struct quic_endpoint *endpoint);

/* stream.c */
MUST_CHECK int stream_new(struct quic_conn *conn, int64_t id, struct quic_stream **ret_stream);
void stream_free(struct quic_stream *stream);
/* Into the list of those that have something to send, if it does. */
void stream_offer(struct quic_stream *stream);
void stream_withdraw(struct quic_stream *stream);
/* `size` bytes and perhaps the end have left. */
void stream_sent(struct quic_stream *stream, size_t size, bool fin);
/* The peer stopped it. */
void stream_stopped(struct quic_stream *stream, uint64_t code);
/* ngtcp2 is done with it. */
void stream_closed(struct quic_stream *stream);
void stream_check_writable(struct quic_stream *stream);

/* transmit.c */
bool transmit_conn(struct quic_conn *conn, struct span room, struct quic_packet *ret_packet);

#endif
