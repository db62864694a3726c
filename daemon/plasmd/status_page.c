/* The status page: HTML that is complete without a script. Strangers' texts go through html_write
 * and stand in <bdi>; the classes are those of page/status.css. */
#include "plasmd/status.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Of ids and hashes, what is shown; the whole stands in the title. */
#define SHORT_HEAD      6
#define SHORT_TAIL      6
#define PEERS_SHOWN_MAX 50

#define CHART_HEIGHT   40
#define CHART_BAR      8
#define CHART_BAR_STEP 10

static void write_bytes(FILE *out, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double shown = (double)bytes;
    while (shown >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        shown /= 1024;
        unit++;
    }
    (void)fprintf(out, unit > 0 && shown < 100 ? "%.1f %s" : "%.0f %s", shown, units[unit]);
}

static void write_duration(FILE *out, uint64_t us) {
    if (us < 1000) {
        (void)fprintf(out, "%" PRIu64 " µs", us);
    } else if (us < 1000000) {
        (void)fprintf(out, us < 100000 ? "%.1f ms" : "%.0f ms", (double)us / 1000);
    } else if (us < UINT64_C(60000000)) {
        (void)fprintf(out, "%.1f s", (double)us / 1000000);
    } else {
        uint64_t minutes = us / 60000000;
        if (minutes < 60) {
            (void)fprintf(out, "%" PRIu64 " min", minutes);
        } else if (minutes < 48 * 60) {
            (void)fprintf(out, "%" PRIu64 " h %" PRIu64 " min", minutes / 60, minutes % 60);
        } else {
            (void)fprintf(out, "%" PRIu64 " days", minutes / 1440);
        }
    }
}

/* "12D3Ko…a1b2c3", the whole on hovering; a prefix such as "sha256:" is left out. */
static void write_short(FILE *out, const char *text) {
    const char *colon = strchr(text, ':');
    const char *body = colon != NULL ? colon + 1 : text;
    size_t size = strlen(body);
    (void)fputs("<code title=\"", out);
    html_write(out, text);
    (void)fputs("\">", out);
    if (size > SHORT_HEAD + SHORT_TAIL + 1) {
        char head[SHORT_HEAD + 1] = "";
        memcpy(head, body, SHORT_HEAD);
        html_write(out, head);
        (void)fputs("…", out);
        html_write(out, body + size - SHORT_TAIL);
    } else {
        html_write(out, body);
    }
    (void)fputs("</code>", out);
}

static void write_time(FILE *out, int64_t unix_ms) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;
    char text[32] = "";
    char machine[32] = "";
    if (localtime_r(&seconds, &local) != NULL) {
        (void)strftime(text, sizeof(text), "%H:%M:%S", &local);
    }
    if (gmtime_r(&seconds, &local) != NULL) {
        (void)strftime(machine, sizeof(machine), "%Y-%m-%dT%H:%M:%SZ", &local);
    }
    (void)fprintf(out, "<time datetime=\"%s\">%s</time>", machine, text);
}

static void begin_card(FILE *out, const char *id, const char *title) {
    (void)fprintf(out,
                  "<section id=\"%s\" aria-labelledby=\"%s-title\"><h2 id=\"%s-title\">%s</h2>\n",
                  id, id, id, title);
}

static void end_card(FILE *out) {
    (void)fputs("</section>\n", out);
}

static void fact(FILE *out, const char *name, uint64_t number) {
    (void)fprintf(out, "<div><dt>%s</dt><dd>%" PRIu64 "</dd></div>\n", name, number);
}

static void fact_text(FILE *out, const char *name, const char *text) {
    (void)fprintf(out, "<div><dt>%s</dt><dd>", name);
    html_write(out, text);
    (void)fputs("</dd></div>\n", out);
}

static void fact_bytes(FILE *out, const char *name, uint64_t bytes) {
    (void)fprintf(out, "<div><dt>%s</dt><dd>", name);
    write_bytes(out, bytes);
    (void)fputs("</dd></div>\n", out);
}

