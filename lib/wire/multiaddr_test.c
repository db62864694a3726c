/* Tests of multiaddrs: published examples, refusals, bounds, round trips of random addresses. */
#include "wire/multiaddr.h"

#include "util/testing.h"
#include "wire/multibase.h"
#include "wire/multihash.h"
#include "wire/varint.h"

#define PEER     "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
#define PEER_HEX "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define QM       "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"
#define QM_HEX   "1220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b"

/* Text and binary. The first three and "/ip4/192.0.2.42/tcp/443" are from go-multiaddr's
 * multiaddr_test.go and multiformats/multiaddr's test/multiaddr.feature; the others were put
 * together by hand from protocols.csv. */
static const struct {
    const char *text;
    const char *hex;
} vectors[] = {
    {"/ip4/127.0.0.1/udp/1234", "047f000001910204d2"},
    {"/ip4/127.0.0.1/tcp/4321", "047f0000010610e1"},
    {"/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"},
    {"/ip4/192.0.2.42/tcp/443", "04c000022a0601bb"},
    {"/ip4/127.0.0.1/udp/4001/quic-v1", "047f00000191020fa1cd03"},
    {"/ip6/::1/udp/0/quic-v1", "290000000000000000000000000000000191020000cd03"},
    {"/ip6/2001:db8::/ipcidr/32", "2920010db80000000000000000000000002b20"},
    {"/ip6zone/eth0/ip6/fe80::1", "2a046574683029fe800000000000000000000000000001"},
    {"/dns/example.com", "350b6578616d706c652e636f6d"},
    {"/dns4/a", "360161"},
    {"/dns6/a/tcp/65535", "37016106ffff"},
    {"/dnsaddr/bootstrap.libp2p.io", "3813626f6f7473747261702e6c69627032702e696f"},
    {"/tcp/1/tls/sni/a/ws", "060001c003c1030161dd03"},
    {"/tcp/1/wss", "060001de03"},
    {"/tcp/1/noise", "060001c603"},
    {"/tcp/1/http", "060001e003"},
    {"/udp/1/quic", "91020001cc03"},
    {"/udp/1/webrtc-direct", "910200019802"},
    {"/udp/1/webrtc", "910200019902"},
    {"/quic-v1/webtransport/certhash/uEgGq", "cd03d103d203031201aa"},
    {"/p2p/" PEER, "a50326" PEER_HEX},
    {"/p2p/" QM, "a50322" QM_HEX},
    {"/p2p/" QM "/p2p-circuit/p2p/" PEER, "a50322" QM_HEX "a202a50326" PEER_HEX},
};

static struct multiaddr parse(const char *text) {
    struct multiaddr address;
    int error = multiaddr_parse(bytes_of_string(text), &address);
    if (error != 0) {
        fail_msg("%s: %d", text, error);
    }
    return address;
}

static void text_and_binary_agree(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct multiaddr from_text = parse(vectors[i].text);
        assert_bytes_equal(multiaddr_bytes(&from_text), test_hex(vectors[i].hex));
        struct multiaddr from_binary;
        assert_int_equal(multiaddr_decode(test_hex(vectors[i].hex), &from_binary), 0);
        assert_true(multiaddr_equal(&from_text, &from_binary));
        char text[MULTIADDR_TEXT_MAX];
        assert_int_equal(multiaddr_format(&from_binary, text, sizeof(text)), 0);
        assert_string_equal(text, vectors[i].text);
        size_t text_size = strlen(text);
        assert_int_equal(multiaddr_format(&from_binary, text, text_size + 1), 0);
        for (size_t room_size = 0; room_size <= text_size; room_size++) {
            assert_int_equal(multiaddr_format(&from_binary, text, room_size), PLASM_TOO_LARGE);
        }
    }
}

/* Accepted by go-multiaddr (the list `good` of its multiaddr_test.go), as far as we have the
 * protocols; some come back in another spelling. */
