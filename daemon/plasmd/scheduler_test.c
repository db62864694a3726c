/* Turns: equal time for shares, each client in turn, order in a client's queue, what is forgotten.
 */
#include "plasmd/scheduler.h"

#include <stdio.h>

#include "util/testing.h"

#define MS NANOS_MILLISECOND

static const uint64_t secret[2] = {1, 2};
static struct memory memory;
static struct scheduler scheduler;

struct run {
    struct scheduler_job turn;
    size_t share;
};

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, SIZE_MAX);
    scheduler_init(&scheduler, &memory, secret);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    scheduler_done(&scheduler);
    assert_int_equal(memory.used, 0);
    return 0;
}

static struct bytes name_of(char prefix, size_t number, char room[24]) {
    snprintf(room, 24, "%c%zu", prefix, number);
    return bytes_of_string(room);
}

static int enter(struct run *run, size_t share, size_t client) {
    char share_name[24];
    char client_name[24];
    run->share = share;
    int error = scheduler_enter(&scheduler, &run->turn, name_of('s', share, share_name),
                                name_of('c', 100000 * share + client, client_name));
    if (error == 0) {
        error = scheduler_ready(&scheduler, &run->turn);
        if (error != 0) {
            scheduler_leave(&scheduler, &run->turn);
        }
    }
    return error;
}

static void add(struct run *run, size_t share, size_t client) {
    assert_int_equal(enter(run, share, client), 0);
}

static struct run *take(void) {
    struct scheduler_job *turn = scheduler_next(&scheduler);
    if (turn == NULL) {
        return NULL;
    }
    scheduler_take(&scheduler, turn);
    return CONTAINER_OF(turn, struct run, turn);
}

static struct run *run_next(nanos used) {
    struct run *run = take();
    if (run != NULL) {
        scheduler_spent(&scheduler, &run->turn, used);
        scheduler_leave(&scheduler, &run->turn);
    }
    return run;
}

static void a_client_is_served_in_order(void **state) {
    (void)state;
    struct run runs[5] = {0};
    assert_null(scheduler_next(&scheduler));
    for (size_t i = 0; i < 5; i++) {
        add(&runs[i], 1, 1);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(run_next(MS), &runs[i]);
    }
    assert_null(take());
    assert_int_equal(scheduler.waiting, 0);
}

/* Ten thousand identities behind one address, and one client elsewhere. */
static void many_identities_of_one_prefix_have_one_share(void **state) {
    (void)state;
    enum { CROWD = 10000, OWN = 100 };
    struct run *crowd = calloc(CROWD, sizeof(*crowd));
    struct run own[OWN] = {0};
    assert_non_null(crowd);
    for (size_t i = 0; i < CROWD; i++) {
        add(&crowd[i], 1, i);
    }
    for (size_t i = 0; i < OWN; i++) {
        add(&own[i], 2, 1);
    }
    size_t served = 0;
    for (size_t i = 0; i < 2 * OWN + 2; i++) {
        served += run_next(MS)->share == 2;
    }
    assert_int_equal(served, OWN);
    for (size_t i = 0; i < CROWD; i++) {
        scheduler_leave(&scheduler, &crowd[i].turn);
    }
    free(crowd);
}

static void clients_of_a_share_take_turns(void **state) {
    (void)state;
    enum { FLOOD = 50 };
    struct run flood[FLOOD] = {0};
    struct run others[3] = {0};
    for (size_t i = 0; i < FLOOD; i++) {
        add(&flood[i], 1, 1);
    }
    for (size_t i = 0; i < 3; i++) {
        add(&others[i], 1, 2 + i);
    }
    size_t place = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct run *run = run_next(MS);
        place += run >= &others[0] && run < &others[3];
    }
    assert_int_equal(place, 3);
    while (run_next(MS) != NULL) {
    }
}

/* Long jobs and short ones: the time is equal, not the number. */
static void shares_have_equal_time(void **state) {
    (void)state;
    enum { LONG = 40, SHORT = 400 };
    struct run *runs = calloc(LONG + SHORT, sizeof(*runs));
    assert_non_null(runs);
    for (size_t i = 0; i < LONG; i++) {
        add(&runs[i], 1, 1);
    }
    for (size_t i = 0; i < SHORT; i++) {
        add(&runs[LONG + i], 2, 1);
    }
    nanos used[3] = {0};
    for (size_t i = 0; i < 220; i++) {
        struct run *run = take();
        nanos cost = run->share == 1 ? 20 * MS : 2 * MS;
        used[run->share] += cost;
        scheduler_spent(&scheduler, &run->turn, cost);
        scheduler_leave(&scheduler, &run->turn);
    }
    nanos difference = used[1] > used[2] ? used[1] - used[2] : used[2] - used[1];
    assert_true(difference <= 40 * MS);
    while (run_next(MS) != NULL) {
    }
    free(runs);
}

/* One that comes and goes with long jobs is not level again each time it comes. */
static void what_was_used_is_remembered(void **state) {
    (void)state;
    enum { SHORT = 100 };
    struct run guest = {0};
    struct run runs[SHORT] = {0};
    for (size_t i = 0; i < SHORT; i++) {
        add(&runs[i], 2, 1);
    }
    nanos used[3] = {0};
    add(&guest, 1, 1);
    for (size_t i = 0; i < 60; i++) {
        struct run *run = take();
        nanos cost = run->share == 1 ? 50 * MS : 2 * MS;
        size_t share = run->share;
        used[share] += cost;
        scheduler_spent(&scheduler, &run->turn, cost);
        scheduler_leave(&scheduler, &run->turn);
        if (share == 1) {
            add(&guest, 1, 1); /* at once the next one */
        }
    }
    assert_true(used[1] <= used[2] + 100 * MS);
    while (run_next(MS) != NULL) {
    }
}

