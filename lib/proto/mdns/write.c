/* What the mDNS machine says: queries with known answers, and answers about ourselves. */
#include "proto/mdns/internal.h"

#define SRV_PORT_UNKNOWN                                                                           \
    4001                    /* the addresses are in the TXT record; this one is for DNS-SD tools */
#define LEGACY_TTL_S_MAX 10 /* RFC 6762 section 6.7 */

size_t mdns_write_query(const struct mdns *mdns, const struct interface *interface, nanos now,
                        struct span room) {
    struct mdns_writer writer;
    mdns_writer_init(&writer, room, 0, 0);
    mdns_write_question(&writer, &mdns->service, MDNS_TYPE_PTR, MDNS_CLASS_IN);
    for (struct list_node *node = list_first(&mdns->found); node != NULL;
         node = list_next(&mdns->found, node)) {
        const struct found *found = CONTAINER_OF(node, struct found, node);
        uint64_t left_s = nanos_since(found->expires, now) / NANOS_SECOND;
        if (found->interface != interface->is.index || found->gone || left_s * 2 <= found->ttl_s) {
            continue;
        }
        mdns_record_begin(&writer, MDNS_ANSWER, &mdns->service, MDNS_TYPE_PTR, MDNS_CLASS_IN,
                          (uint32_t)left_s);
        mdns_write_name(&writer, &found->name);
        if (!mdns_record_end(&writer)) {
            break;
        }
    }
    return mdns_writer_end(&writer);
}

/* How records are written: with which life, and whether they replace what was known. */
struct manner {
    uint32_t ttl_s;
    uint16_t unique; /* class of records that only we have */
};

static void put_pointer(struct mdns_writer *writer, const struct mdns_name *from,
                        const struct mdns_name *to, uint32_t ttl_s) {
    mdns_record_begin(writer, MDNS_ANSWER, from, MDNS_TYPE_PTR, MDNS_CLASS_IN, ttl_s);
    mdns_write_name(writer, to);
    (void)mdns_record_end(writer);
}

/* "dnsaddr=/ip4/.../p2p/..." strings of one record; those that do not fit are left out. */
static void put_text(const struct mdns *mdns, const struct interface *interface,
                     struct mdns_writer *writer, enum mdns_section section,
                     const struct manner *manner) {
    /* Room for the SRV and address records that follow. */
    const size_t reserve = 160;
    mdns_record_begin(writer, section, &mdns->instance, MDNS_TYPE_TXT, manner->unique,
                      manner->ttl_s);
    size_t strings = 0;
    for (size_t i = 0; i < interface->is.address_count; i++) {
        struct multiaddr address = interface->is.addresses[i];
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_append(&address, MULTIADDR_P2P, peer_id_bytes(&mdns->config.id)) != 0 ||
            multiaddr_format(&address, text, sizeof(text)) != 0) {
            continue;
        }
        size_t size = sizeof("dnsaddr=") - 1 + strlen(text);
        if (size <= UINT8_MAX &&
            writer->writer.size + size + 1 + reserve <= writer->writer.room.size) {
            mdns_write_string(writer, BYTES_LITERAL("dnsaddr="), bytes_of_string(text));
            strings++;
        }
    }
    if (strings == 0) {
        writer_u8(&writer->writer, 0); /* RFC 6763 section 6.1: never without a string */
    }
    (void)mdns_record_end(writer);
}

static void put_service(const struct mdns *mdns, struct mdns_writer *writer,
                        enum mdns_section section, const struct manner *manner) {
    mdns_record_begin(writer, section, &mdns->instance, MDNS_TYPE_SRV, manner->unique,
                      manner->ttl_s);
    writer_u16(&writer->writer, 0); /* priority, weight */
    writer_u16(&writer->writer, 0);
    writer_u16(&writer->writer, SRV_PORT_UNKNOWN);
    mdns_write_name(writer, &mdns->host);
    (void)mdns_record_end(writer);
}

/* The machine's own addresses on this network. */
static void put_host(const struct mdns *mdns, const struct interface *interface,
                     struct mdns_writer *writer, enum mdns_section section,
                     const struct manner *manner) {
    for (size_t i = 0; i < interface->is.subnet_count; i++) {
        const struct netaddr *address = &interface->is.subnets[i].address;
        mdns_record_begin(writer, section, &mdns->host,
                          address->family == NETADDR_IP4 ? MDNS_TYPE_A : MDNS_TYPE_AAAA,
                          manner->unique, manner->ttl_s);
        writer_bytes_put(&writer->writer, netaddr_ip(address));
        if (!mdns_record_end(writer)) {
            return;
        }
    }
}

size_t mdns_write_answer(const struct mdns *mdns, const struct interface *interface, uint8_t kinds,
                         uint32_t ttl_s, const struct unicast *legacy, struct span room) {
    struct manner manner = {ttl_s, MDNS_CLASS_IN | MDNS_CLASS_TOP};
    struct mdns_writer writer;
    mdns_writer_init(&writer, room, legacy != NULL ? legacy->id : 0,
                     MDNS_FLAG_RESPONSE | MDNS_FLAG_AUTHORITATIVE);
    if (legacy != NULL) {
        manner.ttl_s = ttl_s < LEGACY_TTL_S_MAX ? ttl_s : LEGACY_TTL_S_MAX;
        manner.unique = MDNS_CLASS_IN;
        mdns_write_question(&writer, &legacy->question.name, legacy->question.type,
                            legacy->question.class_code);
    }
    if ((kinds & ANSWER_META) != 0) {
        put_pointer(&writer, &mdns->meta, &mdns->service, manner.ttl_s);
    }
    if ((kinds & ANSWER_BROWSE) != 0) {
        put_pointer(&writer, &mdns->service, &mdns->instance, manner.ttl_s);
    }
    if ((kinds & ANSWER_LOOKUP) != 0) {
        put_text(mdns, interface, &writer, MDNS_ANSWER, &manner);
        put_service(mdns, &writer, MDNS_ANSWER, &manner);
    }
    if ((kinds & ANSWER_HOST) != 0) {
        put_host(mdns, interface, &writer, MDNS_ANSWER, &manner);
    }
    if ((kinds & (ANSWER_BROWSE | ANSWER_LOOKUP)) == ANSWER_BROWSE) {
        put_text(mdns, interface, &writer, MDNS_ADDITIONAL, &manner);
        put_service(mdns, &writer, MDNS_ADDITIONAL, &manner);
    }
    if ((kinds & (ANSWER_BROWSE | ANSWER_LOOKUP)) != 0 && (kinds & ANSWER_HOST) == 0) {
        put_host(mdns, interface, &writer, MDNS_ADDITIONAL, &manner);
    }
    return mdns_writer_end(&writer);
}
