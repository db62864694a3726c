/* Loading code, and the life of one job from limits to ending. */
#include "runner/sandbox/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runner/sandbox/image.h"
#include "util/ensure.h"

int job_host_init(struct job_host *host) {
    memset(host, 0, sizeof(*host));
    wasi_init(&host->wasi, &host->control, &host->output);
    int error = control_catch_signals();
    if (error != 0) {
        return error;
    }
    error = engine_init(&host->plain, RUNNER_FLAVOUR_PLAIN, ENGINE_RUNS, &host->wasi);
    if (error != 0) {
        return error;
    }
    return engine_init(&host->metered, RUNNER_FLAVOUR_METERED, ENGINE_RUNS, &host->wasi);
}

void job_host_done(struct job_host *host) {
    engine_done(&host->plain);
    engine_done(&host->metered);
}

void job_not_loaded(struct job_code *code, enum runner_status status, const char *text) {
    code->instance_pre = NULL;
    code->failed_status = status;
    snprintf(code->failed_text, sizeof(code->failed_text), "%s", text);
}

void job_unload(struct job_code *code) {
    if (code->instance_pre != NULL) {
        wasmtime_instance_pre_delete(code->instance_pre);
        code->instance_pre = NULL;
    }
}

static void link_code(struct job_code *code, struct bytes image) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_module_t *module;
    wasmtime_error_t *error =
        wasmtime_module_deserialize(code->engine->engine, image.data, image.size, &module);
    if (error != NULL) {
        engine_error_text(error, text);
        job_not_loaded(code, RUNNER_STATUS_FAILED, text);
        return;
    }
    error = wasmtime_linker_instantiate_pre(code->engine->linker, module, &code->instance_pre);
    wasmtime_module_delete(module);
    if (error != NULL) {
        engine_error_text(error, text);
        job_not_loaded(code, RUNNER_STATUS_COMPILE, text);
    }
}

/* Makes wasmtime build the image of the module's memory, which it does at the first instantiation:
 * later it would need system calls that a runner may not make. With its epoch over from the
 * beginning, no function of the module's runs; how it ends makes no difference. */
static void prepare_memory(const struct job_code *code) {
    wasmtime_instance_t instance;
    wasm_trap_t *trap = NULL;
    wasmtime_store_t *store = wasmtime_store_new(code->engine->engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    wasmtime_store_limiter(store, -1, RUNNER_TABLE_ELEMENTS_MAX, 1, -1, 1);
    wasmtime_context_set_epoch_deadline(context, 0);
    wasmtime_error_t *error =
        wasmtime_instance_pre_instantiate(code->instance_pre, context, &instance, &trap);
    if (error != NULL) {
        wasmtime_error_delete(error);
    }
    if (trap != NULL) {
        wasm_trap_delete(trap);
    }
    wasmtime_store_delete(store);
}

/* Whether the file behind `fd` has that many bytes. */
static bool file_has(int fd, uint64_t size) {
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    return end >= 0 && (uint64_t)end >= size;
}

void job_load(const struct job_host *host, const struct runner_load *load, int image_fd,
              struct job_code *ret_code) {
    struct image_head head;
    struct bytes rest;
    *ret_code = (struct job_code){
        .flavour = load->flavour,
        .engine = load->flavour == RUNNER_FLAVOUR_PLAIN ? &host->plain : &host->metered,
    };
    if (load->image_size == 0 || !file_has(image_fd, load->image_size)) {
        job_not_loaded(ret_code, RUNNER_STATUS_FAILED,
                       "the compiled module is shorter than announced");
        return;
    }
    void *image = mmap(NULL, load->image_size, PROT_READ, MAP_PRIVATE, image_fd, 0);
    if (image == MAP_FAILED) {
        job_not_loaded(ret_code, RUNNER_STATUS_FAILED, "the compiled module cannot be mapped");
        return;
    }
    if (image_decode(bytes_of(image, load->image_size), &head, &rest) != 0 ||
        head.flavour != load->flavour) {
        job_not_loaded(ret_code, RUNNER_STATUS_FAILED,
                       "this is no compiled module of that flavour");
    } else {
        ret_code->memory_min_bytes = head.memory_min_bytes;
        link_code(ret_code, rest);
        if (ret_code->instance_pre != NULL) {
            prepare_memory(ret_code);
        }
    }
    munmap(image, load->image_size);
}

PRINTF_FORMAT(3, 4)
static void end_with(struct job_ending *ending, enum runner_status status, const char *format,
                     ...) {
    *ending = (struct job_ending){.status = status, .exit_code = -1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ending->text, sizeof(ending->text), format, arguments);
    va_end(arguments);
}

/* Called by compiled code when a signal has bumped the epoch. */
static wasmtime_error_t *on_tick(wasmtime_context_t *context, void *data, uint64_t *ret_delta,
                                 wasmtime_update_deadline_kind_t *ret_kind) {
    (void)context;
    struct job_host *host = data;
    if (!control_check(&host->control) || !output_flush(&host->output)) {
        return wasmtime_error_new("the job is over");
    }
    *ret_delta = 1;
    *ret_kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return NULL;
}

/* How a job ended that control ended; false where the module ended by itself. */
static bool end_by_control(const struct job_host *host, const struct runner_job_message *job,
                           struct job_ending *ending) {
    int64_t code = host->wasi.exit_code;
    switch (host->control.end) {
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
    }
    return true;
}

static void end_by_trap(wasm_trap_t *trap, struct job_ending *ending) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    wasmtime_trap_code_t code;
    enum runner_status status = RUNNER_STATUS_TRAP;
    if (!wasmtime_trap_code(trap, &code)) {
        wasm_trap_delete(trap);
        end_with(ending, RUNNER_STATUS_FAILED, "a trap of the host's");
        return;
    }
    if (code == WASMTIME_TRAP_CODE_OUT_OF_FUEL) {
        status = RUNNER_STATUS_FUEL;
    } else if (code == WASMTIME_TRAP_CODE_STACK_OVERFLOW) {
        status = RUNNER_STATUS_STACK;
    }
    engine_trap_text(trap, code, text);
    end_with(ending, status, "%s", text);
}

