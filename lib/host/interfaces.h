/* The machine's own IP addresses. */
#ifndef HOST_INTERFACES_H
#define HOST_INTERFACES_H

#include "util/netaddr.h"

/* Fills in what a socket bound to `bound` can be reached at: itself, or for the unspecified address
 * those of all interfaces of its family that are up; link-local ones are left out, loopback ones
 * too where there is anything else. The port is that of `bound`. Returns how many. */
size_t interfaces_reachable(const struct netaddr *bound, struct netaddr *ret_addresses,
                            size_t count_max);

#endif
