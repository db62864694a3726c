/* Filling packets: which connection, which stream, how many at a time. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

/* Pieces of a stream's queue offered for one packet. */
#define VECTORS_MAX 16
/* What one system call takes with segmentation offload. */
#define SEGMENTS_MAX 64
/* Pacing is for paths that have a queue somewhere: below this round trip it only costs timers. */
#define PACED_RTT_MIN (2 * NANOS_MILLISECOND)
/* So much may leave at once after a pause, as RFC 9002 allows at the beginning. */
#define BURST_BYTES ((size_t)12000)
/* Otherwise a batch holds what the path takes in this time, and two packets at least. */
#define QUANTUM           NANOS_MILLISECOND
#define QUANTUM_BYTES_MIN ((size_t)3000)

static bool is_paced(const struct quic_conn *conn, compat_info *ret_info) {
    if (conn->state != CONN_OPEN) {
        return false;
    }
    compat_get_info(conn->ngtcp2, ret_info);
    return compat_has_rtt(ret_info) && ret_info->smoothed_rtt >= PACED_RTT_MIN &&
           ret_info->cwnd > 0;
}

/* How long the path is busy with `size` bytes, at 1.25 times the rate that fills it (RFC 9002,
 * section 7.7). */
static nanos time_of(const compat_info *info, size_t size) {
    double rate = compat_pacing_rate(info);
    if (rate > 0) {
        return (nanos)((double)size / rate);
    }
    return (nanos)size * info->smoothed_rtt / info->cwnd * 4 / 5;
}

/* How much a batch may hold. */
static size_t quantum_of(const compat_info *info) {
    nanos largest = time_of(info, QUIC_BATCH_SIZE_MAX);
    if (largest <= QUANTUM) {
        return QUIC_BATCH_SIZE_MAX;
    }
    size_t quantum = (size_t)(QUIC_BATCH_SIZE_MAX * QUANTUM / largest);
    return quantum > QUANTUM_BYTES_MIN ? quantum : QUANTUM_BYTES_MIN;
}

/* After a batch of a paced connection has left. ngtcp2's own pacer is not used: it counts what was
 * sent before it was needed, and delays the next packet for that. */
static void pace(struct quic_conn *conn, const compat_info *info, size_t size) {
    nanos earliest = nanos_since(conn->endpoint->now, time_of(info, BURST_BYTES));
    conn->paced_until = nanos_max(conn->paced_until, earliest) + time_of(info, size);
}

/* The next stream with something that may be sent now; when the connection is `blocked` by flow
 * control only the end of a stream may. New data waits for the pacer; acknowledgements, control
 * frames and what was lost do not. */
static struct quic_stream *next_stream(struct quic_conn *conn, bool blocked) {
    if (conn->paced_until > conn->endpoint->now) {
        return NULL;
    }
    for (struct list_node *node = list_first(&conn->sendable); node != NULL;
         node = list_next(&conn->sendable, node)) {
        struct quic_stream *stream = CONTAINER_OF(node, struct quic_stream, sendable);
        if (!blocked || stream->queue.unsent == 0) {
            return stream;
        }
    }
    return NULL;
}

static size_t fill_vectors(const struct quic_stream *stream, ngtcp2_vec *vectors,
                           size_t *ret_size) {
    size_t count = 0;
    size_t size = 0;
    while (count < VECTORS_MAX && size < stream->conn->packet_size_max) {
        struct bytes piece = send_queue_unsent(&stream->queue, count);
        if (piece.size == 0) {
            break;
        }
        vectors[count++] =
            (ngtcp2_vec){.base = (uint8_t *)(uintptr_t)piece.data, .len = piece.size};
        size += piece.size;
    }
    *ret_size = size;
    return count;
}

/* Others come first the next time. */
static void rotate(struct quic_stream *stream) {
    if (list_linked(&stream->sendable) && stream->conn->sendable.size > 1) {
        stream_withdraw(stream);
        stream_offer(stream);
    }
}

