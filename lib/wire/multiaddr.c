/* Multiaddrs in binary and text, over one table of protocols. */
#include "wire/multiaddr.h"

#include <stdio.h>

#include "util/ensure.h"
#include "wire/multibase.h"
#include "wire/multihash.h"
#include "wire/varint.h"

/* Spec: libp2p/specs peer-ids/peer-ids.md, "Peer Ids". */
#define PEER_SHA2_256_SIZE     32
#define PEER_IDENTITY_SIZE_MAX 42

/* What a protocol's value is: how it is spelled, and what makes it valid. */
enum value_kind {
    VALUE_NONE,
    VALUE_IP4,
    VALUE_IP6,
    VALUE_PORT,
    VALUE_BYTE,
    VALUE_NAME,      /* text */
    VALUE_PEER,      /* peer id, in base58 */
    VALUE_MULTIHASH, /* multihash, in multibase */
};

struct protocol {
    uint64_t code;
    const char *name;
    enum value_kind kind;
};

static const struct protocol protocols[] = {
    {MULTIADDR_IP4, "ip4", VALUE_IP4},
    {MULTIADDR_IP6, "ip6", VALUE_IP6},
    {MULTIADDR_UDP, "udp", VALUE_PORT},
    {MULTIADDR_TCP, "tcp", VALUE_PORT},
    {MULTIADDR_QUIC_V1, "quic-v1", VALUE_NONE},
    {MULTIADDR_P2P, "p2p", VALUE_PEER},
    {MULTIADDR_P2P_CIRCUIT, "p2p-circuit", VALUE_NONE},
    {MULTIADDR_DNS, "dns", VALUE_NAME},
    {MULTIADDR_DNS4, "dns4", VALUE_NAME},
    {MULTIADDR_DNS6, "dns6", VALUE_NAME},
    {MULTIADDR_DNSADDR, "dnsaddr", VALUE_NAME},
    {MULTIADDR_IP6ZONE, "ip6zone", VALUE_NAME},
    {MULTIADDR_IPCIDR, "ipcidr", VALUE_BYTE},
    {MULTIADDR_QUIC, "quic", VALUE_NONE},
    {MULTIADDR_WEBTRANSPORT, "webtransport", VALUE_NONE},
    {MULTIADDR_CERTHASH, "certhash", VALUE_MULTIHASH},
    {MULTIADDR_WEBRTC_DIRECT, "webrtc-direct", VALUE_NONE},
    {MULTIADDR_WEBRTC, "webrtc", VALUE_NONE},
    {MULTIADDR_TLS, "tls", VALUE_NONE},
    {MULTIADDR_SNI, "sni", VALUE_NAME},
    {MULTIADDR_NOISE, "noise", VALUE_NONE},
    {MULTIADDR_WS, "ws", VALUE_NONE},
    {MULTIADDR_WSS, "wss", VALUE_NONE},
    {MULTIADDR_HTTP, "http", VALUE_NONE},
};

static const struct protocol *protocol_by_code(uint64_t code) {
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (protocols[i].code == code) {
            return &protocols[i];
        }
    }
    return NULL;
}

static const struct protocol *protocol_by_name(struct bytes name) {
    if (bytes_equal_string(name, "ipfs")) {
        return protocol_by_code(MULTIADDR_P2P);
    }
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (bytes_equal_string(name, protocols[i].name)) {
            return &protocols[i];
        }
    }
    return NULL;
}

/* Bytes of a value of fixed size; the others are preceded by their size. */
static bool value_fixed_size(enum value_kind kind, size_t *ret_size) {
    switch (kind) {
    case VALUE_NONE:
        *ret_size = 0;
        return true;
    case VALUE_IP4:
        *ret_size = 4;
        return true;
    case VALUE_IP6:
        *ret_size = 16;
        return true;
    case VALUE_PORT:
        *ret_size = 2;
        return true;
    case VALUE_BYTE:
        *ret_size = 1;
        return true;
    default:
        return false;
    }
}

static bool value_is_name(struct bytes value) {
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f || value.data[i] == '/') {
            return false;
        }
    }
    return value.size > 0 && bytes_are_utf8(value);
}

