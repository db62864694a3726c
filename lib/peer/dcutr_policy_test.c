/* What the other side of a hole punch can make us do, and what not. */
#include "peer/dcutr_policy.h"

#include <stdio.h>

#include "util/testing.h"

static struct multiaddr parse(const char *text) {
    struct multiaddr address;
    ENSURE(multiaddr_parse(bytes_of_string(text), &address) == 0);
    return address;
}

static struct netaddr ip(const char *text) {
    struct netaddr address;
    ENSURE(netaddr_parse_ip(bytes_of_string(text), &address) == 0);
    return address;
}

/* How many of two offered addresses are tried where we have `own`, by a relay at `relay_ip`. */
static size_t tried(const char *first, const char *second, const char *relay_ip, const char *own) {
    struct multiaddr offered[2] = {parse(first), parse(second)};
    struct multiaddr mine = parse(own);
    struct multiaddr targets[PUNCH_TARGETS_MAX];
    struct netaddr relay = ip(relay_ip);
    return punch_targets(offered, 2, &relay, &mine, 1, targets);
}

#define PUBLIC  "/ip4/80.1.2.3/udp/4001/quic-v1"
#define PRIVATE "/ip4/192.168.1.7/udp/4001/quic-v1"
#define RELAY   "81.1.1.1"

static void networks(void **state) {
    (void)state;
    assert_int_equal(tried(PUBLIC, PRIVATE, RELAY, "/ip4/90.1.2.3/udp/1/quic-v1"), 1);
    assert_int_equal(tried(PUBLIC, PRIVATE, RELAY, "/ip4/192.168.2.3/tcp/1"), 1);
    assert_int_equal(tried(PUBLIC, PRIVATE, RELAY, "/ip4/192.168.1.3/tcp/1"), 2);
    assert_int_equal(tried(PUBLIC, PRIVATE, RELAY, "/ip4/80.1.2.3/udp/9/quic-v1"), 2); /* its NAT */
    assert_int_equal(tried(PUBLIC, PRIVATE, "10.0.0.1", "/ip4/90.1.2.3/udp/1/quic-v1"), 2);
    const char *loopback = "/ip4/127.0.0.1/udp/1/quic-v1";
    assert_int_equal(tried(PUBLIC, loopback, RELAY, loopback), 1);
    assert_int_equal(tried(PUBLIC, loopback, "127.0.0.1", PUBLIC), 2);
    assert_int_equal(tried("/ip4/224.0.0.1/udp/1/quic-v1", "/ip4/255.255.255.255/udp/1/quic-v1",
                           "224.0.0.1", PUBLIC),
                     0);
    assert_int_equal(tried("/dns4/example.org/udp/1/quic-v1", "/ip4/80.1.1.1/udp/1", RELAY, PUBLIC),
                     0);
}

static void many_ports_of_one_host(void **state) {
    (void)state;
    struct multiaddr offered[16];
    struct multiaddr targets[PUNCH_TARGETS_MAX];
    struct netaddr relay = ip(RELAY);
    char text[64];
    for (size_t i = 0; i < 16; i++) {
        snprintf(text, sizeof(text), "/ip4/80.1.2.3/udp/%zu/quic-v1", i + 1);
        offered[i] = parse(text);
    }
    assert_int_equal(punch_targets(offered, 16, &relay, NULL, 0, targets),
                     PUNCH_TARGETS_PER_IP_MAX);
    assert_true(multiaddr_equal(&targets[1], &offered[1]));
    for (size_t i = 0; i < 16; i++) {
        snprintf(text, sizeof(text), "/ip4/80.1.2.%zu/udp/1/quic-v1", i + 1);
        offered[i] = parse(text);
    }
    assert_int_equal(punch_targets(offered, 16, &relay, NULL, 0, targets), PUNCH_TARGETS_MAX);
}

static size_t taken(struct punch_limiter *limiter, unsigned peers, unsigned relays, nanos now) {
    size_t count = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct peer_id peer = {.size = 8};
        struct netaddr relay = {.family = NETADDR_IP4, .ip = {81, 1, 1, (uint8_t)(i % relays)}};
        peer.bytes[0] = (uint8_t)(i % peers);
        peer.bytes[1] = (uint8_t)(i % peers >> 8);
        count += punch_limiter_take(limiter, &peer, &relay, now);
    }
    return count;
}

static void rates(void **state) {
    (void)state;
    struct punch_limiter limiter;
    memset(&limiter, 0, sizeof(limiter));
    nanos now = 1000 * NANOS_SECOND;
    assert_int_equal(taken(&limiter, 1, 1, now), PUNCHES_PER_PEER_PER_MINUTE);
    assert_int_equal(taken(&limiter, 1, 7, now + NANOS_SECOND), 0); /* by other relays */
    assert_int_equal(taken(&limiter, 500, 1, now + NANOS_MINUTE), PUNCHES_PER_RELAY_PER_MINUTE);
    assert_int_equal(taken(&limiter, 500, 7, now + 2 * NANOS_MINUTE), PUNCHES_PER_MINUTE);
    assert_int_equal(taken(&limiter, 500, 7, now + 3 * NANOS_MINUTE - 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks),
        cmocka_unit_test(many_ports_of_one_host),
        cmocka_unit_test(rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
