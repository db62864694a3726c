/* Datagrams of strangers to an endpoint that accepts. The input is a row of them, each behind two
 * bytes of size; the upper bits of the size say what else happens. */
#include "proto/quic/fuzz_testing.h"
#include "util/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OTHER_ADDRESS = 0x8000, TIME_PASSES = 0x4000, AS_BATCH = 0x2000, SIZE_MASK = 0x1fff };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_side server;
    fuzz_start(&server, 1, true);
    nanos now = 1000 * NANOS_SECOND;
    struct netaddr from = {.family = NETADDR_IP4, .ip = {198, 51, 100, 1}, .port = 4001};
    struct cursor in = cursor_of(bytes_of(data, size));
    for (int i = 0; i < 64 && in.left.size > 0; i++) {
        uint16_t head = cursor_u16(&in);
        struct bytes bytes = bytes_slice(in.left, 0, head & SIZE_MASK);
        (void)cursor_take(&in, bytes.size);
        from.port = (head & OTHER_ADDRESS) != 0 ? 4002 : 4001;
        now += (head & TIME_PASSES) != 0 ? NANOS_SECOND : NANOS_MILLISECOND;
        size_t segment = (head & AS_BATCH) != 0 ? 1200 : 0;
        if (quic_deadline(server.endpoint) <= now) {
            quic_expire(server.endpoint, now);
        }
        fuzz_receive(&server, &from, bytes, segment, now);
        (void)fuzz_transmit(&server, NULL, now);
    }
    now += 60 * NANOS_SECOND;
    for (int i = 0; i < 100 && quic_deadline(server.endpoint) <= now; i++) {
        quic_expire(server.endpoint, now);
        (void)fuzz_transmit(&server, NULL, now);
    }
    struct quic_stats stats;
    quic_stats(server.endpoint, &stats);
    ENSURE(stats.connections_inbound == 0); /* nobody can finish a handshake like this */
    fuzz_done(&server);
    return 0;
}
