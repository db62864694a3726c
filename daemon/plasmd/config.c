/* Settings: the schema, the INI file, and values as people write them. */
#include "plasmd/config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/address.h"
#include "plasmd/http.h"
#include "util/ensure.h"

enum kind {
    KIND_NUMBER,
    KIND_BYTES,
    KIND_FLAG,
    KIND_TEXT,
    KIND_LISTEN,
    KIND_BOOTSTRAP,
    KIND_RELAYS,
    KIND_WORD,
    KIND_ACCESS
};

/* One setting. `words` of KIND_WORD in the order of the enum it sets. */
struct setting {
    const char *section;
    const char *key;
    enum kind kind;
    size_t offset;
    size_t size;
    uint64_t min;
    uint64_t max;
    const char *words[5];
    const char *shown; /* default, as one would write it */
    const char *help;
};

#define FIELD(name) offsetof(struct config, name), sizeof(((struct config *)0)->name)
#define MEBI        (UINT64_C(1) << 20)
#define GIBI        (UINT64_C(1) << 30)

static const struct setting settings[] = {
    {"node",
     "listen",
     KIND_LISTEN,
     FIELD(listen),
     0,
     0,
     {NULL},
     "/ip4/0.0.0.0/udp/4001/quic-v1, /ip6/::/udp/4001/quic-v1, /ip4/0.0.0.0/tcp/4001, "
     "/ip6/::/tcp/4001",
     "addresses to listen on, separated by commas"},
    {"node",
     "bootstrap",
     KIND_BOOTSTRAP,
     FIELD(bootstrap),
     0,
     0,
     {NULL},
     "",
     "peers to join the network through: multiaddrs or host[:port], separated by commas"},
    {"node",
     "port_mapping",
     KIND_WORD,
     FIELD(port_mapping),
     0,
     0,
     {"off", "on"},
     "on",
     "ask the router to forward the ports (UPnP, NAT-PMP): on or off"},
    {"node",
     "state_dir",
     KIND_TEXT,
     FIELD(state_dir),
     0,
     0,
     {NULL},
     CONFIG_STATE_DIR_DEFAULT,
     "where the identity, receipts and compiled modules are kept"},
    {"node",
     "runner",
     KIND_TEXT,
     FIELD(runner),
     0,
     0,
     {NULL},
     "",
     "path of plasm-run; empty: beside plasmd, or in ../libexec/plasm; unix:PATH: the socket of "
     "its service"},
    {"node",
     "signer",
     KIND_TEXT,
     FIELD(signer),
     0,
     0,
     {NULL},
     "auto",
     "who has the key: fork, a plasm-sign of plasmd's own; the path of a service's socket; auto: "
     "the service where it is installed and state_dir is its own, else fork"},
    {"node",
     "kad_protocol",
     KIND_TEXT,
     FIELD(kad_protocol),
     0,
     0,
     {NULL},
     "/phase/kad/1.0.0",
     "protocol id of the DHT"},
    {"node",
     "ephemeral",
     KIND_FLAG,
     FIELD(ephemeral),
     0,
     0,
     {NULL},
     "no",
     "a new identity at every start"},
    {"node",
     "perf",
     KIND_FLAG,
     FIELD(perf),
     0,
     0,
     {NULL},
     "no",
     "answer measurements of throughput: anybody may then use the whole bandwidth"},
    {"node",
     "mdns",
     KIND_WORD,
     FIELD(mdns),
     0,
     0,
     {"off", "on"},
     "on",
     "on or off: announce this node on the local networks it listens on, and find others there"},
    {"node",
     "relays",
     KIND_RELAYS,
     FIELD(relays),
     0,
     0,
     {NULL},
     "",
     "relays to be reached through while nobody reaches this node directly: multiaddrs ending in "
     "/p2p/…, separated by commas; without any, relays of the network"},
    {"node",
     "relay_service",
     KIND_WORD,
     FIELD(relay_service),
     0,
     0,
     {"off", "on"},
     "off",
     "on or off: be a relay for nodes that nobody reaches directly"},
    {"node",
     "price",
     KIND_NUMBER,
     FIELD(price),
     0,
     UINT64_C(1000000000),
     {NULL},
     "0",
     "published price of a started second, in a unit of your own; 0 is free"},
    {"relay",
     "reservations",
     KIND_NUMBER,
     FIELD(relay_reservations),
     1,
     65536,
     {NULL},
     "128",
     "nodes that a place is kept for"},
    {"relay",
     "reservations_per_ip",
     KIND_NUMBER,
     FIELD(relay_reservations_per_ip),
     1,
     65536,
     {NULL},
     "8",
     "of those, at one IPv4 address or in one IPv6 /56"},
    {"relay",
     "circuits",
     KIND_NUMBER,
     FIELD(relay_circuits),
     1,
     65536,
     {NULL},
     "512",
     "relayed connections at a time"},
    {"relay",
     "circuits_per_peer",
     KIND_NUMBER,
     FIELD(relay_circuits_per_peer),
     1,
     65536,
     {NULL},
     "16",
     "of those, from and to one node"},
    {"relay",
     "circuit_seconds",
     KIND_NUMBER,
     FIELD(relay_circuit_s),
     0,
     UINT64_C(31536000),
     {NULL},
     "600",
     "how long one may last; 0 is no bound"},
    {"relay",
     "circuit_bytes",
     KIND_BYTES,
     FIELD(relay_circuit_bytes),
     0,
     1024 * GIBI,
     {NULL},
     "32M",
     "what one may carry in each direction; 0 is no bound"},
    {"status",
     "listen",
     KIND_TEXT,
     FIELD(status_listen),
     0,
     0,
     {NULL},
     "127.0.0.1:4002",
     "where the status page, /api/v1 and /metrics are: address:port, the path of a Unix socket, or "
     "off"},
    {"status",
     "allow_remote",
     KIND_FLAG,
     FIELD(status_allow_remote),
     0,
     0,
     {NULL},
     "no",
     "let [status] listen be an address that others reach: everybody there can read everything"},
    {"log", "format", KIND_WORD, FIELD(log_format), 0, 0, {"text", "json"}, "text", "text or json"},
    {"log",
     "level",
     KIND_WORD,
     FIELD(log_level),
     0,
     0,
     {"error", "warning", "info", "debug"},
     "info",
     "error, warning, info or debug"},
    {"jobs",
     "running",
     KIND_NUMBER,
     FIELD(jobs_running),
     1,
     1024,
     {NULL},
     "number of cores",
     "jobs that run at the same time"},
    {"jobs",
     "queued",
     KIND_NUMBER,
     FIELD(jobs_queued),
     0,
     65536,
     {NULL},
     "1024",
     "accepted jobs that wait; more are refused as busy"},
    {"jobs",
     "queued_per_client",
     KIND_NUMBER,
     FIELD(jobs_queued_per_client),
     1,
     65536,
     {NULL},
     "256",
     "of them, of one client"},
    {"jobs",
     "queued_bytes",
     KIND_BYTES,
     FIELD(queued_bytes),
     MEBI,
     64 * GIBI,
     {NULL},
     "256M",
     "modules and inputs of all jobs that have not ended"},
    {"jobs",
     "isolation",
     KIND_WORD,
     FIELD(isolation_per_job),
     0,
     0,
     {"client", "job"},
     "client",
     "client: a process for each client and module; job: a process for each job"},
    {"jobs",
     "warm",
     KIND_NUMBER,
     FIELD(runners_warm),
     0,
     64,
     {NULL},
     "2",
     "processes kept ready for the next client"},
    {"jobs",
     "lost_grace_ms",
     KIND_NUMBER,
     FIELD(lost_grace_ms),
     0,
     3600000,
     {NULL},
     "30000",
     "how long a job runs on when its client's connection is lost"},
    {"jobs",
     "drain_timeout_ms",
     KIND_NUMBER,
     FIELD(drain_timeout_ms),
     0,
     86400000,
     {NULL},
     "45000",
     "how long running jobs may take to end when the worker is stopped"},
    {"limits",
     "memory_bytes",
     KIND_BYTES,
     FIELD(memory_bytes),
     65536,
     4 * GIBI,
     {NULL},
     "128M",
     "memory of one job"},
    {"limits",
     "wall_ms",
     KIND_NUMBER,
     FIELD(wall_ms),
     1,
     86400000,
     {NULL},
     "30000",
     "time of one job"},
    {"limits",
     "output_bytes",
     KIND_BYTES,
     FIELD(output_bytes),
     0,
     64 * GIBI,
     {NULL},
     "1M",
     "standard output and error of one job together"},
    {"limits",
     "module_bytes",
     KIND_BYTES,
     FIELD(module_bytes),
     8,
     GIBI,
     {NULL},
     "16M",
     "size of a module"},
    {"limits",
     "stdin_bytes",
     KIND_BYTES,
     FIELD(stdin_bytes),
     0,
     GIBI,
     {NULL},
     "16M",
     "standard input of one job"},
    {"limits",
     "fuel",
     KIND_NUMBER,
     FIELD(fuel),
     0,
     UINT64_C(1) << 53,
     {NULL},
     "0",
     "fuel of one metered job; 0 is no bound"},
    {"limits",
     "compile_cpu_s",
     KIND_NUMBER,
     FIELD(compile_cpu_s),
     1,
     3600,
     {NULL},
     "10",
     "processor time to compile one module"},
    {"limits",
     "compile_memory_bytes",
     KIND_BYTES,
     FIELD(compile_memory_bytes),
     64 * MEBI,
     64 * GIBI,
     {NULL},
     "1G",
     "memory to compile one module"},
    {"limits",
     "module_cache_bytes",
     KIND_BYTES,
     FIELD(module_cache_bytes),
     MEBI,
     1024 * GIBI,
     {NULL},
     "1G",
     "disk for modules and compiled modules"},
    {"network",
     "connections",
     KIND_NUMBER,
     FIELD(connections),
     1,
     65536,
     {NULL},
     "1024",
     "connections of others at the same time"},
    {"network",
     "connections_per_ip",
     KIND_NUMBER,
     FIELD(connections_per_ip),
     1,
     65536,
     {NULL},
     "64",
     "of them, of one IPv4 address or IPv6 /56; the loopback interface is exempt"},
    {"network",
     "connections_per_ip6_48",
     KIND_NUMBER,
     FIELD(connections_per_ip6_48),
     1,
     65536,
     {NULL},
     "256",
     "of them, of one IPv6 /48"},
    {"network",
     "connections_per_peer",
     KIND_NUMBER,
     FIELD(connections_per_peer),
     1,
     1024,
     {NULL},
     "8",
     "of them, of one peer"},
    {"network",
     "new_connections_per_second",
     KIND_NUMBER,
     FIELD(new_connections_per_second),
     1,
     1000000,
     {NULL},
     "10",
     "new connections of one IPv4 address or IPv6 /56, in the long run"},
    {"network",
     "new_connections_burst",
     KIND_NUMBER,
     FIELD(new_connections_burst),
     1,
     1000000,
     {NULL},
     "100",
     "and how many at once"},
    {"network",
     "memory_bytes",
     KIND_BYTES,
     FIELD(network_memory_bytes),
     MEBI,
     64 * GIBI,
     {NULL},
     "256M",
     "what all connections may hold together: state, bytes that wait, windows that have grown"},
    {"store",
     "keep_receipts_days",
     KIND_NUMBER,
     FIELD(receipts_days),
     0,
     36500,
     {NULL},
     "365",
     "how long jobs and receipts are kept; 0 is for ever"},
    {"store",
     "size_bytes",
     KIND_BYTES,
     FIELD(store_bytes),
     0,
     1024 * GIBI,
     {NULL},
     "8G",
     "how large the database may become: the oldest receipts go first, but none of the last 70 "
     "minutes; 0 is no bound"},
    {"store",
     "keep_outputs_hours",
     KIND_NUMBER,
     FIELD(outputs_hours),
     0,
     8760,
     {NULL},
     "24",
     "how long the output of a job can be fetched again; 0 keeps none"},
    {"store",
     "outputs_bytes",
     KIND_BYTES,
     FIELD(outputs_bytes),
     0,
     1024 * GIBI,
     {NULL},
     "256M",
     "outputs kept of all jobs: the oldest go first"},
    {"store",
     "output_bytes",
     KIND_BYTES,
     FIELD(output_kept_bytes),
     0,
     64 * MEBI,
     {NULL},
     "1M",
     "the largest output of one job that is kept"},
    {"access",
     "deny",
     KIND_ACCESS,
     FIELD(deny),
     0,
     0,
     {NULL},
     "",
     "prefixes and peer ids that are refused, separated by commas; all: everybody but exceptions"},
    {"access",
     "allow",
     KIND_ACCESS,
     FIELD(allow),
     0,
     0,
     {NULL},
     "",
     "exceptions from deny: prefixes and peer ids"},
};

