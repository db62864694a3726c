/* The relay's promises: limits a peer, an address and in all, refreshing, circuits' bytes and time,
 * floods, allocations that fail. */
#include "proto/relay/server.h"

#include "util/testing.h"

static struct peer_id id_of(unsigned number) {
    struct peer_id id = {.size = 8, .bytes = {0, 6}};
    memcpy(id.bytes + 2, &number, sizeof(number));
    return id;
}

static struct netaddr ip4(uint8_t a, uint8_t b) {
    return (struct netaddr){.family = NETADDR_IP4, .ip = {192, 0, a, b}, .port = 1};
}

struct fixture {
    struct memory memory;
    struct relay_server server;
};

static void begin(struct fixture *fixture, const struct relay_limits *limits) {
    const uint64_t secret[2] = {1, 2};
    memory_init(&fixture->memory, SIZE_MAX);
    relay_server_init(&fixture->server, limits, &fixture->memory, secret);
}

static void end(struct fixture *fixture) {
    relay_server_done(&fixture->server);
    assert_int_equal(fixture->memory.used, 0);
}

static enum relay_status reserve(struct fixture *fixture, unsigned peer, const struct netaddr *from,
                                 nanos now) {
    struct peer_id id = id_of(peer);
    nanos until = 0;
    enum relay_status status = relay_server_reserve(&fixture->server, &id, from, now, &until);
    assert_int_equal(until,
                     status == RELAY_STATUS_OK ? now + fixture->server.limits.reservation_life : 0);
    return status;
}

static enum relay_status connect(struct fixture *fixture, unsigned from, unsigned to,
                                 struct relay_circuit **ret_circuit) {
    struct peer_id source = id_of(from);
    struct peer_id target = id_of(to);
    return relay_server_connect(&fixture->server, &source, &target, ret_circuit);
}

static void reservations_have_limits(void **state) {
    (void)state;
    struct fixture fixture;
    struct relay_limits limits = relay_limits_default;
    limits.reservations_max = 20;
    limits.reservations_per_ip_max = 3;
    begin(&fixture, &limits);
    struct netaddr one = ip4(2, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(reserve(&fixture, i, &one, 0), RELAY_STATUS_OK);
    }
    assert_int_equal(reserve(&fixture, 3, &one, 0), RELAY_STATUS_RESERVATION_REFUSED);
    /* Who has one refreshes it, whatever the limits. */
    assert_int_equal(reserve(&fixture, 2, &one, 0), RELAY_STATUS_OK);
    /* An IPv6 customer has a /56. */
    struct netaddr six = {.family = NETADDR_IP6, .ip = {0x20, 1, 0xd, 0xb8}};
    for (unsigned i = 10; i < 14; i++) {
        six.ip[7] = (uint8_t)i; /* the last byte outside the /56 */
        six.ip[15] = (uint8_t)i;
        assert_int_equal(reserve(&fixture, i, &six, 0),
                         i < 13 ? RELAY_STATUS_OK : RELAY_STATUS_RESERVATION_REFUSED);
    }
    /* Loopback and addresses that are none do not count for themselves, but in all. */
    struct netaddr loopback = {.family = NETADDR_IP4, .ip = {127, 0, 0, 1}};
    for (unsigned i = 20; i < 40; i++) {
        enum relay_status status = reserve(&fixture, i, i % 2 == 0 ? &loopback : NULL, 0);
        assert_int_equal(status, i < 34 ? RELAY_STATUS_OK : RELAY_STATUS_RESERVATION_REFUSED);
    }
    assert_int_equal(fixture.server.reservations, 20);
    struct peer_id gone = id_of(0);
    relay_server_release(&fixture.server, &gone);
    relay_server_release(&fixture.server, &gone);
    assert_false(relay_server_serves(&fixture.server, &gone));
    assert_int_equal(reserve(&fixture, 3, &one, 0), RELAY_STATUS_OK);
    end(&fixture);
}

static void reservations_end(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture, &relay_limits_default);
    assert_int_equal(relay_server_deadline(&fixture.server), NANOS_NEVER);
    assert_int_equal(reserve(&fixture, 1, NULL, 100), RELAY_STATUS_OK);
    assert_int_equal(relay_server_deadline(&fixture.server), 100 + NANOS_HOUR);
    assert_int_equal(reserve(&fixture, 1, NULL, NANOS_HOUR / 2), RELAY_STATUS_OK);
    assert_null(relay_server_expire(&fixture.server, 100 + NANOS_HOUR));
    struct peer_id id = id_of(1);
    assert_true(relay_server_serves(&fixture.server, &id));
    assert_null(relay_server_expire(&fixture.server, NANOS_HOUR / 2 + NANOS_HOUR));
    assert_false(relay_server_serves(&fixture.server, &id));
    struct relay_circuit *circuit = NULL;
    assert_int_equal(connect(&fixture, 2, 1, &circuit), RELAY_STATUS_NO_RESERVATION);
    assert_int_equal(fixture.server.peers.size, 0);
    end(&fixture);
}

/* Every refresh costs a signature. */
static void floods_are_refused(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture, &relay_limits_default);
    size_t granted = 0;
    for (size_t i = 0; i < 100000; i++) { /* ten minutes */
        granted += reserve(&fixture, 1, NULL, i * 6 * NANOS_MILLISECOND) == RELAY_STATUS_OK;
    }
    assert_in_range(granted, 10 * RELAY_REFRESHES_PER_MINUTE,
                    10 * RELAY_REFRESHES_PER_MINUTE + RELAY_REFRESHES_BURST);
    size_t used = fixture.memory.used;
    for (unsigned i = 0; i < 10000; i++) {
        (void)reserve(&fixture, 100 + i, NULL, NANOS_HOUR / 2);
    }
    assert_int_equal(fixture.server.reservations, relay_limits_default.reservations_max);
    assert_int_equal(fixture.server.peers.size, relay_limits_default.reservations_max);
    assert_true(fixture.memory.used - used < 100000);
    end(&fixture);
}

