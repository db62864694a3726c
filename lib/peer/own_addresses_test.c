/* What the address book concludes from what it is told. */
#include "peer/own_addresses.h"

#include <stdio.h>

#include "util/testing.h"

#define NOW (1000 * NANOS_SECOND)

struct fixture {
    struct memory_failing failing;
    struct own_addresses book;
};

static void begin(struct fixture *fixture) {
    memory_failing_init(&fixture->failing, SIZE_MAX, false);
    own_addresses_init(&fixture->book, &fixture->failing.memory);
}

static void end(struct fixture *fixture) {
    own_addresses_done(&fixture->book);
    assert_int_equal(fixture->failing.memory.used, 0);
}

static struct multiaddr parse(const char *text) {
    struct multiaddr address;
    ENSURE(multiaddr_parse(bytes_of_string(text), &address) == 0);
    return address;
}

static void set(struct fixture *fixture, enum own_source source, const char *text) {
    struct multiaddr address;
    if (text != NULL) {
        address = parse(text);
    }
    own_addresses_set(&fixture->book, source, &address, text != NULL ? 1 : 0, NOW);
}

static struct netaddr ip(const char *text) {
    struct netaddr address;
    ENSURE(netaddr_parse_ip(bytes_of_string(text), &address) == 0);
    return address;
}

static void observe(struct fixture *fixture, const char *observer, const char *seen) {
    struct multiaddr address = parse(seen);
    struct netaddr from = ip(observer);
    own_addresses_observe(&fixture->book, &address, &from, true, NOW);
}

static bool published(struct fixture *fixture, const char *text) {
    struct multiaddr out[PEER_OWN_ADDRESSES_MAX];
    struct multiaddr wanted = parse(text);
    size_t count = own_addresses_publish(&fixture->book, out, PEER_OWN_ADDRESSES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (multiaddr_equal(&out[i], &wanted)) {
            return true;
        }
    }
    return false;
}

/* By the server of this number, in a network of its own. */
static void probed(struct fixture *fixture, const char *text, uint64_t server, int error) {
    struct multiaddr address = parse(text);
    struct netaddr from = {.family = NETADDR_IP4, .ip = {(uint8_t)server, 1, 1, 1}, .port = 4001};
    own_addresses_probed(&fixture->book, &address, &from, server, false, error, NOW);
}

/* The same of a server that speaks v1. */
static void claimed(struct fixture *fixture, const char *text, uint64_t server) {
    struct multiaddr address = parse(text);
    struct netaddr from = {.family = NETADDR_IP4, .ip = {(uint8_t)server, 1, 1, 1}, .port = 4001};
    own_addresses_probed(&fixture->book, &address, &from, 100 + server, true, 0, NOW);
}

/* The servers 1 to `count` are there. */
static void servers(struct fixture *fixture, size_t count) {
    struct netaddr there[32];
    for (size_t i = 0; i < count; i++) {
        there[i] = (struct netaddr){
            .family = NETADDR_IP4, .ip = {(uint8_t)(i + 1), 1, 1, 1}, .port = 4001};
    }
    own_addresses_servers(&fixture->book, there, count);
}

#define INSIDE  "/ip4/192.168.1.2/udp/4001/quic-v1"
#define OUTSIDE "/ip4/80.1.2.3/udp/4001/quic-v1"
#define RELAYED                                                                                    \
    "/ip4/81.1.1.1/udp/4001/quic-v1/p2p/"                                                          \
    "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit"

static void four_networks_make_an_address(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    assert_true(published(&fixture, INSIDE));
    observe(&fixture, "1.1.1.1", OUTSIDE);
    observe(&fixture, "2.1.1.1", OUTSIDE);
    observe(&fixture, "3.1.1.1", OUTSIDE);
    observe(&fixture, "3.1.1.2", OUTSIDE); /* the same network once more */
    observe(&fixture, "3.1.1.1", OUTSIDE);
    assert_false(published(&fixture, OUTSIDE));
    observe(&fixture, "4.1.1.1", OUTSIDE);
    assert_true(published(&fixture, OUTSIDE));
    assert_true(published(&fixture, INSIDE));
    assert_int_equal(own_addresses_nat(&fixture.book, false), NAT_ENDPOINT_INDEPENDENT);
    own_addresses_expire(&fixture.book, NOW + OWN_OBSERVATION_LIFE);
    assert_false(published(&fixture, OUTSIDE));
    end(&fixture);
}

