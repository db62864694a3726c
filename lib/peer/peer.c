/* The peer as a whole: its life, its events and timers, and who gets what a transport reports. */
#include "peer/internal.h"
#include "peer/reachability.h"

#include "proto/capability/capability.h"
#include "proto/identify/identify.h"
#include "proto/perf/perf.h"
#include "util/ensure.h"

const struct peer_limits peer_limits_default = {
    .resources = RESOURCE_LIMITS_DEFAULT,
    .dial_timeout = 10 * NANOS_SECOND,
    .negotiation_timeout = 10 * NANOS_SECOND,
};

static void add_protocol(struct peer *peer, const char *name, enum peer_service service) {
    ENSURE(peer->protocol_count < ARRAY_SIZE(peer->protocol_names));
    peer->protocol_names[peer->protocol_count] = name;
    peer->protocol_services[peer->protocol_count] = service;
    peer->protocol_count++;
}

static void add_protocols(struct peer *peer) {
    add_protocol(peer, IDENTIFY_PROTOCOL, SERVICE_IDENTIFY);
    add_protocol(peer, IDENTIFY_PUSH_PROTOCOL, SERVICE_IDENTIFY_PUSH);
    add_protocol(peer, PING_PROTOCOL, SERVICE_PING);
    if (peer->config.perf_server) {
        add_protocol(peer, PERF_PROTOCOL, SERVICE_PERF);
    }
    if (peer->config.kad_server) {
        add_protocol(peer, peer->config.kad_protocol, SERVICE_KAD);
    }
    /* A worker answers with its record, a reader takes records that are pushed. */
    add_protocol(peer, CAPABILITY_PROTOCOL, SERVICE_CAPABILITY);
    for (size_t i = 0; i < peer->config.protocol_count; i++) {
        add_protocol(peer, peer->config.protocols[i], SERVICE_APPLICATION);
    }
}

int peer_new(const struct peer_config *config, struct peer **ret_peer) {
    if (config->protocol_count > PEER_PROTOCOLS_MAX || config->id.size == 0) {
        return PLASM_INVALID;
    }
    struct peer *peer = memory_zero(config->memory, sizeof(*peer));
    if (peer == NULL) {
        return PLASM_NO_MEMORY;
    }
    peer->config = *config;
    peer->memory = config->memory;
    peer->log = config->log;
    random_init(&peer->random, config->seed);
    const uint64_t secret[2] = {random_u64(&peer->random), random_u64(&peer->random)};
    map_init(&peer->known, peer->memory, secret);
    resources_init(&peer->resources, &config->limits.resources, peer->memory, secret);
    list_init(&peer->connections);
    list_init(&peer->probes);
    list_init(&peer->ended_connections);
    list_init(&peer->ended_streams);
    list_init(&peer->dials);
    heap_init(&peer->timers, peer->memory);
    peer->bootstrap.timer.kind = TIMER_BOOTSTRAP;
    peer->identify_version = 1;
    add_protocols(peer);
    int error = peer_timer_start(peer, &peer->bootstrap.timer, TIMER_PARKED);
    if (error == 0) {
        error = relay_service_init(peer);
    }
    if (error == 0) {
        error = kad_service_init(peer);
    }
    if (error != 0) {
        peer_free(peer);
        return error;
    }
    *ret_peer = peer;
    return 0;
}

static void release_taken(struct peer *peer) {
    block_unref(peer->taken);
    peer->taken = NULL;
    streams_reap(peer);
    connections_reap(peer);
}

void peer_free(struct peer *peer) {
    if (peer == NULL) {
        return;
    }
    dcutr_free(peer);
    dials_free(peer);
    bootstrap_free(peer);
    connections_free(peer);
    release_taken(peer);
    events_drop(peer);
    memory_put(peer->memory, peer->events, peer->event_capacity * sizeof(struct queued_event));
    relay_service_free(peer);
    kad_service_free(peer);
    reachability_free(peer);
    autonat_free(peer);
    block_unref(peer->record);
    block_unref(peer->capability);
    block_unref(peer->zeros);
    heap_done(&peer->timers);
    map_done(&peer->known);
    resources_done(&peer->resources);
    random_done(&peer->random);
    memory_put(peer->memory, peer, sizeof(*peer));
}

struct admission *peer_admission(struct peer *peer) {
    return &peer->resources.admission;
}

int peer_add_transport(struct peer *peer, struct transport *transport) {
    if (peer->transport_count == PEER_TRANSPORTS_MAX) {
        return PLASM_LIMIT;
    }
    peer->transports[peer->transport_count++] = transport;
    return 0;
}

uint64_t peer_request(struct peer *peer) {
    return ++peer->next_request;
}

