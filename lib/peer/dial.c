/* Dialling: several addresses of one peer one after the other, the first connection wins, and
 * everybody who waits for the same peer shares the attempt. QUIC is tried first, TCP a moment later
 * or when QUIC has failed, relays last; IPv6 and IPv4 take turns (RFC 8305, "Happy Eyeballs"). */
#include "peer/internal.h"

#include <stdio.h>

#include "util/ensure.h"

/* A further address of a kind is tried when the one before has not answered for this long (RFC 8305
 * calls it the connection attempt delay). */
#define DIAL_ATTEMPT_DELAY (250 * NANOS_MILLISECOND)
/* What the kinds before have as a head start. */
#define DIAL_TCP_DELAY         (250 * NANOS_MILLISECOND)
#define DIAL_RELAY_DELAY       (500 * NANOS_MILLISECOND)
#define DIAL_DNSADDR_DEPTH_MAX 3
#define DIAL_FAILURE_TEXT_MAX  600

static void dial_step(struct dial *dial);

static uint64_t resolvable(const struct multiaddr *address, struct bytes *ret_name) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    if (!multiaddr_next(&cursor, &part)) {
        return 0;
    }
    *ret_name = part.value;
    bool is_name = part.code == MULTIADDR_DNS || part.code == MULTIADDR_DNS4 ||
                   part.code == MULTIADDR_DNS6 || part.code == MULTIADDR_DNSADDR;
    return is_name ? part.code : 0;
}

static bool has_address(const struct dial *dial, const struct multiaddr *address) {
    for (size_t i = 0; i < dial->address_count; i++) {
        if (multiaddr_equal(&dial->addresses[i]->address, address)) {
            return true;
        }
    }
    return false;
}

/* Its first component's family, and what it leads over. */
static enum netaddr_family family_of(const struct multiaddr *address) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    if (!multiaddr_next(&cursor, &part)) {
        return NETADDR_NONE;
    }
    return part.code == MULTIADDR_IP6   ? NETADDR_IP6
           : part.code == MULTIADDR_IP4 ? NETADDR_IP4
                                        : NETADDR_NONE;
}

static enum dial_kind kind_of(const struct multiaddr *address) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    enum dial_kind kind = DIAL_QUIC;
    while (multiaddr_next(&cursor, &part)) {
        if (part.code == MULTIADDR_P2P_CIRCUIT) {
            return DIAL_RELAY;
        }
        kind = part.code == MULTIADDR_TCP ? DIAL_TCP : kind;
    }
    return kind;
}

/* /ip4|ip6/address/udp/port and nothing else: a port that may be reached in either way. */
static bool is_open_to_both(const struct multiaddr *address, struct netaddr *ret_netaddr) {
    struct multiaddr quic = *address;
    struct bytes id;
    return multiaddr_append(&quic, MULTIADDR_QUIC_V1, bytes_of(NULL, 0)) == 0 &&
           multiaddr_to_quic(&quic, ret_netaddr, &id) == 0;
}

static void keep_address(struct dial *dial, const struct multiaddr *address, uint8_t depth) {
    if (dial->address_count == PEER_DIAL_ADDRESSES_MAX || has_address(dial, address)) {
        return;
    }
    struct dial_address *entry = memory_zero(dial->peer->memory, sizeof(*entry));
    if (entry != NULL) {
        entry->address = *address;
        entry->kind = kind_of(address);
        entry->depth = depth;
        dial->addresses[dial->address_count++] = entry;
    }
}

/* Addresses over the bound, twice the same or of another peer are left out. */
static void add_address(struct dial *dial, const struct multiaddr *address, uint8_t depth) {
    struct bytes id = multiaddr_peer_id(address);
    if (id.size > 0 && dial->known != NULL && !bytes_equal(id, peer_id_bytes(&dial->known->id))) {
        return;
    }
    struct multiaddr bare;
    multiaddr_without_peer(address, &bare);
    struct bytes name;
    struct netaddr netaddr;
    if (resolvable(address, &name) == MULTIADDR_DNSADDR) {
        keep_address(dial, address, depth); /* its /p2p chooses among the name's records */
    } else if (is_open_to_both(&bare, &netaddr)) {
        struct multiaddr way;
        multiaddr_from_quic(&netaddr, &way);
        keep_address(dial, &way, depth);
        multiaddr_from_tcp(&netaddr, &way);
        keep_address(dial, &way, depth);
    } else {
        keep_address(dial, &bare, depth);
    }
}

