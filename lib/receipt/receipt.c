/* Checking, writing and reading receipts. */
#include "receipt/receipt.h"

#include "receipt/canonical.h"
#include "receipt/question.h"

/* Every Ed25519 peer id has this form in text. */
#define WORKER_PREFIX "12D3KooW"
#define WORKER_SIZE   52

static const char *const status_names[JOB_STATUS_COUNT] = {
    [JOB_STATUS_OK] = "ok",           [JOB_STATUS_EXIT] = "exit",
    [JOB_STATUS_TRAP] = "trap",       [JOB_STATUS_FUEL] = "fuel",
    [JOB_STATUS_TIMEOUT] = "timeout", [JOB_STATUS_MEMORY] = "memory",
    [JOB_STATUS_OUTPUT] = "output",   [JOB_STATUS_STACK] = "stack",
    [JOB_STATUS_COMPILE] = "compile", [JOB_STATUS_CANCELLED] = "cancelled",
    [JOB_STATUS_FAILED] = "failed",
};

const char *job_status_name(enum job_status status) {
    return status_names[status];
}

int job_status_parse(struct bytes text, enum job_status *ret_status) {
    for (size_t i = 0; i < JOB_STATUS_COUNT; i++) {
        if (bytes_equal_string(text, status_names[i])) {
            *ret_status = (enum job_status)i;
            return 0;
        }
    }
    return PLASM_UNSUPPORTED;
}

void receipt_begin(const struct manifest *manifest, const struct sha256_digest *manifest_hash,
                   struct receipt *ret_receipt) {
    *ret_receipt = (struct receipt){
        .manifest_hash = *manifest_hash,
        .module_hash = manifest->module_hash,
        .input_hash = manifest->stdin_hash,
        .exit_code = EXIT_CODE_NONE,
        .status = JOB_STATUS_FAILED,
        .profile = manifest->profile,
        .prev_count = manifest->prev_count,
    };
    memcpy(ret_receipt->job_id, manifest->job_id, JOB_ID_SIZE);
    memcpy(ret_receipt->client_nonce, manifest->client_nonce, CLIENT_NONCE_SIZE);
    memcpy(ret_receipt->prev, manifest->prev, sizeof(ret_receipt->prev));
}

/* Only what every honest worker must agree on is compared. */
static bool receipt_comparable(const struct receipt *receipt) {
    switch (receipt->status) {
    case JOB_STATUS_OK:
    case JOB_STATUS_EXIT:
    case JOB_STATUS_TRAP:
    case JOB_STATUS_FUEL:
    case JOB_STATUS_OUTPUT:
        return receipt->profile == PROFILE_DETERMINISTIC_1;
    default:
        return false;
    }
}

int receipt_result_hash(const struct receipt *receipt, const struct manifest *manifest,
                        struct memory *memory, bool *ret_comparable,
                        struct sha256_digest *ret_hash) {
    if (!receipt_comparable(receipt)) {
        *ret_comparable = false;
        *ret_hash = (struct sha256_digest){0};
        return 0;
    }
    int error = question_hash(manifest, receipt, memory, ret_hash);
    if (error == 0) {
        *ret_comparable = true;
    }
    return error;
}

int receipt_seal_result(struct receipt *receipt, const struct manifest *manifest,
                        struct memory *memory) {
    return receipt_result_hash(receipt, manifest, memory, &receipt->comparable,
                               &receipt->result_hash);
}

