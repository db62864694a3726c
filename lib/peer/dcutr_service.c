/* From a relayed to a direct connection. The side that was called begins: it dials what addresses
 * of the caller the Internet reaches, and where that leads nowhere both agree by DCUtR on the
 * moment to open their NATs. */
#include "peer/internal.h"

#include "peer/dcutr_policy.h"
#include "peer/reachability.h"
#include "proto/dcutr/dcutr.h"
#include "proto/identify/identify.h"
#include "util/ensure.h"

#define PUNCHES_MAX          32 /* at a time */
#define PUNCH_LINKS_MAX      PUNCH_TARGETS_MAX
#define REVERSAL_TIMEOUT     (2 * NANOS_SECOND)
#define PUNCH_TIMEOUT        (5 * NANOS_SECOND)
#define PUNCH_PAUSE_MIN      (10 * NANOS_MILLISECOND)
#define PUNCH_PAUSE_MAX      (200 * NANOS_MILLISECOND)
#define DCUTR_ROOM_SIZE      (2 * DCUTR_MESSAGE_SIZE_MAX)
#define DCUTR_LINGER_TIMEOUT (5 * NANOS_SECOND)
#define PUNCH_RTT_MIN        (5 * NANOS_MILLISECOND)

enum punch_stage {
    PUNCH_REVERSING, /* dialling the caller's public addresses */
    PUNCH_AGREEING,  /* the machine speaks */
    PUNCH_PUNCHING,
};

/* The way to a direct connection with one peer. */
struct punch {
    struct peer *peer;
    struct list_node node; /* in peer->relay.punches */
    struct peer_timer timer;
    struct peer_connection *connection; /* the relayed one */
    enum punch_stage stage;
    enum dcutr_role role;
    size_t attempts;
    nanos deadline; /* of reversing and punching */
    nanos next_datagram;
    nanos rtt;
    struct peer_stream *stream; /* while agreeing */
    struct dcutr machine;       /* while agreeing */
    size_t target_count;
    struct multiaddr targets[PUNCH_TARGETS_MAX];
    size_t link_count;
    struct link *links[PUNCH_LINKS_MAX]; /* dialled, not connected yet */
};

static void punch_log(const struct punch *punch, const char *what) {
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&punch->connection->known->id, id);
    log_event(punch->peer->log, LOG_LEVEL_DEBUG, "dcutr", "%s: %s", id, what);
}

static void close_links(struct punch *punch, const struct link *keep) {
    for (size_t i = 0; i < punch->link_count; i++) {
        struct link *link = punch->links[i];
        if (link != keep) {
            link->transport->verbs->close(link, 0, "", punch->peer->now);
        }
    }
    punch->link_count = 0;
}

static void end_agreeing(struct punch *punch) {
    if (punch->stream != NULL) {
        punch->stream->user = NULL;
        punch->stream = NULL;
    }
    if (punch->machine.in.memory != NULL) {
        dcutr_done(&punch->machine);
    }
    memset(&punch->machine, 0, sizeof(punch->machine));
}

static void punch_free(struct punch *punch, const struct link *keep) {
    struct peer *peer = punch->peer;
    close_links(punch, keep);
    end_agreeing(punch);
    heap_remove(&peer->timers, &punch->timer.node);
    list_remove(&peer->relay.punches, &punch->node);
    memory_put(peer->memory, punch, sizeof(*punch));
}

static struct punch *punch_of(struct peer *peer, const struct known_peer *known) {
    for (struct list_node *node = list_first(&peer->relay.punches); node != NULL;
         node = list_next(&peer->relay.punches, node)) {
        struct punch *punch = CONTAINER_OF(node, struct punch, node);
        if (punch->connection->known == known) {
            return punch;
        }
    }
    return NULL;
}

static struct punch *punch_new(struct peer_connection *connection, enum dcutr_role role) {
    struct peer *peer = connection->peer;
    if (peer->relay.punches.size == PUNCHES_MAX || punch_of(peer, connection->known) != NULL) {
        return NULL;
    }
    struct punch *punch = memory_zero(peer->memory, sizeof(*punch));
    if (punch == NULL) {
        return NULL;
    }
    punch->peer = peer;
    punch->connection = connection;
    punch->role = role;
    punch->timer.kind = TIMER_PUNCH;
    if (peer_timer_start(peer, &punch->timer, TIMER_PARKED) != 0) {
        memory_put(peer->memory, punch, sizeof(*punch));
        return NULL;
    }
    list_append(&peer->relay.punches, &punch->node);
    return punch;
}

/* --- addresses -------------------------------------------------------------------------------- */

