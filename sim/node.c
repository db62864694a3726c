/* What a host does for a peer, in virtual time. */
#include "node.h"

#include "identity/envelope.h"
#include "quic_port.h"
#include "util/ensure.h"

/* --- Events ---------------------------------------------------------------------------------- */

static void seal(const struct node *node, struct bytes domain, struct bytes type,
                 struct bytes payload, struct buffer *out) {
    struct public_key key;
    public_key_from_ed25519(node->secret.public_key, &key);
    struct buffer message;
    buffer_init(&message, out->memory, 2 * ENVELOPE_SIZE_MAX);
    int error = envelope_message(domain, type, payload, &message);
    ENSURE(error == 0);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&node->secret, buffer_bytes(&message), signature);
    error = envelope_seal(&key, type, payload, BYTES_ARRAY(signature), out);
    ENSURE(error == 0);
    buffer_done(&message);
}

static void answer_sign(struct node *node, const struct peer_event *event) {
    struct buffer envelope;
    buffer_init(&envelope, &node->sim->memory, ENVELOPE_SIZE_MAX);
    if (event->sign == PEER_SIGN_CAPABILITY) {
        seal(node, BYTES_LITERAL(CAPABILITY_DOMAIN), BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE),
             event->data, &envelope);
    } else if (node->config.signs_records) {
        seal(node, BYTES_LITERAL(PEER_RECORD_DOMAIN), BYTES_LITERAL(PEER_RECORD_TYPE), event->data,
             &envelope);
    }
    peer_signed(node->peer, event->request, buffer_bytes(&envelope), node->sim->now);
    buffer_done(&envelope);
}

static void trace_event(struct node *node, const struct peer_event *event) {
    static const char *const words[] = {
        [PEER_EVENT_CONNECTED] = "connected",
        [PEER_EVENT_CONNECT_FAILED] = "connect-failed",
        [PEER_EVENT_IDENTIFIED] = "identified",
        [PEER_EVENT_DISCONNECTED] = "disconnected",
        [PEER_EVENT_STREAM_OPENED] = "stream-opened",
        [PEER_EVENT_STREAM_DATA] = "stream-data",
        [PEER_EVENT_STREAM_WRITABLE] = "stream-writable",
        [PEER_EVENT_STREAM_CLOSED] = "stream-closed",
        [PEER_EVENT_PONG] = "pong",
        [PEER_EVENT_PROVIDER] = "provider",
        [PEER_EVENT_LOOKUP_DONE] = "lookup-done",
        [PEER_EVENT_VALUE] = "value",
        [PEER_EVENT_CAPABILITY] = "capability",
        [PEER_EVENT_BOOTSTRAPPED] = "bootstrapped",
        [PEER_EVENT_SIGN] = "sign",
        [PEER_EVENT_RESOLVE] = "resolve",
        [PEER_EVENT_REACHABILITY] = "reachability",
        [PEER_EVENT_PROBED] = "probed",
    };
    TRACE(&node->sim->trace, node->sim->now, words[event->type], node->site.number,
          (uint64_t)-event->error, event->count);
}

static void take_event(struct node *node, const struct peer_event *event) {
    struct sim *sim = node->sim;
    trace_event(node, event);
    if (event->type == PEER_EVENT_SIGN) {
        answer_sign(node, event);
        return;
    }
    if (event->type == PEER_EVENT_RESOLVE) { /* there are no names here */
        peer_resolved(node->peer, event->request, NULL, 0, sim->now);
        return;
    }
    if (node->core != NULL) {
        core_handle(node->core, event, sim->now, sim_unix_ms(sim));
    }
    node->config.listener->event(node->config.listener->context, node, event);
}

static void drain(struct node *node) {
    struct peer_event event;
    while (peer_next_event(node->peer, node->sim->now, &event)) {
        take_event(node, &event);
    }
}

void node_settle(struct node *node) {
    if (node->is_busy || node->peer == NULL) {
        return; /* called by a listener: what it did is taken in the same turn */
    }
    node->is_busy = true;
    drain(node);
    if (node->core != NULL) {
        node->config.listener->settled(node->config.listener->context, node);
        drain(node);
    }
    if (node->quic != NULL) {
        quic_port_flush(node->quic);
    } else {
        links_transport_flush(node->transport);
    }
    nanos deadline = peer_deadline(node->peer);
    if (node->core != NULL) {
        deadline = nanos_min(deadline, core_deadline(node->core));
    }
    sim_at(node->sim, &node->timer, deadline);
    node->is_busy = false;
}

static void node_due(struct timer *timer) {
    struct node *node = CONTAINER_OF(timer, struct node, timer);
    drain(node); /* what was delivered without waking it may be what it waits for */
    peer_expire(node->peer, node->sim->now);
    if (node->core != NULL) {
        core_expire(node->core, node->sim->now);
    }
    node_settle(node);
}

static void node_arrived(struct site *site) {
    node_settle(node_of_site(site));
}

/* --- Life and death -------------------------------------------------------------------------- */

