/* What is known of our own addresses, and the conclusions. */
#include "peer/own_addresses.h"

#include "util/ensure.h"

/* What one customer is given of IPv6: a /56. */
#define VOICE_IP6_BYTES 7

void own_addresses_init(struct own_addresses *book, struct memory *memory) {
    memset(book, 0, sizeof(*book));
    book->memory = memory;
}

static void entry_remove(struct own_addresses *book, size_t i) {
    memory_put(book->memory, book->entries[i], sizeof(struct own_entry));
    book->entries[i] = book->entries[--book->count];
    book->changed = true;
}

void own_addresses_done(struct own_addresses *book) {
    while (book->count > 0) {
        entry_remove(book, book->count - 1);
    }
    memory_put(book->memory, book->observations,
               OWN_OBSERVATIONS_MAX * sizeof(*book->observations));
    book->observations = NULL;
    book->observation_count = 0;
}

bool own_addresses_changed(struct own_addresses *book) {
    bool changed = book->changed;
    book->changed = false;
    return changed;
}

/* --- addresses -------------------------------------------------------------------------------- */

static bool netaddr_of(const struct multiaddr *address, struct netaddr *ret_netaddr,
                       bool *ret_tcp) {
    struct bytes id;
    *ret_tcp = false;
    if (multiaddr_to_quic(address, ret_netaddr, &id) == 0) {
        return true;
    }
    *ret_tcp = true;
    return multiaddr_to_tcp(address, ret_netaddr, &id) == 0;
}

static enum netaddr_scope scope_of(const struct multiaddr *address, enum own_source source) {
    struct netaddr netaddr;
    bool tcp;
    if (source == OWN_RELAYED) {
        return NETADDR_GLOBAL;
    }
    if (netaddr_of(address, &netaddr, &tcp)) {
        return netaddr_scope(&netaddr);
    }
    return NETADDR_GLOBAL; /* a DNS name that the operator announces */
}

static size_t entry_find(const struct own_addresses *book, const struct multiaddr *address) {
    size_t i = 0;
    while (i < book->count && !multiaddr_equal(&book->entries[i]->own.address, address)) {
        i++;
    }
    return i;
}

/* The observed address that the fewest see; `count` where there is none. */
static size_t weakest_observed(const struct own_addresses *book, size_t *ret_observed) {
    size_t weakest = book->count;
    *ret_observed = 0;
    for (size_t i = 0; i < book->count; i++) {
        const struct own_address *own = &book->entries[i]->own;
        if (own->source == OWN_OBSERVED) {
            ++*ret_observed;
            if (weakest == book->count || own->observers < book->entries[weakest]->own.observers) {
                weakest = i;
            }
        }
    }
    return weakest;
}

/* Anybody may say that he sees us somewhere: that takes no place from another source, nor from an
 * address that as many see. */
static bool make_room(struct own_addresses *book, enum own_source source, size_t observers) {
    size_t observed;
    size_t weakest = weakest_observed(book, &observed);
    bool is_observed = source == OWN_OBSERVED;
    if (book->count < OWN_ADDRESSES_MAX &&
        (!is_observed || observed < OWN_ADDRESSES_PER_SOURCE_MAX)) {
        return true;
    }
    if (weakest == book->count ||
        (is_observed && book->entries[weakest]->own.observers >= observers)) {
        return false;
    }
    entry_remove(book, weakest);
    return true;
}

