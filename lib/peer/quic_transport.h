/* QUIC as a transport: one endpoint, which is one UDP socket. Datagrams go to the endpoint and come
 * from it directly; this only translates connections, streams and events. */
#ifndef PEER_QUIC_TRANSPORT_H
#define PEER_QUIC_TRANSPORT_H

#include "peer/transport.h"
#include "proto/quic/quic.h"

/* `endpoint` is borrowed and must outlive it. PLASM_NO_MEMORY. */
MUST_CHECK int quic_transport_new(struct quic_endpoint *endpoint, const struct netaddr *local,
                                  struct memory *memory, struct transport **ret_transport);
/* After the endpoint is freed, or when it has no connections any more. */
void quic_transport_free(struct transport *transport);

#endif