static void add_address(struct multiaddr *list, size_t *count, const struct multiaddr *address) {
    for (size_t i = 0; i < *count; i++) {
        if (multiaddr_equal(&list[i], address)) {
            return;
        }
    }
    if (*count < DCUTR_ADDRESSES_MAX && !multiaddr_has(address, MULTIADDR_P2P_CIRCUIT)) {
        list[(*count)++] = *address;
    }
}

/* Where the other ends of our own QUIC connections see us: who only dials keeps no book of that. */
static void add_seen(const struct peer *peer, struct multiaddr *list, size_t *count) {
    const struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer, connection)) != NULL) {
        struct multiaddr seen;
        struct netaddr netaddr;
        struct bytes id;
        if (!connection->relayed && peer_connection_observed(connection, &seen) &&
            multiaddr_to_quic(&seen, &netaddr, &id) == 0) {
            add_address(list, count, &seen);
        }
    }
}

/* Where others see us, then where we listen. */
static size_t own_addresses(const struct peer *peer, struct multiaddr *ret_addresses) {
    struct multiaddr observed[DCUTR_ADDRESSES_MAX];
    size_t count = 0;
    size_t observed_count =
        peer->book != NULL ? peer_observed_addresses(peer, observed, ARRAY_SIZE(observed)) : 0;
    for (size_t i = 0; i < observed_count; i++) {
        add_address(ret_addresses, &count, &observed[i]);
    }
    if (peer->book == NULL) {
        add_seen(peer, ret_addresses, &count);
    }
    for (size_t i = 0; i < peer->address_count; i++) {
        add_address(ret_addresses, &count, &peer->addresses[i]);
    }
    return count;
}

static bool is_public(const struct multiaddr *address) {
    struct netaddr netaddr;
    return address_netaddr(address, &netaddr) && netaddr_scope(&netaddr) == NETADDR_GLOBAL &&
           !multiaddr_has(address, MULTIADDR_P2P_CIRCUIT);
}

/* Which of them are tried: the other side names what it likes. */
static void choose_targets(struct punch *punch, const struct multiaddr *offered, size_t count) {
    struct multiaddr own[DCUTR_ADDRESSES_MAX];
    struct netaddr relay;
    bool known = address_netaddr(&punch->connection->remote, &relay);
    size_t own_count = own_addresses(punch->peer, own);
    punch->target_count =
        punch_targets(offered, count, known ? &relay : NULL, own, own_count, punch->targets);
}

/* False when that would be too many attempts. */
static bool may_try(const struct punch *punch) {
    struct netaddr relay = {.family = NETADDR_NONE};
    (void)address_netaddr(&punch->connection->remote, &relay);
    bool allowed = punch_limiter_take(&punch->peer->relay.punch_limiter,
                                      &punch->connection->known->id, &relay, punch->peer->now);
    if (!allowed) {
        punch_log(punch, "too many attempts");
    }
    return allowed;
}

/* What of the other side's addresses the Internet may reach. */
static size_t public_addresses(const struct peer_connection *connection,
                               struct multiaddr *ret_addresses) {
    struct identify message = {0};
    size_t count = 0;
    if (identify_merge(peer_connection_identify(connection), &message) != 0) {
        return 0;
    }
    for (size_t i = 0; i < message.address_count; i++) {
        struct multiaddr address;
        struct multiaddr bare;
        if (multiaddr_decode(message.addresses[i], &address) == 0) {
            multiaddr_without_peer(&address, &bare);
            if (is_public(&bare)) {
                add_address(ret_addresses, &count, &bare);
            }
        }
    }
    return count;
}

/* Begins one link, or sends one datagram where that is all a listener does. */
static void try_address(struct punch *punch, const struct multiaddr *address, bool plain_dial) {
    struct peer *peer = punch->peer;
    const struct peer_id *expected = &punch->connection->known->id;
    for (size_t i = 0; i < peer->transport_count; i++) {
        struct transport *transport = peer->transports[i];
        const struct transport_verbs *verbs = transport->verbs;
        if (!verbs->dials(transport, address) || punch->link_count == PUNCH_LINKS_MAX) {
            continue;
        }
        struct link *link = NULL;
        int error = PLASM_UNSUPPORTED;
        if (plain_dial) {
            error = verbs->dial(transport, address, expected, 0, peer->now, &link);
        } else if (verbs->punch != NULL) {
            error = verbs->punch(transport, address, expected, punch->role == DCUTR_INITIATOR,
                                 punch->rtt, peer->now, &link);
        }
        if (error == 0 && link != NULL) {
            link->user = NULL;
            punch->links[punch->link_count++] = link;
        }
        return;
    }
}

/* --- punching --------------------------------------------------------------------------------- */

