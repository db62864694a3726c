/* The endpoint: its life, and the way of a datagram to its connection. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

void quic_config_init(struct quic_config *config) {
    *config = (struct quic_config){
        .alpn = "libp2p",
        .congestion = QUIC_CUBIC,
        .idle_timeout = 30 * NANOS_SECOND,
        .keep_alive_interval = 5 * NANOS_SECOND,
        .handshake_timeout = 10 * NANOS_SECOND,
        .initial_rtt = 100 * NANOS_MILLISECOND,
        .limits =
            {
                .admission = ADMISSION_LIMITS_DEFAULT,
                .streams_inbound_max = 256,
                .stream_window_bytes = 512 << 10,
                .stream_window_bytes_max = 10 << 20,
                .connection_window_bytes = 768 << 10,
                .connection_window_bytes_max = 15 << 20,
                .unsent_bytes_max = 256 << 10,
                .unsent_bytes_low = 64 << 10,
                .unacknowledged_bytes_max = 16 << 20,
                .state_bytes_max = (size_t)256 << 20,
            },
    };
}

static bool is_complete(const struct quic_config *config) {
    const struct quic_limits *limits = &config->limits;
    return config->certificate != NULL && config->memory != NULL && config->alpn != NULL &&
           config->local.family != NETADDR_NONE && config->idle_timeout > 0 &&
           config->keep_alive_interval > 0 && config->handshake_timeout > 0 &&
           config->initial_rtt > 0 && limits->admission.connections_inbound_max > 0 &&
           limits->admission.handshakes_inbound_max > 0 &&
           limits->admission.accepts_per_ip_burst > 0 &&
           limits->admission.retry_accepts_per_second > 0 && limits->unsent_bytes_max > 0 &&
           limits->unsent_bytes_low < limits->unsent_bytes_max &&
           limits->unacknowledged_bytes_max > 0 && limits->stream_window_bytes > 0 &&
           limits->connection_window_bytes > 0;
}

static void init_maps(struct quic_endpoint *endpoint) {
    uint64_t secrets[6];
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        secrets[i] = random_u64(&endpoint->random);
    }
    map_init(&endpoint->cids, endpoint->memory, &secrets[0]);
    map_init(&endpoint->resets, endpoint->memory, &secrets[2]);
    admission_init(&endpoint->own_admission, &endpoint->config.limits.admission, endpoint->memory,
                   &secrets[4]);
    endpoint->admission =
        endpoint->config.admission != NULL ? endpoint->config.admission : &endpoint->own_admission;
    heap_init(&endpoint->timers, endpoint->memory);
    list_init(&endpoint->conns);
    list_init(&endpoint->handshakes);
    list_init(&endpoint->closed);
    list_init(&endpoint->lingering);
    list_init(&endpoint->ready);
    list_init(&endpoint->dead_streams);
}

int quic_endpoint_new(const struct quic_config *config, struct quic_endpoint **ret_endpoint) {
    if (!is_complete(config)) {
        return PLASM_INVALID;
    }
    struct quic_endpoint *endpoint = memory_zero(config->memory, sizeof(*endpoint));
    if (endpoint == NULL) {
        return PLASM_NO_MEMORY;
    }
    endpoint->config = *config;
    endpoint->config.certificate = NULL; /* the TLS library has copied it */
    endpoint->memory = config->memory;
    endpoint->log = config->log;
    endpoint->own_budget.bytes_max = config->limits.state_bytes_max;
    endpoint->budget = config->budget != NULL ? config->budget : &endpoint->own_budget;
    endpoint->accept = config->accept;
    endpoint->client_callbacks = &callbacks_client;
    random_init(&endpoint->random, config->seed);
    crypto_wipe(endpoint->config.seed, sizeof(endpoint->config.seed));
    init_maps(endpoint);
    bucket_fill(&endpoint->reset_bucket, QUIC_RESETS_PER_SECOND, 0);
    bucket_fill(&endpoint->version_bucket, QUIC_VERSIONS_PER_SECOND, 0);
    int error = tls_endpoint_init(endpoint, config->certificate);
    if (error != 0) {
        quic_endpoint_free(endpoint);
        return error;
    }
    *ret_endpoint = endpoint;
    return 0;
}

