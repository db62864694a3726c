/* Making our own libp2p TLS certificate: a fresh P-256 key, bound to the identity by a signature
 * that is made elsewhere. */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "identity/certificate.h"
#include "identity/der.h"
#include "util/ensure.h"

#define EXTENSION_OID     "1.3.6.1.4.1.53594.1.1"
#define SERIAL_NUMBER_OID "2.5.4.5"
/* Clocks differ: what is made now must be valid for a peer that is behind. */
#define VALID_BEFORE_SECONDS 3600
#define VALID_FOR_SECONDS    (INT64_C(100) * 365 * 86400)

#define SERIAL_SIZE      8
#define SPKI_SIZE_MAX    128
#define SIGNED_KEY_MAX   (KEY_ENCODED_MAX + 1024 + 16)
#define SIGNATURE_MAX    1024
#define DER_LENGTH_2_MAX 65535

struct certificate_request {
    gnutls_x509_privkey_t key;
    size_t message_size;
    uint8_t message[sizeof(CERTIFICATE_BINDING_PREFIX) + SPKI_SIZE_MAX];
};

/* Appends prefix and SubjectPublicKeyInfo of the request's key. */
static int write_message(struct certificate_request *request) {
    gnutls_pubkey_t public_key;
    if (gnutls_pubkey_init(&public_key) != 0) {
        return PLASM_NO_MEMORY;
    }
    gnutls_datum_t spki = {0};
    int error = PLASM_FAILED;
    gnutls_privkey_t key;
    if (gnutls_privkey_init(&key) == 0) {
        if (gnutls_privkey_import_x509(key, request->key, 0) == 0 &&
            gnutls_pubkey_import_privkey(public_key, key, 0, 0) == 0 &&
            gnutls_pubkey_export2(public_key, GNUTLS_X509_FMT_DER, &spki) == 0) {
            struct writer writer = writer_of(
                (struct span){.data = request->message, .size = sizeof(request->message)});
            writer_bytes_put(&writer, BYTES_LITERAL(CERTIFICATE_BINDING_PREFIX));
            writer_bytes_put(&writer, bytes_of(spki.data, spki.size));
            ENSURE(writer.error == 0);
            request->message_size = writer.size;
            error = 0;
        }
        gnutls_privkey_deinit(key);
    }
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(public_key);
    return error;
}

