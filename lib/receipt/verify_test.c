/* Verification: what holds, what does not, and that the reason names the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "receipt/vectors_testing.h"
#include "receipt/verify.h"

#define FILES PLASM_SOURCE_DIR "/../../docs/spec/vectors/receipt-files.json"
#define KEYS  PLASM_SOURCE_DIR "/../../docs/spec/vectors/keys.json"

static struct memory memory;
static json_t *files;
static json_t *keys;

static void file_text(const char *list_name, size_t index, struct buffer *out) {
    json_t *list;
    assert_int_equal(json_get_list(files, list_name, &list), 0);
    const json_t *file = json_object_get(json_array_get(list, index), "file");
    assert_non_null(file);
    buffer_init(out, &memory, RECEIPT_FILE_SIZE_MAX);
    assert_int_equal(json_write_canonical(file, out), 0);
}

static void read_file(size_t index, struct receipt_file *ret_file) {
    struct buffer text;
    file_text("valid", index, &text);
    struct fault fault = {0};
    assert_int_equal(receipt_file_decode(buffer_bytes(&text), &memory, ret_file, &fault), 0);
    buffer_done(&text);
}

static void peer(const char *name, struct peer_id *ret_id) {
    const json_t *key = json_object_get(keys, name);
    assert_int_equal(peer_id_parse(vectors_text(key, "peer_id"), ret_id), 0);
}

static void verdicts(void **state) {
    (void)state;
    struct peer_id worker;
    struct peer_id other;
    peer("worker", &worker);
    peer("other", &other);
    for (size_t i = 0; i < 3; i++) {
        struct receipt_file file;
        struct fault fault = {0};
        read_file(i, &file);
        struct expectation expectation = {.worker = &worker};
        assert_int_equal(receipt_file_verify(&file, &expectation, &memory, &fault),
                         VERDICT_VERIFIED);
        expectation = (struct expectation){.public_key = file.public_key};
        assert_int_equal(receipt_file_verify(&file, &expectation, &memory, &fault),
                         VERDICT_VERIFIED);
        assert_int_equal(receipt_file_verify(&file, NULL, &memory, &fault), VERDICT_UNPINNED);
        assert_null(fault.field);
        expectation = (struct expectation){.worker = &other};
        assert_int_equal(receipt_file_verify(&file, &expectation, &memory, &fault),
                         VERDICT_REFUSED);
        assert_string_equal(fault.field, "public_key");
        receipt_file_done(&file);
    }
    assert_int_equal(memory.used, 0);
}

static void written(void **state) {
    (void)state;
    struct buffer text;
    struct buffer again;
    struct buffer manifest;
    struct receipt_file file;
    file_text("valid", 1, &text);
    read_file(1, &file);
    buffer_init(&manifest, &memory, MANIFEST_SIZE_MAX);
    buffer_init(&again, &memory, RECEIPT_FILE_SIZE_MAX);
    assert_int_equal(manifest_encode(&file.manifest, &manifest, NULL), 0);
    assert_int_equal(receipt_file_encode(buffer_bytes(&manifest), buffer_bytes(&file.receipt_json),
                                         file.signature, file.public_key, &again),
                     0);
    assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&text)));
    struct buffer small;
    buffer_init(&small, &memory, 1000);
    assert_int_equal(receipt_file_encode(buffer_bytes(&manifest), buffer_bytes(&file.receipt_json),
                                         file.signature, file.public_key, &small),
                     PLASM_TOO_LARGE);
    assert_int_equal(small.size, 0);
    buffer_done(&small);
    buffer_done(&again);
    buffer_done(&manifest);
    buffer_done(&text);
    receipt_file_done(&file);
    assert_int_equal(memory.used, 0);
}

static void refusals(void **state) {
    (void)state;
    json_t *list;
    struct peer_id worker;
    peer("worker", &worker);
    const struct expectation expectation = {.worker = &worker};
    assert_int_equal(json_get_list(files, "refused", &list), 0);
    assert_true(json_array_size(list) >= 12);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct buffer text;
        struct receipt_file file;
        struct fault fault = {0};
        file_text("refused", i, &text);
        if (receipt_file_decode(buffer_bytes(&text), &memory, &file, &fault) == 0) {
            if (receipt_file_verify(&file, &expectation, &memory, &fault) != VERDICT_REFUSED) {
                fail_msg("%s: not refused", vectors_name(item));
            }
            receipt_file_done(&file);
        }
        buffer_done(&text);
        const char *field = json_string_value(json_object_get(item, "field"));
        if (fault.field == NULL || strstr(fault.field, field) == NULL) {
            /* A key that is not the pinned one is named before what it signed. */
            if (fault.field == NULL || strcmp(fault.field, "public_key") != 0) {
                fail_msg("%s: %s, not %s", vectors_name(item), fault.field, field);
            }
        }
        assert_int_equal(memory.used, 0);
    }
}

