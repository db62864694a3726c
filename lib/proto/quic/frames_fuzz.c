/* The walk over frames: whatever it finds lies within the payload. */
#include "proto/quic/frames.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct stop_sending stops[FRAMES_STOPS_MAX];
    size_t count = frames_find_stops(bytes_of(data, size), stops, FRAMES_STOPS_MAX);
    ENSURE(count <= size / 3);
    for (size_t i = 0; i < count; i++) {
        ENSURE(stops[i].stream_id < (UINT64_C(1) << 62) && stops[i].code < (UINT64_C(1) << 62));
    }
    return 0;
}