static void accepts_what_others_accept(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *again; /* NULL: the same */
    } good[] = {
        {"/ip4/1.2.3.4", NULL},
        {"/ip4/0.0.0.0", NULL},
        {"/ip4/192.0.2.0/ipcidr/24", NULL},
        {"/ip6/::1", NULL},
        {"/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21", NULL},
        {"/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/udp/1234/quic-v1", NULL},
        {"/ip6zone/x/ip6/fe80::1", NULL},
        {"/ip6zone/x%y/ip6/fe80::1", NULL},
        {"/ip6zone/x%y/ip6/::", NULL},
        {"/ip6zone/x/ip6/fe80::1/udp/1234/quic-v1", NULL},
        {"/udp/0", NULL},
        {"/tcp/65535", NULL},
        {"/ipfs/" QM, "/p2p/" QM},
        {"/ipfs/" QM "/tcp/1234", "/p2p/" QM "/tcp/1234"},
        {"/p2p/bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm",
         "/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"},
        {"/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV", NULL},
        {"/p2p/bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u",
         "/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"},
        {"/tcp/1234/tls/http", NULL},
        {"/ip4/127.0.0.1/tcp/1234/", "/ip4/127.0.0.1/tcp/1234"},
        {"/ip4/127.0.0.1/tcp/1234///", "/ip4/127.0.0.1/tcp/1234"},
        {"/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy",
         "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw"},
        {"/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41",
         "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"},
        {"/ip4/127.0.0.1/p2p/" QM "/tcp/1234", NULL},
        {"/ip4/127.0.0.1/tcp/443/tls/sni/example.com/http", NULL},
        {"/ip4/127.0.0.1/tcp/127/webrtc-direct", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct multiaddr address = parse(good[i].text);
        char text[MULTIADDR_TEXT_MAX];
        assert_int_equal(multiaddr_format(&address, text, sizeof(text)), 0);
        assert_string_equal(text, good[i].again != NULL ? good[i].again : good[i].text);
        struct multiaddr again;
        assert_int_equal(multiaddr_decode(multiaddr_bytes(&address), &again), 0);
        assert_true(multiaddr_equal(&address, &again));
    }
}

/* Refused by go-multiaddr (TestConstructFails), and more. */
static void refuses_bad_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", PLASM_MALFORMED},
        {"/", PLASM_MALFORMED},
        {"//", PLASM_MALFORMED},
        {"ip4/1.2.3.4", PLASM_MALFORMED},
        {"/ip4", PLASM_MALFORMED},
        {"/ip4/", PLASM_MALFORMED},
        {"/ip4/::1", PLASM_MALFORMED},
        {"/ip6/1.2.3.4", PLASM_MALFORMED},
        {"/ip4/fdpsofodsajfdoisa", PLASM_MALFORMED},
        {"/ip4/1.2.3", PLASM_MALFORMED},
        {"/ip4/1.2.3.4.5", PLASM_MALFORMED},
        {"/ip4/1.2.3.256", PLASM_MALFORMED},
        {"/ip4/01.2.3.4", PLASM_MALFORMED},
        {"/ip4/127.0.0.1%lo", PLASM_MALFORMED},
        {"/ip6/fe80::1%lo", PLASM_MALFORMED},
        {"/ip6/::/ipcidr/256", PLASM_MALFORMED},
        {"/ip6/::/ipcidr/1026", PLASM_MALFORMED},
        {"/ip6", PLASM_MALFORMED},
        {"/ip6zone", PLASM_MALFORMED},
        {"/ip6zone/", PLASM_MALFORMED},
        {"/ip6zone//ip6/fe80::1", PLASM_MALFORMED},
        {"/udp", PLASM_MALFORMED},
        {"/tcp", PLASM_MALFORMED},
        {"/udp/65536", PLASM_MALFORMED},
        {"/tcp/99999", PLASM_MALFORMED},
        {"/tcp/655360", PLASM_MALFORMED},
        {"/tcp/080", PLASM_MALFORMED},
        {"/tcp/-1", PLASM_MALFORMED},
        {"/tcp/+1", PLASM_MALFORMED},
        {"/tcp/ 1", PLASM_MALFORMED},
        {"/tcp/0x1", PLASM_MALFORMED},
        {"/ip4/127.0.0.1/tcp/jfodsajfidosajfoidsa", PLASM_MALFORMED},
        {"/quic/65536", PLASM_UNSUPPORTED},
        {"/ip4/127.0.0.1/quic-v1/1234", PLASM_UNSUPPORTED},
        {"/sctp/1234", PLASM_UNSUPPORTED},
        {"/unix/a/b", PLASM_UNSUPPORTED},
        {"/IP4/1.2.3.4", PLASM_UNSUPPORTED},
        {"/ip4 /1.2.3.4", PLASM_UNSUPPORTED},
        {"/ip4/1.2.3.4//tcp/80", PLASM_MALFORMED},
        {"/quic-v1/webtransport/certhash", PLASM_MALFORMED},
        /* one character missing */
        {"/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp", PLASM_MALFORMED},
        {"/certhash/x", PLASM_MALFORMED},
        {"/certhash/u", PLASM_MALFORMED},
        {"/certhash/uEgGqqg", PLASM_MALFORMED}, /* bytes after the multihash */
        {"/p2p", PLASM_MALFORMED},
        {"/ipfs", PLASM_MALFORMED},
        {"/p2p/tcp", PLASM_MALFORMED},
        {"/ipfs/tcp", PLASM_MALFORMED},
        {"/p2p/Qm", PLASM_MALFORMED},
        {"/p2p/1", PLASM_MALFORMED},
        {"/p2p/0", PLASM_MALFORMED},
        {"/p2p/" PEER "1", PLASM_MALFORMED},
        {"/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p", PLASM_MALFORMED},
        /* a sha2-256 digest longer than 32 bytes; a CID of something else than a key */
        {"/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY", PLASM_MALFORMED},
        {"/p2p/zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA", PLASM_MALFORMED},
        /* a CID in base36, which we lack */
        {"/p2p/k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs", PLASM_MALFORMED},
        {"/dns4/", PLASM_MALFORMED},
        {"/dns4/a\n", PLASM_MALFORMED},
        {"/dns4/a\x7f", PLASM_MALFORMED},
        {"/dns4/\xff", PLASM_MALFORMED},
        {"/dns4/\xed\xa0\x80", PLASM_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct multiaddr address = {.size = 77};
        int error = multiaddr_parse(test_copy(bytes_of_string(bad[i].text)), &address);
        if (error != bad[i].error || address.size != 77) {
            fail_msg("%s: %d", bad[i].text, error);
        }
    }
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(BYTES_LITERAL("/dns4/a\0b"), &address), PLASM_MALFORMED);
    assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/1.2.3.4\0"), &address), PLASM_MALFORMED);
}

