/* The worker: one plasmd, its peer, processes and stores, on one loop. */
#ifndef PLASMD_WORKER_H
#define PLASMD_WORKER_H

#include "host/alarm.h"
#include "host/host.h"
#include "plasmd/config.h"
#include "plasmd/held.h"
#include "plasmd/metrics.h"
#include "plasmd/modules.h"
#include "plasmd/scheduler.h"
#include "plasmd/signer_link.h"
#include "plasmd/store.h"
#include "receipt/manifest.h"
#include "util/heap.h"
#include "util/list.h"
#include "util/map.h"

#define WORKER_VERSION PLASM_VERSION
#define WORKER_AGENT   "plasmd/" PLASM_VERSION
/* What peers may make this process hold, all connections and jobs together. */
#define WORKER_MEMORY_MAX ((size_t)2 * 1024 * 1024 * 1024)

enum deadline_kind { DEADLINE_SESSION, DEADLINE_JOB, DEADLINE_QUEUE, DEADLINE_DRAIN };
struct deadline {
    struct heap_node node;
    enum deadline_kind kind;
};

enum drain_phase { DRAIN_NONE, DRAIN_RUNNING, DRAIN_KILLING, DRAIN_LINGERING };
struct drain {
    struct deadline deadline;
    enum drain_phase phase;
    bool at_once; /* jobs have ended without their runners */
};

struct worker {
    struct config *config;
    bool (*configure)(void *context, struct config *config, char fault[CONFIG_FAULT_SIZE]);
    void *configure_context;
    uint64_t memory_bytes_max; /* what plasm-run was started for */
    uint64_t module_bytes_max;
    uv_loop_t loop;
    struct memory memory;
    struct signer *signer;
    struct peer_id id;
    char id_text[PEER_ID_TEXT_MAX];
    char arch[ARCH_SIZE];
    struct host *host;
    struct store *store;
    struct modules *modules;
    struct signer_link signer_link;
    uv_poll_t sign_poll;
    FILE *address_file; /* that print_addresses is written to first, or NULL */
    struct runner_client *runner;
    uv_poll_t runner_poll;
    struct alarm alarm; /* jobs' and the runner's deadlines */
    uv_prepare_t prepare;
    uv_prepare_t log_prepare;
    uv_timer_t publish_timer;
    uv_timer_t restart_timer; /* of plasm-run */
    uv_signal_t signals[4];
    struct list sessions;
    struct map jobs;                /* not ended, by client and job id */
    struct scheduler turns;         /* of jobs, for a runner */
    struct scheduler compile_turns; /* and for the compiler */
    struct list compiling;          /* jobs whose module is not ready */
    struct deadline queue_news;     /* when those who wait are told where they stand */
    struct heap deadlines;
    size_t running;
    size_t job_count;
    struct held held; /* modules and inputs of sessions and jobs */
    uint64_t census;  /* the lookup that counts the workers, 0 for none */
    nanos next_census;
    bool is_crowded; /* so many that we are under our shard's tag only */
    uint64_t capability_seq;
    size_t address_count;
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    struct portmap *portmap; /* NULL: nothing is asked for */
    size_t mapped_count;     /* ports that the router forwards */
    uint64_t published_slots;
    enum policy_pause pause; /* as the operator's rules say, now and then looked at */
    bool runner_ready;
    bool said_ready; /* to who started us: once the sandbox is there, so that jobs are taken */
    bool stopping;   /* takes no new offers: drain.h */
    struct drain drain;
    int exit_code;
    nanos started_at;
    struct metrics metrics;
    int status_fd; /* the status page's port until it is served; -1: none */
    struct http *http;
    char walls[RUNNER_WALLS_TEXT_SIZE]; /* around plasm-run; "": it is not ready */
};

/* Runs until it is told to stop. The exit code. `configure` reads the configuration again, from
 * where `config` came. */
int worker_run(struct config *config,
               bool (*configure)(void *context, struct config *config,
                                 char fault[CONFIG_FAULT_SIZE]),
               void *context);

/* reach.c */
/* Asks the router to forward our ports, where that makes sense. */
void reach_start(struct worker *worker);
void reach_stop(struct worker *worker);
/* Our addresses are others now: takes them, and logs in short how we are reached. */
void reach_changed(struct worker *worker);

/* session.c */
void session_opened(struct worker *worker, struct peer_stream *stream, nanos now);
void session_event(struct worker *worker, const struct peer_event *event, nanos now);

/* The peer is gone, and every stream with it. */
void sessions_cut(struct worker *worker);
/* Frees those that no job holds: after jobs_free all. */
void sessions_free(struct worker *worker);

/* announce.c: what the DHT knows us under */
/* relays.c */
/* Adds the operator's relays, and serves as one where the configuration says so. */
void relays_start(struct worker *worker);
/* PEER_EVENT_REACHABILITY and PEER_EVENT_RELAYED. */
void relays_event(struct worker *worker, const struct peer_event *event);

void announce_start(struct worker *worker);
void announce_expire(struct worker *worker, nanos now);
/* A lookup ended. */
void announce_event(struct worker *worker, const struct peer_event *event);

/* job.c */
void jobs_runner_event(struct worker *worker, const struct runner_event *event, nanos now);
/* queue.c: compiles and starts what waits, as far as there is room. */
void jobs_schedule(struct worker *worker, nanos now);
/* Ends every job and frees it: the process is stopping. */
void jobs_free(struct worker *worker);
/* Timers of sessions and jobs. */
void worker_expire(struct worker *worker, nanos now);
/* Gives the peer the access lists of the configuration. */
bool worker_set_access(struct worker *worker);
/* Makes and signs the capability record anew. */
void worker_publish(struct worker *worker);
/* Looks whether the operator's rules lend the machine now; says so where that has changed. */
void worker_look_at_policy(struct worker *worker);
/* The bounds of the configuration. */
void worker_limits(const struct worker *worker, struct worker_limits *ret_limits);
/* Free slots as of now. */
uint64_t worker_free_slots(const struct worker *worker);

#endif
