/* What the muxer alone costs: bulk over one stream and over many, and short streams, in memory and
 * without encryption. Prints the CPU time of both sides together, the best of several rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/yamux/yamux.h"
#include "util/ensure.h"

#define ROUNDS     5
#define BULK_BYTES ((size_t)256 << 20)
#define SHORT      20000
#define ROOM       262144

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct bench {
    struct memory memory;
    struct budget budget;
    struct yamux *sides[2];
    struct block *block;
    nanos now;
    size_t to_send; /* by the dialling side, over all streams */
    size_t received;
    size_t closed;
    uint8_t wire[ROOM];
};

static void bench_init(struct bench *bench) {
    memory_init(&bench->memory, SIZE_MAX);
    bench->budget = (struct budget){.bytes_max = (size_t)256 << 20};
    bench->now = NANOS_SECOND;
    bench->received = 0;
    bench->closed = 0;
    struct random random;
    const uint8_t seed[32] = {1};
    random_init(&random, seed);
    for (int i = 0; i < 2; i++) {
        const struct yamux_config config = {
            .initiator = i == 0,
            .memory = &bench->memory,
            .budget = &bench->budget,
            .random = &random,
            .limits = yamux_limits_default,
        };
        ENSURE(yamux_new(&config, bench->now, &bench->sides[i]) == 0);
    }
    bench->block = block_new(&bench->memory, 65536);
    ENSURE(bench->block != NULL);
    memset(bench->block->data, 5, bench->block->size);
}

static void bench_done(struct bench *bench) {
    yamux_free(bench->sides[0]);
    yamux_free(bench->sides[1]);
    block_unref(bench->block);
    ENSURE(bench->memory.used == 0);
}

static void fill(struct bench *bench, struct yamux_stream *stream) {
    size_t accepted = bench->block->size;
    while (bench->to_send > 0 && accepted == bench->block->size) {
        size_t size = bench->to_send < accepted ? bench->to_send : accepted;
        ENSURE(yamux_stream_write(stream, bench->block, 0, size, false, &accepted) == 0);
        bench->to_send -= accepted;
    }
}

/* Events of one side; the dialling one fills its streams, the other answers FIN with FIN. */
static void drain(struct bench *bench, int side) {
    struct yamux_event event;
    size_t accepted;
    while (yamux_next_event(bench->sides[side], &event)) {
        ENSURE(event.type != YAMUX_CLOSED);
        if (event.type == YAMUX_STREAM_WRITABLE) {
            fill(bench, event.stream);
        } else if (event.type == YAMUX_STREAM_DATA) {
            bench->received += event.data.size;
            yamux_stream_consume(event.stream, event.data.size);
            if (event.fin && side == 1) {
                ENSURE(yamux_stream_write(event.stream, NULL, 0, 0, true, &accepted) == 0);
            }
        } else if (event.type == YAMUX_STREAM_CLOSED) {
            bench->closed++;
        }
    }
}

/* Carries what there is from one side to the other, as a channel that gathers pieces would. */
static bool carry(struct bench *bench, int from) {
    struct bytes pieces[YAMUX_PIECES_MAX];
    size_t count = yamux_transmit(bench->sides[from], pieces, YAMUX_PIECES_MAX, ROOM, bench->now);
    size_t size = 0;
    for (size_t i = 0; i < count && size < ROOM; i++) {
        size_t part = pieces[i].size < ROOM - size ? pieces[i].size : ROOM - size;
        memcpy(bench->wire + size, pieces[i].data, part);
        size += part;
    }
    yamux_sent(bench->sides[from], size);
    drain(bench, from);
    yamux_receive(bench->sides[1 - from], bytes_of(bench->wire, size), bench->now);
    drain(bench, 1 - from);
    bench->now += 10 * NANOS_MICROSECOND;
    return size > 0;
}

static void settle(struct bench *bench) {
    bool forth = true;
    bool back = true;
    while (forth || back) {
        forth = carry(bench, 0);
        back = carry(bench, 1);
    }
}

static double bulk(struct bench *bench, size_t streams) {
    bench_init(bench);
    double began = seconds();
    bench->to_send = BULK_BYTES;
    for (size_t i = 0; i < streams; i++) {
        struct yamux_stream *stream;
        ENSURE(yamux_stream_open(bench->sides[0], &stream) == 0);
        fill(bench, stream);
    }
    settle(bench);
    double took = seconds() - began;
    ENSURE(bench->received == BULK_BYTES);
    bench_done(bench);
    return took;
}

static double short_streams(struct bench *bench) {
    bench_init(bench);
    double began = seconds();
    for (size_t i = 0; i < SHORT; i++) {
        struct yamux_stream *stream;
        size_t accepted;
        ENSURE(yamux_stream_open(bench->sides[0], &stream) == 0);
        ENSURE(yamux_stream_write(stream, bench->block, 0, 100, true, &accepted) == 0);
        settle(bench);
    }
    double took = seconds() - began;
    ENSURE(bench->closed == 2 * (size_t)SHORT);
    bench_done(bench);
    return took;
}

int main(void) {
    struct bench *bench = malloc(sizeof(*bench));
    ENSURE(bench != NULL);
    double best[3] = {1e9, 1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        const double took[3] = {bulk(bench, 1), bulk(bench, 64), short_streams(bench)};
        for (int i = 0; i < 3; i++) {
            best[i] = took[i] < best[i] ? took[i] : best[i];
        }
    }
    free(bench);
    const double gib = (double)BULK_BYTES / (double)(1 << 30);
    (void)printf("one stream     %.3f CPU-s/GiB (a copy of each byte included)\n", best[0] / gib);
    (void)printf("64 streams     %.3f CPU-s/GiB\n", best[1] / gib);
    (void)printf("short streams  %.0f ns each, opened, answered and closed\n",
                 best[2] / SHORT * 1e9);
    return 0;
}
