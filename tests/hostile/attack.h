/* What the hostile peer is made of: a UDP socket, our own QUIC with a hook where packets are
 * sealed, and a table of attacks. */
#ifndef HOSTILE_ATTACK_H
#define HOSTILE_ATTACK_H

#include "proto/quic/internal.h"

#define CONNS_MAX 20000

struct attacker;

/* One kind of attack; `step` is called again and again until the time is over. */
struct attack {
    const char *name;
    void (*step)(struct attacker *attacker);
    bool tcp;                     /* no QUIC at all */
    bool deaf;                    /* answers are not even read */
    const char *what;             /* for --help */
    const struct tube_kind *tube; /* of those in tube_attacks.c */
};
extern const struct attack attacks[];
extern const size_t attack_count;
/* Over TCP, from inside. */
extern const struct attack tube_attacks[];
extern const size_t tube_attack_count;

struct attacker {
    const struct attack *attack;
    struct netaddr target;
    struct netaddr sources; /* the first of `source_count`, for those that use many; 0: none */
    uint32_t source_count;
    uint32_t source_step; /* from one to the next */
    int fd;
    struct memory memory;
    struct quic_endpoint *endpoint;
    struct random random;
    nanos now;
    nanos begun;
    size_t live;                        /* connections dialled and not closed */
    struct quic_conn *conns[CONNS_MAX]; /* connected; NULL: gone */
    size_t conn_count;
    /* What came of it. */
    uint64_t dialled;
    uint64_t connected;
    uint64_t closed;
    uint64_t streams;
    uint64_t refused_streams;
    uint64_t datagrams;
    uint64_t frames;
    uint64_t goodbyes;     /* Yamux's Go Away */
    uint32_t goodbye_code; /* of the last one */
    char last_reason[160];
};

/* wire.c */
/* Frames that stand in place of the payload of every 1-RTT packet from now on; NULL: our own. Fills
 * `room` with whole frames and returns their bytes. */
typedef size_t frame_maker(uint8_t *room, size_t size);
void wire_replace_frames(frame_maker *maker);
int wire_open(struct attacker *attacker);
void wire_close(struct attacker *attacker);
/* A certificate of a fresh identity. */
MUST_CHECK int wire_certificate(struct certificate *ret_certificate);
/* Receives, sends and waits up to a millisecond. */
void wire_turn(struct attacker *attacker);
/* Sends a datagram as it is. */
void wire_send(struct attacker *attacker, struct bytes datagram);
bool wire_dial(struct attacker *attacker);
/* A new stream with these bytes; NULL when none can be had. */
struct quic_stream *wire_stream(struct attacker *attacker, struct quic_conn *conn,
                                struct bytes bytes, bool fin);

#endif
