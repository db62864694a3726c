/* The rules about peers, and what is said of those who go too far. */
#include "peer/resources.h"

#include "util/cursor.h"

void resources_init(struct resources *resources, const struct resource_limits *limits,
                    struct memory *memory, const uint64_t secret[2]) {
    *resources = (struct resources){.limits = *limits, .memory = memory};
    admission_init(&resources->admission, &limits->admission, memory, secret);
}

static void drop_peers(struct resources *resources) {
    memory_put(resources->memory, resources->peers,
               (resources->denied_peers + resources->allowed_peers) * sizeof(struct peer_id));
    resources->peers = NULL;
    resources->denied_peers = 0;
    resources->allowed_peers = 0;
}

void resources_done(struct resources *resources) {
    if (resources->memory != NULL) {
        drop_peers(resources);
        admission_done(&resources->admission);
    }
}

int resources_set_rules(struct resources *resources, const struct access_rules *rules) {
    size_t denied = rules->denied_peer_count;
    size_t allowed = rules->allowed_peer_count;
    struct peer_id *peers = NULL;
    if (denied + allowed > 0) {
        peers = memory_get(resources->memory, (denied + allowed) * sizeof(*peers));
        if (peers == NULL) {
            return PLASM_NO_MEMORY;
        }
    }
    int error = admission_set_rules(&resources->admission, rules->denied_prefixes,
                                    rules->denied_prefix_count, rules->allowed_prefixes,
                                    rules->allowed_prefix_count);
    if (error != 0) {
        memory_put(resources->memory, peers, (denied + allowed) * sizeof(*peers));
        return error;
    }
    drop_peers(resources);
    for (size_t i = 0; i < denied; i++) {
        peers[i] = rules->denied_peers[i];
    }
    for (size_t i = 0; i < allowed; i++) {
        peers[denied + i] = rules->allowed_peers[i];
    }
    resources->peers = peers;
    resources->denied_peers = denied;
    resources->allowed_peers = allowed;
    resources->deny_all = rules->deny_all;
    return 0;
}

struct netaddr resources_origin(const struct multiaddr *remote) {
    struct netaddr address = {.family = NETADDR_NONE};
    struct cursor cursor = cursor_of(multiaddr_bytes(remote));
    struct multiaddr_part ip;
    if (!multiaddr_has(remote, MULTIADDR_P2P_CIRCUIT) && multiaddr_next(&cursor, &ip) &&
        (ip.code == MULTIADDR_IP4 || ip.code == MULTIADDR_IP6)) {
        address.family = ip.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6;
        memcpy(address.ip, ip.value.data, ip.value.size);
    }
    return address;
}

static bool has_peer(const struct peer_id *peers, size_t count, const struct peer_id *id) {
    for (size_t i = 0; i < count; i++) {
        if (peer_id_equal(&peers[i], id)) {
            return true;
        }
    }
    return false;
}

const char *resources_denied(const struct resources *resources, const struct peer_id *id,
                             const struct netaddr *address) {
    if (admission_denies(&resources->admission, address)) {
        return "its address is not allowed here";
    }
    bool listed = resources->deny_all || has_peer(resources->peers, resources->denied_peers, id);
    if (!listed || admission_allows(&resources->admission, address) ||
        has_peer(resources->peers + resources->denied_peers, resources->allowed_peers, id)) {
        return NULL;
    }
    return "it is not allowed here";
}

const char *resources_over(struct resources *resources, const struct netaddr *address, nanos now) {
    struct admission *admission = &resources->admission;
    const struct admission_limits *limits = &resources->limits.admission;
    if (admission_is_crowded(admission) && !admission_outranks(admission, address)) {
        return "too many connections";
    }
    if (address->family != NETADDR_NONE && !netaddr_is_loopback(address) &&
        (admission_count(admission, address) > limits->connections_per_ip_max ||
         prefix_table_count48(&admission->prefixes, address) >
             limits->connections_per_ip6_48_max)) {
        admission_offend(admission, address, ADMISSION_CONNECTED, now);
        return "too many connections of this address";
    }
    return NULL;
}

void resources_log(struct resources *resources, const struct log_sink *log) {
    struct admission_offender offender;
    while (admission_next_offender(&resources->admission, &offender)) {
        char address[NETADDR_TEXT_MAX];
        netaddr_format_ip(&offender.address, address);
        log_event(log, LOG_LEVEL_WARNING, "", "abuse from %s: %u %s in %u s (%s)", address,
                  (unsigned)offender.count, admission_offence_what(offender.offence),
                  (unsigned)offender.seconds, admission_offence_why(offender.offence));
    }
}
