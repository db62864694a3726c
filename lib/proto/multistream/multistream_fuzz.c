/* Feeds a negotiation in pieces: byte 0 chooses the role, the next the size of a piece. */
#include "proto/multistream/multistream.h"

#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"/ipfs/ping/1.0.0", "/phase/job/1.0.0"};
    if (size < 2) {
        return 0;
    }
    struct multistream select;
    multistream_init(&select, data[0] & 1 ? MULTISTREAM_DIALLER : MULTISTREAM_LISTENER, names, 2);
    size_t piece = (size_t)data[1] + 1;
    struct bytes input = bytes_of(data + 2, size - 2);
    int error = 0;
    while (error == 0 && !select.done && input.size > 0) {
        size_t consumed = 0;
        struct bytes now = bytes_slice(input, 0, piece);
        error = multistream_receive(&select, now, &consumed);
        ENSURE(consumed <= now.size);
        ENSURE(error != 0 || select.done || consumed == now.size);
        input = bytes_slice(input, consumed, input.size);
        uint8_t room[MULTISTREAM_TRANSMIT_MAX];
        ENSURE(multistream_transmit(&select, (struct span){room, sizeof(room)}) <= sizeof(room));
        ENSURE(select.out_size == 0);
    }
    ENSURE(!select.done || select.selected < 2);
    return 0;
}
