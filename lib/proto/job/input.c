/* Counting and hashing promised bytes. */
#include "proto/job/input.h"

#include "util/ensure.h"

void job_input_init(struct job_input *input, uint64_t size, const struct sha256_digest *expected) {
    *input = (struct job_input){.size = size, .expected = *expected};
}

int job_input_take(struct job_input *input, struct bytes data) {
    if (data.size > input->size - input->received) {
        return PLASM_TOO_LARGE;
    }
    if (input->received == 0 && data.size == input->size) {
        input->digest = sha256(data);
    } else {
        if (input->hash == NULL) {
            input->hash = hash_new();
        }
        if (input->hash == NULL) {
            return PLASM_NO_MEMORY;
        }
        hash_update(input->hash, data);
    }
    input->received += data.size;
    return 0;
}

int job_input_finish(struct job_input *input) {
    ENSURE(job_input_full(input));
    if (input->size == 0) {
        input->digest = sha256(bytes_of(NULL, 0));
    } else if (input->hash != NULL) {
        input->digest = hash_digest(input->hash);
    }
    if (!sha256_equal(&input->digest, &input->expected)) {
        return PLASM_UNTRUSTED;
    }
    input->complete = true;
    return 0;
}

void job_input_done(struct job_input *input) {
    hash_free(input->hash);
    input->hash = NULL;
}