/* Being idle is no credit. */
static void nobody_saves_up(void **state) {
    (void)state;
    enum { COUNT = 200 };
    struct run busy[COUNT] = {0};
    struct run late[COUNT] = {0};
    struct run first = {0};
    add(&first, 2, 1);
    assert_ptr_equal(run_next(MS), &first);
    for (size_t i = 0; i < COUNT; i++) {
        add(&busy[i], 1, 1);
    }
    for (size_t i = 0; i < COUNT / 2; i++) {
        assert_int_equal(run_next(10 * MS)->share, 1);
    }
    for (size_t i = 0; i < COUNT; i++) {
        add(&late[i], 2, 1);
    }
    size_t served = 0;
    for (size_t i = 0; i < 20; i++) {
        served += run_next(10 * MS)->share == 2;
    }
    assert_in_range(served, 9, 11);
    while (run_next(MS) != NULL) {
    }
}

static void positions_are_those_that_come_true(void **state) {
    (void)state;
    struct run runs[12] = {0};
    for (size_t i = 0; i < 6; i++) {
        add(&runs[i], 1, 1);
    }
    assert_int_equal(scheduler_position(&scheduler, &runs[0].turn), 0);
    assert_int_equal(scheduler_position(&scheduler, &runs[5].turn), 5);
    assert_int_equal(
        scheduler_position_of_new(&scheduler, bytes_of_string("s1"), bytes_of_string("c100001")),
        6);
    /* Another share's first goes first or second, its third after about two of ours. */
    assert_int_equal(
        scheduler_position_of_new(&scheduler, bytes_of_string("s2"), bytes_of_string("c200001")),
        0);
    for (size_t i = 6; i < 9; i++) {
        add(&runs[i], 2, 1);
    }
    assert_in_range(scheduler_position(&scheduler, &runs[8].turn), 3, 5);
    assert_int_equal(scheduler_position(&scheduler, &runs[5].turn), 8);
    /* One that left leaves no hole at the end. */
    scheduler_leave(&scheduler, &runs[0].turn);
    assert_int_equal(scheduler_position(&scheduler, &runs[1].turn), 0);
    while (run_next(MS) != NULL) {
    }
    assert_int_equal(scheduler_position(&scheduler, &runs[5].turn), 0);
}

static void jobs_are_counted(void **state) {
    (void)state;
    struct run runs[3] = {0};
    add(&runs[0], 1, 1);
    add(&runs[1], 1, 1);
    add(&runs[2], 1, 2);
    const struct bytes share = bytes_of_string("s1");
    assert_int_equal(scheduler_share_jobs(&scheduler, share), 3);
    assert_int_equal(scheduler_client_jobs(&scheduler, bytes_of_string("c100001")), 2);
    assert_int_equal(scheduler_client_jobs(&scheduler, bytes_of_string("c100003")), 0);
    struct run *running = take();
    assert_int_equal(scheduler_share_jobs(&scheduler, share), 3);
    scheduler_leave(&scheduler, &running->turn); /* cancelled: what it used is not known */
    scheduler_leave(&scheduler, &running->turn); /* no harm */
    assert_int_equal(scheduler_share_jobs(&scheduler, share), 2);
    while (run_next(MS) != NULL) {
    }
    assert_int_equal(scheduler_share_jobs(&scheduler, share), 0);
}

/* A client that comes from two places at once counts once. */
static void a_client_is_in_one_share(void **state) {
    (void)state;
    struct scheduler_job jobs[2] = {0};
    const struct bytes client = bytes_of_string("c");
    assert_int_equal(scheduler_enter(&scheduler, &jobs[0], bytes_of_string("s1"), client), 0);
    assert_int_equal(scheduler_enter(&scheduler, &jobs[1], bytes_of_string("s2"), client), 0);
    assert_int_equal(scheduler_client_jobs(&scheduler, client), 2);
    assert_int_equal(scheduler_share_jobs(&scheduler, bytes_of_string("s1")), 2);
    assert_int_equal(scheduler_share_jobs(&scheduler, bytes_of_string("s2")), 0);
    scheduler_leave(&scheduler, &jobs[0]);
    scheduler_leave(&scheduler, &jobs[1]);
}

/* However many come and go, what is remembered is bounded. */
static void the_idle_are_forgotten(void **state) {
    (void)state;
    struct run runs[2] = {0};
    for (size_t i = 0; i < 3 * SCHEDULER_IDLE_MAX; i++) {
        add(&runs[0], i, 1);
        assert_non_null(run_next(NANOS_HOUR));
        assert_true(scheduler.shares.size <= SCHEDULER_IDLE_MAX + 1);
    }
}

static void every_allocation_fails(void **state) {
    (void)state;
    for (size_t n = 0;; n++) {
        struct memory_failing failing;
        struct run runs[4] = {0};
        memory_failing_init(&failing, n, true);
        scheduler_init(&scheduler, &failing.memory, secret);
        size_t entered = 0;
        for (size_t i = 0; i < 4; i++) {
            entered += enter(&runs[i], i / 2, i) == 0;
        }
        size_t served = 0;
        while (run_next(MS) != NULL) {
            served++;
        }
        assert_int_equal(served, entered);
        scheduler_done(&scheduler);
        assert_int_equal(failing.memory.used, 0);
        if (!failing.failed) {
            assert_int_equal(served, 4);
            break;
        }
    }
    scheduler_init(&scheduler, &memory, secret);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_is_served_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_identities_of_one_prefix_have_one_share, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(clients_of_a_share_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_have_equal_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_used_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_saves_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_are_those_that_come_true, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobs_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_is_in_one_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_idle_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
