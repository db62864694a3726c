/* Being a relay and reserving on one, over links in memory: the streams of caller and called are
 * the test's own, so that it sees every byte of the protocol. */
#include "peer/memory_world_testing.h"
#include "proto/relay/message.h"
#include "wire/varint.h"

#define LIMIT_BYTES 100000

static struct relay_limits limits(void) {
    struct relay_limits limits = relay_limits_default;
    limits.circuit_bytes_max = LIMIT_BYTES;
    limits.circuit_duration_max = NANOS_MINUTE;
    return limits;
}

/* One end of a circuit: what it read, and whether it is over. */
struct end {
    struct world_node *node;
    struct peer_stream *stream;
    struct buffer in;
    size_t total;
    bool fin;
    bool closed;
    int error;
};

struct stage {
    struct world world;
    struct memory memory;
    struct world_node *relay;
    struct world_node *called;
    struct world_node *caller;
    struct end ends[2]; /* caller's hop stream, called's stop stream */
    bool holds_credit;
};

static struct end *end_of(struct stage *stage, const struct peer_stream *stream) {
    for (size_t i = 0; i < 2; i++) {
        if (stage->ends[i].stream == stream) {
            return &stage->ends[i];
        }
    }
    return NULL;
}

static void on_event(struct world_node *node, const struct peer_event *event) {
    struct stage *stage = node->world->test;
    if (event->type == PEER_EVENT_STREAM_OPENED &&
        strcmp(event->protocol, RELAY_STOP_PROTOCOL) == 0) {
        stage->ends[1].stream = event->stream;
    }
    struct end *end = event->stream != NULL ? end_of(stage, event->stream) : NULL;
    if (end == NULL) {
        return;
    }
    if (event->type == PEER_EVENT_STREAM_DATA) {
        ENSURE(buffer_append(&end->in, event->data) == 0);
        end->total += event->data.size;
        end->fin = end->fin || event->fin;
        if (!stage->holds_credit) {
            peer_stream_consume(event->stream, event->data.size);
        }
    } else if (event->type == PEER_EVENT_STREAM_CLOSED) {
        end->closed = true;
        end->error = event->error;
        end->stream = NULL;
    }
}

/* The caller and the called are plain peers that speak the protocols as an application. */
static void stage_init(struct stage *stage, const struct relay_limits *with) {
    static const char *const protocols[] = {WORLD_ECHO, RELAY_STOP_PROTOCOL};
    memset(stage, 0, sizeof(*stage));
    memory_init(&stage->memory, SIZE_MAX);
    world_init(&stage->world, memory_world());
    stage->world.test = stage;
    stage->relay = world_node_new(&stage->world);
    assert_int_equal(peer_serve_relay(stage->relay->peer, with, stage->world.now), 0);
    assert_int_equal(peer_serve_relay(stage->relay->peer, with, stage->world.now), PLASM_STATE);
    for (size_t i = 0; i < 2; i++) {
        struct world_node *node = world_add(&stage->world);
        node->config.protocols = protocols;
        node->config.protocol_count = ARRAY_SIZE(protocols);
        node->on_event = on_event;
        node->ignores_streams = true;
        node->holds_credit = true;
        assert_true(world_start(node));
        (void)world_connect(node, stage->relay);
        buffer_init(&stage->ends[i].in, &stage->memory, SIZE_MAX);
    }
    stage->caller = &stage->world.nodes[1];
    stage->called = &stage->world.nodes[2];
    stage->ends[0].node = stage->caller;
    stage->ends[1].node = stage->called;
}

static void stage_done(struct stage *stage) {
    for (size_t i = 0; i < 2; i++) {
        buffer_done(&stage->ends[i].in);
    }
    assert_int_equal(stage->memory.used, 0);
    world_done(&stage->world);
}

