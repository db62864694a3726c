/* Retention: deletes outputs and receipts that are too old, or too many, from the oldest on. */
#include <stdio.h>

#include "plasmd/log.h"
#include "plasmd/store_internal.h"

/* Rows of one transaction: commits of jobs wait no longer than that. */
#define PRUNE_ROWS_MAX 500
#define HOUR_MS        INT64_C(3600000)
#define DAY_MS         (24 * HOUR_MS)

/* Deletes up to PRUNE_ROWS_MAX outputs before `before_ms`, and more from the oldest on while there
 * is too much. */
static bool prune_outputs(struct store *store, int64_t before_ms, bool *ret_more) {
    const struct store_settings *settings = &store->settings;
    sqlite3_stmt *statement = NULL;
    int64_t last = 0;
    uint64_t freed = 0;
    int rows = 0;
    /* Numbers are in the order of acceptance, nearly that of the ends. */
    bool good = sqlite3_prepare_v2(store->database,
                                   "SELECT number, ended_ms, length(output) + 64 FROM outputs "
                                   "ORDER BY number LIMIT 500",
                                   -1, &statement, NULL) == SQLITE_OK;
    while (good && sqlite3_step(statement) == SQLITE_ROW) {
        bool much = store->outputs_bytes - freed > settings->outputs_bytes_max;
        if (sqlite3_column_int64(statement, 1) >= before_ms && !much) {
            break;
        }
        last = sqlite3_column_int64(statement, 0);
        freed += (uint64_t)sqlite3_column_int64(statement, 2);
        freed = freed < store->outputs_bytes ? freed : store->outputs_bytes;
        rows++;
    }
    (void)sqlite3_finalize(statement);
    if (!good || rows == 0) {
        return good;
    }
    char sql[96];
    snprintf(sql, sizeof(sql), "DELETE FROM outputs WHERE number <= %lld", (long long)last);
    if (!store_execute(store->database, sql)) {
        return false;
    }
    store->outputs_bytes -= freed;
    *ret_more = *ret_more || rows == PRUNE_ROWS_MAX;
    return true;
}

/* Bytes of the database that are in use. */
static bool used_bytes(sqlite3 *database, int64_t *ret_bytes) {
    int64_t pages;
    int64_t free_pages;
    int64_t page_size;
    if (!store_integer(database, "PRAGMA page_count", &pages) ||
        !store_integer(database, "PRAGMA freelist_count", &free_pages) ||
        !store_integer(database, "PRAGMA page_size", &page_size)) {
        return false;
    }
    *ret_bytes = (pages - free_pages) * page_size;
    return true;
}

/* Deletes up to PRUNE_ROWS_MAX jobs that were accepted before `before_ms`, with all that is theirs.
 */
static bool prune_jobs(struct store *store, int64_t before_ms, bool *ret_more) {
    char sql[768];
    int64_t last = 0;
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(max(number), 0) FROM (SELECT number, accepted_ms FROM jobs ORDER BY "
             "number LIMIT %d) WHERE accepted_ms < %lld",
             PRUNE_ROWS_MAX, (long long)before_ms);
    if (!store_integer(store->database, sql, &last)) {
        return false;
    }
    if (last == 0) {
        return true;
    }
    int64_t outputs = 0;
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(sum(length(output) + 64), 0) FROM outputs WHERE number <= %lld",
             (long long)last);
    if (!store_integer(store->database, sql, &outputs)) {
        return false;
    }
    snprintf(
        sql, sizeof(sql),
        "BEGIN IMMEDIATE; DELETE FROM outputs WHERE number <= %lld; DELETE FROM receipts WHERE "
        "number <= %lld; DELETE FROM lost WHERE number <= %lld; DELETE FROM jobs WHERE number "
        "<= %lld; COMMIT",
        (long long)last, (long long)last, (long long)last, (long long)last);
    if (!store_execute(store->database, sql)) {
        (void)store_execute(store->database, "ROLLBACK");
        return false;
    }
    uint64_t freed = (uint64_t)outputs;
    store->outputs_bytes -= freed < store->outputs_bytes ? freed : store->outputs_bytes;
    *ret_more = true;
    return true;
}

bool store_prune(struct store *store, int64_t now_ms) {
    const struct store_settings *settings = &store->settings;
    bool more = false;
    bool good = prune_outputs(store, now_ms - (int64_t)settings->outputs_hours * HOUR_MS, &more);
    /* Whoever offers a job again finds it for as long as the offer holds. */
    int64_t youngest_ms = now_ms - STORE_RECENT_S * INT64_C(1000);
    if (good && settings->receipts_days > 0) {
        int64_t before_ms = now_ms - (int64_t)settings->receipts_days * DAY_MS;
        good = prune_jobs(store, before_ms < youngest_ms ? before_ms : youngest_ms, &more);
    }
    int64_t used = 0;
    if (good && settings->size_bytes_max > 0) {
        good = used_bytes(store->database, &used);
        if (good && (uint64_t)used > settings->size_bytes_max) {
            good = prune_jobs(store, youngest_ms, &more);
        }
    }
    if (!good) {
        char fault[STORE_FAULT_SIZE];
        store_fault(store->database, store->path, fault, sizeof(fault));
        daemon_log(LOG_LEVEL_WARNING, "Database: old receipts cannot be deleted: %s", fault);
    }
    return good && more;
}
