/* Datagrams of no known connection: new ones, and what is to be said to the rest. */
#include "proto/quic/internal.h"

/* A client's first datagrams have at least this size (RFC 9000, section 14.1). */
#define INITIAL_SIZE_MIN 1200
/* RFC 9000, section 20.1 */
#define CODE_INVALID_TOKEN 0x0b
/* A reset must be smaller than what it answers and look like a packet (section 10.3). */
#define RESET_SIZE_MIN 21
#define RESET_SIZE_MAX 43
/* How long a client that got a Retry may still send its first flight again. */
#define RETRIED_LIFE (2 * NANOS_SECOND)

static void write_refusal(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                          const ngtcp2_pkt_hd *hd, uint64_t code, const char *reason) {
    endpoint->stats.refused++;
    uint8_t *room = endpoint_answer(endpoint);
    if (room != NULL) {
        struct bytes text = bytes_of_string(reason);
        endpoint_answered(endpoint, datagram,
                          ngtcp2_crypto_write_connection_close(room, QUIC_PACKET_SIZE_MAX,
                                                               hd->version, &hd->scid, &hd->dcid,
                                                               code, text.data, text.size));
    }
}

static void remember_retried(struct quic_endpoint *endpoint, const ngtcp2_cid *dcid) {
    endpoint->retried[endpoint->retried_next] =
        (struct retried){.dcid = *dcid, .at = endpoint->now};
    endpoint->retried_next = (endpoint->retried_next + 1) % QUIC_RETRIED_MAX;
}

/* True for the rest of a first flight of which another part was answered with Retry already. */
static bool was_retried(const struct quic_endpoint *endpoint, const ngtcp2_cid *dcid) {
    for (size_t i = 0; i < QUIC_RETRIED_MAX; i++) {
        const struct retried *retried = &endpoint->retried[i];
        if (retried->dcid.datalen > 0 && nanos_since(endpoint->now, retried->at) < RETRIED_LIFE &&
            bytes_equal(cid_bytes(&retried->dcid), cid_bytes(dcid))) {
            return true;
        }
    }
    return false;
}

void accept_retry(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                  const ngtcp2_pkt_hd *hd) {
    if (!was_retried(endpoint, &hd->dcid)) {
        remember_retried(endpoint, &hd->dcid);
    }
    uint8_t *room = endpoint_answer(endpoint);
    if (room == NULL) {
        return;
    }
    uint8_t bytes[QUIC_CID_SIZE];
    random_fill(&endpoint->random, (struct span){.data = bytes, .size = sizeof(bytes)});
    ngtcp2_cid scid = cid_of(BYTES_ARRAY(bytes));
    ngtcp2_sockaddr_union remote;
    ngtcp2_socklen remote_size = path_sockaddr(&datagram->remote, &remote);
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token(
        token, endpoint->config.token_secret, sizeof(endpoint->config.token_secret), hd->version,
        &remote.sa, remote_size, &scid, &hd->dcid, endpoint->now);
    if (token_size < 0) {
        return;
    }
    ngtcp2_ssize size =
        ngtcp2_crypto_write_retry(room, QUIC_PACKET_SIZE_MAX, hd->version, &hd->scid, &scid,
                                  &hd->dcid, token, (size_t)token_size);
    if (size > 0) {
        endpoint->stats.retries_sent++;
    }
    endpoint_answered(endpoint, datagram, size);
}

enum token_state { TOKEN_NONE, TOKEN_GOOD, TOKEN_BAD };

