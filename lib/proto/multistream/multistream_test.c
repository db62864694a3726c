/* multistream-select: both roles, every split of the input, refusals and hostile lines. */
#include "proto/multistream/multistream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/varint.h"

static const char *const served[] = {"/ipfs/ping/1.0.0", "/phase/job/1.0.0"};

/* As go-libp2p writes it: header and proposal in one piece (seen on the wire). */
#define HEADER "\x13/multistream/1.0.0\n"
#define JOB    "\x11/phase/job/1.0.0\n"
#define NA     "\x03na\n"

static void expect_transmit(struct multistream *select, const char *expected) {
    uint8_t room[MULTISTREAM_TRANSMIT_MAX];
    size_t size = multistream_transmit(select, (struct span){room, sizeof(room)});
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(room, expected, size);
}

static void listener_accepts_at_every_split(void **state) {
    (void)state;
    static const char input[] = HEADER JOB "data";
    size_t head = sizeof(HEADER JOB) - 1;
    for (size_t split = 0; split <= sizeof(input) - 1; split++) {
        struct multistream select;
        multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
        size_t first = 0;
        size_t second = 0;
        assert_int_equal(multistream_receive(&select, bytes_of(input, split), &first), 0);
        assert_int_equal(multistream_receive(
                             &select, bytes_of(input + first, sizeof(input) - 1 - first), &second),
                         0);
        assert_true(select.done);
        assert_int_equal(select.selected, 1);
        assert_int_equal(first + second, head);
        expect_transmit(&select, HEADER JOB);
    }
}

static void listener_refuses_and_goes_on(void **state) {
    (void)state;
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
    struct bytes input = BYTES_LITERAL(HEADER "\x07/other\n" JOB);
    assert_int_equal(multistream_receive(&select, input, &consumed), 0);
    assert_true(select.done);
    expect_transmit(&select, HEADER NA JOB);
}

static void listener_skips_an_overlong_line(void **state) {
    (void)state;
    static uint8_t line[MULTISTREAM_LINE_MAX];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    uint8_t length[UVARINT_SIZE_MAX];
    struct writer writer = writer_of((struct span){length, sizeof(length)});
    uvarint_write(&writer, sizeof(line));
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER), &consumed), 0);
    assert_int_equal(multistream_receive(&select, writer_bytes(&writer), &consumed), 0);
    assert_int_equal(multistream_receive(&select, BYTES_ARRAY(line), &consumed), 0);
    assert_int_equal(consumed, sizeof(line));
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(JOB), &consumed), 0);
    assert_true(select.done);
    expect_transmit(&select, HEADER NA JOB);
}

static void listener_bounds_proposals(void **state) {
    (void)state;
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER), &consumed), 0);
    int error = 0;
    int proposals = 0;
    uint8_t room[MULTISTREAM_TRANSMIT_MAX];
    while (error == 0) {
        error = multistream_receive(&select, BYTES_LITERAL("\x02x\n"), &consumed);
        (void)multistream_transmit(&select, (struct span){room, sizeof(room)});
        proposals++;
    }
    assert_int_equal(error, PLASM_LIMIT);
    assert_int_equal(proposals, MULTISTREAM_PROPOSALS_MAX + 1);
}

static void listener_that_is_not_read_holds_no_more_than_its_room(void **state) {
    (void)state;
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER), &consumed), 0);
    int error = 0;
    for (int i = 0; i < 1000 && error == 0; i++) {
        error = multistream_receive(&select, BYTES_LITERAL("\x02x\n"), &consumed);
    }
    assert_int_equal(error, PLASM_LIMIT);
}

static void malformed_input_is_refused(void **state) {
    (void)state;
    const struct bytes inputs[] = {
        BYTES_LITERAL("\x14/multistream/2.0.0\n\n"),
        BYTES_LITERAL("\x03xy\n"),
        BYTES_LITERAL("\x02xy"), /* no newline */
        BYTES_LITERAL("\x00"),
        BYTES_LITERAL("GET / HTTP/1.1\r\n"),
        BYTES_LITERAL("\xff\xff\xff\xff\xff"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        struct multistream select;
        size_t consumed;
        multistream_init(&select, MULTISTREAM_LISTENER, served, 2);
        int error = multistream_receive(&select, inputs[i], &consumed);
        if (error == 0) { /* still waiting: the rest of the line decides */
            static uint8_t rest[256];
            error = multistream_receive(&select, BYTES_ARRAY(rest), &consumed);
        }
        assert_int_equal(error, PLASM_MALFORMED);
        /* The error latches. */
        assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER), &consumed),
                         PLASM_MALFORMED);
    }
}

static void dialler_proposes_in_order(void **state) {
    (void)state;
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_DIALLER, served, 2);
    expect_transmit(&select, HEADER "\x11/ipfs/ping/1.0.0\n");
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER NA), &consumed), 0);
    assert_false(select.done);
    expect_transmit(&select, JOB);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(JOB "rest"), &consumed), 0);
    assert_true(select.done);
    assert_int_equal(select.selected, 1);
    assert_int_equal(consumed, sizeof(JOB) - 1);
}

static void dialler_reports_refusal(void **state) {
    (void)state;
    struct multistream select;
    size_t consumed;
    multistream_init(&select, MULTISTREAM_DIALLER, served, 1);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER NA), &consumed),
                     PLASM_UNSUPPORTED);
    multistream_init(&select, MULTISTREAM_DIALLER, served, 1);
    assert_int_equal(multistream_receive(&select, BYTES_LITERAL(HEADER JOB), &consumed),
                     PLASM_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listener_accepts_at_every_split),
        cmocka_unit_test(listener_refuses_and_goes_on),
        cmocka_unit_test(listener_skips_an_overlong_line),
        cmocka_unit_test(listener_bounds_proposals),
        cmocka_unit_test(listener_that_is_not_read_holds_no_more_than_its_room),
        cmocka_unit_test(malformed_input_is_refused),
        cmocka_unit_test(dialler_proposes_in_order),
        cmocka_unit_test(dialler_reports_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
