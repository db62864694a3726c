/* Tests of reading and writing in order, with errors that stay. */
#include "util/cursor.h"

#include "util/testing.h"

static void integers_in_both_orders(void **state) {
    (void)state;
    struct cursor cursor = cursor_of(test_hex("01"
                                              "0102"
                                              "01020304"
                                              "0102030405060708"
                                              "04030201"
                                              "0807060504030201"));
    assert_int_equal(cursor_u8(&cursor), 1);
    assert_int_equal(cursor_u16(&cursor), 0x0102);
    assert_int_equal(cursor_u32(&cursor), 0x01020304);
    assert_true(cursor_u64(&cursor) == UINT64_C(0x0102030405060708));
    assert_int_equal(cursor_u32_little(&cursor), 0x01020304);
    assert_true(cursor_u64_little(&cursor) == UINT64_C(0x0102030405060708));
    assert_int_equal(cursor.error, 0);
    assert_int_equal(cursor.left.size, 0);
    cursor = cursor_of(test_hex("ffffffffffffffffffffffffffffff"));
    assert_int_equal(cursor_u8(&cursor), UINT8_MAX);
    assert_int_equal(cursor_u16(&cursor), UINT16_MAX);
    assert_int_equal(cursor_u32(&cursor), UINT32_MAX);
    assert_true(cursor_u64_little(&cursor) == UINT64_MAX);
}

typedef uint64_t reader(struct cursor *cursor);
static uint64_t read_u8(struct cursor *cursor) {
    return cursor_u8(cursor);
}
static uint64_t read_u16(struct cursor *cursor) {
    return cursor_u16(cursor);
}
static uint64_t read_u32(struct cursor *cursor) {
    return cursor_u32(cursor);
}
static uint64_t read_u32_little(struct cursor *cursor) {
    return cursor_u32_little(cursor);
}

static void the_first_error_stays(void **state) {
    (void)state;
    static reader *const readers[] = {read_u8,    read_u16,        read_u32,
                                      cursor_u64, read_u32_little, cursor_u64_little};
    static const size_t sizes[] = {1, 2, 4, 8, 4, 8};
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        for (size_t size = 0; size < sizes[i]; size++) {
            struct cursor cursor =
                cursor_of(test_copy(bytes_of("\xff\xff\xff\xff\xff\xff\xff", size)));
            assert_true(readers[i](&cursor) == 0);
            assert_int_equal(cursor.error, PLASM_TRUNCATED);
            assert_int_equal(cursor.left.size, 0);
            cursor_fail(&cursor, PLASM_MALFORMED);
            assert_int_equal(cursor.error, PLASM_TRUNCATED);
            assert_int_equal(cursor_take(&cursor, 0).size, 0);
            assert_true(readers[i](&cursor) == 0);
        }
    }
    struct cursor cursor = cursor_of(BYTES_LITERAL("abc"));
    cursor_fail(&cursor, PLASM_MALFORMED);
    assert_int_equal(cursor_u8(&cursor), 0);
    assert_int_equal(cursor.error, PLASM_MALFORMED);
}

static void taken_bytes_are_borrowed(void **state) {
    (void)state;
    struct bytes input = test_hex("010203");
    struct cursor cursor = cursor_of(input);
    struct bytes taken = cursor_take(&cursor, 2);
    assert_ptr_equal(taken.data, input.data);
    assert_int_equal(taken.size, 2);
    assert_int_equal(cursor_take(&cursor, 0).size, 0);
    assert_int_equal(cursor.error, 0);
    assert_int_equal(cursor_take(&cursor, 1).data[0], 3);
    assert_int_equal(cursor_take(&cursor, 0).size, 0);
    assert_int_equal(cursor.error, 0);
    cursor = cursor_of(input);
    assert_int_equal(cursor_take(&cursor, SIZE_MAX).size, 0);
    assert_int_equal(cursor.error, PLASM_TRUNCATED);
    cursor = cursor_of(bytes_of(NULL, 0));
    assert_int_equal(cursor_take(&cursor, 0).size, 0);
    assert_int_equal(cursor.error, 0);
}

/* 1 + 2 + 4 + 8 + 4 + 8 + 3 bytes. */
static void write_all(struct writer *writer) {
    writer_u8(writer, 1);
    writer_u16(writer, 0x0102);
    writer_u32(writer, 0x01020304);
    writer_u64(writer, UINT64_C(0x0102030405060708));
    writer_u32_little(writer, 0x01020304);
    writer_u64_little(writer, UINT64_C(0x0102030405060708));
    writer_bytes_put(writer, BYTES_LITERAL("end"));
    writer_bytes_put(writer, bytes_of(NULL, 0));
}

static void writing_stops_at_the_first_overflow(void **state) {
    (void)state;
    static const size_t ends[] = {0, 1, 3, 7, 15, 19, 27, 30};
    struct bytes whole = test_hex("0101020102030401020304050607080403020108070605040302"
                                  "01656e64");
    assert_int_equal(whole.size, 30);
    for (size_t room_size = 0; room_size <= 31; room_size++) {
        uint8_t *room = malloc(room_size + 1);
        assert_non_null(room);
        memset(room, 0xee, room_size + 1);
        struct writer writer = writer_of(test_span(room, room_size));
        write_all(&writer);
        size_t written = 0;
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
            written = ends[i] <= room_size ? ends[i] : written;
        }
        assert_int_equal(writer.error, room_size < 30 ? PLASM_TOO_LARGE : 0);
        assert_bytes_equal(writer_bytes(&writer), bytes_slice(whole, 0, written));
        for (size_t i = written; i <= room_size; i++) {
            assert_int_equal(room[i], 0xee);
        }
        assert_true(writer.error == 0 || writer_reserve(&writer, 0) == NULL);
        free(room);
    }
}

static void no_room_takes_nothing(void **state) {
    (void)state;
    struct writer writer = writer_of(test_span(NULL, 0));
    writer_bytes_put(&writer, bytes_of(NULL, 0));
    assert_int_equal(writer.error, 0);
    assert_int_equal(writer_bytes(&writer).size, 0);
    assert_null(writer_reserve(&writer, SIZE_MAX));
    assert_int_equal(writer.error, PLASM_TOO_LARGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_in_both_orders),
        cmocka_unit_test(the_first_error_stays),
        cmocka_unit_test(taken_bytes_are_borrowed),
        cmocka_unit_test(writing_stops_at_the_first_overflow),
        cmocka_unit_test(no_room_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
