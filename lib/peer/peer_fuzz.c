/* Fuzz target: whatever a connected peer may say, in any order and over time. The input is a list
 * of what it does; bytes on streams are the input's own. */
#include "peer/raw_testing.h"

#include "proto/ping/ping.h"
#include "wire/multihash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action {
    OPEN,    /* a stream, and say a protocol */
    OPEN_NO, /* a stream */
    WRITE,
    FINISH,
    RESET,
    AGREE, /* to what the peer proposed on the last stream it opened */
    WAIT,
    ASK,   /* the peer asks for something */
    FRAME, /* a length before what is written next */
    CREDIT,
    ACTIONS,
};

#define ACTIONS_MAX 64
#define WRITE_MAX   255

static const char *protocol_of(uint8_t choice) {
    static const char *const protocols[] = {
        IDENTIFY_PROTOCOL, IDENTIFY_PUSH_PROTOCOL, PING_PROTOCOL, WORLD_KAD, CAPABILITY_PROTOCOL,
        WORLD_ECHO,        WORLD_NOBODY,
    };
    return protocols[choice % ARRAY_SIZE(protocols)];
}

static struct raw_stream *stream_of(const struct raw *raw, uint8_t choice) {
    struct raw_stream *stream =
        raw->stream_count > 0 ? raw->streams[choice % raw->stream_count] : NULL;
    return stream != NULL && stream->stream != NULL ? stream : NULL;
}

static void ask(struct world_node *node, const struct raw *raw, uint8_t choice) {
    struct peer_connection *connection = peer_connection_to(node->peer, &raw->id);
    uint64_t request = 0;
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("k"), key);
    int error = 0;
    switch (choice % 6) {
    case 0:
        error =
            connection != NULL ? peer_ping(node->peer, connection, node->world->now, &request) : 0;
        break;
    case 1:
        error = peer_find_providers(node->peer, BYTES_ARRAY(key), 3, node->world->now, &request);
        break;
    case 2:
        error = peer_get_value(node->peer, BYTES_LITERAL("/w/k"), node->world->now, &request);
        break;
    case 3:
        error = peer_put_value(node->peer, BYTES_LITERAL("/w/k"), BYTES_LITERAL("v"),
                               node->world->now, &request);
        break;
    case 4:
        error = peer_find_peer(node->peer, &raw->id, node->world->now, &request);
        break;
    case 5:
        error = peer_set_capability(node->peer, BYTES_LITERAL("{}"), node->world->now);
        break;
    }
    ENSURE(error == 0 || error == PLASM_LIMIT || error == PLASM_CLOSED || error == PLASM_CONFLICT);
}

static void act(struct world_node *node, struct raw *raw, struct bytes *input) {
    static const nanos waits[] = {NANOS_MILLISECOND, 20 * NANOS_MILLISECOND, NANOS_SECOND,
                                  11 * NANOS_SECOND};
    uint8_t action = input->data[0] % ACTIONS;
    uint8_t choice = input->data[1];
    *input = bytes_slice(*input, 2, input->size);
    struct raw_stream *stream = stream_of(raw, choice);
    bool room = raw->link != NULL && raw->stream_count < RAW_STREAMS_MAX / 2;
    if (action == OPEN && room) {
        (void)raw_open_protocol(raw, protocol_of(choice));
    } else if (action == OPEN_NO && room) {
        (void)raw_open(raw);
    } else if (action == AGREE) {
        stream = raw_theirs(raw, protocol_of(choice));
        if (stream != NULL && stream->stream != NULL) {
            raw_negotiate(raw, stream, protocol_of(choice));
        }
    } else if (action == WAIT) {
        raw_run(raw, waits[choice % ARRAY_SIZE(waits)]);
    } else if (action == ASK) {
        ask(node, raw, choice);
    } else if (stream != NULL && action == RESET) {
        memory_reset(stream->stream, choice);
    } else if (stream != NULL && action == CREDIT) {
        stream->holds_credit = !stream->holds_credit;
    } else if (stream != NULL && (action == WRITE || action == FINISH || action == FRAME)) {
        size_t length = input->size > 0 ? input->data[0] : 0;
        struct bytes bytes = bytes_slice(*input, 1, length);
        *input = bytes_slice(*input, 1 + bytes.size, input->size);
        if (action == FRAME) {
            uint8_t prefix[UVARINT_SIZE_MAX];
            struct writer writer = writer_of(test_span(prefix, sizeof(prefix)));
            uvarint_write(&writer, bytes.size);
            raw_write(raw, stream, writer_bytes(&writer), false);
        }
        raw_write(raw, stream, bytes, action == FINISH);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    struct world world;
    world_init(&world, memory_world());
    struct world_node *node = world_add(&world);
    node->config.capability_reader = true;
    node->config.kad_namespaces = world_namespaces();
    bool started = world_start(node);
    ENSURE(started);
    struct raw *raw = raw_new(&world, 1);
    raw_connect(raw, node);
    for (int i = 0; i < ACTIONS_MAX && input.size >= 2; i++) {
        act(node, raw, &input);
    }
    raw_run(raw, 2 * NANOS_MINUTE);
    /* An echo that nobody ends is the application's own business; who posed as a DHT server may
     * just be asked something. */
    ENSURE(peer_stream_count(node->peer) <= node->echoes + KAD_CHECKS_MAX);
    ENSURE(node->memory.memory.used < 4 * 1024 * 1024);
    raw_free(raw);
    world_run(&world, NANOS_SECOND);
    ENSURE(peer_connection_count(node->peer) == 0);
    world_done(&world);
    return 0;
}
