/* Moves datagrams between sockets and QUIC endpoints, and time and answers into the peer. */
#include "host/host.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "host/alarm.h"
#include "host/dns.h"
#include "host/interface_watch.h"
#include "host/interfaces.h"
#include "host/mdns.h"
#include "host/signings.h"
#include "host/udp.h"
#include "peer/pipe_noise.h"
#include "peer/pipe_tls.h"
#include "peer/quic_transport.h"
#include "peer/reachability.h"
#include "peer/relay.h"
#include "util/ensure.h"

/* What all connections may hold together where the owner does not say. */
#define NETWORK_BYTES_DEFAULT ((size_t)256 << 20)
/* Batches read from one socket before the others and the rest of the loop have their turn. */
#define BATCHES_PER_TURN 8
/* Rounds of taking events and sending what they caused before the loop goes on. */
#define FLUSHES_PER_TURN 4

enum socket_use {
    SOCKET_LISTENS,
    SOCKET_DIALS,  /* of who listens on none */
    SOCKET_PROBES, /* for dial-backs alone */
};

/* One UDP socket with its endpoint. */
struct host_socket {
    struct host *host;
    struct udp_socket udp;
    enum socket_use use;
    uv_poll_t poll;
    bool polling;
    bool waits_writable;
    struct quic_endpoint *endpoint;
    struct transport *transport;
    bool has_unsent; /* `unsent` in `room` was not taken by the kernel */
    struct udp_datagram unsent;
    uint8_t *room; /* QUIC_BATCH_SIZE_MAX */
};

struct host {
    struct host_config config;
    uv_loop_t own_loop;
    uv_loop_t *loop;
    size_t socket_count;
    struct host_socket *sockets[2 * HOST_SOCKETS_MAX]; /* those for dial-backs last */
    struct interface_watch *watch;
    bool published;       /* the peer has been told our addresses */
    struct budget budget; /* of all transports */
    struct noise_identity noise_identity;
    struct tls_identity *tls_identity;
    struct pipe_noise noise;
    struct pipe_tls tls;
    const struct pipe_security *securities[2];
    struct transport *pipes;
    struct tcp *tcp;
    struct peer *peer;
    struct alarm alarm;
    struct alarm limit; /* of host_wait */
    uv_prepare_t prepare;
    uv_async_t wake;
    struct dns *dns;
    struct mdns_service *mdns; /* NULL: not started */
    struct signings signings;
    bool has_handles;
    bool draining;
    size_t closing; /* handles not closed yet */
};

nanos host_now(void) {
    return alarm_now();
}

int64_t host_unix_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void host_random(struct span room) {
    crypto_system_random(room);
}

struct peer *host_peer(struct host *host) {
    return host->peer;
}
uv_loop_t *host_loop(struct host *host) {
    return host->loop;
}

static void on_resolved(void *context, uint64_t request, const struct multiaddr *results,
                        size_t count) {
    struct host *host = context;
    peer_resolved(host->peer, request, results, count, host_now());
}

static void answer_resolve(struct host *host, const struct peer_event *event) {
    if (host->dns == NULL && dns_new(host->loop, on_resolved, host, &host->dns) != 0) {
        host->dns = NULL;
    }
    if (host->dns == NULL ||
        dns_resolve(host->dns, event->request, event->resolve, event->data) != 0) {
        peer_resolved(host->peer, event->request, NULL, 0, host_now());
    }
}

/* Gives every waiting event away. The application's calls from inside on_event queue more; they are
 * taken in the same loop. */
static void drain(struct host *host) {
    if (host->draining) {
        return;
    }
    host->draining = true;
    peer_set_unix_time(host->peer, (uint64_t)host_unix_ms() / 1000, host_now());
    struct peer_event event;
    while (peer_next_event(host->peer, host_now(), &event)) {
        switch ((int)event.type) {
        case PEER_EVENT_SIGN:
            signings_ask(&host->signings, &event);
            break;
        case PEER_EVENT_RESOLVE:
            answer_resolve(host, &event);
            break;
        default:
            host->config.on_event(host->config.context, &event);
            break;
        }
    }
    host->draining = false;
}

