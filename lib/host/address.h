/* Addresses as people write them: multiaddrs, or host[:port]. */
#ifndef HOST_ADDRESS_H
#define HOST_ADDRESS_H

#include "wire/multiaddr.h"

/* The port that is meant where none is written. */
#define ADDRESS_PORT_DEFAULT 4001

/* Takes a multiaddr, or "host", "host:port", "192.0.2.1:4001", "[2001:db8::1]:4001" and makes
 * /…/udp/port of it, which peer_connect() takes for QUIC and TCP at this port. PLASM_MALFORMED,
 * PLASM_UNSUPPORTED, PLASM_TOO_LARGE. */
MUST_CHECK int address_parse(struct bytes text, struct multiaddr *ret_address);

#endif
