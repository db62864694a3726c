/* Who gets into the table, who is asked for a sign of life, who has to leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kad/distance.h"
#include "proto/kad/machine_testing.h"

static void setup(struct machine *machine, enum kad_mode mode) {
    *machine = (struct machine){0};
    machine_setup(machine, mode, NULL);
}

/* A random peer of the bucket. */
static struct peer_id peer_in(struct machine *machine, size_t bucket) {
    struct sha256_digest own = testing_hash(&machine->own);
    for (;;) {
        struct peer_id id = testing_peer(&machine->random);
        struct sha256_digest hash = testing_hash(&id);
        if (kad_common_prefix(&own, &hash) == bucket) {
            return id;
        }
    }
}

static void a_server_that_answers_is_admitted(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    assert_int_equal(machine_identify(&machine, &id, true, NULL), 0);
    assert_int_equal(machine_counts(&machine).table_peers, 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &id));
    assert_true(machine.asks[0].expects_answer);
    struct kad_message request;
    assert_int_equal(kad_message_decode(bytes_of(machine.request, machine.request_size), &request),
                     0);
    assert_int_equal(request.type, KAD_MESSAGE_FIND_NODE);
    assert_true(bytes_equal(request.key, peer_id_bytes(&machine.own)));
    /* Identify push while that is under way asks nothing more. */
    assert_int_equal(machine_identify(&machine, &id, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    kad_answer(machine.kad, machine.asks[0].id, bytes_of(machine.request, machine.request_size),
               machine.now);
    machine_drain(&machine);
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    const struct kad_event *added = machine_event(&machine, KAD_TABLE_ADDED);
    assert_non_null(added);
    assert_true(peer_id_equal(&added->peer, &id));
    assert_int_equal(added->table_size, 1);
    machine_teardown(&machine);
}

/* Its packets come from where it says it is to be reached: no question is needed. */
static void who_comes_from_home_is_admitted(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    struct netaddr home = machine_remote(8, 8, 8, 8);
    assert_int_equal(machine_identify(&machine, &id, true, &home), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    /* From another port than the one it names, it has to answer first. */
    struct peer_id other = testing_peer(&machine.random);
    struct netaddr away = machine_remote(9, 9, 9, 9);
    struct multiaddr named;
    multiaddr_from_quic(&away, &named);
    away.port++;
    struct bytes list = multiaddr_bytes(&named);
    struct kad_peer peer = {.id = other,
                            .addresses = &list,
                            .address_count = 1,
                            .remote = &away,
                            .is_server = true,
                            .is_connected = true};
    assert_int_equal(kad_peer_identified(machine.kad, &peer, machine.now), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    machine_teardown(&machine);
}

/* Answers the first ask with a server at 10.0.0.2. */
static void answer_with(struct machine *machine, const struct peer_id *named) {
    uint8_t room[256];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, bytes_of(NULL, 0));
    machine_put_peer(&writer, KAD_LIST_CLOSER, named, 10, 0, 0, 2);
    kad_answer(machine->kad, machine->asks[0].id, writer_bytes(&writer), machine->now);
    machine_drain(machine);
}

/* Who is checked names our neighbours, and so on. */
static void neighbours_lead_to_neighbours(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id peers[KAD_K + 1];
    machine_know(&machine, peers, KAD_K);
    struct sha256_digest own = testing_hash(&machine.own);
    struct peer_id named = peer_in(&machine, 12);
    kad_ask_neighbours(machine.kad, &peers[3], machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &peers[3]));
    answer_with(&machine, &named);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &named));
    /* Somebody farther than the k we know is none of our business, nor who is known. */
    struct peer_id far;
    uint64_t farthest = 0;
    for (int i = 0; i < 64; i++) {
        struct peer_id id = testing_peer(&machine.random);
        struct sha256_digest hash = testing_hash(&id);
        struct sha256_digest distance = kad_distance(&own, &hash);
        if (kad_head(&distance) > farthest) {
            farthest = kad_head(&distance);
            far = id;
        }
    }
    answer_with(&machine, &far);
    assert_int_equal(machine.ask_count, 0);
    kad_ask_neighbours(machine.kad, &peers[3], machine.now);
    machine_drain(&machine);
    answer_with(&machine, &named);
    assert_int_equal(machine.ask_count, 0);
    machine_teardown(&machine);
}

