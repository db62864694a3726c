/* One table says how each measure is called and counted. */
#include "report.h"

#include "util/compiler.h"

static const struct {
    const char *name; /* in JSON */
    const char *text;
    uint64_t unit;
    int decimals;
} measure_table[MEASURE_COUNT] = {
    [MEASURE_STORED] = {"stored", "servers that got it", 1, 0},
    [MEASURE_HOPS] = {"hops", "hops", 1, 0},
    [MEASURE_REQUESTS] = {"requests", "requests", 1, 0},
    [MEASURE_LOOKUP_FIRST] = {"lookup_first_ms", "ms to the provider", NANOS_MILLISECOND, 0},
    [MEASURE_LOOKUP_END] = {"lookup_end_ms", "ms to the end", NANOS_MILLISECOND, 0},
    [MEASURE_DISCOVERY_FIRST] = {"discovery_first_ms", "ms to a worker", NANOS_MILLISECOND, 0},
    [MEASURE_DISCOVERY_END] = {"discovery_end_ms", "ms to the end", NANOS_MILLISECOND, 0},
    [MEASURE_DISCOVERED] = {"discovered", "workers found", 1, 0},
    [MEASURE_TABLE_SIZE] = {"table_size", "peers in a table", 1, 0},
    [MEASURE_NODE_BYTES] = {"node_kib", "KiB a node", 1024, 1},
};

struct summary {
    double mean;
    double p50;
    double p90;
    double p99;
    double max;
};

static struct summary summarise(struct scenario_report *report, enum measure measure) {
    struct samples *samples = &report->measures[measure];
    double unit = (double)measure_table[measure].unit;
    return (struct summary){.mean = samples_mean(samples) / unit,
                            .p50 = (double)samples_percentile(samples, 50) / unit,
                            .p90 = (double)samples_percentile(samples, 90) / unit,
                            .p99 = (double)samples_percentile(samples, 99) / unit,
                            .max = (double)samples_percentile(samples, 100) / unit};
}

static double seconds(nanos time) {
    return (double)time / (double)NANOS_SECOND;
}

static double percent(const struct attempts *attempts) {
    return attempts->count > 0 ? 100.0 * (double)attempts->succeeded / (double)attempts->count : 0;
}

static double per_second(uint64_t count, nanos real) {
    return real > 0 ? (double)count / seconds(real) : 0;
}

static void text_measure(struct scenario_report *report, enum measure measure, FILE *out) {
    struct summary summary = summarise(report, measure);
    int decimals = measure_table[measure].decimals;
    fprintf(out, "  %-20s mean %.1f  p50 %.*f  p90 %.*f  p99 %.*f  max %.*f\n",
            measure_table[measure].text, summary.mean, decimals, summary.p50, decimals, summary.p90,
            decimals, summary.p99, decimals, summary.max);
}

static void text_attempts(const char *what, const struct attempts *attempts, FILE *out) {
    fprintf(out, "%s: %zu of %zu (%.2f %%)\n", what, attempts->succeeded, attempts->count,
            percent(attempts));
}

void report_text(struct scenario_report *report, const struct scenario_options *options,
                 FILE *out) {
    nanos real = report->real_ended - report->real_begun;
    nanos steady = report->real_ended - report->real_steady_begun;
    const struct network_counts *counts = &report->counts;
    fprintf(out,
            "seed %llu: %zu nodes over %s, %zu of them workers, loss %.2f %%, %u %% NATed\n"
            "%zu died without a word; %zu workers are left, %zu clients came\n",
            (unsigned long long)options->seed, report->nodes,
            options->quic ? "QUIC" : "simulated links", report->workers,
            (double)options->loss_ppm / 10000, options->nat_percent, report->died,
            report->workers_alive, report->clients);
    text_attempts("announced", &report->provides, out);
    text_measure(report, MEASURE_STORED, out);
    if (report->came > 0 || options->parted_percent > 0) {
        fprintf(out, "churn: %zu went and as many came; %u %% were cut off for %.0f s\n",
                report->came, options->parted_percent,
                options->parted_percent > 0 ? seconds(options->parted) : 0);
    }
    text_attempts("found a provider", &report->lookups, out);
    if (report->parted_lookups.count > 0) {
        text_attempts("  within a part of the network", &report->parted_lookups, out);
        text_attempts("  from part to part afterwards", &report->healed_lookups, out);
    }
    if (report->sybils > 0) {
        fprintf(out, "%zu sybils in %u networks are nearest to one key; ", report->sybils,
                options->sybil_networks);
        text_attempts("its provider was found", &report->eclipsed, out);
    }
    text_measure(report, MEASURE_HOPS, out);
    text_measure(report, MEASURE_REQUESTS, out);
    text_measure(report, MEASURE_LOOKUP_FIRST, out);
    text_measure(report, MEASURE_LOOKUP_END, out);
    text_attempts("new clients that found a worker", &report->discoveries, out);
    text_measure(report, MEASURE_DISCOVERED, out);
    text_measure(report, MEASURE_DISCOVERY_FIRST, out);
    text_measure(report, MEASURE_DISCOVERY_END, out);
    fprintf(out, "network: %llu dials, %llu failed; %llu datagrams, %llu lost; %.1f MB\n",
            (unsigned long long)counts->dials, (unsigned long long)counts->dials_failed,
            (unsigned long long)counts->datagrams, (unsigned long long)counts->datagrams_lost,
            (double)counts->bytes / 1e6);
    text_measure(report, MEASURE_TABLE_SIZE, out);
    text_measure(report, MEASURE_NODE_BYTES, out);
    fprintf(out, "  simulator's own      %.1f KiB a node\n",
            (double)report->simulator_bytes / 1024 / (double)report->nodes);
    fprintf(out,
            "%.1f s of virtual time in %.2f s of processor time (%.1f times real time), %.0f "
            "events/s\n",
            seconds(report->elapsed), seconds(real), per_second(report->elapsed, real) / 1e9,
            per_second(report->steps, real));
    fprintf(
        out, "of it when all had joined: %.1f s in %.2f s (%.1f times real time), %.0f events/s\n",
        seconds(report->steady_elapsed), seconds(steady),
        per_second(report->steady_elapsed, steady) / 1e9, per_second(report->steady_steps, steady));
    char hex[2 * SHA256_SIZE + 1];
    bytes_to_hex(bytes_of(report->trace.bytes, SHA256_SIZE), hex, sizeof(hex));
    fprintf(out, "trace: %llu lines, sha256 %s\n", (unsigned long long)report->trace_lines, hex);
    fprintf(out, "success: %.2f %%\n", scenario_success_percent(report));
}