static void set_timer(struct punch *punch) {
    nanos deadline = punch->stage == PUNCH_AGREEING
                         ? dcutr_deadline(&punch->machine)
                         : nanos_min(punch->deadline, punch->next_datagram);
    peer_timer_set(punch->peer, &punch->timer, deadline);
}

static nanos next_pause(struct peer *peer) {
    return PUNCH_PAUSE_MIN + random_below(&peer->random, PUNCH_PAUSE_MAX - PUNCH_PAUSE_MIN);
}

/* The listener's datagrams open its NAT for the other side's packets. */
static void send_datagrams(struct punch *punch) {
    for (size_t i = 0; i < punch->target_count; i++) {
        if (multiaddr_has(&punch->targets[i], MULTIADDR_QUIC_V1)) {
            try_address(punch, &punch->targets[i], false);
        }
    }
    punch->next_datagram = nanos_add(punch->peer->now, next_pause(punch->peer));
}

static void start_punching(struct punch *punch, nanos rtt) {
    struct peer *peer = punch->peer;
    punch->stage = PUNCH_PUNCHING;
    punch->rtt = nanos_max(rtt, PUNCH_RTT_MIN);
    punch->deadline = nanos_add(peer->now, PUNCH_TIMEOUT);
    punch->next_datagram = NANOS_NEVER;
    peer->relay.stats.punches++;
    punch_log(punch, "punching");
    choose_targets(punch, punch->machine.addresses, punch->machine.address_count);
    for (size_t i = 0; i < punch->target_count; i++) {
        const struct multiaddr *address = &punch->targets[i];
        if (punch->role == DCUTR_RESPONDER || !multiaddr_has(address, MULTIADDR_QUIC_V1)) {
            try_address(punch, address, false);
        }
    }
    if (punch->role == DCUTR_INITIATOR) {
        send_datagrams(punch);
    }
    if (punch->stream != NULL) {
        struct peer_stream *stream = punch->stream;
        punch->stream = NULL;
        stream->user = NULL;
        stream_finish(stream, nanos_add(peer->now, DCUTR_LINGER_TIMEOUT));
    }
    set_timer(punch);
}

/* --- agreeing --------------------------------------------------------------------------------- */

static void flush(struct punch *punch) {
    uint8_t room[DCUTR_ROOM_SIZE];
    size_t size = dcutr_transmit(&punch->machine, (struct span){room, sizeof(room)});
    if (size > 0 && punch->stream != NULL) {
        /* When it fails the other side's silence ends the attempt. */
        (void)stream_send(punch->stream, bytes_of(room, size), false);
    }
}

/* Sends what the machine has and acts on what it says; the punch may be gone afterwards. */
static void run_machine(struct punch *punch) {
    flush(punch);
    struct dcutr_event event;
    if (!dcutr_next_event(&punch->machine, &event)) {
        set_timer(punch);
        return;
    }
    if (event.type == DCUTR_PUNCH) {
        start_punching(punch, event.rtt);
        return;
    }
    punch_log(punch, plasm_error_message(event.error));
    struct peer_stream *stream = punch->stream;
    punch_free(punch, NULL);
    if (stream != NULL) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
}

static bool start_machine(struct punch *punch, struct peer_stream *stream) {
    struct peer *peer = punch->peer;
    struct multiaddr own[DCUTR_ADDRESSES_MAX];
    size_t count = own_addresses(peer, own);
    end_agreeing(punch);
    if (dcutr_init(&punch->machine, punch->role, own, count, peer->memory, peer->now) != 0) {
        memset(&punch->machine, 0, sizeof(punch->machine));
        return false;
    }
    punch->stage = PUNCH_AGREEING;
    punch->stream = stream;
    stream->user = punch;
    peer_timer_set(peer, &stream->timer, TIMER_PARKED);
    return true;
}

/* The initiator's next attempt; the punch is gone when there is none. The first one is that which
 * dialling began. */
static void attempt(struct punch *punch) {
    struct peer_stream *stream;
    close_links(punch, NULL);
    punch->attempts++;
    if (punch->attempts > DCUTR_ATTEMPTS_MAX || punch->connection->ended ||
        (punch->attempts > 1 && !may_try(punch)) ||
        stream_open(punch->connection, SERVICE_DCUTR, DCUTR_PROTOCOL, &stream) != 0) {
        punch_log(punch, "no direct way");
        punch_free(punch, NULL);
        return;
    }
    if (!start_machine(punch, stream)) {
        stream_abort(stream, 0);
        punch_free(punch, NULL);
        return;
    }
    run_machine(punch);
}

/* --- events ----------------------------------------------------------------------------------- */

