/* Checks receipts, field by field, so that a refusal can say which one does not hold. */
#include "receipt/verify.h"

#include "wire/multibase.h"

static const char *const verdict_names[] = {
    [VERDICT_VERIFIED] = "verified",
    [VERDICT_UNPINNED] = "unpinned",
    [VERDICT_REFUSED] = "refused",
};

const char *verdict_name(enum verdict verdict) {
    return verdict_names[verdict];
}

/* One hash that must be another. `expected` NULL is not known. */
struct verify_hash {
    const char *field;
    const struct sha256_digest *found;
    const struct sha256_digest *expected;
};

static int verify_hashes(const struct verify_hash *hashes, size_t count, const char *text,
                         struct fault *fault) {
    for (size_t i = 0; i < count; i++) {
        if (hashes[i].expected != NULL && !sha256_equal(hashes[i].found, hashes[i].expected)) {
            return fault_set(fault, PLASM_UNTRUSTED, hashes[i].field, text);
        }
    }
    return 0;
}

static int verify_expectation(const struct receipt *receipt, const struct expectation *expectation,
                              struct fault *fault) {
    if (expectation->job_id != NULL && strcmp(receipt->job_id, expectation->job_id) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "job_id", "is another job's");
    }
    const struct verify_hash hashes[] = {
        {"manifest_hash", &receipt->manifest_hash, expectation->manifest_hash},
        {"module_hash", &receipt->module_hash, expectation->module_hash},
        {"input_hash", &receipt->input_hash, expectation->input_hash},
        {"stdout_hash", &receipt->stdout_hash, expectation->stdout_hash},
        {"stderr_hash", &receipt->stderr_hash, expectation->stderr_hash},
    };
    return verify_hashes(hashes, ARRAY_SIZE(hashes), "is not the expected one", fault);
}

static int verify_manifest(const struct receipt *receipt, const struct manifest *manifest,
                           const struct sha256_digest *manifest_hash, struct fault *fault) {
    static const char differs[] = "is not the manifest's";
    if (strcmp(receipt->job_id, manifest->job_id) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "job_id", differs);
    }
    if (strcmp(receipt->client_nonce, manifest->client_nonce) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "client_nonce", differs);
    }
    if (receipt->profile != manifest->profile) {
        return fault_set(fault, PLASM_UNTRUSTED, "profile", differs);
    }
    if (manifest->arch[0] != '\0' && strcmp(receipt->arch, manifest->arch) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "arch", differs);
    }
    if (manifest->runtime[0] != '\0' && strcmp(receipt->runtime, manifest->runtime) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "runtime", differs);
    }
    const struct verify_hash hashes[] = {
        {"module_hash", &receipt->module_hash, &manifest->module_hash},
        {"input_hash", &receipt->input_hash, &manifest->stdin_hash},
        {"manifest_hash", &receipt->manifest_hash, manifest_hash},
    };
    int error = verify_hashes(hashes, ARRAY_SIZE(hashes), differs, fault);
    if (error != 0) {
        return error;
    }
    bool same = receipt->prev_count == manifest->prev_count;
    for (size_t i = 0; same && i < receipt->prev_count; i++) {
        same = sha256_equal(&receipt->prev[i], &manifest->prev[i]);
    }
    return same ? 0 : fault_set(fault, PLASM_UNTRUSTED, "prev", differs);
}

static int verify_result(const struct receipt *receipt, const struct manifest *manifest,
                         struct memory *memory, struct fault *fault) {
    bool comparable;
    struct sha256_digest hash;
    int error = receipt_result_hash(receipt, manifest, memory, &comparable, &hash);
    if (error != 0) {
        return fault_set(fault, error, "memory", "is out");
    }
    if (receipt->comparable != comparable ||
        (comparable && !sha256_equal(&receipt->result_hash, &hash))) {
        return fault_set(fault, PLASM_UNTRUSTED, "result_hash", "is not the hash of this result");
    }
    return 0;
}