static void close_link(struct dial *dial, struct dial_address *entry) {
    if (entry->state == DIAL_TRYING) {
        entry->link->transport->verbs->close(entry->link, 0, "", dial->peer->now);
    }
}

/* Frees the dial; links still trying are closed but for `keep`. Its waiters must be gone. */
static void dial_free(struct dial *dial, const struct link *keep) {
    struct peer *peer = dial->peer;
    ENSURE(list_empty(&dial->waiters));
    for (size_t i = 0; i < dial->address_count; i++) {
        if (dial->addresses[i]->link != keep || keep == NULL) {
            close_link(dial, dial->addresses[i]);
        }
        memory_put(peer->memory, dial->addresses[i], sizeof(struct dial_address));
    }
    heap_remove(&peer->timers, &dial->timer.node);
    list_remove(&peer->dials, &dial->node);
    if (dial->known != NULL) {
        dial->known->dial = NULL;
        known_peer_release(peer, dial->known);
    }
    memory_put(peer->memory, dial, sizeof(*dial));
}

static struct dial_waiter *take_waiter(struct dial *dial) {
    struct list_node *node = list_first(&dial->waiters);
    if (node != NULL) {
        list_remove(&dial->waiters, node);
    }
    return LIST_ENTRY(node, struct dial_waiter, node);
}

static void waiter_free(struct peer *peer, struct dial_waiter *waiter) {
    block_unref(waiter->message);
    memory_put(peer->memory, waiter, sizeof(*waiter));
}

/* "ADDRESS: what happened; ..." and the error that says most. */
static int describe_failure(const struct dial *dial, char *room, size_t room_size) {
    int worst = PLASM_UNREACHABLE;
    size_t used = 0;
    room[0] = '\0';
    for (size_t i = 0; i < dial->address_count; i++) {
        const struct dial_address *entry = dial->addresses[i];
        int error = entry->state == DIAL_FAILED ? entry->error : PLASM_TIMEOUT;
        if (worst == PLASM_UNREACHABLE || error == PLASM_UNTRUSTED) {
            worst = error;
        }
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&entry->address, text, sizeof(text)) != 0) {
            continue;
        }
        int size = snprintf(room + used, room_size - used, "%s%s: %s", used > 0 ? "; " : "", text,
                            plasm_error_message(error));
        used = size < 0 || (size_t)size >= room_size - used ? room_size - 1 : used + (size_t)size;
    }
    if (dial->address_count == 0) {
        snprintf(room, room_size, "no address of this peer is known");
        return PLASM_NOT_FOUND;
    }
    return worst;
}

static void tell_failed(struct peer *peer, const struct dial_waiter *waiter, int error,
                        const char *text) {
    struct peer_event event = {.type = PEER_EVENT_CONNECT_FAILED,
                               .request = waiter->request,
                               .error = error,
                               .data = bytes_of_string(text)};
    switch (waiter->kind) {
    case WAITER_APPLICATION:
        (void)peer_emit(peer, &event);
        break;
    case WAITER_KAD:
        kad_service_failed(peer, waiter->request, error);
        break;
    case WAITER_RESERVATION:
        relay_service_failed(peer, waiter->request);
        break;
    case WAITER_CIRCUIT:
        circuit_relay_failed(peer, waiter->request, error);
        break;
    }
}

static void tell_connected(struct peer_connection *connection, const struct dial_waiter *waiter) {
    struct peer_event event = {
        .type = PEER_EVENT_CONNECTED, .request = waiter->request, .connection = connection};
    switch (waiter->kind) {
    case WAITER_APPLICATION:
        (void)peer_emit(connection->peer, &event);
        break;
    case WAITER_KAD:
        kad_service_connected(connection, waiter);
        break;
    case WAITER_RESERVATION:
        relay_service_connected(connection, waiter->request);
        break;
    case WAITER_CIRCUIT:
        circuit_relay_connected(connection, waiter->request);
        break;
    }
}

static void dial_fail(struct dial *dial) {
    struct peer *peer = dial->peer;
    char text[DIAL_FAILURE_TEXT_MAX];
    int error = describe_failure(dial, text, sizeof(text));
    log_event(peer->log, LOG_LEVEL_DEBUG, "peer", "dial failed: %s", text);
    struct dial_waiter *waiter;
    while ((waiter = take_waiter(dial)) != NULL) {
        tell_failed(peer, waiter, error, text);
        waiter_free(peer, waiter);
    }
    dial_free(dial, NULL);
}

