/* Tests of unsigned varints and of the frames they prefix. */
#include "wire/varint.h"

#include "util/testing.h"

/* The examples of multiformats/unsigned-varint, README.md, and the ends of every length. */
static const struct {
    uint64_t value;
    const char *hex;
} vectors[] = {
    {0, "00"},
    {1, "01"},
    {127, "7f"},
    {128, "8001"},
    {255, "ff01"},
    {300, "ac02"},
    {16384, "808001"},
    {(UINT64_C(1) << 14) - 1, "ff7f"},
    {(UINT64_C(1) << 21) - 1, "ffff7f"},
    {UINT64_C(1) << 21, "80808001"},
    {(UINT64_C(1) << 28) - 1, "ffffff7f"},
    {UINT64_C(1) << 28, "8080808001"},
    {(UINT64_C(1) << 35) - 1, "ffffffff7f"},
    {UINT64_C(1) << 35, "808080808001"},
    {(UINT64_C(1) << 42) - 1, "ffffffffff7f"},
    {UINT64_C(1) << 42, "80808080808001"},
    {(UINT64_C(1) << 49) - 1, "ffffffffffff7f"},
    {UINT64_C(1) << 49, "8080808080808001"},
    {(UINT64_C(1) << 56) - 1, "ffffffffffffff7f"},
    {UINT64_C(1) << 56, "808080808080808001"},
    {(UINT64_C(1) << 63) - 1, "ffffffffffffffff7f"},
};

static void reads_and_writes_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct bytes coded = test_hex(vectors[i].hex);
        struct cursor cursor = cursor_of(coded);
        assert_true(uvarint_read(&cursor) == vectors[i].value);
        assert_int_equal(cursor.error, 0);
        assert_int_equal(cursor.left.size, 0);
        uint8_t room[UVARINT_SIZE_MAX];
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        uvarint_write(&writer, vectors[i].value);
        assert_int_equal(writer.error, 0);
        assert_bytes_equal(writer_bytes(&writer), coded);
        assert_int_equal(uvarint_size(vectors[i].value), coded.size);
    }
}

static void cut_at_every_byte_is_truncated(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct bytes coded = test_hex(vectors[i].hex);
        for (size_t size = 0; size < coded.size; size++) {
            struct cursor cursor = cursor_of(test_copy(bytes_slice(coded, 0, size)));
            assert_true(uvarint_read(&cursor) == 0);
            assert_int_equal(cursor.error, PLASM_TRUNCATED);
        }
    }
}

/* Too long (also the cases of go-varint's overflow tests) and not minimal. */
static void refuses_other_spellings(void **state) {
    (void)state;
    static const char *const bad[] = {"8000",
                                      "8100",
                                      "808000",
                                      "ff8000",
                                      "808080808080808000",
                                      "ffffffffffffffff80",
                                      "ffffffffffffffffff",
                                      "ffffffffffffffffff01",
                                      "80808080808080808001",
                                      "ffffffffffffffffffffff00"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct cursor cursor = cursor_of(test_hex(bad[i]));
        assert_true(uvarint_read(&cursor) == 0);
        assert_int_equal(cursor.error, PLASM_MALFORMED);
    }
}

static void reads_only_its_own_bytes(void **state) {
    (void)state;
    struct cursor cursor = cursor_of(test_hex("ac0201ff"));
    assert_int_equal(uvarint_read(&cursor), 300);
    assert_int_equal(uvarint_read(&cursor), 1);
    assert_int_equal(cursor.left.size, 1);
    assert_int_equal(uvarint_read(&cursor), 0);
    assert_int_equal(cursor.error, PLASM_TRUNCATED);
    assert_int_equal(uvarint_read(&cursor), 0);
}

static void writes_all_or_nothing(void **state) {
    (void)state;
    for (size_t room_size = 0; room_size < 3; room_size++) {
        uint8_t room[3] = {0xee, 0xee, 0xee};
        struct writer writer = writer_of(test_span(room, room_size));
        uvarint_write(&writer, 16384);
        assert_int_equal(writer.error, PLASM_TOO_LARGE);
        assert_memory_equal(room, "\xee\xee\xee", 3);
    }
}

static void random_round_trips(void **state) {
    (void)state;
    uint64_t seed = 63;
    for (int round = 0; round < 100000; round++) {
        uint64_t value = round < 70000 ? (uint64_t)round
                                       : test_random(&seed) >> (1 + test_random_below(&seed, 63));
        uint8_t room[UVARINT_SIZE_MAX];
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        uvarint_write(&writer, value);
        assert_int_equal(writer.size, uvarint_size(value));
        struct cursor cursor = cursor_of(writer_bytes(&writer));
        assert_true(uvarint_read(&cursor) == value);
        assert_int_equal(cursor.error, 0);
        assert_int_equal(cursor.left.size, 0);
    }
}

static void frame_is_read_when_it_is_whole(void **state) {
    (void)state;
    for (size_t payload_size = 0; payload_size < 300; payload_size += 33) {
        uint8_t room[320];
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        uvarint_write(&writer, payload_size);
        size_t head_size = writer.size;
        uint8_t *payload = writer_reserve(&writer, payload_size);
        memset(payload, 'p', payload_size);
        size_t whole = writer.size;
        for (size_t size = 0; size <= whole + 3; size++) {
            struct bytes got = bytes_of(NULL, 77);
            size_t frame_size = 99;
            struct bytes input = test_copy(bytes_of(room, size));
            int error = frame_read(input, payload_size, &got, &frame_size);
            if (size < whole) {
                assert_int_equal(error, PLASM_TRUNCATED);
                assert_int_equal(got.size, 77);
                assert_int_equal(frame_size, 99);
            } else {
                assert_int_equal(error, 0);
                assert_int_equal(frame_size, whole);
                assert_bytes_equal(got, bytes_of(room + head_size, payload_size));
                assert_ptr_equal(got.data, input.data + head_size);
            }
        }
    }
}

static void frame_too_large_is_known_from_its_length(void **state) {
    (void)state;
    struct bytes got = bytes_of(NULL, 0);
    size_t frame_size = 0;
    assert_int_equal(frame_read(test_hex("81"), 128, &got, &frame_size), PLASM_TRUNCATED);
    assert_int_equal(frame_read(test_hex("8101"), 128, &got, &frame_size), PLASM_TOO_LARGE);
    assert_int_equal(frame_read(test_hex("8101"), 129, &got, &frame_size), PLASM_TRUNCATED);
    assert_int_equal(frame_read(test_hex("ffffffffffffffff7f"), 65536, &got, &frame_size),
                     PLASM_TOO_LARGE);
    assert_int_equal(frame_read(test_hex("ffffffffffffffff7f"), SIZE_MAX, &got, &frame_size),
                     PLASM_TRUNCATED);
    assert_int_equal(frame_read(test_hex("8000"), 65536, &got, &frame_size), PLASM_MALFORMED);
    assert_int_equal(frame_read(test_hex("ffffffffffffffffff"), 65536, &got, &frame_size),
                     PLASM_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_vectors),
        cmocka_unit_test(cut_at_every_byte_is_truncated),
        cmocka_unit_test(refuses_other_spellings),
        cmocka_unit_test(reads_only_its_own_bytes),
        cmocka_unit_test(writes_all_or_nothing),
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(frame_is_read_when_it_is_whole),
        cmocka_unit_test(frame_too_large_is_known_from_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
