/* What a pipe transport asks of a secure channel: the verbs that lib/proto/noise and lib/proto/tls
 * have in common, as a table, so that which of them are used is a matter of a list. */
#ifndef PEER_PIPE_SECURITY_H
#define PEER_PIPE_SECURITY_H

#include "crypto/random.h"
#include "identity/peer_id.h"
#include "util/memory.h"

/* One pipe's. */
struct pipe_security_config {
    bool initiator;
    const struct peer_id *expected; /* NULL: anybody */
    const char *const *muxers;      /* for early negotiation, in order of preference; borrowed */
    size_t muxer_count;
    int64_t unix_seconds;
    struct memory *memory;
    struct random *random;
};

enum pipe_security_event_type {
    SECURITY_READY,  /* peer_id, key, muxer */
    SECURITY_DATA,   /* data */
    SECURITY_END,    /* the other side said goodbye */
    SECURITY_FAILED, /* error, text */
};

struct pipe_security_event {
    enum pipe_security_event_type type;
    int error;
    struct peer_id peer_id;
    const struct public_key *key; /* borrowed, as the rest, until the next call */
    const char *muxer;            /* agreed on in the handshake, one of the config's; or NULL */
    struct bytes data;
    const char *text;
};

struct pipe_security {
    const char *protocol; /* "/noise" */
    /* True when an initiator may begin before the other side has agreed to the protocol: whoever
     * speaks libp2p over a pipe speaks this. */
    bool everywhere;
    int (*start)(const struct pipe_security *security, const struct pipe_security_config *config,
                 void **ret_channel);
    void (*free)(void *channel);
    /* Takes all of `input`, which must stay until next_event has returned false. */
    int (*receive)(void *channel, struct span input);
    bool (*next_event)(void *channel, struct pipe_security_event *ret_event);
    /* Handshake and goodbye. */
    size_t (*transmit)(void *channel, struct span room);
    /* Encrypts what fits; *ret_taken says how much of the pieces. */
    size_t (*seal)(void *channel, const struct bytes *pieces, size_t count, struct span room,
                   size_t *ret_taken);
    /* Has a goodbye to transmit, where the protocol has one. */
    void (*close)(void *channel);
};

#endif
