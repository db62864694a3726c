/* Both ends of AutoNAT against each other, the messages, and a server's rules. */
#include "proto/autonat/client.h"
#include "proto/autonat/policy.h"
#include "proto/autonat/server.h"
#include "util/testing.h"
#include "wire/varint.h"

#define NONCE UINT64_C(0x1122334455667788)

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

/* A v2 question as the specification's schema gives it, written by hand. */
static void bytes_of_a_question(void **state) {
    (void)state;
    struct multiaddr address = parse("/ip4/1.2.3.4/udp/4001/quic-v1");
    struct autonat_message message = {.type = AUTONAT_DIAL,
                                      .nonce = NONCE,
                                      .address_count = 1,
                                      .addresses = {multiaddr_bytes(&address)}};
    uint8_t room[64];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    autonat_encode(AUTONAT_V2, &message, &writer);
    assert_int_equal(writer.error, 0);
    assert_bytes_equal(writer_bytes(&writer), test_hex("180a16"
                                                       "0a0b040102030491020fa1cd03"
                                                       "118877665544332211"));
}

static void malformed_messages(void **state) {
    (void)state;
    struct autonat_message message;
    assert_int_equal(autonat_decode(AUTONAT_V2, bytes_of(NULL, 0), &message), PLASM_MALFORMED);
    assert_int_equal(autonat_decode(AUTONAT_V2, test_hex("0a050a"), &message), PLASM_MALFORMED);
    /* a nonce that is a varint */
    assert_int_equal(autonat_decode(AUTONAT_V2, test_hex("0a021005"), &message), PLASM_MALFORMED);
    assert_int_equal(autonat_decode(AUTONAT_V1, test_hex("0805"), &message), PLASM_MALFORMED);
    uint64_t nonce;
    assert_int_equal(autonat_back_decode(test_hex("0801"), &nonce), PLASM_MALFORMED);
    assert_int_equal(autonat_back_decode(test_hex("098877665544332211"), &nonce), 0);
    assert_true(nonce == NONCE);
}

/* --- a conversation --------------------------------------------------------------------------- */

struct talk {
    struct autonat_client client;
    struct autonat_server server;
    size_t piece; /* bytes handed over at a time */
    size_t data;  /* asked for before the answer */
    bool tells;   /* the nonce comes back */
    enum autonat_dial_status status;
    bool asked;
    bool broken;
};

static void serve(struct talk *talk) {
    struct autonat_server_event event;
    while (autonat_server_next_event(&talk->server, &event)) {
        if (event.type == AUTONAT_SERVER_BROKEN) {
            talk->broken = true;
            return;
        }
        if (event.type == AUTONAT_SERVER_REQUEST) {
            talk->asked = true;
            assert_int_equal(event.address_count, 2);
            if (talk->data > 0) {
                autonat_server_ask_data(&talk->server, 1, talk->data);
                continue;
            }
        }
        if (talk->client.version == AUTONAT_V1) {
            autonat_server_answer_v1(&talk->server, AUTONAT_V1_OK, "", &talk->client.addresses[1]);
        } else {
            if (talk->tells) {
                struct multiaddr from = parse("/ip4/9.9.9.9/udp/777/quic-v1");
                assert_false(autonat_client_dialled_back(&talk->client, NONCE + 1, &from));
                assert_true(autonat_client_dialled_back(&talk->client, NONCE, &from));
            }
            autonat_server_answer_v2(&talk->server, AUTONAT_V2_OK, 1, talk->status);
        }
    }
}

static bool move(struct talk *talk) {
    uint8_t room[AUTONAT_DATA_PIECE_MAX + 64];
    size_t to_server = autonat_client_transmit(&talk->client, (struct span){room, sizeof(room)});
    for (size_t i = 0; i < to_server; i += talk->piece) {
        autonat_server_receive(&talk->server,
                               bytes_slice(bytes_of(room, to_server), i, talk->piece));
        serve(talk);
    }
    size_t to_client = autonat_server_transmit(&talk->server, (struct span){room, sizeof(room)});
    for (size_t i = 0; i < to_client; i += talk->piece) {
        autonat_client_receive(&talk->client,
                               bytes_slice(bytes_of(room, to_client), i, talk->piece), false, 0);
    }
    return to_server + to_client > 0;
}

/* The answer's error, PLASM_STATE when there is none, PLASM_NO_MEMORY when memory was out. */
static int converse(struct talk *talk, enum autonat_version version, struct memory *memory) {
    struct multiaddr addresses[] = {parse("/ip4/10.0.0.1/udp/4001/quic-v1"),
                                    parse("/ip4/1.2.3.4/udp/4001/quic-v1")};
    if (autonat_client_init(&talk->client, version, BYTES_LITERAL("\x00\x24me"), addresses, 2,
                            NONCE, memory, 0) != 0) {
        return PLASM_NO_MEMORY;
    }
    autonat_server_init(&talk->server, version, memory);
    while (!talk->broken && move(talk)) {
    }
    struct autonat_answer answer;
    int error = talk->broken ? PLASM_NO_MEMORY : PLASM_STATE;
    if (autonat_client_next_event(&talk->client, &answer)) {
        error = answer.error;
        assert_true(error != 0 || (answer.has_index && answer.index == 1));
    }
    autonat_server_done(&talk->server);
    autonat_client_done(&talk->client);
    return error;
}

