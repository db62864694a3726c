/* Two nodes' worth of TCP in one loop: pipes with Noise, what their links say, and time that passes
 * only until something came true. */
#ifndef HOST_TCP_TESTING_H
#define HOST_TCP_TESTING_H

#include "crypto/sign.h"
#include "host/host.h"
#include "host/tcp.h"
#include "peer/pipe_noise.h"
#include "util/testing.h"

/* Longer than anything that is waited for here takes on a busy machine. */
#define TCP_TESTING_WAIT_MS 20000

struct tcp_side {
    struct memory memory;
    struct noise_identity identity;
    struct pipe_noise noise;
    const struct pipe_security *securities[1];
    struct transport *pipes;
    struct tcp *tcp;
    bool freed;
    /* What came. */
    struct link *link; /* the last one that was connected; NULL once it is closed */
    struct link_stream *stream;
    size_t connected;
    size_t closed;
    int error;
    size_t received;
    bool wrong; /* a byte that was not sent */
    bool ended; /* the stream's other direction */
    /* A stream's bytes to be sent, each the low byte of where it is. */
    size_t to_send;
    size_t sent;
};

struct tcp_pair {
    uv_loop_t loop;
    struct budget budget; /* of both sides */
    uv_timer_t tick;
    struct tcp_side sides[2];
};

static inline void tcp_side_send(struct tcp_side *side) {
    while (side->stream != NULL && side->sent < side->to_send) {
        size_t size = side->to_send - side->sent;
        size = size < 65536 ? size : 65536;
        struct block *block = block_new(&side->memory, size);
        assert_non_null(block);
        for (size_t i = 0; i < size; i++) {
            block->data[i] = (uint8_t)((side->sent + i) * 7 >> 3);
        }
        size_t accepted = 0;
        bool last = side->sent + size == side->to_send;
        int error = side->pipes->verbs->write(side->stream, block, 0, size, last, &accepted);
        block_unref(block);
        side->sent += accepted;
        if (error != 0 || accepted < size) {
            return;
        }
    }
}

static inline void tcp_side_data(struct tcp_side *side, const struct link_event *event) {
    for (size_t i = 0; i < event->data.size; i++) {
        side->wrong =
            side->wrong || event->data.data[i] != (uint8_t)((side->received + i) * 7 >> 3);
    }
    side->received += event->data.size;
    side->ended = side->ended || event->fin;
    side->pipes->verbs->consume(event->stream, event->data.size);
}

static inline void tcp_side_drain(void *context) {
    struct tcp_side *side = context;
    struct link_event event;
    while (side->pipes->verbs->next_event(side->pipes, &event)) {
        switch (event.type) {
        case LINK_CONNECTED:
            side->link = event.link;
            side->connected++;
            break;
        case LINK_CLOSED:
            side->link = side->link == event.link ? NULL : side->link;
            side->stream = NULL;
            side->error = event.error;
            side->closed++;
            break;
        case LINK_STREAM_OPENED:
            side->stream = event.stream;
            break;
        case LINK_STREAM_DATA:
            tcp_side_data(side, &event);
            break;
        case LINK_STREAM_WRITABLE:
            tcp_side_send(side);
            break;
        case LINK_STREAM_CLOSED:
            side->stream = NULL;
            break;
        case LINK_STREAM_RESET:
        case LINK_STREAM_STOPPED:
        case LINK_MOVED:
            break;
        }
    }
}

