/* One run: compile if needed, wait for a runner, carry its output. */
#include "plasmd/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plasmd/drain.h"
#include "plasmd/notify.h"
#include "plasmd/queue.h"
#include "plasmd/receipts.h"
#include "util/cursor.h"
#include "util/ensure.h"

/* Head of a piece of output that waits: stream and size. */
#define PIECE_HEAD_SIZE 5
/* Everything is held back so long after the acceptance: a quick job answers with one write. */
#define HOLD_TIME (1 * NANOS_MILLISECOND)
/* Output that may wait in the daemon besides the machine's own bound: what had been read when it
 * paused, and, when it is cancelled then, all that is still in its socket and its last words. */
#define BACKLOG_MAX (1024 * 1024)

static struct bytes job_key(const struct peer_id *client, const char *job_id, uint8_t *room) {
    memcpy(room, client->bytes, client->size);
    memcpy(room + client->size, job_id, JOB_ID_SIZE);
    return bytes_of(room, client->size + JOB_ID_SIZE);
}

struct job *job_find(struct worker *worker, const struct peer_id *client, const char *job_id) {
    uint8_t room[JOB_KEY_SIZE];
    return MAP_ENTRY(map_get(&worker->jobs, job_key(client, job_id, room)), struct job, node);
}

struct job *job_find_manifest(struct worker *worker, const struct sha256_digest *manifest_hash) {
    for (struct map_node *node = map_next(&worker->jobs, NULL); node != NULL;
         node = map_next(&worker->jobs, node)) {
        struct job *job = CONTAINER_OF(node, struct job, node);
        if (sha256_equal(&job->owner->machine.manifest_hash, manifest_hash)) {
            return job;
        }
    }
    return NULL;
}

uint64_t worker_free_slots(const struct worker *worker) {
    uint64_t running = worker->pause == POLICY_LENDS ? worker->config->jobs_running : 0;
    return !worker->stopping && worker->job_count < running ? running - worker->job_count : 0;
}

/* It waits for nobody's turn any more. */
static void leave_queue(struct job *job) {
    struct worker *worker = job->worker;
    if (list_linked(&job->compiles)) {
        list_remove(&worker->compiling, &job->compiles);
    }
    scheduler_leave(&worker->compile_turns, &job->compile_turn);
    scheduler_leave(&worker->turns, &job->turn);
}

void job_free(struct job *job) {
    struct worker *worker = job->worker;
    struct list_node *node;
    while ((node = list_first(&job->watchers)) != NULL) {
        struct session *session = CONTAINER_OF(node, struct session, watcher);
        list_remove(&job->watchers, node);
        if (!session->owner) {
            session_release(session);
        }
    }
    struct session *owner = job->owner;
    job_receipt_forget(job);
    owner->owner = false;
    heap_remove(&worker->deadlines, &job->deadline.node);
    leave_queue(job);
    map_remove(&worker->jobs, &job->node);
    worker->job_count--;
    if (job->module != NULL) {
        module_release(job->module);
    }
    hash_free(job->stdout_hash);
    hash_free(job->stderr_hash);
    buffer_done(&job->backlog);
    kept_output_done(&job->kept);
    free(job);
    session_release(owner);
}

void job_end_without_run(struct job *job, enum runner_status status, const char *text, nanos now) {
    job->over = true;
    leave_queue(job); /* its receipt may take a while, and it must not run meanwhile */
    job->started_ms = job->started_ms != 0 ? job->started_ms : host_unix_ms();
    job->result = (struct runner_result){.status = status, .exit_code = EXIT_CODE_NONE};
    snprintf(job->result_text, sizeof(job->result_text), "%s", text);
    daemon_log(LOG_LEVEL_INFO, "Execution complete: status=%s, wall_time=0ms (%s)",
               runner_status_name(status), text);
    job_conclude(job, now);
}

static void seed_of(const struct job *job, uint8_t seed[RUNNER_SEED_SIZE]) {
    struct sha256_digest question;
    if (manifest_question_hash(&job->owner->machine.manifest, &job->worker->memory, &question) ==
        0) {
        memcpy(seed, question.bytes, RUNNER_SEED_SIZE);
    }
}

