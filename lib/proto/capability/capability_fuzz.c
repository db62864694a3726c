/* Any bytes as a capability payload, and as an envelope: what is taken can be written again. */
#include "proto/capability/capability.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct capability capability;
    struct capability again;
    struct buffer out;
    ENSURE(crypto_init() == 0);
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, SIZE_MAX);
    if (capability_decode(bytes_of(data, size), &capability) == 0) {
        const struct capability_query query = {.arch = "x86_64", .profile = "wasip1"};
        (void)capability_match(&capability, &query);
        if (capability_encode(&capability, &out) == 0) {
            ENSURE(capability_decode(buffer_bytes(&out), &again) == 0);
            ENSURE(again.address_count == capability.address_count);
        }
    }
    if (capability_open(bytes_of(data, size), 1767225000, &capability) == 0) {
        ENSURE(capability_check_time(&capability, 1767225000) == 0);
    }
    buffer_done(&out);
    ENSURE(memory.used == 0);
    return 0;
}
