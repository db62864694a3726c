/* What a client asks of whom: finding workers through the DHT and having jobs run, without I/O. It
 * sits on a peer that somebody else drives, a host or a simulator: give it every event of the peer,
 * its time, and look at the states of what was started. */
#ifndef CLIENT_CORE_CORE_H
#define CLIENT_CORE_CORE_H

#include "peer/peer.h"
#include "proto/capability/capability.h"
#include "proto/job/client.h"
#include "util/list.h"

/* Bounds. */
#define CORE_NODES_MAX      1024 /* workers remembered */
#define CORE_CANDIDATES_MAX 1024 /* providers of one discovery */
#define CORE_MODULES_MAX    16   /* modules remembered to be held by a worker */
#define CORE_AGENT_SIZE     64
#define CORE_TEXT_SIZE      768 /* an explanation for people */
/* A worker that was connected has this long to push its record. */
#define CORE_CAPABILITY_TIMEOUT (1500 * NANOS_MILLISECOND)

struct core;
struct core_job;

struct core_config {
    struct peer *peer; /* borrowed */
    struct memory *memory;
    struct random *random;
    size_t bootstrap_count; /* addresses given to peer_bootstrap; 0: nobody to ask */
    const struct log_sink *log;
};

/* A worker whose record is known and holds. */
struct core_node {
    struct list_node node;
    struct core *core;
    struct peer_id id;
    struct peer_connection *connection; /* NULL: not connected now */
    struct capability capability;
    char agent[CORE_AGENT_SIZE];
    nanos connect_time; /* what connecting took, handshake included; 0: it came to us */
    struct sha256_digest modules[CORE_MODULES_MAX];
    size_t module_count;
};

MUST_CHECK int core_new(const struct core_config *config, struct core **ret_core);
/* Jobs must have been freed before. */
void core_free(struct core *core);

/* The peer's events, time of day included; every one of them, in order. */
void core_handle(struct core *core, const struct peer_event *event, nanos now, int64_t unix_ms);
nanos core_deadline(const struct core *core);
void core_expire(struct core *core, nanos now);

/* --- Discovery: one at a time -------------------------------------------------------------- */

struct core_discovery_options {
    struct capability_query query; /* strings are borrowed until it is done */
    size_t count_max;              /* done at so many that match */
    nanos timeout;
    nanos settle; /* after the first match wait so long for more; NANOS_NEVER: for all there are */
};

/* Somebody on the local network may be found until then: nobody is given up before. */
void core_expect_nearby(struct core *core, nanos until);
/* Begins; a discovery under way is given up. What is known already counts. */
void core_discover(struct core *core, const struct core_discovery_options *options, nanos now);
bool core_discover_done(const struct core *core);
/* Walks the known workers that match the query: NULL gives the first. */
const struct core_node *core_next_match(const struct core *core,
                                        const struct capability_query *query,
                                        const struct core_node *after);
/* What went wrong where, one line each, for people; empty when nothing did. */
struct bytes core_tried(const struct core *core);

/* --- Jobs ----------------------------------------------------------------------------------- */

enum core_job_state {
    CORE_JOB_DISCOVERING, /* no node was named */
    CORE_JOB_CONNECTING,
    CORE_JOB_OFFERED,
    CORE_JOB_ACCEPTED,
    CORE_JOB_FINISHED, /* `verdict` says whether the receipt holds */
    CORE_JOB_REJECTED,
    CORE_JOB_FAILED,
    CORE_JOB_ESTIMATED, /* a dry run that would be accepted */
};

struct core_submission {
    /* Whom: a peer id and/or addresses; neither: the first worker found that matches. */
    const struct peer_id *node;
    const struct multiaddr *addresses;
    size_t address_count;
    struct manifest manifest; /* limits, args, profile ...; job_id, nonce, hashes are filled here
                                 where they are empty */
    struct bytes module;      /* copied */
    struct bytes input;       /* copied */
    bool want_summary;
    bool dry_run; /* only ask whether it would be accepted: the manifest has all but what every
                     offer has of its own; module and input are not looked at */
    uint64_t stdin_size; /* of a dry run */
    bool fetch_only;     /* ask again for a job that is known: module and input are not sent */
    struct bytes fetch_secret; /* with it */
    nanos timeout;             /* until it is accepted */
};

struct core_job_times {
    nanos begun;
    nanos found; /* a node was chosen */
    nanos offered;
    nanos accepted;
    nanos finished;
};

/* Everything there is to know of a job; filled as it becomes known. */
struct core_job_view {
    enum core_job_state state;
    struct peer_id node;
    struct multiaddr remote; /* size 0 before it is connected */
    struct bytes manifest_json;
    const char *job_id;
    struct sha256_digest manifest_hash;
    struct sha256_digest module_hash;
    const uint8_t *fetch_secret; /* FETCH_SECRET_SIZE bytes */
    struct job_limits limits;    /* it runs under, once accepted */
    bool clamped;                /* they are lower than was asked */
    /* FINISHED */
    enum verdict verdict;
    struct fault fault;
    bool output_given; /* all of it, and it was checked; false: resumed without it */
    const struct receipt *receipt;
    struct bytes receipt_json;
    const uint8_t *signature;
    const uint8_t *public_key;
    const uint8_t *summary_signature; /* NULL: none */
    struct bytes message;
    /* REJECTED, FAILED */
    int error;
    const char *text;
    uint64_t retry_after_ms;
    enum job_rejection code;
    bool has_worker_limits; /* REJECTED: what the worker allows */
    struct worker_limits worker_limits;
    struct job_estimate estimate; /* ESTIMATED */
    const struct manifest *manifest;
    struct core_job_times times;
};

/* PLASM_INVALID with the field in `fault`, PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
MUST_CHECK int core_submit(struct core *core, const struct core_submission *submission, nanos now,
                           int64_t unix_ms, struct core_job **ret_job, struct fault *fault);
void core_job_view(const struct core_job *job, struct core_job_view *ret_view);
/* The next piece of output, borrowed until the next call; false when none is there now. */
bool core_job_output(struct core_job *job, enum job_stream *ret_stream, struct bytes *ret_data);
/* Gives back credit for the piece given last: more may come. */
void core_job_output_taken(struct core_job *job);
/* Finished, rejected or failed. */
bool core_job_over(const struct core_job *job);
/* The wall time that was asked for. */
uint64_t core_job_wall_ms(const struct core_job *job);
void core_job_cancel(struct core_job *job, nanos now);
/* A job that has not ended is abandoned: the worker lets it run on for its grace. */
void core_job_free(struct core_job *job, nanos now);

#endif