static int once(enum autonat_version version, size_t data, bool tells,
                enum autonat_dial_status status, size_t piece) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct talk talk = {.piece = piece, .data = data, .tells = tells, .status = status};
    int error = converse(&talk, version, &memory);
    assert_true(talk.asked);
    assert_int_equal(memory.used, 0);
    return error;
}

static void conversations(void **state) {
    (void)state;
    for (size_t piece = 1; piece <= 4096; piece = piece < 64 ? piece + 1 : piece * 2) {
        assert_int_equal(once(AUTONAT_V1, 0, false, AUTONAT_DIAL_UNUSED, piece), 0);
        assert_int_equal(once(AUTONAT_V2, 0, true, AUTONAT_DIAL_OK, piece), 0);
        assert_int_equal(once(AUTONAT_V2, 0, false, AUTONAT_DIAL_ERROR, piece), PLASM_UNREACHABLE);
    }
    assert_int_equal(once(AUTONAT_V2, 30000, true, AUTONAT_DIAL_OK, 4096), 0);
    assert_int_equal(once(AUTONAT_V2, 100000, true, AUTONAT_DIAL_BACK_ERROR, 1000), 0);
    /* More than anybody may ask for. */
    assert_int_equal(once(AUTONAT_V2, 100001, true, AUTONAT_DIAL_OK, 4096), PLASM_MALFORMED);
}

static void claims_need_the_nonce(void **state) {
    (void)state;
    assert_int_equal(once(AUTONAT_V2, 0, false, AUTONAT_DIAL_BACK_ERROR, 4096), PLASM_UNTRUSTED);
    assert_int_equal(once(AUTONAT_V2, 0, true, AUTONAT_DIAL_UNUSED, 4096), PLASM_MALFORMED);
    /* It says that all went well, but nothing came. */
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct multiaddr address = parse("/ip4/1.2.3.4/udp/4001/quic-v1");
    struct autonat_client client;
    for (int late = 0; late < 3; late++) {
        assert_int_equal(autonat_client_init(&client, AUTONAT_V2, bytes_of(NULL, 0), &address, 1,
                                             NONCE, &memory, 0),
                         0);
        uint8_t room[32];
        struct writer writer = writer_of((struct span){room, sizeof(room)});
        struct autonat_message message = {
            .type = AUTONAT_DIAL_RESPONSE, .status = AUTONAT_V2_OK, .dial_status = AUTONAT_DIAL_OK};
        autonat_encode(AUTONAT_V2, &message, &writer);
        autonat_client_receive(&client, writer_bytes(&writer), true, NANOS_SECOND);
        struct autonat_answer result;
        assert_false(autonat_client_next_event(&client, &result));
        assert_true(autonat_client_deadline(&client) == NANOS_SECOND + AUTONAT_NONCE_TIMEOUT);
        if (late == 0) {
            autonat_client_expire(&client, autonat_client_deadline(&client));
        } else { /* by the way it says, or by another */
            struct multiaddr from =
                parse(late == 1 ? "/ip4/9.9.9.9/udp/1/quic-v1" : "/ip4/9.9.9.9/tcp/1");
            assert_true(autonat_client_dialled_back(&client, NONCE, &from));
        }
        assert_true(autonat_client_next_event(&client, &result));
        assert_int_equal(result.error, late == 1 ? 0 : PLASM_UNTRUSTED);
        autonat_client_done(&client);
    }
    assert_int_equal(memory.used, 0);
}

static void failing_allocations(void **state) {
    (void)state;
    for (int version = AUTONAT_V1; version <= AUTONAT_V2; version++) {
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct memory_failing failing;
            memory_failing_init(&failing, n, false);
            struct talk talk = {.piece = 100,
                                .data = version == AUTONAT_V2 ? 5000 : 0,
                                .tells = true,
                                .status = AUTONAT_DIAL_OK};
            int error = converse(&talk, (enum autonat_version)version, &failing.memory);
            failed = failing.failed;
            assert_true(failed || error == 0);
            assert_int_equal(failing.memory.used, 0);
        }
    }
}

/* Data in crumbs costs the server more than the sender. */
static void crumbs(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct autonat_server server;
    autonat_server_init(&server, AUTONAT_V2, &memory);
    autonat_server_receive(&server, test_hex("180a160a0b040102030491020fa1cd03118877665544332211"));
    struct autonat_server_event event;
    assert_true(autonat_server_next_event(&server, &event));
    assert_int_equal(event.type, AUTONAT_SERVER_REQUEST);
    autonat_server_ask_data(&server, 0, AUTONAT_DATA_SIZE_MIN);
    autonat_server_receive(&server, test_hex("0522030a0100"));
    assert_true(autonat_server_next_event(&server, &event));
    assert_int_equal(event.type, AUTONAT_SERVER_BROKEN);
    assert_int_equal(event.error, PLASM_MALFORMED);
    autonat_server_done(&server);
    assert_int_equal(memory.used, 0);
}

