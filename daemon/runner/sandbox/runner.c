/* Loading a module once, running its jobs, saying how each ended. */
#include "runner/sandbox/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner/packet.h"
#include "runner/sandbox/image.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/seccomp.h"
#include "util/ensure.h"

/* Descriptors of a runner: 0 to 2, its socket, a job's standard input. */
#define RUNNER_FILES_MAX 8

struct runner {
    struct runner_engines *engines;
    int socket;
    const struct engine *engine;           /* NULL until something is loaded */
    wasmtime_instance_pre_t *instance_pre; /* NULL: it could not be loaded */
    uint64_t memory_min_bytes;
    enum runner_flavour flavour;
    enum runner_status load_status; /* what to answer then */
    char load_text[RUNNER_TEXT_SIZE_MAX + 1];
};

/* What a job came to, before it is a message. */
struct ending {
    enum runner_status status;
    int64_t exit_code;
    char text[RUNNER_TEXT_SIZE_MAX + 1];
};

int runner_engines_init(struct runner_engines *engines) {
    memset(engines, 0, sizeof(*engines));
    wasi_init(&engines->wasi, &engines->control, &engines->output);
    int error = control_catch_signals();
    if (error != 0) {
        return error;
    }
    error = engine_init(&engines->plain, RUNNER_FLAVOUR_PLAIN, true, &engines->wasi);
    if (error != 0) {
        return error;
    }
    return engine_init(&engines->metered, RUNNER_FLAVOUR_METERED, true, &engines->wasi);
}

PRINTF_FORMAT(3, 4)
static void end_with(struct ending *ending, enum runner_status status, const char *format, ...) {
    *ending = (struct ending){.status = status, .exit_code = -1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ending->text, sizeof(ending->text), format, arguments);
    va_end(arguments);
}

static void load_failed(struct runner *runner, enum runner_status status, const char *text) {
    runner->load_status = status;
    snprintf(runner->load_text, sizeof(runner->load_text), "%s", text);
}

static void link_code(struct runner *runner, struct bytes code) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_module_t *module;
    wasmtime_error_t *error =
        wasmtime_module_deserialize(runner->engine->engine, code.data, code.size, &module);
    if (error != NULL) {
        engine_error_text(error, text);
        load_failed(runner, RUNNER_STATUS_FAILED, text);
        return;
    }
    error = wasmtime_linker_instantiate_pre(runner->engine->linker, module, &runner->instance_pre);
    wasmtime_module_delete(module);
    if (error != NULL) {
        runner->instance_pre = NULL;
        engine_error_text(error, text);
        load_failed(runner, RUNNER_STATUS_COMPILE, text);
    }
}

static void load_image(struct runner *runner, const struct runner_load *load, int image_fd) {
    struct image_head head;
    struct bytes code;
    void *image = mmap(NULL, load->image_size, PROT_READ, MAP_PRIVATE, image_fd, 0);
    if (image == MAP_FAILED) {
        load_failed(runner, RUNNER_STATUS_FAILED, "the compiled module cannot be mapped");
        return;
    }
    if (image_decode(bytes_of(image, load->image_size), &head, &code) != 0 ||
        head.flavour != load->flavour) {
        load_failed(runner, RUNNER_STATUS_FAILED, "this is no compiled module of that flavour");
    } else {
        runner->memory_min_bytes = head.memory_min_bytes;
        link_code(runner, code);
    }
    munmap(image, load->image_size);
}

/* Whether the file behind `fd` has that many bytes. */
static bool file_has(int fd, uint64_t size) {
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    return end >= 0 && (uint64_t)end >= size;
}

/* Loads the module; then the last wall: from here on no new code can be made executable, and no
 * file can be written. */
static void load(struct runner *runner, const struct runner_load *load, int image_fd,
                 uint64_t data_bytes_max) {
    ENSURE(runner->engine == NULL && image_fd >= 0);
    runner->flavour = load->flavour;
    runner->engine =
        load->flavour == RUNNER_FLAVOUR_PLAIN ? &runner->engines->plain : &runner->engines->metered;
    if (load->image_size == 0 || !file_has(image_fd, load->image_size)) {
        load_failed(runner, RUNNER_STATUS_FAILED, "the compiled module is shorter than announced");
    } else {
        load_image(runner, load, image_fd);
    }
    close(image_fd);
    control_init(&runner->engines->control, runner->socket, runner->engine->engine);
    ENSURE(sandbox_limit(RLIMIT_FSIZE, 0) == 0);
    ENSURE(sandbox_limit(RLIMIT_NOFILE, RUNNER_FILES_MAX) == 0);
#ifndef __SANITIZE_ADDRESS__
    ENSURE(sandbox_limit(RLIMIT_DATA, data_bytes_max) == 0);
#else
    (void)data_bytes_max;
#endif
    ENSURE(seccomp_enter(SECCOMP_ROLE_RUNNER) == 0);
}

