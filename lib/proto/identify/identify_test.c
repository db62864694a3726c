/* identify: round trip, merging of parts, what is left out when it is too large, malformed input.
 */
#include "proto/identify/identify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/varint.h"

static struct bytes payload_of(const struct buffer *buffer) {
    struct bytes payload;
    size_t size;
    assert_int_equal(frame_read(buffer_bytes(buffer), IDENTIFY_PART_MAX, &payload, &size), 0);
    assert_int_equal(size, buffer->size);
    return payload;
}

static struct identify sample(void) {
    struct identify message = {.agent = BYTES_LITERAL("plasm/0.1.0"),
                               .protocol_version = BYTES_LITERAL("phase/1.0.0"),
                               .public_key = BYTES_LITERAL("key"),
                               .observed = BYTES_LITERAL("observed"),
                               .signed_record = BYTES_LITERAL("record"),
                               .address_count = 2,
                               .addresses = {BYTES_LITERAL("a"), BYTES_LITERAL("bb")},
                               .protocol_count = 1,
                               .protocols = {BYTES_LITERAL(IDENTIFY_PROTOCOL)}};
    return message;
}

static void round_trip(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, 2 * IDENTIFY_SENT_MAX);
    struct identify message = sample();
    assert_int_equal(identify_encode(&message, &out), 0);
    struct identify read = {0};
    assert_int_equal(identify_merge(payload_of(&out), &read), 0);
    assert_true(bytes_equal(read.agent, message.agent));
    assert_true(bytes_equal(read.signed_record, message.signed_record));
    assert_int_equal(read.address_count, 2);
    assert_true(bytes_equal(read.addresses[1], message.addresses[1]));
    assert_true(identify_has_protocol(&read, IDENTIFY_PROTOCOL));
    assert_false(identify_has_protocol(&read, IDENTIFY_PUSH_PROTOCOL));
    /* A second part adds and replaces. */
    assert_int_equal(identify_merge(BYTES_LITERAL("\x32\x03"
                                                  "new\x12\x01z"),
                                    &read),
                     0);
    assert_true(bytes_equal_string(read.agent, "new"));
    assert_int_equal(read.address_count, 3);
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
}

static void truncated_at_every_byte(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, IDENTIFY_SENT_MAX);
    struct identify message = sample();
    assert_int_equal(identify_encode(&message, &out), 0);
    struct bytes whole = payload_of(&out);
    size_t refused = 0;
    for (size_t size = 0; size < whole.size; size++) {
        struct identify read = {0};
        int error = identify_merge(bytes_slice(whole, 0, size), &read);
        assert_true(error == 0 || error == PLASM_MALFORMED);
        if (error != 0) {
            refused++;
            assert_int_equal(read.address_count, 0); /* untouched on failure */
        }
    }
    assert_true(refused > whole.size / 2);
    buffer_done(&out);
}

static void too_large_loses_record_then_addresses(void **state) {
    (void)state;
    static uint8_t big[3000];
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, IDENTIFY_SENT_MAX);
    struct identify message = sample();
    message.addresses[0] = BYTES_ARRAY(big);
    message.signed_record = BYTES_ARRAY(big);
    assert_int_equal(identify_encode(&message, &out), 0);
    struct identify read = {0};
    assert_int_equal(identify_merge(payload_of(&out), &read), 0);
    assert_int_equal(read.signed_record.size, 0);
    assert_int_equal(read.address_count, 2);
    buffer_clear(&out);
    message.addresses[1] = BYTES_ARRAY(big);
    assert_int_equal(identify_encode(&message, &out), 0);
    read = (struct identify){0};
    assert_int_equal(identify_merge(payload_of(&out), &read), 0);
    assert_int_equal(read.address_count, 1);
    buffer_clear(&out);
    static uint8_t huge[5000];
    message.agent = BYTES_ARRAY(huge);
    assert_int_equal(identify_encode(&message, &out), PLASM_TOO_LARGE);
    buffer_done(&out);
}

static void lists_are_bounded(void **state) {
    (void)state;
    struct identify read = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(identify_merge(BYTES_LITERAL("\x12\x01"
                                                      "a\x1a\x01p"),
                                        &read),
                         0);
    }
    assert_int_equal(read.address_count, IDENTIFY_ADDRESSES_MAX);
    assert_int_equal(read.protocol_count, IDENTIFY_PROTOCOLS_MAX);
}

/* A push leaves out what has not changed: single fields and lists alike. */
static void a_push_inherits(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, IDENTIFY_TOTAL_MAX);
    struct identify before = sample();
    static const char update_bytes[] = "\x1a\x02/x"; /* protocols: "/x" */
    struct identify update = {0};
    assert_int_equal(identify_merge(BYTES_LITERAL(update_bytes), &update), 0);
    assert_int_equal(buffer_append(&out, BYTES_LITERAL(update_bytes)), 0);
    assert_int_equal(identify_inherit(&before, &update, &out), 0);
    struct identify read = {0};
    assert_int_equal(identify_merge(buffer_bytes(&out), &read), 0);
    assert_int_equal(read.protocol_count, 1);
    assert_true(identify_has_protocol(&read, "/x"));
    assert_int_equal(read.address_count, 2);
    assert_true(bytes_equal(read.agent, before.agent));
    assert_true(bytes_equal(read.public_key, before.public_key));
    assert_true(bytes_equal(read.signed_record, before.signed_record));
    assert_true(bytes_equal(read.observed, before.observed));
    assert_true(bytes_equal(read.protocol_version, before.protocol_version));

    /* What the update has stays the update's; nothing at all is inherited from nothing. */
    buffer_clear(&out);
    update = sample();
    assert_int_equal(identify_inherit(&before, &update, &out), 0);
    assert_int_equal(out.size, 0);
    struct identify nothing = {0};
    assert_int_equal(identify_inherit(&nothing, &nothing, &out), 0);
    assert_int_equal(out.size, 0);
    buffer_done(&out);

    buffer_init(&out, &memory, 10);
    assert_int_equal(identify_inherit(&before, &nothing, &out), PLASM_TOO_LARGE);
    buffer_done(&out);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(truncated_at_every_byte),
        cmocka_unit_test(too_large_loses_record_then_addresses),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(a_push_inherits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
