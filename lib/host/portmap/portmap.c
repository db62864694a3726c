/* When to ask the router, and who hears of its answers. */
#include "host/portmap/portmap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/portmap/internal.h"
#include "util/error.h"

#define REFRESH_MS 2000

/* What a thread does. It is the thread's once it was given up: a process that ends does not wait
 * for a router that does not answer. */
struct portmap_job {
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool given_up;
    bool ended;
    uv_async_t *wake; /* while it was not given up */
    bool unmaps;
    size_t count;
    struct portmap_port ports[PORTMAP_PORTS_MAX];
    struct portmap_result result; /* the answer; what to unmap */
};

struct portmap {
    void (*on_result)(void *context, const struct portmap_result *result);
    void *context;
    size_t count;
    struct portmap_port ports[PORTMAP_PORTS_MAX];
    uv_timer_t timer;
    uv_async_t wake;
    size_t handles; /* open */
    struct portmap_job *job;
    bool again;                   /* ask once more as soon as it is done */
    struct portmap_result mapped; /* what the router does for us now */
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

static bool is_given_up(struct portmap_job *job) {
    (void)pthread_mutex_lock(&job->lock);
    bool given_up = job->given_up;
    (void)pthread_mutex_unlock(&job->lock);
    return given_up;
}

static void job_free(struct portmap_job *job) {
    (void)pthread_cond_destroy(&job->end);
    (void)pthread_mutex_destroy(&job->lock);
    free(job);
}

/* NAT-PMP first: who does not do it is found out within a second, with UPnP it takes five. */
static void map(struct portmap_job *job) {
    uint32_t gateway;
    if (!portmap_gateway(&gateway)) {
        (void)snprintf(job->result.text, PORTMAP_TEXT_MAX, "no route to a router");
    } else if (!natpmp_map(job->ports, job->count, &job->result) && !is_given_up(job)) {
        (void)upnp_map(job->ports, job->count, &job->result);
    }
}

static void *run(void *context) {
    struct portmap_job *job = context;
    if (job->unmaps) {
        unmap(&job->result);
    } else {
        map(job);
    }
    (void)pthread_mutex_lock(&job->lock);
    bool given_up = job->given_up;
    job->ended = true;
    (void)pthread_cond_signal(&job->end);
    if (!given_up && !job->unmaps) {
        (void)uv_async_send(job->wake);
    }
    (void)pthread_mutex_unlock(&job->lock);
    if (given_up) {
        if (!job->unmaps) { /* nobody else knows of these */
            unmap(&job->result);
        }
        job_free(job);
    }
    return NULL;
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void begin(struct portmap *portmap);

static struct portmap_job *job_start(struct portmap *portmap, bool unmaps) {
    struct portmap_job *job = calloc(1, sizeof(*job));
    pthread_t thread;
    if (job == NULL) {
        return NULL;
    }
    job->wake = &portmap->wake;
    job->unmaps = unmaps;
    job->count = portmap->count;
    memcpy(job->ports, portmap->ports, sizeof(job->ports));
    if (unmaps) {
        job->result = portmap->mapped;
    }
    (void)pthread_mutex_init(&job->lock, NULL);
    (void)pthread_cond_init(&job->end, NULL);
    if (pthread_create(&thread, NULL, run, job) != 0) {
        job_free(job);
        return NULL;
    }
    (void)pthread_detach(thread);
    return job;
}

static void job_give_up(struct portmap_job *job) {
    (void)pthread_mutex_lock(&job->lock);
    bool ended = job->ended;
    job->given_up = true;
    (void)pthread_mutex_unlock(&job->lock);
    if (ended) { /* the thread does not look at it any more */
        job_free(job);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct portmap *portmap = handle->data;
    if (--portmap->handles == 0) {
        free(portmap);
    }
}

static void on_timer(uv_timer_t *timer) {
    begin(timer->data);
}

static void on_ended(uv_async_t *wake) {
    struct portmap *portmap = wake->data;
    struct portmap_job *job = portmap->job;
    if (job == NULL || uv_is_closing((uv_handle_t *)wake)) {
        return;
    }
    portmap->mapped = job->result;
    portmap->job = NULL;
    job_give_up(job);
    portmap->on_result(portmap->context, &portmap->mapped);
    uint64_t pause_s = portmap->mapped.count > 0 ? PORTMAP_LIFE_S / 2 : PORTMAP_RETRY_S;
    uint64_t pause_ms = portmap->again ? REFRESH_MS : pause_s * 1000;
    portmap->again = false;
    (void)uv_timer_start(&portmap->timer, on_timer, pause_ms, 0);
}

static void begin(struct portmap *portmap) {
    portmap->job = job_start(portmap, false);
    if (portmap->job == NULL) {
        (void)uv_timer_start(&portmap->timer, on_timer, (uint64_t)PORTMAP_RETRY_S * 1000, 0);
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
    portmap->on_result = on_result;
    portmap->context = context;
    portmap->count = count;
    memcpy(portmap->ports, ports, count * sizeof(*ports));
    if (uv_async_init(loop, &portmap->wake, on_ended) != 0) {
        free(portmap);
        return PLASM_IO;
    }
    (void)uv_timer_init(loop, &portmap->timer); /* cannot fail */
    portmap->timer.data = portmap->wake.data = portmap;
    portmap->handles = 2;
    begin(portmap);
    *ret_portmap = portmap;
    return 0;
}

void portmap_refresh(struct portmap *portmap) {
    if (portmap->job != NULL) {
        portmap->again = true;
    } else {
        (void)uv_timer_start(&portmap->timer, on_timer, REFRESH_MS, 0);
    }
}

/* Waits for the thread, but not long. */
static void job_await(struct portmap_job *job) {
    struct timespec until;
    int error = clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PORTMAP_FAREWELL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&job->lock);
    while (!job->ended && error == 0) {
        error = pthread_cond_timedwait(&job->end, &job->lock, &until);
    }
    (void)pthread_mutex_unlock(&job->lock);
}

void portmap_free(struct portmap *portmap) {
    if (portmap == NULL) {
        return;
    }
    if (portmap->job != NULL) { /* the thread takes back what it gets */
        job_give_up(portmap->job);
        portmap->job = NULL;
    }
    struct portmap_job *job = portmap->mapped.count > 0 ? job_start(portmap, true) : NULL;
    if (job != NULL) {
        job_await(job);
        job_give_up(job);
    }
    uv_close((uv_handle_t *)&portmap->timer, on_closed);
    uv_close((uv_handle_t *)&portmap->wake, on_closed);
}
