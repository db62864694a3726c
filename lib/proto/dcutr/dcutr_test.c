/* DCUtR: both roles against each other, input cut at every byte, what must be refused. */
#include "proto/dcutr/dcutr.h"

#include "util/testing.h"

#define WAY (40 * NANOS_MILLISECOND)

static struct multiaddr address_of(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

/* Carries everything from one to the other, `piece` bytes at a time. */
static size_t carry(struct dcutr *from, struct dcutr *to, size_t piece, nanos now) {
    uint8_t room[8192];
    size_t size = dcutr_transmit(from, test_span(room, sizeof(room)));
    for (size_t i = 0; i < size; i += piece) {
        dcutr_receive(to, test_copy(bytes_slice(bytes_of(room, size), i, piece)), false, now);
    }
    return size;
}

static void both_roles(void **state) {
    (void)state;
    struct multiaddr a = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct multiaddr b[3] = {
        address_of("/ip4/192.0.2.2/udp/4002/quic-v1"), address_of("/ip4/192.0.2.2/tcp/4002"),
        address_of("/ip4/192.0.2.3/udp/1/quic-v1/p2p-circuit")}; /* a relayed one: left out */
    for (size_t piece = 1; piece < 100; piece += 7) {
        struct memory memory;
        memory_init(&memory, SIZE_MAX);
        struct dcutr initiator;
        struct dcutr responder;
        nanos now = 5;
        assert_int_equal(dcutr_init(&initiator, DCUTR_INITIATOR, b, 3, &memory, now), 0);
        assert_int_equal(dcutr_init(&responder, DCUTR_RESPONDER, &a, 1, &memory, now), 0);
        now += WAY;
        assert_true(carry(&initiator, &responder, piece, now) > 0); /* CONNECT */
        now += WAY;
        assert_true(carry(&responder, &initiator, piece, now) > 0); /* CONNECT */
        struct dcutr_event event;
        assert_false(dcutr_next_event(&initiator, &event));
        assert_int_equal(dcutr_deadline(&initiator), now + WAY);
        now += WAY;
        assert_true(carry(&initiator, &responder, piece, now) > 0); /* SYNC */
        assert_true(dcutr_next_event(&responder, &event));
        assert_int_equal(event.type, DCUTR_PUNCH);
        assert_int_equal(event.rtt, 2 * WAY);
        assert_int_equal(event.address_count, 2);
        assert_true(multiaddr_equal(&event.addresses[1], &b[1]));
        /* And the initiator at the same moment. */
        assert_false(dcutr_next_event(&initiator, &event));
        dcutr_expire(&initiator, now);
        assert_true(dcutr_next_event(&initiator, &event));
        assert_int_equal(event.type, DCUTR_PUNCH);
        assert_int_equal(event.rtt, 2 * WAY);
        assert_int_equal(event.address_count, 1);
        assert_int_equal(dcutr_deadline(&initiator), NANOS_NEVER);
        assert_false(dcutr_next_event(&initiator, &event));
        /* What comes afterwards does not matter. */
        dcutr_receive(&initiator, BYTES_LITERAL("\xff\xff\xff"), true, now);
        assert_false(dcutr_next_event(&initiator, &event));
        dcutr_done(&initiator);
        dcutr_done(&responder);
        assert_int_equal(memory.used, 0);
    }
}

static int refusal(enum dcutr_role role, const char *hex, bool fin) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct multiaddr own = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct dcutr dcutr;
    assert_int_equal(dcutr_init(&dcutr, role, &own, 1, &memory, 0), 0);
    dcutr_receive(&dcutr, test_hex(hex), fin, 1);
    struct dcutr_event event = {.error = 0};
    bool any = dcutr_next_event(&dcutr, &event);
    assert_true(!any || event.type == DCUTR_FAILED);
    dcutr_done(&dcutr);
    return event.error;
}

