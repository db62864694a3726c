/* The other end of a link in memory without any peer behind it: it says what it is told to. */
#ifndef PEER_RAW_TESTING_H
#define PEER_RAW_TESTING_H

#include "peer/memory_world_testing.h"
#include "wire/varint.h"

#define RAW_STREAMS_MAX 512
#define RAW_READ_MAX    65536

struct raw_stream {
    struct link_stream *stream; /* NULL once it has closed */
    bool theirs;                /* the peer opened it */
    bool holds_credit;
    bool got_end;
    bool got_reset;
    bool got_stop;
    size_t read;
    uint8_t bytes[RAW_READ_MAX]; /* what of it fits */
};

struct raw {
    struct world *world;
    struct memory memory;
    struct memory_transport *transport;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    struct multiaddr address;
    struct link *link; /* NULL before and after */
    uint64_t close_code;
    size_t stream_count;
    struct raw_stream *streams[RAW_STREAMS_MAX];
};

/* In a world of links in memory, at 10.`network`. `number` tells several of them apart. */
static inline struct raw *raw_new_in(struct world *world, uint8_t network, uint8_t number) {
    struct raw *raw = memory_alloc(sizeof(*raw));
    raw->world = world;
    memory_init(&raw->memory, SIZE_MAX);
    uint8_t seed[ED25519_SEED_SIZE] = {number, 99, network};
    ed25519_from_seed(&raw->secret, seed);
    public_key_from_ed25519(raw->secret.public_key, &raw->key);
    peer_id_from_key(&raw->key, &raw->id);
    struct netaddr address = {.family = NETADDR_IP4, .ip = {10, network, 9, number}, .port = 4001};
    multiaddr_from_quic(&address, &raw->address);
    raw->transport = memory_transport_new(memory_net_of(world), &raw->address, &raw->id, &raw->key);
    return raw;
}

static inline struct raw *raw_new(struct world *world, uint8_t number) {
    return raw_new_in(world, 9, number);
}

static inline struct raw_stream *raw_stream_new(struct raw *raw, struct link_stream *link_stream,
                                                bool theirs) {
    ENSURE(raw->stream_count < RAW_STREAMS_MAX);
    struct raw_stream *stream = memory_alloc(sizeof(*stream));
    stream->stream = link_stream;
    stream->theirs = theirs;
    link_stream->user = stream;
    raw->streams[raw->stream_count++] = stream;
    return stream;
}

static inline void raw_lost(struct raw *raw) {
    raw->link = NULL;
    for (size_t i = 0; i < raw->stream_count; i++) {
        raw->streams[i]->stream = NULL;
    }
}

static inline void raw_free(struct raw *raw) {
    memory_transport_free(raw->transport);
    for (size_t i = 0; i < raw->stream_count; i++) {
        free(raw->streams[i]);
    }
    ENSURE(raw->memory.used == 0);
    free(raw);
}

static inline void raw_take(struct raw *raw, const struct link_event *event) {
    struct raw_stream *stream = event->stream != NULL ? event->stream->user : NULL;
    switch (event->type) {
    case LINK_CONNECTED:
        raw->link = event->link;
        break;
    case LINK_CLOSED:
        raw->close_code = event->code;
        raw_lost(raw);
        break;
    case LINK_STREAM_OPENED:
        (void)raw_stream_new(raw, event->stream, true);
        break;
    case LINK_STREAM_DATA:
        for (size_t i = 0; i < event->data.size && stream->read + i < RAW_READ_MAX; i++) {
            stream->bytes[stream->read + i] = event->data.data[i];
        }
        stream->read += event->data.size;
        stream->got_end = event->fin;
        if (!stream->holds_credit) {
            memory_consume(event->stream, event->data.size);
        }
        break;
    case LINK_STREAM_RESET:
        stream->got_reset = true;
        break;
    case LINK_STREAM_STOPPED:
        stream->got_stop = true;
        break;
    case LINK_STREAM_CLOSED:
        stream->stream = NULL;
        break;
    case LINK_STREAM_WRITABLE:
    case LINK_MOVED:
        break;
    }
}

/* Lets time pass. */
static inline void raw_run(struct raw *raw, nanos time) {
    struct world *world = raw->world;
    nanos end = world->now + time;
    for (;;) {
        struct link_event event;
        world_settle(world);
        while (memory_next_event(&raw->transport->transport, &event)) {
            raw_take(raw, &event);
        }
        world_settle(world);
        nanos next = nanos_min(world_deadline(world), memory_deadline(&raw->transport->transport));
        if (next > end) {
            world->now = end;
            return;
        }
        world->now = nanos_max(next, world->now);
    }
}

static inline void raw_connect(struct raw *raw, const struct world_node *node) {
    struct link *link;
    int error = memory_dial(&raw->transport->transport, &node->address, &node->id, 0,
                            raw->world->now, &link);
    ENSURE(error == 0);
    raw_run(raw, 4 * raw->world->delay);
}

static inline void raw_write(struct raw *raw, struct raw_stream *stream, struct bytes bytes,
                             bool fin) {
    struct block *block = block_copy(&raw->memory, bytes);
    size_t accepted = 0;
    ENSURE(block != NULL);
    (void)memory_write(stream->stream, block, 0, bytes.size, fin, &accepted);
    block_unref(block);
}

static inline struct raw_stream *raw_open(struct raw *raw) {
    struct link_stream *stream;
    int error = memory_open(raw->link, &stream);
    ENSURE(error == 0);
    return raw_stream_new(raw, stream, false);
}

/* The negotiation as the side says it that proposes, or agrees. */
static inline size_t raw_negotiation(const char *protocol, uint8_t room[256]) {
    struct writer writer = writer_of((struct span){.data = room, .size = 256});
    writer_bytes_put(&writer, BYTES_LITERAL("\x13/multistream/1.0.0\n"));
    uvarint_write(&writer, strlen(protocol) + 1);
    writer_bytes_put(&writer, bytes_of_string(protocol));
    writer_bytes_put(&writer, BYTES_LITERAL("\n"));
    ENSURE(writer.error == 0);
    return writer.size;
}

static inline void raw_negotiate(struct raw *raw, struct raw_stream *stream, const char *protocol) {
    uint8_t room[256];
    raw_write(raw, stream, bytes_of(room, raw_negotiation(protocol, room)), false);
}

static inline struct raw_stream *raw_open_protocol(struct raw *raw, const char *protocol) {
    struct raw_stream *stream = raw_open(raw);
    raw_negotiate(raw, stream, protocol);
    return stream;
}

/* What came after the negotiation of `protocol`; empty where that did not come. */
static inline struct bytes raw_answer(const struct raw_stream *stream, const char *protocol) {
    uint8_t room[256];
    size_t size = raw_negotiation(protocol, room);
    struct bytes all = bytes_of(stream->bytes, stream->read);
    return bytes_start_with(all, bytes_of(room, size)) ? bytes_slice(all, size, all.size)
                                                       : bytes_of(NULL, 0);
}

/* The last stream the peer opened for `protocol`; NULL when there is none. */
static inline struct raw_stream *raw_theirs(const struct raw *raw, const char *protocol) {
    uint8_t room[256];
    size_t size = raw_negotiation(protocol, room);
    for (size_t i = raw->stream_count; i > 0; i--) {
        struct raw_stream *stream = raw->streams[i - 1];
        if (stream->theirs &&
            bytes_start_with(bytes_of(stream->bytes, stream->read), bytes_of(room, size))) {
            return stream;
        }
    }
    return NULL;
}

#endif
