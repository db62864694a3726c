/* The payload of a peer record: what is read can be written and read again. */
#include "identity/envelope.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct peer_record record;
    struct peer_record again;
    if (peer_record_decode(bytes_of(data, size), &record) != 0) {
        return 0;
    }
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, PEER_RECORD_SIZE_MAX);
    if (peer_record_encode(&record, &out) == 0) {
        ENSURE(peer_record_decode(buffer_bytes(&out), &again) == 0);
        ENSURE(again.seq == record.seq && again.address_count == record.address_count);
        ENSURE(peer_id_equal(&again.peer_id, &record.peer_id));
    }
    buffer_done(&out);
    return 0;
}
