/* Between our addresses and the operating system's. */
#ifndef HOST_SOCKADDR_H
#define HOST_SOCKADDR_H

#include <sys/socket.h>

#include "util/netaddr.h"

/* Fills `ret_storage` and returns the size to give with it. */
socklen_t sockaddr_from_netaddr(const struct netaddr *address,
                                struct sockaddr_storage *ret_storage);
/* PLASM_UNSUPPORTED for families other than IPv4 and IPv6. */
MUST_CHECK int sockaddr_to_netaddr(const struct sockaddr *address, struct netaddr *ret_address);

#endif