static void refuses_bad_binary(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int error;
    } bad[] = {
        {"", PLASM_MALFORMED},
        {"047f0000", PLASM_MALFORMED},     /* cut */
        {"84007f000001", PLASM_MALFORMED}, /* code not minimal */
        {"0000", PLASM_UNSUPPORTED},       /* no such code */
        {"84010000", PLASM_UNSUPPORTED},   /* sctp */
        {"ffffffffffffffff7f", PLASM_UNSUPPORTED},
        {"ffffffffffffffffff", PLASM_MALFORMED},
        {"3500", PLASM_MALFORMED},     /* empty name */
        {"3501", PLASM_MALFORMED},     /* cut name */
        {"350100", PLASM_MALFORMED},   /* a NUL */
        {"35012f", PLASM_MALFORMED},   /* a slash: text would not come back */
        {"3501ff", PLASM_MALFORMED},   /* not UTF-8 */
        {"35810061", PLASM_MALFORMED}, /* size not minimal */
        {"35ffffffffffffffff7f61", PLASM_MALFORMED},
        {"a50300", PLASM_MALFORMED},         /* empty peer id */
        {"a503021201", PLASM_MALFORMED},     /* cut multihash */
        {"a503031201aa", PLASM_MALFORMED},   /* a short sha2-256 */
        {"a50304000100aa", PLASM_MALFORMED}, /* bytes after the identity multihash */
        {"a50303110100", PLASM_MALFORMED},   /* no peer id is a sha1 */
        {"d20300", PLASM_MALFORMED},         /* empty certhash */
        {"d20304000100aa", PLASM_MALFORMED}, /* bytes after the multihash */
        {"047f000001c7a6", PLASM_MALFORMED}, /* a cut code after a good part */
        {"047f00000121", PLASM_UNSUPPORTED}, /* an unknown one */
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct multiaddr address = {.size = 77};
        int error = multiaddr_decode(test_hex(bad[i].hex), &address);
        if (error != bad[i].error || address.size != 77) {
            fail_msg("%s: %d", bad[i].hex, error);
        }
    }
}

