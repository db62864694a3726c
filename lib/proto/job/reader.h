/* Cuts a job stream's bytes into frames: in place where a frame lies whole in the input, through a
 * buffer of one frame where it comes in pieces. */
#ifndef JOB_READER_H
#define JOB_READER_H

#include "util/buffer.h"

struct job_reader {
    struct bytes input;    /* borrowed, not read yet */
    struct buffer partial; /* the start of a frame whose rest is to come */
    bool partial_given;    /* the frame given last lies in `partial` */
    bool ended;            /* the peer's FIN: nothing comes after `input` */
};

void job_reader_init(struct job_reader *reader, struct memory *memory);
/* Borrows `input` until job_reader_next has returned PLASM_TRUNCATED. */
void job_reader_give(struct job_reader *reader, struct bytes input);
/* The next frame's payload, borrowed until the next call. PLASM_TRUNCATED: none is complete, what
 * was given is used up; PLASM_CLOSED: nor will be, the stream ended cleanly between two frames;
 * PLASM_MALFORMED: it ended within one, or a length is no uvarint; PLASM_TOO_LARGE;
 * PLASM_NO_MEMORY. */
MUST_CHECK int job_reader_next(struct job_reader *reader, struct bytes *ret_payload);
/* Drops what was given. */
void job_reader_clear(struct job_reader *reader);
void job_reader_done(struct job_reader *reader);

#endif
