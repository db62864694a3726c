/* The worker's end of a job stream. */
#include "proto/job/worker.h"

#include <stdio.h>

#include "util/ensure.h"

/* Room beyond the bound on output for the frames that must always fit. */
#define WORKER_OUT_SPARE     (JOB_FRAME_SIZE_MAX + 1024)
#define WORKER_OUTPUT_CHUNK  (32 * 1024)
#define WORKER_OUTPUT_BUFFER (256 * 1024)

void job_worker_bounds_default(struct job_worker_bounds *ret_bounds) {
    *ret_bounds = (struct job_worker_bounds){
        .limits = {.job = {.fuel = 0,
                           .memory_bytes = 128 * 1024 * 1024,
                           .wall_ms = 30000,
                           .output_bytes = 1024 * 1024},
                   .module_bytes = 16 * 1024 * 1024,
                   .stdin_bytes = 16 * 1024 * 1024},
        .output_buffered_bytes_max = WORKER_OUTPUT_BUFFER,
        .offer_timeout = 10 * NANOS_SECOND,
        .input_timeout = 30 * NANOS_SECOND,
        .input_rate_min = 8 * 1024,
    };
}

void job_worker_init(struct job_worker *worker, const struct job_worker_bounds *bounds,
                     struct memory *memory, nanos now) {
    *worker = (struct job_worker){
        .memory = memory,
        .bounds = *bounds,
        .state = JOB_WORKER_STATE_WAITING,
        .deadline = nanos_add(now, bounds->offer_timeout),
        .connected = true,
    };
    job_reader_init(&worker->reader, memory);
    buffer_init(&worker->manifest_json, memory, MANIFEST_SIZE_MAX);
    buffer_init(&worker->out, memory, bounds->output_buffered_bytes_max + WORKER_OUT_SPARE);
}

void job_worker_done(struct job_worker *worker) {
    job_input_done(&worker->module);
    job_input_done(&worker->stdin_input);
    manifest_done(&worker->manifest);
    buffer_done(&worker->manifest_json);
    job_reader_done(&worker->reader);
    buffer_done(&worker->out);
}

/* --- Answers ------------------------------------------------------------------------------ */

static bool worker_deciding(const struct job_worker *worker) {
    return worker->state == JOB_WORKER_STATE_WAITING || worker->state == JOB_WORKER_STATE_OFFERED ||
           worker->state == JOB_WORKER_STATE_INPUT || worker->state == JOB_WORKER_STATE_READY;
}

static void worker_over(struct job_worker *worker) {
    worker->state = JOB_WORKER_STATE_OVER;
    worker->deadline = NANOS_NEVER;
    worker->hold_until = 0;
}

static int worker_send(struct job_worker *worker, const struct job_frame *frame) {
    return worker->connected ? job_frame_encode(frame, &worker->out) : 0;
}

int job_worker_reject(struct job_worker *worker, const struct job_rejected *rejected) {
    if (!worker_deciding(worker)) {
        return PLASM_STATE;
    }
    const struct job_frame frame = {.type = JOB_FRAME_REJECTED, .rejected = *rejected};
    int error = worker_send(worker, &frame);
    /* Where there is no memory even to say it, the stream just ends. */
    worker->stop_reading = true;
    worker_over(worker);
    return error;
}

int job_worker_reject_fault(struct job_worker *worker, enum job_rejection code,
                            const struct fault *fault, const struct worker_limits *limits) {
    char text[JOB_TEXT_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "%s %s", fault->field, fault->text);
    struct job_rejected rejected = {.code = code, .text = bytes_of(text, (size_t)size)};
    if (code == JOB_REJECTED_LIMIT) {
        rejected.limit = bytes_of_string(fault->field);
    }
    if (limits != NULL) {
        rejected.has_limits = true;
        rejected.limits = *limits;
    }
    return job_worker_reject(worker, &rejected);
}

/* The machine's own no. */
static void worker_refuse(struct job_worker *worker, enum job_rejection code, const char *field,
                          const char *text) {
    worker->refused_due = true;
    worker->refused =
        (struct job_worker_refused){.code = code, .fault = {.field = field, .text = text}};
    const struct worker_limits *limits = code == JOB_REJECTED_LIMIT ? &worker->bounds.limits : NULL;
    (void)!job_worker_reject_fault(worker, code, &worker->refused.fault, limits);
}

