/* Yamux: many streams over one ordered, secured pipe, without I/O.
 *
 * Use: hand in decrypted bytes with yamux_receive() and time with yamux_expire(); after either, and
 * after any other call, take events with yamux_next_event() until it returns false, then pieces
 * with yamux_transmit() until it gives none. Transmitting makes events too (WRITABLE, CLOSED), so
 * begin again until neither gives anything. What arrived is read where it is: it must stay, and
 * yamux_receive() must not be called again, until yamux_next_event() has returned false.
 *
 * Handles: a stream is valid until its YAMUX_STREAM_CLOSED, or YAMUX_CLOSED, has been taken and the
 * next call is made. YAMUX_CLOSED ends all streams without a word about each; it comes once, and
 * afterwards only the goodbye is left to transmit.
 *
 * Specs: hashicorp/yamux spec.md; libp2p/specs yamux/README.md. */
#ifndef YAMUX_YAMUX_H
#define YAMUX_YAMUX_H

#include "crypto/random.h"
#include "util/block.h"
#include "util/budget.h"
#include "util/time.h"

struct yamux;
struct yamux_stream;

/* Its name in multistream-select, in Noise's stream_muxers and in TLS's ALPN. */
#define YAMUX_PROTOCOL "/yamux/1.0.0"

/* Payload of a frame that we send: libp2p's other implementations refuse more than 1 MiB. */
#define YAMUX_FRAME_BYTES_MAX 65536
/* What both sides may send on a new stream before they hear anything (spec). */
#define YAMUX_WINDOW_BYTES 262144
/* As many pieces as yamux_transmit() gives at most in one call. */
#define YAMUX_PIECES_MAX 64

/* Codes of Go Away; libp2p also sends an application's. */
enum yamux_code {
    YAMUX_CODE_NORMAL = 0,
    YAMUX_CODE_PROTOCOL = 1,
    YAMUX_CODE_INTERNAL = 2,
};

/* Bounds; limits.md has where they come from. */
struct yamux_limits {
    size_t streams_inbound_max;  /* open at a time; more are reset */
    size_t streams_outbound_max; /* open at a time */
    size_t backlog_max;          /* opened by us and not acknowledged yet */
    size_t window_bytes_max; /* how far a receive window grows when it is what limits the rate */
    size_t unsent_bytes_max; /* of a stream's written bytes that were not transmitted yet */
    size_t unsent_bytes_low; /* YAMUX_STREAM_WRITABLE at or below it */
    uint32_t
        resets_per_second; /* inbound streams that the other side opens and resets, or that are */
    uint32_t resets_burst; /* too many; a burst of more ends the connection */
    uint32_t idle_frames_per_second; /* frames that ask for nothing: pings, empty ones, ones for */
    uint32_t idle_frames_burst;      /* streams that are gone */
    nanos keep_alive_interval;       /* of connections that have it on */
    nanos ping_timeout; /* nothing heard for so long while a ping waits for its answer */
    nanos rtt_interval; /* the round trip is measured anew after so long, where much arrives */
};
extern const struct yamux_limits yamux_limits_default;

struct yamux_config {
    bool initiator; /* dialled the pipe: its streams have odd numbers */
    struct memory *memory;
    struct budget *budget; /* windows beyond YAMUX_WINDOW_BYTES grow in its first half; NULL: not */
    struct random *random; /* used in yamux_new() alone */
    struct yamux_limits limits;
};

/* `config` is copied, what it points to is borrowed. PLASM_NO_MEMORY, PLASM_INVALID. */
MUST_CHECK int yamux_new(const struct yamux_config *config, nanos now, struct yamux **ret_mux);
/* Frees everything at once, without a goodbye. NULL is allowed. */
void yamux_free(struct yamux *mux);

/* Bytes from the other side. Whatever is wrong with them ends in YAMUX_CLOSED. Ignored once that
 * has come. */
void yamux_receive(struct yamux *mux, struct bytes input, nanos now);

/* Gives what is to be sent now: up to `count` pieces, which together are one run of bytes (frame
 * headers, slices of the blocks that were written), of about `size` bytes (whole frames are
 * committed until they are that much). Returns the number of pieces, 0 for nothing. They stay valid
 * until the next call but yamux_sent(), and are given again unless yamux_sent() takes them. */
size_t yamux_transmit(struct yamux *mux, struct bytes *pieces, size_t count, size_t size,
                      nanos now);
/* The first `size` bytes of what yamux_transmit() gave are on their way. */
void yamux_sent(struct yamux *mux, size_t size);

/* When yamux_expire() is due; NANOS_NEVER when nothing is awaited. */
nanos yamux_deadline(const struct yamux *mux);
void yamux_expire(struct yamux *mux, nanos now);

