/* Peer ids, as text and in binary: what is read survives its other form. */
#include "identity/peer_id.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct peer_id *id) {
    char text[PEER_ID_TEXT_MAX];
    struct peer_id again;
    peer_id_format(id, text);
    ENSURE(peer_id_parse(bytes_of_string(text), &again) == 0 && peer_id_equal(id, &again));
    ENSURE(peer_id_decode(peer_id_bytes(id), &again) == 0 && peer_id_equal(id, &again));
    struct public_key key;
    if (peer_id_key(id, &key) == 0) {
        ENSURE(peer_id_check(id, &key) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct peer_id id;
    if (peer_id_parse(bytes_of(data, size), &id) == 0) {
        round_trip(&id);
    }
    if (peer_id_decode(bytes_of(data, size), &id) == 0) {
        round_trip(&id);
    }
    return 0;
}
