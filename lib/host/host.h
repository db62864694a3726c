/* A peer on the real world: sockets, clock, entropy, DNS and signer around lib/peer, on a libuv
 * loop. The only place where protocols meet the operating system. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <uv.h>

#include "host/signer.h"
#include "host/tcp.h"
#include "peer/peer.h"
#include "proto/quic/quic.h"

/* UDP sockets, and as many again for dial-backs, one a family; sockets of both kinds that listen.
 */
#define HOST_SOCKETS_MAX   4
#define HOST_LISTENING_MAX (HOST_SOCKETS_MAX + TCP_LISTENERS_MAX)

struct host;

/* A socket's address: UDP for QUIC, or TCP. */
struct host_address {
    struct netaddr netaddr;
    bool is_tcp;
    bool is_optional; /* left out, with a line in the log, where this system lacks its family */
};

void host_address_to_multiaddr(const struct host_address *address, struct multiaddr *ret_address);
/* PLASM_UNSUPPORTED for what is neither /ip4|ip6/…/udp/port/quic-v1 nor /…/tcp/port. */
MUST_CHECK int host_address_from_multiaddr(const struct multiaddr *address,
                                           struct host_address *ret_address);

struct host_config {
    uv_loop_t *loop; /* the caller's; NULL: one of its own */
    /* Addresses to listen on. None: a client's, one free UDP port of each family, accepting
     * nothing. */
    const struct host_address *listen;
    size_t listen_count;
    struct signer *signer; /* borrowed */
    struct memory *memory; /* borrowed */
    const char *agent;
    const char *kad_protocol;
    bool kad_server;
    bool perf_server; /* answer /perf */
    bool capability_reader;
    struct kad_namespaces kad_namespaces;
    const char *const *protocols;
    size_t protocol_count;
    const struct resource_limits *resources; /* NULL: the defaults; not needed after host_new */
    size_t network_bytes_max;                /* of all connections together; 0: the default */
    const struct log_sink *log;              /* may be NULL */
    uint8_t reset_secret[QUIC_SECRET_SIZE];  /* zeros: a random one */
    /* Every event of the peer but SIGN and RESOLVE, which the host answers by itself. Called from
     * the loop; the event is borrowed. Any peer_* function may be called from it. */
    void (*on_event)(void *context, const struct peer_event *event);
    void *context;
};

/* What of the configuration could not be had, when host_new fails. */
struct host_fault {
    /* A listen address that could not be bound; family 0: something else. */
    struct host_address address;
    int system_error; /* errno */
};

/* PLASM_IO (see `ret_fault`, which may be NULL), PLASM_NO_MEMORY, PLASM_FAILED. */
MUST_CHECK int host_new(const struct host_config *config, struct host **ret_host,
                        struct host_fault *ret_fault);
/* Says goodbye to every connection and frees everything. On a loop of the caller's the loop must
 * still run until its handles are closed. */
void host_free(struct host *host);

struct peer *host_peer(struct host *host);
uv_loop_t *host_loop(struct host *host);
nanos host_now(void);
int64_t host_unix_ms(void);
/* Random bytes from the system. */
void host_random(struct span room);

/* Runs the loop once: waits for something to happen, at most until `deadline`. */
void host_wait(struct host *host, nanos deadline);
/* Makes a host_wait that is under way, or the next one, return. May be called from another thread
 * or a signal handler. */
void host_wake(struct host *host);

/* Begins to announce us on the local networks we listen on (mDNS), and to look there for others,
 * who are then dialled. Where it runs already, looks anew. PLASM_IO (errno), PLASM_NO_MEMORY. */
MUST_CHECK int host_mdns_start(struct host *host);
/* Peers on the local networks now and, in *ret_interfaces, networks; both 0 when it does not run.
 */
size_t host_mdns_peers(const struct host *host, size_t *ret_interfaces);

/* The bound addresses, with real port numbers; how many. */
size_t host_listening(const struct host *host, struct host_address *ret_addresses,
                      size_t count_max);
/* Begins the address book (peer/reachability.h) with where we listen, and keeps it up to date when
 * the interfaces change. Returns how many addresses are published now, without /p2p. */
size_t host_publish_addresses(struct host *host, struct multiaddr *ret_addresses, size_t count_max);

/* QUIC's counters, all sockets together, and those of pipes. */
void host_quic_stats(const struct host *host, struct quic_stats *ret_stats);
void host_pipe_stats(const struct host *host, struct pipe_stats *ret_stats);
/* The pipe transport, for who has other pipes than TCP to add. */
struct transport *host_pipes(struct host *host);

#endif
