/* Keeps the book of our own addresses up to date with what peers say, and publishes what it says.
 */
#include "peer/reachability.h"

#include "peer/internal.h"
#include "peer/own_addresses.h"
#include "proto/autonat/client.h"
#include "proto/autonat/policy.h"
#include "util/ensure.h"

/* A server is not asked more often than this: ours serve 12 requests a minute. */
#define SERVER_PAUSE (10 * NANOS_SECOND)
/* While nobody is there to ask, it is looked again so often. */
#define IDLE_PAUSE (30 * NANOS_SECOND)

struct reachability_book {
    struct own_addresses own;
    struct peer_timer timer;
    nanos started;
    uint64_t started_unix_us;
    uint64_t seq;
    enum reachability told;
    size_t published_count;
    struct multiaddr published[PEER_OWN_ADDRESSES_MAX];
};

const char *own_source_name(enum own_source source) {
    static const char *const names[] = {"interface", "announced", "mapped", "observed", "relayed"};
    return names[source];
}

const char *reachability_name(enum reachability reachability) {
    static const char *const names[] = {"unknown", "public", "private"};
    return names[reachability];
}

const char *nat_type_name(enum nat_type type) {
    static const char *const names[] = {"unknown", "none", "endpoint-independent", "symmetric"};
    return names[type];
}

static uint64_t next_seq(struct peer *peer, struct reachability_book *book) {
    uint64_t seq =
        book->started_unix_us + nanos_since(peer->now, book->started) / NANOS_MICROSECOND;
    book->seq = seq > book->seq ? seq : book->seq + 1;
    return book->seq;
}

/* Publishes what differs from what was published, and tells the application. */
static void publish(struct peer *peer) {
    struct reachability_book *book = peer->book;
    if (!own_addresses_changed(&book->own)) {
        return;
    }
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    size_t count = own_addresses_publish(&book->own, addresses, PEER_OWN_ADDRESSES_MAX);
    bool same = count == book->published_count;
    for (size_t i = 0; same && i < count; i++) {
        same = multiaddr_equal(&addresses[i], &book->published[i]);
    }
    enum reachability reachability = own_addresses_reachability(&book->own);
    if (!same) {
        book->published_count = count;
        memcpy(book->published, addresses, count * sizeof(addresses[0]));
        peer_set_addresses(peer, addresses, count, next_seq(peer, book), peer->now);
    }
    if (!same || reachability != book->told) {
        log_event(peer->log, LOG_LEVEL_DEBUG, "reachability", "%s, %zu addresses published",
                  reachability_name(reachability), count);
        book->told = reachability;
        struct peer_event event = {.type = PEER_EVENT_REACHABILITY};
        (void)peer_emit(peer, &event);
    }
}

/* A number for a server that another cannot choose. */
static uint64_t server_key(const struct peer_connection *connection) {
    struct bytes id = peer_id_bytes(&connection->known->id);
    uint64_t key = 0;
    for (size_t i = id.size > sizeof(key) ? id.size - sizeof(key) : 0; i < id.size; i++) {
        key = key << 8 | id.data[i];
    }
    return key;
}

/* Asks every server that can tell something now. */
static void ask_servers(struct peer *peer) {
    struct reachability_book *book = peer->book;
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        struct netaddr address;
        struct multiaddr probe;
        if (connection->autonat == 0 || connection->autonat_next > peer->now ||
            !connection_netaddr(connection, &address) ||
            !own_addresses_next_probe(&book->own, &address, server_key(connection), peer->now,
                                      &probe)) {
            continue;
        }
        connection->autonat_next = nanos_add(peer->now, SERVER_PAUSE);
        int error =
            autonat_ask(connection, (enum autonat_version)connection->autonat, &probe, 1, 0);
        if (error != 0) {
            log_event(peer->log, LOG_LEVEL_DEBUG, "reachability", "cannot ask: %s",
                      plasm_error_message(error));
        }
    }
}

