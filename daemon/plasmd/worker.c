/* Setting a worker up, keeping it announced, and taking it down. */
#include "plasmd/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "plasmd/drain.h"
#include "plasmd/job.h"
#include "plasmd/lockout.h"
#include "plasmd/notify.h"
#include "plasmd/reload.h"
#include "plasmd/status_worker.h"
#include "proto/capability/capability.h"
#include "proto/kad/limits.h"
#include "util/ensure.h"

#define PUBLISH_INTERVAL_MS 60000
/* A record is renewed when it has so long to live. */
#define CAPABILITY_RENEW_S (CAPABILITY_LIFE_S / 2)
#define RESTART_PAUSE_MS   1000
#define FAULT_SIZE         512
#define STATE_PATH_SIZE    (CONFIG_PATH_SIZE + 32)
#define RUNNERS_PER_SLOT   4
/* What has run gets its receipt when the process stops, if it is signed so soon. */
#define SETTLE_TIME (2 * NANOS_SECOND)

static bool complain(const char *what, const char *why) {
    daemon_log(LOG_LEVEL_ERROR, "%s: %s", what, why);
    return false;
}

void worker_limits(const struct worker *worker, struct worker_limits *ret_limits) {
    const struct config *config = worker->config;
    *ret_limits = (struct worker_limits){.job = {.fuel = config->fuel,
                                                 .memory_bytes = config->memory_bytes,
                                                 .wall_ms = config->wall_ms,
                                                 .output_bytes = config->output_bytes},
                                         .module_bytes = config->module_bytes,
                                         .stdin_bytes = config->stdin_bytes};
}

void worker_publish(struct worker *worker) {
    const struct config *config = worker->config;
    struct capability capability = {.worker = worker->id,
                                    .profiles = {"wasip1", "deterministic/1"},
                                    .profile_count = 2,
                                    .limits = {.fuel = config->fuel,
                                               .memory_bytes = config->memory_bytes,
                                               .wall_ms = config->wall_ms,
                                               .output_bytes = config->output_bytes,
                                               .module_bytes = config->module_bytes,
                                               .stdin_bytes = config->stdin_bytes},
                                    .price = config->price,
                                    .expires_s = host_unix_ms() / 1000 + CAPABILITY_LIFE_S};
    snprintf(capability.arch, sizeof(capability.arch), "%s", worker->arch);
    snprintf(capability.runtime, sizeof(capability.runtime), "%s", RUNNER_RUNTIME);
    capability.free_slots = capability_bucket(worker_free_slots(worker));
    capability.address_count = worker->address_count;
    memcpy(capability.addresses, worker->addresses,
           worker->address_count * sizeof(worker->addresses[0]));
    uint64_t seq = (uint64_t)host_unix_ms() * 1000;
    worker->capability_seq = seq > worker->capability_seq ? seq : worker->capability_seq + 1;
    capability.seq = worker->capability_seq;
    struct buffer payload;
    buffer_init(&payload, &worker->memory, CAPABILITY_PAYLOAD_SIZE_MAX);
    int error = capability_encode(&capability, &payload);
    if (error == 0) {
        error = peer_set_capability(host_peer(worker->host), buffer_bytes(&payload), host_now());
    }
    buffer_done(&payload);
    if (error != 0) {
        daemon_log(LOG_LEVEL_ERROR, "The capability record cannot be made: %s",
                   plasm_error_message(error));
    }
}

static void log_identified(struct worker *worker, struct peer_connection *connection) {
    (void)worker;
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(peer_connection_id(connection), id);
    daemon_log(LOG_LEVEL_INFO, "Peer discovered: %s", id);
}