static uint64_t jobs_ended(const struct metrics *metrics) {
    uint64_t sum = 0;
    for (size_t i = 0; i < JOB_STATUS_COUNT; i++) {
        sum += metrics->ended[i];
    }
    return sum;
}

/* A bar for each of the last 60 minutes, the newest on the right. */
static void write_chart(FILE *out, const struct status *status) {
    uint32_t counts[METRICS_MINUTES];
    uint32_t most = 1;
    uint64_t sum = 0;
    for (size_t i = 0; i < METRICS_MINUTES; i++) {
        counts[i] = metrics_minute(status->metrics, status->unix_ms, METRICS_MINUTES - 1 - i);
        most = counts[i] > most ? counts[i] : most;
        sum += counts[i];
    }
    (void)fprintf(out,
                  "<svg class=\"chart\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" "
                  "role=\"img\" aria-label=\"%" PRIu64 " jobs in the last hour\">",
                  METRICS_MINUTES * CHART_BAR_STEP, CHART_HEIGHT, sum);
    for (size_t i = 0; i < METRICS_MINUTES; i++) {
        unsigned height = (unsigned)((uint64_t)counts[i] * (CHART_HEIGHT - 2) / most);
        height = counts[i] > 0 && height < 3 ? 3 : height;
        unsigned shown = height > 0 ? height : 1;
        (void)fprintf(out, "<rect%s x=\"%zu\" y=\"%u\" width=\"%d\" height=\"%u\"/>",
                      height > 0 ? "" : " class=\"none\"", i * CHART_BAR_STEP, CHART_HEIGHT - shown,
                      CHART_BAR, shown);
    }
    (void)fprintf(out,
                  "</svg>\n<p class=\"note\">%" PRIu64
                  " job%s ended in the last hour, a bar a minute</p>\n",
                  sum, sum == 1 ? "" : "s");
}

static void write_jobs_now(FILE *out, const struct status *status) {
    begin_card(out, "now", "Jobs now");
    (void)fprintf(out,
                  "<p class=\"big\"><strong>%zu</strong> running <span class=\"of\">of %" PRIu64
                  "</span></p>\n<progress aria-label=\"Running jobs\" max=\"%" PRIu64
                  "\" value=\"%zu\"></progress>\n<dl class=\"facts\">\n",
                  status->running, status->config->jobs_running, status->config->jobs_running,
                  status->running);
    fact(out, "waiting", status->waiting);
    fact(out, "compiling", status->compiling);
    fact(out, "ended", jobs_ended(status->metrics));
    (void)fputs("</dl>\n", out);
    write_chart(out, status);
    end_card(out);
}

static void write_receipts(FILE *out, const struct status *status) {
    const struct metrics *metrics = status->metrics;
    begin_card(out, "receipts", "Receipts");
    (void)fprintf(out, "<p class=\"big\"><strong>%" PRIu64 "</strong> signed</p>\n",
                  metrics->receipts_signed);
    (void)fputs("<dl class=\"facts\">\n", out);
    for (size_t i = 0; i < JOB_STATUS_COUNT; i++) {
        if (metrics->ended[i] > 0) {
            fact(out, job_status_name((enum job_status)i), metrics->ended[i]);
        }
    }
    if (metrics->receipts_failed > 0) {
        fact(out, "without receipt", metrics->receipts_failed);
    }
    fact_bytes(out, "output", metrics->output_bytes);
    (void)fputs("</dl>\n", out);
    end_card(out);
}

