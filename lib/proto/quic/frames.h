/* Looking into a decrypted packet for what ngtcp2 0.12 does not tell: STOP_SENDING. */
#ifndef QUIC_FRAMES_H
#define QUIC_FRAMES_H

#include "util/bytes.h"

/* The smallest such frame has 3 bytes. */
#define FRAMES_STOPS_MAX 512

struct stop_sending {
    uint64_t stream_id;
    uint64_t code;
};

/* Walks the frames of a 1-RTT payload and gives the STOP_SENDING frames in it, up to
 * `stops_max`. Ends early at what it cannot read: then ngtcp2 ends the connection.
 * Spec: RFC 9000, section 19. */
size_t frames_find_stops(struct bytes payload, struct stop_sending *ret_stops, size_t stops_max);

#endif
