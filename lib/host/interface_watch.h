/* Says when the machine's addresses change: a cable, another WLAN, a VPN. By netlink on Linux, by
 * looking again every few seconds elsewhere and where netlink is refused. */
#ifndef HOST_INTERFACE_WATCH_H
#define HOST_INTERFACE_WATCH_H

#include <uv.h>

#include "util/compiler.h"
#include "util/error.h"

struct interface_watch;

/* `on_change` comes from the loop, once for what changes within a moment. PLASM_NO_MEMORY,
 * PLASM_IO. */
MUST_CHECK int interface_watch_new(uv_loop_t *loop, void (*on_change)(void *context), void *context,
                                   struct interface_watch **ret_watch);
/* Freed once the loop lets go of its handles. NULL is allowed. */
void interface_watch_free(struct interface_watch *watch);

#endif