static void resolve_address(struct dial *dial, struct dial_address *entry, uint64_t code,
                            struct bytes name) {
    entry->state = DIAL_RESOLVING;
    entry->resolve = peer_request(dial->peer);
    struct peer_event event = {.type = PEER_EVENT_RESOLVE,
                               .request = entry->resolve,
                               .resolve = (enum multiaddr_code)code,
                               .data = name};
    if (!peer_emit(dial->peer, &event)) {
        entry->state = DIAL_FAILED;
        entry->error = PLASM_NO_MEMORY;
    }
}

static void try_address(struct dial *dial, struct dial_address *entry) {
    struct peer *peer = dial->peer;
    entry->state = DIAL_FAILED;
    entry->error = PLASM_UNSUPPORTED;
    const struct peer_id *expected = dial->known != NULL ? &dial->known->id : NULL;
    for (size_t i = 0; i < peer->transport_count; i++) {
        struct transport *transport = peer->transports[i];
        if (transport_is_probe(peer, transport) ||
            !transport->verbs->dials(transport, &entry->address)) {
            continue;
        }
        entry->error = transport->verbs->dial(transport, &entry->address, expected, 0, peer->now,
                                              &entry->link);
        if (entry->error == 0) {
            entry->link->user = NULL;
            entry->state = DIAL_TRYING;
        }
        return;
    }
}

/* The next address of a kind: not of the family that was tried last, where there is another; IPv6
 * first. NULL when all were tried. */
static struct dial_address *next_address(const struct dial *dial, enum dial_kind kind) {
    struct dial_address *next = NULL;
    enum netaddr_family wanted = dial->last[kind] == NETADDR_IP6 ? NETADDR_IP4 : NETADDR_IP6;
    for (size_t i = 0; i < dial->address_count; i++) {
        struct dial_address *entry = dial->addresses[i];
        if (entry->state != DIAL_WAITING || entry->kind != kind) {
            continue;
        }
        if (family_of(&entry->address) == wanted) {
            return entry;
        }
        next = next != NULL ? next : entry;
    }
    return next;
}

/* True while an address of this kind, or a better one, may still lead there. */
static bool is_hopeful(const struct dial *dial, enum dial_kind kind) {
    for (size_t i = 0; i < dial->address_count; i++) {
        const struct dial_address *entry = dial->addresses[i];
        if (entry->kind <= kind && entry->state != DIAL_FAILED) {
            return true;
        }
    }
    return false;
}

/* When the next address of a kind is due. */
static nanos next_try(const struct dial *dial, enum dial_kind kind) {
    if (kind == DIAL_QUIC || !is_hopeful(dial, kind - 1)) {
        return dial->next_try[kind];
    }
    nanos head_start = kind == DIAL_TCP ? DIAL_TCP_DELAY : DIAL_RELAY_DELAY;
    return nanos_max(dial->next_try[kind], nanos_add(dial->begun, head_start));
}

/* Tries what is due of a kind; when the next one will be. */
static nanos step_kind(struct dial *dial, enum dial_kind kind) {
    nanos now = dial->peer->now;
    struct dial_address *entry;
    while ((entry = next_address(dial, kind)) != NULL) {
        nanos due = next_try(dial, kind);
        if (due > now) {
            return due;
        }
        dial->last[kind] = family_of(&entry->address);
        try_address(dial, entry);
        if (entry->state == DIAL_TRYING) {
            dial->next_try[kind] = now + DIAL_ATTEMPT_DELAY;
        }
    }
    return NANOS_NEVER;
}

static void dial_step(struct dial *dial) {
    nanos now = dial->peer->now;
    for (size_t i = 0; i < dial->address_count; i++) {
        struct bytes name;
        uint64_t code = resolvable(&dial->addresses[i]->address, &name);
        if (dial->addresses[i]->state == DIAL_WAITING && code != 0) {
            resolve_address(dial, dial->addresses[i], code, name);
        }
    }
    dial->begun = nanos_min(dial->begun, now);
    nanos wake = dial->deadline;
    for (enum dial_kind kind = DIAL_QUIC; kind < DIAL_KINDS; kind++) {
        wake = nanos_min(wake, step_kind(dial, kind));
    }
    if (!is_hopeful(dial, DIAL_RELAY) || now >= dial->deadline) {
        dial_fail(dial);
        return;
    }
    peer_timer_set(dial->peer, &dial->timer, wake);
}

