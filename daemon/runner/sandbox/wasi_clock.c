/* Clocks and sleeping, real and virtual. */
#include <time.h>

#include "runner/sandbox/wasi_call.h"
#include "util/ensure.h"

#define SUBSCRIPTION_SIZE 48
#define EVENT_SIZE        32
#define CLOCK_ABSOLUTE    1 /* flag of a clock subscription */

/* What a stream that can be written to at once says of how much. */
#define WRITABLE_BYTES 65536

enum event_type { EVENT_CLOCK, EVENT_FD_READ, EVENT_FD_WRITE };

static nanos system_clock(clockid_t id) {
    struct timespec now;
    ENSURE(clock_gettime(id, &now) == 0);
    return (nanos)now.tv_sec * NANOS_SECOND + (nanos)now.tv_nsec;
}

/* One nanosecond a unit of fuel, and what the module slept. */
static nanos virtual_clock(const struct wasi_call *call) {
    uint64_t left = 0;
    wasmtime_error_t *error = wasmtime_context_get_fuel(call->context, &left);
    ENSURE(error == NULL);
    return nanos_add(call->wasi->job->limits.fuel - left, call->wasi->slept);
}

enum wasi_errno wasi_clock_now(const struct wasi_call *call, uint32_t clock, nanos *ret_now) {
    if (clock > CLOCK_ID_THREAD) {
        return WASI_INVAL;
    }
    if (call->wasi->job->deterministic) {
        nanos now = virtual_clock(call);
        *ret_now = clock == CLOCK_ID_REALTIME ? nanos_add(WASI_VIRTUAL_EPOCH_NS, now) : now;
        return WASI_SUCCESS;
    }
    switch ((enum wasi_clock)clock) {
    case CLOCK_ID_REALTIME:
        *ret_now = system_clock(CLOCK_REALTIME);
        break;
    case CLOCK_ID_MONOTONIC:
        *ret_now = system_clock(CLOCK_MONOTONIC);
        break;
    case CLOCK_ID_PROCESS:
    case CLOCK_ID_THREAD:
        *ret_now = system_clock(CLOCK_PROCESS_CPUTIME_ID);
        break;
    }
    return WASI_SUCCESS;
}

enum wasi_errno wasi_clock_res_get(struct wasi_call *call) {
    if (argument_u32(call, 0) > CLOCK_ID_THREAD) {
        return WASI_INVAL;
    }
    return guest_put_u64(call, argument_u32(call, 1), 1) ? WASI_SUCCESS : WASI_FAULT;
}

enum wasi_errno wasi_clock_time_get(struct wasi_call *call) {
    nanos now;
    enum wasi_errno error = wasi_clock_now(call, argument_u32(call, 0), &now);
    if (error != WASI_SUCCESS) {
        return error;
    }
    return guest_put_u64(call, argument_u32(call, 2), now) ? WASI_SUCCESS : WASI_FAULT;
}

/* One subscription of poll_oneoff, read out of the module's memory. */
struct subscription {
    uint64_t userdata;
    enum event_type type;
    uint32_t id;    /* descriptor or clock */
    nanos wait;     /* clock: how long from now; 0 is due */
    uint64_t bytes; /* descriptor: how many can be read or written */
    enum wasi_errno error;
    bool ready;
};

/* What poll_oneoff reckons from: the clocks that can be waited for, when it was called. */
struct baseline {
    nanos realtime;
    nanos monotonic;
};

static enum wasi_errno clock_subscription(const struct wasi_call *call, uint64_t address,
                                          const struct baseline *baseline,
                                          struct subscription *subscription) {
    uint64_t timeout;
    uint32_t flags;
    if (!guest_get_u64(call, address + 24, &timeout) ||
        !guest_get_u32(call, address + 40, &flags)) {
        return WASI_FAULT;
    }
    if (subscription->id != CLOCK_ID_REALTIME && subscription->id != CLOCK_ID_MONOTONIC) {
        subscription->error = WASI_INVAL;
        subscription->ready = true;
        return WASI_SUCCESS;
    }
    nanos now = subscription->id == CLOCK_ID_REALTIME ? baseline->realtime : baseline->monotonic;
    subscription->wait = (flags & CLOCK_ABSOLUTE) != 0 ? nanos_since(timeout, now) : timeout;
    return WASI_SUCCESS;
}

static void stream_subscription(const struct wasi_call *call, struct subscription *subscription) {
    const struct wasi_fd *fd = wasi_fd(call, subscription->id);
    bool read = subscription->type == EVENT_FD_READ;
    subscription->ready = true; /* a standard stream is always ready, a wrong one an error */
    if (fd == NULL || (fd->kind == WASI_FD_STDIN) != read) {
        subscription->error = WASI_BADF;
        return;
    }
    subscription->bytes = read ? wasi_stdin_left(call->wasi) : WRITABLE_BYTES;
}

