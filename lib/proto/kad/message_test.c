/* The message codec: vectors of another encoder, what other implementations send, broken input. */
#include "proto/kad/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/vectors_testing.h"
#include "wire/multiaddr.h"
#include "wire/protobuf.h"

static struct peer_id peer_of(uint8_t byte) {
    static const uint8_t head[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    struct peer_id id = {.size = sizeof(head) + 32};
    memcpy(id.bytes, head, sizeof(head));
    memset(id.bytes + sizeof(head), byte, 32);
    return id;
}

static struct multiaddr address_of(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

/* The vector of this name; the caller frees it. */
static struct bytes vector(const char *name) {
    struct vectors vectors;
    assert_true(vectors_open(&vectors, PLASM_SOURCE_DIR "/vectors/messages.txt"));
    struct bytes found = {0};
    while (vectors_next(&vectors)) {
        if (strcmp(vectors.words[0], name) == 0) {
            found = vectors_hex(vectors.words[1]);
        }
    }
    assert_true(found.size > 0);
    return found;
}

/* The addresses of the list's n-th peer, which must be `id`. */
static struct kad_addresses addresses_of(const struct kad_message *message,
                                         enum kad_message_list list, size_t n,
                                         const struct peer_id *id) {
    struct cursor cursor = cursor_of(message->whole);
    struct kad_message_peer peer;
    for (size_t i = 0; i <= n; i++) {
        assert_true(kad_message_peer_next(&cursor, list, &peer));
    }
    assert_true(peer_id_equal(&peer.id, id));
    struct kad_addresses addresses;
    kad_message_addresses(&peer, false, &addresses);
    return addresses;
}

static void assert_address(const struct kad_addresses *addresses, size_t n, const char *text) {
    struct multiaddr expected = address_of(text);
    struct bytes packed = kad_addresses_bytes(addresses);
    struct bytes address = {0};
    for (size_t i = 0; i <= n; i++) {
        assert_true(kad_address_next(&packed, &address));
    }
    assert_true(bytes_equal(address, multiaddr_bytes(&expected)));
}

static void go_and_rust_answers_read_the_same(void **state) {
    (void)state;
    const char *names[] = {"find_node_answer_go", "find_node_answer_rust"};
    struct peer_id a = peer_of(0xaa);
    struct peer_id b = peer_of(0xbb);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct bytes bytes = vector(names[i]);
        struct kad_message message;
        assert_int_equal(kad_message_decode(bytes, &message), 0);
        assert_int_equal(message.type, KAD_MESSAGE_FIND_NODE);
        assert_int_equal(message.key.size, 0);
        assert_false(message.has_record);
        struct kad_addresses addresses = addresses_of(&message, KAD_LIST_CLOSER, 0, &a);
        assert_address(&addresses, 0, "/ip4/192.0.2.1/udp/4001/quic-v1");
        assert_int_equal(addresses.count, i == 0 ? 2 : 1);
        addresses = addresses_of(&message, KAD_LIST_CLOSER, 1, &b);
        assert_int_equal(addresses.count, 1);
        assert_address(&addresses, 0, "/ip4/198.51.100.7/udp/4002/quic-v1");
        struct cursor cursor = cursor_of(message.whole);
        struct kad_message_peer peer;
        assert_false(kad_message_peer_next(&cursor, KAD_LIST_PROVIDERS, &peer));
        vectors_free(bytes);
    }
}

static void private_addresses_can_be_left_out(void **state) {
    (void)state;
    struct bytes bytes = vector("find_node_answer_go");
    struct kad_message message;
    assert_int_equal(kad_message_decode(bytes, &message), 0);
    struct cursor cursor = cursor_of(message.whole);
    struct kad_message_peer peer;
    assert_true(kad_message_peer_next(&cursor, KAD_LIST_CLOSER, &peer));
    struct kad_addresses addresses;
    kad_message_addresses(&peer, true, &addresses);
    assert_int_equal(addresses.count, 1);
    assert_address(&addresses, 0, "/ip4/192.0.2.1/udp/4001/quic-v1");
    vectors_free(bytes);
}

static void both_lists_are_told_apart(void **state) {
    (void)state;
    struct bytes bytes = vector("get_providers_answer");
    struct kad_message message;
    assert_int_equal(kad_message_decode(bytes, &message), 0);
    assert_int_equal(message.type, KAD_MESSAGE_GET_PROVIDERS);
    assert_int_equal(message.key.size, 34);
    struct peer_id a = peer_of(0xaa);
    struct peer_id b = peer_of(0xbb);
    struct kad_addresses addresses = addresses_of(&message, KAD_LIST_PROVIDERS, 0, &a);
    assert_address(&addresses, 0, "/ip4/192.0.2.1/udp/4001/quic-v1");
    addresses = addresses_of(&message, KAD_LIST_CLOSER, 0, &b);
    assert_address(&addresses, 0, "/ip4/198.51.100.7/udp/4002/quic-v1");
    vectors_free(bytes);
}

static void records_are_read(void **state) {
    (void)state;
    const char *names[] = {"put_value", "get_value_answer_rust"};
    struct peer_id a = peer_of(0xaa);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct bytes bytes = vector(names[i]);
        struct kad_message message;
        assert_int_equal(kad_message_decode(bytes, &message), 0);
        assert_int_equal(message.type, i == 0 ? KAD_MESSAGE_PUT_VALUE : KAD_MESSAGE_GET_VALUE);
        assert_true(message.has_record);
        assert_true(bytes_start_with(message.record_key, BYTES_LITERAL("/pk/")));
        assert_true(bytes_equal(message.record_value, bytes_slice(peer_id_bytes(&a), 2, a.size)));
        vectors_free(bytes);
    }
    struct bytes ping = vector("ping");
    struct kad_message message;
    assert_int_equal(kad_message_decode(ping, &message), 0);
    assert_int_equal(message.type, KAD_MESSAGE_PING);
    vectors_free(ping);
}