static void a_client_is_not(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    assert_int_equal(machine_identify(&machine, &id, false, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(machine_counts(&machine).contacts, 1);
    /* It may become a server, and then is asked. */
    assert_int_equal(machine_identify(&machine, &id, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    /* And a client again. */
    assert_int_equal(machine_identify(&machine, &id, false, NULL), 0);
    assert_int_equal(machine_counts(&machine).table_peers, 0);
    assert_int_equal(machine_counts(&machine).contacts, 1);
    machine_drain(&machine);
    assert_non_null(machine_event(&machine, KAD_TABLE_REMOVED));
    kad_peer_disconnected(machine.kad, &id, machine.now);
    assert_int_equal(machine_counts(&machine).contacts, 0);
    machine_teardown(&machine);
}

static void a_client_of_ours_asks_later(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_CLIENT);
    struct peer_id id = testing_peer(&machine.random);
    assert_int_equal(machine_identify(&machine, &id, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(kad_deadline(machine.kad), machine.now + NANOS_SECOND);
    machine_pass(&machine, 2 * NANOS_SECOND);
    assert_int_equal(machine.ask_count, 1);
    machine_teardown(&machine);
}

/* The answer may come before identify does. */
static void answered_first_identified_later(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id known = testing_peer(&machine.random);
    machine_admit(&machine, &known, NULL);
    uint64_t operation;
    assert_int_equal(
        kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    struct peer_id named = testing_peer(&machine.random);
    uint8_t room[256];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, bytes_of(NULL, 0));
    machine_put_peer(&writer, KAD_LIST_CLOSER, &named, 10, 0, 0, 2);
    kad_answer(machine.kad, machine.asks[0].id, writer_bytes(&writer), machine.now);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &named));
    machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    assert_int_equal(machine_identify(&machine, &named, true, NULL), 0);
    assert_int_equal(machine_counts(&machine).table_peers, 2);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    machine_teardown(&machine);
}

/* Lets the machine ask the peer and fail, whenever it wants to; returns how often until the peer
 * has left the table. */
static size_t fail_until_removed(struct machine *machine, int error) {
    for (size_t failures = 0; failures < 20; failures++) {
        if (machine_counts(machine).table_peers == 0) {
            return failures;
        }
        machine_pass(machine, NANOS_HOUR);
        assert_true(machine->ask_count > 0);
        for (size_t i = 0; i < machine->ask_count; i++) {
            kad_answer_failed(machine->kad, machine->asks[i].id, error, machine->now);
        }
    }
    return SIZE_MAX;
}

static void failures_in_a_row_cost_the_place(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    machine_admit(&machine, &id, NULL);
    kad_peer_disconnected(machine.kad, &id, machine.now);
    uint64_t operation;
    assert_int_equal(
        kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_UNREACHABLE, machine.now);
    /* It is not named to others from the first failure on, but it is kept. */
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    uint8_t room[KAD_MESSAGE_SIZE_MAX];
    size_t size;
    struct peer_id asker = testing_peer(&machine.random);
    assert_int_equal(kad_request(machine.kad, &asker, NULL, BYTES_LITERAL("\x08\x04\x12\x01k"),
                                 (struct span){room, sizeof(room)}, machine.now, &size),
                     0);
    assert_int_equal(size, 2);
    machine_drain(&machine);
    nanos before = machine.now;
    /* Two checks, and the table's first refresh, which counts with the failure before it. */
    assert_int_equal(fail_until_removed(&machine, PLASM_TIMEOUT), 3);
    assert_in_range(machine.now - before, 30 * NANOS_SECOND, 5 * NANOS_MINUTE);
    machine_drain(&machine);
    /* It is remembered, since nobody else is known. */
    assert_int_equal(machine_counts(&machine).contacts, 1);
    assert_int_equal(
        kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    machine_teardown(&machine);
}

static void an_answer_makes_good(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    machine_admit(&machine, &id, NULL);
    for (int i = 0; i < 10; i++) {
        uint64_t operation;
        assert_int_equal(
            kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
        machine_drain(&machine);
        assert_int_equal(machine.ask_count, 1);
        kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_TIMEOUT, machine.now);
        machine_drain(&machine);
        /* Its check comes in half a minute, and it answers that one. */
        machine_pass(&machine, NANOS_MINUTE);
        assert_int_equal(machine.ask_count, 1);
        machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
        assert_int_equal(machine_counts(&machine).table_peers, 1);
        machine.now += NANOS_MINUTE;
    }
    machine_teardown(&machine);
}

/* Many failures at once have one cause. */
static void a_burst_counts_once(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    machine_admit(&machine, &id, NULL);
    for (int i = 0; i < 10; i++) {
        uint64_t operation;
        assert_int_equal(
            kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
        machine_drain(&machine);
        assert_int_equal(machine.ask_count, 1);
        kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_TIMEOUT, machine.now);
    }
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    machine_teardown(&machine);
}

/* Our own want says nothing of the peer; not speaking the protocol says all. */
static void errors_differ(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id id = testing_peer(&machine.random);
    machine_admit(&machine, &id, NULL);
    const int ours[] = {PLASM_NO_MEMORY, PLASM_LIMIT, PLASM_CANCELLED};
    uint64_t operation;
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(
            kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
        machine_drain(&machine);
        kad_answer_failed(machine.kad, machine.asks[0].id, ours[i % 3], machine.now);
        machine_drain(&machine);
        machine.now += NANOS_SECOND * 20;
    }
    assert_int_equal(machine_counts(&machine).table_peers, 1);
    assert_int_equal(
        kad_find_closest(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_UNSUPPORTED, machine.now);
    assert_int_equal(machine_counts(&machine).table_peers, 0);
    machine_teardown(&machine);
}

static void a_full_bucket_favours_the_old(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id members[KAD_K];
    for (size_t i = 0; i < KAD_K; i++) {
        members[i] = peer_in(&machine, 0);
        machine_admit(&machine, &members[i], NULL);
        machine.now += NANOS_MILLISECOND;
    }
    assert_int_equal(machine_counts(&machine).table_peers, KAD_K);
    /* All are fresh: the newcomer is not even asked. */
    struct peer_id newcomer = peer_in(&machine, 0);
    assert_int_equal(machine_identify(&machine, &newcomer, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    /* Unseen for long, the oldest is asked as well, and keeps its place by answering. */
    for (size_t i = 0; i < KAD_K; i++) {
        kad_peer_disconnected(machine.kad, &members[i], machine.now + i);
    }
    machine.now += 11 * NANOS_MINUTE;
    assert_int_equal(machine_identify(&machine, &newcomer, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &newcomer));
    machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &members[0]));
    machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
    machine_drain(&machine);
    assert_int_equal(machine_counts(&machine).table_peers, KAD_K);
    assert_null(machine_event(&machine, KAD_TABLE_REMOVED));
    /* The next oldest does not answer: one failure is enough when somebody waits. */
    assert_int_equal(machine_identify(&machine, &newcomer, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &members[1]));
    kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_TIMEOUT, machine.now);
    assert_int_equal(machine_identify(&machine, &newcomer, true, NULL), 0);
    machine_drain(&machine);
    const struct kad_event *removed = machine_event(&machine, KAD_TABLE_REMOVED);
    const struct kad_event *added = machine_event(&machine, KAD_TABLE_ADDED);
    assert_true(removed != NULL && peer_id_equal(&removed->peer, &members[1]));
    assert_true(added != NULL && peer_id_equal(&added->peer, &newcomer));
    machine_teardown(&machine);
}

/* A place that comes free goes to who waits for one. */
static void who_waits_moves_up(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct peer_id members[KAD_K];
    for (size_t i = 0; i < KAD_K; i++) {
        members[i] = peer_in(&machine, 0);
        machine_admit(&machine, &members[i], NULL);
    }
    struct peer_id waiting = peer_in(&machine, 0);
    assert_int_equal(machine_identify(&machine, &waiting, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(machine_identify(&machine, &members[7], false, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &waiting));
    machine_answer_empty(&machine, 0, KAD_MESSAGE_FIND_NODE);
    assert_int_equal(machine_counts(&machine).table_peers, KAD_K);
    machine_teardown(&machine);
}

/* A thousand identities behind one network: a few places, whatever they say of themselves. */
static void one_network_cannot_fill_the_table(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct netaddr remote = machine_remote(198, 51, 7, 7);
    for (size_t i = 0; i < 300; i++) {
        struct peer_id id = testing_peer(&machine.random);
        /* It names a private address. */
        struct multiaddr address;
        assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/10.0.0.1/udp/4001/quic-v1"), &address),
                         0);
        struct bytes list = multiaddr_bytes(&address);
        struct kad_peer peer = {.id = id,
                                .addresses = &list,
                                .address_count = 1,
                                .remote = &remote,
                                .is_server = true,
                                .is_connected = true};
        assert_int_equal(kad_peer_identified(machine.kad, &peer, machine.now), 0);
        machine_drain(&machine);
        for (size_t j = 0; j < machine.ask_count; j++) {
            machine_answer_empty(&machine, j, KAD_MESSAGE_FIND_NODE);
        }
    }
    assert_int_equal(machine_counts(&machine).table_peers, KAD_TABLE_PER_GROUP_MAX);
    assert_in_range(machine_counts(&machine).contacts, 1, 128);
    /* Others still get in. */
    for (size_t i = 0; i < 5; i++) {
        struct peer_id id = testing_peer(&machine.random);
        remote = machine_remote(20, (uint8_t)i, 1, 1);
        machine_admit(&machine, &id, &remote);
    }
    assert_int_equal(machine_counts(&machine).table_peers, KAD_TABLE_PER_GROUP_MAX + 5);
    machine_teardown(&machine);
}

static void we_do_not_know_ourselves(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    assert_int_equal(machine_identify(&machine, &machine.own, true, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(machine_counts(&machine).contacts, 0);
    machine_teardown(&machine);
}

/* Clients come and go; servers that might be members are not pushed out by them. */
static void contacts_are_bounded(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    for (size_t i = 0; i < KAD_K; i++) {
        struct peer_id id = peer_in(&machine, 0);
        machine_admit(&machine, &id, NULL);
    }
    struct peer_id server = peer_in(&machine, 0);
    assert_int_equal(machine_identify(&machine, &server, true, NULL), 0);
    for (size_t i = 0; i < 1000; i++) {
        struct peer_id id = testing_peer(&machine.random);
        assert_int_equal(machine_identify(&machine, &id, false, NULL), 0);
        assert_true(machine_counts(&machine).contacts <= 128);
    }
    uint64_t operation;
    struct kad_options options = {.count_max = 1};
    assert_int_equal(kad_find_peer(machine.kad, &server, &options, machine.now, &operation), 0);
    machine_drain(&machine);
    const struct kad_event *found = machine_event(&machine, KAD_PEER_FOUND);
    assert_true(found != NULL && peer_id_equal(&found->peer, &server));
    machine_teardown(&machine);
}

/* Who may not come in does not take the turn of who may. */
static void who_may_not_move_up_is_passed_over(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine, KAD_SERVER);
    struct netaddr crowded = machine_remote(30, 1, 1, 1);
    struct netaddr other = machine_remote(31, 1, 1, 1);
    struct peer_id members[KAD_K];
    for (size_t i = 0; i < KAD_K; i++) {
        members[i] = peer_in(&machine, 0);
        machine_admit(&machine, &members[i], i < KAD_BUCKET_PER_GROUP_MAX ? &crowded : NULL);
    }
    assert_int_equal(machine_counts(&machine).table_peers, KAD_K);
    struct peer_id waiting[3];
    for (size_t i = 0; i < 3; i++) { /* whichever end the machine begins at */
        waiting[i] = peer_in(&machine, 0);
        assert_int_equal(machine_identify(&machine, &waiting[i], true, i == 1 ? &other : &crowded),
                         0);
    }
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 0);
    assert_int_equal(machine_identify(&machine, &members[7], false, NULL), 0);
    machine_drain(&machine);
    assert_int_equal(machine.ask_count, 1);
    assert_true(peer_id_equal(&machine.asks[0].peer, &waiting[1]));
    machine_teardown(&machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_answers_is_admitted),
        cmocka_unit_test(who_comes_from_home_is_admitted),
        cmocka_unit_test(neighbours_lead_to_neighbours),
        cmocka_unit_test(a_client_is_not),
        cmocka_unit_test(a_client_of_ours_asks_later),
        cmocka_unit_test(answered_first_identified_later),
        cmocka_unit_test(failures_in_a_row_cost_the_place),
        cmocka_unit_test(an_answer_makes_good),
        cmocka_unit_test(a_burst_counts_once),
        cmocka_unit_test(errors_differ),
        cmocka_unit_test(a_full_bucket_favours_the_old),
        cmocka_unit_test(who_waits_moves_up),
        cmocka_unit_test(who_may_not_move_up_is_passed_over),
        cmocka_unit_test(one_network_cannot_fill_the_table),
        cmocka_unit_test(we_do_not_know_ourselves),
        cmocka_unit_test(contacts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