static void on_socket(uv_poll_t *poll, int status, int events);

static void watch(struct host_socket *socket, bool writable) {
    if (socket->waits_writable != writable || !socket->polling) {
        socket->waits_writable = writable;
        socket->polling = true;
        (void)uv_poll_start(&socket->poll, UV_READABLE | (writable ? UV_WRITABLE : 0), on_socket);
    }
}

/* True when the kernel took it, or never will. */
static bool send_datagram(struct host_socket *socket, const struct udp_datagram *datagram) {
    int error = udp_send(&socket->udp, datagram);
    if (error == PLASM_LIMIT) {
        return false;
    }
    if (error == PLASM_UNREACHABLE) {
        quic_unreachable(socket->endpoint, &datagram->remote, host_now());
    }
    return true;
}

static void flush_socket(struct host_socket *socket) {
    if (socket->has_unsent) {
        if (!send_datagram(socket, &socket->unsent)) {
            return;
        }
        socket->has_unsent = false;
    }
    size_t room_size = socket->udp.segments ? QUIC_BATCH_SIZE_MAX : QUIC_PACKET_SIZE_MAX;
    struct quic_packet packet;
    while (quic_transmit(socket->endpoint, (struct span){socket->room, room_size}, host_now(),
                         &packet)) {
        struct udp_datagram datagram = {
            .local = packet.local,
            .remote = packet.remote,
            .ecn = packet.ecn,
            .segment_size = packet.segment_size < packet.size ? (uint16_t)packet.segment_size : 0,
            .bytes = bytes_of(socket->room, packet.size)};
        if (!send_datagram(socket, &datagram)) {
            socket->unsent = datagram;
            socket->has_unsent = true;
            break;
        }
    }
    watch(socket, socket->has_unsent);
}

/* True when it may have made events. */
static bool flush(struct host *host) {
    for (size_t i = 0; i < host->socket_count; i++) {
        flush_socket(host->sockets[i]);
    }
    return tcp_flush(host->tcp);
}

static void take_refusals(struct host_socket *socket) {
    struct netaddr remote;
    while (udp_next_refusal(&socket->udp, &remote)) {
        quic_unreachable(socket->endpoint, &remote, host_now());
    }
}