static bool receipt_worker_valid(const char *worker) {
    static const char letters[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    size_t size = strnlen(worker, PEER_ID_TEXT_MAX);
    return size == WORKER_SIZE && strspn(worker, letters) == size &&
           bytes_start_with(bytes_of(worker, size), BYTES_LITERAL(WORKER_PREFIX));
}

static bool receipt_exit_code_valid(const struct receipt *receipt) {
    switch (receipt->status) {
    case JOB_STATUS_OK:
        return receipt->exit_code == 0;
    case JOB_STATUS_EXIT:
        return receipt->exit_code >= 1 && receipt->exit_code <= UINT32_MAX;
    default:
        return receipt->exit_code == EXIT_CODE_NONE;
    }
}

static int receipt_check_texts(const struct receipt *receipt, struct fault *fault) {
    if (!job_id_valid(bytes_of(receipt->job_id, strnlen(receipt->job_id, JOB_ID_SIZE)))) {
        return fault_set(fault, PLASM_INVALID, "job_id", "is not a UUID of version 4");
    }
    if (!name_valid(bytes_of(receipt->runtime, strnlen(receipt->runtime, RUNTIME_SIZE)),
                    RUNTIME_SIZE)) {
        return fault_set(fault, PLASM_INVALID, "runtime", "is not a name");
    }
    if (!name_valid(bytes_of(receipt->arch, strnlen(receipt->arch, ARCH_SIZE)), ARCH_SIZE)) {
        return fault_set(fault, PLASM_INVALID, "arch", "is not a name");
    }
    if (!receipt_worker_valid(receipt->worker)) {
        return fault_set(fault, PLASM_INVALID, "worker", "is not an Ed25519 peer id");
    }
    if (!client_nonce_valid(
            bytes_of(receipt->client_nonce, strnlen(receipt->client_nonce, CLIENT_NONCE_SIZE)))) {
        return fault_set(fault, PLASM_INVALID, "client_nonce", "is not 32 hex digits");
    }
    return 0;
}

int receipt_validate(const struct receipt *receipt, struct fault *fault) {
    int error = receipt_check_texts(receipt, fault);
    if (error != 0) {
        return error;
    }
    if (!receipt_exit_code_valid(receipt)) {
        return fault_set(fault, PLASM_INVALID, "exit_code", "does not fit the status");
    }
    const struct {
        const char *field;
        uint64_t value;
    } numbers[] = {
        {"fuel", receipt->fuel},
        {"wall_time_us", receipt->wall_time_us},
        {"started_ms", receipt->started_ms},
    };
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (numbers[i].value > JSON_INTEGER_MAX) {
            return fault_set(fault, PLASM_INVALID, numbers[i].field, "is over 2^53-1");
        }
    }
    if (receipt->comparable != receipt_comparable(receipt)) {
        return fault_set(fault, PLASM_INVALID, "result_hash", "does not fit profile and status");
    }
    if (receipt->prev_count > MANIFEST_PREV_MAX) {
        return fault_set(fault, PLASM_INVALID, "prev", "has too many elements");
    }
    return 0;
}

static int receipt_write(const struct receipt *receipt, struct buffer *out) {
    struct json_writer writer;
    json_object_begin(&writer, out);
    canonical_put_string(&writer, "arch", receipt->arch);
    canonical_put_string(&writer, "client_nonce", receipt->client_nonce);
    json_object_integer(&writer, "exit_code", receipt->exit_code);
    json_object_integer(&writer, "fuel", (int64_t)receipt->fuel);
    canonical_put_hash(&writer, "input_hash", &receipt->input_hash);
    canonical_put_string(&writer, "job_id", receipt->job_id);
    canonical_put_hash(&writer, "manifest_hash", &receipt->manifest_hash);
    canonical_put_hash(&writer, "module_hash", &receipt->module_hash);
    canonical_put_hashes(&writer, "prev", receipt->prev, receipt->prev_count);
    canonical_put_string(&writer, "profile", job_profile_name(receipt->profile));
    if (receipt->comparable) {
        canonical_put_hash(&writer, "result_hash", &receipt->result_hash);
    } else {
        canonical_put_string(&writer, "result_hash", "");
    }
    canonical_put_string(&writer, "runtime", receipt->runtime);
    json_object_integer(&writer, "started_ms", (int64_t)receipt->started_ms);
    canonical_put_string(&writer, "status", job_status_name(receipt->status));
    canonical_put_hash(&writer, "stderr_hash", &receipt->stderr_hash);
    canonical_put_hash(&writer, "stdout_hash", &receipt->stdout_hash);
    canonical_put_string(&writer, "type", RECEIPT_TYPE);
    json_object_integer(&writer, "wall_time_ms", (int64_t)receipt_wall_time_ms(receipt));
    json_object_integer(&writer, "wall_time_us", (int64_t)receipt->wall_time_us);
    canonical_put_string(&writer, "worker", receipt->worker);
    return json_object_end(&writer);
}

int receipt_encode(const struct receipt *receipt, struct buffer *out, struct fault *fault) {
    int error = receipt_validate(receipt, fault);
    if (error != 0) {
        return error;
    }
    size_t mark = out->size;
    error = receipt_write(receipt, out);
    if (error != 0) {
        out->size = mark;
        return fault_set(fault, error, "receipt", plasm_error_message(error));
    }
    return 0;
}

static void receipt_read_head(struct canonical *reader, struct receipt *receipt) {
    canonical_open(reader);
    canonical_key(reader, "arch", "arch");
    canonical_name(reader, receipt->arch, ARCH_SIZE, false);
    canonical_key(reader, "client_nonce", "client_nonce");
    canonical_name(reader, receipt->client_nonce, CLIENT_NONCE_SIZE, false);
    canonical_key(reader, "exit_code", "exit_code");
    receipt->exit_code = canonical_integer(reader);
    canonical_key(reader, "fuel", "fuel");
    receipt->fuel = canonical_count(reader);
    canonical_key(reader, "input_hash", "input_hash");
    canonical_hash(reader, &receipt->input_hash);
    canonical_key(reader, "job_id", "job_id");
    canonical_name(reader, receipt->job_id, JOB_ID_SIZE, false);
    canonical_key(reader, "manifest_hash", "manifest_hash");
    canonical_hash(reader, &receipt->manifest_hash);
    canonical_key(reader, "module_hash", "module_hash");
    canonical_hash(reader, &receipt->module_hash);
    canonical_key(reader, "prev", "prev");
    receipt->prev_count = canonical_hashes(reader, receipt->prev, MANIFEST_PREV_MAX);
}