static void a_proof_is_enough(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    struct multiaddr asked;
    struct netaddr server = ip("1.1.1.1");
    assert_false(own_addresses_next_probe(&fixture.book, &server, 1, NOW, &asked));
    nanos due = own_addresses_probe_deadline(&fixture.book);
    assert_true(due == NOW + OWN_PROBE_FIRST);
    assert_true(own_addresses_next_probe(&fixture.book, &server, 1, due, &asked));
    struct multiaddr wanted = parse(OUTSIDE);
    assert_true(multiaddr_equal(&asked, &wanted)); /* and not the private one */
    probed(&fixture, OUTSIDE, 1, 0);
    assert_true(published(&fixture, OUTSIDE));
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    end(&fixture);
}

/* Where there are several servers, one of them may say what it likes. */
static void one_word_of_several(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    servers(&fixture, 5);
    probed(&fixture, OUTSIDE, 1, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    struct multiaddr address = parse(OUTSIDE);
    for (uint64_t name = 100; name < 150; name++) { /* and its other names do not count */
        struct netaddr from = ip("1.1.7.7");
        own_addresses_probed(&fixture.book, &address, &from, name, false, 0, NOW);
    }
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    assert_true(own_addresses_probe_deadline(&fixture.book) <= NOW + OWN_PROBE_CONFIRM);
    struct netaddr same = ip("1.1.9.9");
    struct netaddr other = ip("2.1.1.1");
    nanos due = NOW + OWN_PROBE_CONFIRM;
    assert_false(own_addresses_next_probe(&fixture.book, &same, 200, due, &address));
    assert_true(own_addresses_next_probe(&fixture.book, &other, 2, due, &address));
    probed(&fixture, OUTSIDE, 2, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    probed(&fixture, OUTSIDE, 3, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    due = NOW + OWN_PROBE_PUBLIC;
    assert_false(own_addresses_next_probe(&fixture.book, &other, 2, due - 1, &address));
    assert_true(own_addresses_next_probe(&fixture.book, &other, 2, due, &address));
    /* A few who do not reach it change nothing, the most do. */
    for (uint64_t server = 4; server <= 6; server++) {
        probed(&fixture, OUTSIDE, server, PLASM_UNREACHABLE);
        assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    }
    probed(&fixture, OUTSIDE, 7, PLASM_UNREACHABLE);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PRIVATE);
    end(&fixture);
}

/* The only server's word is taken, until there are others. */
static void the_only_server(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    servers(&fixture, 1);
    probed(&fixture, OUTSIDE, 1, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    probed(&fixture, OUTSIDE, 1, PLASM_UNREACHABLE); /* once may be chance */
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    probed(&fixture, OUTSIDE, 1, 0);
    servers(&fixture, 2);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    struct multiaddr asked;
    struct netaddr second = ip("2.1.1.1"); /* is asked at once */
    assert_true(own_addresses_next_probe(&fixture.book, &second, 2, NOW, &asked));
    probed(&fixture, OUTSIDE, 2, PLASM_UNREACHABLE);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    probed(&fixture, OUTSIDE, 2, PLASM_UNREACHABLE); /* one word against another */
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    end(&fixture);
}

/* A loopback address is said to nobody who has another one to go to. */
static void loopback(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    struct multiaddr both[] = {parse("/ip6/::1/udp/4001/quic-v1"), parse(INSIDE)};
    own_addresses_set(&fixture.book, OWN_INTERFACE, both, 2, NOW);
    assert_true(published(&fixture, INSIDE));
    assert_false(published(&fixture, "/ip6/::1/udp/4001/quic-v1"));
    own_addresses_set(&fixture.book, OWN_INTERFACE, both, 1, NOW);
    assert_true(published(&fixture, "/ip6/::1/udp/4001/quic-v1"));
    end(&fixture);
}

static void behind_a_nat(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    set(&fixture, OWN_RELAYED, RELAYED);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    probed(&fixture, OUTSIDE, 1, PLASM_UNREACHABLE);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    probed(&fixture, OUTSIDE, 1, PLASM_UNREACHABLE);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PRIVATE);
    assert_true(published(&fixture, RELAYED));
    assert_false(published(&fixture, OUTSIDE));
    /* The operator forwards the port: the relay is not needed any more, as soon as those agree that
     * can tell. */
    probed(&fixture, OUTSIDE, 2, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PRIVATE);
    probed(&fixture, OUTSIDE, 1, 0);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    assert_true(published(&fixture, OUTSIDE));
    assert_false(published(&fixture, RELAYED));
    set(&fixture, OWN_RELAYED, NULL);
    /* Another network: all that does not count any more. */
    own_addresses_reset(&fixture.book, NOW);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    assert_false(published(&fixture, OUTSIDE));
    assert_true(published(&fixture, INSIDE));
    end(&fixture);
}

static void firewalled(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, OUTSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    assert_int_equal(own_addresses_nat(&fixture.book, false), NAT_NONE);
    probed(&fixture, OUTSIDE, 1, PLASM_UNREACHABLE);
    probed(&fixture, OUTSIDE, 2, PLASM_UNREACHABLE);
    assert_true(published(&fixture, OUTSIDE)); /* better than nothing */
    set(&fixture, OWN_RELAYED, RELAYED);
    assert_false(published(&fixture, OUTSIDE));
    end(&fixture);
}

static void symmetric_nat(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", "/ip4/80.1.2.3/udp/1001/quic-v1");
    observe(&fixture, "2.1.1.1", "/ip4/80.1.2.3/udp/1002/quic-v1");
    observe(&fixture, "3.1.1.1", "/ip4/80.1.2.3/udp/1003/quic-v1");
    assert_int_equal(own_addresses_nat(&fixture.book, false), NAT_SYMMETRIC);
    assert_false(published(&fixture, "/ip4/80.1.2.3/udp/1001/quic-v1"));
    struct netaddr server = ip("1.1.1.1");
    struct multiaddr asked;
    assert_false(own_addresses_next_probe(&fixture.book, &server, 1, NOW + NANOS_MINUTE, &asked));
    /* A mapping by the router is another matter. */
    set(&fixture, OWN_MAPPED, OUTSIDE);
    assert_true(published(&fixture, OUTSIDE));
    end(&fixture);
}

static void lies_about_us(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "10.0.0.9", OUTSIDE); /* from inside nobody can tell */
    observe(&fixture, "1.1.1.1", "/ip4/127.0.0.1/udp/1/quic-v1");
    observe(&fixture, "1.1.1.1", "/ip6/2001:4860::1/udp/1/quic-v1");
    observe(&fixture, "1.1.1.1", "/dns4/example.org/udp/1/quic-v1");
    observe(&fixture, "1.1.1.1", "/ip4/80.1.2.3/tcp/4001"); /* we listen on no TCP */
    assert_int_equal(fixture.book.count, 1);
    for (unsigned i = 0; i < 1000; i++) { /* one liar with a thousand names */
        char from[32];
        char seen[64];
        (void)snprintf(from, sizeof(from), "5.%u.%u.1", i / 250, i % 250);
        (void)snprintf(seen, sizeof(seen), "/ip4/80.%u.%u.3/udp/1/quic-v1", i / 250, i % 250);
        observe(&fixture, from, seen);
    }
    assert_true(fixture.book.count <= OWN_ADDRESSES_MAX);
    assert_true(fixture.book.observation_count == OWN_OBSERVATIONS_MAX);
    struct multiaddr out[PEER_OWN_ADDRESSES_MAX];
    assert_int_equal(own_addresses_publish(&fixture.book, out, PEER_OWN_ADDRESSES_MAX), 1);
    end(&fixture);
}

static void without_memory(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct fixture fixture;
        memory_failing_init(&fixture.failing, n, false);
        own_addresses_init(&fixture.book, &fixture.failing.memory);
        set(&fixture, OWN_INTERFACE, INSIDE);
        observe(&fixture, "1.1.1.1", OUTSIDE);
        set(&fixture, OWN_RELAYED, RELAYED);
        probed(&fixture, OUTSIDE, 1, 0);
        failed = fixture.failing.failed;
        assert_true(failed || published(&fixture, OUTSIDE));
        end(&fixture);
    }
}

