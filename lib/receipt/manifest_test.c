/* Manifests: vectors of the independent implementation, refusals, limits, time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "receipt/manifest.h"
#include "receipt/vectors_testing.h"

#define VECTORS PLASM_SOURCE_DIR "/../../docs/spec/vectors/manifests.json"

static struct memory memory;

static void check_valid(const json_t *item) {
    struct bytes canonical = vectors_text(item, "canonical");
    struct sha256_digest expected;
    struct manifest manifest;
    struct fault fault = {0};
    assert_int_equal(manifest_decode(canonical, &memory, &manifest, &fault), 0);
    assert_null(fault.field);

    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    assert_int_equal(buffer_append(&out, BYTES_LITERAL("before")), 0);
    assert_int_equal(manifest_encode(&manifest, &out, &fault), 0);
    assert_true(bytes_equal(bytes_slice(buffer_bytes(&out), 6, SIZE_MAX), canonical));
    buffer_done(&out);

    struct sha256_digest hash = sha256(canonical);
    vectors_hash(item, "hash", &expected);
    assert_true(sha256_equal(&hash, &expected));
    assert_int_equal(manifest_question_hash(&manifest, &memory, &hash), 0);
    vectors_hash(item, "question_hash", &expected);
    assert_true(sha256_equal(&hash, &expected));
    manifest_done(&manifest);
}

/* A receipt file may spell its manifest as it likes. */
static void check_other_spelling(const json_t *item) {
    json_t *object;
    assert_int_equal(json_read(vectors_text(item, "canonical"), &object), 0);
    char *text = json_dumps(object, JSON_INDENT(3) | JSON_ENSURE_ASCII);
    json_decref(object);
    assert_non_null(text);
    struct manifest manifest;
    assert_int_equal(manifest_decode(bytes_of_string(text), &memory, &manifest, NULL),
                     PLASM_MALFORMED);
    assert_int_equal(json_read(bytes_of_string(text), &object), 0);
    free(text);
    struct fault fault = {0};
    assert_int_equal(manifest_from_json(object, &memory, &manifest, &fault), 0);
    json_decref(object);
    struct buffer out;
    buffer_init(&out, &memory, MANIFEST_SIZE_MAX);
    assert_int_equal(manifest_encode(&manifest, &out, NULL), 0);
    assert_true(bytes_equal(buffer_bytes(&out), vectors_text(item, "canonical")));
    buffer_done(&out);
    manifest_done(&manifest);
}

static void vectors(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    assert_true(json_array_size(list) >= 2);
    for (size_t i = 0; i < json_array_size(list); i++) {
        check_valid(json_array_get(list, i));
        check_other_spelling(json_array_get(list, i));
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
    assert_true(json_array_size(list) >= 50);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct manifest manifest;
        struct fault fault = {0};
        int error = manifest_decode(vectors_text(item, "json"), &memory, &manifest, &fault);
        if (error == 0 || fault.field == NULL || fault.text == NULL) {
            fail_msg("%s: %d", vectors_name(item), error);
        }
        assert_int_equal(memory.used, 0);
    }
    json_decref(all);
}

/* The strings of a decoded manifest, not only that they come out as they went in. */
static void contents(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    struct manifest manifest;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    assert_int_equal(manifest_decode(vectors_text(json_array_get(list, 1), "canonical"), &memory,
                                     &manifest, NULL),
                     0);
    json_decref(all);
    static const char *const args[] = {"",
                                       "plain",
                                       "\"\\/\b\f\n\r\t",
                                       "\x01\x1f\x7f",
                                       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                                       "\xe2\x80\xa8<&>",
                                       "a=b"};
    static const char *const env[] = {"LANG=C.UTF-8", "EMPTY=", "QUOTED=\"x\"\n", "A=1=2"};
    assert_int_equal(manifest.arg_count, ARRAY_SIZE(args));
    for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
        assert_true(bytes_equal_string(manifest.args[i], args[i]));
    }
    assert_int_equal(manifest.env_count, ARRAY_SIZE(env));
    for (size_t i = 0; i < ARRAY_SIZE(env); i++) {
        assert_true(bytes_equal_string(manifest.env[i], env[i]));
    }
    assert_string_equal(manifest.job_id, "7d444840-9dc0-41d1-b245-5ffdce74fad2");
    assert_int_equal(manifest.limits.fuel, 1000000000);
    assert_int_equal(manifest.limits.memory_bytes, 67108864);
    assert_int_equal(manifest.limits.wall_ms, 10000);
    assert_int_equal(manifest.limits.output_bytes, 65536);
    assert_int_equal(manifest.profile, PROFILE_DETERMINISTIC_1);
    assert_string_equal(manifest.arch, "x86_64");
    assert_string_equal(manifest.runtime, "wasmtime-48");
    assert_false(manifest.fetchable);
    assert_int_equal(manifest.expires_s, 1767225600);
    assert_int_equal(manifest.prev_count, 1);
    assert_int_equal(manifest.module_size, 8);
    manifest_done(&manifest);
    manifest_done(&manifest);
    assert_int_equal(memory.used, 0);
}

