/* How connections end, and what is left of them for a while. */
#include <stdio.h>

#include "proto/quic/internal.h"
#include "util/ensure.h"

/* How long the rest of a connection answers, in probe time-outs (RFC 9000, section 10.2). */
#define LINGER_PTOS 3

#define ALERT_HANDSHAKE_FAILURE    40
#define ALERT_BAD_CERTIFICATE      42
#define ALERT_CERTIFICATE_UNKNOWN  46
#define ALERT_UNKNOWN_CA           48
#define ALERT_ACCESS_DENIED        49
#define ALERT_PROTOCOL_VERSION     70
#define ALERT_INSUFFICIENT         71
#define ALERT_INTERNAL             80
#define ALERT_CERTIFICATE_REQUIRED 116
#define ALERT_NO_ALPN              120

struct close_info {
    int error;
    uint64_t code;
    bool is_application;
    bool by_peer;
    const char *text; /* NULL: what stands in conn->text, or a default */
};

/* Text for people never carries what would move their terminal. */
static void sanitize(char *text) {
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f) {
            *at = '?';
        }
    }
}

/* Ends it for the caller; what answers late packets stays. */
static void finish(struct quic_conn *conn, const struct close_info *info, nanos linger) {
    struct quic_endpoint *endpoint = conn->endpoint;
    conn->close_error = info->error;
    conn->close_code = info->code;
    conn->close_is_application = info->is_application;
    conn->close_by_peer = info->by_peer;
    if (info->text != NULL) {
        snprintf(conn->text, sizeof(conn->text), "%s", info->text);
    } else if (conn->text[0] == '\0') {
        snprintf(conn->text, sizeof(conn->text), "%s",
                 info->error != 0 ? plasm_error_message(info->error) : "closed");
    }
    sanitize(conn->text);
    char remote[NETADDR_TEXT_MAX];
    netaddr_format(&conn->remote, remote);
    log_event(endpoint->log, LOG_LEVEL_DEBUG, "quic", "%s %s ends: %s (%s, code %llu)",
              conn->inbound ? "connection from" : "connection to", remote, conn->text,
              plasm_error_name(info->error), (unsigned long long)info->code);
    if (conn->inbound && conn->state == CONN_HANDSHAKE) {
        endpoint->stats.handshakes_failed++;
    } else if (conn->inbound) {
        endpoint->stats.connections_inbound--;
    }
    conn_free_protocol(conn);
    conn->state = CONN_CLOSED;
    list_remove(&endpoint->conns, &conn->node);
    conn_set_timer(conn, NANOS_NEVER);
    conn->linger_until = nanos_add(endpoint->now, linger);
    if (conn->reported) {
        list_append(&endpoint->closed, &conn->node);
    } else {
        events_forget(endpoint, conn);
        close_linger(conn);
    }
}

static nanos linger_of(struct quic_conn *conn) {
    return LINGER_PTOS * ngtcp2_conn_get_pto(conn->ngtcp2);
}

/* Writes the CONNECTION_CLOSE and keeps it, to be sent now and again. */
static void write_goodbye(struct quic_conn *conn, const compat_close *error) {
    struct quic_endpoint *endpoint = conn->endpoint;
    uint8_t room[QUIC_PACKET_SIZE_MAX];
    ngtcp2_ssize size = ngtcp2_conn_write_connection_close(conn->ngtcp2, NULL, NULL, room,
                                                           sizeof(room), error, endpoint->now);
    if (size <= 0) {
        return;
    }
    conn->goodbye = memory_get(endpoint->memory, (size_t)size);
    if (conn->goodbye == NULL) {
        return;
    }
    memcpy(conn->goodbye, room, (size_t)size);
    conn->goodbye_size = (size_t)size;
    conn->goodbye_due = true;
    conn_ready(conn);
}

void close_by_us(struct quic_conn *conn, int error, uint64_t code, bool is_application,
                 const char *text) {
    if (conn->ngtcp2 == NULL) {
        return;
    }
    if (text != NULL) {
        snprintf(conn->text, sizeof(conn->text), "%s", text);
    }
    struct bytes reason = bytes_of_string(conn->text);
    compat_close close;
    if (is_application) {
        compat_close_application(&close, code, reason);
    } else {
        compat_close_transport(&close, code, reason);
    }
    write_goodbye(conn, &close);
    struct close_info info = {.error = error, .code = code, .is_application = is_application};
    finish(conn, &info, linger_of(conn));
}

