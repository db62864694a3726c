/* The public interface without network: options that are wrong, and receipts from the golden
 * vectors of docs/spec/vectors (made by another implementation, see its README). */
#include <stdio.h>

#include "client/client.h"
#include "util/testing.h"

#define VECTORS PLASM_SOURCE_DIR "/../../docs/spec/vectors/"

static char *read_file(const char *name) {
    static char text[64 * 1024];
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    text[size] = '\0';
    return text;
}

static void verdicts(void **state) {
    (void)state;
    const char *answer = NULL;
    char *file = read_file(VECTORS "hello.receipt.json");
    assert_int_equal(plasm_verify(file, NULL, &answer), PLASM_STATE);
    assert_non_null(strstr(answer, "\"verdict\":\"unpinned\""));
    json_t *parsed = json_loads(file, 0, NULL);
    char expected[256];
    snprintf(expected, sizeof(expected), "{\"key\":\"%s\"}",
             json_string_value(json_object_get(parsed, "public_key")));
    assert_int_equal(plasm_verify(file, expected, &answer), 0);
    assert_non_null(strstr(answer, "\"verdict\":\"verified\""));
    snprintf(expected, sizeof(expected), "{\"key\":\"%s\"}",
             json_string_value(json_object_get(json_object_get(parsed, "receipt"), "worker")));
    assert_int_equal(plasm_verify(file, expected, &answer), 0);
    /* Another node's key, another module. */
    assert_int_equal(
        plasm_verify(file, "{\"key\":\"12D3KooWGjMCaZqSw4zYTvTkcv8sPLJWsa8yNKpVg3AXBmWKTYtq\"}",
                     &answer),
        PLASM_UNTRUSTED);
    assert_non_null(strstr(answer, "\"verdict\":\"refused\""));
    assert_int_equal(plasm_verify(file,
                                  "{\"module_hash\":\"sha256:"
                                  "0000000000000000000000000000000000000000000000000000000000000000"
                                  "\"}",
                                  &answer),
                     PLASM_UNTRUSTED);
    assert_non_null(strstr(answer, "module_hash"));
    json_decref(parsed);
}

/* The four keys of the guide's manual check are no receipt. */
static void no_downgrade(void **state) {
    (void)state;
    const char *answer = NULL;
    char *file = read_file(VECTORS "hello.receipt.json");
    json_t *parsed = json_loads(file, 0, NULL);
    json_t *receipt = json_object_get(parsed, "receipt");
    json_t *four = json_object();
    static const char *const keys[] = {"job_id", "module_hash", "exit_code", "wall_time_ms"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)json_object_set(four, keys[i], json_object_get(receipt, keys[i]));
    }
    (void)json_object_set_new(parsed, "receipt", four);
    char *text = json_dumps(parsed, 0);
    assert_int_equal(plasm_verify(text, NULL, &answer), PLASM_UNTRUSTED);
    assert_non_null(strstr(answer, "refused"));
    free(text);
    json_decref(parsed);
}

static void what_is_no_receipt_file(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{}", "[]", "null", "{\"receipt\":{}}", "{", "\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *answer = NULL;
        assert_int_equal(plasm_verify(texts[i], NULL, &answer), PLASM_UNTRUSTED);
        assert_non_null(strstr(answer, "refused"));
    }
    const char *answer = NULL;
    char *file = read_file(VECTORS "hello.receipt.json");
    assert_int_equal(plasm_verify(file, "{\"key\":\"nonsense\"}", &answer), PLASM_INVALID);
    assert_int_equal(plasm_verify(file, "{\"key\":5}", &answer), PLASM_INVALID);
    assert_int_equal(plasm_verify(file, "[]", &answer), PLASM_INVALID);
}

static void options_that_are_wrong(void **state) {
    (void)state;
    static const struct {
        const char *options;
        const char *word;
    } cases[] = {
        {"[]", "JSON object"},
        {"{", "JSON object"},
        {"{\"bootstrap\":\"a\"}", "list"},
        {"{\"bootstrap\":[1]}", "strings"},
        {"{\"bootstrap\":[\"ho st\"]}", "'ho st' is not valid"},
        {"{\"timeout_ms\":-1}", "timeout_ms"},
        {"{\"state_dir\":5}", "state_dir"},
        {"{\"identity\":\"/nonexistent/key\",\"state_dir\":\"\"}", "/nonexistent/key"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct plasm_client *client = NULL;
        assert_int_not_equal(plasm_client_new(cases[i].options, &client), 0);
        assert_null(client);
        assert_non_null(strstr(plasm_last_error(), cases[i].word));
    }
}

static void requests_that_are_wrong(void **state) {
    (void)state;
    static const struct {
        const char *request;
        const char *word;
    } cases[] = {
        {"[]", "JSON object"},
        {"{\"args\":\"a\"}", "args"},
        {"{\"args\":[1]}", "args"},
        {"{\"env\":[\"novalue\"],\"node\":\"127.0.0.1\"}", "env"},
        {"{\"limits\":5}", "limits"},
        {"{\"limits\":{\"fuel\":\"much\"}}", "fuel"},
        {"{\"profile\":\"fastest\"}", "fastest"},
        {"{\"node\":\"ho st\"}", "ho st"},
        {"{\"job_id\":\"not-a-uuid\",\"node\":\"127.0.0.1\"}", "job_id"},
    };
    struct plasm_client *client = NULL;
    assert_int_equal(plasm_client_new("{\"state_dir\":\"\"}", &client), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct plasm_job *job = NULL;
        assert_int_equal(
            plasm_submit(client, cases[i].request, (const uint8_t *)"x", 1, NULL, 0, &job),
            PLASM_INVALID);
        assert_null(job);
        assert_non_null(strstr(plasm_last_error(), cases[i].word));
    }
    plasm_client_free(client);
}

static void a_client_alone_finds_nobody(void **state) {
    (void)state;
    struct plasm_client *client = NULL;
    const char *answer = NULL;
    assert_int_equal(plasm_client_new("{\"state_dir\":\"\"}", &client), 0);
    assert_int_equal(strncmp(plasm_client_peer_id(client), "12D3KooW", 8), 0);
    assert_true(plasm_client_fd(client) >= 0);
    assert_int_equal(plasm_client_poll(client), 0);
    assert_int_equal(plasm_discover(client, "{\"timeout_ms\":200}", &answer), PLASM_NOT_FOUND);
    assert_non_null(strstr(answer, "\"nodes\":[]"));
    plasm_client_free(client);
}

int main(void) {
    (void)unsetenv("PLASM_BOOTSTRAP");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(no_downgrade),
        cmocka_unit_test(what_is_no_receipt_file),
        cmocka_unit_test(options_that_are_wrong),
        cmocka_unit_test(requests_that_are_wrong),
        cmocka_unit_test(a_client_alone_finds_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
