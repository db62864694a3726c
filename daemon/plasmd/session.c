/* One client's job stream: reads the offer and its bytes, decides on admission, carries output. */
#include "plasmd/job.h"
#include "plasmd/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "plasmd/admission.h"
#include "plasmd/queue.h"
#include "util/ensure.h"

#define PUMP_SIZE_MAX (64 * 1024)
/* Without a grace, too, a client has so long to take some of an answer. */
#define STUCK_TIME_MIN (1 * NANOS_SECOND)
/* Bytes of an address that are one share. */
#define SHARE_IP4_SIZE 4
#define SHARE_IP6_SIZE 7
/* Of a relay's multiaddr: where it is. */
#define SHARE_RELAY_SIZE 8

static void free_session(struct session *session) {
    struct worker *worker = session->worker;
    heap_remove(&worker->deadlines, &session->deadline.node);
    list_remove(&worker->sessions, &session->node);
    session_let_go(session, session->held_bytes);
    job_worker_done(&session->machine);
    buffer_done(&session->module);
    buffer_done(&session->input);
    replay_free(session->replay);
    block_unref(session->unsent);
    free(session);
}

/* What came in is not needed any more. */
static void drop_input(struct session *session) {
    session_let_go(session, session->module.size + session->input.size);
    buffer_done(&session->module);
    buffer_done(&session->input);
}

void session_release(struct session *session) {
    session->job = NULL;
    if (session->stream == NULL) {
        free_session(session);
    } else {
        drop_input(session);
    }
}

/* The stream is over; the session stays while its job needs it. */
static void detach(struct session *session, nanos now) {
    if (session->stream != NULL) {
        *peer_stream_user(session->stream) = NULL;
        session->stream = NULL;
    }
    struct job *job = session->job;
    if (job == NULL) {
        free_session(session);
        return;
    }
    list_remove(&job->watchers, &session->watcher);
    bool lost = list_empty(&job->watchers);
    if (!session->owner) {
        free_session(session);
    } else {
        job_worker_receive_lost(&session->machine);
        lost = lost || job->over;
        if (!job->over) {
            job_writable(job, now); /* what waited for this client keeps nobody waiting any more */
        }
    }
    if (lost) {
        job_lost(job, now);
    }
}

/* Ends the stream without a word; session_pump sees to the rest. */
static void drop_stream(struct session *session) {
    if (session->stream != NULL) {
        *peer_stream_user(session->stream) = NULL;
        peer_stream_close(session->stream, 0);
        session->stream = NULL;
    }
}

void session_cut(struct session *session, nanos now) {
    if (session->stream != NULL) {
        drop_stream(session);
        detach(session, now);
    }
}

/* The answer is ready and the client does not take it. */
static bool is_stuck(const struct session *session) {
    return session->stream != NULL && !session->fin_sent &&
           (session->replay != NULL || session->machine.state == JOB_WORKER_STATE_OVER);
}

static nanos stuck_deadline(const struct session *session) {
    nanos grace = session->worker->config->lost_grace_ms * NANOS_MILLISECOND;
    nanos patience = nanos_max(grace, STUCK_TIME_MIN);
    return session->stuck_since != 0 ? nanos_add(session->stuck_since, patience) : NANOS_NEVER;
}

static void set_deadline(struct session *session, nanos now) {
    if (!is_stuck(session)) {
        session->stuck_since = 0;
    } else if (session->stuck_since == 0) {
        session->stuck_since = now;
    }
    nanos deadline = nanos_min(job_worker_deadline(&session->machine), stuck_deadline(session));
    if (heap_set(&session->worker->deadlines, &session->deadline.node, deadline) != 0) {
        daemon_log(LOG_LEVEL_ERROR, "Out of memory: a timer is lost");
    }
}

/* Sends what the machine has; false when the stream is full or gone. */
static bool send_block(struct session *session) {
    size_t size = session->unsent != NULL ? session->unsent->size - session->unsent_offset : 0;
    size_t accepted = 0;
    int error = peer_stream_write(session->stream, session->unsent, session->unsent_offset, size,
                                  session->unsent_fin, &accepted);
    if (error != 0) {
        return false; /* the stream's end is reported by the peer */
    }
    session->unsent_offset += accepted;
    session->stuck_since = accepted > 0 ? 0 : session->stuck_since;
    if (accepted < size) {
        return false;
    }
    session->fin_sent = session->unsent_fin;
    block_unref(session->unsent);
    session->unsent = NULL;
    session->unsent_offset = 0;
    return true;
}