int peer_timer_start(struct peer *peer, struct peer_timer *timer, nanos deadline) {
    return heap_set(&peer->timers, &timer->node, nanos_min(deadline, TIMER_PARKED));
}

void peer_timer_set(struct peer *peer, struct peer_timer *timer, nanos deadline) {
    ENSURE(heap_linked(&timer->node));
    int error = peer_timer_start(peer, timer, deadline);
    ENSURE(error == 0); /* its place in the heap is there */
}

/* Gives a transport's event to whom it concerns; true when `ret_event` is for the application. */
static bool dispatch(struct peer *peer, const struct link_event *event,
                     struct peer_event *ret_event) {
    switch (event->type) {
    case LINK_CONNECTED:
        connection_connected(peer, event);
        return false;
    case LINK_CLOSED:
        connection_closed(peer, event);
        return false;
    case LINK_MOVED:
        connection_moved(peer, event);
        return false;
    case LINK_STREAM_OPENED:
        stream_opened(peer, event);
        return false;
    case LINK_STREAM_DATA:
        return stream_data(peer, event, ret_event);
    case LINK_STREAM_WRITABLE:
        return stream_writable(event, ret_event);
    case LINK_STREAM_STOPPED:
        stream_unread(event);
        return false;
    case LINK_STREAM_RESET:
    case LINK_STREAM_CLOSED:
        stream_over(event);
        return false;
    }
    return false;
}

bool peer_next_event(struct peer *peer, nanos now, struct peer_event *ret_event) {
    peer->now = now;
    release_taken(peer);
    for (;;) {
        kad_service_run(peer);
        relay_service_run(peer);
        if (events_take(peer, ret_event)) {
            return true;
        }
        struct link_event event;
        size_t silent = 0;
        while (silent < peer->transport_count) {
            struct transport *transport = peer->transports[peer->transport_turn];
            if (transport->verbs->next_event(transport, &event)) {
                break;
            }
            peer->transport_turn = (peer->transport_turn + 1) % peer->transport_count;
            silent++;
        }
        if (silent == peer->transport_count) {
            if (circuits_run(peer)) {
                continue;
            }
            resources_log(&peer->resources, peer->log);
            return false;
        }
        if (dispatch(peer, &event, ret_event)) {
            return true;
        }
        /* What the last event ended was not shown to anybody. */
        streams_reap(peer);
        connections_reap(peer);
        resources_log(&peer->resources, peer->log);
    }
}

nanos peer_deadline(const struct peer *peer) {
    nanos timers = heap_deadline(&peer->timers);
    nanos deadline =
        nanos_min(timers != TIMER_PARKED ? timers : NANOS_NEVER, kad_deadline(peer->kad));
    for (size_t i = 0; i < peer->transport_count; i++) {
        struct transport *transport = peer->transports[i];
        deadline = nanos_min(deadline, transport->verbs->deadline(transport));
    }
    return deadline;
}

static void timer_expired(struct peer *peer, struct peer_timer *timer) {
    peer_timer_set(peer, timer, TIMER_PARKED);
    switch (timer->kind) {
    case TIMER_STREAM:
        stream_expire(CONTAINER_OF(timer, struct peer_stream, timer));
        break;
    case TIMER_DIAL:
        dial_expire(CONTAINER_OF(timer, struct dial, timer));
        break;
    case TIMER_BOOTSTRAP:
        bootstrap_expire(peer);
        break;
    case TIMER_RELAY:
        relay_service_expire(peer);
        break;
    case TIMER_PUNCH:
        dcutr_expire_timer(timer);
        break;
    case TIMER_REACHABILITY:
        reachability_expire(peer);
        break;
    }
}

void peer_expire(struct peer *peer, nanos now) {
    peer->now = now;
    for (size_t i = 0; i < peer->transport_count; i++) {
        struct transport *transport = peer->transports[i];
        if (transport->verbs->deadline(transport) <= now) {
            transport->verbs->expire(transport, now);
        }
    }
    while (heap_deadline(&peer->timers) <= now && heap_deadline(&peer->timers) != TIMER_PARKED) {
        struct heap_node *node = heap_first(&peer->timers);
        timer_expired(peer, CONTAINER_OF(node, struct peer_timer, node));
    }
    if (kad_deadline(peer->kad) <= now) {
        kad_expire(peer->kad, now);
    }
    kad_service_run(peer);
}

static bool emit_sign(struct peer *peer, enum peer_sign sign, uint64_t request,
                      struct bytes payload) {
    struct peer_event event = {
        .type = PEER_EVENT_SIGN, .request = request, .sign = sign, .data = payload};
    return peer_emit(peer, &event);
}

