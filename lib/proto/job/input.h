/* Bytes that were promised by size and hash, as they come: a module or standard input. */
#ifndef JOB_INPUT_H
#define JOB_INPUT_H

#include "crypto/hash.h"

struct job_input {
    uint64_t size;
    struct sha256_digest expected;
    uint64_t received;
    struct hash *hash;           /* NULL while nothing came, or all came at once */
    struct sha256_digest digest; /* valid when all came at once */
    bool wanted;                 /* is to come */
    bool complete;               /* came, and is right; or was not wanted */
};

void job_input_init(struct job_input *input, uint64_t size, const struct sha256_digest *expected);
/* PLASM_TOO_LARGE for more than was promised, PLASM_NO_MEMORY. */
MUST_CHECK int job_input_take(struct job_input *input, struct bytes data);
/* True when all bytes are there and nobody has called job_input_finish. */
static inline bool job_input_full(const struct job_input *input) {
    return input->wanted && !input->complete && input->received == input->size;
}
/* Makes a full input complete: PLASM_UNTRUSTED when its hash is another. */
MUST_CHECK int job_input_finish(struct job_input *input);
void job_input_done(struct job_input *input);

#endif
