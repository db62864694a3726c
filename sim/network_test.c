/* Tests of the virtual internet: addresses, delays, loss. */
#include "network.h"

#include "util/testing.h"

static void addresses_are_public_and_their_own(void **state) {
    (void)state;
    struct sim sim;
    struct network network;
    static struct site sites[2000];
    memset(sites, 0, sizeof(sites));
    sim_init(&sim, 3, NULL);
    network_init(&network, &sim, &network_options_default);
    sites[0].address = (struct netaddr){.family = NETADDR_IP4, .ip = {10, 0, 0, 7}, .port = 9};
    for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
        network_add(&network, &sites[i]);
        assert_in_range(sites[i].access, network_options_default.access_min,
                        network_options_default.access_max);
        assert_true(i == 0 || !netaddr_is_private(&sites[i].address));
    }
    for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
        assert_ptr_equal(network_find(&network, &sites[i].address), &sites[i]);
    }
    struct netaddr nobody = {.family = NETADDR_IP4, .ip = {10, 0, 0, 7}, .port = 10};
    assert_null(network_find(&network, &nobody));
    network_done(&network);
    sim_done(&sim);
}

static void delays_add_up(void **state) {
    (void)state;
    struct sim sim;
    struct network network;
    struct site a = {0};
    struct site b = {0};
    sim_init(&sim, 3, NULL);
    network_init(&network, &sim, &network_options_default);
    network_add(&network, &a);
    network_add(&network, &b);
    nanos least = a.access + b.access;
    bool varies = false;
    nanos first = network_delay(&network, &a, &b);
    for (int i = 0; i < 1000; i++) {
        nanos delay = network_delay(&network, &b, &a);
        assert_in_range(delay, least, least + network_options_default.jitter_max);
        varies = varies || delay != first;
    }
    assert_true(varies);
    assert_int_equal(network_round_trip(&a, &b), 2 * least);
    network_done(&network);
    sim_done(&sim);
}

static void as_much_is_lost_as_was_asked_for(void **state) {
    (void)state;
    struct sim sim;
    struct network network;
    struct network_options options = network_options_default;
    options.loss_ppm = 100000;
    sim_init(&sim, 3, NULL);
    network_init(&network, &sim, &options);
    for (int i = 0; i < 20000; i++) {
        (void)network_loses(&network);
    }
    assert_int_equal(network.counts.datagrams, 20000);
    assert_in_range(network.counts.datagrams_lost, 1800, 2200);

    /* One in ten waits for a resend, one in a hundred for two: the pause doubles. */
    size_t late[3] = {0};
    for (int i = 0; i < 20000; i++) {
        nanos time = network_retransmission(&network, 100, 10);
        assert_true(time == 0 || time == 10 || time == 30 || time >= 70);
        late[0] += time == 0;
        late[1] += time == 10;
        late[2] += time == 30;
    }
    assert_in_range(late[0], 17700, 18300);
    assert_in_range(late[1], 1620, 1980);
    assert_in_range(late[2], 130, 230);
    /* Ten datagrams: the last to arrive counts. */
    size_t prompt = 0;
    for (int i = 0; i < 2000; i++) {
        prompt += network_retransmission(&network, 9 * NETWORK_DATAGRAM_BYTES, 10) == 0;
    }
    assert_in_range(prompt, 600, 800); /* 0.9^10 = 0.35 */
    network_done(&network);
    sim_done(&sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_public_and_their_own),
        cmocka_unit_test(delays_add_up),
        cmocka_unit_test(as_much_is_lost_as_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
