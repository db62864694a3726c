/* The 46 functions of wasi_snapshot_preview1 by name and type, and the way into each. */
#include "runner/sandbox/wasi.h"

#include "runner/sandbox/wasi_call.h"

/* Types as letters: i 32-bit, I 64-bit. Every function but proc_exit returns an errno. */
struct wasi_function {
    const char *name;
    const char *parameters;
    wasi_handler *handler;
};

static const struct wasi_function functions[WASI_FUNCTION_COUNT] = {
    {"args_get", "ii", wasi_args_get},
    {"args_sizes_get", "ii", wasi_args_sizes_get},
    {"clock_res_get", "ii", wasi_clock_res_get},
    {"clock_time_get", "iIi", wasi_clock_time_get},
    {"environ_get", "ii", wasi_environ_get},
    {"environ_sizes_get", "ii", wasi_environ_sizes_get},
    {"fd_advise", "iIIi", wasi_not_seekable},
    {"fd_allocate", "iII", wasi_not_seekable},
    {"fd_close", "i", wasi_fd_close},
    {"fd_datasync", "i", wasi_not_resizable},
    {"fd_fdstat_get", "ii", wasi_fd_fdstat_get},
    {"fd_fdstat_set_flags", "ii", wasi_fd_fdstat_set_flags},
    {"fd_fdstat_set_rights", "iII", wasi_fd_fdstat_set_rights},
    {"fd_filestat_get", "ii", wasi_fd_filestat_get},
    {"fd_filestat_set_size", "iI", wasi_not_resizable},
    {"fd_filestat_set_times", "iIIi", wasi_not_capable},
    {"fd_pread", "iiiIi", wasi_not_seekable},
    {"fd_prestat_dir_name", "iii", wasi_no_preopen},
    {"fd_prestat_get", "ii", wasi_no_preopen},
    {"fd_pwrite", "iiiIi", wasi_not_seekable},
    {"fd_read", "iiii", wasi_fd_read},
    {"fd_readdir", "iiiIi", wasi_not_directory},
    {"fd_renumber", "ii", wasi_fd_renumber},
    {"fd_seek", "iIii", wasi_not_seekable},
    {"fd_sync", "i", wasi_not_resizable},
    {"fd_tell", "ii", wasi_not_seekable},
    {"fd_write", "iiii", wasi_fd_write},
    {"path_create_directory", "iii", wasi_not_directory},
    {"path_filestat_get", "iiiii", wasi_not_directory},
    {"path_filestat_set_times", "iiiiIIi", wasi_not_directory},
    {"path_link", "iiiiiii", wasi_not_directory},
    {"path_open", "iiiiiIIii", wasi_not_directory},
    {"path_readlink", "iiiiii", wasi_not_directory},
    {"path_remove_directory", "iii", wasi_not_directory},
    {"path_rename", "iiiiii", wasi_not_directory},
    {"path_symlink", "iiiii", wasi_symlink_not_directory},
    {"path_unlink_file", "iii", wasi_not_directory},
    {"poll_oneoff", "iiii", wasi_poll_oneoff},
    {"proc_exit", "i", wasi_proc_exit},
    {"proc_raise", "i", wasi_proc_raise},
    {"random_get", "ii", wasi_random_get},
    {"sched_yield", "", wasi_sched_yield},
    {"sock_accept", "iii", wasi_not_socket},
    {"sock_recv", "iiiiii", wasi_not_socket},
    {"sock_send", "iiiii", wasi_not_socket},
    {"sock_shutdown", "ii", wasi_not_socket},
};

/* Rights of a standard stream, bits of preview 1. */
enum {
    RIGHT_FD_READ = 1 << 1,
    RIGHT_FD_FDSTAT_SET_FLAGS = 1 << 3,
    RIGHT_FD_WRITE = 1 << 6,
    RIGHT_FD_FILESTAT_GET = 1 << 21,
    RIGHT_POLL_FD_READWRITE = 1 << 27,
    RIGHTS_STREAM = RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE,
};

/* The memory is looked up at the first call of a job: a start function may call before there is an
 * instance to ask. */
