/* Who is let in, who has to prove its address, who is refused and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "util/admission.h"
#include "util/memory.h"

static const uint64_t secret[2] = {1, 2};
static struct memory memory;
static struct admission admission;

static struct netaddr address(const char *ip) {
    struct netaddr result;
    assert_int_equal(netaddr_parse_ip(bytes_of_string(ip), &result), 0);
    return result;
}

static struct netprefix prefix(const char *text) {
    struct netprefix result;
    assert_int_equal(netprefix_parse(bytes_of_string(text), &result), 0);
    return result;
}

static int set_up(void **state) {
    (void)state;
    const struct admission_limits limits = {.connections_inbound_max = 5,
                                            .handshakes_inbound_max = 2,
                                            .connections_per_ip_max = 2,
                                            .connections_per_ip6_48_max = 3,
                                            .accepts_per_ip_per_second = 1,
                                            .accepts_per_ip_burst = 3,
                                            .retry_accepts_per_second = 4};
    memory_init(&memory, 1 << 20);
    admission_init(&admission, &limits, &memory, secret);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    admission_done(&admission);
    assert_int_equal(memory.used, 0);
    return 0;
}

static enum admission_verdict ask(const char *ip, bool proven, nanos now) {
    struct netaddr remote = address(ip);
    const char *reason = NULL;
    enum admission_verdict verdict = admission_ask(&admission, &remote, proven, now, &reason);
    assert_int_equal(reason != NULL, verdict == ADMISSION_REFUSED);
    return verdict;
}

static void prefixes(void **state) {
    (void)state;
    static const struct {
        const char *prefix;
        const char *ip;
        bool has;
    } cases[] = {
        {"203.0.113.0/24", "203.0.113.255", true},
        {"203.0.113.0/24", "203.0.114.0", false},
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7", "203.0.113.6", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/0", "::ffff:8.8.8.8", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"10.0.0.0/9", "10.128.0.0", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct netprefix one = prefix(cases[i].prefix);
        struct netaddr ip = address(cases[i].ip);
        assert_int_equal(netprefix_has(&one, &ip), cases[i].has);
    }
    static const char *const bad[] = {"",           "/8",         "1.2.3/8",
                                      "1.2.3.4/33", "1.2.3.4/",   "::/129",
                                      "1.2.3.4/-1", "1.2.3.4/8x", "1.2.3.4/0008"};
    struct netprefix unused;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(netprefix_parse(bytes_of_string(bad[i]), &unused), PLASM_MALFORMED);
    }
}

/* An address that may be forged is asked to prove itself, never named. */
static void rates(void **state) {
    (void)state;
    nanos now = NANOS_SECOND;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask("203.0.113.1", false, now), ADMISSION_WELCOME);
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ask("203.0.113.1", false, now), ADMISSION_PROVE);
    }
    struct admission_offender offender;
    assert_false(admission_next_offender(&admission, &offender));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask("203.0.113.1", true, now), ADMISSION_WELCOME);
    }
    assert_int_equal(ask("203.0.113.1", true, now), ADMISSION_REFUSED);
    assert_int_equal(ask("203.0.113.2", true, now), ADMISSION_WELCOME);
    assert_int_equal(ask("203.0.113.1", true, now + NANOS_SECOND), ADMISSION_WELCOME);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask("127.0.0.1", true, now), ADMISSION_WELCOME);
    }
}

static void named_once(void **state) {
    (void)state;
    nanos now = 100 * NANOS_SECOND;
    struct admission_offender offender;
    for (int i = 0; i < 3 + 49; i++) {
        (void)ask("203.0.113.1", true, now + (nanos)i * 10 * NANOS_MILLISECOND);
        assert_false(admission_next_offender(&admission, &offender));
    }
    now += NANOS_SECOND / 2;
    (void)ask("203.0.113.1", true, now);
    assert_true(admission_next_offender(&admission, &offender));
    assert_int_equal(offender.offence, ADMISSION_RATE);
    assert_int_equal(offender.count, 50);
    assert_int_equal(offender.seconds, 1);
    for (int i = 0; i < 10000; i++) {
        now += 10 * NANOS_MILLISECOND; /* for 100 seconds */
        (void)ask("203.0.113.1", true, now);
    }
    assert_false(admission_next_offender(&admission, &offender));
    /* A minute of peace, and it begins anew. */
    now += 2 * ADMISSION_OFFENCE_WINDOW;
    struct netaddr remote = address("203.0.113.1");
    admission_blame(&admission, &remote, ADMISSION_STREAMS, 199, now);
    assert_false(admission_next_offender(&admission, &offender));
    admission_offend(&admission, &remote, ADMISSION_STREAMS, now + NANOS_SECOND);
    assert_true(admission_next_offender(&admission, &offender));
    assert_string_equal(admission_offence_why(offender.offence), "stream flood");
    /* Few over a long time are no flood. */
    remote = address("203.0.113.9");
    for (int i = 0; i < 100; i++) {
        now += 20 * NANOS_SECOND;
        admission_offend(&admission, &remote, ADMISSION_PROTOCOL, now);
    }
    assert_false(admission_next_offender(&admission, &offender));
}

