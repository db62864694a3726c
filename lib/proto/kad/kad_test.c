/* The machine's operations, one at a time: what is asked, what comes out, how it ends. */
#include "proto/kad/kad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kad/machine_testing.h"

static const struct bytes key = {.data = (const uint8_t *)"content key", .size = 11};

static void setup(struct machine *machine) {
    *machine = (struct machine){0};
    machine_setup(machine, KAD_SERVER, NULL);
    machine_set_address(machine, 1);
}

static void nobody_to_ask(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    uint64_t operation;
    struct peer_id id = testing_peer(&machine.random);
    for (int i = 0; i < 5; i++) {
        int error = PLASM_FAILED;
        switch (i) {
        case 0:
            error = kad_find_peer(machine.kad, &id, NULL, machine.now, &operation);
            break;
        case 1:
            error = kad_find_providers(machine.kad, key, NULL, machine.now, &operation);
            break;
        case 2:
            error = kad_provide(machine.kad, key, NULL, machine.now, &operation);
            break;
        case 3:
            error = kad_bootstrap(machine.kad, NULL, machine.now, &operation);
            break;
        case 4:
            error = kad_get_value(machine.kad, key, NULL, machine.now, &operation);
            break;
        }
        assert_int_equal(error, 0);
        machine_drain(&machine);
        assert_int_equal(machine.ask_count, 0);
        assert_int_equal(machine_done(&machine)->status, PLASM_NOT_FOUND);
        assert_int_equal(machine.events[0].operation, operation);
        assert_false(machine_done(&machine)->is_internal);
    }
    assert_int_equal(machine_counts(&machine).operations, 0);
    machine_teardown(&machine);
}

static void wrong_arguments(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    uint64_t operation = 77;
    static const uint8_t long_key[KAD_VALUE_KEY_SIZE_MAX + 1];
    struct bytes bad[] = {bytes_of(NULL, 0), BYTES_ARRAY(long_key)};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(kad_find_providers(machine.kad, bad[i], NULL, machine.now, &operation),
                         PLASM_INVALID);
        assert_int_equal(kad_provide(machine.kad, bad[i], NULL, machine.now, &operation),
                         PLASM_INVALID);
        assert_int_equal(kad_find_closest(machine.kad, bad[i], NULL, machine.now, &operation),
                         PLASM_INVALID);
        assert_int_equal(kad_get_value(machine.kad, bad[i], NULL, machine.now, &operation),
                         PLASM_INVALID);
    }
    struct peer_id nobody = {.size = 0};
    assert_int_equal(kad_find_peer(machine.kad, &nobody, NULL, machine.now, &operation),
                     PLASM_INVALID);
    struct bytes rubbish = BYTES_LITERAL("rubbish");
    assert_int_equal(kad_set_addresses(machine.kad, &rubbish, 1, machine.now), PLASM_MALFORMED);
    assert_int_equal(operation, 77);
    struct kad *kad;
    struct kad_config config = {.random = &machine.random};
    kad_limits_default(&config.limits);
    assert_int_equal(kad_new(&config, &machine.memory, 0, &kad), PLASM_INVALID);
    assert_int_equal(kad_put_value(machine.kad, BYTES_LITERAL("/no/namespace"), key, NULL,
                                   machine.now, &operation),
                     PLASM_UNSUPPORTED);
    machine_teardown(&machine);
}