static void arm(struct peer *peer) {
    struct reachability_book *book = peer->book;
    nanos due = own_addresses_probe_deadline(&book->own);
    if (due <= peer->now) { /* nobody to ask just now; a server that comes is asked at once */
        due = peer->now + NANOS_SECOND;
        struct peer_connection *connection = NULL;
        nanos next = NANOS_NEVER;
        while ((connection = peer_connection_next(peer, connection)) != NULL) {
            if (connection->autonat != 0 && connection->autonat_next > peer->now) {
                next = nanos_min(next, connection->autonat_next);
            }
        }
        due = next != NANOS_NEVER ? nanos_max(due, next) : nanos_add(peer->now, IDLE_PAUSE);
    }
    /* What is too old is noticed within a minute. */
    peer_timer_set(peer, &book->timer, nanos_min(due, nanos_add(peer->now, NANOS_MINUTE)));
}

/* Tells the book whose word there is to have: one server of each IP group. */
static void count_servers(struct peer *peer) {
    struct netaddr servers[OWN_SERVERS_MAX];
    size_t count = 0;
    struct peer_connection *connection = NULL;
    while (count < OWN_SERVERS_MAX &&
           (connection = peer_connection_next(peer, connection)) != NULL) {
        if (connection->autonat == 0 || !connection_netaddr(connection, &servers[count])) {
            continue;
        }
        size_t i = 0;
        while (i < count && !own_addresses_same_group(&servers[i], &servers[count])) {
            i++;
        }
        count += i == count;
    }
    own_addresses_servers(&peer->book->own, servers, count);
}

static void step(struct peer *peer) {
    count_servers(peer);
    publish(peer);
    ask_servers(peer);
    arm(peer);
}

void reachability_expire(struct peer *peer) {
    own_addresses_expire(&peer->book->own, peer->now);
    step(peer);
}

void peer_reachability_start(struct peer *peer, uint64_t unix_us, nanos now) {
    peer->now = now;
    if (peer->book != NULL || autonat_ready(peer) != 0) {
        return;
    }
    struct reachability_book *book = memory_zero(peer->memory, sizeof(*book));
    if (book == NULL) {
        return;
    }
    own_addresses_init(&book->own, peer->memory);
    book->timer.kind = TIMER_REACHABILITY;
    book->started = now;
    book->started_unix_us = unix_us;
    if (peer_timer_start(peer, &book->timer, TIMER_PARKED) != 0) {
        memory_put(peer->memory, book, sizeof(*book));
        return;
    }
    peer->book = book;
    struct multiaddr relayed[OWN_ADDRESSES_PER_SOURCE_MAX];
    size_t relayed_count = peer_relay_addresses(peer, relayed, ARRAY_SIZE(relayed));
    own_addresses_set(&book->own, OWN_RELAYED, relayed, relayed_count, now);
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        struct identify message = {0};
        if (connection->identified &&
            identify_merge(peer_connection_identify(connection), &message) == 0) {
            reachability_identified(connection, &message);
        }
    }
}

void reachability_free(struct peer *peer) {
    if (peer->book != NULL) {
        heap_remove(&peer->timers, &peer->book->timer.node);
        own_addresses_done(&peer->book->own);
        memory_put(peer->memory, peer->book, sizeof(*peer->book));
        peer->book = NULL;
    }
}

void peer_own_addresses_set(struct peer *peer, enum own_source source,
                            const struct multiaddr *addresses, size_t count, nanos now) {
    peer->now = now;
    if (peer->book != NULL) {
        own_addresses_set(&peer->book->own, source, addresses, count, now);
        step(peer);
    }
}

void peer_network_changed(struct peer *peer, nanos now) {
    peer->now = now;
    if (peer->book != NULL) {
        own_addresses_reset(&peer->book->own, now);
        step(peer);
    }
}

