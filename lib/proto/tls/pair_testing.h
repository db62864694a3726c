/* Two ends of a TLS channel in one program, and whom they are. Not part of the library. */
#ifndef PROTO_TLS_PAIR_TESTING_H
#define PROTO_TLS_PAIR_TESTING_H

#include "proto/tls/tls.h"
#include "util/testing.h"

#define PAIR_ROOM_SIZE 300000
#define PAIR_NOW       INT64_C(1750000000)

struct pair_end {
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id peer_id;
    struct tls_identity *identity;
    struct tls *tls;
    bool ready;
    bool ended;
    int error;
    char text[128];
    const char *muxer;
    struct peer_id remote;
    uint8_t data[PAIR_ROOM_SIZE];
    size_t data_size;
};

static inline void pair_end_identity(struct pair_end *end, uint8_t number, struct memory *memory) {
    uint8_t seed[32] = {number};
    memset(end, 0, sizeof(*end));
    ed25519_from_seed(&end->secret, seed);
    public_key_from_ed25519(end->secret.public_key, &end->key);
    peer_id_from_key(&end->key, &end->peer_id);
    struct certificate_request *request;
    ENSURE(certificate_prepare(&request) == 0);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&end->secret, certificate_message(request), signature);
    struct certificate certificate;
    ENSURE(certificate_finish(request, &end->key, BYTES_ARRAY(signature), PAIR_NOW, &certificate) ==
           0);
    certificate_request_free(request);
    ENSURE(tls_identity_new(&certificate, memory, &end->identity) == 0);
    certificate_done(&certificate);
}

/* For a next connection. */
static inline void pair_end_clear(struct pair_end *end) {
    end->ready = false;
    end->ended = false;
    end->error = 0;
    end->muxer = NULL;
    end->data_size = 0;
    end->tls = NULL;
}

/* Takes all events. */
static inline void pair_end_drain(struct pair_end *end) {
    struct tls_event event;
    while (tls_next_event(end->tls, &event)) {
        switch (event.type) {
        case TLS_READY:
            ENSURE(!end->ready && end->error == 0);
            end->ready = true;
            end->muxer = event.muxer;
            end->remote = event.peer_id;
            break;
        case TLS_DATA:
            ENSURE(end->ready && end->data_size + event.data.size <= sizeof(end->data));
            memcpy(end->data + end->data_size, event.data.data, event.data.size);
            end->data_size += event.data.size;
            break;
        case TLS_END:
            ENSURE(end->ready && !end->ended);
            end->ended = true;
            break;
        default:
            ENSURE(event.type == TLS_FAILED && end->error == 0 && event.error != 0);
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
        ENSURE(tls_receive(end->tls, test_span(copy, part.size)) == 0);
        pair_end_drain(end);
        free(copy);
    }
}

/* Carries handshake bytes both ways until neither has any. */
static inline void pair_shake(struct pair_end *a, struct pair_end *b, size_t step) {
    uint8_t room[2048];
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t size; (size = tls_transmit(a->tls, test_span(room, sizeof(room)))) > 0;) {
            pair_hand_over(b, bytes_of(room, size), step);
            moved = true;
        }
        for (size_t size; (size = tls_transmit(b->tls, test_span(room, sizeof(room)))) > 0;) {
            pair_hand_over(a, bytes_of(room, size), step);
            moved = true;
        }
    }
}

#endif