/* What is cut inside a component is refused; what is cut between two is a shorter address. */
static void cut_at_every_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct bytes whole = test_hex(vectors[i].hex);
        bool starts[MULTIADDR_SIZE_MAX + 1] = {false};
        struct cursor cursor = cursor_of(whole);
        struct multiaddr_part part;
        while (multiaddr_next(&cursor, &part)) {
            starts[whole.size - cursor.left.size] = true;
        }
        for (size_t size = 0; size <= whole.size; size++) {
            struct multiaddr address;
            int error = multiaddr_decode(test_copy(bytes_slice(whole, 0, size)), &address);
            assert_int_equal(error, starts[size] ? 0 : PLASM_MALFORMED);
        }
    }
}

static void walks_the_components(void **state) {
    (void)state;
    struct multiaddr address = parse("/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" PEER);
    struct cursor cursor = cursor_of(multiaddr_bytes(&address));
    struct multiaddr_part part;
    assert_true(multiaddr_next(&cursor, &part));
    assert_int_equal(part.code, MULTIADDR_IP4);
    assert_bytes_equal(part.value, test_hex("01020304"));
    assert_true(multiaddr_next(&cursor, &part));
    assert_int_equal(part.code, MULTIADDR_UDP);
    assert_bytes_equal(part.value, test_hex("0fa1"));
    assert_true(multiaddr_next(&cursor, &part));
    assert_int_equal(part.code, MULTIADDR_QUIC_V1);
    assert_int_equal(part.value.size, 0);
    assert_true(multiaddr_next(&cursor, &part));
    assert_int_equal(part.code, MULTIADDR_P2P);
    assert_bytes_equal(part.value, test_hex(PEER_HEX));
    assert_false(multiaddr_next(&cursor, &part));
    assert_int_equal(cursor.error, 0);
}

static void appends_only_what_is_valid(void **state) {
    (void)state;
    struct multiaddr address = {.size = 0};
    assert_int_equal(multiaddr_append(&address, MULTIADDR_IP4, test_hex("01020304")), 0);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_TCP, test_hex("0050")), 0);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_WS, bytes_of(NULL, 0)), 0);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_P2P, test_hex(QM_HEX)), 0);
    struct multiaddr expected = parse("/ip4/1.2.3.4/tcp/80/ws/p2p/" QM);
    assert_true(multiaddr_equal(&address, &expected));
    static const struct {
        uint64_t code;
        const char *hex;
        int error;
    } bad[] = {
        {MULTIADDR_IP4, "010203", PLASM_MALFORMED},
        {MULTIADDR_IP6, "01020304", PLASM_MALFORMED},
        {MULTIADDR_TCP, "005000", PLASM_MALFORMED},
        {MULTIADDR_QUIC_V1, "00", PLASM_MALFORMED},
        {MULTIADDR_DNS, "", PLASM_MALFORMED},
        {MULTIADDR_P2P, "00", PLASM_MALFORMED},
        {1, "", PLASM_UNSUPPORTED},
        {UINT64_MAX, "", PLASM_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(multiaddr_append(&address, bad[i].code, test_hex(bad[i].hex)),
                         bad[i].error);
        assert_true(multiaddr_equal(&address, &expected));
    }
}

static void bytes_and_parts_are_bounded(void **state) {
    (void)state;
    char name[300];
    memset(name, 'a', sizeof(name));
    struct multiaddr address = {.size = 0};
    assert_int_equal(multiaddr_append(&address, MULTIADDR_DNS, bytes_of(name, 254)),
                     PLASM_TOO_LARGE);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_DNS, bytes_of(name, 253)), 0);
    assert_int_equal(address.size, MULTIADDR_SIZE_MAX);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_WS, bytes_of(NULL, 0)), PLASM_TOO_LARGE);
    struct multiaddr again;
    assert_int_equal(multiaddr_decode(multiaddr_bytes(&address), &again), 0);
    char text[320] = "/dns/";
    memset(text + 5, 'a', 254);
    assert_int_equal(multiaddr_parse(bytes_of(text, 5 + 253), &again), 0);
    assert_int_equal(multiaddr_parse(bytes_of(text, 5 + 254), &again), PLASM_TOO_LARGE);
    memset(text + 5, 'a', 300);
    assert_int_equal(multiaddr_parse(bytes_of(text, 5 + 300), &again), PLASM_TOO_LARGE);
    uint8_t binary[MULTIADDR_SIZE_MAX + 1];
    for (size_t size = 0; size < sizeof(binary); size++) {
        binary[size] = (uint8_t)(size % 2 == 0 ? 0xcd : 0x03);
    }
    assert_int_equal(multiaddr_decode(bytes_of(binary, 2 * MULTIADDR_PARTS_MAX), &address), 0);
    assert_int_equal(multiaddr_append(&address, MULTIADDR_WS, bytes_of(NULL, 0)), PLASM_TOO_LARGE);
    assert_int_equal(multiaddr_decode(bytes_of(binary, 2 * MULTIADDR_PARTS_MAX + 2), &again),
                     PLASM_TOO_LARGE);
    assert_int_equal(multiaddr_decode(BYTES_ARRAY(binary), &again), PLASM_TOO_LARGE);
    char many[8 * (MULTIADDR_PARTS_MAX + 1)];
    for (size_t i = 0; i < sizeof(many); i += 8) {
        memcpy(many + i, "/quic-v1", 8);
    }
    assert_int_equal(multiaddr_parse(bytes_of(many, sizeof(many) - 8), &again), 0);
    assert_int_equal(multiaddr_parse(bytes_of(many, sizeof(many)), &again), PLASM_TOO_LARGE);
}

