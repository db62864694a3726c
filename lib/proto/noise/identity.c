/* The static key pair and its payload. */
#include "proto/noise/noise.h"
#include "wire/protobuf.h"

void noise_identity_prepare(struct noise_identity *identity, const uint8_t secret[X25519_SIZE]) {
    memset(identity, 0, sizeof(*identity));
    memcpy(identity->secret, secret, X25519_SIZE);
    x25519_public(secret, identity->public_key);
}

void noise_binding(const uint8_t public_key[X25519_SIZE], uint8_t ret_message[NOISE_BINDING_SIZE]) {
    memcpy(ret_message, NOISE_BINDING_PREFIX, sizeof(NOISE_BINDING_PREFIX) - 1);
    memcpy(ret_message + sizeof(NOISE_BINDING_PREFIX) - 1, public_key, X25519_SIZE);
}

int noise_identity_finish(struct noise_identity *identity, const struct public_key *key,
                          struct bytes signature) {
    if (key->type != KEY_ED25519) {
        return PLASM_UNSUPPORTED;
    }
    uint8_t message[NOISE_BINDING_SIZE];
    noise_binding(identity->public_key, message);
    if (public_key_verify(key, BYTES_ARRAY(message), signature) != 0) {
        return PLASM_UNTRUSTED;
    }
    struct writer writer =
        writer_of((struct span){.data = identity->payload, .size = sizeof(identity->payload)});
    size_t mark = protobuf_begin(&writer, 1);
    public_key_encode(key, &writer);
    protobuf_end(&writer, mark);
    protobuf_put_bytes(&writer, 2, signature);
    if (writer.error != 0) {
        return PLASM_UNSUPPORTED;
    }
    identity->payload_size = (uint16_t)writer.size;
    return 0;
}

void noise_identity_done(struct noise_identity *identity) {
    crypto_wipe(identity, sizeof(*identity));
}