/* Tells apart what a call into wasmtime gave; both NULL: it returned. Deletes both. */
static void end_by_call(const struct job_host *host, const struct runner_job_message *job,
                        wasmtime_error_t *error, wasm_trap_t *trap, struct job_ending *ending) {
    char text[RUNNER_TEXT_SIZE_MAX + 1];
    if (end_by_control(host, job, ending)) {
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

static wasmtime_store_t *store_new(struct job_host *host, const struct job_code *code,
                                   const struct runner_job_message *job) {
    wasmtime_store_t *store = wasmtime_store_new(code->engine->engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    int64_t memory_bytes =
        job->limits.memory_bytes < INT64_MAX ? (int64_t)job->limits.memory_bytes : INT64_MAX;
    wasmtime_store_limiter(store, memory_bytes, RUNNER_TABLE_ELEMENTS_MAX, 1, -1, 1);
    wasmtime_context_set_epoch_deadline(context, 1);
    wasmtime_store_epoch_deadline_callback(store, on_tick, host, NULL);
    if (code->flavour == RUNNER_FLAVOUR_METERED) {
        wasmtime_error_t *error = wasmtime_context_set_fuel(context, job->limits.fuel);
        ENSURE(error == NULL);
    }
    return store;
}

static void call_start(struct job_host *host, const struct job_code *code,
                       const struct runner_job_message *job, wasmtime_context_t *context,
                       struct job_ending *ending) {
    static const char name[] = "_start";
    wasmtime_instance_t instance;
    wasmtime_extern_t start;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error =
        wasmtime_instance_pre_instantiate(code->instance_pre, context, &instance, &trap);
    if (error != NULL || trap != NULL) {
        end_by_call(host, job, error, trap, ending);
        return;
    }
    if (!wasmtime_instance_export_get(context, &instance, name, sizeof(name) - 1, &start) ||
        start.kind != WASMTIME_EXTERN_FUNC) {
        end_with(ending, RUNNER_STATUS_COMPILE, "it exports no function _start");
        return;
    }
    wasmtime_val_raw_t none;
    error = wasmtime_func_call_unchecked(context, &start.of.func, &none, 0, &trap);
    end_by_call(host, job, error, trap, ending);
}

static uint64_t fuel_used(const struct job_code *code, const struct runner_job_message *job,
                          wasmtime_context_t *context, enum runner_status status) {
    uint64_t left = 0;
    if (code->flavour != RUNNER_FLAVOUR_METERED) {
        return 0;
    }
    wasmtime_error_t *error = wasmtime_context_get_fuel(context, &left);
    ENSURE(error == NULL);
    return status == RUNNER_STATUS_FUEL ? job->limits.fuel : job->limits.fuel - left;
}

/* deterministic/1 grows memory everywhere alike: where the host has not got what the job may use,
 * the job is not begun. */
static bool memory_is_there(uint64_t bytes) {
    if (bytes == 0) {
        return true;
    }
    void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) {
        return false;
    }
    munmap(probe, bytes);
    return true;
}

/* Why the job cannot begin; false where it can. */
static bool end_before_start(const struct job_code *code, const struct runner_job_message *job,
                             int stdin_fd, struct job_ending *ending) {
    if (code->instance_pre == NULL) {
        end_with(ending, code->failed_status, "%s", code->failed_text);
    } else if ((job->limits.fuel > 0) != (code->flavour == RUNNER_FLAVOUR_METERED)) {
        end_with(ending, RUNNER_STATUS_FAILED, "the module was compiled for another kind of job");
    } else if (code->memory_min_bytes > job->limits.memory_bytes) {
        end_with(ending, RUNNER_STATUS_MEMORY, "it begins with %llu bytes of memory, %llu at most",
                 (unsigned long long)code->memory_min_bytes,
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

void job_run(struct job_host *host, const struct job_code *code,
             const struct runner_job_message *job, int stdin_fd, struct job_ending *ret_ending,
             wasmtime_store_t **ret_store) {
    *ret_store = NULL;
    control_begin(&host->control, job->job, job->limits.wall_ms);
    output_begin(&host->output, &host->control, job->limits.output_bytes);
    wasi_begin(&host->wasi, job, stdin_fd);
    if (!end_before_start(code, job, stdin_fd, ret_ending)) {
        wasmtime_store_t *store = store_new(host, code, job);
        wasmtime_context_t *context = wasmtime_store_context(store);
        call_start(host, code, job, context, ret_ending);
        ret_ending->fuel = fuel_used(code, job, context, ret_ending->status);
        *ret_store = store;
    }
    control_finish(&host->control);
}

void job_clean(wasmtime_store_t *store) {
    if (store != NULL) {
        wasmtime_store_delete(store);
    }
}
