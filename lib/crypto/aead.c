/* ChaCha20-Poly1305 put together from libsodium's cipher and authenticator, so that what is sealed
 * may lie in pieces. */
#include "crypto/aead.h"

#include <sodium.h>

#define BLOCK_SIZE 64

/* The first block of the key stream is the authenticator's key. RFC 8439, section 2.6. */
static void begin_tag(crypto_onetimeauth_poly1305_state *state, const uint8_t *key,
                      const uint8_t *nonce, struct bytes associated) {
    static const uint8_t zeros[AEAD_TAG_SIZE];
    uint8_t one_time_key[crypto_onetimeauth_poly1305_KEYBYTES];
    crypto_stream_chacha20_ietf(one_time_key, sizeof(one_time_key), nonce, key);
    crypto_onetimeauth_poly1305_init(state, one_time_key);
    sodium_memzero(one_time_key, sizeof(one_time_key));
    if (associated.size > 0) {
        crypto_onetimeauth_poly1305_update(state, associated.data, associated.size);
        crypto_onetimeauth_poly1305_update(state, zeros, (0 - associated.size) % AEAD_TAG_SIZE);
    }
}

static void put_size(uint8_t *room, uint64_t size) {
    for (size_t i = 0; i < sizeof(size); i++) {
        room[i] = (uint8_t)(size >> (8 * i));
    }
}

static void make_tag(const uint8_t *key, const uint8_t *nonce, struct bytes associated,
                     struct bytes sealed, uint8_t ret_tag[AEAD_TAG_SIZE]) {
    static const uint8_t zeros[AEAD_TAG_SIZE];
    crypto_onetimeauth_poly1305_state state;
    begin_tag(&state, key, nonce, associated);
    crypto_onetimeauth_poly1305_update(&state, sealed.data, sealed.size);
    crypto_onetimeauth_poly1305_update(&state, zeros, (0 - sealed.size) % AEAD_TAG_SIZE);
    uint8_t sizes[16];
    put_size(sizes, associated.size);
    put_size(sizes + 8, sealed.size);
    crypto_onetimeauth_poly1305_update(&state, sizes, sizeof(sizes));
    crypto_onetimeauth_poly1305_final(&state, ret_tag);
    sodium_memzero(&state, sizeof(state));
}

/* XORs the key stream of data byte `offset` (a multiple of a block) on. */
static void cipher(const uint8_t *key, const uint8_t *nonce, size_t offset, const uint8_t *from,
                   size_t size, uint8_t *to) {
    crypto_stream_chacha20_ietf_xor_ic(to, from, size, nonce, (uint32_t)(1 + offset / BLOCK_SIZE),
                                       key);
}

/* Whole blocks go straight from a piece; a block that two pieces share is gathered in `out`. */
void chacha20poly1305_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
                           struct bytes associated, const struct bytes *pieces, size_t skip,
                           size_t size, uint8_t *out) {
    size_t done = 0;
    for (; done < size; pieces++) {
        struct bytes left = bytes_slice(*pieces, skip, size - done);
        skip -= skip < pieces->size ? skip : pieces->size;
        size_t begun = done % BLOCK_SIZE;
        if (begun != 0 && left.size > 0) {
            struct bytes head = bytes_slice(left, 0, BLOCK_SIZE - begun);
            memmove(out + done, head.data, head.size);
            done += head.size;
            left = bytes_slice(left, head.size, left.size);
            if (done % BLOCK_SIZE == 0) {
                size_t block = done - BLOCK_SIZE;
                cipher(key, nonce, block, out + block, BLOCK_SIZE, out + block);
            }
        }
        size_t whole = left.size - left.size % BLOCK_SIZE;
        if (whole > 0) {
            cipher(key, nonce, done, left.data, whole, out + done);
            done += whole;
        }
        if (left.size > whole) {
            memmove(out + done, left.data + whole, left.size - whole);
            done += left.size - whole;
        }
    }
    size_t rest = size % BLOCK_SIZE;
    if (rest > 0) {
        cipher(key, nonce, size - rest, out + size - rest, rest, out + size - rest);
    }
    make_tag(key, nonce, associated, bytes_of(out, size), out + size);
}

int chacha20poly1305_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
                          struct bytes associated, struct span sealed) {
    if (sealed.size < AEAD_TAG_SIZE) {
        return PLASM_UNTRUSTED;
    }
    size_t size = sealed.size - AEAD_TAG_SIZE;
    uint8_t tag[AEAD_TAG_SIZE];
    make_tag(key, nonce, associated, bytes_of(sealed.data, size), tag);
    bool right = sodium_memcmp(tag, sealed.data + size, sizeof(tag)) == 0;
    sodium_memzero(tag, sizeof(tag));
    if (!right) {
        return PLASM_UNTRUSTED;
    }
    if (size > 0) {
        cipher(key, nonce, 0, sealed.data, size, sealed.data);
    }
    return 0;
}
