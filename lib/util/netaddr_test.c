/* Tests of IP addresses: spelling, equality, classes. */
#include "util/netaddr.h"

#include "util/testing.h"

static struct netaddr parse(const char *text) {
    struct netaddr address;
    if (netaddr_parse_ip(bytes_of_string(text), &address) != 0) {
        fail_msg("%s", text);
    }
    return address;
}

static void spelling(void **state) {
    (void)state;
    /* RFC 5952's form comes out, whatever went in. */
    static const struct {
        const char *in;
        const char *ip;
        const char *with_port;
        uint8_t family;
    } vectors[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.1:4001", NETADDR_IP4},
        {"255.255.255.255", "255.255.255.255", "255.255.255.255:4001", NETADDR_IP4},
        {"::", "::", "[::]:4001", NETADDR_IP6},
        {"::1", "::1", "[::1]:4001", NETADDR_IP6},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", "[2001:db8::1]:4001", NETADDR_IP6},
        {"2001:0db8:1:1:1:1:1:1", "2001:db8:1:1:1:1:1:1", "[2001:db8:1:1:1:1:1:1]:4001",
         NETADDR_IP6},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:4001", NETADDR_IP6},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:4001", NETADDR_IP6},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct netaddr address = parse(vectors[i].in);
        char room[NETADDR_TEXT_MAX];
        assert_int_equal(address.family, vectors[i].family);
        assert_int_equal(address.port, 0);
        assert_int_equal(address.scope, 0);
        netaddr_format_ip(&address, room);
        assert_string_equal(room, vectors[i].ip);
        address.port = 4001;
        netaddr_format(&address, room);
        assert_string_equal(room, vectors[i].with_port);
    }
    struct netaddr last = parse("::1");
    char room[NETADDR_TEXT_MAX];
    last.port = 65535;
    netaddr_format(&last, room);
    assert_string_equal(room, "[::1]:65535");
}

static void refuses_what_is_no_address(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "0x1.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:80",
        "1.2.3.4/8",
        "[::1]",
        "::1%lo",
        ":::",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "localhost",
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct netaddr address = {.port = 77};
        assert_int_equal(netaddr_parse_ip(bytes_of_string(bad[i]), &address), PLASM_MALFORMED);
        assert_int_equal(address.port, 77);
    }
    struct netaddr address;
    assert_int_equal(netaddr_parse_ip(BYTES_LITERAL("1.2.3.4\0"), &address), PLASM_MALFORMED);
}

static void random_round_trips(void **state) {
    (void)state;
    uint64_t seed = 46;
    for (int round = 0; round < 20000; round++) {
        struct netaddr address = {.family = round % 2 == 0 ? NETADDR_IP4 : NETADDR_IP6};
        struct netaddr again;
        char room[NETADDR_TEXT_MAX];
        test_random_fill(&seed, address.ip, round % 2 == 0 ? 4 : 16);
        for (size_t i = 0; i < 16; i += 2) {
            if (test_random(&seed) % 2 == 0) {
                address.ip[i] = 0;
                address.ip[i + 1] = 0;
            }
        }
        netaddr_format_ip(&address, room);
        assert_int_equal(netaddr_parse_ip(bytes_of_string(room), &again), 0);
        assert_true(netaddr_equal(&address, &again));
    }
}

static void equality(void **state) {
    (void)state;
    struct netaddr a = parse("192.0.2.1");
    struct netaddr b = a;
    assert_true(netaddr_equal(&a, &b));
    b.port = 1;
    assert_false(netaddr_equal(&a, &b));
    assert_true(netaddr_equal_ip(&a, &b));
    b = parse("192.0.2.2");
    assert_false(netaddr_equal_ip(&a, &b));
    a = parse("fe80::1");
    b = a;
    b.scope = 2;
    assert_false(netaddr_equal_ip(&a, &b));
    assert_false(netaddr_equal(&a, &b));
    /* The same leading bytes in another family. */
    a = parse("1.2.3.4");
    b = parse("102:304::");
    assert_false(netaddr_equal_ip(&a, &b));
}

static void bytes_of_the_ip(void **state) {
    (void)state;
    struct netaddr none = {.family = NETADDR_NONE};
    struct netaddr four = parse("192.0.2.1");
    struct netaddr six = parse("2001:db8::1");
    assert_int_equal(netaddr_ip(&none).size, 0);
    assert_bytes_equal(netaddr_ip(&four), test_hex("c0000201"));
    assert_bytes_equal(netaddr_ip(&six), test_hex("20010db8000000000000000000000001"));
}

static void classes(void **state) {
    (void)state;
    static const struct {
        const char *ip;
        bool loopback;
        bool unspecified;
        bool private;
    } vectors[] = {
        {"127.0.0.1", true, false, true},
        {"127.255.255.255", true, false, true},
        {"128.0.0.1", false, false, false},
        {"0.0.0.0", false, true, false},
        {"0.0.0.1", false, false, false},
        {"9.255.255.255", false, false, false},
        {"10.0.0.0", false, false, true},
        {"10.255.255.255", false, false, true},
        {"11.0.0.0", false, false, false},
        {"172.15.255.255", false, false, false},
        {"172.16.0.0", false, false, true},
        {"172.31.255.255", false, false, true},
        {"172.32.0.0", false, false, false},
        {"192.167.255.255", false, false, false},
        {"192.168.0.0", false, false, true},
        {"192.169.0.0", false, false, false},
        {"169.253.0.0", false, false, false},
        {"169.254.0.1", false, false, true},
        {"8.8.8.8", false, false, false},
        {"::1", true, false, true},
        {"::2", false, false, false},
        {"::", false, true, false},
        {"fc00::", false, false, true},
        {"fdff:ffff::", false, false, true},
        {"fbff::", false, false, false},
        {"fe00::", false, false, false},
        {"fe80::1", false, false, true},
        {"febf::", false, false, true},
        {"fec0::", false, false, false},
        {"2001:db8::1", false, false, false},
        /* An IPv4 address inside an IPv6 one is what it is outside. */
        {"::ffff:127.0.0.1", true, false, true},
        {"::ffff:0.0.0.0", false, true, false},
        {"::ffff:10.0.0.1", false, false, true},
        {"::ffff:169.254.1.1", false, false, true},
        {"::ffff:8.8.8.8", false, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct netaddr address = parse(vectors[i].ip);
        if (netaddr_is_loopback(&address) != vectors[i].loopback ||
            netaddr_is_unspecified(&address) != vectors[i].unspecified ||
            netaddr_is_private(&address) != vectors[i].private) {
            fail_msg("%s", vectors[i].ip);
        }
    }
    struct netaddr none = {.family = NETADDR_NONE};
    assert_false(netaddr_is_loopback(&none));
    assert_false(netaddr_is_private(&none));
    assert_true(netaddr_is_unspecified(&none));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling),           cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(random_round_trips), cmocka_unit_test(equality),
        cmocka_unit_test(bytes_of_the_ip),    cmocka_unit_test(classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