static void on_event(void *context, const struct peer_event *event) {
    struct worker *worker = context;
    switch (event->type) {
    case PEER_EVENT_STREAM_OPENED:
        session_opened(worker, event->stream, host_now());
        break;
    case PEER_EVENT_STREAM_DATA:
    case PEER_EVENT_STREAM_WRITABLE:
    case PEER_EVENT_STREAM_CLOSED:
        session_event(worker, event, host_now());
        break;
    case PEER_EVENT_IDENTIFIED:
        worker->metrics.identified++;
        log_identified(worker, event->connection);
        break;
    case PEER_EVENT_BOOTSTRAPPED:
        daemon_log(LOG_LEVEL_INFO, "kad: bootstrap done, %zu peers in the routing table",
                   event->count);
        break;
    case PEER_EVENT_LOOKUP_DONE:
        *(event->error == 0 ? &worker->metrics.lookups : &worker->metrics.lookups_failed) += 1;
        announce_event(worker, event);
        break;
    case PEER_EVENT_RELAYED:
        relays_event(worker, event);
        break;
    case PEER_EVENT_REACHABILITY:
        relays_event(worker, event);
        reach_changed(worker);
        worker_publish(worker);
        break;
    case PEER_EVENT_CONNECT_FAILED:
        daemon_log(LOG_LEVEL_INFO, "%s: %.*s",
                   event->count == PEER_NEARBY ? "mdns" : "kad: bootstrap", (int)event->data.size,
                   (const char *)event->data.data);
        break;
    default:
        break;
    }
}

static void on_restart(uv_timer_t *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, restart_timer);
    if (runner_client_start(worker->runner) != 0) {
        (void)uv_timer_start(timer, on_restart, RESTART_PAUSE_MS, 0);
    }
}

static void on_runner(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct worker *worker = CONTAINER_OF(poll, struct worker, runner_poll);
    nanos now = host_now();
    runner_client_receive(worker->runner, now);
    struct runner_event event;
    while (runner_client_next_event(worker->runner, &event)) {
        jobs_runner_event(worker, &event, now);
        if (event.type == RUNNER_EVENT_STOPPED && !worker->stopping) {
            (void)uv_timer_start(&worker->restart_timer, on_restart, RESTART_PAUSE_MS, 0);
        }
    }
}

/* Answers of plasm-sign: receipts go out from within. */
static void on_signer(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct worker *worker = CONTAINER_OF(poll, struct worker, sign_poll);
    sign_client_receive(worker->signer_link.client);
}

static void on_alarm(void *context) {
    struct worker *worker = context;
    nanos now = host_now();
    worker_expire(worker, now);
    sign_client_expire(worker->signer_link.client);
    runner_client_expire(worker->runner, now);
    struct runner_event event;
    while (runner_client_next_event(worker->runner, &event)) {
        jobs_runner_event(worker, &event, now);
    }
}

/* One write for what a turn of the loop has to say, instead of one a line. */
static void on_log_prepare(uv_prepare_t *prepare) {
    (void)prepare;
    daemon_log_flush();
}

static void on_prepare(uv_prepare_t *prepare) {
    struct worker *worker = CONTAINER_OF(prepare, struct worker, prepare);
    drain_check(worker, host_now());
    sign_client_flush(worker->signer_link.client);
    nanos deadline = sign_client_deadline(worker->signer_link.client);
    deadline = nanos_min(deadline, heap_deadline(&worker->deadlines));
    alarm_set(&worker->alarm, nanos_min(deadline, runner_client_deadline(worker->runner)));
}

static void save_table(struct worker *worker) {
    struct buffer table;
    buffer_init(&table, &worker->memory, KAD_EXPORT_SIZE_MAX);
    if (peer_routing_size(host_peer(worker->host)) > 0 &&
        peer_routing_export(host_peer(worker->host), &table) == 0) {
        store_put_table(worker->store, buffer_bytes(&table));
    }
    buffer_done(&table);
}

static void on_publish(uv_timer_t *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, publish_timer);
    worker_look_at_policy(worker);
    uint64_t slots = capability_bucket(worker_free_slots(worker));
    int64_t age_s = host_unix_ms() / 1000 - (int64_t)(worker->capability_seq / 1000000);
    if (slots != worker->published_slots || age_s >= CAPABILITY_RENEW_S || age_s < 0) {
        worker->published_slots = slots;
        worker_publish(worker);
    }
    announce_expire(worker, host_now());
    save_table(worker);
}

