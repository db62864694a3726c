/* Tests of protocol buffer fields: the encoding guide's examples, limits, nesting. */
#include "wire/protobuf.h"

#include "util/testing.h"

static bool read_one(const char *hex, struct protobuf_field *ret_field, int *ret_error) {
    struct cursor message = cursor_of(test_hex(hex));
    bool found = protobuf_next(&message, ret_field);
    *ret_error = message.error;
    return found && message.left.size == 0;
}

/* Examples of protobuf.dev, "Encoding". */
static void reads_the_guides_examples(void **state) {
    (void)state;
    struct protobuf_field field;
    int error;
    assert_true(read_one("089601", &field, &error)); /* Test1 {a: 150} */
    assert_int_equal(field.number, 1);
    assert_int_equal(field.type, PROTOBUF_VARINT);
    assert_int_equal(field.value, 150);
    assert_true(read_one("120774657374696e67", &field, &error)); /* Test2 {b: "testing"} */
    assert_int_equal(field.number, 2);
    assert_int_equal(field.type, PROTOBUF_BYTES);
    assert_bytes_equal(field.bytes, BYTES_LITERAL("testing"));
    assert_true(read_one("1a03089601", &field, &error)); /* Test3 {c {a: 150}} */
    assert_int_equal(field.number, 3);
    struct cursor inner = cursor_of(field.bytes);
    assert_true(protobuf_next(&inner, &field));
    assert_int_equal(protobuf_varint(&inner, &field), 150);
    assert_false(protobuf_next(&inner, &field));
    assert_int_equal(inner.error, 0);
    assert_true(read_one("3206038e029ea705", &field, &error)); /* Test5 {f: [3, 270, 86942]} */
    assert_int_equal(field.number, 6);
    assert_int_equal(field.bytes.size, 6);
    assert_true(read_one("08feffffffffffffffff01", &field, &error)); /* int32 -2 */
    assert_true(field.value == UINT64_MAX - 1);
}

static void reads_fixed_sizes(void **state) {
    (void)state;
    struct protobuf_field field;
    int error;
    assert_true(read_one("0d78563412", &field, &error));
    assert_int_equal(field.type, PROTOBUF_FIXED32);
    assert_int_equal(field.value, 0x12345678);
    assert_true(read_one("09f0debc9a78563412", &field, &error));
    assert_int_equal(field.type, PROTOBUF_FIXED64);
    assert_true(field.value == UINT64_C(0x123456789abcdef0));
}

static void takes_varints_that_are_not_minimal(void **state) {
    (void)state;
    struct protobuf_field field;
    int error;
    assert_true(read_one("0880808080808080808000", &field, &error));
    assert_int_equal(field.value, 0);
    assert_true(read_one("088100", &field, &error));
    assert_int_equal(field.value, 1);
    assert_true(read_one("880001", &field, &error));
    assert_int_equal(field.number, 1);
    assert_true(read_one("12810041", &field, &error));
    assert_bytes_equal(field.bytes, BYTES_LITERAL("A"));
    assert_true(read_one("08ffffffffffffffffff01", &field, &error));
    assert_true(field.value == UINT64_MAX);
}

static void refuses_what_is_not_a_field(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int error;
    } bad[] = {
        {"0b", PLASM_MALFORMED},                       /* start of a group */
        {"0b0c", PLASM_MALFORMED},                     /* a whole group */
        {"0c", PLASM_MALFORMED},                       /* end of a group */
        {"0e00", PLASM_MALFORMED},                     /* wire type 6 */
        {"0f00", PLASM_MALFORMED},                     /* wire type 7 */
        {"0000", PLASM_MALFORMED},                     /* field number 0 */
        {"0200", PLASM_MALFORMED},                     /* the same, bytes */
        {"808080801000", PLASM_MALFORMED},             /* field number 2^29 */
        {"88808080808000", PLASM_TRUNCATED},           /* a padded tag without its value */
        {"ffffffffffffffffff0100", PLASM_MALFORMED},   /* a tag of 64 bits */
        {"08ffffffffffffffffff02", PLASM_MALFORMED},   /* a varint of 65 bits */
        {"08ffffffffffffffffff7f", PLASM_MALFORMED},   /* the same */
        {"08ffffffffffffffffff8001", PLASM_MALFORMED}, /* of eleven bytes */
        {"0880808080808080808080", PLASM_MALFORMED},   /* of ten bytes that go on */
        {"1202", PLASM_TRUNCATED},
        {"12ffffffffffffffffff01", PLASM_TRUNCATED}, /* a length beyond all memory */
        {"12ffffffffffffffff7f41", PLASM_TRUNCATED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct protobuf_field field = {.number = 77};
        int error;
        assert_false(read_one(bad[i].hex, &field, &error));
        assert_int_equal(error, bad[i].error);
        assert_int_equal(field.number, 77);
    }
}

