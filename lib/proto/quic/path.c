/* Addresses to and from the system's form. The headers for it come with ngtcp2. */
#include "proto/quic/path.h"

#include "util/ensure.h"

ngtcp2_socklen path_sockaddr(const struct netaddr *address, ngtcp2_sockaddr_union *ret_sockaddr) {
    memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
    if (address->family == NETADDR_IP6) {
        ngtcp2_sockaddr_in6 *in6 = &ret_sockaddr->in6;
        in6->sin6_family = NGTCP2_AF_INET6;
        in6->sin6_port = htons(address->port);
        in6->sin6_scope_id = address->scope;
        memcpy(&in6->sin6_addr, address->ip, 16);
        return sizeof(*in6);
    }
    ngtcp2_sockaddr_in *in = &ret_sockaddr->in;
    in->sin_family = NGTCP2_AF_INET;
    in->sin_port = htons(address->port);
    memcpy(&in->sin_addr, address->ip, 4);
    return sizeof(*in);
}

void path_init(struct quic_path *path) {
    path->path = (ngtcp2_path){
        .local = {.addr = &path->local.sa, .addrlen = sizeof(path->local)},
        .remote = {.addr = &path->remote.sa, .addrlen = sizeof(path->remote)},
    };
}

void path_set(struct quic_path *path, const struct netaddr *local, const struct netaddr *remote) {
    path_init(path);
    path->path.local.addrlen = path_sockaddr(local, &path->local);
    path->path.remote.addrlen = path_sockaddr(remote, &path->remote);
}

static struct netaddr netaddr_of(const ngtcp2_addr *address) {
    struct netaddr result = {.family = NETADDR_NONE};
    if (address->addr->sa_family == NGTCP2_AF_INET6) {
        ngtcp2_sockaddr_in6 in6;
        ENSURE(address->addrlen >= sizeof(in6));
        memcpy(&in6, address->addr, sizeof(in6));
        result.family = NETADDR_IP6;
        result.port = ntohs(in6.sin6_port);
        result.scope = in6.sin6_scope_id;
        memcpy(result.ip, &in6.sin6_addr, 16);
    } else {
        ngtcp2_sockaddr_in in;
        ENSURE(address->addrlen >= sizeof(in));
        memcpy(&in, address->addr, sizeof(in));
        result.family = NETADDR_IP4;
        result.port = ntohs(in.sin_port);
        memcpy(result.ip, &in.sin_addr, 4);
    }
    return result;
}

void path_addresses(const ngtcp2_path *path, struct netaddr *ret_local,
                    struct netaddr *ret_remote) {
    *ret_local = netaddr_of(&path->local);
    *ret_remote = netaddr_of(&path->remote);
}
