/* What tests of the job protocol share: the vectors, a client's question, and a daemon of a few
 * lines that answers it. */
#ifndef JOB_TESTING_H
#define JOB_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "proto/job/client.h"
#include "proto/job/worker.h"
#include "wire/json.h"

/* The vectors' worker: seed 00 01 02 ... 1f. */
static inline void testing_key(struct ed25519_secret *secret, struct peer_id *ret_id) {
    uint8_t seed[ED25519_SEED_SIZE];
    struct public_key key;
    for (size_t i = 0; i < sizeof(seed); i++) {
        seed[i] = (uint8_t)i;
    }
    ed25519_from_seed(secret, seed);
    public_key_from_ed25519(secret->public_key, &key);
    peer_id_from_key(&key, ret_id);
}

/* A file of docs/spec/vectors/; ends the test program where there is none. */
#define TESTING_VECTORS(name) testing_json(PLASM_SOURCE_DIR "/../../../docs/spec/vectors/" name)

static inline json_t *testing_json(const char *path) {
    static char text[1 << 19];
    json_t *value = NULL;
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(text, 1, sizeof(text), file) : 0;
    if (file == NULL || json_read(bytes_of(text, size), &value) != 0) {
        perror(path);
        abort();
    }
    fclose(file);
    return value;
}

static inline struct bytes testing_hex(const json_t *item, const char *key) {
    struct bytes text = {0};
    size_t size = 0;
    if (json_get_string(item, key, &text) != 0) {
        abort();
    }
    uint8_t *data = malloc(text.size / 2 + 1);
    if (data == NULL ||
        bytes_from_hex(text, (struct span){.data = data, .size = text.size / 2}, &size) != 0) {
        abort();
    }
    return bytes_of(data, size);
}

static inline void testing_free(struct bytes bytes) {
    free((void *)(uintptr_t)bytes.data);
}

/* A question: manifest, module and stdin of any size. */
struct testing_question {
    struct memory memory;
    uint8_t *module;
    size_t module_size;
    uint8_t *stdin_data;
    size_t stdin_size;
    struct manifest manifest;
    struct buffer manifest_json;
    uint8_t fetch_secret[FETCH_SECRET_SIZE];
    struct ed25519_secret secret;
    struct job_request request;
};

/* Encodes the manifest anew after a change. */
static inline void testing_question_encode(struct testing_question *question) {
    buffer_clear(&question->manifest_json);
    struct fault fault = {0};
    if (manifest_encode(&question->manifest, &question->manifest_json, &fault) != 0) {
        (void)fprintf(stderr, "%s %s\n", fault.field, fault.text);
        abort();
    }
    question->request.manifest_json = buffer_bytes(&question->manifest_json);
}

static inline uint8_t *testing_pattern(size_t size, uint8_t first) {
    uint8_t *data = malloc(size + 1);
    if (data == NULL) {
        abort();
    }
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(first + i * 7 + (i >> 8));
    }
    return data;
}

static inline void testing_question_init(struct testing_question *question, size_t module_size,
                                         size_t stdin_size) {
    *question = (struct testing_question){.module_size = module_size, .stdin_size = stdin_size};
    memory_init(&question->memory, SIZE_MAX);
    question->module = testing_pattern(module_size, 1);
    question->stdin_data = testing_pattern(stdin_size, 65);
    memset(question->fetch_secret, 7, FETCH_SECRET_SIZE);
    struct bytes module = bytes_of(question->module, module_size);
    struct bytes input = bytes_of(question->stdin_data, stdin_size);
    question->manifest = (struct manifest){
        .job_id = "550e8400-e29b-41d4-a716-446655440000",
        .module_hash = sha256(module),
        .module_size = module_size,
        .stdin_hash = sha256(input),
        .limits = {.memory_bytes = 1 << 20, .wall_ms = 1000, .output_bytes = 4 << 20},
        .client_nonce = "000102030405060708090a0b0c0d0e0f",
        .fetchable = true,
        .fetch_hash = sha256(BYTES_ARRAY(question->fetch_secret)),
        .expires_s = 1767225600,
    };
    question->request = (struct job_request){
        .manifest = &question->manifest, .module = module, .stdin_bytes = input};
    testing_key(&question->secret, &question->request.worker);
    buffer_init(&question->manifest_json, &question->memory, MANIFEST_SIZE_MAX);
    testing_question_encode(question);
}

static inline void testing_question_done(struct testing_question *question) {
    buffer_done(&question->manifest_json);
    free(question->module);
    free(question->stdin_data);
}

/* A signed receipt of this question. */
struct testing_answer {
    struct receipt receipt;
    struct buffer json;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t summary_signature[ED25519_SIGNATURE_SIZE];
    struct job_finished finished;
};

static inline void testing_answer_init(struct testing_answer *answer,
                                       const struct testing_question *question,
                                       enum job_status status, struct bytes output,
                                       struct bytes error_output, struct memory *memory) {
    struct sha256_digest manifest_hash = sha256(question->request.manifest_json);
    struct buffer summary;
    receipt_begin(&question->manifest, &manifest_hash, &answer->receipt);
    answer->receipt.status = status;
    answer->receipt.exit_code = status == JOB_STATUS_OK ? 0 : EXIT_CODE_NONE;
    answer->receipt.wall_time_us = 1234;
    answer->receipt.started_ms = 1767225000000;
    answer->receipt.stdout_hash = sha256(output);
    answer->receipt.stderr_hash = sha256(error_output);
    (void)snprintf(answer->receipt.arch, sizeof(answer->receipt.arch), "x86_64");
    (void)snprintf(answer->receipt.runtime, sizeof(answer->receipt.runtime), "wasmtime-48");
    peer_id_format(&question->request.worker, answer->receipt.worker);
    buffer_init(&answer->json, memory, RECEIPT_SIZE_MAX);
    buffer_init(&summary, memory, SUMMARY_SIZE_MAX);
    if (receipt_seal_result(&answer->receipt, &question->manifest, memory) != 0 ||
        receipt_encode(&answer->receipt, &answer->json, NULL) != 0 ||
        receipt_summary_encode(&answer->receipt, &summary) != 0) {
        abort();
    }
    ed25519_sign(&question->secret, buffer_bytes(&answer->json), answer->signature);
    ed25519_sign(&question->secret, buffer_bytes(&summary), answer->summary_signature);
    buffer_done(&summary);
    answer->finished = (struct job_finished){
        .receipt = buffer_bytes(&answer->json),
        .signature = BYTES_ARRAY(answer->signature),
        .public_key = BYTES_ARRAY(question->secret.public_key),
        .summary_signature = BYTES_ARRAY(answer->summary_signature),
    };
}

static inline void testing_answer_done(struct testing_answer *answer) {
    buffer_done(&answer->json);
}

#endif
