/* X25519 against RFC 7748, and keys that must be refused. */
#include "crypto/dh.h"

#include "crypto/sign.h"
#include "util/testing.h"

/* RFC 7748, section 6.1. */
static void agrees(void **state) {
    (void)state;
    struct bytes alice =
        test_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct bytes bob = test_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct bytes alice_public =
        test_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    struct bytes shared =
        test_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    uint8_t bob_public[X25519_SIZE];
    uint8_t computed[X25519_SIZE];
    x25519_public(alice.data, computed);
    assert_bytes_equal(BYTES_ARRAY(computed), alice_public);
    x25519_public(bob.data, bob_public);
    assert_int_equal(x25519(alice.data, bob_public, computed), 0);
    assert_bytes_equal(BYTES_ARRAY(computed), shared);
    assert_int_equal(x25519(bob.data, alice_public.data, computed), 0);
    assert_bytes_equal(BYTES_ARRAY(computed), shared);
}

static void refuses_small_orders(void **state) {
    (void)state;
    uint8_t secret[X25519_SIZE] = {1};
    uint8_t zero[X25519_SIZE] = {0};
    uint8_t one[X25519_SIZE] = {1};
    uint8_t shared[X25519_SIZE];
    assert_int_equal(x25519(secret, zero, shared), PLASM_UNTRUSTED);
    assert_int_equal(x25519(secret, one, shared), PLASM_UNTRUSTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees),
        cmocka_unit_test(refuses_small_orders),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
