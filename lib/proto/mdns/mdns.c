/* When the mDNS machine asks, answers, announces and forgets. */
#include "proto/mdns/mdns.h"

#include "proto/mdns/internal.h"
#include "util/ensure.h"

#define LABEL_SIZE 40 /* of our random name */

/* RFC 6762: sections 6 and 5.2 (answers and first questions wait), 7.2 (more known answers
 * follow), 6 (a record once a second), 5.2 (pauses double up to an hour), 8.3 (two announcements).
 */
#define DELAY_MIN       (20 * NANOS_MILLISECOND)
#define DELAY_SPREAD    (100 * NANOS_MILLISECOND)
#define DELAY_TRUNCATED (400 * NANOS_MILLISECOND)
#define ANSWER_PAUSE    NANOS_SECOND
#define QUERY_PAUSE_MIN NANOS_SECOND
#define QUERY_PAUSE_MAX NANOS_HOUR
#define ANNOUNCEMENTS   2
#define ANNOUNCE_PAUSE  NANOS_SECOND
#define REFRESHES_MAX   4

static nanos some_delay(struct mdns *mdns) {
    return DELAY_MIN + random_below(&mdns->random, DELAY_SPREAD + 1);
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_names(struct mdns *mdns) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t label[LABEL_SIZE];
    for (size_t i = 0; i < LABEL_SIZE; i++) {
        label[i] = (uint8_t)letters[random_below(&mdns->random, sizeof(letters) - 1)];
    }
    struct mdns_name domain;
    mdns_name_init(&domain, "p2p.local");
    mdns_name_init(&mdns->service, MDNS_SERVICE);
    mdns_name_init(&mdns->meta, "_services._dns-sd._udp.local");
    ENSURE(mdns_name_under(BYTES_ARRAY(label), &mdns->service, &mdns->instance) == 0);
    ENSURE(mdns_name_under(BYTES_ARRAY(label), &domain, &mdns->host) == 0);
}

int mdns_new(const struct mdns_config *config, struct mdns **ret_mdns) {
    struct mdns *mdns = memory_zero(config->memory, sizeof(*mdns));
    if (mdns == NULL) {
        return PLASM_NO_MEMORY;
    }
    mdns->interfaces = memory_zero(config->memory, MDNS_INTERFACES_MAX * sizeof(struct interface));
    if (mdns->interfaces == NULL) {
        memory_put(config->memory, mdns, sizeof(*mdns));
        return PLASM_NO_MEMORY;
    }
    mdns->config = *config;
    mdns->memory = config->memory;
    random_init(&mdns->random, config->seed);
    list_init(&mdns->found);
    mdns->tokens_ms = MDNS_FOUND_BURST * 1000;
    make_names(mdns);
    *ret_mdns = mdns;
    return 0;
}

static void forget(struct mdns *mdns, struct found *found) {
    list_remove(&mdns->found, &found->node);
    memory_put(mdns->memory, found, sizeof(*found));
}

void mdns_free(struct mdns *mdns) {
    if (mdns == NULL) {
        return;
    }
    struct list_node *node;
    while ((node = list_first(&mdns->found)) != NULL) {
        forget(mdns, CONTAINER_OF(node, struct found, node));
    }
    random_done(&mdns->random);
    memory_put(mdns->memory, mdns->interfaces, MDNS_INTERFACES_MAX * sizeof(struct interface));
    memory_put(mdns->memory, mdns, sizeof(*mdns));
}

/* --- interfaces ------------------------------------------------------------------------------- */

static void link_search(struct mdns *mdns, struct link *link, nanos now) {
    link->query_at = mdns->config.prompt ? now : nanos_add(now, some_delay(mdns));
    link->query_pause = QUERY_PAUSE_MIN;
}

static void link_start(struct mdns *mdns, struct link *link, nanos now) {
    *link = (struct link){
        .on = true, .query_at = NANOS_NEVER, .answer_at = NANOS_NEVER, .announce_at = NANOS_NEVER};
    if (mdns->searching) {
        link_search(mdns, link, now);
    }
}

static bool announces(const struct mdns *mdns, const struct interface *interface) {
    return mdns->config.announce && interface->is.address_count > 0;
}

