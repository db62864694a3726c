/* Fuzz target: one message as a stranger sends it, decoded and walked to its end. */
#include "proto/kad/message.h"

#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct kad_message *message, enum kad_message_list list) {
    struct cursor cursor = cursor_of(message->whole);
    struct kad_message_peer peer;
    size_t count = 0;
    while (kad_message_peer_next(&cursor, list, &peer)) {
        struct kad_addresses addresses;
        kad_message_addresses(&peer, count % 2 == 0, &addresses);
        ENSURE(addresses.size <= KAD_ADDRESSES_BYTES_MAX && addresses.count <= KAD_ADDRESSES_MAX);
        struct bytes packed = kad_addresses_bytes(&addresses);
        struct bytes address;
        size_t addresses_count = 0;
        while (kad_address_next(&packed, &address)) {
            addresses_count++;
        }
        ENSURE(addresses_count == addresses.count);
        (void)kad_groups_of(NULL, kad_addresses_bytes(&addresses));
        count++;
    }
    ENSURE(cursor.error == 0);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct kad_message message;
    if (kad_message_decode(bytes_of(data, size), &message) == 0) {
        size_t count = walk(&message, KAD_LIST_CLOSER) + walk(&message, KAD_LIST_PROVIDERS);
        ENSURE(count <= size / 2);
    }
    return 0;
}
