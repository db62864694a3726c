/* Tests of signatures: published vectors, hostile encodings, random round trips. */
#include "crypto/sign.h"

#include "crypto/vectors/sign.h"
#include "util/cursor.h"
#include "util/testing.h"

static int start(void **state) {
    (void)state;
    return crypto_init();
}

static void init_may_be_called_again(void **state) {
    (void)state;
    assert_int_equal(crypto_init(), 0);
}

static void ed25519_agrees_with_rfc8032(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ed25519_rfc8032); i++) {
        struct bytes message = test_hex(ed25519_rfc8032[i].message);
        struct bytes expected = test_hex(ed25519_rfc8032[i].signature);
        struct ed25519_secret secret;
        ed25519_from_seed(&secret, test_hex(ed25519_rfc8032[i].seed).data);
        assert_bytes_equal(BYTES_ARRAY(secret.public_key), test_hex(ed25519_rfc8032[i].public_key));
        uint8_t signature[ED25519_SIGNATURE_SIZE];
        ed25519_sign(&secret, message, signature);
        assert_bytes_equal(BYTES_ARRAY(signature), expected);
        assert_int_equal(ed25519_verify(secret.public_key, message, expected), 0);
        ed25519_done(&secret);
    }
}

static void ed25519_refuses_what_lenient_verifiers_take(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ed25519_cases); i++) {
        int verdict = ed25519_verify(test_hex(ed25519_cases[i].public_key).data,
                                     test_hex(ed25519_cases[i].message),
                                     test_hex(ed25519_cases[i].signature));
        if (verdict != ed25519_cases[i].verdict) {
            fail_msg("%s: %d", ed25519_cases[i].name, verdict);
        }
    }
}

static void ed25519_refuses_every_flipped_bit(void **state) {
    (void)state;
    struct ed25519_secret secret;
    ed25519_from_seed(&secret, test_hex(ed25519_rfc8032[2].seed).data);
    uint8_t message[3] = {1, 2, 3};
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&secret, BYTES_ARRAY(message), signature);
    uint8_t *parts[] = {message, signature, secret.public_key};
    size_t sizes[] = {sizeof(message), sizeof(signature), sizeof(secret.public_key)};
    for (size_t part = 0; part < ARRAY_SIZE(parts); part++) {
        for (size_t bit = 0; bit < sizes[part] * 8; bit++) {
            uint8_t mask = (uint8_t)(1 << bit % 8);
            parts[part][bit / 8] ^= mask;
            assert_int_equal(
                ed25519_verify(secret.public_key, BYTES_ARRAY(message), BYTES_ARRAY(signature)),
                PLASM_UNTRUSTED);
            parts[part][bit / 8] ^= mask;
        }
    }
    assert_int_equal(
        ed25519_verify(secret.public_key, BYTES_ARRAY(message), BYTES_ARRAY(signature)), 0);
}

static void ed25519_refuses_other_sizes(void **state) {
    (void)state;
    struct bytes key = test_hex(ed25519_rfc8032[0].public_key);
    struct bytes signature = test_hex(ed25519_rfc8032[0].signature);
    struct bytes nothing = bytes_of(NULL, 0);
    for (size_t size = 0; size < ED25519_SIGNATURE_SIZE; size++) {
        struct bytes cut = test_copy(bytes_slice(signature, 0, size));
        assert_int_equal(ed25519_verify(key.data, nothing, cut), PLASM_UNTRUSTED);
    }
    uint8_t longer[ED25519_SIGNATURE_SIZE + 1] = {0};
    memcpy(longer, signature.data, signature.size);
    assert_int_equal(ed25519_verify(key.data, nothing, BYTES_ARRAY(longer)), PLASM_UNTRUSTED);
    assert_int_equal(ed25519_verify(key.data, nothing, signature), 0);
}

static void ed25519_random_round_trips(void **state) {
    (void)state;
    uint64_t seed = 8032;
    for (int round = 0; round < 200; round++) {
        uint8_t key_seed[ED25519_SEED_SIZE];
        uint8_t message[100];
        size_t size = test_random_below(&seed, sizeof(message) + 1);
        test_random_fill(&seed, key_seed, sizeof(key_seed));
        test_random_fill(&seed, message, sizeof(message));
        struct ed25519_secret secret;
        uint8_t signature[ED25519_SIGNATURE_SIZE];
        ed25519_from_seed(&secret, key_seed);
        assert_memory_equal(secret.seed, key_seed, sizeof(key_seed));
        ed25519_sign(&secret, bytes_of(message, size), signature);
        assert_int_equal(
            ed25519_verify(secret.public_key, bytes_of(message, size), BYTES_ARRAY(signature)), 0);
    }
}

static void ed25519_seed_may_be_the_secrets_own(void **state) {
    (void)state;
    struct ed25519_secret secret;
    memcpy(secret.seed, test_hex(ed25519_rfc8032[1].seed).data, ED25519_SEED_SIZE);
    ed25519_from_seed(&secret, secret.seed);
    assert_bytes_equal(BYTES_ARRAY(secret.public_key), test_hex(ed25519_rfc8032[1].public_key));
}