static void on_signal(uv_signal_t *handle, int number) {
    drain_asked(handle->data, number == SIGINT ? "interrupted" : "asked to", host_now());
}

static void on_hangup(uv_signal_t *handle, int number) {
    (void)number;
    reload_configuration(handle->data, host_now());
}

/* What there is now, for an operator who asks. */
static void on_status(uv_signal_t *handle, int number) {
    (void)number;
    const struct worker *worker = handle->data;
    const struct peer *peer = host_peer(worker->host);
    struct quic_stats quic;
    host_quic_stats(worker->host, &quic);
    daemon_log(LOG_LEVEL_INFO,
               "Status: %zu connections, %zu streams, %zu QUIC handshakes, %zu KiB of QUIC state, "
               "%zu KiB in all, %llu refused, %llu answered with Retry",
               peer_connection_count(peer), peer_stream_count(peer), quic.handshakes_inbound,
               quic.state_bytes / 1024, worker->memory.used / 1024,
               (unsigned long long)quic.refused, (unsigned long long)quic.retries_sent);
}

static bool make_directory(const char *path) {
    return mkdir(path, 0700) == 0 || errno == EEXIST || complain(path, strerror(errno));
}

/* The database has a directory of its own, so that the worker can be kept out of the one that has
 * the key. Where it was before, it is moved. */
static bool move_store(const char *state_dir) {
    static const char *const endings[] = {"-wal", "-shm", ""};
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        char old[STATE_PATH_SIZE];
        char path[STATE_PATH_SIZE];
        snprintf(old, sizeof(old), "%s/plasm.db%s", state_dir, endings[i]);
        snprintf(path, sizeof(path), "%s/store/plasm.db%s", state_dir, endings[i]);
        if (access(path, F_OK) != 0 && rename(old, path) != 0 && errno != ENOENT) {
            return complain(old, strerror(errno));
        }
    }
    return true;
}

static bool make_state_dir(const struct config *config) {
    char store[STATE_PATH_SIZE];
    char modules[STATE_PATH_SIZE];
    if (!make_directory(config->state_dir)) {
        return false;
    }
    if (access(config->state_dir, W_OK | X_OK) != 0) {
        return complain(config->state_dir,
                        "not writable: choose another with --state-dir, or run as its owner");
    }
    snprintf(store, sizeof(store), "%s/store", config->state_dir);
    snprintf(modules, sizeof(modules), "%s/modules", config->state_dir);
    return make_directory(store) && make_directory(modules) && move_store(config->state_dir);
}

/* The file that print_addresses renames in the end: opened while plasmd still may. */
static bool open_addresses(struct worker *worker) {
    const char *path = worker->config->print_addresses;
    char aside[STATE_PATH_SIZE];
    if (path[0] == '\0') {
        return true;
    }
    snprintf(aside, sizeof(aside), "%s.new", path);
    worker->address_file = fopen(aside, "we");
    return worker->address_file != NULL || complain(path, strerror(errno));
}

/* Reaches who has the key, and then gives up what could reach the key itself. */
static bool start_signer(struct worker *worker) {
    char fault[CONFIG_FAULT_SIZE];
    struct signer_link *link = &worker->signer_link;
    if (!signer_link_start(link, &worker->memory, daemon_log_sink(), fault)) {
        daemon_log(LOG_LEVEL_ERROR, "%s", fault);
        return false;
    }
    if (uv_poll_init(&worker->loop, &worker->sign_poll, sign_client_fd(link->client)) != 0 ||
        uv_poll_start(&worker->sign_poll, UV_READABLE, on_signer) != 0) {
        return complain("plasm-sign", "cannot be watched");
    }
    worker->signer = sign_client_signer(link->client);
    peer_id_from_key(signer_public_key(worker->signer), &worker->id);
    peer_id_format(&worker->id, worker->id_text);
    daemon_log(LOG_LEVEL_INFO, "Local peer ID: %s", worker->id_text);
    if (link->socket == NULL) {
        lockout_enter(worker->config);
    }
    return true;
}

