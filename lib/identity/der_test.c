/* DER: lengths in their shortest form, and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/der.h"

static void lengths(void **state) {
    (void)state;
    uint8_t room[0x10100] = {0};
    static const struct {
        const char *head;
        size_t head_size;
        size_t content;
        bool good;
    } cases[] = {
        {"\x30\x00", 2, 0, true},
        {"\x30\x7f", 2, 0x7f, true},
        {"\x30\x80", 2, 0, false}, /* indefinite */
        {"\x30\x81\x7f", 3, 0x7f, false},
        {"\x30\x81\x80", 3, 0x80, true},
        {"\x30\x82\x00\xff", 4, 0xff, false},
        {"\x30\x82\x01\x00", 4, 0x100, true},
        {"\x30\x83\x00\xff\xff", 5, 0xffff, false},
        {"\x30\x83\x01\x00\x00", 5, 0x10000, true},
        {"\x30\x85\x01\x00\x00\x00\x00", 7, 0, false},
        {"\x1f\x01", 2, 1, false}, /* a tag of more bytes */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(room, cases[i].head, cases[i].head_size);
        size_t size = cases[i].head_size + cases[i].content;
        struct cursor in = cursor_of(bytes_of(room, size));
        struct der der = der_next(&in);
        assert_int_equal(in.error, cases[i].good ? 0 : PLASM_MALFORMED);
        if (!cases[i].good) {
            continue;
        }
        assert_int_equal(der.content.size, cases[i].content);
        assert_int_equal(der.whole.size, size);
        for (size_t cut = 0; cut < size && cut < 300; cut++) {
            in = cursor_of(bytes_of(room, cut));
            (void)der_next(&in);
            assert_int_equal(in.error, PLASM_MALFORMED);
        }
    }
}

static void tags(void **state) {
    (void)state;
    struct cursor in = cursor_of(BYTES_LITERAL("\x30\x03\x02\x01\x05\x05\x00"));
    struct cursor inside = der_enter(&in, DER_SEQUENCE);
    assert_true(der_next_is(&inside, DER_INTEGER));
    assert_false(der_next_is(&inside, DER_OID));
    assert_int_equal(der_expect(&inside, DER_INTEGER).content.data[0], 5);
    der_end(&inside);
    assert_int_equal(inside.error, 0);
    der_end(&in);
    assert_int_equal(in.error, PLASM_MALFORMED);
    in = cursor_of(BYTES_LITERAL("\x05\x00"));
    inside = der_enter(&in, DER_SEQUENCE);
    assert_int_equal(in.error, PLASM_MALFORMED);
    assert_int_equal(inside.error, PLASM_MALFORMED);
}

static int64_t time_of(const char *tag, const char *text) {
    uint8_t room[64];
    struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
    writer_bytes_put(&writer, bytes_of(tag, 1));
    writer_u8(&writer, (uint8_t)strlen(text));
    writer_bytes_put(&writer, bytes_of_string(text));
    struct cursor in = cursor_of(writer_bytes(&writer));
    int64_t seconds = der_time(&in);
    return in.error == 0 ? seconds : INT64_MIN;
}

/* Expected values from `date -u -d … +%s` of GNU coreutils. */
static void times(void **state) {
    (void)state;
    assert_int_equal(time_of("\x17", "700101000000Z"), 0);
    assert_int_equal(time_of("\x17", "250615150640Z"), 1750000000);
    assert_int_equal(time_of("\x17", "491231235959Z"), 2524607999);
    assert_int_equal(time_of("\x17", "500101000000Z"), -631152000);
    assert_int_equal(time_of("\x18", "40960101000000Z"), INT64_C(67090118400) + 0);
    assert_int_equal(time_of("\x18", "99991231235959Z"), INT64_C(253402300799));
    assert_int_equal(time_of("\x18", "20240229120000Z"), 1709208000);
    assert_int_equal(time_of("\x18", "20240301000000Z"), 1709251200);
    assert_int_equal(time_of("\x18", "19000301000000Z"), INT64_C(-2203891200));
    assert_int_equal(time_of("\x18", "00010101000000Z"), INT64_C(-62135596800));
    static const char *const wrong[] = {
        "20230229000000Z", "19000229000000Z", "20240001000000Z", "20241301000000Z",
        "20240100000000Z", "20240132000000Z", "20240431000000Z", "20240101240000Z",
        "20240101006000Z", "20240101000060Z", "20240101000000+", "2024010100000Z",
        "202401010000000", "2024010100:000Z", "00000101000000Z",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(time_of("\x18", wrong[i]), INT64_MIN);
    }
    assert_int_equal(time_of("\x17", "20240229120000Z"), INT64_MIN);
    assert_int_equal(time_of("\x02", "240229120000Z"), INT64_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(tags),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
