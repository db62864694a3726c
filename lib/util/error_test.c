/* Tests of the names of error codes. */
#include "util/error.h"

#include <ctype.h>
#include <limits.h>

#include "util/testing.h"

static void every_code_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int a = 0; a >= PLASM_FAILED; a--) {
        const char *name = plasm_error_name(a);
        assert_non_null(name);
        assert_true(strlen(name) > 0 && strcmp(name, "unknown") != 0);
        assert_true(strlen(plasm_error_message(a)) > 0);
        for (const char *letter = name; *letter != '\0'; letter++) {
            assert_true(islower((unsigned char)*letter) || *letter == '_');
        }
        for (int b = 0; b > a; b--) {
            assert_string_not_equal(name, plasm_error_name(b));
            assert_string_not_equal(plasm_error_message(a), plasm_error_message(b));
        }
    }
    assert_string_equal(plasm_error_name(PLASM_OK), "ok");
    assert_string_equal(plasm_error_name(PLASM_TIMEOUT), "timeout");
    assert_string_equal(plasm_error_name(PLASM_FAILED), "failed");
}

static void other_numbers_are_unknown(void **state) {
    (void)state;
    static const int others[] = {1, PLASM_FAILED - 1, INT_MAX, INT_MIN, INT_MIN + 1};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_string_equal(plasm_error_name(others[i]), "unknown");
        assert_string_equal(plasm_error_message(others[i]), "unknown error");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(other_numbers_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