static bool value_is_multihash(struct bytes value) {
    struct cursor cursor = cursor_of(value);
    (void)multihash_read(&cursor);
    return cursor.error == 0 && cursor.left.size == 0;
}

/* The two kinds of multihash a peer id may be; both have a base58 form that says what it is. */
static bool value_is_peer(struct bytes value) {
    struct cursor cursor = cursor_of(value);
    struct multihash hash = multihash_read(&cursor);
    if (cursor.error != 0 || cursor.left.size > 0) {
        return false;
    }
    return (hash.code == MULTIHASH_SHA2_256 && hash.digest.size == PEER_SHA2_256_SIZE) ||
           (hash.code == MULTIHASH_IDENTITY && hash.digest.size <= PEER_IDENTITY_SIZE_MAX);
}

static bool value_is_valid(enum value_kind kind, struct bytes value) {
    size_t size;
    if (value_fixed_size(kind, &size)) {
        return value.size == size;
    }
    switch (kind) {
    case VALUE_NAME:
        return value_is_name(value);
    case VALUE_PEER:
        return value_is_peer(value);
    default:
        return value_is_multihash(value);
    }
}

/* Reads and checks one component; errors are latched in the cursor. */
static bool part_read(struct cursor *cursor, struct multiaddr_part *ret_part,
                      const struct protocol **ret_protocol) {
    uint64_t code = uvarint_read(cursor);
    const struct protocol *protocol = protocol_by_code(code);
    if (cursor->error == 0 && protocol == NULL) {
        cursor_fail(cursor, PLASM_UNSUPPORTED);
    }
    if (cursor->error != 0) {
        return false;
    }
    size_t size;
    if (!value_fixed_size(protocol->kind, &size)) {
        uint64_t coded_size = uvarint_read(cursor);
        if (cursor->error == 0 && coded_size > cursor->left.size) {
            cursor_fail(cursor, PLASM_TRUNCATED);
        }
        size = (size_t)coded_size;
    }
    struct bytes value = cursor_take(cursor, size);
    if (cursor->error == 0 && !value_is_valid(protocol->kind, value)) {
        cursor_fail(cursor, PLASM_MALFORMED);
    }
    if (cursor->error != 0) {
        return false;
    }
    *ret_part = (struct multiaddr_part){.code = code, .value = value};
    *ret_protocol = protocol;
    return true;
}

bool multiaddr_next(struct cursor *cursor, struct multiaddr_part *ret_part) {
    const struct protocol *protocol;
    return cursor->left.size > 0 && part_read(cursor, ret_part, &protocol);
}

