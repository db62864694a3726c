/* Opening the database: settings, damage, schema, and what an error means to an operator. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "plasmd/store_internal.h"
#include "receipt/text.h"

/* Each entry brings the schema from its index to the next version. Rows are appended in order and
 * found by small indices, so that a job touches few pages however many there are. */
static const char *const migrations[] = {
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY, key INTEGER NOT NULL, client BLOB NOT NULL,"
    " job_id TEXT NOT NULL, manifest_hash BLOB NOT NULL, fetch_hash BLOB,"
    " accepted_ms INTEGER NOT NULL);"
    "CREATE INDEX jobs_key ON jobs (key);"
    "CREATE TABLE receipts (number INTEGER PRIMARY KEY, receipt TEXT NOT NULL,"
    " signature BLOB NOT NULL, summary BLOB);"
    "CREATE TABLE blobs (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",

    /* What an audit needs, outputs that are kept for a while, and the jobs that were lost. Both new
     * indices grow at their end. */
    "ALTER TABLE jobs ADD COLUMN prefix TEXT;"
    "ALTER TABLE jobs ADD COLUMN module_hash BLOB;"
    "ALTER TABLE jobs ADD COLUMN bytes_in INTEGER;"
    "ALTER TABLE jobs ADD COLUMN price INTEGER;"
    "ALTER TABLE jobs ADD COLUMN expires_s INTEGER;"
    "ALTER TABLE receipts ADD COLUMN status TEXT;"
    "ALTER TABLE receipts ADD COLUMN exit_code INTEGER;"
    "ALTER TABLE receipts ADD COLUMN started_ms INTEGER;"
    "ALTER TABLE receipts ADD COLUMN ended_ms INTEGER;"
    "ALTER TABLE receipts ADD COLUMN wall_us INTEGER;"
    "ALTER TABLE receipts ADD COLUMN fuel INTEGER;"
    "ALTER TABLE receipts ADD COLUMN bytes_out INTEGER;"
    "ALTER TABLE receipts ADD COLUMN cost INTEGER;"
    "CREATE INDEX jobs_accepted ON jobs (accepted_ms);"
    "CREATE INDEX jobs_manifest ON jobs (expires_s, manifest_hash) WHERE expires_s IS NOT NULL;"
    "CREATE TABLE lost (number INTEGER PRIMARY KEY, noticed_ms INTEGER NOT NULL);"
    "CREATE TABLE outputs (number INTEGER PRIMARY KEY, ended_ms INTEGER NOT NULL,"
    " output BLOB NOT NULL);"
    "UPDATE receipts SET status = json_extract(receipt, '$.status'),"
    " exit_code = json_extract(receipt, '$.exit_code'),"
    " started_ms = json_extract(receipt, '$.started_ms'),"
    " wall_us = json_extract(receipt, '$.wall_time_us'), fuel = json_extract(receipt, '$.fuel'),"
    " ended_ms = json_extract(receipt, '$.started_ms') +"
    " json_extract(receipt, '$.wall_time_ms');"
    "UPDATE jobs SET module_hash = (SELECT plasm_hash(json_extract(receipt, '$.module_hash'))"
    " FROM receipts WHERE receipts.number = jobs.number);",
};

#define ADVICE_READONLY                                                                            \
    "it cannot be written: see to it that its directory is not mounted read-only and belongs to "  \
    "plasmd's user"
#define ADVICE_CORRUPT                                                                             \
    "it is damaged: stop plasmd and save what is left (sqlite3 plasm.db .recover | sqlite3 "       \
    "new.db; "                                                                                     \
    "then put new.db in its place), restore a copy, or move it away and begin anew"

/* What to do about an error, by SQLite's code. */
static const struct {
    int code;
    const char *advice;
} advices[] = {
    {SQLITE_FULL, "the disk is full: free space on its file system, or lower [store] size_bytes"},
    {SQLITE_READONLY, ADVICE_READONLY},
    {SQLITE_CANTOPEN, "it cannot be opened: see to it that its directory exists and belongs to "
                      "plasmd's user"},
    {SQLITE_PERM, "permission denied: see to it that it belongs to plasmd's user"},
    {SQLITE_AUTH, "permission denied: see to it that it belongs to plasmd's user"},
    {SQLITE_CORRUPT, ADVICE_CORRUPT},
    {SQLITE_NOTADB,
     "it is damaged: it is not a database. Restore a copy, or move it away and begin "
     "anew"},
    {SQLITE_IOERR, "the disk does not read or write it: look at dmesg and the file system"},
    {SQLITE_BUSY, "another program keeps it locked: end that program (fuser -v plasm.db)"},
    {SQLITE_LOCKED, "another program keeps it locked: end that program (fuser -v plasm.db)"},
    {SQLITE_NOMEM, "memory is out"},
};

