/* Tests of canonical JSON: RFC 8785's examples within our restriction, what is refused, memory. */
#include "wire/json.h"

#include "util/cursor.h"
#include "util/testing.h"

#define OUT_MAX 65536

/* The canonical form of what `text` reads as, kept like test_copy's. */
static struct bytes canonical(struct bytes text) {
    struct memory memory;
    struct buffer out;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    json_t *value;
    assert_int_equal(json_read(text, &value), 0);
    assert_int_equal(json_write_canonical(value, &out), 0);
    struct bytes copy = test_copy(buffer_bytes(&out));
    json_decref(value);
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
    return copy;
}

static void check_canonical(const char *text, const char *expected) {
    struct bytes form = canonical(test_copy(bytes_of_string(text)));
    if (!bytes_equal_string(form, expected)) {
        fail_msg("%s became %.*s", text, (int)form.size, (const char *)form.data);
    }
    assert_bytes_equal(canonical(form), form);
}

/* RFC 8785, sections 3.2.2 (the string) and 3.2.3, and the test data of its author's reference
 * implementation (cyberphone/json-canonicalization: arrays, french, structures, unicode), without
 * the numbers that are not integers. */
static void rfc8785_examples(void **state) {
    (void)state;
    check_canonical(
        "{\n  \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
        "  \"literals\": [null, true, false]\n}",
        "{\"literals\":[null,true,false],"
        "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    check_canonical(
        "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet "
        "With Dagesh\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":"
        "\"Control\",\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
        "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\","
        "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
        "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
    check_canonical("[56, {\"d\": true, \"10\": null, \"1\": [ ]}]",
                    "[56,{\"1\":[],\"10\":null,\"d\":true}]");
    check_canonical("{\"peach\": 1, \"p\\u00e9ch\\u00e9\": 2, \"p\\u00eache\": 3, \"sin\": 4}",
                    "{\"peach\":1,\"p\xc3\xa9"
                    "ch\xc3\xa9\":2,\"p\xc3\xaa"
                    "che\":3,\"sin\":4}");
    check_canonical("{\"1\": {\"f\": {\"f\": \"hi\",\"F\": 5} ,\"\\n\": 56}, \"10\": { }, \"\": "
                    "\"empty\", \"a\": { }, \"111\": [ {\"e\": \"yes\",\"E\": \"no\" } ], \"A\": { "
                    "}}",
                    "{\"\":\"empty\",\"1\":{\"\\n\":56,\"f\":{\"F\":5,\"f\":\"hi\"}},\"10\":{},"
                    "\"111\":[{\"E\":\"no\",\"e\":\"yes\"}],\"A\":{},\"a\":{}}");
    check_canonical("{\"Unnormalized Unicode\":\"A\\u030a\"}",
                    "{\"Unnormalized Unicode\":\"A\xcc\x8a\"}");
}

/* All control characters: the short escapes where there are any, else \u00xx in lower case; DEL and
 * everything above stand for themselves. */
static void control_characters(void **state) {
    (void)state;
    check_canonical(
        "\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u0008\\u0009\\u000A\\u000B"
        "\\u000C\\u000D\\u000E\\u000F\\u0010\\u001a\\u001F\\u0020\\u007f\\u00a0\\u2028\"",
        "\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b"
        "\\f\\r\\u000e\\u000f\\u0010\\u001a\\u001f \x7f\xc2\xa0\xe2\x80\xa8\"");
}

/* UTF-16 order: U+10000 and above (D800...) before U+E000 and above, after U+D7FF. A key that
 * begins another comes first. */
static void keys_are_sorted_by_utf16(void **state) {
    (void)state;
    check_canonical(
        "{\"\\uffff\":1,\"\\ue000\":2,\"\\ud800\\udc00\":3,\"\\udbff\\udfff\":4,\"\\ud7ff\":5,"
        "\"a\":6,\"ab\":7,\"\":8,\"\\u00ff\":9,\"\\u0800\":10,\"b\":11,\"a\\ue000\":12,"
        "\"a\\ud800\\udc00\":13}",
        "{\"\":8,\"a\":6,\"ab\":7,\"a\xf0\x90\x80\x80\":13,\"a\xee\x80\x80\":12,\"b\":11,"
        "\"\xc3\xbf\":9,\"\xe0\xa0\x80\":10,\"\xed\x9f\xbf\":5,\"\xf0\x90\x80\x80\":3,"
        "\"\xf4\x8f\xbf\xbf\":4,\"\xee\x80\x80\":2,\"\xef\xbf\xbf\":1}");
}

static void integers(void **state) {
    (void)state;
    check_canonical("[0, -0, 1, -1, 9007199254740991, -9007199254740991]",
                    "[0,0,1,-1,9007199254740991,-9007199254740991]");
    check_canonical(" 7 ", "7");
    check_canonical("\t\n\r null", "null");
}

static void refuses(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "0x10",
        "1.",
        ".5",
        "1.0",
        "1.5",
        "1e2",
        "1E400",
        "-1e400",
        "9007199254740992",
        "-9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999999999",
        "[9007199254740992]",
        "{\"a\":1.5}",
        "{\"a\":{\"b\":[1.5]}}",
        "1 2",
        "{} x",
        "{}{}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":2,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"x\":{\"a\":1,\"a\":1}}]",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "'a'",
        "\"a\nb\"",
        "\"\t\"",
        "\"\x01\"",
        "\"\\u0000\"",
        "\"a\\u0000b\"",
        "{\"\\u0000\":1}",
        "{\"a\\u0000\":1}",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\\ud800\"",
        "{\"\\ud800\":1}",
        "\"\xff\"",
        "\"\x80\"",
        "\"\xc0\x80\"",         /* overlong NUL */
        "\"\xe0\x80\x80\"",     /* overlong */
        "\"\xed\xa0\x80\"",     /* a surrogate in UTF-8 */
        "\"\xf4\x90\x80\x80\"", /* beyond U+10FFFF */
        "\"\xe2\x82\"",         /* cut */
        "{\"\xff\":1}",
        "\xef\xbb\xbf{}", /* byte order mark */
        "// c\n1",
        "/* c */1",
        "1 # c",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *value = NULL;
        int error = json_read(test_copy(bytes_of_string(bad[i])), &value);
        if (error != PLASM_MALFORMED || value != NULL) {
            fail_msg("%s: %d", bad[i], error);
        }
    }
    static const struct {
        const char *text;
        size_t size;
    } with_nul[] = {{"1\0", 2},    {"[1\0]", 4},       {"\0", 1},      {"{}\0", 3},
                    {"\"\0\"", 3}, {"{\"a\0\":1}", 8}, {"[1,\0 2]", 7}};
    for (size_t i = 0; i < ARRAY_SIZE(with_nul); i++) {
        json_t *value;
        struct bytes text = test_copy(bytes_of(with_nul[i].text, with_nul[i].size));
        assert_int_equal(json_read(text, &value), PLASM_MALFORMED);
    }
    json_t *value;
    assert_int_equal(json_read(bytes_of(NULL, 0), &value), PLASM_MALFORMED);
}

