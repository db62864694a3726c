/* Peers that keep no rule inside a connection: they end it, and cost no more than they may. */
#include "proto/quic/hostile_testing.h"
#include "proto/quic/pair_testing.h"

struct scene {
    struct pair pair;
    struct quic_stream *stream;
    size_t stops;
    size_t opened;
    uint64_t last_code;
    uint64_t received;
};

static void on_event(struct pair *pair, int side, const struct quic_event *event) {
    struct scene *scene = pair->test;
    if (side != SERVER) {
        return;
    }
    switch (event->type) {
    case QUIC_STREAM_OPENED:
        scene->opened++;
        break;
    case QUIC_STREAM_STOPPED:
        scene->stops++;
        scene->last_code = event->code;
        break;
    case QUIC_STREAM_DATA:
        scene->received += event->data.size;
        quic_stream_consume(event->stream, event->data.size);
        break;
    default:
        break;
    }
}

static void begin(struct scene *scene) {
    memset(scene, 0, sizeof(*scene));
    pair_init(&scene->pair, 1);
    scene->pair.on_event = on_event;
    scene->pair.test = scene;
    pair_start(&scene->pair);
    hostile_make(scene->pair.sides[CLIENT].endpoint);
    pair_connect(&scene->pair);
    /* A packet of its own first, so that what comes later may be large. */
    assert_int_equal(quic_stream_open(scene->pair.sides[CLIENT].conn, &scene->stream), 0);
    assert_true(hostile_fill(scene->stream, 5000));
    pair_run(&scene->pair, NANOS_SECOND);
}

/* Replaces the next packet's payload. */
static void send_frames(struct scene *scene, struct bytes frames) {
    hostile.payloads[0] = frames;
    hostile.count = 1;
    hostile.next = 0;
    assert_true(hostile_fill(scene->stream, frames.size > 100 ? frames.size : 100));
    pair_run(&scene->pair, 50 * NANOS_MILLISECOND);
    assert_int_equal(hostile.next, 1);
}

/* Frames that break a rule, and the error they have to end with (RFC 9000, section 20.1). */
static void violations(void **state) {
    (void)state;
    static const struct {
        struct bytes frames;
        uint64_t code;
    } cases[] = {
        {{(const uint8_t *)"\x21\x00", 2}, 0x07},                      /* unknown frame */
        {{(const uint8_t *)"\x0a\x44\x00\x01x", 5}, 0x04},             /* stream number 256 */
        {{(const uint8_t *)"\x0a\x01\x01x", 4}, 0x05},                 /* a stream of ours */
        {{(const uint8_t *)"\x0a\x02\x01x", 4}, 0x04},                 /* unidirectional */
        {{(const uint8_t *)"\x0e\x00\xbf\xff\xff\xff\x01x", 8}, 0x03}, /* far beyond the window */
        {{(const uint8_t *)"\x02\xbf\xff\xff\xff\x00\x00\x00", 8},
         0x0a},                                       /* acknowledges the unsent */
        {{(const uint8_t *)"\x05\x01\x00", 3}, 0x05}, /* stops the unopened */
        {{(const uint8_t *)"\x1e", 1}, 0x0a},         /* HANDSHAKE_DONE */
        {{(const uint8_t *)"\x19\x3f", 2}, 0x0a},     /* retires the unissued */
        {{(const uint8_t *)"\x12\xff\xff\xff\xff\xff\xff\xff\xff", 9}, 0x07}, /* MAX_STREAMS 2^62 */
        {{(const uint8_t *)"\x07\x01x", 3}, 0x0a}, /* NEW_TOKEN to a server */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scene scene;
        begin(&scene);
        send_frames(&scene, cases[i].frames);
        const struct pair_side *server = &scene.pair.sides[SERVER];
        assert_int_equal(server->closed, 1);
        assert_int_equal(server->last_closed.error, PLASM_MALFORMED);
        if (server->last_closed.code != cases[i].code) {
            print_error("case %zu: %s\n", i, server->closed_text);
        }
        assert_int_equal(server->last_closed.code, cases[i].code);
        assert_int_equal(scene.pair.sides[CLIENT].closed, 1);
        assert_true(scene.pair.sides[CLIENT].last_closed.by_peer);
        pair_done(&scene.pair);
    }
}