/* Only what may be told, within the bounds. */
static void copy_interface(const struct mdns_interface *from, struct mdns_interface *ret_copy) {
    *ret_copy = *from;
    ret_copy->subnet_count =
        from->subnet_count < MDNS_SUBNETS_MAX ? from->subnet_count : MDNS_SUBNETS_MAX;
    ret_copy->address_count = 0;
    for (size_t i = 0; i < from->address_count && i < MDNS_ADDRESSES_MAX; i++) {
        if (mdns_is_suitable(&from->addresses[i])) {
            ret_copy->addresses[ret_copy->address_count++] = from->addresses[i];
        }
    }
}

static bool same_interface(const struct mdns_interface *a, const struct mdns_interface *b) {
    bool same = a->subnet_count == b->subnet_count && a->address_count == b->address_count;
    for (size_t i = 0; i < a->subnet_count && same; i++) {
        same = netaddr_equal_ip(&a->subnets[i].address, &b->subnets[i].address) &&
               a->subnets[i].prefix_bits == b->subnets[i].prefix_bits;
    }
    for (size_t i = 0; i < a->address_count && same; i++) {
        same = multiaddr_equal(&a->addresses[i], &b->addresses[i]);
    }
    return same;
}

static struct interface *find_interface(struct mdns *mdns, uint32_t index) {
    for (size_t i = 0; i < mdns->interface_count; i++) {
        if (mdns->interfaces[i].is.index == index) {
            return &mdns->interfaces[i];
        }
    }
    return NULL;
}

/* Puts the new state of one interface into place; `place` has the old one or nothing (index 0). */
static void update(struct mdns *mdns, struct interface *place, const struct mdns_interface *given,
                   nanos now) {
    struct mdns_interface copy;
    copy_interface(given, &copy);
    bool changed = place->is.index == 0 || !same_interface(&place->is, &copy);
    bool on[2] = {copy.ip4, copy.ip6};
    place->is = copy;
    for (size_t i = 0; i < 2; i++) {
        struct link *link = &place->links[i];
        if (!on[i]) {
            link->on = false;
            continue;
        }
        bool fresh = !link->on;
        if (fresh || (changed && mdns->searching)) {
            bool announced = link->on && link->announced;
            link_start(mdns, link, now);
            link->announced = announced;
        }
        if ((fresh || changed) && announces(mdns, place)) {
            link->announcements = ANNOUNCEMENTS;
            link->announce_at = now;
        }
    }
}

void mdns_set_interfaces(struct mdns *mdns, const struct mdns_interface *interfaces, size_t count,
                         nanos now) {
    for (size_t i = 0; i < mdns->interface_count;) { /* those that are gone */
        bool kept = false;
        for (size_t j = 0; j < count && !kept; j++) {
            kept = interfaces[j].index == mdns->interfaces[i].is.index;
        }
        if (kept) {
            i++;
        } else {
            mdns->interfaces[i] = mdns->interfaces[--mdns->interface_count];
        }
    }
    for (size_t j = 0; j < count; j++) {
        struct interface *place = find_interface(mdns, interfaces[j].index);
        if (place == NULL && mdns->interface_count < MDNS_INTERFACES_MAX) {
            place = &mdns->interfaces[mdns->interface_count++];
            memset(place, 0, sizeof(*place));
        }
        if (place != NULL) {
            update(mdns, place, &interfaces[j], now);
        }
    }
}

void mdns_search(struct mdns *mdns, bool on, nanos now) {
    mdns->searching = on;
    for (size_t i = 0; i < 2 * mdns->interface_count; i++) {
        struct link *link = &mdns->interfaces[i / 2].links[i % 2];
        if (on && link->on) {
            link_search(mdns, link, now);
        } else {
            link->query_at = NANOS_NEVER;
        }
    }
}

/* --- questions -------------------------------------------------------------------------------- */

static uint8_t kinds_of(const struct mdns *mdns, const struct mdns_question *question) {
    uint16_t type = question->type;
    bool any = type == MDNS_TYPE_ANY;
    if (question->class_code != MDNS_CLASS_IN && question->class_code != MDNS_CLASS_ANY) {
        return 0;
    }
    if (mdns_name_equal(&question->name, &mdns->service)) {
        return any || type == MDNS_TYPE_PTR ? ANSWER_BROWSE : 0;
    }
    if (mdns_name_equal(&question->name, &mdns->meta)) {
        return any || type == MDNS_TYPE_PTR ? ANSWER_META : 0;
    }
    if (mdns_name_equal(&question->name, &mdns->instance)) {
        return any || type == MDNS_TYPE_SRV || type == MDNS_TYPE_TXT ? ANSWER_LOOKUP : 0;
    }
    if (mdns_name_equal(&question->name, &mdns->host)) {
        return any || type == MDNS_TYPE_A || type == MDNS_TYPE_AAAA ? ANSWER_HOST : 0;
    }
    return 0;
}

