/* What the files of the TLS machine share. */
#ifndef PROTO_TLS_INTERNAL_H
#define PROTO_TLS_INTERNAL_H

#include <gnutls/gnutls.h>

#include "identity/certificate_cache.h"
#include "proto/tls/tls.h"
#include "util/buffer.h"

struct tls_identity {
    struct memory *memory;
    gnutls_priority_t priority;
    gnutls_certificate_credentials_t credentials;
    struct certificate_cache certificates;
};

enum tls_state { TLS_SHAKING, TLS_AGREED, TLS_OPEN, TLS_BROKEN, TLS_OVER };

struct tls {
    struct memory *memory;
    struct tls_identity *identity;
    gnutls_session_t session;
    bool initiator;
    bool closed;      /* close_notify was said */
    bool push_failed; /* something for the other side is lost */
    enum tls_state state;
    int64_t unix_seconds;
    const char *const *muxers;
    size_t muxer_count;
    struct peer_id expected;           /* size 0: any */
    struct certificate_identity *peer; /* until the call after TLS_READY */
    struct span input;                 /* not looked at yet */
    struct buffer out;                 /* handshake, alerts */
    struct writer *sealing;            /* where records go instead */
    gnutls_packet_t packet;            /* the last event lies in it */
    int verify_error;
    int error;
    char text[TLS_TEXT_MAX];
};

/* Judges the peer's certificate in the handshake; a failure is kept in the tls. */
int tls_verify(gnutls_session_t session);
/* Makes memory the transport of the session. */
void tls_use_session(struct tls *tls);

#endif
