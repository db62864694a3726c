/* What a node answers: as go-libp2p expects it, within bounds, and nothing in client mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kad/machine_testing.h"
#include "wire/protobuf.h"

static uint8_t room[KAD_MESSAGE_SIZE_MAX];

/* Asks the machine; *ret_answer is the decoded answer. */
static int ask_from(struct machine *machine, const struct peer_id *sender,
                    const struct netaddr *remote, struct bytes request,
                    struct kad_message *ret_answer) {
    size_t size = SIZE_MAX;
    int error = kad_request(machine->kad, sender, remote, request,
                            (struct span){room, sizeof(room)}, machine->now, &size);
    assert_true(error != 0 || size <= KAD_MESSAGE_SIZE_MAX);
    if (error == 0 && size > 0) {
        assert_int_equal(kad_message_decode(bytes_of(room, size), ret_answer), 0);
    } else if (error == 0) {
        *ret_answer = (struct kad_message){.whole = {NULL, 0}};
    } else {
        assert_int_equal(size, SIZE_MAX);
    }
    return error;
}

static int ask(struct machine *machine, const struct peer_id *sender, enum kad_message_type type,
               struct bytes key, struct kad_message *ret_answer) {
    uint8_t request[256];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, type, key);
    assert_int_equal(writer.error, 0);
    return ask_from(machine, sender, NULL, writer_bytes(&writer), ret_answer);
}

static size_t count_peers(const struct kad_message *message, enum kad_message_list list,
                          const struct peer_id *id, size_t *ret_place) {
    struct cursor cursor = cursor_of(message->whole);
    struct kad_message_peer peer;
    size_t count = 0;
    *ret_place = SIZE_MAX;
    while (kad_message_peer_next(&cursor, list, &peer)) {
        if (id != NULL && peer_id_equal(&peer.id, id)) {
            *ret_place = count;
        }
        count++;
    }
    return count;
}

static size_t place_of(const struct kad_message *message, enum kad_message_list list,
                       const struct peer_id *id) {
    size_t place;
    (void)count_peers(message, list, id, &place);
    return place;
}

static size_t count_of(const struct kad_message *message, enum kad_message_list list) {
    size_t place;
    return count_peers(message, list, NULL, &place);
}

static void setup(struct machine *machine) {
    *machine = (struct machine){0};
    machine_setup(machine, KAD_SERVER, NULL);
    struct kad_addresses own = testing_address(&machine->own, 10, 9, 9, 9);
    struct bytes packed = kad_addresses_bytes(&own);
    struct bytes address;
    assert_true(kad_address_next(&packed, &address));
    assert_int_equal(kad_set_addresses(machine->kad, &address, 1, machine->now), 0);
}

static void find_node_names_the_closest_but_not_the_asker(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[40];
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        peers[i] = testing_peer(&machine.random);
        machine_admit(&machine, &peers[i], NULL);
    }
    assert_true(machine_counts(&machine).table_peers > 30);
    struct kad_message answer;
    assert_int_equal(
        ask(&machine, &peers[0], KAD_MESSAGE_FIND_NODE, BYTES_LITERAL("some key"), &answer), 0);
    assert_int_equal(answer.type, KAD_MESSAGE_FIND_NODE);
    assert_int_equal(answer.key.size, 0);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), KAD_K);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &peers[0]), SIZE_MAX);
    /* Nearest first, the same as the table says. */
    struct peer_id closest[KAD_K];
    struct peer_id stranger = testing_peer(&machine.random);
    assert_int_equal(kad_table_closest(machine.kad, BYTES_LITERAL("some key"), closest, KAD_K),
                     KAD_K);
    assert_int_equal(
        ask(&machine, &stranger, KAD_MESSAGE_FIND_NODE, BYTES_LITERAL("some key"), &answer), 0);
    for (size_t i = 0; i < KAD_K; i++) {
        assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &closest[i]), i);
    }
    machine_teardown(&machine);
}

static void the_target_comes_first(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id server = testing_peer(&machine.random);
    struct peer_id client = testing_peer(&machine.random);
    struct peer_id asker = testing_peer(&machine.random);
    machine_admit(&machine, &server, NULL);
    assert_int_equal(machine_identify(&machine, &client, false, NULL), 0);
    struct kad_message answer;
    /* A mere client that is connected. */
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&client), &answer),
                     0);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &client), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), 2);
    /* A member is not named twice. */
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&server), &answer),
                     0);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &server), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), 1);
    /* Ourselves: that is how go-libp2p checks us. */
    assert_int_equal(
        ask(&machine, &asker, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&machine.own), &answer), 0);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &machine.own), 0);
    /* Nobody is told of itself. */
    assert_int_equal(ask(&machine, &client, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&client), &answer),
                     0);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &client), SIZE_MAX);
    /* Once it has gone, it is not known any more. */
    kad_peer_disconnected(machine.kad, &client, machine.now);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&client), &answer),
                     0);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &client), SIZE_MAX);
    machine_teardown(&machine);
}