/* The most text that so many parts and bytes can give, by the widest spelling of each kind of part:
 * a knapsack over the table, to show that MULTIADDR_TEXT_MAX fits everything. */
static void longest_text_fits(void **state) {
    (void)state;
    static const struct {
        size_t bytes;
        size_t text;
    } fixed[] = {
        {5, sizeof("/ip4/255.255.255.255") - 1},
        {17, sizeof("/ip6/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") - 1},
        {3, sizeof("/tcp/65535") - 1},
        {4, sizeof("/udp/65535") - 1},
        {2, sizeof("/ipcidr/255") - 1},
        {2, sizeof("/webrtc-direct") - 1},
    };
    static size_t longest[MULTIADDR_PARTS_MAX + 1][MULTIADDR_SIZE_MAX + 1];
    for (size_t parts = 1; parts <= MULTIADDR_PARTS_MAX; parts++) {
        for (size_t size = 0; size <= MULTIADDR_SIZE_MAX; size++) {
            size_t most = longest[parts - 1][size];
            for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
                if (fixed[i].bytes <= size) {
                    size_t text = longest[parts - 1][size - fixed[i].bytes] + fixed[i].text;
                    most = text > most ? text : most;
                }
            }
            /* Names one to one; base58 and base64 below 7/5 and a prefix, with a longer head. */
            for (size_t value = 1; value + 2 <= size; value++) {
                size_t name = longest[parts - 1][size - value - 2] + strlen("/ip6zone/") + value;
                most = name > most ? name : most;
                if (value + 3 <= size) {
                    size_t base = longest[parts - 1][size - value - 3] + strlen("/certhash/") + 2 +
                                  value * 7 / 5;
                    most = base > most ? base : most;
                }
            }
            longest[parts][size] = most;
        }
    }
    assert_true(longest[MULTIADDR_PARTS_MAX][MULTIADDR_SIZE_MAX] < MULTIADDR_TEXT_MAX);
    struct multiaddr address = {.size = 0};
    uint8_t ones[16];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 15; i++) {
        assert_int_equal(multiaddr_append(&address, MULTIADDR_IP6, BYTES_ARRAY(ones)), 0);
    }
    char text[MULTIADDR_TEXT_MAX];
    assert_int_equal(multiaddr_format(&address, text, sizeof(text)), 0);
    assert_int_equal(strlen(text), 660);
}

