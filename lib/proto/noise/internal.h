/* The machine's parts, for its file and its tests. */
#ifndef PROTO_NOISE_INTERNAL_H
#define PROTO_NOISE_INTERNAL_H

#include "proto/noise/handshake.h"
#include "proto/noise/noise.h"

#define LENGTH_SIZE 2
/* Our longest handshake message with its length: keys, payload, muxers, tags. */
#define OUT_SIZE_MAX 1024
/* A begun message's memory is kept for the next one when it is no more than this. */
#define PARTIAL_KEPT_MAX 1024

/* What only the handshake needs: gone with the first call after NOISE_READY was given. */
struct setup {
    struct noise_handshake handshake;
    const struct noise_identity *identity;
    const char *const *muxers;
    size_t muxer_count;
    struct peer_id expected; /* size 0: any */
    struct peer_id peer_id;
    struct public_key key;
    const char *muxer;
    unsigned next; /* number of the message that comes next */
    size_t out_size;
    size_t out_sent;
    uint8_t out[OUT_SIZE_MAX];
};

enum state { STATE_HANDSHAKE, STATE_AGREED, STATE_OPEN, STATE_FAILED, STATE_OVER };

struct noise {
    struct memory *memory;
    struct setup *setup;
    struct noise_cipher sending;
    struct noise_cipher receiving;
    struct span input; /* not looked at yet */
    /* A message that began in an earlier input, or its length alone. */
    uint8_t *partial;
    size_t partial_capacity;
    size_t partial_size; /* bytes of the message that are here */
    uint8_t length[LENGTH_SIZE];
    uint8_t length_size;
    bool partial_given; /* the last event lies in `partial` */
    bool initiator;
    enum state state;
    int error;
    const char *text;
};

#endif
