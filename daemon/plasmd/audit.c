/* Reading the store for people and programs: one statement with filters, rows as a table or as JSON
 * lines. */
#include "plasmd/audit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plasmd/store_internal.h"

#define AUDIT_EXIT_USAGE   2
#define AUDIT_LIMIT        100
#define AUDIT_LIMIT_MAX    INT64_C(1000000000)
#define FOLLOW_INTERVAL_US 500000
#define SQL_SIZE           4096
/* A job that has not ended is waited for among the so many newest. */
#define FOLLOW_WINDOW 4096

#define STATUS "coalesce(status, iif(noticed_ms IS NULL, 'running', 'lost'))"
#define JOINED " FROM jobs LEFT JOIN receipts USING (number) LEFT JOIN lost USING (number) "
#define ENDED  "(status IS NOT NULL OR noticed_ms IS NOT NULL)"
#define TABLES                                                                                     \
    JOINED                                                                                         \
    "WHERE "                                                                                       \
    "(?1 IS NULL OR client = ?1) AND (?2 IS NULL OR lower(hex(module_hash)) GLOB ?2 || '*') AND "  \
    "(?3 IS NULL OR " STATUS " = ?3) AND (?4 IS NULL OR accepted_ms >= ?4) AND "                   \
    "(?5 IS NULL OR accepted_ms < ?5) "
#define COLUMNS                                                                                    \
    "SELECT number, job_id, client, prefix, module_hash, " STATUS                                  \
    ", exit_code, accepted_ms, started_ms, ended_ms, wall_us, fuel, bytes_in, bytes_out, cost"
#define TOTALS                                                                                     \
    "count(*), sum(" STATUS " IN ('ok', 'exit')), sum(" STATUS " = 'lost'), sum(wall_us), "        \
    "sum(fuel), sum(bytes_in), sum(bytes_out), sum(cost), max(accepted_ms)"

static const char *const columns[] = {"number",      "job_id",    "client",    "prefix",
                                      "module_hash", "status",    "exit_code", "accepted_ms",
                                      "started_ms",  "ended_ms",  "wall_us",   "fuel",
                                      "bytes_in",    "bytes_out", "cost"};
static const char *const total_columns[] = {"jobs",     "succeeded", "lost", "wall_us",  "fuel",
                                            "bytes_in", "bytes_out", "cost", "latest_ms"};
enum column { NUMBER, JOB_ID, CLIENT, PREFIX, MODULE, STATUS_NAME, EXIT_CODE, ACCEPTED };

struct audit {
    const struct audit_options *options;
    sqlite3 *database;
    char path[STORE_PATH_SIZE];
    struct peer_id client;
    char module[2 * SHA256_SIZE + 1];
    int64_t since_ms;
    int64_t until_ms;
    int64_t limit;
};

static bool complain(const char *what, const char *why) {
    (void)fprintf(stderr, "plasmd audit: %s: %s\n", what, why);
    return false;
}

/* "7d", "12h", "90m", "30s" ago, or a UTC date with or without a time. */
static bool parse_time(const char *text, int64_t *ret_ms) {
    char *end = NULL;
    long long number = strtoll(text, &end, 10);
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (end != text && unit != NULL && end[1] == '\0' && number >= 0 && number < 1000000) {
        *ret_ms = ((int64_t)time(NULL) - number * seconds[unit - units]) * 1000;
        return true;
    }
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S",
                                        "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct tm moment = {.tm_isdst = 0};
        const char *rest = strptime(text, forms[i], &moment);
        if (rest != NULL && *rest == '\0') {
            *ret_ms = (int64_t)timegm(&moment) * 1000;
            return true;
        }
    }
    return false;
}

