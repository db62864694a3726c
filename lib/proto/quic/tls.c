/* The TLS 1.3 handshake of libp2p by GnuTLS: certificates both ways, checked here. */
#include <stdio.h>

#include "proto/quic/internal.h"
#include "util/ensure.h"

#define PRIORITY                                                                                   \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"      \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE"

static struct quic_conn *conn_of(gnutls_session_t session) {
    ngtcp2_crypto_conn_ref *reference = gnutls_session_get_ptr(session);
    return reference->user_data;
}

/* Remembers why, for the alert and for whoever reads the event. */
static int refuse(struct quic_conn *conn, int error, const char *text) {
    conn->verify_error = error;
    snprintf(conn->text, sizeof(conn->text), "%s", text);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

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

static int refuse_peer(struct quic_conn *conn) {
    char expected[PEER_ID_TEXT_MAX];
    char found[PEER_ID_TEXT_MAX];
    char text[QUIC_TEXT_MAX];
    peer_id_format(&conn->expected, expected);
    peer_id_format(&conn->identity->peer_id, found);
    snprintf(text, sizeof(text), "the peer is %s, not %s", found, expected);
    return refuse(conn, PLASM_UNTRUSTED, text);
}

static int verify(gnutls_session_t session) {
    struct quic_conn *conn = conn_of(session);
    unsigned count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    if (list == NULL || count != 1 ||
        gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509) {
        return refuse(conn, PLASM_MALFORMED, "the peer did not send exactly one certificate");
    }
    if (conn->identity == NULL) {
        conn->identity = memory_get(conn->endpoint->memory, sizeof(*conn->identity));
    }
    if (conn->identity == NULL) {
        return refuse(conn, PLASM_NO_MEMORY, certificate_text(PLASM_NO_MEMORY));
    }
    int error =
        certificate_cache_check(&conn->endpoint->certificates, bytes_of(list[0].data, list[0].size),
                                conn->endpoint->unix_seconds, conn->identity);
    if (error != 0) {
        return refuse(conn, error, certificate_text(error));
    }
    if (conn->expected.size > 0 && !peer_id_equal(&conn->expected, &conn->identity->peer_id)) {
        return refuse_peer(conn);
    }
    return 0;
}

int tls_endpoint_init(struct quic_endpoint *endpoint, const struct certificate *certificate) {
    certificate_cache_init(&endpoint->certificates, endpoint->memory);
    if (gnutls_priority_init(&endpoint->priority, PRIORITY, NULL) != 0 ||
        gnutls_certificate_allocate_credentials(&endpoint->credentials) != 0) {
        return PLASM_FAILED;
    }
    gnutls_datum_t der = {.data = (unsigned char *)(uintptr_t)certificate->der,
                          .size = (unsigned)certificate->der_size};
    gnutls_datum_t key = {.data = (unsigned char *)(uintptr_t)certificate->key_der,
                          .size = (unsigned)certificate->key_der_size};
    /* The two were made together: signing and verifying to see whether they match takes longer than
     * a handshake. */
    gnutls_certificate_set_flags(endpoint->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    if (gnutls_certificate_set_x509_key_mem2(endpoint->credentials, &der, &key, GNUTLS_X509_FMT_DER,
                                             NULL, 0) < 0) {
        return PLASM_FAILED;
    }
    gnutls_certificate_set_verify_function(endpoint->credentials, verify);
    return 0;
}

void tls_endpoint_done(struct quic_endpoint *endpoint) {
    certificate_cache_done(&endpoint->certificates);
    if (endpoint->credentials != NULL) {
        gnutls_certificate_free_credentials(endpoint->credentials);
    }
    if (endpoint->priority != NULL) {
        gnutls_priority_deinit(endpoint->priority);
    }
}

static ngtcp2_conn *get_ngtcp2(ngtcp2_crypto_conn_ref *reference) {
    const struct quic_conn *conn = reference->user_data;
    return conn->ngtcp2;
}

static int configure(struct quic_conn *conn) {
    gnutls_session_t session = conn->session;
    const char *alpn = conn->endpoint->config.alpn;
    gnutls_datum_t protocol = {.data = (unsigned char *)(uintptr_t)alpn,
                               .size = (unsigned)strlen(alpn)};
    if (gnutls_priority_set(session, conn->endpoint->priority) != 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, conn->endpoint->credentials) != 0 ||
        gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY) != 0) {
        return PLASM_FAILED;
    }
    int failed;
    if (conn->inbound) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        failed = ngtcp2_crypto_gnutls_configure_server_session(session);
    } else {
        failed = ngtcp2_crypto_gnutls_configure_client_session(session);
    }
    return failed != 0 ? PLASM_FAILED : 0;
}

int tls_conn_init(struct quic_conn *conn) {
    unsigned flags = GNUTLS_NO_TICKETS;
    /* One key share is enough: everybody has X25519, and the next would cost a key each. */
    flags |= conn->inbound ? GNUTLS_SERVER
                           : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT | GNUTLS_KEY_SHARE_TOP;
    if (gnutls_init(&conn->session, flags) != 0) {
        conn->session = NULL;
        return PLASM_NO_MEMORY;
    }
    conn->reference = (ngtcp2_crypto_conn_ref){.get_conn = get_ngtcp2, .user_data = conn};
    gnutls_session_set_ptr(conn->session, &conn->reference);
    ngtcp2_conn_set_tls_native_handle(conn->ngtcp2, conn->session);
    return configure(conn);
}

void tls_conn_done(struct quic_conn *conn) {
    if (conn->session != NULL) {
        gnutls_deinit(conn->session);
        conn->session = NULL;
        if (conn->ngtcp2 != NULL) {
            ngtcp2_conn_set_tls_native_handle(conn->ngtcp2, NULL);
        }
    }
}

bool tls_conn_has_alpn(const struct quic_conn *conn) {
    gnutls_datum_t selected;
    return gnutls_alpn_get_selected_protocol(conn->session, &selected) == 0 &&
           bytes_equal_string(bytes_of(selected.data, selected.size), conn->endpoint->config.alpn);
}

uint8_t tls_alert_of(int verify_error) {
    switch (verify_error) {
    case PLASM_EXPIRED:
        return GNUTLS_A_CERTIFICATE_EXPIRED;
    case PLASM_UNSUPPORTED:
        return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
    case PLASM_NO_MEMORY:
        return GNUTLS_A_INTERNAL_ERROR;
    default:
        return GNUTLS_A_BAD_CERTIFICATE;
    }
}

const char *tls_alert_name(uint8_t alert) {
    const char *name = gnutls_alert_get_strname((gnutls_alert_description_t)alert);
    return name != NULL ? name : "unknown";
}
