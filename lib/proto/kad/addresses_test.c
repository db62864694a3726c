/* Packed addresses: bounds, order, whose they are, and the networks they lie in. */
#include "proto/kad/addresses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/multiaddr.h"

static const struct peer_id peer = {.size = 38, .bytes = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, 7}};

static struct multiaddr address_of(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

static bool add(struct kad_addresses *addresses, const char *text) {
    struct multiaddr address = address_of(text);
    return kad_addresses_add(addresses, &peer, multiaddr_bytes(&address));
}

static struct kad_groups groups_of(const char *text) {
    struct kad_addresses addresses = {0};
    assert_true(add(&addresses, text));
    return kad_groups_of(NULL, kad_addresses_bytes(&addresses));
}

static void what_is_kept_is_bounded(void **state) {
    (void)state;
    struct kad_addresses addresses = {0};
    for (int i = 0; i < 20; i++) {
        char text[64];
        snprintf(text, sizeof(text), "/ip4/192.0.2.%d/udp/4001/quic-v1", i);
        assert_int_equal(add(&addresses, text), i < KAD_ADDRESSES_MAX);
        assert_false(add(&addresses, text));
    }
    assert_int_equal(addresses.count, KAD_ADDRESSES_MAX);
    struct bytes packed = kad_addresses_bytes(&addresses);
    struct bytes address;
    size_t count = 0;
    while (kad_address_next(&packed, &address)) {
        struct multiaddr decoded;
        assert_int_equal(multiaddr_decode(address, &decoded), 0);
        count++;
    }
    assert_int_equal(count, KAD_ADDRESSES_MAX);
}

static void long_addresses_end_at_the_bytes(void **state) {
    (void)state;
    struct kad_addresses addresses = {0};
    for (int i = 0; i < 20; i++) {
        char text[256];
        snprintf(text, sizeof(text), "/dns4/%0200d.example/udp/4001/quic-v1", i);
        (void)add(&addresses, text);
        assert_true(addresses.size <= KAD_ADDRESSES_BYTES_MAX);
    }
    assert_int_equal(addresses.count, 2);
}

static void the_peer_at_the_end_is_cut_off(void **state) {
    (void)state;
    struct multiaddr plain = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct multiaddr own = plain;
    assert_int_equal(multiaddr_append(&own, MULTIADDR_P2P, peer_id_bytes(&peer)), 0);
    struct kad_addresses addresses = {0};
    assert_true(kad_addresses_add(&addresses, &peer, multiaddr_bytes(&own)));
    assert_false(kad_addresses_add(&addresses, &peer, multiaddr_bytes(&plain)));
    struct bytes packed = kad_addresses_bytes(&addresses);
    struct bytes address;
    assert_true(kad_address_next(&packed, &address));
    assert_true(bytes_equal(address, multiaddr_bytes(&plain)));
    /* Somebody else's, nobody's address, and nothing but a peer. */
    struct peer_id other = peer;
    other.bytes[10] = 1;
    struct multiaddr others = plain;
    assert_int_equal(multiaddr_append(&others, MULTIADDR_P2P, peer_id_bytes(&other)), 0);
    assert_false(kad_addresses_add(&addresses, &peer, multiaddr_bytes(&others)));
    assert_false(kad_addresses_add(&addresses, &peer, BYTES_LITERAL("rubbish")));
    assert_false(kad_addresses_add(&addresses, &peer, bytes_of(NULL, 0)));
    struct multiaddr bare = {.size = 0};
    assert_int_equal(multiaddr_append(&bare, MULTIADDR_P2P, peer_id_bytes(&peer)), 0);
    assert_false(kad_addresses_add(&addresses, &peer, multiaddr_bytes(&bare)));
    /* A relay's own id in the middle stays. */
    struct multiaddr relayed = others;
    assert_int_equal(multiaddr_append(&relayed, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
    assert_true(kad_addresses_add(&addresses, &peer, multiaddr_bytes(&relayed)));
    assert_int_equal(addresses.count, 2);
}

static void plain_addresses_come_first(void **state) {
    (void)state;
    const char *texts[] = {"/dns4/example.org/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4001/ws",
                           "/ip6/2001:db8::1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4001"};
    const int order[] = {2, 3, 0, 1};
    struct multiaddr addresses[4];
    struct bytes list[5];
    for (size_t i = 0; i < 4; i++) {
        addresses[i] = address_of(texts[i]);
        list[i] = multiaddr_bytes(&addresses[i]);
    }
    list[4] = BYTES_LITERAL("\x04rubbish");
    struct kad_addresses packed = {0};
    kad_addresses_add_list(&packed, &peer, list, 5);
    assert_int_equal(packed.count, 4);
    struct bytes rest = kad_addresses_bytes(&packed);
    struct bytes address;
    for (size_t i = 0; i < 4; i++) {
        assert_true(kad_address_next(&rest, &address));
        assert_true(bytes_equal(address, list[order[i]]));
    }
}

static void groups_are_networks(void **state) {
    (void)state;
    struct kad_groups a = groups_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct kad_groups b = groups_of("/ip4/192.0.77.9/tcp/1");
    struct kad_groups c = groups_of("/ip4/192.1.2.1/udp/4001/quic-v1");
    assert_true(kad_groups_meet(&a, &b));
    assert_false(kad_groups_meet(&a, &c));
    struct kad_groups v6 = groups_of("/ip6/2001:db8:1::1/udp/4001/quic-v1");
    struct kad_groups w6 = groups_of("/ip6/2001:db8:ffff::9/udp/4001/quic-v1");
    struct kad_groups x6 = groups_of("/ip6/2001:db9::1/udp/4001/quic-v1");
    assert_true(kad_groups_meet(&v6, &w6));
    assert_false(kad_groups_meet(&v6, &x6));
    /* IPv4 in IPv6's clothes is IPv4. */
    struct kad_groups mapped = groups_of("/ip6/::ffff:192.0.2.7/udp/4001/quic-v1");
    assert_true(kad_groups_meet(&a, &mapped));
    assert_int_equal(mapped.ip6, 0);
    /* 0.0.x.x is a group as well as any other. */
    struct kad_groups zero = groups_of("/ip4/0.0.0.1/udp/4001/quic-v1");
    assert_true(kad_groups_meet(&zero, &zero));
    const char *exempt[] = {"/ip4/10.1.2.3/udp/1/quic-v1", "/ip4/127.0.0.1/udp/1/quic-v1",
                            "/ip4/192.168.1.1/udp/1/quic-v1", "/ip6/::1/udp/1/quic-v1",
                            "/ip6/fd00::1/udp/1/quic-v1"};
    /* Names cost nothing: those who have nothing else are one group. */
    struct kad_groups named = groups_of("/dns4/one.example/udp/4001/quic-v1");
    struct kad_groups other = groups_of("/dns6/two.example/tcp/4001");
    assert_true(kad_groups_meet(&named, &other));
    assert_false(kad_groups_meet(&named, &zero));
    for (size_t i = 0; i < ARRAY_SIZE(exempt); i++) {
        struct kad_groups none = groups_of(exempt[i]);
        assert_false(kad_groups_meet(&none, &none));
    }
}

/* What a peer says of itself does not matter where its connection shows where it is. */
static void the_connection_decides(void **state) {
    (void)state;
    struct kad_addresses addresses = {0};
    assert_true(add(&addresses, "/ip4/10.0.0.1/udp/4001/quic-v1"));
    struct netaddr remote = {.family = NETADDR_IP4, .ip = {192, 0, 2, 1}};
    struct kad_groups groups = kad_groups_of(&remote, kad_addresses_bytes(&addresses));
    struct kad_groups expected = groups_of("/ip4/192.0.3.3/udp/4001/quic-v1");
    assert_true(kad_groups_meet(&groups, &expected));
    remote = (struct netaddr){.family = NETADDR_IP4, .ip = {127, 0, 0, 1}};
    assert_true(add(&addresses, "/ip4/192.0.2.1/udp/4001/quic-v1"));
    groups = kad_groups_of(&remote, kad_addresses_bytes(&addresses));
    assert_false(kad_groups_meet(&groups, &expected));
}

static void private_is_known(void **state) {
    (void)state;
    const char *private[] = {"/ip4/10.1.2.3/udp/1/quic-v1", "/ip6/fe80::1/tcp/1",
                             "/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"};
    const char *public[] = {"/ip4/192.0.2.1/udp/1/quic-v1", "/dns/example.org/tcp/1",
                            "/ip6/2001:db8::1/tcp/1"};
    for (size_t i = 0; i < ARRAY_SIZE(private); i++) {
        struct multiaddr address = address_of(private[i]);
        assert_true(kad_address_is_private(multiaddr_bytes(&address)));
    }
    for (size_t i = 0; i < ARRAY_SIZE(public); i++) {
        struct multiaddr address = address_of(public[i]);
        assert_false(kad_address_is_private(multiaddr_bytes(&address)));
    }
    assert_false(kad_address_is_private(BYTES_LITERAL("rubbish")));
    assert_false(kad_address_is_private(bytes_of(NULL, 0)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(long_addresses_end_at_the_bytes),
        cmocka_unit_test(the_peer_at_the_end_is_cut_off),
        cmocka_unit_test(plain_addresses_come_first),
        cmocka_unit_test(groups_are_networks),
        cmocka_unit_test(the_connection_decides),
        cmocka_unit_test(private_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
