/* Sessions and jobs: a session is one client's stream, a job is one run. The session that offered
 * a job owns it; others of the same client may watch it. */
#ifndef PLASMD_JOB_H
#define PLASMD_JOB_H

#include "plasmd/kept_output.h"
#include "plasmd/worker.h"
#include "proto/job/worker.h"

#define JOB_KEY_SIZE (PEER_ID_SIZE_MAX + JOB_ID_SIZE)

struct job;

struct session {
    struct worker *worker;
    struct list_node node;    /* in worker->sessions */
    struct list_node watcher; /* in job->watchers */
    struct deadline deadline;
    struct peer_stream *stream; /* NULL: the client is gone */
    struct peer_id client;
    uint8_t share[SCHEDULER_SHARE_SIZE_MAX]; /* whose claim on the machine its jobs are */
    size_t share_size;
    struct job_worker machine;
    struct job *job;
    bool owner;
    bool busy;            /* its events are being taken */
    struct buffer module; /* as it comes in */
    struct buffer input;
    uint64_t held_bytes; /* in worker->held */
    nanos stuck_since;   /* its last words wait for a client that does not read; 0: they do not */
    struct block *unsent;
    size_t unsent_offset;
    bool unsent_fin;
    bool fin_sent;
    struct replay *replay; /* the answer for a job that is over */
};

enum job_phase { JOB_COMPILING, JOB_WAITING, JOB_RUNNING, JOB_ENDED /* its receipt is signed */ };

struct job {
    struct worker *worker;
    struct map_node node; /* in worker->jobs */
    uint8_t key[JOB_KEY_SIZE];
    size_t key_size;
    struct list_node compiles; /* in worker->compiling */
    struct scheduler_job turn; /* in worker->turns */
    struct scheduler_job compile_turn;
    enum job_state told_state; /* what its client knows */
    uint64_t told_position;
    nanos accepted_at;
    /* Of the grace after the connection was lost, of the wait for a client that does not read. */
    struct deadline deadline;
    struct session *owner; /* kept until the job has ended: holds the manifest */
    struct list watchers;  /* sessions, the owner's too */
    enum job_phase phase;
    struct job_limits limits;
    enum runner_flavour flavour;
    struct module *module;
    struct runner_job *run;
    struct hash *stdout_hash;
    struct hash *stderr_hash;
    struct kept_output kept; /* for those who ask again */
    uint64_t price;
    struct buffer backlog; /* output the owner's machine had no room for: stream, size, bytes */
    size_t backlog_begun;  /* bytes of its first piece that are sent */
    uint64_t output_bytes;
    bool paused;
    bool cancelled;
    const char *stop_text; /* why the worker itself stopped it; NULL: it did not */
    nanos run_since;
    int64_t started_ms;
    int64_t number; /* the store's */
    /* Once it is over, until its output is sent: */
    bool over;
    struct job_receipt *receipt; /* being signed, or NULL */
    struct runner_result result;
    char result_text[RUNNER_TEXT_SIZE_MAX + 1];
};

/* Accepts what the session's machine says is ready. */
void job_start(struct session *session, nanos now);
struct job *job_find(struct worker *worker, const struct peer_id *client, const char *job_id);
/* Hands the job whose turn it is to a runner; it may be gone afterwards. False: none is free. */
MUST_CHECK bool job_run(struct job *job, nanos now);
/* Ends and frees a job that never ran. */
void job_end_without_run(struct job *job, enum runner_status status, const char *text, nanos now);
/* Tells its watchers where it stands, unless they know. */
void job_tell(struct job *job, enum job_state state, uint64_t position, nanos now);
/* The one with this manifest, whoever's it is. */
struct job *job_find_manifest(struct worker *worker, const struct sha256_digest *manifest_hash);
/* The owner's client wants it stopped. */
void job_cancel(struct job *job, nanos now);
/* The worker has to stop it: it fails with this text, a literal. */
void job_stop(struct job *job, const char *text, nanos now);
/* It is over and its output is not read: it ends without. */
void job_give_up_reader(struct job *job, nanos now);
/* The last watcher is gone: the grace begins; or nobody is there to read the rest of its output. */
void job_lost(struct job *job, nanos now);
/* The owner's machine has room again. */
void job_writable(struct job *job, nanos now);
void job_expire(struct job *job, nanos now);
void job_free(struct job *job);

/* session.c: transmit what a machine has, take its events. */
void session_pump(struct session *session, nanos now);
/* Ends the stream as if the connection was lost. */
void session_cut(struct session *session, nanos now);
/* Counts bytes this session holds; false when it may not. */
MUST_CHECK bool session_hold(struct session *session, uint64_t bytes);
/* They are held no more. */
void session_let_go(struct session *session, uint64_t bytes);
/* The session's job has ended or there is none: it may go once its stream is over. */
void session_release(struct session *session);
void session_expire(struct session *session, nanos now);

#endif