static int add_provider(struct machine *machine, const struct peer_id *sender,
                        const struct peer_id *named, struct bytes key) {
    uint8_t request[256];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, key);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, named, 10, 0, 0, 7);
    struct kad_message answer = {0};
    int error = ask_from(machine, sender, NULL, writer_bytes(&writer), &answer);
    assert_int_equal(answer.whole.size, 0);
    return error;
}

static void providers_speak_for_themselves(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id provider = testing_peer(&machine.random);
    struct peer_id liar = testing_peer(&machine.random);
    struct bytes key = BYTES_LITERAL("content key");
    assert_int_equal(add_provider(&machine, &provider, &provider, key), 0);
    assert_int_equal(add_provider(&machine, &liar, &machine.own, key), PLASM_REFUSED);
    struct peer_id victim = testing_peer(&machine.random);
    assert_int_equal(add_provider(&machine, &liar, &victim, key), PLASM_REFUSED);
    assert_int_equal(machine_counts(&machine).provider_records, 1);
    struct kad_message answer;
    assert_int_equal(ask(&machine, &liar, KAD_MESSAGE_GET_PROVIDERS, key, &answer), 0);
    assert_true(bytes_equal(answer.key, key));
    assert_int_equal(count_of(&answer, KAD_LIST_PROVIDERS), 1);
    assert_int_equal(place_of(&answer, KAD_LIST_PROVIDERS, &provider), 0);
    /* Without an address nobody is a provider. */
    uint8_t request[256];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, key);
    size_t mark = protobuf_begin(&writer, KAD_LIST_PROVIDERS);
    protobuf_put_bytes(&writer, 1, peer_id_bytes(&liar));
    protobuf_end(&writer, mark);
    assert_int_equal(ask_from(&machine, &liar, NULL, writer_bytes(&writer), &answer),
                     PLASM_REFUSED);
    machine_teardown(&machine);
}

static void what_we_provide_we_say(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id asker = testing_peer(&machine.random);
    struct bytes key = BYTES_LITERAL("content key");
    uint64_t operation;
    struct kad_message answer;
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_PROVIDERS, key, &answer), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_PROVIDERS), 0);
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_PROVIDERS, key, &answer), 0);
    assert_int_equal(place_of(&answer, KAD_LIST_PROVIDERS, &machine.own), 0);
    kad_unprovide(machine.kad, key);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_PROVIDERS, key, &answer), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_PROVIDERS), 0);
    machine_teardown(&machine);
}

/* A key of a real peer and the record for it. */
struct pk_record {
    uint8_t key[64];
    size_t key_size;
    uint8_t value[64];
    size_t value_size;
};

static struct pk_record pk_record_of(uint8_t byte) {
    struct pk_record record;
    uint8_t raw[ED25519_PUBLIC_SIZE] = {byte};
    struct public_key key;
    struct peer_id id;
    public_key_from_ed25519(raw, &key);
    peer_id_from_key(&key, &id);
    struct writer value = writer_of((struct span){record.value, sizeof(record.value)});
    public_key_encode(&key, &value);
    struct writer path = writer_of((struct span){record.key, sizeof(record.key)});
    writer_bytes_put(&path, BYTES_LITERAL("/pk/"));
    writer_bytes_put(&path, peer_id_bytes(&id));
    record.key_size = path.size;
    record.value_size = value.size;
    return record;
}

