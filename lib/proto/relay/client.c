/* The choice of relays and the life of reservations on them. */
#include "proto/relay/client.h"

#include "util/ensure.h"

void relay_client_init(struct relay_client *client, const struct peer_id *id,
                       struct memory *memory) {
    *client = (struct relay_client){.id = *id, .memory = memory};
    list_init(&client->candidates);
}

static struct relay_candidate *candidate_at(struct list_node *node) {
    return LIST_ENTRY(node, struct relay_candidate, node);
}

#define FOR_CANDIDATES(client, candidate)                                                          \
    for (struct relay_candidate *candidate = candidate_at(list_first(&(client)->candidates));      \
         candidate != NULL;                                                                        \
         candidate = candidate_at(list_next(&(client)->candidates, &candidate->node)))

static bool has_reservation(const struct relay_candidate *candidate) {
    return candidate->state == RELAY_CANDIDATE_RESERVED ||
           candidate->state == RELAY_CANDIDATE_REFRESHING;
}

static bool is_waiting(const struct relay_candidate *candidate) {
    return candidate->state == RELAY_CANDIDATE_ASKED ||
           candidate->state == RELAY_CANDIDATE_REFRESHING;
}

static struct relay_candidate *candidate_of(const struct relay_client *client,
                                            const struct peer_id *relay) {
    FOR_CANDIDATES(client, candidate) {
        if (peer_id_equal(&candidate->id, relay)) {
            return candidate;
        }
    }
    return NULL;
}

static struct relay_candidate *candidate_asked(const struct relay_client *client, uint64_t ask) {
    FOR_CANDIDATES(client, candidate) {
        if (is_waiting(candidate) && candidate->ask == ask) {
            return candidate;
        }
    }
    return NULL;
}

static void candidate_free(struct relay_client *client, struct relay_candidate *candidate) {
    list_remove(&client->candidates, &candidate->node);
    memory_put(client->memory, candidate, sizeof(*candidate));
}

void relay_client_done(struct relay_client *client) {
    struct list_node *node;
    while ((node = list_first(&client->candidates)) != NULL) {
        candidate_free(client, candidate_at(node));
    }
}

static void learn_addresses(struct relay_candidate *candidate, const struct multiaddr *addresses,
                            size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct multiaddr bare;
        multiaddr_without_peer(&addresses[i], &bare);
        bool known = false;
        for (size_t j = 0; j < candidate->address_count; j++) {
            known = known || multiaddr_equal(&candidate->addresses[j], &bare);
        }
        if (!known && candidate->address_count < RELAY_CANDIDATE_ADDRESSES_MAX) {
            candidate->addresses[candidate->address_count++] = bare;
        }
    }
}

/* Makes room for a configured candidate, or for one more when there are too many. */
static bool make_room(struct relay_client *client, bool configured) {
    if (client->candidates.size < RELAY_CANDIDATES_MAX) {
        return true;
    }
    struct relay_candidate *worst = NULL;
    FOR_CANDIDATES(client, candidate) {
        if (candidate->state == RELAY_CANDIDATE_IDLE && !candidate->configured &&
            (worst == NULL || candidate->failures >= worst->failures)) {
            worst = candidate;
        }
    }
    /* One that never failed stays: newcomers would push out everybody. */
    if (worst == NULL || (worst->failures == 0 && !configured)) {
        return false;
    }
    candidate_free(client, worst);
    return true;
}

int relay_client_add(struct relay_client *client, const struct peer_id *relay,
                     const struct multiaddr *addresses, size_t count, bool configured, nanos now) {
    struct relay_candidate *candidate = candidate_of(client, relay);
    if (candidate == NULL) {
        if (peer_id_equal(relay, &client->id) || !make_room(client, configured)) {
            return PLASM_LIMIT;
        }
        candidate = memory_zero(client->memory, sizeof(*candidate));
        if (candidate == NULL) {
            return PLASM_NO_MEMORY;
        }
        candidate->id = *relay;
        candidate->due = now;
        list_append(&client->candidates, &candidate->node);
    }
    candidate->configured = candidate->configured || configured;
    learn_addresses(candidate, addresses, count);
    return 0;
}

static void forget_reservation(struct relay_client *client, struct relay_candidate *candidate) {
    client->changed = client->changed || candidate->own_count > 0;
    candidate->own_count = 0;
    candidate->state = RELAY_CANDIDATE_IDLE;
}