static void write_reach(FILE *out, const struct status *status) {
    begin_card(out, "reach", "Reachability");
    (void)fputs("<p class=\"big\"><strong>", out);
    html_write(out, status->reachability);
    (void)fputs("</strong></p>\n<dl class=\"facts\">\n", out);
    fact_text(out, "NAT, UDP", status->nat_udp);
    fact_text(out, "NAT, TCP", status->nat_tcp);
    fact(out, "mapped ports", status->mapped_ports);
    fact(out, "relays held", status->relay.reservations_held);
    (void)fputs("</dl>\n", out);
    if (status->address_count > 0) {
        (void)fputs("<h3>Published addresses</h3>\n<ul class=\"plain\">\n", out);
        for (size_t i = 0; i < status->address_count; i++) {
            (void)fputs("<li><code>", out);
            html_write(out, status->addresses[i]);
            (void)fputs("</code></li>\n", out);
        }
        (void)fputs("</ul>\n", out);
    }
    end_card(out);
}

static void write_network(FILE *out, const struct status *status) {
    begin_card(out, "network", "Network and DHT");
    (void)fprintf(out, "<p class=\"big\"><strong>%zu</strong> in the routing table</p>\n",
                  status->kad.table_peers);
    (void)fputs("<dl class=\"facts\">\n", out);
    fact(out, "QUIC", status->quic_connections);
    fact(out, "TCP", status->tcp_connections);
    fact(out, "relayed", status->relay_connections);
    fact(out, "streams", status->streams);
    fact(out, "provider records", status->kad.provider_records);
    fact(out, "lookups", status->metrics->lookups + status->metrics->lookups_failed);
    fact_bytes(out, "received", status->quic.bytes_received + status->pipe.bytes_received);
    fact_bytes(out, "sent", status->quic.bytes_sent + status->pipe.bytes_sent);
    if (status->relay.reservations + status->relay.circuits_total > 0) {
        fact(out, "places for others", status->relay.reservations);
        fact(out, "circuits", status->relay.circuits);
    }
    (void)fputs("</dl>\n", out);
    end_card(out);
}

/* Those that were reached; false when none was. */
static bool write_hits(FILE *out, const struct status *status) {
    const struct metrics *metrics = status->metrics;
    const struct {
        const char *name;
        uint64_t count;
    } hits[] = {
        {"time of a job", metrics->ended[JOB_STATUS_TIMEOUT]},
        {"memory of a job", metrics->ended[JOB_STATUS_MEMORY]},
        {"output of a job", metrics->ended[JOB_STATUS_OUTPUT]},
        {"fuel of a job", metrics->ended[JOB_STATUS_FUEL]},
        {"offers: asked too much", metrics->rejected[JOB_REJECTED_LIMIT]},
        {"offers: too busy", metrics->rejected[JOB_REJECTED_BUSY]},
        {"connections refused", status->quic.refused},
        {"handshakes given up", status->quic.handshakes_evicted + status->pipe.handshakes_evicted},
        {"asked to prove an address", status->quic.retries_sent},
        {"relay requests refused", status->relay.refused},
    };
    bool any = false;
    for (size_t i = 0; i < ARRAY_SIZE(hits); i++) {
        if (hits[i].count > 0) {
            (void)fputs(any ? "" : "<dl class=\"facts\">\n", out);
            fact(out, hits[i].name, hits[i].count);
            any = true;
        }
    }
    (void)fputs(any ? "</dl>\n" : "", out);
    return any;
}

static void write_limits(FILE *out, const struct status *status) {
    begin_card(out, "limits", "Limits hit");
    if (!write_hits(out, status)) {
        (void)fputs("<p class=\"calm\">None since the start.</p>\n", out);
    }
    (void)fputs("<h3>Lent to one job</h3>\n<dl class=\"facts\">\n", out);
    fact_bytes(out, "memory", status->config->memory_bytes);
    (void)fputs("<div><dt>time</dt><dd>", out);
    write_duration(out, status->config->wall_ms * 1000);
    (void)fputs("</dd></div>\n", out);
    fact_bytes(out, "output", status->config->output_bytes);
    fact_bytes(out, "module", status->config->module_bytes);
    (void)fputs("</dl>\n", out);
    end_card(out);
}

