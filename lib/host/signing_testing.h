/* For tests: an identity, and a good payload of each kind for it. */
#ifndef HOST_SIGNING_TESTING_H
#define HOST_SIGNING_TESTING_H

#include <stdio.h>

#include "host/signing.h"
#include "identity/envelope.h"
#include "proto/capability/capability.h"
#include "proto/relay/message.h"
#include "receipt/receipt.h"
#include "util/testing.h"

static inline void testing_identity(uint8_t number, struct signing_identity *ret_identity) {
    uint8_t seed[ED25519_SEED_SIZE] = {number};
    struct ed25519_secret secret;
    ed25519_from_seed(&secret, seed);
    signing_identity_init(ret_identity, &secret);
}

static inline struct bytes testing_receipt(const struct signing_identity *identity,
                                           struct memory *memory) {
    struct receipt receipt = {.exit_code = 0, .status = JOB_STATUS_OK, .wall_time_us = 1500};
    struct fault fault;
    struct buffer out;
    snprintf(receipt.job_id, sizeof(receipt.job_id), "%s", "01234567-89ab-4def-8123-456789abcdef");
    snprintf(receipt.runtime, sizeof(receipt.runtime), "wasmtime-48");
    snprintf(receipt.arch, sizeof(receipt.arch), "x86_64");
    snprintf(receipt.worker, sizeof(receipt.worker), "%s", identity->id_text);
    snprintf(receipt.client_nonce, sizeof(receipt.client_nonce), "%s",
             "00112233445566778899aabbccddeeff");
    buffer_init(&out, memory, RECEIPT_SIZE_MAX);
    assert_int_equal(receipt_encode(&receipt, &out, &fault), 0);
    struct bytes copy = test_copy(buffer_bytes(&out));
    buffer_done(&out);
    return copy;
}

static inline struct bytes testing_peer_record(const struct signing_identity *identity,
                                               struct memory *memory) {
    static const uint8_t address[] = {4, 127, 0, 0, 1, 6, 0x0f, 0xa1}; /* /ip4/127.0.0.1/tcp/4001 */
    struct peer_record record = {.peer_id = identity->id, .seq = 7, .address_count = 1};
    struct buffer out;
    record.addresses[0] = BYTES_ARRAY(address);
    buffer_init(&out, memory, PEER_RECORD_SIZE_MAX);
    assert_int_equal(peer_record_encode(&record, &out), 0);
    struct bytes copy = test_copy(buffer_bytes(&out));
    buffer_done(&out);
    return copy;
}

static inline struct bytes testing_capability(const struct signing_identity *identity,
                                              struct memory *memory) {
    struct capability capability = {.worker = identity->id,
                                    .arch = "x86_64",
                                    .runtime = "wasmtime-48",
                                    .profiles = {"wasip1"},
                                    .profile_count = 1,
                                    .free_slots = 2,
                                    .seq = 9,
                                    .expires_s = 1800000000};
    struct buffer out;
    buffer_init(&out, memory, CAPABILITY_PAYLOAD_SIZE_MAX);
    assert_int_equal(capability_encode(&capability, &out), 0);
    struct bytes copy = test_copy(buffer_bytes(&out));
    buffer_done(&out);
    return copy;
}

static inline struct bytes testing_voucher(const struct signing_identity *identity) {
    struct signing_identity client;
    uint8_t room[RELAY_VOUCHER_SIZE_MAX];
    testing_identity(99, &client);
    const struct relay_voucher voucher = {
        .relay = identity->id, .peer = client.id, .expires_unix = 1800000000};
    size_t size = relay_voucher_encode(&voucher, room);
    return test_copy(bytes_of(room, size));
}

/* SubjectPublicKeyInfo of P-256's base point. */
static inline struct bytes testing_spki(void) {
    return test_hex(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563"
        "a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b"
        "315ececbb6406837bf51f5");
}

static inline struct bytes testing_payload(const struct signing_identity *identity,
                                           enum signing_kind kind, struct memory *memory) {
    static const uint8_t noise[32] = {9};
    switch (kind) {
    case SIGNING_TLS:
        return testing_spki();
    case SIGNING_NOISE:
        return test_copy(BYTES_ARRAY(noise));
    case SIGNING_PEER_RECORD:
        return testing_peer_record(identity, memory);
    case SIGNING_CAPABILITY:
        return testing_capability(identity, memory);
    case SIGNING_RELAY_VOUCHER:
        return testing_voucher(identity);
    case SIGNING_RECEIPT:
    case SIGNING_SUMMARY:
        break;
    }
    return testing_receipt(identity, memory);
}

#endif
