/* The timer, the two signals, and the one place where a runner blocks while a job runs. */
#include "runner/sandbox/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "runner/protocol.h"
#include "util/ensure.h"

/* Larger than a cancel, so that anything else in its place is noticed. */
#define CANCEL_ROOM_SIZE 64

static const wasm_engine_t *signalled_engine;

static void on_signal(int signal) {
    (void)signal;
    if (signalled_engine != NULL) {
        wasmtime_engine_increment_epoch(signalled_engine);
    }
}

int control_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0) {
        return PLASM_IO;
    }
    return 0;
}

void control_init(struct control *control, int socket, const wasm_engine_t *engine) {
    *control = (struct control){.socket = socket};
    signalled_engine = engine;
}

nanos control_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nanos)now.tv_sec * NANOS_SECOND + (nanos)now.tv_nsec;
}

static void set_ticks(uint64_t tick_us) {
    struct timeval interval = {.tv_sec = 0, .tv_usec = (suseconds_t)tick_us};
    struct itimerval timer = {.it_interval = interval, .it_value = interval};
    ENSURE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

void control_begin(struct control *control, uint32_t job, uint64_t wall_ms) {
    control->job = job;
    control->end = CONTROL_RUNNING;
    control->started = control_now();
    nanos wall =
        wall_ms < NANOS_NEVER / NANOS_MILLISECOND ? wall_ms * NANOS_MILLISECOND : NANOS_NEVER;
    control->deadline = nanos_add(control->started, wall);
    uint64_t wall_us = wall / NANOS_MICROSECOND;
    /* A timer of 0 would never fire. */
    set_ticks(wall_us > 0 && wall_us < CONTROL_TICK_US ? wall_us : CONTROL_TICK_US);
}

void control_finish(struct control *control) {
    (void)control;
    set_ticks(0);
}

void control_stop(struct control *control, enum control_end end) {
    if (control->end == CONTROL_RUNNING) {
        control->end = end;
    }
}

/* While a job runs nothing but a cancel comes; one for an earlier job is late and means nothing. */
static void read_cancel(struct control *control) {
    uint8_t room[CANCEL_ROOM_SIZE];
    ssize_t size = recv(control->socket, room, sizeof(room), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return;
        }
        _exit(0);
    }
    if (size == 0) {
        _exit(0); /* the parent is gone */
    }
    struct runner_message message;
    ENSURE((size_t)size <= sizeof(room) &&
           runner_message_decode(bytes_of(room, (size_t)size), &message) == 0 &&
           message.type == RUNNER_MESSAGE_CANCEL);
    if (message.cancel.job == control->job) {
        control_stop(control, CONTROL_CANCELLED);
    }
}

bool control_check(struct control *control) {
    read_cancel(control);
    if (control_now() >= control->deadline) {
        control_stop(control, CONTROL_TIMEOUT);
    }
    return control->end == CONTROL_RUNNING;
}

bool control_wait(struct control *control, bool writable, nanos until) {
    set_ticks(0);
    struct pollfd watched = {.fd = control->socket,
                             .events = (short)(POLLIN | (writable ? POLLOUT : 0))};
    while (control_check(control)) {
        nanos now = control_now();
        if (now >= until) {
            break;
        }
        nanos left = nanos_min(until, control->deadline) - now;
        struct timespec timeout = {.tv_sec = (time_t)(left / NANOS_SECOND),
                                   .tv_nsec = (long)(left % NANOS_SECOND)};
        int ready = ppoll(&watched, 1, &timeout, NULL);
        ENSURE(ready >= 0 || errno == EINTR);
        if (ready > 0 && (watched.revents & POLLOUT) != 0) {
            break;
        }
    }
    set_ticks(CONTROL_TICK_US);
    return control->end == CONTROL_RUNNING;
}
