/* From the bytes of a module to an image that a runner can load. */
#include "runner/sandbox/compile.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runner/sandbox/engine.h"
#include "runner/sandbox/image.h"
#include "runner/sandbox/prescan.h"
#include "util/ensure.h"

PRINTF_FORMAT(3, 4)
static void conclude(struct compile_report *report, enum runner_compile_outcome outcome,
                     const char *format, ...) {
    report->outcome = outcome;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof(report->text), format, arguments);
    va_end(arguments);
}

/* wasmtime's validator says so where a module is right but for a feature that is off. */
static enum runner_compile_outcome outcome_of_error(const char *text) {
    static const char *const marks[] = {
        "not enabled",  "must be enabled",   "not supported", "support is disabled",
        "requires the", "multiple memories", "disallowed"};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        if (strstr(text, marks[i]) != NULL) {
            return RUNNER_COMPILE_UNSUPPORTED;
        }
    }
    return RUNNER_COMPILE_INVALID;
}

/* What comes before the cause only says that this was compiling. */
static const char *innermost_cause(const char *text) {
    static const char *const marks[] = {"Caused by: ", " 1: "};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        const char *found = strstr(text, marks[i]);
        text = found != NULL ? found + strlen(marks[i]) : text;
    }
    return text;
}

static bool write_all(int fd, struct bytes bytes) {
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes = bytes_slice(bytes, (size_t)written, bytes.size);
    }
    return true;
}

/* A command has `_start` without parameters and results. */
static bool has_start(const wasmtime_module_t *module) {
    wasm_exporttype_vec_t exports;
    wasmtime_module_exports(module, &exports);
    bool found = false;
    for (size_t i = 0; i < exports.size; i++) {
        const wasm_name_t *name = wasm_exporttype_name(exports.data[i]);
        const wasm_functype_t *type =
            wasm_externtype_as_functype_const(wasm_exporttype_type(exports.data[i]));
        if (type != NULL && bytes_equal_string(bytes_of(name->data, name->size), "_start")) {
            found = wasm_functype_params(type)->size == 0 && wasm_functype_results(type)->size == 0;
        }
    }
    wasm_exporttype_vec_delete(&exports);
    return found;
}

/* Everything it imports must be there, with the right type. */
static bool can_link(const struct engine *engine, const wasmtime_module_t *module,
                     struct compile_report *ret_report) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_instance_pre_t *instance_pre;
    wasmtime_error_t *error =
        wasmtime_linker_instantiate_pre(engine->linker, module, &instance_pre);
    if (error != NULL) {
        engine_error_text(error, text);
        conclude(ret_report, RUNNER_COMPILE_UNSUPPORTED, "%.200s", text);
        return false;
    }
    wasmtime_instance_pre_delete(instance_pre);
    return true;
}

static void write_image(const wasmtime_module_t *module, const struct image_head *head,
                        const struct runner_compile_limits *limits, int image_fd,
                        struct compile_report *ret_report) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasm_byte_vec_t code;
    wasmtime_error_t *error = wasmtime_module_serialize(module, &code);
    if (error != NULL) {
        engine_error_text(error, text);
        conclude(ret_report, RUNNER_COMPILE_FAILED, "%s", text);
        return;
    }
    uint8_t room[IMAGE_HEAD_SIZE];
    image_head_encode(head, room);
    ret_report->image_size = sizeof(room) + code.size;
    if (ret_report->image_size > limits->image_bytes_max) {
        conclude(ret_report, RUNNER_COMPILE_LIMIT, "compiled it has %llu bytes, %llu at most",
                 (unsigned long long)ret_report->image_size,
                 (unsigned long long)limits->image_bytes_max);
    } else if (!write_all(image_fd, BYTES_ARRAY(room)) ||
               !write_all(image_fd, bytes_of(code.data, code.size))) {
        conclude(ret_report, RUNNER_COMPILE_FAILED,
                 "the compiled module cannot be written: errno %d", errno);
    } else {
        conclude(ret_report, RUNNER_COMPILE_OK, "%s", "");
    }
    wasm_byte_vec_delete(&code);
}

