/* Stopping a job: its deadline, the parent's cancel, and the ticks that make a module look up.
 *
 * A timer signal every few milliseconds bumps the engine's epoch; compiled code notices at its next
 * loop or call and calls control_check. So does SIGUSR1, which the parent sends with a cancel.
 * Whatever blocks does so in control_wait, which needs no signals. */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include <wasmtime.h>

#include "util/bytes.h"
#include "util/time.h"

/* How often a module is made to look up: output is sent, deadline and cancel are looked at. */
#define CONTROL_TICK_US 5000

/* Why a job ends before its module does. */
enum control_end {
    CONTROL_RUNNING,
    CONTROL_EXIT,   /* proc_exit */
    CONTROL_OUTPUT, /* more output than it may make */
    CONTROL_TIMEOUT,
    CONTROL_CANCELLED,
};

struct control {
    int socket; /* of the parent: cancels come from here */
    uint32_t job;
    nanos started;
    nanos deadline;
    enum control_end end;
};

/* Catches the signals, which do nothing yet: the zygote calls it, so that a runner is never
 * without. PLASM_IO. */
MUST_CHECK int control_catch_signals(void);
/* From now on the signals bump this engine's epoch. One in a process. */
void control_init(struct control *control, int socket, const wasm_engine_t *engine);
/* Starts the clock and the ticks of one job; wall_ms > 0. */
void control_begin(struct control *control, uint32_t job, uint64_t wall_ms);
/* Stops the ticks. */
void control_finish(struct control *control);

/* Looks at the clock and for a cancel. False when the job must end: `end` says why. Ends the
 * process when the parent is gone. */
MUST_CHECK bool control_check(struct control *control);
/* Waits until the socket can be written (when `writable`), `until` has come, or the job must end;
 * false for the last. There are no ticks meanwhile. */
MUST_CHECK bool control_wait(struct control *control, bool writable, nanos until);
/* Ends the job unless something else did already. */
void control_stop(struct control *control, enum control_end end);

/* Monotonic time. */
nanos control_now(void);

#endif
