/* TCP sockets as pipes: listening, dialling, and moving bytes between them and a pipe transport. */
#ifndef HOST_TCP_H
#define HOST_TCP_H

#include <uv.h>

#include "peer/pipe_transport.h"
#include "util/netaddr.h"

/* Sockets that listen. */
#define TCP_LISTENERS_MAX 8
/* What one read takes from the kernel at most. */
#define TCP_READ_SIZE 262144
/* Unacknowledged, or not taken by a peer that reads nothing, for this long: it is gone. */
#define TCP_USER_TIMEOUT_MS 30000
/* What a socket may have waiting for the kernel when the budget of all is spent. */
#define TCP_UNSENT_BYTES_GUARANTEED 16384

struct tcp;

struct tcp_config {
    uv_loop_t *loop;
    struct transport *pipes; /* borrowed; pipe_transport_new() made it */
    /* Where what the kernel did not take counts, with what else connections hold; NULL: nowhere. */
    struct budget *budget;
    const struct log_sink *log;
    nanos (*now)(void);
    /* Bytes were handed in: takes all events, so that the buffer may be used again. */
    void (*drain)(void *context);
    void *context;
};

/* PLASM_NO_MEMORY, PLASM_LIMIT (the transport has no place for a provider). */
MUST_CHECK int tcp_new(const struct tcp_config *config, struct tcp **ret_tcp);
/* Listens; port 0 takes a free one. An IPv6 socket takes IPv6 only. Connections are dialled from
 * the same port, so that the address others see is one they can reach. PLASM_IO (errno),
 * PLASM_LIMIT. */
MUST_CHECK int tcp_listen(struct tcp *tcp, const struct netaddr *address);
/* The addresses listened on, with real ports; how many. */
size_t tcp_listening(const struct tcp *tcp, struct netaddr *ret_addresses, size_t count_max);
/* Does what pipes wait for. True when there was anything: it may have made events. */
bool tcp_flush(struct tcp *tcp);
/* Ends every pipe at once and frees everything; `freed` is called when the loop has let go of the
 * last socket, maybe before this returns. The transport may be freed as soon as this has
 * returned. */
void tcp_free(struct tcp *tcp, void (*freed)(void *context), void *context);

#endif
