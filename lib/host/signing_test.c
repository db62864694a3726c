/* What an identity signs, and that it signs nothing else. */
#include "host/signing.h"

#include "host/signing_testing.h"
#include "identity/certificate.h"
#include "proto/noise/noise.h"

static struct memory memory;
static struct signing_identity own;
static struct signing_identity other;

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return -1;
    }
    testing_identity(1, &own);
    testing_identity(2, &other);
    return 0;
}

static int sign(enum signing_kind kind, struct bytes payload, uint8_t *signature) {
    return signing_sign(&own, kind, payload, &memory, signature);
}

static void expect_signed(enum signing_kind kind, struct bytes payload, struct bytes message) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(sign(kind, payload, signature), 0);
    assert_int_equal(ed25519_verify(own.secret.public_key, message, BYTES_ARRAY(signature)), 0);
}

static void expect_refused(enum signing_kind kind, struct bytes payload) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(sign(kind, payload, signature), PLASM_INVALID);
}

/* Each kind signs the message that its specification says. */
static void each_kind_signs_its_message(void **state) {
    (void)state;
    struct buffer message;
    struct receipt receipt;
    struct fault fault;
    uint8_t binding[NOISE_BINDING_SIZE];
    struct bytes payload = testing_payload(&own, SIGNING_TLS, &memory);
    buffer_init(&message, &memory, 8192);
    assert_int_equal(buffer_append(&message, BYTES_LITERAL("libp2p-tls-handshake:")), 0);
    assert_int_equal(buffer_append(&message, payload), 0);
    expect_signed(SIGNING_TLS, payload, buffer_bytes(&message));
    payload = testing_payload(&own, SIGNING_NOISE, &memory);
    noise_binding(payload.data, binding);
    expect_signed(SIGNING_NOISE, payload, BYTES_ARRAY(binding));
    for (int kind = SIGNING_PEER_RECORD; kind <= SIGNING_RELAY_VOUCHER; kind++) {
        struct bytes domain;
        struct bytes type;
        payload = testing_payload(&own, (enum signing_kind)kind, &memory);
        signing_envelope((enum signing_kind)kind, &domain, &type);
        buffer_clear(&message);
        assert_int_equal(envelope_message(domain, type, payload, &message), 0);
        expect_signed((enum signing_kind)kind, payload, buffer_bytes(&message));
    }
    payload = testing_receipt(&own, &memory);
    expect_signed(SIGNING_RECEIPT, payload, payload);
    assert_int_equal(receipt_decode(payload, &receipt, &fault), 0);
    buffer_clear(&message);
    assert_int_equal(receipt_summary_encode(&receipt, &message), 0);
    expect_signed(SIGNING_SUMMARY, payload, buffer_bytes(&message));
    buffer_done(&message);
}

/* What is another identity's is not signed: not even where it is well formed. */
static void others_are_refused(void **state) {
    (void)state;
    for (int kind = SIGNING_PEER_RECORD; kind <= SIGNING_SUMMARY; kind++) {
        expect_refused((enum signing_kind)kind,
                       testing_payload(&other, (enum signing_kind)kind, &memory));
    }
}

/* No payload passes as one of another kind; receipt and summary share theirs. */
static void no_kind_passes_as_another(void **state) {
    (void)state;
    for (int of = SIGNING_TLS; of <= SIGNING_SUMMARY; of++) {
        struct bytes payload = testing_payload(&own, (enum signing_kind)of, &memory);
        for (int as = SIGNING_TLS; as <= SIGNING_SUMMARY; as++) {
            if (as != of && !(of >= SIGNING_RECEIPT && as >= SIGNING_RECEIPT)) {
                expect_refused((enum signing_kind)as, payload);
            }
        }
    }
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(sign((enum signing_kind)8, testing_spki(), signature), PLASM_UNSUPPORTED);
    assert_int_equal(sign((enum signing_kind)0, testing_spki(), signature), PLASM_UNSUPPORTED);
}

/* Cut anywhere, or with anything behind. Protobuf that is cut between two fields is another good
 * payload under our own name. */
static void damaged_payloads_are_refused(void **state) {
    (void)state;
    for (int number = SIGNING_TLS; number <= SIGNING_SUMMARY; number++) {
        enum signing_kind kind = (enum signing_kind)number;
        struct bytes payload = testing_payload(&own, kind, &memory);
        uint8_t longer[SIGNING_PAYLOAD_SIZE_MAX];
        bool is_protobuf = kind == SIGNING_PEER_RECORD || kind == SIGNING_RELAY_VOUCHER;
        for (size_t size = 0; size < payload.size && !is_protobuf; size++) {
            expect_refused(kind, test_copy(bytes_slice(payload, 0, size)));
        }
        memcpy(longer, payload.data, payload.size);
        longer[payload.size] = ' ';
        expect_refused(kind, bytes_of(longer, payload.size + 1));
        longer[payload.size] = 0;
        expect_refused(kind, bytes_of(longer, payload.size + 1));
    }
    /* The same receipt in another spelling. */
    struct bytes receipt = testing_receipt(&own, &memory);
    uint8_t spaced[SIGNING_PAYLOAD_SIZE_MAX];
    spaced[0] = '{';
    spaced[1] = ' ';
    memcpy(spaced + 2, receipt.data + 1, receipt.size - 1);
    expect_refused(SIGNING_RECEIPT, bytes_of(spaced, receipt.size + 1));
    static uint8_t large[SIGNING_PAYLOAD_SIZE_MAX + 1];
    expect_refused(SIGNING_RECEIPT, BYTES_ARRAY(large));
    expect_refused(SIGNING_PEER_RECORD, BYTES_ARRAY(large));
}

static void no_memory_is_said(void **state) {
    (void)state;
    for (int number = SIGNING_TLS; number <= SIGNING_SUMMARY; number++) {
        enum signing_kind kind = (enum signing_kind)number;
        struct bytes payload = testing_payload(&own, kind, &memory);
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct memory_failing failing;
            uint8_t signature[ED25519_SIGNATURE_SIZE];
            memory_failing_init(&failing, n, true);
            int error = signing_sign(&own, kind, payload, &failing.memory, signature);
            failed = failing.failed;
            assert_int_equal(error, failed ? PLASM_NO_MEMORY : 0);
            assert_int_equal(failing.memory.used, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_signs_its_message),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(no_kind_passes_as_another),
        cmocka_unit_test(damaged_payloads_are_refused),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
