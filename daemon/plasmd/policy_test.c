/* Working hours as people write them, and what a machine's files say. */
#include "plasmd/policy.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/testing.h"

enum day { SUNDAY, MONDAY, TUESDAY, FRIDAY = 5, SATURDAY };

static bool is_open(const char *const *texts, int day, int hour, int minute) {
    struct policy_hours hours = {.count = 0};
    const struct tm local = {.tm_wday = day, .tm_hour = hour, .tm_min = minute};
    for (; *texts != NULL; texts++) {
        assert_true(policy_hours_add(&hours, *texts));
    }
    return policy_hours_open(&hours, &local);
}

static void without_hours_it_is_always_open(void **state) {
    (void)state;
    assert_true(is_open((const char *const[]){NULL}, MONDAY, 3, 0));
}

static void a_span_of_a_day(void **state) {
    const char *const office[] = {"Mon-Fri 09:00-17:30", NULL};
    (void)state;
    assert_false(is_open(office, MONDAY, 8, 59));
    assert_true(is_open(office, MONDAY, 9, 0));
    assert_true(is_open(office, FRIDAY, 17, 29));
    assert_false(is_open(office, FRIDAY, 17, 30));
    assert_false(is_open(office, SATURDAY, 12, 0));
}

static void a_span_over_midnight_belongs_to_the_day_it_begins(void **state) {
    const char *const nights[] = {"Mon-Fri 22:00-06:00", NULL};
    (void)state;
    assert_true(is_open(nights, MONDAY, 22, 0));
    assert_true(is_open(nights, TUESDAY, 5, 59));
    assert_false(is_open(nights, TUESDAY, 6, 0));
    assert_true(is_open(nights, SATURDAY, 1, 0)); /* Friday's */
    assert_false(is_open(nights, MONDAY, 1, 0));  /* Sunday has none */
    assert_false(is_open(nights, SATURDAY, 23, 0));
}

static void whole_days_and_several_spans(void **state) {
    const char *const weekend[] = {"Sat", "Sun", "20:00-24:00", NULL};
    const char *const around[] = {"Fri-Mon", NULL};
    const char *const all[] = {"Mon-Sun", NULL};
    (void)state;
    assert_true(is_open(weekend, SATURDAY, 0, 0));
    assert_true(is_open(weekend, SUNDAY, 23, 59));
    assert_true(is_open(weekend, TUESDAY, 23, 59));
    assert_false(is_open(weekend, TUESDAY, 19, 59));
    assert_true(is_open(around, SUNDAY, 12, 0));
    assert_true(is_open(around, MONDAY, 12, 0));
    assert_false(is_open(around, TUESDAY, 12, 0));
    assert_true(is_open(all, MONDAY, 0, 0));
    assert_true(is_open(all, SUNDAY, 0, 0));
}

static void what_is_no_span_is_refused(void **state) {
    static const char *const wrong[] = {
        "",          "mon",    "Mon-",        "Mon-Xyz",     "25:00-26:00",
        "10:00",     "10:00-", "10:60-11:00", "24:01-02:00", "10:00-10:00",
        "Mon 10-12", "Mon  x", "Sat,Sun",     "9:00-10:00x", "Mon-Fri 9:00"};
    struct policy_hours hours = {.count = 0};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(policy_hours_add(&hours, wrong[i]));
    }
    for (size_t i = 0; i < POLICY_SPANS_MAX; i++) {
        assert_true(policy_hours_add(&hours, "Mon"));
    }
    assert_false(policy_hours_add(&hours, "Mon"));
}

static void modules_are_denied_or_allowed_alone(void **state) {
    struct policy_modules none = {.count = 0};
    struct policy_modules some = {.count = 0};
    const struct sha256_digest other = {.bytes = {1}};
    char text[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    (void)state;
    assert_true(policy_modules_add(&some, text));
    assert_false(policy_modules_add(&some, text + 1));
    assert_int_equal(some.count, 1);
    assert_true(policy_module_runs(&none, &none, &other));
    assert_true(policy_module_runs(&some, &none, &some.hashes[0]));
    assert_false(policy_module_runs(&some, &none, &other));
    assert_false(policy_module_runs(&none, &some, &some.hashes[0]));
    assert_true(policy_module_runs(&none, &some, &other));
    assert_false(policy_module_runs(&some, &some, &some.hashes[0]));
}

static void the_first_rule_that_says_no_counts(void **state) {
    struct policy_rules rules = {.on_battery = false, .load_percent = 50};
    struct policy_state machine = {.load_percent = 49};
    (void)state;
    assert_int_equal(policy_decide(&rules, &machine), POLICY_LENDS);
    machine.load_percent = 50;
    assert_int_equal(policy_decide(&rules, &machine), POLICY_LOAD);
    machine.battery = true;
    assert_int_equal(policy_decide(&rules, &machine), POLICY_BATTERY);
    assert_true(policy_hours_add(&rules.hours, "Mon"));
    assert_int_equal(policy_decide(&rules, &machine), POLICY_HOURS);
    machine.local.tm_wday = MONDAY;
    rules.on_battery = true;
    rules.load_percent = 0;
    assert_int_equal(policy_decide(&rules, &machine), POLICY_LENDS);
}

static char directory[] = "/tmp/plasm-supplies-XXXXXX";

static void put(const char *supply, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, supply);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s/%s", directory, supply, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void take(const char *supply, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s/%s", directory, supply, name);
    assert_int_equal(unlink(path), 0);
}

static bool on_battery(void) {
    struct policy_state machine;
    policy_look(directory, 0, &machine);
    return machine.battery;
}

static void the_battery_is_what_the_kernel_says(void **state) {
    struct policy_state machine;
    (void)state;
    policy_look("/nonexistent", 0, &machine);
    assert_false(machine.battery);
    assert_non_null(mkdtemp(directory));
    assert_false(on_battery());
    put("mouse", "scope", "Device\n");
    put("mouse", "type", "Battery\n");
    put("mouse", "status", "Discharging\n");
    assert_false(on_battery());
    put("BAT0", "type", "Battery\n");
    put("BAT0", "status", "Discharging\n");
    assert_true(on_battery());
    put("AC", "type", "Mains\n");
    put("AC", "online", "1\n");
    assert_false(on_battery());
    put("AC", "online", "0\n");
    assert_true(on_battery());
    put("BAT0", "status", "Charging\n");
    assert_false(on_battery());

    static const char *const files[][2] = {
        {"mouse", "scope"}, {"mouse", "type"}, {"mouse", "status"}, {"BAT0", "type"},
        {"BAT0", "status"}, {"AC", "type"},    {"AC", "online"}};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        take(files[i][0], files[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", directory, files[i][0]);
        (void)rmdir(path);
    }
    assert_int_equal(rmdir(directory), 0);
}

static void our_own_jobs_are_no_load(void **state) {
    struct policy_state machine;
    (void)state;
    policy_look("/nonexistent", 1000000, &machine);
    assert_int_equal(machine.load_percent, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_hours_it_is_always_open),
        cmocka_unit_test(a_span_of_a_day),
        cmocka_unit_test(a_span_over_midnight_belongs_to_the_day_it_begins),
        cmocka_unit_test(whole_days_and_several_spans),
        cmocka_unit_test(what_is_no_span_is_refused),
        cmocka_unit_test(modules_are_denied_or_allowed_alone),
        cmocka_unit_test(the_first_rule_that_says_no_counts),
        cmocka_unit_test(the_battery_is_what_the_kernel_says),
        cmocka_unit_test(our_own_jobs_are_no_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