static void worker_refuse_error(struct job_worker *worker, int error, const struct fault *fault) {
    enum job_rejection code = JOB_REJECTED_MALFORMED;
    if (error == PLASM_UNSUPPORTED) {
        code = JOB_REJECTED_UNSUPPORTED;
    } else if (error == PLASM_NO_MEMORY) {
        code = JOB_REJECTED_BUSY;
    } else if (error == PLASM_UNTRUSTED) {
        code = JOB_REJECTED_HASH_MISMATCH;
    }
    worker_refuse(worker, code, fault->field, fault->text);
}

/* What a peer does wrong: before the job is accepted it is refused, after that it is cancelled. */
static void worker_violation(struct job_worker *worker, int error, const char *text) {
    if (worker_deciding(worker)) {
        worker_refuse_error(worker, error == PLASM_NO_MEMORY ? error : PLASM_MALFORMED,
                            &(struct fault){.field = "stream", .text = text});
    } else if (worker->state == JOB_WORKER_STATE_ACCEPTED && !worker->stop_reading) {
        worker->stop_reading = true;
        worker->cancel_due = !worker->cancel_given;
    }
}

/* --- Decisions ---------------------------------------------------------------------------- */

/* What is common to all offers that are to run. */
static int worker_begin_input(struct job_worker *worker, nanos now) {
    if (worker->state != JOB_WORKER_STATE_OFFERED || worker->only_fetch) {
        return PLASM_STATE;
    }
    if (worker->stdin_input.size > worker->bounds.limits.stdin_bytes) {
        worker_refuse(worker, JOB_REJECTED_LIMIT, "stdin_bytes", "is over the worker's limit");
        return PLASM_TOO_LARGE;
    }
    if (worker->manifest.module_size > worker->bounds.limits.module_bytes) {
        worker_refuse(worker, JOB_REJECTED_LIMIT, "module_bytes", "is over the worker's limit");
        return PLASM_TOO_LARGE;
    }
    worker->stdin_input.wanted = true;
    worker->input_began = now;
    worker->deadline = nanos_add(now, worker->bounds.input_timeout);
    worker->state = JOB_WORKER_STATE_INPUT;
    return 0;
}

int job_worker_have_module(struct job_worker *worker, nanos now) {
    int error = worker_begin_input(worker, now);
    if (error == 0) {
        worker->module.complete = true;
        worker->attached = bytes_of(NULL, 0);
    }
    return error;
}

int job_worker_need_module(struct job_worker *worker, nanos now) {
    int error = worker_begin_input(worker, now);
    if (error != 0) {
        return error;
    }
    worker->module.wanted = true;
    if (worker->attached.size > 0 || worker->module.size == 0) {
        return 0;
    }
    const struct job_frame frame = {.type = JOB_FRAME_NEED_MODULE};
    error = worker_send(worker, &frame);
    if (error != 0) {
        worker_refuse(worker, JOB_REJECTED_BUSY, "memory", "is out");
    }
    return error;
}

static int worker_accept(struct job_worker *worker, const struct job_accepted *accepted,
                         nanos hold_until) {
    const struct job_frame frame = {.type = JOB_FRAME_ACCEPTED, .accepted = *accepted};
    int error = worker_send(worker, &frame);
    if (error == 0) {
        worker->state = JOB_WORKER_STATE_ACCEPTED;
        worker->deadline = NANOS_NEVER;
        worker->hold_until = hold_until;
        worker->attached = bytes_of(NULL, 0);
    }
    return error;
}

static bool worker_clamped(const struct job_worker *worker, const struct job_limits *effective) {
    const struct job_limits *asked = &worker->manifest.limits;
    return effective->fuel != asked->fuel || effective->memory_bytes != asked->memory_bytes ||
           effective->wall_ms != asked->wall_ms || effective->output_bytes != asked->output_bytes;
}

