/* Checks and signatures, one kind after the other. */
#include "host/signing.h"

#include "identity/certificate.h"
#include "identity/envelope.h"
#include "proto/capability/capability.h"
#include "proto/noise/noise.h"
#include "proto/relay/message.h"
#include "receipt/receipt.h"
#include "util/ensure.h"

/* Largest message that is signed. */
#define MESSAGE_SIZE_MAX (SIGNING_PAYLOAD_SIZE_MAX + 512)

/* An uncompressed P-256 key behind its SubjectPublicKeyInfo head: RFC 5480, section 2. */
#define SPKI_P256_SIZE 91
static const uint8_t spki_p256_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

void signing_identity_init(struct signing_identity *identity, const struct ed25519_secret *secret) {
    identity->secret = *secret;
    public_key_from_ed25519(secret->public_key, &identity->key);
    peer_id_from_key(&identity->key, &identity->id);
    peer_id_format(&identity->id, identity->id_text);
}

void signing_identity_done(struct signing_identity *identity) {
    ed25519_done(&identity->secret);
}

void signing_envelope(enum signing_kind kind, struct bytes *ret_domain, struct bytes *ret_type) {
    switch ((int)kind) {
    case SIGNING_PEER_RECORD:
        *ret_domain = BYTES_LITERAL(PEER_RECORD_DOMAIN);
        *ret_type = BYTES_LITERAL(PEER_RECORD_TYPE);
        break;
    case SIGNING_CAPABILITY:
        *ret_domain = BYTES_LITERAL(CAPABILITY_DOMAIN);
        *ret_type = BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE);
        break;
    default:
        ENSURE(kind == SIGNING_RELAY_VOUCHER);
        *ret_domain = BYTES_LITERAL(RELAY_VOUCHER_DOMAIN);
        *ret_type = BYTES_LITERAL(RELAY_VOUCHER_TYPE);
        break;
    }
}

static int message_tls(struct bytes spki, struct buffer *message) {
    if (spki.size != SPKI_P256_SIZE || !bytes_start_with(spki, BYTES_ARRAY(spki_p256_head))) {
        return PLASM_INVALID;
    }
    int error = buffer_append(message, BYTES_LITERAL(CERTIFICATE_BINDING_PREFIX));
    return error != 0 ? error : buffer_append(message, spki);
}

static int message_noise(struct bytes key, struct buffer *message) {
    uint8_t binding[NOISE_BINDING_SIZE];
    if (key.size != X25519_SIZE) {
        return PLASM_INVALID;
    }
    noise_binding(key.data, binding);
    return buffer_append(message, BYTES_ARRAY(binding));
}

/* Reads a peer record and writes it again. */
static int remake_peer_record(const struct signing_identity *identity, struct bytes payload,
                              struct buffer *again) {
    struct peer_record record;
    if (peer_record_decode(payload, &record) != 0 ||
        !peer_id_equal(&record.peer_id, &identity->id)) {
        return PLASM_INVALID;
    }
    return peer_record_encode(&record, again);
}

static int remake_capability(const struct signing_identity *identity, struct bytes payload,
                             struct buffer *again) {
    struct capability capability;
    if (capability_decode(payload, &capability) != 0 ||
        !peer_id_equal(&capability.worker, &identity->id)) {
        return PLASM_INVALID;
    }
    return capability_encode(&capability, again);
}

static int remake_voucher(const struct signing_identity *identity, struct bytes payload,
                          struct buffer *again) {
    struct relay_voucher voucher;
    uint8_t canonical[RELAY_VOUCHER_SIZE_MAX];
    if (relay_voucher_decode(payload, &voucher) != 0 ||
        !peer_id_equal(&voucher.relay, &identity->id)) {
        return PLASM_INVALID;
    }
    size_t size = relay_voucher_encode(&voucher, canonical);
    return buffer_append(again, bytes_of(canonical, size));
}

/* The payload must be what comes out when it is written again: nothing rides along. */
static int message_envelope(const struct signing_identity *identity, enum signing_kind kind,
                            struct bytes payload, struct memory *memory, struct buffer *message) {
    struct buffer again;
    buffer_init(&again, memory, SIGNING_PAYLOAD_SIZE_MAX);
    int error = kind == SIGNING_PEER_RECORD  ? remake_peer_record(identity, payload, &again)
                : kind == SIGNING_CAPABILITY ? remake_capability(identity, payload, &again)
                                             : remake_voucher(identity, payload, &again);
    if (error == 0 && !bytes_equal(buffer_bytes(&again), payload)) {
        error = PLASM_INVALID;
    }
    if (error == 0) {
        struct bytes domain;
        struct bytes type;
        signing_envelope(kind, &domain, &type);
        error = envelope_message(domain, type, payload, message);
    }
    buffer_done(&again);
    return error == PLASM_NO_MEMORY || error == 0 ? error : PLASM_INVALID;
}

/* Only its canonical form is read, so what was read is what was given. */
static int read_receipt(const struct signing_identity *identity, struct bytes payload,
                        struct receipt *ret_receipt) {
    struct fault fault;
    if (receipt_decode(payload, ret_receipt, &fault) != 0 ||
        strcmp(ret_receipt->worker, identity->id_text) != 0) {
        return PLASM_INVALID;
    }
    return 0;
}

static int make_message(const struct signing_identity *identity, enum signing_kind kind,
                        struct bytes payload, struct memory *memory, struct buffer *message) {
    struct receipt receipt;
    int error;
    switch (kind) {
    case SIGNING_TLS:
        return message_tls(payload, message);
    case SIGNING_NOISE:
        return message_noise(payload, message);
    case SIGNING_PEER_RECORD:
    case SIGNING_CAPABILITY:
    case SIGNING_RELAY_VOUCHER:
        return message_envelope(identity, kind, payload, memory, message);
    case SIGNING_RECEIPT:
        error = read_receipt(identity, payload, &receipt);
        return error != 0 ? error : buffer_append(message, payload);
    case SIGNING_SUMMARY:
        error = read_receipt(identity, payload, &receipt);
        return error != 0 ? error : receipt_summary_encode(&receipt, message);
    }
    return PLASM_UNSUPPORTED;
}

int signing_sign(const struct signing_identity *identity, enum signing_kind kind,
                 struct bytes payload, struct memory *memory,
                 uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    if (payload.size > SIGNING_PAYLOAD_SIZE_MAX) {
        return PLASM_INVALID;
    }
    struct buffer message;
    buffer_init(&message, memory, MESSAGE_SIZE_MAX);
    int error = make_message(identity, kind, payload, memory, &message);
    if (error == 0) {
        ed25519_sign(&identity->secret, buffer_bytes(&message), ret_signature);
    }
    buffer_done(&message);
    return error;
}
