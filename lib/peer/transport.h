/* What a transport gives to a peer: secured, multiplexed connections ("links") and their streams.
 * QUIC, TCP with Noise or TLS and Yamux, a relayed circuit and the simulator's link implement it.
 *
 * Ownership: a link and its streams belong to the transport. A link is valid until LINK_CLOSED has
 * been taken and the next call on the transport is made; a stream until LINK_STREAM_CLOSED, or the
 * LINK_CLOSED of its link, likewise. */
#ifndef PEER_TRANSPORT_H
#define PEER_TRANSPORT_H

#include "identity/peer_id.h"
#include "util/block.h"
#include "util/time.h"
#include "wire/multiaddr.h"

struct admission;
struct transport;

/* First member of a transport's own connection. */
struct link {
    struct transport *transport;
    void *user; /* the peer's */
    bool inbound;
    /* Where the transport has counted it, NULL for nowhere. */
    const struct admission *admission;
};

/* First member of a transport's own stream. */
struct link_stream {
    struct link *link;
    void *user; /* the peer's */
};

enum link_event_type {
    LINK_CONNECTED,       /* peer_id, key, remote; for accepted ones the first event of the link */
    LINK_CLOSED,          /* error, reason; also the end of a failed dial */
    LINK_MOVED,           /* remote: the other side has another address now (QUIC's migration) */
    LINK_STREAM_OPENED,   /* by the other side */
    LINK_STREAM_DATA,     /* data, fin */
    LINK_STREAM_WRITABLE, /* after a write that was not accepted in whole */
    LINK_STREAM_RESET,    /* the other side gave up sending: code */
    LINK_STREAM_STOPPED,  /* the other side does not read any more: code; our sending is over */
    LINK_STREAM_CLOSED,   /* both directions are over, everything sent was received */
};

struct link_event {
    enum link_event_type type;
    struct link *link;
    struct link_stream *stream;
    int error;         /* LINK_CLOSED: why, 0 for an orderly end */
    uint64_t code;     /* LINK_STREAM_RESET, LINK_CLOSED: the application's error code */
    struct bytes data; /* LINK_STREAM_DATA; LINK_CLOSED: the reason's text; borrowed */
    bool fin;          /* LINK_STREAM_DATA: nothing follows */
    struct peer_id peer_id;
    const struct public_key *key; /* LINK_CONNECTED; borrowed */
    struct multiaddr remote;      /* LINK_CONNECTED, LINK_MOVED; without /p2p */
};

struct transport_verbs {
    /* True when dial takes such an address. */
    bool (*dials)(const struct transport *transport, const struct multiaddr *address);
    /* Begins a connection. `expected` NULL accepts any identity. `hint` is the round trip to
     * assume at first, 0 for the default. The link's end is LINK_CONNECTED or LINK_CLOSED.
     * PLASM_UNSUPPORTED, PLASM_LIMIT, PLASM_NO_MEMORY, PLASM_UNREACHABLE. */
    int (*dial)(struct transport *transport, const struct multiaddr *address,
                const struct peer_id *expected, nanos hint, nanos now, struct link **ret_link);
    /* Opens the NAT for a connection that the other side makes at this moment, too (DCUtR). As
     * dial; the `listener` takes the role of the accepting side, and where that only sends what
     * opens the NAT (QUIC) *ret_link stays NULL. `rtt` is the way to the other side, about. NULL
     * where there is nothing like it. */
    int (*punch)(struct transport *transport, const struct multiaddr *address,
                 const struct peer_id *expected, bool listener, nanos rtt, nanos now,
                 struct link **ret_link);
    bool (*next_event)(struct transport *transport, struct link_event *ret_event);
    nanos (*deadline)(const struct transport *transport);
    void (*expire)(struct transport *transport, nanos now);
    /* Says goodbye with an application code. LINK_CLOSED follows. */
    void (*close)(struct link *link, uint64_t code, const char *reason, nanos now);
    /* While true, an idle link sends what keeps it from timing out. */
    void (*keep_alive)(struct link *link, bool on);
    /* PLASM_LIMIT when the other side allows no more now, PLASM_NO_MEMORY, PLASM_CLOSED. */
    int (*open)(struct link *link, struct link_stream **ret_stream);
    /* Takes a reference of `block` for what it accepts of [offset, offset + size), in order; with
     * `fin` and everything accepted, the sending side ends. Less accepted than asked brings
     * LINK_STREAM_WRITABLE later. PLASM_CLOSED, PLASM_NO_MEMORY. */
    int (*write)(struct link_stream *stream, struct block *block, size_t offset, size_t size,
                 bool fin, size_t *ret_accepted);
    /* Gives credit for received bytes back to the sender. */
    void (*consume)(struct link_stream *stream, size_t size);
    /* Ends both directions at once. LINK_STREAM_CLOSED follows. */
    void (*reset)(struct link_stream *stream, uint64_t code);
};

/* First member of a transport. */
struct transport {
    const struct transport_verbs *verbs;
};

#endif
