/* A TCP connection that is negotiated as libp2p wants it, by our own machines, and misused from
 * wherever its kind says: raw bytes, the handshake, or Yamux frames inside the secure channel. */
#ifndef HOSTILE_TUBE_H
#define HOSTILE_TUBE_H

#include "attack.h"
#include "peer/pipe_security.h"
#include "proto/noise/noise.h"
#include "proto/yamux/frame.h"

#define TUBES_MAX      10000
#define TUBE_OUT_SIZE  65536
#define TUBE_CUT_NEVER SIZE_MAX
/* Dials within these bounds are never refused for their rate (limits.md: 10/s, burst 100): what is
 * then named is what the connections do. */
#define TUBE_DIALS_PER_SECOND 8
#define TUBE_DIALS_BURST      60

struct tube;

/* One kind of misuse. */
struct tube_kind {
    size_t at_once; /* connections kept */
    bool tls;
    bool keyless;   /* the identity is signed by another key than it names */
    bool crowd;     /* each from an address of its own, with an identity of its own */
    bool unread;    /* once it is open nothing is read any more */
    bool trickles;  /* what is behind the cut comes a byte a second */
    bool holds;     /* once it has written there is nothing more, and it stays */
    size_t cuts[6]; /* bytes sent before it falls silent, one after another; 0: none more */
    /* Adds raw bytes right behind the choice of a security; then no handshake is made. */
    void (*raw)(struct attacker *attacker, struct tube *tube);
    /* Open, and there is room: adds frames with the functions below. */
    void (*write)(struct attacker *attacker, struct tube *tube);
};

enum tube_stage { TUBE_CONNECTING, TUBE_SELECTING, TUBE_SECURING, TUBE_OPEN };

struct tube {
    int fd;
    enum tube_stage stage;
    size_t number;  /* of all dialled ones */
    size_t to_skip; /* of the answer to multistream's proposals */
    size_t cut;     /* bytes that may be sent in all */
    size_t sent;
    nanos next; /* when a byte more may be */
    void *channel;
    struct noise_identity *own;        /* of a crowd */
    uint32_t stream;                   /* the next one's number */
    uint64_t written;                  /* calls of `write` */
    uint8_t header[YAMUX_HEADER_SIZE]; /* of the frame that is coming in */
    size_t header_size;
    size_t payload_left;
    size_t plain_size;
    size_t out_start;
    size_t out_size;
    uint8_t plain[4096];
    uint8_t out[TUBE_OUT_SIZE];
};

/* `step` of all attacks with a kind. */
void tubes_step(struct attacker *attacker);
void tubes_close(struct attacker *attacker);

/* True while that many bytes of frames fit. */
bool tube_has_room(const struct tube *tube, size_t size);
void tube_frame(struct tube *tube, enum yamux_type type, unsigned flags, uint32_t stream,
                uint32_t length);
void tube_bytes(struct tube *tube, struct bytes bytes);
/* A new stream with these bytes; its number. */
uint32_t tube_stream(struct tube *tube, struct bytes bytes);
/* Straight to the socket. */
void tube_raw(struct tube *tube, struct bytes bytes);

#endif
