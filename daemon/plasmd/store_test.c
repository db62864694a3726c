/* The store: what was accepted and answered is found, before and after a commit, a restart and the
 * death of the process; what is too old or too much goes; damage is named. */
#include "plasmd/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plasmd/kept_output.h"
#include "plasmd/store_internal.h"
#include "util/testing.h"
#include "wire/multiaddr.h"

#define JOB "550e8400-e29b-41d4-a716-446655440000"

static char directory[64];
static char path[128];
static char fault[512];
static const struct peer_id client = {.size = 3, .bytes = {1, 2, 3}};
static const struct peer_id stranger = {.size = 3, .bytes = {5, 2, 3}};
static const uint8_t signature[ED25519_SIGNATURE_SIZE] = {7};
static const struct store_settings settings = {.outputs_hours = 24,
                                               .outputs_bytes_max = UINT64_C(1) << 30};
static int64_t number;

static int make_directory(void **state) {
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/plasm-store-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/plasm.db", directory);
    return 0;
}

static void unlink_all(void) {
    static const char *const endings[] = {"", "-wal", "-shm", ".tail0", ".tail1"};
    char file[160];
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        (void)unlink(file);
    }
}

static int remove_directory(void **state) {
    (void)state;
    unlink_all();
    return rmdir(directory);
}

static int begin_anew(void **state) {
    (void)state;
    unlink_all();
    return 0;
}

static struct store *open_with(const struct store_settings *with) {
    struct store *store = NULL;
    bool opened = store_open(path, with, &store, fault, sizeof(fault));
    if (!opened) {
        fail_msg("%s", fault);
    }
    return store;
}

static struct store *open_store(void) {
    return open_with(&settings);
}

static int64_t now_ms(void) {
    return (int64_t)time(NULL) * 1000;
}

static struct manifest manifest_of(const char *job_id) {
    struct manifest manifest = {
        .module_hash = {.bytes = {3}}, .fetchable = true, .expires_s = 1767225600};
    snprintf(manifest.job_id, sizeof(manifest.job_id), "%s", job_id);
    return manifest;
}

/* The manifest's hash is the job id's, to tell them apart. */
static int accept_job(struct store *store, const char *job_id, int64_t unix_ms) {
    struct manifest manifest = manifest_of(job_id);
    struct multiaddr remote;
    assert_int_equal(multiaddr_parse(bytes_of_string("/ip4/192.0.2.7/udp/4001/quic-v1"), &remote),
                     0);
    struct store_acceptance acceptance = {.client = &client,
                                          .remote = &remote,
                                          .manifest = &manifest,
                                          .manifest_hash = sha256(bytes_of_string(job_id)),
                                          .bytes_in = 12,
                                          .price = 5,
                                          .unix_ms = unix_ms};
    return store_accepted(store, &acceptance, &number);
}

static int finish_with(struct store *store, int64_t job_number, const char *json,
                       struct bytes output) {
    struct receipt receipt = {.status = JOB_STATUS_OK, .wall_time_us = 1500000, .fuel = 8};
    struct store_conclusion conclusion = {.number = job_number,
                                          .receipt = &receipt,
                                          .receipt_json = bytes_of_string(json),
                                          .signature = signature,
                                          .bytes_out = output.size,
                                          .output_kept = true,
                                          .output = output,
                                          .price = 5,
                                          .unix_ms = now_ms()};
    return store_finished(store, &conclusion);
}

static int finish_job(struct store *store, int64_t job_number, const char *json) {
    return finish_with(store, job_number, json, bytes_of(NULL, 0));
}

static int64_t integer_of(const char *sql) {
    sqlite3 *database;
    int64_t value = -1;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_true(store_integer(database, sql, &value));
    (void)sqlite3_close(database);
    return value;
}

static void accepted_then_finished(void **state) {
    (void)state;
    struct store *store = open_store();
    struct store_job job;
    assert_int_equal(store_find(store, &client, JOB, true, &job), PLASM_NOT_FOUND);
    assert_int_equal(accept_job(store, JOB, 1000), 0);
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0); /* not committed yet */
    assert_false(job.finished);
    struct sha256_digest hash = sha256(bytes_of_string(JOB));
    assert_true(sha256_equal(&job.manifest_hash, &hash));
    store_job_done(&job);
    assert_int_equal(finish_job(store, number, "{\"a\":1}"), 0);
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0);
    assert_true(job.finished);
    assert_string_equal(job.receipt, "{\"a\":1}");
    store_job_done(&job);
    assert_int_equal(store_find(store, &stranger, JOB, true, &job), PLASM_NOT_FOUND);
    store_close(store);

    store = open_store();
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0);
    assert_true(job.finished && !job.has_summary && job.output_kept);
    assert_string_equal(job.receipt, "{\"a\":1}");
    assert_memory_equal(job.signature, signature, sizeof(signature));
    store_job_done(&job);
    store_close(store);
    assert_int_equal(integer_of("SELECT count(*) FROM jobs JOIN receipts USING (number) WHERE "
                                "prefix = '192.0.2.7' AND status = 'ok' AND cost = 10 AND "
                                "bytes_in = 12 AND fuel = 8 AND wall_us = 1500000 AND "
                                "length(module_hash) = 32"),
                     1);
}

