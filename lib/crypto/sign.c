/* Signatures over libsodium (Ed25519), libsecp256k1 and GnuTLS (RSA, ECDSA). */
#include "crypto/sign.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <secp256k1.h>
#include <sodium.h>

#include "crypto/hash.h"
#include "util/cursor.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
/* An RSA key of RSA_BITS_MAX has 1062 bytes; more is refused before it is parsed. */
#define SPKI_SIZE_MAX 1200

#define SECP256K1_PUBLIC_SIZE 33
#define ECDSA_DER_SIZE_MAX    72

int crypto_init(void) {
    if (sodium_init() < 0 || gnutls_global_init() != GNUTLS_E_SUCCESS) {
        return PLASM_FAILED;
    }
    /* Wanted by the library's static context; it ends the process if the build is broken. */
    secp256k1_selftest();
    return 0;
}

bool crypto_has_aes(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") != 0;
#elif defined(__ARM_FEATURE_AES) || defined(__ARM_FEATURE_CRYPTO) || defined(__APPLE__)
    return true;
#else
    return false;
#endif
}

void ed25519_from_seed(struct ed25519_secret *secret, const uint8_t seed[ED25519_SEED_SIZE]) {
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];
    memmove(secret->seed, seed, ED25519_SEED_SIZE);
    crypto_sign_seed_keypair(secret->public_key, expanded, secret->seed);
    sodium_memzero(expanded, sizeof(expanded));
}

void ed25519_done(struct ed25519_secret *secret) {
    sodium_memzero(secret, sizeof(*secret));
}

void ed25519_sign(const struct ed25519_secret *secret, struct bytes message,
                  uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    /* libsodium's form of the secret key is the seed followed by the public key. */
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];
    memcpy(expanded, secret->seed, ED25519_SEED_SIZE);
    memcpy(expanded + ED25519_SEED_SIZE, secret->public_key, ED25519_PUBLIC_SIZE);
    crypto_sign_detached(ret_signature, NULL, message.data, message.size, expanded);
    sodium_memzero(expanded, sizeof(expanded));
}

int ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], struct bytes message,
                   struct bytes signature) {
    if (signature.size != ED25519_SIGNATURE_SIZE ||
        crypto_sign_verify_detached(signature.data, message.data, message.size, public_key) != 0) {
        return PLASM_UNTRUSTED;
    }
    return 0;
}

int secp256k1_verify(struct bytes public_key, struct bytes message, struct bytes signature) {
    const secp256k1_context *context = secp256k1_context_static;
    secp256k1_pubkey key;
    if (public_key.size != SECP256K1_PUBLIC_SIZE ||
        secp256k1_ec_pubkey_parse(context, &key, public_key.data, public_key.size) != 1) {
        return PLASM_MALFORMED;
    }
    secp256k1_ecdsa_signature parsed;
    if (signature.size > ECDSA_DER_SIZE_MAX ||
        secp256k1_ecdsa_signature_parse_der(context, &parsed, signature.data, signature.size) !=
            1) {
        return PLASM_UNTRUSTED;
    }
    /* The library takes only the lower of the two values of S; libp2p's peers may send either. */
    secp256k1_ecdsa_signature_normalize(context, &parsed, &parsed);
    struct sha256_digest digest = sha256(message);
    return secp256k1_ecdsa_verify(context, &parsed, digest.bytes, &key) == 1 ? 0 : PLASM_UNTRUSTED;
}

static int spki_algorithm(gnutls_pubkey_t key, gnutls_sign_algorithm_t *ret_algorithm) {
    unsigned bits = 0;
    switch (gnutls_pubkey_get_pk_algorithm(key, &bits)) {
    case GNUTLS_PK_RSA:
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
            return PLASM_MALFORMED;
        }
        *ret_algorithm = GNUTLS_SIGN_RSA_SHA256;
        return 0;
    case GNUTLS_PK_ECDSA:
        *ret_algorithm = GNUTLS_SIGN_ECDSA_SHA256;
        return 0;
    default:
        return PLASM_UNSUPPORTED;
    }
}

/* One positive INTEGER in DER. */
static bool der_skip_integer(struct cursor *cursor) {
    bool tagged = cursor_u8(cursor) == 0x02;
    uint8_t size = cursor_u8(cursor);
    struct bytes value = cursor_take(cursor, size);
    if (!tagged || size >= 0x80 || value.size == 0 || value.data[0] >= 0x80) {
        return false;
    }
    /* A zero in front only where the number would else be negative. */
    return value.data[0] != 0 || (value.size > 1 && value.data[1] >= 0x80);
}

/* GnuTLS takes looser encodings of an ECDSA signature, so that there would be many for each. */
static bool der_is_ecdsa_signature(struct bytes signature) {
    struct cursor cursor = cursor_of(signature);
    bool tagged = cursor_u8(&cursor) == 0x30;
    uint8_t size = cursor_u8(&cursor);
    if (size == 0x81) {
        size = cursor_u8(&cursor);
        if (size < 0x80) {
            return false;
        }
    } else if (size >= 0x80) {
        return false;
    }
    return tagged && size == cursor.left.size && der_skip_integer(&cursor) &&
           der_skip_integer(&cursor) && cursor.error == 0 && cursor.left.size == 0;
}

static gnutls_datum_t datum_of(struct bytes bytes) {
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)bytes.data,
                            .size = (unsigned)bytes.size};
}

int spki_verify(struct bytes spki, struct bytes message, struct bytes signature) {
    if (spki.size == 0 || spki.size > SPKI_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    if (message.size > UINT_MAX || signature.size > SPKI_SIZE_MAX) {
        return PLASM_UNTRUSTED;
    }
    gnutls_pubkey_t key;
    if (gnutls_pubkey_init(&key) != 0) {
        return PLASM_NO_MEMORY;
    }
    gnutls_datum_t der = datum_of(spki);
    gnutls_datum_t data = datum_of(message);
    gnutls_datum_t signed_by = datum_of(signature);
    gnutls_sign_algorithm_t algorithm = GNUTLS_SIGN_UNKNOWN;
    int imported = gnutls_pubkey_import(key, &der, GNUTLS_X509_FMT_DER);
    int error = PLASM_MALFORMED;
    if (imported == GNUTLS_E_MEMORY_ERROR) {
        error = PLASM_NO_MEMORY;
    } else if (imported == GNUTLS_E_UNKNOWN_PK_ALGORITHM ||
               imported == GNUTLS_E_UNIMPLEMENTED_FEATURE ||
               imported == GNUTLS_E_ECC_UNSUPPORTED_CURVE) {
        error = PLASM_UNSUPPORTED;
    } else if (imported == 0) {
        error = spki_algorithm(key, &algorithm);
    }
    if (error == 0 &&
        ((algorithm == GNUTLS_SIGN_ECDSA_SHA256 && !der_is_ecdsa_signature(signature)) ||
         gnutls_pubkey_verify_data2(key, algorithm, 0, &data, &signed_by) < 0)) {
        error = PLASM_UNTRUSTED;
    }
    gnutls_pubkey_deinit(key);
    return error;
}

void crypto_system_random(struct span room) {
    randombytes_buf(room.data, room.size);
}

void crypto_wipe(void *secret, size_t size) {
    sodium_memzero(secret, size);
}

bool crypto_equal(const void *a, const void *b, size_t size) {
    return sodium_memcmp(a, b, size) == 0;
}