static void counts(void **state) {
    (void)state;
    struct admission_ticket tickets[5] = {{.begun = false}};
    struct netaddr remote = address("2001:db8::1");
    nanos now = NANOS_SECOND;
    assert_false(admission_is_full_of_handshakes(&admission, admission.handshakes));
    admission_begin(&admission, &tickets[0], &remote, false);
    admission_begin(&admission, &tickets[1], &remote, false);
    assert_true(admission_is_full_of_handshakes(&admission, admission.handshakes));
    assert_int_equal(admission_connect(&admission, &tickets[0]), 0);
    assert_int_equal(admission_connect(&admission, &tickets[1]), 0);
    assert_false(admission_is_full_of_handshakes(&admission, admission.handshakes));
    assert_int_equal(admission_count(&admission, &remote), 2);
    assert_int_equal(ask("2001:db8::2", true, now), ADMISSION_REFUSED);
    assert_int_equal(ask("2001:db8:0:100::1", true, now), ADMISSION_WELCOME);
    /* One moves on to another /56; the /48 stays. */
    struct netaddr moved = address("2001:db8:0:100::1");
    admission_move(&admission, &tickets[1], &moved);
    assert_int_equal(admission_count(&admission, &remote), 1);
    assert_int_equal(admission_count(&admission, &moved), 1);
    struct netaddr third = address("2001:db8:0:200::1");
    admission_begin(&admission, &tickets[2], &third, false);
    assert_int_equal(admission_connect(&admission, &tickets[2]), 0);
    assert_int_equal(ask("2001:db8:0:300::1", true, now), ADMISSION_REFUSED);
    /* Loopback has no share of its own, but the whole is bounded. */
    struct netaddr local = address("127.0.0.1");
    for (size_t i = 3; i < 5; i++) {
        admission_begin(&admission, &tickets[i], &local, false);
        assert_int_equal(admission_connect(&admission, &tickets[i]), 0);
    }
    assert_int_equal(ask("127.0.0.1", true, now), ADMISSION_REFUSED);
    for (size_t i = 0; i < 5; i++) {
        admission_end(&admission, &tickets[i]);
        admission_end(&admission, &tickets[i]);
    }
    assert_int_equal(admission.inbound, 0);
    assert_int_equal(admission_count(&admission, &moved), 0);
}

/* When all places are taken, a network with fewer gets one of the network with most. */
static void crowded(void **state) {
    (void)state;
    struct admission_ticket tickets[7] = {{.begun = false}};
    static const char *const ips[] = {"203.0.1.1", "203.0.2.1", "203.0.3.1", "198.51.1.1",
                                      "198.51.2.1"};
    for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
        struct netaddr remote = address(ips[i]);
        admission_begin(&admission, &tickets[i], &remote, true);
        assert_int_equal(admission_connect(&admission, &tickets[i]), 0);
    }
    assert_false(admission_is_crowded(&admission));
    nanos now = NANOS_SECOND;
    assert_int_equal(ask("203.0.4.1", true, now), ADMISSION_REFUSED);
    assert_int_equal(ask("198.51.3.1", true, now), ADMISSION_REFUSED); /* it would change sides */
    assert_int_equal(ask("192.0.1.1", true, now), ADMISSION_WELCOME);
    assert_int_equal(ask("2001:db8::1", false, now), ADMISSION_WELCOME);
    struct netaddr most = address("203.0.9.9");
    struct netaddr fewer = address("198.51.9.9");
    struct netaddr new = address("192.0.1.1");
    for (size_t i = 5; i < 7; i++) {
        admission_begin(&admission, &tickets[i], &new, true);
        assert_int_equal(admission_connect(&admission, &tickets[i]), 0);
        assert_true(admission_is_crowded(&admission));
    }
    assert_true(admission_yields(&admission, &most));
    assert_false(admission_yields(&admission, &fewer));
    assert_true(admission_outranks(&admission, &new));
    assert_false(admission_outranks(&admission, &most));
    /* Where nobody ends any, it is over when as many came as may be on their way. */
    assert_int_equal(ask("2001:db8::1", true, now), ADMISSION_REFUSED);
    for (size_t i = 0; i < 7; i++) {
        admission_end(&admission, &tickets[i]);
    }
    assert_int_equal(network_groups_largest(&admission.networks), 0);
}

static void rules(void **state) {
    (void)state;
    struct netprefix denied[] = {prefix("203.0.113.0/24")};
    struct netprefix allowed[] = {prefix("203.0.113.7")};
    assert_int_equal(admission_set_rules(&admission, denied, 1, allowed, 1), 0);
    assert_int_equal(ask("203.0.113.6", false, 1), ADMISSION_REFUSED);
    assert_int_equal(ask("203.0.113.7", false, 1), ADMISSION_WELCOME);
    assert_int_equal(ask("203.0.114.6", false, 1), ADMISSION_WELCOME);
    assert_int_equal(admission_set_rules(&admission, NULL, 0, NULL, 0), 0);
    assert_int_equal(ask("203.0.113.6", false, 1), ADMISSION_WELCOME);
}

/* Programs of this machine are of no network that could be too many; what comes through relays is
 * of one. */
static void this_machine_yields_to_nobody(void **state) {
    (void)state;
    struct admission_ticket tickets[5] = {{.begun = false}};
    struct netaddr local = address("127.0.0.1");
    struct netaddr other = address("203.0.1.1");
    const struct netaddr relayed = {.family = NETADDR_NONE};
    for (size_t i = 0; i < 5; i++) {
        admission_begin(&admission, &tickets[i], i < 3 ? &local : i < 4 ? &other : &relayed, true);
        assert_int_equal(admission_connect(&admission, &tickets[i]), 0);
    }
    assert_false(admission_yields(&admission, &local));
    assert_true(admission_yields(&admission, &other));
    assert_true(admission_yields(&admission, &relayed));
    for (size_t i = 0; i < 5; i++) {
        admission_end(&admission, &tickets[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prefixes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(named_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crowded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(this_machine_yields_to_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