static void knows_the_largest_field_number(void **state) {
    (void)state;
    struct protobuf_field field;
    int error;
    assert_true(read_one("f8ffffff0f01", &field, &error));
    assert_int_equal(field.number, 536870911);
    assert_int_equal(field.value, 1);
}

static void cut_at_every_byte_is_an_error_or_the_end(void **state) {
    (void)state;
    /* Fields end after 0, 3, 12, 17 and 26 bytes. */
    struct bytes message = test_hex("089601120774657374696e671d7856341221f0debc9a78563412");
    for (size_t size = 0; size <= message.size; size++) {
        struct cursor cursor = cursor_of(test_copy(bytes_slice(message, 0, size)));
        struct protobuf_field field;
        size_t count = 0;
        while (protobuf_next(&cursor, &field)) {
            count++;
        }
        bool whole = size == 0 || size == 3 || size == 12 || size == 17 || size == 26;
        assert_int_equal(cursor.error, whole ? 0 : PLASM_TRUNCATED);
        assert_int_equal(count, (size >= 3) + (size >= 12) + (size >= 17) + (size >= 26));
        assert_false(protobuf_next(&cursor, &field));
    }
}

static void typed_access_latches_a_wrong_type(void **state) {
    (void)state;
    struct cursor message = cursor_of(test_hex("0a01410896010d01000000"));
    struct protobuf_field field;
    assert_true(protobuf_next(&message, &field));
    assert_bytes_equal(protobuf_bytes(&message, &field), BYTES_LITERAL("A"));
    assert_true(protobuf_next(&message, &field));
    struct cursor before = message;
    assert_int_equal(protobuf_varint(&message, &field), 150);
    assert_int_equal(protobuf_bytes(&message, &field).size, 0);
    assert_int_equal(message.error, PLASM_MALFORMED);
    assert_false(protobuf_next(&message, &field));
    message = before;
    assert_true(protobuf_next(&message, &field));
    assert_int_equal(protobuf_varint(&message, &field), 0);
    assert_int_equal(message.error, PLASM_MALFORMED);
}

static void writes_what_it_reads(void **state) {
    (void)state;
    uint8_t room[64];
    struct writer writer = writer_of(test_span(room, sizeof(room)));
    protobuf_put_varint(&writer, 1, 150);
    protobuf_put_string(&writer, 2, "testing");
    protobuf_put_head(&writer, 3, 3);
    protobuf_put_varint(&writer, 1, 150);
    protobuf_put_bytes(&writer, 4, bytes_of(NULL, 0));
    protobuf_put_varint(&writer, 5, 0);
    protobuf_put_varint(&writer, 536870911, UINT64_MAX);
    assert_int_equal(writer.error, 0);
    assert_bytes_equal(
        writer_bytes(&writer),
        test_hex("089601120774657374696e671a0308960122002800f8ffffff0fffffffffffffffffff01"));
}

static void sizes_are_those_written(void **state) {
    (void)state;
    static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, 536870911};
    uint64_t seed = 7;
    uint8_t content[300] = {0};
    for (int round = 0; round < 2000; round++) {
        uint8_t room[400];
        uint32_t number = numbers[test_random_below(&seed, ARRAY_SIZE(numbers))];
        uint64_t value = test_random(&seed) >> test_random_below(&seed, 64);
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        protobuf_put_varint(&writer, number, value);
        assert_int_equal(writer.size, protobuf_varint_size(number, value));
        size_t size = test_random_below(&seed, sizeof(content));
        writer = writer_of(test_span(room, sizeof(room)));
        protobuf_put_bytes(&writer, number, bytes_of(content, size));
        assert_int_equal(writer.size, protobuf_bytes_size(number, size));
    }
}

/* {1: {1: {1: content}, 2: 5}, 3: "end"} into room of every size. */
static size_t write_nested(uint8_t *room, size_t room_size, struct bytes content, int *ret_error) {
    struct writer writer = writer_of(test_span(room, room_size));
    size_t outer = protobuf_begin(&writer, 1);
    size_t middle = protobuf_begin(&writer, 1);
    protobuf_put_bytes(&writer, 1, content);
    protobuf_end(&writer, middle);
    protobuf_put_varint(&writer, 2, 5);
    protobuf_end(&writer, outer);
    protobuf_put_string(&writer, 3, "end");
    *ret_error = writer.error;
    return writer.size;
}