static void take_datagrams(struct host_socket *socket) {
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    int64_t unix_seconds = host_unix_ms() / 1000;
    for (int batch = 0; batch < BATCHES_PER_TURN; batch++) {
        size_t count = udp_receive(&socket->udp, datagrams);
        for (size_t i = 0; i < count; i++) {
            struct quic_datagram datagram = {.local = datagrams[i].local,
                                             .remote = datagrams[i].remote,
                                             .ecn = datagrams[i].ecn,
                                             .bytes = datagrams[i].bytes,
                                             .segment_size = datagrams[i].segment_size};
            quic_receive(socket->endpoint, &datagram, host_now(), unix_seconds);
            drain(socket->host);
        }
        if (count < UDP_BATCH_MAX) {
            break;
        }
        flush_socket(socket);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct host_socket *socket = CONTAINER_OF(poll, struct host_socket, poll);
    if (status < 0 || (events & UV_READABLE) != 0) {
        take_datagrams(socket);
    }
    if (status < 0) { /* libuv stops watching when ICMP reported something: it is over */
        take_refusals(socket);
        socket->polling = false;
        watch(socket, socket->waits_writable);
    }
}

/* Before the loop sleeps: what callbacks left behind is taken, sent, and the alarm is set. */
static void on_prepare(uv_prepare_t *prepare) {
    struct host *host = CONTAINER_OF(prepare, struct host, prepare);
    if (host->tcp == NULL) { /* not made yet, or on its way to be freed */
        return;
    }
    pipe_transport_set_time(host->pipes, host_unix_ms() / 1000);
    bool busy = true;
    for (int i = 0; i < FLUSHES_PER_TURN && busy; i++) {
        drain(host);
        busy = flush(host);
    }
    drain(host); /* a destination may have turned out unreachable */
    alarm_set(&host->alarm, peer_deadline(host->peer));
}

static void on_alarm(void *context) {
    struct host *host = context;
    peer_expire(host->peer, host_now());
}

static void on_limit(void *context) {
    (void)context;
}

static void on_wake(uv_async_t *async) {
    (void)async;
}

static void socket_free(struct host_socket *socket) {
    udp_close(&socket->udp);
    free(socket->room);
    free(socket);
}

static int socket_endpoint(struct host *host, struct host_socket *socket,
                           const struct certificate *certificate) {
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = certificate;
    config.memory = host->config.memory;
    config.local = socket->udp.local;
    config.accept = socket->use == SOCKET_LISTENS;
    config.log = host->config.log;
    config.admission = peer_admission(host->peer);
    config.budget = &host->budget;
    host_random((struct span){config.seed, sizeof(config.seed)});
    host_random((struct span){config.token_secret, sizeof(config.token_secret)});
    memcpy(config.reset_secret, host->config.reset_secret, sizeof(config.reset_secret));
    int error = quic_endpoint_new(&config, &socket->endpoint);
    if (error == 0) {
        error = quic_transport_new(socket->endpoint, &socket->udp.local, host->config.memory,
                                   &socket->transport);
    }
    if (error != 0) {
        return error;
    }
    return socket->use == SOCKET_PROBES ? peer_add_probe_transport(host->peer, socket->transport)
                                        : peer_add_transport(host->peer, socket->transport);
}

static int socket_new(struct host *host, const struct netaddr *address, enum socket_use use,
                      const struct certificate *certificate) {
    if (host->socket_count == (use == SOCKET_PROBES ? 2 : 1) * HOST_SOCKETS_MAX) {
        return PLASM_LIMIT;
    }
    struct host_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        return PLASM_NO_MEMORY;
    }
    socket->host = host;
    socket->use = use;
    int error = udp_open(address, &socket->udp);
    if (error != 0) {
        free(socket);
        return error;
    }
    socket->room = malloc(QUIC_BATCH_SIZE_MAX);
    error = socket->room == NULL ? PLASM_NO_MEMORY : 0;
    if (error == 0 && uv_poll_init(host->loop, &socket->poll, socket->udp.fd) != 0) {
        error = PLASM_IO;
    }
    if (error != 0) {
        socket_free(socket);
        return error;
    }
    host->sockets[host->socket_count++] = socket;
    watch(socket, false);
    return socket_endpoint(host, socket, certificate);
}

/* Sockets to dial from, of who listens on none: a system without IPv6 has only one. */
static int open_client_sockets(struct host *host, const struct certificate *certificate) {
    const struct netaddr any4 = {.family = NETADDR_IP4};
    const struct netaddr any6 = {.family = NETADDR_IP6};
    int error = socket_new(host, &any4, SOCKET_DIALS, certificate);
    int error6 = error == 0 || error == PLASM_IO
                     ? socket_new(host, &any6, SOCKET_DIALS, certificate)
                     : error;
    return host->socket_count > 0 && (error6 == PLASM_IO || error6 == 0) ? 0 : error6;
}

/* AutoNAT's dial-backs need a port that nobody has heard from: one socket a family. */
static int open_probe_sockets(struct host *host, const struct certificate *certificate) {
    static const uint8_t families[] = {NETADDR_IP4, NETADDR_IP6};
    int error = 0;
    for (size_t f = 0; f < ARRAY_SIZE(families) && error == 0; f++) {
        const struct netaddr *like = NULL;
        for (size_t i = 0; i < host->socket_count && like == NULL; i++) {
            const struct host_socket *socket = host->sockets[i];
            bool fits = socket->use == SOCKET_LISTENS && socket->udp.local.family == families[f];
            like = fits ? &socket->udp.local : NULL;
        }
        if (like != NULL) {
            struct netaddr address = *like;
            address.port = 0;
            error = socket_new(host, &address, SOCKET_PROBES, certificate);
        }
    }
    return error;
}