/* One packet with every stream's STOP_SENDING: each is told once. */
static void many_stops(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    uint8_t frames[1100];
    struct writer writer = writer_of((struct span){.data = frames, .size = sizeof(frames)});
    for (unsigned number = 1; number < 200; number++) {
        writer_u8(&writer, 0x05);
        writer_u16(&writer, (uint16_t)(0x4000 | number << 2));
        writer_u8(&writer, 33);
    }
    assert_int_equal(writer.error, 0);
    send_frames(&scene, writer_bytes(&writer));
    assert_int_equal(scene.opened, 200);
    assert_int_equal(scene.stops, 199);
    assert_int_equal(scene.last_code, 33);
    pair_done(&scene.pair);
}

static void put_flood(struct scene *scene, int kind, uint16_t *number, struct writer *writer) {
    uint8_t noise[24];
    random_fill(&scene->pair.random, (struct span){.data = noise, .size = sizeof(noise)});
    *number = (uint16_t)(*number % 16000 + 1);
    switch (kind) {
    case 0: /* PATH_CHALLENGE */
        writer_u8(writer, 0x1a);
        writer_bytes_put(writer, bytes_of(noise, 8));
        break;
    case 1: /* NEW_CONNECTION_ID that retires all before */
        writer_u8(writer, 0x18);
        writer_u16(writer, (uint16_t)(0x4000 | *number));
        writer_u16(writer, (uint16_t)(0x4000 | *number));
        writer_u8(writer, 8);
        writer_bytes_put(writer, bytes_of(noise, 24));
        break;
    case 2: /* streams that are opened and reset */
        writer_u8(writer, 0x04);
        writer_u16(writer, (uint16_t)(0x4000 | (*number % 255 + 1) << 2));
        writer_u16(writer, 0);
        break;
    case 3: /* streams that are opened and stopped */
        writer_u8(writer, 0x05);
        writer_u16(writer, (uint16_t)(0x4000 | (*number % 255 + 1) << 2));
        writer_u8(writer, 0);
        break;
    default: /* STREAM with offset and length, of one byte each, with gaps */
        writer_u8(writer, 0x0e);
        writer_u8(writer, (uint8_t)((*number / 8000 + 1) << 2));
        writer_u32(writer, 0x80000000 | (uint32_t)(*number % 8000) * 64);
        writer_u8(writer, 1);
        writer_u8(writer, 'x');
        break;
    }
}

/* Frames that make the receiver answer or keep something, without end (CVE-2024-22189 and the
 * like): what that costs has a bound, though nothing of the answers is ever acknowledged. */
static void floods(void **state) {
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct scene scene;
        begin(&scene);
        struct quic_stats before;
        quic_stats(scene.pair.sides[SERVER].endpoint, &before);
        hostile.deaf = true;
        uint16_t number = 1;
        size_t packets = 0;
        while (packets < 500 && scene.pair.sides[SERVER].closed == 0 &&
               scene.pair.sides[CLIENT].closed == 0) {
            uint8_t frames[1000];
            struct writer writer = writer_of((struct span){.data = frames, .size = sizeof(frames)});
            while (writer.size < 900) {
                put_flood(&scene, kind, &number, &writer);
            }
            hostile.payloads[0] = writer_bytes(&writer);
            hostile.count = 1;
            hostile.next = 0;
            (void)hostile_fill(scene.stream, writer.size);
            pair_run(&scene.pair, NANOS_MILLISECOND);
            packets += hostile.next;
            struct quic_stats now;
            quic_stats(scene.pair.sides[SERVER].endpoint, &now);
            assert_true(now.state_bytes < before.state_bytes + (kind == 4 ? 20 << 20 : 400000));
        }
        /* It was let go on, or shown the door for it; it did not stop by itself. */
        assert_true(packets == 500 || scene.pair.sides[SERVER].closed == 1);
        pair_done(&scene.pair);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(violations),
        cmocka_unit_test(many_stops),
        cmocka_unit_test(floods),
    };
    return cmocka_run_group_tests(tests, pair_crypto, NULL);
}
