/* One job from a client's side: choose a worker, connect, offer, collect, check. */
#include "client/core/internal.h"

#include <stdio.h>

#include "util/ensure.h"

/* Output that may wait for the application besides what the worker may still send. */
#define OUTPUT_QUEUE_MAX (64 * 1024 * 1024)
#define PUMP_SIZE_MAX    (64 * 1024)
/* An offer is good for so long. */
#define OFFER_LIFE_S 600
/* Head of a queued piece of output: stream and size. */
#define RECORD_HEAD_SIZE 5

static void fail(struct core_job *job, int error, const char *text, nanos now) {
    if (job->state >= CORE_JOB_FINISHED) {
        return;
    }
    job->state = CORE_JOB_FAILED;
    job->error = error;
    job->times.finished = now;
    bytes_cut_string(bytes_of_string(text), job->text, sizeof(job->text));
}

static void close_stream(struct core_job *job) {
    if (job->stream != NULL) {
        *peer_stream_user(job->stream) = NULL;
        peer_stream_close(job->stream, 0);
        job->stream = NULL;
    }
}

/* Moves what waits in `unsent` on; false while the stream takes no more. */
static bool push_unsent(struct core_job *job, nanos now) {
    size_t size = job->unsent_size - job->unsent_offset;
    size_t accepted = 0;
    int error = peer_stream_write(job->stream, job->unsent, job->unsent_offset, size,
                                  job->unsent_fin, &accepted);
    if (error != 0) {
        fail(job, error, "the connection to the worker was lost", now);
        close_stream(job);
        return false;
    }
    job->unsent_offset += accepted;
    if (accepted < size) {
        return false;
    }
    job->fin_sent = job->unsent_fin;
    block_unref(job->unsent);
    job->unsent = NULL;
    job->unsent_size = 0;
    job->unsent_offset = 0;
    return true;
}

/* Sends what the machine has, as far as the stream takes it. */
static void pump(struct core_job *job, nanos now) {
    while (job->stream != NULL && !job->fin_sent) {
        if (job->unsent == NULL) {
            size_t pending = job_client_pending(&job->client);
            size_t size = pending < PUMP_SIZE_MAX ? pending : PUMP_SIZE_MAX;
            if (size > 0) {
                job->unsent = block_new(job->core->memory, size);
                if (job->unsent == NULL) {
                    fail(job, PLASM_NO_MEMORY, "out of memory", now);
                    close_stream(job);
                    return;
                }
                job->unsent_size =
                    job_client_transmit(&job->client, (struct span){job->unsent->data, size});
            }
            unsigned wants = job_client_wants(&job->client);
            job->unsent_fin = (wants & JOB_WANTS_FIN) != 0 && job_client_pending(&job->client) == 0;
            if (size == 0 && !job->unsent_fin) {
                break;
            }
        }
        if (!push_unsent(job, now)) {
            return;
        }
    }
    if (job->stream != NULL &&
        (job_client_wants(&job->client) & (JOB_WANTS_RESET | JOB_WANTS_STOP)) != 0) {
        close_stream(job);
    }
}

static void take_output(struct core_job *job, const struct job_output *output, nanos now) {
    uint8_t head[RECORD_HEAD_SIZE];
    struct writer writer = writer_of((struct span){head, sizeof(head)});
    writer_u8(&writer, (uint8_t)output->stream);
    writer_u32(&writer, (uint32_t)output->data.size);
    if (buffer_append(&job->output, BYTES_ARRAY(head)) != 0 ||
        buffer_append(&job->output, output->data) != 0) {
        fail(job, PLASM_NO_MEMORY, "no memory for the job's output", now);
        close_stream(job);
    }
}

