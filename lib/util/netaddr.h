/* An IP address and port, as protocols see them; only host/ turns it into a sockaddr. */
#ifndef UTIL_NETADDR_H
#define UTIL_NETADDR_H

#include "util/bytes.h"

enum netaddr_family { NETADDR_NONE = 0, NETADDR_IP4 = 4, NETADDR_IP6 = 6 };

/* IPv4 takes the first four bytes of `ip`, the rest are zero. Plain data: compare with
 * netaddr_equal, copy by value. */
struct netaddr {
    uint8_t ip[16]; /* network order */
    uint32_t scope; /* IPv6 zone index, 0 for none */
    uint16_t port;  /* host order */
    uint8_t family; /* enum netaddr_family */
};

/* "[2001:db8::1]:65535" with zone and NUL. */
#define NETADDR_TEXT_MAX 64

bool netaddr_equal(const struct netaddr *a, const struct netaddr *b);
/* Same address, any port. */
bool netaddr_equal_ip(const struct netaddr *a, const struct netaddr *b);
/* The bytes of the IP address: 4, 16 or 0. */
struct bytes netaddr_ip(const struct netaddr *address);
/* These three see an IPv4 address inside an IPv6 one (::ffff:10.0.0.1) as what it is. */
bool netaddr_is_loopback(const struct netaddr *address);
bool netaddr_is_unspecified(const struct netaddr *address);
/* RFC 1918, RFC 4193, link-local and loopback: not reachable from the Internet. */
bool netaddr_is_private(const struct netaddr *address);
/* How far an address reaches. */
enum netaddr_scope {
    NETADDR_NOWHERE, /* unspecified, multicast, reserved: nobody can be dialled there */
    NETADDR_LOOPBACK,
    NETADDR_LINK,   /* link-local */
    NETADDR_SITE,   /* RFC 1918, RFC 4193, RFC 6598 (a provider's NAT) */
    NETADDR_GLOBAL, /* the Internet, as far as the number tells */
};
enum netaddr_scope netaddr_scope(const struct netaddr *address);
/* "192.0.2.1:4001", "[::1]:4001". `room` holds NETADDR_TEXT_MAX. */
void netaddr_format(const struct netaddr *address, char *room);
/* "192.0.2.1" or "2001:db8::1" without port. PLASM_MALFORMED. */
MUST_CHECK int netaddr_parse_ip(struct bytes text, struct netaddr *ret_address);
/* The address alone, as netaddr_parse_ip takes it. `room` holds NETADDR_TEXT_MAX. */
void netaddr_format_ip(const struct netaddr *address, char *room);

#endif
