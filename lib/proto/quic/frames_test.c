/* Finding STOP_SENDING among all the other frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/quic/frames.h"
#include "util/cursor.h"

/* One of each kind, as RFC 9000, section 19, lays them out. */
static const char *const frames[] = {
    "00",                                               /* PADDING */
    "01",                                               /* PING */
    "02050001010203",                                   /* ACK with one more range */
    "0305000001010203",                                 /* ACK with ECN counts */
    "04044001407f",                                     /* RESET_STREAM */
    "0600026162",                                       /* CRYPTO */
    "07026162",                                         /* NEW_TOKEN */
    "0a04026162",                                       /* STREAM with a length */
    "0e04410003616263",                                 /* and an offset */
    "1041000000",                                       /* MAX_DATA and padding */
    "110480000001",                                     /* MAX_STREAM_DATA */
    "124100",                                           /* MAX_STREAMS */
    "1305",                                             /* of the other kind */
    "1405",                                             /* DATA_BLOCKED */
    "150405",                                           /* STREAM_DATA_BLOCKED */
    "1605",                                             /* STREAMS_BLOCKED */
    "1705",                                             /* of the other kind */
    "18010004aabbccdd000102030405060708090a0b0c0d0e0f", /* NEW_CONNECTION_ID */
    "1901",                                             /* RETIRE_CONNECTION_ID */
    "1a0001020304050607",                               /* PATH_CHALLENGE */
    "1b0001020304050607",                               /* PATH_RESPONSE */
    "1e",                                               /* HANDSHAKE_DONE */
};

#define STOP "0544014102" /* stream 1025, code 258 */

static void put_hex(struct writer *writer, const char *hex) {
    uint8_t room[64];
    size_t size = 0;
    assert_int_equal(bytes_from_hex(bytes_of_string(hex),
                                    (struct span){.data = room, .size = sizeof(room)}, &size),
                     0);
    writer_bytes_put(writer, bytes_of(room, size));
}

static void behind_every_frame(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        uint8_t room[128];
        struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
        put_hex(&writer, frames[i]);
        put_hex(&writer, STOP);
        put_hex(&writer, frames[i]);
        put_hex(&writer, STOP);
        struct stop_sending stops[4];
        size_t count = frames_find_stops(writer_bytes(&writer), stops, 4);
        if (count != 2) {
            print_error("behind %s\n", frames[i]);
        }
        assert_int_equal(count, 2);
        assert_int_equal(stops[0].stream_id, 1025);
        assert_int_equal(stops[1].code, 258);
        /* The room is kept to, and every cut is survived. */
        assert_int_equal(frames_find_stops(writer_bytes(&writer), stops, 1), 1);
        for (size_t cut = 0; cut < writer.size; cut++) {
            uint8_t *copy = malloc(cut + 1);
            assert_non_null(copy);
            memcpy(copy, room, cut);
            assert_true(frames_find_stops(bytes_of(copy, cut), stops, 4) <= 1);
            free(copy);
        }
    }
}

static void ends_of_the_walk(void **state) {
    (void)state;
    static const char *const ends[] = {
        "0804",                 /* STREAM without a length takes all that follows */
        "0c0441",               /* likewise, with an offset */
        "20",                   /* no such frame */
        "4006",                 /* CRYPTO in two bytes is CRYPTO, cut */
        "0600ffffffffffffffff", /* a size beyond everything */
        "02050040ff01",         /* more ranges than bytes */
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        uint8_t room[128];
        struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
        put_hex(&writer, ends[i]);
        put_hex(&writer, STOP);
        struct stop_sending stops[4];
        assert_int_equal(frames_find_stops(writer_bytes(&writer), stops, 4), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_every_frame),
        cmocka_unit_test(ends_of_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
