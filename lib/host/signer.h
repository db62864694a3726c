/* Whoever holds the identity key. Requests are typed (host/signing.h): the signer builds every byte
 * it signs, so that nobody who talks to it can have something else signed.
 *
 * A signer may be in this process or in another one: what it is asked for while the loop runs is a
 * request with a later answer. */
#ifndef HOST_SIGNER_H
#define HOST_SIGNER_H

#include "host/signing.h"
#include "identity/certificate.h"
#include "proto/noise/noise.h"
#include "util/buffer.h"
#include "util/list.h"

struct signer;

/* One request under way, in memory of who asks. */
struct signer_request {
    enum signing_kind kind;
    struct bytes payload; /* borrowed until the answer */
    /* Called once: `error` 0 and the signature, or PLASM_INVALID (refused), PLASM_FAILED,
     * PLASM_NO_MEMORY. The request is the caller's again, and may be freed. */
    void (*done)(struct signer_request *request, int error,
                 const uint8_t signature[ED25519_SIGNATURE_SIZE]);

    /* The signer's own. */
    struct list_node node;
    uint32_t number;
    uint32_t tries;
};

struct signer_verbs {
    int (*sign)(struct signer *signer, enum signing_kind kind, struct bytes payload,
                uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);
    void (*submit)(struct signer *signer, struct signer_request *request);
    void (*withdraw)(struct signer *signer, struct signer_request *request);
    void (*free)(struct signer *signer);
};

/* The common part of every signer. */
struct signer {
    const struct signer_verbs *verbs;
    struct public_key key;
};

/* A signer in this process; wipes its copy of the secret when freed. PLASM_NO_MEMORY. */
MUST_CHECK int signer_local_new(const struct ed25519_secret *secret, struct memory *memory,
                                struct signer **ret_signer);
/* Nothing may be under way any more. NULL is allowed. */
void signer_free(struct signer *signer);

const struct public_key *signer_public_key(const struct signer *signer);

/* Asks; a signer in this process answers from within. */
void signer_submit(struct signer *signer, struct signer_request *request);
/* The answer to a request under way is not wanted any more; `done` will not be called. */
void signer_withdraw(struct signer *signer, struct signer_request *request);
/* Waits for the answer: for the start of a program. Errors as of `done`. */
MUST_CHECK int signer_sign(struct signer *signer, enum signing_kind kind, struct bytes payload,
                           uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);

/* A fresh TLS certificate bound to the identity. Waits. */
MUST_CHECK int signer_certificate(struct signer *signer, int64_t unix_seconds,
                                  struct certificate *ret_certificate);
/* A fresh static key for Noise, bound to the identity; noise_identity_done() wipes it. Waits. */
MUST_CHECK int signer_noise_identity(struct signer *signer, struct noise_identity *ret_identity);
/* Appends the envelope around a payload and its signature, of one of the kinds that have one. */
MUST_CHECK int signer_seal(const struct signer *signer, enum signing_kind kind,
                           struct bytes payload, const uint8_t signature[ED25519_SIGNATURE_SIZE],
                           struct buffer *out);

#endif