static void reserve(struct stage *stage) {
    struct multiaddr address = world_full_address(stage->relay);
    assert_int_equal(peer_add_relay(stage->called->peer, &address, stage->world.now), 0);
    peer_use_relays(stage->called->peer, true, stage->world.now);
    const struct peer_event *event =
        world_await(stage->called, PEER_EVENT_RELAYED, 0, WORLD_PATIENCE);
    assert_non_null(event);
    assert_int_equal(event->count, 1);
}

static int write_bytes(struct end *end, struct bytes bytes, bool fin) {
    struct block *block = block_copy(&end->node->memory.memory, bytes);
    ENSURE(block != NULL);
    size_t accepted = 0;
    int error = peer_stream_write(end->stream, block, 0, bytes.size, fin, &accepted);
    block_unref(block);
    ENSURE(error != 0 || accepted == bytes.size);
    return error;
}

static void say(struct end *end, enum relay_protocol protocol,
                const struct relay_message *message) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct buffer out;
    buffer_init(&out, &memory, 2 * RELAY_MESSAGE_SIZE_MAX);
    assert_int_equal(relay_message_encode(protocol, message, &out), 0);
    assert_int_equal(write_bytes(end, buffer_bytes(&out), false), 0);
    buffer_done(&out);
}

/* The message an end has got, taken out of what it read. */
static bool hear(struct end *end, enum relay_protocol protocol, struct relay_message *ret_message) {
    struct bytes payload;
    size_t size;
    if (frame_read(buffer_bytes(&end->in), RELAY_MESSAGE_SIZE_MAX, &payload, &size) != 0) {
        return false;
    }
    assert_int_equal(relay_message_decode(protocol, test_copy(payload), ret_message), 0);
    buffer_consume(&end->in, size);
    end->total -= size;
    return true;
}

static void open_hop(struct stage *stage) {
    struct peer_connection *connection = peer_connection_to(stage->caller->peer, &stage->relay->id);
    assert_non_null(connection);
    assert_int_equal(peer_stream_open(stage->caller->peer, connection, RELAY_HOP_PROTOCOL,
                                      stage->world.now, &stage->ends[0].stream),
                     0);
}

static void call(struct stage *stage) {
    open_hop(stage);
    const struct relay_message connect = {.type = RELAY_CONNECT,
                                          .peer = peer_id_bytes(&stage->called->id)};
    say(&stage->ends[0], RELAY_HOP, &connect);
    world_run(&stage->world, 200 * NANOS_MILLISECOND);
}

/* A circuit that carries bytes. */
static void connect(struct stage *stage) {
    reserve(stage);
    call(stage);
    struct relay_message message;
    assert_true(hear(&stage->ends[1], RELAY_STOP, &message));
    assert_int_equal(message.type, RELAY_CONNECT);
    assert_bytes_equal(message.peer, peer_id_bytes(&stage->caller->id));
    assert_int_equal(message.limit.data_bytes, LIMIT_BYTES);
    assert_false(hear(&stage->ends[0], RELAY_HOP, &message)); /* not before it is answered */
    const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
    say(&stage->ends[1], RELAY_STOP, &ok);
    world_run(&stage->world, 200 * NANOS_MILLISECOND);
    assert_true(hear(&stage->ends[0], RELAY_HOP, &message));
    assert_int_equal(message.status, RELAY_STATUS_OK);
    assert_int_equal(message.limit.duration_seconds, 60);
    struct peer_relay_stats stats;
    peer_relay_stats(stage->relay->peer, &stats);
    assert_int_equal(stats.circuits, 1);
    assert_int_equal(stats.reservations, 1);
}

static void expect_no_circuit(struct stage *stage) {
    struct peer_relay_stats stats;
    peer_relay_stats(stage->relay->peer, &stats);
    assert_int_equal(stats.circuits, 0);
}