static void an_accepted_job_without_receipt_is_lost(void **state) {
    (void)state;
    struct store *store = open_store();
    assert_int_equal(accept_job(store, JOB, 1000), 0);
    store_close(store);
    store = open_store();
    struct store_job job;
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0);
    assert_false(job.finished);
    store_job_done(&job);
    store_close(store);
    assert_int_equal(integer_of("SELECT count(*) FROM lost"), 1);
    store_close(open_store());
    assert_int_equal(integer_of("SELECT count(*) FROM lost"), 1);
}

/* Whoever proves the fetch secret finds it by its manifest, output and all. */
static void found_by_manifest_with_its_output(void **state) {
    (void)state;
    struct memory memory;
    struct kept_output kept;
    memory_init(&memory, SIZE_MAX);
    kept_output_init(&kept, &memory, 1000);
    kept_output_add(&kept, 1, BYTES_LITERAL("hel"));
    kept_output_add(&kept, 1, BYTES_LITERAL("lo"));
    kept_output_add(&kept, 2, BYTES_LITERAL("error"));
    struct store *store = open_store();
    assert_int_equal(accept_job(store, JOB, 1000), 0);
    assert_int_equal(finish_with(store, number, "{}", buffer_bytes(&kept.records)), 0);
    struct sha256_digest hash = sha256(bytes_of_string(JOB));
    struct sha256_digest other = sha256(bytes_of_string("other"));
    for (int round = 0; round < 2; round++) { /* before the commit, and after a restart */
        struct store_job job;
        assert_int_equal(store_find_manifest(store, &hash, 1767225600, &job), 0);
        assert_true(job.finished && job.output_kept);
        struct bytes records = bytes_of(job.output, job.output_size);
        uint8_t stream;
        struct bytes piece;
        assert_true(kept_output_next(&records, &stream, &piece));
        assert_true(stream == 1 && bytes_equal_string(piece, "hello"));
        assert_true(kept_output_next(&records, &stream, &piece));
        assert_true(stream == 2 && bytes_equal_string(piece, "error"));
        assert_false(kept_output_next(&records, &stream, &piece));
        store_job_done(&job);
        assert_int_equal(store_find_manifest(store, &other, 1767225600, &job), PLASM_NOT_FOUND);
        store_close(store);
        store = open_store();
    }
    store_close(store);
    kept_output_done(&kept);
}

static void too_much_output_is_not_kept(void **state) {
    (void)state;
    struct memory memory;
    struct kept_output kept;
    memory_init(&memory, SIZE_MAX);
    kept_output_init(&kept, &memory, 5);
    kept_output_add(&kept, 1, BYTES_LITERAL("hello"));
    assert_false(kept.is_cut);
    kept_output_add(&kept, 1, BYTES_LITERAL("!"));
    assert_true(kept.is_cut && kept.bytes == 6 && kept.records.size == 0);
    kept_output_done(&kept);
    assert_int_equal(memory.used, 0);
}

/* Another process accepts and answers, and dies before anything is committed. */
static void what_was_taken_survives_a_kill(void **state) {
    (void)state;
    char id[JOB_ID_SIZE];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = open_store();
        for (int i = 0; i < 100; i++) {
            snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
            if (accept_job(store, id, now_ms()) != 0 ||
                (i % 2 == 0 &&
                 finish_with(store, number, "{}", BYTES_LITERAL("\1\0\0\0\1x")) != 0)) {
                _exit(1);
            }
        }
        (void)kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    for (int round = 0; round < 2; round++) {
        struct store *store = open_store();
        for (int i = 0; i < 100; i++) {
            struct store_job job;
            snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
            assert_int_equal(store_find(store, &client, id, false, &job), 0);
            assert_int_equal(job.finished, i % 2 == 0);
            assert_int_equal(job.output_size, i % 2 == 0 ? 6 : 0);
            store_job_done(&job);
        }
        assert_int_equal(accept_job(store, JOB, now_ms()), 0);
        assert_true(number > 100);
        store_close(store);
    }
    assert_int_equal(integer_of("SELECT count(*) FROM lost"), 51);
}