/* Fills `unsent` with what the machine has; false when it has nothing, or memory is out. */
static bool fill_block(struct session *session, nanos now) {
    size_t pending = job_worker_pending(&session->machine, now);
    size_t size = pending < PUMP_SIZE_MAX ? pending : PUMP_SIZE_MAX;
    if (size > 0) {
        session->unsent = block_new(&session->worker->memory, size);
        if (session->unsent == NULL) {
            drop_stream(session);
            return false;
        }
        size_t given =
            job_worker_transmit(&session->machine, (struct span){session->unsent->data, size}, now);
        ENSURE(given == size);
    }
    session->unsent_fin = (job_worker_wants(&session->machine) & JOB_WANTS_FIN) != 0 &&
                          job_worker_pending(&session->machine, now) == 0;
    return size > 0 || session->unsent_fin;
}

static void transmit(struct session *session, nanos now) {
    while (session->stream != NULL && !session->fin_sent) {
        if (session->unsent == NULL && !session->unsent_fin && !fill_block(session, now)) {
            break;
        }
        if (!send_block(session)) {
            break;
        }
    }
}

/* Half of it all is the most that one share holds, or one job, where that is more. */
static struct held_bounds held_bounds(const struct worker *worker) {
    const struct config *config = worker->config;
    uint64_t half = config->queued_bytes / 2;
    uint64_t job = config->module_bytes + config->stdin_bytes;
    return (struct held_bounds){.all = config->queued_bytes, .share = half > job ? half : job};
}

static struct bytes share_of(const struct session *session) {
    return bytes_of(session->share, session->share_size);
}

static uint64_t room_of(const struct session *session) {
    const struct worker *worker = session->worker;
    const struct held_bounds bounds = held_bounds(worker);
    return held_room(&worker->held, &bounds, share_of(session));
}

bool session_hold(struct session *session, uint64_t bytes) {
    struct worker *worker = session->worker;
    const struct held_bounds bounds = held_bounds(worker);
    if (!held_add(&worker->held, &bounds, share_of(session), bytes)) {
        return false;
    }
    session->held_bytes += bytes;
    return true;
}

void session_let_go(struct session *session, uint64_t bytes) {
    held_subtract(&session->worker->held, share_of(session), bytes);
    session->held_bytes -= bytes;
}

/* Keeps bytes that came in; false when too many are kept, or memory is out. */
static bool keep(struct session *session, struct buffer *place, struct bytes data) {
    if (!session_hold(session, data.size)) {
        return false;
    }
    if (buffer_append(place, data) != 0) {
        session_let_go(session, data.size);
        return false;
    }
    return true;
}

/* Whoever is refused all the time has to go; the answer is on its way before. */
static void count_refusal(struct session *session) {
    if (session->stream != NULL) {
        (void)peer_refused(peer_stream_connection(session->stream), host_now());
    }
}

static void send_rejection(struct session *session, const struct job_rejected *rejected) {
    metrics_rejected(&session->worker->metrics, rejected->code, rejected->limit);
    daemon_log(LOG_LEVEL_INFO, "Job rejected: %s: %.*s", job_rejection_name(rejected->code),
               (int)rejected->text.size, (const char *)rejected->text.data);
    if (job_worker_reject(&session->machine, rejected) != 0) {
        drop_stream(session);
    }
    count_refusal(session);
}

static void reject(struct session *session, enum job_rejection code, const char *text) {
    const struct job_rejected rejected = {.code = code,
                                          .text = bytes_of_string(text),
                                          .retry_after_ms =
                                              code == JOB_REJECTED_BUSY ? ADMIT_RETRY_MS : 0};
    send_rejection(session, &rejected);
}

/* A job that has not ended, the client's own or, with the fetch secret, anybody's. */
static struct job *find_live(struct session *session, const struct job_worker_offer *offer) {
    struct worker *worker = session->worker;
    struct job *job = job_find(worker, &session->client, offer->manifest->job_id);
    if (job == NULL && offer->fetch_proved) {
        job = job_find_manifest(worker, &offer->manifest_hash);
    }
    return job;
}