void store_fault(sqlite3 *database, const char *path, char *fault, size_t fault_size) {
    int code = sqlite3_errcode(database) & 0xff;
    /* A full disk may also show as a file that cannot be made or grown. */
    if ((code == SQLITE_CANTOPEN || code == SQLITE_IOERR) &&
        sqlite3_system_errno(database) == ENOSPC) {
        code = SQLITE_FULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
        if (advices[i].code == code) {
            snprintf(fault, fault_size, "%s: %s", path, advices[i].advice);
            return;
        }
    }
    snprintf(fault, fault_size, "%s: %s", path, sqlite3_errmsg(database));
}

bool store_execute(sqlite3 *database, const char *sql) {
    return sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool store_integer(sqlite3 *database, const char *sql, int64_t *ret_integer) {
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (good) {
        *ret_integer = sqlite3_column_int64(statement, 0);
    }
    /* finalize gives the error of the step again: sqlite3_errcode stays what it was. */
    (void)sqlite3_finalize(statement);
    return good;
}

/* plasm_hash('sha256:<hex>') is its 32 bytes. */
static void hash_of_text(sqlite3_context *context, int count, sqlite3_value **values) {
    struct sha256_digest digest;
    const char *text = count == 1 ? (const char *)sqlite3_value_text(values[0]) : NULL;
    if (text != NULL && hash_parse(bytes_of_string(text), &digest) == 0) {
        sqlite3_result_blob(context, digest.bytes, SHA256_SIZE, SQLITE_TRANSIENT);
    }
}

static bool migrate(sqlite3 *database, const char *path, char *fault, size_t fault_size) {
    int64_t version;
    int newest = (int)ARRAY_SIZE(migrations);
    if (!store_integer(database, "PRAGMA user_version", &version)) {
        store_fault(database, path, fault, fault_size);
        return false;
    }
    if (version > newest) {
        snprintf(fault, fault_size,
                 "%s: the database is of a newer plasmd (schema %d, this one knows %d): upgrade "
                 "plasmd",
                 path, (int)version, newest);
        return false;
    }
    (void)sqlite3_create_function(database, "plasm_hash", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                  NULL, hash_of_text, NULL, NULL);
    for (; version < newest; version++) {
        char set[64];
        snprintf(set, sizeof(set), "PRAGMA user_version = %d", (int)version + 1);
        if (!store_execute(database, "BEGIN IMMEDIATE") ||
            !store_execute(database, migrations[version]) || !store_execute(database, set) ||
            !store_execute(database, "COMMIT")) {
            store_fault(database, path, fault, fault_size);
            (void)store_execute(database, "ROLLBACK");
            return false;
        }
    }
    return true;
}

/* "ok" of quick_check, where the file is not too large for it. */
static bool is_whole(sqlite3 *database, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0 || status.st_size > STORE_CHECK_BYTES_MAX) {
        return true;
    }
    sqlite3_stmt *statement = NULL;
    bool whole =
        sqlite3_prepare_v2(database, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW &&
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    (void)sqlite3_finalize(statement);
    return whole;
}

bool store_connect(const char *path, bool create, sqlite3 **ret_database, char *fault,
                   size_t fault_size) {
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, ret_database, flags, NULL) != SQLITE_OK) {
        store_fault(*ret_database, path, fault, fault_size);
        return false;
    }
    (void)sqlite3_busy_timeout(*ret_database, 5000);
    if (sqlite3_db_readonly(*ret_database, "main") == 1 ||
        !store_execute(*ret_database, "PRAGMA journal_mode = WAL") ||
        !store_execute(*ret_database, "PRAGMA synchronous = NORMAL") ||
        /* KiB: rows are appended, and few are read again. */
        !store_execute(*ret_database, "PRAGMA cache_size = -512")) {
        if (sqlite3_db_readonly(*ret_database, "main") == 1) {
            snprintf(fault, fault_size, "%s: %s", path, ADVICE_READONLY);
        } else {
            store_fault(*ret_database, path, fault, fault_size);
        }
        return false;
    }
    return true;
}

bool store_prepare(sqlite3 *database, const char *path, char *fault, size_t fault_size) {
    if (!is_whole(database, path)) {
        int code = sqlite3_errcode(database) & 0xff;
        if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
            snprintf(fault, fault_size, "%s: %s", path, ADVICE_CORRUPT);
        } else {
            store_fault(database, path, fault, fault_size);
        }
        return false;
    }
    return migrate(database, path, fault, fault_size);
}
