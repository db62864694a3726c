/* Sockets' addresses as multiaddrs. */
#include "host/host.h"

void host_address_to_multiaddr(const struct host_address *address, struct multiaddr *ret_address) {
    if (address->is_tcp) {
        multiaddr_from_tcp(&address->netaddr, ret_address);
    } else {
        multiaddr_from_quic(&address->netaddr, ret_address);
    }
}

int host_address_from_multiaddr(const struct multiaddr *address, struct host_address *ret_address) {
    struct host_address result = {.is_tcp = false};
    struct bytes id;
    if (multiaddr_to_quic(address, &result.netaddr, &id) != 0) {
        result.is_tcp = true;
        if (multiaddr_to_tcp(address, &result.netaddr, &id) != 0) {
            return PLASM_UNSUPPORTED;
        }
    }
    *ret_address = result;
    return 0;
}