/* Strangers who come to us and each see us elsewhere take no place from what is sure, nor from
 * those who agree. */
static void a_crowd_of_liars(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    char observer[NETADDR_TEXT_MAX];
    char seen[64];
    for (int i = 0; i < 100; i++) {
        snprintf(observer, sizeof(observer), "5.5.%d.1", i);
        snprintf(seen, sizeof(seen), "/ip4/90.0.0.%d/udp/4001/quic-v1", i + 1);
        struct multiaddr address = parse(seen);
        struct netaddr from = ip(observer);
        own_addresses_observe(&fixture.book, &address, &from, false, NOW);
    }
    set(&fixture, OWN_RELAYED, RELAYED);
    assert_true(published(&fixture, RELAYED));
    set(&fixture, OWN_MAPPED, "/ip4/80.1.2.4/udp/4001/quic-v1");
    assert_true(published(&fixture, "/ip4/80.1.2.4/udp/4001/quic-v1"));
    for (int i = 0; i < OWN_OBSERVERS_MIN; i++) {
        snprintf(observer, sizeof(observer), "6.6.%d.1", i);
        observe(&fixture, observer, OUTSIDE);
    }
    assert_true(published(&fixture, OUTSIDE));
    end(&fixture);
}

/* Whoever has an IPv6 network has as many addresses as he likes, and one voice. */
static void one_voice_a_network(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    char observer[NETADDR_TEXT_MAX];
    for (int i = 0; i < 2 * OWN_OBSERVATIONS_MAX; i++) {
        snprintf(observer, sizeof(observer), "2a01:1:2:3::%x", i + 1);
        observe(&fixture, observer, "/ip6/2a02::1/udp/4001/quic-v1");
    }
    assert_int_equal(fixture.book.observation_count, 2);
    end(&fixture);
}

