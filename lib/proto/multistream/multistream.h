/* multistream-select 1.0: agreeing on one stream's protocol.
 * Spec: libp2p/specs connections/README.md, "multistream-select"; multiformats/multistream-select.
 *
 * The dialler is lazy: header and first proposal go out in one piece and may be followed at once by
 * the protocol's own data. A machine lives only until its stream has a protocol. */
#ifndef PROTO_MULTISTREAM_H
#define PROTO_MULTISTREAM_H

#include "util/bytes.h"
#include "util/error.h"

/* Longest protocol name we speak, in bytes. */
#define MULTISTREAM_NAME_MAX 140
/* Longest line a peer may send; longer than a name, it is skipped and answered `na`. */
#define MULTISTREAM_LINE_MAX 65536
/* Proposals a dialler may have refused on one stream. */
#define MULTISTREAM_PROPOSALS_MAX 16
/* Most bytes one call of multistream_transmit gives: header and two lines. */
#define MULTISTREAM_TRANSMIT_MAX 384

enum multistream_role { MULTISTREAM_DIALLER, MULTISTREAM_LISTENER };

struct multistream {
    enum multistream_role role;
    const char *const *names; /* borrowed: proposals in order, or what is spoken here */
    size_t name_count;
    size_t proposal; /* dialler: the one under way; listener: how many were refused */
    size_t selected; /* index into names, once done */
    bool header_received;
    bool done;
    int error;
    size_t skip; /* bytes of an overlong line still to come */
    size_t line_size;
    uint8_t line[MULTISTREAM_NAME_MAX + 4]; /* a line that came in pieces, with its length */
    size_t out_size;
    uint8_t out[MULTISTREAM_TRANSMIT_MAX];
};

/* `names` are NUL-terminated, at most MULTISTREAM_NAME_MAX long, and outlive the machine. A dialler
 * has its header and first proposal to transmit at once. */
void multistream_init(struct multistream *select, enum multistream_role role,
                      const char *const *names, size_t name_count);

/* Takes input until a protocol is agreed on; *ret_consumed says how much, the rest is the
 * protocol's. Returns 0 (see `done`), PLASM_MALFORMED, PLASM_LIMIT (too many proposals) or, for a
 * dialler, PLASM_UNSUPPORTED (every proposal was refused). Errors latch. */
MUST_CHECK int multistream_receive(struct multistream *select, struct bytes input,
                                   size_t *ret_consumed);

/* Copies what is to be sent and forgets it; 0 when nothing is. `room` of MULTISTREAM_TRANSMIT_MAX
 * always takes all. */
size_t multistream_transmit(struct multistream *select, struct span room);

#endif