void reachability_identified(struct peer_connection *connection, const struct identify *message) {
    struct peer *peer = connection->peer;
    if (identify_has_protocol(message, AUTONAT_V2_PROTOCOL)) {
        connection->autonat = AUTONAT_V2;
    } else {
        connection->autonat = identify_has_protocol(message, AUTONAT_V1_PROTOCOL) ? AUTONAT_V1 : 0;
    }
    if (peer->book == NULL) {
        return;
    }
    struct netaddr remote;
    struct multiaddr observed;
    if (connection_netaddr(connection, &remote) &&
        peer_connection_observed(connection, &observed)) {
        own_addresses_observe(&peer->book->own, &observed, &remote, !connection->inbound,
                              peer->now);
    }
    step(peer);
}

void reachability_answered(struct peer_connection *connection, const struct autonat_client *client,
                           const struct autonat_answer *answer) {
    struct peer *peer = connection->peer;
    if (peer->book == NULL) {
        return;
    }
    const struct multiaddr *address = &client->addresses[0];
    bool v1 = client->version == AUTONAT_V1;
    int error = answer->error;
    if (v1 && error == 0) { /* what it reached is what it says it reached */
        address = answer->address;
    }
    char text[MULTIADDR_TEXT_MAX] = "";
    if (address != NULL && multiaddr_format(address, text, sizeof(text)) == 0) {
        log_event(peer->log, LOG_LEVEL_DEBUG, "reachability", "%s: %s", text,
                  error == 0 ? "reached" : plasm_error_message(error));
    }
    if (address != NULL) {
        struct netaddr from;
        if (connection_netaddr(connection, &from)) {
            own_addresses_probed(&peer->book->own, address, &from, server_key(connection), v1,
                                 error, peer->now);
        }
    }
    step(peer);
}

/* --- reading ---------------------------------------------------------------------------------- */

size_t peer_own_addresses(const struct peer *peer, struct own_address *ret_addresses,
                          size_t count_max) {
    size_t count = 0;
    for (int published = 1; peer->book != NULL && published >= 0; published--) {
        for (size_t i = 0; i < peer->book->own.count && count < count_max; i++) {
            const struct own_address *own = &peer->book->own.entries[i]->own;
            if (own->published == (published == 1)) {
                ret_addresses[count++] = *own;
            }
        }
    }
    return count;
}

size_t peer_published_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                                size_t count_max) {
    size_t count = peer->address_count < count_max ? peer->address_count : count_max;
    memcpy(ret_addresses, peer->addresses, count * sizeof(*ret_addresses));
    return count;
}

size_t peer_observed_addresses(const struct peer *peer, struct multiaddr *ret_addresses,
                               size_t count_max) {
    if (peer->book == NULL) {
        return 0;
    }
    const struct own_addresses *own = &peer->book->own;
    bool taken[OWN_ADDRESSES_MAX] = {false};
    size_t count = 0;
    while (count < count_max) {
        size_t best = own->count;
        for (size_t i = 0; i < own->count; i++) {
            size_t observers = own->entries[i]->own.observers;
            if (!taken[i] && observers > 0 &&
                (best == own->count || observers > own->entries[best]->own.observers)) {
                best = i;
            }
        }
        if (best == own->count) {
            break;
        }
        taken[best] = true;
        ret_addresses[count++] = own->entries[best]->own.address;
    }
    return count;
}

enum reachability peer_reachability(const struct peer *peer) {
    return peer->book != NULL ? own_addresses_reachability(&peer->book->own) : REACHABILITY_UNKNOWN;
}

enum nat_type peer_nat_type(const struct peer *peer, bool tcp) {
    return peer->book != NULL ? own_addresses_nat(&peer->book->own, tcp) : NAT_UNKNOWN;
}

bool peer_connection_observed(const struct peer_connection *connection,
                              struct multiaddr *ret_address) {
    struct identify message = {0};
    struct multiaddr observed;
    if (identify_merge(peer_connection_identify(connection), &message) != 0 ||
        multiaddr_decode(message.observed, &observed) != 0 || observed.size == 0) {
        return false;
    }
    multiaddr_without_peer(&observed, ret_address);
    return true;
}
