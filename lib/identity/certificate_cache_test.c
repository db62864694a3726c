/* Remembered certificates: the same answers, in time and in bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/certificate_cache.h"
#include "identity/certificate_testing.h"

static struct bytes der_of(const struct certificate *certificate) {
    return bytes_of(certificate->der, certificate->der_size);
}

static void same_answers(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct certificate_cache cache;
    certificate_cache_init(&cache, &memory);
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(1, &secret, &key, &id);
    struct certificate certificate;
    struct testing_certificate options = {.critical = true};
    testing_pack_certificate(&options, &secret, &certificate);
    struct bytes der = der_of(&certificate);
    struct certificate_identity identity;
    /* Not remembered: it is out of its time already. */
    int64_t late = TESTING_UNIX_SECONDS + 2 * TESTING_DAY;
    assert_int_equal(certificate_cache_check(&cache, der, late, &identity), PLASM_EXPIRED);
    assert_int_equal(cache.used.size, 0);
    for (int i = 0; i < 3; i++) {
        memset(&identity, 0xff, sizeof(identity));
        assert_int_equal(certificate_cache_check(&cache, der, TESTING_UNIX_SECONDS, &identity), 0);
        assert_true(peer_id_equal(&identity.peer_id, &id));
        assert_int_equal(identity.key.type, KEY_ED25519);
        assert_true(bytes_equal(bytes_of(identity.key.data, identity.key.size),
                                bytes_of(key.data, key.size)));
        assert_int_equal(cache.used.size, 1);
    }
    assert_int_equal(certificate_cache_check(&cache, der, late, &identity), PLASM_EXPIRED);
    assert_int_equal(certificate_cache_check(&cache, der, 0, &identity), PLASM_EXPIRED);
    certificate.der[certificate.der_size - 1] ^= 1;
    assert_int_equal(certificate_cache_check(&cache, der, TESTING_UNIX_SECONDS, &identity),
                     PLASM_UNTRUSTED);
    assert_int_equal(cache.used.size, 1);
    certificate_done(&certificate);
    certificate_cache_done(&cache);
    assert_int_equal(memory.used, 0);
}

static void bounded(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct certificate_cache cache;
    certificate_cache_init(&cache, &memory);
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(1, &secret, &key, &id);
    struct certificate first;
    struct certificate_identity identity;
    testing_own_certificate(&secret, &first);
    for (int i = 0; i < CERTIFICATE_CACHE_MAX + 20; i++) {
        struct certificate certificate;
        testing_own_certificate(&secret, &certificate);
        assert_int_equal(
            certificate_cache_check(&cache, der_of(&certificate), TESTING_UNIX_SECONDS, &identity),
            0);
        /* What is used stays. */
        assert_int_equal(
            certificate_cache_check(&cache, der_of(&first), TESTING_UNIX_SECONDS, &identity), 0);
        certificate_done(&certificate);
    }
    assert_int_equal(cache.used.size, CERTIFICATE_CACHE_MAX);
    assert_int_equal(cache.map.size, CERTIFICATE_CACHE_MAX);
    certificate_cache_done(&cache);
    assert_int_equal(memory.used, 0);
}

static void failing_memory(void **state) {
    (void)state;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    testing_identity(1, &secret, &key, &id);
    struct certificate certificate;
    testing_own_certificate(&secret, &certificate);
    for (size_t n = 0;; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct certificate_cache cache;
        certificate_cache_init(&cache, &failing.memory);
        struct certificate_identity identity;
        assert_int_equal(
            certificate_cache_check(&cache, der_of(&certificate), TESTING_UNIX_SECONDS, &identity),
            0);
        assert_true(peer_id_equal(&identity.peer_id, &id));
        certificate_cache_done(&cache);
        assert_int_equal(failing.memory.used, 0);
        if (!failing.failed) {
            break;
        }
    }
    certificate_done(&certificate);
}

static int start(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_answers),
        cmocka_unit_test(bounded),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
