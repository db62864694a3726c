/* Deciding about new connections, and counting offences. */
#include "util/admission.h"

#include "util/ensure.h"

static const struct {
    const char *what;
    const char *why;
    uint32_t threshold;
} offences[ADMISSION_OFFENCES] = {
    [ADMISSION_RATE] = {"refused connections", "connection rate", 50},
    [ADMISSION_CONNECTED] = {"refused connections", "too many connections", 50},
    [ADMISSION_DENIED] = {"refused connections", "denied", 50},
    [ADMISSION_HANDSHAKES] = {"failed handshakes", "handshakes", 50},
    [ADMISSION_PROTOCOL] = {"protocol errors", "protocol errors", 10},
    [ADMISSION_STREAMS] = {"refused streams", "stream flood", 200},
    [ADMISSION_REQUESTS] = {"refused requests", "request flood", 100},
};

const char *admission_offence_what(enum admission_offence offence) {
    return offences[offence].what;
}

const char *admission_offence_why(enum admission_offence offence) {
    return offences[offence].why;
}

void admission_init(struct admission *admission, const struct admission_limits *limits,
                    struct memory *memory, const uint64_t secret[2]) {
    *admission = (struct admission){.limits = *limits, .memory = memory};
    prefix_table_init(&admission->prefixes, memory, secret);
    network_groups_init(&admission->networks, memory, secret);
    bucket_fill(&admission->unproven, limits->retry_accepts_per_second, 0);
}

static void drop_rules(struct admission *admission) {
    memory_put(admission->memory, admission->rules,
               (admission->denied + admission->allowed) * sizeof(struct netprefix));
    admission->rules = NULL;
    admission->denied = 0;
    admission->allowed = 0;
}

void admission_done(struct admission *admission) {
    if (admission->memory != NULL) {
        drop_rules(admission);
        prefix_table_done(&admission->prefixes);
        network_groups_done(&admission->networks);
    }
}

int admission_set_rules(struct admission *admission, const struct netprefix *denied,
                        size_t denied_count, const struct netprefix *allowed,
                        size_t allowed_count) {
    struct netprefix *rules = NULL;
    if (denied_count + allowed_count > 0) {
        rules = memory_get(admission->memory, (denied_count + allowed_count) * sizeof(*rules));
        if (rules == NULL) {
            return PLASM_NO_MEMORY;
        }
        if (denied_count > 0) {
            memcpy(rules, denied, denied_count * sizeof(*rules));
        }
        if (allowed_count > 0) {
            memcpy(rules + denied_count, allowed, allowed_count * sizeof(*rules));
        }
    }
    drop_rules(admission);
    admission->rules = rules;
    admission->denied = denied_count;
    admission->allowed = allowed_count;
    return 0;
}

static bool is_in(const struct netprefix *rules, size_t count, const struct netaddr *address) {
    for (size_t i = 0; i < count; i++) {
        if (netprefix_has(&rules[i], address)) {
            return true;
        }
    }
    return false;
}

bool admission_allows(const struct admission *admission, const struct netaddr *address) {
    return admission->allowed > 0 &&
           is_in(admission->rules + admission->denied, admission->allowed, address);
}

bool admission_denies(const struct admission *admission, const struct netaddr *address) {
    return admission->denied > 0 && is_in(admission->rules, admission->denied, address) &&
           !admission_allows(admission, address);
}

/* Counted in the whole only: loopback, and where there is no address, through a relay. */
static bool is_exempt(const struct netaddr *remote) {
    return remote->family == NETADDR_NONE || netaddr_is_loopback(remote);
}

static const char *refuse(struct admission *admission, const struct netaddr *remote, bool proven,
                          enum admission_offence offence, nanos now, const char *reason) {
    if (proven) {
        admission_offend(admission, remote, offence, now);
    }
    return reason;
}

/* How many of its network there are. */
static size_t network_size(const struct admission *admission, const struct netaddr *address) {
    return netaddr_is_loopback(address) ? admission->local
                                        : network_groups_size(&admission->networks, address);
}