/* The same of those that are over. */
static int find_stored(struct session *session, const struct job_worker_offer *offer,
                       struct store_job *ret_known) {
    struct worker *worker = session->worker;
    const struct manifest *manifest = offer->manifest;
    bool may_be_old =
        offer->only_fetch || manifest_check_time(manifest, host_unix_ms() / 1000, NULL) != 0;
    int error =
        store_find(worker->store, &session->client, manifest->job_id, may_be_old, ret_known);
    if (error == PLASM_NOT_FOUND && offer->fetch_proved) {
        error = store_find_manifest(worker->store, &offer->manifest_hash, manifest->expires_s,
                                    ret_known);
    }
    return error;
}

/* The same job again: its state or its receipt, never a second run. True when that was answered. */
static bool answer_known(struct session *session, const struct job_worker_offer *offer) {
    struct worker *worker = session->worker;
    struct job *job = find_live(session, offer);
    if (job != NULL) {
        if (!sha256_equal(&job->owner->machine.manifest_hash, &offer->manifest_hash)) {
            reject(session, JOB_REJECTED_CONFLICT, "this job id is another job's");
        } else if (job_worker_resume(&session->machine, &job->limits, 0, false) == 0) {
            session->job = job;
            list_append(&job->watchers, &session->watcher);
            if (!job->over && !job->paused) {
                heap_remove(&worker->deadlines, &job->deadline.node);
            }
        }
        return true;
    }
    struct store_job known;
    int error = find_stored(session, offer, &known);
    if (error == PLASM_NOT_FOUND) {
        return false;
    }
    if (error != 0) {
        reject(session, JOB_REJECTED_UNAVAILABLE, "the worker cannot read its database");
        return true;
    }
    if (!sha256_equal(&known.manifest_hash, &offer->manifest_hash)) {
        reject(session, JOB_REJECTED_CONFLICT, "this job id is another job's");
    } else if (!known.finished) {
        reject(session, JOB_REJECTED_LOST, "the job was lost when the worker stopped");
    } else if (!replay_start(session, &known)) {
        reject(session, JOB_REJECTED_BUSY, "too many bytes are waiting here");
    }
    store_job_done(&known);
    return true;
}

static void ask_admission(const struct session *session, const struct job_worker_offer *offer,
                          bool all_reasons, struct admit_answer *ret_answer) {
    const struct worker *worker = session->worker;
    const struct config *config = worker->config;
    struct bytes share = share_of(session);
    struct admit_node node = {.arch = worker->arch,
                              .runtime = RUNNER_RUNTIME,
                              .jobs_max = config->jobs_running + config->jobs_queued,
                              .jobs_per_client_max = config->jobs_queued_per_client};
    worker_limits(worker, &node.limits);
    const struct admit_load load = {
        .draining = worker->stopping,
        .pause = worker->pause != POLICY_LENDS ? policy_pause_text(worker->pause) : NULL,
        .sandbox_ready = worker->runner_ready,
        .signer_away = signer_link_is_away(&worker->signer_link, host_now()),
        .jobs = worker->job_count,
        .client_jobs = scheduler_client_jobs(&worker->turns, peer_id_bytes(&session->client)),
        .share_jobs = scheduler_share_jobs(&worker->turns, share),
        .bytes_left = room_of(session)};
    const struct admit_offer asked = {
        .manifest = offer->manifest,
        .stdin_size = offer->stdin_size,
        .now_unix_s = host_unix_ms() / 1000,
        .module_denied = !policy_module_runs(&config->allow_modules, &config->deny_modules,
                                             &offer->manifest->module_hash)};
    admit(&node, &load, &asked, all_reasons, ret_answer);
}

static void reject_answer(struct session *session, const struct admit_answer *answer) {
    struct job_rejected rejected = {.code = answer->code,
                                    .text = bytes_of_string(answer->text),
                                    .retry_after_ms = answer->retry_after_ms};
    if (answer->limit_count > 0) {
        if (answer->code == JOB_REJECTED_LIMIT) {
            rejected.limit = bytes_of_string(answer->limits[0].name);
        }
        rejected.has_limits = true;
        worker_limits(session->worker, &rejected.limits);
    }
    send_rejection(session, &rejected);
}