static void take_finished(struct core_job *job, const struct job_client_finished *finished,
                          nanos now) {
    buffer_clear(&job->receipt_json);
    buffer_clear(&job->message);
    if (buffer_append(&job->receipt_json, finished->receipt_json) != 0 ||
        buffer_append(&job->message, finished->message) != 0) {
        fail(job, PLASM_NO_MEMORY, "no memory for the receipt", now);
        return;
    }
    job->state = CORE_JOB_FINISHED;
    job->verdict = finished->verdict;
    job->output_given = finished->output_checked;
    job->fault = finished->fault;
    job->receipt = finished->receipt;
    memcpy(job->signature, finished->signature, sizeof(job->signature));
    memcpy(job->public_key, finished->public_key, sizeof(job->public_key));
    job->has_summary = finished->has_summary;
    memcpy(job->summary_signature, finished->summary_signature, sizeof(job->summary_signature));
    job->times.finished = now;
    if (job->times.accepted == 0) {
        job->times.accepted = now;
    }
}

static void take_rejected(struct core_job *job, const struct job_rejected *rejected, nanos now) {
    char text[CORE_TEXT_SIZE];
    snprintf(text, sizeof(text), "%s: %.*s", job_rejection_name(rejected->code),
             (int)rejected->text.size, (const char *)rejected->text.data);
    fail(job, PLASM_REFUSED, text, now);
    job->state = CORE_JOB_REJECTED;
    job->retry_after_ms = rejected->retry_after_ms;
    job->code = rejected->code;
    job->has_worker_limits = rejected->has_limits;
    job->worker_limits = rejected->limits;
}

/* The worker holds the module from now on: it need not travel with the next offer. */
static void remember_module(struct core_job *job) {
    struct core_node *node = core_node_get(job->core, &job->target);
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->module_count && i < CORE_MODULES_MAX; i++) {
        if (sha256_equal(&node->modules[i], &job->manifest.module_hash)) {
            return;
        }
    }
    node->modules[node->module_count++ % CORE_MODULES_MAX] = job->manifest.module_hash;
}

static void take_events(struct core_job *job, nanos now) {
    struct job_client_event event;
    while (job_client_next_event(&job->client, &event)) {
        switch (event.type) {
        case JOB_CLIENT_ACCEPTED:
            job->state = CORE_JOB_ACCEPTED;
            job->times.accepted = now;
            job->limits = event.accepted.limits;
            job->clamped = event.accepted.clamped;
            remember_module(job);
            break;
        case JOB_CLIENT_NEED_MODULE:
        case JOB_CLIENT_PROGRESS:
            break;
        case JOB_CLIENT_OUTPUT:
            take_output(job, &event.output, now);
            break;
        case JOB_CLIENT_FINISHED:
            take_finished(job, &event.finished, now);
            break;
        case JOB_CLIENT_REJECTED:
            take_rejected(job, &event.rejected, now);
            break;
        case JOB_CLIENT_ESTIMATE:
            job->estimate = event.estimate;
            job->state = CORE_JOB_ESTIMATED;
            break;
        case JOB_CLIENT_FAILED:
            fail(job, event.failed.error, event.failed.text, now);
            break;
        }
    }
}

static bool module_is_known(const struct core_job *job) {
    const struct core_node *node = core_node_get(job->core, &job->target);
    for (size_t i = 0; node != NULL && i < node->module_count && i < CORE_MODULES_MAX; i++) {
        if (sha256_equal(&node->modules[i], &job->manifest.module_hash)) {
            return true;
        }
    }
    return false;
}

/* Over the best connection there is to that worker: `connection` may be a relayed one that a direct
 * one has come beside. */
