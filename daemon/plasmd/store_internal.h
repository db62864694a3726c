/* What the files of the store share. Nothing else includes this.
 *
 * The main thread queues rows and reads; a thread of its own takes all that is queued and commits
 * it at once (store_writer.c). Until it is committed a row is in the tail (store_tail.h), so that
 * it survives the death of the process. */
#ifndef PLASMD_STORE_INTERNAL_H
#define PLASMD_STORE_INTERNAL_H

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

#include "plasmd/store.h"
#include "plasmd/store_recent.h"
#include "plasmd/store_tail.h"

/* A database so large is not looked through at every start. */
#define STORE_CHECK_BYTES_MAX ((int64_t)64 << 20)
/* A failed commit is tried again after so long. */
#define STORE_RETRY_MS 1000
/* What was committed is with the disk after so long at the latest. */
#define STORE_SYNC_MS           1000
#define STORE_PRUNE_INTERVAL_MS 60000
/* The first schema that has what an audit reads. */
#define STORE_AUDIT_VERSION 2
#define STORE_FAULT_SIZE    512

enum row_kind { ROW_ACCEPTED, ROW_FINISHED, ROW_TABLE };

/* One row to be written; also, without `next`, the form in the tail. */
struct row {
    struct row *next;
    uint64_t size; /* of `bytes` */
    enum row_kind kind;
    int64_t number;
    int64_t unix_ms;
    union {
        struct {
            int64_t key;
            struct peer_id client;
            char prefix[STORE_PREFIX_SIZE];
            char job_id[JOB_ID_SIZE];
            struct sha256_digest manifest_hash;
            struct sha256_digest module_hash;
            struct sha256_digest fetch_hash;
            bool fetchable;
            int64_t expires_s;
            uint64_t bytes_in;
            uint64_t price;
        } accepted;
        struct {
            uint8_t signature[ED25519_SIGNATURE_SIZE];
            uint8_t summary[ED25519_SIGNATURE_SIZE];
            bool has_summary;
            bool output_kept;
            enum job_status status;
            int64_t exit_code;
            int64_t started_ms;
            uint64_t wall_us;
            uint64_t fuel;
            uint64_t bytes_out;
            uint64_t cost;
            uint64_t receipt_size; /* of `bytes`; the rest is the output */
        } finished;
    };
    uint8_t bytes[]; /* receipt and output, or table */
};
/* The tail has rows as they lie in memory: a process may find those of the one before it. */
static_assert(offsetof(struct row, bytes) == 304, "another layout: change TAIL_MAGIC, too");

struct store {
    struct store_settings settings;
    char path[STORE_PATH_SIZE];
    sqlite3 *database; /* the writer's */
    sqlite3 *reader;   /* the main thread's */
    sqlite3_stmt *find;
    sqlite3_stmt *find_manifest;
    struct store_tail tail;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex: */
    struct row *first;
    struct row *last;
    struct row *writing; /* taken by the writer, not committed */
    size_t pending;
    bool stopping;
    bool failing; /* the last commit failed: nothing new is taken */
    /* The main thread's: */
    int64_t next_number;
    int64_t opened_ms; /* by the wall clock */
    struct recent recent;
    /* The writer's: */
    uint64_t outputs_bytes; /* in the table */
};

/* store_schema.c */
/* Opens one connection. False: `fault` says what to do. */
bool store_connect(const char *path, bool create, sqlite3 **ret_database, char *fault,
                   size_t fault_size);
/* Looks for damage, and brings the schema up to date. */
bool store_prepare(sqlite3 *database, const char *path, char *fault, size_t fault_size);
/* What `database`'s last error means and what to do about it. */
void store_fault(sqlite3 *database, const char *path, char *fault, size_t fault_size);
bool store_execute(sqlite3 *database, const char *sql);
/* The first column of the first row; false where there is none. */
bool store_integer(sqlite3 *database, const char *sql, int64_t *ret_integer);

/* store_writer.c */
/* Writes what the last process left in the tail, and notes what was lost with it. */
bool store_recover(struct store *store, char *fault, size_t fault_size);
/* The thread. `context` is the store. */
void *store_write(void *context);
void store_free_rows(struct row *row);

/* store_prune.c */
/* Deletes what is too old or too much, a piece at a time; true: there is more to do. A failure
 * waits for the next time. */
bool store_prune(struct store *store, int64_t now_ms);

#endif