/* Offers the stream's bytes for the packet; the result is ngtcp2's. */
static ngtcp2_ssize write_stream(struct quic_conn *conn, struct quic_stream *stream,
                                 ngtcp2_path *path, ngtcp2_pkt_info *info, struct span room) {
    ngtcp2_vec vectors[VECTORS_MAX];
    size_t offered = 0;
    size_t count = fill_vectors(stream, vectors, &offered);
    bool fin = stream->fin && offered == stream->queue.unsent;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
    flags |= fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0;
    ngtcp2_ssize accepted = -1;
    ngtcp2_ssize result =
        ngtcp2_conn_writev_stream(conn->ngtcp2, path, info, room.data, room.size, &accepted, flags,
                                  stream->id, vectors, count, conn->endpoint->now);
    if (accepted >= 0) {
        stream_sent(stream, (size_t)accepted, fin && (size_t)accepted == offered);
    }
    switch (result) {
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        if (ngtcp2_conn_get_max_stream_data_left(conn->ngtcp2, stream->id) == 0) {
            stream->blocked = true; /* until the peer gives it credit */
            stream_withdraw(stream);
        }
        break;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
        /* Stopped by the peer, and noticed here first. */
        stream_stopped(stream, 0);
        stream_withdraw(stream);
        break;
    default:
        if (result > 0) {
            rotate(stream);
        }
        break;
    }
    return result;
}

/* One packet. Its size, 0 when there is nothing (more) to send now, or ngtcp2's error. */
static ngtcp2_ssize write_packet(struct quic_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 struct span room) {
    bool blocked = ngtcp2_conn_get_max_data_left(conn->ngtcp2) == 0;
    for (;;) {
        struct quic_stream *stream = next_stream(conn, blocked);
        if (stream == NULL) {
            return ngtcp2_conn_writev_stream(conn->ngtcp2, path, info, room.data, room.size, NULL,
                                             NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0,
                                             conn->endpoint->now);
        }
        ngtcp2_ssize result = write_stream(conn, stream, path, info, room);
        /* The credit of a MAX_DATA frame comes without a callback: the stream stays in the list. */
        blocked = blocked || (result == NGTCP2_ERR_STREAM_DATA_BLOCKED && !stream->blocked) ||
                  ngtcp2_conn_get_max_data_left(conn->ngtcp2) == 0;
        if (result != NGTCP2_ERR_WRITE_MORE && result != NGTCP2_ERR_STREAM_DATA_BLOCKED &&
            result != NGTCP2_ERR_STREAM_SHUT_WR && result != NGTCP2_ERR_STREAM_NOT_FOUND) {
            return result;
        }
    }
}

static bool same_sockaddr(const ngtcp2_addr *a, const ngtcp2_addr *b) {
    return a->addrlen == b->addrlen && memcmp(a->addr, b->addr, a->addrlen) == 0;
}

/* A packet that has to travel alone. */
static void keep_pending(struct quic_endpoint *endpoint, const struct quic_path *path, uint8_t ecn,
                         struct bytes bytes) {
    memcpy(endpoint->pending_bytes, bytes.data, bytes.size);
    endpoint->pending =
        (struct quic_packet){.ecn = ecn, .size = bytes.size, .segment_size = bytes.size};
    path_addresses(&path->path, &endpoint->pending.local, &endpoint->pending.remote);
}

/* Packets of one connection until the room, the quantum or what there is to send ends. Returns
 * false when there is nothing (more) to send now. */
static bool write_batch(struct quic_conn *conn, struct span room, size_t quantum,
                        struct quic_packet *batch) {
    struct quic_endpoint *endpoint = conn->endpoint;
    struct quic_path paths[2]; /* of the batch, and of the packet that may join it */
    size_t count = 0;
    size_t packet_size = conn->packet_size_max < room.size ? conn->packet_size_max : room.size;
    *batch = (struct quic_packet){.size = 0};
    while (count < SEGMENTS_MAX && room.size - batch->size >= packet_size &&
           (batch->size < quantum || count == 0)) {
        struct quic_path *path = &paths[count > 0 ? 1 : 0];
        ngtcp2_pkt_info info = {0};
        path_init(path);
        struct span rest = {.data = room.data + batch->size, .size = packet_size};
        ngtcp2_ssize written = write_packet(conn, &path->path, &info, rest);
        if (written < 0) {
            close_by_library(conn, (int)written);
            return false;
        }
        if (written == 0) {
            return false;
        }
        size_t size = (size_t)written;
        uint8_t ecn = (uint8_t)info.ecn;
        endpoint->stats.packets_sent++;
        endpoint->stats.bytes_sent += size;
        if (count == 0) {
            batch->segment_size = size;
            batch->ecn = ecn;
            path_addresses(&path->path, &batch->local, &batch->remote);
        } else if (size > batch->segment_size || ecn != batch->ecn ||
                   !same_sockaddr(&path->path.remote, &paths[0].path.remote) ||
                   !same_sockaddr(&path->path.local, &paths[0].path.local)) {
            keep_pending(endpoint, path, ecn, bytes_of(rest.data, size));
            return true;
        }
        batch->size += size;
        count++;
        if (size < batch->segment_size) {
            return true;
        }
    }
    return true;
}

