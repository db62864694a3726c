/* What strangers say on the page and in the API, and whom the port answers. */
#include "plasmd/status.h"

#include <jansson.h>
#include <stdlib.h>

#include "plasmd/http.h"
#include "util/testing.h"

static const char hostile[] = "</td><script>alert(1)</script>\"'&\n\x1b[31m";

/* A worker whose every text is hostile. */
static struct status *hostile_status(void) {
    static struct metrics metrics;
    static struct config config;
    struct status *status = calloc(1, sizeof(*status));
    assert_non_null(status);
    config_default(&config);
    memset(&metrics, 0, sizeof(metrics));
    struct ended_job ended = {.status = JOB_STATUS_EXIT, .exit_code = 3};
    snprintf(ended.job_id, sizeof(ended.job_id), "%.30s", hostile);
    metrics_job_ended(&metrics, &ended);
    status->metrics = &metrics;
    status->config = &config;
    status->state = "ready";
    status->version = "1";
    status->reachability = status->nat_tcp = status->nat_udp = hostile;
    snprintf(status->id, sizeof(status->id), "%s", hostile);
    snprintf(status->walls, sizeof(status->walls), "%s", hostile);
    status->address_count = 1;
    snprintf(status->addresses[0], sizeof(status->addresses[0]), "%s", hostile);
    status->job_count = 1;
    snprintf(status->jobs[0].client, sizeof(status->jobs[0].client), "%s", hostile);
    snprintf(status->jobs[0].module, sizeof(status->jobs[0].module), "%s", hostile);
    status->jobs[0].phase = "running";
    status->peer_count = 1;
    snprintf(status->peers[0].id, sizeof(status->peers[0].id), "%s", hostile);
    snprintf(status->peers[0].agent, sizeof(status->peers[0].agent), "%s", hostile);
    snprintf(status->peers[0].address, sizeof(status->peers[0].address), "%s", hostile);
    status->peers[0].transport = "quic";
    return status;
}

static char *text_of(void (*write)(FILE *out, const struct status *status)) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    struct status *status = hostile_status();
    write(out, status);
    free(status);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void the_page_escapes(void **state) {
    (void)state;
    char *page = text_of(status_write_page);
    assert_null(strstr(page, "<script>"));
    assert_null(strstr(page, "</td><script"));
    assert_null(strstr(page, "\"'&"));
    assert_non_null(
        strstr(page, "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
    assert_null(strstr(page, "style=")); /* the policy forbids it */
    free(page);
}

static void the_api_is_json(void **state) {
    (void)state;
    void (*const writers[])(FILE *, const struct status *) = {
        status_write_json, status_write_jobs, status_write_peers, status_write_config};
    for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
        char *text = text_of(writers[i]);
        json_error_t fault;
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
        assert_non_null(json);
        if (writers[i] == status_write_peers) {
            json_t *peer = json_array_get(json_object_get(json, "peers"), 0);
            assert_string_equal(json_string_value(json_object_get(peer, "agent")), hostile);
        }
        json_decref(json);
        free(text);
    }
}

static void assert_printable(const char *said, const char *shown) {
    char room[16];
    status_printable(bytes_of_string(said), room, sizeof(room));
    assert_string_equal(room, shown);
}

static void strange_bytes_are_harmless(void **state) {
    (void)state;
    assert_printable("plasm/0.1.0", "plasm/0.1.0");
    assert_printable("gr\xc3\xbc\xc3\x9f"
                     "e",
                     "gr\xc3\xbc\xc3\x9f"
                     "e");
    assert_printable("a\x1b[2Jb\n", "a?[2Jb?");
    assert_printable("a\xc2\x9b"
                     "2J",
                     "a?2J");
    assert_printable("\xff\xfe", "??");
    assert_printable("go\xe2\x80\xae"
                     "og",
                     "go?og");
    assert_printable("123456789012345678", "123456789012345");
    assert_printable("12345678901234\xc3\xbc", "12345678901234");
}

static void only_this_machine_is_asked(void **state) {
    (void)state;
    static const char *const good[] = {"127.0.0.1",  "127.0.0.1:4002", "localhost",  "LocalHost:80",
                                       "[::1]:4002", "[::1]",          "192.0.2.7:1"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "::1",
                                      "[::1",
                                      "[::1]x",
                                      "[localhost]",
                                      "127.0.0.1:x",
                                      "127.0.0.1:99999",
                                      "127.0.0.1:",
                                      ":80",
                                      "0x7f.1"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(http_host_is_local(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(http_host_is_local(bad[i]));
    }
    assert_false(http_host_is_local(NULL));
}

static void routes_are_exact(void **state) {
    (void)state;
    assert_int_equal(http_route("/"), HTTP_PAGE_STATUS);
    assert_int_equal(http_route("/metrics"), HTTP_PAGE_METRICS);
    assert_int_equal(http_route("/api/v1/config"), HTTP_PAGE_API_CONFIG);
    assert_int_equal(http_route("/metrics/"), HTTP_PAGE_NONE);
    assert_int_equal(http_route(""), HTTP_PAGE_NONE);
    assert_int_equal(http_route("//"), HTTP_PAGE_NONE);
}

static void places_are_known(void **state) {
    (void)state;
    assert_int_equal(http_place_of("off"), HTTP_OFF);
    assert_int_equal(http_place_of("127.0.0.1:4002"), HTTP_LOOPBACK);
    assert_int_equal(http_place_of("127.9.9.9:0"), HTTP_LOOPBACK);
    assert_int_equal(http_place_of("[::1]:4002"), HTTP_LOOPBACK);
    assert_int_equal(http_place_of("0.0.0.0:4002"), HTTP_REMOTE);
    assert_int_equal(http_place_of("[::]:4002"), HTTP_REMOTE);
    assert_int_equal(http_place_of("[::ffff:192.0.2.1]:4002"), HTTP_REMOTE);
    assert_int_equal(http_place_of("/run/plasm/status.sock"), HTTP_SOCKET);
    assert_int_equal(http_place_of("localhost:4002"), HTTP_WRONG);
    assert_int_equal(http_place_of("127.0.0.1"), HTTP_WRONG);
    assert_int_equal(http_place_of(""), HTTP_WRONG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_escapes),           cmocka_unit_test(the_api_is_json),
        cmocka_unit_test(strange_bytes_are_harmless), cmocka_unit_test(only_this_machine_is_asked),
        cmocka_unit_test(routes_are_exact),           cmocka_unit_test(places_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