static void quic_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *ip;
        uint16_t port;
        const char *peer_hex;
    } good[] = {
        {"/ip4/192.0.2.1/udp/4001/quic-v1", "192.0.2.1", 4001, ""},
        {"/ip6/2001:db8::1/udp/65535/quic-v1", "2001:db8::1", 65535, ""},
        {"/ip4/192.0.2.1/udp/0/quic-v1/p2p/" PEER, "192.0.2.1", 0, PEER_HEX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct multiaddr address = parse(good[i].text);
        struct netaddr netaddr;
        struct netaddr expected;
        struct bytes peer_id;
        assert_int_equal(netaddr_parse_ip(bytes_of_string(good[i].ip), &expected), 0);
        expected.port = good[i].port;
        assert_int_equal(multiaddr_to_quic(&address, &netaddr, &peer_id), 0);
        assert_true(netaddr_equal(&netaddr, &expected));
        assert_bytes_equal(peer_id, test_hex(good[i].peer_hex));
        struct multiaddr bare;
        struct multiaddr made;
        multiaddr_without_peer(&address, &bare);
        multiaddr_from_quic(&netaddr, &made);
        assert_true(multiaddr_equal(&made, &bare));
    }
    static const char *const bad[] = {
        "/ip4/192.0.2.1",
        "/ip4/192.0.2.1/udp/4001",
        "/ip4/192.0.2.1/udp/4001/quic",
        "/ip4/192.0.2.1/tcp/4001/quic-v1",
        "/dns4/example.com/udp/4001/quic-v1",
        "/ip6zone/x/ip6/fe80::1/udp/4001/quic-v1",
        "/ip4/192.0.2.1/udp/4001/quic-v1/webtransport",
        ("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/" PEER "/p2p-circuit"),
        ("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/" PEER "/p2p-circuit/p2p/" QM),
        ("/p2p/" PEER),
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct multiaddr address = parse(bad[i]);
        struct netaddr netaddr = {.port = 77};
        struct bytes peer_id = bytes_of(NULL, 77);
        assert_int_equal(multiaddr_to_quic(&address, &netaddr, &peer_id), PLASM_UNSUPPORTED);
        assert_int_equal(netaddr.port, 77);
        assert_int_equal(peer_id.size, 77);
    }
}

static void tcp_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *ip;
        uint16_t port;
        const char *peer_hex;
    } good[] = {
        {"/ip4/192.0.2.1/tcp/4001", "192.0.2.1", 4001, ""},
        {"/ip6/2001:db8::1/tcp/65535", "2001:db8::1", 65535, ""},
        {"/ip4/192.0.2.1/tcp/0/p2p/" PEER, "192.0.2.1", 0, PEER_HEX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct multiaddr address = parse(good[i].text);
        struct netaddr netaddr;
        struct netaddr expected;
        struct bytes peer_id;
        assert_int_equal(netaddr_parse_ip(bytes_of_string(good[i].ip), &expected), 0);
        expected.port = good[i].port;
        assert_int_equal(multiaddr_to_tcp(&address, &netaddr, &peer_id), 0);
        assert_true(netaddr_equal(&netaddr, &expected));
        assert_bytes_equal(peer_id, test_hex(good[i].peer_hex));
        struct multiaddr bare;
        struct multiaddr made;
        multiaddr_without_peer(&address, &bare);
        multiaddr_from_tcp(&netaddr, &made);
        assert_true(multiaddr_equal(&made, &bare));
    }
    static const char *const bad[] = {
        "/ip4/192.0.2.1",
        "/ip4/192.0.2.1/udp/4001",
        "/ip4/192.0.2.1/udp/4001/quic-v1",
        "/ip4/192.0.2.1/tcp/4001/ws",
        "/ip4/192.0.2.1/tcp/4001/tls/ws",
        "/dns4/example.com/tcp/4001",
        "/ip6zone/x/ip6/fe80::1/tcp/4001",
        ("/ip4/192.0.2.1/tcp/4001/p2p/" PEER "/p2p-circuit"),
        ("/p2p/" PEER),
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct multiaddr address = parse(bad[i]);
        struct netaddr netaddr = {.port = 77};
        struct bytes peer_id = bytes_of(NULL, 77);
        assert_int_equal(multiaddr_to_tcp(&address, &netaddr, &peer_id), PLASM_UNSUPPORTED);
        assert_int_equal(netaddr.port, 77);
        assert_int_equal(peer_id.size, 77);
    }
}

static void the_peer_is_the_last_component(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *peer_hex;
        const char *without;
    } vector[] = {
        {"/ip4/1.2.3.4/udp/1/quic-v1/p2p/" PEER, PEER_HEX, "/ip4/1.2.3.4/udp/1/quic-v1"},
        {"/ip4/1.2.3.4/udp/1/quic-v1", "", "/ip4/1.2.3.4/udp/1/quic-v1"},
        {"/p2p/" QM "/p2p-circuit", "", "/p2p/" QM "/p2p-circuit"},
        {"/p2p/" QM "/p2p-circuit/p2p/" PEER, PEER_HEX, "/p2p/" QM "/p2p-circuit"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vector); i++) {
        struct multiaddr address = parse(vector[i].text);
        struct multiaddr expected = parse(vector[i].without);
        assert_bytes_equal(multiaddr_peer_id(&address), test_hex(vector[i].peer_hex));
        multiaddr_without_peer(&address, &address);
        assert_true(multiaddr_equal(&address, &expected));
    }
    struct multiaddr only = parse("/p2p/" PEER);
    multiaddr_without_peer(&only, &only);
    assert_int_equal(only.size, 0);
    assert_int_equal(multiaddr_peer_id(&only).size, 0);
}