/* What we write is byte for byte what the other encoder wrote, where it may be. */
static void written_as_the_other_encoder_does(void **state) {
    (void)state;
    uint8_t room[512];
    struct peer_id a = peer_of(0xaa);
    struct peer_id b = peer_of(0xbb);
    struct multiaddr address_a = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct multiaddr address_b = address_of("/ip4/198.51.100.7/udp/4002/quic-v1");
    struct kad_addresses packed_a = {0};
    struct kad_addresses packed_b = {0};
    assert_true(kad_addresses_add(&packed_a, &a, multiaddr_bytes(&address_a)));
    assert_true(kad_addresses_add(&packed_b, &b, multiaddr_bytes(&address_b)));
    uint8_t key[34] = {0x12, 0x20};
    for (uint8_t i = 0; i < 32; i++) {
        key[2 + i] = i;
    }

    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&a));
    struct bytes expected = vector("find_node_request");
    assert_true(bytes_equal(writer_bytes(&writer), expected));
    vectors_free(expected);

    writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, BYTES_ARRAY(key));
    assert_true(kad_message_put_peer(&writer, KAD_LIST_PROVIDERS, &a,
                                     kad_addresses_bytes(&packed_a), KAD_CONNECTED, false, 500));
    expected = vector("add_provider");
    assert_true(bytes_equal(writer_bytes(&writer), expected));
    vectors_free(expected);

    writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_GET_PROVIDERS, BYTES_ARRAY(key));
    assert_true(kad_message_put_peer(&writer, KAD_LIST_PROVIDERS, &a,
                                     kad_addresses_bytes(&packed_a), KAD_CAN_CONNECT, true, 500));
    assert_int_equal(writer.error, 0);
    struct kad_message message;
    assert_int_equal(kad_message_decode(writer_bytes(&writer), &message), 0);
    struct kad_addresses read = addresses_of(&message, KAD_LIST_PROVIDERS, 0, &a);
    assert_address(&read, 0, "/ip4/192.0.2.1/udp/4001/quic-v1");
}

static void record_round_trip(void **state) {
    (void)state;
    uint8_t room[256];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, BYTES_LITERAL("/ns/key"));
    kad_message_put_record(&writer, BYTES_LITERAL("/ns/key"), BYTES_LITERAL("value"));
    assert_int_equal(writer.error, 0);
    struct kad_message message;
    assert_int_equal(kad_message_decode(writer_bytes(&writer), &message), 0);
    assert_int_equal(message.type, KAD_MESSAGE_PUT_VALUE);
    assert_true(bytes_equal_string(message.key, "/ns/key"));
    assert_true(bytes_equal_string(message.record_key, "/ns/key"));
    assert_true(bytes_equal_string(message.record_value, "value"));
}

/* Peers are left out, and addresses of a peer, rather than that a message grows too large. */
static void a_peer_fits_its_share_or_is_left_out(void **state) {
    (void)state;
    struct peer_id a = peer_of(0xaa);
    struct kad_addresses packed = {0};
    const char *texts[] = {"/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.2/udp/4001/quic-v1",
                           "/ip4/10.0.0.1/udp/4001/quic-v1"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct multiaddr address = address_of(texts[i]);
        assert_true(kad_addresses_add(&packed, &a, multiaddr_bytes(&address)));
    }
    uint8_t room[512];
    size_t written_before = 0;
    for (size_t size_max = 0; size_max < 120; size_max++) {
        struct writer writer = writer_of((struct span){room, sizeof(room)});
        bool put = kad_message_put_peer(&writer, KAD_LIST_CLOSER, &a, kad_addresses_bytes(&packed),
                                        KAD_CONNECTED, false, size_max);
        assert_int_equal(writer.error, 0);
        assert_true(writer.size <= size_max);
        assert_int_equal(put, writer.size > 0);
        assert_true(writer.size >= written_before);
        written_before = writer.size;
    }
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    assert_true(kad_message_put_peer(&writer, KAD_LIST_CLOSER, &a, kad_addresses_bytes(&packed),
                                     KAD_CONNECTED, false, 200));
    assert_int_equal(writer.size, written_before);
    /* Nobody without an address, nobody with private ones alone for the public. */
    writer = writer_of((struct span){room, sizeof(room)});
    assert_false(kad_message_put_peer(&writer, KAD_LIST_CLOSER, &a, bytes_of(NULL, 0),
                                      KAD_CONNECTED, false, 200));
    struct kad_addresses private = {0};
    struct multiaddr address = address_of(texts[2]);
    assert_true(kad_addresses_add(&private, &a, multiaddr_bytes(&address)));
    assert_false(kad_message_put_peer(&writer, KAD_LIST_CLOSER, &a, kad_addresses_bytes(&private),
                                      KAD_CONNECTED, true, 200));
    assert_int_equal(writer.size, 0);
}

