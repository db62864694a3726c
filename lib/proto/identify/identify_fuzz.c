/* Reads parts of an identify message and merges them. */
#include "proto/identify/identify.h"

#include "util/ensure.h"
#include "wire/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    struct identify message = {0};
    struct bytes part;
    size_t frame;
    while (frame_read(input, IDENTIFY_PART_MAX, &part, &frame) == 0) {
        if (identify_merge(part, &message) != 0) {
            break;
        }
        ENSURE(message.address_count <= IDENTIFY_ADDRESSES_MAX);
        ENSURE(message.protocol_count <= IDENTIFY_PROTOCOLS_MAX);
        input = bytes_slice(input, frame, input.size);
    }
    (void)identify_has_protocol(&message, IDENTIFY_PROTOCOL);
    return 0;
}