void config_default(struct config *config) {
    memset(config, 0, sizeof(*config));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    config->jobs_running = cores > 0 ? (uint64_t)cores : 1;
    config->log_level = LOG_LEVEL_INFO;
    char fault[CONFIG_FAULT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        bool computed = settings[i].offset == offsetof(struct config, jobs_running) ||
                        settings[i].kind == KIND_LISTEN;
        if (!computed && settings[i].shown[0] != '\0') {
            (void)config_set(config, settings[i].section, settings[i].key, settings[i].shown,
                             fault);
        }
    }
}

static bool fail(char fault[CONFIG_FAULT_SIZE], const char *key, const char *value,
                 const char *wanted) {
    snprintf(fault, CONFIG_FAULT_SIZE, "%.60s = %.200s: %.200s", key, value, wanted);
    return false;
}

static bool parse_number(const char *value, bool bytes, uint64_t *ret_number) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (end == value || errno != 0 || value[0] == '-') {
        return false;
    }
    static const char suffixes[] = "KMG";
    const char *suffix = bytes && *end != '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    if (suffix != NULL) {
        end++;
    }
    if (*end != '\0' || number > UINT64_MAX >> shift) {
        return false;
    }
    *ret_number = (uint64_t)number << shift;
    return true;
}

static bool set_number(const struct setting *setting, void *place, const char *value,
                       char fault[CONFIG_FAULT_SIZE]) {
    uint64_t number;
    bool bytes = setting->kind == KIND_BYTES;
    if (!parse_number(value, bytes, &number) || number < setting->min || number > setting->max) {
        char wanted[160];
        snprintf(wanted, sizeof(wanted), "must be a number from %llu to %llu%s",
                 (unsigned long long)setting->min, (unsigned long long)setting->max,
                 bytes ? ", K, M or G may follow" : "");
        return fail(fault, setting->key, value, wanted);
    }
    memcpy(place, &number, sizeof(number));
    return true;
}

