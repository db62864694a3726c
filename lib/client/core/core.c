/* The core as a whole: who gets which event, and when what is due. */
#include "client/core/internal.h"

#define TRIED_SIZE_MAX 8192

int core_new(const struct core_config *config, struct core **ret_core) {
    struct core *core = memory_zero(config->memory, sizeof(*core));
    if (core == NULL) {
        return PLASM_NO_MEMORY;
    }
    core->config = *config;
    core->memory = config->memory;
    list_init(&core->nodes);
    list_init(&core->candidates);
    list_init(&core->jobs);
    buffer_init(&core->tried, core->memory, TRIED_SIZE_MAX);
    core->discovery.done = true;
    *ret_core = core;
    return 0;
}

void core_free(struct core *core) {
    if (core == NULL) {
        return;
    }
    discovery_free(core);
    buffer_done(&core->tried);
    memory_put(core->memory, core, sizeof(*core));
}

/* Jobs without a named node take what discovery found as soon as it did. */
static void serve_waiting_jobs(struct core *core, nanos now) {
    struct list_node *node = list_first(&core->jobs);
    while (node != NULL) {
        struct core_job *job = CONTAINER_OF(node, struct core_job, node);
        node = list_next(&core->jobs, node);
        if (job->state == CORE_JOB_DISCOVERING) {
            job_discovered(job, now);
        }
    }
}

void core_handle(struct core *core, const struct peer_event *event, nanos now, int64_t unix_ms) {
    core->now = now;
    discovery_handle(core, event, now, unix_ms);
    struct list_node *node = list_first(&core->jobs);
    while (node != NULL) {
        struct core_job *job = CONTAINER_OF(node, struct core_job, node);
        node = list_next(&core->jobs, node);
        job_handle(job, event, now);
    }
    serve_waiting_jobs(core, now);
}

nanos core_deadline(const struct core *core) {
    nanos deadline = discovery_deadline(core);
    for (struct list_node *node = list_first(&core->jobs); node != NULL;
         node = list_next(&core->jobs, node)) {
        struct core_job *job = CONTAINER_OF(node, struct core_job, node);
        if (job->state < CORE_JOB_ACCEPTED) {
            deadline = nanos_min(deadline, job->deadline);
            if (job->waits == WAIT_NETWORK && core->now < core->nearby_until) {
                deadline = nanos_min(deadline, core->nearby_until);
            }
        }
    }
    return deadline;
}

void core_expire(struct core *core, nanos now) {
    core->now = now;
    discovery_expire(core, now);
    serve_waiting_jobs(core, now);
    struct list_node *node = list_first(&core->jobs);
    while (node != NULL) {
        struct core_job *job = CONTAINER_OF(node, struct core_job, node);
        node = list_next(&core->jobs, node);
        job_expire(job, now);
    }
}
