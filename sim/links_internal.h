/* The parts of the simulator's links that their files share.
 *
 * Both ends of a connection are one object, a channel, and both ends of a stream another. Frames
 * carry what one end does to the other: they wait in the sender's outbox until it is flushed, then
 * in a packet, then in the inbox of the receiver's hub. Some are put into an inbox directly: what a
 * hub has to tell its own peer later. */
#ifndef SIM_LINKS_INTERNAL_H
#define SIM_LINKS_INTERNAL_H

#include "links.h"
#include "util/list.h"

enum frame_kind {
    FRAME_CONNECTED,
    FRAME_CLOSED,
    FRAME_DATA,
    FRAME_FIN_RECEIVED,
    FRAME_CREDIT,
    FRAME_RESET,
    FRAME_STOPPED,
    FRAME_STREAM_OVER, /* local */
};

struct frame {
    struct frame *next;
    enum frame_kind kind;
    bool fin;
    int error;                 /* FRAME_CLOSED */
    struct end *end;           /* whom it is for */
    struct stream_end *stream; /* NULL: for the connection */
    uint64_t number;           /* code, or the credit in all */
    struct block *block;
    size_t offset;
    size_t size;
};

struct queue {
    struct frame *first;
    struct frame *last;
};

struct packet {
    struct timer timer;
    struct end *to;
    struct queue frames;
};

struct stream_end {
    struct link_stream stream;
    struct stream_pair *pair;
    struct list_node node; /* in the end's list while the peer may hold it */
    uint64_t sent;
    uint64_t sent_max; /* what the receiver allows */
    uint64_t consumed;
    uint64_t consumed_max; /* what it was told that we allow */
    bool is_held;          /* the peer knows it */
    bool is_blocked;
    bool fin_sent;
    bool send_over;
    bool receive_over;
    bool is_over; /* both, and the peer is told */
};

struct stream_pair {
    struct stream_end ends[2]; /* the opener's first */
    struct channel *channel;
    size_t references; /* ends that are held, frames */
};

enum end_state {
    END_NEW, /* dialling, or not seen by the peer yet */
    END_OPEN,
    END_ENDING, /* its end is in the inbox */
    END_GONE,
};

struct end {
    struct link link;
    struct channel *channel;
    struct hub *hub;       /* NULL once it is gone */
    struct site *site;     /* of the hub, also later */
    struct list_node node; /* in the hub's list */
    struct list streams;
    struct queue out;
    struct end *next_dirty;
    bool is_dirty;
    bool keep_alive;
    bool is_unheard; /* sent something since it heard anything */
    enum end_state state;
    nanos heard;   /* of the other end, or the first sending since */
    nanos arrival; /* of the last packet sent */
    size_t opened; /* streams of its own that are not over */
};

struct channel {
    struct timer timer; /* the handshake's end, then idleness */
    struct links *links;
    struct end ends[2]; /* the dialler's first */
    struct netaddr address;
    struct peer_id expected; /* size 0: anybody */
    nanos dialled;
    bool is_answered;  /* the handshake succeeds unless the other end dies meanwhile */
    size_t references; /* ends in a hub's list, stream pairs, frames */
};

struct hub {
    struct transport transport;
    struct links *links;
    struct site *site;
    struct list ends;
    struct queue inbox;
    struct end *dirty;
    struct frame *taken; /* its bytes are borrowed by the event given last */
    struct end *ended_end;
    struct stream_end *ended_stream;
};

static inline struct hub *hub_of(const struct transport *transport) {
    return CONTAINER_OF(transport, struct hub, transport);
}

static inline struct end *end_of(struct link *link) {
    return CONTAINER_OF(link, struct end, link);
}

static inline struct stream_end *stream_of(struct link_stream *stream) {
    return CONTAINER_OF(stream, struct stream_end, stream);
}

static inline struct end *end_twin(struct end *end) {
    struct channel *channel = end->channel;
    return &channel->ends[end == &channel->ends[0]];
}

static inline struct stream_end *stream_twin(struct stream_end *stream) {
    struct stream_pair *pair = stream->pair;
    return &pair->ends[stream == &pair->ends[0]];
}

static inline struct sim *sim_of(const struct links *links) {
    return links->network->sim;
}

/* links_frame.c */
void channel_unref(struct channel *channel);
void pair_unref(struct stream_pair *pair);
/* Drops all frames. */
void queue_drop(struct queue *queue);
struct frame *queue_take(struct queue *queue);
void frame_free(struct frame *frame);
/* A frame for the other side of `from`, to leave when the hub is flushed. */
struct frame *frame_send(struct end *from, struct stream_end *stream, enum frame_kind kind);
/* Something a hub tells its own peer when that asks next. */
struct frame *frame_tell(struct end *end, struct stream_end *stream, enum frame_kind kind);
void hub_flush(struct hub *hub);

/* links_channel.c */
/* The peer does not know the connection any more. Its outbox stays: the goodbye is in it. */
void end_release(struct end *end);
/* The hub is gone without a word: so are its dials. */
void end_abandon(struct end *end);
bool hub_dials(const struct transport *transport, const struct multiaddr *address);
int hub_dial(struct transport *transport, const struct multiaddr *address,
             const struct peer_id *expected, nanos hint, nanos now, struct link **ret_link);
void link_close(struct link *link, uint64_t code, const char *reason, nanos now);
void link_keep_alive(struct link *link, bool on);
/* What a frame means for a connection; true when the peer is to be told. */
bool channel_take(struct hub *hub, const struct frame *frame, struct link_event *ret_event);

/* links_stream.c */
/* The peer knows the stream from now on, or does not any more. */
void stream_hold(struct end *end, struct stream_end *stream);
void stream_release(struct stream_end *stream);
int link_open(struct link *link, struct link_stream **ret_stream);
int link_write(struct link_stream *stream, struct block *block, size_t offset, size_t size,
               bool fin, size_t *ret_accepted);
void link_consume(struct link_stream *stream, size_t size);
void link_reset(struct link_stream *stream, uint64_t code);
/* What a frame means for a stream the peer knows; true when it is to be told. */
bool stream_take(struct stream_end *stream, const struct frame *frame,
                 struct link_event *ret_event);

#endif
