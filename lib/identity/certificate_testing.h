/* Certificates for tests: right ones, and wrong in the way that is asked for. */
#ifndef IDENTITY_CERTIFICATE_TESTING_H
#define IDENTITY_CERTIFICATE_TESTING_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "identity/certificate.h"

/* The time of day in tests: 2025-06-15. */
#define TESTING_UNIX_SECONDS INT64_C(1750000000)
#define TESTING_DAY          INT64_C(86400)

struct testing_certificate {
    gnutls_pk_algorithm_t key_type;   /* 0: ECDSA */
    unsigned bits;                    /* 0: P-256 */
    gnutls_digest_algorithm_t digest; /* 0: SHA-256 */
    bool is_pss;
    int64_t valid_from; /* 0: a day before TESTING_UNIX_SECONDS */
    int64_t valid_to;   /* 0: a day after */
    bool no_binding;
    bool bad_binding;     /* signed for another key */
    bool critical;        /* our extension */
    bool other_critical;  /* an extension nobody knows */
    bool other_extension; /* the same, not critical */
    bool key_usage;
    bool unique_id;
    bool version1;
};

static inline void testing_require(int result) {
    if (result < 0) {
        abort();
    }
}

static inline void testing_identity(uint8_t number, struct ed25519_secret *ret_secret,
                                    struct public_key *ret_key, struct peer_id *ret_id) {
    uint8_t seed[ED25519_SEED_SIZE] = {number};
    ed25519_from_seed(ret_secret, seed);
    public_key_from_ed25519(ret_secret->public_key, ret_key);
    peer_id_from_key(ret_key, ret_id);
}

/* SignedKey for an Ed25519 identity: all lengths are short. */
static inline size_t testing_binding(const struct testing_certificate *options,
                                     const struct ed25519_secret *identity, gnutls_datum_t spki,
                                     uint8_t *room, size_t room_size) {
    uint8_t text[1024];
    struct writer message = writer_of((struct span){.data = text, .size = sizeof(text)});
    writer_bytes_put(&message, BYTES_LITERAL(CERTIFICATE_BINDING_PREFIX));
    writer_bytes_put(&message, bytes_of(spki.data, spki.size));
    writer_u8(&message, 0);
    if (message.error != 0) {
        abort();
    }
    size_t size = message.size - (options->bad_binding ? 0 : 1);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(identity, bytes_of(text, size), signature);
    struct public_key key;
    public_key_from_ed25519(identity->public_key, &key);
    struct writer out = writer_of((struct span){.data = room, .size = room_size});
    writer_bytes_put(&out, BYTES_LITERAL("\x30\x68\x04\x24"));
    public_key_encode(&key, &out);
    writer_bytes_put(&out, BYTES_LITERAL("\x04\x40"));
    writer_bytes_put(&out, BYTES_ARRAY(signature));
    return out.size;
}

static inline void testing_extensions(const struct testing_certificate *options,
                                      const struct ed25519_secret *identity, gnutls_datum_t spki,
                                      gnutls_x509_crt_t crt) {
    uint8_t binding[256];
    size_t size = testing_binding(options, identity, spki, binding, sizeof(binding));
    if (!options->no_binding) {
        testing_require(gnutls_x509_crt_set_extension_by_oid(crt, "1.3.6.1.4.1.53594.1.1", binding,
                                                             size, options->critical));
    }
    if (options->other_critical || options->other_extension) {
        testing_require(gnutls_x509_crt_set_extension_by_oid(crt, "1.3.6.1.4.1.99999.1", "\x05", 1,
                                                             options->other_critical));
    }
    if (options->key_usage) {
        testing_require(gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE));
        testing_require(gnutls_x509_crt_set_basic_constraints(crt, 0, -1));
    }
    if (options->unique_id) {
        testing_require(gnutls_x509_crt_set_issuer_unique_id(crt, "id", 2));
    }
}

