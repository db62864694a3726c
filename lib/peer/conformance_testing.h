/* What peers must do over every transport: one list of tests, run on each kind of world. */
#ifndef PEER_CONFORMANCE_TESTING_H
#define PEER_CONFORMANCE_TESTING_H

#include "peer/conformance_connections_testing.h"
#include "peer/conformance_kad_testing.h"
#include "peer/conformance_streams_testing.h"

#define CONFORMANCE(test)                                                                          \
    { #test, test, NULL, NULL, NULL }

static int conformance_run(const struct world_kind *kind) {
    struct CMUnitTest tests[] = {
        CONFORMANCE(connects_and_knows),
        CONFORMANCE(ends_are_told),
        CONFORMANCE(connections_end_together),
        CONFORMANCE(another_identity_is_refused),
        CONFORMANCE(nobody_there),
        CONFORMANCE(the_next_address_is_tried),
        CONFORMANCE(one_dial_for_all),
        CONFORMANCE(names_are_resolved),
        CONFORMANCE(we_are_nobody_to_dial),
        CONFORMANCE(limits_hold),
        CONFORMANCE(changes_are_pushed),
        CONFORMANCE(pings_come_back),
        CONFORMANCE(throughput_is_measured),
        CONFORMANCE(streams_carry_bytes),
        CONFORMANCE(many_streams_at_once),
        CONFORMANCE(an_unknown_protocol_is_refused),
        CONFORMANCE(resets_are_told),
        CONFORMANCE(slow_readers_slow_writers),
        CONFORMANCE(streams_end_with_their_connection),
        CONFORMANCE(capabilities_reach_readers),
        CONFORMANCE(late_capabilities_reach_readers),
        CONFORMANCE(the_dht_works),
        CONFORMANCE(the_table_survives_a_restart),
        CONFORMANCE(values_are_kept),
        CONFORMANCE(bootstrap_is_patient),
    };
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        tests[i].initial_state = (void *)(uintptr_t)kind;
    }
    return _cmocka_run_group_tests(kind->name, tests, ARRAY_SIZE(tests), NULL, NULL);
}

#endif