static void offer(struct core_job *job, struct peer_connection *connection, nanos now) {
    job->waits = WAIT_NOTHING;
    job->target = *peer_connection_id(connection);
    struct peer_connection *best = peer_connection_to(job->core->config.peer, &job->target);
    connection = best != NULL ? best : connection;
    job->remote = *peer_connection_remote(connection);
    job->times.found = job->times.found != 0 ? job->times.found : now;
    struct job_request request = {.manifest = &job->manifest,
                                  .manifest_json = buffer_bytes(&job->manifest_json),
                                  .worker = job->target,
                                  .module_known = module_is_known(job),
                                  .want_summary = job->want_summary,
                                  .only_fetch = job->fetch_only || job->dry_run,
                                  .dry_run = job->dry_run,
                                  .stdin_size = job->stdin_size};
    if (job->dry_run) {
        request.module_known = true;
    } else if (job->fetch_only) {
        request.fetch_secret = BYTES_ARRAY(job->fetch_secret);
    } else {
        request.module = block_bytes(job->module);
        request.stdin_bytes = block_bytes(job->input);
    }
    job->has_client = true;
    int error = job_client_init(&job->client, &request, job->core->memory);
    if (error == 0) {
        error =
            peer_stream_open(job->core->config.peer, connection, JOB_PROTOCOL, now, &job->stream);
    }
    if (error != 0) {
        fail(job, error,
             error == PLASM_INVALID ? "this worker cannot sign receipts"
                                    : "cannot open a stream to the worker",
             now);
        return;
    }
    *peer_stream_user(job->stream) = job;
    job->state = CORE_JOB_OFFERED;
    job->times.offered = now;
    pump(job, now);
}

static void connect_to(struct core_job *job, const struct multiaddr *addresses, size_t count,
                       nanos now) {
    struct peer *peer = job->core->config.peer;
    const struct peer_id *expected = job->target.size > 0 ? &job->target : NULL;
    struct peer_connection *open = expected != NULL ? peer_connection_to(peer, expected) : NULL;
    if (open != NULL) {
        offer(job, open, now);
        return;
    }
    job->state = CORE_JOB_CONNECTING;
    int error = peer_connect(peer, expected, addresses, count, now, &job->request);
    if (error != 0) {
        fail(job, error, "the worker's address cannot be dialled", now);
        return;
    }
    job->waits = WAIT_CONNECT;
}

/* Addresses of a node named by its peer id alone: its record's, or the DHT's. */
static void look_up(struct core_job *job, nanos now) {
    const struct core_node *node = core_node_get(job->core, &job->target);
    if (node != NULL) {
        connect_to(job, node->capability.addresses, node->capability.address_count, now);
        return;
    }
    if (peer_connection_to(job->core->config.peer, &job->target) != NULL) {
        connect_to(job, NULL, 0, now);
        return;
    }
    job->state = CORE_JOB_CONNECTING;
    job->waits = WAIT_LOOKUP;
    if (peer_find_peer(job->core->config.peer, &job->target, now, &job->request) != 0) {
        fail(job, PLASM_NOT_FOUND, "the worker cannot be looked up", now);
    }
}

/* Says what was tried to reach anybody at all. */
static void fail_cut_off(struct core_job *job, nanos now) {
    char text[CORE_TEXT_SIZE];
    struct bytes tried = core_tried(job->core);
    size_t size = tried.size > 0 ? tried.size - 1 : 0; /* without the last newline */
    snprintf(text, sizeof(text), "no node could be reached: %.*s", (int)size,
             size > 0 ? (const char *)tried.data : "");
    bool somebody = job->core->config.bootstrap_count > 0;
    fail(job, somebody ? PLASM_UNREACHABLE : PLASM_NOT_FOUND,
         somebody ? text
         : job->core->nearby_until > 0
             ? "nobody to ask, and nobody on the local network answered: name a node with "
               "--bootstrap or PLASM_BOOTSTRAP"
             : "nobody to ask: name a node with --bootstrap or PLASM_BOOTSTRAP",
         now);
}

/* Nobody could be asked so far: as soon as somebody is known, look again. */
static void wait_network(struct core_job *job, const struct peer_event *event, nanos now) {
    if (core_is_cut_off(job->core)) {
        fail_cut_off(job, now);
    } else if (event->type == PEER_EVENT_IDENTIFIED || event->type == PEER_EVENT_CAPABILITY) {
        look_up(job, now);
    }
}

