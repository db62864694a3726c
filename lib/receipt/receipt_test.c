/* Receipts: vectors of the independent implementation, refusals, result hash, summary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "receipt/receipt.h"
#include "receipt/vectors_testing.h"

#define VECTORS PLASM_SOURCE_DIR "/../../docs/spec/vectors/receipts.json"

static struct memory memory;

/* Builds the receipt of a vector anew, as a worker would, from its manifest and answer. */
static void check_made(const json_t *item, const struct receipt *expected) {
    struct bytes manifest_json = vectors_text(item, "manifest");
    struct manifest manifest;
    struct receipt receipt;
    struct sha256_digest manifest_hash = sha256(manifest_json);
    assert_int_equal(manifest_decode(manifest_json, &memory, &manifest, NULL), 0);
    receipt_begin(&manifest, &manifest_hash, &receipt);
    receipt.status = expected->status;
    receipt.exit_code = expected->exit_code;
    receipt.fuel = expected->fuel;
    receipt.wall_time_us = expected->wall_time_us;
    receipt.started_ms = expected->started_ms;
    receipt.stdout_hash = expected->stdout_hash;
    receipt.stderr_hash = expected->stderr_hash;
    memcpy(receipt.runtime, expected->runtime, sizeof(receipt.runtime));
    memcpy(receipt.arch, expected->arch, sizeof(receipt.arch));
    memcpy(receipt.worker, expected->worker, sizeof(receipt.worker));
    assert_int_equal(receipt_seal_result(&receipt, &manifest, &memory), 0);
    manifest_done(&manifest);
    struct buffer out;
    struct fault fault = {0};
    buffer_init(&out, &memory, RECEIPT_SIZE_MAX);
    assert_int_equal(receipt_encode(&receipt, &out, &fault), 0);
    assert_true(bytes_equal(buffer_bytes(&out), vectors_text(item, "canonical")));
    buffer_done(&out);
}

static void check_valid(const json_t *item, const uint8_t *public_key) {
    struct bytes canonical = vectors_text(item, "canonical");
    struct receipt receipt;
    struct fault fault = {0};
    assert_int_equal(receipt_decode(canonical, &receipt, &fault), 0);
    check_made(item, &receipt);

    struct sha256_digest hash = sha256(canonical);
    struct sha256_digest expected;
    vectors_hash(item, "hash", &expected);
    assert_true(sha256_equal(&hash, &expected));
    assert_int_equal(receipt.comparable, vectors_text(item, "result_hash").size > 0);
    if (receipt.comparable) {
        vectors_hash(item, "result_hash", &expected);
        assert_true(sha256_equal(&receipt.result_hash, &expected));
        hash = sha256(vectors_text(item, "result"));
        assert_true(sha256_equal(&receipt.result_hash, &hash));
    }
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    vectors_base64(item, "signature", (struct span){.data = signature, .size = sizeof(signature)});
    assert_int_equal(ed25519_verify(public_key, canonical, BYTES_ARRAY(signature)), 0);

    struct buffer out;
    buffer_init(&out, &memory, SUMMARY_SIZE_MAX);
    assert_int_equal(receipt_summary_encode(&receipt, &out), 0);
    assert_true(bytes_equal(buffer_bytes(&out), vectors_text(item, "summary")));
    vectors_base64(item, "summary_signature",
                   (struct span){.data = signature, .size = sizeof(signature)});
    assert_int_equal(ed25519_verify(public_key, buffer_bytes(&out), BYTES_ARRAY(signature)), 0);
    buffer_done(&out);
}

static void vectors(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    assert_non_null(all);
    vectors_base64(all, "public_key",
                   (struct span){.data = public_key, .size = sizeof(public_key)});
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < json_array_size(list); i++) {
        check_valid(json_array_get(list, i), public_key);
    }
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

static void refusals(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "refused", &list), 0);
    assert_true(json_array_size(list) >= 30);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct receipt receipt;
        struct fault fault = {0};
        int error = receipt_decode(vectors_text(item, "json"), &receipt, &fault);
        if (error == 0 || fault.field == NULL) {
            fail_msg("%s: %d", vectors_name(item), error);
        }
        struct buffer out;
        json_t *object;
        buffer_init(&out, &memory, RECEIPT_SIZE_MAX);
        assert_int_equal(json_read(vectors_text(item, "json"), &object), 0);
        assert_int_not_equal(receipt_from_json(object, &memory, &receipt, &out, &fault), 0);
        assert_int_equal(out.size, 0);
        json_decref(object);
        buffer_done(&out);
    }
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