static void cut_at_every_byte(void **state) {
    (void)state;
    struct bytes text =
        BYTES_LITERAL("{\"a\":[1,-2,\"\\ud83d\\ude00\xe2\x82\xac\",null],\"b\":{\"c\":"
                      "true,\"d\":\"\"}}");
    json_t *value;
    for (size_t size = 0; size < text.size; size++) {
        assert_int_equal(json_read(test_copy(bytes_slice(text, 0, size)), &value), PLASM_MALFORMED);
    }
    assert_int_equal(json_read(test_copy(text), &value), 0);
    json_decref(value);
}

/* `depth` lists or objects in one another around a 1. */
static struct bytes nested(size_t depth, bool objects) {
    static char text[400000];
    size_t size = 0;
    for (size_t i = 0; i < depth; i++) {
        const char *open = objects ? "{\"a\":" : "[";
        memcpy(text + size, open, strlen(open));
        size += strlen(open);
    }
    text[size++] = '1';
    memset(text + size, objects ? '}' : ']', depth);
    return bytes_of(text, size + depth);
}

static void depth_is_bounded(void **state) {
    (void)state;
    json_t *value;
    for (int objects = 0; objects < 2; objects++) {
        struct bytes deepest = nested(JSON_DEPTH_MAX, objects == 1);
        assert_bytes_equal(canonical(deepest), deepest);
        static const size_t deeper[] = {JSON_DEPTH_MAX + 1, 2047, 2048, 2049, 60000};
        for (size_t i = 0; i < ARRAY_SIZE(deeper); i++) {
            assert_int_equal(json_read(nested(deeper[i], objects == 1), &value), PLASM_MALFORMED);
        }
    }
    struct memory memory;
    struct buffer out;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    json_t *tree = json_integer(1);
    for (size_t i = 0; i <= JSON_DEPTH_MAX; i++) {
        json_t *outer = json_array();
        assert_int_equal(json_array_append_new(outer, tree), 0);
        tree = outer;
    }
    assert_int_equal(json_write_canonical(tree, &out), PLASM_INVALID);
    json_decref(tree);
    buffer_done(&out);
}

