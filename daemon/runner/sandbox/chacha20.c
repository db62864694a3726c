/* ChaCha20 as RFC 8439 has it; written here because plasm-run links no cryptography. */
#include "runner/sandbox/chacha20.h"

static uint32_t load_little(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static uint32_t rotate(uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

/* RFC 8439, section 2.1. */
static void quarter_round(uint32_t *x, size_t a, size_t b, size_t c, size_t d) {
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

/* RFC 8439, section 2.3; then counts the block, in 64 bits: a stream has no end here. */
static void next_block(struct chacha20 *chacha) {
    uint32_t x[16];
    memcpy(x, chacha->state, sizeof(x));
    for (int i = 0; i < 10; i++) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 1, 5, 9, 13);
        quarter_round(x, 2, 6, 10, 14);
        quarter_round(x, 3, 7, 11, 15);
        quarter_round(x, 0, 5, 10, 15);
        quarter_round(x, 1, 6, 11, 12);
        quarter_round(x, 2, 7, 8, 13);
        quarter_round(x, 3, 4, 9, 14);
    }
    for (size_t i = 0; i < 16; i++) {
        uint32_t word = x[i] + chacha->state[i];
        chacha->block[4 * i] = (uint8_t)word;
        chacha->block[4 * i + 1] = (uint8_t)(word >> 8);
        chacha->block[4 * i + 2] = (uint8_t)(word >> 16);
        chacha->block[4 * i + 3] = (uint8_t)(word >> 24);
    }
    chacha->left = CHACHA20_BLOCK_SIZE;
    chacha->state[12]++;
    chacha->state[13] += chacha->state[12] == 0;
}

void chacha20_init(struct chacha20 *chacha, const uint8_t key[CHACHA20_KEY_SIZE]) {
    static const uint8_t constant[] = "expand 32-byte k";
    memset(chacha, 0, sizeof(*chacha));
    for (size_t i = 0; i < 4; i++) {
        chacha->state[i] = load_little(constant + 4 * i);
    }
    for (size_t i = 0; i < 8; i++) {
        chacha->state[4 + i] = load_little(key + 4 * i);
    }
}

void chacha20_fill(struct chacha20 *chacha, struct span room) {
    while (room.size > 0) {
        if (chacha->left == 0) {
            next_block(chacha);
        }
        size_t size = room.size < chacha->left ? room.size : chacha->left;
        memcpy(room.data, chacha->block + CHACHA20_BLOCK_SIZE - chacha->left, size);
        chacha->left -= size;
        room.data += size;
        room.size -= size;
    }
}