/* Has what others should know of our addresses signed, and tells it. */
static void publish_addresses(struct peer *peer) {
    peer->identify_version++;
    struct peer_record record = {.peer_id = peer->config.id, .seq = peer->record_seq};
    for (size_t i = 0; i < peer->address_count; i++) {
        record.addresses[record.address_count++] = multiaddr_bytes(&peer->addresses[i]);
    }
    kad_service_addresses(peer);
    struct buffer payload;
    buffer_init(&payload, peer->memory, PEER_RECORD_SIZE_MAX);
    if (peer_record_encode(&record, &payload) == 0) {
        peer->sign_record = peer_request(peer);
        (void)emit_sign(peer, PEER_SIGN_RECORD, peer->sign_record, buffer_bytes(&payload));
    }
    buffer_done(&payload);
}

static void add_addresses(struct peer *peer, const struct multiaddr *addresses, size_t count) {
    for (size_t i = 0; i < count && peer->address_count < PEER_OWN_ADDRESSES_MAX; i++) {
        peer->addresses[peer->address_count++] = addresses[i];
    }
}

void peer_set_addresses(struct peer *peer, const struct multiaddr *addresses, size_t count,
                        uint64_t seq, nanos now) {
    peer->now = now;
    peer->record_seq = seq;
    peer->address_count = 0;
    add_addresses(peer, addresses, count);
    if (peer->book == NULL) { /* else it has decided whether they are among them */
        struct multiaddr relayed[PEER_OWN_ADDRESSES_MAX];
        add_addresses(peer, relayed, peer_relay_addresses(peer, relayed, ARRAY_SIZE(relayed)));
    }
    publish_addresses(peer);
}

void relay_addresses_changed(struct peer *peer, const struct multiaddr *addresses, size_t count) {
    if (peer->book != NULL) {
        peer_own_addresses_set(peer, OWN_RELAYED, addresses, count, peer->now);
        return;
    }
    size_t direct = 0;
    for (size_t i = 0; i < peer->address_count; i++) {
        if (!multiaddr_has(&peer->addresses[i], MULTIADDR_P2P_CIRCUIT)) {
            peer->addresses[direct++] = peer->addresses[i];
        }
    }
    peer->address_count = direct;
    peer->record_seq++;
    add_addresses(peer, addresses, count);
    publish_addresses(peer);
}

int peer_serve(struct peer *peer, const char *protocol, enum peer_service service) {
    if (peer->protocol_count == ARRAY_SIZE(peer->protocol_names)) {
        return PLASM_LIMIT;
    }
    add_protocol(peer, protocol, service);
    peer->identify_version++;
    identify_push_all(peer);
    return 0;
}

int peer_add_protocol(struct peer *peer, const char *protocol, nanos now) {
    peer->now = now;
    size_t count = 0; /* the application's */
    for (size_t i = 0; i < peer->protocol_count; i++) {
        if (strcmp(peer->protocol_names[i], protocol) == 0) {
            return PLASM_CONFLICT;
        }
        count += peer->protocol_services[i] == SERVICE_APPLICATION;
    }
    if (count == PEER_PROTOCOLS_MAX) {
        return PLASM_LIMIT;
    }
    add_protocol(peer, protocol, SERVICE_APPLICATION);
    peer->identify_version++;
    identify_push_all(peer);
    return 0;
}

int peer_set_capability(struct peer *peer, struct bytes payload, nanos now) {
    peer->now = now;
    peer->sign_capability = peer_request(peer);
    return emit_sign(peer, PEER_SIGN_CAPABILITY, peer->sign_capability, payload) ? 0
                                                                                 : PLASM_NO_MEMORY;
}

void peer_signed(struct peer *peer, uint64_t request, struct bytes envelope, nanos now) {
    peer->now = now;
    if (bridge_signed(peer, request, envelope)) {
        return;
    }
    bool is_record = request == peer->sign_record;
    if ((!is_record && request != peer->sign_capability) || envelope.size == 0) {
        return; /* an older request's answer, or a refusal: keep what there is */
    }
    struct block *block = block_copy(peer->memory, envelope);
    if (block == NULL) {
        return;
    }
    struct block **place = is_record ? &peer->record : &peer->capability;
    /* With the first capability we list its protocol. */
    bool identify_changed = is_record || *place == NULL;
    block_unref(*place);
    *place = block;
    if (identify_changed) {
        peer->identify_version++;
        identify_push_all(peer);
    }
    if (is_record) {
        return;
    }
    for (struct list_node *node = list_first(&peer->connections); node != NULL;
         node = list_next(&peer->connections, node)) {
        capability_push(CONTAINER_OF(node, struct peer_connection, node));
    }
}