/* Says whether the job would be accepted, and why not. */
static void explain(struct session *session, const struct job_worker_offer *offer) {
    const struct worker *worker = session->worker;
    struct admit_answer answer;
    ask_admission(session, offer, true, &answer);
    if (answer.verdict == ADMIT_REJECT) {
        reject_answer(session, &answer);
        return;
    }
    const struct job_estimate estimate = {
        .queue_position = queue_position_of_new(worker, session),
        .limits = answer.effective,
        .module_held = modules_hold(worker->modules, &offer->manifest->module_hash),
        .price = worker->config->price};
    if (job_worker_estimate(&session->machine, &estimate) != 0) {
        drop_stream(session);
    }
}

static void take_offer(struct session *session, const struct job_worker_offer *offer, nanos now) {
    struct worker *worker = session->worker;
    worker->metrics.offers++;
    daemon_log(LOG_LEVEL_INFO, "Job offer received: job_id=%s", offer->manifest->job_id);
    if (offer->dry_run) {
        explain(session, offer);
        return;
    }
    if (answer_known(session, offer)) {
        return;
    }
    if (offer->only_fetch) {
        reject(session, JOB_REJECTED_NOT_FOUND, "there is no such job of yours");
        return;
    }
    struct admit_answer answer;
    ask_admission(session, offer, false, &answer);
    if (answer.verdict == ADMIT_REJECT) {
        reject_answer(session, &answer);
        return;
    }
    bool held = modules_hold(worker->modules, &offer->manifest->module_hash);
    int error = held ? job_worker_have_module(&session->machine, now)
                     : job_worker_need_module(&session->machine, now);
    if (error != 0) {
        reject(session, JOB_REJECTED_UNAVAILABLE, "out of memory");
    }
}

static void take_event(struct session *session, const struct job_worker_event *event, nanos now) {
    struct worker *worker = session->worker;
    switch (event->type) {
    case JOB_WORKER_OFFER:
        take_offer(session, &event->offer, now);
        break;
    case JOB_WORKER_MODULE_DATA:
        if (!keep(session, &session->module, event->data)) {
            reject(session, JOB_REJECTED_BUSY, "no memory for the module");
        }
        break;
    case JOB_WORKER_MODULE_COMPLETE:
        if (modules_put(worker->modules, &session->machine.manifest.module_hash,
                        buffer_bytes(&session->module)) != 0) {
            reject(session, JOB_REJECTED_BUSY, "no memory for the module");
        }
        session_let_go(session, session->module.size);
        buffer_done(&session->module);
        break;
    case JOB_WORKER_STDIN_DATA:
        if (!keep(session, &session->input, event->data)) {
            reject(session, JOB_REJECTED_BUSY, "no memory for standard input");
        }
        break;
    case JOB_WORKER_STDIN_COMPLETE:
        break;
    case JOB_WORKER_READY:
        job_start(session, now);
        break;
    case JOB_WORKER_CANCEL:
        if (session->job != NULL && session->owner) {
            job_cancel(session->job, now);
        }
        break;
    case JOB_WORKER_LOST:
        break; /* detach() has seen to it */
    case JOB_WORKER_WRITABLE:
        if (session->replay != NULL) {
            replay_continue(session);
        } else if (session->job != NULL && session->owner) {
            job_writable(session->job, now);
        }
        break;
    case JOB_WORKER_REFUSED:
        metrics_rejected(&worker->metrics, event->refused.code, bytes_of(NULL, 0));
        daemon_log(LOG_LEVEL_INFO, "Job refused: %s: %s %s",
                   job_rejection_name(event->refused.code),
                   event->refused.fault.field != NULL ? event->refused.fault.field : "offer",
                   event->refused.fault.text != NULL ? event->refused.fault.text : "");
        count_refusal(session);
        break;
    }
}

static void take_events(struct session *session, nanos now) {
    struct job_worker_event event;
    session->busy = true;
    while (job_worker_next_event(&session->machine, &event)) {
        take_event(session, &event, now);
    }
    session->busy = false;
}