static void operations_are_bounded(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[1];
    machine_know(&machine, peers, 1);
    uint64_t operation;
    size_t started = 0;
    while (kad_find_closest(machine.kad, key, NULL, machine.now, &operation) == 0) {
        started++;
        assert_true(started < 1000);
    }
    assert_int_equal(started, 64);
    assert_int_equal(kad_find_closest(machine.kad, key, NULL, machine.now, &operation),
                     PLASM_LIMIT);
    kad_cancel(machine.kad, operation, machine.now);
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, PLASM_CANCELLED);
    assert_int_equal(kad_find_closest(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_teardown(&machine);
}

static void providers_stream_and_stop_the_search(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[5];
    machine_know(&machine, peers, 5);
    uint64_t operation;
    struct kad_options options = {.count_max = 2};
    assert_int_equal(kad_find_providers(machine.kad, key, &options, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 5);
    struct kad_message request;
    assert_int_equal(kad_message_decode(bytes_of(machine.request, machine.request_size), &request),
                     0);
    assert_int_equal(request.type, KAD_MESSAGE_GET_PROVIDERS);
    assert_true(bytes_equal(request.key, key));
    uint64_t asks[5];
    for (size_t i = 0; i < 5; i++) {
        asks[i] = machine.asks[i].id;
    }
    /* One provider, who is named twice, and ourselves. */
    struct peer_id provider = testing_peer(&machine.random);
    uint8_t room[512];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_GET_PROVIDERS, key);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &provider, 10, 0, 0, 3);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &provider, 10, 0, 0, 3);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &machine.own, 10, 0, 0, 4);
    kad_answer(machine.kad, asks[0], writer_bytes(&writer), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 1);
    assert_int_equal(machine.events[0].kind, KAD_PROVIDER_FOUND);
    assert_int_equal(machine.events[0].operation, operation);
    assert_true(peer_id_equal(&machine.events[0].peer, &provider));
    struct kad_addresses expected = testing_address(&provider, 10, 0, 0, 3);
    assert_true(bytes_equal(machine.events[0].addresses, kad_addresses_bytes(&expected)));
    kad_answer(machine.kad, asks[1], writer_bytes(&writer), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 0);
    /* The second one ends it; what comes later is ignored. */
    machine.now += NANOS_MILLISECOND;
    struct peer_id second = testing_peer(&machine.random);
    writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_GET_PROVIDERS, bytes_of(NULL, 0));
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &second, 10, 0, 0, 5);
    kad_answer(machine.kad, asks[2], writer_bytes(&writer), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 2);
    const struct kad_done *done = machine_done(&machine);
    assert_int_equal(done->kind, KAD_FIND_PROVIDERS);
    assert_int_equal(done->status, 0);
    assert_int_equal(done->count, 2);
    assert_int_equal(done->asked, 5);
    assert_int_equal(done->answered, 3);
    assert_int_equal(done->elapsed, NANOS_MILLISECOND);
    kad_answer(machine.kad, asks[3], writer_bytes(&writer), machine.now);
    kad_answer(machine.kad, asks[3], writer_bytes(&writer), machine.now);
    kad_answer_failed(machine.kad, asks[0], PLASM_RESET, machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 0);
    machine_teardown(&machine);
}

static void a_provider_comes_again_with_its_addresses(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[2];
    machine_know(&machine, peers, 2);
    uint64_t operation;
    assert_int_equal(kad_find_providers(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 2);
    uint64_t second = machine.asks[1].id;
    struct peer_id provider = testing_peer(&machine.random);
    /* Field 9, a peer that is nothing but its id. */
    uint8_t bare[64] = {0x08, 0x03, 0x4a, (uint8_t)(2 + provider.size), 0x0a, provider.size};
    memcpy(bare + 6, provider.bytes, provider.size);
    kad_answer(machine.kad, machine.asks[0].id, bytes_of(bare, 6u + provider.size), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 1);
    assert_int_equal(machine.events[0].addresses.size, 0);
    uint8_t room[512];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_GET_PROVIDERS, key);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &provider, 10, 0, 0, 3);
    kad_answer(machine.kad, second, writer_bytes(&writer), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 2);
    assert_int_equal(machine.events[0].kind, KAD_PROVIDER_FOUND);
    assert_true(machine.events[0].addresses.size > 0);
    assert_int_equal(machine_done(&machine)->count, 1);
    machine_teardown(&machine);
}

