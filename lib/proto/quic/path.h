/* Between our addresses and ngtcp2's, which are the system's. */
#ifndef QUIC_PATH_H
#define QUIC_PATH_H

#include "proto/quic/ngtcp2_compat.h"
#include "util/netaddr.h"

/* A path and the addresses it points to. */
struct quic_path {
    ngtcp2_path path;
    ngtcp2_sockaddr_union local;
    ngtcp2_sockaddr_union remote;
};

/* `path` must not be moved afterwards: it points into itself. */
void path_set(struct quic_path *path, const struct netaddr *local, const struct netaddr *remote);
void path_addresses(const ngtcp2_path *path, struct netaddr *ret_local, struct netaddr *ret_remote);
/* Room for ngtcp2 to write a path to. */
void path_init(struct quic_path *path);
ngtcp2_socklen path_sockaddr(const struct netaddr *address, ngtcp2_sockaddr_union *ret_sockaddr);

#endif