int job_worker_resume(struct job_worker *worker, const struct job_limits *effective,
                      uint64_t queue_position, bool with_output) {
    if (worker->state != JOB_WORKER_STATE_OFFERED || worker->dry_run) {
        return PLASM_STATE;
    }
    struct job_accepted accepted = {
        .queue_position = queue_position, .resumed = true, .without_output = !with_output};
    if (effective != NULL && worker_clamped(worker, effective)) {
        accepted.clamped = true;
        accepted.limits = *effective;
    }
    int error = worker_accept(worker, &accepted, 0);
    if (error == 0) {
        worker->resumed = true;
        worker->output_missing = !with_output;
    } else {
        worker_refuse(worker, JOB_REJECTED_BUSY, "memory", "is out");
    }
    return error;
}

int job_worker_estimate(struct job_worker *worker, const struct job_estimate *estimate) {
    if (worker->state != JOB_WORKER_STATE_OFFERED || !worker->dry_run) {
        return PLASM_STATE;
    }
    struct job_frame frame = {.type = JOB_FRAME_ESTIMATE, .estimate = *estimate};
    frame.estimate.clamped = worker_clamped(worker, &estimate->limits);
    int error = worker_send(worker, &frame);
    worker->stop_reading = true;
    worker_over(worker);
    return error;
}

int job_worker_accept(struct job_worker *worker, const struct job_limits *effective,
                      uint64_t queue_position, nanos hold_until) {
    if (worker->state != JOB_WORKER_STATE_READY) {
        return PLASM_STATE;
    }
    struct job_accepted accepted = {.queue_position = queue_position};
    if (worker_clamped(worker, effective)) {
        accepted.clamped = true;
        accepted.limits = *effective;
    }
    return worker_accept(worker, &accepted, hold_until);
}

int job_worker_output(struct job_worker *worker, enum job_stream stream, struct bytes data,
                      size_t *ret_taken) {
    if (!worker->connected) {
        *ret_taken = data.size;
        return 0;
    }
    if (worker->state != JOB_WORKER_STATE_ACCEPTED || worker->output_missing) {
        return PLASM_STATE;
    }
    size_t taken = 0;
    while (taken < data.size && worker->out.size < worker->bounds.output_buffered_bytes_max) {
        const struct job_frame frame = {
            .type = JOB_FRAME_OUTPUT,
            .output = {.seq = worker->output_seq,
                       .stream = stream,
                       .data = bytes_slice(data, taken, WORKER_OUTPUT_CHUNK)}};
        int error = job_frame_encode(&frame, &worker->out);
        if (error != 0 && taken == 0) {
            return error;
        }
        if (error != 0) {
            break;
        }
        worker->output_seq++;
        taken += frame.output.data.size;
    }
    worker->writable_wanted = taken < data.size;
    *ret_taken = taken;
    return 0;
}

int job_worker_progress(struct job_worker *worker, const struct job_progress *progress) {
    if (worker->state != JOB_WORKER_STATE_ACCEPTED) {
        return worker->connected ? PLASM_STATE : 0;
    }
    /* It is only news: a client that does not read gets none. */
    if (worker->out.size >= worker->bounds.output_buffered_bytes_max) {
        return 0;
    }
    const struct job_frame frame = {.type = JOB_FRAME_PROGRESS, .progress = *progress};
    return worker_send(worker, &frame);
}

int job_worker_finish(struct job_worker *worker, const struct job_finished *finished) {
    if (worker->state != JOB_WORKER_STATE_ACCEPTED) {
        return worker->connected ? PLASM_STATE : 0;
    }
    struct job_frame frame = {.type = JOB_FRAME_FINISHED, .finished = *finished};
    if (!worker->want_summary) {
        frame.finished.summary_signature = bytes_of(NULL, 0);
    }
    int error = worker_send(worker, &frame);
    if (error == 0) {
        worker_over(worker);
    }
    return error;
}

/* --- Reading ------------------------------------------------------------------------------ */

void job_worker_receive(struct job_worker *worker, struct bytes input, nanos now) {
    if (worker->state == JOB_WORKER_STATE_OVER || worker->stop_reading) {
        return;
    }
    job_reader_give(&worker->reader, input);
    if (worker->state == JOB_WORKER_STATE_INPUT && input.size > 0) {
        uint64_t received = worker->module.received + worker->stdin_input.received + input.size;
        nanos earned = nanos_add(worker->bounds.input_timeout,
                                 received * NANOS_SECOND / worker->bounds.input_rate_min);
        worker->deadline = nanos_min(nanos_add(now, worker->bounds.input_timeout),
                                     nanos_add(worker->input_began, earned));
    }
}

