/* Modules that must not compile, for every reason, and those that only look as if. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <unistd.h>

#include "runner/module_testing.h"
#include "runner/runner_testing.h"

#define MODULE_ROOM (64u * 1024 * 1024)

static struct testing testing;

static int set_up(void **state) {
    struct runner_client_config config;
    (void)state;
    testing_config(&config);
    config.compile.cpu_s_max = 2; /* so that the test of this limit is short */
    config.compile.memory_bytes_max = UINT64_C(256) << 20;
    return testing_start(&testing, &config) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(testing.deaths, 0);
    testing_stop(&testing);
    return 0;
}

static void assert_outcome(struct bytes module, enum runner_compile_outcome outcome,
                           const char *text) {
    struct testing_image image;
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    if (image.outcome != outcome || strstr(image.text, text) == NULL) {
        fail_msg("outcome %d (%s) instead of %d (%s)", image.outcome, image.text, outcome, text);
    }
    testing_image_done(&image);
}

static void assert_plan(const struct module_plan *plan, enum runner_compile_outcome outcome,
                        const char *text) {
    struct buffer module;
    buffer_init(&module, &testing.memory, MODULE_ROOM);
    module_build(plan, &module);
    assert_outcome(buffer_bytes(&module), outcome, text);
    buffer_done(&module);
}

static void no_modules_are_invalid(void **state) {
    (void)state;
    assert_outcome(bytes_of(NULL, 0), RUNNER_COMPILE_INVALID, "empty");
    assert_outcome(BYTES_LITERAL("<html>404 not found</html>"), RUNNER_COMPILE_INVALID,
                   "not a WebAssembly module");
    assert_outcome(BYTES_LITERAL("\0asm\1\0"), RUNNER_COMPILE_INVALID, "ends early");
    assert_outcome(BYTES_LITERAL("\0asm\2\0\0\0"), RUNNER_COMPILE_UNSUPPORTED, "version");
    assert_outcome(BYTES_LITERAL("\0asm\x0d\0\1\0"), RUNNER_COMPILE_UNSUPPORTED, "component");
}

/* Every proper prefix is refused, by the pre-scan or by the compiler, and none is a surprise. */
static void truncated_modules_are_invalid(void **state) {
    struct buffer module;
    struct module_plan plan = {.memory_pages = 1, .code = CODE_UNREACHABLE};
    (void)state;
    buffer_init(&module, &testing.memory, MODULE_ROOM);
    module_build(&plan, &module);
    struct bytes whole = buffer_bytes(&module);
    for (size_t size = 0; size < whole.size; size++) {
        struct testing_image image;
        testing_compile(&testing, bytes_slice(whole, 0, size), RUNNER_FLAVOUR_PLAIN, &image);
        assert_true(image.outcome == RUNNER_COMPILE_INVALID ||
                    image.outcome == RUNNER_COMPILE_UNSUPPORTED);
        assert_int_equal(image.fd, -1);
        assert_true(strlen(image.text) > 0);
    }
    assert_outcome(whole, RUNNER_COMPILE_OK, "");
    buffer_done(&module);
}

static void wrong_code_is_invalid(void **state) {
    (void)state;
    struct module_plan plan = {.code = CODE_TYPE_MISMATCH};
    assert_plan(&plan, RUNNER_COMPILE_INVALID, "type mismatch");
}

static void a_command_needs_start(void **state) {
    (void)state;
    struct module_plan none = {.no_export = true};
    assert_plan(&none, RUNNER_COMPILE_UNSUPPORTED, "_start");
    struct module_plan parameter = {.start_parameter = true};
    assert_plan(&parameter, RUNNER_COMPILE_UNSUPPORTED, "_start");
}

static void imports_must_exist(void **state) {
    (void)state;
    struct module_plan unknown = {.import_name = "fd_teleport"};
    assert_plan(&unknown, RUNNER_COMPILE_UNSUPPORTED, "fd_teleport");
    struct module_plan wrong_type = {.import_name = "fd_write"};
    assert_plan(&wrong_type, RUNNER_COMPILE_UNSUPPORTED, "fd_write");
    struct module_plan memory = {.import_memory = true};
    assert_plan(&memory, RUNNER_COMPILE_UNSUPPORTED, "env");
}