static void json_attempts(const char *name, const struct attempts *attempts, FILE *out) {
    fprintf(out, "\"%s\": {\"count\": %zu, \"succeeded\": %zu}, ", name, attempts->count,
            attempts->succeeded);
}

static void json_options(const struct scenario_options *options, FILE *out) {
    fprintf(out,
            "\"seed\": %llu, \"transport\": \"%s\", \"loss_ppm\": %u, \"dead_percent\": %u, "
            "\"nat_percent\": %u, \"settle_s\": %.0f, \"steady_s\": %.0f, \"churn_percent\": %u, "
            "\"parted_percent\": %u, \"parted_s\": %.0f, \"sybil_percent\": %u, "
            "\"sybil_networks\": %u, ",
            (unsigned long long)options->seed, options->quic ? "quic" : "links", options->loss_ppm,
            options->dead_percent, options->nat_percent, seconds(options->settle),
            seconds(options->steady), options->churn_percent, options->parted_percent,
            seconds(options->parted), options->sybil_percent, options->sybil_networks);
}

static void json_network(const struct network_counts *counts, FILE *out) {
    fprintf(out,
            "\"dials\": %llu, \"dials_failed\": %llu, \"datagrams\": %llu, "
            "\"datagrams_lost\": %llu, \"bytes\": %llu, ",
            (unsigned long long)counts->dials, (unsigned long long)counts->dials_failed,
            (unsigned long long)counts->datagrams, (unsigned long long)counts->datagrams_lost,
            (unsigned long long)counts->bytes);
}

void report_json(struct scenario_report *report, const struct scenario_options *options,
                 FILE *out) {
    nanos real = report->real_ended - report->real_begun;
    nanos steady = report->real_ended - report->real_steady_begun;
    fprintf(out, "{");
    json_options(options, out);
    fprintf(out,
            "\"nodes\": %zu, \"workers\": %zu, \"died\": %zu, \"workers_alive\": %zu, "
            "\"clients\": %zu, ",
            report->nodes, report->workers, report->died, report->workers_alive, report->clients);
    json_attempts("provides", &report->provides, out);
    json_attempts("lookups", &report->lookups, out);
    json_attempts("eclipsed", &report->eclipsed, out);
    json_attempts("parted_lookups", &report->parted_lookups, out);
    json_attempts("healed_lookups", &report->healed_lookups, out);
    json_attempts("discoveries", &report->discoveries, out);
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        struct summary summary = summarise(report, (enum measure)i);
        fprintf(out,
                "\"%s\": {\"count\": %zu, \"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, "
                "\"p99\": %.3f, \"max\": %.3f}, ",
                measure_table[i].name, report->measures[i].count, summary.mean, summary.p50,
                summary.p90, summary.p99, summary.max);
    }
    json_network(&report->counts, out);
    char hex[2 * SHA256_SIZE + 1];
    bytes_to_hex(bytes_of(report->trace.bytes, SHA256_SIZE), hex, sizeof(hex));
    fprintf(out,
            "\"simulator_bytes\": %zu, \"virtual_s\": %.3f, \"real_s\": %.3f, \"events\": %llu, "
            "\"events_per_s\": %.0f, \"came\": %zu, \"steady_virtual_s\": %.3f, "
            "\"steady_real_s\": %.3f, \"steady_events\": %llu, \"trace_lines\": %llu, "
            "\"trace_sha256\": \"%s\", "
            "\"success_percent\": %.3f}\n",
            report->simulator_bytes, seconds(report->elapsed), seconds(real),
            (unsigned long long)report->steps, per_second(report->steps, real), report->came,
            seconds(report->steady_elapsed), seconds(steady),
            (unsigned long long)report->steady_steps, (unsigned long long)report->trace_lines, hex,
            scenario_success_percent(report));
}
