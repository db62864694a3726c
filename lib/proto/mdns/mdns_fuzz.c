/* A machine in a network of strangers: messages from the input, their source and the pauses between
 * them. Each is two bytes of size, one of how it comes, and the message. */
#include "proto/mdns/mdns.h"

#include "proto/mdns/message.h"
#include "util/ensure.h"

static void setup(struct mdns *mdns) {
    struct mdns_interface interface = {.index = 1, .ip4 = true, .ip6 = true, .subnet_count = 2};
    ENSURE(netaddr_parse_ip(BYTES_LITERAL("192.168.7.9"), &interface.subnets[0].address) == 0);
    ENSURE(netaddr_parse_ip(BYTES_LITERAL("fd00::9"), &interface.subnets[1].address) == 0);
    interface.subnets[0].prefix_bits = 24;
    interface.subnets[1].prefix_bits = 64;
    interface.address_count = 1;
    ENSURE(multiaddr_parse(BYTES_LITERAL("/ip4/192.168.7.9/udp/4001/quic-v1"),
                           &interface.addresses[0]) == 0);
    mdns_search(mdns, true, 0);
    mdns_set_interfaces(mdns, &interface, 1, 0);
}

/* What is said is a message that can be read, within its bound. */
static void drain(struct mdns *mdns, nanos now) {
    struct mdns_event event;
    struct mdns_datagram datagram;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    mdns_expire(mdns, now);
    while (mdns_next_event(mdns, &event)) {
        ENSURE(event.address_count <= MDNS_ADDRESSES_MAX);
        for (size_t i = 0; i < event.address_count; i++) {
            ENSURE(mdns_is_suitable(&event.addresses[i]));
        }
    }
    while (mdns_transmit(mdns, (struct span){room, sizeof(room)}, now, &datagram)) {
        struct mdns_reader reader;
        struct mdns_record record;
        ENSURE(mdns_reader_init(&reader, bytes_of(room, datagram.size)) == 0);
        while (mdns_next_record(&reader, &record)) {
        }
        ENSURE(reader.error == 0);
    }
    ENSURE(mdns_peer_count(mdns) <= MDNS_PEERS_MAX);
    ENSURE(mdns_deadline(mdns) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct mdns_config config = {.announce = true, .memory = &memory};
    struct mdns *mdns;
    ENSURE(mdns_new(&config, &mdns) == 0);
    setup(mdns);
    struct cursor cursor = cursor_of(bytes_of(data, size));
    nanos now = 0;
    while (cursor.left.size > 0 && cursor.error == 0) {
        size_t message_size = cursor_u16(&cursor);
        uint8_t way = cursor_u8(&cursor);
        struct bytes message = cursor_take(&cursor, message_size);
        struct netaddr source = {.family = NETADDR_IP4, .port = MDNS_PORT};
        memcpy(source.ip, (const uint8_t[]){192, 168, 7, (uint8_t)(way & 3)}, 4);
        if ((way & 4) != 0) {
            source = (struct netaddr){.family = NETADDR_IP6, .port = MDNS_PORT};
            memcpy(source.ip, (const uint8_t[]){0xfe, 0x80}, 2);
        }
        source.port = (way & 8) != 0 ? 4711 : MDNS_PORT;
        mdns_receive(mdns, 1, &source, message, now);
        drain(mdns, now);
        now += (nanos)(way >> 4) * (way >> 4) * (way >> 4) * 20 * NANOS_MILLISECOND;
        drain(mdns, now);
    }
    mdns_stop(mdns);
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    while (mdns_transmit(mdns, (struct span){room, sizeof(room)}, now, &datagram)) {
    }
    mdns_free(mdns);
    ENSURE(memory.used == 0);
    return 0;
}