/* A tail that was cut off, or garbled, ends there: what is whole before counts. */
static void a_damaged_tail_is_read_up_to_there(void **state) {
    (void)state;
    struct store_tail tail;
    assert_int_equal(store_tail_open(path, &tail), 0);
    assert_int_equal(store_tail_append(&tail, BYTES_LITERAL("one")), 0);
    size_t second = tail.offset;
    assert_int_equal(store_tail_append(&tail, BYTES_LITERAL("two")), 0);
    assert_int_equal(pwrite(tail.fds[0], "x", 1, (off_t)tail.offset - 1), 1);
    store_tail_close(&tail);
    assert_true(second > 0);
    store_close(open_store()); /* "one" is no row: it is passed over */
    assert_int_equal(integer_of("SELECT count(*) FROM jobs"), 0);
}

static void many_rows_in_one_go(void **state) {
    (void)state;
    struct store *store = open_store();
    char id[JOB_ID_SIZE];
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
        assert_int_equal(accept_job(store, id, i), 0);
        assert_int_equal(finish_job(store, number, "{}"), 0);
    }
    store_close(store);
    store = open_store();
    struct store_job job;
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
        assert_int_equal(store_find(store, &client, id, true, &job), 0);
        assert_true(job.finished);
        store_job_done(&job);
    }
    store_close(store);
}

/* What was accepted lately needs no query to be told from a new job; after a restart as well. */
static void recent_jobs_are_known_without_a_query(void **state) {
    (void)state;
    static const char new_id[] = "550e8400-e29b-41d4-a716-44665544000a";
    struct store_job job;
    struct store *store = open_store();
    assert_int_equal(store_find(store, &client, JOB, false, &job), PLASM_NOT_FOUND);
    assert_int_equal(accept_job(store, JOB, now_ms()), 0);
    assert_int_equal(store_find(store, &client, JOB, false, &job), 0);
    store_job_done(&job);
    store_close(store);
    store = open_store();
    assert_int_equal(store_find(store, &client, JOB, false, &job), 0);
    store_job_done(&job);
    assert_int_equal(store_find(store, &client, new_id, false, &job), PLASM_NOT_FOUND);
    store_close(store);
}

static void the_routing_table_is_kept(void **state) {
    (void)state;
    struct memory memory;
    struct buffer table;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&table, &memory, 1024);
    struct store *store = open_store();
    assert_int_equal(store_get_table(store, &table), PLASM_NOT_FOUND);
    store_put_table(store, BYTES_LITERAL("first"));
    store_put_table(store, BYTES_LITERAL("second"));
    store_close(store);
    store = open_store();
    assert_int_equal(store_get_table(store, &table), 0);
    assert_true(bytes_equal_string(buffer_bytes(&table), "second"));
    store_close(store);
    buffer_done(&table);
}

/* Ten jobs of this moment, ten of an hour ago, ten of two days ago. */
static void fill_three_ages(struct store *store) {
    static const int64_t ages_s[] = {INT64_C(2) * 86400, 3600, 0};
    char id[JOB_ID_SIZE];
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
        assert_int_equal(accept_job(store, id, now_ms() - ages_s[i / 10] * 1000), 0);
        assert_int_equal(finish_with(store, number, "{}", BYTES_LITERAL("\1\0\0\0\1x")), 0);
    }
}

static void the_old_goes_and_the_recent_stays(void **state) {
    (void)state;
    struct store_settings days = {
        .receipts_days = 1, .outputs_hours = 24, .outputs_bytes_max = 700};
    struct store *store = open_with(&days);
    fill_three_ages(store);
    store_close(store);
    store = open_with(&days);
    while (store_prune(store, now_ms())) {
    }
    store_close(store);
    assert_int_equal(integer_of("SELECT count(*) FROM jobs"), 20);
    assert_int_equal(integer_of("SELECT count(*) FROM receipts"), 20);
    assert_int_equal(integer_of("SELECT count(*) FROM outputs"), 10); /* 70 bytes each */
    struct store_settings small = {.size_bytes_max = 1};
    store = open_with(&small);
    while (store_prune(store, now_ms())) {
    }
    store_close(store);
    assert_int_equal(integer_of("SELECT count(*) FROM jobs"), 20); /* younger than 70 minutes */
    assert_int_equal(integer_of("SELECT count(*) FROM outputs"), 0);
}