static bool open_stores(struct worker *worker) {
    char path[STATE_PATH_SIZE];
    char fault[FAULT_SIZE];
    const struct config *config = worker->config;
    const struct store_settings settings = {.receipts_days = config->receipts_days,
                                            .size_bytes_max = config->store_bytes,
                                            .outputs_hours = config->outputs_hours,
                                            .outputs_bytes_max = config->outputs_bytes};
    snprintf(path, sizeof(path), "%s/store/plasm.db", config->state_dir);
    if (!store_open(path, &settings, &worker->store, fault, sizeof(fault))) {
        return complain("database", fault);
    }
    snprintf(path, sizeof(path), "%s/modules", worker->config->state_dir);
    if (!modules_open(path, worker->config->module_cache_bytes, &worker->modules, fault,
                      sizeof(fault))) {
        return complain("module cache", fault);
    }
    return true;
}

/* A setting that names the socket of a service, not a program. */
#define RUNNER_SERVICE_PREFIX "unix:"

static bool runner_is_service(const char *program) {
    return strncmp(program, RUNNER_SERVICE_PREFIX, strlen(RUNNER_SERVICE_PREFIX)) == 0;
}

static void fill_runner(const struct config *config, struct runner_client_config *ret_config) {
    runner_client_config_default(ret_config);
    ret_config->runners_max =
        (size_t)(config->jobs_running * RUNNERS_PER_SLOT + config->runners_warm);
    ret_config->runners_warm = (size_t)config->runners_warm;
    ret_config->runner_per_job = config->isolation_per_job;
    ret_config->memory_bytes_max = config->memory_bytes;
    ret_config->compile.module_bytes_max = config->module_bytes;
    ret_config->compile.cpu_s_max = config->compile_cpu_s;
    ret_config->compile.memory_bytes_max = config->compile_memory_bytes;
}

/* Finds the helper programs, and forks who starts them where plasmd may not: first of all. */
static bool prepare_helpers(struct worker *worker, char program[CONFIG_PATH_SIZE]) {
    static struct runner_arguments arguments;
    char fault[CONFIG_FAULT_SIZE];
    helper_find(worker->config->runner, "plasm-run", program);
    if (!runner_is_service(program) && access(program, X_OK) != 0) {
        return complain(program, "not there or not executable: set [node] runner");
    }
    runner_client_arguments(&arguments);
    const struct starter_plan plan = {.path = program, .arguments = arguments.list};
    signer_link_init(&worker->signer_link, worker->config);
    if (!signer_link_fork(&worker->signer_link, &plan, false, fault)) {
        daemon_log(LOG_LEVEL_ERROR, "%s", fault);
        return false;
    }
    return true;
}

static int start_by_starter(void *context, int socket, int *ret_pid) {
    const struct worker *worker = context;
    return starter_start(worker->signer_link.starter, STARTER_RUNNER, socket, ret_pid);
}

static bool start_runner(struct worker *worker, const char *program) {
    struct runner_client_config runner;
    const bool is_service = runner_is_service(program);
    fill_runner(worker->config, &runner);
    runner.program = is_service ? program + strlen(RUNNER_SERVICE_PREFIX) : program;
    runner.is_service = is_service;
    runner.start = worker->signer_link.starter != NULL ? start_by_starter : NULL;
    runner.start_context = worker;
    int error = runner_client_new(&runner, &worker->memory, &worker->runner);
    if (error == 0) {
        error = runner_client_start(worker->runner);
    }
    if (error != 0) {
        return complain(program, error == PLASM_IO ? strerror(errno) : plasm_error_message(error));
    }
    if (uv_poll_init(&worker->loop, &worker->runner_poll, runner_client_fd(worker->runner)) != 0 ||
        uv_poll_start(&worker->runner_poll, UV_READABLE, on_runner) != 0) {
        return complain(program, "cannot be watched");
    }
    return true;
}

