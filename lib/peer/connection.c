/* Connections and the peers they lead to. */
#include "peer/internal.h"

#include "util/ensure.h"

/* A relayed connection beside a direct one ends when nothing runs on it after this long. */
#define SUPERSEDED_GRACE (5 * NANOS_SECOND)

struct known_peer *known_peer_get(struct peer *peer, const struct peer_id *id) {
    return MAP_ENTRY(map_get(&peer->known, peer_id_bytes(id)), struct known_peer, node);
}

struct known_peer *known_peer_make(struct peer *peer, const struct peer_id *id) {
    struct known_peer *known = known_peer_get(peer, id);
    if (known != NULL) {
        return known;
    }
    known = memory_zero(peer->memory, sizeof(*known));
    if (known == NULL) {
        return NULL;
    }
    known->id = *id;
    list_init(&known->connections);
    if (map_put(&peer->known, &known->node, peer_id_bytes(&known->id)) != 0) {
        memory_put(peer->memory, known, sizeof(*known));
        return NULL;
    }
    return known;
}

void known_peer_release(struct peer *peer, struct known_peer *known) {
    if (known->dial == NULL && known->handles == 0) {
        map_remove(&peer->known, &known->node);
        memory_put(peer->memory, known, sizeof(*known));
    }
}

struct peer_connection *known_peer_connection(const struct known_peer *known) {
    return LIST_ENTRY(list_first(&known->connections), struct peer_connection, sibling);
}

struct peer_connection *peer_connection_to(struct peer *peer, const struct peer_id *id) {
    struct known_peer *known = known_peer_get(peer, id);
    return known != NULL ? known_peer_connection(known) : NULL;
}

bool address_netaddr(const struct multiaddr *address, struct netaddr *ret_netaddr) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part ip;
    struct multiaddr_part port;
    if (!multiaddr_next(&cursor, &ip) || !multiaddr_next(&cursor, &port) ||
        (ip.code != MULTIADDR_IP4 && ip.code != MULTIADDR_IP6) || port.value.size != 2) {
        return false;
    }
    *ret_netaddr =
        (struct netaddr){.family = ip.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6,
                         .port = (uint16_t)(port.value.data[0] << 8 | port.value.data[1])};
    memcpy(ret_netaddr->ip, ip.value.data, ip.value.size);
    return true;
}

/* Counts a connection that no transport has counted. */
static int count(struct peer *peer, const struct link *link, const struct netaddr *origin,
                 struct admission_ticket *ticket) {
    struct admission *admission = &peer->resources.admission;
    if (!link->inbound || link->admission == admission) {
        return 0;
    }
    admission_begin(admission, ticket, origin, true);
    return admission_connect(admission, ticket);
}

/* Ends a connection of the network that has most: the latest on which nothing of the application
 * runs, else the latest. False when there is none. */
static bool make_place(struct peer *peer) {
    const struct admission *admission = &peer->resources.admission;
    struct peer_connection *chosen = NULL;
    bool chosen_used = false;
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        bool used = connection->application_streams > 0 || connection->keeps > 0 ||
                    relay_server_serves(&peer->relay.server, &connection->known->id);
        bool better = chosen == NULL || !used || chosen_used;
        if (connection->inbound && !connection->expelled && better &&
            admission_yields(admission, &connection->address)) {
            chosen = connection;
            chosen_used = used;
        }
    }
    if (chosen == NULL) {
        return false;
    }
    chosen->expelled = true;
    chosen->link->transport->verbs->close(chosen->link, PEER_CLOSE_LIMIT,
                                          "another network needs the place", peer->now);
    return true;
}

/* Why a connection cannot stay, or NULL. It is counted. */
static const char *refusal_of(struct peer *peer, const struct link_event *event,
                              const struct netaddr *origin, uint64_t *ret_code) {
    struct resources *resources = &peer->resources;
    if (peer_id_equal(&event->peer_id, &peer->config.id)) {
        return "it leads to ourselves";
    }
    const char *denied = resources_denied(resources, &event->peer_id, origin);
    if (denied != NULL) {
        *ret_code = PEER_CLOSE_DENIED;
        if (event->link->inbound) {
            admission_offend(&resources->admission, origin, ADMISSION_DENIED, peer->now);
        }
        return denied;
    }
    if (!event->link->inbound) {
        return NULL;
    }
    struct known_peer *known = known_peer_get(peer, &event->peer_id);
    if (known != NULL && known->connections.size >= resources->limits.connections_per_peer_max) {
        admission_offend(&resources->admission, origin, ADMISSION_CONNECTED, peer->now);
        return "too many connections of this peer";
    }
    const char *over = resources_over(resources, origin, peer->now);
    if (over == NULL && admission_is_crowded(&resources->admission) && !make_place(peer)) {
        over = "too many connections";
    }
    return over;
}

