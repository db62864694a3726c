/* Keys: a stranger's public key, one signature under it, and a private key file. */
#include "identity/peer_id.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ENSURE(crypto_init() == 0);
    struct bytes input = bytes_of(data, size);
    struct public_key key;
    if (public_key_decode(input, &key) == 0) {
        uint8_t room[KEY_ENCODED_MAX];
        struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
        public_key_encode(&key, &writer);
        ENSURE(writer.error == 0 && bytes_equal(writer_bytes(&writer), input));
        ENSURE(public_key_verify(&key, BYTES_LITERAL("message"), bytes_slice(input, 0, 64)) != 0);
        struct peer_id id;
        peer_id_from_key(&key, &id);
        ENSURE(peer_id_check(&id, &key) == 0);
    }
    struct ed25519_secret secret;
    if (private_key_decode(input, &secret) == 0) {
        uint8_t encoded[PRIVATE_KEY_ENCODED_SIZE];
        private_key_encode(&secret, encoded);
        ENSURE(private_key_decode(BYTES_ARRAY(encoded), &secret) == 0);
        ed25519_done(&secret);
    }
    return 0;
}
