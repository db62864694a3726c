/* A connected peer that sends whatever frames it likes. The input is a row of packets' payloads,
 * each behind two bytes of size; the upper bit: a second passes first. */
#include "proto/quic/fuzz_testing.h"
#include "proto/quic/hostile_testing.h"
#include "util/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TIME_PASSES = 0x8000, HEARS_ANSWERS = 0x4000, SIZE_MASK = 0x07ff };

static void settle(struct fuzz_side *client, struct fuzz_side *server, nanos now) {
    for (int i = 0; i < 20; i++) {
        bool any = fuzz_transmit(client, server, now);
        any = fuzz_transmit(server, client, now) || any;
        if (!any) {
            break;
        }
    }
}

static void expire(struct fuzz_side *side, nanos now) {
    if (quic_deadline(side->endpoint) <= now) {
        quic_expire(side->endpoint, now);
        fuzz_take_events(side);
    }
}

/* One payload, in a packet large enough for it. */
static void send_payload(struct fuzz_side *client, struct bytes payload) {
    if (client->conn == NULL) {
        return;
    }
    if (client->stream == NULL && quic_stream_open(client->conn, &client->stream) != 0) {
        client->stream = NULL;
        return;
    }
    hostile.payloads[0] = payload;
    hostile.count = payload.size > 0 ? 1 : 0;
    hostile.next = 0;
    (void)hostile_fill(client->stream, payload.size + 40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_side client;
    struct fuzz_side server;
    fuzz_start(&client, 2, false);
    fuzz_start(&server, 1, true);
    hostile_make(client.endpoint);
    nanos now = 1000 * NANOS_SECOND;
    struct quic_conn *dialled;
    ENSURE(quic_dial(client.endpoint, &server.address, NULL, NULL, 0, now, &dialled) == 0);
    settle(&client, &server, now);
    ENSURE(server.conn != NULL && client.conn != NULL);
    struct cursor in = cursor_of(bytes_of(data, size));
    for (int i = 0; i < 64 && in.left.size > 0; i++) {
        uint16_t head = cursor_u16(&in);
        struct bytes payload = bytes_slice(in.left, 0, head & SIZE_MASK);
        (void)cursor_take(&in, payload.size);
        hostile.deaf = (head & HEARS_ANSWERS) == 0;
        now += (head & TIME_PASSES) != 0 ? NANOS_SECOND : NANOS_MILLISECOND;
        expire(&client, now);
        expire(&server, now);
        send_payload(&client, payload);
        settle(&client, &server, now);
    }
    now += 60 * NANOS_SECOND;
    expire(&client, now);
    expire(&server, now);
    settle(&client, &server, now);
    fuzz_done(&client);
    fuzz_done(&server);
    return 0;
}
