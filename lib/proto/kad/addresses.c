/* Packing addresses and telling which networks they lie in. */
#include "proto/kad/addresses.h"

#include "wire/multiaddr.h"

/* Makes a group number differ from 0, which is no group. */
#define GROUP_SET UINT32_C(0x80000000)
/* Of peers known by names alone: no /16 has this number. */
#define GROUP_NAMES (GROUP_SET | UINT32_C(0x10000))

static const uint8_t ip4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool kad_address_next(struct bytes *packed, struct bytes *ret_address) {
    if (packed->size == 0) {
        return false;
    }
    size_t size = packed->data[0];
    *ret_address = bytes_slice(*packed, 1, size);
    *packed = bytes_slice(*packed, 1 + size, SIZE_MAX);
    return true;
}

static bool addresses_have(const struct kad_addresses *addresses, struct bytes address) {
    struct bytes packed = kad_addresses_bytes(addresses);
    struct bytes other;
    while (kad_address_next(&packed, &other)) {
        if (bytes_equal(other, address)) {
            return true;
        }
    }
    return false;
}

bool kad_addresses_add(struct kad_addresses *addresses, const struct peer_id *peer,
                       struct bytes address) {
    struct multiaddr decoded;
    if (multiaddr_decode(address, &decoded) != 0) {
        return false;
    }
    struct bytes named = multiaddr_peer_id(&decoded);
    if (named.size > 0 && !bytes_equal(named, peer_id_bytes(peer))) {
        return false;
    }
    struct multiaddr bare;
    multiaddr_without_peer(&decoded, &bare);
    struct bytes bytes = multiaddr_bytes(&bare);
    if (bytes.size == 0 || bytes.size > KAD_ADDRESS_SIZE_MAX ||
        addresses->count == KAD_ADDRESSES_MAX ||
        addresses->size + 1 + bytes.size > sizeof(addresses->data) ||
        addresses_have(addresses, bytes)) {
        return false;
    }
    addresses->data[addresses->size] = (uint8_t)bytes.size;
    memcpy(addresses->data + addresses->size + 1, bytes.data, bytes.size);
    addresses->size = (uint16_t)(addresses->size + 1 + bytes.size);
    addresses->count++;
    return true;
}

/* IP and a transport of ours, nothing that makes it long. */
static bool address_is_plain(struct bytes address) {
    struct cursor cursor = cursor_of(address);
    struct multiaddr_part part;
    while (multiaddr_next(&cursor, &part)) {
        switch (part.code) {
        case MULTIADDR_IP4:
        case MULTIADDR_IP6:
        case MULTIADDR_TCP:
        case MULTIADDR_UDP:
        case MULTIADDR_QUIC_V1:
        case MULTIADDR_P2P:
            break;
        default:
            return false;
        }
    }
    return true;
}

void kad_addresses_add_list(struct kad_addresses *addresses, const struct peer_id *peer,
                            const struct bytes *list, size_t count) {
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            if (address_is_plain(list[i]) == (round == 0)) {
                (void)kad_addresses_add(addresses, peer, list[i]);
            }
        }
    }
}

/* The address's own first component as an IP; family NETADDR_NONE for names. */
static struct netaddr address_ip(struct bytes address) {
    struct netaddr ip = {.family = NETADDR_NONE};
    struct cursor cursor = cursor_of(address);
    struct multiaddr_part part;
    if (!multiaddr_next(&cursor, &part)) {
        return ip;
    }
    if (part.code == MULTIADDR_IP4 && part.value.size == 4) {
        ip.family = NETADDR_IP4;
    } else if (part.code == MULTIADDR_IP6 && part.value.size == 16) {
        ip.family = NETADDR_IP6;
    } else {
        return ip;
    }
    memcpy(ip.ip, part.value.data, part.value.size);
    return ip;
}

bool kad_address_is_private(struct bytes address) {
    struct netaddr ip = address_ip(address);
    return ip.family != NETADDR_NONE && (netaddr_is_private(&ip) || netaddr_is_unspecified(&ip));
}

/* Sets the group of a public address where that family has none yet. */
static void groups_add(struct kad_groups *groups, const struct netaddr *address) {
    struct netaddr ip = *address;
    if (ip.family == NETADDR_IP6 && memcmp(ip.ip, ip4_mapped, sizeof(ip4_mapped)) == 0) {
        memmove(ip.ip, ip.ip + sizeof(ip4_mapped), 4);
        memset(ip.ip + 4, 0, sizeof(ip.ip) - 4);
        ip.family = NETADDR_IP4;
    }
    if (ip.family == NETADDR_NONE || netaddr_is_private(&ip) || netaddr_is_unspecified(&ip)) {
        return;
    }
    struct cursor cursor = cursor_of(bytes_of(ip.ip, sizeof(ip.ip)));
    if (ip.family == NETADDR_IP4 && groups->ip4 == 0) {
        groups->ip4 = GROUP_SET | cursor_u16(&cursor);
    } else if (ip.family == NETADDR_IP6 && groups->ip6 == 0) {
        /* Global unicast begins with the bits 001, so the first bit tells nothing. */
        groups->ip6 = GROUP_SET | cursor_u32(&cursor);
    }
}

struct kad_groups kad_groups_of(const struct netaddr *remote, struct bytes packed) {
    struct kad_groups groups = {0};
    if (remote != NULL && remote->family != NETADDR_NONE) {
        groups_add(&groups, remote);
        return groups;
    }
    struct bytes address;
    bool has_ip = packed.size == 0;
    while (kad_address_next(&packed, &address)) {
        struct netaddr ip = address_ip(address);
        has_ip |= ip.family != NETADDR_NONE;
        groups_add(&groups, &ip);
    }
    if (!has_ip) {
        groups.ip4 = GROUP_NAMES;
    }
    return groups;
}