static void compile_with(const struct engine *engine, struct bytes module,
                         const struct image_head *head, const struct runner_compile_limits *limits,
                         int image_fd, struct compile_report *ret_report) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_module_t *compiled;
    wasmtime_error_t *error =
        wasmtime_module_new(engine->engine, module.data, module.size, &compiled);
    if (error != NULL) {
        engine_error_text(error, text);
        const char *reason = innermost_cause(text);
        conclude(ret_report, outcome_of_error(reason), "%s", reason);
        return;
    }
    if (!has_start(compiled)) {
        conclude(ret_report, RUNNER_COMPILE_UNSUPPORTED,
                 "it exports no function _start without parameters and results: not a command");
    } else if (can_link(engine, compiled, ret_report)) {
        write_image(compiled, head, limits, image_fd, ret_report);
    }
    wasmtime_module_delete(compiled);
}

static bool scan(struct bytes module, const struct runner_compile_limits *limits,
                 struct prescan *ret_scan, struct compile_report *ret_report) {
    if (module.size > limits->module_bytes_max) {
        conclude(ret_report, RUNNER_COMPILE_LIMIT, "the module has %zu bytes, %llu at most",
                 module.size, (unsigned long long)limits->module_bytes_max);
        return false;
    }
    char text[PRESCAN_TEXT_SIZE];
    int error = prescan(module, ret_scan, text);
    if (error != 0) {
        conclude(ret_report,
                 error == PLASM_TOO_LARGE     ? RUNNER_COMPILE_LIMIT
                 : error == PLASM_UNSUPPORTED ? RUNNER_COMPILE_UNSUPPORTED
                                              : RUNNER_COMPILE_INVALID,
                 "%s", text);
        return false;
    }
    return true;
}

void compile_module(struct bytes module, enum runner_flavour flavour,
                    const struct runner_compile_limits *limits, int image_fd,
                    struct compile_report *ret_report) {
    /* The linker's functions are never called here, but must be there to link against. */
    static struct wasi wasi;
    *ret_report = (struct compile_report){.outcome = RUNNER_COMPILE_FAILED};
    struct prescan found;
    if (!scan(module, limits, &found, ret_report)) {
        return;
    }
    wasi_init(&wasi, NULL, NULL);
    struct engine engine;
    int error = engine_init(&engine, flavour,
                            found.optimise ? ENGINE_COMPILES : ENGINE_COMPILES_QUICKLY, &wasi);
    if (error != 0) {
        conclude(ret_report, RUNNER_COMPILE_FAILED, "no engine: %s", plasm_error_message(error));
    } else {
        struct image_head head = {flavour, found.memory_min_bytes};
        compile_with(&engine, module, &head, limits, image_fd, ret_report);
    }
    engine_done(&engine);
}

void compile_stopped(int signal, const struct runner_compile_limits *limits,
                     struct compile_report *ret_report) {
    ret_report->image_size = 0;
    if (signal == SIGXCPU) {
        conclude(ret_report, RUNNER_COMPILE_LIMIT,
                 "compiling it takes more than %llu seconds of processor time",
                 (unsigned long long)limits->cpu_s_max);
        return;
    }
    /* Rust aborts where it gets no memory, and where the compiler itself fails: what has been used
     * tells them apart, for vectors grow by doubling. */
    struct rusage usage;
    uint64_t used_bytes = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        used_bytes = (uint64_t)usage.ru_maxrss * 1024;
    }
    if (used_bytes > limits->memory_bytes_max / 3) {
        conclude(ret_report, RUNNER_COMPILE_LIMIT,
                 "compiling it takes more than %llu MiB of memory",
                 (unsigned long long)(limits->memory_bytes_max >> 20));
    } else {
        conclude(ret_report, RUNNER_COMPILE_FAILED, "the compiler failed on it");
    }
}
