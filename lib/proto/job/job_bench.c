/* What a warm small job costs in this protocol alone: each step, and the whole conversation between
 * client and worker in memory. Prints nanoseconds of CPU time, the best of several rounds. */
#include <time.h>

#include "proto/job/testing.h"

#define ROUNDS    7
#define PER_ROUND 3000

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct bench {
    struct memory memory;
    struct testing_question question;
    struct testing_answer answer;
    struct bytes output;
    struct sha256_digest manifest_hash;
};

static void fail_if(bool failed, const char *what) {
    if (failed) {
        (void)fprintf(stderr, "%s failed\n", what);
        abort();
    }
}

static void encode_manifest(struct bench *bench) {
    struct buffer out;
    buffer_init(&out, &bench->memory, MANIFEST_SIZE_MAX);
    fail_if(manifest_encode(&bench->question.manifest, &out, NULL) != 0, "manifest_encode");
    buffer_done(&out);
}

static void decode_manifest(struct bench *bench) {
    struct manifest manifest;
    fail_if(manifest_decode(bench->question.request.manifest_json, &bench->memory, &manifest,
                            NULL) != 0,
            "manifest_decode");
    manifest_done(&manifest);
}

static void encode_receipt(struct bench *bench) {
    struct buffer out;
    buffer_init(&out, &bench->memory, RECEIPT_SIZE_MAX);
    fail_if(receipt_encode(&bench->answer.receipt, &out, NULL) != 0, "receipt_encode");
    buffer_done(&out);
}

static void decode_receipt(struct bench *bench) {
    struct receipt receipt;
    fail_if(receipt_decode(bench->answer.finished.receipt, &receipt, NULL) != 0, "receipt_decode");
}

static void sign_receipt(struct bench *bench) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&bench->question.secret, bench->answer.finished.receipt, signature);
}

static void verify_receipt(struct bench *bench) {
    const struct expectation expectation = {.worker = &bench->question.request.worker};
    fail_if(receipt_verify(&bench->answer.receipt, bench->answer.finished.receipt,
                           bench->answer.signature, bench->question.secret.public_key,
                           &bench->question.manifest, &bench->manifest_hash, &expectation,
                           &bench->memory, NULL) != VERDICT_VERIFIED,
            "receipt_verify");
}

static void hash_input(struct bench *bench) {
    (void)sha256(bench->question.request.module);
}

static void worker_answers(struct bench *bench, struct job_worker *worker) {
    struct job_worker_event event;
    size_t taken;
    while (job_worker_next_event(worker, &event)) {
        if (event.type == JOB_WORKER_OFFER) {
            fail_if(job_worker_have_module(worker, 0) != 0, "have_module");
        } else if (event.type == JOB_WORKER_READY) {
            fail_if(job_worker_accept(worker, &worker->manifest.limits, 0, 1000) != 0, "accept");
            fail_if(job_worker_output(worker, JOB_STDOUT, bench->output, &taken) != 0, "output");
            fail_if(job_worker_finish(worker, &bench->answer.finished) != 0, "finish");
        }
    }
}

/* Everything but the signing and the job itself. */
static void conversation(struct bench *bench) {
    struct job_client client;
    struct job_worker worker;
    struct job_worker_bounds bounds;
    struct job_client_event event;
    uint8_t room[4096];
    struct span span = {.data = room, .size = sizeof(room)};
    job_worker_bounds_default(&bounds);
    job_worker_init(&worker, &bounds, &bench->memory, 0);
    fail_if(job_client_init(&client, &bench->question.request, &bench->memory) != 0, "init");
    size_t size = job_client_transmit(&client, span);
    job_worker_receive(&worker, bytes_of(room, size), 0);
    worker_answers(bench, &worker);
    size = job_worker_transmit(&worker, span, 0);
    job_client_receive(&client, bytes_of(room, size));
    enum verdict verdict = VERDICT_REFUSED;
    while (job_client_next_event(&client, &event)) {
        verdict = event.type == JOB_CLIENT_FINISHED ? event.finished.verdict : verdict;
    }
    fail_if(verdict != VERDICT_VERIFIED, "conversation");
    job_client_done(&client);
    job_worker_done(&worker);
}

static void measure(struct bench *bench, const char *name, void (*step)(struct bench *)) {
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double begun = seconds();
        for (int i = 0; i < PER_ROUND; i++) {
            step(bench);
        }
        double each = (seconds() - begun) / PER_ROUND;
        best = each < best ? each : best;
    }
    printf("%-18s %8.0f ns\n", name, best * 1e9);
}

int main(void) {
    static struct bench bench;
    if (crypto_init() != 0) {
        return 1;
    }
    memory_init(&bench.memory, SIZE_MAX);
    testing_question_init(&bench.question, 889, 13);
    bench.question.request.module_known = true;
    bench.question.request.finish_early = true;
    bench.output = BYTES_LITERAL("dlroW ,olleH\n");
    bench.manifest_hash = sha256(bench.question.request.manifest_json);
    testing_answer_init(&bench.answer, &bench.question, JOB_STATUS_OK, bench.output,
                        bytes_of(NULL, 0), &bench.memory);
    measure(&bench, "manifest_encode", encode_manifest);
    measure(&bench, "manifest_decode", decode_manifest);
    measure(&bench, "receipt_encode", encode_receipt);
    measure(&bench, "receipt_decode", decode_receipt);
    measure(&bench, "sign", sign_receipt);
    measure(&bench, "receipt_verify", verify_receipt);
    measure(&bench, "sha256 of module", hash_input);
    measure(&bench, "conversation", conversation);
    testing_answer_done(&bench.answer);
    testing_question_done(&bench.question);
    return 0;
}
