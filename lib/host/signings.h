/* Answers a peer's PEER_EVENT_SIGN through a signer, whose answers may take their time. */
#ifndef HOST_SIGNINGS_H
#define HOST_SIGNINGS_H

#include "host/signer.h"
#include "peer/peer.h"

/* Requests of a peer under way; more are answered as refused. */
#define SIGNINGS_MAX 256

struct signings {
    struct signer *signer;
    struct memory *memory;
    const struct log_sink *log;
    struct peer *peer;
    nanos (*now)(void);
    struct list under_way;
    struct buffer envelope;
};

/* Everything is borrowed. */
void signings_init(struct signings *signings, struct signer *signer, struct peer *peer,
                   nanos (*now)(void), struct memory *memory, const struct log_sink *log);
/* peer_signed() follows, at once or later. */
void signings_ask(struct signings *signings, const struct peer_event *event);
/* Withdraws what is under way: before the peer is freed. */
void signings_done(struct signings *signings);

#endif
