/* What ngtcp2 tells while it reads and writes packets. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

/* ngtcp2's decryption callback knows of no connection; this is the one whose packet is read. */
static _Thread_local struct quic_endpoint *reading;

/* Has ngtcp2 give up, for a reason that it need not know. */
static int fail(struct quic_conn *conn, int error) {
    conn_break(conn, error);
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *context, const uint8_t *ciphertext, size_t size,
                      const uint8_t *nonce, size_t nonce_size, const uint8_t *header,
                      size_t header_size) {
    int result = ngtcp2_crypto_decrypt_cb(dest, aead, context, ciphertext, size, nonce, nonce_size,
                                          header, header_size);
    bool is_short = header_size > 0 && (header[0] & 0x80) == 0;
    if (result == 0 && is_short && reading != NULL && size > aead->max_overhead) {
        reading->stop_count += frames_find_stops(bytes_of(dest, size - aead->max_overhead),
                                                 reading->stops + reading->stop_count,
                                                 FRAMES_STOPS_MAX - reading->stop_count);
    }
    return result;
}

static void on_random(uint8_t *dest, size_t size, const ngtcp2_rand_ctx *context) {
    random_fill(context->native_handle, (struct span){.data = dest, .size = size});
}

static int on_path_challenge(ngtcp2_conn *ngtcp2, uint8_t *data, void *user_data) {
    (void)ngtcp2;
    struct quic_conn *conn = user_data;
    random_fill(&conn->endpoint->random,
                (struct span){.data = data, .size = NGTCP2_PATH_CHALLENGE_DATALEN});
    return 0;
}

static int path_validated(struct quic_conn *conn) {
    conn->path_dirty = true;
    conn->next_local = (struct netaddr){0};
    return 0;
}

COMPAT_PATH_VALIDATION(on_path_validated, path_validated)

static int on_new_cid(ngtcp2_conn *ngtcp2, ngtcp2_cid *cid, uint8_t *token, size_t size,
                      void *user_data) {
    (void)ngtcp2;
    struct quic_conn *conn = user_data;
    struct quic_endpoint *endpoint = conn->endpoint;
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
    ENSURE(size <= sizeof(bytes));
    random_fill(&endpoint->random, (struct span){.data = bytes, .size = size});
    ngtcp2_cid_init(cid, bytes, size);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, endpoint->config.reset_secret,
                                                     sizeof(endpoint->config.reset_secret),
                                                     cid) != 0) {
        return fail(conn, PLASM_FAILED);
    }
    return conn_add_cid(conn, cid) ? 0 : fail(conn, PLASM_NO_MEMORY);
}

static int on_remove_cid(ngtcp2_conn *ngtcp2, const ngtcp2_cid *cid, void *user_data) {
    (void)ngtcp2;
    conn_remove_cid(user_data, cid);
    return 0;
}

/* The peer's ids in use and the tokens that would reset them. */
static int on_cid_status(ngtcp2_conn *ngtcp2, compat_cid_status type, uint64_t seq,
                         const ngtcp2_cid *cid, const uint8_t *token, void *user_data) {
    (void)ngtcp2;
    (void)cid;
    struct quic_conn *conn = user_data;
    struct map *map = &conn->endpoint->resets;
    struct reset_entry *free_entry = NULL;
    for (size_t i = 0; i < QUIC_RESETS_MAX; i++) {
        struct reset_entry *entry = &conn->resets[i];
        if (entry->conn == NULL) {
            free_entry = entry;
        } else if (entry->seq == seq) {
            map_remove(map, &entry->node);
            entry->conn = NULL;
            free_entry = entry;
        }
    }
    if (type != NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE || token == NULL || free_entry == NULL) {
        return 0;
    }
    free_entry->seq = seq;
    memcpy(free_entry->token, token, sizeof(free_entry->token));
    /* A token that somebody else has too is not worth a connection: it just resets nothing. */
    if (map_put(map, &free_entry->node, BYTES_ARRAY(free_entry->token)) == 0) {
        free_entry->conn = conn;
    }
    return 0;
}

