/* From the first signal to the end of the loop. */
#include "plasmd/drain.h"

#include <stdio.h>

#include "plasmd/notify.h"
#include "plasmd/receipts.h"

static const char never_ran[] = "the worker was stopped before the job ran";
static const char cut_short[] = "the worker was stopped while the job ran";

static void set_deadline(struct worker *worker, nanos deadline) {
    if (heap_set(&worker->deadlines, &worker->drain.deadline.node, deadline) != 0) {
        uv_stop(&worker->loop);
    }
}

/* Each job but those that run fails; with `all` those, too, whatever their runners do. */
static void fail_jobs(struct worker *worker, bool all, nanos now) {
    struct map_node *node = map_next(&worker->jobs, NULL);
    while (node != NULL) {
        struct job *job = CONTAINER_OF(node, struct job, node);
        node = map_next(&worker->jobs, node);
        if (job->over && all) {
            job_give_up_reader(job, now);
        } else if (!job->over && job->phase != JOB_RUNNING) {
            job_end_without_run(job, RUNNER_STATUS_FAILED, never_ran, now);
        } else if (!job->over && all) {
            job_end_without_run(job, RUNNER_STATUS_FAILED, cut_short, now);
        }
    }
}

static void begin(struct worker *worker, const char *who, nanos now) {
    const struct config *config = worker->config;
    worker->stopping = true;
    daemon_log(LOG_LEVEL_INFO, "Stopping: %s", who);
    if (worker->job_count > 0) {
        daemon_log(LOG_LEVEL_INFO,
                   "Draining: %zu running jobs have %llu s to end, %zu waiting ones fail",
                   worker->running, (unsigned long long)((config->drain_timeout_ms + 999) / 1000),
                   worker->job_count - worker->running);
    }
    nanos timeout = config->drain_timeout_ms * NANOS_MILLISECOND;
    notify_state(
        "STOPPING=1\nSTATUS=Draining: %zu jobs\nEXTEND_TIMEOUT_USEC=%llu", worker->job_count,
        (unsigned long long)((timeout + DRAIN_KILL + 2 * DRAIN_LINGER) / NANOS_MICROSECOND));
    worker_publish(worker);
    worker->drain.phase = DRAIN_RUNNING;
    set_deadline(worker, nanos_add(now, timeout));
    fail_jobs(worker, false, now);
}

/* Runners are not listened to any more, and nobody who should sign or read is waited for longer
 * than for a goodbye. */
static void end_at_once(struct worker *worker, nanos now) {
    worker->drain.at_once = true;
    worker->drain.phase = DRAIN_LINGERING;
    set_deadline(worker, nanos_add(now, DRAIN_LINGER));
    fail_jobs(worker, true, now);
}

void drain_asked(struct worker *worker, const char *who, nanos now) {
    if (!worker->stopping) {
        begin(worker, who, now);
    } else if (worker->drain.phase < DRAIN_LINGERING) {
        daemon_log(LOG_LEVEL_WARNING, "Stopping at once: %s again", who);
        end_at_once(worker, now);
    }
    drain_check(worker, now);
}

/* The time of those that run is over. */
static void stop_running(struct worker *worker, nanos now) {
    struct map_node *node = map_next(&worker->jobs, NULL);
    daemon_log(LOG_LEVEL_WARNING, "Draining: %zu jobs did not end in time and are stopped",
               worker->job_count);
    while (node != NULL) {
        struct job *job = CONTAINER_OF(node, struct job, node);
        node = map_next(&worker->jobs, node);
        if (job->over) {
            job_give_up_reader(job, now);
        } else {
            job_stop(job, cut_short, now);
        }
    }
}

void drain_expire(struct worker *worker, nanos now) {
    switch (worker->drain.phase) {
    case DRAIN_NONE:
        break;
    case DRAIN_RUNNING:
        worker->drain.phase = DRAIN_KILLING;
        set_deadline(worker, nanos_add(now, DRAIN_KILL));
        stop_running(worker, now);
        break;
    case DRAIN_KILLING:
        end_at_once(worker, now);
        break;
    case DRAIN_LINGERING:
        uv_stop(&worker->loop);
        return;
    }
    drain_check(worker, now);
}

void drain_check(struct worker *worker, nanos now) {
    if (!worker->stopping || worker->job_count > 0) {
        return;
    }
    if (list_empty(&worker->sessions)) {
        uv_stop(&worker->loop);
    } else if (worker->drain.phase != DRAIN_LINGERING) {
        worker->drain.phase = DRAIN_LINGERING;
        set_deadline(worker, nanos_add(now, DRAIN_LINGER));
    }
}