/* Every prefix and every flipped bit: refused, or taken as something that says exactly that. */
static void damaged(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    struct bytes canonical = vectors_text(json_array_get(list, 1), "canonical");
    uint8_t *copy = malloc(canonical.size);
    assert_non_null(copy);
    memcpy(copy, canonical.data, canonical.size);
    json_decref(all);
    struct manifest manifest;
    for (size_t i = 0; i < canonical.size; i++) {
        struct bytes prefix = bytes_of(copy, i);
        assert_int_not_equal(manifest_decode(prefix, &memory, &manifest, NULL), 0);
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (uint8_t)(1 << bit);
            struct bytes flipped = bytes_of(copy, canonical.size);
            if (manifest_decode(flipped, &memory, &manifest, NULL) == 0) {
                struct buffer out;
                buffer_init(&out, &memory, MANIFEST_SIZE_MAX);
                assert_int_equal(manifest_encode(&manifest, &out, NULL), 0);
                assert_true(bytes_equal(buffer_bytes(&out), flipped));
                buffer_done(&out);
                manifest_done(&manifest);
            }
            copy[i] ^= (uint8_t)(1 << bit);
        }
    }
    free(copy);
    assert_int_equal(memory.used, 0);
}

static struct manifest example(void) {
    struct manifest manifest = {
        .job_id = "550e8400-e29b-41d4-a716-446655440000",
        .module_size = 1000,
        .limits = {.fuel = 0, .memory_bytes = 1 << 20, .wall_ms = 1000, .output_bytes = 1 << 16},
        .client_nonce = "000102030405060708090a0b0c0d0e0f",
        .expires_s = 1000000,
    };
    return manifest;
}

static void refuse(struct manifest manifest, const char *field) {
    struct fault fault = {0};
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    assert_int_not_equal(manifest_encode(&manifest, &out, &fault), 0);
    assert_string_equal(fault.field, field);
    assert_int_equal(out.size, 0);
    buffer_done(&out);
}

static void own_mistakes(void **state) {
    (void)state;
    static const struct bytes nul = {.data = (const uint8_t *)"a\0b", .size = 3};
    static const struct bytes latin = {.data = (const uint8_t *)"\xe9", .size = 1};
    struct bytes *many = calloc(MANIFEST_ENV_MAX + 1, sizeof(*many));
    struct bytes large = bytes_of(many, (size_t)16 * 1024);
    assert_non_null(many);
    struct manifest manifest = example();
    manifest.job_id[0] = 'x';
    refuse(manifest, "job_id");
    manifest = example();
    manifest.args = &nul;
    manifest.arg_count = 1;
    refuse(manifest, "args");
    manifest.args = &latin;
    refuse(manifest, "args");
    manifest.args = many;
    manifest.arg_count = MANIFEST_ARGS_MAX + 1;
    refuse(manifest, "args");
    manifest = example();
    manifest.env = &latin;
    manifest.env_count = 1;
    refuse(manifest, "env");
    manifest.env = many;
    refuse(manifest, "env");
    manifest = example();
    manifest.profile = PROFILE_DETERMINISTIC_1;
    refuse(manifest, "limits.fuel");
    manifest = example();
    manifest.limits.fuel = JSON_INTEGER_MAX + UINT64_C(1);
    refuse(manifest, "limits.fuel");
    manifest = example();
    memset(manifest.arch, 'a', sizeof(manifest.arch));
    refuse(manifest, "arch");
    manifest = example();
    (void)snprintf(manifest.runtime, sizeof(manifest.runtime), "a b");
    refuse(manifest, "runtime");
    manifest = example();
    manifest.client_nonce[31] = '\0';
    refuse(manifest, "client_nonce");
    manifest = example();
    manifest.expires_s = -1;
    refuse(manifest, "expires");
    manifest = example();
    manifest.prev_count = MANIFEST_PREV_MAX + 1;
    refuse(manifest, "prev");
    /* 16 KiB of bytes that need six characters each. */
    memset(many, 1, large.size);
    manifest = example();
    manifest.args = &large;
    manifest.arg_count = 1;
    refuse(manifest, "manifest");
    free(many);
    assert_int_equal(memory.used, 0);
}