void job_discovered(struct core_job *job, nanos now) {
    struct capability_query query = {.arch = job->manifest.arch,
                                     .runtime = job->manifest.runtime,
                                     .profile = job_profile_name(job->manifest.profile)};
    const struct core_node *best = NULL;
    const struct core_node *node = NULL;
    while ((node = core_next_match(job->core, &query, node)) != NULL) {
        if (best == NULL || node->capability.free_slots > best->capability.free_slots) {
            best = node;
        }
    }
    if (best != NULL) {
        job->target = best->id;
        job->times.found = now;
        offer(job, best->connection, now);
    } else if (core_discover_done(job->core)) {
        if (core_is_cut_off(job->core)) {
            fail_cut_off(job, now);
        } else {
            fail(job, PLASM_NOT_FOUND, "no worker was found", now);
        }
    }
}

static void handle_lookup(struct core_job *job, const struct peer_event *event, nanos now) {
    struct multiaddr addresses[PEER_DIAL_ADDRESSES_MAX];
    size_t count = 0;
    if (event->type == PEER_EVENT_PROVIDER) {
        struct bytes packed = event->data;
        struct bytes address;
        while (count < PEER_DIAL_ADDRESSES_MAX && kad_address_next(&packed, &address)) {
            count += multiaddr_decode(address, &addresses[count]) == 0;
        }
    }
    if (count > 0) {
        connect_to(job, addresses, count, now);
    } else if (event->type == PEER_EVENT_LOOKUP_DONE) {
        if (peer_connection_count(job->core->config.peer) > 0) {
            fail(job, PLASM_NOT_FOUND, "nobody knows an address of this peer id", now);
        } else {
            job->waits = WAIT_NETWORK;
            wait_network(job, event, now);
        }
    }
}

static void handle_stream(struct core_job *job, const struct peer_event *event, nanos now) {
    switch (event->type) {
    case PEER_EVENT_STREAM_DATA:
        job_client_receive(&job->client, event->data);
        take_events(job, now);
        if (job->stream != NULL && event->data.size > 0) {
            /* Output is credited when the application took it, all else at once. */
            size_t waiting = job->output.size;
            size_t held = waiting < event->data.size ? waiting : event->data.size;
            peer_stream_consume(job->stream, event->data.size - held);
            job->uncredited += held;
        }
        if (event->fin) {
            job_client_receive_fin(&job->client);
            take_events(job, now);
        }
        pump(job, now);
        break;
    case PEER_EVENT_STREAM_WRITABLE:
        pump(job, now);
        break;
    case PEER_EVENT_STREAM_CLOSED:
        job->stream = NULL;
        if (event->error != 0 && job->state < CORE_JOB_FINISHED) {
            job_client_receive_reset(&job->client, event->error);
            take_events(job, now);
        }
        fail(job, event->error != 0 ? event->error : PLASM_CLOSED,
             event->error == PLASM_UNSUPPORTED
                 ? "this peer is no worker: it does not speak " JOB_PROTOCOL
                 : "the connection to the worker was lost",
             now);
        break;
    default:
        break;
    }
}

void job_handle(struct core_job *job, const struct peer_event *event, nanos now) {
    if (event->stream != NULL) {
        if (event->stream == job->stream) {
            handle_stream(job, event, now);
        }
        return;
    }
    if (job->waits == WAIT_NETWORK) {
        wait_network(job, event, now);
        return;
    }
    if (job->waits == WAIT_NOTHING || event->request != job->request || event->request == 0) {
        return;
    }
    if (job->waits == WAIT_LOOKUP) {
        handle_lookup(job, event, now);
    } else if (event->type == PEER_EVENT_CONNECTED) {
        offer(job, event->connection, now);
    } else if (event->type == PEER_EVENT_CONNECT_FAILED) {
        char text[CORE_TEXT_SIZE];
        bytes_cut_string(event->data, text, sizeof(text));
        fail(job, event->error, text, now);
    }
}

void job_expire(struct core_job *job, nanos now) {
    if (job->state < CORE_JOB_ACCEPTED && job->waits == WAIT_NETWORK &&
        core_is_cut_off(job->core)) {
        fail_cut_off(job, now);
    }
    if (job->state < CORE_JOB_ACCEPTED && now >= job->deadline) {
        fail(job, PLASM_TIMEOUT, "no worker accepted the job in time", now);
        close_stream(job);
    }
}