/* Hands the job to a runner. PLASM_LIMIT: none is free. */
static int submit(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    struct session *owner = job->owner;
    const struct manifest *manifest = &owner->machine.manifest;
    uint8_t key[PEER_ID_SIZE_MAX + SHA256_SIZE];
    memcpy(key, owner->client.bytes, owner->client.size);
    memcpy(key + owner->client.size, manifest->module_hash.bytes, SHA256_SIZE);
    struct runner_request request = {.key = bytes_of(key, owner->client.size + SHA256_SIZE),
                                     .args = manifest->args,
                                     .arg_count = manifest->arg_count,
                                     .env = manifest->env,
                                     .env_count = manifest->env_count,
                                     .stdin_fd = -1,
                                     .stdin_size = owner->input.size,
                                     .limits = {.fuel = job->limits.fuel,
                                                .memory_bytes = job->limits.memory_bytes,
                                                .wall_ms = job->limits.wall_ms,
                                                .output_bytes = job->limits.output_bytes},
                                     .deterministic = manifest->profile == PROFILE_DETERMINISTIC_1,
                                     .user = job};
    module_image(job->module, job->flavour, &request.image_fd, &request.image_size);
    if (request.deterministic) {
        seed_of(job, request.seed);
    }
    int error = 0;
    if (owner->input.size <= RUNNER_STDIN_INLINE_MAX) {
        request.stdin_bytes = buffer_bytes(&owner->input);
    } else {
        error = runner_memfd(buffer_bytes(&owner->input), &request.stdin_fd);
    }
    if (error == 0) {
        error = runner_client_submit(worker->runner, &request, now, &job->run);
    }
    if (request.stdin_fd >= 0) {
        (void)close(request.stdin_fd);
    }
    return error;
}

void job_tell(struct job *job, enum job_state state, uint64_t position, nanos now) {
    struct job_progress progress = {.state = state,
                                    .queue_position = position,
                                    .elapsed_ms =
                                        nanos_since(now, job->accepted_at) / NANOS_MILLISECOND};
    if (job->told_state == state && job->told_position == position) {
        return;
    }
    job->told_state = state;
    job->told_position = position;
    for (struct list_node *node = list_first(&job->watchers); node != NULL;) {
        struct session *session = CONTAINER_OF(node, struct session, watcher);
        node = list_next(&job->watchers, node);
        if (job_worker_progress(&session->machine, &progress) == 0) {
            session_pump(session, now);
        }
    }
}

bool job_run(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    ENSURE(!job->over);
    int error = submit(job, now);
    if (error == PLASM_LIMIT || error == PLASM_STATE) {
        return false;
    }
    scheduler_take(&worker->turns, &job->turn);
    if (error != 0) {
        job_end_without_run(job, RUNNER_STATUS_FAILED, plasm_error_message(error), now);
        return true;
    }
    job->phase = JOB_RUNNING;
    job->run_since = now;
    job->started_ms = host_unix_ms();
    worker->running++;
    histogram_add(&worker->metrics.queue_wait,
                  nanos_since(now, job->accepted_at) / NANOS_MICROSECOND);
    daemon_log(LOG_LEVEL_INFO, "Executing WASM module: %lluKB, timeout=%llus",
               (unsigned long long)((job->owner->machine.manifest.module_size + 1023) / 1024),
               (unsigned long long)((job->limits.wall_ms + 999) / 1000));
    if (job->told_position > 0) {
        job_tell(job, JOB_STATE_RUNNING, 0, now);
    }
    return true;
}

static struct job *job_new(struct session *session, const struct job_limits *limits) {
    struct worker *worker = session->worker;
    const struct manifest *manifest = &session->machine.manifest;
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->worker = worker;
    job->limits = *limits;
    job->deadline.kind = DEADLINE_JOB;
    job->flavour = runner_flavour(manifest->profile == PROFILE_DETERMINISTIC_1, limits->fuel);
    list_init(&job->watchers);
    buffer_init(&job->backlog, &worker->memory, BACKLOG_MAX);
    kept_output_init(&job->kept, &worker->memory,
                     manifest->fetchable ? (size_t)worker->config->output_kept_bytes : 0);
    job->price = worker->config->price;
    struct bytes key = job_key(&session->client, manifest->job_id, job->key);
    struct bytes share = bytes_of(session->share, session->share_size);
    struct bytes client = peer_id_bytes(&session->client);
    if (scheduler_enter(&worker->turns, &job->turn, share, client) != 0 ||
        map_put(&worker->jobs, &job->node, key) != 0) {
        scheduler_leave(&worker->turns, &job->turn);
        free(job);
        return NULL;
    }
    worker->job_count++;
    job->owner = session;
    session->owner = true;
    session->job = job;
    list_append(&job->watchers, &session->watcher);
    return job;
}

