/* The daemon's settings: one schema table for the file, the command line and the manual. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"
#include "identity/peer_id.h"
#include "plasmd/log.h"
#include "plasmd/policy.h"
#include "util/netprefix.h"
#include "wire/multiaddr.h"

#define CONFIG_PATH_DEFAULT      "/etc/plasm/plasmd.conf"
#define CONFIG_STATE_DIR_DEFAULT "/var/lib/plasm"
#define CONFIG_PATH_SIZE         1024
#define CONFIG_LISTEN_MAX        8
#define CONFIG_BOOTSTRAP_MAX     32
#define CONFIG_RELAYS_MAX        8
#define CONFIG_FAULT_SIZE        512

#define CONFIG_ACCESS_MAX 256

/* Those who are denied, or exceptions from that: prefixes and peers. */
struct config_access {
    bool all; /* denied: whoever is no exception */
    size_t prefix_count;
    size_t peer_count;
    struct netprefix prefixes[CONFIG_ACCESS_MAX];
    struct peer_id peers[CONFIG_ACCESS_MAX];
};

struct config {
    struct host_address listen[CONFIG_LISTEN_MAX];
    size_t listen_count;
    struct multiaddr bootstrap[CONFIG_BOOTSTRAP_MAX];
    size_t bootstrap_count;
    char state_dir[CONFIG_PATH_SIZE];
    char runner[CONFIG_PATH_SIZE]; /* plasm-run; "" looks beside plasmd and in libexec */
    char signer[CONFIG_PATH_SIZE]; /* who has the key: "auto", "fork", or a service's socket */
    char kad_protocol[128];
    char path[CONFIG_PATH_SIZE];                /* of the file, whether it is there or not */
    char print_addresses[CONFIG_PATH_SIZE];     /* command line only */
    struct multiaddr relays[CONFIG_RELAYS_MAX]; /* each ends in /p2p */
    size_t relay_count;
    bool relay_service;
    uint64_t relay_reservations;
    uint64_t relay_reservations_per_ip;
    uint64_t relay_circuits;
    uint64_t relay_circuits_per_peer;
    uint64_t relay_circuit_s;     /* 0: no bound */
    uint64_t relay_circuit_bytes; /* in each direction; 0: no bound */
    bool ephemeral;
    bool port_mapping;
    bool perf;
    bool mdns;
    char status_listen[CONFIG_PATH_SIZE]; /* "off", an address and port, or a socket's path */
    bool status_allow_remote;
    enum log_format log_format;
    enum log_level log_level;

    uint64_t jobs_running;
    uint64_t jobs_queued;
    uint64_t jobs_queued_per_client;
    uint64_t queued_bytes;
    uint64_t memory_bytes;
    uint64_t wall_ms;
    uint64_t output_bytes;
    uint64_t module_bytes;
    uint64_t stdin_bytes;
    uint64_t fuel; /* 0: no bound */
    uint64_t compile_cpu_s;
    uint64_t compile_memory_bytes;
    uint64_t module_cache_bytes;
    uint64_t runners_warm;
    uint64_t lost_grace_ms;
    uint64_t drain_timeout_ms;
    uint64_t price;
    uint64_t receipts_days;
    uint64_t store_bytes;
    uint64_t outputs_hours;
    uint64_t outputs_bytes;
    uint64_t output_kept_bytes;
    uint64_t connections;
    uint64_t connections_per_ip;
    uint64_t connections_per_ip6_48;
    uint64_t connections_per_peer;
    uint64_t new_connections_per_second;
    uint64_t new_connections_burst;
    uint64_t network_memory_bytes;
    struct config_access deny;
    struct config_access allow;
    struct policy_rules rules;
    struct policy_modules deny_modules;
    struct policy_modules allow_modules;
    bool isolation_per_job;
};

/* limits.md's values; listens nowhere yet. */
void config_default(struct config *config);
/* Reads an INI file over what `config` has, then the files *.conf of <path>.d, in the order of
 * their names. False: `fault` says the file, line, and what is wrong and what would be right. A
 * missing file is a fault only when `required`. */
bool config_read(struct config *config, const char *path, bool required,
                 char fault[CONFIG_FAULT_SIZE]);
/* Sets one value by its key as in the file, "listen", "memory_bytes". */
bool config_set(struct config *config, const char *section, const char *key, const char *value,
                char fault[CONFIG_FAULT_SIZE]);
/* Fills in what was left open (listen addresses), and checks what belongs together. */
bool config_finish(struct config *config, char fault[CONFIG_FAULT_SIZE]);
/* Calls `found` for every setting that differs, in the order of the schema. */
void config_compare(const struct config *a, const struct config *b,
                    void (*found)(void *context, const char *section, const char *key),
                    void *context);
/* Copies the value of one setting, which must be there. */
void config_copy(struct config *to, const struct config *from, const char *section,
                 const char *key);
/* The whole schema with defaults and meanings, as a commented file. */
void config_print_schema(void);

#endif
