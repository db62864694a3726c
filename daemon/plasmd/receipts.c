/* Making, signing, storing and handing out receipts. */
#include "plasmd/receipts.h"

#include <stdio.h>

/* A signature that takes longer is worth a line in the log. */
#define LONG_WAIT (1 * NANOS_SECOND)

/* A receipt on its way to be signed. */
struct job_receipt {
    struct job *job;
    struct receipt receipt;
    struct buffer json;
    bool wants_summary;
    size_t waiting; /* answers to come */
    int error;      /* the first */
    nanos asked;    /* when */
    struct signer_request request;
    struct signer_request summary_request;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t summary[ED25519_SIGNATURE_SIZE];
};

static struct sha256_digest digest_of(const struct hash *hash) {
    return hash != NULL ? hash_digest(hash) : sha256(bytes_of(NULL, 0));
}

static int fill_receipt(const struct job *job, struct receipt *receipt) {
    struct worker *worker = job->worker;
    const struct job_worker *machine = &job->owner->machine;
    receipt_begin(&machine->manifest, &machine->manifest_hash, receipt);
    receipt->stdout_hash = digest_of(job->stdout_hash);
    receipt->stderr_hash = digest_of(job->stderr_hash);
    receipt->exit_code = job->result.exit_code;
    receipt->status = (enum job_status)job->result.status;
    receipt->fuel = job->result.fuel;
    receipt->wall_time_us = job->result.wall_us;
    receipt->started_ms = (uint64_t)job->started_ms;
    snprintf(receipt->runtime, sizeof(receipt->runtime), "%s", RUNNER_RUNTIME);
    snprintf(receipt->arch, sizeof(receipt->arch), "%s", worker->arch);
    snprintf(receipt->worker, sizeof(receipt->worker), "%s", worker->id_text);
    return receipt_seal_result(receipt, &machine->manifest, &worker->memory);
}

static int make(const struct job *job, struct job_receipt *receipt, struct fault *fault) {
    int error = fill_receipt(job, &receipt->receipt);
    return error != 0 ? error : receipt_encode(&receipt->receipt, &receipt->json, fault);
}

static void tell_watchers(struct job *job, const struct job_receipt *receipt, nanos now) {
    struct worker *worker = job->worker;
    struct job_finished finished = {
        .receipt = buffer_bytes(&receipt->json),
        .signature = bytes_of(receipt->signature, ED25519_SIGNATURE_SIZE),
        .public_key = bytes_of(signer_public_key(worker->signer)->data, ED25519_PUBLIC_SIZE),
        .message = bytes_of_string(job->result_text)};
    if (receipt->wants_summary) {
        finished.summary_signature = bytes_of(receipt->summary, ED25519_SIGNATURE_SIZE);
    }
    struct list_node *node = list_first(&job->watchers);
    while (node != NULL) {
        struct session *session = CONTAINER_OF(node, struct session, watcher);
        node = list_next(&job->watchers, node);
        if (job_worker_finish(&session->machine, &finished) != 0) {
            daemon_log(LOG_LEVEL_WARNING, "The result of job %s cannot be sent",
                       session->machine.manifest.job_id);
        }
        session_pump(session, now);
    }
}

/* Nothing can be said of its end: whoever waits is cut off, and asks again. */
static void no_receipt(struct job *job, int error, const struct fault *fault, nanos now) {
    struct list_node *node = list_first(&job->watchers);
    job->worker->metrics.receipts_failed++;
    daemon_log(LOG_LEVEL_ERROR, "No receipt for job %s: %s %s %s",
               job->owner->machine.manifest.job_id, plasm_error_message(error), fault->field,
               fault->text);
    while (node != NULL) {
        struct session *session = CONTAINER_OF(node, struct session, watcher);
        node = list_next(&job->watchers, node);
        session_cut(session, now);
    }
    job_free(job);
}

static void count_signed(const struct job *job, const struct job_receipt *receipt, nanos waited) {
    struct metrics *metrics = &job->worker->metrics;
    struct ended_job ended = {.client = job->owner->client,
                              .module_hash = receipt->receipt.module_hash,
                              .status = receipt->receipt.status,
                              .exit_code = receipt->receipt.exit_code,
                              .wall_us = receipt->receipt.wall_time_us,
                              .fuel = receipt->receipt.fuel,
                              .output_bytes = job->output_bytes,
                              .ended_ms = host_unix_ms()};
    memcpy(ended.job_id, receipt->receipt.job_id, sizeof(ended.job_id));
    metrics_job_ended(metrics, &ended);
    histogram_add(&metrics->sign_time, waited / NANOS_MICROSECOND);
}

