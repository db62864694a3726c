/* What peers must do over every transport: one list of tests, run on each kind of world. */
#ifndef PEER_CONFORMANCE_TESTING_H
#define PEER_CONFORMANCE_TESTING_H

#include "peer/conformance_connections_testing.h"
#include "peer/conformance_kad_testing.h"
#include "peer/conformance_streams_testing.h"

/* On every kind of world; on all but relayed ones, where it means nothing. */
#define EVERYWHERE(test)                                                                           \
    { {#test, test, NULL, NULL, NULL}, true }
#define DIRECT(test)                                                                               \
    { {#test, test, NULL, NULL, NULL}, false }

static int conformance_run(const struct world_kind *kind) {
    static const struct {
        struct CMUnitTest test;
        bool everywhere;
    } list[] = {
        EVERYWHERE(connects_and_knows),
        EVERYWHERE(ends_are_told),
        EVERYWHERE(connections_end_together),
        /* The relay leads to whom the dial names: nobody else is ever at that address. */
        DIRECT(another_identity_is_refused),
        EVERYWHERE(nobody_there),
        EVERYWHERE(the_next_address_is_tried),
        EVERYWHERE(one_dial_for_all),
        EVERYWHERE(names_are_resolved),
        EVERYWHERE(we_are_nobody_to_dial),
        EVERYWHERE(limits_hold),
        EVERYWHERE(changes_are_pushed),
        EVERYWHERE(pings_come_back),
        EVERYWHERE(throughput_is_measured),
        EVERYWHERE(streams_carry_bytes),
        EVERYWHERE(many_streams_at_once),
        EVERYWHERE(an_unknown_protocol_is_refused),
        EVERYWHERE(resets_are_told),
        EVERYWHERE(slow_readers_slow_writers),
        EVERYWHERE(streams_end_with_their_connection),
        EVERYWHERE(capabilities_reach_readers),
        EVERYWHERE(late_capabilities_reach_readers),
        /* Whoever is reached through a relay is no server of the DHT, by design. */
        DIRECT(the_dht_works),
        DIRECT(the_table_survives_a_restart),
        DIRECT(values_are_kept),
        DIRECT(bootstrap_is_patient),
    };
    struct CMUnitTest tests[ARRAY_SIZE(list)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
        if (list[i].everywhere || !kind->relayed) {
            tests[count] = list[i].test;
            tests[count++].initial_state = (void *)(uintptr_t)kind;
        }
    }
    return _cmocka_run_group_tests(kind->name, tests, count, NULL, NULL);
}

#endif
