/* The sizes of networks, and of the largest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "util/memory.h"
#include "util/network_groups.h"

static const uint64_t secret[2] = {3, 4};
static struct memory memory;
static struct network_groups groups;

static struct netaddr address(const char *ip) {
    struct netaddr result;
    assert_int_equal(netaddr_parse_ip(bytes_of_string(ip), &result), 0);
    return result;
}

static void add(const char *ip) {
    struct netaddr remote = address(ip);
    assert_int_equal(network_groups_add(&groups, &remote), 0);
}

static void take(const char *ip) {
    struct netaddr remote = address(ip);
    network_groups_remove(&groups, &remote);
}

static size_t size_of(const char *ip) {
    struct netaddr remote = address(ip);
    return network_groups_size(&groups, &remote);
}

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, 1 << 20);
    network_groups_init(&groups, &memory, secret);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    network_groups_done(&groups);
    assert_int_equal(memory.used, 0);
    return 0;
}

static void networks(void **state) {
    (void)state;
    assert_int_equal(network_groups_largest(&groups), 0);
    add("203.0.113.1");
    add("203.0.200.7"); /* the same /16 */
    add("203.1.113.1");
    add("2001:db8::1");
    add("2001:db8:ffff::1"); /* the same /32 */
    add("2001:db8:1::1");
    add("2001:db9::1");
    assert_int_equal(size_of("203.0.0.0"), 2);
    assert_int_equal(size_of("203.1.0.0"), 1);
    assert_int_equal(size_of("203.2.0.0"), 0);
    assert_int_equal(size_of("2001:db8:5::"), 3);
    assert_int_equal(network_groups_largest(&groups), 3);
    take("2001:db8::1");
    assert_int_equal(network_groups_largest(&groups), 2);
    take("2001:db8::1");
    take("203.0.200.7");
    assert_int_equal(network_groups_largest(&groups), 1);
    take("2001:db8::1");
    take("2001:db9::1");
    take("203.1.113.1");
    take("203.0.113.1");
    assert_int_equal(network_groups_largest(&groups), 0);
    assert_int_equal(groups.map.size, 0);
}

static void no_address_is_one(void **state) {
    (void)state;
    const struct netaddr none = {.family = NETADDR_NONE};
    assert_int_equal(network_groups_add(&groups, &none), 0);
    assert_int_equal(network_groups_add(&groups, &none), 0);
    assert_int_equal(network_groups_size(&groups, &none), 2);
    assert_int_equal(network_groups_largest(&groups), 2);
}

static void very_large_ones_are_alike(void **state) {
    (void)state;
    for (size_t i = 0; i < NETWORK_GROUP_SIZE_MAX + 5; i++) {
        add("203.0.113.1");
    }
    assert_int_equal(size_of("203.0.113.1"), NETWORK_GROUP_SIZE_MAX);
    assert_int_equal(network_groups_largest(&groups), NETWORK_GROUP_SIZE_MAX);
    for (size_t i = 0; i < NETWORK_GROUP_SIZE_MAX + 3; i++) {
        take("203.0.113.1");
    }
    assert_int_equal(size_of("203.0.113.1"), 2);
    assert_int_equal(network_groups_largest(&groups), 2);
}

static void without_memory(void **state) {
    (void)state;
    struct memory none;
    memory_init(&none, 0);
    struct network_groups empty;
    network_groups_init(&empty, &none, secret);
    struct netaddr remote = address("203.0.113.1");
    assert_int_equal(network_groups_add(&empty, &remote), PLASM_NO_MEMORY);
    assert_int_equal(network_groups_size(&empty, &remote), 0);
    assert_int_equal(network_groups_largest(&empty), 0);
    network_groups_done(&empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(networks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_address_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(very_large_ones_are_alike, set_up, tear_down),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
