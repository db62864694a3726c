/* Multicast DNS on the machine's interfaces: the sockets and the time of lib/proto/mdns. Lives
 * beside other responders (avahi, mDNSResponder): the port is shared, and on Linux the IPv4 socket
 * takes the group's packets alone, so that nobody's unicast answers come here. */
#ifndef HOST_MDNS_H
#define HOST_MDNS_H

#include <uv.h>

#include "identity/peer_id.h"
#include "util/log.h"
#include "util/memory.h"
#include "util/time.h"
#include "wire/multiaddr.h"

/* Addresses we listen on; more are not announced. */
#define MDNS_LISTENING_MAX 8

struct mdns_service;

struct mdns_service_config {
    uv_loop_t *loop;
    struct memory *memory;      /* borrowed */
    const struct log_sink *log; /* may be NULL */
    struct peer_id id;
    /* Where we listen, "/ip4/0.0.0.0/udp/4001/quic-v1": wildcards stand for what an interface has.
     * Only interfaces with an address of these are used. None: all are, for looking alone. */
    const struct multiaddr *listening;
    size_t listening_count;
    /* A peer is there, or at other addresses (without /p2p) than before. From the loop; borrowed.
     */
    void (*on_found)(void *context, const struct peer_id *id, const struct multiaddr *addresses,
                     size_t count);
    void *context;
};

/* Announces us, where we listen, and looks for others. PLASM_IO: no socket could be had (errno);
 * PLASM_NO_MEMORY. */
MUST_CHECK int mdns_service_new(const struct mdns_service_config *config,
                                struct mdns_service **ret_service);
/* Says goodbye. The loop must run until the handles are closed; NULL is allowed. */
void mdns_service_free(struct mdns_service *service);
/* The machine's interfaces or addresses changed. */
void mdns_service_refresh(struct mdns_service *service);
/* Looks for others from now on, or no more. */
void mdns_service_search(struct mdns_service *service, bool on);
/* Peers on the local network now, and interfaces used. */
size_t mdns_service_peers(const struct mdns_service *service);
size_t mdns_service_interfaces(const struct mdns_service *service);

#endif
