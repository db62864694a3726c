/* What others say of themselves: answers become findings, within bounds. */
#include "proto/mdns/internal.h"

/* Instances one message may tell of. */
#define INSTANCES_MAX 16
#define DNSADDR       "dnsaddr="

/* RFC 6762 section 10.1: who says goodbye is kept for a second, in case somebody objects. */
#define GOODBYE_LIFE NANOS_SECOND

static bool has_prefix(const struct netaddr *a, const struct netaddr *b, uint8_t bits) {
    size_t whole = bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));
    return a->family == b->family && memcmp(a->ip, b->ip, whole) == 0 &&
           (mask == 0 || ((a->ip[whole] ^ b->ip[whole]) & mask) == 0);
}

static bool is_link_local(const struct netaddr *address) {
    return address->family == NETADDR_IP4
               ? address->ip[0] == 169 && address->ip[1] == 254
               : address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

bool mdns_is_on_link(const struct interface *interface, const struct netaddr *address) {
    bool on = is_link_local(address);
    for (size_t i = 0; i < interface->is.subnet_count && !on; i++) {
        const struct mdns_subnet *subnet = &interface->is.subnets[i];
        on = has_prefix(&subnet->address, address, subnet->prefix_bits);
    }
    return on;
}

/* The IP address a multiaddr begins with; false when it does not. */
static bool begins_with_ip(const struct multiaddr *address, struct netaddr *ret_ip) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    if (!multiaddr_next(&cursor, &part) ||
        (part.code != MULTIADDR_IP4 && part.code != MULTIADDR_IP6)) {
        return false;
    }
    *ret_ip = (struct netaddr){.family = part.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6};
    memcpy(ret_ip->ip, part.value.data, part.value.size);
    return true;
}

bool mdns_is_suitable(const struct multiaddr *address) {
    static const uint64_t unsuitable[] = {
        MULTIADDR_P2P_CIRCUIT, MULTIADDR_WEBTRANSPORT, MULTIADDR_WEBRTC, MULTIADDR_WEBRTC_DIRECT,
        MULTIADDR_WS,          MULTIADDR_WSS,          MULTIADDR_IP6ZONE};
    struct netaddr ip;
    if (!begins_with_ip(address, &ip) || netaddr_is_loopback(&ip) || netaddr_is_unspecified(&ip)) {
        return false;
    }
    bool multicast = ip.family == NETADDR_IP4 ? ip.ip[0] >= 224 : ip.ip[0] == 0xff;
    if (multicast || (ip.family == NETADDR_IP6 && is_link_local(&ip))) {
        return false;
    }
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    while (multiaddr_next(&cursor, &part)) {
        for (size_t i = 0; i < ARRAY_SIZE(unsuitable); i++) {
            if (part.code == unsuitable[i]) {
                return false;
            }
        }
    }
    return true;
}

/* --- one instance ----------------------------------------------------------------------------- */

/* What a message says of one instance name. */
struct instance {
    struct mdns_name name;
    bool announced; /* its TXT record was there */
    uint32_t ttl_s; /* the least of its records' */
};

/* Takes an address when it is somebody's on our network; the first one says whose the others are.
 */
static void take_address(const struct interface *interface, struct bytes text,
                         struct found *candidate) {
    struct multiaddr address;
    struct netaddr ip;
    struct peer_id id;
    if (candidate->address_count == MDNS_ADDRESSES_MAX ||
        !bytes_start_with(text, BYTES_LITERAL(DNSADDR)) ||
        multiaddr_parse(bytes_slice(text, sizeof(DNSADDR) - 1, text.size), &address) != 0 ||
        !mdns_is_suitable(&address) || peer_id_decode(multiaddr_peer_id(&address), &id) != 0 ||
        !begins_with_ip(&address, &ip) ||
        !(netaddr_is_private(&ip) || mdns_is_on_link(interface, &ip))) {
        return;
    }
    if (candidate->id.size == 0) {
        candidate->id = id;
    }
    struct multiaddr *place = &candidate->addresses[candidate->address_count];
    if (peer_id_equal(&candidate->id, &id)) {
        multiaddr_without_peer(&address, place);
        candidate->address_count++;
    }
}

static void take_texts(const struct interface *interface, struct bytes message,
                       struct found *candidate) {
    struct mdns_reader reader;
    struct mdns_record record;
    if (mdns_reader_init(&reader, message) != 0) {
        return;
    }
    while (mdns_next_record(&reader, &record)) {
        if (record.type == MDNS_TYPE_TXT && mdns_name_equal(&record.name, &candidate->name)) {
            struct bytes string;
            while (mdns_next_string(&record.data, &string)) {
                take_address(interface, string, candidate);
            }
        }
    }
}

static struct found *find(struct mdns *mdns, const struct mdns_name *name, uint32_t interface) {
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        struct found *found = CONTAINER_OF(node, struct found, node);
        if (!found->gone && found->interface == interface && mdns_name_equal(&found->name, name)) {
            return found;
        }
    }
    return NULL;
}