void job_start(struct session *session, nanos now) {
    struct worker *worker = session->worker;
    const struct manifest *manifest = &session->machine.manifest;
    struct worker_limits limits;
    worker_limits(worker, &limits);
    struct job_limits effective;
    struct module *module = NULL;
    int64_t number = 0;
    uint64_t position = queue_position_of_new(worker, session);
    int error = manifest_fit(manifest, &limits, &effective, NULL);
    if (error == 0 && worker->stopping) {
        error = PLASM_CLOSED;
    }
    if (error == 0 && job_find(worker, &session->client, manifest->job_id) != NULL) {
        error = PLASM_CONFLICT;
    }
    if (error == 0) {
        error = module_acquire(worker->modules, &manifest->module_hash, &module);
    }
    if (error == 0) {
        struct peer_stream *stream = session->stream;
        const struct store_acceptance acceptance = {
            .client = &session->client,
            .remote =
                stream != NULL ? peer_connection_remote(peer_stream_connection(stream)) : NULL,
            .manifest = manifest,
            .manifest_hash = session->machine.manifest_hash,
            .bytes_in = manifest->module_size + session->input.size,
            .price = worker->config->price,
            .unix_ms = host_unix_ms()};
        error = store_accepted(worker->store, &acceptance, &number);
    }
    struct job *job = error == 0 ? job_new(session, &effective) : NULL;
    if (job == NULL) {
        struct job_rejected rejected = {
            .code = error == PLASM_CONFLICT ? JOB_REJECTED_CONFLICT : JOB_REJECTED_UNAVAILABLE,
            .text = bytes_of_string(
                worker->stopping ? "draining: the worker is stopping and takes no new jobs"
                                 : plasm_error_message(error != 0 ? error : PLASM_NO_MEMORY))};
        (void)!job_worker_reject(&session->machine, &rejected);
        if (module != NULL) {
            module_release(module);
        }
        return;
    }
    job->module = module;
    job->number = number;
    worker->metrics.accepted++;
    worker->metrics.input_bytes += manifest->module_size + session->input.size;
    char hash[HASH_TEXT_SIZE];
    hash_format(&manifest->module_hash, hash);
    daemon_log(LOG_LEVEL_INFO, "Accepting job: module_hash=%s", hash);
    job->accepted_at = now;
    job->told_state = JOB_STATE_QUEUED;
    job->told_position = position;
    error = job_worker_accept(&session->machine, &effective, position, nanos_add(now, HOLD_TIME));
    if (error != 0) {
        job_end_without_run(job, RUNNER_STATUS_FAILED, plasm_error_message(error), now);
        return;
    }
    queue_job(job, now);
    jobs_schedule(worker, now);
}

static void cancel(struct job *job, const char *before_it_ran, nanos now) {
    if (job->cancelled || job->over) {
        return;
    }
    job->cancelled = true;
    if (job->phase == JOB_RUNNING) {
        runner_job_cancel(job->run, now);
    } else {
        job_end_without_run(job, RUNNER_STATUS_CANCELLED, before_it_ran, now);
    }
}

void job_cancel(struct job *job, nanos now) {
    cancel(job, "cancelled before it ran", now);
}

void job_stop(struct job *job, const char *text, nanos now) {
    job->stop_text = text;
    cancel(job, text, now);
}

void job_give_up_reader(struct job *job, nanos now) {
    daemon_log(LOG_LEVEL_INFO, "Job %s: its client does not read its output",
               job->owner->machine.manifest.job_id);
    buffer_clear(&job->backlog);
    session_cut(job->owner, now);
    job_conclude(job, now);
}

/* Gives the job's client the grace to come back, or to read. */
static void give_grace(struct job *job, nanos now) {
    nanos grace = job->worker->config->lost_grace_ms * NANOS_MILLISECOND;
    if (heap_set(&job->worker->deadlines, &job->deadline.node, nanos_add(now, grace)) != 0) {
        job_expire(job, now);
    }
}