static void values_are_stored_and_echoed(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id asker = testing_peer(&machine.random);
    struct pk_record record = pk_record_of(7);
    struct bytes key = bytes_of(record.key, record.key_size);
    struct bytes value = bytes_of(record.value, record.value_size);
    struct kad_message answer;
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_VALUE, key, &answer), 0);
    assert_false(answer.has_record);
    uint8_t request[512];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, key);
    kad_message_put_record(&writer, key, value);
    assert_int_equal(ask_from(&machine, &asker, NULL, writer_bytes(&writer), &answer), 0);
    assert_int_equal(answer.type, KAD_MESSAGE_PUT_VALUE);
    assert_true(bytes_equal(answer.record_value, value));
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_VALUE, key, &answer), 0);
    assert_true(answer.has_record);
    assert_true(bytes_equal(answer.record_key, key));
    assert_true(bytes_equal(answer.record_value, value));
    /* Another key in the record, a wrong value, no namespace. */
    struct pk_record other = pk_record_of(8);
    writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, key);
    kad_message_put_record(&writer, bytes_of(other.key, other.key_size), value);
    assert_int_equal(ask_from(&machine, &asker, NULL, writer_bytes(&writer), &answer),
                     PLASM_MALFORMED);
    writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, key);
    kad_message_put_record(&writer, key, bytes_of(other.value, other.value_size));
    assert_int_equal(ask_from(&machine, &asker, NULL, writer_bytes(&writer), &answer),
                     PLASM_REFUSED);
    writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_PUT_VALUE, BYTES_LITERAL("/x/y"));
    kad_message_put_record(&writer, BYTES_LITERAL("/x/y"), value);
    assert_int_equal(ask_from(&machine, &asker, NULL, writer_bytes(&writer), &answer),
                     PLASM_REFUSED);
    assert_int_equal(machine_counts(&machine).records, 1);
    machine_teardown(&machine);
}

static void ping_is_answered(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id asker = testing_peer(&machine.random);
    struct kad_message answer;
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_PING, bytes_of(NULL, 0), &answer), 0);
    assert_int_equal(answer.type, KAD_MESSAGE_PING);
    machine_teardown(&machine);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id asker = testing_peer(&machine.random);
    struct kad_message answer;
    const enum kad_message_type types[] = {KAD_MESSAGE_FIND_NODE, KAD_MESSAGE_GET_PROVIDERS,
                                           KAD_MESSAGE_GET_VALUE, KAD_MESSAGE_ADD_PROVIDER,
                                           KAD_MESSAGE_PUT_VALUE};
    static const uint8_t long_key[KAD_VALUE_KEY_SIZE_MAX + 1];
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_int_equal(ask(&machine, &asker, types[i], bytes_of(NULL, 0), &answer),
                         PLASM_MALFORMED);
        assert_int_equal(ask(&machine, &asker, types[i], BYTES_ARRAY(long_key), &answer),
                         PLASM_MALFORMED);
    }
    struct bytes provider_key = bytes_of(long_key, KAD_PROVIDER_KEY_SIZE_MAX + 1);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_PROVIDERS, provider_key, &answer),
                     PLASM_MALFORMED);
    assert_int_equal(ask_from(&machine, &asker, NULL, BYTES_LITERAL("\x08\x07"), &answer),
                     PLASM_UNSUPPORTED);
    assert_int_equal(ask_from(&machine, &asker, NULL, BYTES_LITERAL("\xff"), &answer),
                     PLASM_MALFORMED);
    machine_teardown(&machine);
}

static void a_client_answers_nothing(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id asker = testing_peer(&machine.random);
    struct kad_message answer;
    kad_set_mode(machine.kad, KAD_CLIENT);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_PING, bytes_of(NULL, 0), &answer),
                     PLASM_UNSUPPORTED);
    kad_set_mode(machine.kad, KAD_SERVER);
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_PING, bytes_of(NULL, 0), &answer), 0);
    machine_teardown(&machine);
}