/* A proof and what others claim go together; claims alone take more. */
static void a_proof_and_a_claim(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    servers(&fixture, 2);
    probed(&fixture, OUTSIDE, 1, 0);
    claimed(&fixture, OUTSIDE, 1); /* the same group is one voice */
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    claimed(&fixture, OUTSIDE, 2);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    end(&fixture);
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    servers(&fixture, 2);
    claimed(&fixture, OUTSIDE, 1);
    claimed(&fixture, OUTSIDE, 2);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    claimed(&fixture, OUTSIDE, 3);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    end(&fixture);
}

/* Who does not try it is not waited for, as long as he is there and says nothing else. */
static void who_refuses_is_not_waited_for(void **state) {
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    set(&fixture, OWN_INTERFACE, INSIDE);
    observe(&fixture, "1.1.1.1", OUTSIDE);
    servers(&fixture, 3);
    probed(&fixture, OUTSIDE, 1, 0);
    probed(&fixture, OUTSIDE, 2, 0);
    probed(&fixture, OUTSIDE, 7, PLASM_REFUSED); /* who is not there counts for nothing */
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_UNKNOWN);
    probed(&fixture, OUTSIDE, 3, PLASM_REFUSED);
    assert_int_equal(own_addresses_reachability(&fixture.book), REACHABILITY_PUBLIC);
    end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_networks_make_an_address),
        cmocka_unit_test(a_proof_is_enough),
        cmocka_unit_test(one_word_of_several),
        cmocka_unit_test(the_only_server),
        cmocka_unit_test(a_proof_and_a_claim),
        cmocka_unit_test(who_refuses_is_not_waited_for),
        cmocka_unit_test(loopback),
        cmocka_unit_test(behind_a_nat),
        cmocka_unit_test(firewalled),
        cmocka_unit_test(symmetric_nat),
        cmocka_unit_test(lies_about_us),
        cmocka_unit_test(a_crowd_of_liars),
        cmocka_unit_test(one_voice_a_network),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