void session_pump(struct session *session, nanos now) {
    bool attached = session->stream != NULL;
    if (session->busy) {
        return; /* its job ended in one of its own events: who takes them transmits */
    }
    do {
        take_events(session, now);
        transmit(session, now);
    } while (session->machine.writable_due);
    if (attached && session->stream == NULL) {
        detach(session, now);
        return;
    }
    if (session->job == NULL && session->machine.state == JOB_WORKER_STATE_OVER) {
        drop_input(session); /* it was refused */
    }
    set_deadline(session, now);
}

/* Clients of one address, or IPv6 /56, share one claim, whatever they call themselves, and so do
 * those who come through one relay; on this machine everyone has one. */
static void find_share(struct session *session, const struct peer_connection *connection) {
    const struct netaddr *address = peer_connection_address(connection);
    const struct multiaddr *remote = peer_connection_remote(connection);
    struct bytes ip = netaddr_ip(address);
    struct bytes name =
        bytes_slice(ip, 0, ip.size == SHARE_IP4_SIZE ? SHARE_IP4_SIZE : SHARE_IP6_SIZE);
    if (netaddr_is_loopback(address)) {
        name = peer_id_bytes(&session->client);
    } else if (ip.size == 0) {
        name = bytes_slice(bytes_of(remote->bytes, remote->size), 0, SHARE_RELAY_SIZE);
    }
    session->share[0] = address->family;
    memcpy(session->share + 1, name.data, name.size);
    session->share_size = 1 + name.size;
}

void session_opened(struct worker *worker, struct peer_stream *stream, nanos now) {
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        peer_stream_close(stream, 0);
        return;
    }
    session->worker = worker;
    session->stream = stream;
    session->client = *peer_connection_id(peer_stream_connection(stream));
    session->deadline.kind = DEADLINE_SESSION;
    find_share(session, peer_stream_connection(stream));
    buffer_init(&session->module, &worker->memory, (size_t)worker->config->module_bytes);
    buffer_init(&session->input, &worker->memory, (size_t)worker->config->stdin_bytes);
    struct job_worker_bounds bounds;
    job_worker_bounds_default(&bounds);
    worker_limits(worker, &bounds.limits);
    job_worker_init(&session->machine, &bounds, &worker->memory, now);
    list_append(&worker->sessions, &session->node);
    *peer_stream_user(stream) = session;
    set_deadline(session, now);
}

static void stream_closed(struct session *session, int error, nanos now) {
    if (error == PLASM_RESET) {
        job_worker_receive_reset(&session->machine);
    } else {
        job_worker_receive_lost(&session->machine);
    }
    take_events(session, now);
    detach(session, now);
}

void session_event(struct worker *worker, const struct peer_event *event, nanos now) {
    (void)worker;
    struct session *session = *peer_stream_user(event->stream);
    if (session == NULL) {
        if (event->type == PEER_EVENT_STREAM_DATA) {
            peer_stream_consume(event->stream, event->data.size);
        }
        return;
    }
    switch (event->type) {
    case PEER_EVENT_STREAM_DATA:
        job_worker_receive(&session->machine, event->data, now);
        take_events(session, now);
        peer_stream_consume(event->stream, event->data.size);
        if (event->fin) {
            job_worker_receive_fin(&session->machine);
        }
        session_pump(session, now);
        break;
    case PEER_EVENT_STREAM_WRITABLE:
        session_pump(session, now);
        break;
    case PEER_EVENT_STREAM_CLOSED:
        stream_closed(session, event->error, now);
        break;
    default:
        break;
    }
}

void session_expire(struct session *session, nanos now) {
    if (now >= stuck_deadline(session)) {
        daemon_log(LOG_LEVEL_INFO, "A client does not read its answer: its stream is closed");
        session_cut(session, now);
        return;
    }
    job_worker_expire(&session->machine, now);
    session_pump(session, now);
}

void sessions_cut(struct worker *worker) {
    for (struct list_node *node = list_first(&worker->sessions); node != NULL;
         node = list_next(&worker->sessions, node)) {
        CONTAINER_OF(node, struct session, node)->stream = NULL;
    }
}

void sessions_free(struct worker *worker) {
    struct list_node *node = list_first(&worker->sessions);
    while (node != NULL) {
        struct session *session = CONTAINER_OF(node, struct session, node);
        node = list_next(&worker->sessions, node);
        if (session->job == NULL) {
            free_session(session);
        }
    }
}