static void circuits_have_limits(void **state) {
    (void)state;
    struct fixture fixture;
    struct relay_limits limits = relay_limits_default;
    limits.circuits_max = 3;
    limits.circuits_per_peer_max = 2;
    limits.circuit_bytes_max = 1000;
    limits.circuit_duration_max = NANOS_MINUTE;
    begin(&fixture, &limits);
    struct relay_circuit *circuits[4];
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(reserve(&fixture, i, NULL, 0), RELAY_STATUS_OK);
    }
    assert_int_equal(connect(&fixture, 1, 1, &circuits[0]), RELAY_STATUS_PERMISSION_DENIED);
    assert_int_equal(connect(&fixture, 1, 9, &circuits[0]), RELAY_STATUS_NO_RESERVATION);
    assert_int_equal(connect(&fixture, 9, 1, &circuits[0]), RELAY_STATUS_OK);
    assert_int_equal(connect(&fixture, 8, 1, &circuits[1]), RELAY_STATUS_OK);
    assert_int_equal(connect(&fixture, 7, 1, &circuits[3]), RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
    assert_int_equal(connect(&fixture, 9, 2, &circuits[2]), RELAY_STATUS_OK);
    assert_int_equal(connect(&fixture, 8, 3, &circuits[3]), RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
    assert_int_equal(fixture.server.peers.size, 5); /* who was refused left nothing */
    /* Bytes, each direction by itself. */
    assert_int_equal(relay_circuit_take(circuits[0], RELAY_TO_TARGET, 600), 600);
    assert_int_equal(relay_circuit_take(circuits[0], RELAY_TO_SOURCE, 1000), 1000);
    assert_int_equal(relay_circuit_take(circuits[0], RELAY_TO_TARGET, 600), 400);
    assert_int_equal(relay_circuit_take(circuits[0], RELAY_TO_TARGET, 1), 0);
    /* Time, from the moment both sides agreed. */
    assert_int_equal(relay_circuit_begin(circuits[1], 5), 0);
    assert_int_equal(relay_circuit_begin(circuits[2], 7), 0);
    assert_null(relay_server_expire(&fixture.server, NANOS_MINUTE));
    assert_ptr_equal(relay_server_expire(&fixture.server, NANOS_MINUTE + 5), circuits[1]);
    assert_null(relay_server_expire(&fixture.server, NANOS_MINUTE + 5));
    struct relay_limit told = relay_server_limit(&fixture.server);
    assert_true(told.present);
    assert_int_equal(told.duration_seconds, 60);
    assert_int_equal(told.data_bytes, 1000);
    for (size_t i = 0; i < 3; i++) {
        relay_circuit_end(circuits[i]);
    }
    assert_int_equal(fixture.server.peers.size, 3);
    end(&fixture);
}

static void without_limits(void **state) {
    (void)state;
    struct fixture fixture;
    struct relay_limits limits = relay_limits_default;
    limits.circuit_bytes_max = 0;
    limits.circuit_duration_max = 0;
    begin(&fixture, &limits);
    assert_false(relay_server_limit(&fixture.server).present);
    struct relay_circuit *circuit = NULL;
    assert_int_equal(reserve(&fixture, 1, NULL, 0), RELAY_STATUS_OK);
    assert_int_equal(connect(&fixture, 2, 1, &circuit), RELAY_STATUS_OK);
    assert_int_equal(relay_circuit_begin(circuit, 0), 0);
    assert_int_equal(relay_circuit_take(circuit, RELAY_TO_TARGET, SIZE_MAX / 2), SIZE_MAX / 2);
    assert_null(relay_server_expire(&fixture.server, NANOS_NEVER - 1));
    relay_circuit_end(circuit);
    end(&fixture);
}

static void allocations_fail(void **state) {
    (void)state;
    bool failed = true;
    size_t n = 0;
    for (; failed; n++) {
        struct memory_failing memory;
        memory_failing_init(&memory, n, n % 2 == 0);
        const uint64_t secret[2] = {1, 2};
        struct relay_server server;
        relay_server_init(&server, &relay_limits_default, &memory.memory, secret);
        struct netaddr from = ip4(1, 1);
        struct peer_id one = id_of(1);
        struct peer_id two = id_of(2);
        nanos until;
        enum relay_status status = relay_server_reserve(&server, &one, &from, 0, &until);
        assert_true(status == RELAY_STATUS_OK || status == RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED);
        struct relay_circuit *circuit = NULL;
        if (relay_server_connect(&server, &two, &one, &circuit) == RELAY_STATUS_OK) {
            int error = relay_circuit_begin(circuit, 0);
            assert_true(error == 0 || error == PLASM_NO_MEMORY);
            relay_circuit_end(circuit);
        }
        failed = memory.failed;
        relay_server_done(&server);
        assert_int_equal(memory.memory.used, 0);
    }
    assert_true(n > 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reservations_have_limits), cmocka_unit_test(reservations_end),
        cmocka_unit_test(floods_are_refused),       cmocka_unit_test(circuits_have_limits),
        cmocka_unit_test(without_limits),           cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
