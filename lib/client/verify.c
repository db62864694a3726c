/* Checking receipt files without any network. */
#include <stdlib.h>

#include "client/client.h"

static _Thread_local char *verify_text;

struct wanted {
    struct expectation expectation;
    uint8_t key[ED25519_PUBLIC_SIZE];
    struct sha256_digest hashes[4];
};

static int read_hash(const json_t *options, const char *key, struct sha256_digest *room,
                     const struct sha256_digest **place) {
    const char *text = NULL;
    int error = client_option_string(options, key, &text);
    if (error == 0 && text != NULL) {
        if (hash_parse(bytes_of_string(text), room) != 0) {
            return client_fail(PLASM_INVALID, "%s must be 'sha256:' and 64 hex digits", key);
        }
        *place = room;
    }
    return error;
}

static int read_wanted(const json_t *options, struct wanted *wanted) {
    struct expectation *expectation = &wanted->expectation;
    const char *key = NULL;
    int error = client_option_string(options, "key", &key);
    if (error == 0 && key != NULL) {
        if (worker_key_parse(bytes_of_string(key), wanted->key) != 0) {
            return client_fail(PLASM_INVALID,
                               "key must be a peer id, or an Ed25519 key in base64 or hex");
        }
        expectation->public_key = wanted->key;
    }
    if (error == 0) {
        error = client_option_string(options, "job_id", &expectation->job_id);
    }
    if (error == 0) {
        error = read_hash(options, "module_hash", &wanted->hashes[0], &expectation->module_hash);
    }
    if (error == 0) {
        error = read_hash(options, "input_hash", &wanted->hashes[1], &expectation->input_hash);
    }
    if (error == 0) {
        error = read_hash(options, "stdout_hash", &wanted->hashes[2], &expectation->stdout_hash);
    }
    if (error == 0) {
        error = read_hash(options, "stderr_hash", &wanted->hashes[3], &expectation->stderr_hash);
    }
    return error;
}

static json_t *verdict_json(enum verdict verdict, const struct fault *fault,
                            const struct receipt_file *file) {
    json_t *object = json_object();
    (void)json_object_set_new(object, "verdict", json_string(verdict_name(verdict)));
    if (fault->field != NULL) {
        (void)json_object_set_new(object, "field", json_string(fault->field));
        (void)json_object_set_new(object, "reason",
                                  json_sprintf("%s %s", fault->field, fault->text));
    }
    if (file != NULL) {
        char hash[HASH_TEXT_SIZE];
        struct sha256_digest digest = sha256(buffer_bytes(&file->receipt_json));
        hash_format(&digest, hash);
        (void)json_object_set_new(object, "receipt_hash", json_string(hash));
        (void)json_object_set_new(object, "worker", json_string(file->receipt.worker));
        (void)json_object_set_new(object, "job_id", json_string(file->receipt.job_id));
        (void)json_object_set_new(object, "status",
                                  json_string(job_status_name(file->receipt.status)));
        (void)json_object_set_new(object, "exit_code", json_integer(file->receipt.exit_code));
    }
    return object;
}

static int judge(const char *text, const struct expectation *expectation, const char **ret_json) {
    struct memory memory;
    memory_init(&memory, 16 * RECEIPT_FILE_SIZE_MAX);
    struct fault fault = {.field = NULL};
    struct receipt_file file;
    enum verdict verdict = VERDICT_REFUSED;
    int error = receipt_file_decode(bytes_of_string(text), &memory, &file, &fault);
    bool decoded = error == 0;
    if (decoded) {
        verdict = receipt_file_verify(&file, expectation, &memory, &fault);
    } else if (fault.field == NULL) {
        fault = (struct fault){.field = "the file", .text = "is not a receipt file"};
    }
    error = client_give_json(&verify_text, verdict_json(verdict, &fault, decoded ? &file : NULL),
                             ret_json);
    if (decoded) {
        receipt_file_done(&file);
    }
    if (error != 0) {
        return error;
    }
    switch (verdict) {
    case VERDICT_VERIFIED:
        return 0;
    case VERDICT_UNPINNED:
        return client_fail(PLASM_STATE, "the receipt holds, but nobody said whose key to expect");
    case VERDICT_REFUSED:
        break;
    }
    return client_fail(PLASM_UNTRUSTED, "refused: %s %s", fault.field, fault.text);
}

int plasm_verify(const char *receipt_file_json, const char *expect_json, const char **ret_json) {
    int error = crypto_init();
    json_t *options = NULL;
    if (error == 0) {
        error = client_options(expect_json, "expectation", &options);
    }
    struct wanted wanted = {.key = {0}};
    if (error == 0) {
        error = read_wanted(options, &wanted);
    }
    if (error == 0) {
        error = judge(receipt_file_json, &wanted.expectation, ret_json);
    }
    json_decref(options);
    return error;
}
