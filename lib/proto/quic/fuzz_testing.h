/* Endpoints for fuzz targets: made fast, driven without a network, everything taken and consumed.
 */
#ifndef QUIC_FUZZ_TESTING_H
#define QUIC_FUZZ_TESTING_H

#include <stdio.h>

#include "identity/certificate_testing.h"
#include "proto/quic/quic.h"
#include "util/ensure.h"

struct fuzz_side {
    struct memory memory;
    struct quic_endpoint *endpoint;
    struct netaddr address;
    struct quic_conn *conn;     /* the last that was connected */
    struct quic_stream *stream; /* of a client: the one it writes on */
};

static inline const struct certificate *fuzz_certificate(uint8_t number) {
    static struct certificate certificates[2];
    struct certificate *certificate = &certificates[number % 2];
    if (certificate->der_size == 0) {
        struct ed25519_secret secret;
        struct public_key key;
        struct peer_id id;
        ENSURE(crypto_init() == 0);
        testing_identity(number, &secret, &key, &id);
        testing_own_certificate(&secret, certificate);
    }
    return certificate;
}

static inline void fuzz_start(struct fuzz_side *side, uint8_t number, bool accept) {
    *side = (struct fuzz_side){
        .address = {.family = NETADDR_IP4, .ip = {192, 0, 2, number}, .port = 4001}};
    memory_init(&side->memory, (size_t)64 << 20);
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = fuzz_certificate(number);
    config.memory = &side->memory;
    config.local = side->address;
    config.accept = accept;
    config.seed[0] = number;
    ENSURE(quic_endpoint_new(&config, &side->endpoint) == 0);
}

static inline void fuzz_done(struct fuzz_side *side) {
    quic_endpoint_free(side->endpoint);
    ENSURE(side->memory.used == 0);
}

/* Answers what a peer may cause: reads, writes back, ends. */
static inline void fuzz_event(struct fuzz_side *side, const struct quic_event *event) {
    size_t accepted;
    switch (event->type) {
    case QUIC_CONNECTED:
        side->conn = event->conn;
        break;
    case QUIC_CLOSED:
        ENSURE(event->text != NULL);
        side->conn = side->conn == event->conn ? NULL : side->conn;
        side->stream = side->conn == NULL ? NULL : side->stream;
        break;
    case QUIC_STREAM_CLOSED:
        side->stream = side->stream == event->stream ? NULL : side->stream;
        break;
    case QUIC_STREAM_DATA:
        if (event->data.size > 0) {
            struct block *block = block_copy(&side->memory, event->data);
            if (block != NULL) {
                (void)!quic_stream_write(event->stream, block, 0, block->size, event->fin,
                                         &accepted);
                block_unref(block);
            }
        }
        quic_stream_consume(event->stream, event->data.size);
        break;
    case QUIC_STREAM_RESET:
        quic_stream_reset(event->stream, event->code);
        break;
    case QUIC_STREAM_STOPPED:
        quic_stream_stop(event->stream, event->code);
        break;
    default:
        break;
    }
}

static inline void fuzz_take_events(struct fuzz_side *side) {
    struct quic_event event;
    while (quic_next_event(side->endpoint, &event)) {
        fuzz_event(side, &event);
    }
}

static inline void fuzz_receive(struct fuzz_side *side, const struct netaddr *from,
                                struct bytes bytes, size_t segment_size, nanos now) {
    struct quic_datagram datagram = {
        .local = side->address, .remote = *from, .bytes = bytes, .segment_size = segment_size};
    quic_receive(side->endpoint, &datagram, now, TESTING_UNIX_SECONDS);
    fuzz_take_events(side);
}

/* Packets to `to`, or nowhere. */
static inline bool fuzz_transmit(struct fuzz_side *from, struct fuzz_side *to, nanos now) {
    static uint8_t room[QUIC_BATCH_SIZE_MAX];
    struct quic_packet packet;
    bool any = false;
    for (int i = 0; i < 100; i++) {
        if (!quic_transmit(from->endpoint, (struct span){.data = room, .size = sizeof(room)}, now,
                           &packet)) {
            break;
        }
        any = true;
        if (to != NULL) {
            fuzz_receive(to, &packet.local, bytes_of(room, packet.size), packet.segment_size, now);
        }
    }
    fuzz_take_events(from);
    return any;
}

#endif
