/* The machine around a GnuTLS session whose transport is memory. */
#include "proto/tls/tls.h"

#include <errno.h>
#include <stdio.h>

#include "proto/tls/internal.h"
#include "util/ensure.h"

/* Handshake and alerts that wait; a peer that only asks for answers is cut off here. */
#define OUT_SIZE_MAX 32768
/* A handshake message of a peer: one certificate and its surroundings. */
#define HANDSHAKE_MESSAGE_MAX 16384
/* Key updates that GnuTLS may put before a record. */
#define SEAL_RESERVE 64

static void fail(struct tls *tls, int error, const char *text) {
    tls->state = TLS_BROKEN;
    tls->error = error;
    tls->input.size = 0;
    if (text != NULL) {
        snprintf(tls->text, sizeof(tls->text), "%s", text);
    }
}

static ssize_t push(gnutls_transport_ptr_t pointer, const void *data, size_t size) {
    struct tls *tls = pointer;
    if (tls->sealing != NULL) {
        writer_bytes_put(tls->sealing, bytes_of(data, size));
        ENSURE(tls->sealing->error == 0);
        return (ssize_t)size;
    }
    if (buffer_append(&tls->out, bytes_of(data, size)) != 0) {
        tls->push_failed = true; /* GnuTLS may try again as if nothing were lost */
        gnutls_transport_set_errno(tls->session, EIO);
        return -1;
    }
    return (ssize_t)size;
}

static ssize_t pull(gnutls_transport_ptr_t pointer, void *room, size_t size) {
    struct tls *tls = pointer;
    if (tls->input.size == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    size = size < tls->input.size ? size : tls->input.size;
    memcpy(room, tls->input.data, size);
    tls->input.data += size;
    tls->input.size -= size;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned milliseconds) {
    const struct tls *tls = pointer;
    (void)milliseconds;
    return tls->input.size > 0;
}

void tls_use_session(struct tls *tls) {
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
}

static int set_alpn(struct tls *tls) {
    gnutls_datum_t protocols[TLS_MUXERS_MAX + 1];
    for (size_t i = 0; i <= tls->muxer_count; i++) {
        const char *name = i < tls->muxer_count ? tls->muxers[i] : TLS_ALPN;
        protocols[i] = (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)name,
                                        .size = (unsigned)strlen(name)};
    }
    return gnutls_alpn_set_protocols(tls->session, protocols, (unsigned)tls->muxer_count + 1,
                                     GNUTLS_ALPN_MANDATORY);
}

static int start_session(struct tls *tls) {
    unsigned flags = GNUTLS_NO_TICKETS | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
    flags |= tls->initiator ? GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT | GNUTLS_KEY_SHARE_TOP
                            : GNUTLS_SERVER;
    if (gnutls_init(&tls->session, flags) != 0) {
        tls->session = NULL;
        return PLASM_NO_MEMORY;
    }
    tls_use_session(tls);
    gnutls_handshake_set_max_packet_length(tls->session, HANDSHAKE_MESSAGE_MAX);
    if (gnutls_priority_set(tls->session, tls->identity->priority) != 0 ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->identity->credentials) !=
            0 ||
        set_alpn(tls) != 0) {
        return PLASM_FAILED;
    }
    if (!tls->initiator) {
        gnutls_certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
    }
    return 0;
}

static int error_of(int status) {
    switch (status) {
    case GNUTLS_E_MEMORY_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return PLASM_NO_MEMORY;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return PLASM_REFUSED;
    case GNUTLS_E_DECRYPTION_FAILED:
    case GNUTLS_E_PK_SIG_VERIFY_FAILED:
        return PLASM_UNTRUSTED;
    case GNUTLS_E_NO_APPLICATION_PROTOCOL:
    case GNUTLS_E_NO_CIPHER_SUITES:
    case GNUTLS_E_NO_COMMON_KEY_SHARE:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
        return PLASM_UNSUPPORTED;
    default:
        return PLASM_MALFORMED;
    }
}

