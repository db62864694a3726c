/* The client's end of a job stream. */
#include "proto/job/client.h"

#include "util/ensure.h"

/* An offer, and the cancel after it. */
#define CLIENT_OUT_MAX (JOB_FRAME_SIZE_MAX + 1024)

static void client_fail(struct job_client *client, int error, const char *text) {
    if (client->state == JOB_CLIENT_STATE_OVER) {
        return;
    }
    client->state = JOB_CLIENT_STATE_OVER;
    client->error = error;
    client->error_text = text;
    client->wants |= JOB_WANTS_STOP | JOB_WANTS_RESET;
}

/* --- Asking ------------------------------------------------------------------------------- */

static int client_check(const struct job_request *request) {
    const struct manifest *manifest = request->manifest;
    struct public_key key;
    if (peer_id_key(&request->worker, &key) != 0 || key.type != KEY_ED25519) {
        return PLASM_INVALID;
    }
    bool given = request->module.size == manifest->module_size;
    if (request->dry_run && !request->only_fetch) {
        return PLASM_INVALID;
    }
    bool left_out = request->module.size == 0 && (request->module_known || request->only_fetch);
    if (!given && !left_out) {
        return PLASM_INVALID;
    }
    if (request->fetch_secret.size > 0) {
        struct sha256_digest hash = sha256(request->fetch_secret);
        if (!manifest->fetchable || request->fetch_secret.size != FETCH_SECRET_SIZE ||
            !sha256_equal(&hash, &manifest->fetch_hash)) {
            return PLASM_INVALID;
        }
    }
    return 0;
}

int job_client_init(struct job_client *client, const struct job_request *request,
                    struct memory *memory) {
    *client = (struct job_client){
        .memory = memory,
        .request = *request,
        .state = JOB_CLIENT_STATE_OFFERED,
        .limits = request->manifest->limits,
        .input_dropped = request->only_fetch,
    };
    job_reader_init(&client->reader, memory);
    buffer_init(&client->out, memory, CLIENT_OUT_MAX);
    int error = client_check(request);
    if (error != 0) {
        return error;
    }
    client->manifest_hash = sha256(request->manifest_json);
    bool attach = !request->module_known && !request->only_fetch &&
                  request->module.size <= JOB_MODULE_INLINE_MAX;
    client->module_settled = attach || request->only_fetch || request->manifest->module_size == 0;
    const struct job_frame offer = {.type = JOB_FRAME_OFFER,
                                    .offer = {
                                        .manifest = request->manifest_json,
                                        .want_summary = request->want_summary,
                                        .only_fetch = request->only_fetch,
                                        .dry_run = request->dry_run,
                                        .stdin_size = request->dry_run ? request->stdin_size
                                                      : request->only_fetch
                                                          ? 0
                                                          : request->stdin_bytes.size,
                                        .module = attach ? request->module : bytes_of(NULL, 0),
                                        .fetch_secret = request->fetch_secret,
                                    }};
    return job_frame_encode(&offer, &client->out);
}

void job_client_cancel(struct job_client *client) {
    if (client->state == JOB_CLIENT_STATE_OVER || client->cancelled) {
        return;
    }
    client->cancelled = true;
    client->input_dropped = true;
    if ((client->wants & JOB_WANTS_FIN) != 0) {
        client_fail(client, PLASM_CANCELLED, "cancelled by reset");
        return;
    }
    const struct job_frame cancel = {.type = JOB_FRAME_CANCEL};
    int error = job_frame_encode(&cancel, &client->out);
    if (error != 0) {
        client_fail(client, error, "no memory to cancel");
    }
}

/* --- Writing ------------------------------------------------------------------------------ */

static size_t client_module_left(const struct job_client *client) {
    return client->module_wanted && !client->input_dropped
               ? client->request.module.size - client->module_sent
               : 0;
}

static size_t client_stdin_left(const struct job_client *client) {
    return client->input_dropped ? 0 : client->request.stdin_bytes.size - client->stdin_sent;
}

static bool client_idle(const struct job_client *client) {
    return client->head_sent == client->head_size && client->chunk.size == 0 &&
           client->out.size == 0 && client_module_left(client) == 0 &&
           client_stdin_left(client) == 0;
}

static bool client_input_sent(const struct job_client *client) {
    return client->head_sent == client->head_size && client->chunk.size == 0 &&
           client->stdin_sent == client->request.stdin_bytes.size &&
           (!client->module_wanted || client->module_sent == client->request.module.size);
}

