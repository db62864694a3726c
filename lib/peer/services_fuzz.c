/* Fuzz target: what two strangers may say to the services that connections to others come of: relay
 * (as a relay, and as who is reached through one), hole punching, AutoNAT both ways, perf. The
 * input is a list of what they do; the top bit of an action says which of them. */
#include "peer/pipe_plain_testing.h"
#include "peer/pipe_transport.h"
#include "peer/raw_testing.h"
#include "proto/autonat/message.h"
#include "proto/dcutr/dcutr.h"
#include "proto/perf/perf.h"
#include "proto/relay/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action {
    OPEN,   /* a stream, and say a protocol; with the top bit set, its first message too */
    WRITE,  /* so many of the bytes that follow */
    FRAME,  /* the same, behind their length */
    FINISH, /* the same, and no more */
    RESET,
    AGREE,    /* to what the node proposed on the last stream it opened */
    IDENTIFY, /* tell the node which protocols there are */
    WAIT,
    ASK, /* the node wants something */
    CREDIT,
    ACTIONS,
};

#define ACTIONS_MAX    64
#define STRANGERS      2
#define MEMORY_MAX     ((size_t)6 << 20)
#define STREAMS_OF_ONE 100

static const char *const protocols[] = {
    RELAY_HOP_PROTOCOL,  RELAY_STOP_PROTOCOL,   DCUTR_PROTOCOL, AUTONAT_V1_PROTOCOL,
    AUTONAT_V2_PROTOCOL, AUTONAT_BACK_PROTOCOL, PERF_PROTOCOL,  IDENTIFY_PROTOCOL,
};

/* A node in memory with everything that relays need. */
struct fuzz_node {
    struct memory_transport *direct;
    struct transport *pipes;
    struct plain_security plain;
    const struct pipe_security *securities[1];
};

static bool fuzz_start(struct world_node *node) {
    struct fuzz_node *own = memory_alloc(sizeof(*own));
    own->direct =
        memory_transport_new(memory_net_of(node->world), &node->address, &node->id, &node->key);
    plain_security_init(&own->plain, "/plain/1", &node->key, true, true);
    own->securities[0] = &own->plain.security;
    const struct pipe_config config = {.securities = own->securities,
                                       .security_count = 1,
                                       .memory = &node->memory.memory,
                                       .seed = {7},
                                       .limits = pipe_limits_default};
    node->transport = own;
    return pipe_transport_new(&config, &own->pipes) == 0 &&
           peer_add_transport(node->peer, &own->direct->transport) == 0 &&
           peer_add_transport(node->peer, own->pipes) == 0 &&
           peer_set_circuits(node->peer, own->pipes) == 0 &&
           peer_serve_relay(node->peer, &relay_limits_default, node->world->now) == 0;
}

static void fuzz_stop(struct world_node *node) {
    struct fuzz_node *own = node->transport;
    pipe_transport_free(own->pipes);
    memory_transport_free(own->direct);
    free(own);
    node->transport = NULL;
}

static const struct world_kind fuzz_world = {
    .name = "fuzz", .start = fuzz_start, .stop = fuzz_stop, .done = memory_world_done};

static const char *protocol_of(uint8_t choice) {
    return protocols[choice % ARRAY_SIZE(protocols)];
}

/* A message that names peers, which no fuzzer would find: RESERVE, or CONNECT to the other one; on
 * a stop stream CONNECT from the other one. */
static void begin(struct raw *raw, struct raw_stream *stream, const struct raw *other,
                  uint8_t choice) {
    bool hop = choice % ARRAY_SIZE(protocols) == 0;
    bool reserves = hop && (choice & 0x40) == 0;
    const struct relay_message message = {.type = reserves ? RELAY_RESERVE : RELAY_CONNECT,
                                          .peer = reserves ? bytes_of(NULL, 0)
                                                           : peer_id_bytes(&other->id)};
    struct memory memory;
    struct buffer out;
    if (choice % ARRAY_SIZE(protocols) > 1) {
        return;
    }
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, RELAY_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
    int error = relay_message_encode(hop ? RELAY_HOP : RELAY_STOP, &message, &out);
    ENSURE(error == 0);
    raw_write(raw, stream, buffer_bytes(&out), false);
    buffer_done(&out);
}

/* Answers the node's identify with all the protocols, so that it makes use of them. */
static void identify(struct raw *raw) {
    struct raw_stream *stream = raw_theirs(raw, IDENTIFY_PROTOCOL);
    if (stream == NULL || stream->stream == NULL) {
        return;
    }
    struct memory memory;
    struct buffer out;
    struct identify message = {.address_count = 1,
                               .addresses = {multiaddr_bytes(&raw->address)},
                               .observed = multiaddr_bytes(&raw->address)};
    memory_init(&memory, SIZE_MAX);
    buffer_init(&out, &memory, 8192);
    while (message.protocol_count < ARRAY_SIZE(protocols)) {
        message.protocols[message.protocol_count] =
            bytes_of_string(protocols[message.protocol_count]);
        message.protocol_count++;
    }
    int error = identify_encode(&message, &out);
    ENSURE(error == 0);
    raw_negotiate(raw, stream, IDENTIFY_PROTOCOL);
    raw_write(raw, stream, buffer_bytes(&out), true);
    buffer_done(&out);
}

