/* The secure channels of pipe worlds: Noise, TLS, both. */
#ifndef PEER_PIPE_SECURE_TESTING_H
#define PEER_PIPE_SECURE_TESTING_H

#include "identity/certificate_testing.h"
#include "peer/pipe_noise.h"
#include "peer/pipe_tls.h"
#include "peer/pipe_world_testing.h"

/* What a node has of them. */
struct pipe_world_secure {
    struct noise_identity noise_identity;
    struct pipe_noise noise;
    struct tls_identity *tls_identity; /* NULL: memory was out */
    struct pipe_tls tls;
};

static inline struct pipe_world_secure *pipe_world_secure_new(struct world_node *node) {
    struct pipe_world_secure *secure = calloc(1, sizeof(*secure));
    ENSURE(secure != NULL);
    ((struct pipe_world_node *)node->transport)->security = secure;
    const uint8_t secret[X25519_SIZE] = {(uint8_t)(node->index + 1), 9};
    uint8_t message[NOISE_BINDING_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    noise_identity_prepare(&secure->noise_identity, secret);
    noise_binding(secure->noise_identity.public_key, message);
    ed25519_sign(&node->secret, BYTES_ARRAY(message), signature);
    int error = noise_identity_finish(&secure->noise_identity, &node->key, BYTES_ARRAY(signature));
    ENSURE(error == 0);
    pipe_noise_init(&secure->noise, &secure->noise_identity);
    struct certificate certificate;
    testing_own_certificate(&node->secret, &certificate);
    if (tls_identity_new(&certificate, &node->memory.memory, &secure->tls_identity) != 0) {
        secure->tls_identity = NULL;
    }
    certificate_done(&certificate);
    pipe_tls_init(&secure->tls, secure->tls_identity);
    return secure;
}

static inline void pipe_world_unsecure(struct world_node *node) {
    struct pipe_world_secure *secure = ((struct pipe_world_node *)node->transport)->security;
    noise_identity_done(&secure->noise_identity);
    tls_identity_free(secure->tls_identity);
    free(secure);
}

static inline size_t pipe_world_noise(struct world_node *node,
                                      const struct pipe_security **ret_securities) {
    ret_securities[0] = &pipe_world_secure_new(node)->noise.security;
    return 1;
}

static inline size_t pipe_world_tls(struct world_node *node,
                                    const struct pipe_security **ret_securities) {
    struct pipe_world_secure *secure = pipe_world_secure_new(node);
    ret_securities[0] = &secure->tls.security;
    return secure->tls_identity != NULL ? 1 : 0;
}

/* The first node proposes what others do not have before what they have. */
static inline size_t pipe_world_refusing(struct world_node *node,
                                         const struct pipe_security **ret_securities) {
    struct pipe_world_secure *secure = pipe_world_secure_new(node);
    size_t count = 0;
    if (node->index == 0) {
        ret_securities[count++] = &secure->tls.security;
    }
    ret_securities[count++] = &secure->noise.security;
    return secure->tls_identity != NULL ? count : 0;
}

/* Some prefer the one, some the other. */
static inline size_t pipe_world_both(struct world_node *node,
                                     const struct pipe_security **ret_securities) {
    struct pipe_world_secure *secure = pipe_world_secure_new(node);
    secure->noise.security.everywhere = false; /* both take as many round trips */
    ret_securities[node->index % 2] = &secure->tls.security;
    ret_securities[1 - node->index % 2] = &secure->noise.security;
    return secure->tls_identity != NULL ? 2 : 0;
}

#endif
