/* Any bytes as a frame's payload: refused, or what was read can be written and read again. */
#include "proto/job/frames.h"
#include "util/ensure.h"
#include "wire/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct job_frame frame;
    struct job_frame again;
    if (job_frame_decode(bytes_of(data, size), &frame) != 0) {
        return 0;
    }
    struct buffer out;
    struct buffer twice;
    struct bytes payload;
    size_t frame_size;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, SIZE_MAX);
    buffer_init(&twice, &memory, SIZE_MAX);
    ENSURE(job_frame_encode(&frame, &out) == 0);
    ENSURE(frame_read(buffer_bytes(&out), JOB_FRAME_SIZE_MAX, &payload, &frame_size) == 0);
    ENSURE(payload.size <= size); /* ours is the shortest spelling */
    ENSURE(job_frame_decode(payload, &again) == 0);
    ENSURE(job_frame_encode(&again, &twice) == 0);
    ENSURE(bytes_equal(buffer_bytes(&out), buffer_bytes(&twice)));
    buffer_done(&out);
    buffer_done(&twice);
    ENSURE(memory.used == 0);
    return 0;
}