void job_worker_receive_fin(struct job_worker *worker) {
    worker->reader.ended = true;
}

/* Nobody is there any more. */
static void worker_disconnect(struct job_worker *worker, enum job_rejection code,
                              const char *text) {
    if (!worker->connected) {
        return;
    }
    worker->connected = false;
    worker->stop_reading = true;
    buffer_clear(&worker->out);
    if (worker_deciding(worker) && worker->state != JOB_WORKER_STATE_WAITING) {
        worker_refuse(worker, code, "stream", text);
    }
    worker_over(worker);
}

void job_worker_receive_reset(struct job_worker *worker) {
    worker->cancel_due = worker->cancel_due || (worker->state == JOB_WORKER_STATE_ACCEPTED &&
                                                !worker->cancel_given && worker->connected);
    worker_disconnect(worker, JOB_REJECTED_CANCELLED, "was reset by the client");
}

void job_worker_receive_lost(struct job_worker *worker) {
    worker->lost_due = worker->state == JOB_WORKER_STATE_ACCEPTED && worker->connected;
    worker_disconnect(worker, JOB_REJECTED_UNAVAILABLE, "was lost with its connection");
}

void job_worker_expire(struct job_worker *worker, nanos now) {
    if (now < worker->deadline || !worker_deciding(worker) ||
        worker->state == JOB_WORKER_STATE_READY) {
        return;
    }
    worker_refuse(worker, JOB_REJECTED_TIMEOUT, "stream", "took too long to bring its input");
}

nanos job_worker_deadline(const struct job_worker *worker) {
    if (worker->hold_until != 0 && worker->out.size > 0) {
        return nanos_min(worker->deadline, worker->hold_until);
    }
    return worker->deadline;
}

static int worker_check_secret(const struct job_offer *offer, const struct manifest *manifest,
                               bool *ret_proved) {
    if (offer->fetch_secret.size == 0) {
        *ret_proved = false;
        return 0;
    }
    struct sha256_digest hash = sha256(offer->fetch_secret);
    if (!manifest->fetchable || !sha256_equal(&hash, &manifest->fetch_hash)) {
        return PLASM_UNTRUSTED;
    }
    *ret_proved = true;
    return 0;
}

static bool worker_on_offer(struct job_worker *worker, const struct job_offer *offer,
                            struct job_worker_event *event) {
    struct fault fault = {0};
    int error = manifest_decode(offer->manifest, worker->memory, &worker->manifest, &fault);
    if (error == 0) {
        error = buffer_append(&worker->manifest_json, offer->manifest);
        fault = (struct fault){.field = "memory", .text = "is out"};
    }
    if (error != 0) {
        worker_refuse_error(worker, error, &fault);
        return false;
    }
    struct manifest *manifest = &worker->manifest;
    if (offer->dry_run && !offer->only_fetch) {
        worker_refuse(worker, JOB_REJECTED_MALFORMED, "dry_run", "is without only_fetch");
        return false;
    }
    if (offer->module.size > 0 && offer->module.size != manifest->module_size) {
        worker_refuse(worker, JOB_REJECTED_MALFORMED, "module_size", "is not the module's");
        return false;
    }
    bool proved = false;
    if (worker_check_secret(offer, manifest, &proved) != 0) {
        worker_refuse(worker, JOB_REJECTED_DENIED, "fetch_secret", "is not the manifest's");
        return false;
    }
    worker->manifest_hash = sha256(offer->manifest);
    worker->want_summary = offer->want_summary;
    worker->only_fetch = offer->only_fetch;
    worker->dry_run = offer->dry_run;
    worker->attached = offer->module;
    job_input_init(&worker->module, manifest->module_size, &manifest->module_hash);
    job_input_init(&worker->stdin_input, offer->stdin_size, &manifest->stdin_hash);
    worker->state = JOB_WORKER_STATE_OFFERED;
    *event = (struct job_worker_event){
        .type = JOB_WORKER_OFFER,
        .offer = {.manifest = manifest,
                  .manifest_json = buffer_bytes(&worker->manifest_json),
                  .manifest_hash = worker->manifest_hash,
                  .stdin_size = offer->stdin_size,
                  .module_attached = offer->module.size > 0 || manifest->module_size == 0,
                  .want_summary = offer->want_summary,
                  .only_fetch = offer->only_fetch,
                  .dry_run = offer->dry_run,
                  .fetch_proved = proved}};
    return true;
}

