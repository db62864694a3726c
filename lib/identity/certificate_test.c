/* Certificates: the specification's vectors, go-libp2p's, our own, and every way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/certificate_testing.h"
#include "identity/vectors_testing.h"

/* 2030-01-01: when all certificates of the vectors are valid. */
#define VECTORS_UNIX_SECONDS INT64_C(1893456000)

static void vectors(void **state) {
    (void)state;
    struct vectors vectors;
    assert_true(vectors_open(&vectors, PLASM_SOURCE_DIR "/vectors/certificates.txt"));
    size_t count = 0;
    while (vectors_next(&vectors)) {
        assert_int_equal(vectors.word_count, 3);
        struct bytes der = vectors_hex(vectors.words[2]);
        struct certificate_identity identity;
        int error = certificate_check(der, VECTORS_UNIX_SECONDS, &identity);
        if (strcmp(vectors.words[1], "-") == 0) {
            assert_int_equal(error, PLASM_UNTRUSTED);
        } else {
            assert_int_equal(error, 0);
            char text[PEER_ID_TEXT_MAX];
            peer_id_format(&identity.peer_id, text);
            assert_string_equal(text, vectors.words[1]);
        }
        vectors_free(der);
        count++;
    }
    assert_int_equal(count, 9);
}

/* Each cut and each changed byte of a certificate is refused, and never accepted as another. */
static void every_byte_counts(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(1, &secret, &key, &id);
    struct certificate certificate;
    testing_own_certificate(&secret, &certificate);
    struct certificate_identity identity;
    for (size_t size = 0; size < certificate.der_size; size++) {
        uint8_t *cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, certificate.der, size);
        assert_int_equal(certificate_check(bytes_of(cut, size), TESTING_UNIX_SECONDS, &identity),
                         PLASM_MALFORMED);
        free(cut);
    }
    for (size_t i = 0; i < certificate.der_size; i++) {
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            certificate.der[i] = (uint8_t)(certificate.der[i] ^ flip);
            assert_int_not_equal(certificate_check(bytes_of(certificate.der, certificate.der_size),
                                                   TESTING_UNIX_SECONDS, &identity),
                                 0);
            certificate.der[i] = (uint8_t)(certificate.der[i] ^ flip);
        }
    }
    uint8_t longer[sizeof(certificate.der) + 1] = {0};
    memcpy(longer, certificate.der, certificate.der_size);
    assert_int_equal(certificate_check(bytes_of(longer, certificate.der_size + 1),
                                       TESTING_UNIX_SECONDS, &identity),
                     PLASM_MALFORMED);
    certificate_done(&certificate);
}

static void own_certificate(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(2, &secret, &key, &id);
    struct certificate certificate;
    testing_own_certificate(&secret, &certificate);
    struct bytes der = bytes_of(certificate.der, certificate.der_size);
    struct certificate_identity identity;
    assert_int_equal(certificate_check(der, TESTING_UNIX_SECONDS, &identity), 0);
    assert_true(peer_id_equal(&identity.peer_id, &id));
    assert_int_equal(identity.key.type, KEY_ED25519);
    assert_int_equal(identity.valid_from, TESTING_UNIX_SECONDS - 3600);
    /* A clock that is half an hour behind, and the end of the validity. */
    assert_int_equal(certificate_check(der, TESTING_UNIX_SECONDS - 1800, &identity), 0);
    assert_int_equal(certificate_check(der, TESTING_UNIX_SECONDS - 3601, &identity), PLASM_EXPIRED);
    int64_t end = TESTING_UNIX_SECONDS + INT64_C(100) * 365 * TESTING_DAY;
    assert_int_equal(certificate_check(der, end, &identity), 0);
    assert_int_equal(certificate_check(der, end + 1, &identity), PLASM_EXPIRED);
    certificate_done(&certificate);
    assert_int_equal(certificate.key_der_size, 0);
}

