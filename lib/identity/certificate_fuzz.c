/* A stranger's certificate: the bytes are DER. */
#include "identity/certificate.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* 2030-01-01 */
    struct certificate_identity identity;
    ENSURE(crypto_init() == 0);
    if (certificate_check(bytes_of(data, size), INT64_C(1893456000), &identity) == 0) {
        ENSURE(peer_id_check(&identity.peer_id, &identity.key) == 0);
    }
    return 0;
}