/* Whether a listen address that could not be had is missed. */
static int judge_listen(struct host *host, const struct host_address *address, int error,
                        struct host_fault *fault) {
    if (error == 0) {
        return 0;
    }
    fault->system_error = errno;
    bool lacking = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL || errno == EPROTONOSUPPORT;
    if (error != PLASM_IO || !address->is_optional || !lacking) {
        fault->address = *address;
        return error;
    }
    struct multiaddr listen;
    char text[MULTIADDR_TEXT_MAX];
    host_address_to_multiaddr(address, &listen);
    if (multiaddr_format(&listen, text, sizeof(text)) == 0) {
        log_event(host->config.log, LOG_LEVEL_INFO, "host", "not listening on %s: %s", text,
                  strerror(fault->system_error));
    }
    return 0;
}

static int open_udp_sockets(struct host *host, const struct certificate *certificate,
                            struct host_fault *fault) {
    int error = 0;
    for (size_t i = 0; i < host->config.listen_count && error == 0; i++) {
        const struct host_address *address = &host->config.listen[i];
        if (!address->is_tcp) {
            error = socket_new(host, &address->netaddr, SOCKET_LISTENS, certificate);
            error = judge_listen(host, address, error, fault);
        }
    }
    if (error == 0 && host->socket_count == 0) {
        error = open_client_sockets(host, certificate);
    }
    if (error == 0) {
        error = open_probe_sockets(host, certificate);
    }
    return error;
}

static void drain_host(void *context) {
    drain(context);
}

static int open_tcp(struct host *host, struct host_fault *fault) {
    struct tcp_config config = {.loop = host->loop,
                                .budget = &host->budget,
                                .pipes = host->pipes,
                                .log = host->config.log,
                                .now = host_now,
                                .drain = drain_host,
                                .context = host};
    int error = tcp_new(&config, &host->tcp);
    for (size_t i = 0; i < host->config.listen_count && error == 0; i++) {
        const struct host_address *address = &host->config.listen[i];
        if (address->is_tcp) {
            error = judge_listen(host, address, tcp_listen(host->tcp, &address->netaddr), fault);
        }
    }
    return error;
}

/* AES-GCM, which TLS has, is several times faster than Noise's cipher. */
static int make_securities(struct host *host, const struct certificate *certificate) {
    int error = signer_noise_identity(host->config.signer, &host->noise_identity);
    if (error == 0) {
        error = tls_identity_new(certificate, host->config.memory, &host->tls_identity);
    }
    pipe_noise_init(&host->noise, &host->noise_identity);
    pipe_tls_init(&host->tls, host->tls_identity);
    host->securities[0] = &host->tls.security;
    host->securities[1] = &host->noise.security;
    return error;
}

static int open_pipes(struct host *host, const struct certificate *certificate) {
    struct pipe_config config = {.securities = host->securities,
                                 .security_count = ARRAY_SIZE(host->securities),
                                 .memory = host->config.memory,
                                 .limits = pipe_limits_default,
                                 .admission = peer_admission(host->peer),
                                 .budget = &host->budget,
                                 .log = host->config.log};
    host_random((struct span){config.seed, sizeof(config.seed)});
    int error = make_securities(host, certificate);
    if (error == 0) {
        error = pipe_transport_new(&config, &host->pipes);
    }
    if (error == 0) {
        error = peer_add_transport(host->peer, host->pipes);
    }
    return error == 0 ? peer_set_circuits(host->peer, host->pipes) : error;
}