static bool worker_on_chunk(struct job_worker *worker, bool module, struct bytes chunk,
                            struct job_worker_event *event) {
    struct job_input *input = module ? &worker->module : &worker->stdin_input;
    if (worker->state == JOB_WORKER_STATE_ACCEPTED && worker->resumed) {
        return false; /* the job has its input */
    }
    if (worker->state != JOB_WORKER_STATE_INPUT || !input->wanted || input->complete) {
        worker_violation(worker, PLASM_MALFORMED,
                         module ? "brought a module nobody asked for"
                                : "brought stdin out of turn");
        return false;
    }
    int error = job_input_take(input, chunk);
    if (error != 0) {
        worker_violation(worker, error,
                         error == PLASM_NO_MEMORY ? "has no memory for a hash"
                                                  : "brought more input than it promised");
        return false;
    }
    *event = (struct job_worker_event){
        .type = module ? JOB_WORKER_MODULE_DATA : JOB_WORKER_STDIN_DATA, .data = chunk};
    return true;
}

static void worker_on_cancel(struct job_worker *worker) {
    if (worker_deciding(worker)) {
        worker_refuse(worker, JOB_REJECTED_CANCELLED, "job", "was cancelled by the client");
    } else if (!worker->cancel_given) {
        worker->cancel_due = true;
    } else {
        worker_violation(worker, PLASM_MALFORMED, "cancelled twice");
    }
}

static bool worker_on_frame(struct job_worker *worker, const struct job_frame *frame,
                            struct job_worker_event *event) {
    bool offered = worker->state != JOB_WORKER_STATE_WAITING;
    switch (frame->type) {
    case JOB_FRAME_OFFER:
        if (!offered) {
            return worker_on_offer(worker, &frame->offer, event);
        }
        break;
    case JOB_FRAME_MODULE:
    case JOB_FRAME_STDIN:
        if (offered) {
            return worker_on_chunk(worker, frame->type == JOB_FRAME_MODULE, frame->chunk, event);
        }
        break;
    case JOB_FRAME_CANCEL:
        if (offered) {
            worker_on_cancel(worker);
            return false;
        }
        break;
    default:
        break;
    }
    worker_violation(worker, PLASM_MALFORMED, "sent a frame out of turn");
    return false;
}

/* The client's direction ended between two frames. */
static void worker_on_end(struct job_worker *worker) {
    if (worker->state == JOB_WORKER_STATE_INPUT && worker->module.wanted &&
        worker->module.received < worker->module.size) {
        worker_refuse(worker, JOB_REJECTED_MODULE_MISSING, "module", "is not held here");
    } else if (worker->state == JOB_WORKER_STATE_WAITING ||
               worker->state == JOB_WORKER_STATE_INPUT) {
        worker_refuse(worker, JOB_REJECTED_MALFORMED, "stream", "ends before its input does");
    }
}

/* --- Events ------------------------------------------------------------------------------- */

/* Events that wait, in the order in which they are given. */
static bool worker_due(struct job_worker *worker, struct job_worker_event *event) {
    *event = (struct job_worker_event){0};
    if (worker->refused_due) {
        worker->refused_due = false;
        event->type = JOB_WORKER_REFUSED;
        event->refused = worker->refused;
    } else if (worker->cancel_due) {
        worker->cancel_due = false;
        worker->cancel_given = true;
        event->type = JOB_WORKER_CANCEL;
    } else if (worker->lost_due) {
        worker->lost_due = false;
        event->type = JOB_WORKER_LOST;
    } else if (worker->writable_due) {
        worker->writable_due = false;
        event->type = JOB_WORKER_WRITABLE;
    } else {
        return false;
    }
    return true;
}