static struct bytes random_value(uint64_t *seed, uint64_t code, uint8_t *room, size_t room_size) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-%_";
    test_random_fill(seed, room, room_size);
    switch (code) {
    case MULTIADDR_IP4:
        return bytes_of(room, 4);
    case MULTIADDR_IP6:
        return bytes_of(room, 16);
    case MULTIADDR_TCP:
    case MULTIADDR_UDP:
        return bytes_of(room, 2);
    case MULTIADDR_IPCIDR:
        return bytes_of(room, 1);
    case MULTIADDR_DNS:
    case MULTIADDR_DNSADDR:
    case MULTIADDR_IP6ZONE: {
        size_t size = 1 + test_random_below(seed, 20);
        for (size_t i = 0; i < size; i++) {
            room[i] = (uint8_t)letters[room[i] % (sizeof(letters) - 1)];
        }
        return bytes_of(room, size);
    }
    case MULTIADDR_P2P:
        room[0] = (uint8_t)(room[2] % 2 == 0 ? MULTIHASH_SHA2_256 : MULTIHASH_IDENTITY);
        room[1] = (uint8_t)(room[0] == MULTIHASH_SHA2_256 ? 32 : room[3] % 43);
        return bytes_of(room, 2U + room[1]);
    case MULTIADDR_CERTHASH:
        room[0] = 0x12;
        room[1] = 32;
        return bytes_of(room, 34);
    default:
        return bytes_of(NULL, 0);
    }
}

static void random_addresses_round_trip(void **state) {
    (void)state;
    static const uint64_t codes[] = {MULTIADDR_IP4,         MULTIADDR_IP6,     MULTIADDR_TCP,
                                     MULTIADDR_UDP,         MULTIADDR_IPCIDR,  MULTIADDR_DNS,
                                     MULTIADDR_DNSADDR,     MULTIADDR_IP6ZONE, MULTIADDR_P2P,
                                     MULTIADDR_P2P,         MULTIADDR_QUIC_V1, MULTIADDR_CERTHASH,
                                     MULTIADDR_P2P_CIRCUIT, MULTIADDR_NOISE};
    uint64_t seed = 421;
    for (int round = 0; round < 20000; round++) {
        struct multiaddr address = {.size = 0};
        size_t count = 1 + test_random_below(&seed, 8);
        for (size_t i = 0; i < count; i++) {
            uint8_t room[64];
            uint64_t code = codes[test_random_below(&seed, ARRAY_SIZE(codes))];
            struct bytes value = random_value(&seed, code, room, sizeof(room));
            int error = multiaddr_append(&address, code, value);
            assert_true(error == 0 || error == PLASM_TOO_LARGE);
        }
        char text[MULTIADDR_TEXT_MAX];
        struct multiaddr again;
        assert_int_equal(multiaddr_format(&address, text, sizeof(text)), 0);
        assert_int_equal(multiaddr_parse(bytes_of_string(text), &again), 0);
        assert_true(multiaddr_equal(&address, &again));
        assert_int_equal(multiaddr_decode(multiaddr_bytes(&address), &again), 0);
        assert_true(multiaddr_equal(&address, &again));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_binary_agree),
        cmocka_unit_test(accepts_what_others_accept),
        cmocka_unit_test(refuses_bad_text),
        cmocka_unit_test(refuses_bad_binary),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(walks_the_components),
        cmocka_unit_test(appends_only_what_is_valid),
        cmocka_unit_test(bytes_and_parts_are_bounded),
        cmocka_unit_test(longest_text_fits),
        cmocka_unit_test(quic_addresses),
        cmocka_unit_test(tcp_addresses),
        cmocka_unit_test(the_peer_is_the_last_component),
        cmocka_unit_test(random_addresses_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
