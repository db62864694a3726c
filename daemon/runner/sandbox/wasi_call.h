/* What the functions of the WASI host share: a call, checked access to the module's memory, errno.
 * Inside the sandbox only; the functions themselves are listed at the end. */
#ifndef SANDBOX_WASI_CALL_H
#define SANDBOX_WASI_CALL_H

#include "runner/sandbox/wasi.h"

/* Those of preview 1's errno that are given here. */
enum wasi_errno {
    WASI_SUCCESS = 0,
    WASI_BADF = 8,
    WASI_FAULT = 21,
    WASI_INVAL = 28,
    WASI_IO = 29,
    WASI_NOTDIR = 54,
    WASI_NOTSOCK = 57,
    WASI_NOTSUP = 58,
    WASI_SPIPE = 70,
    WASI_NOTCAPABLE = 76,
};

enum wasi_clock { CLOCK_ID_REALTIME, CLOCK_ID_MONOTONIC, CLOCK_ID_PROCESS, CLOCK_ID_THREAD };

/* One call under way. */
struct wasi_call {
    struct wasi *wasi;
    wasmtime_context_t *context;
    uint8_t *memory;
    size_t memory_size;
    const wasmtime_val_raw_t *values; /* arguments */
};

typedef enum wasi_errno wasi_handler(struct wasi_call *call);

static inline uint32_t argument_u32(const struct wasi_call *call, size_t index) {
    return (uint32_t)call->values[index].i32;
}
static inline uint64_t argument_u64(const struct wasi_call *call, size_t index) {
    return (uint64_t)call->values[index].i64;
}

/* `size` bytes of the module's memory, or NULL where they are not all inside it. */
static inline uint8_t *guest_room(const struct wasi_call *call, uint64_t address, uint64_t size) {
    if (address > call->memory_size || size > call->memory_size - address) {
        return NULL;
    }
    return call->memory + address;
}
/* Little endian, at any alignment. False, and nothing done, outside the memory. */
MUST_CHECK bool guest_get_u32(const struct wasi_call *call, uint64_t address, uint32_t *ret_value);
MUST_CHECK bool guest_get_u64(const struct wasi_call *call, uint64_t address, uint64_t *ret_value);
MUST_CHECK bool guest_put_u32(const struct wasi_call *call, uint64_t address, uint32_t value);
MUST_CHECK bool guest_put_u64(const struct wasi_call *call, uint64_t address, uint64_t value);

/* Calls function number `index` (0 to WASI_FUNCTION_COUNT - 1) as a module would: for the fuzzer.
 */
enum wasi_errno wasi_call_function(struct wasi_call *call, size_t index);

/* The open descriptor of this number, or NULL. */
struct wasi_fd *wasi_fd(const struct wasi_call *call, uint32_t number);
/* Bytes of standard input not read yet. */
uint64_t wasi_stdin_left(const struct wasi *wasi);
/* Time of a clock as the module sees it. WASI_INVAL for an unknown one. */
enum wasi_errno wasi_clock_now(const struct wasi_call *call, uint32_t clock, nanos *ret_now);

wasi_handler wasi_args_get, wasi_args_sizes_get, wasi_environ_get, wasi_environ_sizes_get;
wasi_handler wasi_clock_res_get, wasi_clock_time_get, wasi_poll_oneoff;
wasi_handler wasi_fd_close, wasi_fd_fdstat_get, wasi_fd_fdstat_set_flags, wasi_fd_fdstat_set_rights;
wasi_handler wasi_fd_filestat_get, wasi_fd_read, wasi_fd_renumber, wasi_fd_write;
wasi_handler wasi_proc_exit, wasi_proc_raise, wasi_sched_yield, wasi_random_get;
/* Those that need a file, directory or socket: BADF for a descriptor that is not open, else why a
 * standard stream is not enough. */
wasi_handler wasi_no_preopen, wasi_not_seekable, wasi_not_resizable, wasi_not_capable;
wasi_handler wasi_not_directory, wasi_symlink_not_directory, wasi_not_socket;

#endif