/* Where there is a direct connection, relayed ones are only used by those who hold them. */
static void supersede(struct peer *peer, struct known_peer *known) {
    size_t direct = 0;
    struct list_node *node;
    struct list relayed;
    list_init(&relayed);
    size_t count = known->connections.size;
    while (count-- > 0) { /* direct ones first, else in the order they came */
        node = list_first(&known->connections);
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, sibling);
        list_remove(&known->connections, node);
        list_append(connection->relayed ? &relayed : &known->connections, node);
        direct += !connection->relayed;
    }
    while ((node = list_first(&relayed)) != NULL) {
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, sibling);
        list_remove(&relayed, node);
        list_append(&known->connections, node);
        if (direct > 0 && connection->ends_at == NANOS_NEVER) {
            connection->ends_at = nanos_add(peer->now, SUPERSEDED_GRACE);
            peer->relay.superseded++;
        }
    }
}

nanos connections_superseded_deadline(const struct peer *peer) {
    nanos deadline = NANOS_NEVER;
    const struct peer_connection *connection = NULL;
    while (peer->relay.superseded > 0 &&
           (connection = peer_connection_next(peer, connection)) != NULL) {
        deadline = nanos_min(deadline, connection->ends_at);
    }
    return deadline;
}

void connections_close_superseded(struct peer *peer) {
    struct peer_connection *connection = NULL;
    while (peer->relay.superseded > 0 &&
           (connection = peer_connection_next(peer, connection)) != NULL) {
        if (connection->ends_at > peer->now) {
            continue;
        }
        if (known_peer_connection(connection->known)->relayed) { /* the direct one has ended */
            connection->ends_at = NANOS_NEVER;
            peer->relay.superseded--;
        } else {
            connection->ends_at = nanos_add(peer->now, SUPERSEDED_GRACE);
            if (connection->application_streams == 0) {
                connection->link->transport->verbs->close(connection->link, 0, "", peer->now);
            }
        }
    }
}

static struct peer_connection *connection_make(struct peer *peer, const struct link_event *event,
                                               const struct netaddr *origin,
                                               const struct admission_ticket *ticket) {
    struct known_peer *known = known_peer_make(peer, &event->peer_id);
    if (known == NULL) {
        return NULL;
    }
    struct peer_connection *connection = memory_zero(peer->memory, sizeof(*connection));
    /* Keys of unusual types are large: keep what the key needs, not the largest. */
    size_t key_size = offsetof(struct public_key, data) + event->key->size;
    struct public_key *key = memory_get(peer->memory, key_size);
    if (connection == NULL || key == NULL) {
        memory_put(peer->memory, connection, sizeof(*connection));
        memory_put(peer->memory, key, key_size);
        known_peer_release(peer, known);
        return NULL;
    }
    memcpy(key, event->key, key_size);
    *connection =
        (struct peer_connection){.peer = peer,
                                 .link = event->link,
                                 .inbound = event->link->inbound,
                                 .relayed = multiaddr_has(&event->remote, MULTIADDR_P2P_CIRCUIT),
                                 .ends_at = NANOS_NEVER,
                                 .known = known,
                                 .address = *origin,
                                 .ticket = *ticket,
                                 .key = key,
                                 .remote = event->remote};
    list_init(&connection->streams);
    known->handles++;
    const struct resource_limits *limits = &peer->resources.limits;
    bucket_fill(&connection->broken, limits->broken_streams_burst, peer->now);
    bucket_fill(&connection->refused, limits->refused_requests_burst, peer->now);
    return connection;
}

static struct peer_connection *connection_new(struct peer *peer, const struct link_event *event,
                                              const struct netaddr *origin,
                                              const struct admission_ticket *ticket) {
    struct peer_connection *connection = connection_make(peer, event, origin, ticket);
    if (connection != NULL) {
        list_append(&peer->connections, &connection->node);
        list_append(&connection->known->connections, &connection->sibling);
        supersede(peer, connection->known);
    }
    return connection;
}

struct peer_connection *connection_of_probe(struct peer *peer, const struct link_event *event) {
    struct netaddr origin = resources_origin(&event->remote);
    static const struct admission_ticket none;
    struct peer_connection *connection = connection_make(peer, event, &origin, &none);
    if (connection != NULL) {
        connection->probe = true;
        list_append(&peer->probes, &connection->node);
    }
    return connection;
}

