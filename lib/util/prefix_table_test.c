/* Counting by prefix, rates, and the bound of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "util/bucket.h"
#include "util/prefix_table.h"

static const uint64_t secret[2] = {1, 2};

static struct netaddr address(const char *ip) {
    struct netaddr result;
    assert_int_equal(netaddr_parse_ip(bytes_of_string(ip), &result), 0);
    return result;
}

static void buckets(void **state) {
    (void)state;
    struct bucket bucket;
    nanos now = 50 * NANOS_SECOND;
    bucket_fill(&bucket, 3, now);
    for (int i = 0; i < 3; i++) {
        assert_true(bucket_take(&bucket, 2, 3, now));
    }
    assert_false(bucket_take(&bucket, 2, 3, now));
    assert_false(bucket_take(&bucket, 2, 3, now + 499 * NANOS_MILLISECOND));
    assert_true(bucket_take(&bucket, 2, 3, now + 500 * NANOS_MILLISECOND));
    assert_false(bucket_take(&bucket, 2, 3, now + 500 * NANOS_MILLISECOND));
    now += 1000000 * NANOS_HOUR; /* full, and no more */
    for (int i = 0; i < 3; i++) {
        assert_true(bucket_take(&bucket, 2, 3, now));
    }
    assert_false(bucket_take(&bucket, 2, 3, now));
    assert_false(bucket_take(&bucket, 0, 3, now + NANOS_HOUR)); /* no rate: the burst was all */
}

static void counts(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct prefix_table table;
    prefix_table_init(&table, &memory, secret);
    struct netaddr a = address("192.0.2.1");
    struct netaddr b = address("192.0.2.2");
    struct netaddr six = address("2001:db8:1:100::1");
    struct netaddr same56 = address("2001:db8:1:1ff::2");
    struct netaddr same48 = address("2001:db8:1:200::1");
    struct netaddr other = address("2001:db8:2:100::1");
    assert_int_equal(prefix_table_add(&table, &a), 0);
    assert_int_equal(prefix_table_add(&table, &a), 0);
    assert_int_equal(prefix_table_add(&table, &six), 0);
    assert_int_equal(prefix_table_count(&table, &a), 2);
    assert_int_equal(prefix_table_count(&table, &b), 0);
    assert_int_equal(prefix_table_count48(&table, &a), 0);
    assert_int_equal(prefix_table_count(&table, &same56), 1);
    assert_int_equal(prefix_table_count(&table, &same48), 0);
    assert_int_equal(prefix_table_count48(&table, &same48), 1);
    assert_int_equal(prefix_table_count48(&table, &other), 0);
    prefix_table_remove(&table, &a);
    assert_int_equal(prefix_table_count(&table, &a), 1);
    prefix_table_remove(&table, &six);
    assert_int_equal(prefix_table_count(&table, &six), 0);
    prefix_table_done(&table);
    assert_int_equal(memory.used, 0);
}

static void rates(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct prefix_table table;
    prefix_table_init(&table, &memory, secret);
    struct netaddr a = address("192.0.2.1");
    nanos now = NANOS_SECOND;
    for (int i = 0; i < 5; i++) {
        assert_true(prefix_table_allow(&table, &a, false, 1, 5, now));
    }
    assert_false(prefix_table_allow(&table, &a, false, 1, 5, now));
    /* What is proven has its own. */
    assert_true(prefix_table_allow(&table, &a, true, 1, 5, now));
    /* It is not forgotten because a connection comes and goes. */
    assert_int_equal(prefix_table_add(&table, &a), 0);
    assert_false(prefix_table_allow(&table, &a, false, 1, 5, now));
    prefix_table_remove(&table, &a);
    assert_false(prefix_table_allow(&table, &a, false, 1, 5, now));
    assert_true(prefix_table_allow(&table, &a, false, 1, 5, now + NANOS_SECOND));
    prefix_table_done(&table);
}

/* More prefixes than are kept: those with connections stay, the longest unused go. */
static void many(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct prefix_table table;
    prefix_table_init(&table, &memory, secret);
    struct netaddr kept = address("198.51.100.1");
    assert_int_equal(prefix_table_add(&table, &kept), 0);
    size_t most = 0;
    for (uint32_t i = 0; i < 3 * PREFIXES_MAX; i++) {
        struct netaddr a = {.family = NETADDR_IP4,
                            .ip = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        assert_true(prefix_table_allow(&table, &a, false, 1, 1, NANOS_SECOND));
        most = memory.used > most ? memory.used : most;
    }
    assert_int_equal(table.map.size, PREFIXES_MAX);
    assert_int_equal(prefix_table_count(&table, &kept), 1);
    /* All with connections: a new one cannot be remembered, and is not trusted. */
    struct netaddr last = {.family = NETADDR_IP4, .ip = {11}};
    for (uint32_t i = 0; i < PREFIXES_MAX - 1; i++) {
        struct netaddr a = {.family = NETADDR_IP4,
                            .ip = {12, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        assert_int_equal(prefix_table_add(&table, &a), 0);
    }
    assert_int_equal(prefix_table_add(&table, &last), PLASM_NO_MEMORY);
    assert_false(prefix_table_allow(&table, &last, false, 1, 1, NANOS_SECOND));
    prefix_table_done(&table);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),
        cmocka_unit_test(counts),
        cmocka_unit_test(rates),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
