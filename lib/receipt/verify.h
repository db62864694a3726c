/* Does a receipt hold? Signature, key, and whether it answers the question that was asked.
 *
 * Spec: docs/spec/receipt.md, "Verification". */
#ifndef RECEIPT_VERIFY_H
#define RECEIPT_VERIFY_H

#include "receipt/receipt_file.h"

enum verdict {
    VERDICT_VERIFIED, /* holds, and the key is the expected worker's */
    VERDICT_UNPINNED, /* holds under the key that came with it, and nobody said whose that is */
    VERDICT_REFUSED,  /* does not hold */
};

/* "verified", "unpinned", "refused". */
const char *verdict_name(enum verdict verdict);

/* What the one who checks knows. NULL members are not known and not checked; without `worker` and
 * `public_key` the verdict is at best unpinned. */
struct expectation {
    const struct peer_id *worker; /* the peer that was dialled, or was named */
    const uint8_t *public_key;    /* ED25519_PUBLIC_SIZE bytes */
    const char *job_id;
    const struct sha256_digest *manifest_hash; /* of the manifest that was sent */
    const struct sha256_digest *module_hash;
    const struct sha256_digest *input_hash;
    const struct sha256_digest *stdout_hash;
    const struct sha256_digest *stderr_hash;
};

/* Checks a receipt against its own signature and key, the manifest it answers and `expectation`.
 * `receipt_json` is the canonical form as signed. When the verdict is VERDICT_REFUSED, `fault`
 * names the first field that does not hold. `memory` is for the result hash; out of memory is
 * refused
 * ("memory", "is out"). */
enum verdict receipt_verify(const struct receipt *receipt, struct bytes receipt_json,
                            const uint8_t signature[ED25519_SIGNATURE_SIZE],
                            const uint8_t public_key[ED25519_PUBLIC_SIZE],
                            const struct manifest *manifest,
                            const struct sha256_digest *manifest_hash,
                            const struct expectation *expectation, struct memory *memory,
                            struct fault *fault);
enum verdict receipt_file_verify(const struct receipt_file *file,
                                 const struct expectation *expectation, struct memory *memory,
                                 struct fault *fault);

/* The signature over the four-key summary of this receipt. PLASM_UNTRUSTED, PLASM_NO_MEMORY. */
MUST_CHECK int receipt_summary_verify(const struct receipt *receipt,
                                      const uint8_t signature[ED25519_SIGNATURE_SIZE],
                                      const uint8_t public_key[ED25519_PUBLIC_SIZE],
                                      struct memory *memory);

/* A worker's key as people write it: a peer id, or an Ed25519 public key in base64 or hex.
 * PLASM_MALFORMED, PLASM_UNSUPPORTED (a peer id without an Ed25519 key inside). */
MUST_CHECK int worker_key_parse(struct bytes text, uint8_t ret_key[ED25519_PUBLIC_SIZE]);

#endif