int certificate_prepare(struct certificate_request **ret_request) {
    struct certificate_request *request = calloc(1, sizeof(*request));
    if (request == NULL || gnutls_x509_privkey_init(&request->key) != 0) {
        free(request);
        return PLASM_NO_MEMORY;
    }
    int made = gnutls_x509_privkey_generate(request->key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    int error = made == 0 ? write_message(request) : PLASM_FAILED;
    if (error != 0) {
        certificate_request_free(request);
        return error;
    }
    *ret_request = request;
    return 0;
}

struct bytes certificate_message(const struct certificate_request *request) {
    return bytes_of(request->message, request->message_size);
}

void certificate_request_free(struct certificate_request *request) {
    if (request != NULL) {
        gnutls_x509_privkey_deinit(request->key);
        free(request);
    }
}

static void put_der_head(struct writer *writer, uint8_t tag, size_t length) {
    ENSURE(length <= DER_LENGTH_2_MAX);
    writer_u8(writer, tag);
    if (length >= 0x100) {
        writer_u8(writer, 0x82);
        writer_u8(writer, (uint8_t)(length >> 8));
    } else if (length >= 0x80) {
        writer_u8(writer, 0x81);
    }
    writer_u8(writer, (uint8_t)(length & 0xff));
}

static size_t der_head_size(size_t length) {
    if (length < 0x80) {
        return 2;
    }
    return length < 0x100 ? 3 : 4;
}

/* SignedKey, the value of the extension. */
static void put_signed_key(struct writer *writer, struct bytes key, struct bytes signature) {
    size_t inside =
        der_head_size(key.size) + key.size + der_head_size(signature.size) + signature.size;
    put_der_head(writer, DER_SEQUENCE, inside);
    put_der_head(writer, DER_OCTET_STRING, key.size);
    writer_bytes_put(writer, key);
    put_der_head(writer, DER_OCTET_STRING, signature.size);
    writer_bytes_put(writer, signature);
}

/* All but the signature. GnuTLS wants every part set by a call that can fail. */
static int fill_certificate(gnutls_x509_crt_t crt, const struct certificate_request *request,
                            struct bytes signed_key, int64_t unix_seconds) {
    /* Random, as the key is, and positive. */
    struct sha256_digest digest = sha256(certificate_message(request));
    uint8_t serial[SERIAL_SIZE];
    memcpy(serial, digest.bytes, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    char name[2 * SERIAL_SIZE + 1];
    bytes_to_hex(BYTES_ARRAY(serial), name, sizeof(name));
    time_t begin = (time_t)(unix_seconds - VALID_BEFORE_SECONDS);
    time_t end = (time_t)(unix_seconds + VALID_FOR_SECONDS);
    unsigned name_size = (unsigned)sizeof(name) - 1;
    if (gnutls_x509_crt_set_version(crt, 3) != 0 ||
        gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)) != 0 ||
        gnutls_x509_crt_set_activation_time(crt, begin) != 0 ||
        gnutls_x509_crt_set_expiration_time(crt, end) != 0 ||
        gnutls_x509_crt_set_dn_by_oid(crt, SERIAL_NUMBER_OID, 0, name, name_size) != 0 ||
        gnutls_x509_crt_set_issuer_dn_by_oid(crt, SERIAL_NUMBER_OID, 0, name, name_size) != 0 ||
        gnutls_x509_crt_set_key(crt, request->key) != 0 ||
        gnutls_x509_crt_set_extension_by_oid(crt, EXTENSION_OID, signed_key.data, signed_key.size,
                                             1) != 0) {
        return PLASM_FAILED;
    }
    return 0;
}

static int sign_and_export(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                           struct certificate *certificate) {
    if (gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) != 0) {
        return PLASM_FAILED;
    }
    certificate->der_size = sizeof(certificate->der);
    certificate->key_der_size = sizeof(certificate->key_der);
    if (gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_DER, certificate->der,
                               &certificate->der_size) != 0 ||
        gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN,
                                         certificate->key_der, &certificate->key_der_size) != 0) {
        return PLASM_FAILED;
    }
    return 0;
}

int certificate_finish(struct certificate_request *request, const struct public_key *identity,
                       struct bytes signature, int64_t unix_seconds,
                       struct certificate *ret_certificate) {
    int error = public_key_verify(identity, certificate_message(request), signature);
    if (error != 0 || signature.size > SIGNATURE_MAX) {
        return PLASM_UNTRUSTED;
    }
    uint8_t key_room[KEY_ENCODED_MAX];
    struct writer key = writer_of((struct span){.data = key_room, .size = sizeof(key_room)});
    public_key_encode(identity, &key);
    uint8_t room[SIGNED_KEY_MAX];
    struct writer signed_key = writer_of((struct span){.data = room, .size = sizeof(room)});
    put_signed_key(&signed_key, writer_bytes(&key), signature);
    ENSURE(key.error == 0 && signed_key.error == 0);
    gnutls_x509_crt_t crt;
    if (gnutls_x509_crt_init(&crt) != 0) {
        return PLASM_NO_MEMORY;
    }
    struct certificate certificate;
    error = fill_certificate(crt, request, writer_bytes(&signed_key), unix_seconds);
    if (error == 0) {
        error = sign_and_export(crt, request->key, &certificate);
    }
    gnutls_x509_crt_deinit(crt);
    if (error == 0) {
        *ret_certificate = certificate;
    }
    certificate_done(&certificate);
    return error;
}

void certificate_done(struct certificate *certificate) {
    crypto_wipe(certificate, sizeof(*certificate));
}
