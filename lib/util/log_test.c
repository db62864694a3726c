/* Tests of trace events: levels, cutting, and what a stranger's text must not do to a terminal. */
#include "util/log.h"

#include "util/testing.h"

struct seen {
    int count;
    enum log_level level;
    char topic[16];
    char text[LOG_TEXT_MAX + 1];
};

static void remember(void *context, enum log_level level, const char *topic, const char *text) {
    struct seen *seen = context;
    seen->count++;
    seen->level = level;
    assert_int_equal(bytes_to_string(bytes_of_string(topic), seen->topic, sizeof(seen->topic)), 0);
    assert_int_equal(bytes_to_string(bytes_of_string(text), seen->text, sizeof(seen->text)), 0);
}

static void levels(void **state) {
    (void)state;
    struct seen seen = {0};
    for (int wanted = LOG_LEVEL_ERROR; wanted <= LOG_LEVEL_DEBUG; wanted++) {
        struct log_sink sink = {remember, &seen, (enum log_level)wanted};
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
            seen.count = 0;
            log_event(&sink, (enum log_level)level, "kad", "level %d", level);
            assert_int_equal(seen.count, level <= wanted ? 1 : 0);
            assert_true(seen.count == 0 || (int)seen.level == level);
        }
    }
    log_event(NULL, LOG_LEVEL_ERROR, "kad", "nobody listens");
}

static void formats(void **state) {
    (void)state;
    struct seen seen = {0};
    struct log_sink sink = {remember, &seen, LOG_LEVEL_INFO};
    log_event(&sink, LOG_LEVEL_INFO, "quic", "%s has %d of %zu", "peer", -3, (size_t)7);
    assert_string_equal(seen.topic, "quic");
    assert_string_equal(seen.text, "peer has -3 of 7");
}

static void only_printable_text_comes_out(void **state) {
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } vectors[] = {
        {"a\nb\r\tc", "a?b??c"},
        {"\x1b[2J\x7f\x01", "?[2J??"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b\x32J", "??2J"}, /* a control sequence introducer of one character */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "????\xc2\xa0"}, /* the controls end before U+00A0 */
        {"bad \xff\xc3(", "bad ?"
                          "?("}, /* not UTF-8 */
        {"\xed\xa0\x80", "???"}, /* a surrogate */
        {"", ""},
    };
    struct seen seen = {0};
    struct log_sink sink = {remember, &seen, LOG_LEVEL_INFO};
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        memset(&seen, 0, sizeof(seen));
        log_event(&sink, LOG_LEVEL_INFO, "x", "%s", vectors[i].in);
        assert_string_equal(seen.text, vectors[i].out);
    }
}

static void long_text_is_cut(void **state) {
    (void)state;
    char text[2 * LOG_TEXT_MAX];
    struct seen seen = {0};
    struct log_sink sink = {remember, &seen, LOG_LEVEL_INFO};
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_event(&sink, LOG_LEVEL_INFO, "x", "%s", text);
    assert_int_equal(strlen(seen.text), LOG_TEXT_MAX - 1);
    /* Through a character of three bytes: it is dropped, not broken. */
    for (size_t place = LOG_TEXT_MAX - 6; place < LOG_TEXT_MAX; place++) {
        memset(&seen, 0, sizeof(seen));
        memset(text, 'x', sizeof(text) - 1);
        memcpy(text + place, "\xe2\x82\xac", 3);
        log_event(&sink, LOG_LEVEL_INFO, "x", "%s", text);
        assert_true(bytes_are_utf8(bytes_of_string(seen.text)));
        assert_null(strchr(seen.text, '?'));
        assert_true(strlen(seen.text) >= LOG_TEXT_MAX - 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(formats),
        cmocka_unit_test(only_printable_text_comes_out),
        cmocka_unit_test(long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
