/* Tests of borrowed bytes: order, slices, UTF-8, hex. */
#include "util/testing.h"

static int sign(int value) {
    return (value > 0) - (value < 0);
}

static void comparing(void **state) {
    (void)state;
    static const struct {
        struct {
            const char *data;
            size_t size;
        } a, b;
        int order;
    } cases[] = {
        {{"", 0}, {"", 0}, 0},    {{NULL, 0}, {"", 0}, 0},       {{"a", 1}, {"", 0}, 1},
        {{"a", 1}, {"a", 1}, 0},  {{"a", 1}, {"b", 1}, -1},      {{"a", 1}, {"aa", 2}, -1},
        {{"b", 1}, {"aa", 2}, 1}, {{"\xff", 1}, {"\x01", 1}, 1}, {{"a\0b", 3}, {"a\0c", 3}, -1},
        {{"\0", 1}, {"", 0}, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bytes a = bytes_of(cases[i].a.data, cases[i].a.size);
        struct bytes b = bytes_of(cases[i].b.data, cases[i].b.size);
        assert_int_equal(sign(bytes_compare(a, b)), cases[i].order);
        assert_int_equal(sign(bytes_compare(b, a)), -cases[i].order);
        assert_true(bytes_equal(a, b) == (cases[i].order == 0));
    }
    assert_true(bytes_equal_string(BYTES_LITERAL("abc"), "abc"));
    assert_false(bytes_equal_string(BYTES_LITERAL("abc"), "abcd"));
    assert_false(bytes_equal_string(BYTES_LITERAL("ab\0"), "ab"));
    assert_true(bytes_start_with(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
    assert_true(bytes_start_with(BYTES_LITERAL("abc"), bytes_of(NULL, 0)));
    assert_true(bytes_start_with(bytes_of(NULL, 0), bytes_of(NULL, 0)));
    assert_false(bytes_start_with(BYTES_LITERAL("a"), BYTES_LITERAL("ab")));
    assert_false(bytes_start_with(BYTES_LITERAL("xbc"), BYTES_LITERAL("ab")));
}

static void slices_are_clamped(void **state) {
    (void)state;
    struct bytes text = BYTES_LITERAL("hello");
    assert_bytes_equal(bytes_slice(text, 0, 5), text);
    assert_bytes_equal(bytes_slice(text, 1, 3), BYTES_LITERAL("ell"));
    assert_bytes_equal(bytes_slice(text, 3, SIZE_MAX), BYTES_LITERAL("lo"));
    assert_int_equal(bytes_slice(text, 5, 1).size, 0);
    assert_int_equal(bytes_slice(text, 6, 1).size, 0);
    assert_int_equal(bytes_slice(text, SIZE_MAX, SIZE_MAX).size, 0);
    assert_int_equal(bytes_slice(bytes_of(NULL, 0), 3, 3).size, 0);
}

static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xc3\xa9z\xe2\x82\xac"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x7f",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xe2\x82z",
                                      "\xe2z\x82",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf0\x90z\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "ok\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(bytes_are_utf8(test_copy(bytes_of_string(good[i]))));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(bytes_are_utf8(test_copy(bytes_of_string(bad[i]))));
    }
    assert_true(bytes_are_utf8(BYTES_LITERAL("a\0b")));
    assert_true(bytes_are_utf8(bytes_of(NULL, 0)));
}

/* Every code point, encoded by the book, passes; each but the surrogates. */
static void every_code_point(void **state) {
    (void)state;
    for (uint32_t point = 0; point < 0x110000; point++) {
        uint8_t text[4];
        size_t size;
        if (point < 0x80) {
            size = 1;
            text[0] = (uint8_t)point;
        } else if (point < 0x800) {
            size = 2;
            text[0] = (uint8_t)(0xc0 | point >> 6);
        } else if (point < 0x10000) {
            size = 3;
            text[0] = (uint8_t)(0xe0 | point >> 12);
        } else {
            size = 4;
            text[0] = (uint8_t)(0xf0 | point >> 18);
        }
        for (size_t i = 1; i < size; i++) {
            text[i] = (uint8_t)(0x80 | (point >> (6 * (size - 1 - i)) & 0x3f));
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        assert_true(bytes_are_utf8(bytes_of(text, size)) != surrogate);
    }
}

static void strings(void **state) {
    (void)state;
    char room[4] = "xxx";
    assert_int_equal(bytes_to_string(BYTES_LITERAL("abc"), room, sizeof(room)), 0);
    assert_string_equal(room, "abc");
    assert_int_equal(bytes_to_string(BYTES_LITERAL("abcd"), room, sizeof(room)), PLASM_TOO_LARGE);
    assert_string_equal(room, "abc");
    assert_int_equal(bytes_to_string(BYTES_LITERAL("a\0"), room, sizeof(room)), PLASM_MALFORMED);
    assert_string_equal(room, "abc");
    assert_int_equal(bytes_to_string(bytes_of(NULL, 0), room, sizeof(room)), 0);
    assert_string_equal(room, "");
    assert_int_equal(bytes_to_string(bytes_of(NULL, 0), room, 0), PLASM_TOO_LARGE);
}

static void hex(void **state) {
    (void)state;
    char text[2 * 256 + 1];
    uint8_t all[256];
    uint8_t back[256];
    size_t size = 77;
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)i;
    }
    bytes_to_hex(BYTES_ARRAY(all), text, sizeof(text));
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_string_equal(text + 508, "feff");
    assert_int_equal(bytes_from_hex(bytes_of_string(text), test_span(back, sizeof(back)), &size),
                     0);
    assert_bytes_equal(bytes_of(back, size), BYTES_ARRAY(all));
    assert_int_equal(bytes_from_hex(BYTES_LITERAL("aAfF"), test_span(back, 2), &size), 0);
    assert_bytes_equal(bytes_of(back, size), BYTES_LITERAL("\xaa\xff"));
    bytes_to_hex(bytes_of(NULL, 0), text, 1);
    assert_string_equal(text, "");
    assert_int_equal(bytes_from_hex(bytes_of(NULL, 0), test_span(NULL, 0), &size), 0);
    assert_int_equal(size, 0);
    size = 77;
    static const char *const bad[] = {"0", "0g", "g0", "00 0", "0x", "\x30\xb0", "/0", ":0", "@0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(bytes_from_hex(bytes_of_string(bad[i]), test_span(back, 9), &size),
                         PLASM_MALFORMED);
    }
    assert_int_equal(bytes_from_hex(BYTES_LITERAL("0011"), test_span(back, 1), &size),
                     PLASM_TOO_LARGE);
    assert_int_equal(size, 77);
}

static void cut_strings(void **state) {
    (void)state;
    char room[4];
    bytes_cut_string(BYTES_LITERAL("abcdef"), room, sizeof(room));
    assert_string_equal(room, "abc");
    bytes_cut_string(BYTES_LITERAL("ab\0cd"), room, sizeof(room));
    assert_string_equal(room, "ab");
    bytes_cut_string(BYTES_LITERAL("ab\xc3\xa4"), room, sizeof(room)); /* no half character */
    assert_string_equal(room, "ab");
    bytes_cut_string(bytes_of(NULL, 0), room, sizeof(room));
    assert_string_equal(room, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing), cmocka_unit_test(slices_are_clamped),
        cmocka_unit_test(utf8),      cmocka_unit_test(every_code_point),
        cmocka_unit_test(strings),   cmocka_unit_test(cut_strings),
        cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
