/* Noise as a way to secure pipes. */
#ifndef PEER_PIPE_NOISE_H
#define PEER_PIPE_NOISE_H

#include "peer/pipe_security.h"
#include "proto/noise/noise.h"

struct pipe_noise {
    struct pipe_security security;
    const struct noise_identity *identity;
};

/* What is filled in must stay where it is, and the identity be there, as long as the transport that
 * uses it. */
void pipe_noise_init(struct pipe_noise *noise, const struct noise_identity *identity);

#endif