static void writes_no_tree_that_cannot_be_read(void **state) {
    (void)state;
    struct memory memory;
    struct buffer out;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    json_t *bad[] = {json_real(1.5), json_real(1.0), json_integer(JSON_INTEGER_MAX + 1),
                     json_integer(-JSON_INTEGER_MAX - 1), json_stringn_nocheck("\xff", 1)};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *list = json_pack("[o]", bad[i]);
        assert_non_null(list);
        assert_int_equal(json_write_canonical(list, &out), PLASM_INVALID);
        json_decref(list);
    }
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
}

static const char document[] = "{\"args\":[\"a\",\"\\n\\u0001\"],\"limits\":{\"fuel\":5,\"memory\":"
                               "[{}]},\"n\":-12,\"z\":\"x\"}";

static void appends_and_keeps_to_the_bound(void **state) {
    (void)state;
    json_t *value;
    assert_int_equal(json_read(BYTES_LITERAL(document), &value), 0);
    size_t whole = sizeof(document) - 1;
    for (size_t size_max = 0; size_max <= whole + 3; size_max++) {
        struct memory memory;
        struct buffer out;
        memory_init(&memory, SIZE_MAX);
        buffer_init(&out, &memory, size_max);
        assert_int_equal(buffer_append(&out, bytes_slice(BYTES_LITERAL("pre"), 0, size_max)), 0);
        int error = json_write_canonical(value, &out);
        assert_int_equal(error, size_max < whole + 3 ? PLASM_TOO_LARGE : 0);
        if (error == 0) {
            assert_bytes_equal(bytes_slice(buffer_bytes(&out), 0, 3), BYTES_LITERAL("pre"));
            assert_bytes_equal(bytes_slice(buffer_bytes(&out), 3, whole), BYTES_LITERAL(document));
        }
        buffer_done(&out);
        assert_int_equal(memory.used, 0);
    }
    json_decref(value);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    json_t *value;
    assert_int_equal(json_read(BYTES_LITERAL(document), &value), 0);
    bool failed = true;
    size_t n = 0;
    for (; failed; n++) {
        struct memory_failing failing;
        struct buffer out;
        memory_failing_init(&failing, n, false);
        buffer_init(&out, &failing.memory, OUT_MAX);
        int error = json_write_canonical(value, &out);
        failed = failing.failed;
        assert_int_equal(error, failed ? PLASM_NO_MEMORY : 0);
        buffer_done(&out);
        assert_int_equal(failing.memory.used, 0);
    }
    assert_true(n > 4);
    json_decref(value);
}

static size_t jansson_countdown;
static bool jansson_failed;

static void *failing_malloc(size_t size) {
    if (jansson_countdown-- == 0) {
        jansson_failed = true;
        return NULL;
    }
    return malloc(size);
}