/* Fills what the caller left open, and encodes. */
static int make_manifest(struct core_job *job, const struct core_submission *submission,
                         int64_t unix_ms, struct fault *fault) {
    struct random *random = job->core->config.random;
    job->manifest = submission->manifest;
    if (job->manifest.job_id[0] == '\0') {
        job_id_make(random, job->manifest.job_id);
    }
    if (submission->fetch_only) {
        if (submission->fetch_secret.size != FETCH_SECRET_SIZE) {
            return fault_set(fault, PLASM_INVALID, "fetch_secret", "must have 32 bytes");
        }
        memcpy(job->fetch_secret, submission->fetch_secret.data, FETCH_SECRET_SIZE);
    } else {
        client_nonce_make(random, job->manifest.client_nonce);
        random_fill(random, (struct span){job->fetch_secret, FETCH_SECRET_SIZE});
        job->manifest.fetchable = true;
        job->manifest.fetch_hash = sha256(BYTES_ARRAY(job->fetch_secret));
        if (!submission->dry_run) {
            job->manifest.module_hash = sha256(submission->module);
            job->manifest.module_size = submission->module.size;
            job->manifest.stdin_hash = sha256(submission->input);
        }
        job->manifest.expires_s = unix_ms / 1000 + OFFER_LIFE_S;
    }
    int error = manifest_encode(&job->manifest, &job->manifest_json, fault);
    if (error == 0) {
        job->manifest_hash = sha256(buffer_bytes(&job->manifest_json));
        /* The caller's strings are borrowed for the call only: keep what was encoded. */
        struct bytes json = buffer_bytes(&job->manifest_json);
        error = manifest_decode(json, job->core->memory, &job->manifest, fault);
        job->owns_manifest = error == 0;
    }
    return error;
}

static int copy_target(struct core_job *job, const struct core_submission *submission) {
    if (submission->node != NULL) {
        job->target = *submission->node;
    }
    if (submission->address_count > 0) {
        size_t size = submission->address_count * sizeof(struct multiaddr);
        job->addresses = memory_get(job->core->memory, size);
        if (job->addresses == NULL) {
            return PLASM_NO_MEMORY;
        }
        memcpy(job->addresses, submission->addresses, size);
        job->address_count = submission->address_count;
    }
    job->any_worker = submission->node == NULL && submission->address_count == 0;
    return 0;
}

int core_submit(struct core *core, const struct core_submission *submission, nanos now,
                int64_t unix_ms, struct core_job **ret_job, struct fault *fault) {
    struct core_job *job = memory_zero(core->memory, sizeof(*job));
    if (job == NULL) {
        return PLASM_NO_MEMORY;
    }
    job->core = core;
    job->times.begun = now;
    job->deadline = nanos_add(now, submission->timeout);
    job->want_summary = submission->want_summary;
    job->fetch_only = submission->fetch_only;
    job->dry_run = submission->dry_run;
    job->stdin_size = submission->stdin_size;
    buffer_init(&job->manifest_json, core->memory, MANIFEST_SIZE_MAX);
    buffer_init(&job->receipt_json, core->memory, RECEIPT_SIZE_MAX);
    buffer_init(&job->message, core->memory, JOB_TEXT_SIZE_MAX);
    buffer_init(&job->output, core->memory, OUTPUT_QUEUE_MAX);
    list_append(&core->jobs, &job->node);
    job->module = block_copy(core->memory, submission->module);
    job->input = block_copy(core->memory, submission->input);
    int error = job->module == NULL || job->input == NULL ? PLASM_NO_MEMORY : 0;
    if (error == 0) {
        error = copy_target(job, submission);
    }
    if (error == 0) {
        error = make_manifest(job, submission, unix_ms, fault);
    }
    if (error != 0) {
        core_job_free(job, now);
        return error;
    }
    *ret_job = job;
    if (job->any_worker) {
        job->state = CORE_JOB_DISCOVERING;
        job_discovered(job, now);
    } else if (job->address_count > 0) {
        connect_to(job, job->addresses, job->address_count, now);
    } else {
        look_up(job, now);
    }
    return 0;
}

