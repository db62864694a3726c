/* The API: docs/api.md says what each member is. Members are only ever added. */
#include "plasmd/status.h"

#include <inttypes.h>

/* A comma before every member but the first. */
struct json {
    FILE *out;
    bool begun;
};

static void key(struct json *json, const char *name) {
    (void)fprintf(json->out, "%s\"%s\":", json->begun ? "," : "", name);
    json->begun = true;
}

static void number(struct json *json, const char *name, uint64_t value) {
    key(json, name);
    (void)fprintf(json->out, "%" PRIu64, value);
}

static void flag(struct json *json, const char *name, bool value) {
    key(json, name);
    (void)fputs(value ? "true" : "false", json->out);
}

static void text(struct json *json, const char *name, const char *value) {
    key(json, name);
    (void)fputc('"', json->out);
    json_write(json->out, value);
    (void)fputc('"', json->out);
}

static void open_at(struct json *json, const char *name, char bracket) {
    key(json, name);
    (void)fputc(bracket, json->out);
    json->begun = false;
}

static void element(struct json *json) {
    (void)fputs(json->begun ? ",{" : "{", json->out);
    json->begun = false;
}

static void close_at(struct json *json, char bracket) {
    (void)fputc(bracket, json->out);
    json->begun = true;
}

static struct json begin(FILE *out) {
    (void)fputc('{', out);
    return (struct json){.out = out};
}

static void end(struct json *json) {
    (void)fputs("}\n", json->out);
}

static void write_totals(struct json *json, const struct status *status) {
    const struct metrics *metrics = status->metrics;
    open_at(json, "jobs", '{');
    number(json, "running", status->running);
    number(json, "queued", status->waiting);
    number(json, "compiling", status->compiling);
    number(json, "slots", status->config->jobs_running);
    number(json, "offers", metrics->offers);
    number(json, "accepted", metrics->accepted);
    open_at(json, "ended", '{');
    for (size_t i = 0; i < JOB_STATUS_COUNT; i++) {
        number(json, job_status_name((enum job_status)i), metrics->ended[i]);
    }
    close_at(json, '}');
    open_at(json, "rejected", '{');
    for (size_t i = 0; i < METRICS_REJECTIONS; i++) {
        number(json, job_rejection_name((enum job_rejection)i), metrics->rejected[i]);
    }
    close_at(json, '}');
    number(json, "receipts_signed", metrics->receipts_signed);
    number(json, "output_bytes", metrics->output_bytes);
    close_at(json, '}');
}

static void write_net(struct json *json, const struct status *status) {
    open_at(json, "network", '{');
    number(json, "connections", status->connections_inbound + status->connections_outbound);
    number(json, "connections_inbound", status->connections_inbound);
    number(json, "streams", status->streams);
    number(json, "received_bytes", status->quic.bytes_received + status->pipe.bytes_received);
    number(json, "sent_bytes", status->quic.bytes_sent + status->pipe.bytes_sent);
    text(json, "reachability", status->reachability);
    text(json, "nat_udp", status->nat_udp);
    text(json, "nat_tcp", status->nat_tcp);
    open_at(json, "addresses", '[');
    for (size_t i = 0; i < status->address_count; i++) {
        (void)fputs(i > 0 ? ",\"" : "\"", json->out);
        json_write(json->out, status->addresses[i]);
        (void)fputc('"', json->out);
    }
    close_at(json, ']');
    number(json, "refused", status->quic.refused);
    number(json, "relay_reservations_held", status->relay.reservations_held);
    number(json, "relay_reservations", status->relay.reservations);
    number(json, "relay_circuits", status->relay.circuits);
    close_at(json, '}');
    open_at(json, "dht", '{');
    number(json, "routing_table_peers", status->kad.table_peers);
    number(json, "provider_records", status->kad.provider_records);
    number(json, "lookups", status->metrics->lookups + status->metrics->lookups_failed);
    close_at(json, '}');
}