void dial_expire(struct dial *dial) {
    dial_step(dial);
}

static struct dial *dial_new(struct peer *peer, const struct peer_id *expected) {
    struct dial *dial = memory_zero(peer->memory, sizeof(*dial));
    if (dial == NULL) {
        return NULL;
    }
    dial->peer = peer;
    dial->timer.kind = TIMER_DIAL;
    dial->deadline = nanos_add(peer->now, peer->config.limits.dial_timeout);
    dial->begun = NANOS_NEVER;
    list_init(&dial->waiters);
    if (peer_timer_start(peer, &dial->timer, TIMER_PARKED) != 0) {
        memory_put(peer->memory, dial, sizeof(*dial));
        return NULL;
    }
    if (expected != NULL) {
        dial->known = known_peer_make(peer, expected);
        if (dial->known == NULL) {
            heap_remove(&peer->timers, &dial->timer.node);
            memory_put(peer->memory, dial, sizeof(*dial));
            return NULL;
        }
        dial->known->dial = dial;
    }
    list_append(&peer->dials, &dial->node);
    return dial;
}

int dial_start(struct peer *peer, const struct peer_id *expected, const struct multiaddr *addresses,
               size_t count, const struct dial_waiter *waiter) {
    struct dial_waiter *copy = memory_get(peer->memory, sizeof(*copy));
    if (copy == NULL) {
        return PLASM_NO_MEMORY;
    }
    struct known_peer *known = expected != NULL ? known_peer_get(peer, expected) : NULL;
    struct dial *dial =
        known != NULL && known->dial != NULL ? known->dial : dial_new(peer, expected);
    if (dial == NULL) {
        memory_put(peer->memory, copy, sizeof(*copy));
        return PLASM_NO_MEMORY;
    }
    *copy = *waiter;
    copy->node = (struct list_node){0};
    list_append(&dial->waiters, &copy->node);
    for (size_t i = 0; i < count; i++) {
        add_address(dial, &addresses[i], 0);
    }
    /* Even what fails at once is reported later: the caller has no request number yet. */
    peer_timer_set(peer, &dial->timer, peer->now);
    return 0;
}

static bool is_dial_of(const struct dial *dial, const struct peer_connection *connection,
                       const struct link *link) {
    if (dial->known != NULL) {
        return dial->known == connection->known;
    }
    for (size_t i = 0; i < dial->address_count; i++) {
        if (dial->addresses[i]->state == DIAL_TRYING && dial->addresses[i]->link == link) {
            return true;
        }
    }
    return false;
}

void dial_connected(struct peer *peer, struct peer_connection *connection, struct link *link) {
    struct list_node *node = list_first(&peer->dials);
    while (node != NULL) {
        struct dial *dial = CONTAINER_OF(node, struct dial, node);
        node = list_next(&peer->dials, node);
        if (!is_dial_of(dial, connection, link)) {
            continue;
        }
        struct dial_waiter *waiter;
        while ((waiter = take_waiter(dial)) != NULL) {
            tell_connected(connection, waiter);
            waiter_free(peer, waiter);
        }
        dial_free(dial, link);
    }
}

void dial_link_closed(struct peer *peer, struct link *link, int error) {
    for (struct list_node *node = list_first(&peer->dials); node != NULL;
         node = list_next(&peer->dials, node)) {
        struct dial *dial = CONTAINER_OF(node, struct dial, node);
        for (size_t i = 0; i < dial->address_count; i++) {
            struct dial_address *entry = dial->addresses[i];
            if (entry->state == DIAL_TRYING && entry->link == link) {
                entry->state = DIAL_FAILED;
                entry->error = error;
                entry->link = NULL;
                dial->next_try[entry->kind] = peer->now; /* no reason to wait any longer */
                dial_step(dial);
                return;
            }
        }
    }
}

