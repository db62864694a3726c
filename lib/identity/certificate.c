/* Checking a peer's libp2p TLS certificate. */
#include "identity/certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "identity/der.h"
#include "util/ensure.h"

/* A certificate carries a handful of extensions. */
#define EXTENSIONS_MAX 32
#define RSA_BITS_MIN   2048

static const uint8_t oid_libp2p[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
static const uint8_t oid_key_usage[] = {0x55, 0x1d, 0x0f};
static const uint8_t oid_basic_constraints[] = {0x55, 0x1d, 0x13};

/* AlgorithmIdentifier of RSASSA-PSS with a hash of SHA-2's number `last`, MGF1 over the same and a
 * salt of its size (RFC 4055, section 3.1). The hash's own parameters are NULL or left out. */
#define PSS_NULL(last, salt)                                                                       \
    {                                                                                              \
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34,  \
            0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,    \
            (last), 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,  \
            0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,    \
            0x04, 0x02, (last), 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, (salt)                         \
    }
#define PSS_BARE(last, salt)                                                                       \
    {                                                                                              \
        0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x30,  \
            0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,    \
            (last), 0xa1, 0x1a, 0x30, 0x18, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,  \
            0x01, 0x08, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,    \
            (last), 0xa2, 0x03, 0x02, 0x01, (salt)                                                 \
    }

static const uint8_t pss_sha256[] = PSS_NULL(0x01, 32);
static const uint8_t pss_sha256_bare[] = PSS_BARE(0x01, 32);
static const uint8_t pss_sha384[] = PSS_NULL(0x02, 48);
static const uint8_t pss_sha384_bare[] = PSS_BARE(0x02, 48);
static const uint8_t pss_sha512[] = PSS_NULL(0x03, 64);
static const uint8_t pss_sha512_bare[] = PSS_BARE(0x03, 64);
static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ecdsa_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t ecdsa_sha512[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x04};
static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
static const uint8_t rsa_sha256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
static const uint8_t rsa_sha384[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00};
static const uint8_t rsa_sha512[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00};

/* What TLS 1.3 allows in certificates, by the whole AlgorithmIdentifier: parameters leave no
 * choice. */
static const struct {
    struct bytes identifier;
    gnutls_sign_algorithm_t sign;
} algorithms[] = {
    {{ecdsa_sha256, sizeof(ecdsa_sha256)}, GNUTLS_SIGN_ECDSA_SHA256},
    {{ecdsa_sha384, sizeof(ecdsa_sha384)}, GNUTLS_SIGN_ECDSA_SHA384},
    {{ecdsa_sha512, sizeof(ecdsa_sha512)}, GNUTLS_SIGN_ECDSA_SHA512},
    {{ed25519, sizeof(ed25519)}, GNUTLS_SIGN_EDDSA_ED25519},
    {{rsa_sha256, sizeof(rsa_sha256)}, GNUTLS_SIGN_RSA_SHA256},
    {{rsa_sha384, sizeof(rsa_sha384)}, GNUTLS_SIGN_RSA_SHA384},
    {{rsa_sha512, sizeof(rsa_sha512)}, GNUTLS_SIGN_RSA_SHA512},
    {{pss_sha256, sizeof(pss_sha256)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256},
    {{pss_sha256_bare, sizeof(pss_sha256_bare)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256},
    {{pss_sha384, sizeof(pss_sha384)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384},
    {{pss_sha384_bare, sizeof(pss_sha384_bare)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384},
    {{pss_sha512, sizeof(pss_sha512)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512},
    {{pss_sha512_bare, sizeof(pss_sha512_bare)}, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512},
};

/* The parts of a certificate that matter here; all borrowed. */
struct parsed {
    struct bytes tbs; /* to be signed: the whole element */
    struct bytes algorithm;
    struct bytes signature;
    struct bytes spki; /* SubjectPublicKeyInfo: the whole element */
    int64_t not_before;
    int64_t not_after;
    struct bytes binding; /* the content of our extension */
    bool has_binding;
    bool has_unknown_critical;
};

static gnutls_datum_t datum_of(struct bytes bytes) {
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)bytes.data,
                            .size = (unsigned)bytes.size};
}

/* The bytes of a BIT STRING without unused bits. */
static struct bytes bit_string(struct cursor *in) {
    struct bytes content = der_expect(in, DER_BIT_STRING).content;
    if (in->error == 0 && (content.size < 2 || content.data[0] != 0)) {
        cursor_fail(in, PLASM_MALFORMED);
    }
    return bytes_slice(content, 1, content.size);
}

/* Extension ::= SEQUENCE { id OID, critical BOOLEAN DEFAULT FALSE, value OCTET STRING } */
static void parse_extension(struct cursor *list, struct parsed *parsed) {
    struct cursor extension = der_enter(list, DER_SEQUENCE);
    struct bytes oid = der_expect(&extension, DER_OID).content;
    bool critical = false;
    if (der_next_is(&extension, DER_BOOLEAN)) {
        struct bytes flag = der_expect(&extension, DER_BOOLEAN).content;
        critical = flag.size == 1 && flag.data[0] == 0xff;
        if (!critical) { /* DER leaves the default out and writes TRUE as 0xff */
            cursor_fail(&extension, PLASM_MALFORMED);
        }
    }
    struct bytes value = der_expect(&extension, DER_OCTET_STRING).content;
    der_end(&extension);
    if (extension.error != 0) {
        cursor_fail(list, extension.error);
        return;
    }
    if (bytes_equal(oid, BYTES_ARRAY(oid_libp2p))) {
        if (parsed->has_binding) {
            cursor_fail(list, PLASM_MALFORMED);
        }
        parsed->has_binding = true;
        parsed->binding = value;
    } else if (!bytes_equal(oid, BYTES_ARRAY(oid_key_usage)) &&
               !bytes_equal(oid, BYTES_ARRAY(oid_basic_constraints))) {
        /* The two are understood: the TLS library holds a key to its usage, and a certificate that
         * stands alone has no chain to constrain. */
        parsed->has_unknown_critical = parsed->has_unknown_critical || critical;
    }
}

/* TBSCertificate (RFC 5280, section 4.1); unique identifiers are refused, as tls.md allows. */
static int parse_tbs(struct bytes content, struct parsed *parsed) {
    static const uint8_t version3[] = {2};
    struct cursor tbs = cursor_of(content);
    struct cursor version = der_enter(&tbs, DER_CONTEXT_0);
    struct bytes number = der_expect(&version, DER_INTEGER).content;
    der_end(&version);
    (void)der_expect(&tbs, DER_INTEGER); /* serial number */
    struct bytes algorithm = der_expect(&tbs, DER_SEQUENCE).whole;
    (void)der_expect(&tbs, DER_SEQUENCE); /* issuer */
    struct cursor validity = der_enter(&tbs, DER_SEQUENCE);
    parsed->not_before = der_time(&validity);
    parsed->not_after = der_time(&validity);
    der_end(&validity);
    (void)der_expect(&tbs, DER_SEQUENCE); /* subject */
    parsed->spki = der_expect(&tbs, DER_SEQUENCE).whole;
    if (version.error != 0 || validity.error != 0 || tbs.error != 0 ||
        !bytes_equal(number, BYTES_ARRAY(version3)) || !bytes_equal(algorithm, parsed->algorithm)) {
        return PLASM_MALFORMED;
    }
    if (tbs.left.size == 0) {
        return 0; /* no extensions: ours is missing */
    }
    struct cursor explicitly = der_enter(&tbs, DER_CONTEXT_3);
    struct cursor list = der_enter(&explicitly, DER_SEQUENCE);
    for (size_t i = 0; list.error == 0 && list.left.size > 0; i++) {
        if (i == EXTENSIONS_MAX) {
            return PLASM_MALFORMED;
        }
        parse_extension(&list, parsed);
    }
    der_end(&explicitly);
    der_end(&tbs);
    return list.error == 0 && explicitly.error == 0 && tbs.error == 0 ? 0 : PLASM_MALFORMED;
}

static int parse_certificate(struct bytes der, struct parsed *parsed) {
    struct cursor in = cursor_of(der);
    struct cursor certificate = der_enter(&in, DER_SEQUENCE);
    der_end(&in);
    struct der tbs = der_expect(&certificate, DER_SEQUENCE);
    parsed->tbs = tbs.whole;
    parsed->algorithm = der_expect(&certificate, DER_SEQUENCE).whole;
    parsed->signature = bit_string(&certificate);
    der_end(&certificate);
    if (in.error != 0 || certificate.error != 0) {
        return PLASM_MALFORMED;
    }
    return parse_tbs(tbs.content, parsed);
}

static int import_key(struct bytes spki, gnutls_pubkey_t *ret_key) {
    gnutls_datum_t der = datum_of(spki);
    if (gnutls_pubkey_init(ret_key) != 0) {
        return PLASM_NO_MEMORY;
    }
    int imported = gnutls_pubkey_import(*ret_key, &der, GNUTLS_X509_FMT_DER);
    unsigned bits = 0;
    int type = imported == 0 ? gnutls_pubkey_get_pk_algorithm(*ret_key, &bits) : 0;
    if (imported == 0 && (type != GNUTLS_PK_RSA || bits >= RSA_BITS_MIN)) {
        return 0;
    }
    gnutls_pubkey_deinit(*ret_key);
    switch (imported) {
    case GNUTLS_E_MEMORY_ERROR:
        return PLASM_NO_MEMORY;
    case GNUTLS_E_UNKNOWN_PK_ALGORITHM:
    case GNUTLS_E_UNIMPLEMENTED_FEATURE:
    case GNUTLS_E_ECC_UNSUPPORTED_CURVE:
    case 0: /* too few bits */
        return PLASM_UNSUPPORTED;
    default:
        return PLASM_MALFORMED;
    }
}

static int check_self_signature(const struct parsed *parsed) {
    gnutls_sign_algorithm_t sign = GNUTLS_SIGN_UNKNOWN;
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (bytes_equal(parsed->algorithm, algorithms[i].identifier)) {
            sign = algorithms[i].sign;
        }
    }
    if (sign == GNUTLS_SIGN_UNKNOWN) {
        return PLASM_UNSUPPORTED;
    }
    gnutls_pubkey_t key;
    int error = import_key(parsed->spki, &key);
    if (error != 0) {
        return error;
    }
    gnutls_datum_t message = datum_of(parsed->tbs);
    gnutls_datum_t signature = datum_of(parsed->signature);
    if (gnutls_pubkey_verify_data2(key, sign, 0, &message, &signature) < 0) {
        error = PLASM_UNTRUSTED;
    }
    gnutls_pubkey_deinit(key);
    return error;
}

/* SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING } */
static int check_binding(const struct parsed *parsed, struct public_key *ret_key) {
    struct cursor in = cursor_of(parsed->binding);
    struct cursor signed_key = der_enter(&in, DER_SEQUENCE);
    der_end(&in);
    struct bytes protobuf = der_expect(&signed_key, DER_OCTET_STRING).content;
    struct bytes signature = der_expect(&signed_key, DER_OCTET_STRING).content;
    der_end(&signed_key);
    if (in.error != 0 || signed_key.error != 0) {
        return PLASM_MALFORMED;
    }
    int error = public_key_decode(protobuf, ret_key);
    if (error != 0) {
        return error == PLASM_UNSUPPORTED ? error : PLASM_MALFORMED;
    }
    uint8_t room[sizeof(CERTIFICATE_BINDING_PREFIX) + CERTIFICATE_SIZE_MAX];
    struct writer message = writer_of((struct span){.data = room, .size = sizeof(room)});
    writer_bytes_put(&message, BYTES_LITERAL(CERTIFICATE_BINDING_PREFIX));
    writer_bytes_put(&message, parsed->spki);
    ENSURE(message.error == 0);
    return public_key_verify(ret_key, writer_bytes(&message), signature);
}

int certificate_check(struct bytes der, int64_t unix_seconds,
                      struct certificate_identity *ret_identity) {
    if (der.size > CERTIFICATE_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    struct parsed parsed = {0};
    int error = parse_certificate(der, &parsed);
    if (error != 0) {
        return error;
    }
    if (parsed.has_unknown_critical) {
        return PLASM_UNSUPPORTED;
    }
    if (!parsed.has_binding) {
        return PLASM_MALFORMED;
    }
    if (unix_seconds < parsed.not_before || unix_seconds > parsed.not_after) {
        return PLASM_EXPIRED;
    }
    struct certificate_identity identity = {.valid_from = parsed.not_before,
                                            .valid_to = parsed.not_after};
    error = check_self_signature(&parsed);
    if (error == 0) {
        error = check_binding(&parsed, &identity.key);
    }
    if (error != 0) {
        return error;
    }
    peer_id_from_key(&identity.key, &identity.peer_id);
    *ret_identity = identity;
    return 0;
}