static bool parse_module(const char *text, char module[2 * SHA256_SIZE + 1]) {
    static const char prefix[] = "sha256:";
    text += strncmp(text, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    size_t size = strlen(text);
    if (size == 0 || size > 2 * SHA256_SIZE || strspn(text, "0123456789abcdef") != size) {
        return false;
    }
    memcpy(module, text, size + 1);
    return true;
}

static bool status_is_known(const char *text) {
    enum job_status status;
    return strcmp(text, "lost") == 0 || strcmp(text, "running") == 0 ||
           job_status_parse(bytes_of_string(text), &status) == 0;
}

static bool parse(struct audit *audit) {
    const struct audit_options *options = audit->options;
    char *end = NULL;
    audit->limit = AUDIT_LIMIT;
    if (options->limit != NULL) {
        audit->limit = strtoll(options->limit, &end, 10);
        if (end == options->limit || *end != '\0' || audit->limit < 0 ||
            audit->limit > AUDIT_LIMIT_MAX) {
            return complain(options->limit, "--limit takes a number");
        }
    }
    if (options->client != NULL &&
        peer_id_parse(bytes_of_string(options->client), &audit->client) != 0) {
        return complain(options->client, "--client takes a peer id");
    }
    if (options->module != NULL && !parse_module(options->module, audit->module)) {
        return complain(options->module, "--module takes sha256:<hex>, or how the hex begins");
    }
    if (options->status != NULL && !status_is_known(options->status)) {
        return complain(options->status, "--status takes ok, exit, trap, fuel, timeout, memory, "
                                         "output, stack, compile, cancelled, failed, lost or "
                                         "running");
    }
    if ((options->since != NULL && !parse_time(options->since, &audit->since_ms)) ||
        (options->until != NULL && !parse_time(options->until, &audit->until_ms))) {
        return complain("--since, --until", "take 2026-11-25, 2026-11-25T14:00:00 (UTC), or 30m, "
                                            "12h, 7d ago");
    }
    if (options->summary != NULL && strcmp(options->summary, "client") != 0 &&
        strcmp(options->summary, "module") != 0) {
        return complain(options->summary, "--summary takes client or module");
    }
    return true;
}

static bool fail(struct audit *audit) {
    char fault[STORE_FAULT_SIZE];
    store_fault(audit->database, audit->path, fault, sizeof(fault));
    (void)fprintf(stderr, "plasmd audit: %s\n", fault);
    return false;
}

static bool open_store(struct audit *audit, const char *state_dir) {
    snprintf(audit->path, sizeof(audit->path), "%s/store/plasm.db", state_dir);
    if (access(audit->path, R_OK) != 0) {
        return complain(audit->path, errno == ENOENT ? "there is none: no plasmd has run with this "
                                                       "--state-dir yet"
                                     : errno == EACCES
                                         ? "permission denied: run this as root or as plasmd's user"
                                         : strerror(errno));
    }
    int64_t version = 0;
    if (sqlite3_open_v2(audit->path, &audit->database, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(audit->database, 5000) != SQLITE_OK ||
        !store_integer(audit->database, "PRAGMA user_version", &version)) {
        return fail(audit);
    }
    if (version < STORE_AUDIT_VERSION) {
        return complain(audit->path, "it is an older plasmd's: start this one once");
    }
    return true;
}

static void bind(const struct audit *audit, sqlite3_stmt *statement) {
    const struct audit_options *options = audit->options;
    if (options->client != NULL) {
        (void)sqlite3_bind_blob(statement, 1, audit->client.bytes, audit->client.size,
                                SQLITE_STATIC);
    }
    if (options->module != NULL) {
        (void)sqlite3_bind_text(statement, 2, audit->module, -1, SQLITE_STATIC);
    }
    if (options->status != NULL) {
        (void)sqlite3_bind_text(statement, 3, options->status, -1, SQLITE_STATIC);
    }
    if (options->since != NULL) {
        (void)sqlite3_bind_int64(statement, 4, audit->since_ms);
    }
    if (options->until != NULL) {
        (void)sqlite3_bind_int64(statement, 5, audit->until_ms);
    }
}

/* A blob of a peer id or hash as text; "" for NULL. */
static void text_of_blob(sqlite3_stmt *statement, int column, bool is_client, char *room,
                         size_t room_size) {
    struct bytes blob = bytes_of(sqlite3_column_blob(statement, column),
                                 (size_t)sqlite3_column_bytes(statement, column));
    struct peer_id id;
    struct sha256_digest digest;
    char peer[PEER_ID_TEXT_MAX] = "";
    char hash[HASH_TEXT_SIZE] = "";
    if (is_client && peer_id_decode(blob, &id) == 0) {
        peer_id_format(&id, peer);
    } else if (!is_client && blob.size == SHA256_SIZE) {
        memcpy(digest.bytes, blob.data, SHA256_SIZE);
        hash_format(&digest, hash);
    }
    snprintf(room, room_size, "%s", is_client ? peer : hash);
}

/* None of the texts holds what JSON would have to escape. */
static void print_member(sqlite3_stmt *statement, int column, const char *name, bool is_client,
                         bool first) {
    char text[HASH_TEXT_SIZE];
    printf("%s\"%s\":", first ? "{" : ",", name);
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        printf("%lld", (long long)sqlite3_column_int64(statement, column));
        break;
    case SQLITE_TEXT:
        printf("\"%s\"", (const char *)sqlite3_column_text(statement, column));
        break;
    case SQLITE_BLOB:
        text_of_blob(statement, column, is_client, text, sizeof(text));
        printf("\"%s\"", text);
        break;
    default:
        printf("null");
        break;
    }
}

static void format_time(int64_t unix_ms, char room[32]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm moment;
    if (gmtime_r(&seconds, &moment) == NULL ||
        strftime(room, 32, "%Y-%m-%d %H:%M:%S", &moment) == 0) {
        room[0] = '\0';
    }
}

static void print_job(const struct audit *audit, sqlite3_stmt *statement) {
    if (audit->options->json) {
        for (int i = 0; i < (int)ARRAY_SIZE(columns); i++) {
            print_member(statement, i, columns[i], i == CLIENT, i == 0);
        }
        printf("}\n");
        return;
    }
    char when[32];
    char client[PEER_ID_TEXT_MAX];
    char module[HASH_TEXT_SIZE];
    format_time(sqlite3_column_int64(statement, ACCEPTED), when);
    text_of_blob(statement, CLIENT, true, client, sizeof(client));
    text_of_blob(statement, MODULE, false, module, sizeof(module));
    const char *prefix = (const char *)sqlite3_column_text(statement, PREFIX);
    size_t size = strlen(client);
    printf("%-19s  %-36s  ..%-8s  %-19s  %-8.8s  %-9s %4lld %9.3f %9lld %9lld %6lld\n", when,
           (const char *)sqlite3_column_text(statement, JOB_ID),
           size > 8 ? client + size - 8 : client, prefix != NULL ? prefix : "-",
           module[0] != '\0' ? module + 7 : "-",
           (const char *)sqlite3_column_text(statement, STATUS_NAME),
           (long long)sqlite3_column_int64(statement, EXIT_CODE),
           (double)sqlite3_column_int64(statement, 10) / 1000,
           (long long)sqlite3_column_int64(statement, 12),
           (long long)sqlite3_column_int64(statement, 13),
           (long long)sqlite3_column_int64(statement, 14));
}

static void print_head(void) {
    printf("%-19s  %-36s  %-10s  %-19s  %-8s  %-9s %4s %9s %9s %9s %6s\n", "accepted (UTC)", "job",
           "client", "from", "module", "status", "exit", "ms", "in", "out", "cost");
}

static void print_total(const struct audit *audit, sqlite3_stmt *statement) {
    bool by_client = strcmp(audit->options->summary, "client") == 0;
    if (audit->options->json) {
        print_member(statement, 0, audit->options->summary, by_client, true);
        for (int i = 0; i < (int)ARRAY_SIZE(total_columns); i++) {
            print_member(statement, i + 1, total_columns[i], false, false);
        }
        printf("}\n");
        return;
    }
    char who[HASH_TEXT_SIZE];
    text_of_blob(statement, 0, by_client, who, sizeof(who));
    printf("%-71s %8lld %8lld %6lld %12.3f %12lld %12lld %8lld\n", who[0] != '\0' ? who : "-",
           (long long)sqlite3_column_int64(statement, 1),
           (long long)sqlite3_column_int64(statement, 2),
           (long long)sqlite3_column_int64(statement, 3),
           (double)sqlite3_column_int64(statement, 4) / 1000,
           (long long)sqlite3_column_int64(statement, 6),
           (long long)sqlite3_column_int64(statement, 7),
           (long long)sqlite3_column_int64(statement, 8));
}

/* Takes the rows of a statement to their end, each with `print` where that is not NULL. */
static bool take_rows(struct audit *audit, const char *sql,
                      void (*print)(const struct audit *audit, sqlite3_stmt *statement)) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(audit->database, sql, -1, &statement, NULL) != SQLITE_OK) {
        return fail(audit);
    }
    bind(audit, statement);
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        if (print != NULL) {
            print(audit, statement);
        }
    }
    bool whole = step == SQLITE_DONE ? true : fail(audit);
    (void)sqlite3_finalize(statement);
    return whole;
}

