/* Conversions of socket addresses. */
#include "host/sockaddr.h"

#include <netinet/in.h>

socklen_t sockaddr_from_netaddr(const struct netaddr *address,
                                struct sockaddr_storage *ret_storage) {
    memset(ret_storage, 0, sizeof(*ret_storage));
    if (address->family == NETADDR_IP6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)ret_storage;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(address->port);
        six->sin6_scope_id = address->scope;
        memcpy(&six->sin6_addr, address->ip, sizeof(six->sin6_addr));
        return sizeof(*six);
    }
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)ret_storage;
    four->sin_family = AF_INET;
    four->sin_port = htons(address->port);
    memcpy(&four->sin_addr, address->ip, sizeof(four->sin_addr));
    return sizeof(*four);
}

int sockaddr_to_netaddr(const struct sockaddr *address, struct netaddr *ret_address) {
    struct netaddr result = {.family = NETADDR_NONE};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        result.family = NETADDR_IP4;
        result.port = ntohs(four->sin_port);
        memcpy(result.ip, &four->sin_addr, sizeof(four->sin_addr));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
        result.family = NETADDR_IP6;
        result.port = ntohs(six->sin6_port);
        result.scope = six->sin6_scope_id;
        memcpy(result.ip, &six->sin6_addr, sizeof(six->sin6_addr));
    } else {
        return PLASM_UNSUPPORTED;
    }
    *ret_address = result;
    return 0;
}
