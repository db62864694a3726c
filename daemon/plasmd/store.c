/* The database behind a writer thread. The main thread queues rows and reads; the writer takes all
 * that is queued and commits it at once. */
#include "plasmd/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plasmd/log.h"
#include "util/ensure.h"

/* Places in each half of the keys of recent jobs, powers of two: at first, and at most. */
#define RECENT_PLACES_MIN 1024
#define RECENT_PLACES_MAX (1U << 20)

enum row_kind { ROW_ACCEPTED, ROW_FINISHED, ROW_TABLE };

/* One row to be written. */
struct row {
    struct row *next;
    enum row_kind kind;
    int64_t number;
    int64_t key;
    struct peer_id client;
    char job_id[JOB_ID_SIZE];
    struct sha256_digest manifest_hash;
    struct sha256_digest fetch_hash;
    bool fetchable;
    int64_t unix_ms;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t summary[ED25519_SIGNATURE_SIZE];
    bool has_summary;
    size_t size;
    uint8_t bytes[]; /* receipt or table */
};

/* The keys of the jobs accepted lately, so that a new offer costs no query. Two halves: the older
 * is dropped when the newer is old enough. Full, it says so and every offer is looked up. */
struct recent_half {
    int64_t *keys; /* open addressing, 0 is empty */
    size_t places;
    size_t count;
    int64_t since_ms;
    bool overrun;
};

struct recent {
    struct recent_half newer;
    struct recent_half older;
};

struct store {
    sqlite3 *database; /* the writer's */
    sqlite3 *reader;   /* the main thread's */
    sqlite3_stmt *find;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct row *first;
    struct row *last;
    struct row *writing; /* taken by the writer, not committed */
    size_t pending;
    bool stopping;
    bool broken;
    int64_t next_number;
    struct recent recent;
};

/* Each entry brings the schema from its index to the next version. Rows are appended in order and
 * found by a small index, so that a job touches few pages however many there are. */
static const char *const migrations[] = {
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY, key INTEGER NOT NULL, client BLOB NOT NULL,"
    " job_id TEXT NOT NULL, manifest_hash BLOB NOT NULL, fetch_hash BLOB,"
    " accepted_ms INTEGER NOT NULL);"
    "CREATE INDEX jobs_key ON jobs (key);"
    "CREATE TABLE receipts (number INTEGER PRIMARY KEY, receipt TEXT NOT NULL,"
    " signature BLOB NOT NULL, summary BLOB);"
    "CREATE TABLE blobs (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
};

/* The index's key of a client and job id; equal keys are told apart by the columns themselves. */
static int64_t key_of(const struct peer_id *client, const char *job_id) {
    uint8_t text[PEER_ID_SIZE_MAX + JOB_ID_SIZE];
    memcpy(text, client->bytes, client->size);
    memcpy(text + client->size, job_id, JOB_ID_SIZE);
    struct sha256_digest digest = sha256(bytes_of(text, client->size + JOB_ID_SIZE));
    int64_t key;
    memcpy(&key, digest.bytes, sizeof(key));
    return key != 0 ? key : 1;
}

static int64_t *recent_place(const struct recent_half *half, int64_t key) {
    size_t place = (size_t)key & (half->places - 1);
    while (half->keys[place] != 0 && half->keys[place] != key) {
        place = (place + 1) & (half->places - 1);
    }
    return &half->keys[place];
}

/* Twice the places; false when that is too many, or memory is out. */
static bool recent_grow(struct recent_half *half) {
    struct recent_half grown = *half;
    grown.places = half->places > 0 ? 2 * half->places : RECENT_PLACES_MIN;
    grown.keys = grown.places <= RECENT_PLACES_MAX ? calloc(grown.places, sizeof(int64_t)) : NULL;
    if (grown.keys == NULL) {
        return false;
    }
    for (size_t i = 0; i < half->places; i++) {
        if (half->keys[i] != 0) {
            *recent_place(&grown, half->keys[i]) = half->keys[i];
        }
    }
    free(half->keys);
    *half = grown;
    return true;
}