static void every_failed_allocation_of_jansson_is_an_error(void **state) {
    (void)state;
    json_set_alloc_funcs(failing_malloc, free);
    jansson_failed = true;
    size_t n = 0;
    for (; jansson_failed; n++) {
        json_t *value = NULL;
        jansson_failed = false;
        jansson_countdown = n;
        int error = json_read(BYTES_LITERAL(document), &value);
        assert_int_equal(error, jansson_failed ? PLASM_MALFORMED : 0);
        assert_true((value == NULL) == jansson_failed);
        json_decref(value);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 20);
}

static void members_are_typed(void **state) {
    (void)state;
    json_t *object;
    struct bytes string = bytes_of(NULL, 77);
    int64_t integer = 77;
    json_t *list = NULL;
    assert_int_equal(
        json_read(BYTES_LITERAL("{\"s\":\"x\xe2\x82\xac\",\"i\":-5,\"l\":[1],\"n\":null}"),
                  &object),
        0);
    assert_int_equal(json_get_string(object, "none", &string), PLASM_NOT_FOUND);
    assert_int_equal(json_get_string(object, "i", &string), PLASM_MALFORMED);
    assert_int_equal(json_get_string(object, "n", &string), PLASM_MALFORMED);
    assert_int_equal(string.size, 77);
    assert_int_equal(json_get_string(object, "s", &string), 0);
    assert_bytes_equal(string, BYTES_LITERAL("x\xe2\x82\xac"));
    assert_int_equal(json_get_integer(object, "none", &integer), PLASM_NOT_FOUND);
    assert_int_equal(json_get_integer(object, "s", &integer), PLASM_MALFORMED);
    assert_int_equal(integer, 77);
    assert_int_equal(json_get_integer(object, "i", &integer), 0);
    assert_int_equal(integer, -5);
    assert_int_equal(json_get_list(object, "none", &list), PLASM_NOT_FOUND);
    assert_int_equal(json_get_list(object, "s", &list), PLASM_MALFORMED);
    assert_null(list);
    assert_int_equal(json_get_list(object, "l", &list), 0);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_get_string(list, "s", &string), PLASM_NOT_FOUND);
    json_decref(object);
}

/* The writer gives the bytes that a tree of the same content gives. */
static void writer_agrees_with_the_tree(void **state) {
    (void)state;
    struct memory memory;
    struct buffer out;
    struct json_writer writer;
    const struct bytes values[] = {BYTES_LITERAL("one"), BYTES_LITERAL("\"\n"), bytes_of(NULL, 0)};
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    json_object_begin(&writer, &out);
    json_object_strings(&writer, "args", values, 3);
    json_object_strings(&writer, "env", NULL, 0);
    json_object_integer(&writer, "fuel", JSON_INTEGER_MAX);
    json_object_integer(&writer, "wall", -1);
    json_object_string(&writer, "z", BYTES_LITERAL("\xe2\x82\xac\\"));
    json_object_string(&writer, "\xf0\x90\x80\x80", BYTES_LITERAL("\t"));
    json_object_string(&writer, "\xee\x80\x80", bytes_of(NULL, 0));
    assert_int_equal(json_object_end(&writer), 0);
    assert_bytes_equal(canonical(buffer_bytes(&out)), buffer_bytes(&out));
    buffer_clear(&out);
    json_object_begin(&writer, &out);
    assert_int_equal(json_object_end(&writer), 0);
    assert_bytes_equal(buffer_bytes(&out), BYTES_LITERAL("{}"));
    buffer_done(&out);
}

static int write_document(struct buffer *out) {
    const struct bytes values[] = {BYTES_LITERAL("one"), BYTES_LITERAL("two\n")};
    struct json_writer writer;
    json_object_begin(&writer, out);
    json_object_strings(&writer, "a", values, 2);
    json_object_integer(&writer, "b", 5);
    json_object_string(&writer, "c", BYTES_LITERAL("\x01 a rather long string to grow the buffer"));
    return json_object_end(&writer);
}