static void write_walls(FILE *out, const struct status *status) {
    begin_card(out, "walls", "Sandbox");
    if (status->walls[0] == '\0') {
        (void)fputs("<p class=\"calm\">plasm-run is not ready.</p>\n", out);
    } else {
        (void)fputs("<p>", out);
        html_write(out, status->walls);
        (void)fputs("</p>\n", out);
    }
    (void)fputs("<dl class=\"facts\">\n", out);
    fact(out, "processes busy", status->runners.runners_busy);
    fact(out, "kept", status->runners.runners_idle);
    fact(out, "warm", status->runners.runners_warm);
    fact(out, "died", status->runners.deaths);
    fact_bytes(out, "memory held", status->memory_used);
    (void)fputs("</dl>\n", out);
    end_card(out);
}

static void begin_table(FILE *out, const char *caption, const char *const *columns, size_t count) {
    (void)fprintf(out, "<table><caption class=\"hidden\">%s</caption><thead><tr>", caption);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "<th scope=\"col\">%s</th>", columns[i]);
    }
    (void)fputs("</tr></thead><tbody>\n", out);
}

/* The column's name shows on a narrow screen, where rows are stacked. */
static void cell(FILE *out, const char *column) {
    (void)fprintf(out, "<td data-name=\"%s\">", column);
}

static void write_live(FILE *out, const struct status *status) {
    static const char *const columns[] = {"Job", "Client", "Module", "Phase", "Age"};
    begin_table(out, "Jobs that have not ended", columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < status->job_count; i++) {
        const struct status_job *job = &status->jobs[i];
        (void)fputs("<tr>", out);
        cell(out, "Job");
        write_short(out, job->job_id);
        (void)fputs("</td>", out);
        cell(out, "Client");
        write_short(out, job->client);
        (void)fputs("</td>", out);
        cell(out, "Module");
        write_short(out, job->module);
        (void)fputs("</td>", out);
        cell(out, "Phase");
        (void)fprintf(out, "<span class=\"pill\">%s</span></td>", job->phase);
        cell(out, "Age");
        write_duration(out, job->age_ms * 1000);
        (void)fputs("</td></tr>\n", out);
    }
    (void)fputs("</tbody></table>\n", out);
}

static const char *pill_of(enum job_status status) {
    switch (status) {
    case JOB_STATUS_OK:
        return "pill good";
    case JOB_STATUS_EXIT:
    case JOB_STATUS_CANCELLED:
        return "pill";
    default:
        return "pill bad";
    }
}

static void write_ended_row(FILE *out, const struct ended_job *job) {
    char client[PEER_ID_TEXT_MAX];
    char module[HASH_TEXT_SIZE];
    peer_id_format(&job->client, client);
    hash_format(&job->module_hash, module);
    (void)fputs("<tr>", out);
    cell(out, "Ended");
    write_time(out, job->ended_ms);
    (void)fputs("</td>", out);
    cell(out, "Job");
    write_short(out, job->job_id);
    (void)fputs("</td>", out);
    cell(out, "Client");
    write_short(out, client);
    (void)fputs("</td>", out);
    cell(out, "Module");
    write_short(out, module);
    (void)fputs("</td>", out);
    cell(out, "Status");
    (void)fprintf(out, "<span class=\"%s\">%s", pill_of(job->status), job_status_name(job->status));
    if (job->status == JOB_STATUS_EXIT) {
        (void)fprintf(out, " %" PRId64, job->exit_code);
    }
    (void)fputs("</span></td>", out);
    cell(out, "Time");
    write_duration(out, job->wall_us);
    (void)fputs("</td>", out);
    cell(out, "Output");
    write_bytes(out, job->output_bytes);
    (void)fputs("</td></tr>\n", out);
}

