/* Cutting frames: whole, in pieces of every size, too large, cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/reader.h"
#include "proto/job/testing.h"
#include "wire/varint.h"

static struct memory memory;
static uint8_t stream[400000];
static size_t stream_size;
static const size_t sizes[] = {1, 5, 127, 128, 300, 20000, 1, 65535, 65536, 2};

static void fill(void) {
    struct writer writer = writer_of((struct span){.data = stream, .size = sizeof(stream)});
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uvarint_write(&writer, sizes[i]);
        uint8_t *room = writer_reserve(&writer, sizes[i]);
        assert_non_null(room);
        memset(room, (int)i, sizes[i]);
    }
    stream_size = writer.size;
}

static void check(struct bytes payload, size_t index) {
    assert_int_equal(payload.size, sizes[index]);
    size_t right = 0;
    while (right < payload.size && payload.data[right] == index) {
        right++;
    }
    assert_int_equal(right, payload.size);
}

static void read_in_pieces(size_t piece) {
    struct job_reader reader;
    size_t count = 0;
    job_reader_init(&reader, &memory);
    for (size_t offset = 0; offset < stream_size; offset += piece) {
        struct bytes payload;
        int error;
        job_reader_give(&reader, bytes_slice(bytes_of(stream, stream_size), offset, piece));
        while ((error = job_reader_next(&reader, &payload)) == 0) {
            check(payload, count++);
        }
        assert_int_equal(error, PLASM_TRUNCATED);
    }
    assert_int_equal(count, ARRAY_SIZE(sizes));
    struct bytes payload;
    reader.ended = true;
    assert_int_equal(job_reader_next(&reader, &payload), PLASM_CLOSED);
    job_reader_done(&reader);
    assert_int_equal(memory.used, 0);
}

static void pieces(void **state) {
    (void)state;
    fill();
    static const size_t each[] = {1, 2, 3, 7, 64, 127, 128, 129, 1000, 65535, 65536, 65540, 400000};
    for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
        read_in_pieces(each[i]);
    }
}

/* Two pieces, split at every byte of the first frames. */
static void every_split(void **state) {
    (void)state;
    fill();
    for (size_t at = 0; at < 700; at++) {
        struct job_reader reader;
        struct bytes payload;
        size_t count = 0;
        int error = 0;
        job_reader_init(&reader, &memory);
        for (int half = 0; half < 2; half++) {
            job_reader_give(&reader, half == 0 ? bytes_of(stream, at)
                                               : bytes_of(stream + at, stream_size - at));
            while ((error = job_reader_next(&reader, &payload)) == 0) {
                check(payload, count++);
            }
        }
        assert_int_equal(count, ARRAY_SIZE(sizes));
        job_reader_done(&reader);
    }
}

static void fails(struct bytes input, bool ended, int error) {
    struct job_reader reader;
    struct bytes payload;
    for (size_t piece = 1; piece <= input.size + 1; piece++) {
        int found = PLASM_TRUNCATED;
        job_reader_init(&reader, &memory);
        for (size_t offset = 0; found == PLASM_TRUNCATED && offset < input.size; offset += piece) {
            job_reader_give(&reader, bytes_slice(input, offset, piece));
            found = job_reader_next(&reader, &payload);
        }
        reader.ended = ended;
        if (found == PLASM_TRUNCATED) {
            found = job_reader_next(&reader, &payload);
        }
        assert_int_equal(found, error);
        job_reader_done(&reader);
    }
    assert_int_equal(memory.used, 0);
}

static void hostile(void **state) {
    (void)state;
    fails(BYTES_LITERAL("\x81\x80\x04"), false, PLASM_TOO_LARGE); /* 65537 */
    fails(BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), false, PLASM_TOO_LARGE);
    fails(BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, PLASM_MALFORMED);
    fails(BYTES_LITERAL("\x80\x00"), false, PLASM_MALFORMED);
    fails(BYTES_LITERAL("\x05"
                        "ab"),
          true, PLASM_MALFORMED);
    fails(BYTES_LITERAL("\x85"), true, PLASM_MALFORMED);
    fails(BYTES_LITERAL("\x05"
                        "ab"),
          false, PLASM_TRUNCATED);
    fails(BYTES_LITERAL(""), true, PLASM_CLOSED);
}

static void no_memory(void **state) {
    (void)state;
    struct memory_failing failing;
    struct job_reader reader;
    struct bytes payload;
    memory_failing_init(&failing, 0, true);
    job_reader_init(&reader, &failing.memory);
    job_reader_give(&reader, BYTES_LITERAL("\x02"
                                           "ab"
                                           "\x05"
                                           "ab"));
    assert_int_equal(job_reader_next(&reader, &payload), 0); /* in place */
    assert_int_equal(job_reader_next(&reader, &payload), PLASM_NO_MEMORY);
    job_reader_clear(&reader);
    job_reader_done(&reader);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(every_split),
        cmocka_unit_test(hostile),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
