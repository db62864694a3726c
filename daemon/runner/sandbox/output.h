/* What a module writes, gathered into messages: at once for a short job, as it is made for a long
 * one. */
#ifndef SANDBOX_OUTPUT_H
#define SANDBOX_OUTPUT_H

#include "runner/protocol.h"
#include "runner/sandbox/control.h"

struct output {
    struct control *control;
    uint64_t left_bytes; /* of the job's output limit */
    size_t size;         /* of the segments in `room` */
    size_t last;         /* where the last of them begins */
    enum runner_stream last_stream;
    uint8_t type; /* of an OUTPUT message: lies right before its segments */
    uint8_t room[RUNNER_OUTPUT_SIZE_MAX];
};

/* Forgets what is there; `limit_bytes` is the job's. */
void output_begin(struct output *output, struct control *control, uint64_t limit_bytes);
/* Takes all of `data`; where the buffer is full, sends it and blocks until the parent reads. False
 * when the job must end: over the limit (what fits was taken), or control's reasons. */
MUST_CHECK bool output_write(struct output *output, enum runner_stream stream, struct bytes data);
/* Sends what is there. False as above. */
MUST_CHECK bool output_flush(struct output *output);
/* Sends the last message of the job, with what is left, however long that takes. */
void output_finish(struct output *output, const struct runner_finished *finished);

#endif