int multiaddr_decode(struct bytes binary, struct multiaddr *ret_address) {
    if (binary.size == 0) {
        return PLASM_MALFORMED;
    }
    if (binary.size > MULTIADDR_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    struct cursor cursor = cursor_of(binary);
    struct multiaddr_part part;
    size_t count = 0;
    while (multiaddr_next(&cursor, &part)) {
        count++;
    }
    if (cursor.error != 0) {
        /* The whole address is there, so what is cut short is wrong. */
        return cursor.error == PLASM_UNSUPPORTED ? PLASM_UNSUPPORTED : PLASM_MALFORMED;
    }
    if (count > MULTIADDR_PARTS_MAX) {
        return PLASM_TOO_LARGE;
    }
    ret_address->size = (uint16_t)binary.size;
    memcpy(ret_address->bytes, binary.data, binary.size);
    return 0;
}

int multiaddr_append(struct multiaddr *address, uint64_t code, struct bytes value) {
    const struct protocol *protocol = protocol_by_code(code);
    if (protocol == NULL) {
        return PLASM_UNSUPPORTED;
    }
    if (!value_is_valid(protocol->kind, value)) {
        return PLASM_MALFORMED;
    }
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    size_t count = 0;
    while (multiaddr_next(&cursor, &part)) {
        count++;
    }
    struct writer writer = writer_of((struct span){.data = address->bytes + address->size,
                                                   .size = MULTIADDR_SIZE_MAX - address->size});
    size_t fixed;
    uvarint_write(&writer, code);
    if (!value_fixed_size(protocol->kind, &fixed)) {
        uvarint_write(&writer, value.size);
    }
    writer_bytes_put(&writer, value);
    if (writer.error != 0 || count == MULTIADDR_PARTS_MAX) {
        return PLASM_TOO_LARGE;
    }
    address->size = (uint16_t)(address->size + writer.size);
    return 0;
}

/* Decimal without leading zeros. */
static int number_parse(struct bytes text, unsigned number_max, unsigned *ret_number) {
    unsigned number = 0;
    if (text.size == 0 || text.size > 5 || (text.size > 1 && text.data[0] == '0')) {
        return PLASM_MALFORMED;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return PLASM_MALFORMED;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    if (number > number_max) {
        return PLASM_MALFORMED;
    }
    *ret_number = number;
    return 0;
}

/* A peer id: base58 of the multihash ("12D3Koo...", "Qm..."), or a CID in multibase. */
static int peer_parse(struct bytes text, struct span room, size_t *ret_size) {
    if (text.size > 0 && (text.data[0] == '1' || text.data[0] == 'Q')) {
        return base58_decode(text, room, ret_size);
    }
    static const uint8_t libp2p_key[] = {1, 0x72}; /* CID version 1, codec libp2p-key */
    uint8_t cid[CID_SIZE_MAX];
    size_t cid_size;
    int error = multibase_decode(text, (struct span){.data = cid, .size = sizeof(cid)}, &cid_size);
    if (error != 0 || !bytes_start_with(bytes_of(cid, cid_size), BYTES_ARRAY(libp2p_key))) {
        return error != 0 ? error : PLASM_MALFORMED;
    }
    size_t size = cid_size - sizeof(libp2p_key);
    if (size > room.size) {
        return PLASM_TOO_LARGE;
    }
    memcpy(room.data, cid + sizeof(libp2p_key), size);
    *ret_size = size;
    return 0;
}

/* Spells out a value into `room`; whether it is valid is seen when it is appended. */
static int value_parse(enum value_kind kind, struct bytes text, struct span room,
                       size_t *ret_size) {
    struct netaddr ip;
    unsigned number;
    int error = 0;
    switch (kind) {
    case VALUE_NONE:
        *ret_size = 0;
        return 0;
    case VALUE_IP4:
    case VALUE_IP6:
        error = netaddr_parse_ip(text, &ip);
        if (error == 0) {
            struct bytes value = netaddr_ip(&ip);
            memcpy(room.data, value.data, value.size);
            *ret_size = value.size;
        }
        return error;
    case VALUE_PORT:
        error = number_parse(text, UINT16_MAX, &number);
        if (error == 0) {
            room.data[0] = (uint8_t)(number >> 8);
            room.data[1] = (uint8_t)number;
            *ret_size = 2;
        }
        return error;
    case VALUE_BYTE:
        error = number_parse(text, UINT8_MAX, &number);
        if (error == 0) {
            room.data[0] = (uint8_t)number;
            *ret_size = 1;
        }
        return error;
    case VALUE_NAME:
        if (text.size > room.size) {
            return PLASM_TOO_LARGE;
        }
        memcpy(room.data, text.data, text.size);
        *ret_size = text.size;
        return 0;
    case VALUE_PEER:
        error = peer_parse(text, room, ret_size);
        break;
    case VALUE_MULTIHASH:
        error = multibase_decode(text, room, ret_size);
        break;
    }
    /* An encoding of text that we lack is no lack of a protocol. */
    return error == PLASM_UNSUPPORTED ? PLASM_MALFORMED : error;
}

/* The text up to the next slash, which is taken away too. */
static struct bytes segment_take(struct bytes *text) {
    size_t size = 0;
    while (size < text->size && text->data[size] != '/') {
        size++;
    }
    struct bytes segment = bytes_of(text->data, size);
    *text = bytes_slice(*text, size + 1, text->size);
    return segment;
}

int multiaddr_parse(struct bytes text, struct multiaddr *ret_address) {
    while (text.size > 0 && text.data[text.size - 1] == '/') {
        text.size--;
    }
    if (text.size == 0 || text.data[0] != '/') {
        return PLASM_MALFORMED;
    }
    struct bytes rest = bytes_slice(text, 1, text.size);
    struct multiaddr address = {.size = 0};
    while (rest.size > 0) {
        struct bytes name = segment_take(&rest);
        const struct protocol *protocol = protocol_by_name(name);
        if (protocol == NULL) {
            return name.size > 0 ? PLASM_UNSUPPORTED : PLASM_MALFORMED;
        }
        struct bytes segment = bytes_of(NULL, 0);
        if (protocol->kind != VALUE_NONE) {
            segment = segment_take(&rest);
            if (segment.size == 0) {
                return PLASM_MALFORMED;
            }
        }
        uint8_t value[MULTIADDR_SIZE_MAX];
        size_t value_size;
        int error = value_parse(protocol->kind, segment,
                                (struct span){.data = value, .size = sizeof(value)}, &value_size);
        if (error == 0) {
            error = multiaddr_append(&address, protocol->code, bytes_of(value, value_size));
        }
        if (error != 0) {
            return error;
        }
    }
    *ret_address = address;
    return 0;
}

/* The value as text with NUL. `room` never fails to hold one that is valid. */
static int value_format(enum value_kind kind, struct bytes value, char *room, size_t room_size) {
    struct netaddr ip = {.family = kind == VALUE_IP4 ? NETADDR_IP4 : NETADDR_IP6};
    switch (kind) {
    case VALUE_NONE:
        room[0] = '\0';
        return 0;
    case VALUE_IP4:
    case VALUE_IP6:
        memcpy(ip.ip, value.data, value.size);
        netaddr_format_ip(&ip, room);
        return 0;
    case VALUE_PORT:
        snprintf(room, room_size, "%u", value.data[0] * 256U + value.data[1]);
        return 0;
    case VALUE_BYTE:
        snprintf(room, room_size, "%u", (unsigned)value.data[0]);
        return 0;
    case VALUE_NAME:
        return bytes_to_string(value, room, room_size);
    case VALUE_PEER:
        return base58_encode(value, room, room_size);
    case VALUE_MULTIHASH:
        return multibase_encode(MULTIBASE_BASE64URL, value, room, room_size);
    }
    return PLASM_INVALID;
}

int multiaddr_format(const struct multiaddr *address, char *room, size_t room_size) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct writer writer = writer_of((struct span){.data = (uint8_t *)room, .size = room_size});
    while (cursor.left.size > 0) {
        struct multiaddr_part part;
        const struct protocol *protocol;
        char text[2 * MULTIADDR_SIZE_MAX];
        if (!part_read(&cursor, &part, &protocol)) {
            return PLASM_INVALID;
        }
        ENSURE(value_format(protocol->kind, part.value, text, sizeof(text)) == 0);
        writer_u8(&writer, '/');
        writer_bytes_put(&writer, bytes_of_string(protocol->name));
        if (protocol->kind != VALUE_NONE) {
            writer_u8(&writer, '/');
            writer_bytes_put(&writer, bytes_of_string(text));
        }
    }
    writer_u8(&writer, '\0');
    return writer.error;
}

bool multiaddr_has(const struct multiaddr *address, uint64_t code) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    while (multiaddr_next(&cursor, &part)) {
        if (part.code == code) {
            return true;
        }
    }
    return false;
}