/* The address with its first component, a name, replaced. */
static int replace_name(const struct multiaddr *address, const struct multiaddr *ip,
                        struct multiaddr *ret_address) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    (void)multiaddr_next(&cursor, &part);
    *ret_address = *ip;
    while (multiaddr_next(&cursor, &part)) {
        int error = multiaddr_append(ret_address, part.code, part.value);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static void entry_resolved(struct dial *dial, struct dial_address *entry,
                           const struct multiaddr *results, size_t count) {
    struct bytes name;
    bool is_dnsaddr = resolvable(&entry->address, &name) == MULTIADDR_DNSADDR;
    struct bytes wanted = multiaddr_peer_id(&entry->address);
    entry->state = DIAL_FAILED;
    entry->error = PLASM_NOT_FOUND;
    for (size_t i = 0; i < count && entry->depth < DIAL_DNSADDR_DEPTH_MAX; i++) {
        struct multiaddr address;
        if (!is_dnsaddr) {
            if (replace_name(&entry->address, &results[i], &address) != 0) {
                continue;
            }
        } else if (wanted.size > 0 && !bytes_equal(wanted, multiaddr_peer_id(&results[i]))) {
            continue;
        } else {
            address = results[i];
        }
        add_address(dial, &address, (uint8_t)(entry->depth + 1));
    }
}

void dial_resolved(struct peer *peer, uint64_t request, const struct multiaddr *results,
                   size_t count) {
    for (struct list_node *node = list_first(&peer->dials); node != NULL;
         node = list_next(&peer->dials, node)) {
        struct dial *dial = CONTAINER_OF(node, struct dial, node);
        for (size_t i = 0; i < dial->address_count; i++) {
            struct dial_address *entry = dial->addresses[i];
            if (entry->state == DIAL_RESOLVING && entry->resolve == request) {
                entry_resolved(dial, entry, results, count);
                dial_step(dial);
                return;
            }
        }
    }
}

void peer_resolved(struct peer *peer, uint64_t request, const struct multiaddr *results,
                   size_t count, nanos now) {
    peer->now = now;
    dial_resolved(peer, request, results, count);
}

void dial_cancel(struct peer *peer, uint64_t request) {
    for (struct list_node *node = list_first(&peer->dials); node != NULL;
         node = list_next(&peer->dials, node)) {
        struct dial *dial = CONTAINER_OF(node, struct dial, node);
        for (struct list_node *entry = list_first(&dial->waiters); entry != NULL;
             entry = list_next(&dial->waiters, entry)) {
            struct dial_waiter *waiter = CONTAINER_OF(entry, struct dial_waiter, node);
            if (waiter->request == request && waiter->kind == WAITER_APPLICATION) {
                list_remove(&dial->waiters, &waiter->node);
                waiter_free(peer, waiter);
                if (list_empty(&dial->waiters)) {
                    dial_free(dial, NULL);
                }
                return;
            }
        }
    }
}

void dials_free(struct peer *peer) {
    struct list_node *node;
    while ((node = list_first(&peer->dials)) != NULL) {
        struct dial *dial = CONTAINER_OF(node, struct dial, node);
        struct dial_waiter *waiter;
        while ((waiter = take_waiter(dial)) != NULL) {
            waiter_free(peer, waiter);
        }
        dial_free(dial, NULL);
    }
}

int peer_connect(struct peer *peer, const struct peer_id *expected,
                 const struct multiaddr *addresses, size_t count, nanos now,
                 uint64_t *ret_request) {
    peer->now = now;
    struct peer_id named;
    for (size_t i = 0; i < count && expected == NULL; i++) {
        struct bytes id = multiaddr_peer_id(&addresses[i]);
        if (id.size > 0) {
            int error = peer_id_decode(id, &named);
            if (error != 0) {
                return PLASM_INVALID;
            }
            expected = &named;
        }
    }
    if ((expected == NULL && count == 0) ||
        (expected != NULL && peer_id_equal(expected, &peer->config.id))) {
        return PLASM_INVALID;
    }
    struct dial_waiter waiter = {.request = peer_request(peer)};
    struct peer_connection *open = expected != NULL ? peer_connection_to(peer, expected) : NULL;
    if (open != NULL) {
        struct peer_event event = {
            .type = PEER_EVENT_CONNECTED, .request = waiter.request, .connection = open};
        if (!peer_emit(peer, &event)) {
            return PLASM_NO_MEMORY;
        }
        *ret_request = waiter.request;
        return 0;
    }
    int error = dial_start(peer, expected, addresses, count, &waiter);
    if (error == 0) {
        *ret_request = waiter.request;
    }
    return error;
}

void peer_connect_cancel(struct peer *peer, uint64_t request, nanos now) {
    peer->now = now;
    events_forget_request(peer, request);
    dial_cancel(peer, request);
}