static void recent_add(struct recent *recent, int64_t key, int64_t unix_ms) {
    struct recent_half *newer = &recent->newer;
    if (unix_ms - newer->since_ms > STORE_RECENT_S * 1000LL) {
        free(recent->older.keys);
        recent->older = *newer;
        *newer = (struct recent_half){.since_ms = unix_ms};
    }
    if (!newer->overrun && 2 * newer->count >= newer->places && !recent_grow(newer)) {
        newer->overrun = true;
    }
    if (!newer->overrun) {
        *recent_place(newer, key) = key;
        newer->count++;
    }
}

static bool half_may_have(const struct recent_half *half, int64_t key) {
    return half->overrun || (half->places > 0 && *recent_place(half, key) != 0);
}

/* False only for a key that was certainly not added lately. */
static bool recent_may_have(const struct recent *recent, int64_t key) {
    return half_may_have(&recent->newer, key) || half_may_have(&recent->older, key);
}

static bool execute(sqlite3 *database, const char *sql) {
    return sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static int schema_version(sqlite3 *database) {
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        version = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return version;
}

static bool migrate(sqlite3 *database, char *fault, size_t fault_size) {
    int version = schema_version(database);
    int newest = (int)ARRAY_SIZE(migrations);
    if (version < 0) {
        snprintf(fault, fault_size, "%s", sqlite3_errmsg(database));
        return false;
    }
    if (version > newest) {
        snprintf(fault, fault_size,
                 "the database is of a newer plasmd (schema %d, this one knows %d): upgrade plasmd",
                 version, newest);
        return false;
    }
    for (; version < newest; version++) {
        char set[64];
        snprintf(set, sizeof(set), "PRAGMA user_version = %d", version + 1);
        if (!execute(database, "BEGIN IMMEDIATE") || !execute(database, migrations[version]) ||
            !execute(database, set) || !execute(database, "COMMIT")) {
            snprintf(fault, fault_size, "%s", sqlite3_errmsg(database));
            return false;
        }
    }
    return true;
}

static bool open_database(const char *path, sqlite3 **ret_database, char *fault,
                          size_t fault_size) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, ret_database, flags, NULL) != SQLITE_OK) {
        snprintf(fault, fault_size, "%s", sqlite3_errmsg(*ret_database));
        return false;
    }
    (void)sqlite3_busy_timeout(*ret_database, 5000);
    if (!execute(*ret_database, "PRAGMA journal_mode = WAL") ||
        !execute(*ret_database, "PRAGMA synchronous = NORMAL") ||
        /* KiB: rows are appended, and few are read again. */
        !execute(*ret_database, "PRAGMA cache_size = -512")) {
        snprintf(fault, fault_size, "%s", sqlite3_errmsg(*ret_database));
        return false;
    }
    return true;
}

static void bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size) {
    (void)sqlite3_bind_blob(statement, place, bytes, (int)size, SQLITE_STATIC);
}

static bool run(sqlite3_stmt *statement) {
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return done;
}

struct statements {
    sqlite3_stmt *accepted;
    sqlite3_stmt *finished;
    sqlite3_stmt *table;
};

static bool write_row(const struct statements *statements, const struct row *row) {
    switch (row->kind) {
    case ROW_ACCEPTED:
        (void)sqlite3_bind_int64(statements->accepted, 1, row->number);
        (void)sqlite3_bind_int64(statements->accepted, 2, row->key);
        bind_blob(statements->accepted, 3, row->client.bytes, row->client.size);
        (void)sqlite3_bind_text(statements->accepted, 4, row->job_id, -1, SQLITE_STATIC);
        bind_blob(statements->accepted, 5, row->manifest_hash.bytes, SHA256_SIZE);
        if (row->fetchable) {
            bind_blob(statements->accepted, 6, row->fetch_hash.bytes, SHA256_SIZE);
        }
        (void)sqlite3_bind_int64(statements->accepted, 7, row->unix_ms);
        return run(statements->accepted);
    case ROW_FINISHED:
        (void)sqlite3_bind_int64(statements->finished, 1, row->number);
        (void)sqlite3_bind_text(statements->finished, 2, (const char *)row->bytes, (int)row->size,
                                SQLITE_STATIC);
        bind_blob(statements->finished, 3, row->signature, ED25519_SIGNATURE_SIZE);
        if (row->has_summary) {
            bind_blob(statements->finished, 4, row->summary, ED25519_SIGNATURE_SIZE);
        }
        return run(statements->finished);
    case ROW_TABLE:
        bind_blob(statements->table, 1, row->bytes, row->size);
        return run(statements->table);
    }
    return false;
}