static enum wasi_errno read_subscription(const struct wasi_call *call, uint64_t address,
                                         const struct baseline *baseline,
                                         struct subscription *ret_subscription) {
    struct subscription subscription = {.wait = NANOS_NEVER};
    const uint8_t *tag = guest_room(call, address, SUBSCRIPTION_SIZE);
    if (tag == NULL || !guest_get_u64(call, address, &subscription.userdata) ||
        !guest_get_u32(call, address + 16, &subscription.id)) {
        return WASI_FAULT;
    }
    if (tag[8] > EVENT_FD_WRITE) {
        return WASI_INVAL;
    }
    subscription.type = (enum event_type)tag[8];
    enum wasi_errno error = WASI_SUCCESS;
    if (subscription.type == EVENT_CLOCK) {
        error = clock_subscription(call, address, baseline, &subscription);
    } else {
        stream_subscription(call, &subscription);
    }
    *ret_subscription = subscription;
    return error;
}

static bool write_event(const struct wasi_call *call, uint64_t address,
                        const struct subscription *subscription) {
    uint8_t *room = guest_room(call, address, EVENT_SIZE);
    if (room == NULL) {
        return false;
    }
    memset(room, 0, EVENT_SIZE);
    room[8] = (uint8_t)subscription->error;
    room[10] = (uint8_t)subscription->type;
    /* Hang-up: standard input is at its end. */
    room[24] = subscription->type == EVENT_FD_READ && subscription->error == WASI_SUCCESS &&
               subscription->bytes == 0;
    return guest_put_u64(call, address, subscription->userdata) &&
           guest_put_u64(call, address + 16, subscription->bytes);
}

/* How long until the first subscription is due: 0 where one is ready. */
static enum wasi_errno first_due(const struct wasi_call *call, const struct baseline *baseline,
                                 nanos *ret_wait) {
    nanos wait = NANOS_NEVER;
    for (uint32_t i = 0; i < argument_u32(call, 2); i++) {
        struct subscription subscription;
        enum wasi_errno error = read_subscription(
            call, argument_u32(call, 0) + (uint64_t)i * SUBSCRIPTION_SIZE, baseline, &subscription);
        if (error != WASI_SUCCESS) {
            return error;
        }
        wait = nanos_min(wait, subscription.ready ? 0 : subscription.wait);
    }
    *ret_wait = wait;
    return WASI_SUCCESS;
}

/* Sleeps for `wait`; false when the job must end meanwhile. */
static bool sleep_for(struct wasi *wasi, nanos wait) {
    if (wasi->job->deterministic) {
        wasi->slept = nanos_add(wasi->slept, wait);
        return true;
    }
    return output_flush(wasi->output) &&
           control_wait(wasi->control, false, nanos_add(control_now(), wait));
}

/* Gives an event for each subscription that is ready, or due after `wait`. */
static enum wasi_errno write_events(const struct wasi_call *call, const struct baseline *baseline,
                                    nanos wait) {
    uint32_t events = 0;
    for (uint32_t i = 0; i < argument_u32(call, 2); i++) {
        struct subscription subscription;
        enum wasi_errno error = read_subscription(
            call, argument_u32(call, 0) + (uint64_t)i * SUBSCRIPTION_SIZE, baseline, &subscription);
        if (error != WASI_SUCCESS) {
            return error;
        }
        if (!subscription.ready && subscription.wait > wait) {
            continue;
        }
        uint64_t address = argument_u32(call, 1) + (uint64_t)events * EVENT_SIZE;
        if (!write_event(call, address, &subscription)) {
            return WASI_FAULT;
        }
        events++;
    }
    return guest_put_u32(call, argument_u32(call, 3), events) ? WASI_SUCCESS : WASI_FAULT;
}

enum wasi_errno wasi_poll_oneoff(struct wasi_call *call) {
    if (argument_u32(call, 2) == 0) {
        return WASI_INVAL;
    }
    struct baseline baseline;
    (void)wasi_clock_now(call, CLOCK_ID_REALTIME, &baseline.realtime);
    (void)wasi_clock_now(call, CLOCK_ID_MONOTONIC, &baseline.monotonic);
    nanos wait;
    enum wasi_errno error = first_due(call, &baseline, &wait);
    if (error != WASI_SUCCESS) {
        return error;
    }
    if (wait > 0 && !sleep_for(call->wasi, wait)) {
        return WASI_IO; /* the job is over; nobody sees it */
    }
    return write_events(call, &baseline, wait);
}
