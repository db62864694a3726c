/* The worker's numbers for Prometheus. */
#include "plasmd/status.h"

static void write_network(FILE *out, const struct status *status) {
    static const char *const connections = "plasmd_connections";
    metrics_head(out, connections, "gauge", "Open connections, by transport.");
    metrics_value(out, connections, "transport", "quic", status->quic_connections);
    metrics_value(out, connections, "transport", "tcp", status->tcp_connections);
    metrics_value(out, connections, "transport", "relay", status->relay_connections);
    metrics_single(out, "plasmd_connections_inbound", "gauge",
                   "Open connections that others began.", status->connections_inbound);
    metrics_single(out, "plasmd_streams", "gauge", "Open streams.", status->streams);
    static const char *const received = "plasmd_network_received_bytes_total";
    metrics_head(out, received, "counter", "Bytes received from the network, by transport.");
    metrics_value(out, received, "transport", "quic", status->quic.bytes_received);
    metrics_value(out, received, "transport", "tcp", status->pipe.bytes_received);
    static const char *const sent = "plasmd_network_sent_bytes_total";
    metrics_head(out, sent, "counter", "Bytes sent to the network, by transport.");
    metrics_value(out, sent, "transport", "quic", status->quic.bytes_sent);
    metrics_value(out, sent, "transport", "tcp", status->pipe.bytes_sent);
    static const char *const failed = "plasmd_handshakes_failed_total";
    metrics_head(out, failed, "counter", "Handshakes of others that failed, by transport.");
    metrics_value(out, failed, "transport", "quic", status->quic.handshakes_failed);
    metrics_value(out, failed, "transport", "tcp", status->pipe.handshakes_failed);
    static const char *const limits = "plasmd_network_limit_hits_total";
    metrics_head(out, limits, "counter", "Times that a bound on strangers was reached, by bound.");
    metrics_value(out, limits, "limit", "connections", status->quic.refused);
    metrics_value(out, limits, "limit", "retry", status->quic.retries_sent);
    metrics_value(out, limits, "limit", "quic_handshakes", status->quic.handshakes_evicted);
    metrics_value(out, limits, "limit", "tcp_handshakes", status->pipe.handshakes_evicted);
    metrics_value(out, limits, "limit", "relay", status->relay.refused);
}

static void write_dht(FILE *out, const struct status *status) {
    metrics_single(out, "plasmd_dht_routing_table_peers", "gauge", "Servers in the routing table.",
                   status->kad.table_peers);
    metrics_single(out, "plasmd_dht_provider_records", "gauge", "Provider records kept for others.",
                   status->kad.provider_records);
    metrics_single(out, "plasmd_dht_provided_keys", "gauge",
                   "Keys that this worker announces itself under.", status->kad.provided_keys);
    metrics_single(out, "plasmd_relay_reservations_held", "gauge",
                   "Places kept for this worker on relays.", status->relay.reservations_held);
    metrics_single(out, "plasmd_relay_reservations", "gauge",
                   "Places that this worker keeps for others as a relay.",
                   status->relay.reservations);
    metrics_single(out, "plasmd_relay_circuits", "gauge",
                   "Relayed connections through this worker.", status->relay.circuits);
    metrics_single(out, "plasmd_relay_circuits_total", "counter",
                   "Connections that this worker has relayed.", status->relay.circuits_total);
    metrics_single(out, "plasmd_relay_bytes_total", "counter", "Bytes that it has relayed.",
                   status->relay.bytes_relayed);
}

static void write_process(FILE *out, const struct status *status) {
    static const char *const levels[METRICS_LOG_LEVELS] = {"error", "warning", "info", "debug"};
    metrics_head(out, "plasmd_build_info", "gauge", "Always 1; the version is in its label.");
    metrics_value(out, "plasmd_build_info", "version", status->version, 1);
    metrics_single(out, "plasmd_uptime_seconds", "gauge", "Time since the start.",
                   status->uptime_s);
    metrics_single(out, "plasmd_ready", "gauge", "1 while jobs can be run.",
                   status->ready && !status->draining ? 1 : 0);
    metrics_single(out, "plasmd_draining", "gauge", "1 while the worker stops.",
                   status->draining ? 1 : 0);
    metrics_head(out, "plasmd_memory_bytes", "gauge", "Memory in use, by budget.");
    metrics_value(out, "plasmd_memory_bytes", "budget", "peers_and_jobs", status->memory_used);
    metrics_value(out, "plasmd_memory_bytes", "budget", "quic", status->quic.state_bytes);
    metrics_value(out, "plasmd_memory_bytes", "budget", "queued_jobs", status->held_bytes);
    metrics_head(out, "plasmd_runner_processes", "gauge", "Sandbox processes, by what they do.");
    metrics_value(out, "plasmd_runner_processes", "state", "busy", status->runners.runners_busy);
    metrics_value(out, "plasmd_runner_processes", "state", "idle", status->runners.runners_idle);
    metrics_value(out, "plasmd_runner_processes", "state", "warm", status->runners.runners_warm);
    metrics_value(out, "plasmd_runner_processes", "state", "compiling", status->runners.compiles);
    metrics_single(out, "plasmd_runner_forks_total", "counter", "Sandbox processes started.",
                   status->runners.forks);
    metrics_single(out, "plasmd_runner_deaths_total", "counter",
                   "Sandbox processes that ended otherwise than asked.", status->runners.deaths);
    metrics_head(out, "plasmd_log_lines_total", "counter", "Lines written to the log, by level.");
    for (size_t i = 0; i < METRICS_LOG_LEVELS; i++) {
        metrics_value(out, "plasmd_log_lines_total", "level", levels[i], status->log_lines[i]);
    }
}

void status_write_metrics(FILE *out, const struct status *status) {
    metrics_single(out, "plasmd_jobs_running", "gauge", "Jobs that run.", status->running);
    metrics_single(out, "plasmd_jobs_queued", "gauge", "Jobs that wait for a runner.",
                   status->waiting);
    metrics_single(out, "plasmd_jobs_compiling", "gauge",
                   "Jobs whose module is being compiled or waits for that.", status->compiling);
    metrics_single(out, "plasmd_job_slots", "gauge", "Jobs that may run at the same time.",
                   status->config->jobs_running);
    metrics_write(out, status->metrics);
    write_network(out, status);
    write_dht(out, status);
    write_process(out, status);
}