static bool set_word(const struct setting *setting, void *place, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    for (size_t i = 0; setting->words[i] != NULL; i++) {
        if (strcmp(setting->words[i], value) != 0) {
            continue;
        }
        if (setting->size == sizeof(bool)) {
            *(bool *)place = i != 0;
        } else {
            int number = (int)i;
            memcpy(place, &number, sizeof(number));
        }
        return true;
    }
    return fail(fault, setting->key, value, setting->help);
}

static bool set_flag(const struct setting *setting, void *place, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0) {
        return fail(fault, setting->key, value, "must be yes or no");
    }
    *(bool *)place = yes;
    return true;
}

static bool add_listen(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    struct multiaddr address;
    if (config->listen_count == CONFIG_LISTEN_MAX) {
        return fail(fault, "listen", value, "too many addresses");
    }
    if (multiaddr_parse(bytes_of_string(value), &address) != 0 ||
        host_address_from_multiaddr(&address, &config->listen[config->listen_count]) != 0) {
        return fail(fault, "listen", value,
                    "must be like /ip4/0.0.0.0/udp/4001/quic-v1 or /ip4/0.0.0.0/tcp/4001");
    }
    config->listen_count++;
    return true;
}

/* QUIC and TCP of both families, as far as this system has them. */
static bool listen_everywhere(struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    static const char *const addresses[] = {
        "/ip4/0.0.0.0/udp/4001/quic-v1",
        "/ip6/::/udp/4001/quic-v1",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip6/::/tcp/4001",
    };
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        if (!add_listen(config, addresses[i], fault)) {
            return false;
        }
        config->listen[i].is_optional = config->listen[i].netaddr.family == NETADDR_IP6;
    }
    return true;
}

