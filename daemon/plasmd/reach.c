/* How the worker is reached: ports forwarded by the router, and what it says of its addresses. */
#include "host/portmap/portmap.h"
#include "peer/reachability.h"
#include "plasmd/worker.h"

/* Loopback is nobody's to forward, and a global address needs no forwarding. */
static bool is_to_be_mapped(const struct host_address *address) {
    enum netaddr_scope scope = netaddr_scope(&address->netaddr);
    return address->netaddr.family == NETADDR_IP4 &&
           (netaddr_is_unspecified(&address->netaddr) || scope == NETADDR_SITE);
}

static void on_mapped(void *context, const struct portmap_result *result) {
    struct worker *worker = context;
    struct multiaddr addresses[PORTMAP_PORTS_MAX];
    for (size_t i = 0; i < result->count; i++) {
        struct host_address address = {.netaddr = result->external[i],
                                       .is_tcp = result->ports[i].tcp};
        host_address_to_multiaddr(&address, &addresses[i]);
    }
    if (result->count != worker->mapped_count) {
        daemon_log(LOG_LEVEL_INFO, "Port mapping: %zu ports %s", result->count, result->text);
    }
    worker->mapped_count = result->count;
    peer_own_addresses_set(host_peer(worker->host), OWN_MAPPED, addresses, result->count,
                           host_now());
}

void reach_start(struct worker *worker) {
    struct host_address listening[HOST_LISTENING_MAX];
    struct portmap_port ports[PORTMAP_PORTS_MAX];
    size_t count = 0;
    size_t listening_count = host_listening(worker->host, listening, HOST_LISTENING_MAX);
    for (size_t i = 0; i < listening_count && count < PORTMAP_PORTS_MAX; i++) {
        if (is_to_be_mapped(&listening[i])) {
            ports[count++] = (struct portmap_port){.tcp = listening[i].is_tcp,
                                                   .port = listening[i].netaddr.port};
        }
    }
    if (!worker->config->port_mapping || count == 0) {
        return;
    }
    int error = portmap_new(&worker->loop, ports, count, on_mapped, worker, &worker->portmap);
    if (error != 0) {
        daemon_log(LOG_LEVEL_WARNING, "Port mapping: %s", plasm_error_message(error));
    }
}

void reach_stop(struct worker *worker) {
    portmap_free(worker->portmap);
    worker->portmap = NULL;
}

/* In short what plasm doctor tells at length. */
static void log_reachability(const struct worker *worker) {
    const struct peer *peer = host_peer(worker->host);
    static const char *const sentences[] = {
        [REACHABILITY_UNKNOWN] = "not known yet",
        [REACHABILITY_PUBLIC] = "others reach this node directly",
        [REACHABILITY_PRIVATE] = "others do not reach this node directly",
    };
    daemon_log(LOG_LEVEL_INFO, "Reachability: %s; NAT: %s; %zu addresses, %zu mapped",
               sentences[peer_reachability(peer)], nat_type_name(peer_nat_type(peer, false)),
               worker->address_count, worker->mapped_count);
    for (size_t i = 0; i < worker->address_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&worker->addresses[i], text, sizeof(text)) == 0) {
            daemon_log(LOG_LEVEL_DEBUG, "Reachability: published %s", text);
        }
    }
}

void reach_changed(struct worker *worker) {
    worker->address_count = peer_published_addresses(host_peer(worker->host), worker->addresses,
                                                     PEER_OWN_ADDRESSES_MAX);
    log_reachability(worker);
}
