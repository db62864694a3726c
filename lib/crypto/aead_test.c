/* ChaCha20-Poly1305: RFC 8439's example, agreement with libsodium's own for every cut, tampering.
 */
#include "crypto/aead.h"

#include <sodium.h>

#include "crypto/sign.h"
#include "util/testing.h"

/* RFC 8439, section 2.8.2. */
static void seals_the_example(void **state) {
    (void)state;
    struct bytes key = test_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    struct bytes nonce = test_hex("070000004041424344454647");
    struct bytes associated = test_hex("50515253c0c1c2c3c4c5c6c7");
    struct bytes plain = BYTES_LITERAL("Ladies and Gentlemen of the class of '99: If I could offer "
                                       "you only one tip for the future, sunscreen would be it.");
    struct bytes sealed = test_hex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da"
        "92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585"
        "808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691");
    uint8_t out[256];
    chacha20poly1305_seal(key.data, nonce.data, associated, &plain, 0, plain.size, out);
    assert_bytes_equal(bytes_of(out, plain.size + AEAD_TAG_SIZE), sealed);
    assert_int_equal(chacha20poly1305_open(key.data, nonce.data, associated,
                                           test_span(out, plain.size + AEAD_TAG_SIZE)),
                     0);
    assert_bytes_equal(bytes_of(out, plain.size), plain);
}

static void pieces_make_no_difference(void **state) {
    (void)state;
    uint8_t key[AEAD_KEY_SIZE] = {7};
    uint8_t nonce[AEAD_NONCE_SIZE] = {9};
    uint8_t plain[300];
    uint8_t expected[sizeof(plain) + AEAD_TAG_SIZE];
    uint8_t out[sizeof(expected)];
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 7);
    }
    for (size_t size = 0; size <= sizeof(plain); size += 13) {
        crypto_aead_chacha20poly1305_ietf_encrypt(expected, NULL, plain, size, NULL, 0, NULL, nonce,
                                                  key);
        for (size_t a = 0; a <= size; a++) {
            size_t b = a + (size - a) / 3;
            struct bytes pieces[] = {bytes_of(plain, a), bytes_of(NULL, 0),
                                     bytes_of(plain + a, b - a),
                                     bytes_of(plain + b, sizeof(plain) - b)};
            chacha20poly1305_seal(key, nonce, bytes_of(NULL, 0), pieces, 0, size, out);
            assert_bytes_equal(bytes_of(out, size + AEAD_TAG_SIZE),
                               bytes_of(expected, size + AEAD_TAG_SIZE));
            struct bytes more[] = {bytes_of(plain, a % 5),
                                   bytes_of(expected, a / 5),
                                   pieces[0],
                                   pieces[1],
                                   pieces[2],
                                   pieces[3]};
            chacha20poly1305_seal(key, nonce, bytes_of(NULL, 0), more, a % 5 + a / 5, size, out);
            assert_bytes_equal(bytes_of(out, size + AEAD_TAG_SIZE),
                               bytes_of(expected, size + AEAD_TAG_SIZE));
        }
    }
}

static void in_place_and_tampered(void **state) {
    (void)state;
    uint8_t key[AEAD_KEY_SIZE] = {1};
    uint8_t nonce[AEAD_NONCE_SIZE] = {2};
    uint8_t room[100 + AEAD_TAG_SIZE] = {3};
    struct bytes piece = bytes_of(room, 100);
    struct bytes associated = BYTES_LITERAL("hello");
    chacha20poly1305_seal(key, nonce, associated, &piece, 0, 100, room);
    for (size_t i = 0; i < sizeof(room); i++) {
        room[i] ^= 0x10;
        uint8_t before[sizeof(room)];
        memcpy(before, room, sizeof(room));
        assert_int_equal(
            chacha20poly1305_open(key, nonce, associated, test_span(room, sizeof(room))),
            PLASM_UNTRUSTED);
        assert_memory_equal(before, room, sizeof(room));
        room[i] ^= 0x10;
    }
    assert_int_equal(
        chacha20poly1305_open(key, nonce, BYTES_LITERAL("hellp"), test_span(room, sizeof(room))),
        PLASM_UNTRUSTED);
    for (size_t size = 0; size < sizeof(room); size++) {
        assert_int_equal(chacha20poly1305_open(key, nonce, associated, test_span(room, size)),
                         PLASM_UNTRUSTED);
    }
    assert_int_equal(chacha20poly1305_open(key, nonce, associated, test_span(room, sizeof(room))),
                     0);
    assert_int_equal(room[0], 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_the_example),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(in_place_and_tampered),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