static bool worker_complete(struct job_worker *worker, struct job_input *input,
                            enum job_worker_event_type type, const char *field,
                            struct job_worker_event *event) {
    if (!job_input_full(input)) {
        return false;
    }
    if (job_input_finish(input) != 0) {
        worker_refuse(worker, JOB_REJECTED_HASH_MISMATCH, field, "is not the hash of what came");
        return worker_due(worker, event);
    }
    *event = (struct job_worker_event){.type = type};
    return true;
}

/* Steps of the input that need no further frame. */
static bool worker_input_event(struct job_worker *worker, struct job_worker_event *event) {
    if (worker->state != JOB_WORKER_STATE_INPUT) {
        return false;
    }
    if (worker->module.wanted && worker->attached.size > 0) {
        struct bytes module = worker->attached;
        worker->attached = bytes_of(NULL, 0);
        return worker_on_chunk(worker, true, module, event) || worker_due(worker, event);
    }
    if (worker_complete(worker, &worker->module, JOB_WORKER_MODULE_COMPLETE, "module_hash",
                        event) ||
        worker_complete(worker, &worker->stdin_input, JOB_WORKER_STDIN_COMPLETE, "stdin_hash",
                        event)) {
        return true;
    }
    if (worker->module.complete && worker->stdin_input.complete) {
        worker->state = JOB_WORKER_STATE_READY;
        worker->deadline = NANOS_NEVER;
        *event = (struct job_worker_event){.type = JOB_WORKER_READY};
        return true;
    }
    return false;
}

/* Reads one frame. False when there is none. */
static bool worker_read(struct job_worker *worker, struct job_worker_event *event,
                        bool *ret_event) {
    struct bytes payload;
    struct job_frame frame;
    *ret_event = false;
    int error = job_reader_next(&worker->reader, &payload);
    if (error == PLASM_TRUNCATED) {
        return false;
    }
    if (error == PLASM_CLOSED) {
        worker_on_end(worker);
        return worker->refused_due;
    }
    if (error == 0) {
        error = job_frame_decode(payload, &frame);
    }
    if (error != 0) {
        worker_violation(worker, error, "is not of this protocol");
        return true;
    }
    *ret_event = worker_on_frame(worker, &frame, event);
    return true;
}

bool job_worker_next_event(struct job_worker *worker, struct job_worker_event *ret_event) {
    ENSURE(worker->state != JOB_WORKER_STATE_OFFERED || worker->refused_due);
    for (;;) {
        if (worker_due(worker, ret_event) || worker_input_event(worker, ret_event)) {
            return true;
        }
        if (worker->state == JOB_WORKER_STATE_OVER || worker->stop_reading) {
            job_reader_clear(&worker->reader);
            return false;
        }
        bool given;
        if (!worker_read(worker, ret_event, &given)) {
            return false;
        }
        if (given) {
            return true;
        }
    }
}

/* --- Writing ------------------------------------------------------------------------------ */

static bool worker_held(const struct job_worker *worker, nanos now) {
    return now < worker->hold_until && worker->out.size < JOB_WORKER_HOLD_BYTES_MAX;
}

size_t job_worker_pending(const struct job_worker *worker, nanos now) {
    return worker_held(worker, now) ? 0 : worker->out.size;
}

size_t job_worker_transmit(struct job_worker *worker, struct span room, nanos now) {
    if (worker_held(worker, now)) {
        return 0;
    }
    if (worker->out.size > 0) {
        worker->hold_until = 0;
    }
    struct bytes piece = bytes_slice(buffer_bytes(&worker->out), 0, room.size);
    if (piece.size > 0) {
        memcpy(room.data, piece.data, piece.size);
        buffer_consume(&worker->out, piece.size);
    }
    if (worker->writable_wanted &&
        worker->out.size <= worker->bounds.output_buffered_bytes_max / 2) {
        worker->writable_wanted = false;
        worker->writable_due = true;
    }
    return piece.size;
}

unsigned job_worker_wants(const struct job_worker *worker) {
    unsigned wants = 0;
    if (!worker->connected) {
        return wants;
    }
    if (worker->state == JOB_WORKER_STATE_OVER && worker->out.size == 0) {
        wants |= JOB_WANTS_FIN;
    }
    if (worker->stop_reading && !worker->reader.ended) {
        wants |= JOB_WANTS_STOP;
    }
    return wants;
}
