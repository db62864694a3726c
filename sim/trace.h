/* What happened, a line an event in order, hashed: two runs that did the same have the same hash.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdio.h>

#include "crypto/hash.h"
#include "util/time.h"

#define TRACE_BUFFER_SIZE     65536
#define TRACE_NUMBERS_MAX     8
#define TRACE_WORD_LENGTH_MAX 32

struct trace {
    struct hash *hash;
    FILE *file; /* borrowed, NULL: only the hash is wanted */
    bool is_file_broken;
    bool is_ended;
    uint64_t lines;
    size_t size;
    char buffer[TRACE_BUFFER_SIZE];
};

void trace_init(struct trace *trace, FILE *file);
void trace_done(struct trace *trace);

/* Writes "<nanoseconds> <word> <number> ...". `word` is at most TRACE_WORD_LENGTH_MAX long. */
void trace_line(struct trace *trace, nanos now, const char *word, const uint64_t *numbers,
                size_t count);
/* Ends the trace, later lines are dropped. Gives the SHA-256 of all: what sha256sum says of the
 * file. */
struct sha256_digest trace_end(struct trace *trace);

/* trace_line with the numbers as arguments, at least one. */
#define TRACE(trace, now, word, ...)                                                               \
    trace_line((trace), (now), (word), (const uint64_t[]){__VA_ARGS__},                            \
               sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

#endif