/* All places are taken, and its network has as many of them as others may have. */
static bool has_no_place(const struct admission *admission, const struct netaddr *remote) {
    size_t places = admission->limits.connections_inbound_max;
    size_t beyond = admission->limits.handshakes_inbound_max; /* until the owner ends others */
    return admission->inbound >= places &&
           (admission->inbound - places >= beyond ||
            network_size(admission, remote) + 1 >= network_groups_largest(&admission->networks));
}

/* Why there is no place for it, or NULL. */
static const char *over_limit(struct admission *admission, const struct netaddr *remote,
                              bool proven, nanos now) {
    const struct admission_limits *limits = &admission->limits;
    if (has_no_place(admission, remote)) {
        return "too many connections"; /* whose fault that is, it does not say */
    }
    if (!is_exempt(remote) &&
        (prefix_table_count(&admission->prefixes, remote) >= limits->connections_per_ip_max ||
         prefix_table_count48(&admission->prefixes, remote) >=
             limits->connections_per_ip6_48_max)) {
        return refuse(admission, remote, proven, ADMISSION_CONNECTED, now,
                      "too many connections of this address");
    }
    return NULL;
}

static bool is_slow(struct admission *admission, const struct netaddr *remote, bool proven,
                    nanos now) {
    const struct admission_limits *limits = &admission->limits;
    return is_exempt(remote) ||
           prefix_table_allow(&admission->prefixes, remote, proven,
                              limits->accepts_per_ip_per_second, limits->accepts_per_ip_burst, now);
}

enum admission_verdict admission_ask(struct admission *admission, const struct netaddr *remote,
                                     bool proven, nanos now, const char **ret_reason) {
    admission->now = now;
    uint32_t rate = admission->limits.retry_accepts_per_second;
    const char *reason = NULL;
    if (admission_denies(admission, remote)) {
        reason = refuse(admission, remote, proven, ADMISSION_DENIED, now, "not allowed here");
    } else if (!proven && (!bucket_take(&admission->unproven, rate, rate, now) ||
                           !is_slow(admission, remote, false, now))) {
        return ADMISSION_PROVE;
    } else {
        reason = over_limit(admission, remote, proven, now);
        if (reason == NULL && proven && !is_slow(admission, remote, true, now)) {
            reason = refuse(admission, remote, true, ADMISSION_RATE, now,
                            "too many new connections of this address");
        }
    }
    if (reason == NULL) {
        return ADMISSION_WELCOME;
    }
    *ret_reason = reason;
    return ADMISSION_REFUSED;
}

bool admission_is_full_of_handshakes(const struct admission *admission, size_t own) {
    return own >= admission->limits.handshakes_inbound_max;
}

void admission_begin(struct admission *admission, struct admission_ticket *ticket,
                     const struct netaddr *remote, bool proven) {
    *ticket = (struct admission_ticket){.address = *remote, .proven = proven, .begun = true};
    admission->handshakes++;
}

static int count_prefix(struct admission *admission, struct admission_ticket *ticket) {
    if (netaddr_is_loopback(&ticket->address)) {
        admission->local++;
        ticket->grouped = true;
        return 0;
    }
    int error = network_groups_add(&admission->networks, &ticket->address);
    ticket->grouped = error == 0;
    if (error != 0 || ticket->address.family == NETADDR_NONE) {
        return error;
    }
    error = prefix_table_add(&admission->prefixes, &ticket->address);
    ticket->counted = error == 0;
    return error;
}

static void uncount_prefix(struct admission *admission, struct admission_ticket *ticket) {
    if (ticket->grouped) {
        if (netaddr_is_loopback(&ticket->address)) {
            admission->local--;
        } else {
            network_groups_remove(&admission->networks, &ticket->address);
        }
        ticket->grouped = false;
    }
    if (ticket->counted) {
        prefix_table_remove(&admission->prefixes, &ticket->address);
        ticket->counted = false;
    }
}