/* What is short of a receipt is named so: the guide's four keys have no type. */
static void no_type(void **state) {
    (void)state;
    static const char four[] =
        "{\"exit_code\":0,\"job_id\":\"550e8400-e29b-41d4-a716-446655440000\",\"module_hash\":"
        "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\","
        "\"wall_time_ms\":235}";
    struct receipt receipt;
    struct fault fault = {0};
    struct buffer out;
    json_t *object;
    buffer_init(&out, &memory, RECEIPT_SIZE_MAX);
    assert_int_equal(json_read(bytes_of_string(four), &object), 0);
    assert_int_equal(receipt_from_json(object, &memory, &receipt, &out, &fault), PLASM_UNSUPPORTED);
    assert_string_equal(fault.field, "receipt.type");
    json_decref(object);
    assert_int_equal(receipt_decode(bytes_of_string(four), &receipt, &fault), PLASM_MALFORMED);
}

static struct receipt example(void) {
    struct receipt receipt = {
        .job_id = "550e8400-e29b-41d4-a716-446655440000",
        .status = JOB_STATUS_OK,
        .runtime = "wasmtime-48",
        .arch = "x86_64",
        .worker = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        .client_nonce = "000102030405060708090a0b0c0d0e0f",
    };
    return receipt;
}

static void own_mistakes(void **state) {
    (void)state;
    struct receipt good = example();
    assert_int_equal(receipt_validate(&good, NULL), 0);
    struct receipt wrong[11];
    static const char *const fields[] = {"job_id",       "runtime",     "arch",      "worker",
                                         "client_nonce", "exit_code",   "exit_code", "fuel",
                                         "started_ms",   "result_hash", "prev"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        wrong[i] = good;
    }
    wrong[0].job_id[14] = '1';
    wrong[1].runtime[0] = '\0';
    memset(wrong[2].arch, 'a', sizeof(wrong[2].arch));
    wrong[3].worker[0] = 'Q';
    wrong[4].client_nonce[0] = 'g';
    wrong[5].exit_code = EXIT_CODE_NONE;
    wrong[6].status = JOB_STATUS_TRAP;
    wrong[7].fuel = UINT64_MAX;
    wrong[8].started_ms = JSON_INTEGER_MAX + UINT64_C(1);
    wrong[9].comparable = true;
    wrong[10].prev_count = MANIFEST_PREV_MAX + 1;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fault fault = {0};
        struct buffer out;
        buffer_init(&out, &memory, RECEIPT_SIZE_MAX);
        assert_int_equal(receipt_encode(&wrong[i], &out, &fault), PLASM_INVALID);
        assert_string_equal(fault.field, fields[i]);
        buffer_done(&out);
    }
}

/* The largest receipt there can be fits what a reader takes. */
static void largest(void **state) {
    (void)state;
    struct receipt receipt = example();
    memset(receipt.runtime, 'r', RUNTIME_SIZE - 1);
    memset(receipt.arch, 'a', ARCH_SIZE - 1);
    receipt.fuel = JSON_INTEGER_MAX;
    receipt.wall_time_us = JSON_INTEGER_MAX;
    receipt.started_ms = JSON_INTEGER_MAX;
    receipt.prev_count = MANIFEST_PREV_MAX;
    struct buffer out;
    struct receipt again;
    buffer_init(&out, &memory, RECEIPT_SIZE_MAX);
    assert_int_equal(receipt_encode(&receipt, &out, NULL), 0);
    assert_int_equal(receipt_decode(buffer_bytes(&out), &again, NULL), 0);
    assert_int_equal(again.wall_time_us, JSON_INTEGER_MAX);
    buffer_done(&out);
}

static void statuses(void **state) {
    (void)state;
    for (int i = 0; i < JOB_STATUS_COUNT; i++) {
        enum job_status status;
        const char *name = job_status_name((enum job_status)i);
        assert_int_equal(job_status_parse(bytes_of_string(name), &status), 0);
        assert_int_equal(status, i);
    }
    enum job_status status;
    assert_int_equal(job_status_parse(BYTES_LITERAL("OK"), &status), PLASM_UNSUPPORTED);
    assert_int_equal(job_status_parse(BYTES_LITERAL(""), &status), PLASM_UNSUPPORTED);
}

static void wall_time(void **state) {
    (void)state;
    struct receipt receipt = example();
    static const uint64_t cases[][2] = {{0, 0}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        receipt.wall_time_us = cases[i][0];
        assert_int_equal(receipt_wall_time_ms(&receipt), cases[i][1]);
    }
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),      cmocka_unit_test(refusals), cmocka_unit_test(no_type),
        cmocka_unit_test(own_mistakes), cmocka_unit_test(largest),  cmocka_unit_test(statuses),
        cmocka_unit_test(wall_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
