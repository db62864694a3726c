/* Text forms: what is taken and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "receipt/text.h"

static void hashes(void **state) {
    (void)state;
    struct sha256_digest digest = sha256(BYTES_LITERAL("abc"));
    char text[HASH_TEXT_SIZE];
    hash_format(&digest, text);
    /* FIPS 180-4, the digest of "abc". */
    assert_string_equal(text, "sha256:ba7816bf8f01cfea414140de5dae2223"
                              "b00361a396177a9cb410ff61f20015ad");
    struct sha256_digest again;
    assert_int_equal(hash_parse(bytes_of_string(text), &again), 0);
    assert_true(sha256_equal(&digest, &again));
    for (size_t size = 0; size < HASH_TEXT_SIZE - 1; size++) {
        assert_int_equal(hash_parse(bytes_of(text, size), &again), PLASM_MALFORMED);
    }
    assert_int_equal(hash_parse(bytes_of(text, HASH_TEXT_SIZE), &again), PLASM_MALFORMED);
    for (size_t i = 0; i < HASH_TEXT_SIZE - 1; i++) {
        char before = text[i];
        text[i] = i < 7 ? 'x' : 'A';
        assert_int_equal(hash_parse(bytes_of_string(text), &again), PLASM_MALFORMED);
        text[i] = before;
    }
}

static void job_ids(void **state) {
    (void)state;
    assert_true(job_id_valid(BYTES_LITERAL("550e8400-e29b-41d4-a716-446655440000")));
    static const char *const wrong[] = {
        "",
        "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400-e29b-11d4-a716-446655440000", /* version 1 */
        "550e8400-e29b-41d4-7716-446655440000", /* variant */
        "550e8400-e29b-41d4-c716-446655440000",
        "550E8400-e29b-41d4-a716-446655440000",
        "550e8400ae29b-41d4-a716-446655440000",
        "550e8400-e29b-41d4-a716-44665544000g",
        "550e8400-e29b-41d4-a716-44665544-000",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(job_id_valid(bytes_of_string(wrong[i])));
    }
}

static void made(void **state) {
    (void)state;
    static const uint8_t seed[32] = {1};
    struct random random;
    random_init(&random, seed);
    char last[JOB_ID_SIZE] = "";
    for (size_t i = 0; i < 200; i++) {
        char id[JOB_ID_SIZE];
        char nonce[CLIENT_NONCE_SIZE];
        job_id_make(&random, id);
        client_nonce_make(&random, nonce);
        assert_true(job_id_valid(bytes_of_string(id)));
        assert_true(client_nonce_valid(bytes_of_string(nonce)));
        assert_string_not_equal(id, last);
        memcpy(last, id, sizeof(last));
    }
    random_done(&random);
}

static void names(void **state) {
    (void)state;
    assert_true(name_valid(BYTES_LITERAL("x86_64"), ARCH_SIZE));
    assert_true(name_valid(BYTES_LITERAL("deterministic/1"), ARCH_SIZE));
    assert_true(name_valid(BYTES_LITERAL("wasmtime-48.0.8+a"), RUNTIME_SIZE));
    assert_false(name_valid(BYTES_LITERAL(""), ARCH_SIZE));
    assert_false(name_valid(BYTES_LITERAL("a b"), ARCH_SIZE));
    assert_false(name_valid(BYTES_LITERAL("a\"b"), ARCH_SIZE));
    assert_false(name_valid(BYTES_LITERAL("\xc3\xa9"), ARCH_SIZE));
    static const char longest[] = "12345678901234567890123456789012";
    assert_true(name_valid(bytes_of_string(longest), ARCH_SIZE));
    assert_false(name_valid(bytes_of_string(longest), ARCH_SIZE - 1));
    assert_false(client_nonce_valid(BYTES_LITERAL("000102030405060708090A0B0C0D0E0F")));
    assert_false(client_nonce_valid(BYTES_LITERAL("000102030405060708090a0b0c0d0e")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(job_ids),
        cmocka_unit_test(made),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
