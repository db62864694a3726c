/* HMAC-SHA-256 against RFC 4231. */
#include "crypto/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect_mac(const uint8_t key[MAC_KEY_SIZE], const char *message, const char *expected) {
    struct sha256_digest digest = mac_sha256(key, bytes_of_string(message));
    char hex[2 * SHA256_SIZE + 1];
    bytes_to_hex(bytes_of(digest.bytes, SHA256_SIZE), hex, sizeof(hex));
    assert_string_equal(hex, expected);
}

/* RFC 4231, sections 4.2 and 4.3; HMAC pads short keys with zeros, as these are. */
static void rfc_4231(void **state) {
    (void)state;
    static const uint8_t first[MAC_KEY_SIZE] = {0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                                0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                                0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b};
    static const uint8_t second[MAC_KEY_SIZE] = {'J', 'e', 'f', 'e'};
    expect_mac(first, "Hi There",
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect_mac(second, "what do ya want for nothing?",
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rfc_4231)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