static void find_memory(struct wasi_call *call, wasmtime_caller_t *caller) {
    static const char name[] = "memory";
    struct wasi *wasi = call->wasi;
    if (!wasi->memory_known) {
        wasmtime_extern_t item;
        if (!wasmtime_caller_export_get(caller, name, sizeof(name) - 1, &item)) {
            return;
        }
        if (item.kind != WASMTIME_EXTERN_MEMORY) {
            wasmtime_extern_delete(&item);
            return;
        }
        wasi->memory = item.of.memory;
        wasi->memory_known = true;
    }
    call->memory = wasmtime_memory_data(call->context, &wasi->memory);
    call->memory_size = wasmtime_memory_data_size(call->context, &wasi->memory);
}

static wasm_trap_t *enter(void *context, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                          size_t count) {
    static const char ended[] = "the job is over";
    const struct wasi_binding *binding = context;
    struct wasi_call call = {
        .wasi = binding->wasi,
        .context = wasmtime_caller_context(caller),
        .values = values,
    };
    find_memory(&call, caller);
    enum wasi_errno error = binding->function->handler(&call);
    if (binding->wasi->control->end != CONTROL_RUNNING) {
        return wasmtime_trap_new(ended, sizeof(ended) - 1);
    }
    if (count > 0) {
        values[0].i32 = (int32_t)error;
    }
    return NULL;
}

enum wasi_errno wasi_call_function(struct wasi_call *call, size_t index) {
    return functions[index].handler(call);
}

static wasm_functype_t *function_type(const struct wasi_function *function) {
    wasm_valtype_vec_t parameters;
    wasm_valtype_vec_t results;
    size_t count = strlen(function->parameters);
    wasm_valtype_vec_new_uninitialized(&parameters, count);
    for (size_t i = 0; i < count; i++) {
        parameters.data[i] = wasm_valtype_new(function->parameters[i] == 'i' ? WASM_I32 : WASM_I64);
    }
    bool returns = function->handler != wasi_proc_exit;
    wasm_valtype_vec_new_uninitialized(&results, returns ? 1 : 0);
    if (returns) {
        results.data[0] = wasm_valtype_new(WASM_I32);
    }
    return wasm_functype_new(&parameters, &results);
}

void wasi_init(struct wasi *wasi, struct control *control, struct output *output) {
    memset(wasi, 0, sizeof(*wasi));
    wasi->control = control;
    wasi->output = output;
    wasi->stdin_fd = -1;
    for (size_t i = 0; i < WASI_FUNCTION_COUNT; i++) {
        wasi->bindings[i] = (struct wasi_binding){.function = &functions[i], .wasi = wasi};
    }
}

int wasi_define(struct wasi *wasi, wasmtime_linker_t *linker) {
    static const char module[] = "wasi_snapshot_preview1";
    for (size_t i = 0; i < WASI_FUNCTION_COUNT; i++) {
        wasm_functype_t *type = function_type(&functions[i]);
        if (type == NULL) {
            return PLASM_NO_MEMORY;
        }
        wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(
            linker, module, sizeof(module) - 1, functions[i].name, strlen(functions[i].name), type,
            enter, &wasi->bindings[i], NULL);
        wasm_functype_delete(type);
        if (error != NULL) {
            wasmtime_error_delete(error);
            return PLASM_FAILED;
        }
    }
    return 0;
}

void wasi_begin(struct wasi *wasi, const struct runner_job_message *job, int stdin_fd) {
    wasi->job = job;
    wasi->stdin_fd = stdin_fd;
    wasi->stdin_offset = 0;
    wasi->fds[0] = (struct wasi_fd){WASI_FD_STDIN, 0, RIGHT_FD_READ | RIGHTS_STREAM};
    wasi->fds[1] = (struct wasi_fd){WASI_FD_STDOUT, 0, RIGHT_FD_WRITE | RIGHTS_STREAM};
    wasi->fds[2] = (struct wasi_fd){WASI_FD_STDERR, 0, RIGHT_FD_WRITE | RIGHTS_STREAM};
    wasi->memory_known = false;
    wasi->slept = 0;
    wasi->exit_code = -1;
    if (job->deterministic) {
        chacha20_init(&wasi->random, job->seed.data);
    }
}