/* Prints the jobs of a query, which are first copied out of plasmd's database: whoever reads us may
 * take his time, and a reader that stays in the database keeps its log from being cut. */
static bool print_jobs(struct audit *audit, const char *query) {
    char sql[SQL_SIZE];
    snprintf(sql, sizeof(sql), "INSERT INTO page %s", query);
    return (store_execute(audit->database, "DELETE FROM page") || fail(audit)) &&
           take_rows(audit, sql, NULL) &&
           take_rows(audit, "SELECT * FROM page ORDER BY number", print_job) && fflush(stdout) == 0;
}

static bool newest_number(struct audit *audit, int64_t *ret_newest) {
    return store_integer(audit->database, "SELECT coalesce(max(number), 0) FROM jobs",
                         ret_newest) ||
           fail(audit);
}

/* Those that end from now on: a job is shown once, when its end is known. `shown` has those of the
 * window's that were. */
static bool follow(struct audit *audit) {
    int64_t newest = 0;
    char sql[SQL_SIZE];
    if (!newest_number(audit, &newest)) {
        return false;
    }
    snprintf(sql, sizeof(sql),
             "CREATE TEMP TABLE shown (number INTEGER PRIMARY KEY); INSERT INTO shown SELECT "
             "number" JOINED "WHERE number > %lld AND " ENDED,
             (long long)newest - FOLLOW_WINDOW);
    if (!store_execute(audit->database, sql)) {
        return fail(audit);
    }
    for (;;) {
        (void)usleep(FOLLOW_INTERVAL_US);
        snprintf(sql, sizeof(sql),
                 COLUMNS TABLES "AND number > %lld AND " ENDED
                                " AND number NOT IN (SELECT number FROM shown)",
                 (long long)newest - FOLLOW_WINDOW);
        if (!newest_number(audit, &newest) || !print_jobs(audit, sql)) {
            return false;
        }
        snprintf(sql, sizeof(sql),
                 "INSERT OR IGNORE INTO shown SELECT number FROM page; DELETE FROM shown WHERE "
                 "number <= %lld",
                 (long long)newest - FOLLOW_WINDOW);
        if (!store_execute(audit->database, sql)) {
            return fail(audit);
        }
    }
}