static void receipt_read_tail(struct canonical *reader, struct receipt *receipt) {
    canonical_key(reader, "profile", "profile");
    if (job_profile_parse(canonical_plain(reader), &receipt->profile) != 0) {
        canonical_fail(reader, PLASM_UNSUPPORTED, "is not known");
    }
    canonical_key(reader, "result_hash", "result_hash");
    receipt->comparable = canonical_optional_hash(reader, &receipt->result_hash);
    canonical_key(reader, "runtime", "runtime");
    canonical_name(reader, receipt->runtime, RUNTIME_SIZE, false);
    canonical_key(reader, "started_ms", "started_ms");
    receipt->started_ms = canonical_count(reader);
    canonical_key(reader, "status", "status");
    if (job_status_parse(canonical_plain(reader), &receipt->status) != 0) {
        canonical_fail(reader, PLASM_UNSUPPORTED, "is not known");
    }
    canonical_key(reader, "stderr_hash", "stderr_hash");
    canonical_hash(reader, &receipt->stderr_hash);
    canonical_key(reader, "stdout_hash", "stdout_hash");
    canonical_hash(reader, &receipt->stdout_hash);
    canonical_key(reader, "type", "type");
    if (!bytes_equal_string(canonical_plain(reader), RECEIPT_TYPE)) {
        canonical_fail(reader, PLASM_UNSUPPORTED, "is not " RECEIPT_TYPE);
    }
    canonical_key(reader, "wall_time_ms", "wall_time_ms");
    uint64_t wall_time_ms = canonical_count(reader);
    canonical_key(reader, "wall_time_us", "wall_time_us");
    receipt->wall_time_us = canonical_count(reader);
    if (wall_time_ms != receipt_wall_time_ms(receipt)) {
        canonical_fail(reader, PLASM_MALFORMED, "does not fit wall_time_ms");
    }
    canonical_key(reader, "worker", "worker");
    canonical_name(reader, receipt->worker, PEER_ID_TEXT_MAX, false);
    canonical_close(reader);
}

int receipt_decode(struct bytes json, struct receipt *ret_receipt, struct fault *fault) {
    if (json.size > RECEIPT_SIZE_MAX) {
        return fault_set(fault, PLASM_TOO_LARGE, "receipt", "is too large");
    }
    struct receipt receipt = {0};
    struct canonical reader;
    canonical_begin(&reader, json);
    receipt_read_head(&reader, &receipt);
    receipt_read_tail(&reader, &receipt);
    int error = canonical_end(&reader, fault);
    if (error == 0 && receipt_validate(&receipt, fault) != 0) {
        error = PLASM_MALFORMED;
    }
    if (error == 0) {
        *ret_receipt = receipt;
    }
    return error;
}

int receipt_from_json(const json_t *object, struct memory *memory, struct receipt *ret_receipt,
                      struct buffer *out, struct fault *fault) {
    struct bytes type;
    if (json_get_string(object, "type", &type) != 0) {
        return fault_set(fault, PLASM_UNSUPPORTED, "receipt.type", "is missing");
    }
    struct buffer json;
    buffer_init(&json, memory, RECEIPT_SIZE_MAX);
    int error = json_write_canonical(object, &json);
    if (error != 0) {
        error = error == PLASM_INVALID ? PLASM_MALFORMED : error;
        (void)fault_set(fault, error, "receipt", plasm_error_message(error));
    }
    struct receipt receipt;
    if (error == 0) {
        error = receipt_decode(buffer_bytes(&json), &receipt, fault);
    }
    if (error == 0) {
        error = buffer_append(out, buffer_bytes(&json));
    }
    if (error == 0) {
        *ret_receipt = receipt;
    }
    buffer_done(&json);
    return error;
}

int receipt_summary_encode(const struct receipt *receipt, struct buffer *out) {
    size_t mark = out->size;
    struct json_writer writer;
    json_object_begin(&writer, out);
    json_object_integer(&writer, "exit_code", receipt->exit_code);
    canonical_put_string(&writer, "job_id", receipt->job_id);
    canonical_put_hash(&writer, "module_hash", &receipt->module_hash);
    json_object_integer(&writer, "wall_time_ms", (int64_t)receipt_wall_time_ms(receipt));
    int error = json_object_end(&writer);
    if (error != 0) {
        out->size = mark;
    }
    return error;
}