static void writers_errors_stay(void **state) {
    (void)state;
    struct memory memory;
    struct buffer out;
    struct json_writer writer;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    assert_int_equal(write_document(&out), 0);
    size_t whole = out.size;
    buffer_done(&out);
    for (size_t size_max = 0; size_max < whole; size_max++) {
        buffer_init(&out, &memory, size_max);
        assert_int_equal(write_document(&out), PLASM_TOO_LARGE);
        buffer_done(&out);
    }
    for (size_t n = 0; n < 2; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, true);
        buffer_init(&out, &failing.memory, OUT_MAX);
        assert_int_equal(write_document(&out), PLASM_NO_MEMORY);
        buffer_done(&out);
    }
    buffer_init(&out, &memory, OUT_MAX);
    json_object_begin(&writer, &out);
    json_object_string(&writer, "a", BYTES_LITERAL("\xff"));
    json_object_integer(&writer, "b", 1);
    assert_int_equal(json_object_end(&writer), PLASM_INVALID);
    json_object_begin(&writer, &out);
    json_object_integer(&writer, "b", JSON_INTEGER_MAX + 1);
    json_object_string(&writer, "c", BYTES_LITERAL("x"));
    assert_int_equal(json_object_end(&writer), PLASM_INVALID);
    buffer_done(&out);
}

static json_t *random_string(uint64_t *seed) {
    static const char *const pieces[] = {"a",
                                         "B",
                                         "1",
                                         "\n",
                                         "\"",
                                         "\\",
                                         "\x7f",
                                         "\x01",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xee\x80\x80",
                                         "\xef\xbf\xbf",
                                         "\xf0\x9f\x98\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xed\x9f\xbf"};
    uint8_t text[64];
    struct writer writer = writer_of(test_span(text, sizeof(text)));
    size_t count = test_random_below(seed, 8);
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[test_random_below(seed, ARRAY_SIZE(pieces))];
        writer_bytes_put(&writer, bytes_of_string(piece));
    }
    writer_u8(&writer, '\0');
    assert_int_equal(writer.error, 0);
    return json_string((const char *)text);
}

static json_t *random_tree(uint64_t *seed, int depth) {
    size_t count = test_random_below(seed, 6);
    json_t *value;
    switch (test_random_below(seed, depth > 0 ? 7 : 5)) {
    case 0:
        return json_integer((json_int_t)(test_random(seed) >> (11 + test_random_below(seed, 50))));
    case 1:
        return json_integer(-(json_int_t)(test_random(seed) >> (11 + test_random_below(seed, 50))));
    case 2:
        return json_boolean(count % 2);
    case 3:
        return json_null();
    case 4:
        return random_string(seed);
    case 5:
        value = json_array();
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(json_array_append_new(value, random_tree(seed, depth - 1)), 0);
        }
        return value;
    default:
        value = json_object();
        for (size_t i = 0; i < count; i++) {
            json_t *key = random_string(seed);
            assert_int_equal(
                json_object_set_new(value, json_string_value(key), random_tree(seed, depth - 1)),
                0);
            json_decref(key);
        }
        return value;
    }
}

static void random_trees_come_back(void **state) {
    (void)state;
    struct memory memory;
    struct buffer out;
    uint64_t seed = 8785;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, OUT_MAX);
    for (int round = 0; round < 5000; round++) {
        json_t *tree = random_tree(&seed, 5);
        json_t *again;
        assert_int_equal(json_write_canonical(tree, &out), 0);
        assert_int_equal(json_read(buffer_bytes(&out), &again), 0);
        assert_true(json_equal(tree, again));
        assert_bytes_equal(canonical(buffer_bytes(&out)), buffer_bytes(&out));
        buffer_clear(&out);
        json_decref(again);
        json_decref(tree);
    }
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8785_examples),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(keys_are_sorted_by_utf16),
        cmocka_unit_test(integers),
        cmocka_unit_test(refuses),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(writes_no_tree_that_cannot_be_read),
        cmocka_unit_test(appends_and_keeps_to_the_bound),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(every_failed_allocation_of_jansson_is_an_error),
        cmocka_unit_test(members_are_typed),
        cmocka_unit_test(writer_agrees_with_the_tree),
        cmocka_unit_test(writers_errors_stay),
        cmocka_unit_test(random_trees_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
