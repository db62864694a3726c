/* The twelve bytes that begin every Yamux frame. */
#ifndef YAMUX_FRAME_H
#define YAMUX_FRAME_H

#include "util/bytes.h"

#define YAMUX_HEADER_SIZE 12

enum yamux_type {
    YAMUX_DATA,     /* length: bytes that follow */
    YAMUX_WINDOW,   /* length: credit; with RST: a code */
    YAMUX_PING,     /* length: a value that comes back with ACK */
    YAMUX_GO_AWAY,  /* length: a code */
    YAMUX_TYPE_END, /* not on the wire */
};

enum yamux_flag {
    YAMUX_SYN = 1,
    YAMUX_ACK = 2,
    YAMUX_FIN = 4,
    YAMUX_RST = 8,
};

struct yamux_frame {
    enum yamux_type type;
    uint16_t flags;
    uint32_t stream_id; /* 0 in PING and GO_AWAY */
    uint32_t length;
};

/* Spec: hashicorp/yamux spec.md, "Framing". */
void yamux_frame_encode(const struct yamux_frame *frame, uint8_t room[YAMUX_HEADER_SIZE]);
/* Unknown flags are given as they came. PLASM_UNSUPPORTED: another version. PLASM_MALFORMED: an
 * unknown type, or a stream's frame without a stream. */
MUST_CHECK int yamux_frame_decode(const uint8_t header[YAMUX_HEADER_SIZE],
                                  struct yamux_frame *ret_frame);

#endif