enum yamux_event_type {
    YAMUX_CLOSED,          /* error, code, by_peer, text */
    YAMUX_STREAM_OPENED,   /* by the other side; YAMUX_STREAM_DATA follows where it sent any */
    YAMUX_STREAM_DATA,     /* data, fin: nothing follows; data may be empty with fin */
    YAMUX_STREAM_WRITABLE, /* after a write that was not accepted in whole */
    YAMUX_STREAM_RESET,    /* the other side ended both directions: code; CLOSED is next */
    YAMUX_STREAM_CLOSED, /* both directions are over; what we wrote was transmitted, unless reset */
    YAMUX_STREAMS_AVAILABLE, /* yamux_stream_open() will work that was refused before */
};

struct yamux_event {
    enum yamux_event_type type;
    struct yamux_stream *stream; /* YAMUX_STREAM_ events */
    /* YAMUX_CLOSED: 0 after a Go Away of code 0 (yamux_close() or the other side's), or
     *   PLASM_CLOSED     a Go Away with another code
     *   PLASM_MALFORMED  a protocol error of the other side
     *   PLASM_LIMIT      it asked for nothing too often: pings, resets, empty frames
     *   PLASM_TIMEOUT    it does not answer a ping
     *   PLASM_NO_MEMORY */
    int error;
    uint64_t code;     /* YAMUX_STREAM_RESET; YAMUX_CLOSED: of the Go Away, sent or received */
    bool by_peer;      /* YAMUX_CLOSED: the other side said it */
    bool fin;          /* YAMUX_STREAM_DATA */
    struct bytes data; /* YAMUX_STREAM_DATA: a part of the input of yamux_receive() */
    const char *text;  /* YAMUX_CLOSED: why, for people; never NULL */
};

/* The next event; false when there is none. */
bool yamux_next_event(struct yamux *mux, struct yamux_event *ret_event);

/* Says goodbye: a Go Away with this code is all that is transmitted from now on (a frame that was
 * begun is finished before). YAMUX_CLOSED follows. Does nothing where it has ended. */
void yamux_close(struct yamux *mux, uint32_t code);
/* While on, the other side is asked for a sign of life. Off at first. */
void yamux_keep_alive(struct yamux *mux, bool on, nanos now);

struct yamux_info {
    nanos rtt; /* of the latest ping, 0 before the first answer */
    size_t streams_inbound;
    size_t streams_outbound;
    size_t backlog;      /* of streams that the other side has not acknowledged */
    size_t queued_bytes; /* written, not transmitted */
    uint64_t frames_in;
    uint64_t frames_out;
};
void yamux_info(const struct yamux *mux, struct yamux_info *ret_info);

/* --- streams ---------------------------------------------------------------------------------- */

/* Opens a stream. It costs nothing on the wire before something is written. PLASM_LIMIT when there
 * are too many, or too many that are not acknowledged (YAMUX_STREAMS_AVAILABLE comes),
 * PLASM_NO_MEMORY, PLASM_CLOSED. */
MUST_CHECK int yamux_stream_open(struct yamux *mux, struct yamux_stream **ret_stream);
/* Queues bytes [offset, offset + size) of `block` and takes a reference until they were
 * transmitted; they must not change. *ret_accepted tells how many were taken, which is all or as
 * many as the bounds allow; fewer than `size` brings YAMUX_STREAM_WRITABLE later. `fin` ends the
 * sending side once everything was accepted; `block` may be NULL with size 0. PLASM_NO_MEMORY,
 * PLASM_CLOSED (ended, reset, or `fin` was given before). */
MUST_CHECK int yamux_stream_write(struct yamux_stream *stream, struct block *block, size_t offset,
                                  size_t size, bool fin, size_t *ret_accepted);
/* Gives credit for `size` bytes, of those that events have brought, back to the sender. */
void yamux_stream_consume(struct yamux_stream *stream, size_t size);
/* Ends both directions at once; what was written may be lost, and no more data comes.
 * YAMUX_STREAM_CLOSED follows. */
void yamux_stream_reset(struct yamux_stream *stream, uint32_t code);

/* The caller's own pointer, NULL at first. */
void **yamux_stream_user(struct yamux_stream *stream);
struct yamux *yamux_stream_mux(const struct yamux_stream *stream);
bool yamux_stream_inbound(const struct yamux_stream *stream);
uint32_t yamux_stream_id(const struct yamux_stream *stream);
/* Bytes written and not transmitted. */
size_t yamux_stream_unsent(const struct yamux_stream *stream);
/* As the receive window is now. */
size_t yamux_stream_window(const struct yamux_stream *stream);

#endif
