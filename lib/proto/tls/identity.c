/* Our certificate for GnuTLS, and the judgement of a peer's. */
#include <stdio.h>

#include "crypto/sign.h"
#include "proto/tls/internal.h"

/* AES where the processor has it is several times as fast as ChaCha20, else it is slower. */
#define CIPHERS_AES    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
#define CIPHERS_CHACHA "+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM:"
#define PRIORITY(ciphers)                                                                          \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:" ciphers                                           \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE"

static const char *certificate_text(int error) {
    switch (error) {
    case PLASM_EXPIRED:
        return "the peer's certificate is expired or not valid yet";
    case PLASM_UNSUPPORTED:
        return "the peer's certificate uses an algorithm or extension that is not supported";
    case PLASM_UNTRUSTED:
        return "a signature in the peer's certificate is wrong";
    case PLASM_NO_MEMORY:
        return "out of memory";
    default:
        return "the peer's certificate is malformed or not libp2p's";
    }
}

static int refuse(struct tls *tls, int error, const char *text) {
    tls->verify_error = error;
    snprintf(tls->text, sizeof(tls->text), "%s", text);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int refuse_peer(struct tls *tls) {
    char expected[PEER_ID_TEXT_MAX];
    char found[PEER_ID_TEXT_MAX];
    char text[TLS_TEXT_MAX];
    peer_id_format(&tls->expected, expected);
    peer_id_format(&tls->peer->peer_id, found);
    snprintf(text, sizeof(text), "the peer is %s, not %s", found, expected);
    return refuse(tls, PLASM_UNTRUSTED, text);
}

int tls_verify(gnutls_session_t session) {
    struct tls *tls = gnutls_session_get_ptr(session);
    unsigned count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    if (list == NULL || count != 1 ||
        gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509) {
        return refuse(tls, PLASM_MALFORMED, "the peer did not send exactly one certificate");
    }
    if (tls->peer == NULL) {
        tls->peer = memory_get(tls->memory, sizeof(*tls->peer));
    }
    if (tls->peer == NULL) {
        return refuse(tls, PLASM_NO_MEMORY, certificate_text(PLASM_NO_MEMORY));
    }
    int error =
        certificate_cache_check(&tls->identity->certificates, bytes_of(list[0].data, list[0].size),
                                tls->unix_seconds, tls->peer);
    if (error != 0) {
        return refuse(tls, error, certificate_text(error));
    }
    if (tls->expected.size > 0 && !peer_id_equal(&tls->expected, &tls->peer->peer_id)) {
        return refuse_peer(tls);
    }
    return 0;
}

int tls_identity_new(const struct certificate *certificate, struct memory *memory,
                     struct tls_identity **ret_identity) {
    struct tls_identity *identity = memory_zero(memory, sizeof(*identity));
    if (identity == NULL) {
        return PLASM_NO_MEMORY;
    }
    identity->memory = memory;
    certificate_cache_init(&identity->certificates, memory);
    gnutls_datum_t der = {.data = (unsigned char *)(uintptr_t)certificate->der,
                          .size = (unsigned)certificate->der_size};
    gnutls_datum_t key = {.data = (unsigned char *)(uintptr_t)certificate->key_der,
                          .size = (unsigned)certificate->key_der_size};
    const char *priority = crypto_has_aes() ? PRIORITY(CIPHERS_AES) : PRIORITY(CIPHERS_CHACHA);
    bool made = gnutls_priority_init(&identity->priority, priority, NULL) == 0 &&
                gnutls_certificate_allocate_credentials(&identity->credentials) == 0;
    if (made) {
        /* They were made together: a signature and its verification would only cost time. */
        gnutls_certificate_set_flags(identity->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
        made = gnutls_certificate_set_x509_key_mem2(identity->credentials, &der, &key,
                                                    GNUTLS_X509_FMT_DER, NULL, 0) >= 0;
    }
    if (!made) {
        tls_identity_free(identity);
        return PLASM_FAILED;
    }
    gnutls_certificate_set_verify_function(identity->credentials, tls_verify);
    *ret_identity = identity;
    return 0;
}

void tls_identity_free(struct tls_identity *identity) {
    if (identity == NULL) {
        return;
    }
    certificate_cache_done(&identity->certificates);
    if (identity->credentials != NULL) {
        gnutls_certificate_free_credentials(identity->credentials);
    }
    if (identity->priority != NULL) {
        gnutls_priority_deinit(identity->priority);
    }
    memory_put(identity->memory, identity, sizeof(*identity));
}
