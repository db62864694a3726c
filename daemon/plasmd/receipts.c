/* Making, signing, storing and handing out receipts. */
#include "plasmd/receipts.h"

#include <stdio.h>

struct job_receipt {
    struct receipt receipt;
    struct buffer json;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    bool has_summary;
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

static int sign(const struct job *job, struct job_receipt *signed_receipt) {
    struct worker *worker = job->worker;
    struct fault fault = {.field = "", .text = ""};
    int error = fill_receipt(job, &signed_receipt->receipt);
    if (error == 0) {
        error = receipt_encode(&signed_receipt->receipt, &signed_receipt->json, &fault);
    }
    if (error == 0) {
        error = signer_receipt(worker->signer, buffer_bytes(&signed_receipt->json),
                               signed_receipt->signature);
    }
    if (error == 0 && job->owner->machine.want_summary) {
        struct buffer summary;
        buffer_init(&summary, &worker->memory, SUMMARY_SIZE_MAX);
        error = receipt_summary_encode(&signed_receipt->receipt, &summary);
        if (error == 0) {
            error = signer_summary(worker->signer, buffer_bytes(&summary), signed_receipt->summary);
        }
        buffer_done(&summary);
        signed_receipt->has_summary = error == 0;
    }
    if (error != 0) {
        daemon_log(LOG_LEVEL_ERROR, "No receipt for job %s: %s %s %s",
                   job->owner->machine.manifest.job_id, plasm_error_message(error), fault.field,
                   fault.text);
    }
    return error;
}

static void tell_watchers(struct job *job, const struct job_receipt *signed_receipt, nanos now) {
    struct worker *worker = job->worker;
    struct job_finished finished = {
        .receipt = buffer_bytes(&signed_receipt->json),
        .signature = bytes_of(signed_receipt->signature, ED25519_SIGNATURE_SIZE),
        .public_key = bytes_of(signer_public_key(worker->signer)->data, ED25519_PUBLIC_SIZE),
        .message = bytes_of_string(job->result_text)};
    if (signed_receipt->has_summary) {
        finished.summary_signature = bytes_of(signed_receipt->summary, ED25519_SIGNATURE_SIZE);
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

void job_conclude(struct job *job, nanos now) {
    struct worker *worker = job->worker;
    const struct job_worker *machine = &job->owner->machine;
    struct job_receipt signed_receipt = {.has_summary = false};
    buffer_init(&signed_receipt.json, &worker->memory, RECEIPT_SIZE_MAX);
    job->phase = JOB_ENDED;
    if (sign(job, &signed_receipt) == 0) {
        daemon_log(LOG_LEVEL_INFO, "Signed receipt with Ed25519");
        const struct store_conclusion conclusion = {
            .number = job->number,
            .receipt = &signed_receipt.receipt,
            .receipt_json = buffer_bytes(&signed_receipt.json),
            .signature = signed_receipt.signature,
            .summary = signed_receipt.has_summary ? signed_receipt.summary : NULL,
            .bytes_out = job->kept.bytes,
            .output_kept = !job->kept.is_cut,
            .output = buffer_bytes(&job->kept.records),
            .price = job->price,
            .unix_ms = host_unix_ms()};
        if (store_finished(worker->store, &conclusion) != 0) {
            daemon_log(LOG_LEVEL_ERROR, "The receipt of job %s is not stored",
                       machine->manifest.job_id);
        }
        bool heard = !list_empty(&job->watchers);
        tell_watchers(job, &signed_receipt, now);
        if (heard) {
            daemon_log(LOG_LEVEL_INFO, "Job result sent to client");
        }
    }
    buffer_done(&signed_receipt.json);
    job_free(job);
}