void close_silently(struct quic_conn *conn, int error, const char *text) {
    if (conn->ngtcp2 != NULL) {
        struct close_info info = {.error = error, .text = text};
        finish(conn, &info, 0);
    }
}

void close_by_reset(struct quic_conn *conn) {
    if (conn->ngtcp2 != NULL) {
        struct close_info info = {.error = PLASM_CLOSED,
                                  .by_peer = true,
                                  .text = "the peer has forgotten the connection (restarted?)"};
        finish(conn, &info, linger_of(conn));
    }
}

static int error_of_alert(uint64_t alert) {
    switch (alert) {
    case ALERT_NO_ALPN:
    case ALERT_HANDSHAKE_FAILURE:
    case ALERT_PROTOCOL_VERSION:
    case ALERT_INSUFFICIENT:
        return PLASM_UNSUPPORTED;
    case ALERT_UNKNOWN_CA:
    case ALERT_ACCESS_DENIED:
    case ALERT_CERTIFICATE_REQUIRED:
    case ALERT_INTERNAL: /* go's for most of its refusals */
        return PLASM_REFUSED;
    default:
        return alert >= ALERT_BAD_CERTIFICATE && alert <= ALERT_CERTIFICATE_UNKNOWN ? PLASM_REFUSED
                                                                                    : PLASM_FAILED;
    }
}

static int error_of_transport(uint64_t code) {
    if (code >= QUIC_CODE_CRYPTO && code <= QUIC_CODE_CRYPTO + 0xff) {
        return error_of_alert(code - QUIC_CODE_CRYPTO);
    }
    if (code == QUIC_CODE_NONE) {
        return 0;
    }
    return code == QUIC_CODE_REFUSED ? PLASM_REFUSED : PLASM_FAILED;
}

/* What the peer said, in words. */
static void describe_peer_close(struct quic_conn *conn, const compat_close *close,
                                bool is_application) {
    uint64_t code = close->error_code;
    int reason_size = close->reasonlen < 100 ? (int)close->reasonlen : 100;
    const char *reason = reason_size > 0 ? (const char *)close->reason : "";
    if (is_application) {
        snprintf(conn->text, sizeof(conn->text),
                 "the peer closed the connection with code %llu%s%.*s", (unsigned long long)code,
                 reason_size > 0 ? ": " : "", reason_size, reason);
    } else if (code >= QUIC_CODE_CRYPTO && code <= QUIC_CODE_CRYPTO + 0xff) {
        uint8_t alert = (uint8_t)(code - QUIC_CODE_CRYPTO);
        snprintf(conn->text, sizeof(conn->text),
                 "the peer refused the handshake: %s (alert %u)%s%.*s", tls_alert_name(alert),
                 (unsigned)alert, reason_size > 0 ? ": " : "", reason_size, reason);
    } else if (code == QUIC_CODE_REFUSED) {
        snprintf(conn->text, sizeof(conn->text), "the peer takes no more connections%s%.*s",
                 reason_size > 0 ? ": " : "", reason_size, reason);
    } else {
        snprintf(conn->text, sizeof(conn->text),
                 "the peer ended the connection with error %llu%s%.*s", (unsigned long long)code,
                 reason_size > 0 ? ": " : "", reason_size, reason);
    }
}

static void close_by_peer(struct quic_conn *conn) {
    compat_close close;
    compat_close_received(conn->ngtcp2, &close);
    struct close_info info = {.code = close.error_code,
                              .is_application = close.type == COMPAT_CLOSE_APPLICATION,
                              .by_peer = true};
    if (info.is_application) {
        info.error = info.code == 0 ? 0 : PLASM_CLOSED;
    } else {
        info.error = error_of_transport(info.code);
    }
    describe_peer_close(conn, &close, info.is_application);
    finish(conn, &info, linger_of(conn));
}