static inline void tcp_side_init(struct tcp_pair *pair, struct tcp_side *side, uint8_t number,
                                 const struct pipe_limits *limits) {
    struct ed25519_secret secret;
    struct public_key key;
    const uint8_t seed[ED25519_SEED_SIZE] = {number};
    const uint8_t own[X25519_SIZE] = {number, 9};
    uint8_t message[NOISE_BINDING_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    *side = (struct tcp_side){.freed = false};
    memory_init(&side->memory, SIZE_MAX);
    ed25519_from_seed(&secret, seed);
    public_key_from_ed25519(secret.public_key, &key);
    noise_identity_prepare(&side->identity, own);
    noise_binding(side->identity.public_key, message);
    ed25519_sign(&secret, BYTES_ARRAY(message), signature);
    assert_int_equal(noise_identity_finish(&side->identity, &key, BYTES_ARRAY(signature)), 0);
    pipe_noise_init(&side->noise, &side->identity);
    side->securities[0] = &side->noise.security;
    struct pipe_config config = {.securities = side->securities,
                                 .security_count = 1,
                                 .memory = &side->memory,
                                 .seed = {number},
                                 .limits = *limits};
    assert_int_equal(pipe_transport_new(&config, &side->pipes), 0);
    const struct tcp_config tcp = {.loop = &pair->loop,
                                   .budget = &pair->budget,
                                   .pipes = side->pipes,
                                   .now = host_now,
                                   .drain = tcp_side_drain,
                                   .context = side};
    assert_int_equal(tcp_new(&tcp, &side->tcp), 0);
}

static inline void tcp_pair_tick(uv_timer_t *timer) {
    (void)timer;
}

static inline void tcp_pair_init(struct tcp_pair *pair, const struct pipe_limits *limits) {
    pair->budget = (struct budget){.bytes_max = (size_t)64 << 20};
    assert_int_equal(uv_loop_init(&pair->loop), 0);
    assert_int_equal(uv_timer_init(&pair->loop, &pair->tick), 0);
    assert_int_equal(uv_timer_start(&pair->tick, tcp_pair_tick, 1, 1), 0);
    for (uint8_t i = 0; i < 2; i++) {
        tcp_side_init(pair, &pair->sides[i], (uint8_t)(i + 1), limits);
    }
}

/* One turn of everything; at least a millisecond where nothing happens. */
static inline void tcp_pair_turn(struct tcp_pair *pair) {
    (void)uv_run(&pair->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < 2; i++) {
        struct tcp_side *side = &pair->sides[i];
        if (side->tcp == NULL) {
            continue;
        }
        if (side->pipes->verbs->deadline(side->pipes) <= host_now()) {
            side->pipes->verbs->expire(side->pipes, host_now());
        }
        do {
            tcp_side_drain(side);
        } while (tcp_flush(side->tcp));
    }
}

/* Goes on until it is true, or much too much time has passed. */
#define TCP_PAIR_UNTIL(pair, condition)                                                            \
    do {                                                                                           \
        nanos until_deadline = host_now() + TCP_TESTING_WAIT_MS * NANOS_MILLISECOND;               \
        while (!(condition) && host_now() < until_deadline) {                                      \
            tcp_pair_turn(pair);                                                                   \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static inline void tcp_side_freed(void *context) {
    ((struct tcp_side *)context)->freed = true;
}

/* Frees everything: nothing may be left of it. */
static inline void tcp_pair_done(struct tcp_pair *pair) {
    for (size_t i = 0; i < 2; i++) {
        struct tcp_side *side = &pair->sides[i];
        tcp_free(side->tcp, tcp_side_freed, side);
        side->tcp = NULL;
        tcp_side_drain(side);
        pipe_transport_free(side->pipes);
        noise_identity_done(&side->identity);
        assert_int_equal(side->memory.used, 0);
    }
    uv_close((uv_handle_t *)&pair->tick, NULL);
    while (uv_run(&pair->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(pair->budget.bytes, 0);
    assert_true(pair->sides[0].freed && pair->sides[1].freed);
    assert_int_equal(uv_loop_close(&pair->loop), 0);
}

/* The second side listens; where. */
static inline struct netaddr tcp_pair_listen(struct tcp_pair *pair) {
    const struct netaddr any = {.family = NETADDR_IP4, .ip = {127, 0, 0, 1}};
    struct netaddr listening;
    assert_int_equal(tcp_listen(pair->sides[1].tcp, &any), 0);
    assert_int_equal(tcp_listening(pair->sides[1].tcp, &listening, 1), 1);
    return listening;
}

static inline void tcp_pair_dial(struct tcp_pair *pair, const struct netaddr *to) {
    struct tcp_side *side = &pair->sides[0];
    struct multiaddr address;
    struct link *link;
    multiaddr_from_tcp(to, &address);
    assert_int_equal(side->pipes->verbs->dial(side->pipes, &address, NULL, 0, host_now(), &link),
                     0);
}

/* Connected to each other, with a stream that has said nothing. */
static inline void tcp_pair_connect(struct tcp_pair *pair) {
    struct netaddr to = tcp_pair_listen(pair);
    tcp_pair_dial(pair, &to);
    TCP_PAIR_UNTIL(pair, pair->sides[0].link != NULL && pair->sides[1].link != NULL);
    assert_int_equal(pair->sides[0].pipes->verbs->open(pair->sides[0].link, &pair->sides[0].stream),
                     0);
}

#endif
