/* One alarm on the loop, finer than libuv's millisecond where the system has timerfd. */
#ifndef HOST_ALARM_H
#define HOST_ALARM_H

#include <stdbool.h>
#include <uv.h>

#include "util/compiler.h"
#include "util/error.h"
#include "util/time.h"

struct alarm {
    uv_loop_t *loop;
    void (*ring)(void *context);
    void *context;
    nanos deadline; /* NANOS_NEVER: not set */
    int fd;         /* -1 without timerfd */
    uv_poll_t poll;
    uv_timer_t timer;
};

/* The monotonic clock all deadlines are of. */
nanos alarm_now(void);

/* PLASM_IO. The alarm must stay where it is until its handles are closed. */
MUST_CHECK int alarm_init(struct alarm *alarm, uv_loop_t *loop, void (*ring)(void *context),
                          void *context);
/* Rings at `deadline`, at once when it is past. Setting the same again costs nothing. */
void alarm_set(struct alarm *alarm, nanos deadline);
/* Calls `closed` once the loop lets go of it. */
void alarm_close(struct alarm *alarm, uv_close_cb closed, void *data);

#endif
