/* Two endpoints in one process, packets handed over in memory: handshakes, round trips and bytes a
 * second, without any system call. Both ends' work is in the numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "identity/certificate_testing.h"
#include "proto/quic/quic.h"

#define BENCH_SECONDS 2
#define CHUNK         65536

static nanos read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (nanos)now.tv_sec * NANOS_SECOND + (nanos)now.tv_nsec;
}

static nanos clock_now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

/* What a part of the benchmark took: on a busy machine the processor's time tells more. */
struct span_of_time {
    nanos wall;
    nanos cpu;
};

static struct span_of_time time_begin(void) {
    return (struct span_of_time){.wall = clock_now(), .cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

static void time_end(struct span_of_time *time, const char *what, size_t count) {
    double wall = (double)(clock_now() - time->wall) / 1e3;
    double cpu = (double)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - time->cpu) / 1e3;
    printf("%s: %.0f/s, %.1f us, %.1f us of CPU for both ends\n", what, (double)count * 1e6 / wall,
           wall / (double)count, cpu / (double)count);
}

struct bench_side {
    struct memory memory;
    struct certificate certificate;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    struct quic_endpoint *endpoint;
    struct netaddr address;
    struct quic_conn *conn;
};

struct bench {
    struct bench_side sides[2];
    size_t connected;
    size_t closed;
    uint64_t received;
    uint64_t answers;
    bool echo;
    struct quic_stream *writer; /* has more to send for ever */
    struct block *chunk;
};

static void require(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "quic_bench: %s\n", what);
        exit(1);
    }
}

static void start_side(struct bench *bench, int index) {
    struct bench_side *side = &bench->sides[index];
    memory_init(&side->memory, SIZE_MAX);
    testing_identity((uint8_t)(index + 1), &side->secret, &side->key, &side->id);
    testing_own_certificate(&side->secret, &side->certificate);
    side->address = (struct netaddr){
        .ip = {127, 0, 0, (uint8_t)(index + 1)}, .port = 4001, .family = NETADDR_IP4};
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = &side->certificate;
    config.memory = &side->memory;
    config.local = side->address;
    config.accept = index == 1;
    config.limits.admission.connections_inbound_max = 1000000;
    config.limits.admission.retry_accepts_per_second = 1000000;
    config.seed[0] = (uint8_t)index;
    require(quic_endpoint_new(&config, &side->endpoint) == 0, "cannot make an endpoint");
}

static void write_more(struct bench *bench) {
    size_t accepted = CHUNK;
    while (bench->writer != NULL && accepted == CHUNK) {
        require(quic_stream_write(bench->writer, bench->chunk, 0, CHUNK, false, &accepted) == 0,
                "cannot write");
    }
}

static void on_event(struct bench *bench, int side, const struct quic_event *event) {
    size_t accepted;
    switch (event->type) {
    case QUIC_CONNECTED:
        bench->connected++;
        bench->sides[side].conn = event->conn;
        break;
    case QUIC_CLOSED:
        bench->closed++;
        break;
    case QUIC_STREAM_WRITABLE:
        write_more(bench);
        break;
    case QUIC_STREAM_DATA:
        bench->received += event->data.size;
        quic_stream_consume(event->stream, event->data.size);
        if (bench->echo && side == 1) {
            struct block *block = block_copy(&bench->sides[1].memory, event->data);
            require(block != NULL && quic_stream_write(event->stream, block, 0, block->size,
                                                       event->fin, &accepted) == 0,
                    "cannot answer");
            block_unref(block);
        } else if (side == 0) {
            bench->answers++;
        }
        break;
    default:
        break;
    }
}

/* Events and packets until both sides are still. */
static void run(struct bench *bench) {
    static uint8_t room[QUIC_BATCH_SIZE_MAX];
    bool busy = true;
    while (busy) {
        busy = false;
        for (int i = 0; i < 2; i++) {
            struct bench_side *side = &bench->sides[i];
            struct quic_event event;
            while (quic_next_event(side->endpoint, &event)) {
                on_event(bench, i, &event);
                busy = true;
            }
            struct quic_packet packet;
            nanos now = clock_now();
            if (quic_transmit(side->endpoint, (struct span){.data = room, .size = sizeof(room)},
                              now, &packet)) {
                struct quic_datagram datagram = {.local = packet.remote,
                                                 .remote = packet.local,
                                                 .bytes = bytes_of(room, packet.size),
                                                 .segment_size = packet.segment_size};
                quic_receive(bench->sides[1 - i].endpoint, &datagram, now, TESTING_UNIX_SECONDS);
                busy = true;
            } else if (quic_deadline(side->endpoint) <= now) {
                quic_expire(side->endpoint, now);
                busy = true;
            }
            if (bench->writer != NULL && i == 1) {
                return; /* it would never end: the caller looks at the clock */
            }
        }
    }
}

