/* What the other side of a direct upgrade may say: the first byte chooses our role. */
#include "proto/dcutr/dcutr.h"

#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct multiaddr own = {.size = 0};
    struct dcutr dcutr;
    ENSURE(dcutr_init(&dcutr, data[0] % 2 == 0 ? DCUTR_INITIATOR : DCUTR_RESPONDER, &own, 1,
                      &memory, 0) == 0);
    dcutr_receive(&dcutr, bytes_of(data + 1, size - 1), true, 1);
    uint8_t room[2 * DCUTR_MESSAGE_SIZE_MAX];
    (void)dcutr_transmit(&dcutr, (struct span){room, sizeof(room)});
    struct dcutr_event event;
    size_t events = 0;
    for (nanos now = 2; now < NANOS_MINUTE; now += NANOS_SECOND) {
        dcutr_expire(&dcutr, now);
        while (dcutr_next_event(&dcutr, &event)) {
            ENSURE(event.address_count <= DCUTR_ADDRESSES_MAX);
            ENSURE(event.type == DCUTR_FAILED || event.address_count > 0);
            events++;
        }
    }
    ENSURE(events == 1);
    dcutr_done(&dcutr);
    ENSURE(memory.used == 0);
    return 0;
}