static void circuits_carry_bytes(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    connect(&stage);
    static uint8_t bytes[30000];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i % 251);
    }
    for (size_t from = 0; from < 2; from++) {
        assert_int_equal(write_bytes(&stage.ends[from], BYTES_ARRAY(bytes), false), 0);
        world_run(&stage.world, 200 * NANOS_MILLISECOND);
        assert_bytes_equal(buffer_bytes(&stage.ends[1 - from].in), BYTES_ARRAY(bytes));
        buffer_clear(&stage.ends[1 - from].in);
    }
    /* Ends are passed on one by one. */
    assert_int_equal(write_bytes(&stage.ends[0], BYTES_LITERAL("last"), true), 0);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    assert_true(stage.ends[1].fin);
    assert_bytes_equal(buffer_bytes(&stage.ends[1].in), BYTES_LITERAL("last"));
    assert_false(stage.ends[0].fin);
    assert_int_equal(write_bytes(&stage.ends[1], BYTES_LITERAL("bye"), true), 0);
    world_run(&stage.world, NANOS_SECOND);
    assert_bytes_equal(buffer_bytes(&stage.ends[0].in), BYTES_LITERAL("bye"));
    assert_true(stage.ends[0].closed && stage.ends[1].closed);
    assert_int_equal(stage.ends[0].error, 0);
    expect_no_circuit(&stage);
    stage_done(&stage);
}

/* The called side may speak right after its status, the caller before it has heard anything. */
static void early_bytes_arrive(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    reserve(&stage);
    open_hop(&stage);
    const struct relay_message message = {.type = RELAY_CONNECT,
                                          .peer = peer_id_bytes(&stage.called->id)};
    say(&stage.ends[0], RELAY_HOP, &message);
    assert_int_equal(write_bytes(&stage.ends[0], BYTES_LITERAL("hurry"), false), 0);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
    struct relay_message heard;
    assert_true(hear(&stage.ends[1], RELAY_STOP, &heard));
    say(&stage.ends[1], RELAY_STOP, &ok);
    assert_int_equal(write_bytes(&stage.ends[1], BYTES_LITERAL("answer"), false), 0);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    assert_true(hear(&stage.ends[0], RELAY_HOP, &heard));
    assert_bytes_equal(buffer_bytes(&stage.ends[0].in), BYTES_LITERAL("answer"));
    assert_bytes_equal(buffer_bytes(&stage.ends[1].in), BYTES_LITERAL("hurry"));
    stage_done(&stage);
}

static void bytes_are_limited(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    connect(&stage);
    static uint8_t bytes[LIMIT_BYTES / 4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(write_bytes(&stage.ends[0], BYTES_ARRAY(bytes), false), 0);
        world_run(&stage.world, 200 * NANOS_MILLISECOND);
    }
    assert_int_equal(stage.ends[1].total, LIMIT_BYTES);
    assert_false(stage.ends[0].closed);
    assert_int_equal(write_bytes(&stage.ends[0], BYTES_LITERAL("x"), false), 0);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    assert_int_equal(stage.ends[1].total, LIMIT_BYTES);
    assert_true(stage.ends[0].closed && stage.ends[1].closed);
    assert_int_equal(stage.ends[0].error, PLASM_RESET);
    expect_no_circuit(&stage);
    stage_done(&stage);
}

static void time_is_limited(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    connect(&stage);
    world_run(&stage.world, 59 * NANOS_SECOND);
    assert_false(stage.ends[0].closed);
    world_run(&stage.world, 2 * NANOS_SECOND);
    assert_true(stage.ends[0].closed && stage.ends[1].closed);
    expect_no_circuit(&stage);
    stage_done(&stage);
}