static struct own_entry *entry_add(struct own_addresses *book, const struct multiaddr *address,
                                   enum own_source source, size_t observers, nanos now) {
    if (!make_room(book, source, observers)) {
        return NULL;
    }
    struct own_entry *entry = memory_zero(book->memory, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->own.address = *address;
    entry->own.source = source;
    entry->own.observers = observers;
    entry->scope = scope_of(address, source);
    entry->next_probe = nanos_add(now, OWN_PROBE_FIRST);
    book->entries[book->count++] = entry;
    book->changed = true;
    return entry;
}

static bool listed(const struct multiaddr *addresses, size_t count,
                   const struct multiaddr *address) {
    for (size_t i = 0; i < count; i++) {
        if (multiaddr_equal(&addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static void count_observers(struct own_addresses *book, nanos now);

void own_addresses_set(struct own_addresses *book, enum own_source source,
                       const struct multiaddr *addresses, size_t count, nanos now) {
    ENSURE(source != OWN_OBSERVED);
    count = count < OWN_ADDRESSES_PER_SOURCE_MAX ? count : OWN_ADDRESSES_PER_SOURCE_MAX;
    for (size_t i = book->count; i > 0; i--) {
        const struct own_entry *entry = book->entries[i - 1];
        if (entry->own.source == source && !listed(addresses, count, &entry->own.address)) {
            entry_remove(book, i - 1);
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = entry_find(book, &addresses[i]);
        if (at == book->count) {
            (void)entry_add(book, &addresses[i], source, 0, now);
        } else if (source < book->entries[at]->own.source) {
            book->entries[at]->own.source = source; /* the surer source names it */
            book->changed = true;
        }
    }
    count_observers(book, now);
}

void own_addresses_reset(struct own_addresses *book, nanos now) {
    book->observation_count = 0;
    for (size_t i = book->count; i > 0; i--) {
        struct own_entry *entry = book->entries[i - 1];
        if (entry->own.source == OWN_OBSERVED) {
            entry_remove(book, i - 1);
            continue;
        }
        entry->verdict_count = 0;
        entry->own.observers = entry->own.reached = entry->own.failed = 0;
        entry->own.reachability = REACHABILITY_UNKNOWN;
        entry->next_probe = nanos_add(now, OWN_PROBE_FIRST);
    }
    book->changed = true;
}

/* --- observations ----------------------------------------------------------------------------- */

/* Whether two addresses begin with the same bytes, or are the same where they are private. */
static bool same_prefix(const struct netaddr *a, const struct netaddr *b, size_t ip4_bytes,
                        size_t ip6_bytes) {
    if (a->family != b->family) {
        return false;
    }
    if (netaddr_scope(a) != NETADDR_GLOBAL) {
        return netaddr_equal_ip(a, b);
    }
    return memcmp(a->ip, b->ip, a->family == NETADDR_IP4 ? ip4_bytes : ip6_bytes) == 0;
}

static bool same_network(const struct netaddr *a, const struct netaddr *b) {
    return same_prefix(a, b, 3, 6);
}

bool own_addresses_same_group(const struct netaddr *a, const struct netaddr *b) {
    return same_prefix(a, b, 2, 4);
}

/* Of an IPv6 network everybody has as many addresses as he likes. */
static bool same_voice(const struct netaddr *a, const struct netaddr *b) {
    return netaddr_equal_ip(a, b) ||
           (a->family == NETADDR_IP6 && b->family == NETADDR_IP6 &&
            netaddr_scope(a) == NETADDR_GLOBAL && memcmp(a->ip, b->ip, VOICE_IP6_BYTES) == 0);
}

/* Ours that listens with these protocols: what is observed of it can be dialled. */
static bool listens(const struct own_addresses *book, const struct netaddr *observed, bool tcp,
                    bool same_port) {
    for (size_t i = 0; i < book->count; i++) {
        struct netaddr own;
        bool own_tcp;
        if (book->entries[i]->own.source == OWN_INTERFACE &&
            netaddr_of(&book->entries[i]->own.address, &own, &own_tcp) && own_tcp == tcp &&
            own.family == observed->family && (!same_port || own.port == observed->port)) {
            return true;
        }
    }
    return false;
}

/* Whether an observation is of an address at which others could reach us. An outbound TCP
 * connection has a port of its own, unless it shares that of the listening socket. */
static bool is_dialable(const struct own_addresses *book, const struct own_observation *seen) {
    return listens(book, &seen->observed, seen->tcp, seen->tcp && seen->outbound);
}

static size_t observers_of(const struct own_addresses *book, const struct netaddr *observed,
                           bool tcp) {
    const struct netaddr *networks[OWN_OBSERVATIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < book->observation_count; i++) {
        const struct own_observation *seen = &book->observations[i];
        if (seen->tcp != tcp || !netaddr_equal(&seen->observed, observed) ||
            !is_dialable(book, seen)) {
            continue;
        }
        size_t j = 0;
        while (j < count && !same_network(networks[j], &seen->observer)) {
            j++;
        }
        if (j == count) {
            networks[count++] = &seen->observer;
        }
    }
    return count;
}

static void to_multiaddr(const struct netaddr *address, bool tcp, struct multiaddr *ret_address) {
    if (tcp) {
        multiaddr_from_tcp(address, ret_address);
    } else {
        multiaddr_from_quic(address, ret_address);
    }
}

/* Brings the observed addresses and every address' observers in line with the observations. */
static void count_observers(struct own_addresses *book, nanos now) {
    for (size_t i = 0; i < book->observation_count; i++) {
        const struct own_observation *seen = &book->observations[i];
        struct multiaddr address;
        to_multiaddr(&seen->observed, seen->tcp, &address);
        if (is_dialable(book, seen) && entry_find(book, &address) == book->count) {
            size_t observers = observers_of(book, &seen->observed, seen->tcp);
            (void)entry_add(book, &address, OWN_OBSERVED, observers, now);
        }
    }
    for (size_t i = book->count; i > 0; i--) {
        struct own_entry *entry = book->entries[i - 1];
        struct netaddr netaddr;
        bool tcp;
        if (entry->own.source == OWN_RELAYED || !netaddr_of(&entry->own.address, &netaddr, &tcp)) {
            continue;
        }
        size_t observers = observers_of(book, &netaddr, tcp);
        if (observers == 0 && entry->own.source == OWN_OBSERVED) {
            entry_remove(book, i - 1);
            continue;
        }
        book->changed = book->changed || observers != entry->own.observers;
        entry->own.observers = observers;
    }
}

void own_addresses_observe(struct own_addresses *book, const struct multiaddr *observed,
                           const struct netaddr *observer, bool outbound, nanos now) {
    struct own_observation seen = {.at = now, .observer = *observer, .outbound = outbound};
    if (!netaddr_of(observed, &seen.observed, &seen.tcp) ||
        netaddr_scope(&seen.observed) < NETADDR_SITE || seen.observed.family != observer->family ||
        netaddr_scope(observer) < netaddr_scope(&seen.observed)) {
        return; /* from inside nobody can tell how the outside sees us */
    }
    if (book->observations == NULL) {
        book->observations =
            memory_get(book->memory, OWN_OBSERVATIONS_MAX * sizeof(*book->observations));
        if (book->observations == NULL) {
            return;
        }
    }
    size_t place = book->observation_count;
    size_t oldest = 0;
    for (size_t i = 0; i < book->observation_count; i++) {
        const struct own_observation *old = &book->observations[i];
        if (old->tcp == seen.tcp && old->outbound == outbound &&
            same_voice(&old->observer, observer)) {
            place = i; /* one voice an observer, the latest */
        }
        oldest = old->at < book->observations[oldest].at ? i : oldest;
    }
    if (place == OWN_OBSERVATIONS_MAX) {
        place = oldest;
    }
    book->observations[place] = seen;
    book->observation_count += place == book->observation_count;
    count_observers(book, now);
}

/* --- NAT -------------------------------------------------------------------------------------- */

static bool is_own_interface(const struct own_addresses *book, const struct netaddr *observed) {
    for (size_t i = 0; i < book->count; i++) {
        struct netaddr own;
        bool tcp;
        if (book->entries[i]->own.source == OWN_INTERFACE &&
            netaddr_of(&book->entries[i]->own.address, &own, &tcp) &&
            netaddr_equal_ip(&own, observed)) {
            return true;
        }
    }
    return false;
}

enum nat_type own_addresses_nat(const struct own_addresses *book, bool tcp) {
    size_t seen_count = 0;
    size_t most = 0;
    for (size_t i = 0; i < book->observation_count; i++) {
        const struct own_observation *seen = &book->observations[i];
        if (seen->tcp != tcp || !seen->outbound || seen->observed.family != NETADDR_IP4) {
            continue;
        }
        if (is_own_interface(book, &seen->observed)) {
            return NAT_NONE;
        }
        size_t same = 0;
        for (size_t j = 0; j < book->observation_count; j++) {
            const struct own_observation *other = &book->observations[j];
            same += other->tcp == tcp && other->outbound &&
                    netaddr_equal(&other->observed, &seen->observed);
        }
        most = same > most ? same : most;
        seen_count++;
    }
    if (seen_count < 2 || tcp) { /* every TCP connection has a port of its own: it tells nothing */
        return NAT_UNKNOWN;
    }
    return most * 2 > seen_count ? NAT_ENDPOINT_INDEPENDENT : NAT_SYMMETRIC;
}

/* --- reachability ----------------------------------------------------------------------------- */

static void verdict_remove(struct own_entry *entry, size_t i) {
    entry->verdicts[i] = entry->verdicts[--entry->verdict_count];
}

enum voice { VOICE_REACHED, VOICE_CLAIMED, VOICE_FAILED, VOICES };

static enum voice voice_of(const struct own_verdict *verdict) {
    if (verdict->error == 0) {
        return verdict->v1 ? VOICE_CLAIMED : VOICE_REACHED;
    }
    return verdict->error == PLASM_UNREACHABLE ? VOICE_FAILED : VOICES;
}

/* How many IP groups say what; the last word of a group is not the only one: it may say both that
 * it failed and that it did not. What it proved counts, not what it claims besides. */
static void count_voices(const struct own_entry *entry, size_t counts[VOICES]) {
    memset(counts, 0, VOICES * sizeof(counts[0]));
    for (size_t i = 0; i < entry->verdict_count; i++) {
        const struct own_verdict *verdict = &entry->verdicts[i];
        enum voice voice = voice_of(verdict);
        bool heard = voice == VOICES;
        for (size_t j = 0; j < entry->verdict_count && !heard; j++) {
            enum voice other = voice_of(&entry->verdicts[j]);
            heard =
                ((j < i && other == voice) || (voice == VOICE_CLAIMED && other == VOICE_REACHED)) &&
                own_addresses_same_group(&entry->verdicts[j].at_address, &verdict->at_address);
        }
        if (!heard) {
            counts[voice]++;
        }
    }
}

/* Whether all that a server's group said of the address is that it does not try it. */
static bool group_refuses(const struct own_entry *entry, const struct netaddr *server) {
    bool refuses = false;
    for (size_t i = 0; i < entry->verdict_count; i++) {
        const struct own_verdict *verdict = &entry->verdicts[i];
        if (own_addresses_same_group(&verdict->at_address, server)) {
            if (verdict->error != PLASM_REFUSED) {
                return false;
            }
            refuses = true;
        }
    }
    return refuses;
}

/* How many groups have to reach it. */
static size_t groups_wanted(const struct own_addresses *book, const struct own_entry *entry) {
    size_t there = 0;
    for (size_t i = 0; i < book->server_count; i++) {
        there += netaddr_scope(&book->servers[i]) == entry->scope &&
                 !group_refuses(entry, &book->servers[i]);
    }
    if (there == 0) {
        return 1;
    }
    return there < OWN_REACHED_MIN ? there : OWN_REACHED_MIN;
}

static enum reachability judge(const struct own_addresses *book, const struct own_entry *entry,
                               const size_t counts[VOICES], size_t failed_times) {
    size_t reached = counts[VOICE_REACHED] + counts[VOICE_CLAIMED];
    size_t failed = counts[VOICE_FAILED];
    bool proven = (counts[VOICE_REACHED] > 0 && reached >= groups_wanted(book, entry)) ||
                  counts[VOICE_CLAIMED] >= OWN_V1_REACHED_MIN;
    if (failed > reached && failed_times >= OWN_FAILED_MIN) {
        return REACHABILITY_PRIVATE;
    }
    if (proven && reached > failed) {
        return REACHABILITY_PUBLIC;
    }
    /* What was concluded stays while nobody contradicts it often. */
    if (entry->own.reachability == REACHABILITY_PUBLIC && reached + failed > 0 &&
        (proven || failed_times < OWN_FAILED_MIN)) {
        return REACHABILITY_PUBLIC;
    }
    if (entry->own.reachability == REACHABILITY_PRIVATE && failed > 0) {
        return REACHABILITY_PRIVATE;
    }
    return REACHABILITY_UNKNOWN;
}

static void conclude(struct own_addresses *book, struct own_entry *entry) {
    size_t counts[VOICES];
    size_t failed_times = 0;
    count_voices(entry, counts);
    for (size_t i = 0; i < entry->verdict_count; i++) {
        failed_times +=
            voice_of(&entry->verdicts[i]) == VOICE_FAILED ? entry->verdicts[i].times : 0;
    }
    enum reachability before = entry->own.reachability;
    entry->own.reached = counts[VOICE_REACHED] + counts[VOICE_CLAIMED];
    entry->own.failed = counts[VOICE_FAILED];
    entry->own.reachability = judge(book, entry, counts, failed_times);
    book->changed = book->changed || entry->own.reachability != before;
}

/* Whether another server's word would tell something: too few have spoken, or they disagree. */
static bool is_open(const struct own_addresses *book, const struct own_entry *entry) {
    return entry->own.reached > 0 && (entry->own.reached < groups_wanted(book, entry) ||
                                      entry->own.failed >= entry->own.reached);
}

static nanos probe_pause(const struct own_addresses *book, const struct own_entry *entry) {
    if (is_open(book, entry)) {
        nanos times = 0; /* who disagrees for ever is asked less and less */
        for (size_t i = 0; i < entry->verdict_count; i++) {
            times += entry->verdicts[i].times;
        }
        return entry->own.failed > 0 ? nanos_min(times * OWN_PROBE_UNKNOWN, OWN_PROBE_PRIVATE)
                                     : OWN_PROBE_CONFIRM;
    }
    switch (entry->own.reachability) {
    case REACHABILITY_PUBLIC:
        return entry->own.failed > 0 && entry->own.failed >= entry->own.reached ? OWN_PROBE_UNKNOWN
                                                                                : OWN_PROBE_PUBLIC;
    case REACHABILITY_PRIVATE:
        return OWN_PROBE_PRIVATE;
    case REACHABILITY_UNKNOWN:
        break;
    }
    return OWN_PROBE_UNKNOWN;
}

void own_addresses_servers(struct own_addresses *book, const struct netaddr *servers,
                           size_t count) {
    bool same = true;
    size_t groups = 0;
    for (size_t i = 0; i < count && groups < OWN_SERVERS_MAX; i++) {
        size_t j = 0;
        while (j < i && !own_addresses_same_group(&servers[j], &servers[i])) {
            j++;
        }
        if (j == i) {
            same = same && groups < book->server_count &&
                   netaddr_equal(&book->servers[groups], &servers[i]);
            book->servers[groups++] = servers[i];
        }
    }
    if (same && groups == book->server_count) {
        return;
    }
    book->server_count = groups;
    for (size_t i = 0; i < book->count; i++) {
        if (is_open(book, book->entries[i]) && book->entries[i]->verdict_count > 0) {
            book->entries[i]->next_probe = 0; /* there is somebody else to ask */
        }
    }
}

/* Where a server's verdict goes: over its last one, over the oldest of its group once that has said
 * enough, over the oldest of all. */
static size_t verdict_place(const struct own_entry *entry, const struct netaddr *from,
                            uint64_t server) {
    size_t oldest = 0;
    size_t oldest_of_group = 0;
    size_t of_group = 0;
    for (size_t i = 0; i < entry->verdict_count; i++) {
        const struct own_verdict *verdict = &entry->verdicts[i];
        if (verdict->server == server) {
            return i;
        }
        if (own_addresses_same_group(&verdict->at_address, from)) {
            bool older = of_group == 0 || verdict->at < entry->verdicts[oldest_of_group].at;
            oldest_of_group = older ? i : oldest_of_group;
            of_group++;
        }
        oldest = verdict->at < entry->verdicts[oldest].at ? i : oldest;
    }
    if (of_group >= OWN_VERDICTS_PER_GROUP_MAX) {
        return oldest_of_group;
    }
    return entry->verdict_count < OWN_VERDICTS_MAX ? entry->verdict_count : oldest;
}

void own_addresses_probed(struct own_addresses *book, const struct multiaddr *address,
                          const struct netaddr *from, uint64_t server, bool v1, int error,
                          nanos now) {
    size_t at = entry_find(book, address);
    if (at == book->count || (error != 0 && error != PLASM_UNREACHABLE && error != PLASM_REFUSED)) {
        return;
    }
    struct own_entry *entry = book->entries[at];
    size_t place = verdict_place(entry, from, server);
    struct own_verdict *verdict = &entry->verdicts[place];
    size_t times = 1;
    if (place < entry->verdict_count && verdict->server == server && verdict->error == error) {
        times = verdict->times + 1;
    }
    entry->verdict_count += place == entry->verdict_count;
    *verdict = (struct own_verdict){
        .server = server, .at_address = *from, .at = now, .error = error, .times = times, .v1 = v1};
    conclude(book, entry);
    entry->next_probe = nanos_add(now, probe_pause(book, entry));
}

void own_addresses_expire(struct own_addresses *book, nanos now) {
    for (size_t i = book->observation_count; i > 0; i--) {
        if (nanos_since(now, book->observations[i - 1].at) >= OWN_OBSERVATION_LIFE) {
            book->observations[i - 1] = book->observations[--book->observation_count];
        }
    }
    for (size_t i = 0; i < book->count; i++) {
        struct own_entry *entry = book->entries[i];
        size_t before = entry->verdict_count;
        for (size_t j = entry->verdict_count; j > 0; j--) {
            if (nanos_since(now, entry->verdicts[j - 1].at) >= OWN_VERDICT_LIFE) {
                verdict_remove(entry, j - 1);
            }
        }
        if (entry->verdict_count != before) {
            conclude(book, entry);
        }
    }
    count_observers(book, now);
}

/* Whether trying it makes sense: a relay's address is the relay's business, and a symmetric NAT's
 * port is closed to everybody else. */
static bool is_probable(const struct own_addresses *book, const struct own_entry *entry) {
    struct netaddr netaddr;
    bool tcp;
    return entry->own.source != OWN_RELAYED && entry->scope >= NETADDR_SITE &&
           netaddr_of(&entry->own.address, &netaddr, &tcp) &&
           !(entry->own.source == OWN_OBSERVED && !tcp &&
             own_addresses_nat(book, tcp) == NAT_SYMMETRIC);
}

/* A server in another network may not dial a private address, and one that lies in a private
 * network can prove nothing of the Internet. */
static bool suits(const struct own_entry *entry, const struct netaddr *server) {
    return entry->scope == netaddr_scope(server);
}

/* Whether there is no use in asking this server: it refuses, or its group has confirmed what others
 * have to. */
static bool is_idle_voice(const struct own_addresses *book, const struct own_entry *entry,
                          const struct netaddr *from, uint64_t server) {
    bool confirming = is_open(book, entry) && entry->own.failed == 0;
    for (size_t i = 0; i < entry->verdict_count; i++) {
        const struct own_verdict *verdict = &entry->verdicts[i];
        if ((verdict->server == server && verdict->error == PLASM_REFUSED) ||
            (confirming && verdict->error == 0 &&
             own_addresses_same_group(&verdict->at_address, from))) {
            return true;
        }
    }
    return false;
}

bool own_addresses_next_probe(struct own_addresses *book, const struct netaddr *address,
                              uint64_t server, nanos now, struct multiaddr *ret_address) {
    struct own_entry *best = NULL;
    for (size_t i = 0; i < book->count; i++) {
        struct own_entry *entry = book->entries[i];
        if (entry->next_probe <= now && is_probable(book, entry) && suits(entry, address) &&
            !is_idle_voice(book, entry, address, server) &&
            (best == NULL || entry->next_probe < best->next_probe)) {
            best = entry;
        }
    }
    if (best == NULL) {
        return false;
    }
    best->next_probe = nanos_add(now, OWN_PROBE_UNKNOWN); /* unless an answer says otherwise */
    *ret_address = best->own.address;
    return true;
}

nanos own_addresses_probe_deadline(const struct own_addresses *book) {
    nanos deadline = NANOS_NEVER;
    for (size_t i = 0; i < book->count; i++) {
        if (is_probable(book, book->entries[i])) {
            deadline = nanos_min(deadline, book->entries[i]->next_probe);
        }
    }
    return deadline;
}

/* The widest network that any of our direct addresses belongs to. */
static enum netaddr_scope outer_scope(const struct own_addresses *book) {
    enum netaddr_scope outer = NETADDR_NOWHERE;
    for (size_t i = 0; i < book->count; i++) {
        const struct own_entry *entry = book->entries[i];
        if (entry->own.source != OWN_RELAYED && entry->scope > outer) {
            outer = entry->scope;
        }
    }
    return outer;
}

enum reachability own_addresses_reachability(const struct own_addresses *book) {
    enum netaddr_scope outer = outer_scope(book);
    enum reachability all = REACHABILITY_UNKNOWN;
    for (size_t i = 0; i < book->count; i++) {
        const struct own_entry *entry = book->entries[i];
        if (entry->own.source == OWN_RELAYED || entry->scope != outer) {
            continue;
        }
        if (entry->own.reachability == REACHABILITY_PUBLIC) {
            return REACHABILITY_PUBLIC;
        }
        if (entry->own.reachability == REACHABILITY_PRIVATE) {
            all = REACHABILITY_PRIVATE;
        }
    }
    return all;
}

/* --- publishing ------------------------------------------------------------------------------- */

/* Lower is better; 0 is not published. */
static int rank_of(const struct own_addresses *book, const struct own_entry *entry,
                   enum reachability all, bool has_relay) {
    const struct own_address *own = &entry->own;
    bool outside = entry->scope == NETADDR_GLOBAL;
    bool another_way = all == REACHABILITY_PUBLIC || has_relay;
    switch (own->source) {
    case OWN_ANNOUNCED:
        return 1;
    case OWN_RELAYED:
        return all == REACHABILITY_PUBLIC ? 0 : 5;
    case OWN_MAPPED:
        return own->reachability == REACHABILITY_PRIVATE && another_way ? 0 : 2;
    case OWN_INTERFACE:
        if (entry->scope == NETADDR_LOOPBACK && outer_scope(book) > NETADDR_LOOPBACK) {
            return 0; /* others have a loopback of their own */
        }
        if (outside && own->reachability == REACHABILITY_PRIVATE && another_way) {
            return 0; /* a firewall is in front of it */
        }
        return outside ? 3 : 6;
    case OWN_OBSERVED:
        if (own->reachability != REACHABILITY_UNKNOWN) {
            return own->reachability == REACHABILITY_PUBLIC ? 2 : 0;
        }
        if (own_addresses_nat(book, false) == NAT_SYMMETRIC) {
            return 0;
        }
        return own->observers >= (outside ? OWN_OBSERVERS_MIN : OWN_OBSERVERS_PRIVATE_MIN) ? 4 : 0;
    }
    return 0;
}

#define RANKS 6

size_t own_addresses_publish(struct own_addresses *book, struct multiaddr *ret_addresses,
                             size_t count_max) {
    enum reachability all = own_addresses_reachability(book);
    bool has_relay = false;
    for (size_t i = 0; i < book->count; i++) {
        has_relay = has_relay || book->entries[i]->own.source == OWN_RELAYED;
        book->entries[i]->own.published = false;
    }
    size_t count = 0;
    for (int rank = 1; rank <= RANKS; rank++) {
        for (size_t i = 0; i < book->count && count < count_max; i++) {
            struct own_entry *entry = book->entries[i];
            if (rank_of(book, entry, all, has_relay) == rank) {
                entry->own.published = true;
                ret_addresses[count++] = entry->own.address;
            }
        }
    }
    return count;
}