static void free_conns(struct list *list) {
    struct list_node *node;
    while ((node = list_first(list)) != NULL) {
        list_remove(list, node);
        conn_free(CONTAINER_OF(node, struct quic_conn, node));
    }
}

void quic_endpoint_free(struct quic_endpoint *endpoint) {
    if (endpoint == NULL) {
        return;
    }
    endpoint_reap(endpoint);
    events_done(endpoint);
    free_conns(&endpoint->conns);
    free_conns(&endpoint->closed);
    free_conns(&endpoint->lingering);
    admission_done(&endpoint->own_admission);
    map_done(&endpoint->cids);
    map_done(&endpoint->resets);
    heap_done(&endpoint->timers);
    tls_endpoint_done(endpoint);
    random_done(&endpoint->random);
    struct memory *memory = endpoint->memory;
    crypto_wipe(endpoint, sizeof(*endpoint));
    memory_put(memory, endpoint, sizeof(*endpoint));
}

void endpoint_reap(struct quic_endpoint *endpoint) {
    struct list_node *node;
    while ((node = list_first(&endpoint->dead_streams)) != NULL) {
        list_remove(&endpoint->dead_streams, node);
        stream_free(CONTAINER_OF(node, struct quic_stream, node));
    }
    if (endpoint->dead_conn != NULL) {
        struct quic_conn *conn = endpoint->dead_conn;
        endpoint->dead_conn = NULL;
        close_linger(conn);
    }
    memory_put(endpoint->memory, endpoint->taken_identity, sizeof(*endpoint->taken_identity));
    endpoint->taken_identity = NULL;
    block_unref(endpoint->taken_block);
    endpoint->taken_block = NULL;
}

void quic_endpoint_close(struct quic_endpoint *endpoint, uint64_t code, const char *reason,
                         nanos now) {
    endpoint_reap(endpoint);
    endpoint->accept = false;
    struct list_node *node;
    while ((node = list_first(&endpoint->conns)) != NULL) {
        quic_conn_close(CONTAINER_OF(node, struct quic_conn, node), code, reason, now);
    }
}

void quic_endpoint_accept(struct quic_endpoint *endpoint, bool accept) {
    endpoint->accept = accept;
}

void endpoint_set_time(struct quic_endpoint *endpoint, nanos now) {
    endpoint->now = nanos_max(endpoint->now, now);
}

struct quic_conn *endpoint_find(struct quic_endpoint *endpoint, struct bytes cid) {
    /* Datagrams come in batches of one connection. */
    const struct cid_entry *entry = endpoint->recent;
    if (entry == NULL || entry->conn == NULL || !bytes_equal(cid_bytes(&entry->cid), cid)) {
        entry = MAP_ENTRY(map_get(&endpoint->cids, cid), struct cid_entry, node);
        endpoint->recent = entry;
    }
    return entry != NULL ? entry->conn : NULL;
}

uint8_t *endpoint_answer(struct quic_endpoint *endpoint) {
    return endpoint->pending.size == 0 ? endpoint->pending_bytes : NULL;
}

void endpoint_answered(struct quic_endpoint *endpoint, const struct quic_datagram *datagram,
                       ptrdiff_t size) {
    if (size > 0) {
        endpoint->pending = (struct quic_packet){.local = datagram->local,
                                                 .remote = datagram->remote,
                                                 .size = (size_t)size,
                                                 .segment_size = (size_t)size};
    }
}

