/* The store: what was accepted and answered is found, before and after a commit and a restart. */
#include "plasmd/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "util/testing.h"

#define JOB "550e8400-e29b-41d4-a716-446655440000"

static char directory[64];
static char path[128];
static char fault[256];
static const struct peer_id client = {.size = 3, .bytes = {1, 2, 3}};
static const struct sha256_digest manifest = {.bytes = {9}};
static const uint8_t signature[ED25519_SIGNATURE_SIZE] = {7};
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

static int remove_directory(void **state) {
    (void)state;
    static const char *const endings[] = {"", "-wal", "-shm"};
    char file[160];
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        (void)unlink(file);
    }
    return rmdir(directory);
}

static struct store *open_store(void) {
    struct store *store = NULL;
    bool opened = store_open(path, &store, fault, sizeof(fault));
    if (!opened) {
        fail_msg("%s", fault);
    }
    return store;
}

static void accepted_then_finished(void **state) {
    (void)state;
    struct store *store = open_store();
    struct store_job job;
    assert_int_equal(store_find(store, &client, JOB, true, &job), PLASM_NOT_FOUND);
    assert_int_equal(store_accepted(store, &client, JOB, &manifest, NULL, 1000, &number), 0);
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0); /* not committed yet */
    assert_false(job.finished);
    assert_true(sha256_equal(&job.manifest_hash, &manifest));
    store_job_done(&job);
    assert_int_equal(store_finished(store, number, BYTES_LITERAL("{\"a\":1}"), signature, NULL), 0);
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0);
    assert_true(job.finished);
    assert_string_equal(job.receipt, "{\"a\":1}");
    store_job_done(&job);
    struct peer_id other = client;
    other.bytes[0] = 5;
    assert_int_equal(store_find(store, &other, JOB, true, &job), PLASM_NOT_FOUND);
    store_close(store);

    store = open_store();
    assert_int_equal(store_find(store, &client, JOB, true, &job), 0);
    assert_true(job.finished && !job.has_summary && !job.fetchable);
    assert_string_equal(job.receipt, "{\"a\":1}");
    assert_memory_equal(job.signature, signature, sizeof(signature));
    store_job_done(&job);
    store_close(store);
}

static void an_accepted_job_without_receipt_is_lost(void **state) {
    (void)state;
    static const char id[] = "550e8400-e29b-41d4-a716-446655440001";
    struct store *store = open_store();
    assert_int_equal(store_accepted(store, &client, id, &manifest, &manifest, 1000, &number), 0);
    store_close(store);
    store = open_store();
    struct store_job job;
    assert_int_equal(store_find(store, &client, id, true, &job), 0);
    assert_false(job.finished);
    assert_true(job.fetchable && sha256_equal(&job.fetch_hash, &manifest));
    store_job_done(&job);
    store_close(store);
}

static void many_rows_in_one_go(void **state) {
    (void)state;
    struct store *store = open_store();
    char id[JOB_ID_SIZE];
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
        assert_int_equal(store_accepted(store, &client, id, &manifest, NULL, i, &number), 0);
        assert_int_equal(store_finished(store, number, BYTES_LITERAL("{}"), signature, signature),
                         0);
    }
    store_close(store);
    store = open_store();
    struct store_job job;
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "550e8400-e29b-41d4-a716-%012d", i);
        assert_int_equal(store_find(store, &client, id, true, &job), 0);
        assert_true(job.finished && job.has_summary);
        store_job_done(&job);
    }
    store_close(store);
}

/* What was accepted lately needs no query to be told from a new job; after a restart as well. */
static void recent_jobs_are_known_without_a_query(void **state) {
    (void)state;
    static const char id[] = "550e8400-e29b-41d4-a716-446655440009";
    static const char new_id[] = "550e8400-e29b-41d4-a716-44665544000a";
    struct store_job job;
    struct store *store = open_store();
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_int_equal(store_find(store, &client, id, false, &job), PLASM_NOT_FOUND);
    assert_int_equal(store_accepted(store, &client, id, &manifest, NULL, now_ms, &number), 0);
    assert_int_equal(store_find(store, &client, id, false, &job), 0);
    store_job_done(&job);
    store_close(store);
    store = open_store();
    assert_int_equal(store_find(store, &client, id, false, &job), 0);
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

static void what_is_no_database_is_a_clear_fault(void **state) {
    (void)state;
    struct store *store = NULL;
    assert_false(store_open("/nonexistent/plasm.db", &store, fault, sizeof(fault)));
    assert_true(fault[0] != '\0');
    char file[160];
    snprintf(file, sizeof(file), "%s/junk", directory);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static const char junk[4096] = "this is no database";
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    assert_int_equal(close(fd), 0);
    assert_false(store_open(file, &store, fault, sizeof(fault)));
    assert_non_null(strstr(fault, "not a database"));
    assert_int_equal(unlink(file), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_then_finished),
        cmocka_unit_test(an_accepted_job_without_receipt_is_lost),
        cmocka_unit_test(many_rows_in_one_go),
        cmocka_unit_test(recent_jobs_are_known_without_a_query),
        cmocka_unit_test(the_routing_table_is_kept),
        cmocka_unit_test(what_is_no_database_is_a_clear_fault),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