/* Makes the certificate and exports it with its key. */
static inline void testing_certificate(const struct testing_certificate *options,
                                       const struct ed25519_secret *identity, struct bytes *ret_der,
                                       struct bytes *ret_key_der) {
    gnutls_x509_privkey_t key;
    gnutls_privkey_t signer;
    gnutls_pubkey_t public_key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t spki;
    testing_require(gnutls_x509_privkey_init(&key));
    testing_require(gnutls_privkey_init(&signer));
    testing_require(gnutls_pubkey_init(&public_key));
    testing_require(gnutls_x509_crt_init(&crt));
    gnutls_pk_algorithm_t type = options->key_type != 0 ? options->key_type : GNUTLS_PK_ECDSA;
    unsigned bits = options->bits != 0 ? options->bits
                                       : (unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    testing_require(gnutls_x509_privkey_generate(key, type, bits, 0));
    testing_require(gnutls_privkey_import_x509(signer, key, 0));
    testing_require(gnutls_pubkey_import_privkey(public_key, signer, 0, 0));
    testing_require(gnutls_pubkey_export2(public_key, GNUTLS_X509_FMT_DER, &spki));
    int64_t from =
        options->valid_from != 0 ? options->valid_from : TESTING_UNIX_SECONDS - TESTING_DAY;
    int64_t to = options->valid_to != 0 ? options->valid_to : TESTING_UNIX_SECONDS + TESTING_DAY;
    testing_require(gnutls_x509_crt_set_version(crt, options->version1 ? 1 : 3));
    testing_require(gnutls_x509_crt_set_serial(crt, "\x01", 1));
    testing_require(gnutls_x509_crt_set_activation_time(crt, (time_t)from));
    testing_require(gnutls_x509_crt_set_expiration_time(crt, (time_t)to));
    testing_require(gnutls_x509_crt_set_key(crt, key));
    if (!options->version1) {
        testing_extensions(options, identity, spki, crt);
    }
    gnutls_digest_algorithm_t digest = options->digest != 0 ? options->digest : GNUTLS_DIG_SHA256;
    testing_require(gnutls_x509_crt_privkey_sign(
        crt, crt, signer, digest, options->is_pss ? GNUTLS_PRIVKEY_SIGN_FLAG_RSA_PSS : 0));
    gnutls_datum_t der;
    gnutls_datum_t key_der;
    testing_require(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der));
    testing_require(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL,
                                                      GNUTLS_PKCS_PLAIN, &key_der));
    *ret_der = bytes_of(der.data, der.size);
    *ret_key_der = bytes_of(key_der.data, key_der.size);
    gnutls_free(spki.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_pubkey_deinit(public_key);
    gnutls_privkey_deinit(signer);
    gnutls_x509_privkey_deinit(key);
}

static inline void testing_free(struct bytes bytes) {
    gnutls_free((void *)(uintptr_t)bytes.data);
}

/* A right certificate of an identity, as the library makes it. */
static inline void testing_own_certificate(const struct ed25519_secret *identity,
                                           struct certificate *ret_certificate) {
    struct certificate_request *request;
    testing_require(certificate_prepare(&request));
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    ed25519_sign(identity, certificate_message(request), signature);
    struct public_key key;
    public_key_from_ed25519(identity->public_key, &key);
    testing_require(certificate_finish(request, &key, BYTES_ARRAY(signature), TESTING_UNIX_SECONDS,
                                       ret_certificate));
    certificate_request_free(request);
}

/* The same from other parts, for certificates that are wrong. */
static inline void testing_pack_certificate(const struct testing_certificate *options,
                                            const struct ed25519_secret *identity,
                                            struct certificate *ret_certificate) {
    struct bytes der;
    struct bytes key_der;
    testing_certificate(options, identity, &der, &key_der);
    *ret_certificate = (struct certificate){.der_size = der.size, .key_der_size = key_der.size};
    if (der.size > sizeof(ret_certificate->der) ||
        key_der.size > sizeof(ret_certificate->key_der)) {
        abort();
    }
    memcpy(ret_certificate->der, der.data, der.size);
    memcpy(ret_certificate->key_der, key_der.data, key_der.size);
    testing_free(der);
    testing_free(key_der);
}

#endif
