/* Two ends of a Noise channel in one program, and whom they are. Not part of the library. */
#ifndef PROTO_NOISE_PAIR_TESTING_H
#define PROTO_NOISE_PAIR_TESTING_H

#include "proto/noise/noise.h"
#include "util/testing.h"

#define PAIR_ROOM_SIZE 300000

struct pair_end {
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id peer_id;
    struct noise_identity identity;
    struct noise *noise;
    bool ready;
    int error;
    char text[128];
    const char *muxer;
    struct peer_id remote;
    uint8_t data[PAIR_ROOM_SIZE];
    size_t data_size;
};

static inline void pair_end_identity(struct pair_end *end, uint8_t number) {
    uint8_t seed[32] = {number};
    memset(end, 0, sizeof(*end));
    ed25519_from_seed(&end->secret, seed);
    public_key_from_ed25519(end->secret.public_key, &end->key);
    peer_id_from_key(&end->key, &end->peer_id);
    seed[1] = 1;
    noise_identity_prepare(&end->identity, seed);
    uint8_t message[NOISE_BINDING_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    noise_binding(end->identity.public_key, message);
    ed25519_sign(&end->secret, BYTES_ARRAY(message), signature);
    ENSURE(noise_identity_finish(&end->identity, &end->key, BYTES_ARRAY(signature)) == 0);
}

/* Takes all events. */
static inline void pair_end_drain(struct pair_end *end) {
    struct noise_event event;
    while (noise_next_event(end->noise, &event)) {
        switch (event.type) {
        case NOISE_READY:
            ENSURE(!end->ready && end->error == 0);
            end->ready = true;
            end->muxer = event.muxer;
            end->remote = event.peer_id;
            break;
        case NOISE_DATA:
            ENSURE(end->ready && end->data_size + event.data.size <= sizeof(end->data));
            memcpy(end->data + end->data_size, event.data.data, event.data.size);
            end->data_size += event.data.size;
            break;
        default:
            ENSURE(event.type == NOISE_FAILED && end->error == 0 && event.error != 0);
            end->error = event.error;
            bytes_cut_string(bytes_of_string(event.text), end->text, sizeof(end->text));
        }
    }
}

/* Hands the bytes over, `step` at a time, each from memory of exactly that size. */
static inline void pair_hand_over(struct pair_end *end, struct bytes bytes, size_t step) {
    for (size_t done = 0; done < bytes.size; done += step) {
        struct bytes part = bytes_slice(bytes, done, step);
        uint8_t *copy = malloc(part.size);
        ENSURE(copy != NULL);
        memcpy(copy, part.data, part.size);
        ENSURE(noise_receive(end->noise, test_span(copy, part.size)) == 0);
        pair_end_drain(end);
        free(copy);
    }
}

/* Carries handshake bytes both ways until neither has any. */
static inline void pair_shake(struct pair_end *a, struct pair_end *b, size_t step) {
    uint8_t room[2048];
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t size; (size = noise_transmit(a->noise, test_span(room, sizeof(room)))) > 0;) {
            pair_hand_over(b, bytes_of(room, size), step);
            moved = true;
        }
        for (size_t size; (size = noise_transmit(b->noise, test_span(room, sizeof(room)))) > 0;) {
            pair_hand_over(a, bytes_of(room, size), step);
            moved = true;
        }
    }
}

#endif
