/* Addresses as people write them. */
#include "host/address.h"

#include "util/testing.h"

static void expect(const char *text, const char *multiaddr) {
    struct multiaddr address;
    assert_int_equal(address_parse(bytes_of_string(text), &address), 0);
    char written[MULTIADDR_TEXT_MAX];
    assert_int_equal(multiaddr_format(&address, written, sizeof(written)), 0);
    assert_string_equal(written, multiaddr);
}

static void hosts_and_multiaddrs(void **state) {
    (void)state;
    expect("192.0.2.1", "/ip4/192.0.2.1/udp/4001");
    expect("192.0.2.1:5000", "/ip4/192.0.2.1/udp/5000");
    expect("2001:db8::1", "/ip6/2001:db8::1/udp/4001");
    expect("[2001:db8::1]", "/ip6/2001:db8::1/udp/4001");
    expect("[2001:db8::1]:65535", "/ip6/2001:db8::1/udp/65535");
    expect("worker.example", "/dns/worker.example/udp/4001");
    expect("worker.example:1", "/dns/worker.example/udp/1");
    expect("/dnsaddr/bootstrap.example", "/dnsaddr/bootstrap.example");
    expect("/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/udp/1/quic-v1");
}

static void what_is_no_address(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",      ":4001",   "host:",         "host:0",      "host:65536", "host:99999999999",
        "ho st", "[::1",    "[::1]x",        "[::1]:70000", "/ip4/1.2.3", "host/path",
        "-:x",   "[host]:", "1.2.3.4:4001x",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct multiaddr address;
        assert_int_not_equal(address_parse(bytes_of_string(texts[i]), &address), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_multiaddrs),
        cmocka_unit_test(what_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
