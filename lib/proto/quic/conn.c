/* A connection: making it, feeding it, its timer and its ids. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

/* Before every block that ngtcp2 gets: it frees without telling the size. */
union block_head {
    size_t size;
    max_align_t align;
};

/* A deadline that is never reached, for timers that must stay in the heap. */
#define FAR_FUTURE (NANOS_NEVER - 1)

/* ngtcp2 wants to acknowledge after an eighth of a round trip, on a short path before an answer can
 * be there that would carry it. Its timers ring that much later, for one packet instead of two. */
#define TIMER_SLACK NANOS_MILLISECOND
#define SHORT_PATH  (100 * NANOS_MILLISECOND)

static bool within_budget(struct quic_conn *conn, size_t more) {
    const struct quic_endpoint *endpoint = conn->endpoint;
    const struct quic_limits *limits = &endpoint->config.limits;
    size_t own_max = 2 * (size_t)limits->connection_window_bytes_max + QUIC_STATE_BYTES_GUARANTEED;
    if (conn->state_bytes + more > own_max) {
        return false;
    }
    return budget_has(endpoint->budget, more) ||
           conn->state_bytes + more <= QUIC_STATE_BYTES_GUARANTEED;
}

static void *ngtcp2_resize(void *old, size_t size, void *user_data) {
    struct quic_conn *conn = user_data;
    struct quic_endpoint *endpoint = conn->endpoint;
    union block_head *head = old != NULL ? (union block_head *)old - 1 : NULL;
    size_t old_size = head != NULL ? head->size : 0;
    if (size == 0) {
        memory_put(endpoint->memory, head, old_size);
        conn->state_bytes -= old_size;
        endpoint->state_bytes -= old_size;
        endpoint->budget->bytes -= old_size;
        return NULL;
    }
    if (size > SIZE_MAX - sizeof(*head)) {
        return NULL;
    }
    size_t whole = size + sizeof(*head);
    if (whole > old_size && !within_budget(conn, whole - old_size)) {
        conn->over_budget = true;
        return NULL;
    }
    head = memory_resize(endpoint->memory, head, old_size, whole);
    if (head == NULL) {
        return NULL;
    }
    head->size = whole;
    conn->state_bytes = conn->state_bytes - old_size + whole;
    endpoint->state_bytes = endpoint->state_bytes - old_size + whole;
    endpoint->budget->bytes = endpoint->budget->bytes - old_size + whole;
    return head + 1;
}

static void *ngtcp2_malloc_block(size_t size, void *user_data) {
    return ngtcp2_resize(NULL, size > 0 ? size : 1, user_data);
}

static void ngtcp2_free_block(void *block, void *user_data) {
    if (block != NULL) {
        (void)ngtcp2_resize(block, 0, user_data);
    }
}