void connection_connected(struct peer *peer, const struct link_event *event) {
    struct link *link = event->link;
    if (autonat_link_connected(peer, event)) {
        return;
    }
    struct netaddr origin = resources_origin(&event->remote);
    struct admission_ticket ticket = {.begun = false};
    uint64_t code = PEER_CLOSE_LIMIT;
    const char *refusal = count(peer, link, &origin, &ticket) != 0
                              ? "out of memory"
                              : refusal_of(peer, event, &origin, &code);
    struct peer_connection *connection =
        refusal == NULL ? connection_new(peer, event, &origin, &ticket) : NULL;
    if (connection == NULL) {
        admission_end(&peer->resources.admission, &ticket);
        refusal = refusal != NULL ? refusal : "out of memory";
        char id[PEER_ID_TEXT_MAX];
        peer_id_format(&event->peer_id, id);
        /* Who does it all the time is named once, by resources_log(). */
        log_event(peer->log, link->inbound ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "peer",
                  "connection of %s refused: %s", id, refusal);
        if (!link->inbound && !dcutr_link_closed(peer, link)) {
            dial_link_closed(peer, link, code == PEER_CLOSE_DENIED ? PLASM_REFUSED : PLASM_LIMIT);
        }
        link->user = NULL;
        link->transport->verbs->close(link, code, refusal, peer->now);
        return;
    }
    link->user = connection;
    if (link->inbound) {
        struct peer_event connected = {.type = PEER_EVENT_CONNECTED, .connection = connection};
        (void)peer_emit(peer, &connected);
    }
    identify_start(connection);
    dial_connected(peer, connection, link);
    dcutr_connected(connection);
}

/* Who has moved counts where it is now, in the bounds of that place. */
void connection_moved(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = event->link->user;
    if (connection == NULL) { /* refused, or a dial that is not taken yet */
        return;
    }
    struct netaddr before = connection->address;
    connection->remote = event->remote;
    connection->address = resources_origin(&event->remote);
    if (netaddr_equal_ip(&before, &connection->address)) {
        return; /* a NAT gave it another port */
    }
    struct resources *resources = &peer->resources;
    admission_move(&resources->admission, &connection->ticket, &connection->address);
    if (!connection->inbound || connection->probe) {
        return;
    }
    uint64_t code = PEER_CLOSE_DENIED;
    const char *why = resources_denied(resources, &connection->known->id, &connection->address);
    if (why == NULL) {
        code = PEER_CLOSE_LIMIT;
        why = resources_over(resources, &connection->address, peer->now);
    }
    if (why != NULL) {
        connection->expelled = true;
        event->link->transport->verbs->close(event->link, code, why, peer->now);
    }
}

void connection_closed(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = event->link->user;
    int error = event->error != 0 ? event->error : PLASM_CLOSED;
    if (connection == NULL) { /* refused at its start, or dialled and never connected */
        if (!autonat_link_closed(peer, event->link) && !dcutr_link_closed(peer, event->link)) {
            dial_link_closed(peer, event->link, error);
        }
        return;
    }
    dcutr_disconnected(connection);
    connection->ended = true;
    if (connection->probe) {
        list_remove(&peer->probes, &connection->node);
    } else {
        list_remove(&peer->connections, &connection->node);
        list_remove(&connection->known->connections, &connection->sibling);
    }
    admission_end(&peer->resources.admission, &connection->ticket);
    if (connection->inbound &&
        (error == PLASM_MALFORMED || error == PLASM_LIMIT || error == PLASM_UNTRUSTED)) {
        admission_offend(&peer->resources.admission, &connection->address, ADMISSION_PROTOCOL,
                         peer->now);
    }
    struct list_node *node;
    while ((node = list_first(&connection->streams)) != NULL) {
        stream_lost(CONTAINER_OF(node, struct peer_stream, node), error);
    }
    peer->relay.superseded -= connection->ends_at != NANOS_NEVER;
    relay_service_disconnected(peer, &connection->known->id);
    if (!connection->probe && list_empty(&connection->known->connections)) {
        kad_service_disconnected(peer, &connection->known->id);
    }
    struct peer_event gone = {
        .type = PEER_EVENT_DISCONNECTED, .connection = connection, .error = error};
    gone.peer_id = connection->known->id;
    connection->end_error = error;
    connection->unreported = !connection->probe && !peer_emit(peer, &gone);
    connection->link = NULL;
    list_append(&peer->ended_connections, &connection->node);
}

static void connection_free(struct peer_connection *connection) {
    struct peer *peer = connection->peer;
    connection->known->handles--;
    known_peer_release(peer, connection->known);
    block_unref(connection->identify);
    memory_put(peer->memory, connection->key,
               offsetof(struct public_key, data) + connection->key->size);
    memory_put(peer->memory, connection, sizeof(*connection));
}

void connections_reap(struct peer *peer) {
    struct list_node *node = list_first(&peer->ended_connections);
    while (node != NULL) {
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, node);
        node = list_next(&peer->ended_connections, node);
        if (connection->stream_handles == 0 && !events_name_connection(peer, connection)) {
            list_remove(&peer->ended_connections, &connection->node);
            connection_free(connection);
        }
    }
}