static int open_sockets(struct host *host, struct host_fault *fault) {
    struct certificate certificate;
    int error = signer_certificate(host->config.signer, host_unix_ms() / 1000, &certificate);
    if (error != 0) {
        return error;
    }
    error = open_udp_sockets(host, &certificate, fault);
    if (error == 0) {
        error = open_pipes(host, &certificate);
    }
    certificate_done(&certificate);
    if (error == 0) {
        error = open_tcp(host, fault);
    }
    struct host_address listening[HOST_LISTENING_MAX];
    if (error == 0 && host->config.listen_count > 0 &&
        host_listening(host, listening, HOST_LISTENING_MAX) == 0) {
        fault->address = host->config.listen[0];
        error = PLASM_IO;
    }
    return error;
}

static int make_peer(struct host *host) {
    const struct host_config *config = &host->config;
    struct peer_config peer = {.key = *signer_public_key(config->signer),
                               .agent = config->agent,
                               .kad_protocol = config->kad_protocol,
                               .kad_server = config->kad_server,
                               .perf_server = config->perf_server,
                               .kad_namespaces = config->kad_namespaces,
                               .capability_reader = config->capability_reader,
                               .protocols = config->protocols,
                               .protocol_count = config->protocol_count,
                               .memory = config->memory,
                               .log = config->log,
                               .limits = peer_limits_default};
    if (config->resources != NULL) {
        peer.limits.resources = *config->resources;
    }
    peer_id_from_key(&peer.key, &peer.id);
    host_random((struct span){peer.seed, sizeof(peer.seed)});
    int error = peer_new(&peer, &host->peer);
    if (error == 0) {
        signings_init(&host->signings, config->signer, host->peer, host_now, config->memory,
                      config->log);
    }
    return error;
}

static int open_handles(struct host *host) {
    if (alarm_init(&host->alarm, host->loop, on_alarm, host) != 0) {
        return PLASM_IO;
    }
    if (alarm_init(&host->limit, host->loop, on_limit, host) != 0 ||
        uv_prepare_init(host->loop, &host->prepare) != 0 ||
        uv_prepare_start(&host->prepare, on_prepare) != 0 ||
        uv_async_init(host->loop, &host->wake, on_wake) != 0) {
        return PLASM_IO;
    }
    host->has_handles = true;
    return 0;
}

static void on_interfaces(void *context);

int host_new(const struct host_config *config, struct host **ret_host,
             struct host_fault *ret_fault) {
    struct host_fault fault = {.system_error = 0};
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL) {
        return PLASM_NO_MEMORY;
    }
    host->config = *config;
    host->budget.bytes_max =
        config->network_bytes_max > 0 ? config->network_bytes_max : NETWORK_BYTES_DEFAULT;
    static const uint8_t zeros[QUIC_SECRET_SIZE];
    if (memcmp(host->config.reset_secret, zeros, sizeof(zeros)) == 0) {
        host_random((struct span){host->config.reset_secret, QUIC_SECRET_SIZE});
    }
    host->loop = config->loop;
    if (host->loop == NULL) {
        if (uv_loop_init(&host->own_loop) != 0) {
            free(host);
            return PLASM_IO;
        }
        host->loop = &host->own_loop;
    }
    int error = open_handles(host);
    if (error == 0) {
        error = make_peer(host);
    }
    if (error == 0) {
        error = open_sockets(host, &fault);
    }
    if (error == 0) {
        error = interface_watch_new(host->loop, on_interfaces, host, &host->watch);
    }
    if (error != 0) {
        host_free(host);
        if (ret_fault != NULL) {
            *ret_fault = fault;
        }
        return error;
    }
    *ret_host = host;
    return 0;
}

/* The last handle frees the host, when the loop is somebody else's. */
static void handle_closed(struct host *host) {
    host->closing--;
    if (host->closing > 0) {
        return;
    }
    for (size_t i = 0; i < host->socket_count; i++) {
        socket_free(host->sockets[i]);
    }
    if (host->loop != &host->own_loop) {
        free(host);
    }
}

