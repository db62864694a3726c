/* Envelopes and peer records: go-libp2p's bytes, our own, and wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/certificate_testing.h"
#include "identity/envelope.h"
#include "identity/vectors_testing.h"

#define DOMAIN BYTES_LITERAL(PEER_RECORD_DOMAIN)
#define TYPE   BYTES_LITERAL(PEER_RECORD_TYPE)

static void find(const char *name, struct bytes *ret_bytes) {
    struct vectors vectors;
    assert_true(vectors_open(&vectors, PLASM_SOURCE_DIR "/vectors/envelope.txt"));
    *ret_bytes = bytes_of(NULL, 0);
    while (vectors_next(&vectors)) {
        if (strcmp(vectors.words[0], name) == 0) {
            *ret_bytes = vectors_hex(vectors.words[1]);
        }
    }
    assert_non_null(ret_bytes->data);
}

static void check_record(struct bytes payload) {
    struct peer_record record;
    assert_int_equal(peer_record_decode(payload, &record), 0);
    assert_int_equal(record.seq, UINT64_C(1700000000123456));
    char text[PEER_ID_TEXT_MAX];
    peer_id_format(&record.peer_id, text);
    assert_string_equal(text, "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");
    assert_int_equal(record.address_count, 2);
    static const uint8_t quic[] = {4, 192, 0, 2, 7, 0x91, 0x02, 0x0f, 0xa1, 0xcd, 0x03};
    assert_true(bytes_equal(record.addresses[0], BYTES_ARRAY(quic)));
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, PEER_RECORD_SIZE_MAX);
    assert_int_equal(peer_record_encode(&record, &out), 0);
    assert_true(bytes_equal(buffer_bytes(&out), payload));
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
}

static void vectors(void **state) {
    (void)state;
    struct bytes payload;
    struct bytes sealed;
    find("record", &payload);
    find("envelope", &sealed);
    check_record(payload);
    struct envelope envelope;
    assert_int_equal(envelope_open(sealed, DOMAIN, &envelope), 0);
    assert_true(bytes_equal(envelope.payload_type, TYPE));
    assert_true(bytes_equal(envelope.payload, payload));
    char text[PEER_ID_TEXT_MAX];
    peer_id_format(&envelope.signer, text);
    assert_string_equal(text, "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");
    assert_int_equal(envelope_open(sealed, BYTES_LITERAL("libp2p-routing-state"), &envelope),
                     PLASM_UNTRUSTED);
    uint8_t *copy = malloc(sealed.size);
    assert_non_null(copy);
    memcpy(copy, sealed.data, sealed.size);
    for (size_t i = 0; i < sealed.size; i++) {
        copy[i] ^= 1;
        assert_int_not_equal(envelope_open(bytes_of(copy, sealed.size), DOMAIN, &envelope), 0);
        copy[i] ^= 1;
        assert_int_not_equal(envelope_open(bytes_of(copy, i), DOMAIN, &envelope), 0);
    }
    free(copy);
    vectors_free(payload);
    vectors_free(sealed);
}

/* Seals with every allocation failing in turn; go-libp2p's bytes come out in the end. */
static void seal(void **state) {
    (void)state;
    struct bytes payload;
    struct bytes sealed;
    find("record", &payload);
    find("envelope", &sealed);
    struct envelope opened;
    assert_int_equal(envelope_open(sealed, DOMAIN, &opened), 0);
    struct bytes signature = bytes_slice(sealed, sealed.size - 64, 64);
    for (size_t n = 0;; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, true);
        struct buffer message;
        struct buffer out;
        buffer_init(&message, &failing.memory, ENVELOPE_SIZE_MAX);
        buffer_init(&out, &failing.memory, ENVELOPE_SIZE_MAX);
        int error = envelope_message(DOMAIN, TYPE, payload, &message);
        if (error == 0) {
            assert_int_equal(public_key_verify(&opened.key, buffer_bytes(&message), signature), 0);
            error = envelope_seal(&opened.key, TYPE, payload, signature, &out);
        }
        assert_int_equal(error, failing.failed ? PLASM_NO_MEMORY : 0);
        if (error == 0) {
            assert_true(bytes_equal(buffer_bytes(&out), sealed));
        }
        buffer_done(&message);
        buffer_done(&out);
        assert_int_equal(failing.memory.used, 0);
        if (!failing.failed) {
            break;
        }
    }
    vectors_free(payload);
    vectors_free(sealed);
}

static void bounds(void **state) {
    (void)state;
    static uint8_t large[ENVELOPE_SIZE_MAX + 1];
    struct envelope envelope;
    assert_int_equal(envelope_open(BYTES_ARRAY(large), DOMAIN, &envelope), PLASM_TOO_LARGE);
    assert_int_equal(envelope_open(bytes_of(large, 0), DOMAIN, &envelope), PLASM_MALFORMED);
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    struct public_key key = {.type = KEY_ED25519, .size = 32};
    assert_int_equal(envelope_seal(&key, TYPE, BYTES_ARRAY(large), bytes_of(large, 64), &out),
                     PLASM_TOO_LARGE);
    buffer_done(&out);
    struct peer_record record;
    assert_int_equal(peer_record_decode(BYTES_ARRAY(large), &record), PLASM_MALFORMED);
    assert_int_equal(peer_record_decode(bytes_of(large, 0), &record), PLASM_MALFORMED);
}

/* More addresses than are kept, one empty, and an unknown field. */
static void many_addresses(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, PEER_RECORD_SIZE_MAX);
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_record record = {.seq = 0};
    testing_identity(1, &secret, &key, &record.peer_id);
    for (size_t i = 0; i < PEER_RECORD_ADDRESSES_MAX; i++) {
        record.addresses[i] = BYTES_LITERAL("\x04\x01\x02\x03\x04");
    }
    record.address_count = PEER_RECORD_ADDRESSES_MAX;
    assert_int_equal(peer_record_encode(&record, &out), 0);
    assert_int_equal(buffer_append(&out, BYTES_LITERAL("\x1a\x00")), 0);
    assert_int_equal(buffer_append(&out, BYTES_LITERAL("\x1a\x03\x0a\x01\x04")), 0);
    assert_int_equal(buffer_append(&out, BYTES_LITERAL("\x78\x01")), 0);
    struct peer_record read;
    assert_int_equal(peer_record_decode(buffer_bytes(&out), &read), 0);
    assert_int_equal(read.address_count, PEER_RECORD_ADDRESSES_MAX);
    assert_int_equal(read.seq, 0);
    /* Every cut gives a record with fewer addresses or an error. */
    struct bytes whole = buffer_bytes(&out);
    for (size_t size = 0; size < whole.size; size++) {
        int error = peer_record_decode(bytes_slice(whole, 0, size), &read);
        assert_true(error == 0 || error == PLASM_MALFORMED);
    }
    buffer_done(&out);
}

static int start(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(seal),
        cmocka_unit_test(bounds),
        cmocka_unit_test(many_addresses),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
