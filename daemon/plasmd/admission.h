/* Which offers this worker takes, under which limits, and why not: the one place where that is
 * decided, for an offer that is to run as for one that only asks. No I/O, no clock.
 *
 * An operator's rule is one more row in the table of checks in admission.c, and one more member of
 * the structs here where it has to know more. */
#ifndef PLASMD_ADMISSION_H
#define PLASMD_ADMISSION_H

#include "proto/job/frames.h"

/* memory_bytes, wall_ms, output_bytes, fuel, module_bytes, stdin_bytes. */
#define ADMIT_LIMITS 6
/* How long a client waits before it asks a busy worker again. */
#define ADMIT_RETRY_MS 1000

/* What the worker is and allows. */
struct admit_node {
    const char *arch;
    const char *runtime;
    struct worker_limits limits;
    uint64_t jobs_max;            /* running and waiting */
    uint64_t jobs_per_client_max; /* of one peer, and of one IP prefix */
};

/* What it has to do now. */
struct admit_load {
    bool draining;
    const char *pause; /* why the operator lends nothing now; NULL: he does */
    bool sandbox_ready;
    bool signer_away; /* for so long that jobs should go elsewhere */
    uint64_t jobs;
    uint64_t client_jobs;
    uint64_t share_jobs; /* of the client's IP prefix */
    uint64_t bytes_left; /* that modules and inputs of this client's IP prefix may still hold */
};

struct admit_offer {
    const struct manifest *manifest;
    uint64_t stdin_size;
    int64_t now_unix_s;
    bool module_denied; /* by the operator */
};

enum admit_verdict {
    ADMIT_RUN,
    ADMIT_CLAMP, /* run under lower limits than asked */
    ADMIT_REJECT,
};

/* A limit that is asked to be higher than allowed; of fuel 0 is no limit at all. */
struct admit_limit {
    const char *name; /* as in the manifest: "memory_bytes" */
    uint64_t asked;
    uint64_t allowed;
};

struct admit_answer {
    enum admit_verdict verdict;
    struct job_limits effective; /* RUN, CLAMP: what the job runs under */
    /* Those that are lowered (CLAMP), or that are the reason (REJECT). */
    size_t limit_count;
    struct admit_limit limits[ADMIT_LIMITS];
    /* REJECT: the code of the first reason, and all reasons that were looked for. */
    enum job_rejection code;
    char text[JOB_TEXT_SIZE_MAX];
    uint64_t retry_after_ms;
};

/* Decides. `all_reasons`: a no names every reason, else the first. */
void admit(const struct admit_node *node, const struct admit_load *load,
           const struct admit_offer *offer, bool all_reasons, struct admit_answer *ret_answer);

#endif