static bool add_bootstrap(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    if (config->bootstrap_count == CONFIG_BOOTSTRAP_MAX) {
        return fail(fault, "bootstrap", value, "too many addresses");
    }
    if (address_parse(bytes_of_string(value), &config->bootstrap[config->bootstrap_count]) != 0) {
        return fail(fault, "bootstrap", value, "must be a multiaddr or host[:port]");
    }
    config->bootstrap_count++;
    return true;
}

static bool add_access(struct config_access *access, const char *key, const char *value,
                       char fault[CONFIG_FAULT_SIZE]) {
    struct bytes text = bytes_of_string(value);
    if (strcmp(value, "all") == 0 && strcmp(key, "deny") == 0) {
        access->all = true;
        return true;
    }
    if (access->prefix_count == CONFIG_ACCESS_MAX || access->peer_count == CONFIG_ACCESS_MAX) {
        return fail(fault, key, value, "the list is too long: use a firewall");
    }
    if (netprefix_parse(text, &access->prefixes[access->prefix_count]) == 0) {
        access->prefix_count++;
    } else if (peer_id_parse(text, &access->peers[access->peer_count]) == 0) {
        access->peer_count++;
    } else {
        return fail(fault, key, value, "must be like 203.0.113.0/24, 2001:db8::/32 or a peer id");
    }
    return true;
}

