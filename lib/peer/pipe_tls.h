/* TLS as a way to secure pipes. */
#ifndef PEER_PIPE_TLS_H
#define PEER_PIPE_TLS_H

#include "peer/pipe_security.h"
#include "proto/tls/tls.h"

struct pipe_tls {
    struct pipe_security security;
    struct tls_identity *identity;
};

/* What is filled in must stay where it is, and the identity be there, as long as the transport that
 * uses it. */
void pipe_tls_init(struct pipe_tls *tls, struct tls_identity *identity);

#endif
