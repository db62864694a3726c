/* The worker as it is now, gathered for whoever shows it: the page, the API and the metrics write
 * what is in here and know nothing of the worker. */
#ifndef PLASMD_STATUS_H
#define PLASMD_STATUS_H

#include "host/host.h"
#include "peer/relay.h"
#include "plasmd/config.h"
#include "plasmd/metrics.h"
#include "proto/kad/kad.h"
#include "runner/runner_client.h"

/* Shown of each; how many there are is told all the same. */
#define STATUS_JOBS_MAX  64
#define STATUS_PEERS_MAX 128
/* Of what a peer says it runs, with NUL. */
#define STATUS_AGENT_SIZE 65
#define STATUS_TEXT_SIZE  64

struct status_job {
    char job_id[JOB_ID_SIZE];
    char client[PEER_ID_TEXT_MAX];
    char module[HASH_TEXT_SIZE];
    const char *phase; /* "compiling", "queued", "running", "signing" */
    uint64_t age_ms;   /* since it was accepted */
    uint64_t position; /* in the queue; 0: not known or not there */
};

struct status_peer {
    char id[PEER_ID_TEXT_MAX];
    char agent[STATUS_AGENT_SIZE]; /* the peer's own words: printable UTF-8, else not to be trusted
                                    */
    char address[MULTIADDR_TEXT_MAX];
    const char *transport; /* "quic", "tcp", "relay" */
    bool inbound;
};

struct status {
    const struct metrics *metrics;
    const struct config *config;
    const char *state; /* "ready", "starting", "draining", "store full" and such */
    int64_t unix_ms;
    uint64_t uptime_s;
    const char *version;
    char id[PEER_ID_TEXT_MAX];
    char arch[ARCH_SIZE];
    char runtime[STATUS_TEXT_SIZE];
    char walls[RUNNER_WALLS_TEXT_SIZE]; /* "" while plasm-run is not ready */
    bool ready;
    bool draining;
    size_t running;
    size_t waiting;
    size_t compiling;
    size_t jobs_total;
    uint64_t held_bytes;
    size_t memory_used;
    size_t memory_max;
    struct runner_client_counts runners;
    const char *reachability;
    const char *nat_udp;
    const char *nat_tcp;
    size_t mapped_ports;
    size_t connections_inbound;
    size_t connections_outbound;
    size_t quic_connections;
    size_t tcp_connections;
    size_t relay_connections;
    size_t streams;
    struct quic_stats quic;
    struct pipe_stats pipe;
    struct peer_relay_stats relay;
    struct kad_counts kad;
    uint64_t log_lines[METRICS_LOG_LEVELS];
    size_t address_count;
    char addresses[PEER_OWN_ADDRESSES_MAX][MULTIADDR_TEXT_MAX];
    size_t job_count; /* in `jobs` */
    struct status_job jobs[STATUS_JOBS_MAX];
    size_t peer_count; /* in `peers` */
    struct status_peer peers[STATUS_PEERS_MAX];
};

/* Bytes of a stranger as a C string that can be shown anywhere: what is no UTF-8 or controls a
 * terminal or the direction of text becomes '?'; too much is cut between characters. */
void status_printable(struct bytes text, char *room, size_t room_size);
/* For HTML's text and attributes, and for the inside of a JSON string. */
void html_write(FILE *out, const char *text);
void json_write(FILE *out, const char *text);

/* status_metrics.c: everything for Prometheus. */
void status_write_metrics(FILE *out, const struct status *status);
/* status_json.c: docs/api.md has the members. */
void status_write_json(FILE *out, const struct status *status);
void status_write_jobs(FILE *out, const struct status *status);
void status_write_peers(FILE *out, const struct status *status);
void status_write_config(FILE *out, const struct status *status);
/* status_page.c */
void status_write_page(FILE *out, const struct status *status);

#endif