static void what_others_told_us_is_found_at_once(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id provider = testing_peer(&machine.random);
    uint8_t room[KAD_MESSAGE_SIZE_MAX];
    uint8_t request[256];
    struct writer writer = writer_of((struct span){request, sizeof(request)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, key);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &provider, 10, 0, 0, 3);
    size_t size;
    assert_int_equal(kad_request(machine.kad, &provider, NULL, writer_bytes(&writer),
                                 (struct span){room, sizeof(room)}, machine.now, &size),
                     0);
    uint64_t operation;
    assert_int_equal(kad_find_providers(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_true(peer_id_equal(&machine.events[0].peer, &provider));
    assert_int_equal(machine_done(&machine)->count, 1);
    assert_int_equal(machine_done(&machine)->status, 0);
    machine_teardown(&machine);
}

static void find_peer_gathers_addresses(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    uint64_t operation;
    /* A connected peer needs no network. */
    assert_int_equal(kad_find_peer(machine.kad, &peers[1], NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_true(peer_id_equal(&machine.events[0].peer, &peers[1]));
    assert_int_equal(machine_done(&machine)->status, 0);
    struct peer_id target = testing_peer(&machine.random);
    struct kad_options options = {.count_max = 2};
    assert_int_equal(kad_find_peer(machine.kad, &target, &options, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 3);
    uint64_t asks[2] = {machine.asks[0].id, machine.asks[1].id};
    uint8_t room[512];
    for (size_t i = 0; i < 2; i++) {
        struct writer writer = writer_of((struct span){room, sizeof(room)});
        kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, bytes_of(NULL, 0));
        machine_put_peer(&writer, KAD_LIST_CLOSER, &target, 10, 0, 0, (uint8_t)(20 + i));
        kad_answer(machine.kad, asks[i], writer_bytes(&writer), machine.now);
        machine_drain(&machine);
        assert_int_equal(machine.events[0].kind, KAD_PEER_FOUND);
        assert_int_equal(machine.events[0].addresses.size, 12 * (i + 1));
    }
    assert_int_equal(machine_done(&machine)->status, 0);
    assert_int_equal(machine_done(&machine)->count, 2);
    machine_teardown(&machine);
}

static void find_peer_that_nobody_knows(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    struct peer_id target = testing_peer(&machine.random);
    uint64_t operation;
    assert_int_equal(kad_find_peer(machine.kad, &target, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    machine_answer_all(&machine);
    assert_int_equal(machine_done(&machine)->status, PLASM_NOT_FOUND);
    /* And with nobody answering. */
    assert_int_equal(kad_find_peer(machine.kad, &target, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    for (size_t i = 0; i < machine.ask_count; i++) {
        kad_answer_failed(machine.kad, machine.asks[i].id, PLASM_UNREACHABLE, machine.now);
    }
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, PLASM_UNREACHABLE);
    assert_int_equal(machine_done(&machine)->failed, 3);
    machine_teardown(&machine);
}

static void providing_tells_the_closest(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(machine.asks[i].expects_answer);
        machine_answer_empty(&machine, i, KAD_MESSAGE_FIND_NODE);
    }
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 3);
    struct kad_message request;
    assert_int_equal(kad_message_decode(bytes_of(machine.request, machine.request_size), &request),
                     0);
    assert_int_equal(request.type, KAD_MESSAGE_ADD_PROVIDER);
    assert_true(bytes_equal(request.key, key));
    struct cursor cursor = cursor_of(request.whole);
    struct kad_message_peer named;
    assert_true(kad_message_peer_next(&cursor, KAD_LIST_PROVIDERS, &named));
    assert_true(peer_id_equal(&named.id, &machine.own));
    struct kad_addresses addresses;
    kad_message_addresses(&named, false, &addresses);
    struct kad_addresses own = testing_address(&machine.own, 10, 9, 9, 1);
    assert_true(bytes_equal(kad_addresses_bytes(&addresses), kad_addresses_bytes(&own)));
    /* Two got it, one has gone. */
    for (size_t i = 0; i < 3; i++) {
        assert_false(machine.asks[i].expects_answer);
        if (i == 1) {
            kad_answer_failed(machine.kad, machine.asks[i].id, PLASM_CLOSED, machine.now);
        } else {
            kad_answer(machine.kad, machine.asks[i].id, bytes_of(NULL, 0), machine.now);
        }
    }
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, 0);
    assert_int_equal(machine_done(&machine)->count, 2);
    machine_teardown(&machine);
}

static void dead_peers_cost_a_moment(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[6];
    machine_know(&machine, peers, 6);
    uint64_t operation;
    nanos before = machine.now;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 6);
    /* Four answer, two are silent. */
    for (size_t i = 0; i < 4; i++) {
        machine_answer_empty(&machine, i, KAD_MESSAGE_FIND_NODE);
    }
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    machine_pass(&machine, NANOS_SECOND);
    assert_in_range(machine.now - before, 1, NANOS_SECOND);
    assert_int_equal(machine.ask_count, 4);
    /* Now one of the four is silent as well. */
    for (size_t i = 0; i < 3; i++) {
        kad_answer(machine.kad, machine.asks[i].id, bytes_of(NULL, 0), machine.now);
    }
    machine_drain(&machine);
    assert_null(machine_event(&machine, KAD_OPERATION_DONE));
    const struct kad_event *event = NULL;
    while (event == NULL || event->done.kind != KAD_PROVIDE) {
        machine_pass(&machine, NANOS_SECOND);
        event = machine_event(&machine, KAD_OPERATION_DONE);
        assert_in_range(machine.now - before, 1, 2 * NANOS_SECOND);
    }
    assert_int_equal(event->done.count, 3);
    /* The silent ones are given up by and by, and are checked: nothing stays. */
    kad_unprovide(machine.kad, key);
    for (int i = 0; i < 100; i++) {
        machine_pass(&machine, NANOS_SECOND);
    }
    assert_int_equal(machine_counts(&machine).operations, 0);
    machine_teardown(&machine);
}

/* Far away is not dead: while nobody answers, nobody is given up before the request is. */
static void the_only_peer_may_be_slow(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[1];
    machine_know(&machine, peers, 1);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    for (int phase = 0; phase < 2; phase++) {
        machine_drain(&machine);
        assert_int_equal(machine.ask_count, 1);
        uint64_t ask = machine.asks[0].id;
        nanos until = machine.now + 4 * NANOS_SECOND;
        while (machine.now < until) {
            machine_pass(&machine, until - machine.now);
            const struct kad_event *event = machine_event(&machine, KAD_OPERATION_DONE);
            assert_true(event == NULL || event->done.kind == KAD_BOOTSTRAP);
        }
        if (phase == 0) {
            kad_answer(machine.kad, ask, BYTES_LITERAL("\x08\x04"), machine.now);
        } else {
            kad_answer(machine.kad, ask, bytes_of(NULL, 0), machine.now);
        }
    }
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->kind, KAD_PROVIDE);
    assert_int_equal(machine_done(&machine)->status, 0);
    assert_int_equal(machine_done(&machine)->count, 1);
    machine_teardown(&machine);
}

static void operations_have_a_deadline(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[1];
    machine_know(&machine, peers, 1);
    uint64_t operation;
    struct kad_options options = {.timeout = 100 * NANOS_MILLISECOND};
    assert_int_equal(kad_find_providers(machine.kad, key, &options, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    nanos before = machine.now;
    machine_pass(&machine, NANOS_SECOND);
    assert_int_equal(machine.now - before, 100 * NANOS_MILLISECOND);
    assert_int_equal(machine_done(&machine)->status, PLASM_TIMEOUT);
    machine_teardown(&machine);
}

static void cancelling_ends_at_once(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    uint64_t operation;
    assert_int_equal(kad_find_providers(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    kad_cancel(machine.kad, operation, machine.now);
    kad_cancel(machine.kad, operation, machine.now);
    kad_cancel(machine.kad, 4711, machine.now);
    for (size_t i = 0; i < machine.ask_count; i++) {
        machine_answer_empty(&machine, i, KAD_MESSAGE_GET_PROVIDERS);
    }
    machine_drain(&machine);
    assert_int_equal(machine.event_count, 1);
    assert_int_equal(machine_done(&machine)->status, PLASM_CANCELLED);
    assert_int_equal(machine_counts(&machine).requests, 0);
    machine_teardown(&machine);
}

static void bad_answers_are_failures(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[4];
    machine_know(&machine, peers, 4);
    uint64_t operation;
    assert_int_equal(kad_find_providers(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 4);
    static uint8_t huge[KAD_MESSAGE_SIZE_MAX + 1];
    kad_answer(machine.kad, machine.asks[0].id, BYTES_LITERAL("\xff\xff"), machine.now);
    kad_answer(machine.kad, machine.asks[1].id, BYTES_ARRAY(huge), machine.now);
    machine_answer_empty(&machine, 2, KAD_MESSAGE_FIND_NODE); /* not what was asked */
    machine_answer_empty(&machine, 3, KAD_MESSAGE_GET_PROVIDERS);
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->failed, 3);
    assert_int_equal(machine_done(&machine)->answered, 1);
    machine_teardown(&machine);
}

static void a_new_server_helps_a_running_search(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[1];
    machine_know(&machine, peers, 1);
    uint64_t operation;
    assert_int_equal(kad_find_providers(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    struct peer_id late = testing_peer(&machine.random);
    assert_int_equal(machine_identify(&machine, &late, true, NULL), 0);
    machine_drain(&machine);
    bool is_asked = false;
    for (size_t i = 0; i < machine.ask_count; i++) {
        is_asked |= peer_id_equal(&machine.asks[i].peer, &late);
    }
    assert_true(is_asked);
    machine_teardown(&machine);
}

/* Values: "/seq/…", the longer the better. */
static int seq_validate(void *context, struct bytes name, struct bytes value) {
    (void)context;
    (void)name;
    return value.size > 0 ? 0 : PLASM_MALFORMED;
}

static bool seq_better(void *context, struct bytes name, struct bytes candidate,
                       struct bytes current) {
    (void)context;
    (void)name;
    return candidate.size > current.size;
}

static const struct kad_namespace seq = {
    .name = "seq", .validate = seq_validate, .better = seq_better};

static void answer_value(struct machine *machine, uint64_t ask, struct bytes name,
                         const char *value) {
    uint8_t room[256];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_GET_VALUE, bytes_of(NULL, 0));
    if (value != NULL) {
        kad_message_put_record(&writer, name, bytes_of_string(value));
    }
    kad_answer(machine->kad, ask, writer_bytes(&writer), machine->now);
}

static void the_best_value_wins_and_is_spread(void **state) {
    (void)state;
    struct machine machine = {.namespaces = {.list = &seq, .count = 1}};
    machine_setup(&machine, KAD_CLIENT, NULL);
    struct peer_id peers[4];
    for (size_t i = 0; i < 4; i++) {
        peers[i] = testing_peer(&machine.random);
        assert_int_equal(machine_identify(&machine, &peers[i], true, NULL), 0);
    }
    struct bytes name = BYTES_LITERAL("/seq/name");
    uint64_t operation;
    struct kad_options options = {.count_max = 3};
    assert_int_equal(kad_get_value(machine.kad, name, &options, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 4);
    uint64_t asks[4];
    struct peer_id asked[4];
    for (size_t i = 0; i < 4; i++) {
        asks[i] = machine.asks[i].id;
        asked[i] = machine.asks[i].peer;
    }
    answer_value(&machine, asks[0], name, "old");
    machine_drain(&machine);
    assert_non_null(machine_event(&machine, KAD_VALUE_FOUND));
    assert_true(bytes_equal_string(bytes_of(machine.value, machine.value_size), "old"));
    /* Another key's value does not count, however good. */
    answer_value(&machine, asks[1], BYTES_LITERAL("/seq/other"), "a lie that is long");
    machine_drain(&machine);
    assert_null(machine_event(&machine, KAD_VALUE_FOUND));
    answer_value(&machine, asks[2], name, "the new one");
    machine_drain(&machine);
    assert_non_null(machine_event(&machine, KAD_VALUE_FOUND));
    assert_true(bytes_equal_string(bytes_of(machine.value, machine.value_size), "the new one"));
    answer_value(&machine, asks[3], name, "the new one");
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, 0);
    assert_int_equal(machine_done(&machine)->count, 3);
    /* The one with the old value gets the new one, behind the scenes. */
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &asked[0]));
    struct kad_message request;
    struct bytes bytes = bytes_of(machine.request, machine.request_size);
    assert_int_equal(kad_message_decode(bytes, &request), 0);
    assert_int_equal(request.type, KAD_MESSAGE_PUT_VALUE);
    assert_true(bytes_equal_string(request.record_value, "the new one"));
    kad_answer(machine.kad, machine.asks[0].id, bytes, machine.now);
    machine_drain(&machine);
    assert_true(machine_done(&machine)->is_internal);
    assert_int_equal(machine_done(&machine)->kind, KAD_PUT_VALUE);
    assert_int_equal(machine_done(&machine)->count, 1);
    machine_teardown(&machine);
}

static void putting_counts_the_confirmed(void **state) {
    (void)state;
    struct machine machine = {.namespaces = {.list = &seq, .count = 1}};
    machine_setup(&machine, KAD_SERVER, NULL);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    struct bytes name = BYTES_LITERAL("/seq/name");
    uint64_t operation;
    assert_int_equal(
        kad_put_value(machine.kad, name, BYTES_LITERAL("value"), NULL, machine.now, &operation), 0);
    assert_int_equal(machine_counts(&machine).records, 1); /* here as well */
    machine_drain(&machine);
    for (size_t i = 0; i < 3; i++) {
        machine_answer_empty(&machine, i, KAD_MESSAGE_FIND_NODE);
    }
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 3);
    struct bytes request = bytes_of(machine.request, machine.request_size);
    kad_answer(machine.kad, machine.asks[0].id, request, machine.now);
    machine_answer_empty(&machine, 1, KAD_MESSAGE_PUT_VALUE); /* no echo */
    kad_answer_failed(machine.kad, machine.asks[2].id, PLASM_RESET, machine.now);
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, 0);
    assert_int_equal(machine_done(&machine)->count, 1);
    machine_teardown(&machine);
}

/* One whole story of a node, for every allocation that may fail in it. */
static void live(struct machine *machine) {
    uint64_t operation;
    struct peer_id ids[8];
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        ids[i] = testing_peer(&machine->random);
        error |= machine_identify(machine, &ids[i], i % 4 != 3, NULL);
    }
    struct kad_addresses own = testing_address(&machine->own, 10, 9, 9, 1);
    struct bytes packed = kad_addresses_bytes(&own);
    struct bytes address;
    assert_true(kad_address_next(&packed, &address));
    error |= kad_set_addresses(machine->kad, &address, 1, machine->now);
    error |= kad_bootstrap(machine->kad, NULL, machine->now, &operation);
    error |= kad_provide(machine->kad, key, NULL, machine->now, &operation);
    error |= kad_find_providers(machine->kad, key, NULL, machine->now, &operation);
    error |= kad_find_peer(machine->kad, &ids[3], NULL, machine->now, &operation);
    error |=
        kad_put_value(machine->kad, BYTES_LITERAL("/seq/a"), key, NULL, machine->now, &operation);
    error |= kad_get_value(machine->kad, BYTES_LITERAL("/seq/a"), NULL, machine->now, &operation);
    assert_true(error == 0 || (error & PLASM_NO_MEMORY) != 0);
    uint8_t room[KAD_MESSAGE_SIZE_MAX];
    for (int rounds = 0; rounds < 200; rounds++) {
        machine_drain(machine);
        if (machine->ask_count == 0 && machine_counts(machine).operations == 0) {
            break;
        }
        for (size_t i = 0; i < machine->ask_count; i++) {
            struct writer writer = writer_of((struct span){room, sizeof(room)});
            enum kad_message_type type = (enum kad_message_type)(i % 5);
            kad_message_put_head(&writer, type, key);
            machine_put_peer(&writer, KAD_LIST_CLOSER, &ids[(i + 1) % 8], 10, 0, 0, 9);
            machine_put_peer(&writer, KAD_LIST_PROVIDERS, &ids[(i + 2) % 8], 10, 0, 0, 9);
            kad_message_put_record(&writer, BYTES_LITERAL("/seq/a"), BYTES_LITERAL("longer one"));
            kad_answer(machine->kad, machine->asks[i].id, writer_bytes(&writer), machine->now);
        }
        machine_pass(machine, NANOS_SECOND);
    }
    size_t size;
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_ADD_PROVIDER, key);
    machine_put_peer(&writer, KAD_LIST_PROVIDERS, &ids[0], 10, 0, 0, 9);
    uint8_t answer[KAD_MESSAGE_SIZE_MAX];
    error = kad_request(machine->kad, &ids[0], NULL, writer_bytes(&writer),
                        (struct span){answer, sizeof(answer)}, machine->now, &size);
    assert_true(error == 0 || error == PLASM_NO_MEMORY);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct memory_failing failing;
            memory_failing_init(&failing, n, sticky);
            struct machine machine = {.namespaces = {.list = &seq, .count = 1}};
            machine_setup(&machine, KAD_SERVER, &failing.memory);
            if (machine.kad != NULL) {
                live(&machine);
                /* Whatever happened: every operation has come to its end. */
                assert_int_equal(machine_counts(&machine).operations, 0);
            }
            failed = failing.failed;
            machine_teardown(&machine);
            assert_int_equal(failing.memory.used, 0);
            assert_true(n < 10000);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_to_ask),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(operations_are_bounded),
        cmocka_unit_test(providers_stream_and_stop_the_search),
        cmocka_unit_test(a_provider_comes_again_with_its_addresses),
        cmocka_unit_test(what_others_told_us_is_found_at_once),
        cmocka_unit_test(find_peer_gathers_addresses),
        cmocka_unit_test(find_peer_that_nobody_knows),
        cmocka_unit_test(providing_tells_the_closest),
        cmocka_unit_test(dead_peers_cost_a_moment),
        cmocka_unit_test(the_only_peer_may_be_slow),
        cmocka_unit_test(operations_have_a_deadline),
        cmocka_unit_test(cancelling_ends_at_once),
        cmocka_unit_test(bad_answers_are_failures),
        cmocka_unit_test(a_new_server_helps_a_running_search),
        cmocka_unit_test(the_best_value_wins_and_is_spread),
        cmocka_unit_test(putting_counts_the_confirmed),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