static enum token_state check_token(struct quic_endpoint *endpoint,
                                    const struct quic_datagram *datagram, const ngtcp2_pkt_hd *hd,
                                    ngtcp2_cid *ret_original_dcid) {
    struct bytes token = compat_token(hd);
    if (token.size == 0 || token.data[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
        return TOKEN_NONE; /* tokens of other kinds are not ours: as if there was none */
    }
    ngtcp2_sockaddr_union remote;
    ngtcp2_socklen remote_size = path_sockaddr(&datagram->remote, &remote);
    if (ngtcp2_crypto_verify_retry_token(
            ret_original_dcid, token.data, token.size, endpoint->config.token_secret,
            sizeof(endpoint->config.token_secret), hd->version, &remote.sa, remote_size, &hd->dcid,
            QUIC_RETRY_TOKEN_LIFE, endpoint->now) != 0) {
        return TOKEN_BAD;
    }
    return TOKEN_GOOD;
}

/* Room for one more handshake: the oldest has had its time. */
static void evict_handshakes(struct quic_endpoint *endpoint) {
    while (admission_is_full_of_handshakes(endpoint->admission, endpoint->handshakes.size)) {
        struct quic_conn *oldest =
            LIST_ENTRY(list_first(&endpoint->handshakes), struct quic_conn, handshake);
        endpoint->stats.handshakes_evicted++;
        close_by_us(oldest, PLASM_LIMIT, QUIC_CODE_REFUSED, false, "too many handshakes");
    }
}

void accept_datagram(struct quic_endpoint *endpoint, const struct quic_datagram *datagram) {
    ngtcp2_pkt_hd hd;
    if (!endpoint->accept || ngtcp2_accept(&hd, datagram->bytes.data, datagram->bytes.size) != 0) {
        endpoint->stats.datagrams_dropped++;
        return;
    }
    const struct netaddr *remote = &datagram->remote;
    ngtcp2_cid original_dcid;
    enum token_state token = check_token(endpoint, datagram, &hd, &original_dcid);
    if (token == TOKEN_BAD) {
        write_refusal(endpoint, datagram, &hd, CODE_INVALID_TOKEN, "token");
        return;
    }
    if (token == TOKEN_NONE && was_retried(endpoint, &hd.dcid)) {
        accept_retry(endpoint, datagram, &hd);
        return;
    }
    const char *refusal = NULL;
    switch (
        admission_ask(endpoint->admission, remote, token == TOKEN_GOOD, endpoint->now, &refusal)) {
    case ADMISSION_PROVE:
        accept_retry(endpoint, datagram, &hd);
        return;
    case ADMISSION_REFUSED:
        write_refusal(endpoint, datagram, &hd, QUIC_CODE_REFUSED, refusal);
        return;
    case ADMISSION_WELCOME:
        break;
    }
    if (token == TOKEN_NONE && endpoint->config.always_retry) {
        accept_retry(endpoint, datagram, &hd);
        return;
    }
    evict_handshakes(endpoint);
    struct conn_options options = {.local = datagram->local,
                                   .remote = *remote,
                                   .hd = &hd,
                                   .original_dcid = token == TOKEN_GOOD ? &original_dcid : NULL};
    struct quic_conn *conn;
    if (conn_new(endpoint, &options, &conn) != 0) {
        endpoint->stats.datagrams_dropped++;
        return;
    }
    conn_receive(conn, datagram);
}

void accept_version(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                    const ngtcp2_version_cid *version) {
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    uint8_t *room = NULL;
    if (endpoint->accept && datagram->bytes.size >= INITIAL_SIZE_MIN &&
        bucket_take(&endpoint->version_bucket, QUIC_VERSIONS_PER_SECOND, QUIC_VERSIONS_PER_SECOND,
                    endpoint->now)) {
        room = endpoint_answer(endpoint);
    }
    if (room == NULL) {
        endpoint->stats.datagrams_dropped++;
        return;
    }
    uint8_t unused;
    random_fill(&endpoint->random, (struct span){.data = &unused, .size = 1});
    endpoint->stats.versions_sent++;
    endpoint_answered(endpoint, datagram,
                      ngtcp2_pkt_write_version_negotiation(
                          room, QUIC_PACKET_SIZE_MAX, unused, version->scid, version->scidlen,
                          version->dcid, version->dcidlen, versions, ARRAY_SIZE(versions)));
}

/* The last bytes of a stateless reset are a token that the peer gave before. */
static struct quic_conn *find_reset(const struct quic_endpoint *endpoint, struct bytes bytes) {
    if (bytes.size < RESET_SIZE_MIN) {
        return NULL;
    }
    struct bytes token = bytes_slice(bytes, bytes.size - NGTCP2_STATELESS_RESET_TOKENLEN,
                                     NGTCP2_STATELESS_RESET_TOKENLEN);
    const struct reset_entry *entry =
        MAP_ENTRY(map_get(&endpoint->resets, token), struct reset_entry, node);
    return entry != NULL ? entry->conn : NULL;
}

void accept_unknown(struct quic_endpoint *endpoint, const struct quic_datagram *datagram) {
    struct bytes bytes = datagram->bytes;
    struct quic_conn *conn = find_reset(endpoint, bytes);
    if (conn != NULL) {
        close_by_reset(conn);
        return;
    }
    endpoint->stats.datagrams_dropped++;
    if (bytes.size <= RESET_SIZE_MIN ||
        !bucket_take(&endpoint->reset_bucket, QUIC_RESETS_PER_SECOND, QUIC_RESETS_PER_SECOND,
                     endpoint->now)) {
        return;
    }
    uint8_t *room = endpoint_answer(endpoint);
    if (room == NULL) {
        return;
    }
    ngtcp2_cid dcid = cid_of(bytes_slice(bytes, 1, QUIC_CID_SIZE));
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
    if (ngtcp2_crypto_generate_stateless_reset_token(token, endpoint->config.reset_secret,
                                                     sizeof(endpoint->config.reset_secret),
                                                     &dcid) != 0) {
        return;
    }
    size_t size = bytes.size - 1 < RESET_SIZE_MAX ? bytes.size - 1 : RESET_SIZE_MAX;
    uint8_t noise[RESET_SIZE_MAX];
    size_t noise_size = size - NGTCP2_STATELESS_RESET_TOKENLEN;
    random_fill(&endpoint->random, (struct span){.data = noise, .size = noise_size});
    ngtcp2_ssize written = ngtcp2_pkt_write_stateless_reset(room, size, token, noise, noise_size);
    if (written > 0) {
        endpoint->stats.resets_sent++;
    }
    endpoint_answered(endpoint, datagram, written);
}
