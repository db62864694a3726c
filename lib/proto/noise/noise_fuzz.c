/* A stranger's bytes at every state of Noise: the input's first byte chooses the role, whether the
 * handshake is done first by a right peer, and how the rest is cut and changed. */
#include "proto/noise/pair_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pair_end us;
static struct pair_end peer;

/* Bits of the first byte. */
enum { WE_INITIATE = 1, SHAKE_FIRST = 2, CHANGE_RIGHT_BYTES = 4, BYTE_BY_BYTE = 8 };

static void hand_over(struct bytes bytes, uint8_t choice) {
    if (bytes.size > 0) {
        pair_hand_over(&us, bytes, (choice & BYTE_BY_BYTE) != 0 ? 1 : bytes.size);
    }
}

/* What a right peer says, XORed with the input. */
static void change_right_bytes(struct bytes input, uint8_t choice) {
    uint8_t room[4096];
    for (unsigned i = 0; i < 8; i++) {
        size_t got = noise_transmit(us.noise, test_span(room, sizeof(room)));
        if (got > 0) {
            pair_hand_over(&peer, bytes_of(room, got), got);
        }
        got = noise_transmit(peer.noise, test_span(room, sizeof(room)));
        for (size_t j = 0; j < got && j < input.size; j++) {
            room[j] ^= input.data[j];
        }
        input = bytes_slice(input, got, input.size);
        hand_over(bytes_of(room, got), choice);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct memory memory;
    static bool begun;
    if (!begun) {
        ENSURE(crypto_init() == 0);
        memory_init(&memory, SIZE_MAX);
        pair_end_identity(&us, 1);
        pair_end_identity(&peer, 2);
        begun = true;
    }
    if (size == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    struct bytes input = bytes_of(data + 1, size - 1);
    us.ready = peer.ready = false;
    us.error = peer.error = 0;
    us.data_size = peer.data_size = 0;
    const uint8_t seed[32] = {1};
    struct random generator;
    random_init(&generator, seed);
    struct noise_config config = {.initiator = (choice & WE_INITIATE) != 0,
                                  .identity = &us.identity,
                                  .memory = &memory,
                                  .random = &generator};
    ENSURE(noise_new(&config, &us.noise) == 0);
    config.initiator = !config.initiator;
    config.identity = &peer.identity;
    ENSURE(noise_new(&config, &peer.noise) == 0);
    if ((choice & SHAKE_FIRST) != 0) {
        pair_shake(&us, &peer, 4096);
        ENSURE(us.ready && peer.ready);
    }
    if ((choice & CHANGE_RIGHT_BYTES) != 0) {
        change_right_bytes(input, choice);
    } else {
        hand_over(input, choice);
    }
    uint8_t room[4096];
    size_t taken;
    struct bytes hello = BYTES_LITERAL("hello");
    (void)noise_seal(us.noise, &hello, 1, test_span(room, sizeof(room)), &taken);
    noise_free(us.noise);
    noise_free(peer.noise);
    ENSURE(memory.used == 0);
    return 0;
}