static void receive_one(struct quic_endpoint *endpoint, const struct quic_datagram *datagram) {
    struct bytes bytes = datagram->bytes;
    ngtcp2_version_cid version;
    endpoint->stats.datagrams_received++;
    endpoint->stats.bytes_received += bytes.size;
    if (bytes.size == 0 || bytes.size > QUIC_DATAGRAM_SIZE_MAX) {
        endpoint->stats.datagrams_dropped++;
        return;
    }
    bool is_long = (bytes.data[0] & 0x80) != 0;
    int result = ngtcp2_pkt_decode_version_cid(&version, bytes.data, bytes.size, QUIC_CID_SIZE);
    if (result == NGTCP2_ERR_VERSION_NEGOTIATION ||
        (result == 0 && is_long && version.version != 0 &&
         version.version != NGTCP2_PROTO_VER_V1)) {
        accept_version(endpoint, datagram, &version);
        return;
    }
    if (result != 0) {
        endpoint->stats.datagrams_dropped++;
        return;
    }
    struct quic_conn *conn = endpoint_find(endpoint, bytes_of(version.dcid, version.dcidlen));
    if (conn != NULL) {
        conn_receive(conn, datagram);
    } else if (is_long) {
        accept_datagram(endpoint, datagram);
    } else {
        accept_unknown(endpoint, datagram);
    }
}

void quic_receive(struct quic_endpoint *endpoint, const struct quic_datagram *datagram, nanos now,
                  int64_t unix_seconds) {
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    endpoint->unix_seconds = unix_seconds;
    if (endpoint->event_count == 0) {
        endpoint->arena_used = 0;
    }
    size_t segment = datagram->segment_size > 0 ? datagram->segment_size : datagram->bytes.size;
    struct quic_datagram one = *datagram;
    for (size_t at = 0; at < datagram->bytes.size; at += segment) {
        one.bytes = bytes_slice(datagram->bytes, at, segment);
        receive_one(endpoint, &one);
    }
}

nanos quic_deadline(const struct quic_endpoint *endpoint) {
    if (endpoint->event_count > 0 || !list_empty(&endpoint->closed) ||
        !list_empty(&endpoint->ready) || endpoint->pending.size > 0 || endpoint->punch_count > 0) {
        return 0; /* there is work that waits for nothing */
    }
    nanos deadline = heap_deadline(&endpoint->timers);
    return deadline >= NANOS_NEVER - 1 ? NANOS_NEVER : deadline;
}

void quic_expire(struct quic_endpoint *endpoint, nanos now) {
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    while (heap_deadline(&endpoint->timers) <= endpoint->now) {
        struct quic_conn *conn =
            CONTAINER_OF(heap_first(&endpoint->timers), struct quic_conn, timer);
        if (conn->state == CONN_LINGERING) {
            list_remove(&endpoint->lingering, &conn->node);
            conn_free(conn);
        } else {
            ENSURE(conn->ngtcp2 != NULL);
            conn_expire(conn);
        }
    }
}

void quic_local_changed(struct quic_endpoint *endpoint, nanos now) {
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    for (struct list_node *node = list_first(&endpoint->conns); node != NULL;
         node = list_next(&endpoint->conns, node)) {
        struct quic_conn *conn = CONTAINER_OF(node, struct quic_conn, node);
        if (conn->any_local && conn->state == CONN_OPEN) {
            conn->ping = true;
            conn_ready(conn);
        }
    }
}

void quic_unreachable(struct quic_endpoint *endpoint, const struct netaddr *remote, nanos now) {
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    struct list_node *node = list_first(&endpoint->conns);
    while (node != NULL) {
        struct quic_conn *conn = CONTAINER_OF(node, struct quic_conn, node);
        node = list_next(&endpoint->conns, node);
        if (!conn->inbound && !conn->heard && netaddr_equal(&conn->remote, remote)) {
            close_silently(conn, PLASM_UNREACHABLE, "nobody listens at this address");
        }
    }
}

void quic_stats(const struct quic_endpoint *endpoint, struct quic_stats *ret_stats) {
    *ret_stats = endpoint->stats;
    ret_stats->connections = endpoint->conns.size;
    ret_stats->handshakes_inbound = endpoint->handshakes.size;
    ret_stats->state_bytes = endpoint->state_bytes;
}

size_t quic_connections_of(const struct quic_endpoint *endpoint, const struct netaddr *address) {
    return admission_count(endpoint->admission, address);
}

struct admission *quic_admission(struct quic_endpoint *endpoint) {
    return endpoint->admission;
}
