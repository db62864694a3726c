/* What the files of this module share: the state of a connection and of its streams. */
#ifndef YAMUX_INTERNAL_H
#define YAMUX_INTERNAL_H

#include "proto/yamux/frame.h"
#include "proto/yamux/queue.h"
#include "proto/yamux/yamux.h"
#include "util/list.h"
#include "util/map.h"

/* Pings of the other side that wait for their answer to be transmitted. */
#define YAMUX_PONGS_MAX 32
/* Streams whose reset waits to be transmitted. */
#define YAMUX_RESETS_MAX 1024
/* Frames that may still come for a stream that is gone, without being counted as idle. */
#define YAMUX_STRAY_FRAMES 8
/* Credit below this that no sent bytes explain counts as an idle frame. */
#define YAMUX_CREDIT_BYTES_MIN 1024
/* A longer round trip is not believed: the other side may hold its answer back. */
#define YAMUX_RTT_MAX (4 * NANOS_SECOND)
/* A reset stream's code: too many of them (libp2p/specs error-codes). */
#define YAMUX_RESET_LIMIT 0x1002

/* A token bucket; full at first. */
struct yamux_rate {
    uint32_t used;
    nanos since; /* up to when tokens were given back */
};

/* A piece of what is on its way: a header, or a slice of a block. */
struct yamux_piece {
    struct block *block; /* NULL: the header; else one reference */
    size_t offset;
    size_t size;
    uint8_t header[YAMUX_HEADER_SIZE];
};

struct yamux_reset {
    uint32_t stream_id;
    uint32_t code;
};

struct yamux_stream {
    struct yamux *mux;
    void *user;
    struct map_node node;
    uint8_t key[4]; /* the id, as the map's key */
    uint32_t id;
    struct list_node event_node;   /* in mux->eventful, while an ev_ flag is set */
    struct list_node control_node; /* in mux->control, while credit or ACK may be due */
    struct list_node ready_node;   /* in mux->ready, while bytes or FIN may be sent */
    bool inbound;
    bool syn_due; /* nothing was sent yet */
    bool ack_due;
    bool acked; /* outbound: the other side took it */
    bool fin_wanted;
    bool fin_sent;
    bool fin_seen;     /* the other side's: no more data may come */
    bool fin_received; /* and its event was given */
    bool blocked;      /* a write was not accepted in whole */
    bool over;         /* in no map any more; ev_closed is set */
    bool ev_opened;
    bool ev_writable;
    bool ev_reset;
    bool ev_closed;
    uint32_t reset_code;
    struct yamux_queue queue;
    uint64_t send_window;
    uint64_t uncredited; /* bytes that we sent and that no credit came for */
    /* What we let the other side send: `window` = `receive_window` + `unconsumed` + what was
     * consumed and not given back yet. */
    size_t window;
    size_t receive_window; /* it may send this much now */
    size_t unconsumed;     /* announced by a frame's header, and not consumed */
    nanos epoch;           /* when credit was given last */
};

struct yamux {
    struct memory *memory;
    struct budget *budget;
    struct yamux_limits limits;
    bool initiator;
    nanos now;
    struct map streams;
    struct yamux_stream *last; /* the stream of the last frame */
    uint32_t next_id;
    size_t inbound;
    size_t outbound;
    size_t backlog;
    bool open_refused;
    bool available; /* YAMUX_STREAMS_AVAILABLE is due */
    struct list eventful;
    struct yamux_stream *taken; /* its YAMUX_STREAM_CLOSED was given: freed next */

    struct bytes input; /* not read yet */
    uint8_t header[YAMUX_HEADER_SIZE];
    size_t header_size;
    struct {
        bool pending;                /* there is a frame whose payload or FIN is not given yet */
        struct yamux_stream *stream; /* NULL: nobody wants it */
        size_t left;
        bool fin;
    } payload;
    uint64_t stray_bytes; /* that may still come for streams that are gone */
    uint64_t stray_frames;
    struct yamux_rate reset_rate;
    struct yamux_rate idle_rate;

    struct list control;
    struct list ready;
    uint32_t pongs[YAMUX_PONGS_MAX];
    size_t pong_count;
    struct yamux_reset *resets; /* a queue */
    size_t reset_capacity;
    size_t reset_count;
    struct yamux_piece pieces[YAMUX_PIECES_MAX];
    size_t piece_first;
    size_t piece_count;
    size_t piece_bytes;

    bool keep_alive;
    bool ping_due;
    bool ping_sent;
    uint32_t ping_value;
    nanos ping_since; /* wanted since */
    nanos ping_at;    /* transmitted at */
    nanos rtt;
    nanos rtt_at;
    nanos heard;

    bool over;
    bool over_told;
    bool over_by_peer;
    bool goodbye_due;
    int error;
    uint32_t code;
    const char *text;
    uint64_t frames_in;
    uint64_t frames_out;
};

/* True while the bucket has a token, which is taken. */
bool yamux_rate_take(struct yamux_rate *rate, uint32_t per_second, uint32_t burst, nanos now);

/* Ends the connection because of the other side, or of memory; the first time counts. */
void yamux_fail(struct yamux *mux, int error, uint32_t code, const char *text);
/* The other side said Go Away. */
void yamux_gone(struct yamux *mux, uint32_t code);
/* Wants the round trip to be measured, unless it is being. */
void yamux_want_ping(struct yamux *mux);

/* A stream in the map with the windows of a new one, or NULL. */
struct yamux_stream *yamux_stream_add(struct yamux *mux, uint32_t id, bool inbound);
struct yamux_stream *yamux_stream_find(struct yamux *mux, uint32_t id);
void yamux_stream_free(struct yamux_stream *stream);
/* Its event flags have something to tell. */
void yamux_stream_tell(struct yamux_stream *stream);
/* The other side took a stream of ours. */
void yamux_stream_acknowledged(struct yamux_stream *stream);
/* Both directions are over: takes it out of everything but the events. */
void yamux_stream_end(struct yamux_stream *stream);
/* Ends it where both sides said FIN. */
void yamux_stream_end_if_finished(struct yamux_stream *stream);
/* Puts it in line for sending where it can send. */
void yamux_stream_ready(struct yamux_stream *stream);
/* Credit that can be given back now. */
size_t yamux_stream_credit(const struct yamux_stream *stream);
/* Sends a reset for a stream that we do not keep. */
void yamux_queue_reset(struct yamux *mux, uint32_t stream_id, uint32_t code);

/* Reads input until there is something to tell. */
void yamux_parse(struct yamux *mux);
/* Drops what is staged but the rest of a frame that was begun. */
void yamux_unstage(struct yamux *mux);

#endif
