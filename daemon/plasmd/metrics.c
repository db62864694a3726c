/* Counting, and the text that Prometheus reads. */
#include "plasmd/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "util/ensure.h"

#define MINUTE_MS INT64_C(60000)

static const struct {
    uint64_t us;
    const char *text; /* in seconds */
} bounds[HISTOGRAM_BUCKETS] = {
    {500, "0.0005"}, {1000, "0.001"},  {5000, "0.005"},  {10000, "0.01"},
    {50000, "0.05"}, {100000, "0.1"},  {500000, "0.5"},  {1000000, "1"},
    {5000000, "5"},  {10000000, "10"}, {30000000, "30"}, {120000000, "120"},
};

static const char *const limit_names[ADMIT_LIMITS] = {
    "memory_bytes", "wall_ms", "output_bytes", "fuel", "module_bytes", "stdin_bytes"};

void histogram_add(struct histogram *histogram, uint64_t us) {
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS && us > bounds[bucket].us) {
        bucket++;
    }
    histogram->counts[bucket]++;
    histogram->sum_us += us;
}

uint64_t histogram_count(const struct histogram *histogram) {
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
    }
    return count;
}

/* Begins the minutes since the last job anew. A clock that was set back begins all of them. */
static void advance(struct metrics *metrics, int64_t minute) {
    int64_t passed = minute - metrics->minute;
    if (passed < 0 || passed >= METRICS_MINUTES) {
        memset(metrics->minutes, 0, sizeof(metrics->minutes));
    } else {
        for (int64_t i = 1; i <= passed; i++) {
            metrics->minutes[(metrics->minute + i) % METRICS_MINUTES] = 0;
        }
    }
    metrics->minute = minute;
}

void metrics_job_ended(struct metrics *metrics, const struct ended_job *job) {
    ENSURE(job->status < JOB_STATUS_COUNT);
    metrics->ended[job->status]++;
    metrics->receipts_signed++;
    metrics->output_bytes += job->output_bytes;
    metrics->recent[metrics->recent_next] = *job;
    metrics->recent_next = (metrics->recent_next + 1) % METRICS_RECENT_MAX;
    metrics->recent_count += metrics->recent_count < METRICS_RECENT_MAX ? 1 : 0;
    int64_t minute = job->ended_ms > 0 ? job->ended_ms / MINUTE_MS : 0;
    if (minute != metrics->minute) {
        advance(metrics, minute);
    }
    metrics->minutes[minute % METRICS_MINUTES]++;
}

const struct ended_job *metrics_recent(const struct metrics *metrics, size_t n) {
    if (n >= metrics->recent_count) {
        return NULL;
    }
    return &metrics
                ->recent[(metrics->recent_next + METRICS_RECENT_MAX - 1 - n) % METRICS_RECENT_MAX];
}

uint32_t metrics_minute(const struct metrics *metrics, int64_t unix_ms, size_t ago) {
    int64_t minute = unix_ms / MINUTE_MS - (int64_t)ago;
    bool known =
        minute >= 0 && minute <= metrics->minute && minute > metrics->minute - METRICS_MINUTES;
    return known ? metrics->minutes[minute % METRICS_MINUTES] : 0;
}

const char *metrics_limit_name(size_t n) {
    return n < ADMIT_LIMITS ? limit_names[n] : NULL;
}

void metrics_compiled(struct metrics *metrics, bool good, uint64_t cpu_us) {
    *(good ? &metrics->compiled : &metrics->compile_failed) += 1;
    histogram_add(&metrics->compile_time, cpu_us);
}

void metrics_rejected(struct metrics *metrics, enum job_rejection code, struct bytes limit) {
    metrics->rejected[(unsigned)code < METRICS_REJECTIONS ? (unsigned)code : 0]++;
    for (size_t i = 0; i < ADMIT_LIMITS && limit.size > 0; i++) {
        if (bytes_equal(limit, bytes_of_string(limit_names[i]))) {
            metrics->limit_asked[i]++;
        }
    }
}

void metrics_head(FILE *out, const char *name, const char *type, const char *help) {
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_value(FILE *out, const char *name, const char *label, const char *value,
                   uint64_t number) {
    if (label == NULL) {
        (void)fprintf(out, "%s %" PRIu64 "\n", name, number);
    } else {
        (void)fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, number);
    }
}

void metrics_single(FILE *out, const char *name, const char *type, const char *help,
                    uint64_t number) {
    metrics_head(out, name, type, help);
    metrics_value(out, name, NULL, NULL, number);
}

