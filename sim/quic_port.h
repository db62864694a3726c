/* The real bytes of QUIC over the virtual network: an endpoint whose socket is simulated. */
#ifndef SIM_QUIC_PORT_H
#define SIM_QUIC_PORT_H

#include "crypto/sign.h"
#include "network.h"
#include "peer/transport.h"

struct quic_port;

/* An endpoint at the site, which it occupies until it is freed. */
struct quic_port *quic_port_new(struct network *network, struct site *site,
                                const struct ed25519_secret *identity, struct memory *memory);
struct transport *quic_port_transport(struct quic_port *port);
/* Puts what the endpoint wants to send on its way. */
void quic_port_flush(struct quic_port *port);
/* Without a word to anybody. */
void quic_port_free(struct quic_port *port);

#endif
