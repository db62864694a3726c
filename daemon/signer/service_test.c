/* Packets of requests: what is answered, and what is hung up on. */
#include "signer/service.h"

#include "host/signing_testing.h"

static struct memory memory;
static struct signing_identity identity;
static struct sign_service service;
static uint8_t room[SIGN_ANSWERS_SIZE_MAX];
static uint8_t packet[SIGN_PACKET_SIZE_MAX];

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, SIZE_MAX);
    service = (struct sign_service){.identity = &identity, .memory = &memory};
    if (crypto_init() != 0) {
        return -1;
    }
    testing_identity(1, &identity);
    return 0;
}

static struct bytes answers_of(struct bytes requests) {
    struct bytes answers;
    assert_int_equal(
        sign_service_answer(&service, requests, test_span(room, sizeof(room)), &answers), 0);
    return answers;
}

static void expect_hang_up(struct bytes requests) {
    struct bytes answers;
    assert_int_equal(
        sign_service_answer(&service, requests, test_span(room, sizeof(room)), &answers),
        PLASM_MALFORMED);
}

static struct bytes one_request(uint8_t kind, uint32_t number, struct bytes payload) {
    struct writer writer = writer_of(test_span(packet, sizeof(packet)));
    sign_request_put(&writer,
                     &(struct sign_request){.kind = kind, .number = number, .payload = payload});
    assert_int_equal(writer.error, 0);
    return writer_bytes(&writer);
}

static void says_who_it_is(void **state) {
    (void)state;
    const uint8_t right[] = {0, SIGN_PROTOCOL_VERSION};
    const uint8_t wrong[] = {0, SIGN_PROTOCOL_VERSION + 1};
    struct sign_answer answer;
    struct cursor cursor = cursor_of(answers_of(one_request(SIGN_IDENTIFY, 7, BYTES_ARRAY(right))));
    assert_int_equal(sign_answer_next(&cursor, &answer), 0);
    assert_int_equal(answer.outcome, SIGN_OK);
    assert_int_equal(answer.number, 7);
    assert_bytes_equal(answer.body, bytes_of(identity.key.data, ED25519_PUBLIC_SIZE));
    assert_int_equal(cursor.left.size, 0);
    cursor = cursor_of(answers_of(one_request(SIGN_IDENTIFY, 7, BYTES_ARRAY(wrong))));
    assert_int_equal(sign_answer_next(&cursor, &answer), 0);
    assert_int_equal(answer.outcome, SIGN_VERSION);
}

/* As many answers as requests, in their order; one that is refused does not touch its neighbours.
 */
static void answers_a_full_packet(void **state) {
    (void)state;
    struct writer writer = writer_of(test_span(packet, sizeof(packet)));
    struct bytes receipt = testing_receipt(&identity, &memory);
    struct sign_request request = {.kind = SIGNING_NOISE, .payload = BYTES_LITERAL("foreign")};
    for (uint32_t i = 1; i <= SIGN_FRAMES_MAX; i++) {
        bool is_good = i % 3 == 0;
        request.number = i;
        request.kind = is_good ? SIGNING_RECEIPT : SIGNING_NOISE;
        request.payload = is_good ? receipt : BYTES_LITERAL("foreign");
        sign_request_put(&writer, &request);
    }
    assert_int_equal(writer.error, 0);
    struct cursor cursor = cursor_of(answers_of(writer_bytes(&writer)));
    for (uint32_t i = 1; i <= SIGN_FRAMES_MAX; i++) {
        struct sign_answer answer;
        assert_int_equal(sign_answer_next(&cursor, &answer), 0);
        assert_int_equal(answer.number, i);
        assert_int_equal(answer.outcome, i % 3 == 0 ? SIGN_OK : SIGN_REFUSED);
        if (answer.outcome == SIGN_OK) {
            assert_int_equal(ed25519_verify(identity.secret.public_key, receipt, answer.body), 0);
        }
    }
    assert_int_equal(cursor.left.size, 0);
    request.number = 0;
    sign_request_put(&writer, &request);
    expect_hang_up(writer_bytes(&writer)); /* one too many */
}

static void hangs_up_on_what_does_not_decode(void **state) {
    (void)state;
    static uint8_t large[SIGNING_PAYLOAD_SIZE_MAX + 1];
    struct bytes good =
        test_copy(one_request(SIGNING_RECEIPT, 1, testing_receipt(&identity, &memory)));
    for (size_t size = 0; size < good.size; size++) {
        expect_hang_up(test_copy(bytes_slice(good, 0, size)));
    }
    expect_hang_up(one_request(SIGNING_SUMMARY + 1, 1, BYTES_LITERAL("x")));
    expect_hang_up(one_request(0xff, 1, BYTES_LITERAL("x")));
    expect_hang_up(one_request(SIGN_IDENTIFY, 1, BYTES_LITERAL("x")));
    expect_hang_up(one_request(SIGNING_RECEIPT, 1, bytes_of(NULL, 0)));
    expect_hang_up(one_request(SIGNING_RECEIPT, 1, BYTES_ARRAY(large)));
}

static void says_why_it_has_no_key(void **state) {
    (void)state;
    const struct sign_service empty = {.fault = "identity.key: it is damaged", .memory = &memory};
    struct bytes answers;
    struct sign_answer answer;
    struct bytes request = one_request(SIGNING_NOISE, 1, BYTES_LITERAL("x"));
    assert_int_equal(sign_service_answer(&empty, request, test_span(room, sizeof(room)), &answers),
                     0);
    struct cursor cursor = cursor_of(answers);
    assert_int_equal(sign_answer_next(&cursor, &answer), 0);
    assert_int_equal(answer.outcome, SIGN_FAILED);
    assert_bytes_equal(answer.body, BYTES_LITERAL("identity.key: it is damaged"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_it_is),
        cmocka_unit_test(answers_a_full_packet),
        cmocka_unit_test(hangs_up_on_what_does_not_decode),
        cmocka_unit_test(says_why_it_has_no_key),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
