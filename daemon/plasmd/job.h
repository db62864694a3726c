/* Sessions and jobs: a session is one client's stream, a job is one run. The session that offered
 * a job owns it; others of the same client may watch it. */
#ifndef PLASMD_JOB_H
#define PLASMD_JOB_H

#include "plasmd/worker.h"
#include "proto/job/worker.h"

#define JOB_KEY_SIZE (PEER_ID_SIZE_MAX + JOB_ID_SIZE)

struct job;

enum deadline_kind { DEADLINE_SESSION, DEADLINE_JOB };
struct deadline {
    struct heap_node node;
    enum deadline_kind kind;
};

struct session {
    struct worker *worker;
    struct list_node node;    /* in worker->sessions */
    struct list_node watcher; /* in job->watchers */
    struct deadline deadline;
    struct peer_stream *stream; /* NULL: the client is gone */
    struct peer_id client;
    struct job_worker machine;
    struct job *job;
    bool owner;
    struct buffer module; /* as it comes in */
    struct buffer input;
    uint64_t held_bytes;
    struct block *unsent;
    size_t unsent_offset;
    bool unsent_fin;
    bool fin_sent;
};

enum job_phase { JOB_COMPILING, JOB_WAITING, JOB_RUNNING, JOB_ENDED };

struct job {
    struct worker *worker;
    struct map_node node; /* in worker->jobs */
    uint8_t key[JOB_KEY_SIZE];
    size_t key_size;
    struct list_node queued;  /* in worker->queue */
    struct deadline deadline; /* of the grace after the connection was lost */
    struct session *owner;    /* kept until the job has ended: holds the manifest */
    struct list watchers;     /* sessions, the owner's too */
    enum job_phase phase;
    struct job_limits limits;
    enum runner_flavour flavour;
    struct module *module;
    struct runner_job *run;
    struct hash *stdout_hash;
    struct hash *stderr_hash;
    struct buffer backlog; /* output the owner's machine had no room for */
    enum job_stream backlog_stream;
    bool paused;
    bool cancelled;
    int64_t started_ms;
    int64_t number; /* the store's */
    /* Once it is over, until its output is sent: */
    bool over;
    struct runner_result result;
    char result_text[RUNNER_TEXT_SIZE_MAX + 1];
};

/* Accepts what the session's machine says is ready. */
void job_start(struct session *session, nanos now);
struct job *job_find(struct worker *worker, const struct peer_id *client, const char *job_id);
/* The owner's client wants it stopped. */
void job_cancel(struct job *job, nanos now);
/* The last watcher is gone: the grace begins. */
void job_lost(struct job *job, nanos now);
/* The owner's machine has room again. */
void job_writable(struct job *job, nanos now);
void job_expire(struct job *job, nanos now);
void job_free(struct job *job);

/* session.c: transmit what a machine has, take its events. */
void session_pump(struct session *session, nanos now);
/* The session's job has ended or there is none: it may go once its stream is over. */
void session_release(struct session *session);
void session_expire(struct session *session, nanos now);

#endif
