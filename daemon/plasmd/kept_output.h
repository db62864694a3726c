/* The output of one job as it is kept for those who ask again: pieces of the two streams in the
 * order in which they came, each behind a head of its stream and size. */
#ifndef PLASMD_KEPT_OUTPUT_H
#define PLASMD_KEPT_OUTPUT_H

#include "util/buffer.h"

struct kept_output {
    struct buffer records;
    uint64_t bytes; /* of both streams, kept or not */
    uint64_t bytes_max;
    size_t last;    /* where the head of the last piece is */
    uint8_t stream; /* of the last piece; 0: there is none */
    bool is_cut;    /* it was too much: nothing is kept */
};

/* Keeps at most `size_max` bytes; 0: nothing, it only counts. */
void kept_output_init(struct kept_output *output, struct memory *memory, size_t size_max);
void kept_output_done(struct kept_output *output);
/* Adds a piece of stream 1 or 2. Once it is too much, or memory is out, all is dropped. */
void kept_output_add(struct kept_output *output, uint8_t stream, struct bytes data);
/* Takes the next piece off `*records`. False at the end, and where they are damaged. */
bool kept_output_next(struct bytes *records, uint8_t *ret_stream, struct bytes *ret_data);

#endif
