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

/* The IP address that a remote one begins with; empty where it is none that counts: a loopback one,
 * or that of a relay in between. */
static struct bytes counted_ip(const struct multiaddr *remote) {
    if (multiaddr_has(remote, MULTIADDR_P2P_CIRCUIT)) {
        return bytes_of(NULL, 0);
    }
    struct cursor cursor = cursor_of(multiaddr_bytes(remote));
    struct multiaddr_part ip;
    if (!multiaddr_next(&cursor, &ip) || (ip.code != MULTIADDR_IP4 && ip.code != MULTIADDR_IP6)) {
        return bytes_of(NULL, 0);
    }
    struct netaddr address = {.family = ip.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6};
    memcpy(address.ip, ip.value.data, ip.value.size);
    return netaddr_is_loopback(&address) ? bytes_of(NULL, 0) : ip.value;
}

static struct ip_count *ip_count_get(const struct peer *peer, struct bytes ip) {
    return MAP_ENTRY(map_get(&peer->ips, ip), struct ip_count, node);
}

/* Counts one connection more. NULL without memory. */
static struct ip_count *ip_count_add(struct peer *peer, struct bytes ip) {
    struct ip_count *count = ip_count_get(peer, ip);
    if (count == NULL) {
        count = memory_zero(peer->memory, sizeof(*count));
        if (count == NULL) {
            return NULL;
        }
        count->size = (uint8_t)ip.size;
        memcpy(count->bytes, ip.data, ip.size);
        if (map_put(&peer->ips, &count->node, bytes_of(count->bytes, count->size)) != 0) {
            memory_put(peer->memory, count, sizeof(*count));
            return NULL;
        }
    }
    count->connections++;
    return count;
}

static void ip_count_release(struct peer *peer, struct ip_count *count) {
    if (count == NULL) {
        return;
    }
    count->connections--;
    if (count->connections == 0) {
        map_remove(&peer->ips, &count->node);
        memory_put(peer->memory, count, sizeof(*count));
    }
}

/* Why a connection cannot stay, or NULL. */
static const char *refusal_of(struct peer *peer, const struct link_event *event) {
    const struct peer_limits *limits = &peer->config.limits;
    if (peer_id_equal(&event->peer_id, &peer->config.id)) {
        return "it leads to ourselves";
    }
    if (!event->link->inbound) {
        return NULL;
    }
    struct known_peer *known = known_peer_get(peer, &event->peer_id);
    if (known != NULL && known->connections.size >= limits->connections_per_peer_max) {
        return "too many connections of this peer";
    }
    if (peer->inbound >= limits->connections_inbound_max) {
        return "too many connections";
    }
    const struct ip_count *same = ip_count_get(peer, counted_ip(&event->remote));
    return same != NULL && same->connections >= limits->connections_per_ip_max
               ? "too many connections of this address"
               : NULL;
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

static struct peer_connection *connection_make(struct peer *peer, const struct link_event *event) {
    struct known_peer *known = known_peer_make(peer, &event->peer_id);
    if (known == NULL) {
        return NULL;
    }
    struct peer_connection *connection = memory_zero(peer->memory, sizeof(*connection));
    /* Keys of unusual types are large: keep what the key needs, not the largest. */
    size_t key_size = offsetof(struct public_key, data) + event->key->size;
    struct public_key *key = memory_get(peer->memory, key_size);
    struct bytes ip = event->link->inbound ? counted_ip(&event->remote) : bytes_of(NULL, 0);
    struct ip_count *count = ip.size > 0 ? ip_count_add(peer, ip) : NULL;
    if (connection == NULL || key == NULL || (ip.size > 0 && count == NULL)) {
        memory_put(peer->memory, connection, sizeof(*connection));
        memory_put(peer->memory, key, key_size);
        ip_count_release(peer, count);
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
                                 .ip = count,
                                 .key = key,
                                 .remote = event->remote};
    list_init(&connection->streams);
    known->handles++;
    return connection;
}

static struct peer_connection *connection_new(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = connection_make(peer, event);
    if (connection != NULL) {
        list_append(&peer->connections, &connection->node);
        list_append(&connection->known->connections, &connection->sibling);
        supersede(peer, connection->known);
        peer->inbound += connection->inbound;
    }
    return connection;
}

struct peer_connection *connection_of_probe(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = connection_make(peer, event);
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
    const char *refusal = refusal_of(peer, event);
    struct peer_connection *connection = refusal == NULL ? connection_new(peer, event) : NULL;
    if (connection == NULL) {
        refusal = refusal != NULL ? refusal : "out of memory";
        char id[PEER_ID_TEXT_MAX];
        peer_id_format(&event->peer_id, id);
        log_event(peer->log, LOG_LEVEL_WARNING, "peer", "connection of %s refused: %s", id,
                  refusal);
        if (!link->inbound) {
            dial_link_closed(peer, link, PLASM_LIMIT);
        }
        link->user = NULL;
        link->transport->verbs->close(link, PEER_CLOSE_LIMIT, refusal, peer->now);
        return;
    }
    link->user = connection;
    if (link->inbound) {
        struct peer_event connected = {.type = PEER_EVENT_CONNECTED, .connection = connection};
        (void)peer_emit(peer, &connected);
    }
    identify_start(connection);
    dial_connected(peer, connection, link);
}

void connection_closed(struct peer *peer, const struct link_event *event) {
    struct peer_connection *connection = event->link->user;
    int error = event->error != 0 ? event->error : PLASM_CLOSED;
    if (connection == NULL) { /* refused at its start, or dialled and never connected */
        if (!autonat_link_closed(peer, event->link)) {
            dial_link_closed(peer, event->link, error);
        }
        return;
    }
    connection->ended = true;
    if (connection->probe) {
        list_remove(&peer->probes, &connection->node);
    } else {
        list_remove(&peer->connections, &connection->node);
        list_remove(&connection->known->connections, &connection->sibling);
        peer->inbound -= connection->inbound;
    }
    ip_count_release(peer, connection->ip);
    connection->ip = NULL;
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

bool peer_connection_inbound(const struct peer_connection *connection) {
    return connection->inbound;
}

struct bytes peer_connection_identify(const struct peer_connection *connection) {
    return connection->identify != NULL ? block_bytes(connection->identify) : bytes_of(NULL, 0);
}

void **peer_connection_user(struct peer_connection *connection) {
    return &connection->user;
}