void metrics_histogram(FILE *out, const char *name, const char *help,
                       const struct histogram *histogram) {
    uint64_t count = 0;
    metrics_head(out, name, "histogram", help);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
        (void)fprintf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, bounds[i].text, count);
    }
    count += histogram->counts[HISTOGRAM_BUCKETS];
    (void)fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    (void)fprintf(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, histogram->sum_us / 1000000,
                  histogram->sum_us % 1000000);
    (void)fprintf(out, "%s_count %" PRIu64 "\n", name, count);
}

static void write_jobs(FILE *out, const struct metrics *metrics) {
    metrics_single(out, "plasmd_job_offers_total", "counter", "Job offers received.",
                   metrics->offers);
    metrics_single(out, "plasmd_jobs_accepted_total", "counter", "Jobs accepted.",
                   metrics->accepted);
    metrics_head(out, "plasmd_jobs_ended_total", "counter",
                 "Jobs that ended with a signed receipt, by its status.");
    for (size_t i = 0; i < JOB_STATUS_COUNT; i++) {
        metrics_value(out, "plasmd_jobs_ended_total", "status", job_status_name((enum job_status)i),
                      metrics->ended[i]);
    }
    metrics_head(out, "plasmd_jobs_rejected_total", "counter", "Job offers refused, by reason.");
    for (size_t i = 0; i < METRICS_REJECTIONS; i++) {
        metrics_value(out, "plasmd_jobs_rejected_total", "reason",
                      job_rejection_name((enum job_rejection)i), metrics->rejected[i]);
    }
    metrics_head(out, "plasmd_job_limits_exceeded_total", "counter",
                 "Job offers refused because they asked for more than a limit, by limit.");
    for (size_t i = 0; i < ADMIT_LIMITS; i++) {
        metrics_value(out, "plasmd_job_limits_exceeded_total", "limit", limit_names[i],
                      metrics->limit_asked[i]);
    }
    metrics_single(out, "plasmd_job_input_bytes_total", "counter",
                   "Bytes of modules and standard input of accepted jobs.", metrics->input_bytes);
    metrics_single(out, "plasmd_job_output_bytes_total", "counter",
                   "Bytes that ended jobs wrote to standard output and error.",
                   metrics->output_bytes);
    metrics_histogram(out, "plasmd_job_queue_seconds",
                      "Time from acceptance to the begin of a run.", &metrics->queue_wait);
    metrics_histogram(out, "plasmd_job_run_seconds", "Wall time of runs.", &metrics->run_time);
}

void metrics_write(FILE *out, const struct metrics *metrics) {
    write_jobs(out, metrics);
    metrics_single(out, "plasmd_receipts_signed_total", "counter", "Receipts signed.",
                   metrics->receipts_signed);
    metrics_single(out, "plasmd_receipts_failed_total", "counter",
                   "Jobs that ended without a receipt, by a failure of this worker.",
                   metrics->receipts_failed);
    metrics_histogram(out, "plasmd_receipt_sign_seconds",
                      "Time from the end of a job to its signature.", &metrics->sign_time);
    metrics_head(out, "plasmd_modules_compiled_total", "counter", "Modules compiled, by outcome.");
    metrics_value(out, "plasmd_modules_compiled_total", "outcome", "ok", metrics->compiled);
    metrics_value(out, "plasmd_modules_compiled_total", "outcome", "failed",
                  metrics->compile_failed);
    metrics_histogram(out, "plasmd_module_compile_cpu_seconds",
                      "Processor time that compiling a module took.", &metrics->compile_time);
    metrics_single(out, "plasmd_runner_stops_total", "counter",
                   "Times that the sandbox process plasm-run ended and was started again.",
                   metrics->runner_stops);
    metrics_single(out, "plasmd_peers_identified_total", "counter",
                   "Connections whose other side said who it is.", metrics->identified);
    metrics_head(out, "plasmd_dht_lookups_total", "counter",
                 "DHT lookups of this worker, by outcome.");
    metrics_value(out, "plasmd_dht_lookups_total", "outcome", "ok", metrics->lookups);
    metrics_value(out, "plasmd_dht_lookups_total", "outcome", "failed", metrics->lookups_failed);
    metrics_single(out, "plasmd_store_failures_total", "counter",
                   "Rows that could not be given to the store.", metrics->store_failures);
}
