/* How fast TLS seals and opens: MB/s of data in frames as a muxer makes them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/tls/pair_testing.h"

#define FRAMES 4
#define ROUNDS 1500

static struct pair_end a;
static struct pair_end b;

/* Processor time: what others do at the same time does not count. */
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(void) {
    static uint8_t block[65536];
    static uint8_t header[12];
    static uint8_t room[PAIR_ROOM_SIZE];
    struct memory memory;
    struct memory identities;
    ENSURE(crypto_init() == 0);
    memory_init(&memory, SIZE_MAX);
    memory_init(&identities, SIZE_MAX);
    pair_end_identity(&a, 1, &identities);
    pair_end_identity(&b, 2, &identities);
    struct tls_config config = {
        .initiator = true, .identity = a.identity, .unix_seconds = PAIR_NOW, .memory = &memory};
    double begin = seconds();
    for (unsigned i = 0; i < 200; i++) {
        tls_free(a.tls);
        tls_free(b.tls);
        a.ready = b.ready = false;
        config.initiator = true;
        config.identity = a.identity;
        ENSURE(tls_new(&config, &a.tls) == 0);
        config.initiator = false;
        config.identity = b.identity;
        ENSURE(tls_new(&config, &b.tls) == 0);
        pair_shake(&a, &b, 4096);
        ENSURE(a.ready && b.ready);
    }
    printf("handshake, both ends: %.0f us\n", (seconds() - begin) * 1e6 / 200);
    struct bytes pieces[2 * FRAMES];
    size_t total = 0;
    for (size_t i = 0; i < FRAMES; i++) {
        pieces[2 * i] = BYTES_ARRAY(header);
        pieces[2 * i + 1] = BYTES_ARRAY(block);
        total += sizeof(header) + sizeof(block);
    }
    double sealing = 0;
    double opening = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t taken;
        double t0 = seconds();
        size_t size = tls_seal(a.tls, pieces, 2 * FRAMES, test_span(room, sizeof(room)), &taken);
        double t1 = seconds();
        ENSURE(taken == total && tls_receive(b.tls, test_span(room, size)) == 0);
        struct tls_event event;
        size_t opened = 0;
        while (tls_next_event(b.tls, &event)) {
            ENSURE(event.type == TLS_DATA);
            opened += event.data.size;
        }
        ENSURE(opened == total);
        sealing += t1 - t0;
        opening += seconds() - t1;
    }
    printf("seal: %.0f MB/s\n", (double)total * ROUNDS / 1e6 / sealing);
    printf("open: %.0f MB/s\n", (double)total * ROUNDS / 1e6 / opening);
    printf("memory of two ends, without GnuTLS's own: %zu bytes\n", memory.used);
    tls_free(a.tls);
    tls_free(b.tls);
    tls_identity_free(a.identity);
    tls_identity_free(b.identity);
    return 0;
}