static void on_closed(uv_handle_t *handle) {
    handle_closed(handle->data);
}

static void on_tcp_freed(void *context) {
    struct host *host = context;
    handle_closed(host);
}

static void close_handles(struct host *host) {
    host->closing = host->socket_count + 5; /* with those of TCP */
    alarm_close(&host->alarm, on_closed, host);
    alarm_close(&host->limit, on_closed, host);
    host->prepare.data = host;
    uv_close((uv_handle_t *)&host->prepare, on_closed);
    host->wake.data = host;
    uv_close((uv_handle_t *)&host->wake, on_closed);
    for (size_t i = 0; i < host->socket_count; i++) {
        host->sockets[i]->poll.data = host;
        uv_close((uv_handle_t *)&host->sockets[i]->poll, on_closed);
    }
    struct tcp *tcp = host->tcp;
    host->tcp = NULL;
    tcp_free(tcp, on_tcp_freed, host);
    pipe_transport_free(host->pipes);
    host->pipes = NULL;
    tls_identity_free(host->tls_identity);
    noise_identity_done(&host->noise_identity);
}

void host_free(struct host *host) {
    if (host == NULL) {
        return;
    }
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i]->endpoint != NULL) {
            quic_endpoint_close(host->sockets[i]->endpoint, 0, "", host_now());
            flush_socket(host->sockets[i]);
        }
    }
    if (host->tcp != NULL) {
        pipe_transport_close(host->pipes, host_now());
        (void)tcp_flush(host->tcp);
    }
    if (host->peer != NULL) {
        signings_done(&host->signings);
    }
    peer_free(host->peer);
    for (size_t i = 0; i < host->socket_count; i++) {
        quic_transport_free(host->sockets[i]->transport);
        quic_endpoint_free(host->sockets[i]->endpoint);
    }
    dns_free(host->dns);
    interface_watch_free(host->watch);
    host->watch = NULL;
    mdns_service_free(host->mdns);
    host->mdns = NULL;
    bool own = host->loop == &host->own_loop;
    if (host->has_handles) {
        close_handles(host);
    } else if (!own) {
        free(host);
    }
    if (own) {
        (void)uv_run(host->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(host->loop);
        free(host);
    }
}

void host_wait(struct host *host, nanos deadline) {
    alarm_set(&host->limit, deadline);
    (void)uv_run(host->loop, UV_RUN_ONCE);
}

void host_wake(struct host *host) {
    (void)uv_async_send(&host->wake);
}

size_t host_listening(const struct host *host, struct host_address *ret_addresses,
                      size_t count_max) {
    size_t count = 0;
    for (size_t i = 0; i < host->socket_count && count < count_max; i++) {
        if (host->sockets[i]->use == SOCKET_LISTENS) {
            ret_addresses[count++] = (struct host_address){.netaddr = host->sockets[i]->udp.local};
        }
    }
    struct netaddr tcp[TCP_LISTENERS_MAX];
    size_t tcp_count = tcp_listening(host->tcp, tcp, TCP_LISTENERS_MAX);
    for (size_t i = 0; i < tcp_count && count < count_max; i++) {
        ret_addresses[count++] = (struct host_address){.netaddr = tcp[i], .is_tcp = true};
    }
    return count;
}

static void on_found(void *context, const struct peer_id *id, const struct multiaddr *addresses,
                     size_t count) {
    struct host *host = context;
    peer_discovered(host->peer, id, addresses, count, host_now());
}

int host_mdns_start(struct host *host) {
    if (host->mdns != NULL) {
        mdns_service_search(host->mdns, true);
        return 0;
    }
    struct multiaddr listening[HOST_LISTENING_MAX];
    struct mdns_service_config config = {.loop = host->loop,
                                         .memory = host->config.memory,
                                         .log = host->config.log,
                                         .listening = listening,
                                         .on_found = on_found,
                                         .context = host};
    peer_id_from_key(signer_public_key(host->config.signer), &config.id);
    struct host_address bound[HOST_LISTENING_MAX];
    config.listening_count = host_listening(host, bound, HOST_LISTENING_MAX);
    for (size_t i = 0; i < config.listening_count; i++) {
        host_address_to_multiaddr(&bound[i], &listening[i]);
    }
    return mdns_service_new(&config, &host->mdns);
}