static void oversized(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct autonat_server server;
    autonat_server_init(&server, AUTONAT_V1, &memory);
    autonat_server_receive(&server, test_hex("ffff03"));
    struct autonat_server_event event;
    assert_true(autonat_server_next_event(&server, &event));
    assert_int_equal(event.error, PLASM_TOO_LARGE);
    autonat_server_done(&server);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void what_may_be_dialled(void **state) {
    (void)state;
    static const struct {
        const char *requester;
        const char *address;
        enum autonat_verdict verdict;
    } cases[] = {
        {"1.2.3.4", "/ip4/1.2.3.4/udp/1/quic-v1", AUTONAT_DIAL_FREELY},
        {"1.2.3.4", "/ip4/1.2.3.5/udp/1/quic-v1", AUTONAT_DIAL_FOR_DATA},
        {"1.2.3.4", "/ip6/2001:4860::1/tcp/1", AUTONAT_DIAL_FOR_DATA},
        {"1.2.3.4", "/ip4/10.0.0.1/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/ip4/127.0.0.1/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/ip4/100.64.0.1/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/ip4/224.0.0.251/udp/5353/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/ip4/255.255.255.255/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/ip6/::ffff:10.0.0.1/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4", "/dns4/example.org/udp/1/quic-v1", AUTONAT_REFUSE},
        {"10.0.0.2", "/ip4/10.0.0.2/udp/1/quic-v1", AUTONAT_DIAL_FREELY},
        {"10.0.0.2", "/ip4/10.0.0.3/udp/1/quic-v1", AUTONAT_REFUSE},
        {"1.2.3.4",
         "/ip4/1.2.3.4/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/"
         "p2p-circuit",
         AUTONAT_REFUSE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct netaddr requester = ip(cases[i].requester);
        struct multiaddr address = parse(cases[i].address);
        if (autonat_judge(&requester, &address) != cases[i].verdict) {
            fail_msg("%s for %s", cases[i].address, cases[i].requester);
        }
        assert_int_equal(autonat_judge(NULL, &address), AUTONAT_REFUSE);
    }
}

static void only_the_requesters_ip(void **state) {
    (void)state;
    struct netaddr requester = ip("1.2.3.4");
    struct multiaddr asked = parse("/ip4/8.8.8.8/udp/53/quic-v1");
    struct multiaddr made;
    assert_int_equal(autonat_with_ip(&requester, &asked, &made), 0);
    struct multiaddr wanted = parse("/ip4/1.2.3.4/udp/53/quic-v1");
    assert_true(multiaddr_equal(&made, &wanted));
    struct multiaddr name = parse("/dns4/example.org/tcp/1");
    assert_int_equal(autonat_with_ip(&requester, &name, &made), PLASM_UNSUPPORTED);
}

static void limits(void **state) {
    (void)state;
    struct autonat_limiter limiter = {.count = 0};
    struct netaddr requester = ip("1.2.3.4");
    for (int i = 0; i < AUTONAT_REQUESTS_PER_PEER_PER_MINUTE; i++) {
        assert_true(autonat_limiter_take(&limiter, BYTES_LITERAL("somebody"), &requester, 0));
    }
    assert_false(autonat_limiter_take(&limiter, BYTES_LITERAL("somebody"), &requester, 0));
    for (int i = 0; i < AUTONAT_REQUESTS_PER_PEER_PER_MINUTE; i++) {
        assert_true(autonat_limiter_take(&limiter, BYTES_LITERAL("another!"), &requester, 0));
    }
    /* Many names of one network are still one network. */
    assert_false(autonat_limiter_take(&limiter, BYTES_LITERAL("a third!"), &requester, 0));
    size_t taken = 0;
    for (uint8_t i = 0; i < 100; i++) {
        struct netaddr other = {.family = NETADDR_IP4, .ip = {5, i, 1, 1}};
        uint8_t id[8] = {i, 1};
        taken += autonat_limiter_take(&limiter, BYTES_ARRAY(id), &other, 1);
    }
    assert_int_equal(taken, AUTONAT_REQUESTS_PER_MINUTE - 2 * AUTONAT_REQUESTS_PER_PEER_PER_MINUTE);
    assert_false(autonat_limiter_take_data(&limiter, BYTES_LITERAL("nobody.."), 1));
    assert_true(autonat_limiter_take_data(&limiter, BYTES_LITERAL("somebody"), 1));
    /* A minute later all is well again. */
    assert_true(
        autonat_limiter_take(&limiter, BYTES_LITERAL("somebody"), &requester, NANOS_MINUTE + 1));
    assert_int_equal(limiter.count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_a_question),
        cmocka_unit_test(malformed_messages),
        cmocka_unit_test(conversations),
        cmocka_unit_test(claims_need_the_nonce),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(crumbs),
        cmocka_unit_test(oversized),
        cmocka_unit_test(what_may_be_dialled),
        cmocka_unit_test(only_the_requesters_ip),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
