/* Any packet: it decodes to something that encodes to the same bytes, or not at all. */
#include <stdlib.h>

#include "runner/protocol.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];
    struct runner_message message;
    if (runner_message_decode(bytes_of(data, size), &message) != 0) {
        return 0;
    }
    size_t encoded;
    ENSURE(runner_message_encode(&message, (struct span){room, sizeof(room)}, &encoded) == 0);
    ENSURE(bytes_equal(bytes_of(room, encoded), bytes_of(data, size)));
    return 0;
}