static void secrets_are_wiped(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct ed25519_secret zeros;
    memset(&zeros, 0, sizeof(zeros));
    ed25519_from_seed(&secret, test_hex(ed25519_rfc8032[0].seed).data);
    ed25519_done(&secret);
    assert_memory_equal(&secret, &zeros, sizeof(secret));
    uint8_t bytes[5] = {1, 2, 3, 4, 5};
    crypto_wipe(bytes, 4);
    assert_memory_equal(bytes, "\0\0\0\0\5", 5);
}

static void secp256k1_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(secp256k1_cases); i++) {
        int verdict = secp256k1_verify(test_hex(secp256k1_cases[i].public_key),
                                       BYTES_LITERAL(SIGN_VECTORS_MESSAGE),
                                       test_hex(secp256k1_cases[i].signature));
        if (verdict != secp256k1_cases[i].verdict) {
            fail_msg("%s: %d", secp256k1_cases[i].name, verdict);
        }
    }
}

static void secp256k1_refuses_cut_and_flipped(void **state) {
    (void)state;
    struct bytes key = test_hex(secp256k1_cases[0].public_key);
    struct bytes signature = test_hex(secp256k1_cases[0].signature);
    struct bytes message = BYTES_LITERAL(SIGN_VECTORS_MESSAGE);
    for (size_t size = 0; size < signature.size; size++) {
        struct bytes cut = test_copy(bytes_slice(signature, 0, size));
        assert_int_equal(secp256k1_verify(key, message, cut), PLASM_UNTRUSTED);
    }
    for (size_t size = 0; size < key.size; size++) {
        struct bytes cut = test_copy(bytes_slice(key, 0, size));
        assert_int_equal(secp256k1_verify(cut, message, signature), PLASM_MALFORMED);
    }
    uint8_t copy[80];
    memcpy(copy, signature.data, signature.size);
    for (size_t bit = 0; bit < signature.size * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(secp256k1_verify(key, message, bytes_of(copy, signature.size)),
                         PLASM_UNTRUSTED);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(secp256k1_verify(key, BYTES_LITERAL("other"), signature), PLASM_UNTRUSTED);
}

static void spki_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(spki_cases); i++) {
        int verdict = spki_verify(test_hex(spki_cases[i].spki), BYTES_LITERAL(SIGN_VECTORS_MESSAGE),
                                  test_hex(spki_cases[i].signature));
        if (verdict != spki_cases[i].verdict) {
            fail_msg("%s: %d", spki_cases[i].name, verdict);
        }
    }
}

static void spki_refuses_cut_and_changed(void **state) {
    (void)state;
    struct bytes message = BYTES_LITERAL(SIGN_VECTORS_MESSAGE);
    for (size_t i = 0; i < ARRAY_SIZE(spki_cases); i++) {
        struct bytes spki = test_hex(spki_cases[i].spki);
        struct bytes signature = test_hex(spki_cases[i].signature);
        if (spki_cases[i].verdict != 0 || spki.size > 500) {
            continue;
        }
        for (size_t size = 0; size < spki.size; size++) {
            struct bytes cut = test_copy(bytes_slice(spki, 0, size));
            assert_int_not_equal(spki_verify(cut, message, signature), 0);
        }
        for (size_t size = 0; size < signature.size; size++) {
            struct bytes cut = test_copy(bytes_slice(signature, 0, size));
            assert_int_equal(spki_verify(spki, message, cut), PLASM_UNTRUSTED);
        }
        uint8_t longer[1024];
        memcpy(longer, spki.data, spki.size);
        longer[spki.size] = 0;
        assert_int_equal(spki_verify(bytes_of(longer, spki.size + 1), message, signature),
                         PLASM_MALFORMED);
        memcpy(longer, signature.data, signature.size);
        longer[signature.size] = 0;
        assert_int_equal(spki_verify(spki, message, bytes_of(longer, signature.size + 1)),
                         PLASM_UNTRUSTED);
        longer[signature.size - 1] ^= 1;
        assert_int_equal(spki_verify(spki, message, bytes_of(longer, signature.size)),
                         PLASM_UNTRUSTED);
        assert_int_equal(spki_verify(spki, BYTES_LITERAL("other"), signature), PLASM_UNTRUSTED);
    }
}