/* Every signature is there, or will not come: store, answer. */
static void finish(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    const struct job_receipt *receipt = job->receipt;
    const char *job_id = job->owner->machine.manifest.job_id;
    static const struct fault none = {.field = "", .text = ""};
    if (receipt->error != 0) {
        no_receipt(job, receipt->error, &none, now);
        return;
    }
    nanos waited = nanos_since(now, receipt->asked);
    if (waited >= LONG_WAIT) {
        daemon_log(LOG_LEVEL_WARNING, "The receipt of job %s waited %llu ms for its signature",
                   job_id, (unsigned long long)(waited / NANOS_MILLISECOND));
    }
    count_signed(job, receipt, waited);
    daemon_log(LOG_LEVEL_INFO, "Signed receipt with Ed25519");
    const struct store_conclusion conclusion = {.number = job->number,
                                                .receipt = &receipt->receipt,
                                                .receipt_json = buffer_bytes(&receipt->json),
                                                .signature = receipt->signature,
                                                .summary = receipt->wants_summary ? receipt->summary
                                                                                  : NULL,
                                                .bytes_out = job->kept.bytes,
                                                .output_kept = !job->kept.is_cut,
                                                .output = buffer_bytes(&job->kept.records),
                                                .price = job->price,
                                                .unix_ms = host_unix_ms()};
    if (store_finished(worker->store, &conclusion) != 0) {
        worker->metrics.store_failures++;
        daemon_log(LOG_LEVEL_ERROR, "The receipt of job %s is not stored", job_id);
    }
    bool heard = !list_empty(&job->watchers);
    tell_watchers(job, receipt, now);
    if (heard) {
        daemon_log(LOG_LEVEL_INFO, "Job result sent to client");
    }
    job_free(job);
}

static void take_answer(struct job_receipt *receipt, int error, const uint8_t *signature,
                        uint8_t *place) {
    memcpy(place, signature, ED25519_SIGNATURE_SIZE);
    receipt->error = receipt->error != 0 ? receipt->error : error;
    receipt->waiting--;
    if (receipt->waiting == 0) {
        finish(receipt->job, host_now());
    }
}

static void on_signature(struct signer_request *request, int error, const uint8_t *signature) {
    struct job_receipt *receipt = CONTAINER_OF(request, struct job_receipt, request);
    take_answer(receipt, error, signature, receipt->signature);
}

static void on_summary(struct signer_request *request, int error, const uint8_t *signature) {
    struct job_receipt *receipt = CONTAINER_OF(request, struct job_receipt, summary_request);
    take_answer(receipt, error, signature, receipt->summary);
}

/* The summary is made by the signer, of the same bytes. */
static void ask(struct job_receipt *receipt) {
    struct signer *signer = receipt->job->worker->signer;
    receipt->request = (struct signer_request){
        .kind = SIGNING_RECEIPT, .payload = buffer_bytes(&receipt->json), .done = on_signature};
    receipt->summary_request = (struct signer_request){
        .kind = SIGNING_SUMMARY, .payload = buffer_bytes(&receipt->json), .done = on_summary};
    receipt->waiting = receipt->wants_summary ? 2 : 1;
    if (receipt->wants_summary) {
        signer_submit(signer, &receipt->summary_request);
    }
    signer_submit(signer, &receipt->request);
}

void job_conclude(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    struct fault fault = {.field = "", .text = ""};
    if (job->receipt != NULL) {
        return;
    }
    struct job_receipt *receipt = memory_zero(&worker->memory, sizeof(*receipt));
    job->phase = JOB_ENDED;
    int error = PLASM_NO_MEMORY;
    if (receipt != NULL) {
        receipt->job = job;
        receipt->asked = now;
        receipt->wants_summary = job->owner->machine.want_summary;
        buffer_init(&receipt->json, &worker->memory, RECEIPT_SIZE_MAX);
        job->receipt = receipt;
        error = make(job, receipt, &fault);
    }
    if (error != 0) {
        no_receipt(job, error, &fault, now);
        return;
    }
    ask(receipt);
}

void job_receipt_forget(struct job *job) {
    struct job_receipt *receipt = job->receipt;
    if (receipt == NULL) {
        return;
    }
    if (receipt->waiting > 0) {
        signer_withdraw(job->worker->signer, &receipt->request);
        signer_withdraw(job->worker->signer, &receipt->summary_request);
    }
    job->receipt = NULL;
    buffer_done(&receipt->json);
    memory_put(&job->worker->memory, receipt, sizeof(*receipt));
}