/* Who does not read holds the other side up, and the relay's memory stays small. */
static void slow_readers_slow_writers_down(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    with.circuit_bytes_max = 0;
    with.circuit_duration_max = 0;
    stage_init(&stage, &with);
    reserve(&stage);
    call(&stage);
    const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
    say(&stage.ends[1], RELAY_STOP, &ok);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    stage.holds_credit = true;
    size_t quiet = stage.relay->memory.memory.used;
    struct block *block = block_new(&stage.caller->memory.memory, 4 << 20);
    assert_non_null(block);
    memset(block->data, 0, block->size);
    size_t sent = 0;
    for (size_t i = 0; i < 50; i++) {
        size_t accepted = 0;
        assert_int_equal(peer_stream_write(stage.ends[0].stream, block, sent, block->size - sent,
                                           false, &accepted),
                         0);
        sent += accepted;
        world_run(&stage.world, 100 * NANOS_MILLISECOND);
    }
    const struct memory_net *net = stage.world.between;
    assert_true(sent < block->size);
    assert_true(sent <= 3 * net->window);
    assert_true(stage.relay->memory.memory.used - quiet < 4 * net->window);
    block_unref(block);
    stage_done(&stage);
}

static size_t allocated;
static struct memory counted_before;

static void *count_bytes(void *context, void *old, size_t old_size, size_t size) {
    allocated += size > old_size ? size - old_size : 0;
    return counted_before.resize(context, old, old_size, size);
}

/* Small pieces for somebody who does not read cost no more than their own size. */
static void slow_readers_cost_no_copies(void **state) {
    (void)state;
    memory_world_settings()->piece_max = 500;
    struct stage stage;
    struct relay_limits with = limits();
    with.circuit_bytes_max = 0;
    with.circuit_duration_max = 0;
    stage_init(&stage, &with);
    reserve(&stage);
    call(&stage);
    const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
    say(&stage.ends[1], RELAY_STOP, &ok);
    world_run(&stage.world, 200 * NANOS_MILLISECOND);
    stage.holds_credit = true;
    struct memory *memory = &stage.relay->memory.memory;
    counted_before = *memory;
    memory->resize = count_bytes;
    allocated = 0;
    struct block *block = block_new(&stage.caller->memory.memory, 4 << 20);
    assert_non_null(block);
    memset(block->data, 0, block->size);
    size_t sent = 0;
    for (size_t i = 0; i < 20; i++) {
        size_t accepted = 0;
        assert_int_equal(peer_stream_write(stage.ends[0].stream, block, sent, block->size - sent,
                                           false, &accepted),
                         0);
        sent += accepted;
        world_run(&stage.world, 100 * NANOS_MILLISECOND);
    }
    const struct memory_net *net = stage.world.between;
    print_message("%zu bytes allocated for %zu\n", allocated, sent);
    assert_true(sent > net->window);
    assert_true(allocated < 16 * net->window);
    memory->resize = counted_before.resize;
    memory_world_settings()->piece_max = 0;
    block_unref(block);
    stage_done(&stage);
}

static uint32_t refusal(struct stage *stage) {
    struct relay_message message;
    world_run(&stage->world, 200 * NANOS_MILLISECOND);
    assert_true(hear(&stage->ends[0], RELAY_HOP, &message));
    assert_int_equal(message.type, RELAY_STATUS);
    assert_true(stage->ends[0].fin);
    if (stage->ends[0].stream != NULL) {
        peer_stream_close(stage->ends[0].stream, 0);
        stage->ends[0].stream = NULL;
    }
    stage->ends[0].fin = false;
    stage->ends[0].closed = false;
    buffer_clear(&stage->ends[0].in);
    world_run(&stage->world, 200 * NANOS_MILLISECOND);
    expect_no_circuit(stage);
    return message.status;
}