static void free_rows(struct row *row) {
    while (row != NULL) {
        struct row *next = row->next;
        free(row);
        row = next;
    }
}

static bool write_batch(struct store *store, const struct statements *statements,
                        const struct row *row) {
    if (!execute(store->database, "BEGIN IMMEDIATE")) {
        return false;
    }
    for (; row != NULL; row = row->next) {
        if (!write_row(statements, row)) {
            (void)execute(store->database, "ROLLBACK");
            return false;
        }
    }
    return execute(store->database, "COMMIT");
}

static bool prepare(struct store *store, struct statements *statements) {
    return sqlite3_prepare_v2(store->database, "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", -1,
                              &statements->accepted, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(store->database, "INSERT INTO receipts VALUES (?, ?, ?, ?)", -1,
                              &statements->finished, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(store->database,
                              "INSERT OR REPLACE INTO blobs VALUES ('routing_table', ?)", -1,
                              &statements->table, NULL) == SQLITE_OK;
}

/* Waits until there is something to write or it is time to stop; then takes all of it, after a
 * pause in which more may come. */
static struct row *take_batch(struct store *store, bool *ret_stopping) {
    (void)pthread_mutex_lock(&store->mutex);
    while (store->first == NULL && !store->stopping) {
        (void)pthread_cond_wait(&store->wake, &store->mutex);
    }
    if (!store->stopping) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += STORE_BATCH_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        while (!store->stopping &&
               pthread_cond_timedwait(&store->wake, &store->mutex, &until) == 0) {
        }
    }
    struct row *batch = store->first;
    store->writing = batch;
    store->first = NULL;
    store->last = NULL;
    store->pending = 0;
    *ret_stopping = store->stopping;
    (void)pthread_mutex_unlock(&store->mutex);
    return batch;
}

static void *write_rows(void *context) {
    struct store *store = context;
    struct statements statements = {NULL, NULL, NULL};
    bool ready = prepare(store, &statements);
    bool stopping = false;
    while (!stopping) {
        struct row *batch = take_batch(store, &stopping);
        bool written = ready && write_batch(store, &statements, batch);
        if (!written) {
            daemon_log(LOG_LEVEL_ERROR,
                       "Database: %s. Jobs are refused until plasmd is restarted; free disk space "
                       "or check the state directory",
                       sqlite3_errmsg(store->database));
        }
        (void)pthread_mutex_lock(&store->mutex);
        store->writing = NULL;
        store->broken = store->broken || !written;
        (void)pthread_mutex_unlock(&store->mutex);
        free_rows(batch);
    }
    (void)sqlite3_finalize(statements.accepted);
    (void)sqlite3_finalize(statements.finished);
    (void)sqlite3_finalize(statements.table);
    return NULL;
}

static void store_free(struct store *store) {
    (void)sqlite3_finalize(store->find);
    (void)sqlite3_close(store->reader);
    (void)sqlite3_close(store->database);
    free(store->recent.newer.keys);
    free(store->recent.older.keys);
    free(store);
}

/* Numbers go on where they ended, and what was accepted lately is known. */
static bool load_recent(struct store *store) {
    sqlite3_stmt *statement = NULL;
    store->next_number = 1;
    bool good = sqlite3_prepare_v2(store->reader, "SELECT max(number) FROM jobs", -1, &statement,
                                   NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (good) {
        store->next_number = sqlite3_column_int64(statement, 0) + 1;
    }
    (void)sqlite3_finalize(statement);
    statement = NULL;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000;
    /* From the newest on: numbers are in the order of acceptance. */
    good = good && sqlite3_prepare_v2(store->reader,
                                      "SELECT key, accepted_ms FROM jobs ORDER BY number DESC", -1,
                                      &statement, NULL) == SQLITE_OK;
    while (good && sqlite3_step(statement) == SQLITE_ROW &&
           sqlite3_column_int64(statement, 1) > now_ms - STORE_RECENT_S * 1000LL) {
        recent_add(&store->recent, sqlite3_column_int64(statement, 0), now_ms);
    }
    (void)sqlite3_finalize(statement);
    return good;
}

bool store_open(const char *path, struct store **ret_store, char *fault, size_t fault_size) {
    struct store *store = calloc(1, sizeof(*store));
    ENSURE(store != NULL);
    bool opened = open_database(path, &store->database, fault, fault_size) &&
                  migrate(store->database, fault, fault_size) &&
                  open_database(path, &store->reader, fault, fault_size);
    if (opened &&
        sqlite3_prepare_v2(
            store->reader,
            "SELECT manifest_hash, receipt, signature, summary, fetch_hash, number FROM jobs LEFT "
            "JOIN receipts USING (number) WHERE key = ? AND client = ? AND job_id = ?",
            -1, &store->find, NULL) != SQLITE_OK) {
        snprintf(fault, fault_size, "%s", sqlite3_errmsg(store->reader));
        opened = false;
    }
    if (opened && !load_recent(store)) {
        snprintf(fault, fault_size, "%s", sqlite3_errmsg(store->reader));
        opened = false;
    }
    if (opened) {
        (void)pthread_mutex_init(&store->mutex, NULL);
        (void)pthread_cond_init(&store->wake, NULL);
        opened = pthread_create(&store->thread, NULL, write_rows, store) == 0;
    }
    if (!opened) {
        store_free(store);
        return false;
    }
    *ret_store = store;
    return true;
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    (void)pthread_cond_signal(&store->wake);
    (void)pthread_mutex_unlock(&store->mutex);
    (void)pthread_join(store->thread, NULL);
    (void)pthread_mutex_destroy(&store->mutex);
    (void)pthread_cond_destroy(&store->wake);
    store_free(store);
}

static int put_row(struct store *store, struct row *row) {
    if (row == NULL) {
        return PLASM_NO_MEMORY;
    }
    (void)pthread_mutex_lock(&store->mutex);
    bool full = store->broken || store->pending >= STORE_PENDING_MAX;
    if (!full) {
        bool first = store->first == NULL;
        if (first) {
            store->first = row;
        } else {
            store->last->next = row;
        }
        store->last = row;
        store->pending++;
        if (first) {
            (void)pthread_cond_signal(&store->wake);
        }
    }
    (void)pthread_mutex_unlock(&store->mutex);
    if (full) {
        free(row);
        return PLASM_LIMIT;
    }
    return 0;
}

static struct row *new_row(enum row_kind kind, struct bytes bytes) {
    struct row *row = calloc(1, sizeof(*row) + bytes.size);
    if (row != NULL) {
        row->kind = kind;
        row->size = bytes.size;
        if (bytes.size > 0) {
            memcpy(row->bytes, bytes.data, bytes.size);
        }
    }
    return row;
}

int store_accepted(struct store *store, const struct peer_id *client, const char *job_id,
                   const struct sha256_digest *manifest_hash,
                   const struct sha256_digest *fetch_hash, int64_t unix_ms, int64_t *ret_number) {
    struct row *row = new_row(ROW_ACCEPTED, bytes_of(NULL, 0));
    int64_t number = store->next_number;
    int64_t key = key_of(client, job_id);
    if (row != NULL) {
        row->number = number;
        row->key = key;
        row->client = *client;
        memcpy(row->job_id, job_id, JOB_ID_SIZE);
        row->manifest_hash = *manifest_hash;
        row->fetchable = fetch_hash != NULL;
        if (fetch_hash != NULL) {
            row->fetch_hash = *fetch_hash;
        }
        row->unix_ms = unix_ms;
    }
    int error = put_row(store, row);
    if (error == 0) {
        store->next_number++;
        recent_add(&store->recent, key, unix_ms);
        *ret_number = number;
    }
    return error;
}

int store_finished(struct store *store, int64_t number, struct bytes receipt,
                   const uint8_t signature[ED25519_SIGNATURE_SIZE], const uint8_t *summary) {
    struct row *row = new_row(ROW_FINISHED, receipt);
    if (row != NULL) {
        row->number = number;
        memcpy(row->signature, signature, ED25519_SIGNATURE_SIZE);
        row->has_summary = summary != NULL;
        if (summary != NULL) {
            memcpy(row->summary, summary, ED25519_SIGNATURE_SIZE);
        }
    }
    return put_row(store, row);
}

void store_put_table(struct store *store, struct bytes table) {
    if (put_row(store, new_row(ROW_TABLE, table)) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "The routing table is not saved");
    }
}

static bool column_digest(sqlite3_stmt *statement, int column, struct sha256_digest *digest) {
    if (sqlite3_column_bytes(statement, column) != SHA256_SIZE) {
        return false;
    }
    memcpy(digest->bytes, sqlite3_column_blob(statement, column), SHA256_SIZE);
    return true;
}

/* Rows not committed yet count, too: newest last. */
static void look_through(const struct row *row, const struct peer_id *client, const char *job_id,
                         struct store_job *job, int64_t *number) {
    for (; row != NULL; row = row->next) {
        if (row->kind == ROW_ACCEPTED && peer_id_equal(&row->client, client) &&
            strcmp(row->job_id, job_id) == 0) {
            *number = row->number;
            job->manifest_hash = row->manifest_hash;
            job->fetchable = row->fetchable;
            job->fetch_hash = row->fetch_hash;
        } else if (row->kind == ROW_FINISHED && row->number == *number) {
            free(job->receipt);
            job->receipt = strndup((const char *)row->bytes, row->size);
            job->finished = job->receipt != NULL;
            memcpy(job->signature, row->signature, ED25519_SIGNATURE_SIZE);
            job->has_summary = row->has_summary;
            memcpy(job->summary, row->summary, ED25519_SIGNATURE_SIZE);
        }
    }
}

static bool find_committed(struct store *store, const struct peer_id *client, const char *job_id,
                           struct store_job *job, int64_t *number) {
    (void)sqlite3_bind_int64(store->find, 1, key_of(client, job_id));
    bind_blob(store->find, 2, client->bytes, client->size);
    (void)sqlite3_bind_text(store->find, 3, job_id, -1, SQLITE_STATIC);
    bool found = sqlite3_step(store->find) == SQLITE_ROW &&
                 column_digest(store->find, 0, &job->manifest_hash);
    const char *receipt = found ? (const char *)sqlite3_column_text(store->find, 1) : NULL;
    if (receipt != NULL && sqlite3_column_bytes(store->find, 2) == ED25519_SIGNATURE_SIZE) {
        job->receipt = strdup(receipt);
        job->finished = job->receipt != NULL;
        memcpy(job->signature, sqlite3_column_blob(store->find, 2), ED25519_SIGNATURE_SIZE);
        job->has_summary = sqlite3_column_bytes(store->find, 3) == ED25519_SIGNATURE_SIZE;
        if (job->has_summary) {
            memcpy(job->summary, sqlite3_column_blob(store->find, 3), ED25519_SIGNATURE_SIZE);
        }
    }
    job->fetchable = found && column_digest(store->find, 4, &job->fetch_hash);
    *number = found ? sqlite3_column_int64(store->find, 5) : 0;
    (void)sqlite3_reset(store->find);
    return found;
}

int store_find(struct store *store, const struct peer_id *client, const char *job_id,
               bool may_be_old, struct store_job *ret_job) {
    if (!may_be_old && !recent_may_have(&store->recent, key_of(client, job_id))) {
        return PLASM_NOT_FOUND;
    }
    struct store_job job = {.finished = false};
    int64_t number = 0; /* none has it */
    (void)pthread_mutex_lock(&store->mutex);
    bool found = find_committed(store, client, job_id, &job, &number);
    look_through(store->writing, client, job_id, &job, &number);
    look_through(store->first, client, job_id, &job, &number);
    (void)pthread_mutex_unlock(&store->mutex);
    if (!found && number == 0) {
        store_job_done(&job);
        return PLASM_NOT_FOUND;
    }
    *ret_job = job;
    return 0;
}

void store_job_done(struct store_job *job) {
    free(job->receipt);
    job->receipt = NULL;
}

int store_get_table(struct store *store, struct buffer *out) {
    sqlite3_stmt *statement = NULL;
    int error = PLASM_NOT_FOUND;
    if (sqlite3_prepare_v2(store->reader, "SELECT value FROM blobs WHERE name = 'routing_table'",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        error = buffer_append(out, bytes_of(sqlite3_column_blob(statement, 0),
                                            (size_t)sqlite3_column_bytes(statement, 0)));
    }
    (void)sqlite3_finalize(statement);
    return error;
}