void node_init(struct node *node, const struct node_config *config, uint32_t number) {
    struct sim *sim = config->network->sim;
    node->sim = sim;
    node->config = *config;
    node->timer.due = node_due;
    memory_init(&node->memory, SIZE_MAX);
    uint8_t seed[32];
    sim_seed(sim, seed);
    ed25519_from_seed(&node->secret, seed);
    sim_seed(sim, seed);
    random_init(&node->random, seed);
    struct public_key key;
    public_key_from_ed25519(node->secret.public_key, &key);
    peer_id_from_key(&key, &node->id);
    node->site.number = number;
    node->site.id = &node->id;
    node->site.listens = config->kad_server || config->is_sybil;
    node->site.is_natted = config->is_natted;
    node->site.arrived = node_arrived;
    network_add(config->network, &node->site);
}

static void make_peer(struct node *node) {
    const struct node_config *config = &node->config;
    static const char *const kad_protocols[] = {"/phase/kad/1.0.0"};
    struct peer_config peer = {.id = node->id,
                               .agent = config->agent,
                               .kad_protocol = kad_protocols[0],
                               .protocols = kad_protocols,
                               .protocol_count = config->is_sybil,
                               .kad_server = config->kad_server && !config->is_natted,
                               .capability_reader = config->is_client,
                               .memory = &node->memory,
                               .limits = peer_limits_default};
    public_key_from_ed25519(node->secret.public_key, &peer.key);
    sim_seed(node->sim, peer.seed);
    int error = peer_new(&peer, &node->peer);
    ENSURE(error == 0);
    if (config->links != NULL) {
        node->transport = links_transport_new(config->links, &node->site);
    } else {
        node->quic = quic_port_new(config->network, &node->site, &node->secret, &node->memory);
        node->transport = quic_port_transport(node->quic);
    }
    error = peer_add_transport(node->peer, node->transport);
    ENSURE(error == 0);
}

void node_start(struct node *node, const struct multiaddr *bootstrap, size_t bootstrap_count) {
    struct sim *sim = node->sim;
    node->site.is_alive = true;
    TRACE(&sim->trace, sim->now, "start", node->site.number);
    make_peer(node);
    if (node->config.is_client) {
        struct core_config core = {.peer = node->peer,
                                   .memory = &node->memory,
                                   .random = &node->random,
                                   .bootstrap_count = bootstrap_count};
        int error = core_new(&core, &node->core);
        ENSURE(error == 0);
    } else if (node->site.listens || node->config.relay != NULL) {
        struct multiaddr address;
        if (node->config.is_natted) {
            address = *node->config.relay;
            int error = multiaddr_append(&address, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0));
            ENSURE(error == 0);
        } else {
            multiaddr_from_quic(&node->site.address, &address);
        }
        peer_set_addresses(node->peer, &address, 1, (uint64_t)sim_unix_ms(sim) * 1000, sim->now);
    }
    peer_bootstrap(node->peer, bootstrap, bootstrap_count, sim->now);
    node_settle(node);
}

void node_die(struct node *node) {
    if (node->peer == NULL) {
        return;
    }
    struct sim *sim = node->sim;
    TRACE(&sim->trace, sim->now, "die", node->site.number);
    node->site.is_alive = false;
    node->site.died = sim->now;
    sim_cancel(sim, &node->timer);
    core_free(node->core);
    node->core = NULL;
    peer_free(node->peer);
    node->peer = NULL;
    if (node->quic != NULL) {
        quic_port_free(node->quic);
        node->quic = NULL;
    } else {
        links_transport_free(node->transport);
    }
    node->transport = NULL;
}

void node_done(struct node *node) {
    ENSURE(node->peer == NULL && node->memory.used == 0);
    random_done(&node->random);
    ed25519_done(&node->secret);
}

/* --- What it says of itself ------------------------------------------------------------------ */

void node_address(const struct node *node, struct multiaddr *ret_address) {
    multiaddr_from_quic(&node->site.address, ret_address);
    int error = multiaddr_append(ret_address, MULTIADDR_P2P, peer_id_bytes(&node->id));
    ENSURE(error == 0);
}

void node_set_capability(struct node *node) {
    struct sim *sim = node->sim;
    struct capability capability = {
        .worker = node->id,
        .arch = NODE_ARCH,
        .runtime = NODE_RUNTIME,
        .profiles = {"wasip1", "deterministic/1"},
        .profile_count = 2,
        .limits = {.memory_bytes = UINT64_C(128) << 20, .wall_ms = 30000, .output_bytes = 1 << 20},
        .free_slots = 2,
        .address_count = 1,
        .seq = (uint64_t)sim_unix_ms(sim) * 1000,
        .expires_s = sim_unix_ms(sim) / 1000 + CAPABILITY_LIFE_S};
    multiaddr_from_quic(&node->site.address, &capability.addresses[0]);
    struct buffer payload;
    buffer_init(&payload, &sim->memory, CAPABILITY_PAYLOAD_SIZE_MAX);
    int error = capability_encode(&capability, &payload);
    ENSURE(error == 0);
    error = peer_set_capability(node->peer, buffer_bytes(&payload), sim->now);
    ENSURE(error == 0);
    buffer_done(&payload);
}