bool multiaddr_equal(const struct multiaddr *a, const struct multiaddr *b) {
    return bytes_equal(multiaddr_bytes(a), multiaddr_bytes(b));
}

/* /ip4|ip6/address/tcp|udp/port. */
static struct multiaddr from_netaddr(const struct netaddr *address, enum multiaddr_code transport) {
    struct multiaddr made = {.size = 0};
    uint8_t port[2] = {(uint8_t)(address->port >> 8), (uint8_t)address->port};
    uint64_t ip = address->family == NETADDR_IP4 ? MULTIADDR_IP4 : MULTIADDR_IP6;
    int error = multiaddr_append(&made, ip, netaddr_ip(address));
    error = error == 0 ? multiaddr_append(&made, transport, BYTES_ARRAY(port)) : error;
    ENSURE(error == 0);
    return made;
}

/* The way back; leaves the cursor behind the port. */
static bool to_netaddr(struct cursor *cursor, enum multiaddr_code transport,
                       struct netaddr *ret_netaddr) {
    struct multiaddr_part ip;
    struct multiaddr_part port;
    if (!multiaddr_next(cursor, &ip) || !multiaddr_next(cursor, &port) || port.code != transport ||
        (ip.code != MULTIADDR_IP4 && ip.code != MULTIADDR_IP6)) {
        return false;
    }
    struct netaddr netaddr = {.family = ip.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6};
    memcpy(netaddr.ip, ip.value.data, ip.value.size);
    netaddr.port = (uint16_t)(port.value.data[0] << 8 | port.value.data[1]);
    *ret_netaddr = netaddr;
    return true;
}

