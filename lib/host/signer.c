/* The signer that lives in the process itself. */
#include "host/signer.h"

#include "identity/envelope.h"
#include "proto/capability/capability.h"
#include "proto/relay/message.h"

struct signer {
    struct memory *memory;
    struct ed25519_secret secret;
    struct public_key key;
};

int signer_local_new(const struct ed25519_secret *secret, struct memory *memory,
                     struct signer **ret_signer) {
    struct signer *signer = memory_zero(memory, sizeof(*signer));
    if (signer == NULL) {
        return PLASM_NO_MEMORY;
    }
    signer->memory = memory;
    signer->secret = *secret;
    public_key_from_ed25519(secret->public_key, &signer->key);
    *ret_signer = signer;
    return 0;
}

void signer_free(struct signer *signer) {
    if (signer != NULL) {
        ed25519_done(&signer->secret);
        memory_put(signer->memory, signer, sizeof(*signer));
    }
}

const struct public_key *signer_public_key(const struct signer *signer) {
    return &signer->key;
}

int signer_certificate(struct signer *signer, int64_t unix_seconds,
                       struct certificate *ret_certificate) {
    struct certificate_request *request;
    int error = certificate_prepare(&request);
    if (error != 0) {
        return error;
    }
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(&signer->secret, certificate_message(request), signature);
    error = certificate_finish(request, &signer->key, BYTES_ARRAY(signature), unix_seconds,
                               ret_certificate);
    certificate_request_free(request);
    return error;
}

int signer_noise_identity(struct signer *signer, struct noise_identity *ret_identity) {
    struct noise_identity identity;
    uint8_t secret[X25519_SIZE];
    crypto_system_random((struct span){.data = secret, .size = sizeof(secret)});
    noise_identity_prepare(&identity, secret);
    crypto_wipe(secret, sizeof(secret));
    uint8_t message[NOISE_BINDING_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    noise_binding(identity.public_key, message);
    ed25519_sign(&signer->secret, BYTES_ARRAY(message), signature);
    int error = noise_identity_finish(&identity, &signer->key, BYTES_ARRAY(signature));
    if (error == 0) {
        *ret_identity = identity;
    }
    noise_identity_done(&identity);
    return error;
}

static int seal(struct signer *signer, struct bytes domain, struct bytes type, struct bytes payload,
                struct buffer *out) {
    struct buffer message;
    buffer_init(&message, signer->memory, 2 * ENVELOPE_SIZE_MAX);
    int error = envelope_message(domain, type, payload, &message);
    if (error == 0) {
        uint8_t signature[ED25519_SIGNATURE_SIZE];
        ed25519_sign(&signer->secret, buffer_bytes(&message), signature);
        error = envelope_seal(&signer->key, type, payload, BYTES_ARRAY(signature), out);
    }
    buffer_done(&message);
    return error;
}

int signer_peer_record(struct signer *signer, struct bytes payload, struct buffer *out) {
    return seal(signer, BYTES_LITERAL(PEER_RECORD_DOMAIN), BYTES_LITERAL(PEER_RECORD_TYPE), payload,
                out);
}

int signer_capability(struct signer *signer, struct bytes payload, struct buffer *out) {
    return seal(signer, BYTES_LITERAL(CAPABILITY_DOMAIN), BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE),
                payload, out);
}

int signer_relay_voucher(struct signer *signer, struct bytes payload, struct buffer *out) {
    struct relay_voucher voucher;
    struct peer_id own;
    peer_id_from_key(&signer->key, &own);
    if (relay_voucher_decode(payload, &voucher) != 0 || !peer_id_equal(&voucher.relay, &own)) {
        return PLASM_INVALID;
    }
    uint8_t canonical[RELAY_VOUCHER_SIZE_MAX];
    size_t size = relay_voucher_encode(&voucher, canonical);
    return seal(signer, BYTES_LITERAL(RELAY_VOUCHER_DOMAIN), BYTES_LITERAL(RELAY_VOUCHER_TYPE),
                bytes_of(canonical, size), out);
}

/* Canonical JSON is sorted, so that where a member stands is known without reading all. */
int signer_receipt(struct signer *signer, struct bytes receipt,
                   uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    if (!bytes_start_with(receipt, BYTES_LITERAL("{\"arch\":\"")) ||
        memmem(receipt.data, receipt.size, "\"type\":\"phase.receipt/1\"",
               sizeof("\"type\":\"phase.receipt/1\"") - 1) == NULL) {
        return PLASM_INVALID;
    }
    ed25519_sign(&signer->secret, receipt, ret_signature);
    return 0;
}

int signer_summary(struct signer *signer, struct bytes summary,
                   uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    if (!bytes_start_with(summary, BYTES_LITERAL("{\"exit_code\":"))) {
        return PLASM_INVALID;
    }
    ed25519_sign(&signer->secret, summary, ret_signature);
    return 0;
}