static void refusals_are_told(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    call(&stage);
    assert_int_equal(refusal(&stage), RELAY_STATUS_NO_RESERVATION);
    reserve(&stage);
    /* The called side says no, ends without a word, or never answers. */
    call(&stage);
    const struct relay_message no = {.type = RELAY_STATUS,
                                     .status = RELAY_STATUS_PERMISSION_DENIED};
    say(&stage.ends[1], RELAY_STOP, &no);
    assert_int_equal(refusal(&stage), RELAY_STATUS_CONNECTION_FAILED);
    call(&stage);
    peer_stream_close(stage.ends[1].stream, 0);
    stage.ends[1].stream = NULL;
    assert_int_equal(refusal(&stage), RELAY_STATUS_CONNECTION_FAILED);
    call(&stage);
    world_run(&stage.world, 11 * NANOS_SECOND);
    assert_int_equal(refusal(&stage), RELAY_STATUS_CONNECTION_FAILED);
    /* Bad words. */
    static const char *const bad[] = {"\x02\x08\x07", "\x02\x08\x02", "\x04\x08\x01\x12\x09",
                                      "\x06\x08\x01\x12\x02\x0a\x00", "\xff\xff\x7f"};
    static const uint32_t statuses[] = {
        RELAY_STATUS_MALFORMED_MESSAGE, RELAY_STATUS_UNEXPECTED_MESSAGE,
        RELAY_STATUS_MALFORMED_MESSAGE, RELAY_STATUS_MALFORMED_MESSAGE,
        RELAY_STATUS_MALFORMED_MESSAGE};
    static const size_t sizes[] = {3, 3, 5, 7, 3};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        open_hop(&stage);
        assert_int_equal(write_bytes(&stage.ends[0], bytes_of(bad[i], sizes[i]), false), 0);
        assert_int_equal(refusal(&stage), statuses[i]);
    }
    /* The called peer goes away, and its reservation with it. */
    peer_use_relays(stage.called->peer, false, stage.world.now);
    peer_disconnect(stage.called->peer, peer_connection_to(stage.called->peer, &stage.relay->id),
                    stage.world.now);
    world_run(&stage.world, NANOS_SECOND);
    call(&stage);
    assert_int_equal(refusal(&stage), RELAY_STATUS_NO_RESERVATION);
    stage_done(&stage);
}

/* Whatever ends first takes the rest of the circuit with it. */
static void circuits_end_with_either_side(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct stage stage;
        struct relay_limits with = limits();
        stage_init(&stage, &with);
        connect(&stage);
        size_t end = i % 2;
        if (i < 2) {
            peer_stream_close(stage.ends[end].stream, 7);
            stage.ends[end].stream = NULL;
        } else {
            struct world_node *node = stage.ends[end].node;
            peer_disconnect(node->peer, peer_connection_to(node->peer, &stage.relay->id),
                            stage.world.now);
        }
        world_run(&stage.world, NANOS_SECOND);
        assert_true(stage.ends[1 - end].closed);
        assert_int_equal(stage.ends[1 - end].error, PLASM_RESET);
        expect_no_circuit(&stage);
        stage_done(&stage);
    }
}

/* A reservation is kept over hours, found again when the relay comes back, and published. */
static void reservations_are_kept(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    reserve(&stage);
    struct multiaddr own[4];
    assert_int_equal(peer_relay_addresses(stage.called->peer, own, 4), 1);
    struct multiaddr expected = world_full_address(stage.relay);
    assert_int_equal(multiaddr_append(&expected, MULTIADDR_P2P_CIRCUIT, bytes_of(NULL, 0)), 0);
    assert_true(multiaddr_equal(&own[0], &expected));
    world_run(&stage.world, NANOS_SECOND);
    struct identify told;
    world_identify_of(stage.relay, stage.called, &told);
    assert_int_equal(told.address_count, 2);
    assert_bytes_equal(told.addresses[1], multiaddr_bytes(&expected));
    for (int i = 0; i < 5; i++) {
        world_run(&stage.world, NANOS_HOUR);
        struct peer_relay_stats stats;
        peer_relay_stats(stage.relay->peer, &stats);
        assert_int_equal(stats.reservations, 1);
        assert_int_equal(peer_relay_addresses(stage.called->peer, own, 4), 1);
    }
    /* The connection breaks: it is made anew. */
    world_forget(stage.called);
    peer_disconnect(stage.relay->peer, peer_connection_to(stage.relay->peer, &stage.called->id),
                    stage.world.now);
    world_run(&stage.world, 30 * NANOS_SECOND);
    assert_int_equal(world_count(stage.called, PEER_EVENT_RELAYED), 2); /* gone and back */
    assert_int_equal(peer_relay_addresses(stage.called->peer, own, 4), 1);
    /* A relay that refuses to sign keeps no place. */
    stage.relay->refuses_to_sign = true;
    world_run(&stage.world, 2 * NANOS_HOUR);
    assert_int_equal(peer_relay_addresses(stage.called->peer, own, 4), 0);
    stage_done(&stage);
}

