/* Headers as other implementations write them, and what is no header. */
#include "proto/yamux/frame.h"

#include "util/testing.h"

/* From the field table of hashicorp/yamux spec.md. */
static void known_headers(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        struct yamux_frame frame;
    } headers[] = {
        {"000000010000000100000005", {YAMUX_DATA, YAMUX_SYN, 1, 5}},
        {"000100020000000200040000", {YAMUX_WINDOW, YAMUX_ACK, 2, 262144}},
        {"00010008ffffffff00001002", {YAMUX_WINDOW, YAMUX_RST, UINT32_MAX, 0x1002}},
        {"000200010000000000000000", {YAMUX_PING, YAMUX_SYN, 0, 0}},
        {"000300000000000000000001", {YAMUX_GO_AWAY, 0, 0, 1}},
        {"0000fff00000000700000000", {YAMUX_DATA, 0xfff0, 7, 0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct bytes header = test_hex(headers[i].hex);
        struct yamux_frame frame;
        assert_int_equal(yamux_frame_decode(header.data, &frame), 0);
        assert_int_equal(frame.type, headers[i].frame.type);
        assert_int_equal(frame.flags, headers[i].frame.flags);
        assert_int_equal(frame.stream_id, headers[i].frame.stream_id);
        assert_int_equal(frame.length, headers[i].frame.length);
        uint8_t room[YAMUX_HEADER_SIZE];
        yamux_frame_encode(&frame, room);
        assert_bytes_equal(BYTES_ARRAY(room), header);
    }
}

static void refused_headers(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int error;
    } headers[] = {
        {"010000010000000100000005", PLASM_UNSUPPORTED},
        {"000400000000000100000000", PLASM_MALFORMED},
        {"00ff00000000000100000000", PLASM_MALFORMED},
        {"000000000000000000000001", PLASM_MALFORMED},
        {"000100010000000000000001", PLASM_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct yamux_frame frame = {.stream_id = 77};
        assert_int_equal(yamux_frame_decode(test_hex(headers[i].hex).data, &frame),
                         headers[i].error);
        assert_int_equal(frame.stream_id, 77);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_headers),
        cmocka_unit_test(refused_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
