/* One /phase/capability/1.0.0 stream, the same at both ends: whoever has a record writes it in one
 * frame, then each side finishes. Opening with a record is a push, opening with none is a pull.
 *
 * After every input transmit until it gives 0, then finish our direction: an exchange writes all it
 * has at once and waits for nothing. Spec: docs/spec/discovery.md, "The capability stream". */
#ifndef CAPABILITY_EXCHANGE_H
#define CAPABILITY_EXCHANGE_H

#include "proto/capability/capability.h"
#include "util/time.h"

/* A stream that is not done by then is reset. */
#define CAPABILITY_EXCHANGE_TIMEOUT (10 * NANOS_SECOND)

struct capability_exchange {
    struct bytes own; /* borrowed */
    uint8_t head[4];
    size_t head_size;
    size_t sent; /* of head and own */
    struct buffer input;
    nanos deadline;
    int error;
    bool ended;
    bool given;
};

enum capability_exchange_event_type {
    CAPABILITY_EXCHANGE_RECORD, /* `envelope`, not opened yet: capability_open judges it */
    CAPABILITY_EXCHANGE_NONE,   /* the peer has no record */
    CAPABILITY_EXCHANGE_FAILED, /* `error`: reset the stream */
};

struct capability_exchange_event {
    enum capability_exchange_event_type type;
    struct bytes envelope; /* borrowed until the next call */
    int error;
};

/* `own` is our sealed record, borrowed until _done, or empty. */
void capability_exchange_init(struct capability_exchange *exchange, struct bytes own,
                              struct memory *memory, nanos now);
/* Errors are kept for the event. */
void capability_exchange_receive(struct capability_exchange *exchange, struct bytes input);
void capability_exchange_receive_fin(struct capability_exchange *exchange);
void capability_exchange_expire(struct capability_exchange *exchange, nanos now);
/* NANOS_NEVER when the event was given. */
nanos capability_exchange_deadline(const struct capability_exchange *exchange);
/* True once in the life of an exchange. */
MUST_CHECK bool capability_exchange_next_event(struct capability_exchange *exchange,
                                               struct capability_exchange_event *ret_event);
size_t capability_exchange_transmit(struct capability_exchange *exchange, struct span room);
void capability_exchange_done(struct capability_exchange *exchange);

#endif