static void check_nested(struct bytes written, struct bytes content) {
    struct cursor message = cursor_of(written);
    struct protobuf_field field;
    assert_true(protobuf_next(&message, &field));
    struct cursor outer = cursor_of(protobuf_bytes(&message, &field));
    assert_true(protobuf_next(&outer, &field));
    struct cursor middle = cursor_of(protobuf_bytes(&outer, &field));
    assert_true(protobuf_next(&middle, &field));
    assert_bytes_equal(protobuf_bytes(&middle, &field), content);
    assert_int_equal(middle.left.size, 0);
    assert_true(protobuf_next(&outer, &field));
    assert_int_equal(protobuf_varint(&outer, &field), 5);
    assert_int_equal(outer.left.size, 0);
    assert_true(protobuf_next(&message, &field));
    assert_bytes_equal(protobuf_bytes(&message, &field), BYTES_LITERAL("end"));
    assert_int_equal(message.left.size, 0);
}

static void submessages_of_unknown_size(void **state) {
    (void)state;
    static uint8_t content[16400];
    static uint8_t room[17000];
    uint64_t seed = 3;
    test_random_fill(&seed, content, sizeof(content));
    /* Through the sizes where the lengths need one more byte, alone and together. */
    static const size_t starts[] = {0, 115, 16365};
    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        for (size_t size = starts[i]; size < starts[i] + 35; size++) {
            struct bytes bytes = bytes_of(content, size);
            int error;
            size_t written = write_nested(room, sizeof(room), bytes, &error);
            assert_int_equal(error, 0);
            check_nested(bytes_of(room, written), bytes);
            (void)write_nested(room, written, bytes, &error);
            assert_int_equal(error, 0);
            size_t shortest = written > 200 ? written - 20 : 0;
            for (size_t room_size = shortest; room_size < written; room_size++) {
                (void)write_nested(room, room_size, bytes, &error);
                assert_int_equal(error, PLASM_TOO_LARGE);
            }
        }
    }
}

static void random_messages_round_trip(void **state) {
    (void)state;
    uint64_t seed = 11;
    for (int round = 0; round < 500; round++) {
        uint8_t room[4096];
        uint8_t content[64];
        struct {
            uint32_t number;
            uint64_t value;
            struct bytes bytes;
        } fields[20];
        size_t count = test_random_below(&seed, ARRAY_SIZE(fields) + 1);
        test_random_fill(&seed, content, sizeof(content));
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        for (size_t i = 0; i < count; i++) {
            fields[i].number = 1 + (uint32_t)test_random_below(&seed, 536870911);
            fields[i].value = test_random(&seed) >> test_random_below(&seed, 64);
            fields[i].bytes = bytes_of(content, test_random_below(&seed, sizeof(content)));
            if (i % 2 == 0) {
                protobuf_put_varint(&writer, fields[i].number, fields[i].value);
            } else {
                protobuf_put_bytes(&writer, fields[i].number, fields[i].bytes);
            }
        }
        assert_int_equal(writer.error, 0);
        struct cursor message = cursor_of(test_copy(writer_bytes(&writer)));
        struct protobuf_field field;
        for (size_t i = 0; i < count; i++) {
            assert_true(protobuf_next(&message, &field));
            assert_int_equal(field.number, fields[i].number);
            if (i % 2 == 0) {
                assert_true(protobuf_varint(&message, &field) == fields[i].value);
            } else {
                assert_bytes_equal(protobuf_bytes(&message, &field), fields[i].bytes);
            }
        }
        assert_false(protobuf_next(&message, &field));
        assert_int_equal(message.error, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_guides_examples),
        cmocka_unit_test(reads_fixed_sizes),
        cmocka_unit_test(takes_varints_that_are_not_minimal),
        cmocka_unit_test(refuses_what_is_not_a_field),
        cmocka_unit_test(knows_the_largest_field_number),
        cmocka_unit_test(cut_at_every_byte_is_an_error_or_the_end),
        cmocka_unit_test(typed_access_latches_a_wrong_type),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(sizes_are_those_written),
        cmocka_unit_test(submessages_of_unknown_size),
        cmocka_unit_test(random_messages_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
