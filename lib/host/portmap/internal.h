/* What the files of portmap share: calls that block, made from a thread. */
#ifndef HOST_PORTMAP_INTERNAL_H
#define HOST_PORTMAP_INTERNAL_H

#include "host/portmap/portmap.h"

/* The router's IPv4 address in network order, 0 where that is left to the libraries; false when
 * there is no way out of this network. The libraries are not asked then: they would complain on
 * standard error. */
bool portmap_gateway(uint32_t *ret_gateway);
/* True when at least one port is mapped; else `result->text` may say why not. */
bool upnp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result);
void upnp_unmap(const struct portmap_result *mapped);
bool natpmp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result);
void natpmp_unmap(const struct portmap_result *mapped);

#endif