static void *ngtcp2_calloc_block(size_t count, size_t size, void *user_data) {
    if (size > 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *block = ngtcp2_malloc_block(count * size, user_data);
    if (block != NULL) {
        memset(block, 0, count * size);
    }
    return block;
}

static void *ngtcp2_resize_block(void *block, size_t size, void *user_data) {
    return ngtcp2_resize(block, size > 0 ? size : 1, user_data);
}

bool conn_add_cid(struct quic_conn *conn, const ngtcp2_cid *cid) {
    for (size_t i = 0; i < QUIC_CIDS_MAX; i++) {
        struct cid_entry *entry = &conn->cids[i];
        if (entry->conn == NULL) {
            entry->cid = *cid;
            if (map_put(&conn->endpoint->cids, &entry->node, cid_bytes(&entry->cid)) != 0) {
                return false;
            }
            entry->conn = conn;
            return true;
        }
    }
    return false;
}

void conn_remove_cid(struct quic_conn *conn, const ngtcp2_cid *cid) {
    for (size_t i = 0; i < QUIC_CIDS_MAX; i++) {
        struct cid_entry *entry = &conn->cids[i];
        if (entry->conn != NULL && bytes_equal(cid_bytes(&entry->cid), cid_bytes(cid))) {
            map_remove(&conn->endpoint->cids, &entry->node);
            entry->conn = NULL;
        }
    }
}

static void remove_ids(struct quic_conn *conn) {
    conn->endpoint->recent = NULL;
    for (size_t i = 0; i < QUIC_CIDS_MAX; i++) {
        if (conn->cids[i].conn != NULL) {
            map_remove(&conn->endpoint->cids, &conn->cids[i].node);
            conn->cids[i].conn = NULL;
        }
    }
}

static void remove_resets(struct quic_conn *conn) {
    for (size_t i = 0; i < QUIC_RESETS_MAX; i++) {
        if (conn->resets[i].conn != NULL) {
            map_remove(&conn->endpoint->resets, &conn->resets[i].node);
            conn->resets[i].conn = NULL;
        }
    }
}

static ngtcp2_cc_algo congestion_of(enum quic_congestion congestion) {
    switch (congestion) {
    case QUIC_RENO:
        return NGTCP2_CC_ALGO_RENO;
    case QUIC_BBR:
        return NGTCP2_CC_ALGO_BBR;
    case QUIC_CUBIC:
        break;
    }
    return NGTCP2_CC_ALGO_CUBIC;
}

static void fill_settings(struct quic_endpoint *endpoint, const struct conn_options *options,
                          ngtcp2_settings *settings) {
    const struct quic_config *config = &endpoint->config;
    ngtcp2_settings_default(settings);
    settings->cc_algo = congestion_of(config->congestion);
    settings->initial_ts = endpoint->now;
    settings->initial_rtt = options->initial_rtt > 0 ? options->initial_rtt : config->initial_rtt;
    settings->handshake_timeout = config->handshake_timeout;
    settings->max_window = config->limits.connection_window_bytes_max;
    settings->max_stream_window = config->limits.stream_window_bytes_max;
    settings->rand_ctx.native_handle = &endpoint->random;
    if (netaddr_is_loopback(&options->remote)) {
        settings->max_tx_udp_payload_size = QUIC_DATAGRAM_SIZE_MAX;
        settings->no_tx_udp_payload_size_shaping = 1; /* we tell it the size, packet by packet */
        settings->no_pmtud = 1;
    }
    if (options->original_dcid != NULL) {
        compat_set_token(settings, compat_token(options->hd));
    }
}

static void fill_params(struct quic_endpoint *endpoint, const struct conn_options *options,
                        ngtcp2_transport_params *params) {
    const struct quic_config *config = &endpoint->config;
    ngtcp2_transport_params_default(params);
    params->initial_max_stream_data_bidi_local = config->limits.stream_window_bytes;
    params->initial_max_stream_data_bidi_remote = config->limits.stream_window_bytes;
    params->initial_max_data = config->limits.connection_window_bytes;
    params->initial_max_streams_bidi = config->limits.streams_inbound_max;
    params->max_idle_timeout = config->idle_timeout;
    params->max_udp_payload_size =
        netaddr_is_loopback(&options->remote) ? QUIC_DATAGRAM_SIZE_MAX : QUIC_PACKET_SIZE_MAX;
    params->active_connection_id_limit = 4;
}

static void random_cid(struct quic_endpoint *endpoint, size_t size, ngtcp2_cid *ret_cid) {
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
    random_fill(&endpoint->random, (struct span){.data = bytes, .size = size});
    ngtcp2_cid_init(ret_cid, bytes, size);
}

static int make_client(struct quic_conn *conn, const ngtcp2_path *path,
                       const ngtcp2_settings *settings, const ngtcp2_transport_params *params) {
    ngtcp2_cid dcid;
    ngtcp2_cid scid;
    random_cid(conn->endpoint, QUIC_CID_SIZE, &dcid);
    random_cid(conn->endpoint, QUIC_CID_SIZE, &scid);
    if (!conn_add_cid(conn, &scid)) {
        return PLASM_NO_MEMORY;
    }
    if (ngtcp2_conn_client_new(&conn->ngtcp2, &dcid, &scid, path, NGTCP2_PROTO_VER_V1,
                               conn->endpoint->client_callbacks, settings, params, &conn->mem,
                               conn) != 0) {
        conn->ngtcp2 = NULL;
        return PLASM_NO_MEMORY;
    }
    return 0;
}

static int make_server(struct quic_conn *conn, const struct conn_options *options,
                       const ngtcp2_path *path, const ngtcp2_settings *settings,
                       ngtcp2_transport_params *params) {
    struct quic_endpoint *endpoint = conn->endpoint;
    ngtcp2_cid scid;
    random_cid(endpoint, QUIC_CID_SIZE, &scid);
    const ngtcp2_pkt_hd *hd = options->hd;
    if (options->original_dcid != NULL) {
        compat_set_original_dcid(params, options->original_dcid);
        params->retry_scid = hd->dcid;
        params->retry_scid_present = 1;
    } else {
        compat_set_original_dcid(params, &hd->dcid);
    }
    params->stateless_reset_token_present = 1;
    if (ngtcp2_crypto_generate_stateless_reset_token(
            params->stateless_reset_token, endpoint->config.reset_secret,
            sizeof(endpoint->config.reset_secret), &scid) != 0) {
        return PLASM_FAILED;
    }
    /* The client goes on with the id it chose until it has seen ours: its first flight may be more
     * than one datagram. */
    if (!conn_add_cid(conn, &scid) || !conn_add_cid(conn, &hd->dcid)) {
        return PLASM_NO_MEMORY;
    }
    if (ngtcp2_conn_server_new(&conn->ngtcp2, &hd->scid, &scid, path, hd->version,
                               &callbacks_server, settings, params, &conn->mem, conn) != 0) {
        conn->ngtcp2 = NULL;
        return PLASM_NO_MEMORY;
    }
    return 0;
}

static int conn_fill(struct quic_conn *conn, const struct conn_options *options) {
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    struct quic_path path;
    fill_settings(conn->endpoint, options, &settings);
    fill_params(conn->endpoint, options, &params);
    path_set(&path, &options->local, &options->remote);
    int error = conn->inbound ? make_server(conn, options, &path.path, &settings, &params)
                              : make_client(conn, &path.path, &settings, &params);
    if (error == 0) {
        error = tls_conn_init(conn);
    }
    return error == 0 ? heap_set(&conn->endpoint->timers, &conn->timer, FAR_FUTURE) : error;
}

int conn_new(struct quic_endpoint *endpoint, const struct conn_options *options,
             struct quic_conn **ret_conn) {
    struct quic_conn *conn = memory_zero(endpoint->memory, sizeof(*conn));
    if (conn == NULL) {
        return PLASM_NO_MEMORY;
    }
    conn->endpoint = endpoint;
    conn->state = CONN_HANDSHAKE;
    conn->inbound = options->hd != NULL;
    conn->any_local = !conn->inbound && netaddr_is_unspecified(&options->local);
    conn->local = options->local;
    conn->path_local = options->local;
    conn->remote = options->remote;
    conn->packet_size_max =
        netaddr_is_loopback(&options->remote) ? QUIC_PACKET_SIZE_SAFE : QUIC_PACKET_SIZE_MAX;
    if (options->expected != NULL) {
        conn->expected = *options->expected;
    }
    list_init(&conn->streams);
    list_init(&conn->sendable);
    conn->mem = (ngtcp2_mem){.user_data = conn,
                             .malloc = ngtcp2_malloc_block,
                             .free = ngtcp2_free_block,
                             .calloc = ngtcp2_calloc_block,
                             .realloc = ngtcp2_resize_block};
    list_append(&endpoint->conns, &conn->node);
    if (conn->inbound) {
        list_append(&endpoint->handshakes, &conn->handshake);
        admission_begin(endpoint->admission, &conn->ticket, &conn->remote,
                        options->original_dcid != NULL);
    }
    int error = conn_fill(conn, options);
    if (error != 0) {
        list_remove(&endpoint->conns, &conn->node);
        conn_free(conn);
        return error;
    }
    *ret_conn = conn;
    return 0;
}

void conn_free_protocol(struct quic_conn *conn) {
    struct quic_endpoint *endpoint = conn->endpoint;
    tls_conn_done(conn);
    if (conn->ngtcp2 != NULL) {
        ngtcp2_conn_del(conn->ngtcp2);
        conn->ngtcp2 = NULL;
    }
    /* The streams' handles stay as long as the connection's. */
    for (struct list_node *node = list_first(&conn->streams); node != NULL;
         node = list_next(&conn->streams, node)) {
        struct quic_stream *stream = CONTAINER_OF(node, struct quic_stream, node);
        stream_withdraw(stream);
        send_queue_done(&stream->queue);
    }
    memory_put(endpoint->memory, conn->identity, sizeof(*conn->identity));
    conn->identity = NULL;
    remove_resets(conn);
    if (list_linked(&conn->handshake)) {
        list_remove(&endpoint->handshakes, &conn->handshake);
    }
    admission_end(endpoint->admission, &conn->ticket);
}

void conn_free_streams(struct quic_conn *conn) {
    struct list_node *node;
    while ((node = list_first(&conn->streams)) != NULL) {
        list_remove(&conn->streams, node);
        stream_free(CONTAINER_OF(node, struct quic_stream, node));
    }
}

void conn_free(struct quic_conn *conn) {
    struct quic_endpoint *endpoint = conn->endpoint;
    conn_free_protocol(conn);
    conn_free_streams(conn);
    remove_ids(conn);
    heap_remove(&endpoint->timers, &conn->timer);
    if (list_linked(&conn->ready)) {
        list_remove(&endpoint->ready, &conn->ready);
    }
    memory_put(endpoint->memory, conn->goodbye, conn->goodbye_size);
    memory_put(endpoint->memory, conn, sizeof(*conn));
}

void conn_ready(struct quic_conn *conn) {
    if (!list_linked(&conn->ready)) {
        list_append(&conn->endpoint->ready, &conn->ready);
    }
}

void conn_break(struct quic_conn *conn, int error) {
    if (conn->broken == 0) {
        conn->broken = error;
    }
    conn_ready(conn);
}

void conn_set_timer(struct quic_conn *conn, nanos deadline) {
    /* It is in the heap since conn_new(), so nothing is allocated. */
    ENSURE(heap_set(&conn->endpoint->timers, &conn->timer, nanos_min(deadline, FAR_FUTURE)) == 0);
}

/* On a long path an eighth of a round trip leaves the answer time enough. */
static bool is_short(const struct quic_conn *conn) {
    compat_info info;
    compat_get_info(conn->ngtcp2, &info);
    return !compat_has_rtt(&info) || info.smoothed_rtt < SHORT_PATH;
}

void conn_settle(struct quic_conn *conn) {
    if (conn->ngtcp2 != NULL) {
        conn_check_path(conn);
        /* Some of ngtcp2's deadlines are over only after their instant: let time pass. */
        nanos expiry = ngtcp2_conn_get_expiry(conn->ngtcp2);
        if (conn->state == CONN_OPEN && is_short(conn)) {
            expiry = nanos_add(expiry, TIMER_SLACK);
        }
        if (!list_empty(&conn->sendable) && conn->paced_until > conn->endpoint->now) {
            expiry = nanos_min(expiry, conn->paced_until);
        }
        conn_set_timer(conn, nanos_max(expiry, conn->endpoint->now + NANOS_MICROSECOND));
    }
}

static void report_path(struct quic_conn *conn) {
    struct queued_event event = {.type = QUIC_PATH_CHANGED, .conn = conn};
    if (conn->state == CONN_OPEN) {
        int error = event_push(conn->endpoint, &event);
        if (error != 0) {
            conn_break(conn, error);
        }
    }
}

void conn_check_path(struct quic_conn *conn) {
    if (!conn->path_dirty || conn->ngtcp2 == NULL) {
        return;
    }
    conn->path_dirty = false;
    struct netaddr local;
    struct netaddr remote;
    path_addresses(ngtcp2_conn_get_path(conn->ngtcp2), &local, &remote);
    if (netaddr_equal(&local, &conn->path_local) && netaddr_equal(&remote, &conn->remote)) {
        return;
    }
    admission_move(conn->endpoint->admission, &conn->ticket, &remote);
    conn->any_local = conn->any_local && netaddr_is_unspecified(&local);
    conn->path_local = local;
    conn->local = conn->any_local ? conn->local : local;
    conn->remote = remote;
    if (!netaddr_is_loopback(&remote) && conn->packet_size_max > QUIC_PACKET_SIZE_MAX) {
        conn->packet_size_max = QUIC_PACKET_SIZE_SAFE;
    }
    report_path(conn);
}

/* What ngtcp2 knows the datagram's local address by. */
static struct netaddr local_of(struct quic_conn *conn, const struct netaddr *arrived) {
    if (conn->inbound || netaddr_equal(arrived, &conn->path_local) ||
        netaddr_equal(arrived, &conn->next_local)) {
        return *arrived;
    }
    /* The system chose the source address and may choose another next time: to ngtcp2 it is one
     * path, and the peer takes care of the rest. */
    return conn->any_local ? conn->path_local : *arrived;
}

static void after_read(struct quic_conn *conn, const struct quic_datagram *datagram) {
    bool first = !conn->heard;
    conn->heard = true;
    conn->last_heard = conn->endpoint->now;
    if (conn->any_local && !netaddr_is_unspecified(&datagram->local) &&
        !netaddr_equal(&datagram->local, &conn->local)) {
        conn->local = datagram->local;
        if (!first) {
            report_path(conn);
        }
    }
    if (conn->inbound && !(netaddr_equal(&datagram->remote, &conn->remote) &&
                           netaddr_equal(&datagram->local, &conn->path_local))) {
        conn->path_dirty = true;
    }
    conn_check_path(conn);
    if (conn->state == CONN_OPEN && conn->session != NULL) {
        tls_conn_done(conn);
    }
    conn_ready(conn);
}

void conn_receive(struct quic_conn *conn, const struct quic_datagram *datagram) {
    if (conn->ngtcp2 == NULL) {
        close_receive(conn);
        return;
    }
    struct netaddr local = local_of(conn, &datagram->local);
    struct quic_path path;
    path_set(&path, &local, &datagram->remote);
    int result = callbacks_read(conn, &path.path, datagram->ecn, datagram->bytes);
    if (result == 0) {
        after_read(conn, datagram);
    } else if (result == NGTCP2_ERR_RETRY || result == NGTCP2_ERR_DROP_CONN) {
        /* A server's first packet without the beginning of a ClientHello: keep nothing for an
         * address that is not proven. */
        ngtcp2_pkt_hd hd;
        bool answer = result == NGTCP2_ERR_RETRY &&
                      ngtcp2_accept(&hd, datagram->bytes.data, datagram->bytes.size) == 0;
        if (answer) {
            accept_retry(conn->endpoint, datagram, &hd);
        }
        list_remove(&conn->endpoint->conns, &conn->node);
        conn_free(conn);
    } else {
        close_by_library(conn, result);
    }
}

/* Somebody forwards loopback to a path that takes less, and says nothing. */
static void find_black_hole(struct quic_conn *conn) {
    if (conn->packet_size_max > QUIC_PACKET_SIZE_MAX &&
        nanos_since(conn->endpoint->now, conn->last_heard) > QUIC_BLACK_HOLE_TIME) {
        compat_info info;
        compat_get_info(conn->ngtcp2, &info);
        if (info.bytes_in_flight > 0) {
            conn->packet_size_max = QUIC_PACKET_SIZE_SAFE;
        }
    }
}

void conn_expire(struct quic_conn *conn) {
    find_black_hole(conn);
    int result = ngtcp2_conn_handle_expiry(conn->ngtcp2, conn->endpoint->now);
    if (result != 0) {
        close_by_library(conn, result);
        return;
    }
    conn_set_timer(conn, FAR_FUTURE); /* until it has transmitted */
    conn_ready(conn);
}

static bool is_dialable(const struct netaddr *remote, const struct netaddr *local) {
    return (remote->family == NETADDR_IP4 || remote->family == NETADDR_IP6) && remote->port != 0 &&
           !netaddr_is_unspecified(remote) && local->family == remote->family;
}

int quic_dial(struct quic_endpoint *endpoint, const struct netaddr *remote,
              const struct netaddr *local, const struct peer_id *expected, nanos initial_rtt,
              nanos now, struct quic_conn **ret_conn) {
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    struct conn_options options = {.local = local != NULL ? *local : endpoint->config.local,
                                   .remote = *remote,
                                   .expected = expected,
                                   .initial_rtt = initial_rtt};
    if (!is_dialable(&options.remote, &options.local)) {
        return PLASM_INVALID;
    }
    int error = conn_new(endpoint, &options, ret_conn);
    if (error == 0) {
        (*ret_conn)->reported = true;
        endpoint->stats.dialled++;
        conn_ready(*ret_conn);
    }
    return error;
}

void quic_conn_keep_alive(struct quic_conn *conn, bool on) {
    conn->keep_alive = on;
    if (conn->ngtcp2 != NULL) {
        compat_keep_alive(conn->ngtcp2,
                          on ? conn->endpoint->config.keep_alive_interval : NANOS_NEVER);
        conn_ready(conn);
    }
}

int quic_conn_migrate(struct quic_conn *conn, const struct netaddr *local, nanos now) {
    endpoint_set_time(conn->endpoint, now);
    if (conn->inbound || conn->state != CONN_OPEN) {
        return PLASM_STATE;
    }
    if (local->family != conn->remote.family) {
        return PLASM_INVALID;
    }
    struct quic_path path;
    path_set(&path, local, &conn->remote);
    switch (ngtcp2_conn_initiate_migration(conn->ngtcp2, &path.path, now)) {
    case 0:
        conn->next_local = *local;
        conn_ready(conn);
        return 0;
    case NGTCP2_ERR_INVALID_STATE:
        return PLASM_STATE;
    case NGTCP2_ERR_CONN_ID_BLOCKED:
        return PLASM_LIMIT;
    case NGTCP2_ERR_INVALID_ARGUMENT:
        return PLASM_INVALID;
    default:
        return PLASM_NO_MEMORY;
    }
}

void quic_conn_info(const struct quic_conn *conn, struct quic_conn_info *ret_info) {
    *ret_info = (struct quic_conn_info){.streams = conn->streams.size};
    if (conn->ngtcp2 == NULL) {
        return;
    }
    compat_info info;
    compat_get_info(conn->ngtcp2, &info);
    if (compat_has_rtt(&info)) {
        ret_info->smoothed_rtt = info.smoothed_rtt;
        ret_info->latest_rtt = info.latest_rtt;
        ret_info->min_rtt = info.min_rtt;
    }
    ret_info->congestion_window_bytes = info.cwnd;
    ret_info->in_flight_bytes = info.bytes_in_flight;
    size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn->ngtcp2);
    ret_info->packet_size = path < conn->packet_size_max ? path : conn->packet_size_max;
}

void **quic_conn_user(struct quic_conn *conn) {
    return &conn->user;
}

struct quic_endpoint *quic_conn_endpoint(const struct quic_conn *conn) {
    return conn->endpoint;
}

bool quic_conn_inbound(const struct quic_conn *conn) {
    return conn->inbound;
}

const struct netaddr *quic_conn_remote(const struct quic_conn *conn) {
    return &conn->remote;
}

const struct netaddr *quic_conn_local(const struct quic_conn *conn) {
    return &conn->local;
}
