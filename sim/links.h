/* The simulator's connections: what lib/peer calls a transport, without bytes of any handshake or
 * encryption. What a node writes while it is running leaves as one packet for each connection and
 * arrives in order: a datagram lost on the way delays it, as retransmission does. A handshake takes
 * a round trip, a dial that nobody answers a time-out, and a connection that hears nothing for long
 * ends. */
#ifndef SIM_LINKS_H
#define SIM_LINKS_H

#include "network.h"
#include "peer/transport.h"
#include "pool.h"

/* QUIC's behaviour, in numbers. */
#define LINKS_DIAL_TIMEOUT       (5 * NANOS_SECOND)
#define LINKS_IDLE_TIMEOUT       (30 * NANOS_SECOND)
#define LINKS_HANDSHAKE_RESEND   (300 * NANOS_MILLISECOND) /* a handshake datagram is lost */
#define LINKS_ACKNOWLEDGED_LATER (25 * NANOS_MILLISECOND)  /* a receiver's delay, most of it */
#define LINKS_WINDOW_BYTES       ((size_t)512 * 1024)      /* of a stream, not consumed yet */
#define LINKS_STREAMS_MAX        256                       /* one side has opened, not closed */

/* What all nodes of a network share. */
struct links {
    struct network *network;
    struct pool channels;
    struct pool streams;
    struct pool frames;
    struct pool packets;
    struct public_key key; /* of the link that was connected last */
    /* What does nothing but acknowledge the end of a stream wakes nobody: it is there when the
     * receiver wakes next, which it does in any case to give up on the stream. */
    bool lazy;
};

void links_init(struct links *links, struct network *network);
/* After all transports were freed and the queue has run out: nothing is on its way any more. */
void links_done(struct links *links);

/* The transport of the node at `site`, which it occupies (site->port) until it is freed. site->id
 * must be an identity id, which holds the key. */
struct transport *links_transport_new(struct links *links, struct site *site);
/* Sends what was written since. */
void links_transport_flush(struct transport *transport);
/* Without a word to anybody: the other ends time out. After the peer is freed. */
void links_transport_free(struct transport *transport);

#endif
