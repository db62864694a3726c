/* Any calls of the WASI host, with any numbers, on any memory: nothing outside the memory is
 * touched.
 *
 * The input is a list of calls: function, how much of the memory to fill with what follows, and
 * seven arguments. The memory is a heap block of its exact size, so that a sanitizer sees every
 * byte beside it. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner/sandbox/wasi_call.h"
#include "util/cursor.h"
#include "util/ensure.h"

#define MEMORY_SIZE   4096u
#define ARGUMENTS_MAX 9
#define CALLS_MAX     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small numbers reach into the memory, the others anywhere. */
static uint64_t argument(struct cursor *input) {
    uint8_t kind = cursor_u8(input);
    switch (kind % 4) {
    case 0:
        return kind / 4;
    case 1:
        return cursor_u16(input) % (MEMORY_SIZE + 16);
    case 2:
        return UINT32_MAX - kind / 4;
    default:
        return cursor_u64(input);
    }
}

static void call_once(struct wasi *wasi, struct cursor *input, uint8_t *memory) {
    wasmtime_val_raw_t values[ARGUMENTS_MAX];
    struct wasi_call call = {
        .wasi = wasi, .memory = memory, .memory_size = MEMORY_SIZE, .values = values};
    uint8_t function = cursor_u8(input) % WASI_FUNCTION_COUNT;
    size_t offset = cursor_u16(input) % MEMORY_SIZE;
    struct bytes fill = cursor_take(input, cursor_u8(input));
    if (fill.size > 0 && fill.size <= MEMORY_SIZE - offset) {
        memcpy(memory + offset, fill.data, fill.size);
    }
    for (size_t i = 0; i < ARGUMENTS_MAX; i++) {
        values[i].i64 = (int64_t)argument(input);
    }
    (void)wasi_call_function(&call, function);
    /* A job that is over makes no more calls; here the next one is another job's. */
    wasi->control->end = CONTROL_RUNNING;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct control control;
    static struct output output;
    static struct wasi wasi;
    static int pair[2] = {-1, -1};
    const struct runner_job_message job = {
        .arg_count = 2,
        .args = BYTES_LITERAL("one\0two\0"),
        .env_count = 1,
        .env = BYTES_LITERAL("KEY=value\0"),
        .stdin_size = 5,
        .stdin_bytes = BYTES_LITERAL("input"),
    };
    if (pair[0] < 0) {
        ENSURE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
        ENSURE(control_catch_signals() == 0);
        wasi_init(&wasi, &control, &output);
    }
    control_init(&control, pair[0], NULL); /* its deadline is past: nothing waits */
    output_begin(&output, &control, RUNNER_OUTPUT_SIZE_MAX / 2);
    wasi_begin(&wasi, &job, -1);
    uint8_t *memory = calloc(1, MEMORY_SIZE);
    ENSURE(memory != NULL);
    struct cursor input = cursor_of(bytes_of(data, size));
    for (int i = 0; i < CALLS_MAX && input.left.size > 0; i++) {
        call_once(&wasi, &input, memory);
        output.size = 0; /* as if it had been sent */
    }
    free(memory);
    return 0;
}