/* After the handshake only session tickets would come, which nobody asked for. */
static int on_crypto_data(ngtcp2_conn *ngtcp2, compat_level level, uint64_t offset,
                          const uint8_t *data, size_t size, void *user_data) {
    const struct quic_conn *conn = user_data;
    if (conn->session == NULL) {
        return 0;
    }
    return ngtcp2_crypto_recv_crypto_data_cb(ngtcp2, level, offset, data, size, user_data);
}

/* Nothing is padded to its full size any more, as the packets of the handshake are. */
static int on_handshake_confirmed(ngtcp2_conn *ngtcp2, void *user_data) {
    (void)ngtcp2;
    struct quic_conn *conn = user_data;
    if (netaddr_is_loopback(&conn->remote)) {
        conn->packet_size_max = QUIC_DATAGRAM_SIZE_MAX;
    }
    return 0;
}

static int on_handshake_completed(ngtcp2_conn *ngtcp2, void *user_data) {
    struct quic_conn *conn = user_data;
    struct quic_endpoint *endpoint = conn->endpoint;
    if (!tls_conn_has_alpn(conn)) {
        conn->no_alpn = true;
        return fail(conn, PLASM_UNSUPPORTED);
    }
    ENSURE(conn->state == CONN_HANDSHAKE);
    if (conn->identity == NULL) { /* no certificate was looked at */
        return fail(conn, PLASM_UNTRUSTED);
    }
    if (conn->inbound) {
        if (admission_connect(endpoint->admission, &conn->ticket) != 0) {
            return fail(conn, PLASM_NO_MEMORY);
        }
        list_remove(&endpoint->handshakes, &conn->handshake);
        endpoint->stats.accepted++;
        endpoint->stats.connections_inbound++;
    }
    conn->state = CONN_OPEN;
    struct queued_event event = {.type = QUIC_CONNECTED, .conn = conn};
    int error = event_push(endpoint, &event);
    if (error != 0) {
        return fail(conn, error);
    }
    return conn->inbound ? on_handshake_confirmed(ngtcp2, conn) : 0;
}

static int on_stream_open(ngtcp2_conn *ngtcp2, int64_t id, void *user_data) {
    struct quic_conn *conn = user_data;
    struct quic_stream *stream;
    int error = stream_new(conn, id, &stream);
    if (error == 0) {
        ENSURE(ngtcp2_conn_set_stream_user_data(ngtcp2, id, stream) == 0);
        struct queued_event event = {.type = QUIC_STREAM_OPENED, .conn = conn, .stream = stream};
        error = event_push(conn->endpoint, &event);
    }
    return error == 0 ? 0 : fail(conn, error);
}