void job_lost(struct job *job, nanos now) {
    if (!job->over) {
        give_grace(job, now);
    } else if (heap_set(&job->worker->deadlines, &job->deadline.node, now) != 0) {
        daemon_log(LOG_LEVEL_ERROR, "Out of memory: a timer is lost");
    }
}

void job_expire(struct job *job, nanos now) {
    if (job->over) {
        job_give_up_reader(job, now);
    } else if (job->paused) {
        daemon_log(LOG_LEVEL_INFO, "Job %s: its client does not read its output",
                   job->owner->machine.manifest.job_id);
        session_cut(job->owner, now); /* which lets it go on, to its end */
    } else {
        job_cancel(job, now);
    }
}

/* Moves output that waits on to the owner's machine; true when nothing waits any more. */
static bool drain_backlog(struct job *job) {
    while (job->backlog.size > 0) {
        struct cursor cursor = cursor_of(buffer_bytes(&job->backlog));
        enum job_stream stream = (enum job_stream)cursor_u8(&cursor);
        struct bytes piece = cursor_take(&cursor, cursor_u32(&cursor));
        size_t taken = 0;
        if (job_worker_output(&job->owner->machine, stream,
                              bytes_slice(piece, job->backlog_begun, piece.size), &taken) != 0) {
            buffer_clear(&job->backlog); /* nobody is there to read it */
            return true;
        }
        job->backlog_begun += taken;
        if (job->backlog_begun < piece.size) {
            return false;
        }
        buffer_consume(&job->backlog, PIECE_HEAD_SIZE + piece.size);
        job->backlog_begun = 0;
    }
    return true;
}

/* The module stops at its next write. Its runner cannot say that its time is over then, so it is
 * the daemon that does not wait for ever. */
static int pause_run(struct job *job, nanos now) {
    const struct config *config = job->worker->config;
    nanos end = nanos_add(job->run_since, job->limits.wall_ms * NANOS_MILLISECOND);
    nanos patience = nanos_add(end > now ? end : now, config->lost_grace_ms * NANOS_MILLISECOND);
    job->paused = true;
    runner_job_pause(job->run);
    return heap_set(&job->worker->deadlines, &job->deadline.node, patience);
}

/* Output that has to wait. */
static int keep_back(struct job *job, enum job_stream stream, struct bytes data, nanos now) {
    uint8_t head[PIECE_HEAD_SIZE];
    struct writer writer = writer_of((struct span){head, sizeof(head)});
    writer_u8(&writer, (uint8_t)stream);
    writer_u32(&writer, (uint32_t)data.size);
    int error = job->paused ? 0 : pause_run(job, now);
    if (error == 0) {
        error = buffer_append(&job->backlog, BYTES_ARRAY(head));
    }
    return error != 0 ? error : buffer_append(&job->backlog, data);
}

void job_writable(struct job *job, nanos now) {
    if (!drain_backlog(job)) {
        return;
    }
    if (job->over) {
        job_conclude(job, now);
    } else if (job->paused) {
        job->paused = false;
        heap_remove(&job->worker->deadlines, &job->deadline.node);
        runner_job_resume(job->run);
    }
}

static void take_output(struct job *job, const struct runner_event_output *output, nanos now) {
    struct hash **hash = output->stream == RUNNER_STDOUT ? &job->stdout_hash : &job->stderr_hash;
    if (*hash == NULL) {
        *hash = hash_new();
        ENSURE(*hash != NULL);
    }
    hash_update(*hash, output->data);
    enum job_stream stream = output->stream == RUNNER_STDOUT ? JOB_STDOUT : JOB_STDERR;
    kept_output_add(&job->kept, (uint8_t)stream, output->data);
    job->output_bytes += output->data.size;
    size_t taken = 0;
    bool clear = drain_backlog(job);
    if (clear && job_worker_output(&job->owner->machine, stream, output->data, &taken) != 0) {
        taken = output->data.size;
    }
    if (taken < output->data.size &&
        keep_back(job, stream, bytes_slice(output->data, taken, output->data.size), now) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "Job %s: output overran its pause",
                   job->owner->machine.manifest.job_id);
        buffer_clear(&job->backlog);
        session_cut(job->owner, now);
        job_stop(job, "the worker had no memory for its output", now);
    }
    if (job->owner->stream != NULL) {
        session_pump(job->owner, now);
    }
}

