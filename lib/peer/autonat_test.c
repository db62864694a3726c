/* Asking to be dialled back: the server is the test's own, so that it can lie. */
#include "peer/memory_world_testing.h"
#include "peer/reachability.h"
#include "proto/autonat/message.h"
#include "wire/varint.h"

struct stage {
    struct world world;
    struct memory memory;
    struct world_node *asker;
    struct world_node *server;
    struct world_node *helper;        /* another connection to the asker */
    struct peer_stream *question;     /* as the server sees it */
    struct peer_connection *asked_on; /* as the asker sees it */
    struct buffer in;
};

static void on_event(struct world_node *node, const struct peer_event *event) {
    struct stage *stage = node->world->test;
    if (event->type == PEER_EVENT_STREAM_OPENED &&
        strcmp(event->protocol, AUTONAT_V2_PROTOCOL) == 0) {
        stage->question = event->stream;
    } else if (event->type == PEER_EVENT_STREAM_DATA && event->stream == stage->question) {
        ENSURE(buffer_append(&stage->in, event->data) == 0);
    } else if (event->type == PEER_EVENT_STREAM_CLOSED && event->stream == stage->question) {
        stage->question = NULL;
    }
}

static struct world_node *add_node(struct stage *stage) {
    static const char *const protocols[] = {WORLD_ECHO, AUTONAT_V2_PROTOCOL};
    struct world_node *node = world_add(&stage->world);
    node->config.protocols = protocols;
    node->config.protocol_count = ARRAY_SIZE(protocols);
    node->on_event = on_event;
    node->ignores_streams = true;
    assert_true(world_start(node));
    return node;
}

static void stage_init(struct stage *stage) {
    memset(stage, 0, sizeof(*stage));
    memory_init(&stage->memory, SIZE_MAX);
    buffer_init(&stage->in, &stage->memory, 2 * AUTONAT_V2_MESSAGE_SIZE_MAX);
    world_init(&stage->world, memory_world());
    stage->world.test = stage;
    (void)world_node_new(&stage->world);
    (void)add_node(stage);
    (void)add_node(stage);
    stage->asker = &stage->world.nodes[0];
    stage->server = &stage->world.nodes[1];
    stage->helper = &stage->world.nodes[2];
    stage->asked_on = world_connect(stage->asker, stage->server);
    (void)world_connect(stage->helper, stage->asker);
    world_run(&stage->world, NANOS_SECOND);
}

static void stage_done(struct stage *stage) {
    buffer_done(&stage->in);
    world_done(&stage->world);
}

static void write_bytes(struct world_node *node, struct peer_stream *stream, struct bytes bytes,
                        bool fin) {
    struct block *block = block_copy(&node->memory.memory, bytes);
    ENSURE(block != NULL);
    size_t accepted = 0;
    assert_int_equal(peer_stream_write(stream, block, 0, bytes.size, fin, &accepted), 0);
    assert_int_equal(accepted, bytes.size);
    block_unref(block);
}

/* Brings the nonce to the asker on whatever connection `from` has to it. */
static void bring_nonce(struct stage *stage, struct world_node *from, uint64_t nonce) {
    struct peer_connection *connection = peer_connection_to(from->peer, &stage->asker->id);
    assert_non_null(connection);
    struct peer_stream *stream;
    assert_int_equal(
        peer_stream_open(from->peer, connection, AUTONAT_BACK_PROTOCOL, stage->world.now, &stream),
        0);
    uint8_t room[32];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    autonat_back_encode(nonce, &writer);
    write_bytes(from, stream, writer_bytes(&writer), true);
    world_run(&stage->world, NANOS_SECOND);
}

/* A question, whose nonce `from` brings before the server says that it dialled. */
static int ask(struct stage *stage, struct world_node *from) {
    uint64_t request = 0;
    assert_int_equal(peer_probe(stage->asker->peer, stage->asked_on, &stage->asker->address, 1,
                                stage->world.now, &request),
                     0);
    world_run(&stage->world, NANOS_SECOND);
    struct bytes payload;
    size_t size;
    assert_int_equal(
        frame_read(buffer_bytes(&stage->in), AUTONAT_V2_MESSAGE_SIZE_MAX, &payload, &size), 0);
    struct autonat_message message;
    assert_int_equal(autonat_decode(AUTONAT_V2, payload, &message), 0);
    assert_int_equal(message.type, AUTONAT_DIAL);
    bring_nonce(stage, from, message.nonce);
    uint8_t room[128];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    const struct autonat_message answer = {
        .type = AUTONAT_DIAL_RESPONSE, .status = AUTONAT_V2_OK, .dial_status = AUTONAT_DIAL_OK};
    autonat_encode(AUTONAT_V2, &answer, &writer);
    write_bytes(stage->server, stage->question, writer_bytes(&writer), true);
    const struct peer_event *event =
        world_await(stage->asker, PEER_EVENT_PROBED, request, WORLD_PATIENCE);
    assert_non_null(event);
    return event->error;
}

static void a_nonce_on_a_new_connection_proves(void **state) {
    (void)state;
    struct stage stage;
    stage_init(&stage);
    assert_int_equal(ask(&stage, stage.helper), 0);
    stage_done(&stage);
}

/* What comes on a connection that we dialled shows nothing of who can dial us. */
static void a_nonce_on_our_own_connection_proves_nothing(void **state) {
    (void)state;
    struct stage stage;
    stage_init(&stage);
    assert_int_equal(ask(&stage, stage.server), PLASM_UNTRUSTED);
    stage_done(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nonce_on_a_new_connection_proves),
        cmocka_unit_test(a_nonce_on_our_own_connection_proves_nothing),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