/* Begins the next frame of the module, or else of stdin; false when all is sent. */
static bool client_begin_chunk(struct job_client *client) {
    bool module = client_module_left(client) > 0;
    struct bytes all = module ? client->request.module : client->request.stdin_bytes;
    size_t *sent = module ? &client->module_sent : &client->stdin_sent;
    if (!module && client_stdin_left(client) == 0) {
        return false;
    }
    client->chunk = bytes_slice(all, *sent, JOB_CHUNK_SIZE_MAX);
    *sent += client->chunk.size;
    client->head_size = job_chunk_head(module ? JOB_FRAME_MODULE : JOB_FRAME_STDIN,
                                       client->chunk.size, client->head);
    client->head_sent = 0;
    return true;
}

static struct bytes client_copy(struct bytes from, struct span *room, size_t *written) {
    struct bytes piece = bytes_slice(from, 0, room->size);
    if (piece.size > 0) {
        memcpy(room->data, piece.data, piece.size);
    }
    room->data += piece.size;
    room->size -= piece.size;
    *written += piece.size;
    return piece;
}

size_t job_client_transmit(struct job_client *client, struct span room) {
    size_t written = 0;
    while (room.size > 0 && client->state != JOB_CLIENT_STATE_OVER) {
        if (client->head_sent < client->head_size) {
            struct bytes head =
                bytes_of(client->head + client->head_sent, client->head_size - client->head_sent);
            client->head_sent += client_copy(head, &room, &written).size;
        } else if (client->chunk.size > 0) {
            size_t size = client_copy(client->chunk, &room, &written).size;
            client->chunk = bytes_slice(client->chunk, size, client->chunk.size);
        } else if (client->out.size > 0) {
            size_t size = client_copy(buffer_bytes(&client->out), &room, &written).size;
            buffer_consume(&client->out, size);
        } else if (!client_begin_chunk(client)) {
            break;
        }
    }
    if (client->request.finish_early && client->state != JOB_CLIENT_STATE_OVER &&
        client_idle(client) && (client->module_settled || client->request.module_known)) {
        client->wants |= JOB_WANTS_FIN;
    }
    return written;
}

/* What `data` bytes take in chunks, heads included. */
static size_t client_framed_size(size_t data) {
    uint8_t head[JOB_FRAME_OVERHEAD_MAX];
    size_t whole = data / JOB_CHUNK_SIZE_MAX;
    size_t rest = data % JOB_CHUNK_SIZE_MAX;
    size_t size = data;
    if (whole > 0) {
        size += whole * job_chunk_head(JOB_FRAME_STDIN, JOB_CHUNK_SIZE_MAX, head);
    }
    return rest > 0 ? size + job_chunk_head(JOB_FRAME_STDIN, rest, head) : size;
}

size_t job_client_pending(const struct job_client *client) {
    if (client->state == JOB_CLIENT_STATE_OVER) {
        return 0;
    }
    return client->head_size - client->head_sent + client->chunk.size + client->out.size +
           client_framed_size(client_module_left(client)) +
           client_framed_size(client_stdin_left(client));
}

unsigned job_client_wants(const struct job_client *client) {
    return client->wants;
}

/* --- Reading ------------------------------------------------------------------------------ */

void job_client_receive(struct job_client *client, struct bytes input) {
    if (client->state != JOB_CLIENT_STATE_OVER) {
        job_reader_give(&client->reader, input);
    }
}

void job_client_receive_fin(struct job_client *client) {
    client->reader.ended = true;
}

void job_client_receive_reset(struct job_client *client, int error) {
    client_fail(client, error,
                error == PLASM_RESET ? "the worker reset the stream" : "the connection was lost");
}

/* Over in good order: what was not sent is not needed, and what was begun must not look whole. */
static void client_end(struct job_client *client) {
    bool whole =
        client->head_sent == client->head_size && client->chunk.size == 0 && client->out.size == 0;
    client->wants |= whole ? JOB_WANTS_FIN : JOB_WANTS_RESET;
    client->state = JOB_CLIENT_STATE_OVER;
}

/* A worker may lower what was asked, and only for a profile that allows it. */
static bool client_limits_right(const struct manifest *manifest, const struct job_limits *limits) {
    const struct job_limits *asked = &manifest->limits;
    bool fuel = asked->fuel == 0 || (limits->fuel > 0 && limits->fuel <= asked->fuel);
    return manifest->profile != PROFILE_DETERMINISTIC_1 && fuel &&
           limits->memory_bytes <= asked->memory_bytes && limits->wall_ms <= asked->wall_ms &&
           limits->output_bytes <= asked->output_bytes;
}