static void dial(struct bench *bench) {
    struct bench_side *client = &bench->sides[0];
    require(quic_dial(client->endpoint, &bench->sides[1].address, NULL, &bench->sides[1].id, 0,
                      clock_now(), &client->conn) == 0,
            "cannot dial");
    run(bench);
}

static void bench_handshakes(struct bench *bench) {
    struct span_of_time time = time_begin();
    size_t count = 0;
    while (clock_now() - time.wall < BENCH_SECONDS * NANOS_SECOND) {
        dial(bench);
        count++;
        require(bench->connected == 2 * count, "not connected");
        quic_conn_close(bench->sides[0].conn, 0, "", clock_now());
        run(bench);
    }
    time_end(&time, "handshakes", count);
}

/* A request and an answer of 100 bytes: on one stream, or on a stream each. */
static void bench_round_trips(struct bench *bench, bool stream_each) {
    struct quic_stream *stream = NULL;
    struct block *request = block_new(&bench->sides[0].memory, 100);
    require(request != NULL, "no memory");
    memset(request->data, 7, request->size);
    bench->echo = true;
    bench->answers = 0;
    struct span_of_time time = time_begin();
    size_t count = 0;
    while (clock_now() - time.wall < BENCH_SECONDS * NANOS_SECOND) {
        if (stream == NULL || stream_each) {
            require(quic_stream_open(bench->sides[0].conn, &stream) == 0, "cannot open");
        }
        size_t accepted;
        require(quic_stream_write(stream, request, 0, request->size, stream_each, &accepted) == 0,
                "cannot write");
        run(bench);
        count++;
        require(bench->answers == count, "no answer");
    }
    block_unref(request);
    bench->echo = false;
    time_end(&time, stream_each ? "round trips, a stream each" : "round trips", count);
}

static void bench_bytes(struct bench *bench) {
    require(quic_stream_open(bench->sides[0].conn, &bench->writer) == 0, "cannot open");
    bench->chunk = block_new(&bench->sides[0].memory, CHUNK);
    require(bench->chunk != NULL, "no memory");
    memset(bench->chunk->data, 1, CHUNK);
    write_more(bench);
    bench->received = 0;
    struct span_of_time time = time_begin();
    while (clock_now() - time.wall < BENCH_SECONDS * NANOS_SECOND) {
        run(bench);
    }
    time_end(&time, "megabytes", (size_t)(bench->received / 1000000));
    block_unref(bench->chunk);
    bench->writer = NULL;
}

static void bench_memory(struct bench *bench) {
    size_t before = bench->sides[1].memory.used;
    for (int i = 0; i < 100; i++) {
        dial(bench);
    }
    printf("memory: %zu bytes an idle accepted connection, without the TLS library's\n",
           (bench->sides[1].memory.used - before) / 100);
}

/* Without an argument all of it; else one of "handshakes", "memory", "trips", "bytes". */
int main(int argc, char **argv) {
    static struct bench bench;
    const char *only = argc > 1 ? argv[1] : "";
    require(crypto_init() == 0, "no crypto");
    start_side(&bench, 0);
    start_side(&bench, 1);
    bool all = only[0] == '\0';
    if (all || strcmp(only, "handshakes") == 0) {
        bench_handshakes(&bench);
    }
    dial(&bench);
    if (all || strcmp(only, "memory") == 0) {
        bench_memory(&bench);
    }
    if (all || strcmp(only, "trips") == 0) {
        bench_round_trips(&bench, false);
        bench_round_trips(&bench, true);
    }
    if (all || strcmp(only, "bytes") == 0) {
        bench_bytes(&bench);
    }
    for (int i = 0; i < 2; i++) {
        quic_endpoint_free(bench.sides[i].endpoint);
    }
    return 0;
}
