/* Gathering what is shown from a worker, and serving it. */
#include "plasmd/status_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer/reachability.h"
#include "plasmd/http.h"
#include "plasmd/job.h"
#include "plasmd/page.h"
#include "plasmd/status.h"
#include "proto/identify/identify.h"

static const char *phase_name(const struct job *job) {
    static const char *const names[] = {[JOB_COMPILING] = "compiling",
                                        [JOB_WAITING] = "queued",
                                        [JOB_RUNNING] = "running",
                                        [JOB_ENDED] = "signing"};
    return names[job->phase];
}

static void gather_jobs(struct worker *worker, struct status *status, nanos now) {
    for (struct map_node *node = map_next(&worker->jobs, NULL);
         node != NULL && status->job_count < STATUS_JOBS_MAX;
         node = map_next(&worker->jobs, node)) {
        const struct job *job = CONTAINER_OF(node, struct job, node);
        const struct manifest *manifest = &job->owner->machine.manifest;
        struct status_job *shown = &status->jobs[status->job_count++];
        memcpy(shown->job_id, manifest->job_id, sizeof(shown->job_id));
        peer_id_format(&job->owner->client, shown->client);
        hash_format(&manifest->module_hash, shown->module);
        shown->phase = phase_name(job);
        shown->age_ms = nanos_since(now, job->accepted_at) / NANOS_MILLISECOND;
        shown->position = job->phase == JOB_WAITING ? job->told_position : 0;
    }
}

static void gather_agent(const struct peer_connection *connection, struct status_peer *shown) {
    struct identify message;
    memset(&message, 0, sizeof(message));
    if (identify_merge(peer_connection_identify(connection), &message) == 0) {
        status_printable(message.agent, shown->agent, sizeof(shown->agent));
    }
}

static const char *count_transport(const struct peer_connection *connection,
                                   struct status *status) {
    const struct multiaddr *remote = peer_connection_remote(connection);
    char text[MULTIADDR_TEXT_MAX];
    if (peer_connection_relayed(connection)) {
        status->relay_connections++;
        return "relay";
    }
    if (multiaddr_format(remote, text, sizeof(text)) == 0 && strstr(text, "/tcp/") != NULL) {
        status->tcp_connections++;
        return "tcp";
    }
    status->quic_connections++;
    return "quic";
}

static void gather_peers(const struct peer *peer, struct status *status) {
    struct peer_connection *connection = peer_connection_next(peer, NULL);
    for (; connection != NULL; connection = peer_connection_next(peer, connection)) {
        const char *transport = count_transport(connection, status);
        bool inbound = peer_connection_inbound(connection);
        *(inbound ? &status->connections_inbound : &status->connections_outbound) += 1;
        if (status->peer_count == STATUS_PEERS_MAX) {
            continue;
        }
        struct status_peer *shown = &status->peers[status->peer_count++];
        peer_id_format(peer_connection_id(connection), shown->id);
        gather_agent(connection, shown);
        if (multiaddr_format(peer_connection_remote(connection), shown->address,
                             sizeof(shown->address)) != 0) {
            shown->address[0] = '\0';
        }
        shown->transport = transport;
        shown->inbound = inbound;
    }
}

static void gather_network(const struct worker *worker, struct status *status) {
    const struct peer *peer = host_peer(worker->host);
    status->reachability = reachability_name(peer_reachability(peer));
    status->nat_udp = nat_type_name(peer_nat_type(peer, false));
    status->nat_tcp = nat_type_name(peer_nat_type(peer, true));
    status->mapped_ports = worker->mapped_count;
    status->streams = peer_stream_count(peer);
    host_quic_stats(worker->host, &status->quic);
    host_pipe_stats(worker->host, &status->pipe);
    peer_relay_stats(peer, &status->relay);
    peer_kad_counts(peer, &status->kad);
    gather_peers(peer, status);
    for (size_t i = 0; i < worker->address_count; i++) {
        char *text = status->addresses[status->address_count];
        if (multiaddr_format(&worker->addresses[i], text, MULTIADDR_TEXT_MAX) == 0) {
            status->address_count++;
        }
    }
}