static bool client_on_accepted(struct job_client *client, struct job_accepted *accepted,
                               struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_OFFERED || client->request.dry_run) {
        client_fail(client, PLASM_MALFORMED,
                    client->request.dry_run ? "accepted what was only asked" : "accepted twice");
        return false;
    }
    if (accepted->without_output && !accepted->resumed) {
        client_fail(client, PLASM_MALFORMED, "accepted without output, but not resumed");
        return false;
    }
    if (accepted->resumed) {
        client->input_dropped = true;
    } else if (client->request.only_fetch || !client_input_sent(client)) {
        client_fail(client, PLASM_MALFORMED, "accepted without the input");
        return false;
    }
    if (accepted->clamped && !client_limits_right(client->request.manifest, &accepted->limits)) {
        client_fail(client, PLASM_MALFORMED, "accepted with limits over those of the manifest");
        return false;
    }
    if (accepted->clamped) {
        client->limits = accepted->limits;
    }
    accepted->limits = client->limits;
    client->output_missing = accepted->without_output;
    client->module_settled = true;
    client->state = JOB_CLIENT_STATE_ACCEPTED;
    *event = (struct job_client_event){.type = JOB_CLIENT_ACCEPTED, .accepted = *accepted};
    return true;
}

static bool client_on_need_module(struct job_client *client, struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_OFFERED || client->module_settled) {
        client_fail(client, PLASM_MALFORMED, "a module was asked for out of turn");
        return false;
    }
    client->module_settled = true;
    if ((client->wants & JOB_WANTS_FIN) != 0) {
        return false; /* too late; the worker will see that and reject */
    }
    if (client->request.module.size == 0) {
        client_fail(client, PLASM_NOT_FOUND, "the worker does not hold the module");
        return false;
    }
    client->module_wanted = true;
    *event = (struct job_client_event){.type = JOB_CLIENT_NEED_MODULE};
    return true;
}

static bool client_on_output(struct job_client *client, const struct job_output *output,
                             struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_ACCEPTED || client->output_missing) {
        client_fail(client, PLASM_MALFORMED, "output out of turn");
        return false;
    }
    if (output->seq != client->output_seq) {
        client_fail(client, PLASM_MALFORMED, "a piece of output is missing");
        return false;
    }
    if (output->data.size > client->limits.output_bytes - client->output_bytes) {
        client_fail(client, PLASM_MALFORMED, "more output than the limit");
        return false;
    }
    struct hash **hash = output->stream == JOB_STDOUT ? &client->stdout_hash : &client->stderr_hash;
    if (*hash == NULL) {
        *hash = hash_new();
    }
    if (*hash == NULL) {
        client_fail(client, PLASM_NO_MEMORY, "no memory for a hash");
        return false;
    }
    hash_update(*hash, output->data);
    client->output_seq++;
    client->output_bytes += output->data.size;
    *event = (struct job_client_event){.type = JOB_CLIENT_OUTPUT, .output = *output};
    return true;
}

static bool client_on_progress(struct job_client *client, const struct job_progress *progress,
                               struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_ACCEPTED ||
        client->progress_count == JOB_CLIENT_PROGRESS_FRAMES_MAX) {
        client_fail(client, PLASM_MALFORMED, "progress out of turn, or too much of it");
        return false;
    }
    client->progress_count++;
    *event = (struct job_client_event){.type = JOB_CLIENT_PROGRESS, .progress = *progress};
    return true;
}

static bool client_on_rejected(struct job_client *client, const struct job_rejected *rejected,
                               struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_OFFERED) {
        client_fail(client, PLASM_MALFORMED, "rejected after it was accepted");
        return false;
    }
    client_end(client);
    *event = (struct job_client_event){.type = JOB_CLIENT_REJECTED, .rejected = *rejected};
    return true;
}

static bool client_on_estimate(struct job_client *client, struct job_estimate *estimate,
                               struct job_client_event *event) {
    const struct manifest *manifest = client->request.manifest;
    if (!client->request.dry_run) {
        client_fail(client, PLASM_MALFORMED, "an estimate nobody asked for");
        return false;
    }
    if (estimate->clamped && !client_limits_right(manifest, &estimate->limits)) {
        client_fail(client, PLASM_MALFORMED, "an estimate with limits over those of the manifest");
        return false;
    }
    if (!estimate->clamped) {
        estimate->limits = manifest->limits;
    }
    client_end(client);
    *event = (struct job_client_event){.type = JOB_CLIENT_ESTIMATE, .estimate = *estimate};
    return true;
}

static struct sha256_digest client_digest(const struct hash *hash) {
    return hash != NULL ? hash_digest(hash) : sha256(bytes_of(NULL, 0));
}