static gnutls_alert_description_t alert_of(int verify_error) {
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

/* A fatal status of GnuTLS: the other side is told why, unless it told us. */
static void fail_by(struct tls *tls, int status) {
    if (tls->verify_error != 0) {
        (void)gnutls_alert_send(tls->session, GNUTLS_AL_FATAL, alert_of(tls->verify_error));
        fail(tls, tls->verify_error, NULL);
        return;
    }
    char text[TLS_TEXT_MAX];
    if (status == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        const char *name = gnutls_alert_get_strname(gnutls_alert_get(tls->session));
        snprintf(text, sizeof(text), "the peer refused: %s", name != NULL ? name : "unknown alert");
    } else {
        (void)gnutls_alert_send_appropriate(tls->session, status);
        snprintf(text, sizeof(text), "TLS: %s", gnutls_strerror(status));
    }
    fail(tls, error_of(status), text);
}

static bool is_nothing_yet(int status) {
    return status == GNUTLS_E_AGAIN;
}

/* GnuTLS says 'again' also when it has dealt with a record and there are others behind it: what was
 * received is used up before this returns, or the connection is broken. */
static void shake(struct tls *tls) {
    int status;
    size_t before;
    do {
        before = tls->input.size;
        status = gnutls_handshake(tls->session);
    } while (status < 0 && (is_nothing_yet(status) ? tls->input.size < before && tls->input.size > 0
                                                   : gnutls_error_is_fatal(status) == 0));
    if (tls->push_failed) {
        fail(tls, PLASM_NO_MEMORY, "out of memory");
    } else if (status == GNUTLS_E_SUCCESS) {
        tls->state = TLS_AGREED;
    } else if (!is_nothing_yet(status)) {
        fail_by(tls, status);
    } else if (tls->input.size > 0) {
        fail(tls, PLASM_MALFORMED, "TLS: what the peer sent belongs nowhere");
    }
}

int tls_new(const struct tls_config *config, struct tls **ret_tls) {
    if (config->muxer_count > TLS_MUXERS_MAX) {
        return PLASM_INVALID;
    }
    struct tls *tls = memory_zero(config->memory, sizeof(*tls));
    if (tls == NULL) {
        return PLASM_NO_MEMORY;
    }
    tls->memory = config->memory;
    tls->identity = config->identity;
    tls->initiator = config->initiator;
    tls->unix_seconds = config->unix_seconds;
    tls->muxers = config->muxers;
    tls->muxer_count = config->muxer_count;
    if (config->expected != NULL) {
        tls->expected = *config->expected;
    }
    buffer_init(&tls->out, config->memory, OUT_SIZE_MAX);
    int error = start_session(tls);
    if (error == 0 && tls->initiator) {
        shake(tls);
        error = tls->state == TLS_SHAKING ? 0 : tls->error;
    }
    if (error != 0) {
        tls_free(tls);
        return error;
    }
    *ret_tls = tls;
    return 0;
}

/* Borrows of the last event end here. */
static void settle(struct tls *tls) {
    if (tls->packet != NULL) {
        gnutls_packet_deinit(tls->packet);
        tls->packet = NULL;
    }
    if (tls->peer != NULL && (tls->state == TLS_OPEN || tls->state == TLS_OVER)) {
        memory_put(tls->memory, tls->peer, sizeof(*tls->peer));
        tls->peer = NULL;
    }
}

void tls_free(struct tls *tls) {
    if (tls == NULL) {
        return;
    }
    tls->state = TLS_OVER;
    settle(tls);
    if (tls->session != NULL) {
        gnutls_deinit(tls->session);
    }
    buffer_done(&tls->out);
    memory_put(tls->memory, tls, sizeof(*tls));
}

int tls_receive(struct tls *tls, struct span input) {
    if (tls->state == TLS_BROKEN || tls->state == TLS_OVER) {
        return 0;
    }
    if (tls->input.size > 0 || tls->state == TLS_AGREED) {
        return PLASM_STATE;
    }
    settle(tls);
    tls->input = input;
    return 0;
}

/* GnuTLS lets a peer pass that offers no protocol at all. */
static void give_ready(struct tls *tls, struct tls_event *ret_event) {
    gnutls_datum_t selected;
    struct bytes name = {0};
    if (gnutls_alpn_get_selected_protocol(tls->session, &selected) == 0) {
        name = bytes_of(selected.data, selected.size);
    }
    const char *muxer = NULL;
    for (size_t i = 0; i < tls->muxer_count; i++) {
        if (bytes_equal_string(name, tls->muxers[i])) {
            muxer = tls->muxers[i];
        }
    }
    if ((muxer == NULL && !bytes_equal_string(name, TLS_ALPN)) || tls->peer == NULL) {
        (void)gnutls_alert_send(tls->session, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
        fail(tls, PLASM_UNSUPPORTED, "the peer offers no protocol of libp2p's");
        return;
    }
    *ret_event = (struct tls_event){
        .type = TLS_READY, .peer_id = tls->peer->peer_id, .key = &tls->peer->key, .muxer = muxer};
    tls->state = TLS_OPEN;
}

/* The next record's data, or the end; false when there is neither. */
static bool take_record(struct tls *tls, struct tls_event *ret_event) {
    for (;;) {
        gnutls_packet_t packet = NULL;
        size_t before = tls->input.size;
        ssize_t status = gnutls_record_recv_packet(tls->session, &packet);
        if (status > 0) {
            gnutls_datum_t data;
            gnutls_packet_get(packet, &data, NULL);
            tls->packet = packet;
            *ret_event =
                (struct tls_event){.type = TLS_DATA, .data = bytes_of(data.data, data.size)};
            return true;
        }
        if (packet != NULL) { /* a record without data */
            gnutls_packet_deinit(packet);
        } else if (status == 0) {
            tls->input.size = 0;
            tls->state = TLS_OVER;
            *ret_event = (struct tls_event){.type = TLS_END};
            return true;
        } else if (is_nothing_yet((int)status)) {
            /* GnuTLS says so after each session ticket, too, with the next record behind it. */
            if (tls->input.size == 0) {
                return false;
            }
            if (tls->input.size == before) {
                fail(tls, PLASM_MALFORMED, "TLS: what the peer sent belongs nowhere");
                return false;
            }
        } else if (tls->push_failed) {
            fail(tls, PLASM_NO_MEMORY, "out of memory");
            return false;
        } else if (gnutls_error_is_fatal((int)status) != 0) {
            fail_by(tls, (int)status);
            return false;
        }
    }
}

bool tls_next_event(struct tls *tls, struct tls_event *ret_event) {
    settle(tls);
    if (tls->state == TLS_SHAKING && tls->input.size > 0) {
        shake(tls);
    }
    if (tls->state == TLS_AGREED) {
        give_ready(tls, ret_event);
        if (tls->state == TLS_OPEN) {
            return true;
        }
    }
    if (tls->state == TLS_OPEN && take_record(tls, ret_event)) {
        return true;
    }
    if (tls->state == TLS_BROKEN) {
        *ret_event = (struct tls_event){.type = TLS_FAILED, .error = tls->error, .text = tls->text};
        tls->state = TLS_OVER;
        tls->closed = true;
        return true;
    }
    return false;
}

size_t tls_transmit(struct tls *tls, struct span room) {
    struct bytes waiting = buffer_bytes(&tls->out);
    size_t size = waiting.size < room.size ? waiting.size : room.size;
    if (size > 0) {
        memcpy(room.data, waiting.data, size);
        buffer_consume(&tls->out, size);
    }
    if (tls->out.size == 0 && tls->out.data != NULL) {
        buffer_done(&tls->out);
    }
    return size;
}

static bool can_seal(const struct tls *tls) {
    return (tls->state == TLS_OPEN || tls->state == TLS_OVER) && !tls->closed && tls->out.size == 0;
}

/* Where the next record's bytes lie: in the piece itself when there are enough of them, else
 * gathered in `room`. */
static struct bytes gather(const struct bytes *pieces, size_t count, size_t skip, size_t size,
                           uint8_t *room) {
    if (pieces->size - skip >= size) {
        return bytes_slice(*pieces, skip, size);
    }
    size_t done = 0;
    for (size_t i = 0; i < count && done < size; i++) {
        struct bytes part = bytes_slice(pieces[i], skip, size - done);
        if (part.size > 0) {
            memcpy(room + done, part.data, part.size);
        }
        done += part.size;
        skip = 0;
    }
    return bytes_of(room, done);
}

size_t tls_seal(struct tls *tls, const struct bytes *pieces, size_t count, struct span room,
                size_t *ret_taken) {
    settle(tls);
    uint8_t gathered[TLS_DATA_SIZE_MAX];
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].size;
    }
    size_t taken = 0;
    size_t skip = 0; /* of the piece that `pieces` begins with */
    struct writer writer = writer_of(room);
    tls->sealing = &writer;
    while (can_seal(tls) && taken < total &&
           room.size - writer.size > SEAL_RESERVE + TLS_OVERHEAD) {
        size_t size = room.size - writer.size - SEAL_RESERVE - TLS_OVERHEAD;
        size = size < TLS_DATA_SIZE_MAX ? size : TLS_DATA_SIZE_MAX;
        size = size < total - taken ? size : total - taken;
        struct bytes plain = gather(pieces, count, skip, size, gathered);
        ssize_t sent = gnutls_record_send(tls->session, plain.data, plain.size);
        if (sent <= 0) {
            tls->sealing = NULL;
            fail_by(tls, (int)sent);
            break;
        }
        taken += (size_t)sent;
        for (skip += (size_t)sent; count > 0 && skip >= pieces->size; count--) {
            skip -= pieces->size;
            pieces++;
        }
    }
    tls->sealing = NULL;
    *ret_taken = taken;
    return writer.size;
}

void tls_close(struct tls *tls) {
    if (!tls->closed && (tls->state == TLS_OPEN || tls->state == TLS_OVER)) {
        (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR);
    }
    tls->closed = true;
}