int admission_connect(struct admission *admission, struct admission_ticket *ticket) {
    ENSURE(ticket->begun && !ticket->connected);
    int error = count_prefix(admission, ticket);
    if (error != 0) {
        return error;
    }
    ticket->begun = false;
    ticket->connected = true;
    admission->handshakes--;
    admission->inbound++;
    return 0;
}

bool admission_is_crowded(const struct admission *admission) {
    return admission->inbound > admission->limits.connections_inbound_max;
}

bool admission_outranks(const struct admission *admission, const struct netaddr *address) {
    return network_size(admission, address) < network_groups_largest(&admission->networks);
}

bool admission_yields(const struct admission *admission, const struct netaddr *address) {
    return !netaddr_is_loopback(address) &&
           network_size(admission, address) == network_groups_largest(&admission->networks);
}

void admission_move(struct admission *admission, struct admission_ticket *ticket,
                    const struct netaddr *remote) {
    if (ticket->connected && !netaddr_equal_ip(remote, &ticket->address)) {
        uncount_prefix(admission, ticket);
        ticket->address = *remote;
        (void)count_prefix(admission, ticket); /* without memory it is one too few */
    }
}

void admission_end(struct admission *admission, struct admission_ticket *ticket) {
    if (!ticket->begun && !ticket->connected) {
        return; /* it may be gone already */
    }
    if (ticket->begun && ticket->proven) {
        admission_offend(admission, &ticket->address, ADMISSION_HANDSHAKES, admission->now);
    }
    admission->handshakes -= ticket->begun;
    admission->inbound -= ticket->connected;
    uncount_prefix(admission, ticket);
    *ticket = (struct admission_ticket){.begun = false};
}

size_t admission_count(const struct admission *admission, const struct netaddr *address) {
    return prefix_table_count(&admission->prefixes, address);
}

void admission_offend(struct admission *admission, const struct netaddr *address,
                      enum admission_offence offence, nanos now) {
    admission_blame(admission, address, offence, 1, now);
}

void admission_blame(struct admission *admission, const struct netaddr *address,
                     enum admission_offence offence, uint32_t count, nanos now) {
    if (is_exempt(address) || admission_allows(admission, address)) {
        return;
    }
    struct prefix_offences *of = prefix_table_offences(&admission->prefixes, address);
    if (of == NULL) {
        return;
    }
    if (of->counts[offence] == 0 && !of->named) {
        of->begun[offence] = now;
    }
    if (of->named && nanos_since(now, of->last) > ADMISSION_OFFENCE_WINDOW) {
        *of = (struct prefix_offences){.named = false};
        of->begun[offence] = now;
    } else if (!of->named && nanos_since(now, of->begun[offence]) > ADMISSION_OFFENCE_WINDOW) {
        of->counts[offence] = 0;
        of->begun[offence] = now;
    }
    of->last = now;
    of->counts[offence] += count < UINT32_MAX - of->counts[offence] ? count : 0;
    if (of->named || of->counts[offence] < offences[offence].threshold ||
        admission->offender_count == ADMISSION_OFFENDERS_MAX) {
        return;
    }
    of->named = true;
    nanos elapsed = nanos_since(now, of->begun[offence]);
    admission->offenders[admission->offender_count++] = (struct admission_offender){
        .address = *address,
        .offence = offence,
        .count = of->counts[offence],
        .seconds = elapsed < NANOS_SECOND ? 1 : (uint32_t)(elapsed / NANOS_SECOND)};
}

bool admission_next_offender(struct admission *admission, struct admission_offender *ret_offender) {
    if (admission->offender_count == 0) {
        return false;
    }
    *ret_offender = admission->offenders[0];
    admission->offender_count--;
    memmove(admission->offenders, admission->offenders + 1,
            admission->offender_count * sizeof(admission->offenders[0]));
    return true;
}
