/* The parts of the pipe transport that its files share. Nothing else includes this. */
#ifndef PEER_PIPE_INTERNAL_H
#define PEER_PIPE_INTERNAL_H

#include "peer/pipe_security.h"
#include "peer/pipe_transport.h"
#include "peer/resources.h"
#include "proto/multistream/multistream.h"
#include "proto/yamux/yamux.h"
#include "util/heap.h"

/* Bytes of pipe_receive_copy() waiting in one pipe: a whole window of the medium's stream may come
 * between two looks at our events. */
#define PIPE_COPIED_BYTES_MAX (20 * 1024 * 1024)
/* Of them, what each may have when the budget of all is spent. */
#define PIPE_COPIED_BYTES_GUARANTEED (64 * 1024)
/* Longest text of LINK_CLOSED; what is longer is cut. */
#define PIPE_REASON_MAX 96
/* A pipe's place in the heap while it waits for nothing, so that setting it never fails. */
#define PIPE_PARKED (NANOS_NEVER - 1)

enum pipe_stage {
    PIPE_MAKING,        /* the provider dials */
    PIPE_SELECTING,     /* multistream: which security */
    PIPE_SECURING,      /* the security's handshake */
    PIPE_SELECTING_MUX, /* multistream inside the secure channel */
    PIPE_OPEN,          /* streams */
};

/* Who the other side is. Allocated as large as its key is. */
struct pipe_identity {
    struct peer_id id;
    struct public_key key;
};
#define PIPE_IDENTITY_SIZE(key_size)                                                               \
    (offsetof(struct pipe_identity, key) + offsetof(struct public_key, data) + (key_size))

/* Bytes handed in and not used yet. */
struct pipe_input {
    struct list_node node;
    size_t size;
    uint8_t data[];
};

struct pipe {
    struct link link;
    struct pipe_transport *transport;
    struct pipe_provider *provider;
    struct list_node node;          /* in transport->pipes */
    struct list_node ready;         /* in transport->ready: something to take in or to tell */
    struct list_node waiting;       /* in provider->waiting */
    struct admission_ticket ticket; /* accepted ones */
    struct list_node handshake;     /* in transport->handshakes: accepted, not connected */
    struct heap_node timer;
    void *user;
    enum pipe_stage stage;
    bool listener; /* our role in what is negotiated */
    bool owned;    /* the provider has not said pipe_ended() */
    bool known;    /* the peer knows of the link: it will want its end */
    bool over;     /* the link is: nothing goes in or out but the goodbye */
    bool told;     /* LINK_CLOSED was given, or need not be */
    bool wants_dial;
    bool wants_drop;
    bool sending; /* PIPE_SEND was given, and no end of it seen */
    bool drained; /* nothing is left to transmit */
    bool said_goodbye;
    bool finished; /* PIPE_FINISH was given */
    bool keeps_alive;
    bool input_ended;
    int input_error;
    int end_error;
    uint64_t end_code;
    char reason[PIPE_REASON_MAX];
    struct span input;  /* of pipe_receive(), not used yet */
    struct list copies; /* of pipe_receive_copy(); the first may be in use */
    struct pipe_input *used;
    size_t copied_bytes;
    struct multistream *select; /* while negotiating */
    const struct pipe_security *security;
    void *channel;
    struct pipe_identity *identity; /* while the muxer is negotiated, and then on */
    struct yamux *mux;
    struct list streams;
    nanos handshake_deadline;
    nanos linger_deadline;
    nanos heard;             /* something from the other side */
    struct peer_id expected; /* size 0: anybody */
    struct multiaddr address;
};

struct pipe_stream {
    struct link_stream stream;
    struct list_node node;      /* in pipe->streams */
    struct yamux_stream *yamux; /* NULL once it is closed */
};

struct pipe_transport {
    struct transport transport;
    struct pipe_config config;
    struct memory *memory;
    const struct log_sink *log;
    struct random random;
    nanos now;
    int64_t unix_seconds;
    bool closed;
    size_t provider_count;
    struct pipe_provider *providers[PIPE_PROVIDERS_MAX];
    const char *protocols[PIPE_SECURITIES_MAX];
    struct list pipes;
    struct list ready;
    struct list handshakes;
    struct heap timers;
    struct budget *budget;
    struct budget own_budget;
    struct pipe *told;                 /* its LINK_CLOSED was given: freed at the next call */
    struct pipe_stream *closed_stream; /* likewise */
    struct pipe_stats stats;
};

static inline struct pipe *pipe_of(struct link *link) {
    return CONTAINER_OF(link, struct pipe, link);
}

/* pipe_transport.c */
/* Something may have become ready to be told. */
void pipe_wake(struct pipe *pipe);
/* Something may have become ready to be sent. */
void pipe_touch(struct pipe *pipe);
/* The link is over; the goodbye, if the protocols have one, is still sent. */
void pipe_fail(struct pipe *pipe, int error, uint64_t code, const char *text);
/* Sets the timer to what the pipe waits for now. */
void pipe_set_timer(struct pipe *pipe);

/* pipe_upgrade.c */
/* The pipe is there: begins the negotiations. */
void upgrade_begin(struct pipe *pipe);
/* Takes `input` in the clear, or encrypted. */
void upgrade_receive(struct pipe *pipe, struct span input);
/* The secure channel's next event; true when it was told to the peer by `ret_event`. *ret_any is
 * false when there was none. */
bool upgrade_event(struct pipe *pipe, struct link_event *ret_event, bool *ret_any);
size_t upgrade_transmit(struct pipe *pipe, struct span room);
void upgrade_done(struct pipe *pipe);

/* pipe_streams.c */
int streams_begin(struct pipe *pipe);
void streams_receive(struct pipe *pipe, struct bytes data);
/* The muxer's next event, as above. */
bool streams_event(struct pipe *pipe, struct link_event *ret_event, bool *ret_any);
/* Seals what the muxer has to send. */
size_t streams_transmit(struct pipe *pipe, struct span room);
void streams_done(struct pipe *pipe);
void pipe_stream_free(struct pipe_stream *stream);
int pipe_link_open(struct link *link, struct link_stream **ret_stream);
int pipe_stream_write(struct link_stream *stream, struct block *block, size_t offset, size_t size,
                      bool fin, size_t *ret_accepted);
void pipe_stream_consume(struct link_stream *stream, size_t size);
void pipe_stream_reset(struct link_stream *stream, uint64_t code);

#endif
