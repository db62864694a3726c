/* The table as bytes and back: what comes out again, and what damaged bytes do (nothing). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/kad/machine_testing.h"

static void setup(struct machine *machine) {
    *machine = (struct machine){0};
    machine_setup(machine, KAD_SERVER, NULL);
}

static void exported(struct machine *machine, struct buffer *out) {
    buffer_init(out, &machine->memory, KAD_EXPORT_SIZE_MAX);
    assert_int_equal(kad_export(machine->kad, out), 0);
}

static void peers_come_back_as_seeds(void **state) {
    (void)state;
    struct machine before;
    setup(&before);
    struct peer_id peers[6];
    machine_know(&before, peers, 6);
    struct buffer bytes;
    exported(&before, &bytes);
    struct machine after;
    setup(&after);
    assert_int_equal(kad_import(after.kad, buffer_bytes(&bytes), after.now), 0);
    assert_int_equal(machine_counts(&after).table_peers, 0);
    assert_int_equal(machine_counts(&after).contacts, 6);
    machine_drain(&after);
    assert_int_equal(after.ask_count, 0); /* nobody is dialled for nothing */
    uint64_t operation;
    assert_int_equal(kad_bootstrap(after.kad, NULL, after.now, &operation), 0);
    machine_drain(&after);
    assert_int_equal(after.ask_count, 6);
    struct kad_addresses expected = testing_address(&peers[0], 10, 0, 0, 1);
    for (size_t i = 0; i < 6; i++) {
        bool is_known = false;
        for (size_t j = 0; j < 6; j++) {
            is_known |= peer_id_equal(&after.asks[i].peer, &peers[j]);
        }
        assert_true(is_known);
        assert_int_equal(after.asks[i].addresses.size, expected.size);
    }
    /* A second time changes nothing. */
    assert_int_equal(kad_import(after.kad, buffer_bytes(&bytes), after.now), 0);
    assert_int_equal(machine_counts(&after).contacts, 6);
    buffer_done(&bytes);
    machine_teardown(&before);
    machine_teardown(&after);
}

static void the_empty_table_is_a_table(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct buffer bytes;
    exported(&machine, &bytes);
    assert_int_equal(kad_import(machine.kad, buffer_bytes(&bytes), machine.now), 0);
    assert_int_equal(machine_counts(&machine).contacts, 0);
    buffer_done(&bytes);
    machine_teardown(&machine);
}

