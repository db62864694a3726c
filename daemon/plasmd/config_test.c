/* The configuration: schema, file with line numbers, values out of range. */
#include "plasmd/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/testing.h"

static struct config config;
static char fault[CONFIG_FAULT_SIZE];
static char path[64];

static bool read_text(const char *text) {
    snprintf(path, sizeof(path), "/tmp/plasmd-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    config_default(&config);
    bool read = config_read(&config, path, true, fault);
    assert_int_equal(unlink(path), 0);
    return read;
}

static void defaults_are_the_documented_ones(void **state) {
    (void)state;
    config_default(&config);
    assert_true(config_finish(&config, fault));
    assert_int_equal(config.memory_bytes, 128U << 20);
    assert_int_equal(config.wall_ms, 30000);
    assert_int_equal(config.output_bytes, 1U << 20);
    assert_int_equal(config.listen_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(config.listen[i].netaddr.port, 4001);
        assert_int_equal(config.listen[i].is_tcp, i >= 2);
        assert_int_equal(config.listen[i].is_optional, i % 2 == 1);
    }
    assert_string_equal(config.kad_protocol, "/phase/kad/1.0.0");
    assert_true(config.jobs_running >= 1);
    assert_false(config.isolation_per_job);
}

static void put_file(const char *name, const char *text) {
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void drop_ins_come_after_the_file_in_their_order(void **state) {
    char directory[] = "/tmp/plasmd-drop-ins-XXXXXX";
    static const char *const names[] = {"plasmd.conf", "plasmd.conf.d/20-b.conf",
                                        "plasmd.conf.d/10-a.conf", "plasmd.conf.d/30-not.conf~"};
    static const char *const texts[] = {
        "[limits]\nwall_ms = 1\noutput_bytes = 1\n[policy]\nhours = Sat\n",
        "[limits]\nwall_ms = 3\n", "[limits]\nwall_ms = 2\n[policy]\nhours = Sun\n",
        "[limits]\nwall_ms = much\n"};
    char name[128];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(name, sizeof(name), "%s/plasmd.conf.d", directory);
    assert_int_equal(mkdir(name, 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
        put_file(name, texts[i]);
    }
    snprintf(name, sizeof(name), "%s/plasmd.conf", directory);
    config_default(&config);
    assert_true(config_read(&config, name, true, fault));
    assert_int_equal(config.wall_ms, 3);
    assert_int_equal(config.output_bytes, 1);
    assert_int_equal(config.rules.hours.count, 2);

    char wrong[160];
    snprintf(wrong, sizeof(wrong), "%s/plasmd.conf.d/15-wrong.conf", directory);
    put_file(wrong, "\n[policy]\nhours = Someday\n");
    config_default(&config);
    assert_false(config_read(&config, name, true, fault));
    assert_non_null(strstr(fault, "15-wrong.conf:3: hours = Someday: must be like"));
    assert_int_equal(unlink(wrong), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
        assert_int_equal(unlink(name), 0);
    }
    snprintf(name, sizeof(name), "%s/plasmd.conf.d", directory);
    assert_int_equal(rmdir(name), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void modules_are_named_by_their_hashes(void **state) {
    (void)state;
    config_default(&config);
    assert_true(config_set(&config, "policy", "deny_modules",
                           "sha256:"
                           "4f46a4ccddafd72282f88d381a9874d00abc323ab9807d07899f43c7f7e1e6ae",
                           fault));
    assert_int_equal(config.deny_modules.count, 1);
    assert_false(config_set(&config, "policy", "allow_modules", "hello.wasm", fault));
    assert_non_null(strstr(fault, "sha256: and 64"));
}

static void a_file_sets_values(void **state) {
    (void)state;
    assert_true(read_text("[node]\nlisten = /ip4/127.0.0.1/udp/5000/quic-v1\n"
                          "bootstrap = a.example, /ip4/192.0.2.1/udp/1/quic-v1\n"
                          "[limits]\nmemory_bytes = 1G\nwall_ms = 5\n"
                          "[jobs]\nisolation = job\n[log]\nformat = json\nlevel = debug\n"));
    assert_true(config_finish(&config, fault));
    assert_int_equal(config.listen_count, 1);
    assert_int_equal(config.listen[0].netaddr.port, 5000);
    assert_int_equal(config.bootstrap_count, 2);
    assert_int_equal(config.memory_bytes, UINT64_C(1) << 30);
    assert_int_equal(config.wall_ms, 5);
    assert_true(config.isolation_per_job);
    assert_true(config.mdns);
    assert_true(config_set(&config, "node", "mdns", "off", fault));
    assert_false(config.mdns);
    assert_false(config_set(&config, "node", "mdns", "maybe", fault));
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
}

static void access_lists(void **state) {
    (void)state;
    assert_true(
        read_text("[access]\n"
                  "deny = 203.0.113.0/24, 2001:db8::/32, all\n"
                  "allow = 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA, 10.0.0.0/8\n"
                  "[network]\nconnections = 7\nnew_connections_burst = 3\n"));
    assert_true(config.deny.all);
    assert_int_equal(config.deny.prefix_count, 2);
    assert_int_equal(config.deny.prefixes[0].bits, 24);
    assert_int_equal(config.allow.prefix_count, 1);
    assert_int_equal(config.allow.peer_count, 1);
    assert_int_equal(config.connections, 7);
    assert_int_equal(config.new_connections_burst, 3);
    assert_int_equal(config.network_memory_bytes, 256U << 20);
}

static void faults_name_file_and_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *line;
        const char *word;
    } cases[] = {
        {"[limits]\nmemory_bytes = lots\n", ":2: ", "memory_bytes = lots"},
        {"[limits]\n\n\nwall_ms = 0\n", ":4: ", "from 1 to"},
        {"[limits]\nwall_ms = -1\n", ":2: ", "wall_ms"},
        {"[limits]\nmemory_bytes = 99999999999G\n", ":2: ", "from"},
        {"[limits]\nmemroy_bytes = 1\n", ":2: ", "no setting 'memroy_bytes'"},
        {"[node]\nlisten = 0.0.0.0\n", ":2: ", "must be like /ip4"},
        {"[node]\nephemeral = perhaps\n", ":2: ", "yes or no"},
        {"[log]\nlevel = loud\n", ":2: ", "debug"},
        {"[access]\ndeny = 1.2.3.4/33\n", ":2: ", "203.0.113.0/24"},
        {"[access]\nallow = all\n", ":2: ", "peer id"},
        {"nonsense\n", ":1: ", "key = value"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_false(read_text(cases[i].text));
        assert_non_null(strstr(fault, path));
        assert_non_null(strstr(fault, cases[i].line));
        assert_non_null(strstr(fault, cases[i].word));
    }
}

static void a_missing_file_is_a_fault_only_when_named(void **state) {
    (void)state;
    config_default(&config);
    assert_true(config_read(&config, "/nonexistent/plasmd.conf", false, fault));
    assert_false(config_read(&config, "/nonexistent/plasmd.conf", true, fault));
    assert_non_null(strstr(fault, "/nonexistent/plasmd.conf: No such file"));
}

static char differences[256];

static void note(void *context, const char *section, const char *key) {
    (void)context;
    size_t used = strlen(differences);
    snprintf(differences + used, sizeof(differences) - used, "%s.%s ", section, key);
}

static void differences_are_found_and_copied(void **state) {
    (void)state;
    static struct config other;
    config_default(&config);
    assert_true(config_finish(&config, fault));
    config_default(&other);
    assert_true(config_finish(&other, fault));
    differences[0] = '\0';
    config_compare(&config, &other, note, NULL);
    assert_string_equal(differences, "");
    assert_true(config_set(&other, "limits", "wall_ms", "7", fault));
    assert_true(config_set(&other, "access", "deny", "203.0.113.0/24", fault));
    assert_true(config_set(&other, "node", "bootstrap", "a.example", fault));
    assert_true(config_set(&other, "node", "state_dir", "/elsewhere", fault));
    config_compare(&config, &other, note, NULL);
    assert_string_equal(differences, "node.bootstrap node.state_dir limits.wall_ms access.deny ");
    config_copy(&config, &other, "limits", "wall_ms");
    config_copy(&config, &other, "access", "deny");
    config_copy(&config, &other, "node", "bootstrap");
    assert_int_equal(config.wall_ms, 7);
    assert_int_equal(config.deny.prefix_count, 1);
    assert_int_equal(config.bootstrap_count, 1);
    differences[0] = '\0';
    config_compare(&config, &other, note, NULL);
    assert_string_equal(differences, "node.state_dir ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_are_found_and_copied),
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(a_file_sets_values),
        cmocka_unit_test(drop_ins_come_after_the_file_in_their_order),
        cmocka_unit_test(modules_are_named_by_their_hashes),
        cmocka_unit_test(access_lists),
        cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(a_missing_file_is_a_fault_only_when_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
