/* TLS 1.3 as libp2p secures ordered byte pipes with it: certificates both ways that carry the
 * identity, the muxer agreed on by ALPN. Sans-I/O: bytes in, events and bytes out; handshake
 * deadlines are the owner's. Same verbs as lib/proto/noise.
 *
 * After any call: drain tls_next_event() until it gives false, then tls_transmit() until 0. A
 * failure latches: TLS_FAILED is the last event, an alert may still be transmitted. An initiator is
 * ready before the other side has judged its certificate: a refusal comes as TLS_FAILED afterwards.
 * Specs: libp2p/specs tls/tls.md, connections/inlined-muxer-negotiation.md; RFC 8446. */
#ifndef PROTO_TLS_TLS_H
#define PROTO_TLS_TLS_H

#include "identity/certificate.h"
#include "util/memory.h"

#define TLS_PROTOCOL "/tls/1.0.0"
/* ALPN of who negotiates the muxer later. */
#define TLS_ALPN "libp2p"

#define TLS_MUXERS_MAX 4
#define TLS_TEXT_MAX   192
/* Plain bytes a record carries at most; what a record is longer on the wire. */
#define TLS_DATA_SIZE_MAX 16384
#define TLS_OVERHEAD      22

/* The certificate as the TLS library wants it, and what is known of others': once a process. */
struct tls_identity;
/* The certificate may go afterwards. PLASM_NO_MEMORY, PLASM_FAILED. */
MUST_CHECK int tls_identity_new(const struct certificate *certificate, struct memory *memory,
                                struct tls_identity **ret_identity);
/* After the last tls_free(). NULL is allowed. */
void tls_identity_free(struct tls_identity *identity);

struct tls_config {
    bool initiator;
    struct tls_identity *identity;  /* borrowed until tls_free */
    const struct peer_id *expected; /* copied; NULL: any */
    /* For early negotiation, in order of preference; borrowed until tls_free; may be none. */
    const char *const *muxers;
    size_t muxer_count;
    int64_t unix_seconds; /* what the peer's certificate must be valid at */
    struct memory *memory;
};

enum tls_event_type {
    TLS_READY,  /* peer_id, key, muxer */
    TLS_DATA,   /* data */
    TLS_END,    /* the other side said close_notify: it sends no more */
    TLS_FAILED, /* error, text */
};

struct tls_event {
    enum tls_event_type type;
    /* PLASM_MALFORMED, PLASM_UNTRUSTED, PLASM_EXPIRED, PLASM_UNSUPPORTED (no common protocol or
     * algorithm), PLASM_REFUSED (the peer's alert), PLASM_NO_MEMORY, PLASM_FAILED. */
    int error;
    struct peer_id peer_id;
    const struct public_key *key; /* borrowed, as all here, until the next call */
    const char *muxer;            /* one of the config's, agreed on early; or NULL */
    struct bytes data;
    const char *text;
};

struct tls;

/* An initiator has something to transmit at once. PLASM_NO_MEMORY, PLASM_FAILED; PLASM_INVALID for
 * more than TLS_MUXERS_MAX muxers. */
MUST_CHECK int tls_new(const struct tls_config *config, struct tls **ret_tls);
/* NULL is allowed. */
void tls_free(struct tls *tls);

/* Takes all of `input`, which may be changed and must stay until tls_next_event() has given false.
 * PLASM_STATE when events of an earlier input are still there; after a failure or the end the input
 * is ignored and 0 returned. */
MUST_CHECK int tls_receive(struct tls *tls, struct span input);
bool tls_next_event(struct tls *tls, struct tls_event *ret_event);
/* Handshake, alerts and goodbye for the other side, 0 when there are none. Before tls_seal(), or
 * the order is wrong: tls_seal() gives 0 while something waits here. */
size_t tls_transmit(struct tls *tls, struct span room);
/* Seals as much of the pieces as fits `room`; returns the bytes written, *ret_taken says how many
 * of the pieces' bytes are in them. 0 before TLS_READY was given, after a failure or tls_close(),
 * and for a room that is too small. `room` overlaps no piece. */
size_t tls_seal(struct tls *tls, const struct bytes *pieces, size_t count, struct span room,
                size_t *ret_taken);
/* Says close_notify, once; nothing is sealed any more, receiving goes on. */
void tls_close(struct tls *tls);

#endif
