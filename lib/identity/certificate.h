/* The libp2p TLS certificate: self-signed, with the identity key's signature over its key in an
 * extension. Spec: libp2p/specs tls/tls.md. */
#ifndef IDENTITY_CERTIFICATE_H
#define IDENTITY_CERTIFICATE_H

#include "identity/key.h"
#include "identity/peer_id.h"

/* Largest certificate that is looked at. */
#define CERTIFICATE_SIZE_MAX 8192
/* The identity key signs this and the certificate's SubjectPublicKeyInfo; key and signature are the
 * extension 1.3.6.1.4.1.53594.1.1. */
#define CERTIFICATE_BINDING_PREFIX "libp2p-tls-handshake:"

/* What a peer's certificate says, once it holds. */
struct certificate_identity {
    struct public_key key;
    struct peer_id peer_id;
    int64_t valid_from; /* unix seconds, both inclusive */
    int64_t valid_to;
};

/* Checks one DER certificate: validity at `unix_seconds`, self-signature (raw TBS and SPKI slices),
 * no unknown critical extension, our extension present and its signature right. Returns 0,
 * PLASM_MALFORMED (no certificate, or one without our extension), PLASM_EXPIRED, PLASM_UNSUPPORTED
 * (algorithm or critical extension), PLASM_UNTRUSTED or PLASM_NO_MEMORY. */
MUST_CHECK int certificate_check(struct bytes der, int64_t unix_seconds,
                                 struct certificate_identity *ret_identity);

/* A fresh P-256 TLS key and its certificate for GnuTLS. The identity's signature is made elsewhere:
 *   certificate_prepare(&request)           makes the TLS key and the message to sign
 *   (the signer signs request.message with the identity key)
 *   certificate_finish(&request, ...)       builds the certificate
 * Both outputs are DER: the certificate, and the TLS private key (PKCS#8 or GnuTLS x509 DER).
 */
struct certificate_request; /* owns the TLS key until it is finished or freed */
MUST_CHECK int certificate_prepare(struct certificate_request **ret_request);
/* What the identity key must sign: prefix + SubjectPublicKeyInfo. Borrowed from the request. */
struct bytes certificate_message(const struct certificate_request *request);

struct certificate {
    uint8_t der[1024];
    size_t der_size;
    uint8_t key_der[512];
    size_t key_der_size;
};

/* Valid from an hour before `unix_seconds` for a hundred years. PLASM_UNTRUSTED when the signature
 * is not the identity's; PLASM_FAILED from the TLS library. */
MUST_CHECK int certificate_finish(struct certificate_request *request,
                                  const struct public_key *identity, struct bytes signature,
                                  int64_t unix_seconds, struct certificate *ret_certificate);
void certificate_request_free(struct certificate_request *request);
/* Wipes the TLS key. */
void certificate_done(struct certificate *certificate);

#endif