static bool holds(struct bytes text, const struct expectation *expectation) {
    struct receipt_file file;
    if (receipt_file_decode(text, &memory, &file, NULL) != 0) {
        return false;
    }
    enum verdict verdict = receipt_file_verify(&file, expectation, &memory, NULL);
    receipt_file_done(&file);
    return verdict != VERDICT_REFUSED;
}

/* True when the text is only another spelling of the same document, as "\u001F" is of "\u001f". */
static bool same_document(struct bytes text, struct bytes canonical) {
    json_t *object;
    struct buffer out;
    buffer_init(&out, &memory, RECEIPT_FILE_SIZE_MAX);
    assert_int_equal(json_read(text, &object), 0);
    assert_int_equal(json_write_canonical(object, &out), 0);
    bool same = bytes_equal(buffer_bytes(&out), canonical);
    json_decref(object);
    buffer_done(&out);
    return same;
}

/* One flipped bit anywhere, and every prefix, is refused. */
static void damage(size_t index, const struct expectation *expectation) {
    struct buffer text;
    file_text("valid", index, &text);
    struct bytes original = buffer_bytes(&text);
    uint8_t *copy = malloc(original.size);
    assert_non_null(copy);
    memcpy(copy, original.data, original.size);
    assert_true(holds(original, expectation));
    for (size_t at = 0; at < original.size; at++) {
        assert_false(holds(bytes_of(copy, at), expectation));
        for (int bit = 0; bit < 8; bit++) {
            copy[at] ^= (uint8_t)(1 << bit);
            struct bytes flipped = bytes_of(copy, original.size);
            if (holds(flipped, expectation) && !same_document(flipped, original)) {
                fail_msg("file %zu holds with bit %d of byte %zu flipped", index, bit, at);
            }
            copy[at] ^= (uint8_t)(1 << bit);
        }
    }
    free(copy);
    buffer_done(&text);
    assert_int_equal(memory.used, 0);
}

static void damaged(void **state) {
    (void)state;
    struct peer_id worker;
    peer("worker", &worker);
    const struct expectation expectation = {.worker = &worker};
    damage(0, &expectation);
    damage(1, &expectation);
}

static void expectations(void **state) {
    (void)state;
    struct receipt_file file;
    read_file(0, &file);
    const struct sha256_digest wrong = {{0}};
    const struct {
        const char *field;
        struct expectation right;
        struct expectation wrong;
    } cases[] = {
        {"job_id",
         {.job_id = file.receipt.job_id},
         {.job_id = "7d444840-9dc0-41d1-b245-5ffdce74fad2"}},
        {"manifest_hash", {.manifest_hash = &file.manifest_hash}, {.manifest_hash = &wrong}},
        {"module_hash", {.module_hash = &file.manifest.module_hash}, {.module_hash = &wrong}},
        {"input_hash", {.input_hash = &file.manifest.stdin_hash}, {.input_hash = &wrong}},
        {"stdout_hash", {.stdout_hash = &file.receipt.stdout_hash}, {.stdout_hash = &wrong}},
        {"stderr_hash", {.stderr_hash = &file.receipt.stderr_hash}, {.stderr_hash = &wrong}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault fault = {0};
        assert_int_equal(receipt_file_verify(&file, &cases[i].right, &memory, &fault),
                         VERDICT_UNPINNED);
        assert_int_equal(receipt_file_verify(&file, &cases[i].wrong, &memory, &fault),
                         VERDICT_REFUSED);
        assert_string_equal(fault.field, cases[i].field);
    }
    receipt_file_done(&file);
}

/* Lies that a worker could sign itself, each against the manifest. */
static void lies(void **state) {
    (void)state;
    static const uint8_t seed[ED25519_SEED_SIZE] = {1};
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    ed25519_from_seed(&secret, seed);
    public_key_from_ed25519(secret.public_key, &key);
    peer_id_from_key(&key, &id);
    struct receipt_file file;
    read_file(1, &file);
    char somebody[PEER_ID_TEXT_MAX];
    memcpy(somebody, file.receipt.worker, sizeof(somebody));
    peer_id_format(&id, file.receipt.worker);
    struct receipt lies[11];
    static const char *const fields[] = {NULL,          "job_id",        "client_nonce", "arch",
                                         "runtime",     "module_hash",   "input_hash",   "prev",
                                         "result_hash", "manifest_hash", "worker"};
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        lies[i] = file.receipt;
    }
    lies[1].job_id[0] = '0';
    lies[2].client_nonce[0] = '0';
    (void)snprintf(lies[3].arch, sizeof(lies[3].arch), "aarch64");
    (void)snprintf(lies[4].runtime, sizeof(lies[4].runtime), "wasmtime-47");
    lies[5].module_hash.bytes[0] ^= 1;
    lies[6].input_hash.bytes[0] ^= 1;
    lies[7].prev_count = 0;
    lies[8].fuel++; /* is part of the result */
    lies[9].manifest_hash.bytes[31] ^= 1;
    memcpy(lies[10].worker, somebody, sizeof(somebody));
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct buffer json;
        struct fault fault = {0};
        uint8_t signature[ED25519_SIGNATURE_SIZE];
        buffer_init(&json, &memory, RECEIPT_SIZE_MAX);
        assert_int_equal(receipt_encode(&lies[i], &json, NULL), 0);
        ed25519_sign(&secret, buffer_bytes(&json), signature);
        const struct expectation expectation = {.worker = &id};
        enum verdict verdict =
            receipt_verify(&lies[i], buffer_bytes(&json), signature, secret.public_key,
                           &file.manifest, &file.manifest_hash, &expectation, &memory, &fault);
        assert_int_equal(verdict, i == 0 ? VERDICT_VERIFIED : VERDICT_REFUSED);
        if (i > 0) {
            assert_string_equal(fault.field, fields[i]);
        }
        buffer_done(&json);
    }
    receipt_file_done(&file);
    ed25519_done(&secret);
}

