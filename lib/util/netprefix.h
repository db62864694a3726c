/* An IP prefix, "203.0.113.0/24" or "2001:db8::/32". */
#ifndef UTIL_NETPREFIX_H
#define UTIL_NETPREFIX_H

#include "util/netaddr.h"

struct netprefix {
    struct netaddr address;
    uint8_t bits;
};

/* With or without "/bits"; without, it is one address. PLASM_MALFORMED. */
MUST_CHECK int netprefix_parse(struct bytes text, struct netprefix *ret_prefix);
/* An IPv4 address inside an IPv6 one (::ffff:10.0.0.1) is what it is. */
bool netprefix_has(const struct netprefix *prefix, const struct netaddr *address);

#endif
