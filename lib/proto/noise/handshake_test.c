/* Noise XX against known handshakes. */
#include "proto/noise/handshake.h"

#include "crypto/sign.h"
#include "util/testing.h"

struct vector {
    const char *payloads[HANDSHAKE_MESSAGES];
    const char *messages[HANDSHAKE_MESSAGES];
};

/* github.com/flynn/noise (commit 4d9f71cd), vectors.txt: Noise_XX_25519_ChaChaPoly_SHA256, those
 * without a prologue. All have the same keys and the same two messages after the handshake. */
static const struct vector vectors[] = {
    {{"", "", ""},
     {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254",
      "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2f58911a816d6"
      "e8346d4ea17a6f2a0bb4ef4ed56c133cff4560a34e36ea82109f26cf2e5a5caf992b608d55c747f615e5a3425a7a"
      "19eefb8f",
      "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d97e5ea11b16f3968710b23a3be320"
      "2dc1b5e1ce3c963347491e74f5c0768a9b42"}},
    {{"746573745f6d73675f30", "746573745f6d73675f31", "746573745f6d73675f32"},
     {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254746573745f6d73675f30",
      "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2f58911a816d6"
      "e8346d4ea17a6f2a0bb4ef4ed56c133cff4572e7a2ba5123ac30618b3d205f5c2d17f50cbca216483ac56bcc78e3"
      "3bf520303278db641e5e731b2e3a",
      "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9f27e318e43ba630594c4d08eeb3b"
      "36d97c7377a2f4f9144b2f0c8095ad92140505b2ab53eff244b14138"}},
};

static void check_data(struct noise_cipher *cipher, const char *plain, const char *sealed) {
    struct bytes bytes = test_hex(plain);
    uint8_t out[64];
    uint8_t nonce[AEAD_NONCE_SIZE];
    noise_nonce(cipher->nonce, nonce);
    chacha20poly1305_seal(cipher->key, nonce, bytes_of(NULL, 0), &bytes, 0, bytes.size, out);
    assert_bytes_equal(bytes_of(out, bytes.size + AEAD_TAG_SIZE), test_hex(sealed));
}

static void follows(const struct vector *vector) {
    uint8_t secrets[4][X25519_SIZE]; /* init_static, resp_static, init and resp ephemeral */
    static const uint8_t first[] = {0x00, 0x01, 0x20, 0x41};
    struct noise_handshake ends[2];
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < X25519_SIZE; j++) {
            secrets[i][j] = (uint8_t)(first[i] + j);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        uint8_t public_key[X25519_SIZE];
        x25519_public(secrets[i], public_key);
        handshake_init(&ends[i], secrets[i], public_key, secrets[2 + i]);
    }
    for (unsigned i = 0; i < HANDSHAKE_MESSAGES; i++) {
        uint8_t room[256];
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        struct bytes payload = test_hex(vector->payloads[i]);
        assert_int_equal(handshake_write(&ends[i % 2], i, payload, &writer), 0);
        assert_bytes_equal(writer_bytes(&writer), test_hex(vector->messages[i]));
        struct bytes opened;
        assert_int_equal(
            handshake_read(&ends[(i + 1) % 2], i, test_span(room, writer.size), &opened), 0);
        assert_bytes_equal(opened, payload);
    }
    for (size_t i = 0; i < 2; i++) {
        struct noise_cipher initiator;
        struct noise_cipher responder;
        handshake_split(&ends[i], &initiator, &responder);
        check_data(&initiator, "79656c6c6f777375626d6172696e65",
                   "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6");
        check_data(&responder, "7375626d6172696e6579656c6c6f77",
                   "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521");
    }
}

static void follows_known_handshakes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        follows(&vectors[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_known_handshakes)};
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