bool core_job_output(struct core_job *job, enum job_stream *ret_stream, struct bytes *ret_data) {
    core_job_output_taken(job);
    struct cursor cursor = cursor_of(buffer_bytes(&job->output));
    if (cursor.left.size == 0) {
        return false;
    }
    *ret_stream = (enum job_stream)cursor_u8(&cursor);
    uint32_t size = cursor_u32(&cursor);
    *ret_data = cursor_take(&cursor, size);
    ENSURE(cursor.error == 0);
    job->output_taken = RECORD_HEAD_SIZE + size;
    return true;
}

void core_job_output_taken(struct core_job *job) {
    if (job->output_taken == 0) {
        return;
    }
    buffer_consume(&job->output, job->output_taken);
    job->output_taken = 0;
    if (job->uncredited > job->output.size) {
        size_t credit = job->uncredited - job->output.size;
        job->uncredited -= credit;
        if (job->stream != NULL) {
            peer_stream_consume(job->stream, credit);
        }
    }
}

bool core_job_over(const struct core_job *job) {
    return job->state >= CORE_JOB_FINISHED;
}

uint64_t core_job_wall_ms(const struct core_job *job) {
    return job->manifest.limits.wall_ms;
}

void core_job_cancel(struct core_job *job, nanos now) {
    if (job->stream != NULL) {
        job_client_cancel(&job->client);
        take_events(job, now);
        pump(job, now);
    } else {
        fail(job, PLASM_CANCELLED, "cancelled", now);
    }
}

void core_job_view(const struct core_job *job, struct core_job_view *ret_view) {
    *ret_view = (struct core_job_view){
        .state = job->state,
        .node = job->target,
        .remote = job->remote,
        .manifest_json = buffer_bytes(&job->manifest_json),
        .job_id = job->manifest.job_id,
        .manifest_hash = job->manifest_hash,
        .module_hash = job->manifest.module_hash,
        .fetch_secret = job->fetch_secret,
        .limits = job->limits,
        .clamped = job->clamped,
        .verdict = job->verdict,
        .output_given = job->output_given,
        .fault = job->fault,
        .receipt = &job->receipt,
        .receipt_json = buffer_bytes(&job->receipt_json),
        .signature = job->signature,
        .public_key = job->public_key,
        .summary_signature = job->has_summary ? job->summary_signature : NULL,
        .message = buffer_bytes(&job->message),
        .error = job->error,
        .text = job->text,
        .retry_after_ms = job->retry_after_ms,
        .code = job->code,
        .has_worker_limits = job->has_worker_limits,
        .worker_limits = job->worker_limits,
        .estimate = job->estimate,
        .manifest = &job->manifest,
        .times = job->times,
    };
}

void core_job_free(struct core_job *job, nanos now) {
    if (job == NULL) {
        return;
    }
    struct memory *memory = job->core->memory;
    if (job->waits == WAIT_CONNECT) {
        peer_connect_cancel(job->core->config.peer, job->request, now);
    } else if (job->waits == WAIT_LOOKUP) {
        peer_lookup_cancel(job->core->config.peer, job->request);
    }
    close_stream(job);
    if (job->has_client) {
        job_client_done(&job->client);
    }
    if (job->owns_manifest) {
        manifest_done(&job->manifest);
    }
    crypto_wipe(job->fetch_secret, sizeof(job->fetch_secret));
    list_remove(&job->core->jobs, &job->node);
    block_unref(job->module);
    block_unref(job->input);
    block_unref(job->unsent);
    buffer_done(&job->manifest_json);
    buffer_done(&job->receipt_json);
    buffer_done(&job->message);
    buffer_done(&job->output);
    memory_put(memory, job->addresses, job->address_count * sizeof(struct multiaddr));
    memory_put(memory, job, sizeof(*job));
}