/* A query, as far as it matters. */
struct asked {
    uint8_t kinds;  /* to be answered for all */
    uint8_t alone;  /* to the asker alone */
    bool truncated; /* more known answers follow */
    bool knows_us;  /* our PTR is among the known answers, young enough */
    bool knows_others;
    bool browses;               /* asks everybody who is there */
    struct mdns_question first; /* answered question */
};

static int read_query(const struct mdns *mdns, struct bytes message, struct asked *asked) {
    struct mdns_reader reader;
    struct mdns_question question;
    struct mdns_record record;
    int error = mdns_reader_init(&reader, message);
    if (error != 0) {
        return error;
    }
    *asked = (struct asked){.truncated = (reader.flags & MDNS_FLAG_TRUNCATED) != 0};
    while (mdns_next_question(&reader, &question)) {
        uint8_t kinds = kinds_of(mdns, &question);
        if (kinds != 0 && (asked->kinds | asked->alone) == 0) {
            asked->first = question;
        }
        asked->kinds |= question.unicast ? 0 : kinds;
        asked->alone |= question.unicast ? kinds : 0;
        asked->browses = asked->browses || (kinds == ANSWER_BROWSE && !question.unicast);
    }
    while (mdns_next_record(&reader, &record)) {
        struct mdns_name name;
        if (record.section != MDNS_ANSWER || record.type != MDNS_TYPE_PTR ||
            !mdns_name_equal(&record.name, &mdns->service) ||
            mdns_record_target(&reader, &record, &name) != 0) {
            continue;
        }
        bool ours = mdns_name_equal(&name, &mdns->instance);
        asked->knows_us = asked->knows_us || (ours && record.ttl_s >= MDNS_TTL_S / 2);
        asked->knows_others = asked->knows_others || !ours;
    }
    return reader.error;
}

/* When the kinds may be multicast again, at the earliest. */
static nanos answer_earliest(const struct link *link, uint8_t kinds, nanos at) {
    for (size_t bit = 0; bit < ANSWER_KINDS; bit++) {
        if ((kinds & 1U << bit) != 0 && link->answered_at[bit] != 0) {
            at = nanos_max(at, nanos_add(link->answered_at[bit], ANSWER_PAUSE));
        }
    }
    return at;
}

static void answer_all(struct link *link, uint8_t kinds, const struct netaddr *asker, nanos at) {
    if (link->answer_kinds == 0) {
        at = answer_earliest(link, kinds, at);
        link->answer_asker = *asker;
    } else if (!netaddr_equal_ip(&link->answer_asker, asker)) {
        link->answer_asker.family = NETADDR_NONE;
    }
    /* A later question does not put an earlier one off, only a record's own pause does. */
    link->answer_at =
        link->answer_kinds == 0 ? at : nanos_max(link->answer_at, answer_earliest(link, kinds, 0));
    link->answer_kinds |= kinds;
}

/* Over the bound the asker has to ask again. */
static void answer_alone(struct link *link, const struct asked *asked, uint8_t kinds,
                         const struct netaddr *asker, uint16_t id, nanos at) {
    struct unicast *place = NULL;
    for (size_t i = 0; i < MDNS_UNICAST_MAX; i++) {
        if (link->unicasts[i].kinds != 0 && netaddr_equal(&link->unicasts[i].to, asker)) {
            return; /* an answer is on its way */
        }
        if (link->unicasts[i].kinds == 0) {
            place = &link->unicasts[i];
        }
    }
    if (place != NULL) {
        *place = (struct unicast){.to = *asker,
                                  .at = at,
                                  .kinds = kinds,
                                  .legacy = asker->port != MDNS_PORT,
                                  .id = id,
                                  .question = asked->first};
    }
}

/* RFC 6762 section 5.4: who has not heard us for a quarter of the life gets it by multicast. */
static bool was_heard_lately(const struct link *link, nanos now) {
    nanos last = link->answered_at[0]; /* ANSWER_BROWSE */
    return last != 0 && nanos_since(now, last) < MDNS_TTL_S * NANOS_SECOND / 4;
}