void status_write_json(FILE *out, const struct status *status) {
    struct json json = begin(out);
    text(&json, "state", status->state);
    text(&json, "version", status->version);
    text(&json, "peer_id", status->id);
    text(&json, "arch", status->arch);
    text(&json, "runtime", status->runtime);
    text(&json, "walls", status->walls);
    number(&json, "unix_ms", (uint64_t)status->unix_ms);
    number(&json, "uptime_s", status->uptime_s);
    write_totals(&json, status);
    write_net(&json, status);
    open_at(&json, "memory", '{');
    number(&json, "used_bytes", status->memory_used);
    number(&json, "max_bytes", status->memory_max);
    close_at(&json, '}');
    open_at(&json, "runners", '{');
    number(&json, "busy", status->runners.runners_busy);
    number(&json, "idle", status->runners.runners_idle);
    number(&json, "warm", status->runners.runners_warm);
    number(&json, "deaths", status->runners.deaths);
    number(&json, "stops", status->metrics->runner_stops);
    close_at(&json, '}');
    end(&json);
}

static void write_recent(struct json *json, const struct ended_job *job) {
    char client[PEER_ID_TEXT_MAX];
    char module[HASH_TEXT_SIZE];
    peer_id_format(&job->client, client);
    hash_format(&job->module_hash, module);
    element(json);
    text(json, "job_id", job->job_id);
    text(json, "client", client);
    text(json, "module_hash", module);
    text(json, "status", job_status_name(job->status));
    key(json, "exit_code");
    (void)fprintf(json->out, "%" PRId64, job->exit_code);
    number(json, "wall_us", job->wall_us);
    number(json, "fuel", job->fuel);
    number(json, "output_bytes", job->output_bytes);
    number(json, "ended_unix_ms", (uint64_t)job->ended_ms);
    close_at(json, '}');
}

void status_write_jobs(FILE *out, const struct status *status) {
    struct json json = begin(out);
    number(&json, "total", status->jobs_total);
    open_at(&json, "now", '[');
    for (size_t i = 0; i < status->job_count; i++) {
        const struct status_job *job = &status->jobs[i];
        element(&json);
        text(&json, "job_id", job->job_id);
        text(&json, "client", job->client);
        text(&json, "module_hash", job->module);
        text(&json, "phase", job->phase);
        number(&json, "age_ms", job->age_ms);
        number(&json, "queue_position", job->position);
        close_at(&json, '}');
    }
    close_at(&json, ']');
    open_at(&json, "recent", '[');
    const struct ended_job *job;
    for (size_t i = 0; (job = metrics_recent(status->metrics, i)) != NULL; i++) {
        write_recent(&json, job);
    }
    close_at(&json, ']');
    end(&json);
}

void status_write_peers(FILE *out, const struct status *status) {
    struct json json = begin(out);
    number(&json, "total", status->connections_inbound + status->connections_outbound);
    open_at(&json, "peers", '[');
    for (size_t i = 0; i < status->peer_count; i++) {
        const struct status_peer *peer = &status->peers[i];
        element(&json);
        text(&json, "peer_id", peer->id);
        text(&json, "agent", peer->agent);
        text(&json, "address", peer->address);
        text(&json, "transport", peer->transport);
        flag(&json, "inbound", peer->inbound);
        close_at(&json, '}');
    }
    close_at(&json, ']');
    end(&json);
}

void status_write_config(FILE *out, const struct status *status) {
    const struct config *config = status->config;
    struct json json = begin(out);
    open_at(&json, "node", '{');
    text(&json, "kad_protocol", config->kad_protocol);
    flag(&json, "ephemeral", config->ephemeral);
    flag(&json, "mdns", config->mdns);
    flag(&json, "port_mapping", config->port_mapping);
    flag(&json, "relay_service", config->relay_service);
    number(&json, "price", config->price);
    close_at(&json, '}');
    open_at(&json, "jobs", '{');
    number(&json, "running", config->jobs_running);
    number(&json, "queued", config->jobs_queued);
    number(&json, "queued_per_client", config->jobs_queued_per_client);
    number(&json, "queued_bytes", config->queued_bytes);
    text(&json, "isolation", config->isolation_per_job ? "job" : "client");
    close_at(&json, '}');
    open_at(&json, "limits", '{');
    number(&json, "memory_bytes", config->memory_bytes);
    number(&json, "wall_ms", config->wall_ms);
    number(&json, "output_bytes", config->output_bytes);
    number(&json, "module_bytes", config->module_bytes);
    number(&json, "stdin_bytes", config->stdin_bytes);
    number(&json, "fuel", config->fuel);
    close_at(&json, '}');
    open_at(&json, "network", '{');
    number(&json, "connections", config->connections);
    number(&json, "connections_per_ip", config->connections_per_ip);
    number(&json, "connections_per_peer", config->connections_per_peer);
    number(&json, "memory_bytes", config->network_memory_bytes);
    close_at(&json, '}');
    end(&json);
}