static bool add_relay(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    struct multiaddr address;
    if (config->relay_count == CONFIG_RELAYS_MAX) {
        return fail(fault, "relays", value, "too many addresses");
    }
    if (multiaddr_parse(bytes_of_string(value), &address) != 0 ||
        multiaddr_peer_id(&address).size == 0) {
        return fail(fault, "relays", value, "must be a multiaddr that ends in /p2p/…");
    }
    config->relays[config->relay_count++] = address;
    return true;
}

static bool add_item(struct config *config, const struct setting *setting, const char *item,
                     char fault[CONFIG_FAULT_SIZE]) {
    switch (setting->kind) {
    case KIND_LISTEN:
        return add_listen(config, item, fault);
    case KIND_BOOTSTRAP:
        return add_bootstrap(config, item, fault);
    case KIND_RELAYS:
        return add_relay(config, item, fault);
    default:
        return add_access((struct config_access *)((char *)config + setting->offset), setting->key,
                          item, fault);
    }
}

/* Each item of a list separated by commas. */
static bool add_list(struct config *config, const struct setting *setting, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    char item[MULTIADDR_TEXT_MAX];
    while (*value != '\0') {
        size_t size = strcspn(value, ",");
        size_t start = strspn(value, " \t");
        size_t end = size;
        while (end > start && (value[end - 1] == ' ' || value[end - 1] == '\t')) {
            end--;
        }
        if (start < end) {
            if (bytes_to_string(bytes_of(value + start, end - start), item, sizeof(item)) != 0) {
                return fail(fault, setting->key, value, "is too long");
            }
            if (!add_item(config, setting, item, fault)) {
                return false;
            }
        }
        value += value[size] == ',' ? size + 1 : size;
    }
    return true;
}

bool config_set(struct config *config, const char *section, const char *key, const char *value,
                char fault[CONFIG_FAULT_SIZE]) {
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(setting->section, section) != 0 || strcmp(setting->key, key) != 0) {
            continue;
        }
        void *place = (char *)config + setting->offset;
        switch (setting->kind) {
        case KIND_NUMBER:
        case KIND_BYTES:
            return set_number(setting, place, value, fault);
        case KIND_WORD:
            return set_word(setting, place, value, fault);
        case KIND_FLAG:
            return set_flag(setting, place, value, fault);
        case KIND_TEXT:
            return bytes_to_string(bytes_of_string(value), place, setting->size) == 0 ||
                   fail(fault, key, value, "is too long");
        case KIND_LISTEN:
        case KIND_BOOTSTRAP:
        case KIND_RELAYS:
        case KIND_ACCESS:
            return add_list(config, setting, value, fault);
        }
    }
    snprintf(fault, CONFIG_FAULT_SIZE, "there is no setting '%s' in section [%s]", key, section);
    return false;
}