/* Called by compiled code when a signal has bumped the epoch. */
static wasmtime_error_t *on_tick(wasmtime_context_t *context, void *data, uint64_t *ret_delta,
                                 wasmtime_update_deadline_kind_t *ret_kind) {
    (void)context;
    struct runner_engines *engines = data;
    if (!control_check(&engines->control) || !output_flush(&engines->output)) {
        return wasmtime_error_new("the job is over");
    }
    *ret_delta = 1;
    *ret_kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return NULL;
}

/* How a job ended that control ended; false where the module ended by itself. */
static bool end_by_control(const struct runner *runner, const struct runner_job_message *job,
                           struct ending *ending) {
    int64_t code = runner->engines->wasi.exit_code;
    switch (runner->engines->control.end) {
    case CONTROL_RUNNING:
        return false;
    case CONTROL_EXIT:
        end_with(ending, code == 0 ? RUNNER_STATUS_OK : RUNNER_STATUS_EXIT, "%s", "");
        ending->exit_code = code;
        break;
    case CONTROL_OUTPUT:
        end_with(ending, RUNNER_STATUS_OUTPUT, "it wrote more than %llu bytes",
                 (unsigned long long)job->limits.output_bytes);
        break;
    case CONTROL_TIMEOUT:
        end_with(ending, RUNNER_STATUS_TIMEOUT, "it ran for more than %llu ms",
                 (unsigned long long)job->limits.wall_ms);
        break;
    case CONTROL_CANCELLED:
        end_with(ending, RUNNER_STATUS_CANCELLED, "cancelled");
        break;
    case CONTROL_FAILED:
        end_with(ending, RUNNER_STATUS_FAILED, "the runner failed");
        break;
    }
    return true;
}

static void end_by_trap(wasm_trap_t *trap, struct ending *ending) {
    static const char prefix[] = "wasm trap: ";
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_trap_code_t code;
    bool known = wasmtime_trap_code(trap, &code);
    engine_trap_text(trap, text);
    if (known && code == WASMTIME_TRAP_CODE_OUT_OF_FUEL) {
        end_with(ending, RUNNER_STATUS_FUEL, "out of fuel");
    } else if (known && code == WASMTIME_TRAP_CODE_STACK_OVERFLOW) {
        end_with(ending, RUNNER_STATUS_STACK, "call stack exhausted");
    } else {
        const char *start = strstr(text, prefix);
        end_with(ending, RUNNER_STATUS_TRAP, "%s",
                 start != NULL ? start + sizeof(prefix) - 1 : text);
    }
}

/* Tells apart what a call into wasmtime gave; both NULL: it returned. Deletes both. */
static void end_by_call(const struct runner *runner, const struct runner_job_message *job,
                        wasmtime_error_t *error, wasm_trap_t *trap, struct ending *ending) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    if (end_by_control(runner, job, ending)) {
        if (error != NULL) {
            wasmtime_error_delete(error);
        }
        if (trap != NULL) {
            wasm_trap_delete(trap);
        }
    } else if (trap != NULL) {
        end_by_trap(trap, ending);
    } else if (error != NULL) {
        engine_error_text(error, text);
        end_with(ending, RUNNER_STATUS_FAILED, "%s", text);
    } else {
        end_with(ending, RUNNER_STATUS_OK, "%s", "");
        ending->exit_code = 0;
    }
}

/* deterministic/1 grows memory everywhere alike: where the host has not got what the job may use,
 * the job is not begun. */
static bool memory_is_there(uint64_t bytes) {
    void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) {
        return false;
    }
    munmap(probe, bytes);
    return true;
}

