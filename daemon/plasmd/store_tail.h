/* The tail of the database: what was acknowledged and is not committed yet. Two files beside the
 * database take turns, one with the rows that wait, one with those being committed. A row is
 * written to the tail by one system call before it is acknowledged, so it survives the death of the
 * process; room is reserved, so that rows still fit when the disk is full. */
#ifndef PLASMD_STORE_TAIL_H
#define PLASMD_STORE_TAIL_H

#include "util/bytes.h"
#include "util/compiler.h"

/* Reserved for each of the two. */
#define STORE_TAIL_RESERVED_BYTES ((size_t)2 << 20)

struct store_tail {
    int fds[2];    /* -1: not open */
    size_t offset; /* in the current one */
    unsigned current;
    uint64_t generation;
    bool is_reserved;
};

/* Opens `<path>.tail0` and `.tail1`, made where they are missing. PLASM_IO (errno). */
MUST_CHECK int store_tail_open(const char *path, struct store_tail *ret_tail);
void store_tail_close(struct store_tail *tail);
/* Gives each record that is there, in order, to `take`; stops at its first error and gives that.
 * PLASM_IO, PLASM_NO_MEMORY. */
MUST_CHECK int store_tail_read(struct store_tail *tail,
                               int (*take)(void *context, struct bytes record), void *context);
/* Appends one record. PLASM_IO (errno): it is not there. */
MUST_CHECK int store_tail_append(struct store_tail *tail, struct bytes record);
/* All that is in the current file is about to be committed: the other one is current now. What was
 * in that must have been forgotten. */
void store_tail_turn(struct store_tail *tail);
/* The file that is not current holds nothing any more. Not to be called with store_tail_turn at
 * the same time, but with store_tail_append. */
void store_tail_forget(struct store_tail *tail);
/* Both hold nothing any more. */
void store_tail_forget_all(struct store_tail *tail);

#endif