/* Bounds on strangers, from the configuration. */
static void fill_resources(const struct config *config, struct resource_limits *ret_limits) {
    *ret_limits = (struct resource_limits)RESOURCE_LIMITS_DEFAULT;
    struct admission_limits *admission = &ret_limits->admission;
    admission->connections_inbound_max = (size_t)config->connections;
    admission->connections_per_ip_max = (size_t)config->connections_per_ip;
    admission->connections_per_ip6_48_max = (size_t)config->connections_per_ip6_48;
    admission->accepts_per_ip_per_second = (uint32_t)config->new_connections_per_second;
    admission->accepts_per_ip_burst = (uint32_t)config->new_connections_burst;
    ret_limits->connections_per_peer_max = (size_t)config->connections_per_peer;
}

bool worker_set_access(struct worker *worker) {
    const struct config *config = worker->config;
    const struct access_rules rules = {.deny_all = config->deny.all,
                                       .denied_prefixes = config->deny.prefixes,
                                       .denied_prefix_count = config->deny.prefix_count,
                                       .allowed_prefixes = config->allow.prefixes,
                                       .allowed_prefix_count = config->allow.prefix_count,
                                       .denied_peers = config->deny.peers,
                                       .denied_peer_count = config->deny.peer_count,
                                       .allowed_peers = config->allow.peers,
                                       .allowed_peer_count = config->allow.peer_count};
    return peer_set_access(host_peer(worker->host), &rules, host_now()) == 0 ||
           complain("access lists", "no memory");
}

static bool start_host(struct worker *worker) {
    static const char *const protocols[] = {JOB_PROTOCOL};
    const struct config *config = worker->config;
    struct resource_limits resources;
    fill_resources(config, &resources);
    struct host_config host = {.loop = &worker->loop,
                               .listen = config->listen,
                               .listen_count = config->listen_count,
                               .signer = worker->signer,
                               .memory = &worker->memory,
                               .agent = WORKER_AGENT,
                               .kad_protocol = config->kad_protocol,
                               .kad_server = true,
                               .perf_server = config->perf,
                               .protocols = protocols,
                               .protocol_count = 1,
                               .log = daemon_log_sink(),
                               .resources = &resources,
                               .network_bytes_max = (size_t)config->network_memory_bytes,
                               .on_event = on_event,
                               .context = worker};
    struct host_fault fault;
    int error = host_new(&host, &worker->host, &fault);
    if (error == 0) {
        return worker_set_access(worker);
    }
    char address[MULTIADDR_TEXT_MAX] = "network";
    if (fault.address.netaddr.family != NETADDR_NONE) {
        struct multiaddr refused;
        host_address_to_multiaddr(&fault.address, &refused);
        if (multiaddr_format(&refused, address, sizeof(address)) != 0) {
            return complain("network", strerror(fault.system_error));
        }
    }
    return complain(address,
                    error == PLASM_IO ? strerror(fault.system_error) : plasm_error_message(error));
}

/* Full multiaddrs, one a line, written aside and renamed: who waits for the file finds all of it.
 */
static bool print_addresses(struct worker *worker) {
    const char *path = worker->config->print_addresses;
    FILE *file = worker->address_file;
    char aside[STATE_PATH_SIZE];
    if (file == NULL) {
        return true;
    }
    snprintf(aside, sizeof(aside), "%s.new", path);
    worker->address_file = NULL;
    for (size_t i = 0; i < worker->address_count; i++) {
        struct multiaddr address = worker->addresses[i];
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_append(&address, MULTIADDR_P2P, peer_id_bytes(&worker->id)) == 0 &&
            multiaddr_format(&address, text, sizeof(text)) == 0) {
            (void)fprintf(file, "%s\n", text);
        }
    }
    if (fclose(file) != 0 || rename(aside, path) != 0) {
        return complain(path, strerror(errno));
    }
    return true;
}

