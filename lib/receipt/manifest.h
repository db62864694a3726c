/* The manifest of a job, `phase.job/1`: what a client asks for, in the one form that is hashed.
 *
 * Spec: docs/spec/job.md, "The manifest". */
#ifndef RECEIPT_MANIFEST_H
#define RECEIPT_MANIFEST_H

#include "wire/json.h"

#include "receipt/fault.h"
#include "receipt/text.h"
#include "util/buffer.h"
#include "util/memory.h"

/* Bounds. */
#define MANIFEST_SIZE_MAX (48 * 1024) /* canonical JSON, bytes */
#define MANIFEST_ARGS_MAX 1024
#define MANIFEST_ENV_MAX  1024
#define MANIFEST_PREV_MAX 16
#define MANIFEST_AHEAD_S  3600 /* `expires` at most so far ahead ... */
#define MANIFEST_SKEW_S   300  /* ... give or take the clocks */
#define FETCH_SECRET_SIZE 32

#define MANIFEST_TYPE "phase.job/1"

enum job_profile { PROFILE_WASIP1, PROFILE_DETERMINISTIC_1 };

/* "wasip1", "deterministic/1". */
const char *job_profile_name(enum job_profile profile);
/* PLASM_UNSUPPORTED for any other text. */
MUST_CHECK int job_profile_parse(struct bytes text, enum job_profile *ret_profile);

/* What a job may use. `fuel` 0 is "not metered" and only `wasip1` may ask for it. `output_bytes`
 * bounds standard output and standard error together. */
struct job_limits {
    uint64_t fuel;
    uint64_t memory_bytes;
    uint64_t wall_ms;
    uint64_t output_bytes;
};

/* All integers are at most JSON_INTEGER_MAX. Made by hand for encoding (lists and strings are then
 * borrowed from the caller) or by manifest_decode (they are then in `storage`). */
struct manifest {
    char job_id[JOB_ID_SIZE];
    struct sha256_digest module_hash;
    uint64_t module_size;
    const struct bytes *args; /* UTF-8 without NUL */
    size_t arg_count;
    const struct bytes *env; /* "K=V", UTF-8 without NUL, K not empty */
    size_t env_count;
    struct sha256_digest stdin_hash;
    struct job_limits limits;
    enum job_profile profile;
    char arch[ARCH_SIZE];       /* "" any */
    char runtime[RUNTIME_SIZE]; /* "" any */
    char client_nonce[CLIENT_NONCE_SIZE];
    bool fetchable; /* has a fetch_hash */
    struct sha256_digest fetch_hash;
    int64_t expires_s;                            /* Unix time */
    struct sha256_digest prev[MANIFEST_PREV_MAX]; /* receipt hashes of earlier steps */
    size_t prev_count;

    struct memory *memory; /* NULL: borrowed */
    void *storage;
    size_t storage_size;
};

/* Checks every rule but time. PLASM_INVALID, PLASM_TOO_LARGE. */
MUST_CHECK int manifest_validate(const struct manifest *manifest, struct fault *fault);
/* Validates and appends the canonical JSON. Errors of manifest_validate; PLASM_TOO_LARGE over
 * MANIFEST_SIZE_MAX; PLASM_NO_MEMORY. */
MUST_CHECK int manifest_encode(const struct manifest *manifest, struct buffer *out,
                               struct fault *fault);
/* Reads and validates the canonical JSON of an offer: any other spelling of the same manifest is
 * refused, so the hash of `json` is the manifest's hash. Strings are copied; free with
 * manifest_done. PLASM_MALFORMED, PLASM_TOO_LARGE, PLASM_UNSUPPORTED (another type or profile),
 * PLASM_NO_MEMORY. */
MUST_CHECK int manifest_decode(struct bytes json, struct memory *memory,
                               struct manifest *ret_manifest, struct fault *fault);
/* The same from a JSON object, in any spelling (a receipt file's). */
MUST_CHECK int manifest_from_json(const json_t *object, struct memory *memory,
                                  struct manifest *ret_manifest, struct fault *fault);
/* Frees what decoding allocated; does nothing to a borrowed or zeroed manifest. */
void manifest_done(struct manifest *manifest);

/* PLASM_EXPIRED when `expires` is past, PLASM_INVALID when it is too far ahead, both with the
 * allowance for clocks. A job that is known already is answered whatever this says. */
MUST_CHECK int manifest_check_time(const struct manifest *manifest, int64_t now_unix_s,
                                   struct fault *fault);

/* What the worker allows. `fuel` 0 is no bound; the others are bounds. */
struct worker_limits {
    struct job_limits job;
    uint64_t module_bytes;
    uint64_t stdin_bytes;
};

/* The limits the job runs under. `wasip1` is clamped to the worker's; `deterministic/1` is refused
 * where it asks for more, and both are where the module is too large: PLASM_TOO_LARGE, with the
 * limit's name in fault->field ("memory_bytes", "module_bytes", ...). */
MUST_CHECK int manifest_fit(const struct manifest *manifest, const struct worker_limits *worker,
                            struct job_limits *ret_effective, struct fault *fault);
/* PLASM_UNSUPPORTED when the manifest asks for another architecture or runtime. */
MUST_CHECK int manifest_fit_node(const struct manifest *manifest, const char *arch,
                                 const char *runtime, struct fault *fault);

/* The hash of the question that `result_hash` answers: canonical {args, env, input_hash,
 * limits{fuel, memory_bytes, output_bytes}, module_hash, profile, type: "phase.question/1"}. The
 * random numbers of `deterministic/1` are seeded with it. PLASM_NO_MEMORY. */
MUST_CHECK int manifest_question_hash(const struct manifest *manifest, struct memory *memory,
                                      struct sha256_digest *ret_hash);

#endif