/* The same numbers R and S in looser encodings, made from each ECDSA vector. */
static void spki_refuses_other_spellings(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(spki_cases); i++) {
        struct bytes spki = test_hex(spki_cases[i].spki);
        struct bytes der = test_hex(spki_cases[i].signature);
        if (spki_cases[i].verdict != 0 || strncmp(spki_cases[i].name, "ECDSA", 5) != 0) {
            continue;
        }
        struct bytes message = BYTES_LITERAL(SIGN_VECTORS_MESSAGE);
        size_t head_size = der.data[1] == 0x81 ? 3 : 2;
        uint8_t content_size = der.data[head_size - 1];
        struct bytes content = bytes_slice(der, head_size, der.size);
        struct bytes second = bytes_slice(content, 2U + content.data[1], content.size);
        uint8_t room[160];

        /* The length of the whole in long form, in longer form, indefinite. */
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        if (head_size == 2) {
            writer_u16(&writer, 0x3081);
        } else {
            writer_u16(&writer, 0x3082);
            writer_u8(&writer, 0);
        }
        writer_u8(&writer, content_size);
        writer_bytes_put(&writer, content);
        assert_int_equal(spki_verify(spki, message, writer_bytes(&writer)), PLASM_UNTRUSTED);
        writer = writer_of(test_span(room, sizeof(room)));
        writer_u16(&writer, 0x3080);
        writer_bytes_put(&writer, content);
        writer_u16(&writer, 0);
        assert_int_equal(spki_verify(spki, message, writer_bytes(&writer)), PLASM_UNTRUSTED);

        /* R with a needless zero; S with its length in long form. */
        uint8_t grown = (uint8_t)(content_size + 1);
        for (int which = 0; which < 2; which++) {
            writer = writer_of(test_span(room, sizeof(room)));
            writer_u8(&writer, 0x30);
            if (grown >= 0x80) {
                writer_u8(&writer, 0x81);
            }
            writer_u8(&writer, grown);
            struct bytes first = bytes_slice(content, 0, content.size - second.size);
            if (which == 0) {
                writer_u8(&writer, 0x02);
                writer_u8(&writer, (uint8_t)(first.data[1] + 1));
                writer_u8(&writer, 0);
                writer_bytes_put(&writer, bytes_slice(first, 2, first.size));
                writer_bytes_put(&writer, second);
            } else {
                writer_bytes_put(&writer, first);
                writer_u16(&writer, 0x0281);
                writer_bytes_put(&writer, bytes_slice(second, 1, second.size));
            }
            assert_int_equal(writer.error, 0);
            assert_int_equal(spki_verify(spki, message, writer_bytes(&writer)), PLASM_UNTRUSTED);
        }
        assert_int_equal(spki_verify(spki, message, der), 0);
    }
}

static void spki_refuses_what_is_too_long(void **state) {
    (void)state;
    static const uint8_t zeros[4096];
    struct bytes spki = test_hex(spki_cases[0].spki);
    assert_int_equal(spki_verify(BYTES_ARRAY(zeros), BYTES_LITERAL("x"), BYTES_LITERAL("y")),
                     PLASM_MALFORMED);
    assert_int_equal(spki_verify(bytes_of(NULL, 0), BYTES_LITERAL("x"), BYTES_LITERAL("y")),
                     PLASM_MALFORMED);
    assert_int_equal(spki_verify(spki, BYTES_LITERAL("x"), BYTES_ARRAY(zeros)), PLASM_UNTRUSTED);
    assert_int_equal(spki_verify(spki, bytes_of(NULL, 0), bytes_of(NULL, 0)), PLASM_UNTRUSTED);
}

static void equal_compares_all_bytes(void **state) {
    (void)state;
    uint8_t a[33] = {0};
    uint8_t b[33] = {0};
    assert_true(crypto_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(crypto_equal(a, b, sizeof(a)));
        assert_true(crypto_equal(a, b, i));
        b[i] = 0;
    }
}

static void system_random_fills_exactly(void **state) {
    (void)state;
    uint8_t seen[64] = {0};
    for (int round = 0; round < 64; round++) {
        uint8_t room[66] = {0};
        crypto_system_random(test_span(room + 1, 64));
        assert_int_equal(room[0], 0);
        assert_int_equal(room[65], 0);
        for (size_t i = 0; i < 64; i++) {
            seen[i] |= room[i + 1];
        }
    }
    /* A bit that is zero 64 times in a row has a chance of 2^-64 each. */
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(seen[i], 0xff);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_may_be_called_again),
        cmocka_unit_test(ed25519_agrees_with_rfc8032),
        cmocka_unit_test(ed25519_refuses_what_lenient_verifiers_take),
        cmocka_unit_test(ed25519_refuses_every_flipped_bit),
        cmocka_unit_test(ed25519_refuses_other_sizes),
        cmocka_unit_test(ed25519_random_round_trips),
        cmocka_unit_test(ed25519_seed_may_be_the_secrets_own),
        cmocka_unit_test(secrets_are_wiped),
        cmocka_unit_test(secp256k1_vectors),
        cmocka_unit_test(secp256k1_refuses_cut_and_flipped),
        cmocka_unit_test(spki_vectors),
        cmocka_unit_test(spki_refuses_cut_and_changed),
        cmocka_unit_test(spki_refuses_other_spellings),
        cmocka_unit_test(spki_refuses_what_is_too_long),
        cmocka_unit_test(equal_compares_all_bytes),
        cmocka_unit_test(system_random_fills_exactly),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
