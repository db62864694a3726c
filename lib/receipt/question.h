/* The part of a job that its result depends on: the question every honest worker answers alike.
 * Internal to receipt/. */
#ifndef RECEIPT_QUESTION_H
#define RECEIPT_QUESTION_H

#include "receipt/receipt.h"

/* The SHA-256 of the canonical question of `manifest`, and with `answer` not NULL of question and
 * answer together (type "phase.result/1"). PLASM_NO_MEMORY. */
MUST_CHECK int question_hash(const struct manifest *manifest, const struct receipt *answer,
                             struct memory *memory, struct sha256_digest *ret_hash);

#endif