static bool show(struct audit *audit) {
    char sql[SQL_SIZE];
    if (audit->options->summary != NULL) {
        const char *by = strcmp(audit->options->summary, "client") == 0 ? "client" : "module_hash";
        snprintf(sql, sizeof(sql),
                 "SELECT %s, " TOTALS TABLES "GROUP BY %s ORDER BY count(*) DESC LIMIT %lld", by,
                 by, (long long)audit->limit);
        if (!audit->options->json) {
            printf("%-71s %8s %8s %6s %12s %12s %12s %8s\n", audit->options->summary, "jobs", "ok",
                   "lost", "ms", "in", "out", "cost");
        }
        return take_rows(audit, sql, print_total) && fflush(stdout) == 0;
    }
    if (!audit->options->json) {
        print_head();
    }
    if (!store_execute(audit->database, "CREATE TEMP TABLE page AS " COLUMNS JOINED "LIMIT 0")) {
        return fail(audit);
    }
    snprintf(sql, sizeof(sql), COLUMNS TABLES "ORDER BY number DESC LIMIT %lld",
             (long long)audit->limit);
    return print_jobs(audit, sql) && (!audit->options->follow || follow(audit));
}

int audit_run(const char *state_dir, const struct audit_options *options) {
    struct audit audit = {.options = options};
    if (!parse(&audit)) {
        return AUDIT_EXIT_USAGE;
    }
    bool shown = open_store(&audit, state_dir) && show(&audit);
    (void)sqlite3_close(audit.database);
    return shown ? 0 : 1;
}