static void features_that_are_off_are_unsupported(void **state) {
    (void)state;
    struct module_plan memory64 = {.memory_flags = 4};
    assert_plan(&memory64, RUNNER_COMPILE_UNSUPPORTED, "memory64");
    struct module_plan shared = {.memory_flags = 3, .memory_pages = 1};
    assert_plan(&shared, RUNNER_COMPILE_UNSUPPORTED, "thread");
    struct module_plan two = {.memory_count = 2};
    assert_plan(&two, RUNNER_COMPILE_UNSUPPORTED, "multiple memories");
    struct module_plan atomic = {.code = CODE_ATOMIC};
    assert_plan(&atomic, RUNNER_COMPILE_UNSUPPORTED, "thread");
    struct module_plan relaxed = {.code = CODE_RELAXED_SIMD};
    assert_plan(&relaxed, RUNNER_COMPILE_UNSUPPORTED, "relaxed");
    struct module_plan exception = {.code = CODE_THROW};
    assert_plan(&exception, RUNNER_COMPILE_UNSUPPORTED, "exception");
    struct module_plan externref = {.table_elements = 1, .table_type = 0x6f};
    assert_plan(&externref, RUNNER_COMPILE_UNSUPPORTED, "");
    struct module_plan simd = {.code = CODE_SIMD};
    assert_plan(&simd, RUNNER_COMPILE_OK, "");
}

static void sizes_are_bounded(void **state) {
    (void)state;
    struct module_plan table = {.table_elements = 10001};
    assert_plan(&table, RUNNER_COMPILE_LIMIT, "10000 elements");
    table.table_elements = 10000;
    assert_plan(&table, RUNNER_COMPILE_OK, "");
    struct module_plan locals = {.locals = 2001};
    assert_plan(&locals, RUNNER_COMPILE_LIMIT, "2001 local variables");
    locals.locals = 0xffffffff;
    assert_plan(&locals, RUNNER_COMPILE_LIMIT, "4294967295 local variables");
    struct module_plan functions = {.function_count = 100001};
    assert_plan(&functions, RUNNER_COMPILE_LIMIT, "100001 functions");
    uint8_t *large = calloc(1, 17 << 20);
    assert_non_null(large);
    memcpy(large, "\0asm\1\0\0\0", 8);
    assert_outcome(bytes_of(large, 17 << 20), RUNNER_COMPILE_LIMIT, "at most");
    free(large);
}

/* `size` bytes of code that no optimiser throws away: x = x * x + x in a chain, into memory. */
static struct bytes costly_code(size_t size, uint32_t locals) {
    uint8_t *code = malloc(size + 32);
    size_t used = 0;
    assert_non_null(code);
    for (uint32_t i = 0; used < size; i++) {
        uint32_t from = i % locals;
        uint32_t to = (i * 7 + 1) % locals;
        /* local.get from, local.get to, i32.mul, local.get from, i32.xor, local.set to */
        const uint32_t parts[] = {0x20, from, 0x20, to, 0x6c, 0x20, from, 0x73, 0x21, to};
        for (size_t p = 0; p < ARRAY_SIZE(parts); p++) {
            if (parts[p] >= 0x80) {
                code[used++] = (uint8_t)(parts[p] & 0x7f) | 0x80;
                code[used++] = (uint8_t)(parts[p] >> 7);
            } else {
                code[used++] = (uint8_t)parts[p];
            }
        }
        if (i % 5 == 0) { /* a branch: another block, another set of live values */
            const uint8_t branch[] = {0x20, 0, 0x04, 0x40, 0x20, 1, 0x21, 0, 0x0b};
            memcpy(code + used, branch, sizeof(branch));
            used += sizeof(branch);
        }
    }
    return bytes_of(code, used);
}

/* A huge function with many live variables wants more memory or time than it gets. */
static void a_huge_function_is_stopped(void **state) {
    (void)state;
    struct bytes code = costly_code(1 << 20, 1900);
    struct module_plan plan = {.locals = 1900, .code = code};
    nanos start = testing_now();
    assert_plan(&plan, RUNNER_COMPILE_LIMIT, "compiling it takes");
    assert_true(testing_now() - start < 20 * NANOS_SECOND);
    free((void *)(uintptr_t)code.data);
}

/* Many functions, each harmless: 16 MiB of them take more than the two seconds of this test. */
static void many_functions_are_stopped(void **state) {
    (void)state;
    struct bytes code = costly_code(500, 40);
    struct module_plan plan = {.locals = 40, .function_count = 25000, .code = code};
    assert_plan(&plan, RUNNER_COMPILE_LIMIT, "compiling it takes");
    free((void *)(uintptr_t)code.data);
}