/* A database as the first schema made it. */
static void the_first_schema_is_brought_up_to_date(void **state) {
    (void)state;
    static const char first[] =
        "CREATE TABLE jobs (number INTEGER PRIMARY KEY, key INTEGER NOT NULL, client BLOB NOT NULL,"
        " job_id TEXT NOT NULL, manifest_hash BLOB NOT NULL, fetch_hash BLOB,"
        " accepted_ms INTEGER NOT NULL);"
        "CREATE INDEX jobs_key ON jobs (key);"
        "CREATE TABLE receipts (number INTEGER PRIMARY KEY, receipt TEXT NOT NULL,"
        " signature BLOB NOT NULL, summary BLOB);"
        "CREATE TABLE blobs (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
        "PRAGMA user_version = 1;"
        "INSERT INTO blobs VALUES ('routing_table', 'table');"
        "INSERT INTO jobs VALUES (1, 4711, x'010203', '" JOB "', zeroblob(32), NULL, 1000);"
        "INSERT INTO jobs VALUES (2, 4712, x'010203', 'other', zeroblob(32), NULL, 1001);"
        "INSERT INTO receipts VALUES (1, '{\"exit_code\":7,\"fuel\":3,\"module_hash\":"
        "\"sha256:0303030303030303030303030303030303030303030303030303030303030303\","
        "\"started_ms\":1000,\"status\":\"exit\",\"wall_time_ms\":2,\"wall_time_us\":1500}',"
        " zeroblob(64), NULL);";
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_true(store_execute(database, first));
    (void)sqlite3_close(database);
    struct store *store = open_store();
    struct memory memory;
    struct buffer table;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&table, &memory, 1024);
    assert_int_equal(store_get_table(store, &table), 0);
    buffer_done(&table);
    assert_int_equal(accept_job(store, JOB, now_ms()), 0);
    assert_int_equal(number, 3);
    store_close(store);
    assert_int_equal(integer_of("SELECT count(*) FROM jobs JOIN receipts USING (number) WHERE "
                                "status = 'exit' AND exit_code = 7 AND wall_us = 1500 AND fuel = 3 "
                                "AND ended_ms = 1002 AND hex(module_hash) LIKE '0303%' AND "
                                "receipt LIKE '{%' AND length(signature) = 64"),
                     1);
    assert_int_equal(integer_of("SELECT number FROM lost"), 2);
}

static void a_newer_schema_is_refused(void **state) {
    (void)state;
    store_close(open_store());
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_true(store_execute(database, "PRAGMA user_version = 99"));
    (void)sqlite3_close(database);
    struct store *store = NULL;
    assert_false(store_open(path, &settings, &store, fault, sizeof(fault)));
    assert_non_null(strstr(fault, "upgrade plasmd"));
}

static void what_is_no_database_is_a_clear_fault(void **state) {
    (void)state;
    struct store *store = NULL;
    assert_false(store_open("/nonexistent/plasm.db", &settings, &store, fault, sizeof(fault)));
    assert_non_null(strstr(fault, "cannot be opened"));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static const char junk[4096] = "this is no database";
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    assert_int_equal(close(fd), 0);
    assert_false(store_open(path, &settings, &store, fault, sizeof(fault)));
    assert_non_null(strstr(fault, "not a database"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(accepted_then_finished, begin_anew),
        cmocka_unit_test_setup(an_accepted_job_without_receipt_is_lost, begin_anew),
        cmocka_unit_test_setup(found_by_manifest_with_its_output, begin_anew),
        cmocka_unit_test_setup(too_much_output_is_not_kept, begin_anew),
        cmocka_unit_test_setup(what_was_taken_survives_a_kill, begin_anew),
        cmocka_unit_test_setup(a_damaged_tail_is_read_up_to_there, begin_anew),
        cmocka_unit_test_setup(many_rows_in_one_go, begin_anew),
        cmocka_unit_test_setup(recent_jobs_are_known_without_a_query, begin_anew),
        cmocka_unit_test_setup(the_routing_table_is_kept, begin_anew),
        cmocka_unit_test_setup(the_old_goes_and_the_recent_stays, begin_anew),
        cmocka_unit_test_setup(the_first_schema_is_brought_up_to_date, begin_anew),
        cmocka_unit_test_setup(a_newer_schema_is_refused, begin_anew),
        cmocka_unit_test_setup(what_is_no_database_is_a_clear_fault, begin_anew),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