void relay_client_enable(struct relay_client *client, bool enabled, nanos now) {
    if (client->enabled == enabled) {
        return;
    }
    client->enabled = enabled;
    FOR_CANDIDATES(client, candidate) {
        forget_reservation(client, candidate);
        candidate->due = now;
        candidate->failures = 0;
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Reservations there are or will be when those asked say yes. */
static size_t in_hand(const struct relay_client *client) {
    size_t count = 0;
    FOR_CANDIDATES(client, candidate) {
        count += candidate->state != RELAY_CANDIDATE_IDLE;
    }
    return count;
}

/* A refresh that is due, else the best of those that may be asked. */
static struct relay_candidate *choose(const struct relay_client *client, nanos now) {
    struct relay_candidate *best = NULL;
    FOR_CANDIDATES(client, candidate) {
        if (candidate->due > now || is_waiting(candidate)) {
            continue;
        }
        if (candidate->state == RELAY_CANDIDATE_RESERVED) {
            return candidate;
        }
        if (best == NULL || (candidate->configured && !best->configured) ||
            (candidate->configured == best->configured && candidate->failures < best->failures)) {
            best = candidate;
        }
    }
    return best != NULL && in_hand(client) < RELAY_RESERVATIONS_WANTED ? best : NULL;
}

bool relay_client_next_ask(struct relay_client *client, nanos now, struct relay_ask *ret_ask) {
    struct relay_candidate *candidate = client->enabled ? choose(client, now) : NULL;
    if (candidate == NULL) {
        return false;
    }
    candidate->state = candidate->state == RELAY_CANDIDATE_RESERVED ? RELAY_CANDIDATE_REFRESHING
                                                                    : RELAY_CANDIDATE_ASKED;
    candidate->ask = ++client->asks;
    candidate->due = nanos_add(now, RELAY_ANSWER_TIMEOUT);
    *ret_ask = (struct relay_ask){
        .id = candidate->ask, .relay = candidate->id, .address_count = candidate->address_count};
    memcpy(ret_ask->addresses, candidate->addresses,
           candidate->address_count * sizeof(candidate->addresses[0]));
    return true;
}

static void fail(struct relay_client *client, struct relay_candidate *candidate, nanos now) {
    nanos pause = RELAY_RETRY_PAUSE_MAX;
    if (candidate->failures < 8) {
        pause = nanos_min(RELAY_RETRY_PAUSE_MIN << candidate->failures, RELAY_RETRY_PAUSE_MAX);
    }
    candidate->failures++;
    forget_reservation(client, candidate);
    candidate->due = nanos_add(now, pause);
}

void relay_client_failed(struct relay_client *client, uint64_t ask, nanos now) {
    struct relay_candidate *candidate = candidate_asked(client, ask);
    if (candidate != NULL) {
        fail(client, candidate, now);
    }
}

static enum netaddr_scope scope_of(const struct multiaddr *address) {
    struct netaddr netaddr;
    struct bytes id;
    bool is_ip = multiaddr_to_quic(address, &netaddr, &id) == 0 ||
                 multiaddr_to_tcp(address, &netaddr, &id) == 0;
    return is_ip ? netaddr_scope(&netaddr) : NETADDR_NOWHERE;
}

/* Whether an address that a relay names is one that we can name to others: QUIC or TCP at an IP
 * address on the Internet, or in the network in which we reach the relay. */
static bool is_publishable(const struct multiaddr *told, const struct multiaddr *remote) {
    enum netaddr_scope scope = scope_of(told);
    return scope == NETADDR_GLOBAL || (scope != NETADDR_NOWHERE && scope == scope_of(remote));
}

/* "ADDRESS/p2p/RELAY/p2p-circuit" from an address of the relay, with or without its id. */
static int own_address(const struct relay_candidate *candidate, const struct multiaddr *relay,
                       struct multiaddr *ret_address) {
    if (multiaddr_has(relay, MULTIADDR_P2P_CIRCUIT)) {
        return PLASM_UNSUPPORTED; /* a relay behind a relay */
    }
    struct bytes id = multiaddr_peer_id(relay);
    if (id.size > 0 && !bytes_equal(id, peer_id_bytes(&candidate->id))) {
        return PLASM_UNTRUSTED;
    }
    struct multiaddr address = *relay;
    int error = 0;
    if (id.size == 0) {
        error = multiaddr_append(&address, MULTIADDR_P2P, peer_id_bytes(&candidate->id));
    }
    if (error == 0) {
        error = multiaddr_append(&address, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0));
    }
    if (error == 0) {
        *ret_address = address;
    }
    return error;
}

static void add_own(struct multiaddr *list, size_t *count, const struct multiaddr *address) {
    for (size_t i = 0; i < *count; i++) {
        if (multiaddr_equal(&list[i], address)) {
            return;
        }
    }
    if (*count < RELAY_CANDIDATE_ADDRESSES_MAX) {
        list[(*count)++] = *address;
    }
}

static void learn_own(struct relay_client *client, struct relay_candidate *candidate,
                      const struct relay_reservation *reservation, const struct multiaddr *remote) {
    struct multiaddr own[RELAY_CANDIDATE_ADDRESSES_MAX];
    size_t count = 0;
    struct multiaddr address;
    for (size_t i = 0; i < reservation->address_count; i++) {
        struct multiaddr told;
        if (multiaddr_decode(reservation->addresses[i], &told) == 0 &&
            is_publishable(&told, remote) && own_address(candidate, &told, &address) == 0) {
            add_own(own, &count, &address);
        }
    }
    if (count == 0 && own_address(candidate, remote, &address) == 0) {
        add_own(own, &count, &address);
    }
    bool same = count == candidate->own_count;
    for (size_t i = 0; i < count && same; i++) {
        same = multiaddr_equal(&own[i], &candidate->own[i]);
    }
    client->changed = client->changed || !same;
    memcpy(candidate->own, own, count * sizeof(own[0]));
    candidate->own_count = count;
}

static int check(const struct relay_client *client, const struct relay_candidate *candidate,
                 const struct relay_message *message, uint64_t now_unix) {
    if (message->type != RELAY_STATUS) {
        return PLASM_MALFORMED;
    }
    int error = relay_status_error(message->status);
    if (error != 0) {
        return error;
    }
    const struct relay_reservation *reservation = &message->reservation;
    if (!reservation->present) {
        return PLASM_MALFORMED;
    }
    if (reservation->expires_unix <= now_unix) {
        return PLASM_EXPIRED;
    }
    struct relay_voucher voucher;
    return reservation->voucher.size == 0
               ? 0 /* the specification asks for one, nobody demands it when dialling */
               : relay_voucher_check(reservation->voucher, &candidate->id, &client->id, now_unix,
                                     &voucher);
}

int relay_client_answered(struct relay_client *client, uint64_t ask,
                          const struct relay_message *message, const struct multiaddr *remote,
                          uint64_t now_unix, nanos now) {
    struct relay_candidate *candidate = candidate_asked(client, ask);
    if (candidate == NULL) {
        return PLASM_STATE;
    }
    int error = check(client, candidate, message, now_unix);
    if (error != 0) {
        fail(client, candidate, now);
        return error;
    }
    uint64_t seconds = message->reservation.expires_unix - now_unix;
    nanos life = seconds < NANOS_NEVER / NANOS_SECOND ? seconds * NANOS_SECOND : NANOS_NEVER;
    candidate->state = RELAY_CANDIDATE_RESERVED;
    candidate->failures = 0;
    candidate->limit = message->limit;
    candidate->until = nanos_add(now, life);
    candidate->due = nanos_add(now, life / 4 * 3);
    learn_own(client, candidate, &message->reservation, remote);
    return 0;
}

void relay_client_disconnected(struct relay_client *client, const struct peer_id *relay,
                               nanos now) {
    struct relay_candidate *candidate = candidate_of(client, relay);
    if (candidate != NULL && has_reservation(candidate)) {
        forget_reservation(client, candidate);
        candidate->due = now; /* it may only have restarted */
    }
}

/* --- what there is ---------------------------------------------------------------------------- */

bool relay_client_reserved(const struct relay_client *client, const struct peer_id *relay) {
    const struct relay_candidate *candidate = candidate_of(client, relay);
    return candidate != NULL && has_reservation(candidate);
}

size_t relay_client_reservations(const struct relay_client *client) {
    size_t count = 0;
    FOR_CANDIDATES(client, candidate) {
        count += has_reservation(candidate);
    }
    return count;
}

size_t relay_client_addresses(const struct relay_client *client, struct multiaddr *ret_addresses,
                              size_t count_max) {
    size_t count = 0;
    /* One of each relay first. */
    for (size_t i = 0; i < RELAY_CANDIDATE_ADDRESSES_MAX; i++) {
        FOR_CANDIDATES(client, candidate) {
            if (i < candidate->own_count && count < count_max) {
                ret_addresses[count++] = candidate->own[i];
            }
        }
    }
    return count;
}

bool relay_client_take_change(struct relay_client *client) {
    bool changed = client->changed;
    client->changed = false;
    return changed;
}

nanos relay_client_deadline(const struct relay_client *client) {
    if (!client->enabled) {
        return NANOS_NEVER;
    }
    bool full = in_hand(client) >= RELAY_RESERVATIONS_WANTED;
    nanos deadline = NANOS_NEVER;
    FOR_CANDIDATES(client, candidate) {
        if (candidate->state != RELAY_CANDIDATE_IDLE || !full) {
            deadline = nanos_min(deadline, candidate->due);
        }
        if (has_reservation(candidate)) {
            deadline = nanos_min(deadline, candidate->until);
        }
    }
    return deadline;
}

void relay_client_expire(struct relay_client *client, nanos now) {
    FOR_CANDIDATES(client, candidate) {
        if ((is_waiting(candidate) && candidate->due <= now) ||
            (has_reservation(candidate) && candidate->until <= now)) {
            fail(client, candidate, now);
        }
    }
}