/* Without optimisation, what is large but honest compiles quickly. */
static void a_large_function_compiles(void **state) {
    (void)state;
    struct bytes code = costly_code(300 * 1024, 20);
    struct module_plan plan = {.locals = 20, .code = code};
    assert_plan(&plan, RUNNER_COMPILE_OK, "");
    free((void *)(uintptr_t)code.data);
}

static void a_cancelled_compilation_fails(void **state) {
    struct bytes code = costly_code(500, 40);
    struct module_plan plan = {.locals = 40, .function_count = 25000, .code = code};
    struct buffer module;
    struct testing_image image = {.fd = -1};
    struct runner_compile *compile;
    (void)state;
    buffer_init(&module, &testing.memory, MODULE_ROOM);
    module_build(&plan, &module);
    assert_int_equal(runner_client_compile(testing.client, buffer_bytes(&module),
                                           RUNNER_FLAVOUR_PLAIN, &image, testing_now(), &compile),
                     0);
    /* One at a time. */
    struct runner_compile *second;
    assert_int_equal(runner_client_compile(testing.client, buffer_bytes(&module),
                                           RUNNER_FLAVOUR_PLAIN, NULL, testing_now(), &second),
                     PLASM_LIMIT);
    testing_wait(&testing, 100 * NANOS_MILLISECOND);
    assert_false(image.over);
    runner_compile_cancel(compile);
    assert_true(testing_loop(&testing, &image.over, NANOS_SECOND));
    assert_int_equal(image.outcome, RUNNER_COMPILE_FAILED);
    assert_string_equal(image.text, "cancelled");
    buffer_done(&module);
    free((void *)(uintptr_t)code.data);
}

/* The image of a good module: sealed, and it runs. */
static void an_image_cannot_be_changed(void **state) {
    struct testing_image image;
    struct bytes module = testing_module("limits");
    (void)state;
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    assert_int_equal(image.outcome, RUNNER_COMPILE_OK);
    assert_true(image.cpu_us > 0);
    assert_int_equal(pwrite(image.fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(image.fd, 0), -1);
    assert_int_equal(lseek(image.fd, 0, SEEK_END), image.size);
    testing_image_done(&image);
    free((void *)(uintptr_t)module.data);
}

/* A start function runs when a job begins, and what it does counts as the job's. */
static void start_functions_are_part_of_the_job(void **state) {
    static const struct {
        struct bytes code;
        enum runner_status status;
    } cases[] = {
        {{(const uint8_t *)"\x00", 1}, RUNNER_STATUS_TRAP},
        {{(const uint8_t *)"\x03\x40\x0c\x00\x0b", 5}, RUNNER_STATUS_TIMEOUT},
        {{(const uint8_t *)"\x10\x00", 2}, RUNNER_STATUS_STACK},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct module_plan plan = {.start_section = true, .code = cases[i].code};
        struct buffer module;
        struct testing_image image;
        struct testing_strings strings;
        struct runner_request request;
        struct testing_job job;
        const char *arguments[] = {"start", NULL};
        buffer_init(&module, &testing.memory, MODULE_ROOM);
        module_build(&plan, &module);
        testing_compile(&testing, buffer_bytes(&module), RUNNER_FLAVOUR_PLAIN, &image);
        assert_int_equal(image.outcome, RUNNER_COMPILE_OK);
        testing_request(&image, arguments, &strings, &request);
        request.key = bytes_of(&cases[i].status, sizeof(cases[i].status));
        request.limits.wall_ms = 200;
        testing_run(&testing, &request, &job);
        assert_string_equal(runner_status_name(job.result.status),
                            runner_status_name(cases[i].status));
        testing_job_done(&job);
        testing_image_done(&image);
        buffer_done(&module);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_modules_are_invalid),
        cmocka_unit_test(truncated_modules_are_invalid),
        cmocka_unit_test(wrong_code_is_invalid),
        cmocka_unit_test(a_command_needs_start),
        cmocka_unit_test(imports_must_exist),
        cmocka_unit_test(features_that_are_off_are_unsupported),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_huge_function_is_stopped),
        cmocka_unit_test(many_functions_are_stopped),
        cmocka_unit_test(a_large_function_compiles),
        cmocka_unit_test(a_cancelled_compilation_fails),
        cmocka_unit_test(an_image_cannot_be_changed),
        cmocka_unit_test(start_functions_are_part_of_the_job),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
