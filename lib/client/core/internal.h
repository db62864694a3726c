/* What the files of the client's core share. */
#ifndef CLIENT_CORE_INTERNAL_H
#define CLIENT_CORE_INTERNAL_H

#include "client/core/core.h"
#include "util/buffer.h"

/* A provider on its way to be a node. */
struct core_candidate {
    struct list_node node;
    struct peer_id id;
    uint64_t request; /* its dial, 0 when there is none */
    nanos begun;
    nanos deadline; /* of its record, once connected; NANOS_NEVER before */
    bool settled;   /* a node, or failed */
};

/* Shards asked at the same time. */
#define CORE_LOOKUPS_MAX 4

struct core_discovery {
    bool active;
    bool done;
    struct core_discovery_options options;
    nanos deadline;
    nanos settled_at; /* of the first match plus settle; NANOS_NEVER before */
    size_t lookup_count;
    uint64_t lookups[CORE_LOOKUPS_MAX]; /* under way */
    bool looked_up;
    bool sharded;        /* the first key gave as much as it gives: the rest is in the shards */
    size_t shards_asked; /* CAPABILITY_SHARDS: all, or there is no need to */
};

struct core {
    struct core_config config;
    struct memory *memory;
    struct list nodes;
    struct list candidates;
    struct list jobs;
    struct core_discovery discovery;
    size_t bootstrap_failures; /* addresses that failed since somebody was connected */
    struct buffer tried;
    nanos now;          /* of the latest call */
    nanos nearby_until; /* peers on the local network may still turn up; 0: nobody looks */
};

enum core_wait {
    WAIT_NOTHING,
    WAIT_CONNECT,
    WAIT_LOOKUP,
    WAIT_NETWORK, /* nobody could be asked: until a peer is known */
};

struct core_job {
    struct core *core;
    struct list_node node;
    enum core_job_state state;
    struct manifest manifest;
    bool owns_manifest;
    struct buffer manifest_json;
    struct sha256_digest manifest_hash;
    uint8_t fetch_secret[FETCH_SECRET_SIZE];
    struct block *module;
    struct block *input;
    bool want_summary;
    bool fetch_only;
    bool dry_run;
    uint64_t stdin_size;
    bool module_known;
    struct peer_id target; /* size 0: any identity, or any worker */
    size_t address_count;
    struct multiaddr *addresses;
    bool any_worker;
    struct job_limits limits;
    bool clamped;
    uint64_t request; /* of the dial or lookup under way */
    enum core_wait waits;
    nanos deadline; /* until accepted */

    struct peer_stream *stream;
    struct multiaddr remote;
    bool has_client;
    struct job_client client;
    struct block *unsent;
    size_t unsent_size; /* filled part of it */
    size_t unsent_offset;
    bool unsent_fin;
    bool fin_sent;

    struct buffer output; /* records: stream, size, bytes */
    size_t output_taken;  /* size of the record given last, 0 when none is out */
    size_t uncredited;    /* received bytes the worker has no credit for yet */

    enum verdict verdict;
    bool output_given;
    struct fault fault;
    struct receipt receipt;
    struct buffer receipt_json;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    bool has_summary;
    uint8_t summary_signature[ED25519_SIGNATURE_SIZE];
    struct buffer message;
    int error;
    char text[CORE_TEXT_SIZE];
    uint64_t retry_after_ms;
    enum job_rejection code;
    bool has_worker_limits;
    struct worker_limits worker_limits;
    struct job_estimate estimate;
    struct core_job_times times;
};

/* discovery.c */
void discovery_handle(struct core *core, const struct peer_event *event, nanos now,
                      int64_t unix_ms);
void discovery_expire(struct core *core, nanos now);
nanos discovery_deadline(const struct core *core);
void discovery_free(struct core *core);
/* Every address to begin with has failed, nobody on the local network turned up in time, and nobody
 * is connected. */
bool core_is_cut_off(const struct core *core);
struct core_node *core_node_get(struct core *core, const struct peer_id *id);

/* job.c */
void job_handle(struct core_job *job, const struct peer_event *event, nanos now);
/* A worker was found, or discovery ended. */
void job_discovered(struct core_job *job, nanos now);
void job_expire(struct core_job *job, nanos now);

#endif
