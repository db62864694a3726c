/* What all signers share, and the signer that lives in the process itself. */
#include "host/signer.h"

#include "identity/envelope.h"

struct local {
    struct signer signer;
    struct memory *memory;
    struct signing_identity identity;
};

static int local_sign(struct signer *signer, enum signing_kind kind, struct bytes payload,
                      uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    struct local *local = CONTAINER_OF(signer, struct local, signer);
    return signing_sign(&local->identity, kind, payload, local->memory, ret_signature);
}

static void local_submit(struct signer *signer, struct signer_request *request) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    int error = local_sign(signer, request->kind, request->payload, signature);
    request->done(request, error, signature);
}

/* Nothing is ever under way. */
static void local_withdraw(struct signer *signer, struct signer_request *request) {
    (void)signer;
    (void)request;
}

static void local_free(struct signer *signer) {
    struct local *local = CONTAINER_OF(signer, struct local, signer);
    signing_identity_done(&local->identity);
    memory_put(local->memory, local, sizeof(*local));
}

static const struct signer_verbs local_verbs = {
    .sign = local_sign, .submit = local_submit, .withdraw = local_withdraw, .free = local_free};

int signer_local_new(const struct ed25519_secret *secret, struct memory *memory,
                     struct signer **ret_signer) {
    struct local *local = memory_zero(memory, sizeof(*local));
    if (local == NULL) {
        return PLASM_NO_MEMORY;
    }
    local->memory = memory;
    signing_identity_init(&local->identity, secret);
    local->signer = (struct signer){.verbs = &local_verbs, .key = local->identity.key};
    *ret_signer = &local->signer;
    return 0;
}

void signer_free(struct signer *signer) {
    if (signer != NULL) {
        signer->verbs->free(signer);
    }
}

const struct public_key *signer_public_key(const struct signer *signer) {
    return &signer->key;
}

void signer_submit(struct signer *signer, struct signer_request *request) {
    signer->verbs->submit(signer, request);
}

void signer_withdraw(struct signer *signer, struct signer_request *request) {
    signer->verbs->withdraw(signer, request);
}

int signer_sign(struct signer *signer, enum signing_kind kind, struct bytes payload,
                uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    return signer->verbs->sign(signer, kind, payload, ret_signature);
}

int signer_certificate(struct signer *signer, int64_t unix_seconds,
                       struct certificate *ret_certificate) {
    struct certificate_request *request;
    int error = certificate_prepare(&request);
    if (error != 0) {
        return error;
    }
    struct bytes message = certificate_message(request);
    struct bytes spki = bytes_slice(message, sizeof(CERTIFICATE_BINDING_PREFIX) - 1, message.size);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    error = signer_sign(signer, SIGNING_TLS, spki, signature);
    if (error == 0) {
        error = certificate_finish(request, &signer->key, BYTES_ARRAY(signature), unix_seconds,
                                   ret_certificate);
    }
    certificate_request_free(request);
    return error;
}

int signer_noise_identity(struct signer *signer, struct noise_identity *ret_identity) {
    struct noise_identity identity;
    uint8_t secret[X25519_SIZE];
    crypto_system_random((struct span){.data = secret, .size = sizeof(secret)});
    noise_identity_prepare(&identity, secret);
    crypto_wipe(secret, sizeof(secret));
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    int error = signer_sign(signer, SIGNING_NOISE, BYTES_ARRAY(identity.public_key), signature);
    if (error == 0) {
        error = noise_identity_finish(&identity, &signer->key, BYTES_ARRAY(signature));
    }
    if (error == 0) {
        *ret_identity = identity;
    }
    noise_identity_done(&identity);
    return error;
}

int signer_seal(const struct signer *signer, enum signing_kind kind, struct bytes payload,
                const uint8_t signature[ED25519_SIGNATURE_SIZE], struct buffer *out) {
    struct bytes domain;
    struct bytes type;
    signing_envelope(kind, &domain, &type);
    return envelope_seal(&signer->key, type, payload, bytes_of(signature, ED25519_SIGNATURE_SIZE),
                         out);
}