struct reading {
    struct config *config;
    bool failed;
    char fault[CONFIG_FAULT_SIZE];
};

static int on_setting(void *context, const char *section, const char *key, const char *value) {
    struct reading *reading = context;
    if (!reading->failed && !config_set(reading->config, section, key, value, reading->fault)) {
        reading->failed = true;
    }
    return !reading->failed;
}

bool config_read(struct config *config, const char *path, bool required,
                 char fault[CONFIG_FAULT_SIZE]) {
    struct reading reading = {.config = config};
    int line = ini_parse(path, on_setting, &reading);
    if (line == 0) {
        return true;
    }
    if (line < 0) {
        if (!required && errno == ENOENT) {
            return true;
        }
        snprintf(fault, CONFIG_FAULT_SIZE, "%.200s: %s", path, strerror(errno));
        return false;
    }
    snprintf(fault, CONFIG_FAULT_SIZE, "%.200s:%d: %.280s", path, line,
             reading.failed ? reading.fault : "neither a [section] nor key = value");
    return false;
}

static bool check_status(const struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    switch (http_place_of(config->status_listen)) {
    case HTTP_WRONG:
        return fail(fault, "[status] listen", config->status_listen,
                    "must be like 127.0.0.1:4002 or [::1]:4002, a path like "
                    "/run/plasm/status.sock, or off");
    case HTTP_REMOTE:
        return config->status_allow_remote ||
               fail(fault, "[status] listen", config->status_listen,
                    "is not this machine alone: use 127.0.0.1 or [::1], or set allow_remote = yes "
                    "if everybody there may read it");
    default:
        return true;
    }
}

bool config_finish(struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    if (config->listen_count == 0 && !listen_everywhere(config, fault)) {
        return false;
    }
    if (config->state_dir[0] == '\0') {
        return fail(fault, "state_dir", "", "must name a directory");
    }
    return check_status(config, fault);
}

/* Lists whose length stands beside them. */
static size_t *list_count(const struct setting *setting, const struct config *config) {
    const size_t *count = NULL;
    switch (setting->kind) {
    case KIND_LISTEN:
        count = &config->listen_count;
        break;
    case KIND_BOOTSTRAP:
        count = &config->bootstrap_count;
        break;
    case KIND_RELAYS:
        count = &config->relay_count;
        break;
    default:
        break;
    }
    return (size_t *)(uintptr_t)count;
}

static size_t item_size(const struct setting *setting) {
    switch (setting->kind) {
    case KIND_LISTEN:
        return sizeof(((struct config *)0)->listen[0]);
    case KIND_BOOTSTRAP:
        return sizeof(((struct config *)0)->bootstrap[0]);
    default:
        return sizeof(((struct config *)0)->relays[0]);
    }
}

static bool same(const struct setting *setting, const struct config *a, const struct config *b) {
    const char *left = (const char *)a + setting->offset;
    const char *right = (const char *)b + setting->offset;
    const size_t *count = list_count(setting, a);
    if (setting->kind == KIND_TEXT) {
        return strcmp(left, right) == 0;
    }
    if (count == NULL) {
        return memcmp(left, right, setting->size) == 0;
    }
    return *count == *list_count(setting, b) &&
           memcmp(left, right, *count * item_size(setting)) == 0;
}

void config_compare(const struct config *a, const struct config *b,
                    void (*found)(void *context, const char *section, const char *key),
                    void *context) {
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (!same(&settings[i], a, b)) {
            found(context, settings[i].section, settings[i].key);
        }
    }
}

void config_copy(struct config *to, const struct config *from, const char *section,
                 const char *key) {
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0) {
            memcpy((char *)to + setting->offset, (const char *)from + setting->offset,
                   setting->size);
            size_t *count = list_count(setting, to);
            if (count != NULL) {
                *count = *list_count(setting, from);
            }
            return;
        }
    }
    ENSURE(false);
}

void config_print_schema(void) {
    const char *section = "";
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (strcmp(section, settings[i].section) != 0) {
            section = settings[i].section;
            printf("%s[%s]\n", i > 0 ? "\n" : "", section);
        }
        printf("# %s\n# %s = %s\n", settings[i].help, settings[i].key, settings[i].shown);
    }
}
