/* The store as the main thread sees it: queues rows for the writer, answers from both the database
 * and what waits. */
#include "plasmd/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "plasmd/log.h"
#include "plasmd/store_internal.h"
#include "util/ensure.h"
#include "wire/multiaddr.h"

#define FIND_COLUMNS                                                                               \
    "SELECT manifest_hash, receipt, signature, summary, number, bytes_out, output FROM jobs LEFT " \
    "JOIN receipts USING (number) LEFT JOIN outputs USING (number) "
/* Prefix of IPv6 that counts as one place, in bytes. */
#define PREFIX_IP6_BYTES 7

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

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

static void remember(struct store *store, int64_t key) {
    recent_add(&store->recent, key, clock_ms(CLOCK_BOOTTIME), STORE_RECENT_S * INT64_C(1000));
}

/* Numbers go on where they ended, and what was accepted lately is known. */
static bool load_recent(struct store *store) {
    int64_t last;
    if (!store_integer(store->reader,
                       "SELECT max(coalesce((SELECT max(number) FROM jobs), 0), "
                       "coalesce((SELECT value FROM blobs WHERE name = 'settled'), 0))",
                       &last)) {
        return false;
    }
    store->next_number = last + 1;
    store->opened_ms = clock_ms(CLOCK_REALTIME);
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(store->reader, "SELECT key FROM jobs WHERE accepted_ms > ?", -1,
                                   &statement, NULL) == SQLITE_OK;
    if (good) {
        (void)sqlite3_bind_int64(statement, 1, store->opened_ms - STORE_RECENT_S * INT64_C(1000));
    }
    int step = SQLITE_DONE;
    while (good && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        remember(store, sqlite3_column_int64(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return good && step == SQLITE_DONE;
}

static bool prepare_reader(struct store *store) {
    return sqlite3_prepare_v2(store->reader,
                              FIND_COLUMNS "WHERE key = ? AND client = ? AND job_id = ?", -1,
                              &store->find, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(store->reader,
                              FIND_COLUMNS "WHERE expires_s = ? AND manifest_hash = ? LIMIT 1", -1,
                              &store->find_manifest, NULL) == SQLITE_OK &&
           load_recent(store);
}

static bool open_tail(struct store *store, char *fault, size_t fault_size) {
    if (store_tail_open(store->path, &store->tail) != 0) {
        snprintf(fault, fault_size,
                 "%s.tail0, .tail1: %s: see to it that they can be written and belong to plasmd's "
                 "user",
                 store->path, strerror(errno));
        return false;
    }
    if (!store->tail.is_reserved) {
        daemon_log(LOG_LEVEL_WARNING,
                   "Database: no disk space can be reserved beside it: when the disk is full, jobs "
                   "that run may lose their receipts");
    }
    return true;
}

static bool start_writer(struct store *store) {
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    sigset_t all; /* signals are the main thread's */
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&store->thread, NULL, store_write, store) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void store_free(struct store *store) {
    (void)sqlite3_finalize(store->find);
    (void)sqlite3_finalize(store->find_manifest);
    (void)sqlite3_close(store->reader);
    (void)sqlite3_close(store->database);
    store_tail_close(&store->tail);
    recent_done(&store->recent);
    store_free_rows(store->writing);
    store_free_rows(store->first);
    free(store);
}

bool store_open(const char *path, const struct store_settings *settings, struct store **ret_store,
                char *fault, size_t fault_size) {
    struct store *store = calloc(1, sizeof(*store));
    ENSURE(store != NULL);
    store->settings = *settings;
    store->tail.fds[0] = -1;
    store->tail.fds[1] = -1;
    snprintf(store->path, sizeof(store->path), "%s", path);
    bool opened = store_connect(path, true, &store->database, fault, fault_size) &&
                  store_prepare(store->database, path, fault, fault_size) &&
                  open_tail(store, fault, fault_size) && store_recover(store, fault, fault_size) &&
                  store_connect(path, false, &store->reader, fault, fault_size);
    if (opened && !prepare_reader(store)) {
        store_fault(store->reader, path, fault, fault_size);
        opened = false;
    }
    if (opened && !start_writer(store)) {
        snprintf(fault, fault_size, "%s: no thread can be started for it", path);
        opened = false;
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

static struct bytes row_record(const struct row *row) {
    return bytes_of(row, offsetof(struct row, bytes) + (size_t)row->size);
}

/* Makes the row survive us. A receipt goes without its output where that has no room any more. */
static int keep_row(struct store *store, struct row *row) {
    int error = store_tail_append(&store->tail, row_record(row));
    if (error != 0 && row->kind == ROW_FINISHED && row->size > row->finished.receipt_size) {
        row->size = row->finished.receipt_size;
        row->finished.output_kept = false;
        error = store_tail_append(&store->tail, row_record(row));
    }
    return error;
}

static void queue_row(struct store *store, struct row *row) {
    if (store->first == NULL) {
        store->first = row;
        (void)pthread_cond_signal(&store->wake);
    } else {
        store->last->next = row;
    }
    store->last = row;
    store->pending++;
}

/* Takes the row, or frees it. */
static int put_row(struct store *store, struct row *row) {
    if (row == NULL) {
        return PLASM_NO_MEMORY;
    }
    int error = 0;
    bool ends = row->kind == ROW_FINISHED;
    (void)pthread_mutex_lock(&store->mutex);
    if (store->pending >= STORE_PENDING_MAX || (store->failing && !ends)) {
        error = PLASM_LIMIT;
    } else if (row->kind != ROW_TABLE) {
        error = keep_row(store, row);
    }
    if (error == 0) {
        queue_row(store, row);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    if (error != 0) {
        free(row);
    }
    return error;
}

static struct row *new_row(enum row_kind kind, struct bytes bytes, struct bytes more) {
    struct row *row = calloc(1, sizeof(*row) + bytes.size + more.size);
    if (row != NULL) {
        row->kind = kind;
        row->size = bytes.size + more.size;
        if (bytes.size > 0) {
            memcpy(row->bytes, bytes.data, bytes.size);
        }
        if (more.size > 0) {
            memcpy(row->bytes + bytes.size, more.data, more.size);
        }
    }
    return row;
}

/* Where a client is, as the limits on connections see it: an IPv4 address or an IPv6 /56; that of
 * the relay for one that came through it. "" where it has none. */
static void format_prefix(const struct multiaddr *remote, char room[STORE_PREFIX_SIZE]) {
    struct multiaddr_part part;
    room[0] = '\0';
    if (remote == NULL) {
        return;
    }
    struct cursor cursor = cursor_of(multiaddr_bytes(remote));
    bool named = multiaddr_next(&cursor, &part);
    struct netaddr address = {.family = NETADDR_NONE};
    if (named && part.code == MULTIADDR_IP4) {
        address.family = NETADDR_IP4;
        memcpy(address.ip, part.value.data, 4);
    } else if (named && part.code == MULTIADDR_IP6) {
        address.family = NETADDR_IP6;
        memcpy(address.ip, part.value.data, PREFIX_IP6_BYTES);
    } else {
        return;
    }
    char text[NETADDR_TEXT_MAX];
    netaddr_format_ip(&address, text);
    snprintf(room, STORE_PREFIX_SIZE, "%.42s%s", text, address.family == NETADDR_IP6 ? "/56" : "");
}

int store_accepted(struct store *store, const struct store_acceptance *acceptance,
                   int64_t *ret_number) {
    const struct manifest *manifest = acceptance->manifest;
    struct row *row = new_row(ROW_ACCEPTED, bytes_of(NULL, 0), bytes_of(NULL, 0));
    int64_t number = store->next_number;
    int64_t key = key_of(acceptance->client, manifest->job_id);
    if (row != NULL) {
        row->number = number;
        row->unix_ms = acceptance->unix_ms;
        row->accepted.key = key;
        row->accepted.client = *acceptance->client;
        format_prefix(acceptance->remote, row->accepted.prefix);
        memcpy(row->accepted.job_id, manifest->job_id, JOB_ID_SIZE);
        row->accepted.manifest_hash = acceptance->manifest_hash;
        row->accepted.module_hash = manifest->module_hash;
        row->accepted.fetch_hash = manifest->fetch_hash;
        row->accepted.fetchable = manifest->fetchable;
        row->accepted.expires_s = manifest->expires_s;
        row->accepted.bytes_in = acceptance->bytes_in;
        row->accepted.price = acceptance->price;
    }
    int error = put_row(store, row);
    if (error == 0) {
        store->next_number++;
        remember(store, key);
        *ret_number = number;
    }
    return error;
}

/* The price of what ran, by started seconds; what was our own fault is free. */
static uint64_t cost_of(const struct receipt *receipt, uint64_t price) {
    uint64_t seconds = receipt->wall_time_us / 1000000 + (receipt->wall_time_us % 1000000 != 0);
    return receipt->status == JOB_STATUS_FAILED ? 0 : price * seconds;
}

int store_finished(struct store *store, const struct store_conclusion *conclusion) {
    const struct receipt *receipt = conclusion->receipt;
    bool kept = conclusion->output_kept && store->settings.outputs_hours > 0;
    struct row *row = new_row(ROW_FINISHED, conclusion->receipt_json,
                              kept ? conclusion->output : bytes_of(NULL, 0));
    if (row != NULL) {
        row->number = conclusion->number;
        row->unix_ms = conclusion->unix_ms;
        memcpy(row->finished.signature, conclusion->signature, ED25519_SIGNATURE_SIZE);
        row->finished.has_summary = conclusion->summary != NULL;
        if (conclusion->summary != NULL) {
            memcpy(row->finished.summary, conclusion->summary, ED25519_SIGNATURE_SIZE);
        }
        row->finished.output_kept = kept;
        row->finished.status = receipt->status;
        row->finished.exit_code = receipt->exit_code;
        row->finished.started_ms = (int64_t)receipt->started_ms;
        row->finished.wall_us = receipt->wall_time_us;
        row->finished.fuel = receipt->fuel;
        row->finished.bytes_out = conclusion->bytes_out;
        row->finished.cost = cost_of(receipt, conclusion->price);
        row->finished.receipt_size = conclusion->receipt_json.size;
    }
    return put_row(store, row);
}

void store_put_table(struct store *store, struct bytes table) {
    if (put_row(store, new_row(ROW_TABLE, table, bytes_of(NULL, 0))) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "The routing table is not saved");
    }
}

/* Whom a search is for: a client's job, or a manifest. */
struct search {
    const struct peer_id *client; /* NULL: by the manifest */
    const char *job_id;
    const struct sha256_digest *manifest_hash;
    int64_t expires_s;
};

static bool row_is_it(const struct row *row, const struct search *search) {
    if (row->kind != ROW_ACCEPTED) {
        return false;
    }
    if (search->client == NULL) {
        return row->accepted.fetchable &&
               sha256_equal(&row->accepted.manifest_hash, search->manifest_hash);
    }
    return peer_id_equal(&row->accepted.client, search->client) &&
           strcmp(row->accepted.job_id, search->job_id) == 0;
}

static uint8_t *copy(const void *bytes, size_t size) {
    uint8_t *copied = size > 0 ? malloc(size) : NULL;
    if (copied != NULL) {
        memcpy(copied, bytes, size);
    }
    return copied;
}

static void take_output(struct store_job *job, bool kept, const void *bytes, size_t size) {
    free(job->output);
    job->output = copy(bytes, size);
    job->output_size = job->output != NULL ? size : 0;
    job->output_kept = kept && job->output_size == size;
}

/* Rows not committed yet count, too: newest last. */
static void look_through(const struct row *row, const struct search *search, struct store_job *job,
                         int64_t *number) {
    for (; row != NULL; row = row->next) {
        if (row_is_it(row, search)) {
            *number = row->number;
            job->manifest_hash = row->accepted.manifest_hash;
        } else if (row->kind == ROW_FINISHED && row->number == *number) {
            size_t receipt_size = (size_t)row->finished.receipt_size;
            free(job->receipt);
            job->receipt = strndup((const char *)row->bytes, receipt_size);
            job->finished = job->receipt != NULL;
            memcpy(job->signature, row->finished.signature, ED25519_SIGNATURE_SIZE);
            job->has_summary = row->finished.has_summary;
            memcpy(job->summary, row->finished.summary, ED25519_SIGNATURE_SIZE);
            take_output(job, row->finished.output_kept, row->bytes + receipt_size,
                        (size_t)row->size - receipt_size);
        }
    }
}

static void read_row(sqlite3_stmt *statement, struct store_job *job) {
    memcpy(job->manifest_hash.bytes, sqlite3_column_blob(statement, 0), SHA256_SIZE);
    const char *receipt = (const char *)sqlite3_column_text(statement, 1);
    if (receipt == NULL || sqlite3_column_bytes(statement, 2) != ED25519_SIGNATURE_SIZE) {
        return;
    }
    job->receipt = strdup(receipt);
    job->finished = job->receipt != NULL;
    memcpy(job->signature, sqlite3_column_blob(statement, 2), ED25519_SIGNATURE_SIZE);
    job->has_summary = sqlite3_column_bytes(statement, 3) == ED25519_SIGNATURE_SIZE;
    if (job->has_summary) {
        memcpy(job->summary, sqlite3_column_blob(statement, 3), ED25519_SIGNATURE_SIZE);
    }
    bool silent = sqlite3_column_type(statement, 5) == SQLITE_INTEGER &&
                  sqlite3_column_int64(statement, 5) == 0;
    const void *output = sqlite3_column_blob(statement, 6);
    take_output(job, silent || output != NULL, output, (size_t)sqlite3_column_bytes(statement, 6));
}

/* 0, PLASM_NOT_FOUND, PLASM_IO. */
static int find_committed(sqlite3_stmt *statement, struct store_job *job, int64_t *number) {
    int step = sqlite3_step(statement);
    int error = step == SQLITE_DONE ? PLASM_NOT_FOUND : 0;
    if (step == SQLITE_ROW && sqlite3_column_bytes(statement, 0) == SHA256_SIZE) {
        read_row(statement, job);
        *number = sqlite3_column_int64(statement, 4);
    } else if (step != SQLITE_DONE) {
        error = PLASM_IO;
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return error;
}

/* `statement` is bound. */
static int find(struct store *store, sqlite3_stmt *statement, const struct search *search,
                struct store_job *ret_job) {
    struct store_job job = {.finished = false};
    int64_t number = 0; /* none has it */
    (void)pthread_mutex_lock(&store->mutex);
    int error = find_committed(statement, &job, &number);
    look_through(store->writing, search, &job, &number);
    look_through(store->first, search, &job, &number);
    (void)pthread_mutex_unlock(&store->mutex);
    if (error == PLASM_IO) {
        char fault[STORE_FAULT_SIZE];
        store_fault(store->reader, store->path, fault, sizeof(fault));
        daemon_log(LOG_LEVEL_ERROR, "Database: %s", fault);
    } else {
        error = number != 0 ? 0 : PLASM_NOT_FOUND;
    }
    if (error != 0) {
        store_job_done(&job);
        return error;
    }
    *ret_job = job;
    return 0;
}

int store_find(struct store *store, const struct peer_id *client, const char *job_id,
               bool may_be_old, struct store_job *ret_job) {
    int64_t key = key_of(client, job_id);
    /* By a clock that was set back, what is old may look new. */
    may_be_old = may_be_old || clock_ms(CLOCK_REALTIME) < store->opened_ms;
    if (!may_be_old && !recent_may_have(&store->recent, key)) {
        return PLASM_NOT_FOUND;
    }
    struct search search = {.client = client, .job_id = job_id};
    (void)sqlite3_bind_int64(store->find, 1, key);
    (void)sqlite3_bind_blob(store->find, 2, client->bytes, client->size, SQLITE_STATIC);
    (void)sqlite3_bind_text(store->find, 3, job_id, -1, SQLITE_STATIC);
    return find(store, store->find, &search, ret_job);
}

int store_find_manifest(struct store *store, const struct sha256_digest *manifest_hash,
                        int64_t expires_s, struct store_job *ret_job) {
    struct search search = {.manifest_hash = manifest_hash, .expires_s = expires_s};
    (void)sqlite3_bind_int64(store->find_manifest, 1, expires_s);
    (void)sqlite3_bind_blob(store->find_manifest, 2, manifest_hash->bytes, SHA256_SIZE,
                            SQLITE_STATIC);
    return find(store, store->find_manifest, &search, ret_job);
}

void store_job_done(struct store_job *job) {
    free(job->receipt);
    free(job->output);
    job->receipt = NULL;
    job->output = NULL;
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
