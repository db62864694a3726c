/* The writer: takes all rows that wait, commits them at once, tries again while that fails. */
#include <stdio.h>
#include <stdlib.h>

#include "plasmd/log.h"
#include "plasmd/store_internal.h"

/* Counted for a kept output besides its bytes. */
#define OUTPUT_OVERHEAD 64
/* The wall clock may have been set so much since the start for its word on ages to count. */
#define CLOCK_STEP_MAX_MS INT64_C(3600000)

struct statements {
    sqlite3_stmt *accepted;
    sqlite3_stmt *finished;
    sqlite3_stmt *output;
    sqlite3_stmt *table;
};

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size) {
    (void)sqlite3_bind_blob(statement, place, bytes, (int)size, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *statement, int place, const char *text) {
    (void)sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

static void bind_count(sqlite3_stmt *statement, int place, uint64_t count) {
    (void)sqlite3_bind_int64(statement, place, (int64_t)count);
}

static bool run(sqlite3_stmt *statement) {
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return done;
}

static bool write_accepted(sqlite3_stmt *statement, const struct row *row) {
    (void)sqlite3_bind_int64(statement, 1, row->number);
    (void)sqlite3_bind_int64(statement, 2, row->accepted.key);
    bind_blob(statement, 3, row->accepted.client.bytes, row->accepted.client.size);
    bind_text(statement, 4, row->accepted.job_id);
    bind_blob(statement, 5, row->accepted.manifest_hash.bytes, SHA256_SIZE);
    if (row->accepted.fetchable) {
        bind_blob(statement, 6, row->accepted.fetch_hash.bytes, SHA256_SIZE);
        (void)sqlite3_bind_int64(statement, 12, row->accepted.expires_s);
    }
    (void)sqlite3_bind_int64(statement, 7, row->unix_ms);
    if (row->accepted.prefix[0] != '\0') {
        bind_text(statement, 8, row->accepted.prefix);
    }
    bind_blob(statement, 9, row->accepted.module_hash.bytes, SHA256_SIZE);
    bind_count(statement, 10, row->accepted.bytes_in);
    bind_count(statement, 11, row->accepted.price);
    return run(statement);
}

static bool write_finished(const struct statements *statements, const struct row *row,
                           uint64_t *outputs_bytes) {
    sqlite3_stmt *statement = statements->finished;
    size_t receipt_size = (size_t)row->finished.receipt_size;
    size_t output_size = (size_t)row->size - receipt_size;
    (void)sqlite3_bind_int64(statement, 1, row->number);
    (void)sqlite3_bind_text(statement, 2, (const char *)row->bytes, (int)receipt_size,
                            SQLITE_STATIC);
    bind_blob(statement, 3, row->finished.signature, ED25519_SIGNATURE_SIZE);
    if (row->finished.has_summary) {
        bind_blob(statement, 4, row->finished.summary, ED25519_SIGNATURE_SIZE);
    }
    bind_text(statement, 5, job_status_name(row->finished.status));
    (void)sqlite3_bind_int64(statement, 6, row->finished.exit_code);
    (void)sqlite3_bind_int64(statement, 7, row->finished.started_ms);
    (void)sqlite3_bind_int64(statement, 8, row->unix_ms);
    bind_count(statement, 9, row->finished.wall_us);
    bind_count(statement, 10, row->finished.fuel);
    bind_count(statement, 11, row->finished.bytes_out);
    bind_count(statement, 12, row->finished.cost);
    if (!run(statement)) {
        return false;
    }
    if (!row->finished.output_kept || output_size == 0) {
        return true;
    }
    (void)sqlite3_bind_int64(statements->output, 1, row->number);
    (void)sqlite3_bind_int64(statements->output, 2, row->unix_ms);
    bind_blob(statements->output, 3, row->bytes + receipt_size, output_size);
    *outputs_bytes += output_size + OUTPUT_OVERHEAD;
    return run(statements->output);
}

static bool write_row(const struct statements *statements, const struct row *row,
                      uint64_t *outputs_bytes) {
    switch (row->kind) {
    case ROW_ACCEPTED:
        return write_accepted(statements->accepted, row);
    case ROW_FINISHED:
        return write_finished(statements, row, outputs_bytes);
    case ROW_TABLE:
        bind_blob(statements->table, 1, row->bytes, (size_t)row->size);
        return run(statements->table);
    }
    return false;
}

void store_free_rows(struct row *row) {
    while (row != NULL) {
        struct row *next = row->next;
        free(row);
        row = next;
    }
}

/* Rows may be there already: after a crash between a commit and the forgetting of the tail. */
static bool prepare(sqlite3 *database, struct statements *statements) {
    static const char accepted[] =
        "INSERT OR IGNORE INTO jobs (number, key, client, job_id, manifest_hash, fetch_hash,"
        " accepted_ms, prefix, module_hash, bytes_in, price, expires_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    static const char finished[] =
        "INSERT OR IGNORE INTO receipts (number, receipt, signature, summary, status, exit_code,"
        " started_ms, ended_ms, wall_us, fuel, bytes_out, cost)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    static const char output[] = "INSERT OR IGNORE INTO outputs VALUES (?, ?, ?)";
    static const char table[] = "INSERT OR REPLACE INTO blobs VALUES ('routing_table', ?)";
    return sqlite3_prepare_v2(database, accepted, -1, &statements->accepted, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(database, finished, -1, &statements->finished, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(database, output, -1, &statements->output, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(database, table, -1, &statements->table, NULL) == SQLITE_OK;
}

static void finalize(struct statements *statements) {
    (void)sqlite3_finalize(statements->accepted);
    (void)sqlite3_finalize(statements->finished);
    (void)sqlite3_finalize(statements->output);
    (void)sqlite3_finalize(statements->table);
}

/* False: nothing of it is written; sqlite3_errcode has the reason. */
static bool write_batch(struct store *store, const struct statements *statements,
                        const struct row *row) {
    uint64_t outputs_bytes = store->outputs_bytes;
    if (!store_execute(store->database, "BEGIN IMMEDIATE")) {
        return false;
    }
    for (; row != NULL; row = row->next) {
        if (!write_row(statements, row, &outputs_bytes)) {
            return false;
        }
    }
    if (!store_execute(store->database, "COMMIT")) {
        return false;
    }
    store->outputs_bytes = outputs_bytes;
    return true;
}

/* Waits `ms`, or until it is time to stop. The mutex is held. */
static void pause_locked(struct store *store, int64_t ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!store->stopping && pthread_cond_timedwait(&store->wake, &store->mutex, &until) == 0) {
    }
}

/* Waits until there is something to write, it is time to stop or to prune; then takes all there is,
 * after a pause in which more may come. NULL: nothing. */
static struct row *take_batch(struct store *store, int64_t wait_ms, bool *ret_stopping) {
    (void)pthread_mutex_lock(&store->mutex);
    int64_t until = clock_ms(CLOCK_MONOTONIC) + wait_ms;
    while (store->first == NULL && !store->stopping) {
        int64_t left = until - clock_ms(CLOCK_MONOTONIC);
        if (left <= 0) {
            break;
        }
        struct timespec deadline = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000L};
        (void)pthread_cond_timedwait(&store->wake, &store->mutex, &deadline);
    }
    if (store->first != NULL) {
        pause_locked(store, STORE_BATCH_MS);
    }
    struct row *batch = store->first;
    if (batch != NULL) {
        store->writing = batch;
        store->first = NULL;
        store->last = NULL;
        store->pending = 0;
        store_tail_turn(&store->tail);
    }
    *ret_stopping = store->stopping;
    (void)pthread_mutex_unlock(&store->mutex);
    return batch;
}

/* Says what is wrong, and waits before the next attempt. True: it is time to stop. */
static bool wait_out(struct store *store, bool first) {
    char fault[STORE_FAULT_SIZE];
    store_fault(store->database, store->path, fault, sizeof(fault));
    (void)store_execute(store->database, "ROLLBACK");
    if (first) {
        daemon_log(LOG_LEVEL_ERROR,
                   "Database: %s. No jobs are accepted until it can be written again; nothing "
                   "acknowledged is lost",
                   fault);
    }
    (void)pthread_mutex_lock(&store->mutex);
    store->failing = true;
    pause_locked(store, STORE_RETRY_MS);
    bool stopping = store->stopping;
    (void)pthread_mutex_unlock(&store->mutex);
    return stopping;
}

/* Commits, however long that takes. False: it is time to stop, and the tail keeps the rows. */
static bool commit(struct store *store, const struct statements *statements, struct row *batch) {
    bool failed = false;
    while (!write_batch(store, statements, batch)) {
        if (wait_out(store, !failed) && failed) {
            daemon_log(LOG_LEVEL_ERROR, "Database: what could not be written is kept beside it and "
                                        "will be written at the next start");
            return false;
        }
        failed = true;
    }
    store_tail_forget(&store->tail);
    (void)pthread_mutex_lock(&store->mutex);
    store->writing = NULL;
    store->failing = false;
    (void)pthread_mutex_unlock(&store->mutex);
    if (failed) {
        daemon_log(LOG_LEVEL_INFO, "Database: written again; jobs are accepted");
    }
    store_free_rows(batch);
    return true;
}

/* A commit in the WAL is safe from a crash of ours at once; from the machine's, once it is synced.
 * Every so often a commit is, and where none follows within that time a checkpoint does it. */
struct syncing {
    int64_t synced_ms;
    bool is_due; /* something was committed since */
};

static void sync_with_commit(struct store *store, struct syncing *syncing) {
    int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    bool now = now_ms - syncing->synced_ms >= STORE_SYNC_MS;
    (void)store_execute(store->database,
                        now ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    syncing->synced_ms = now ? now_ms : syncing->synced_ms;
    syncing->is_due = !now;
}

static void sync_when_idle(struct store *store, struct syncing *syncing) {
    int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    if (syncing->is_due && now_ms - syncing->synced_ms >= STORE_SYNC_MS) {
        (void)store_execute(store->database, "PRAGMA wal_checkpoint(PASSIVE)");
        syncing->synced_ms = now_ms;
        syncing->is_due = false;
    }
}

/* How long the writer may wait for the next row. */
static int64_t patience(const struct syncing *syncing, int64_t prune_wait_ms) {
    return syncing->is_due && STORE_SYNC_MS < prune_wait_ms ? STORE_SYNC_MS : prune_wait_ms;
}

/* Whether the wall clock goes as it should since the start: by one that was set an hour ahead, or
 * more, nothing is too old. */
static bool clock_is_plausible(int64_t started_offset_ms) {
    int64_t offset_ms = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
    return offset_ms - started_offset_ms < CLOCK_STEP_MAX_MS;
}

void *store_write(void *context) {
    struct store *store = context;
    struct statements statements = {NULL, NULL, NULL, NULL};
    while (!prepare(store->database, &statements)) {
        finalize(&statements);
        statements = (struct statements){NULL, NULL, NULL, NULL};
        if (wait_out(store, true)) {
            return NULL;
        }
    }
    bool stopping = false;
    struct syncing syncing = {.synced_ms = 0};
    int64_t offset_ms = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
    int64_t pruned_ms = clock_ms(CLOCK_MONOTONIC);
    int64_t prune_wait_ms = STORE_PRUNE_INTERVAL_MS;
    while (!stopping) {
        struct row *batch = take_batch(store, patience(&syncing, prune_wait_ms), &stopping);
        if (batch == NULL) {
            sync_when_idle(store, &syncing);
        } else {
            sync_with_commit(store, &syncing);
            if (!commit(store, &statements, batch)) {
                break;
            }
        }
        if (clock_ms(CLOCK_MONOTONIC) - pruned_ms >= prune_wait_ms && !stopping) {
            bool more =
                clock_is_plausible(offset_ms) && store_prune(store, clock_ms(CLOCK_REALTIME));
            pruned_ms = clock_ms(CLOCK_MONOTONIC);
            prune_wait_ms = more ? STORE_BATCH_MS : STORE_PRUNE_INTERVAL_MS;
        }
    }
    finalize(&statements);
    return NULL;
}

struct recovery {
    struct store *store;
    struct statements statements;
    size_t count;
};

static int recover_row(void *context, struct bytes record) {
    struct recovery *recovery = context;
    const size_t head = offsetof(struct row, bytes);
    if (record.size < head) {
        return 0;
    }
    struct row *row = malloc(record.size);
    if (row == NULL) {
        return PLASM_NO_MEMORY;
    }
    memcpy(row, record.data, record.size);
    bool fits = row->size == record.size - head;
    uint64_t outputs_bytes = 0;
    int error = !fits || write_row(&recovery->statements, row, &outputs_bytes) ? 0 : PLASM_IO;
    recovery->count += fits;
    free(row);
    return error;
}

/* Every job before this start that has no receipt is lost: said once, in a table. Only those after
 * the last one looked at are looked at. */
static bool note_lost(sqlite3 *database, int64_t now_ms) {
    char sql[512];
    snprintf(sql, sizeof(sql),
             "INSERT OR IGNORE INTO lost SELECT number, %lld FROM jobs LEFT JOIN receipts USING "
             "(number) WHERE receipt IS NULL AND number > coalesce((SELECT value FROM blobs WHERE "
             "name = 'settled'), 0);"
             "INSERT OR REPLACE INTO blobs SELECT 'settled', max(coalesce((SELECT max(number) FROM "
             "jobs), 0), coalesce((SELECT value FROM blobs WHERE name = 'settled'), 0));",
             (long long)now_ms);
    return store_execute(database, sql);
}

bool store_recover(struct store *store, char *fault, size_t fault_size) {
    struct recovery recovery = {.store = store};
    sqlite3 *database = store->database;
    int64_t before = 0;
    int64_t after = 0;
    bool good = prepare(database, &recovery.statements) &&
                store_integer(database, "SELECT count(*) FROM lost", &before) &&
                store_execute(database, "BEGIN IMMEDIATE") &&
                store_tail_read(&store->tail, recover_row, &recovery) == 0 &&
                note_lost(database, clock_ms(CLOCK_REALTIME)) &&
                store_integer(database, "SELECT count(*) FROM lost", &after) &&
                store_execute(database, "COMMIT");
    if (!good) {
        store_fault(database, store->path, fault, fault_size);
        (void)store_execute(database, "ROLLBACK");
    }
    finalize(&recovery.statements);
    if (!good) {
        return false;
    }
    store_tail_forget_all(&store->tail);
    if (recovery.count > 0) {
        daemon_log(LOG_LEVEL_INFO, "Database: %zu rows of the last run written", recovery.count);
    }
    if (after > before) {
        daemon_log(LOG_LEVEL_WARNING,
                   "%lld accepted job%s had not ended when plasmd stopped: lost, and answered so",
                   (long long)(after - before), after - before == 1 ? "" : "s");
    }
    int64_t outputs_bytes = 0;
    if (!store_integer(database, "SELECT coalesce(sum(length(output) + 64), 0) FROM outputs",
                       &outputs_bytes)) {
        store_fault(database, store->path, fault, fault_size);
        return false;
    }
    store->outputs_bytes = (uint64_t)outputs_bytes;
    return true;
}
