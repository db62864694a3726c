/* Asks the router to forward ports to us: by NAT-PMP, or UPnP IGD where that is not there. Both
 * libraries block, so they run on threads of their own; answers come from the loop. Mappings are
 * renewed at half their life, tried again later where there is no router that does it, and removed
 * at the end. */
#ifndef HOST_PORTMAP_PORTMAP_H
#define HOST_PORTMAP_PORTMAP_H

#include <uv.h>

#include "util/compiler.h"
#include "util/netaddr.h"

#define PORTMAP_PORTS_MAX 8
#define PORTMAP_TEXT_MAX  160
#define PORTMAP_URL_MAX   512
/* Life that is asked for; renewed at half of it. */
#define PORTMAP_LIFE_S 3600
/* Looked again for a router so often while there is none. */
#define PORTMAP_RETRY_S 600
/* Removing them at the end takes no longer; what is not removed then ends with its life. */
#define PORTMAP_FAREWELL_MS 800

struct portmap;

struct portmap_port {
    bool tcp;
    uint16_t port; /* where we listen */
};

enum portmap_method { PORTMAP_NONE, PORTMAP_UPNP, PORTMAP_NATPMP };

struct portmap_result {
    enum portmap_method method; /* NONE: no router does it; `text` says what was tried */
    size_t count;
    struct portmap_port ports[PORTMAP_PORTS_MAX]; /* those that are mapped, */
    struct netaddr external[PORTMAP_PORTS_MAX];   /* and where they are outside */
    char text[PORTMAP_TEXT_MAX];                  /* for people */
    char control_url[PORTMAP_URL_MAX];            /* UPnP: whom to tell that they are not wanted */
    char service[PORTMAP_TEXT_MAX];
};

/* Begins at once. `on_result` comes from the loop whenever the router has answered anew; its result
 * is borrowed. PLASM_NO_MEMORY, PLASM_IO, PLASM_INVALID (no ports, or too many). */
MUST_CHECK int portmap_new(uv_loop_t *loop, const struct portmap_port *ports, size_t count,
                           void (*on_result)(void *context, const struct portmap_result *result),
                           void *context, struct portmap **ret_portmap);
/* The network is another one: asks anew soon. */
void portmap_refresh(struct portmap *portmap);
/* Removes the mappings, waiting PORTMAP_FAREWELL_MS at most for the router, and frees everything
 * once the loop has run again. No result comes any more. NULL is allowed. */
void portmap_free(struct portmap *portmap);
const char *portmap_method_name(enum portmap_method method);

#endif
