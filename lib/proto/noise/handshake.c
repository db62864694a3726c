/* Noise XX, message by message. */
#include "proto/noise/handshake.h"

#include "crypto/mac.h"
#include "crypto/sign.h"
#include "proto/noise/noise.h"
#include "util/ensure.h"

/* As long as a hash: it is the first hash itself. */
static const char name[SHA256_SIZE + 1] = "Noise_XX_25519_ChaChaPoly_SHA256";

void noise_nonce(uint64_t number, uint8_t ret_nonce[AEAD_NONCE_SIZE]) {
    memset(ret_nonce, 0, 4);
    for (size_t i = 0; i < sizeof(number); i++) {
        ret_nonce[4 + i] = (uint8_t)(number >> (8 * i));
    }
}

static void mix_hash(struct noise_handshake *handshake, struct bytes data) {
    uint8_t room[SHA256_SIZE + NOISE_HANDSHAKE_SIZE_MAX];
    struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
    writer_bytes_put(&writer, BYTES_ARRAY(handshake->hash));
    writer_bytes_put(&writer, data);
    ENSURE(writer.error == 0);
    struct sha256_digest digest = sha256(writer_bytes(&writer));
    memcpy(handshake->hash, digest.bytes, SHA256_SIZE);
}

static int mix_dh(struct noise_handshake *handshake, const uint8_t *secret, const uint8_t *theirs) {
    uint8_t shared[X25519_SIZE];
    int error = x25519(secret, theirs, shared);
    if (error == 0) {
        mac_hkdf(handshake->chaining_key, BYTES_ARRAY(shared), handshake->chaining_key,
                 handshake->cipher.key);
        handshake->cipher.nonce = 0;
        handshake->has_key = true;
    }
    crypto_wipe(shared, sizeof(shared));
    return error;
}

static void encrypt_and_hash(struct noise_handshake *handshake, struct bytes plain,
                             struct writer *writer) {
    size_t size = plain.size + (handshake->has_key ? AEAD_TAG_SIZE : 0);
    uint8_t *out = writer_reserve(writer, size);
    if (out == NULL) {
        return;
    }
    if (handshake->has_key) {
        uint8_t nonce[AEAD_NONCE_SIZE];
        noise_nonce(handshake->cipher.nonce++, nonce);
        chacha20poly1305_seal(handshake->cipher.key, nonce, BYTES_ARRAY(handshake->hash), &plain, 0,
                              plain.size, out);
    } else if (size > 0) {
        memcpy(out, plain.data, size);
    }
    mix_hash(handshake, bytes_of(out, size));
}

/* The plain bytes lie where the sealed ones did. */
static int decrypt_and_hash(struct noise_handshake *handshake, struct span sealed,
                            struct bytes *ret_plain) {
    if (!handshake->has_key) {
        mix_hash(handshake, bytes_of(sealed.data, sealed.size));
        *ret_plain = bytes_of(sealed.data, sealed.size);
        return 0;
    }
    if (sealed.size < AEAD_TAG_SIZE) {
        return PLASM_MALFORMED;
    }
    struct noise_handshake before = *handshake;
    mix_hash(handshake, bytes_of(sealed.data, sealed.size));
    uint8_t nonce[AEAD_NONCE_SIZE];
    noise_nonce(handshake->cipher.nonce++, nonce);
    int error =
        chacha20poly1305_open(handshake->cipher.key, nonce, BYTES_ARRAY(before.hash), sealed);
    crypto_wipe(&before, sizeof(before));
    if (error == 0) {
        *ret_plain = bytes_of(sealed.data, sealed.size - AEAD_TAG_SIZE);
    }
    return error;
}

void handshake_init(struct noise_handshake *handshake, const uint8_t s[X25519_SIZE],
                    const uint8_t s_public[X25519_SIZE], const uint8_t e[X25519_SIZE]) {
    memset(handshake, 0, sizeof(*handshake));
    memcpy(handshake->hash, name, SHA256_SIZE);
    memcpy(handshake->chaining_key, name, SHA256_SIZE);
    mix_hash(handshake, bytes_of(NULL, 0)); /* the prologue */
    memcpy(handshake->s, s, X25519_SIZE);
    memcpy(handshake->s_public, s_public, X25519_SIZE);
    memcpy(handshake->e, e, X25519_SIZE);
    x25519_public(e, handshake->e_public);
}

int handshake_write(struct noise_handshake *handshake, unsigned number, struct bytes payload,
                    struct writer *writer) {
    int error = 0;
    if (number < 2) { /* e */
        writer_bytes_put(writer, BYTES_ARRAY(handshake->e_public));
        mix_hash(handshake, BYTES_ARRAY(handshake->e_public));
    }
    if (number == 1) { /* ee */
        error = mix_dh(handshake, handshake->e, handshake->re);
    }
    if (number > 0 && error == 0) { /* s, then es of the responder, se of the initiator */
        encrypt_and_hash(handshake, BYTES_ARRAY(handshake->s_public), writer);
        error = mix_dh(handshake, handshake->s, handshake->re);
    }
    if (error == 0) {
        encrypt_and_hash(handshake, payload, writer);
        error = writer->error;
    }
    return error;
}

static struct span cut(struct span *from, size_t size) {
    struct span head = {.data = from->data, .size = size};
    from->data += size;
    from->size -= size;
    return head;
}

int handshake_read(struct noise_handshake *handshake, unsigned number, struct span message,
                   struct bytes *ret_payload) {
    size_t least = number < 2 ? X25519_SIZE : 0u;
    least += number > 0 ? X25519_SIZE + AEAD_TAG_SIZE : 0u;
    if (message.size < least || message.size > NOISE_HANDSHAKE_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    int error = 0;
    if (number < 2) { /* e */
        struct span e = cut(&message, X25519_SIZE);
        memcpy(handshake->re, e.data, X25519_SIZE);
        mix_hash(handshake, BYTES_ARRAY(handshake->re));
    }
    if (number == 1) { /* ee */
        error = mix_dh(handshake, handshake->e, handshake->re);
    }
    if (number > 0 && error == 0) { /* s */
        struct bytes s;
        error = decrypt_and_hash(handshake, cut(&message, X25519_SIZE + AEAD_TAG_SIZE), &s);
        if (error == 0) { /* es of the responder's, se of the initiator's */
            memcpy(handshake->rs, s.data, X25519_SIZE);
            error = mix_dh(handshake, handshake->e, handshake->rs);
        }
    }
    return error != 0 ? error : decrypt_and_hash(handshake, message, ret_payload);
}

void handshake_split(const struct noise_handshake *handshake, struct noise_cipher *ret_initiator,
                     struct noise_cipher *ret_responder) {
    mac_hkdf(handshake->chaining_key, bytes_of(NULL, 0), ret_initiator->key, ret_responder->key);
    ret_initiator->nonce = 0;
    ret_responder->nonce = 0;
}