/* A worker without it still works. */
static void start_mdns(struct worker *worker) {
    size_t networks = 0;
    if (!worker->config->mdns) {
        return;
    }
    if (host_mdns_start(worker->host) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "mdns: not on the local network: %s", strerror(errno));
        return;
    }
    (void)host_mdns_peers(worker->host, &networks);
    if (networks > 0) {
        daemon_log(LOG_LEVEL_INFO, "mdns: announced on %zu local network%s", networks,
                   networks == 1 ? "" : "s");
    }
}

static bool go_public(struct worker *worker) {
    const struct config *config = worker->config;
    struct host_address listening[HOST_LISTENING_MAX];
    size_t count = host_listening(worker->host, listening, HOST_LISTENING_MAX);
    for (size_t i = 0; i < count; i++) {
        struct multiaddr address;
        char text[MULTIADDR_TEXT_MAX];
        host_address_to_multiaddr(&listening[i], &address);
        if (multiaddr_format(&address, text, sizeof(text)) == 0) {
            daemon_log(LOG_LEVEL_INFO, "Listening on %s", text);
        }
    }
    worker->address_count =
        host_publish_addresses(worker->host, worker->addresses, PEER_OWN_ADDRESSES_MAX);
    worker_look_at_policy(worker);
    worker->published_slots = capability_bucket(worker_free_slots(worker));
    worker_publish(worker);
    daemon_log(LOG_LEVEL_INFO, "Advertising capabilities: arch=%s, runtime=%s", worker->arch,
               RUNNER_RUNTIME);
    struct buffer table;
    buffer_init(&table, &worker->memory, KAD_EXPORT_SIZE_MAX);
    if (store_get_table(worker->store, &table) == 0 &&
        peer_routing_import(host_peer(worker->host), buffer_bytes(&table), host_now()) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "kad: the saved routing table is damaged");
    }
    buffer_done(&table);
    daemon_log(LOG_LEVEL_INFO, "kad: bootstrap from %zu addresses", config->bootstrap_count);
    peer_bootstrap(host_peer(worker->host), config->bootstrap, config->bootstrap_count, host_now());
    relays_start(worker);
    announce_start(worker);
    start_mdns(worker);
    reach_start(worker);
    return print_addresses(worker);
}

static bool start_loop(struct worker *worker) {
    if (uv_loop_init(&worker->loop) != 0 ||
        alarm_init(&worker->alarm, &worker->loop, on_alarm, worker) != 0 ||
        uv_prepare_init(&worker->loop, &worker->prepare) != 0 ||
        /* The first that is started is the last to be called: after the host's. */
        uv_prepare_init(&worker->loop, &worker->log_prepare) != 0 ||
        uv_prepare_start(&worker->log_prepare, on_log_prepare) != 0 ||
        uv_timer_init(&worker->loop, &worker->publish_timer) != 0 ||
        uv_timer_init(&worker->loop, &worker->restart_timer) != 0) {
        return complain("event loop", "cannot be made");
    }
    static const struct {
        int number;
        uv_signal_cb handler;
    } signals[] = {
        {SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGUSR1, on_status}, {SIGHUP, on_hangup}};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (uv_signal_init(&worker->loop, &worker->signals[i]) != 0 ||
            uv_signal_start(&worker->signals[i], signals[i].handler, signals[i].number) != 0) {
            return complain("signals", "cannot be watched");
        }
        worker->signals[i].data = worker;
    }
    return true;
}

static bool start(struct worker *worker, char program[CONFIG_PATH_SIZE]) {
    struct utsname name;
    (void)uname(&name);
    snprintf(worker->arch, sizeof(worker->arch), "%.32s", name.machine);
    return start_loop(worker) && make_state_dir(worker->config) && open_addresses(worker) &&
           status_open(worker) && start_signer(worker) && open_stores(worker) &&
           start_runner(worker, program) && start_host(worker) && status_start(worker) &&
           go_public(worker);
}