static void odd_peers_are_passed_over(void **state) {
    (void)state;
    uint8_t room[1024];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    struct peer_id a = peer_of(0xaa);
    struct peer_id b = peer_of(0xbb);
    struct multiaddr good = address_of("/ip4/192.0.2.1/udp/4001/quic-v1");
    struct multiaddr of_b = good;
    assert_int_equal(multiaddr_append(&of_b, MULTIADDR_P2P, peer_id_bytes(&b)), 0);
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, bytes_of(NULL, 0));
    /* No id, an id that is none, then a good one: no address, another peer's, garbage, twice. */
    protobuf_put_bytes(&writer, KAD_LIST_CLOSER, bytes_of(NULL, 0));
    size_t mark = protobuf_begin(&writer, KAD_LIST_CLOSER);
    protobuf_put_string(&writer, 1, "no peer id");
    protobuf_end(&writer, mark);
    mark = protobuf_begin(&writer, KAD_LIST_CLOSER);
    protobuf_put_bytes(&writer, 1, peer_id_bytes(&a));
    protobuf_put_bytes(&writer, 2, bytes_of(NULL, 0));
    protobuf_put_bytes(&writer, 2, multiaddr_bytes(&of_b));
    protobuf_put_string(&writer, 2, "garbage");
    protobuf_put_bytes(&writer, 2, multiaddr_bytes(&good));
    protobuf_put_bytes(&writer, 2, multiaddr_bytes(&good));
    protobuf_put_varint(&writer, 3, 77); /* an unknown kind of connection */
    protobuf_put_varint(&writer, 99, 5); /* and an unknown field */
    protobuf_end(&writer, mark);
    assert_int_equal(writer.error, 0);
    struct kad_message message;
    assert_int_equal(kad_message_decode(writer_bytes(&writer), &message), 0);
    struct kad_addresses addresses = addresses_of(&message, KAD_LIST_CLOSER, 0, &a);
    assert_int_equal(addresses.count, 1);
    assert_address(&addresses, 0, "/ip4/192.0.2.1/udp/4001/quic-v1");
}

static void broken_input_is_refused(void **state) {
    (void)state;
    struct kad_message message;
    struct bytes bytes = vector("get_providers_answer");
    /* Cut anywhere, it is malformed, or whole at the end of a field. */
    size_t whole = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        int error = kad_message_decode(bytes_slice(bytes, 0, size), &message);
        assert_true(error == 0 || error == PLASM_MALFORMED);
        whole += error == 0;
    }
    assert_int_equal(whole, 4);
    vectors_free(bytes);
    static const uint8_t unknown_type[] = {0x08, 0x06};
    assert_int_equal(kad_message_decode(BYTES_ARRAY(unknown_type), &message), PLASM_UNSUPPORTED);
    static const uint8_t key_as_number[] = {0x08, 0x04, 0x10, 0x01};
    assert_int_equal(kad_message_decode(BYTES_ARRAY(key_as_number), &message), PLASM_MALFORMED);
    static const uint8_t peer_as_number[] = {0x40, 0x01};
    assert_int_equal(kad_message_decode(BYTES_ARRAY(peer_as_number), &message), PLASM_MALFORMED);
    static const uint8_t bad_peer[] = {0x42, 0x02, 0x0a, 0x05};
    assert_int_equal(kad_message_decode(BYTES_ARRAY(bad_peer), &message), PLASM_MALFORMED);
    static uint8_t huge[KAD_MESSAGE_SIZE_MAX + 1];
    assert_int_equal(kad_message_decode(BYTES_ARRAY(huge), &message), PLASM_TOO_LARGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_and_rust_answers_read_the_same),
        cmocka_unit_test(private_addresses_can_be_left_out),
        cmocka_unit_test(both_lists_are_told_apart),
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(written_as_the_other_encoder_does),
        cmocka_unit_test(record_round_trip),
        cmocka_unit_test(a_peer_fits_its_share_or_is_left_out),
        cmocka_unit_test(odd_peers_are_passed_over),
        cmocka_unit_test(broken_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
