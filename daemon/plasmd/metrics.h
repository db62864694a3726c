/* What plasmd counts: plain numbers that it adds to as things happen, and their form for
 * Prometheus. One thread, no locks; counting allocates nothing. */
#ifndef PLASMD_METRICS_H
#define PLASMD_METRICS_H

#include <stdio.h>

#include "identity/peer_id.h"
#include "plasmd/admission.h"
#include "receipt/receipt.h"
#include "util/time.h"

#define HISTOGRAM_BUCKETS 12
/* Jobs that ended last, for the status page. */
#define METRICS_RECENT_MAX 32
/* How far back the chart of ended jobs goes. */
#define METRICS_MINUTES 60
/* Reasons to refuse an offer: enum job_rejection counts from 1. */
#define METRICS_REJECTIONS (JOB_REJECTED_CANCELLED + 1)
#define METRICS_LOG_LEVELS 4

/* Times by how long they took; the last bucket is for all that took longer. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS + 1];
    uint64_t sum_us;
};

/* A job that is over. */
struct ended_job {
    char job_id[JOB_ID_SIZE];
    struct peer_id client;
    struct sha256_digest module_hash;
    enum job_status status;
    int64_t exit_code;
    uint64_t wall_us;
    uint64_t fuel;
    uint64_t output_bytes;
    int64_t ended_ms; /* Unix time */
};

struct metrics {
    uint64_t offers;
    uint64_t accepted;
    uint64_t ended[JOB_STATUS_COUNT];
    uint64_t rejected[METRICS_REJECTIONS];
    uint64_t limit_asked[ADMIT_LIMITS]; /* refused because of it, as in metrics_limit_name */
    uint64_t input_bytes;               /* modules and standard input of accepted jobs */
    uint64_t output_bytes;
    uint64_t receipts_signed;
    uint64_t receipts_failed;
    uint64_t compiled;
    uint64_t compile_failed;
    uint64_t runner_stops; /* plasm-run as a whole */
    uint64_t identified;
    uint64_t lookups;
    uint64_t lookups_failed;
    uint64_t store_failures;
    struct histogram queue_wait;
    struct histogram run_time;
    struct histogram compile_time; /* processor time */
    struct histogram sign_time;
    size_t recent_next;
    size_t recent_count;
    struct ended_job recent[METRICS_RECENT_MAX];
    int64_t minute; /* Unix time of the newest of `minutes` */
    uint32_t minutes[METRICS_MINUTES];
};

void histogram_add(struct histogram *histogram, uint64_t us);
uint64_t histogram_count(const struct histogram *histogram);

/* A receipt was signed. */
void metrics_job_ended(struct metrics *metrics, const struct ended_job *job);
/* The n-th of those that ended last, newest first; NULL beyond. */
const struct ended_job *metrics_recent(const struct metrics *metrics, size_t n);
/* Jobs that ended in the minute so many before the one of `unix_ms`. */
uint32_t metrics_minute(const struct metrics *metrics, int64_t unix_ms, size_t ago);
/* A module was compiled, or could not be, in so much processor time. */
void metrics_compiled(struct metrics *metrics, bool good, uint64_t cpu_us);
/* An offer was refused; `limit` is the manifest's name of what asked too much, or empty. */
void metrics_rejected(struct metrics *metrics, enum job_rejection code, struct bytes limit);
/* "memory_bytes" and so on; NULL beyond ADMIT_LIMITS. */
const char *metrics_limit_name(size_t n);

/* Prometheus' text format 0.0.4. Label values are literals of ours. */
void metrics_head(FILE *out, const char *name, const char *type, const char *help);
void metrics_value(FILE *out, const char *name, const char *label, const char *value,
                   uint64_t number);
/* The same with its head, of a metric without labels. */
void metrics_single(FILE *out, const char *name, const char *type, const char *help,
                    uint64_t number);
void metrics_histogram(FILE *out, const char *name, const char *help,
                       const struct histogram *histogram);
/* Everything that `metrics` holds. */
void metrics_write(FILE *out, const struct metrics *metrics);

#endif