static void close_handle(uv_handle_t *handle, void *context) {
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* None of them calls back any more: what they would look at is about to be freed. */
static void close_own_handles(struct worker *worker) {
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&worker->prepare,       (uv_handle_t *)&worker->log_prepare,
        (uv_handle_t *)&worker->publish_timer, (uv_handle_t *)&worker->restart_timer,
        (uv_handle_t *)&worker->signals[0],    (uv_handle_t *)&worker->signals[1],
        (uv_handle_t *)&worker->signals[2],    (uv_handle_t *)&worker->signals[3],
        (uv_handle_t *)&worker->runner_poll,   (uv_handle_t *)&worker->sign_poll,
    };
    /* libuv gives each back its default action, which is to end the process. */
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
        if (uv_handle_get_type(handles[i]) != UV_UNKNOWN_HANDLE) { /* the start got so far */
            uv_close(handles[i], NULL);
        }
    }
    if (worker->alarm.loop != NULL) {
        alarm_close(&worker->alarm, NULL, NULL);
    }
    /* Without a handle they would end the process before the store is closed. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
}

static void stop(struct worker *worker) {
    if (worker->host != NULL) {
        save_table(worker);
        sign_client_settle(worker->signer_link.client, SETTLE_TIME);
    }
    close_own_handles(worker);
    status_stop(worker);
    (void)signal(SIGUSR1, SIG_IGN); /* nobody listens any more, and it must not end us */
    (void)signal(SIGHUP, SIG_IGN);
    host_free(worker->host); /* says goodbye; sessions hear of it no more */
    reach_stop(worker);      /* may wait for the router */
    sessions_cut(worker);
    jobs_free(worker);
    sessions_free(worker);
    runner_client_free(worker->runner);
    modules_close(worker->modules);
    store_close(worker->store);
    signer_link_done(&worker->signer_link);
    (void)uv_run(&worker->loop, UV_RUN_NOWAIT);
    uv_walk(&worker->loop, close_handle, NULL);
    (void)uv_run(&worker->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&worker->loop);
    heap_done(&worker->deadlines);
    map_done(&worker->jobs);
    scheduler_done(&worker->turns);
    scheduler_done(&worker->compile_turns);
    held_done(&worker->held);
}

int worker_run(struct config *config,
               bool (*configure)(void *context, struct config *config,
                                 char fault[CONFIG_FAULT_SIZE]),
               void *context) {
    struct worker *worker = calloc(1, sizeof(*worker));
    ENSURE(worker != NULL);
    worker->config = config;
    worker->configure = configure;
    worker->configure_context = context;
    worker->started_at = host_now();
    worker->status_fd = -1;
    worker->memory_bytes_max = config->memory_bytes;
    worker->module_bytes_max = config->module_bytes;
    memory_init(&worker->memory, WORKER_MEMORY_MAX);
    uint64_t secret[2];
    host_random((struct span){(uint8_t *)secret, sizeof(secret)});
    map_init(&worker->jobs, &worker->memory, secret);
    heap_init(&worker->deadlines, &worker->memory);
    list_init(&worker->sessions);
    list_init(&worker->compiling);
    scheduler_init(&worker->turns, &worker->memory, secret);
    scheduler_init(&worker->compile_turns, &worker->memory, secret);
    held_init(&worker->held, &worker->memory, secret);
    worker->queue_news.kind = DEADLINE_QUEUE;
    worker->drain.deadline.kind = DEADLINE_DRAIN;
    char program[CONFIG_PATH_SIZE];
    daemon_log(LOG_LEVEL_INFO, "Starting Phase daemon v%s", WORKER_VERSION);
    if (!prepare_helpers(worker, program)) {
        free(worker);
        return 1;
    }
    bool started = start(worker, program);
    if (started) {
        (void)uv_prepare_start(&worker->prepare, on_prepare);
        (void)uv_timer_start(&worker->publish_timer, on_publish, PUBLISH_INTERVAL_MS,
                             PUBLISH_INTERVAL_MS);
        daemon_log_hold(true);
        (void)uv_run(&worker->loop, UV_RUN_DEFAULT);
        daemon_log_hold(false);
        daemon_log(LOG_LEVEL_INFO, "Stopped");
    }
    stop(worker);
    free(worker);
    return started ? 0 : 1;
}
