/* Datagrams of the endpoints: each is lost or takes its time, and may overtake others. */
#include "quic_port.h"

#include "peer/quic_transport.h"
#include "util/ensure.h"

struct quic_port {
    struct network *network;
    struct site *site;
    struct quic_endpoint *endpoint;
    struct transport *transport;
};

/* One datagram on its way. It belongs to the simulation, since its sender may be gone before it. */
struct datagram {
    struct timer timer;
    struct network *network;
    struct netaddr from;
    struct netaddr to;
    uint8_t ecn;
    size_t size;
    uint8_t bytes[];
};

static void make_certificate(struct sim *sim, const struct ed25519_secret *identity,
                             struct certificate *ret_certificate) {
    struct certificate_request *request;
    int error = certificate_prepare(&request);
    ENSURE(error == 0);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(identity, certificate_message(request), signature);
    struct public_key key;
    public_key_from_ed25519(identity->public_key, &key);
    error = certificate_finish(request, &key, BYTES_ARRAY(signature), sim_unix_ms(sim) / 1000,
                               ret_certificate);
    ENSURE(error == 0);
    certificate_request_free(request);
}

struct quic_port *quic_port_new(struct network *network, struct site *site,
                                const struct ed25519_secret *identity, struct memory *memory) {
    struct sim *sim = network->sim;
    struct quic_port *port = memory_zero(&sim->memory, sizeof(*port));
    ENSURE(port != NULL && site->port == NULL);
    port->network = network;
    port->site = site;
    struct certificate certificate;
    make_certificate(sim, identity, &certificate);
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = &certificate;
    config.memory = memory;
    config.local = site->address;
    config.accept = site->listens;
    sim_seed(sim, config.seed);
    sim_seed(sim, config.reset_secret);
    sim_seed(sim, config.token_secret);
    int error = quic_endpoint_new(&config, &port->endpoint);
    ENSURE(error == 0);
    certificate_done(&certificate);
    error = quic_transport_new(port->endpoint, &site->address, memory, &port->transport);
    ENSURE(error == 0);
    site->port = port;
    return port;
}

struct transport *quic_port_transport(struct quic_port *port) {
    return port->transport;
}

static void datagram_due(struct timer *timer) {
    struct datagram *datagram = CONTAINER_OF(timer, struct datagram, timer);
    struct sim *sim = datagram->network->sim;
    struct site *site = network_find(datagram->network, &datagram->to);
    if (site != NULL && site->is_alive && site->port != NULL) {
        struct quic_port *port = site->port;
        struct quic_datagram received = {.local = datagram->to,
                                         .remote = datagram->from,
                                         .ecn = datagram->ecn,
                                         .bytes = bytes_of(datagram->bytes, datagram->size)};
        quic_receive(port->endpoint, &received, sim->now, sim_unix_ms(sim) / 1000);
        site->arrived(site);
    }
    memory_put(&sim->memory, datagram, sizeof(*datagram) + datagram->size);
}

static void send_one(struct quic_port *port, const struct quic_packet *packet, struct bytes bytes) {
    struct network *network = port->network;
    struct sim *sim = network->sim;
    struct site *there = network_find(network, &packet->remote);
    network->counts.bytes += bytes.size;
    if (network_loses(network) || there == NULL) {
        return;
    }
    struct datagram *datagram = memory_zero(&sim->memory, sizeof(*datagram) + bytes.size);
    ENSURE(datagram != NULL);
    datagram->timer.due = datagram_due;
    datagram->network = network;
    datagram->from = port->site->address;
    datagram->to = packet->remote;
    datagram->ecn = packet->ecn;
    datagram->size = bytes.size;
    memcpy(datagram->bytes, bytes.data, bytes.size);
    sim_at(sim, &datagram->timer, sim->now + network_delay(network, port->site, there));
}

void quic_port_flush(struct quic_port *port) {
    uint8_t room[QUIC_PACKET_SIZE_MAX];
    struct quic_packet packet;
    while (quic_transmit(port->endpoint, (struct span){room, sizeof(room)}, port->network->sim->now,
                         &packet)) {
        send_one(port, &packet, bytes_of(room, packet.size));
    }
}

void quic_port_free(struct quic_port *port) {
    quic_endpoint_free(port->endpoint);
    quic_transport_free(port->transport);
    port->site->port = NULL;
    memory_put(&port->network->sim->memory, port, sizeof(*port));
}