void connections_free(struct peer *peer) {
    struct list_node *node;
    while ((node = list_first(&peer->connections)) != NULL ||
           (node = list_first(&peer->probes)) != NULL) {
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, node);
        struct link_event closed = {.type = LINK_CLOSED, .link = connection->link};
        connection->link->user = connection;
        connection_closed(peer, &closed);
    }
    events_drop(peer);
    for (node = list_first(&peer->ended_streams); node != NULL;
         node = list_next(&peer->ended_streams, node)) {
        CONTAINER_OF(node, struct peer_stream, node)->unreported = false;
    }
    streams_reap(peer);
    while ((node = list_first(&peer->ended_connections)) != NULL) {
        struct peer_connection *connection = CONTAINER_OF(node, struct peer_connection, node);
        list_remove(&peer->ended_connections, node);
        connection_free(connection);
    }
}

void connection_update_keep_alive(struct peer_connection *connection) {
    if (!connection->ended) {
        bool on = connection->application_streams > 0 || connection->keeps > 0;
        connection->link->transport->verbs->keep_alive(connection->link, on);
    }
}

void connection_keep(struct peer_connection *connection, bool on) {
    connection->keeps += on ? 1 : (size_t)-1;
    connection_update_keep_alive(connection);
}

bool peer_connection_relayed(const struct peer_connection *connection) {
    return connection->relayed;
}

void peer_disconnect(struct peer *peer, struct peer_connection *connection, nanos now) {
    peer->now = now;
    if (!connection->ended) {
        connection->link->transport->verbs->close(connection->link, 0, "", now);
    }
}

int peer_set_access(struct peer *peer, const struct access_rules *rules, nanos now) {
    peer->now = now;
    int error = resources_set_rules(&peer->resources, rules);
    if (error != 0) {
        return error;
    }
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        const char *denied =
            resources_denied(&peer->resources, &connection->known->id, &connection->address);
        if (denied != NULL) {
            connection->link->transport->verbs->close(connection->link, PEER_CLOSE_DENIED, denied,
                                                      now);
        }
    }
    return 0;
}

/* One offence more of a kind; when the other side has had its share of them, it has to go. */
static bool offend(struct peer_connection *connection, enum admission_offence offence,
                   struct bucket *bucket, uint32_t per_second, uint32_t burst) {
    struct peer *peer = connection->peer;
    if (connection->ended || connection->expelled) {
        return true;
    }
    if (bucket_take(bucket, per_second, burst, peer->now)) {
        return false;
    }
    admission_blame(&peer->resources.admission, &connection->address, offence, burst, peer->now);
    connection->expelled = true;
    const char *text =
        offence == ADMISSION_STREAMS ? "too many broken streams" : "too many refused requests";
    connection->link->transport->verbs->close(connection->link, PEER_CLOSE_LIMIT, text, peer->now);
    return true;
}

void connection_stream_broken(struct peer_connection *connection) {
    const struct resource_limits *limits = &connection->peer->resources.limits;
    (void)offend(connection, ADMISSION_STREAMS, &connection->broken,
                 limits->broken_streams_per_second, limits->broken_streams_burst);
}

bool peer_refused(struct peer_connection *connection, nanos now) {
    const struct resource_limits *limits = &connection->peer->resources.limits;
    connection->peer->now = now;
    return offend(connection, ADMISSION_REQUESTS, &connection->refused,
                  limits->refused_requests_per_second, limits->refused_requests_burst);
}

struct peer_connection *peer_connection_next(const struct peer *peer,
                                             const struct peer_connection *connection) {
    struct list_node *node = connection == NULL ? list_first(&peer->connections)
                                                : list_next(&peer->connections, &connection->node);
    return LIST_ENTRY(node, struct peer_connection, node);
}

size_t peer_connection_count(const struct peer *peer) {
    return peer->connections.size;
}

size_t peer_stream_count(const struct peer *peer) {
    size_t count = 0;
    const struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        count += connection->streams.size - connection->circuits;
    }
    return count;
}

const struct peer_id *peer_connection_id(const struct peer_connection *connection) {
    return &connection->known->id;
}

const struct public_key *peer_connection_key(const struct peer_connection *connection) {
    return connection->key;
}

const struct multiaddr *peer_connection_remote(const struct peer_connection *connection) {
    return &connection->remote;
}

const struct netaddr *peer_connection_address(const struct peer_connection *connection) {
    return &connection->address;
}

bool peer_connection_inbound(const struct peer_connection *connection) {
    return connection->inbound;
}

struct bytes peer_connection_identify(const struct peer_connection *connection) {
    return connection->identify != NULL ? block_bytes(connection->identify) : bytes_of(NULL, 0);
}

void **peer_connection_user(struct peer_connection *connection) {
    return &connection->user;
}
