/* An alarm by timerfd or, elsewhere, by libuv's timer. */
#include "host/alarm.h"

#include <unistd.h>

#ifdef __linux__
#include <sys/timerfd.h>
#endif

nanos alarm_now(void) {
    return uv_hrtime();
}

static void ring(struct alarm *alarm) {
    alarm->deadline = NANOS_NEVER;
    alarm->ring(alarm->context);
}

#ifdef __linux__

static void on_timerfd(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct alarm *alarm = CONTAINER_OF(poll, struct alarm, poll);
    uint64_t count;
    if (read(alarm->fd, &count, sizeof(count)) > 0) {
        ring(alarm);
    }
}

int alarm_init(struct alarm *alarm, uv_loop_t *loop, void (*on_ring)(void *context),
               void *context) {
    *alarm =
        (struct alarm){.loop = loop, .ring = on_ring, .context = context, .deadline = NANOS_NEVER};
    alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (alarm->fd < 0) {
        return PLASM_IO;
    }
    if (uv_poll_init(loop, &alarm->poll, alarm->fd) != 0 ||
        uv_poll_start(&alarm->poll, UV_READABLE, on_timerfd) != 0) {
        (void)close(alarm->fd);
        return PLASM_IO;
    }
    return 0;
}

void alarm_set(struct alarm *alarm, nanos deadline) {
    if (deadline == alarm->deadline) {
        return;
    }
    /* An earlier ring than needed is harmless and cheaper than moving the timer out each time. */
    bool armed_earlier = alarm->deadline != NANOS_NEVER && alarm->deadline < deadline;
    if (armed_earlier && deadline != NANOS_NEVER) {
        return;
    }
    alarm->deadline = deadline;
    struct itimerspec spec = {.it_value = {0, 0}};
    if (deadline != NANOS_NEVER) {
        nanos when = deadline > 0 ? deadline : 1; /* zero would disarm it */
        spec.it_value.tv_sec = (time_t)(when / NANOS_SECOND);
        spec.it_value.tv_nsec = (long)(when % NANOS_SECOND);
    }
    (void)timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void alarm_close(struct alarm *alarm, uv_close_cb closed, void *data) {
    alarm->poll.data = data;
    (void)uv_poll_stop(&alarm->poll);
    uv_close((uv_handle_t *)&alarm->poll, closed);
    (void)close(alarm->fd);
}

#else

static void on_timer(uv_timer_t *timer) {
    ring(CONTAINER_OF(timer, struct alarm, timer));
}

int alarm_init(struct alarm *alarm, uv_loop_t *loop, void (*on_ring)(void *context),
               void *context) {
    *alarm = (struct alarm){
        .loop = loop, .ring = on_ring, .context = context, .deadline = NANOS_NEVER, .fd = -1};
    return uv_timer_init(loop, &alarm->timer) == 0 ? 0 : PLASM_IO;
}

void alarm_set(struct alarm *alarm, nanos deadline) {
    if (deadline == alarm->deadline) {
        return;
    }
    alarm->deadline = deadline;
    if (deadline == NANOS_NEVER) {
        (void)uv_timer_stop(&alarm->timer);
        return;
    }
    nanos wait = nanos_since(deadline, alarm_now());
    uv_update_time(alarm->loop);
    (void)uv_timer_start(&alarm->timer, on_timer,
                         (wait + NANOS_MILLISECOND - 1) / NANOS_MILLISECOND, 0);
}

void alarm_close(struct alarm *alarm, uv_close_cb closed, void *data) {
    alarm->timer.data = data;
    uv_close((uv_handle_t *)&alarm->timer, closed);
}

#endif