static bool transmit_goodbye(struct quic_conn *conn, struct span room,
                             struct quic_packet *ret_packet) {
    if (!conn->goodbye_due || conn->goodbye == NULL) {
        return false;
    }
    conn->goodbye_due = false;
    memcpy(room.data, conn->goodbye, conn->goodbye_size);
    *ret_packet = (struct quic_packet){.local = conn->path_local,
                                       .remote = conn->remote,
                                       .size = conn->goodbye_size,
                                       .segment_size = conn->goodbye_size};
    conn->endpoint->stats.packets_sent++;
    conn->endpoint->stats.bytes_sent += conn->goodbye_size;
    return true;
}

/* Sends PING with what else there is. */
static void begin_ping(struct quic_conn *conn) {
    if (conn->ping) {
        compat_keep_alive(conn->ngtcp2, 1);
    }
}

static void end_ping(struct quic_conn *conn) {
    if (conn->ping && conn->ngtcp2 != NULL) {
        conn->ping = false;
        compat_keep_alive(conn->ngtcp2, conn->keep_alive
                                            ? conn->endpoint->config.keep_alive_interval
                                            : NANOS_NEVER);
    }
}

bool transmit_conn(struct quic_conn *conn, struct span room, struct quic_packet *ret_packet) {
    struct quic_endpoint *endpoint = conn->endpoint;
    list_remove(&endpoint->ready, &conn->ready);
    if (conn->ngtcp2 != NULL && conn->broken != 0) {
        close_by_us(conn, conn->broken, QUIC_CODE_INTERNAL, false,
                    plasm_error_message(conn->broken));
        if (list_linked(&conn->ready)) {
            list_remove(&endpoint->ready, &conn->ready);
        }
    }
    if (conn->ngtcp2 == NULL) {
        return transmit_goodbye(conn, room, ret_packet);
    }
    struct quic_packet batch;
    compat_info info;
    bool paced = is_paced(conn, &info);
    conn->paced_until = paced ? conn->paced_until : 0;
    begin_ping(conn);
    bool more = write_batch(conn, room, paced ? quantum_of(&info) : room.size, &batch);
    end_ping(conn);
    if (paced && batch.size > 0) {
        pace(conn, &info, batch.size);
    }
    if (conn->ngtcp2 != NULL && more) {
        conn_ready(conn);
    } else if (conn->ngtcp2 != NULL) {
        conn_settle(conn);
    }
    *ret_packet = batch;
    return batch.size > 0;
}

int quic_punch(struct quic_endpoint *endpoint, const struct netaddr *remote) {
    if (endpoint->punch_count == QUIC_PUNCHES_MAX) {
        return PLASM_LIMIT;
    }
    endpoint->punches[endpoint->punch_count++] = *remote;
    return 0;
}

static void transmit_punch(struct quic_endpoint *endpoint, struct span room,
                           struct quic_packet *ret_packet) {
    random_fill(&endpoint->random, (struct span){room.data, QUIC_PUNCH_SIZE});
    room.data[0] &= 0x3f; /* neither a long header nor the fixed bit of a short one */
    endpoint->punch_count--;
    *ret_packet = (struct quic_packet){.local = endpoint->config.local,
                                       .remote = endpoint->punches[endpoint->punch_count],
                                       .size = QUIC_PUNCH_SIZE,
                                       .segment_size = QUIC_PUNCH_SIZE};
}

bool quic_transmit(struct quic_endpoint *endpoint, struct span room, nanos now,
                   struct quic_packet *ret_packet) {
    ENSURE(room.size >= QUIC_PACKET_SIZE_MAX);
    endpoint_reap(endpoint);
    endpoint_set_time(endpoint, now);
    if (endpoint->pending.size > 0) {
        memcpy(room.data, endpoint->pending_bytes, endpoint->pending.size);
        *ret_packet = endpoint->pending;
        endpoint->pending.size = 0;
        return true;
    }
    if (endpoint->punch_count > 0) {
        transmit_punch(endpoint, room, ret_packet);
        return true;
    }
    struct list_node *node;
    while ((node = list_first(&endpoint->ready)) != NULL) {
        struct quic_conn *conn = CONTAINER_OF(node, struct quic_conn, ready);
        struct quic_packet packet;
        if (transmit_conn(conn, room, &packet)) {
            *ret_packet = packet;
            return true;
        }
    }
    return false;
}