void dcutr_identified(struct peer_connection *connection) {
    struct peer *peer = connection->peer;
    if (!connection->relayed || !connection->inbound || peer->relay.pipes == NULL ||
        !known_peer_connection(connection->known)->relayed) {
        return;
    }
    struct punch *punch = punch_new(connection, DCUTR_INITIATOR);
    if (punch == NULL) {
        return;
    }
    if (!may_try(punch)) {
        punch_free(punch, NULL);
        return;
    }
    struct multiaddr addresses[DCUTR_ADDRESSES_MAX];
    choose_targets(punch, addresses, public_addresses(connection, addresses));
    for (size_t i = 0; i < punch->target_count; i++) {
        try_address(punch, &punch->targets[i], true);
    }
    if (punch->link_count == 0) {
        attempt(punch);
        return;
    }
    punch->stage = PUNCH_REVERSING;
    punch->next_datagram = NANOS_NEVER;
    punch->deadline = nanos_add(peer->now, REVERSAL_TIMEOUT);
    set_timer(punch);
}

void dcutr_opened(struct peer_stream *stream) {
    struct peer_connection *connection = stream->connection;
    /* Only who was called begins, and only over a relay. */
    struct punch *punch = connection->relayed && !connection->inbound
                              ? punch_of(stream->peer, connection->known)
                              : NULL;
    if (punch != NULL && punch->stage == PUNCH_PUNCHING) { /* its next attempt, before ours ended */
        punch_free(punch, NULL);
        punch = NULL;
    }
    if (punch == NULL && connection->relayed && !connection->inbound) {
        punch = punch_new(connection, DCUTR_RESPONDER);
    } else {
        punch = NULL;
    }
    if (punch == NULL || !may_try(punch) || !start_machine(punch, stream)) {
        if (punch != NULL) {
            punch_free(punch, NULL);
        }
        stream_abort(stream, PEER_RESET_PROTOCOL);
        return;
    }
    set_timer(punch);
}

void dcutr_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct punch *punch = stream->user;
    if (punch != NULL) {
        dcutr_receive(&punch->machine, data, fin, stream->peer->now);
        run_machine(punch);
    }
}

void dcutr_ended(struct peer_stream *stream) {
    struct punch *punch = stream->user;
    if (punch != NULL) { /* before anything was agreed on */
        punch->stream = NULL;
        stream->user = NULL;
        punch_log(punch, "the other side does not take part");
        punch_free(punch, NULL);
    }
}

void dcutr_expire_timer(struct peer_timer *timer) {
    struct punch *punch = CONTAINER_OF(timer, struct punch, timer);
    nanos now = punch->peer->now;
    if (punch->stage == PUNCH_AGREEING) {
        dcutr_expire(&punch->machine, now);
        run_machine(punch);
    } else if (punch->deadline <= now) {
        if (punch->role == DCUTR_INITIATOR) {
            attempt(punch);
        } else {
            punch_free(punch, NULL);
        }
    } else {
        send_datagrams(punch);
        set_timer(punch);
    }
}

bool dcutr_link_closed(struct peer *peer, const struct link *link) {
    for (struct list_node *node = list_first(&peer->relay.punches); node != NULL;
         node = list_next(&peer->relay.punches, node)) {
        struct punch *punch = CONTAINER_OF(node, struct punch, node);
        for (size_t i = 0; i < punch->link_count; i++) {
            if (punch->links[i] == link) {
                punch->links[i] = punch->links[--punch->link_count];
                if (punch->link_count == 0 && punch->stage == PUNCH_REVERSING) {
                    attempt(punch);
                }
                return true;
            }
        }
    }
    return false;
}

void dcutr_connected(struct peer_connection *connection) {
    struct peer *peer = connection->peer;
    struct punch *punch = connection->relayed ? NULL : punch_of(peer, connection->known);
    if (punch == NULL) {
        return;
    }
    punch_log(punch, "connected directly");
    peer->relay.stats.punches_direct++;
    bool dialled = false;
    for (size_t i = 0; i < punch->link_count; i++) {
        dialled = dialled || punch->links[i] == connection->link;
    }
    struct peer_stream *stream = punch->stream;
    punch_free(punch, connection->link);
    if (stream != NULL) {
        stream_abort(stream, 0);
    }
    if (dialled) { /* accepted ones were told already */
        struct peer_event event = {.type = PEER_EVENT_CONNECTED, .connection = connection};
        (void)peer_emit(peer, &event);
    }
}

void dcutr_disconnected(struct peer_connection *connection) {
    struct punch *punch =
        connection->relayed ? punch_of(connection->peer, connection->known) : NULL;
    if (punch != NULL && punch->connection == connection) {
        punch_free(punch, NULL);
    }
}

void dcutr_free(struct peer *peer) {
    struct list_node *node;
    while ((node = list_first(&peer->relay.punches)) != NULL) {
        punch_free(CONTAINER_OF(node, struct punch, node), NULL);
    }
}
