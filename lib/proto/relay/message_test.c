/* Relay messages: round trips, truncation, foreign shapes, vouchers that hold and that do not. */
#include "proto/relay/message.h"

#include "util/testing.h"
#include "wire/varint.h"

static struct bytes payload_of(const struct buffer *buffer) {
    struct bytes payload;
    size_t size;
    assert_int_equal(frame_read(buffer_bytes(buffer), RELAY_MESSAGE_SIZE_MAX, &payload, &size), 0);
    assert_int_equal(size, buffer->size);
    return test_copy(payload);
}

static struct bytes encoded(enum relay_protocol protocol, const struct relay_message *message) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, 2 * RELAY_MESSAGE_SIZE_MAX);
    assert_int_equal(relay_message_encode(protocol, message, &out), 0);
    struct bytes payload = payload_of(&out);
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
    return payload;
}

static struct relay_message answer(void) {
    return (struct relay_message){
        .type = RELAY_STATUS,
        .status = RELAY_STATUS_OK,
        .reservation = {.present = true,
                        .expires_unix = UINT64_C(1750003600),
                        .address_count = 2,
                        .addresses = {BYTES_LITERAL("one"), BYTES_LITERAL("another")},
                        .voucher = BYTES_LITERAL("voucher")},
        .limit = {.present = true, .duration_seconds = 120, .data_bytes = UINT64_C(1) << 40}};
}

static void hop_round_trip(void **state) {
    (void)state;
    struct relay_message message = answer();
    struct relay_message read;
    assert_int_equal(relay_message_decode(RELAY_HOP, encoded(RELAY_HOP, &message), &read), 0);
    assert_int_equal(read.type, RELAY_STATUS);
    assert_int_equal(read.status, RELAY_STATUS_OK);
    assert_true(read.reservation.present);
    assert_int_equal(read.reservation.expires_unix, 1750003600);
    assert_int_equal(read.reservation.address_count, 2);
    assert_bytes_equal(read.reservation.addresses[1], BYTES_LITERAL("another"));
    assert_bytes_equal(read.reservation.voucher, BYTES_LITERAL("voucher"));
    assert_true(read.limit.present);
    assert_int_equal(read.limit.duration_seconds, 120);
    assert_int_equal(read.limit.data_bytes, UINT64_C(1) << 40);
    const struct relay_message connect = {.type = RELAY_CONNECT, .peer = BYTES_LITERAL("id")};
    assert_int_equal(relay_message_decode(RELAY_HOP, encoded(RELAY_HOP, &connect), &read), 0);
    assert_int_equal(read.type, RELAY_CONNECT);
    assert_bytes_equal(read.peer, BYTES_LITERAL("id"));
    assert_false(read.limit.present || read.reservation.present);
}

static void stop_round_trip(void **state) {
    (void)state;
    struct relay_message read;
    const struct relay_message connect = {.type = RELAY_CONNECT,
                                          .peer = BYTES_LITERAL("id"),
                                          .limit = {.present = true, .duration_seconds = 7}};
    struct bytes payload = encoded(RELAY_STOP, &connect);
    assert_bytes_equal(payload, test_hex("080012040a0269641a0408071000"));
    assert_int_equal(relay_message_decode(RELAY_STOP, payload, &read), 0);
    assert_int_equal(read.type, RELAY_CONNECT);
    assert_int_equal(read.limit.duration_seconds, 7);
    const struct relay_message refused = {.type = RELAY_STATUS,
                                          .status = RELAY_STATUS_PERMISSION_DENIED};
    assert_int_equal(relay_message_decode(RELAY_STOP, encoded(RELAY_STOP, &refused), &read), 0);
    assert_int_equal(read.type, RELAY_STATUS);
    assert_int_equal(read.status, RELAY_STATUS_PERMISSION_DENIED);
}

static void truncated_at_every_byte(void **state) {
    (void)state;
    struct relay_message message = answer();
    struct bytes whole = encoded(RELAY_HOP, &message);
    size_t refused = 0;
    for (size_t size = 0; size < whole.size; size++) {
        struct relay_message read = {.status = 12345};
        int error = relay_message_decode(RELAY_HOP, bytes_slice(whole, 0, size), &read);
        assert_true(error == 0 || error == PLASM_MALFORMED);
        refused += error != 0;
        assert_true(error == 0 || read.status == 12345); /* untouched on failure */
    }
    assert_true(refused > whole.size / 2);
}

/* What others may send and what nobody should. */
static void foreign_shapes(void **state) {
    (void)state;
    struct relay_message read;
    assert_int_equal(relay_message_decode(RELAY_HOP, bytes_of(NULL, 0), &read), 0);
    assert_int_equal(read.type, RELAY_RESERVE);
    assert_int_equal(relay_message_decode(RELAY_STOP, bytes_of(NULL, 0), &read), 0);
    assert_int_equal(read.type, RELAY_CONNECT);
    /* Types nobody knows, a peer that is no message, a status of the wrong wire type. */
    assert_int_equal(relay_message_decode(RELAY_HOP, test_hex("0803"), &read), PLASM_MALFORMED);
    assert_int_equal(relay_message_decode(RELAY_STOP, test_hex("0802"), &read), PLASM_MALFORMED);
    assert_int_equal(relay_message_decode(RELAY_STOP, test_hex("08ffffffffffffffffff01"), &read),
                     PLASM_MALFORMED);
    assert_int_equal(relay_message_decode(RELAY_HOP, test_hex("08011202ffff"), &read),
                     PLASM_MALFORMED);
    assert_int_equal(relay_message_decode(RELAY_HOP, test_hex("08022a0100"), &read),
                     PLASM_MALFORMED);
    /* A status we do not know is no error of the message. */
    assert_int_equal(relay_message_decode(RELAY_HOP, test_hex("080228e707"), &read), 0);
    assert_int_equal(relay_status_error(read.status), PLASM_MALFORMED);
    /* Addresses over the maximum are left out. */
    uint8_t many[4 + 2 * 40] = {0x08, 0x02, 0x1a, 80};
    for (size_t i = 0; i < 40; i++) {
        many[4 + 2 * i] = 0x12;
    }
    assert_int_equal(relay_message_decode(RELAY_HOP, BYTES_ARRAY(many), &read), 0);
    assert_int_equal(read.reservation.address_count, RELAY_ADDRESSES_MAX);
}