static void take_query(struct mdns *mdns, struct interface *interface, struct link *link,
                       const struct netaddr *source, struct bytes message, nanos now) {
    struct asked asked;
    if (read_query(mdns, message, &asked) != 0) {
        return;
    }
    bool legacy = source->port != MDNS_PORT;
    if (!legacy && asked.browses && !asked.knows_us && !asked.knows_others && !asked.truncated &&
        link->query_at != NANOS_NEVER && link->query_pause > QUERY_PAUSE_MIN) {
        /* Section 7.3: somebody asked for us; the answers are for all. */
        link->query_at = nanos_max(link->query_at, nanos_add(now, link->query_pause / 2));
    }
    if (asked.knows_us) { /* section 7.1, and 7.2 when this is the rest of a question before */
        asked.kinds &= (uint8_t)~ANSWER_BROWSE;
        asked.alone &= (uint8_t)~ANSWER_BROWSE;
        if (netaddr_equal_ip(&link->answer_asker, source)) {
            link->answer_kinds &= (uint8_t)~ANSWER_BROWSE;
            link->answer_at = link->answer_kinds == 0 ? NANOS_NEVER : link->answer_at;
        }
    }
    if (!announces(mdns, interface) || (asked.kinds | asked.alone) == 0) {
        return;
    }
    nanos at = nanos_add(now, some_delay(mdns) + (asked.truncated ? DELAY_TRUNCATED : 0));
    if (legacy) {
        uint16_t id = (uint16_t)(message.data[0] << 8 | message.data[1]);
        answer_alone(link, &asked, asked.kinds | asked.alone, source, id, at);
        return;
    }
    if (asked.alone != 0 && was_heard_lately(link, now)) {
        answer_alone(link, &asked, asked.alone, source, 0, at);
        asked.alone = 0;
    }
    uint8_t kinds = asked.kinds | asked.alone;
    if (kinds != 0) {
        answer_all(link, kinds, source, at);
    }
}

void mdns_receive(struct mdns *mdns, uint32_t index, const struct netaddr *source,
                  struct bytes message, nanos now) {
    struct interface *interface = find_interface(mdns, index);
    if (interface == NULL || message.size < MDNS_HEADER_SIZE ||
        message.size > MDNS_MESSAGE_RECEIVED_MAX || !mdns_is_on_link(interface, source)) {
        return;
    }
    struct link *link = &interface->links[source->family == NETADDR_IP6];
    if (!link->on) {
        return;
    }
    bool answer = (message.data[2] & MDNS_FLAG_RESPONSE >> 8) != 0;
    if (!answer) {
        take_query(mdns, interface, link, source, message, now);
    } else if (source->port == MDNS_PORT) {
        mdns_take_answer(mdns, interface, message, now);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

nanos mdns_deadline(const struct mdns *mdns) {
    nanos deadline = NANOS_NEVER;
    for (size_t i = 0; i < 2 * mdns->interface_count; i++) {
        const struct link *link = &mdns->interfaces[i / 2].links[i % 2];
        if (!link->on) {
            continue;
        }
        deadline = nanos_min(deadline, nanos_min(link->query_at, link->answer_at));
        deadline = nanos_min(deadline, link->announce_at);
        for (size_t j = 0; j < MDNS_UNICAST_MAX; j++) {
            if (link->unicasts[j].kinds != 0) {
                deadline = nanos_min(deadline, link->unicasts[j].at);
            }
        }
    }
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        const struct found *found = CONTAINER_OF(node, struct found, node);
        deadline = nanos_min(deadline, found->expires);
        if (mdns->searching) {
            deadline = nanos_min(deadline, found->refresh_at);
        }
    }
    return deadline;
}

/* Asks on the interface where it was found, whether it is still there. */
static void refresh(struct mdns *mdns, struct found *found, nanos now) {
    struct interface *interface = find_interface(mdns, found->interface);
    for (size_t i = 0; interface != NULL && i < 2; i++) {
        if (interface->links[i].on) {
            interface->links[i].query_at = nanos_min(interface->links[i].query_at, now);
        }
    }
    found->refreshes++;
    found->refresh_at = found->refreshes < REFRESHES_MAX
                            ? nanos_add(now, found->ttl_s * NANOS_SECOND / 20)
                            : NANOS_NEVER;
}

void mdns_expire(struct mdns *mdns, nanos now) {
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        struct found *found = CONTAINER_OF(node, struct found, node);
        if (!found->gone && now >= found->expires) {
            found->gone = true;
            found->expires = NANOS_NEVER;
            found->refresh_at = NANOS_NEVER;
        } else if (mdns->searching && now >= found->refresh_at) {
            refresh(mdns, found, now);
        }
    }
}