/* Whose receipt it is. Sets *ret_pinned where the caller knew. */
static int verify_worker(const struct receipt *receipt,
                         const uint8_t public_key[ED25519_PUBLIC_SIZE],
                         const struct expectation *expectation, bool *ret_pinned,
                         struct fault *fault) {
    struct public_key key;
    struct peer_id worker;
    char text[PEER_ID_TEXT_MAX];
    public_key_from_ed25519(public_key, &key);
    peer_id_from_key(&key, &worker);
    bool by_key = expectation->public_key != NULL;
    bool by_peer = expectation->worker != NULL;
    if ((by_key && memcmp(expectation->public_key, public_key, ED25519_PUBLIC_SIZE) != 0) ||
        (by_peer && !peer_id_equal(expectation->worker, &worker))) {
        return fault_set(fault, PLASM_UNTRUSTED, "public_key", "is not the expected worker's");
    }
    peer_id_format(&worker, text);
    if (strcmp(receipt->worker, text) != 0) {
        return fault_set(fault, PLASM_UNTRUSTED, "worker", "is not the peer id of the public key");
    }
    *ret_pinned = by_key || by_peer;
    return 0;
}

enum verdict receipt_verify(const struct receipt *receipt, struct bytes receipt_json,
                            const uint8_t signature[ED25519_SIGNATURE_SIZE],
                            const uint8_t public_key[ED25519_PUBLIC_SIZE],
                            const struct manifest *manifest,
                            const struct sha256_digest *manifest_hash,
                            const struct expectation *expectation, struct memory *memory,
                            struct fault *fault) {
    static const struct expectation nothing = {0};
    if (expectation == NULL) {
        expectation = &nothing;
    }
    bool pinned = false;
    if (verify_expectation(receipt, expectation, fault) != 0 ||
        verify_manifest(receipt, manifest, manifest_hash, fault) != 0 ||
        verify_result(receipt, manifest, memory, fault) != 0 ||
        verify_worker(receipt, public_key, expectation, &pinned, fault) != 0) {
        return VERDICT_REFUSED;
    }
    if (ed25519_verify(public_key, receipt_json, bytes_of(signature, ED25519_SIGNATURE_SIZE)) !=
        0) {
        (void)fault_set(fault, PLASM_UNTRUSTED, "signature", "is not this key's over this receipt");
        return VERDICT_REFUSED;
    }
    return pinned ? VERDICT_VERIFIED : VERDICT_UNPINNED;
}

enum verdict receipt_file_verify(const struct receipt_file *file,
                                 const struct expectation *expectation, struct memory *memory,
                                 struct fault *fault) {
    return receipt_verify(&file->receipt, buffer_bytes(&file->receipt_json), file->signature,
                          file->public_key, &file->manifest, &file->manifest_hash, expectation,
                          memory, fault);
}

int receipt_summary_verify(const struct receipt *receipt,
                           const uint8_t signature[ED25519_SIGNATURE_SIZE],
                           const uint8_t public_key[ED25519_PUBLIC_SIZE], struct memory *memory) {
    struct buffer json;
    buffer_init(&json, memory, SUMMARY_SIZE_MAX);
    int error = receipt_summary_encode(receipt, &json);
    if (error == 0) {
        error = ed25519_verify(public_key, buffer_bytes(&json),
                               bytes_of(signature, ED25519_SIGNATURE_SIZE));
    }
    buffer_done(&json);
    return error;
}

int worker_key_parse(struct bytes text, uint8_t ret_key[ED25519_PUBLIC_SIZE]) {
    uint8_t raw[ED25519_PUBLIC_SIZE];
    struct span room = {.data = raw, .size = sizeof(raw)};
    size_t size = 0;
    bool found = (text.size == 2 * sizeof(raw) && bytes_from_hex(text, room, &size) == 0) ||
                 (text.size == base64_size(sizeof(raw)) && base64_decode(text, room, &size) == 0);
    if (found && size == sizeof(raw)) {
        memcpy(ret_key, raw, sizeof(raw));
        return 0;
    }
    struct peer_id id;
    struct public_key key;
    int error = peer_id_parse(text, &id);
    if (error != 0) {
        return error;
    }
    if (peer_id_key(&id, &key) != 0 || key.type != KEY_ED25519) {
        return PLASM_UNSUPPORTED;
    }
    memcpy(ret_key, key.data, ED25519_PUBLIC_SIZE);
    return 0;
}