static void ask(struct world_node *node, struct raw *const *raws, uint8_t choice) {
    const struct raw *raw = raws[choice % STRANGERS];
    struct multiaddr through = raw->address;
    uint64_t request = 0;
    int error = multiaddr_append(&through, MULTIADDR_P2P, peer_id_bytes(&raw->id));
    ENSURE(error == 0);
    switch (choice / STRANGERS % 4) {
    case 0:
        error = peer_add_relay(node->peer, &through, node->world->now);
        break;
    case 1:
        peer_use_relays(node->peer, choice / 8 % 2 == 0, node->world->now);
        break;
    case 2: /* the other one, by this one */
        error = multiaddr_append(&through, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0));
        ENSURE(error == 0);
        error = peer_connect(node->peer, &raws[1 - choice % STRANGERS]->id, &through, 1,
                             node->world->now, &request);
        break;
    case 3:
        peer_set_addresses(node->peer, &node->address, 1, choice, node->world->now);
        break;
    }
    ENSURE(error == 0 || error == PLASM_LIMIT || error == PLASM_CONFLICT);
}

static struct raw_stream *stream_of(const struct raw *raw, uint8_t choice) {
    struct raw_stream *stream =
        raw->stream_count > 0 ? raw->streams[choice % raw->stream_count] : NULL;
    return stream != NULL && stream->stream != NULL ? stream : NULL;
}

static void say(struct raw *raw, struct raw_stream *stream, enum action action,
                struct bytes *input) {
    struct bytes bytes = bytes_slice(*input, 1, input->size > 0 ? input->data[0] : 0);
    *input = bytes_slice(*input, 1 + bytes.size, input->size);
    if (action == FRAME) {
        uint8_t prefix[UVARINT_SIZE_MAX];
        struct writer writer = writer_of(test_span(prefix, sizeof(prefix)));
        uvarint_write(&writer, bytes.size);
        raw_write(raw, stream, writer_bytes(&writer), false);
    }
    raw_write(raw, stream, bytes, action == FINISH);
}

static void agree(struct raw *raw, const char *protocol) {
    struct raw_stream *stream = raw_theirs(raw, protocol);
    if (stream != NULL && stream->stream != NULL) {
        raw_negotiate(raw, stream, protocol);
    }
}

static void act(struct world_node *node, struct raw *const *raws, struct bytes *input) {
    static const nanos waits[] = {NANOS_MILLISECOND, 30 * NANOS_MILLISECOND, NANOS_SECOND,
                                  11 * NANOS_SECOND};
    uint8_t first = input->data[0];
    enum action action = (enum action)((first & 0x7f) % ACTIONS);
    struct raw *raw = raws[first >> 7];
    uint8_t choice = input->data[1];
    *input = bytes_slice(*input, 2, input->size);
    struct raw_stream *stream = stream_of(raw, choice);
    if (action == OPEN && raw->link != NULL && raw->stream_count < STREAMS_OF_ONE) {
        stream = raw_open_protocol(raw, protocol_of(choice));
        if ((choice & 0x80) != 0) {
            begin(raw, stream, raws[1 - (first >> 7)], choice);
        }
    } else if (action == AGREE) {
        agree(raw, protocol_of(choice));
    } else if (action == IDENTIFY) {
        identify(raw);
    } else if (action == WAIT) {
        raw_run(raw, waits[choice % ARRAY_SIZE(waits)]);
    } else if (action == ASK) {
        ask(node, raws, choice);
    } else if (stream != NULL && action == RESET) {
        memory_reset(stream->stream, choice);
    } else if (stream != NULL && action == CREDIT) {
        stream->holds_credit = !stream->holds_credit;
    } else if (stream != NULL && (action == WRITE || action == FRAME || action == FINISH)) {
        say(raw, stream, action, input);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    struct world world;
    struct raw *raws[STRANGERS];
    world_init(&world, &fuzz_world);
    struct world_node *node = world_add(&world);
    node->config.perf_server = true;
    bool started = world_start(node);
    ENSURE(started);
    for (uint8_t i = 0; i < STRANGERS; i++) {
        raws[i] = raw_new_in(&world, (uint8_t)(9 + i), (uint8_t)(1 + i));
        raw_connect(raws[i], node);
    }
    for (int i = 0; i < ACTIONS_MAX && input.size >= 2; i++) {
        act(node, raws, &input);
    }
    for (int i = 0; i < 12; i++) { /* both hear what the node says */
        raw_run(raws[i % STRANGERS], 10 * NANOS_SECOND);
    }
    ENSURE(node->memory.memory.used < MEMORY_MAX);
    for (size_t i = 0; i < STRANGERS; i++) {
        raw_free(raws[i]);
    }
    world_run(&world, 5 * NANOS_MINUTE);
    ENSURE(peer_connection_count(node->peer) == 0);
    ENSURE(peer_stream_count(node->peer) == 0);
    world_done(&world);
    return 0;
}