/* The guide's manual check: four keys, signed on request, checked by themselves, and never taken
 * for a receipt's signature nor the other way round. */
static void summaries(void **state) {
    (void)state;
    json_t *all = vectors_json(PLASM_SOURCE_DIR "/../../docs/spec/vectors/receipts.json");
    json_t *list;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    const json_t *item = json_array_get(list, 0);
    struct receipt_file file;
    read_file(0, &file);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    vectors_base64(item, "summary_signature",
                   (struct span){.data = signature, .size = sizeof(signature)});
    assert_int_equal(receipt_summary_verify(&file.receipt, signature, file.public_key, &memory), 0);
    assert_int_equal(
        receipt_summary_verify(&file.receipt, file.signature, file.public_key, &memory),
        PLASM_UNTRUSTED);
    memcpy(file.signature, signature, sizeof(signature));
    struct fault fault = {0};
    assert_int_equal(receipt_file_verify(&file, NULL, &memory, &fault), VERDICT_REFUSED);
    assert_string_equal(fault.field, "signature");
    file.receipt.wall_time_us += 1000;
    assert_int_equal(receipt_summary_verify(&file.receipt, signature, file.public_key, &memory),
                     PLASM_UNTRUSTED);
    receipt_file_done(&file);
    json_decref(all);
}

static void worker_keys(void **state) {
    (void)state;
    const json_t *key = json_object_get(keys, "worker");
    uint8_t expected[ED25519_PUBLIC_SIZE];
    uint8_t found[ED25519_PUBLIC_SIZE];
    vectors_base64(key, "public_key", (struct span){.data = expected, .size = sizeof(expected)});
    static const char *const forms[] = {"public_key", "public_key_hex", "peer_id"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        memset(found, 0, sizeof(found));
        assert_int_equal(worker_key_parse(vectors_text(key, forms[i]), found), 0);
        assert_memory_equal(found, expected, sizeof(found));
    }
    static const char *const wrong[] = {
        "", "<node-public-key>", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "0001020304050607080910111213141516171819202122232425262728293z"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_not_equal(worker_key_parse(bytes_of_string(wrong[i]), found), 0);
    }
}

static void allocations(void **state) {
    (void)state;
    struct buffer text;
    file_text("valid", 1, &text);
    bool failed = true;
    size_t n = 0;
    for (; failed; n++) {
        struct memory_failing failing;
        struct receipt_file file;
        memory_failing_init(&failing, n, true);
        int error = receipt_file_decode(buffer_bytes(&text), &failing.memory, &file, NULL);
        if (error == 0) {
            struct fault fault = {0};
            enum verdict verdict = receipt_file_verify(&file, NULL, &failing.memory, &fault);
            receipt_file_done(&file);
            assert_int_equal(verdict, failing.failed ? VERDICT_REFUSED : VERDICT_UNPINNED);
        } else {
            assert_int_equal(error, PLASM_NO_MEMORY);
            assert_true(failing.failed);
        }
        failed = failing.failed;
        assert_int_equal(failing.memory.used, 0);
    }
    assert_true(n > 5);
    buffer_done(&text);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    files = vectors_json(FILES);
    keys = vectors_json(KEYS);
    if (crypto_init() != 0 || files == NULL || keys == NULL) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),     cmocka_unit_test(written),
        cmocka_unit_test(refusals),     cmocka_unit_test(damaged),
        cmocka_unit_test(lies),         cmocka_unit_test(summaries),
        cmocka_unit_test(expectations), cmocka_unit_test(worker_keys),
        cmocka_unit_test(allocations),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(files);
    json_decref(keys);
    return failures;
}
