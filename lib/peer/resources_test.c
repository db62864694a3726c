/* The operator's lists, and the line that names an offender. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/sign.h"
#include "peer/resources.h"
#include "util/memory.h"

static const uint64_t secret[2] = {3, 4};
static const struct resource_limits limits = RESOURCE_LIMITS_DEFAULT;

static struct netaddr address(const char *ip) {
    struct netaddr result;
    assert_int_equal(netaddr_parse_ip(bytes_of_string(ip), &result), 0);
    return result;
}

static struct peer_id peer(uint8_t number) {
    uint8_t seed[ED25519_SEED_SIZE] = {number};
    struct ed25519_secret key;
    struct public_key public_key;
    struct peer_id id;
    ed25519_from_seed(&key, seed);
    public_key_from_ed25519(key.public_key, &public_key);
    peer_id_from_key(&public_key, &id);
    return id;
}

static bool denied(const struct resources *resources, uint8_t number, const char *ip) {
    struct peer_id id = peer(number);
    struct netaddr from = address(ip);
    return resources_denied(resources, &id, &from) != NULL;
}

static void lists(void **state) {
    (void)state;
    struct memory memory;
    struct resources resources;
    memory_init(&memory, 1 << 20);
    resources_init(&resources, &limits, &memory, secret);
    struct netprefix prefixes[2];
    assert_int_equal(netprefix_parse(BYTES_LITERAL("203.0.113.0/24"), &prefixes[0]), 0);
    assert_int_equal(netprefix_parse(BYTES_LITERAL("203.0.113.128/25"), &prefixes[1]), 0);
    struct peer_id peers[2] = {peer(1), peer(2)};
    struct access_rules rules = {.denied_prefixes = &prefixes[0],
                                 .denied_prefix_count = 1,
                                 .allowed_prefixes = &prefixes[1],
                                 .allowed_prefix_count = 1,
                                 .denied_peers = &peers[0],
                                 .denied_peer_count = 1};
    assert_int_equal(resources_set_rules(&resources, &rules), 0);
    assert_true(denied(&resources, 9, "203.0.113.1"));
    assert_false(denied(&resources, 9, "203.0.113.129"));
    assert_false(denied(&resources, 9, "198.51.100.1"));
    assert_true(denied(&resources, 1, "198.51.100.1"));
    assert_false(denied(&resources, 1, "203.0.113.129"));
    /* Nobody but exceptions; a peer's own does not open a denied prefix. */
    rules = (struct access_rules){.deny_all = true,
                                  .denied_prefixes = &prefixes[0],
                                  .denied_prefix_count = 1,
                                  .allowed_peers = &peers[1],
                                  .allowed_peer_count = 1};
    assert_int_equal(resources_set_rules(&resources, &rules), 0);
    assert_true(denied(&resources, 1, "198.51.100.1"));
    assert_false(denied(&resources, 2, "198.51.100.1"));
    assert_true(denied(&resources, 2, "203.0.113.1"));
    /* Without memory the old rules stay. */
    memory.bytes_max = memory.used;
    rules.deny_all = false;
    assert_int_equal(resources_set_rules(&resources, &rules), PLASM_NO_MEMORY);
    assert_true(denied(&resources, 1, "198.51.100.1"));
    resources_done(&resources);
    assert_int_equal(memory.used, 0);
}

static char line[LOG_TEXT_MAX];
static int lines;

static void write_line(void *context, enum log_level level, const char *topic, const char *text) {
    (void)context;
    assert_int_equal(level, LOG_LEVEL_WARNING);
    assert_string_equal(topic, "");
    (void)snprintf(line, sizeof(line), "%s", text);
    lines++;
}

static void one_line_an_offender(void **state) {
    (void)state;
    struct memory memory;
    struct resources resources;
    const struct log_sink sink = {.write = write_line, .level = LOG_LEVEL_WARNING};
    memory_init(&memory, 1 << 20);
    resources_init(&resources, &limits, &memory, secret);
    struct netaddr from = address("203.0.113.7");
    for (int i = 0; i < 1000; i++) {
        admission_offend(&resources.admission, &from, ADMISSION_CONNECTED,
                         NANOS_SECOND + (nanos)i * 50 * NANOS_MILLISECOND);
        resources_log(&resources, &sink);
    }
    assert_int_equal(lines, 1);
    assert_string_equal(
        line, "abuse from 203.0.113.7: 50 refused connections in 2 s (too many connections)");
    /* Whoever is allowed, and who is no stranger at all, is not named. */
    struct netprefix friends;
    assert_int_equal(netprefix_parse(BYTES_LITERAL("198.51.100.0/24"), &friends), 0);
    const struct access_rules rules = {.allowed_prefixes = &friends, .allowed_prefix_count = 1};
    assert_int_equal(resources_set_rules(&resources, &rules), 0);
    static const char *const spared[] = {"198.51.100.9", "127.0.0.1"};
    for (size_t i = 0; i < ARRAY_SIZE(spared); i++) {
        from = address(spared[i]);
        admission_blame(&resources.admission, &from, ADMISSION_STREAMS, 5000, NANOS_SECOND);
    }
    resources_log(&resources, &sink);
    assert_int_equal(lines, 1);
    resources_done(&resources);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(one_line_an_offender),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
