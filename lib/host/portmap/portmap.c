/* When to ask the router, and who hears of its answers. */
#include "host/portmap/portmap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/portmap/internal.h"
#include "util/error.h"

#define REFRESH_MS 2000

struct portmap {
    void (*on_result)(void *context, const struct portmap_result *result);
    void *context;
    size_t count;
    struct portmap_port ports[PORTMAP_PORTS_MAX];
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_work_t work;
    bool working;        /* a thread has `answer` and reads `mapped`; nobody else touches them */
    bool again;          /* ask once more as soon as it is done */
    atomic_bool closing; /* the thread looks at it: a process that ends does not wait for more */
    bool timer_closed;
    struct portmap_result mapped; /* what the router does for us now */
    struct portmap_result answer;
};

const char *portmap_method_name(enum portmap_method method) {
    static const char *const names[] = {"none", "UPnP", "NAT-PMP"};
    return names[method];
}

static void unmap(const struct portmap_result *mapped) {
    if (mapped->method == PORTMAP_UPNP) {
        upnp_unmap(mapped);
    } else if (mapped->method == PORTMAP_NATPMP) {
        natpmp_unmap(mapped);
    }
}

/* --- on a thread ------------------------------------------------------------------------------ */

/* NAT-PMP first: who does not do it is found out within a second, with UPnP it takes five. */
static void do_map(uv_work_t *work) {
    struct portmap *portmap = work->data;
    memset(&portmap->answer, 0, sizeof(portmap->answer));
    if (!natpmp_map(portmap->ports, portmap->count, &portmap->answer) && !portmap->closing) {
        (void)upnp_map(portmap->ports, portmap->count, &portmap->answer);
    }
}

static void do_unmap(uv_work_t *work) {
    struct portmap *portmap = work->data;
    unmap(&portmap->mapped);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void begin(struct portmap *portmap);

static void free_when_done(struct portmap *portmap) {
    if (portmap->timer_closed && !portmap->working) {
        free(portmap);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct portmap *portmap = handle->data;
    portmap->timer_closed = true;
    free_when_done(portmap);
}

static void on_timer(uv_timer_t *timer) {
    begin(timer->data);
}

static void after_unmap(uv_work_t *work, int status) {
    (void)status;
    struct portmap *portmap = work->data;
    portmap->working = false;
    free_when_done(portmap);
}

/* No thread is at work and none will be wanted but this one. */
static void take_back(struct portmap *portmap) {
    if (portmap->mapped.count > 0 &&
        uv_queue_work(portmap->loop, &portmap->work, do_unmap, after_unmap) == 0) {
        portmap->working = true;
    }
}

static void after_map(uv_work_t *work, int status) {
    (void)status;
    struct portmap *portmap = work->data;
    portmap->working = false;
    portmap->mapped = portmap->answer;
    if (portmap->closing) {
        take_back(portmap);
        free_when_done(portmap);
        return;
    }
    portmap->on_result(portmap->context, &portmap->mapped);
    uint64_t pause_s = portmap->mapped.count > 0 ? PORTMAP_LIFE_S / 2 : PORTMAP_RETRY_S;
    uint64_t pause_ms = portmap->again ? REFRESH_MS : pause_s * 1000;
    portmap->again = false;
    (void)uv_timer_start(&portmap->timer, on_timer, pause_ms, 0);
}

static void begin(struct portmap *portmap) {
    if (uv_queue_work(portmap->loop, &portmap->work, do_map, after_map) == 0) {
        portmap->working = true;
    }
}

int portmap_new(uv_loop_t *loop, const struct portmap_port *ports, size_t count,
                void (*on_result)(void *context, const struct portmap_result *result),
                void *context, struct portmap **ret_portmap) {
    if (count == 0 || count > PORTMAP_PORTS_MAX) {
        return PLASM_INVALID;
    }
    struct portmap *portmap = calloc(1, sizeof(*portmap));
    if (portmap == NULL) {
        return PLASM_NO_MEMORY;
    }
    portmap->loop = loop;
    portmap->on_result = on_result;
    portmap->context = context;
    portmap->count = count;
    memcpy(portmap->ports, ports, count * sizeof(*ports));
    portmap->work.data = portmap;
    if (uv_timer_init(loop, &portmap->timer) != 0) {
        free(portmap);
        return PLASM_IO;
    }
    portmap->timer.data = portmap;
    begin(portmap);
    *ret_portmap = portmap;
    return 0;
}

void portmap_refresh(struct portmap *portmap) {
    if (portmap->working) {
        portmap->again = true;
    } else {
        (void)uv_timer_start(&portmap->timer, on_timer, REFRESH_MS, 0);
    }
}

void portmap_free(struct portmap *portmap) {
    if (portmap == NULL) {
        return;
    }
    portmap->closing = true;
    uv_close((uv_handle_t *)&portmap->timer, on_closed);
    if (!portmap->working) {
        take_back(portmap);
    }
}