static void take_finished(struct job *job, const struct runner_event_finished *finished,
                          nanos now) {
    struct worker *worker = job->worker;
    worker->running--;
    histogram_add(&worker->metrics.run_time, finished->result.wall_us);
    scheduler_spent(&worker->turns, &job->turn, finished->result.wall_us * NANOS_MICROSECOND);
    job->run = NULL;
    job->over = true;
    job->result = finished->result;
    bytes_cut_string(finished->result.text, job->result_text, sizeof(job->result_text));
    if (job->stop_text != NULL && job->result.status == RUNNER_STATUS_CANCELLED) {
        job->result.status = RUNNER_STATUS_FAILED; /* not the client's wish */
        snprintf(job->result_text, sizeof(job->result_text), "%s", job->stop_text);
    }
    unsigned long long wall_ms = (unsigned long long)((finished->result.wall_us + 999) / 1000);
    if (finished->result.exit_code >= 0) {
        daemon_log(LOG_LEVEL_INFO, "Execution complete: exit_code=%lld, wall_time=%llums",
                   (long long)finished->result.exit_code, wall_ms);
    } else {
        daemon_log(LOG_LEVEL_INFO, "Execution complete: status=%s, wall_time=%llums (%s)",
                   runner_status_name(finished->result.status), wall_ms, job->result_text);
    }
    if (drain_backlog(job)) {
        job_conclude(job, now);
    } else {
        give_grace(job, now); /* from now on nobody else ends it */
    }
}

void jobs_runner_event(struct worker *worker, const struct runner_event *event, nanos now) {
    uint64_t compile_us;
    switch (event->type) {
    case RUNNER_EVENT_STARTED:
        worker->runner_ready = true;
        runner_walls_text(event->started.walls, event->started.landlock_abi, worker->walls);
        daemon_log(LOG_LEVEL_INFO, "Sandbox ready: %s", worker->walls);
        if (!worker->said_ready) {
            worker->said_ready = true;
            notify_state("READY=1");
        }
        jobs_schedule(worker, now);
        break;
    case RUNNER_EVENT_STOPPED:
        worker->runner_ready = false;
        worker->walls[0] = '\0';
        worker->metrics.runner_stops++;
        daemon_log(LOG_LEVEL_ERROR, "Sandbox stopped: %s; starting it again", event->stopped.text);
        break;
    case RUNNER_EVENT_OUTPUT:
        if (!worker->drain.at_once) {
            take_output(event->output.user, &event->output, now);
        }
        break;
    case RUNNER_EVENT_FINISHED:
        if (worker->drain.at_once) {
            break;
        }
        take_finished(event->finished.user, &event->finished, now);
        jobs_schedule(worker, now);
        break;
    case RUNNER_EVENT_DIED:
        daemon_log(event->died.busy ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "Runner %ld died: %s",
                   (long)event->died.pid, event->died.text);
        break;
    case RUNNER_EVENT_COMPILED:
        daemon_log(LOG_LEVEL_DEBUG, "Module compiled in %llu ms of processor time: %s",
                   (unsigned long long)(event->compiled.cpu_us / 1000),
                   event->compiled.outcome == RUNNER_COMPILE_OK ? "ok" : event->compiled.text);
        compile_us = event->compiled.cpu_us;
        metrics_compiled(&worker->metrics, event->compiled.outcome == RUNNER_COMPILE_OK,
                         compile_us);
        modules_compiled(worker->modules, &event->compiled);
        queue_compiled(worker, compile_us, now);
        break;
    }
}

void jobs_free(struct worker *worker) {
    struct map_node *node;
    while ((node = map_next(&worker->jobs, NULL)) != NULL) {
        job_free(CONTAINER_OF(node, struct job, node));
    }
}

void worker_expire(struct worker *worker, nanos now) {
    while (heap_deadline(&worker->deadlines) <= now) {
        struct heap_node *node = heap_first(&worker->deadlines);
        heap_remove(&worker->deadlines, node);
        struct deadline *deadline = CONTAINER_OF(node, struct deadline, node);
        switch (deadline->kind) {
        case DEADLINE_SESSION:
            session_expire(CONTAINER_OF(deadline, struct session, deadline), now);
            break;
        case DEADLINE_JOB:
            job_expire(CONTAINER_OF(deadline, struct job, deadline), now);
            break;
        case DEADLINE_QUEUE:
            queue_tell(worker, now);
            break;
        case DEADLINE_DRAIN:
            drain_expire(worker, now);
            break;
        }
    }
}
