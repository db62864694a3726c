/* What the files of portmap share: calls that block, made from a thread. */
#ifndef HOST_PORTMAP_INTERNAL_H
#define HOST_PORTMAP_INTERNAL_H

#include "host/portmap/portmap.h"

/* True when at least one port is mapped; else `result->text` may say why not. */
bool upnp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result);
void upnp_unmap(const struct portmap_result *mapped);
bool natpmp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result);
void natpmp_unmap(const struct portmap_result *mapped);

#endif
