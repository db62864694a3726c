/* Any bytes on a capability stream, in pieces the first byte chooses: one event at most, and the
 * same one whatever the pieces are. */
#include "proto/capability/exchange.h"
#include "util/ensure.h"

static bool run(struct bytes input, size_t piece, struct capability_exchange_event *event,
                struct capability_exchange *exchange, struct memory *memory) {
    bool given = false;
    capability_exchange_init(exchange, bytes_of(NULL, 0), memory, 0);
    for (size_t offset = 0; offset < input.size; offset += piece) {
        capability_exchange_receive(exchange, bytes_slice(input, offset, piece));
        given = given || capability_exchange_next_event(exchange, event);
    }
    capability_exchange_receive_fin(exchange);
    given = given || capability_exchange_next_event(exchange, event);
    ENSURE(!capability_exchange_next_event(exchange, event));
    return given;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct capability_exchange whole;
    struct capability_exchange split;
    struct capability_exchange_event first;
    struct capability_exchange_event second;
    if (size == 0) {
        return 0;
    }
    memory_init(&memory, SIZE_MAX);
    struct bytes input = bytes_of(data + 1, size - 1);
    size_t piece = (size_t)data[0] + 1;
    ENSURE(run(input, SIZE_MAX / 2, &first, &whole, &memory));
    ENSURE(run(input, piece, &second, &split, &memory));
    if (first.type == CAPABILITY_EXCHANGE_RECORD) {
        ENSURE(second.type == CAPABILITY_EXCHANGE_RECORD &&
               bytes_equal(first.envelope, second.envelope));
    }
    capability_exchange_done(&whole);
    capability_exchange_done(&split);
    ENSURE(memory.used == 0);
    return 0;
}
