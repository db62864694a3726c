/* The receipt of a job, `phase.receipt/1`: what a worker says, in the one form that is signed.
 *
 * The signature itself is made elsewhere (the key is in another process): receipt_encode gives the
 * bytes to sign. Spec: docs/spec/receipt.md. */
#ifndef RECEIPT_RECEIPT_H
#define RECEIPT_RECEIPT_H

#include "crypto/sign.h"
#include "identity/peer_id.h"
#include "receipt/manifest.h"

/* Bounds: canonical JSON of a receipt, text of a receipt file, in bytes. */
#define RECEIPT_SIZE_MAX      (8 * 1024)
#define RECEIPT_FILE_SIZE_MAX (256 * 1024)
/* Canonical JSON of a summary. */
#define SUMMARY_SIZE_MAX 256

#define RECEIPT_TYPE "phase.receipt/1"

/* How a job ended. Only `ok` and `exit` have an exit code of the module's. */
enum job_status {
    JOB_STATUS_OK,        /* _start returned, or proc_exit(0) */
    JOB_STATUS_EXIT,      /* proc_exit(n), n > 0 */
    JOB_STATUS_TRAP,      /* unreachable, out of bounds, ... */
    JOB_STATUS_FUEL,      /* out of fuel */
    JOB_STATUS_TIMEOUT,   /* over wall_ms */
    JOB_STATUS_MEMORY,    /* declares more memory than the limit */
    JOB_STATUS_OUTPUT,    /* wrote more than output_bytes */
    JOB_STATUS_STACK,     /* call stack exhausted */
    JOB_STATUS_COMPILE,   /* not a module that can be run */
    JOB_STATUS_CANCELLED, /* by the client */
    JOB_STATUS_FAILED,    /* the worker's own failure */
    JOB_STATUS_COUNT
};

/* Exit code of every status but `ok` (0) and `exit` (1 to 2^32-1). */
#define EXIT_CODE_NONE (-1)

const char *job_status_name(enum job_status status);
/* PLASM_UNSUPPORTED for any other text. */
MUST_CHECK int job_status_parse(struct bytes text, enum job_status *ret_status);

struct receipt {
    char job_id[JOB_ID_SIZE];
    struct sha256_digest manifest_hash;
    struct sha256_digest module_hash;
    struct sha256_digest input_hash;
    struct sha256_digest stdout_hash;
    struct sha256_digest stderr_hash;
    int64_t exit_code;
    enum job_status status;
    uint64_t fuel; /* consumed; 0 where it was not metered */
    uint64_t wall_time_us;
    char runtime[RUNTIME_SIZE];
    enum job_profile profile;
    char arch[ARCH_SIZE];
    char worker[PEER_ID_TEXT_MAX]; /* peer id, "12D3KooW..." */
    char client_nonce[CLIENT_NONCE_SIZE];
    uint64_t started_ms; /* Unix time */
    bool comparable;     /* has a result_hash */
    struct sha256_digest result_hash;
    struct sha256_digest prev[MANIFEST_PREV_MAX];
    size_t prev_count;
};

/* wall_time_us in milliseconds, rounded up: the receipt's wall_time_ms. */
static inline uint64_t receipt_wall_time_ms(const struct receipt *receipt) {
    return receipt->wall_time_us / 1000 + (receipt->wall_time_us % 1000 != 0);
}

/* Fills everything that the manifest decides (job_id, hashes of the question, profile, nonce,
 * prev). The caller adds outputs, status, times, runtime, arch and worker, and then calls
 * receipt_seal_result. */
void receipt_begin(const struct manifest *manifest, const struct sha256_digest *manifest_hash,
                   struct receipt *ret_receipt);
/* Sets `comparable` and `result_hash` as the profile and status ask. PLASM_NO_MEMORY. */
MUST_CHECK int receipt_seal_result(struct receipt *receipt, const struct manifest *manifest,
                                   struct memory *memory);
/* The result_hash a receipt of this manifest must have; *ret_comparable is false where there is
 * none. PLASM_NO_MEMORY. */
MUST_CHECK int receipt_result_hash(const struct receipt *receipt, const struct manifest *manifest,
                                   struct memory *memory, bool *ret_comparable,
                                   struct sha256_digest *ret_hash);

/* PLASM_INVALID with the field: ranges, exit code against status, names, worker's peer id. */
MUST_CHECK int receipt_validate(const struct receipt *receipt, struct fault *fault);
/* Validates and appends the canonical JSON: the bytes that are signed, and whose SHA-256 is the
 * receipt hash. PLASM_INVALID, PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
MUST_CHECK int receipt_encode(const struct receipt *receipt, struct buffer *out,
                              struct fault *fault);
/* Reads and validates canonical JSON; another spelling is refused. PLASM_MALFORMED,
 * PLASM_TOO_LARGE, PLASM_UNSUPPORTED (no type, another type, profile or status). */
MUST_CHECK int receipt_decode(struct bytes json, struct receipt *ret_receipt, struct fault *fault);
/* The same from a JSON object in any spelling; appends the canonical form, which is what was
 * signed. Nothing is appended on failure. The same errors and PLASM_NO_MEMORY. */
MUST_CHECK int receipt_from_json(const json_t *object, struct memory *memory,
                                 struct receipt *ret_receipt, struct buffer *out,
                                 struct fault *fault);

/* Appends the canonical summary {exit_code, job_id, module_hash, wall_time_ms}: the four keys of
 * the demo guide's manual check, signed a second time on request. PLASM_TOO_LARGE,
 * PLASM_NO_MEMORY. */
MUST_CHECK int receipt_summary_encode(const struct receipt *receipt, struct buffer *out);

#endif
