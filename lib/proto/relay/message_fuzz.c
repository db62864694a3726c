/* Reads a relay's messages and vouchers. */
#include "proto/relay/message.h"

#include "util/ensure.h"

static void read_message(enum relay_protocol protocol, struct bytes input) {
    struct relay_message message;
    if (relay_message_decode(protocol, input, &message) != 0) {
        return;
    }
    ENSURE(message.reservation.address_count <= RELAY_ADDRESSES_MAX);
    ENSURE(relay_status_text(message.status) != NULL);
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, 2 * RELAY_MESSAGE_SIZE_MAX);
    if (relay_message_encode(protocol, &message, &out) == 0) {
        struct relay_message again;
        struct bytes payload = buffer_bytes(&out);
        size_t prefix = payload.size > 129 ? 2 : 1;
        ENSURE(relay_message_decode(protocol, bytes_slice(payload, prefix, payload.size), &again) ==
               0);
        ENSURE(again.type == message.type);
    }
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    read_message(RELAY_HOP, input);
    read_message(RELAY_STOP, input);
    struct relay_voucher voucher;
    if (relay_voucher_decode(input, &voucher) == 0) {
        uint8_t room[RELAY_VOUCHER_SIZE_MAX];
        ENSURE(relay_voucher_encode(&voucher, room) <= sizeof(room));
    }
    return 0;
}
