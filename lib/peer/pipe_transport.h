/* Ordered byte pipes as a transport: multistream-select, then Noise or TLS, then Yamux, whose
 * streams are the links' streams. A TCP connection is a pipe, a relayed circuit is another.
 *
 * Who makes pipes is a provider: the host for TCP, the relay service for circuits, a test for
 * memory. A provider hands bytes in and takes bytes out; nothing is called back: what it has to do
 * waits for it in pipe_provider_next().
 *
 *   struct pipe *pipe;
 *   enum pipe_task task;
 *   while (pipe_provider_next(provider, &pipe, &task)) ...
 *
 * Ask after anything happened: an event was taken, bytes came, time passed, a call on the peer.
 *
 * Ownership: a pipe belongs to the transport and stays until its provider has called pipe_ended(),
 * which comes exactly once for each, whatever happened. The link is another life of the same
 * connection: LINK_CLOSED is its end (see transport.h), and may come long before the pipe's.
 *
 * Specs: libp2p/specs connections/README.md; noise, tls, yamux: see lib/proto. */
#ifndef PEER_PIPE_TRANSPORT_H
#define PEER_PIPE_TRANSPORT_H

#include "crypto/random.h"
#include "peer/transport.h"
#include "util/budget.h"
#include "util/list.h"
#include "util/log.h"

struct pipe;
struct pipe_security;

/* Ways to secure a pipe, and providers, that one transport has at most. */
#define PIPE_SECURITIES_MAX 4
#define PIPE_PROVIDERS_MAX  4
/* Room that lets pipe_transmit() fill several frames of a secure channel. */
#define PIPE_ROOM_SIZE 262144
/* pipe_transmit() gives nothing when it is offered less. */
#define PIPE_ROOM_SIZE_MIN 2048

/* Bounds; limits.md has where they come from. */
struct pipe_limits {
    nanos handshake_timeout; /* from dialling or accepting until the link is connected */
    nanos idle_timeout;      /* nothing heard, and nobody wants the link kept alive */
    nanos linger_timeout;    /* for what is still to be sent after close */
    size_t bytes_max; /* without a budget of the config: what receive windows of all streams may
                         grow by, and what arrived and waits */
};
extern const struct pipe_limits pipe_limits_default;

struct pipe_config {
    /* In order of preference when we dial; all of them are accepted. Borrowed. */
    const struct pipe_security *const *securities;
    size_t security_count;
    struct memory *memory;
    uint8_t seed[32];
    struct pipe_limits limits;
    /* Whom it asks about new connections, shared with other transports. Borrowed, and outlives the
     * links. NULL: all are accepted. */
    struct admission *admission;
    /* What receive windows grow by and what waits counts in, shared with others, and instead of
     * limits.bytes_max. Borrowed, and outlives the transport. NULL: one of its own. */
    struct budget *budget;
    const struct log_sink *log; /* may be NULL */
};

/* --- providers -------------------------------------------------------------------------------- */

/* First member of a provider's own object; zeroed but for `dials` before it is added. */
struct pipe_provider {
    /* True when it can make a pipe to such an address (which may end in /p2p). */
    bool (*dials)(const struct pipe_provider *provider, const struct multiaddr *address);
    struct list waiting; /* pipes with a task; the transport's */
};

enum pipe_task {
    PIPE_DIAL,   /* connect to pipe_address(): then pipe_connected(), or pipe_ended() */
    PIPE_SEND,   /* take bytes with pipe_transmit() until it gives none or the medium takes none */
    PIPE_FINISH, /* everything was taken: end the sending direction, go on handing in until the
                    other side's end, then pipe_ended() */
    PIPE_DROP,   /* end it at once, without waiting for anything: then pipe_ended() */
};

/* PLASM_LIMIT. The provider must outlive its pipes. */
MUST_CHECK int pipe_transport_add_provider(struct transport *transport,
                                           struct pipe_provider *provider);
/* The next pipe that its provider has something to do for. PIPE_SEND is given once until
 * pipe_transmit() has given 0 since: whoever stops earlier (a full socket) goes on by itself. */
bool pipe_provider_next(struct pipe_provider *provider, struct pipe **ret_pipe,
                        enum pipe_task *ret_task);

/* A pipe that came from the other side. `remote` is what LINK_CONNECTED will say. PLASM_LIMIT,
 * PLASM_REFUSED (by limits or the operator's lists), PLASM_NO_MEMORY: there is no pipe, end the
 * medium. */
MUST_CHECK int pipe_accept(struct transport *transport, struct pipe_provider *provider,
                           const struct multiaddr *remote, nanos now, struct pipe **ret_pipe);
/* The answer to PIPE_DIAL. */
void pipe_connected(struct pipe *pipe, nanos now);
/* Bytes that arrived, which will be changed (they are decrypted where they are) and must stay until
 * the transport's next_event() has returned false. Ignored once the link is over. */
void pipe_receive(struct pipe *pipe, struct span input, nanos now);
/* The same from bytes that are somebody else's: a copy is kept as long as needed. */
void pipe_receive_copy(struct pipe *pipe, struct bytes input, nanos now);
/* Gives bytes for the other side, 0 when there are none now. */
size_t pipe_transmit(struct pipe *pipe, struct span room, nanos now);
/* The pipe is over: 0 at the end of the other side's sending, or PLASM_UNREACHABLE (nobody there),
 * PLASM_TIMEOUT, PLASM_RESET, PLASM_CLOSED, PLASM_LIMIT, PLASM_NO_MEMORY. What was handed in before
 * is still taken. `pipe` is not the provider's any more. */
void pipe_ended(struct pipe *pipe, int error, nanos now);

/* Where it was dialled to, or came from. Borrowed as long as the pipe. */
const struct multiaddr *pipe_address(const struct pipe *pipe);
/* Whom a dialled pipe must lead to (a circuit's address does not say), NULL for anybody. */
const struct peer_id *pipe_expected(const struct pipe *pipe);
/* The provider's own pointer, NULL at first. */
void **pipe_user(struct pipe *pipe);
bool pipe_inbound(const struct pipe *pipe);

/* --- the transport ---------------------------------------------------------------------------- */

/* `config` is copied. PLASM_NO_MEMORY, PLASM_INVALID. */
MUST_CHECK int pipe_transport_new(const struct pipe_config *config,
                                  struct transport **ret_transport);
/* Every pipe must have been ended before. NULL is allowed. */
void pipe_transport_free(struct transport *transport);
/* The time of day, which certificates are checked against: told before bytes are handed in. */
void pipe_transport_set_time(struct transport *transport, int64_t unix_seconds);
/* Closes every link and accepts no more. */
void pipe_transport_close(struct transport *transport, nanos now);

/* As dial of transport.h, where both sides dial at once (hole punching): `listener` takes the role
 * of the accepting side in all that follows. */
MUST_CHECK int pipe_transport_punch(struct transport *transport, const struct multiaddr *address,
                                    const struct peer_id *expected, bool listener, nanos now,
                                    struct link **ret_link);
/* The pipe under a link; NULL once it has ended. */
struct pipe *pipe_of_link(struct link *link);

struct pipe_stats {
    size_t links; /* connected now */
    size_t links_inbound;
    size_t handshakes_inbound; /* not connected yet */
    uint64_t dialled;
    uint64_t accepted; /* connected */
    uint64_t handshakes_failed;
    uint64_t handshakes_evicted;
    uint64_t bytes_received;
    uint64_t bytes_sent;
};
void pipe_transport_stats(const struct transport *transport, struct pipe_stats *ret_stats);

#endif
