/* Comparing, classifying and spelling IP addresses. */
#include "util/netaddr.h"

#include <arpa/inet.h>
#include <stdio.h>

bool netaddr_equal_ip(const struct netaddr *a, const struct netaddr *b) {
    return a->family == b->family && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool netaddr_equal(const struct netaddr *a, const struct netaddr *b) {
    return a->port == b->port && netaddr_equal_ip(a, b);
}

struct bytes netaddr_ip(const struct netaddr *address) {
    size_t size = 0;
    if (address->family == NETADDR_IP4) {
        size = 4;
    } else if (address->family == NETADDR_IP6) {
        size = 16;
    }
    return bytes_of(address->ip, size);
}

/* The four bytes of an IPv4 address, also of one that hides in IPv6 (RFC 4291, section 2.5.5.2):
 * to a dual-stack socket both are the same. NULL for any other. */
static const uint8_t *netaddr_ip4(const struct netaddr *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family == NETADDR_IP4) {
        return address->ip;
    }
    bool hides = address->family == NETADDR_IP6 && memcmp(address->ip, mapped, 12) == 0;
    return hides ? address->ip + 12 : NULL;
}

bool netaddr_is_loopback(const struct netaddr *address) {
    static const uint8_t loopback6[16] = {[15] = 1};
    const uint8_t *ip = netaddr_ip4(address);
    if (ip != NULL) {
        return ip[0] == 127;
    }
    return address->family == NETADDR_IP6 && memcmp(address->ip, loopback6, 16) == 0;
}

bool netaddr_is_unspecified(const struct netaddr *address) {
    static const uint8_t zeros[16];
    const uint8_t *ip = netaddr_ip4(address);
    if (ip != NULL) {
        return memcmp(ip, zeros, 4) == 0;
    }
    return memcmp(address->ip, zeros, sizeof(zeros)) == 0;
}

bool netaddr_is_private(const struct netaddr *address) {
    const uint8_t *ip = netaddr_ip4(address);
    if (netaddr_is_loopback(address)) {
        return true;
    }
    if (ip != NULL) {
        return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
               (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254);
    }
    ip = address->ip;
    return (ip[0] & 0xfe) == 0xfc || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

enum netaddr_scope netaddr_scope(const struct netaddr *address) {
    const uint8_t *ip = netaddr_ip4(address);
    if (address->family == NETADDR_NONE || netaddr_is_unspecified(address)) {
        return NETADDR_NOWHERE;
    }
    if (netaddr_is_loopback(address)) {
        return NETADDR_LOOPBACK;
    }
    if (ip != NULL) {
        if (ip[0] == 0 || ip[0] >= 224) {
            return NETADDR_NOWHERE;
        }
        if (ip[0] == 169 && ip[1] == 254) {
            return NETADDR_LINK;
        }
        bool carrier = ip[0] == 100 && (ip[1] & 0xc0) == 64;
        return carrier || netaddr_is_private(address) ? NETADDR_SITE : NETADDR_GLOBAL;
    }
    ip = address->ip;
    if (ip[0] == 0xff) {
        return NETADDR_NOWHERE;
    }
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) {
        return NETADDR_LINK;
    }
    return netaddr_is_private(address) ? NETADDR_SITE : NETADDR_GLOBAL;
}

void netaddr_format_ip(const struct netaddr *address, char *room) {
    int family = address->family == NETADDR_IP6 ? AF_INET6 : AF_INET;
    if (inet_ntop(family, address->ip, room, NETADDR_TEXT_MAX) == NULL) {
        room[0] = '\0';
    }
}

void netaddr_format(const struct netaddr *address, char *room) {
    char ip[NETADDR_TEXT_MAX];
    netaddr_format_ip(address, ip);
    bool six = address->family == NETADDR_IP6;
    snprintf(room, NETADDR_TEXT_MAX, six ? "[%.46s]:%u" : "%.46s:%u", ip, (unsigned)address->port);
}

int netaddr_parse_ip(struct bytes text, struct netaddr *ret_address) {
    char string[NETADDR_TEXT_MAX];
    if (bytes_to_string(text, string, sizeof(string)) != 0) {
        return PLASM_MALFORMED;
    }
    struct netaddr address = {.family = NETADDR_IP4};
    if (inet_pton(AF_INET, string, address.ip) != 1) {
        address = (struct netaddr){.family = NETADDR_IP6};
        if (inet_pton(AF_INET6, string, address.ip) != 1) {
            return PLASM_MALFORMED;
        }
    }
    *ret_address = address;
    return 0;
}