/* Peers that list the protocol are relays, too, when nobody named one. */
static void relays_are_found(void **state) {
    (void)state;
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    peer_use_relays(stage.called->peer, true, stage.world.now);
    assert_non_null(world_await(stage.called, PEER_EVENT_RELAYED, 0, WORLD_PATIENCE));
    struct multiaddr bare = stage.relay->address;
    assert_int_equal(peer_add_relay(stage.called->peer, &bare, stage.world.now), PLASM_INVALID);
    stage_done(&stage);
}

/* A story with a bit of everything in which the n-th allocation of one node fails. */
static bool fails_at(size_t node, size_t n, bool sticky) {
    struct stage stage;
    struct relay_limits with = limits();
    stage_init(&stage, &with);
    struct memory_failing *memory = &stage.world.nodes[node].memory;
    memory->countdown = n;
    memory->sticky = sticky;
    struct multiaddr address = world_full_address(stage.relay);
    int error = peer_add_relay(stage.called->peer, &address, stage.world.now);
    assert_true(error == 0 || error == PLASM_NO_MEMORY);
    peer_use_relays(stage.called->peer, true, stage.world.now);
    world_run(&stage.world, 30 * NANOS_SECOND);
    struct peer_connection *connection = peer_connection_to(stage.caller->peer, &stage.relay->id);
    if (connection != NULL && peer_stream_open(stage.caller->peer, connection, RELAY_HOP_PROTOCOL,
                                               stage.world.now, &stage.ends[0].stream) == 0) {
        const struct relay_message message = {.type = RELAY_CONNECT,
                                              .peer = peer_id_bytes(&stage.called->id)};
        say(&stage.ends[0], RELAY_HOP, &message);
        world_run(&stage.world, 200 * NANOS_MILLISECOND);
        const struct relay_message ok = {.type = RELAY_STATUS, .status = RELAY_STATUS_OK};
        if (stage.ends[1].stream != NULL && node == 0) {
            say(&stage.ends[1], RELAY_STOP, &ok);
        }
        world_run(&stage.world, 200 * NANOS_MILLISECOND);
        static uint8_t bytes[20000];
        if (stage.ends[0].stream != NULL) {
            (void)write_bytes(&stage.ends[0], BYTES_ARRAY(bytes), true);
        }
        world_run(&stage.world, 20 * NANOS_SECOND);
    }
    bool failed = memory->failed;
    stage_done(&stage);
    return failed;
}

static void allocations_fail(void **state) {
    (void)state;
    for (size_t node = 0; node < 3; node += 2) { /* the relay, and who reserves */
        for (int sticky = 0; sticky < 2; sticky++) {
            size_t n = 0;
            while (fails_at(node, n, sticky != 0)) {
                n++;
                ENSURE(n < 100000);
            }
            print_message("node %zu: %zu allocations\n", node, n);
            assert_true(n > 10);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(circuits_carry_bytes),
        cmocka_unit_test(early_bytes_arrive),
        cmocka_unit_test(bytes_are_limited),
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(slow_readers_slow_writers_down),
        cmocka_unit_test(slow_readers_cost_no_copies),
        cmocka_unit_test(refusals_are_told),
        cmocka_unit_test(circuits_end_with_either_side),
        cmocka_unit_test(reservations_are_kept),
        cmocka_unit_test(relays_are_found),
        cmocka_unit_test(allocations_fail),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
