/* What the machine does by itself: announcing again, refreshing the table. */
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

/* So many of those who are told what is provided do not take it, each time. */
static size_t stores_failing;

/* Runs the machine's own announcements until `until`; all peers answer. Returns how many began. */
static size_t run_announcements(struct machine *machine, nanos until) {
    size_t count = 0;
    while (machine->now < until) {
        machine_pass(machine, until - machine->now);
        for (int rounds = 0; machine->ask_count > 0 || machine->event_count > 0; rounds++) {
            assert_true(rounds < 100);
            const struct kad_event *event = machine_event(machine, KAD_OPERATION_DONE);
            if (event != NULL && event->done.kind == KAD_PROVIDE) {
                assert_true(event->done.is_internal);
                count++;
            }
            for (size_t i = 0; i < machine->ask_count; i++) {
                /* Every peer says what it was asked: that is an answer without peers. */
                const struct kad_ask *ask = &machine->asks[i];
                if (!ask->expects_answer && i < stores_failing) {
                    kad_answer_failed(machine->kad, ask->id, PLASM_RESET, machine->now);
                    continue;
                }
                machine_answer_empty(machine, i, KAD_MESSAGE_FIND_NODE);
                if (!ask->expects_answer) {
                    kad_answer(machine->kad, ask->id, bytes_of(NULL, 0), machine->now);
                }
            }
            machine_drain(machine);
        }
    }
    return count;
}

static void what_is_provided_is_announced_again(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[KAD_K];
    machine_know(&machine, peers, KAD_K);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    machine_answer_all(&machine);
    /* Once soon after the first, then every half hour. */
    assert_int_equal(run_announcements(&machine, machine.now + 4 * NANOS_MINUTE), 1);
    assert_int_equal(run_announcements(&machine, machine.now + 25 * NANOS_MINUTE), 0);
    assert_int_equal(run_announcements(&machine, machine.now + 6 * NANOS_MINUTE), 1);
    assert_in_range(run_announcements(&machine, machine.now + 5 * NANOS_HOUR), 10, 12);
    /* Other addresses are announced soon. */
    machine_set_address(&machine, 2);
    assert_int_equal(run_announcements(&machine, machine.now + 2 * NANOS_SECOND), 1);
    machine_set_address(&machine, 2); /* the same ones are not */
    assert_int_equal(run_announcements(&machine, machine.now + 2 * NANOS_MINUTE), 0);
    kad_unprovide(machine.kad, key);
    assert_int_equal(run_announcements(&machine, machine.now + 2 * NANOS_HOUR), 0);
    machine_teardown(&machine);
}

/* Few servers got it: more may have come, whether we have heard of them or not. */
static void announced_again_soon_when_few_got_it(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    machine_answer_all(&machine);
    assert_int_equal(run_announcements(&machine, machine.now + NANOS_MINUTE), 1);
    assert_int_equal(run_announcements(&machine, machine.now + 29 * NANOS_MINUTE), 4);
    for (int i = 0; i < 8; i++) { /* and that for days */
        assert_in_range(run_announcements(&machine, machine.now + 5 * NANOS_HOUR), 10, 12);
    }
    /* So many come that k get it: when they are few again, it begins anew. */
    struct peer_id more[KAD_K];
    machine_know(&machine, more, KAD_K);
    (void)run_announcements(&machine, machine.now + NANOS_HOUR);
    stores_failing = 5;
    assert_true(run_announcements(&machine, machine.now + 31 * NANOS_MINUTE) > 2);
    stores_failing = 0;
    machine_teardown(&machine);
}

/* The first node of a network provides before there is anybody to tell. */
static void announced_as_soon_as_there_is_somebody(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, PLASM_NOT_FOUND);
    struct peer_id peers[2];
    machine_know(&machine, peers, 1);
    nanos before = machine.now;
    assert_int_equal(run_announcements(&machine, machine.now + 2 * NANOS_SECOND), 1);
    /* The network has grown: those who came later are told as well, before the half hour. */
    peers[1] = testing_peer(&machine.random);
    machine_admit(&machine, &peers[1], NULL);
    assert_int_equal(machine_counts(&machine).table_peers, 2);
    assert_in_range(run_announcements(&machine, before + 2 * NANOS_MINUTE), 1, 2);
    machine_teardown(&machine);
}