/* Nothing but a peer may follow. */
static bool ends_with_peer(struct cursor *cursor, struct bytes *ret_peer_id) {
    struct multiaddr_part peer = {.value = {NULL, 0}};
    if (multiaddr_next(cursor, &peer) && (peer.code != MULTIADDR_P2P || cursor->left.size > 0)) {
        return false;
    }
    *ret_peer_id = peer.value;
    return true;
}

void multiaddr_from_quic(const struct netaddr *address, struct multiaddr *ret_address) {
    struct multiaddr made = from_netaddr(address, MULTIADDR_UDP);
    int error = multiaddr_append(&made, MULTIADDR_QUIC_V1, bytes_of(NULL, 0));
    ENSURE(error == 0);
    *ret_address = made;
}

int multiaddr_to_quic(const struct multiaddr *address, struct netaddr *ret_netaddr,
                      struct bytes *ret_peer_id) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct netaddr netaddr;
    struct multiaddr_part quic;
    struct bytes peer_id;
    if (!to_netaddr(&cursor, MULTIADDR_UDP, &netaddr) || !multiaddr_next(&cursor, &quic) ||
        quic.code != MULTIADDR_QUIC_V1 || !ends_with_peer(&cursor, &peer_id)) {
        return PLASM_UNSUPPORTED;
    }
    *ret_netaddr = netaddr;
    *ret_peer_id = peer_id;
    return 0;
}

void multiaddr_from_tcp(const struct netaddr *address, struct multiaddr *ret_address) {
    *ret_address = from_netaddr(address, MULTIADDR_TCP);
}

int multiaddr_to_tcp(const struct multiaddr *address, struct netaddr *ret_netaddr,
                     struct bytes *ret_peer_id) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct netaddr netaddr;
    struct bytes peer_id;
    if (!to_netaddr(&cursor, MULTIADDR_TCP, &netaddr) || !ends_with_peer(&cursor, &peer_id)) {
        return PLASM_UNSUPPORTED;
    }
    *ret_netaddr = netaddr;
    *ret_peer_id = peer_id;
    return 0;
}

/* The last component of a valid address, and the size of what comes before it. */
static struct multiaddr_part part_last(const struct multiaddr *address, size_t *ret_before_size) {
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part = {.code = 0};
    size_t before_size = 0;
    while (cursor.left.size > 0) {
        before_size = address->size - cursor.left.size;
        if (!multiaddr_next(&cursor, &part)) {
            break;
        }
    }
    *ret_before_size = before_size;
    return part;
}

struct bytes multiaddr_peer_id(const struct multiaddr *address) {
    size_t before_size;
    struct multiaddr_part last = part_last(address, &before_size);
    return last.code == MULTIADDR_P2P ? last.value : bytes_of(NULL, 0);
}

void multiaddr_without_peer(const struct multiaddr *address, struct multiaddr *ret_address) {
    size_t before_size;
    bool has_peer = part_last(address, &before_size).code == MULTIADDR_P2P;
    struct multiaddr shorter = *address;
    if (has_peer) {
        shorter.size = (uint16_t)before_size;
    }
    *ret_address = shorter;
}
