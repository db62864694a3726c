/* Fuzzes the checks of strangers' keys and signatures. The input is a byte that says how long the
 * key is in units of eight, the key, the signature; none of them is ever right. */
#include "crypto/sign.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ENSURE(crypto_init() == 0);
    if (size == 0) {
        return 0;
    }
    struct bytes rest = bytes_of(data + 1, size - 1);
    struct bytes key = bytes_slice(rest, 0, (size_t)data[0] * 8);
    struct bytes signature = bytes_slice(rest, key.size, rest.size);
    struct bytes message = BYTES_LITERAL("what nobody has signed");
    ENSURE(spki_verify(key, message, signature) != 0);
    ENSURE(secp256k1_verify(bytes_slice(key, 0, 33), message, signature) != 0);
    if (key.size >= ED25519_PUBLIC_SIZE) {
        ENSURE(ed25519_verify(key.data, message, signature) != 0);
    }
    return 0;
}