static enum verdict client_judge(struct job_client *client, struct job_client_finished *finished,
                                 struct bytes summary_signature) {
    if (receipt_decode(finished->receipt_json, &finished->receipt, &finished->fault) != 0) {
        return VERDICT_REFUSED;
    }
    struct sha256_digest stdout_hash = client_digest(client->stdout_hash);
    struct sha256_digest stderr_hash = client_digest(client->stderr_hash);
    struct expectation expectation = {
        .worker = &client->request.worker,
        .stdout_hash = finished->output_checked ? &stdout_hash : NULL,
        .stderr_hash = finished->output_checked ? &stderr_hash : NULL,
    };
    enum verdict verdict =
        receipt_verify(&finished->receipt, finished->receipt_json, finished->signature,
                       finished->public_key, client->request.manifest, &client->manifest_hash,
                       &expectation, client->memory, &finished->fault);
    if (verdict != VERDICT_VERIFIED || !client->request.want_summary ||
        summary_signature.size == 0) {
        return verdict;
    }
    memcpy(finished->summary_signature, summary_signature.data, ED25519_SIGNATURE_SIZE);
    if (receipt_summary_verify(&finished->receipt, finished->summary_signature,
                               finished->public_key, client->memory) != 0) {
        (void)fault_set(&finished->fault, PLASM_UNTRUSTED, "summary_signature",
                        "is not this key's over the summary");
        return VERDICT_REFUSED;
    }
    finished->has_summary = true;
    return verdict;
}

static bool client_on_finished(struct job_client *client, const struct job_finished *frame,
                               struct job_client_event *event) {
    if (client->state != JOB_CLIENT_STATE_ACCEPTED) {
        client_fail(client, PLASM_MALFORMED, "finished before it was accepted");
        return false;
    }
    *event = (struct job_client_event){.type = JOB_CLIENT_FINISHED};
    struct job_client_finished *finished = &event->finished;
    finished->receipt_json = frame->receipt;
    finished->message = frame->message;
    finished->output_checked = !client->output_missing;
    memcpy(finished->signature, frame->signature.data, ED25519_SIGNATURE_SIZE);
    memcpy(finished->public_key, frame->public_key.data, ED25519_PUBLIC_SIZE);
    finished->verdict = client_judge(client, finished, frame->summary_signature);
    client_end(client);
    return true;
}

/* False when the frame gives no event; it may have failed the client then. */
static bool client_on_frame(struct job_client *client, struct job_frame *frame,
                            struct job_client_event *event) {
    switch (frame->type) {
    case JOB_FRAME_ACCEPTED:
        return client_on_accepted(client, &frame->accepted, event);
    case JOB_FRAME_REJECTED:
        return client_on_rejected(client, &frame->rejected, event);
    case JOB_FRAME_NEED_MODULE:
        return client_on_need_module(client, event);
    case JOB_FRAME_OUTPUT:
        return client_on_output(client, &frame->output, event);
    case JOB_FRAME_PROGRESS:
        return client_on_progress(client, &frame->progress, event);
    case JOB_FRAME_FINISHED:
        return client_on_finished(client, &frame->finished, event);
    case JOB_FRAME_ESTIMATE:
        return client_on_estimate(client, &frame->estimate, event);
    default:
        client_fail(client, PLASM_MALFORMED, "a frame only clients send");
        return false;
    }
}

bool job_client_next_event(struct job_client *client, struct job_client_event *ret_event) {
    while (client->state != JOB_CLIENT_STATE_OVER) {
        struct bytes payload;
        struct job_frame frame;
        int error = job_reader_next(&client->reader, &payload);
        if (error == PLASM_TRUNCATED) {
            return false;
        }
        if (error == PLASM_CLOSED) {
            client_fail(client, error, "the worker ended the stream without a receipt");
            break;
        }
        if (error == 0) {
            error = job_frame_decode(payload, &frame);
        }
        if (error != 0) {
            client_fail(client, error, "not a frame of this protocol");
            break;
        }
        if (client_on_frame(client, &frame, ret_event)) {
            return true;
        }
    }
    job_reader_clear(&client->reader);
    if (client->error != 0 && !client->error_reported) {
        client->error_reported = true;
        *ret_event = (struct job_client_event){
            .type = JOB_CLIENT_FAILED,
            .failed = {.error = client->error, .text = client->error_text}};
        return true;
    }
    return false;
}

void job_client_done(struct job_client *client) {
    hash_free(client->stdout_hash);
    hash_free(client->stderr_hash);
    client->stdout_hash = NULL;
    client->stderr_hash = NULL;
    job_reader_done(&client->reader);
    buffer_done(&client->out);
}
