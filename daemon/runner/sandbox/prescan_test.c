/* The first look at a module: what it measures, what it refuses, what it leaves to the compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/module_testing.h"
#include "runner/sandbox/prescan.h"

static struct memory memory;
static struct buffer module;

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&module, &memory, 64 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    buffer_done(&module);
    assert_int_equal(memory.used, 0);
    return 0;
}

static int scan(const struct module_plan *plan, struct prescan *ret_scan) {
    char text[PRESCAN_TEXT_SIZE] = "";
    module_build(plan, &module);
    int error = prescan(buffer_bytes(&module), ret_scan, text);
    assert_true((error == 0) == (text[0] == '\0'));
    return error;
}

static void it_measures(void **state) {
    struct prescan found;
    (void)state;
    const struct module_plan plan = {
        .memory_pages = 17, .function_count = 3, .locals = 5, .code = BYTES_LITERAL("\1\1\1")};
    assert_int_equal(scan(&plan, &found), 0);
    assert_int_equal(found.memory_min_bytes, 17 * 65536);
    assert_int_equal(found.function_count, 3);
    assert_int_equal(found.locals_max, 5);
    assert_int_equal(found.body_bytes_max, 3 + 3 + 1); /* locals, code, end */
    assert_int_equal(found.code_bytes, 1 + 3 * (1 + 7));
    assert_true(found.optimise);
}

static void what_is_large_is_not_optimised(void **state) {
    struct prescan found;
    uint8_t *nops = malloc(PRESCAN_OPTIMISED_BODY_BYTES_MAX);
    (void)state;
    assert_non_null(nops);
    memset(nops, 1, PRESCAN_OPTIMISED_BODY_BYTES_MAX);
    /* With its number of locals and its end, two bytes more than the code. */
    struct module_plan plan = {.code = bytes_of(nops, PRESCAN_OPTIMISED_BODY_BYTES_MAX - 2)};
    assert_int_equal(scan(&plan, &found), 0);
    assert_true(found.optimise);
    plan.code.size++;
    assert_int_equal(scan(&plan, &found), 0);
    assert_false(found.optimise);
    plan.code.size = 64 * 1024;
    plan.function_count = PRESCAN_OPTIMISED_CODE_BYTES_MAX / (64 * 1024);
    assert_int_equal(scan(&plan, &found), 0);
    assert_false(found.optimise);
    plan.function_count--;
    assert_int_equal(scan(&plan, &found), 0);
    assert_true(found.optimise);
    free(nops);
}

static void bounds_are_exact(void **state) {
    struct prescan found;
    (void)state;
    struct module_plan locals = {.locals = PRESCAN_LOCALS_MAX};
    assert_int_equal(scan(&locals, &found), 0);
    locals.locals++;
    assert_int_equal(scan(&locals, &found), PLASM_TOO_LARGE);
    struct module_plan functions = {.function_count = PRESCAN_FUNCTIONS_MAX};
    assert_int_equal(scan(&functions, &found), 0);
    functions.function_count++;
    assert_int_equal(scan(&functions, &found), PLASM_TOO_LARGE);
    struct module_plan table = {.table_elements = PRESCAN_TABLE_ELEMENTS_MAX};
    assert_int_equal(scan(&table, &found), 0);
    table.table_elements++;
    assert_int_equal(scan(&table, &found), PLASM_TOO_LARGE);
}

static int scan_bytes(struct bytes bytes) {
    struct prescan found;
    char text[PRESCAN_TEXT_SIZE];
    return prescan(bytes, &found, text);
}

#define HEAD "\0asm\1\0\0\0"

static void wrong_numbers_are_malformed(void **state) {
    (void)state;
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD)), 0);
    /* A section longer than the module; a length that never ends; one of 33 bits. */
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\0\1")), PLASM_MALFORMED);
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\0\x80\x80\x80\x80\x80\0")), PLASM_MALFORMED);
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\0\xff\xff\xff\xff\x1f")), PLASM_MALFORMED);
    /* LEB128 may be longer than it must: a custom section of one byte. */
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\0\x81\x80\x80\x80\0\0")), 0);
    /* More memories, bodies than there are. */
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\5\1\1")), PLASM_MALFORMED);
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\x0a\1\1")), PLASM_MALFORMED);
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\x0a\2\1\1")), PLASM_MALFORMED);
    /* Locals that overflow 32 bits together are counted, not wrapped around. */
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\x0a\x10\1\x0e\2\xff\xff\xff\xff\x0f\x7f"
                                                   "\xff\xff\xff\xff\x0f\x7f\x0b")),
                     PLASM_TOO_LARGE);
    /* 64-bit memories whose pages are more bytes than there are. */
    assert_int_equal(scan_bytes(BYTES_LITERAL(HEAD "\5\x0c\1\4\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                                   "\1")),
                     PLASM_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_measures),
        cmocka_unit_test(what_is_large_is_not_optimised),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(wrong_numbers_are_malformed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
