/* Cuts bytes into frames, in place where it can. */
#include "proto/job/reader.h"

#include "proto/job/frames.h"
#include "util/ensure.h"
#include "wire/varint.h"

#define READER_PARTIAL_MAX (UVARINT_SIZE_MAX + JOB_FRAME_SIZE_MAX)

void job_reader_init(struct job_reader *reader, struct memory *memory) {
    *reader = (struct job_reader){0};
    buffer_init(&reader->partial, memory, READER_PARTIAL_MAX);
}

void job_reader_give(struct job_reader *reader, struct bytes input) {
    ENSURE(reader->input.size == 0 && !reader->ended);
    reader->input = input;
}

/* How many bytes the frame that begins in `partial` still needs, at least 1; 0 when it is whole. */
static int job_reader_missing(const struct job_reader *reader, struct bytes *ret_payload,
                              size_t *ret_missing) {
    struct bytes have = buffer_bytes(&reader->partial);
    size_t frame_size;
    int error = frame_read(have, JOB_FRAME_SIZE_MAX, ret_payload, &frame_size);
    if (error == 0) {
        *ret_missing = 0;
        return 0;
    }
    if (error != PLASM_TRUNCATED) {
        return error;
    }
    struct cursor cursor = cursor_of(have);
    uint64_t payload_size = uvarint_read(&cursor);
    *ret_missing = cursor.error != 0 ? 1 : (size_t)payload_size - cursor.left.size;
    return 0;
}

/* Completes the frame in `partial`, no byte further. */
static int job_reader_fill(struct job_reader *reader, struct bytes *ret_payload) {
    for (;;) {
        size_t missing;
        int error = job_reader_missing(reader, ret_payload, &missing);
        if (error != 0 || missing == 0) {
            reader->partial_given = error == 0;
            return error;
        }
        if (reader->input.size == 0) {
            return PLASM_TRUNCATED;
        }
        struct bytes more = bytes_slice(reader->input, 0, missing);
        error = buffer_append(&reader->partial, more);
        if (error != 0) {
            return error;
        }
        reader->input = bytes_slice(reader->input, more.size, reader->input.size);
    }
}

static int job_reader_cut(struct job_reader *reader, struct bytes *ret_payload) {
    if (reader->partial.size > 0) {
        return job_reader_fill(reader, ret_payload);
    }
    if (reader->input.size == 0) {
        return PLASM_TRUNCATED;
    }
    size_t frame_size;
    int error = frame_read(reader->input, JOB_FRAME_SIZE_MAX, ret_payload, &frame_size);
    if (error == 0) {
        reader->input = bytes_slice(reader->input, frame_size, reader->input.size);
        return 0;
    }
    if (error != PLASM_TRUNCATED) {
        return error;
    }
    error = buffer_append(&reader->partial, reader->input);
    if (error != 0) {
        return error;
    }
    reader->input = bytes_of(NULL, 0);
    return PLASM_TRUNCATED;
}

int job_reader_next(struct job_reader *reader, struct bytes *ret_payload) {
    if (reader->partial_given) {
        buffer_clear(&reader->partial);
        reader->partial_given = false;
    }
    int error = job_reader_cut(reader, ret_payload);
    if (error == PLASM_TRUNCATED && reader->ended) {
        return reader->partial.size > 0 ? PLASM_MALFORMED : PLASM_CLOSED;
    }
    return error;
}

void job_reader_clear(struct job_reader *reader) {
    reader->input = bytes_of(NULL, 0);
    buffer_clear(&reader->partial);
    reader->partial_given = false;
}

void job_reader_done(struct job_reader *reader) {
    if (reader->partial.memory != NULL) {
        buffer_done(&reader->partial);
    }
}