static void large_ones_lose_addresses(void **state) {
    (void)state;
    static const uint8_t address[400];
    struct relay_message message = answer();
    message.reservation.address_count = RELAY_ADDRESSES_MAX;
    for (size_t i = 0; i < RELAY_ADDRESSES_MAX; i++) {
        message.reservation.addresses[i] = BYTES_ARRAY(address);
    }
    struct relay_message read;
    assert_int_equal(relay_message_decode(RELAY_HOP, encoded(RELAY_HOP, &message), &read), 0);
    assert_in_range(read.reservation.address_count, 8, RELAY_ADDRESSES_MAX - 1);
    assert_bytes_equal(read.reservation.voucher, BYTES_LITERAL("voucher"));
}

struct signer {
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
};

static struct signer signer_of(uint8_t number) {
    struct signer signer;
    uint8_t seed[ED25519_SEED_SIZE] = {number};
    ed25519_from_seed(&signer.secret, seed);
    public_key_from_ed25519(signer.secret.public_key, &signer.key);
    peer_id_from_key(&signer.key, &signer.id);
    return signer;
}

static struct bytes sealed(const struct signer *signer, struct bytes domain, struct bytes type,
                           struct bytes payload) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer message;
    struct buffer envelope;
    buffer_init(&message, &memory, ENVELOPE_SIZE_MAX);
    buffer_init(&envelope, &memory, ENVELOPE_SIZE_MAX);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(envelope_message(domain, type, payload, &message), 0);
    ed25519_sign(&signer->secret, buffer_bytes(&message), signature);
    assert_int_equal(envelope_seal(&signer->key, type, payload, BYTES_ARRAY(signature), &envelope),
                     0);
    struct bytes copy = test_copy(buffer_bytes(&envelope));
    buffer_done(&message);
    buffer_done(&envelope);
    return copy;
}

static void vouchers(void **state) {
    (void)state;
    struct signer relay = signer_of(1);
    struct signer other = signer_of(2);
    const struct relay_voucher voucher = {
        .relay = relay.id, .peer = other.id, .expires_unix = 1000};
    uint8_t room[RELAY_VOUCHER_SIZE_MAX];
    struct bytes payload = bytes_of(room, relay_voucher_encode(&voucher, room));
    struct bytes domain = BYTES_LITERAL(RELAY_VOUCHER_DOMAIN);
    struct bytes type = BYTES_LITERAL(RELAY_VOUCHER_TYPE);
    struct bytes good = sealed(&relay, domain, type, payload);
    struct relay_voucher read;
    assert_int_equal(relay_voucher_check(good, &relay.id, &other.id, 999, &read), 0);
    assert_int_equal(read.expires_unix, 1000);
    assert_int_equal(relay_voucher_check(good, &relay.id, &other.id, 1000, &read), PLASM_EXPIRED);
    /* For somebody else, of somebody else, of another kind, touched, no voucher at all. */
    assert_int_equal(relay_voucher_check(good, &relay.id, &relay.id, 1, &read), PLASM_UNTRUSTED);
    assert_int_equal(
        relay_voucher_check(sealed(&other, domain, type, payload), &relay.id, &other.id, 1, &read),
        PLASM_UNTRUSTED);
    assert_int_equal(relay_voucher_check(sealed(&relay, BYTES_LITERAL("x"), type, payload),
                                         &relay.id, &other.id, 1, &read),
                     PLASM_UNTRUSTED);
    assert_int_equal(relay_voucher_check(sealed(&relay, domain, BYTES_LITERAL("\x03\x01"), payload),
                                         &relay.id, &other.id, 1, &read),
                     PLASM_MALFORMED);
    assert_int_equal(relay_voucher_check(sealed(&relay, domain, type, BYTES_LITERAL("\x08")),
                                         &relay.id, &other.id, 1, &read),
                     PLASM_MALFORMED);
    for (size_t i = 0; i < good.size; i++) {
        uint8_t touched[1024];
        memcpy(touched, good.data, good.size);
        touched[i] ^= 1;
        assert_int_not_equal(
            relay_voucher_check(bytes_of(touched, good.size), &relay.id, &other.id, 1, &read), 0);
    }
    ed25519_done(&relay.secret);
    ed25519_done(&other.secret);
}

static void no_memory(void **state) {
    (void)state;
    struct memory_failing memory;
    memory_failing_init(&memory, 0, true);
    struct buffer out;
    buffer_init(&out, &memory.memory, RELAY_MESSAGE_SIZE_MAX);
    struct relay_message message = answer();
    assert_int_equal(relay_message_encode(RELAY_HOP, &message, &out), PLASM_NO_MEMORY);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hop_round_trip),
        cmocka_unit_test(stop_round_trip),
        cmocka_unit_test(truncated_at_every_byte),
        cmocka_unit_test(foreign_shapes),
        cmocka_unit_test(large_ones_lose_addresses),
        cmocka_unit_test(vouchers),
        cmocka_unit_test(no_memory),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