/* As many and as long addresses as we keep, behind a relay. */
static void large_addresses(struct machine *machine, struct multiaddr *ret_addresses,
                            struct bytes *ret_list) {
    for (size_t i = 0; i < KAD_ADDRESSES_MAX; i++) {
        struct multiaddr *address = &ret_addresses[i];
        struct peer_id relay = testing_peer(&machine->random);
        assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/10.0.0.1/tcp/4001/tls/ws"), address),
                         0);
        assert_int_equal(multiaddr_append(address, MULTIADDR_P2P, peer_id_bytes(&relay)), 0);
        assert_int_equal(multiaddr_append(address, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
        ret_list[i] = multiaddr_bytes(address);
    }
}

static void identify_large(struct machine *machine, const struct peer_id *id) {
    struct multiaddr addresses[KAD_ADDRESSES_MAX];
    struct bytes list[KAD_ADDRESSES_MAX];
    large_addresses(machine, addresses, list);
    struct kad_peer peer = {.id = *id,
                            .addresses = list,
                            .address_count = KAD_ADDRESSES_MAX,
                            .is_server = true,
                            .is_connected = true};
    assert_int_equal(kad_peer_identified(machine->kad, &peer, machine->now), 0);
    machine_drain(machine);
    for (size_t i = 0; i < machine->ask_count; i++) {
        machine_answer_empty(machine, i, KAD_MESSAGE_FIND_NODE);
    }
}

/* Everything at its largest still fits what rust-libp2p reads. */
static void the_largest_answer_fits(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    for (int i = 0; i < 60; i++) {
        struct peer_id id = testing_peer(&machine.random);
        identify_large(&machine, &id);
    }
    static const uint8_t key[KAD_PROVIDER_KEY_SIZE_MAX] = {1};
    uint8_t request[1024];
    for (int i = 0; i < 40; i++) {
        struct peer_id id = testing_peer(&machine.random);
        struct multiaddr addresses[KAD_ADDRESSES_MAX];
        struct bytes list[KAD_ADDRESSES_MAX];
        large_addresses(&machine, addresses, list);
        struct writer writer = writer_of((struct span){request, sizeof(request)});
        kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, BYTES_ARRAY(key));
        size_t mark = protobuf_begin(&writer, KAD_LIST_PROVIDERS);
        protobuf_put_bytes(&writer, 1, peer_id_bytes(&id));
        for (int j = 0; j < KAD_ADDRESSES_MAX; j++) {
            protobuf_put_bytes(&writer, 2, list[j]);
        }
        protobuf_end(&writer, mark);
        struct kad_message answer;
        assert_int_equal(ask_from(&machine, &id, NULL, writer_bytes(&writer), &answer), 0);
    }
    struct peer_id asker = testing_peer(&machine.random);
    struct kad_message answer;
    assert_int_equal(ask(&machine, &asker, KAD_MESSAGE_GET_PROVIDERS, BYTES_ARRAY(key), &answer),
                     0);
    assert_in_range(answer.whole.size, 12000, KAD_MESSAGE_SIZE_MAX - 16);
    assert_int_equal(count_of(&answer, KAD_LIST_PROVIDERS), KAD_PROVIDERS_ANSWERED_MAX);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), KAD_K);
    machine_teardown(&machine);
}

static void private_addresses_stay_private(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id private = testing_peer(&machine.random);
    struct peer_id public = testing_peer(&machine.random);
    struct netaddr at = machine_remote(192, 0, 2, 1);
    machine_admit(&machine, &private, NULL);
    machine_admit(&machine, &public, &at);
    assert_int_equal(machine_counts(&machine).table_peers, 2);
    struct peer_id asker = testing_peer(&machine.random);
    uint8_t request[64];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, BYTES_LITERAL("key"));
    struct kad_message answer;
    struct netaddr remote = machine_remote(198, 51, 100, 1);
    assert_int_equal(ask_from(&machine, &asker, &remote, writer_bytes(&writer), &answer), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), 1);
    assert_int_equal(place_of(&answer, KAD_LIST_CLOSER, &public), 0);
    remote = machine_remote(192, 168, 1, 1);
    assert_int_equal(ask_from(&machine, &asker, &remote, writer_bytes(&writer), &answer), 0);
    assert_int_equal(count_of(&answer, KAD_LIST_CLOSER), 2);
    machine_teardown(&machine);
}

/* Room that is too small is an error, not an overflow. */
static void small_room_is_an_error(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peer = testing_peer(&machine.random);
    machine_admit(&machine, &peer, NULL);
    struct peer_id asker = testing_peer(&machine.random);
    uint8_t request[64];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, BYTES_LITERAL("key"));
    size_t whole = 0;
    assert_int_equal(kad_request(machine.kad, &asker, NULL, writer_bytes(&writer),
                                 (struct span){room, sizeof(room)}, machine.now, &whole),
                     0);
    for (size_t size = 0; size < whole; size++) {
        size_t written = SIZE_MAX;
        assert_int_equal(kad_request(machine.kad, &asker, NULL, writer_bytes(&writer),
                                     (struct span){room, size}, machine.now, &written),
                         PLASM_TOO_LARGE);
        assert_int_equal(written, SIZE_MAX);
    }
    machine_teardown(&machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_node_names_the_closest_but_not_the_asker),
        cmocka_unit_test(the_target_comes_first),
        cmocka_unit_test(providers_speak_for_themselves),
        cmocka_unit_test(what_we_provide_we_say),
        cmocka_unit_test(values_are_stored_and_echoed),
        cmocka_unit_test(ping_is_answered),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_client_answers_nothing),
        cmocka_unit_test(the_largest_answer_fits),
        cmocka_unit_test(private_addresses_stay_private),
        cmocka_unit_test(small_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