static void seen_last_comes_first_and_the_doubtful_not_at_all(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[5];
    for (size_t i = 0; i < 5; i++) {
        peers[i] = testing_peer(&machine.random);
        machine.now += NANOS_SECOND;
        machine_admit(&machine, &peers[i], NULL);
    }
    uint64_t operation;
    assert_int_equal(
        kad_find_closest(machine.kad, BYTES_LITERAL("k"), NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    for (size_t i = 0; i < machine.ask_count; i++) {
        if (peer_id_equal(&machine.asks[i].peer, &peers[3])) {
            kad_answer_failed(machine.kad, machine.asks[i].id, PLASM_TIMEOUT, machine.now);
        }
    }
    struct buffer bytes;
    exported(&machine, &bytes);
    struct cursor cursor = cursor_of(buffer_bytes(&bytes));
    (void)cursor_take(&cursor, 5);
    assert_int_equal(cursor_u16(&cursor), 4);
    const size_t order[] = {4, 2, 1, 0};
    for (size_t i = 0; i < 4; i++) {
        struct bytes id = cursor_take(&cursor, cursor_u8(&cursor));
        assert_true(bytes_equal(id, peer_id_bytes(&peers[order[i]])));
        (void)cursor_take(&cursor, cursor_u16(&cursor));
    }
    assert_int_equal(cursor.left.size, SHA256_SIZE);
    buffer_done(&bytes);
    machine_teardown(&machine);
}

static void damage_is_seen_and_nothing_taken(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    struct buffer bytes;
    exported(&machine, &bytes);
    struct machine other;
    setup(&other);
    struct bytes whole = buffer_bytes(&bytes);
    for (size_t size = 0; size < whole.size; size++) {
        assert_int_equal(kad_import(other.kad, bytes_slice(whole, 0, size), other.now),
                         PLASM_MALFORMED);
    }
    uint8_t *copy = malloc(whole.size);
    assert_non_null(copy);
    for (size_t i = 0; i < whole.size; i++) {
        memcpy(copy, whole.data, whole.size);
        copy[i] ^= 0x10;
        assert_int_equal(kad_import(other.kad, bytes_of(copy, whole.size), other.now),
                         PLASM_MALFORMED);
    }
    assert_int_equal(machine_counts(&other).contacts, 0);
    free(copy);
    buffer_done(&bytes);
    machine_teardown(&machine);
    machine_teardown(&other);
}

/* Closes a made-up table with its digest and imports it. */
static int import_body(struct machine *machine, struct bytes body) {
    uint8_t room[1024];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    writer_bytes_put(&writer, body);
    struct sha256_digest digest = sha256(body);
    writer_bytes_put(&writer, BYTES_ARRAY(digest.bytes));
    assert_int_equal(writer.error, 0);
    return kad_import(machine->kad, writer_bytes(&writer), machine->now);
}

static void forged_tables_are_checked_too(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    assert_int_equal(import_body(&machine, BYTES_LITERAL("pkad\x01\x00\x00")), 0);
    assert_int_equal(import_body(&machine, BYTES_LITERAL("pkad\x02\x00\x00")), PLASM_UNSUPPORTED);
    const struct bytes wrong[] = {
        BYTES_LITERAL("pkaf\x01\x00\x00"),
        BYTES_LITERAL("pkad\x01\x00\x01"),                             /* no peer */
        BYTES_LITERAL("pkad\x01\x00\x00x"),                            /* trailing */
        BYTES_LITERAL("pkad\x01\x00\x01\x02xx\x00\x00"),               /* no peer id */
        BYTES_LITERAL("pkad\x01\x00\x01\x03\x00\x01\x61\x00\x00"),     /* no address */
        BYTES_LITERAL("pkad\x01\x00\x01\x03\x00\x01\x61\x00\x02\x01x") /* a bad address */
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(import_body(&machine, wrong[i]), PLASM_MALFORMED);
    }
    assert_int_equal(machine_counts(&machine).contacts, 0);
    machine_teardown(&machine);
}

/* A remembered peer that does not answer is forgotten once others are known, not before. */
static void the_remembered_are_kept_while_nobody_else_is_known(void **state) {
    (void)state;
    struct machine before;
    setup(&before);
    struct peer_id peers[2];
    machine_know(&before, peers, 2);
    struct buffer bytes;
    exported(&before, &bytes);
    struct machine machine;
    setup(&machine);
    assert_int_equal(kad_import(machine.kad, buffer_bytes(&bytes), machine.now), 0);
    uint64_t operation;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kad_bootstrap(machine.kad, NULL, machine.now, &operation), 0);
        machine_drain(&machine);
        assert_int_equal(machine.ask_count, 2);
        kad_answer_failed(machine.kad, machine.asks[0].id, PLASM_UNREACHABLE, machine.now);
        kad_answer_failed(machine.kad, machine.asks[1].id, PLASM_UNREACHABLE, machine.now);
        machine_drain(&machine);
    }
    struct peer_id alive;
    machine_know(&machine, &alive, 1);
    assert_int_equal(kad_bootstrap(machine.kad, NULL, machine.now, &operation), 0);
    machine_drain(&machine);
    for (size_t i = 0; i < machine.ask_count; i++) {
        kad_answer_failed(machine.kad, machine.asks[i].id, PLASM_UNREACHABLE, machine.now);
    }
    assert_int_equal(machine_counts(&machine).contacts, 0);
    buffer_done(&bytes);
    machine_teardown(&before);
    machine_teardown(&machine);
}

static void without_room_there_is_an_error(void **state) {
    (void)state;
    struct machine machine;
    setup(&machine);
    struct peer_id peers[3];
    machine_know(&machine, peers, 3);
    struct buffer small;
    buffer_init(&small, &machine.memory, 100);
    assert_int_equal(kad_export(machine.kad, &small), PLASM_TOO_LARGE);
    assert_int_equal(small.size, 0);
    struct memory_failing failing;
    memory_failing_init(&failing, 0, true);
    struct buffer none;
    buffer_init(&none, &failing.memory, KAD_EXPORT_SIZE_MAX);
    assert_int_equal(kad_export(machine.kad, &none), PLASM_NO_MEMORY);
    buffer_done(&none);
    buffer_done(&small);
    machine_teardown(&machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_come_back_as_seeds),
        cmocka_unit_test(the_empty_table_is_a_table),
        cmocka_unit_test(seen_last_comes_first_and_the_doubtful_not_at_all),
        cmocka_unit_test(damage_is_seen_and_nothing_taken),
        cmocka_unit_test(forged_tables_are_checked_too),
        cmocka_unit_test(the_remembered_are_kept_while_nobody_else_is_known),
        cmocka_unit_test(without_room_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
