/* Who runs and who is compiled next. */
#include "plasmd/queue.h"

static bool has_slot(const struct worker *worker) {
    return worker->running < worker->config->jobs_running;
}

static void run_next(struct worker *worker, nanos now) {
    struct scheduler_job *turn = NULL;
    while (has_slot(worker) && (turn = scheduler_next(&worker->turns)) != NULL) {
        if (!job_run(CONTAINER_OF(turn, struct job, turn), now)) {
            return;
        }
    }
}

/* Those whose module is ready, or will not be, go on. `cpu_us`: what compiling it took. */
static void sweep(struct worker *worker, uint64_t cpu_us, nanos now) {
    struct list ended;
    list_init(&ended);
    struct list_node *node = list_first(&worker->compiling);
    while (node != NULL) {
        struct job *job = CONTAINER_OF(node, struct job, compiles);
        node = list_next(&worker->compiling, node);
        enum module_state state = module_state(job->module, job->flavour);
        if (state == MODULE_READY || state == MODULE_FAILED) {
            list_remove(&worker->compiling, &job->compiles);
            list_append(&ended, &job->compiles);
        }
    }
    while ((node = list_first(&ended)) != NULL) {
        struct job *job = CONTAINER_OF(node, struct job, compiles);
        list_remove(&ended, node);
        if (job->compile_turn.running) {
            scheduler_spent(&worker->compile_turns, &job->compile_turn, cpu_us * NANOS_MICROSECOND);
        }
        queue_job(job, now);
    }
}

/* Has the next module compiled, where one more may be. */
static void compile_next(struct worker *worker, nanos now) {
    struct scheduler_job *turn;
    while ((turn = scheduler_next(&worker->compile_turns)) != NULL) {
        struct job *job = CONTAINER_OF(turn, struct job, compile_turn);
        if (module_state(job->module, job->flavour) == MODULE_COMPILING) {
            scheduler_leave(&worker->compile_turns, turn); /* for another job */
            continue;
        }
        int error = module_compile(job->module, job->flavour, worker->runner, now);
        if (error == PLASM_LIMIT || error == PLASM_STATE) {
            return;
        }
        scheduler_take(&worker->compile_turns, turn);
        if (error != 0) {
            job_end_without_run(job, RUNNER_STATUS_FAILED, plasm_error_message(error), now);
        } else if (module_state(job->module, job->flavour) == MODULE_FAILED) {
            sweep(worker, 0, now);
        }
    }
}

void jobs_schedule(struct worker *worker, nanos now) {
    compile_next(worker, now);
    run_next(worker, now);
    bool waiting = worker->turns.waiting > 0 || worker->compiling.size > 0;
    if (waiting && !heap_linked(&worker->queue_news.node) &&
        heap_set(&worker->deadlines, &worker->queue_news.node,
                 nanos_add(now, QUEUE_NEWS_INTERVAL)) != 0) {
        daemon_log(LOG_LEVEL_ERROR, "Out of memory: those who wait are not told");
    }
}

static void wait_for_module(struct job *job) {
    job->phase = JOB_COMPILING;
    list_append(&job->worker->compiling, &job->compiles);
}

void queue_job(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    bool transient = false;
    int error = 0;
    switch (module_state(job->module, job->flavour)) {
    case MODULE_NONE:
        error = scheduler_enter(&worker->compile_turns, &job->compile_turn,
                                bytes_of(job->owner->share, job->owner->share_size),
                                peer_id_bytes(&job->owner->client));
        if (error == 0) {
            error = scheduler_ready(&worker->compile_turns, &job->compile_turn);
        }
        wait_for_module(job);
        break;
    case MODULE_COMPILING:
        wait_for_module(job);
        break;
    case MODULE_FAILED: {
        const char *text = module_fault(job->module, job->flavour, &transient);
        job_end_without_run(job, transient ? RUNNER_STATUS_FAILED : RUNNER_STATUS_COMPILE, text,
                            now);
        return;
    }
    case MODULE_READY:
        job->phase = JOB_WAITING;
        scheduler_leave(&worker->compile_turns, &job->compile_turn);
        error = scheduler_ready(&worker->turns, &job->turn);
        break;
    }
    if (error != 0) {
        job_end_without_run(job, RUNNER_STATUS_FAILED, plasm_error_message(error), now);
    }
}

void queue_compiled(struct worker *worker, uint64_t cpu_us, nanos now) {
    sweep(worker, cpu_us, now);
    jobs_schedule(worker, now);
}

uint64_t queue_position_of_new(const struct worker *worker, const struct session *session) {
    if (has_slot(worker) && worker->turns.waiting == 0) {
        return 0;
    }
    return 1 + scheduler_position_of_new(&worker->turns,
                                         bytes_of(session->share, session->share_size),
                                         peer_id_bytes(&session->client));
}

/* Jobs that run count as one that is before all who wait. */
static uint64_t position_of(const struct job *job) {
    const struct worker *worker = job->worker;
    return 1 + (job->phase == JOB_COMPILING
                    ? scheduler_position(&worker->compile_turns, &job->compile_turn)
                    : scheduler_position(&worker->turns, &job->turn));
}

void queue_tell(struct worker *worker, nanos now) {
    struct map_node *node = map_next(&worker->jobs, NULL);
    while (node != NULL) {
        struct job *job = CONTAINER_OF(node, struct job, node);
        node = map_next(&worker->jobs, node);
        if (job->phase == JOB_COMPILING) {
            job_tell(job, JOB_STATE_COMPILING, position_of(job), now);
        } else if (job->phase == JOB_WAITING) {
            job_tell(job, JOB_STATE_QUEUED, position_of(job), now);
        }
    }
    jobs_schedule(worker, now);
}