/* A flood of new names costs nobody else anything: it runs dry here. */
static bool take_token(struct mdns *mdns, nanos now) {
    const uint64_t full = MDNS_FOUND_BURST * 1000;
    uint64_t gained = nanos_since(now, mdns->tokens_at) / NANOS_MILLISECOND * MDNS_FOUND_PER_S;
    if (gained > 0) {
        mdns->tokens_ms = gained < full - mdns->tokens_ms ? mdns->tokens_ms + gained : full;
        mdns->tokens_at = now;
    }
    if (mdns->tokens_ms < 1000) {
        return false;
    }
    mdns->tokens_ms -= 1000;
    return true;
}

static bool same_addresses(const struct found *a, const struct found *b) {
    bool same = a->address_count == b->address_count && peer_id_equal(&a->id, &b->id);
    for (size_t i = 0; i < a->address_count && same; i++) {
        same = multiaddr_equal(&a->addresses[i], &b->addresses[i]);
    }
    return same;
}

static void set_life(struct mdns *mdns, struct found *found, uint32_t ttl_s, nanos now) {
    found->ttl_s = ttl_s < MDNS_TTL_TAKEN_S_MAX ? ttl_s : MDNS_TTL_TAKEN_S_MAX;
    nanos life = found->ttl_s * NANOS_SECOND;
    found->expires = nanos_add(now, life);
    found->refreshes = 0;
    /* RFC 6762 section 5.2: at 80 % and a little. */
    found->refresh_at = now + life / 100 * 80 + random_below(&mdns->random, life / 50 + 1);
}

static void take_candidate(struct mdns *mdns, const struct found *candidate, uint32_t ttl_s,
                           nanos now) {
    struct found *found = find(mdns, &candidate->name, candidate->interface);
    if (found != NULL && same_addresses(found, candidate)) {
        set_life(mdns, found, ttl_s, now);
        return;
    }
    if (!take_token(mdns, now)) {
        return;
    }
    if (found == NULL) {
        if (mdns->found.size >= MDNS_PEERS_MAX) {
            return;
        }
        found = memory_get(mdns->memory, sizeof(*found));
        if (found == NULL) {
            return;
        }
        *found = *candidate;
        list_append(&mdns->found, &found->node);
    } else {
        found->id = candidate->id;
        found->address_count = candidate->address_count;
        memcpy(found->addresses, candidate->addresses, sizeof(found->addresses));
    }
    found->fresh = true;
    set_life(mdns, found, ttl_s, now);
}

static void take_instance(struct mdns *mdns, const struct interface *interface,
                          const struct instance *instance, struct bytes message, nanos now) {
    if (instance->ttl_s == 0) {
        struct found *found = find(mdns, &instance->name, interface->is.index);
        if (found != NULL) {
            found->expires = nanos_min(found->expires, nanos_add(now, GOODBYE_LIFE));
            found->refresh_at = NANOS_NEVER;
        }
        return;
    }
    if (!instance->announced) {
        return;
    }
    struct found candidate = {.name = instance->name, .interface = interface->is.index};
    take_texts(interface, message, &candidate);
    if (candidate.address_count > 0 && !peer_id_equal(&candidate.id, &mdns->config.id)) {
        take_candidate(mdns, &candidate, instance->ttl_s, now);
    }
}

/* --- a message -------------------------------------------------------------------------------- */

static struct instance *note(struct instance *instances, size_t *count,
                             const struct mdns_name *name, uint32_t ttl_s) {
    for (size_t i = 0; i < *count; i++) {
        if (mdns_name_equal(&instances[i].name, name)) {
            instances[i].ttl_s = ttl_s < instances[i].ttl_s ? ttl_s : instances[i].ttl_s;
            return &instances[i];
        }
    }
    if (*count == INSTANCES_MAX) {
        return NULL;
    }
    instances[*count] = (struct instance){.name = *name, .ttl_s = ttl_s};
    return &instances[(*count)++];
}

void mdns_take_answer(struct mdns *mdns, const struct interface *interface, struct bytes message,
                      nanos now) {
    struct instance instances[INSTANCES_MAX];
    size_t count = 0;
    struct mdns_reader reader;
    struct mdns_record record;
    if (mdns_reader_init(&reader, message) != 0) {
        return;
    }
    while (mdns_next_record(&reader, &record)) {
        struct mdns_name name;
        bool points = record.type == MDNS_TYPE_PTR &&
                      mdns_name_equal(&record.name, &mdns->service) &&
                      mdns_record_target(&reader, &record, &name) == 0;
        bool tells = record.type == MDNS_TYPE_TXT;
        if (tells) {
            name = record.name;
        }
        if ((!points && !tells) || record.class_code != MDNS_CLASS_IN ||
            mdns_name_label(&name, &mdns->service).size == 0) {
            continue;
        }
        struct instance *instance = note(instances, &count, &name, record.ttl_s);
        if (instance != NULL) {
            instance->announced = instance->announced || tells;
        }
    }
    if (reader.error != 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!mdns_name_equal(&instances[i].name, &mdns->instance)) {
            take_instance(mdns, interface, &instances[i], message, now);
        }
    }
}