bool mdns_next_event(struct mdns *mdns, struct mdns_event *ret_event) {
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        struct found *found = CONTAINER_OF(node, struct found, node);
        if (!found->fresh && !found->gone) {
            continue;
        }
        *ret_event = (struct mdns_event){.type = found->gone ? MDNS_LOST : MDNS_FOUND,
                                         .id = found->id,
                                         .interface = found->interface,
                                         .address_count = found->address_count};
        memcpy(ret_event->addresses, found->addresses,
               found->address_count * sizeof(found->addresses[0]));
        found->fresh = false;
        if (found->gone) {
            forget(mdns, found);
        }
        return true;
    }
    return false;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void note_multicast(struct link *link, uint8_t kinds, nanos now) {
    for (size_t bit = 0; bit < ANSWER_KINDS; bit++) {
        if ((kinds & 1U << bit) != 0) {
            link->answered_at[bit] = nanos_max(now, 1);
        }
    }
}

static size_t send_query(struct mdns *mdns, const struct interface *interface, struct link *link,
                         struct span room, nanos now) {
    link->query_at = mdns->searching ? nanos_add(now, link->query_pause) : NANOS_NEVER;
    link->query_pause = nanos_min(2 * link->query_pause, QUERY_PAUSE_MAX);
    return mdns_write_query(mdns, interface, now, room);
}

static size_t send_unicast(const struct mdns *mdns, const struct interface *interface,
                           struct link *link, struct span room, nanos now, struct netaddr *ret_to) {
    for (size_t i = 0; i < MDNS_UNICAST_MAX; i++) {
        struct unicast *unicast = &link->unicasts[i];
        if (unicast->kinds != 0 && now >= unicast->at) {
            size_t size = mdns_write_answer(mdns, interface, unicast->kinds, MDNS_TTL_S,
                                            unicast->legacy ? unicast : NULL, room);
            *ret_to = unicast->to;
            unicast->kinds = 0;
            if (size > 0) {
                return size;
            }
        }
    }
    return 0;
}

/* The next datagram of a link, 0 when none is due. */
static size_t send_next(struct mdns *mdns, struct interface *interface, struct link *link,
                        struct span room, nanos now, struct netaddr *ret_to) {
    if (mdns->stopping) {
        bool goodbye = link->announced;
        link->announced = false;
        return goodbye ? mdns_write_answer(mdns, interface, ANSWER_BROWSE, 0, NULL, room) : 0;
    }
    if (now >= link->query_at) {
        return send_query(mdns, interface, link, room, now);
    }
    uint8_t kinds = 0;
    if (now >= link->announce_at) {
        kinds = ANSWER_BROWSE | ANSWER_LOOKUP;
        link->announcements--;
        link->announce_at = link->announcements > 0 ? nanos_add(now, ANNOUNCE_PAUSE) : NANOS_NEVER;
        link->announced = true;
    }
    if (now >= link->answer_at) {
        kinds |= link->answer_kinds;
        link->announced = true;
    }
    if (kinds != 0) {
        link->answer_kinds &= (uint8_t)~kinds;
        link->answer_at = link->answer_kinds == 0 ? NANOS_NEVER : link->answer_at;
        note_multicast(link, kinds, now);
        return mdns_write_answer(mdns, interface, kinds, MDNS_TTL_S, NULL, room);
    }
    return send_unicast(mdns, interface, link, room, now, ret_to);
}

bool mdns_transmit(struct mdns *mdns, struct span room, nanos now,
                   struct mdns_datagram *ret_datagram) {
    room.size = room.size < MDNS_MESSAGE_SIZE_MAX ? room.size : MDNS_MESSAGE_SIZE_MAX;
    for (size_t i = 0; i < 2 * mdns->interface_count; i++) {
        struct interface *interface = &mdns->interfaces[i / 2];
        struct link *link = &interface->links[i % 2];
        struct mdns_datagram datagram = {.interface = interface->is.index,
                                         .family = i % 2 == 0 ? NETADDR_IP4 : NETADDR_IP6};
        if (link->on) {
            datagram.size = send_next(mdns, interface, link, room, now, &datagram.unicast);
        }
        if (datagram.size > 0) {
            *ret_datagram = datagram;
            return true;
        }
    }
    return false;
}

void mdns_stop(struct mdns *mdns) {
    mdns->stopping = true;
}

size_t mdns_peer_count(const struct mdns *mdns) {
    size_t count = 0;
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        count += !CONTAINER_OF(node, struct found, node)->gone;
    }
    return count;
}