static void providing_needs_an_address(void **state) {
    (void)state;
    struct machine machine = {0};
    machine_setup(&machine, KAD_SERVER, NULL);
    struct peer_id peers[1];
    machine_know(&machine, peers, 1);
    uint64_t operation;
    assert_int_equal(kad_provide(machine.kad, key, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    assert_int_equal(machine_done(&machine)->status, PLASM_STATE);
    assert_int_equal(machine_counts(&machine).provided_keys, 1);
    assert_int_equal(run_announcements(&machine, machine.now + NANOS_HOUR), 0);
    machine_set_address(&machine, 1);
    assert_int_equal(run_announcements(&machine, machine.now + 2 * NANOS_SECOND), 1);
    machine_teardown(&machine);
}

/* A table that is not looked at for ten minutes is refreshed; a client's may be left alone. */
static void the_table_is_refreshed(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[4];
    machine_know(&machine, peers, 4);
    nanos start = machine.now;
    size_t refreshes = 0;
    while (machine.now < start + 2 * NANOS_HOUR) {
        machine_pass(&machine, start + 2 * NANOS_HOUR - machine.now);
        do {
            const struct kad_event *event = machine_event(&machine, KAD_OPERATION_DONE);
            if (event != NULL) {
                assert_int_equal(event->done.kind, KAD_BOOTSTRAP);
                assert_true(event->done.is_internal);
                assert_int_equal(event->done.status, 0);
                refreshes++;
            }
            for (size_t i = 0; i < machine.ask_count; i++) {
                machine_answer_empty(&machine, i, KAD_MESSAGE_FIND_NODE);
            }
            machine_drain(&machine);
        } while (machine.ask_count > 0 || machine.event_count > 0);
    }
    /* Every 8.75 to 10 minutes, and once after the first peer came. */
    assert_in_range(refreshes, 12, 15);
    machine_teardown(&machine);
}

/* Asks within so long when everybody answers with nothing. */
static size_t count_asks(struct machine *machine, nanos duration) {
    nanos end = machine->now + duration;
    size_t count = 0;
    while (machine->now < end) {
        machine_pass(machine, end - machine->now);
        while (machine->ask_count > 0) {
            count += machine->ask_count;
            for (size_t i = 0; i < machine->ask_count; i++) {
                machine_answer_empty(machine, i, KAD_MESSAGE_FIND_NODE);
            }
            machine_drain(machine);
        }
    }
    return count;
}

/* A client that knows enough leaves its table alone; a server looks who its neighbours are. */
static void a_client_looks_around_when_it_must(void **state) {
    (void)state;
    static const enum kad_mode modes[] = {KAD_SERVER, KAD_CLIENT};
    size_t asks[2];
    for (size_t i = 0; i < 2; i++) {
        struct machine machine = {0};
        machine_setup(&machine, modes[i], NULL);
        struct peer_id peers[KAD_K + 5];
        for (size_t j = 0; j < ARRAY_SIZE(peers); j++) {
            struct netaddr home = machine_remote((uint8_t)(20 + j), 1, 1, 1);
            peers[j] = testing_peer(&machine.random);
            assert_int_equal(machine_identify(&machine, &peers[j], true, &home), 0);
        }
        (void)count_asks(&machine, NANOS_MINUTE); /* the first refresh */
        asks[i] = count_asks(&machine, 40 * NANOS_MINUTE);
        machine_teardown(&machine);
    }
    assert_true(asks[0] >= 4 * KAD_K);
    assert_int_equal(asks[1], 0);
}

/* Nobody is in the table for ever without a sign of life, with refreshing or without. */
static void who_is_silent_for_long_is_asked(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[KAD_K + 5];
    machine_know(&machine, peers, ARRAY_SIZE(peers));
    machine.now += 2 * NANOS_HOUR;
    nanos begin = machine.now;
    bool is_asked[ARRAY_SIZE(peers)] = {false};
    while (machine.now < begin + NANOS_HOUR) {
        machine_pass(&machine, begin + NANOS_HOUR - machine.now);
        while (machine.ask_count > 0) {
            for (size_t i = 0; i < machine.ask_count; i++) {
                for (size_t j = 0; j < ARRAY_SIZE(peers); j++) {
                    is_asked[j] |= peer_id_equal(&machine.asks[i].peer, &peers[j]);
                }
                machine_answer_empty(&machine, i, KAD_MESSAGE_FIND_NODE);
            }
            machine_drain(&machine);
        }
    }
    for (size_t j = 0; j < ARRAY_SIZE(peers); j++) {
        assert_true(is_asked[j]);
    }
    machine_teardown(&machine);
}

static void quiet_without_anything_to_do(void **state) {
    (void)state;
    struct machine machine = {0};
    memory_init(&machine.memory, SIZE_MAX);
    testing_random(&machine.random, 1);
    struct kad_config config = {
        .own_id = testing_peer(&machine.random), .mode = KAD_CLIENT, .random = &machine.random};
    kad_limits_default(&config.limits);
    config.limits.refresh_interval = NANOS_NEVER;
    assert_int_equal(kad_new(&config, &machine.memory, 0, &machine.kad), 0);
    assert_int_equal(kad_deadline(machine.kad), NANOS_NEVER);
    machine_teardown(&machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_provided_is_announced_again),
        cmocka_unit_test(announced_again_soon_when_few_got_it),
        cmocka_unit_test(announced_as_soon_as_there_is_somebody),
        cmocka_unit_test(providing_needs_an_address),
        cmocka_unit_test(the_table_is_refreshed),
        cmocka_unit_test(a_client_looks_around_when_it_must),
        cmocka_unit_test(who_is_silent_for_long_is_asked),
        cmocka_unit_test(quiet_without_anything_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
