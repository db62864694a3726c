/* Filling packets: which connection, which stream, how many at a time. */
#include "proto/quic/internal.h"
#include "util/ensure.h"

/* Pieces of a stream's queue offered for one packet. */
#define VECTORS_MAX 16
/* What one system call takes with segmentation offload. */
#define SEGMENTS_MAX 64
/* Pacing is for paths that have a queue somewhere: below this round trip it only costs timers. */
#define PACED_RTT_MIN (2 * NANOS_MILLISECOND)
/* So much may leave at once before the pacer is asked, as RFC 9002 allows at the beginning. */
#define BURST_BYTES ((size_t)12000)
/* A paced batch holds what the path takes in this time, and no less than a burst. */
#define QUANTUM NANOS_MILLISECOND

static void forget_unpaced(struct quic_conn *conn, nanos now) {
    conn->unpaced_bytes = 0;
    compat_forget_sent(conn->ngtcp2, now);
    int result = ngtcp2_conn_handle_expiry(conn->ngtcp2, now);
    if (result != 0) {
        close_by_library(conn, result);
    }
}

static bool is_paced(const struct quic_conn *conn, compat_info *ret_info) {
    if (conn->state != CONN_OPEN) {
        return false;
    }
    compat_get_info(conn->ngtcp2, ret_info);
    return compat_has_rtt(ret_info) && ret_info->smoothed_rtt >= PACED_RTT_MIN;
}

/* How much a batch may hold. */
static size_t quantum_of(const struct quic_conn *conn, size_t room) {
    compat_info info;
    if (!is_paced(conn, &info)) {
        return room;
    }
    uint64_t quantum = info.cwnd * QUANTUM / info.smoothed_rtt;
    quantum = quantum > BURST_BYTES ? quantum : BURST_BYTES;
    return quantum < room ? (size_t)quantum : room;
}

/* After a batch has left. */
static void pace(struct quic_conn *conn, size_t size) {
    nanos now = conn->endpoint->now;
    compat_info info;
    bool paced = is_paced(conn, &info);
    if (paced && nanos_since(now, conn->last_sent) > info.smoothed_rtt) {
        conn->pacing = false; /* idle for a round trip: a burst is fine again */
    }
    conn->last_sent = now;
    conn->unpaced_bytes += size;
    if (paced && !conn->pacing) {
        conn->pacing = true;
        forget_unpaced(conn, now);
        conn->unpaced_bytes = size;
    } else if (!paced && conn->unpaced_bytes > COMPAT_UNPACED_MAX) {
        forget_unpaced(conn, now);
    } else if (paced && conn->unpaced_bytes >= BURST_BYTES) {
        ngtcp2_conn_update_pkt_tx_time(conn->ngtcp2, now);
        conn->unpaced_bytes = 0;
    }
}

/* The next stream with something that may be sent now; when the connection is `blocked` by flow
 * control only the end of a stream may. */
static struct quic_stream *next_stream(struct quic_conn *conn, bool blocked) {
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
    while (count < VECTORS_MAX && size < QUIC_PACKET_SIZE_MAX) {
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

/* Where and how a packet goes, as far as a batch has to be alike. */
static bool same_way(const struct quic_packet *a, const struct quic_packet *b) {
    return a->ecn == b->ecn && netaddr_equal(&a->remote, &b->remote) &&
           netaddr_equal(&a->local, &b->local);
}

static void keep_pending(struct quic_endpoint *endpoint, const struct quic_packet *packet,
                         const uint8_t *bytes) {
    memcpy(endpoint->pending_bytes, bytes, packet->size);
    endpoint->pending = *packet;
}

/* Packets of one connection until the room, the quantum or what there is to send ends. Returns
 * false when there is nothing (more) to send now. */
static bool write_batch(struct quic_conn *conn, struct span room, struct quic_packet *batch) {
    struct quic_endpoint *endpoint = conn->endpoint;
    size_t quantum = quantum_of(conn, room.size);
    size_t count = 0;
    batch->size = 0;
    while (count < SEGMENTS_MAX && room.size - batch->size >= QUIC_PACKET_SIZE_MAX &&
           (batch->size < quantum || count == 0)) {
        struct quic_path path;
        ngtcp2_pkt_info info = {0};
        path_init(&path);
        struct span rest = {.data = room.data + batch->size, .size = QUIC_PACKET_SIZE_MAX};
        ngtcp2_ssize size = write_packet(conn, &path.path, &info, rest);
        if (size < 0) {
            close_by_library(conn, (int)size);
            return false;
        }
        if (size == 0) {
            return false;
        }
        struct quic_packet packet = {
            .ecn = (uint8_t)info.ecn, .size = (size_t)size, .segment_size = (size_t)size};
        path_addresses(&path.path, &packet.local, &packet.remote);
        count++;
        endpoint->stats.packets_sent++;
        endpoint->stats.bytes_sent += packet.size;
        if (batch->size == 0) {
            *batch = packet;
        } else if (packet.size > batch->segment_size || !same_way(&packet, batch)) {
            keep_pending(endpoint, &packet, rest.data);
            return true;
        } else {
            batch->size += packet.size;
        }
        if (packet.size < batch->segment_size) {
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
    begin_ping(conn);
    bool more = write_batch(conn, room, &batch);
    end_ping(conn);
    if (conn->ngtcp2 != NULL) {
        if (batch.size > 0) {
            pace(conn, batch.size);
        }
        if (more) {
            conn_ready(conn);
        } else {
            conn_settle(conn);
        }
    }
    *ret_packet = batch;
    return batch.size > 0;
}

bool quic_transmit(struct quic_endpoint *endpoint, struct span room, nanos now,
                   struct quic_packet *ret_packet) {
    ENSURE(room.size >= QUIC_PACKET_SIZE_MAX);
    endpoint_reap(endpoint);
    endpoint->now = now;
    if (endpoint->pending.size > 0) {
        memcpy(room.data, endpoint->pending_bytes, endpoint->pending.size);
        *ret_packet = endpoint->pending;
        endpoint->pending.size = 0;
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