static wasmtime_store_t *store_new(struct runner *runner, const struct runner_job_message *job) {
    wasmtime_store_t *store = wasmtime_store_new(runner->engine->engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    int64_t memory_bytes =
        job->limits.memory_bytes < INT64_MAX ? (int64_t)job->limits.memory_bytes : INT64_MAX;
    wasmtime_store_limiter(store, memory_bytes, RUNNER_TABLE_ELEMENTS_MAX, 1, -1, 1);
    wasmtime_context_set_epoch_deadline(context, 1);
    wasmtime_store_epoch_deadline_callback(store, on_tick, runner->engines, NULL);
    if (runner->flavour == RUNNER_FLAVOUR_METERED) {
        wasmtime_error_t *error = wasmtime_context_set_fuel(context, job->limits.fuel);
        ENSURE(error == NULL);
    }
    return store;
}

static void call_start(struct runner *runner, const struct runner_job_message *job,
                       wasmtime_context_t *context, struct ending *ending) {
    static const char name[] = "_start";
    wasmtime_instance_t instance;
    wasmtime_extern_t start;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error =
        wasmtime_instance_pre_instantiate(runner->instance_pre, context, &instance, &trap);
    if (error != NULL || trap != NULL) {
        end_by_call(runner, job, error, trap, ending);
        return;
    }
    if (!wasmtime_instance_export_get(context, &instance, name, sizeof(name) - 1, &start) ||
        start.kind != WASMTIME_EXTERN_FUNC) {
        end_with(ending, RUNNER_STATUS_COMPILE, "it exports no function _start");
        return;
    }
    wasmtime_val_raw_t none;
    error = wasmtime_func_call_unchecked(context, &start.of.func, &none, 0, &trap);
    end_by_call(runner, job, error, trap, ending);
}

static uint64_t fuel_used(const struct runner *runner, const struct runner_job_message *job,
                          wasmtime_context_t *context, const struct ending *ending) {
    uint64_t left = 0;
    if (runner->flavour != RUNNER_FLAVOUR_METERED) {
        return 0;
    }
    wasmtime_error_t *error = wasmtime_context_get_fuel(context, &left);
    ENSURE(error == NULL);
    return ending->status == RUNNER_STATUS_FUEL ? job->limits.fuel : job->limits.fuel - left;
}

static void finish(struct runner *runner, const struct runner_job_message *job,
                   const struct ending *ending, uint64_t fuel) {
    struct control *control = &runner->engines->control;
    control_finish(control);
    struct runner_finished finished = {
        .job = job->job,
        .result = {.status = ending->status,
                   .exit_code = ending->exit_code,
                   .fuel = fuel,
                   .wall_us = (control_now() - control->started) / NANOS_MICROSECOND,
                   .text = bytes_of_string(ending->text)},
    };
    output_finish(&runner->engines->output, &finished);
}

/* Why the job cannot begin; false where it can. */
static bool end_before_start(const struct runner *runner, const struct runner_job_message *job,
                             int stdin_fd, struct ending *ending) {
    if (runner->instance_pre == NULL) {
        end_with(ending, runner->load_status, "%s", runner->load_text);
    } else if ((job->limits.fuel > 0) != (runner->flavour == RUNNER_FLAVOUR_METERED)) {
        end_with(ending, RUNNER_STATUS_FAILED, "the module was compiled for another kind of job");
    } else if (runner->memory_min_bytes > job->limits.memory_bytes) {
        end_with(ending, RUNNER_STATUS_MEMORY, "it begins with %llu bytes of memory, %llu at most",
                 (unsigned long long)runner->memory_min_bytes,
                 (unsigned long long)job->limits.memory_bytes);
    } else if (job->stdin_is_file && !file_has(stdin_fd, job->stdin_size)) {
        end_with(ending, RUNNER_STATUS_FAILED, "standard input is shorter than announced");
    } else if (job->deterministic && !memory_is_there(job->limits.memory_bytes)) {
        end_with(ending, RUNNER_STATUS_FAILED, "this machine has not got %llu bytes of memory",
                 (unsigned long long)job->limits.memory_bytes);
    } else {
        return false;
    }
    return true;
}

static void run(struct runner *runner, const struct runner_job_message *job, int stdin_fd) {
    struct ending ending;
    control_begin(&runner->engines->control, job->job, job->limits.wall_ms);
    output_begin(&runner->engines->output, &runner->engines->control, job->limits.output_bytes);
    wasi_begin(&runner->engines->wasi, job, stdin_fd);
    if (end_before_start(runner, job, stdin_fd, &ending)) {
        finish(runner, job, &ending, 0);
    } else {
        wasmtime_store_t *store = store_new(runner, job);
        wasmtime_context_t *context = wasmtime_store_context(store);
        call_start(runner, job, context, &ending);
        /* Answer first: giving the memory back takes as long as a short job. */
        finish(runner, job, &ending, fuel_used(runner, job, context, &ending));
        wasmtime_store_delete(store);
    }
    if (stdin_fd >= 0) {
        close(stdin_fd);
    }
}

void runner_serve(struct runner_engines *engines, int socket, uint64_t data_bytes_max) {
    static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];
    struct runner runner = {.engines = engines, .socket = socket};
    load_failed(&runner, RUNNER_STATUS_FAILED, "a job came before its module");
    while (true) {
        int fd = -1;
        struct bytes packet;
        struct runner_message message;
        if (packet_receive(socket, (struct span){room, sizeof(room)}, &fd, 1, &packet) != 0) {
            _exit(0); /* the parent is gone */
        }
        ENSURE(runner_message_decode(packet, &message) == 0);
        switch (message.type) {
        case RUNNER_MESSAGE_LOAD:
            load(&runner, &message.load, fd, data_bytes_max);
            break;
        case RUNNER_MESSAGE_JOB:
            run(&runner, &message.job, fd);
            break;
        case RUNNER_MESSAGE_CANCEL: /* for a job that is over */
            break;
        default:
            ENSURE(false);
        }
    }
}
