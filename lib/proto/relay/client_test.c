/* The choice of relays: whom to ask first, refreshing, trying others, forgetting. */
#include "proto/relay/client.h"

#include "util/testing.h"

#define UNIX UINT64_C(1750000000)

struct fixture {
    struct memory memory;
    struct relay_client client;
};

static struct peer_id id_of(uint8_t number) {
    return (struct peer_id){.size = 34, .bytes = {0x12, 0x20, number}};
}

static struct multiaddr address_of(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

static void begin(struct fixture *fixture) {
    memory_init(&fixture->memory, SIZE_MAX);
    struct peer_id own = id_of(99);
    relay_client_init(&fixture->client, &own, &fixture->memory);
}

static void end(struct fixture *fixture) {
    relay_client_done(&fixture->client);
    assert_int_equal(fixture->memory.used, 0);
}

static int add(struct fixture *fixture, uint8_t number, bool configured) {
    struct multiaddr address = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct peer_id id = id_of(number);
    return relay_client_add(&fixture->client, &id, &address, 1, configured, 0);
}

/* The relay that is asked next, 0 for none. */
static uint8_t asked(struct fixture *fixture, nanos now, uint64_t *ret_ask) {
    struct relay_ask ask;
    if (!relay_client_next_ask(&fixture->client, now, &ask)) {
        return 0;
    }
    *ret_ask = ask.id;
    return ask.relay.bytes[2];
}

static int grant(struct fixture *fixture, uint64_t ask, uint64_t seconds, nanos now) {
    const struct relay_message message = {
        .type = RELAY_STATUS,
        .status = RELAY_STATUS_OK,
        .reservation = {.present = true, .expires_unix = UNIX + seconds}};
    struct multiaddr remote = address_of("/ip4/192.0.2.9/udp/1/quic-v1");
    return relay_client_answered(&fixture->client, ask, &message, &remote, UNIX, now);
}

static void two_are_kept(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    uint64_t first = 0;
    uint64_t second = 0;
    uint64_t more;
    assert_int_equal(add(&fixture, 1, false), 0);
    assert_int_equal(add(&fixture, 2, false), 0);
    assert_int_equal(add(&fixture, 3, true), 0);
    assert_int_equal(add(&fixture, 99, true), PLASM_LIMIT); /* ourselves */
    assert_int_equal(asked(&fixture, 0, &first), 0);        /* not enabled */
    assert_int_equal(relay_client_deadline(&fixture.client), NANOS_NEVER);
    relay_client_enable(&fixture.client, true, 0);
    assert_int_equal(asked(&fixture, 0, &first), 3); /* the operator's choice first */
    assert_int_equal(asked(&fixture, 0, &second), 1);
    assert_int_equal(asked(&fixture, 0, &more), 0);
    assert_int_equal(grant(&fixture, first, 3600, 0), 0);
    assert_int_equal(grant(&fixture, first, 3600, 0), PLASM_STATE); /* answered already */
    assert_true(relay_client_take_change(&fixture.client));
    assert_false(relay_client_take_change(&fixture.client));
    /* The other one refuses: the next is asked at once. */
    const struct relay_message refused = {.type = RELAY_STATUS,
                                          .status = RELAY_STATUS_RESERVATION_REFUSED};
    struct multiaddr remote = address_of("/ip4/192.0.2.9/udp/1/quic-v1");
    assert_int_equal(relay_client_answered(&fixture.client, second, &refused, &remote, UNIX, 0),
                     PLASM_REFUSED);
    assert_int_equal(asked(&fixture, 0, &second), 2);
    relay_client_failed(&fixture.client, second, 0);
    assert_int_equal(asked(&fixture, 0, &second), 0);
    assert_int_equal(relay_client_deadline(&fixture.client), RELAY_RETRY_PAUSE_MIN);
    assert_int_not_equal(asked(&fixture, RELAY_RETRY_PAUSE_MIN, &second), 0);
    assert_int_equal(relay_client_reservations(&fixture.client), 1);
    struct peer_id id = id_of(3);
    assert_true(relay_client_reserved(&fixture.client, &id));
    struct multiaddr own[8];
    assert_int_equal(relay_client_addresses(&fixture.client, own, 8), 1);
    assert_true(multiaddr_has(&own[0], MULTIADDR_P2P_CIRCUIT));
    relay_client_enable(&fixture.client, false, 0);
    assert_int_equal(relay_client_addresses(&fixture.client, own, 8), 0);
    assert_true(relay_client_take_change(&fixture.client));
    end(&fixture);
}

/* What a relay on the Internet says of networks that are none of others' business. */
static void relays_name_private_addresses(void **state) {
    (void)state;
    static const struct {
        const char *told;
        const char *remote;
        bool taken;
    } cases[] = {
        {"/ip4/127.0.0.1/udp/4001/quic-v1", "/ip4/80.1.1.1/udp/1/quic-v1", false},
        {"/ip4/192.168.1.1/udp/4001/quic-v1", "/ip4/80.1.1.1/udp/1/quic-v1", false},
        {"/ip4/224.0.0.1/udp/4001/quic-v1", "/ip4/80.1.1.1/udp/1/quic-v1", false},
        {"/ip4/81.1.1.1/udp/53", "/ip4/80.1.1.1/udp/1/quic-v1", false},
        {"/dns4/example.org/udp/4001/quic-v1", "/ip4/80.1.1.1/udp/1/quic-v1", false},
        {"/ip4/81.1.1.1/tcp/4001", "/ip4/80.1.1.1/udp/1/quic-v1", true},
        {"/ip6/2a01::1/udp/4001/quic-v1", "/ip4/192.168.1.9/udp/1/quic-v1", true},
        {"/ip4/192.168.1.1/udp/4001/quic-v1", "/ip4/192.168.1.9/udp/1/quic-v1", true},
        {"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/1", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture;
        uint64_t ask = 0;
        begin(&fixture);
        assert_int_equal(add(&fixture, 1, true), 0);
        relay_client_enable(&fixture.client, true, 0);
        assert_int_equal(asked(&fixture, 0, &ask), 1);
        struct multiaddr told = address_of(cases[i].told);
        struct multiaddr remote = address_of(cases[i].remote);
        const struct relay_message message = {
            .type = RELAY_STATUS,
            .status = RELAY_STATUS_OK,
            .reservation = {.present = true,
                            .expires_unix = UNIX + 10,
                            .address_count = 1,
                            .addresses = {multiaddr_bytes(&told)}}};
        assert_int_equal(relay_client_answered(&fixture.client, ask, &message, &remote, UNIX, 0),
                         0);
        struct multiaddr own[8];
        struct multiaddr wanted = cases[i].taken ? told : remote; /* where it certainly is */
        struct peer_id relay = id_of(1);
        assert_int_equal(relay_client_addresses(&fixture.client, own, 8), 1);
        assert_int_equal(multiaddr_append(&wanted, MULTIADDR_P2P, peer_id_bytes(&relay)), 0);
        assert_int_equal(multiaddr_append(&wanted, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
        assert_true(multiaddr_equal(&own[0], &wanted));
        end(&fixture);
    }
}

static void they_are_refreshed(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    uint64_t ask = 0;
    assert_int_equal(add(&fixture, 1, true), 0);
    relay_client_enable(&fixture.client, true, 0);
    assert_int_equal(asked(&fixture, 0, &ask), 1);
    assert_int_equal(grant(&fixture, ask, 100, 0), 0);
    assert_int_equal(relay_client_deadline(&fixture.client), 75 * NANOS_SECOND);
    assert_int_equal(asked(&fixture, 74 * NANOS_SECOND, &ask), 0);
    assert_int_equal(asked(&fixture, 75 * NANOS_SECOND, &ask), 1);
    assert_true(relay_client_take_change(&fixture.client));
    assert_int_equal(relay_client_reservations(&fixture.client), 1); /* meanwhile it holds */
    assert_int_equal(grant(&fixture, ask, 100, 80 * NANOS_SECOND), 0);
    assert_false(relay_client_take_change(&fixture.client)); /* same addresses */
    /* No answer to the next one: it is lost, and asked again later. */
    assert_int_equal(asked(&fixture, 155 * NANOS_SECOND, &ask), 1);
    relay_client_expire(&fixture.client, 155 * NANOS_SECOND + RELAY_ANSWER_TIMEOUT);
    assert_int_equal(relay_client_reservations(&fixture.client), 0);
    assert_true(relay_client_take_change(&fixture.client));
    relay_client_failed(&fixture.client, ask, 180 * NANOS_SECOND); /* too late to matter */
    assert_int_equal(asked(&fixture, 186 * NANOS_SECOND, &ask), 1);
    assert_int_equal(grant(&fixture, ask, 100, 186 * NANOS_SECOND), 0);
    /* The connection is gone: asked at once. */
    struct peer_id id = id_of(1);
    relay_client_disconnected(&fixture.client, &id, 190 * NANOS_SECOND);
    assert_int_equal(relay_client_reservations(&fixture.client), 0);
    assert_int_equal(asked(&fixture, 190 * NANOS_SECOND, &ask), 1);
    end(&fixture);
}

static void addresses_are_checked(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    uint64_t ask = 0;
    assert_int_equal(add(&fixture, 1, true), 0);
    relay_client_enable(&fixture.client, true, 0);
    assert_int_equal(asked(&fixture, 0, &ask), 1);
    struct multiaddr good = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct multiaddr named = good;
    struct multiaddr foreign = address_of("/ip4/192.0.2.2/udp/4001/quic-v1");
    struct multiaddr behind = address_of("/ip4/192.0.2.3/udp/4001/quic-v1");
    struct peer_id relay = id_of(1);
    struct peer_id other = id_of(2);
    assert_int_equal(multiaddr_append(&named, MULTIADDR_P2P, peer_id_bytes(&relay)), 0);
    assert_int_equal(multiaddr_append(&foreign, MULTIADDR_P2P, peer_id_bytes(&other)), 0);
    assert_int_equal(multiaddr_append(&behind, MULTIADDR_P2P, peer_id_bytes(&relay)), 0);
    assert_int_equal(multiaddr_append(&behind, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
    const struct relay_message message = {
        .type = RELAY_STATUS,
        .status = RELAY_STATUS_OK,
        .reservation = {.present = true,
                        .expires_unix = UNIX + 10,
                        .address_count = 5,
                        .addresses = {multiaddr_bytes(&foreign), multiaddr_bytes(&behind),
                                      BYTES_LITERAL("junk"), multiaddr_bytes(&good),
                                      multiaddr_bytes(&named)}}};
    struct multiaddr remote = address_of("/ip4/192.0.2.9/udp/1/quic-v1");
    assert_int_equal(relay_client_answered(&fixture.client, ask, &message, &remote, UNIX, 0), 0);
    struct multiaddr own[8];
    assert_int_equal(relay_client_addresses(&fixture.client, own, 8), 1);
    assert_int_equal(multiaddr_append(&named, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
    assert_true(multiaddr_equal(&own[0], &named));
    end(&fixture);
}

static void answers_are_checked(void **state) {
    (void)state;
    static const struct {
        struct relay_message message;
        int error;
    } cases[] = {
        {{.type = RELAY_CONNECT}, PLASM_MALFORMED},
        {{.type = RELAY_STATUS, .status = RELAY_STATUS_OK}, PLASM_MALFORMED}, /* no reservation */
        {{.type = RELAY_STATUS, .status = 999}, PLASM_MALFORMED},
        {{.type = RELAY_STATUS, .status = RELAY_STATUS_PERMISSION_DENIED}, PLASM_REFUSED},
        {{.type = RELAY_STATUS,
          .status = RELAY_STATUS_OK,
          .reservation = {.present = true, .expires_unix = UNIX}},
         PLASM_EXPIRED},
        {{.type = RELAY_STATUS,
          .status = RELAY_STATUS_OK,
          .reservation = {.present = true,
                          .expires_unix = UNIX + 10,
                          .voucher = {(const uint8_t *)"x", 1}}},
         PLASM_MALFORMED},
    };
    struct multiaddr remote = address_of("/ip4/192.0.2.9/udp/1/quic-v1");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture;
        begin(&fixture);
        uint64_t ask = 0;
        assert_int_equal(add(&fixture, 1, true), 0);
        relay_client_enable(&fixture.client, true, 0);
        assert_int_equal(asked(&fixture, 0, &ask), 1);
        assert_int_equal(
            relay_client_answered(&fixture.client, ask, &cases[i].message, &remote, UNIX, 0),
            cases[i].error);
        assert_int_equal(relay_client_reservations(&fixture.client), 0);
        end(&fixture);
    }
}

/* Newcomers push out only those that failed, and never the operator's. */
static void there_is_a_bound(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    for (uint8_t i = 1; i <= RELAY_CANDIDATES_MAX; i++) {
        assert_int_equal(add(&fixture, i, false), 0);
    }
    assert_int_equal(add(&fixture, 50, false), PLASM_LIMIT);
    assert_int_equal(add(&fixture, 51, true), 0);
    relay_client_enable(&fixture.client, true, 0);
    uint64_t ask = 0;
    assert_int_equal(asked(&fixture, 0, &ask), 51);
    assert_int_not_equal(asked(&fixture, 0, &ask), 0);
    relay_client_failed(&fixture.client, ask, 0);
    assert_int_equal(add(&fixture, 52, false), 0);
    assert_int_equal(add(&fixture, 53, false), PLASM_LIMIT);
    assert_int_equal(fixture.client.candidates.size, RELAY_CANDIDATES_MAX);
    end(&fixture);
}

static void pauses_grow(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    assert_int_equal(add(&fixture, 1, true), 0);
    relay_client_enable(&fixture.client, true, 0);
    nanos now = 0;
    nanos before = 0;
    for (int i = 0; i < 20; i++) {
        uint64_t ask = 0;
        assert_int_equal(asked(&fixture, now, &ask), 1);
        relay_client_failed(&fixture.client, ask, now);
        nanos pause = relay_client_deadline(&fixture.client) - now;
        assert_in_range(pause, before, RELAY_RETRY_PAUSE_MAX);
        before = pause;
        now += pause;
    }
    assert_int_equal(before, RELAY_RETRY_PAUSE_MAX);
    struct memory_failing memory;
    memory_failing_init(&memory, 0, true);
    struct peer_id own = id_of(99);
    struct peer_id other = id_of(1);
    struct relay_client poor;
    relay_client_init(&poor, &own, &memory.memory);
    assert_int_equal(relay_client_add(&poor, &other, NULL, 0, true, 0), PLASM_NO_MEMORY);
    relay_client_done(&poor);
    end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relays_name_private_addresses),
        cmocka_unit_test(two_are_kept),
        cmocka_unit_test(they_are_refreshed),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(answers_are_checked),
        cmocka_unit_test(there_is_a_bound),
        cmocka_unit_test(pauses_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