size_t host_mdns_peers(const struct host *host, size_t *ret_interfaces) {
    *ret_interfaces = host->mdns != NULL ? mdns_service_interfaces(host->mdns) : 0;
    return host->mdns != NULL ? mdns_service_peers(host->mdns) : 0;
}

/* Tells the peer's address book where this machine listens. */
static void tell_interfaces(struct host *host) {
    struct host_address listening[HOST_LISTENING_MAX];
    size_t listening_count = host_listening(host, listening, HOST_LISTENING_MAX);
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < listening_count; i++) {
        struct netaddr reachable[PEER_OWN_ADDRESSES_MAX];
        struct host_address own = listening[i];
        size_t found =
            interfaces_reachable(&listening[i].netaddr, reachable, PEER_OWN_ADDRESSES_MAX);
        for (size_t j = 0; j < found && count < PEER_OWN_ADDRESSES_MAX; j++) {
            own.netaddr = reachable[j];
            host_address_to_multiaddr(&own, &addresses[count++]);
        }
    }
    peer_own_addresses_set(host->peer, OWN_INTERFACE, addresses, count, host_now());
}

/* The machine has other addresses than before. */
static void on_interfaces(void *context) {
    struct host *host = context;
    nanos now = host_now();
    log_event(host->config.log, LOG_LEVEL_INFO, "host", "the network interfaces changed");
    for (size_t i = 0; i < host->socket_count; i++) {
        quic_local_changed(host->sockets[i]->endpoint, now);
    }
    if (host->published) {
        peer_network_changed(host->peer, now);
        tell_interfaces(host);
    }
    if (host->mdns != NULL) {
        mdns_service_refresh(host->mdns);
    }
}

size_t host_publish_addresses(struct host *host, struct multiaddr *ret_addresses,
                              size_t count_max) {
    if (!host->published) {
        host->published = true;
        peer_reachability_start(host->peer, (uint64_t)host_unix_ms() * 1000, host_now());
    }
    tell_interfaces(host);
    return peer_published_addresses(host->peer, ret_addresses, count_max);
}

void host_pipe_stats(const struct host *host, struct pipe_stats *ret_stats) {
    pipe_transport_stats(host->pipes, ret_stats);
}

struct transport *host_pipes(struct host *host) {
    return host->pipes;
}

void host_quic_stats(const struct host *host, struct quic_stats *ret_stats) {
    memset(ret_stats, 0, sizeof(*ret_stats));
    for (size_t i = 0; i < host->socket_count; i++) {
        struct quic_stats one;
        quic_stats(host->sockets[i]->endpoint, &one);
        ret_stats->connections += one.connections;
        ret_stats->connections_inbound += one.connections_inbound;
        ret_stats->handshakes_inbound += one.handshakes_inbound;
        ret_stats->state_bytes += one.state_bytes;
        ret_stats->dialled += one.dialled;
        ret_stats->accepted += one.accepted;
        ret_stats->handshakes_failed += one.handshakes_failed;
        ret_stats->handshakes_evicted += one.handshakes_evicted;
        ret_stats->refused += one.refused;
        ret_stats->retries_sent += one.retries_sent;
        ret_stats->resets_sent += one.resets_sent;
        ret_stats->versions_sent += one.versions_sent;
        ret_stats->datagrams_received += one.datagrams_received;
        ret_stats->datagrams_dropped += one.datagrams_dropped;
        ret_stats->packets_sent += one.packets_sent;
        ret_stats->bytes_received += one.bytes_received;
        ret_stats->bytes_sent += one.bytes_sent;
    }
}
