/* A stranger's signed envelope, and the peer record inside where it is signed right. */
#include "identity/envelope.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ENSURE(crypto_init() == 0);
    struct envelope envelope;
    if (envelope_open(bytes_of(data, size), BYTES_LITERAL(PEER_RECORD_DOMAIN), &envelope) == 0) {
        ENSURE(peer_id_check(&envelope.signer, &envelope.key) == 0);
        struct peer_record record;
        (void)!peer_record_decode(envelope.payload, &record);
    }
    return 0;
}
