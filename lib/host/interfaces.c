/* What a wildcard address stands for. */
#include "host/interfaces.h"

#include <uv.h>

#include "host/sockaddr.h"

static bool is_link_local(const struct netaddr *address) {
    if (address->family == NETADDR_IP4) {
        return address->ip[0] == 169 && address->ip[1] == 254;
    }
    return address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

static size_t collect(const uv_interface_address_t *interfaces, int interface_count,
                      const struct netaddr *bound, bool loopback, struct netaddr *ret_addresses,
                      size_t count_max) {
    size_t count = 0;
    for (int i = 0; i < interface_count && count < count_max; i++) {
        struct netaddr address;
        const struct sockaddr *sockaddr =
            (const struct sockaddr *)(const void *)&interfaces[i].address;
        if (sockaddr_to_netaddr(sockaddr, &address) != 0 || address.family != bound->family ||
            is_link_local(&address) || netaddr_is_loopback(&address) != loopback) {
            continue;
        }
        address.port = bound->port;
        address.scope = 0;
        ret_addresses[count++] = address;
    }
    return count;
}

size_t interfaces_reachable(const struct netaddr *bound, struct netaddr *ret_addresses,
                            size_t count_max) {
    if (!netaddr_is_unspecified(bound)) {
        ret_addresses[0] = *bound;
        return count_max > 0;
    }
    uv_interface_address_t *interfaces;
    int interface_count;
    if (uv_interface_addresses(&interfaces, &interface_count) != 0) {
        return 0;
    }
    size_t count = collect(interfaces, interface_count, bound, false, ret_addresses, count_max);
    if (count == 0) {
        count = collect(interfaces, interface_count, bound, true, ret_addresses, count_max);
    }
    uv_free_interface_addresses(interfaces, interface_count);
    return count;
}