static void write_jobs(FILE *out, const struct status *status) {
    static const char *const columns[] = {"Ended",  "Job",  "Client", "Module",
                                          "Status", "Time", "Output"};
    begin_card(out, "jobs", "Jobs lately");
    if (status->job_count > 0) {
        write_live(out, status);
    }
    if (status->metrics->recent_count > 0) {
        begin_table(out, "Jobs that ended last", columns, ARRAY_SIZE(columns));
        const struct ended_job *job;
        for (size_t i = 0; (job = metrics_recent(status->metrics, i)) != NULL; i++) {
            write_ended_row(out, job);
        }
        (void)fputs("</tbody></table>\n", out);
    } else if (status->job_count == 0) {
        (void)fputs("<p class=\"calm\">No job has come yet.</p>\n", out);
    }
    end_card(out);
}

static void write_peers(FILE *out, const struct status *status) {
    static const char *const columns[] = {"Peer", "Runs", "Address", "Way"};
    begin_card(out, "peers", "Peers");
    size_t total = status->connections_inbound + status->connections_outbound;
    size_t shown = status->peer_count < PEERS_SHOWN_MAX ? status->peer_count : PEERS_SHOWN_MAX;
    if (shown == 0) {
        (void)fputs("<p class=\"calm\">Nobody is connected.</p>\n", out);
        end_card(out);
        return;
    }
    begin_table(out, "Connected peers", columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < shown; i++) {
        const struct status_peer *peer = &status->peers[i];
        (void)fputs("<tr>", out);
        cell(out, "Peer");
        write_short(out, peer->id);
        (void)fputs("</td>", out);
        cell(out, "Runs");
        (void)fputs("<bdi>", out);
        html_write(out, peer->agent[0] != '\0' ? peer->agent : "does not say");
        (void)fputs("</bdi></td>", out);
        cell(out, "Address");
        (void)fputs("<code>", out);
        html_write(out, peer->address);
        (void)fputs("</code></td>", out);
        cell(out, "Way");
        (void)fprintf(out, "%s, %s</td></tr>\n", peer->transport, peer->inbound ? "in" : "out");
    }
    (void)fputs("</tbody></table>\n", out);
    if (total > shown) {
        (void)fprintf(out, "<p class=\"note\">and %zu more</p>\n", total - shown);
    }
    end_card(out);
}

static void write_header(FILE *out, const struct status *status) {
    (void)fputs("<header><div><h1>Phase worker</h1><p class=\"id\"><code>", out);
    html_write(out, status->id);
    (void)fprintf(out, "</code></p></div><p class=\"state %s\"><span class=\"dot\"></span>%s</p>",
                  status->state, status->state);
    (void)fprintf(out, "<p class=\"note\">plasmd %s · %s · %s · up ", status->version, status->arch,
                  status->runtime);
    write_duration(out, status->uptime_s * 1000000);
    (void)fputs("</p></header>\n", out);
}

void status_write_page(FILE *out, const struct status *status) {
    (void)fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n"
                "<title>Phase worker</title>\n"
                "<link rel=\"icon\" href=\"data:,\">\n"
                "<link rel=\"stylesheet\" href=\"/status.css\">\n"
                "<script src=\"/status.js\" defer></script></head><body>\n<main id=\"status\">\n",
                out);
    write_header(out, status);
    (void)fputs("<div class=\"cards\">\n", out);
    write_jobs_now(out, status);
    write_receipts(out, status);
    write_network(out, status);
    write_reach(out, status);
    write_limits(out, status);
    write_walls(out, status);
    (void)fputs("</div>\n", out);
    write_jobs(out, status);
    write_peers(out, status);
    (void)fputs("</main>\n<footer><p>As of ", out);
    write_time(out, status->unix_ms);
    (void)fputs(
        ". <span id=\"news\" role=\"status\">Reload to see it anew.</span> "
        "<a href=\"/metrics\">Metrics</a> <a href=\"/api/v1/status\">JSON</a></p></footer>\n"
        "</body></html>\n",
        out);
}