static void time_window(void **state) {
    (void)state;
    struct manifest manifest = example();
    const int64_t expires = manifest.expires_s;
    struct fault fault = {0};
    assert_int_equal(manifest_check_time(&manifest, expires - 10, &fault), 0);
    assert_int_equal(manifest_check_time(&manifest, expires + 299, &fault), 0);
    assert_int_equal(manifest_check_time(&manifest, expires + 300, &fault), PLASM_EXPIRED);
    assert_string_equal(fault.field, "expires");
    assert_int_equal(manifest_check_time(&manifest, expires - 3900, &fault), 0);
    assert_int_equal(manifest_check_time(&manifest, expires - 3901, &fault), PLASM_INVALID);
}

static void fitting(void **state) {
    (void)state;
    const struct worker_limits worker = {
        .job = {.fuel = 500, .memory_bytes = 1 << 20, .wall_ms = 900, .output_bytes = 1 << 16},
        .module_bytes = 1000,
        .stdin_bytes = 1};
    struct manifest manifest = example();
    struct job_limits effective;
    struct fault fault = {0};
    assert_int_equal(manifest_fit(&manifest, &worker, &effective, &fault), 0);
    assert_int_equal(effective.fuel, 500); /* no limit is more than any */
    assert_int_equal(effective.wall_ms, 900);
    assert_int_equal(effective.memory_bytes, 1 << 20);
    manifest.limits =
        (struct job_limits){.fuel = 1, .memory_bytes = 1, .wall_ms = 1, .output_bytes = 1};
    assert_int_equal(manifest_fit(&manifest, &worker, &effective, &fault), 0);
    assert_memory_equal(&effective, &manifest.limits, sizeof(effective));
    manifest.profile = PROFILE_DETERMINISTIC_1;
    assert_int_equal(manifest_fit(&manifest, &worker, &effective, &fault), 0);
    manifest.module_size = 1001;
    assert_int_equal(manifest_fit(&manifest, &worker, &effective, &fault), PLASM_TOO_LARGE);
    assert_string_equal(fault.field, "module_bytes");

    const struct {
        struct job_limits limits;
        const char *name;
    } refused[] = {
        {{501, 1, 1, 1}, "fuel"},
        {{1, (1 << 20) + 1, 1, 1}, "memory_bytes"},
        {{1, 1, 901, 1}, "wall_ms"},
        {{1, 1, 1, (1 << 16) + 1}, "output_bytes"},
    };
    manifest.module_size = 1000;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        manifest.limits = refused[i].limits;
        assert_int_equal(manifest_fit(&manifest, &worker, &effective, &fault), PLASM_TOO_LARGE);
        assert_string_equal(fault.field, refused[i].name);
    }
    assert_int_equal(manifest_fit_node(&manifest, "x86_64", "wasmtime-48", &fault), 0);
    (void)snprintf(manifest.arch, sizeof(manifest.arch), "aarch64");
    assert_int_equal(manifest_fit_node(&manifest, "x86_64", "wasmtime-48", &fault),
                     PLASM_UNSUPPORTED);
    assert_string_equal(fault.field, "arch");
    (void)snprintf(manifest.arch, sizeof(manifest.arch), "x86_64");
    (void)snprintf(manifest.runtime, sizeof(manifest.runtime), "wasmtime-47");
    assert_int_equal(manifest_fit_node(&manifest, "x86_64", "wasmtime-48", &fault),
                     PLASM_UNSUPPORTED);
    assert_string_equal(fault.field, "runtime");
}

static void allocations(void **state) {
    (void)state;
    json_t *all = vectors_json(VECTORS);
    json_t *list;
    assert_non_null(all);
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    struct bytes canonical = vectors_text(json_array_get(list, 1), "canonical");
    json_t *object;
    assert_int_equal(json_read(canonical, &object), 0);
    bool failed = true;
    size_t n = 0;
    for (; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, true);
        struct manifest manifest = {0};
        struct sha256_digest hash;
        int error = manifest_from_json(object, &failing.memory, &manifest, NULL);
        if (error == 0) {
            error = manifest_question_hash(&manifest, &failing.memory, &hash);
        }
        failed = failing.failed;
        assert_int_equal(error, failed ? PLASM_NO_MEMORY : 0);
        manifest_done(&manifest);
        assert_int_equal(failing.memory.used, 0);
    }
    assert_true(n > 3);
    json_decref(object);
    json_decref(all);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(refusals),     cmocka_unit_test(contents),
        cmocka_unit_test(damaged), cmocka_unit_test(own_mistakes), cmocka_unit_test(time_window),
        cmocka_unit_test(fitting), cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