static void gather(struct worker *worker, struct status *status) {
    nanos now = host_now();
    status->metrics = &worker->metrics;
    status->config = worker->config;
    status->unix_ms = host_unix_ms();
    status->uptime_s = nanos_since(now, worker->started_at) / NANOS_SECOND;
    status->version = WORKER_VERSION;
    snprintf(status->id, sizeof(status->id), "%s", worker->id_text);
    snprintf(status->arch, sizeof(status->arch), "%s", worker->arch);
    snprintf(status->runtime, sizeof(status->runtime), "%s", RUNNER_RUNTIME);
    snprintf(status->walls, sizeof(status->walls), "%s", worker->walls);
    status->ready = worker->runner_ready;
    status->draining = worker->stopping;
    status->state = worker->stopping ? "draining" : worker->runner_ready ? "ready" : "starting";
    status->running = worker->running;
    status->waiting = worker->turns.waiting;
    status->compiling = worker->compiling.size;
    status->jobs_total = worker->job_count;
    status->held_bytes = worker->held.bytes;
    status->memory_used = worker->memory.used;
    status->memory_max = worker->memory.bytes_max;
    status->runners = runner_client_counts(worker->runner);
    for (size_t i = 0; i < METRICS_LOG_LEVELS; i++) {
        status->log_lines[i] = daemon_log_lines((enum log_level)i);
    }
    gather_network(worker, status);
    gather_jobs(worker, status, now);
}

static void (*const writers[HTTP_PAGES])(FILE *out, const struct status *status) = {
    [HTTP_PAGE_STATUS] = status_write_page,     [HTTP_PAGE_METRICS] = status_write_metrics,
    [HTTP_PAGE_API_STATUS] = status_write_json, [HTTP_PAGE_API_JOBS] = status_write_jobs,
    [HTTP_PAGE_API_PEERS] = status_write_peers, [HTTP_PAGE_API_CONFIG] = status_write_config,
};

static char *produce(void *context, enum http_page page, size_t *ret_size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_size);
    struct status *status = calloc(1, sizeof(*status));
    if (out != NULL && status != NULL) {
        if (page == HTTP_PAGE_STYLE) {
            (void)fwrite(page_style, 1, page_style_size, out);
        } else if (page == HTTP_PAGE_SCRIPT) {
            (void)fwrite(page_script, 1, page_script_size, out);
        } else {
            gather(context, status);
            writers[page](out, status);
        }
    }
    bool good = out != NULL && status != NULL && ferror(out) == 0;
    free(status);
    if ((out != NULL && fclose(out) != 0) || !good) {
        free(text);
        return NULL;
    }
    return text;
}

bool status_open(struct worker *worker) {
    char fault[HTTP_FAULT_SIZE];
    const char *where = worker->config->status_listen;
    worker->status_fd = -1;
    enum http_place place = http_place_of(where);
    if (place == HTTP_OFF) {
        return true;
    }
    if (place == HTTP_REMOTE) {
        daemon_log(LOG_LEVEL_WARNING,
                   "Status page: %s can be read by whoever reaches that address, unencrypted",
                   where);
    }
    if (!http_listen(where, &worker->status_fd, fault)) {
        daemon_log(LOG_LEVEL_WARNING, "No status page: %s; set [status] listen", fault);
    }
    return true;
}

bool status_start(struct worker *worker) {
    if (worker->status_fd < 0) {
        return true;
    }
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    bool named = getsockname(worker->status_fd, (struct sockaddr *)&address, &size) == 0;
    const struct http_config config = {
        .loop = &worker->loop, .fd = worker->status_fd, .produce = produce, .context = worker};
    worker->status_fd = -1;
    int error = http_new(&config, &worker->http);
    if (error != 0) {
        daemon_log(LOG_LEVEL_WARNING, "No status page: %s", plasm_error_message(error));
        return true;
    }
    char text[CONFIG_PATH_SIZE];
    snprintf(text, sizeof(text), "%s", worker->config->status_listen);
    if (named && address.ss_family != AF_UNIX) {
        http_name_of(&address, text, sizeof(text));
    }
    daemon_log(LOG_LEVEL_INFO, "Status page on %s", text);
    return true;
}

void status_stop(struct worker *worker) {
    if (worker->status_fd > 0) {
        (void)close(worker->status_fd);
    }
    http_free(worker->http);
    worker->http = NULL;
}