static void finish_wants_the_right_signature(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(3, &secret, &key, &id);
    struct certificate_request *request;
    assert_int_equal(certificate_prepare(&request), 0);
    assert_true(
        bytes_start_with(certificate_message(request), BYTES_LITERAL(CERTIFICATE_BINDING_PREFIX)));
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&secret, BYTES_LITERAL("something else"), signature);
    struct certificate certificate = {.der_size = 7};
    assert_int_equal(certificate_finish(request, &key, BYTES_ARRAY(signature), TESTING_UNIX_SECONDS,
                                        &certificate),
                     PLASM_UNTRUSTED);
    assert_int_equal(certificate.der_size, 7);
    certificate_request_free(request);
    certificate_request_free(NULL);
}

#define P384 ((unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1))
#define P521 ((unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1))
#define P192 ((unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP192R1))

static const struct {
    struct testing_certificate options;
    int error;
} cases[] = {
    {{.critical = true}, 0},
    {{.critical = false}, 0},
    {{.key_usage = true}, 0},
    {{.other_extension = true}, 0},
    {{.other_critical = true}, PLASM_UNSUPPORTED},
    {{.no_binding = true}, PLASM_MALFORMED},
    {{.version1 = true}, PLASM_MALFORMED},
    {{.unique_id = true}, PLASM_MALFORMED},
    {{.bad_binding = true}, PLASM_UNTRUSTED},
    {{.valid_to = TESTING_UNIX_SECONDS - 1}, PLASM_EXPIRED},
    {{.valid_from = TESTING_UNIX_SECONDS + 1}, PLASM_EXPIRED},
    {{.valid_to = INT64_C(67090118400)}, 0}, /* the year 4096, as rust and js have it */
    {{.digest = GNUTLS_DIG_SHA384}, 0},
    {{.digest = GNUTLS_DIG_SHA1}, PLASM_UNSUPPORTED},
    {{.bits = P384, .digest = GNUTLS_DIG_SHA384}, 0},
    {{.bits = P521, .digest = GNUTLS_DIG_SHA512}, 0},
    {{.key_type = GNUTLS_PK_EDDSA_ED25519, .bits = 256, .digest = GNUTLS_DIG_SHA512}, 0},
    {{.key_type = GNUTLS_PK_RSA, .bits = 2048}, 0},
    {{.key_type = GNUTLS_PK_RSA, .bits = 2048, .digest = GNUTLS_DIG_SHA384}, 0},
    {{.key_type = GNUTLS_PK_RSA, .bits = 2048, .is_pss = true}, 0},
    {{.key_type = GNUTLS_PK_RSA, .bits = 2048, .digest = GNUTLS_DIG_SHA512, .is_pss = true}, 0},
    {{.key_type = GNUTLS_PK_RSA, .bits = 1024}, PLASM_UNSUPPORTED},
};

static void kinds(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(4, &secret, &key, &id);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bytes der;
        struct bytes key_der;
        testing_certificate(&cases[i].options, &secret, &der, &key_der);
        struct certificate_identity identity;
        int error = certificate_check(der, TESTING_UNIX_SECONDS, &identity);
        if (error != cases[i].error) {
            print_error("case %zu: %s, not %s\n", i, plasm_error_name(error),
                        plasm_error_name(cases[i].error));
        }
        assert_int_equal(error, cases[i].error);
        if (error == 0) {
            assert_true(peer_id_equal(&identity.peer_id, &id));
        }
        testing_free(der);
        testing_free(key_der);
    }
}

/* A certificate signed with another key than its own. */
static void self_signature(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(5, &secret, &key, &id);
    struct certificate one;
    testing_own_certificate(&secret, &one);
    /* The last byte belongs to the signature. */
    one.der[one.der_size - 1] ^= 1;
    struct certificate_identity identity;
    assert_int_equal(
        certificate_check(bytes_of(one.der, one.der_size), TESTING_UNIX_SECONDS, &identity),
        PLASM_UNTRUSTED);
    certificate_done(&one);
}

static int start(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),         cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(own_certificate), cmocka_unit_test(finish_wants_the_right_signature),
        cmocka_unit_test(kinds),           cmocka_unit_test(self_signature),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