static int on_stream_data(ngtcp2_conn *ngtcp2, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t size, void *user_data,
                          void *stream_user_data) {
    (void)ngtcp2;
    (void)id;
    (void)offset;
    struct quic_stream *stream = stream_user_data;
    if (stream == NULL) {
        return fail(user_data, PLASM_FAILED);
    }
    stream->received += size;
    int error =
        event_push_data(stream, bytes_of(data, size), (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    return error == 0 ? 0 : fail(user_data, error);
}

static int on_acked(ngtcp2_conn *ngtcp2, int64_t id, uint64_t offset, uint64_t size,
                    void *user_data, void *stream_user_data) {
    (void)ngtcp2;
    (void)id;
    (void)offset;
    (void)user_data;
    struct quic_stream *stream = stream_user_data;
    if (stream != NULL) {
        send_queue_acked(&stream->queue, (size_t)size);
        stream_check_writable(stream);
    }
    return 0;
}

static int on_stream_close(ngtcp2_conn *ngtcp2, uint32_t flags, int64_t id, uint64_t code,
                           void *user_data, void *stream_user_data) {
    (void)flags;
    (void)code;
    (void)user_data;
    struct quic_stream *stream = stream_user_data;
    if (!ngtcp2_conn_is_local_stream(ngtcp2, id)) {
        ngtcp2_conn_extend_max_streams_bidi(ngtcp2, 1);
    }
    if (stream != NULL) {
        stream_closed(stream);
    }
    return 0;
}

static int on_stream_reset(ngtcp2_conn *ngtcp2, int64_t id, uint64_t final_size, uint64_t code,
                           void *user_data, void *stream_user_data) {
    (void)ngtcp2;
    (void)id;
    (void)final_size;
    struct quic_conn *conn = user_data;
    struct quic_stream *stream = stream_user_data;
    if (stream == NULL || stream->muted) {
        return 0;
    }
    struct queued_event event = {
        .type = QUIC_STREAM_RESET, .conn = conn, .stream = stream, .code = code};
    int error = event_push(conn->endpoint, &event);
    return error == 0 ? 0 : fail(conn, error);
}

static int on_more_streams(ngtcp2_conn *ngtcp2, uint64_t streams_max, void *user_data) {
    (void)ngtcp2;
    (void)streams_max;
    struct quic_conn *conn = user_data;
    if (!conn->want_streams) {
        return 0;
    }
    conn->want_streams = false;
    struct queued_event event = {.type = QUIC_STREAMS_AVAILABLE, .conn = conn};
    int error = event_push(conn->endpoint, &event);
    return error == 0 ? 0 : fail(conn, error);
}

static int on_more_stream_data(ngtcp2_conn *ngtcp2, int64_t id, uint64_t data_max, void *user_data,
                               void *stream_user_data) {
    (void)ngtcp2;
    (void)id;
    (void)data_max;
    (void)user_data;
    struct quic_stream *stream = stream_user_data;
    if (stream != NULL) {
        stream->blocked = false;
        stream_offer(stream);
    }
    return 0;
}

#define CALLBACKS_COMMON                                                                           \
    .recv_crypto_data = on_crypto_data, .handshake_completed = on_handshake_completed,             \
    .encrypt = ngtcp2_crypto_encrypt_cb, .decrypt = on_decrypt,                                    \
    .hp_mask = ngtcp2_crypto_hp_mask_cb, .recv_stream_data = on_stream_data,                       \
    .acked_stream_data_offset = on_acked, .stream_open = on_stream_open,                           \
    .stream_close = on_stream_close, .stream_reset = on_stream_reset,                              \
    .extend_max_local_streams_bidi = on_more_streams,                                              \
    .extend_max_stream_data = on_more_stream_data, .rand = on_random,                              \
    .get_new_connection_id = on_new_cid, .remove_connection_id = on_remove_cid,                    \
    .dcid_status = on_cid_status, .update_key = ngtcp2_crypto_update_key_cb,                       \
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,                             \
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,                         \
    .get_path_challenge_data = on_path_challenge, .path_validation = on_path_validated,            \
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb

const ngtcp2_callbacks callbacks_client = {
    CALLBACKS_COMMON,
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .handshake_confirmed = on_handshake_confirmed,
};

const ngtcp2_callbacks callbacks_server = {
    CALLBACKS_COMMON,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
};

static struct quic_stream *find_stream(struct quic_conn *conn, uint64_t id) {
    for (struct list_node *node = list_first(&conn->streams); node != NULL;
         node = list_next(&conn->streams, node)) {
        struct quic_stream *stream = CONTAINER_OF(node, struct quic_stream, node);
        if ((uint64_t)stream->id == id) {
            return stream;
        }
    }
    return NULL;
}

int callbacks_read(struct quic_conn *conn, const ngtcp2_path *path, uint8_t ecn,
                   struct bytes bytes) {
    struct quic_endpoint *endpoint = conn->endpoint;
    ngtcp2_pkt_info info = {.ecn = ecn};
    endpoint->stop_count = 0;
    reading = endpoint;
    int result =
        ngtcp2_conn_read_pkt(conn->ngtcp2, path, &info, bytes.data, bytes.size, endpoint->now);
    reading = NULL;
    for (size_t i = 0; result == 0 && i < endpoint->stop_count; i++) {
        struct quic_stream *stream = find_stream(conn, endpoint->stops[i].stream_id);
        if (stream != NULL) {
            stream_stopped(stream, endpoint->stops[i].code);
        }
    }
    return result;
}