static void bad_input(void **state) {
    (void)state;
    /* A CONNECT with one address, as go-libp2p writes it: varint 100, field 2. */
    const char *connect = "0e"
                          "0864"
                          "120a"
                          "04c0000201910211"
                          "11cd";
    assert_int_equal(refusal(DCUTR_RESPONDER, connect, false), PLASM_NOT_FOUND);  /* cut address */
    assert_int_equal(refusal(DCUTR_RESPONDER, "020864", false), PLASM_NOT_FOUND); /* no address */
    assert_int_equal(refusal(DCUTR_RESPONDER, "0308ac02", false), PLASM_MALFORMED); /* SYNC */
    assert_int_equal(refusal(DCUTR_INITIATOR, "0308ac02", false), PLASM_MALFORMED);
    assert_int_equal(refusal(DCUTR_RESPONDER, "020801", false), PLASM_MALFORMED); /* no type */
    assert_int_equal(refusal(DCUTR_RESPONDER, "00", false), PLASM_MALFORMED);
    assert_int_equal(refusal(DCUTR_RESPONDER, "ffff03", false), PLASM_MALFORMED); /* too long */
    assert_int_equal(refusal(DCUTR_RESPONDER, "0208", true), PLASM_TRUNCATED);
    assert_int_equal(refusal(DCUTR_RESPONDER, "0208", false), 0); /* more may come */
}

static void silence_ends(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct dcutr dcutr;
    assert_int_equal(dcutr_init(&dcutr, DCUTR_RESPONDER, NULL, 0, &memory, 7), 0);
    dcutr_expire(&dcutr, 8);
    struct dcutr_event event;
    assert_false(dcutr_next_event(&dcutr, &event));
    dcutr_expire(&dcutr, dcutr_deadline(&dcutr));
    assert_true(dcutr_next_event(&dcutr, &event));
    assert_int_equal(event.error, PLASM_TIMEOUT);
    dcutr_done(&dcutr);
    assert_int_equal(memory.used, 0);
}

/* Long lists are cut to what a message and the machine hold. */
static void long_lists(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    static const uint8_t large[300];
    struct dcutr_message message = {.type = DCUTR_CONNECT, .address_count = DCUTR_ADDRESSES_MAX};
    for (size_t i = 0; i < DCUTR_ADDRESSES_MAX; i++) {
        message.addresses[i] = BYTES_ARRAY(large);
    }
    struct buffer out;
    buffer_init(&out, &memory, 2 * DCUTR_MESSAGE_SIZE_MAX);
    assert_int_equal(dcutr_message_encode(&message, &out), 0);
    assert_true(out.size <= DCUTR_MESSAGE_SIZE_MAX + 2);
    struct dcutr_message read;
    assert_int_equal(dcutr_message_decode(bytes_slice(buffer_bytes(&out), 2, out.size), &read), 0);
    assert_int_equal(read.address_count, 13);
    buffer_done(&out);
}

static void allocations_fail(void **state) {
    (void)state;
    struct multiaddr own = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing memory;
        memory_failing_init(&memory, n, true);
        struct memory rich;
        memory_init(&rich, SIZE_MAX);
        struct dcutr initiator;
        struct dcutr responder;
        assert_int_equal(dcutr_init(&responder, DCUTR_RESPONDER, &own, 1, &rich, 0), 0);
        int error = dcutr_init(&initiator, DCUTR_INITIATOR, &own, 1, &memory.memory, 0);
        if (error == 0) {
            carry(&initiator, &responder, 1, 1);
            carry(&responder, &initiator, 1, 2);
            carry(&initiator, &responder, 1, 3);
            struct dcutr_event event;
            assert_true(!dcutr_next_event(&initiator, &event) || event.error == PLASM_NO_MEMORY);
            dcutr_done(&initiator);
        } else {
            assert_int_equal(error, PLASM_NO_MEMORY);
        }
        failed = memory.failed;
        dcutr_done(&responder);
        assert_int_equal(memory.memory.used + rich.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_roles),       cmocka_unit_test(bad_input),
        cmocka_unit_test(silence_ends),     cmocka_unit_test(long_lists),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
