/* Arguments, environment, random numbers and the end of the process; access to its memory. */
#include <errno.h>
#include <sys/random.h>

#include "runner/sandbox/wasi_call.h"

/* Random bytes between two looks at the clock. */
#define RANDOM_PIECE_BYTES (1024 * 1024)

bool guest_get_u32(const struct wasi_call *call, uint64_t address, uint32_t *ret_value) {
    const uint8_t *from = guest_room(call, address, 4);
    if (from == NULL) {
        return false;
    }
    *ret_value = (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                 (uint32_t)from[3] << 24;
    return true;
}

bool guest_get_u64(const struct wasi_call *call, uint64_t address, uint64_t *ret_value) {
    uint32_t low;
    uint32_t high;
    if (!guest_get_u32(call, address, &low) || !guest_get_u32(call, address + 4, &high)) {
        return false;
    }
    *ret_value = (uint64_t)high << 32 | low;
    return true;
}

bool guest_put_u32(const struct wasi_call *call, uint64_t address, uint32_t value) {
    uint8_t *to = guest_room(call, address, 4);
    if (to == NULL) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
    return true;
}

bool guest_put_u64(const struct wasi_call *call, uint64_t address, uint64_t value) {
    return guest_room(call, address, 8) != NULL && guest_put_u32(call, address, (uint32_t)value) &&
           guest_put_u32(call, address + 4, (uint32_t)(value >> 32));
}

static enum wasi_errno strings_sizes(struct wasi_call *call, struct bytes strings, uint32_t count) {
    if (!guest_put_u32(call, argument_u32(call, 0), count) ||
        !guest_put_u32(call, argument_u32(call, 1), (uint32_t)strings.size)) {
        return WASI_FAULT;
    }
    return WASI_SUCCESS;
}

/* Copies the strings to the second argument and a pointer to each to the first. */
static enum wasi_errno strings_get(struct wasi_call *call, struct bytes strings) {
    uint64_t pointers = argument_u32(call, 0);
    uint64_t buffer = argument_u32(call, 1);
    uint8_t *room = guest_room(call, buffer, strings.size);
    if (room == NULL) {
        return WASI_FAULT;
    }
    if (strings.size > 0) {
        memcpy(room, strings.data, strings.size);
    }
    bool begins = true;
    for (size_t i = 0; i < strings.size; i++) {
        if (begins) {
            if (!guest_put_u32(call, pointers, (uint32_t)(buffer + i))) {
                return WASI_FAULT;
            }
            pointers += 4;
        }
        begins = strings.data[i] == 0;
    }
    return WASI_SUCCESS;
}

enum wasi_errno wasi_args_sizes_get(struct wasi_call *call) {
    const struct runner_job_message *job = call->wasi->job;
    return strings_sizes(call, job->args, job->arg_count);
}
enum wasi_errno wasi_args_get(struct wasi_call *call) {
    return strings_get(call, call->wasi->job->args);
}
enum wasi_errno wasi_environ_sizes_get(struct wasi_call *call) {
    const struct runner_job_message *job = call->wasi->job;
    return strings_sizes(call, job->env, job->env_count);
}
enum wasi_errno wasi_environ_get(struct wasi_call *call) {
    return strings_get(call, call->wasi->job->env);
}

enum wasi_errno wasi_proc_exit(struct wasi_call *call) {
    call->wasi->exit_code = argument_u32(call, 0);
    control_stop(call->wasi->control, CONTROL_EXIT);
    return WASI_SUCCESS;
}

enum wasi_errno wasi_proc_raise(struct wasi_call *call) {
    (void)call;
    return WASI_NOTSUP;
}

enum wasi_errno wasi_sched_yield(struct wasi_call *call) {
    (void)call;
    return WASI_SUCCESS;
}

enum wasi_errno wasi_random_get(struct wasi_call *call) {
    size_t size = argument_u32(call, 1);
    uint8_t *room = guest_room(call, argument_u32(call, 0), size);
    if (room == NULL) {
        return WASI_FAULT;
    }
    if (call->wasi->job->deterministic) {
        chacha20_fill(&call->wasi->random, (struct span){room, size});
        return WASI_SUCCESS;
    }
    while (size > 0) {
        ssize_t got = getrandom(room, size < RANDOM_PIECE_BYTES ? size : RANDOM_PIECE_BYTES, 0);
        if (got < 0 && errno != EINTR) {
            return WASI_IO;
        }
        if (got > 0) {
            room += got;
            size -= (size_t)got;
        }
        if (size > 0 && !control_check(call->wasi->control)) {
            return WASI_IO; /* the job is over; nobody sees it */
        }
    }
    return WASI_SUCCESS;
}