/* The handshake failed on our side. */
static void close_by_tls(struct quic_conn *conn) {
    uint8_t alert = ngtcp2_conn_get_tls_alert(conn->ngtcp2);
    int error;
    if (conn->verify_error != 0) {
        error = conn->verify_error;
        alert = tls_alert_of(error);
    } else if (conn->over_budget) {
        error = PLASM_LIMIT;
    } else {
        error = error_of_alert(alert);
        if (error == PLASM_REFUSED && alert == ALERT_CERTIFICATE_REQUIRED) {
            error = PLASM_UNTRUSTED;
        } else if (error == PLASM_REFUSED || error == PLASM_FAILED) {
            error = PLASM_MALFORMED;
        }
        snprintf(conn->text, sizeof(conn->text), "the handshake failed: %s", tls_alert_name(alert));
    }
    close_by_us(conn, error, QUIC_CODE_CRYPTO + (uint64_t)alert, false, NULL);
}

/* A callback of ours could not go on. */
static void close_by_callback(struct quic_conn *conn) {
    int error = conn->broken != 0 ? conn->broken : PLASM_FAILED;
    if (conn->no_alpn) {
        close_by_us(conn, PLASM_UNSUPPORTED, QUIC_CODE_CRYPTO + ALERT_NO_ALPN, false,
                    "the peer does not speak our protocol (ALPN)");
        return;
    }
    close_by_us(conn, error, QUIC_CODE_INTERNAL, false, plasm_error_message(error));
}

void close_by_library(struct quic_conn *conn, int code) {
    if (conn->ngtcp2 == NULL) {
        return;
    }
    bool handshake = conn->state == CONN_HANDSHAKE;
    int error;
    switch (code) {
    case NGTCP2_ERR_DRAINING:
        close_by_peer(conn);
        break;
    case NGTCP2_ERR_CRYPTO:
        close_by_tls(conn);
        break;
    case NGTCP2_ERR_CALLBACK_FAILURE:
        close_by_callback(conn);
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_IDLE_CLOSE:
        close_silently(conn, PLASM_TIMEOUT,
                       handshake && !conn->heard ? "no answer"
                       : handshake               ? "the handshake was not finished in time"
                                                 : "nothing was heard for the idle time-out");
        break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        close_silently(conn, PLASM_UNSUPPORTED, "the peer does not speak QUIC version 1");
        break;
    case NGTCP2_ERR_NOMEM:
        error = conn->over_budget ? PLASM_LIMIT : PLASM_NO_MEMORY;
        close_by_us(conn, error, QUIC_CODE_INTERNAL, false, plasm_error_message(error));
        break;
    default:
        close_by_us(conn, PLASM_MALFORMED, ngtcp2_err_infer_quic_transport_error_code(code), false,
                    ngtcp2_strerror(code));
        break;
    }
}

void close_receive(struct quic_conn *conn) {
    /* Ever more rarely: 1st, 2nd, 4th, 8th … packet. */
    conn->goodbye_heard++;
    if (conn->goodbye != NULL && (conn->goodbye_heard & (conn->goodbye_heard - 1)) == 0) {
        conn->goodbye_due = true;
        conn_ready(conn);
    }
}

void close_linger(struct quic_conn *conn) {
    struct quic_endpoint *endpoint = conn->endpoint;
    if (endpoint->lingering.size >= QUIC_LINGERING_MAX) {
        struct quic_conn *oldest =
            LIST_ENTRY(list_first(&endpoint->lingering), struct quic_conn, node);
        list_remove(&endpoint->lingering, &oldest->node);
        conn_free(oldest);
    }
    conn_free_streams(conn);
    conn->state = CONN_LINGERING;
    list_append(&endpoint->lingering, &conn->node);
    conn_set_timer(conn, conn->linger_until);
}

void quic_conn_close(struct quic_conn *conn, uint64_t code, const char *reason, nanos now) {
    endpoint_set_time(conn->endpoint, now);
    char text[QUIC_REASON_MAX];
    snprintf(text, sizeof(text), "%s", reason != NULL ? reason : "");
    close_by_us(conn, code == 0 ? 0 : PLASM_CLOSED, code, true, text);
}
