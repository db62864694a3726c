/* Counting and the text for Prometheus. */
#include "plasmd/metrics.h"

#include <stdlib.h>

#include "util/testing.h"

static char *text_of(const struct metrics *metrics) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    metrics_write(out, metrics);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void buckets_are_cumulative(void **state) {
    (void)state;
    static struct metrics metrics;
    memset(&metrics, 0, sizeof(metrics));
    histogram_add(&metrics.run_time, 0);
    histogram_add(&metrics.run_time, 500);
    histogram_add(&metrics.run_time, 501);
    histogram_add(&metrics.run_time, UINT64_C(3600) * 1000000);
    assert_int_equal(histogram_count(&metrics.run_time), 4);
    char *text = text_of(&metrics);
    assert_non_null(strstr(text, "plasmd_job_run_seconds_bucket{le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text, "plasmd_job_run_seconds_bucket{le=\"0.001\"} 3\n"));
    assert_non_null(strstr(text, "plasmd_job_run_seconds_bucket{le=\"120\"} 3\n"));
    assert_non_null(strstr(text, "plasmd_job_run_seconds_bucket{le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "plasmd_job_run_seconds_sum 3600.001001\n"));
    assert_non_null(strstr(text, "plasmd_job_run_seconds_count 4\n"));
    free(text);
}

static void the_newest_come_first(void **state) {
    (void)state;
    static struct metrics metrics;
    memset(&metrics, 0, sizeof(metrics));
    assert_null(metrics_recent(&metrics, 0));
    for (uint64_t i = 0; i < METRICS_RECENT_MAX + 5; i++) {
        metrics_job_ended(&metrics, &(struct ended_job){.status = JOB_STATUS_TRAP, .fuel = i});
    }
    for (size_t i = 0; i < METRICS_RECENT_MAX; i++) {
        assert_int_equal(metrics_recent(&metrics, i)->fuel, METRICS_RECENT_MAX + 4 - i);
    }
    assert_null(metrics_recent(&metrics, METRICS_RECENT_MAX));
    assert_int_equal(metrics.ended[JOB_STATUS_TRAP], METRICS_RECENT_MAX + 5);
    assert_int_equal(metrics.receipts_signed, METRICS_RECENT_MAX + 5);
}

static void end_at(struct metrics *metrics, int64_t minute) {
    metrics_job_ended(metrics, &(struct ended_job){.ended_ms = minute * 60000 + 1});
}

static void minutes_pass(void **state) {
    (void)state;
    static struct metrics metrics;
    memset(&metrics, 0, sizeof(metrics));
    const int64_t noon = 29000000;
    const int64_t noon_ms = noon * 60000;
    end_at(&metrics, noon - METRICS_MINUTES);
    end_at(&metrics, noon - 1);
    end_at(&metrics, noon);
    end_at(&metrics, noon);
    assert_int_equal(metrics_minute(&metrics, noon_ms, 0), 2);
    assert_int_equal(metrics_minute(&metrics, noon_ms, 1), 1);
    assert_int_equal(metrics_minute(&metrics, noon_ms, 2), 0);
    assert_int_equal(metrics_minute(&metrics, noon_ms, METRICS_MINUTES), 0);
    /* Later nothing more came. */
    assert_int_equal(metrics_minute(&metrics, noon_ms + 60000, 0), 0);
    assert_int_equal(metrics_minute(&metrics, noon_ms + 60000, 1), 2);
    /* The clock is set back. */
    end_at(&metrics, noon - 600);
    assert_int_equal(metrics_minute(&metrics, (noon - 600) * 60000, 0), 1);
    assert_int_equal(metrics_minute(&metrics, noon_ms, 0), 0);
}

static void refusals_have_reasons(void **state) {
    (void)state;
    static struct metrics metrics;
    memset(&metrics, 0, sizeof(metrics));
    metrics_rejected(&metrics, JOB_REJECTED_LIMIT, bytes_of_string("wall_ms"));
    metrics_rejected(&metrics, JOB_REJECTED_BUSY, bytes_of(NULL, 0));
    metrics_rejected(&metrics, (enum job_rejection)9999, bytes_of_string("\"} 1\nx"));
    metrics_compiled(&metrics, true, 20000);
    metrics_compiled(&metrics, false, 1);
    char *text = text_of(&metrics);
    assert_non_null(strstr(text, "plasmd_jobs_rejected_total{reason=\"limit\"} 1\n"));
    assert_non_null(strstr(text, "plasmd_jobs_rejected_total{reason=\"busy\"} 1\n"));
    assert_non_null(strstr(text, "plasmd_jobs_rejected_total{reason=\"unknown\"} 1\n"));
    assert_non_null(strstr(text, "plasmd_job_limits_exceeded_total{limit=\"wall_ms\"} 1\n"));
    assert_non_null(strstr(text, "plasmd_modules_compiled_total{outcome=\"failed\"} 1\n"));
    assert_non_null(strstr(text, "plasmd_module_compile_cpu_seconds_sum 0.020001\n"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_cumulative),
        cmocka_unit_test(the_newest_come_first),
        cmocka_unit_test(minutes_pass),
        cmocka_unit_test(refusals_have_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
