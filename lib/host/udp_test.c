/* UDP on loopback: batches, segments, ECN, local address, refusals. */
#include "host/udp.h"

#include <poll.h>

#include "util/testing.h"

static const struct netaddr loopback = {.family = NETADDR_IP4, .ip = {127, 0, 0, 1}};
static const struct netaddr any = {.family = NETADDR_IP4};

static size_t wait_receive(struct udp_socket *udp, struct udp_datagram *datagrams) {
    struct pollfd readable = {.fd = udp->fd, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, 5000), 1);
    return udp_receive(udp, datagrams);
}

static void one_datagram_with_ecn(void **state) {
    (void)state;
    struct udp_socket a;
    struct udp_socket b;
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&any, &b), 0);
    assert_true(a.local.port != 0 && b.local.port != 0);
    struct netaddr to = loopback;
    to.port = b.local.port;
    struct udp_datagram out = {
        .local = a.local, .remote = to, .ecn = 2, .bytes = BYTES_LITERAL("hello")};
    assert_int_equal(udp_send(&a, &out), 0);
    assert_int_equal(wait_receive(&b, datagrams), 1);
    assert_true(bytes_equal_string(datagrams[0].bytes, "hello"));
    assert_true(netaddr_equal(&datagrams[0].remote, &a.local));
    assert_true(netaddr_equal_ip(&datagrams[0].local, &loopback)); /* not 0.0.0.0 */
    assert_int_equal(datagrams[0].ecn, 2);
    assert_int_equal(datagrams[0].segment_size, 0);
    assert_int_equal(udp_receive(&b, datagrams), 0);
    udp_close(&a);
    udp_close(&b);
}

/* Whether or not the kernel splits and joins, the same packets arrive. */
static void segments(void **state) {
    (void)state;
    struct udp_socket a;
    struct udp_socket b;
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    static uint8_t bytes[3 * 1000 + 17];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i / 1000);
    }
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&loopback, &b), 0);
    if (!a.segments) {
        skip();
    }
    struct udp_datagram out = {
        .local = a.local, .remote = b.local, .segment_size = 1000, .bytes = BYTES_ARRAY(bytes)};
    assert_int_equal(udp_send(&a, &out), 0);
    size_t received = 0;
    size_t packets = 0;
    while (received < sizeof(bytes)) {
        size_t count = wait_receive(&b, datagrams);
        for (size_t i = 0; i < count; i++) {
            struct bytes rest = datagrams[i].bytes;
            size_t segment = datagrams[i].segment_size > 0 ? datagrams[i].segment_size : rest.size;
            while (rest.size > 0) {
                struct bytes packet = bytes_slice(rest, 0, segment);
                assert_int_equal(packet.data[0], packets);
                assert_int_equal(packet.size, packets < 3 ? 1000 : 17);
                packets++;
                received += packet.size;
                rest = bytes_slice(rest, packet.size, rest.size);
            }
        }
    }
    assert_int_equal(packets, 4);
    udp_close(&a);
    udp_close(&b);
}

/* More segments than the kernel takes are refused like those of an interface that cannot split:
 * they arrive all the same, and no more are tried. */
static void segments_one_by_one(void **state) {
    (void)state;
    struct udp_socket a;
    struct udp_socket b;
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    static uint8_t bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&loopback, &b), 0);
    if (!a.segments) {
        skip();
    }
    struct udp_datagram out = {
        .local = a.local, .remote = b.local, .segment_size = 1, .bytes = BYTES_ARRAY(bytes)};
    assert_int_equal(udp_send(&a, &out), 0);
    assert_false(a.segments);
    size_t received = 0;
    while (received < sizeof(bytes)) {
        size_t count = wait_receive(&b, datagrams);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < datagrams[i].bytes.size; j++) {
                assert_int_equal(datagrams[i].bytes.data[j], received++);
            }
        }
    }
    udp_close(&a);
    udp_close(&b);
}

static void batches(void **state) {
    (void)state;
    struct udp_socket a;
    struct udp_socket b;
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&loopback, &b), 0);
    for (uint8_t i = 0; i < 2 * UDP_BATCH_MAX; i++) {
        struct udp_datagram out = {.local = a.local, .remote = b.local, .bytes = bytes_of(&i, 1)};
        assert_int_equal(udp_send(&a, &out), 0);
    }
    size_t received = 0;
    while (received < 2 * UDP_BATCH_MAX) {
        size_t count = wait_receive(&b, datagrams);
        for (size_t i = 0; i < count; i++) {
            size_t step =
                datagrams[i].segment_size > 0 ? datagrams[i].segment_size : datagrams[i].bytes.size;
            for (size_t at = 0; at < datagrams[i].bytes.size; at += step) {
                assert_int_equal(datagrams[i].bytes.data[at], received++);
            }
        }
    }
    udp_close(&a);
    udp_close(&b);
}

/* A closed port answers with ICMP, which is told as a refusal and breaks nothing. */
static void refusals(void **state) {
    (void)state;
#ifdef __linux__
    struct udp_socket a;
    struct udp_socket closed;
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&loopback, &closed), 0);
    struct netaddr nobody = closed.local;
    udp_close(&closed);
    struct udp_datagram out = {
        .local = a.local, .remote = nobody, .bytes = BYTES_LITERAL("anybody?")};
    assert_int_equal(udp_send(&a, &out), 0);
    struct pollfd failed = {.fd = a.fd, .events = POLLIN};
    assert_int_equal(poll(&failed, 1, 5000), 1);
    struct netaddr remote;
    assert_true(udp_next_refusal(&a, &remote));
    assert_true(netaddr_equal(&remote, &nobody));
    assert_false(udp_next_refusal(&a, &remote));
    out.remote = a.local;
    assert_int_equal(udp_send(&a, &out), 0); /* the socket works on */
    udp_close(&a);
#else
    skip();
#endif
}

static void addresses_that_cannot_be_bound(void **state) {
    (void)state;
    struct udp_socket a;
    struct udp_socket b;
    const struct netaddr foreign = {.family = NETADDR_IP4, .ip = {192, 0, 2, 1}};
    assert_int_equal(udp_open(&foreign, &a), PLASM_IO);
    assert_int_equal(udp_open(&loopback, &a), 0);
    assert_int_equal(udp_open(&a.local, &b), PLASM_IO); /* in use */
    udp_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_datagram_with_ecn),
        cmocka_unit_test(segments),
        cmocka_unit_test(segments_one_by_one),
        cmocka_unit_test(batches),
        cmocka_unit_test(refusals),
        cmocka_unit_test(addresses_that_cannot_be_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
