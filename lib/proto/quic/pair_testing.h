/* Two endpoints and a network between them, in memory and in virtual time, for tests. */
#ifndef QUIC_PAIR_TESTING_H
#define QUIC_PAIR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "identity/certificate_testing.h"
#include "proto/quic/quic.h"

/* Steps of one pair_run() at most: a test that needs more does not end by itself. */
#define PAIR_STEPS_MAX 2000000

enum { CLIENT, SERVER };

struct pair;

/* What a test does with an event of one side; streams are consumed by it. */
typedef void (*pair_event)(struct pair *pair, int side, const struct quic_event *event);

struct pair_network {
    nanos delay;
    unsigned loss_percent;
    unsigned duplicate_percent;
    unsigned reorder_percent; /* arrive `delay` later than they should */
    size_t mtu;               /* larger datagrams are lost; 0: no limit */
    bool no_gso;
    bool no_gro;
    bool cut[2]; /* nothing that this side sends arrives */
};

struct pair_datagram {
    struct pair_datagram *next;
    int to;
    nanos arrives;
    struct quic_datagram datagram;
    uint8_t bytes[];
};

struct pair_side {
    struct memory_failing memory;
    struct quic_config config;
    struct certificate certificate;
    struct ed25519_secret secret;
    struct public_key key;
    struct peer_id id;
    struct quic_endpoint *endpoint;
    struct netaddr address;
    struct quic_conn *conn; /* the last that was dialled or connected */
    unsigned connected;
    unsigned closed;
    unsigned path_changed;
    struct quic_event last_closed; /* without what is borrowed */
    char closed_text[256];
    struct peer_id peer; /* of the last CONNECTED */
};

struct pair {
    struct pair_side sides[2];
    struct pair_network network;
    struct random random;
    nanos now;
    int64_t unix_seconds;
    struct pair_datagram *datagrams; /* by arrival */
    pair_event on_event;
    void *test;
    size_t steps;
    uint64_t sent_datagrams;
    /* Sees what is sent; false: it is lost. */
    bool (*filter)(struct pair *pair, int from, struct quic_datagram *datagram);
};

static inline struct netaddr pair_address(const char *ip, uint16_t port) {
    struct netaddr address;
    if (netaddr_parse_ip(bytes_of_string(ip), &address) != 0) {
        abort();
    }
    address.port = port;
    return address;
}

/* Defaults, for a test to change before pair_start(). */
static inline void pair_init(struct pair *pair, uint8_t seed) {
    memset(pair, 0, sizeof(*pair));
    uint8_t bytes[32] = {seed, 1};
    random_init(&pair->random, bytes);
    pair->now = 1000 * NANOS_SECOND;
    pair->unix_seconds = TESTING_UNIX_SECONDS;
    pair->network.delay = 100 * NANOS_MICROSECOND;
    for (int i = 0; i < 2; i++) {
        struct pair_side *side = &pair->sides[i];
        memory_failing_init(&side->memory, SIZE_MAX, false);
        testing_identity((uint8_t)(10 + i), &side->secret, &side->key, &side->id);
        testing_own_certificate(&side->secret, &side->certificate);
        side->address = pair_address(i == CLIENT ? "192.0.2.1" : "192.0.2.2", (uint16_t)(4001 + i));
        quic_config_init(&side->config);
        side->config.certificate = &side->certificate;
        side->config.memory = &side->memory.memory;
        side->config.local = side->address;
        side->config.accept = i == SERVER;
        random_fill(&pair->random, (struct span){.data = side->config.seed, .size = 32});
        random_fill(&pair->random, (struct span){.data = side->config.reset_secret, .size = 32});
        random_fill(&pair->random, (struct span){.data = side->config.token_secret, .size = 32});
    }
}

static inline void pair_start(struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(quic_endpoint_new(&pair->sides[i].config, &pair->sides[i].endpoint), 0);
    }
}

static inline void pair_drop_datagrams(struct pair *pair) {
    while (pair->datagrams != NULL) {
        struct pair_datagram *next = pair->datagrams->next;
        free(pair->datagrams);
        pair->datagrams = next;
    }
}

/* Frees all; nothing may be left. */
static inline void pair_done(struct pair *pair) {
    pair_drop_datagrams(pair);
    for (int i = 0; i < 2; i++) {
        quic_endpoint_free(pair->sides[i].endpoint);
        assert_int_equal(pair->sides[i].memory.memory.used, 0);
        certificate_done(&pair->sides[i].certificate);
    }
}

static inline bool pair_chance(struct pair *pair, unsigned percent) {
    return percent > 0 && random_below(&pair->random, 100) < percent;
}

static inline void pair_enqueue(struct pair *pair, int to, const struct quic_datagram *datagram,
                                nanos arrives) {
    struct pair_datagram *copy = malloc(sizeof(*copy) + datagram->bytes.size);
    if (copy == NULL) {
        abort();
    }
    copy->to = to;
    copy->arrives = arrives;
    copy->datagram = *datagram;
    memcpy(copy->bytes, datagram->bytes.data, datagram->bytes.size);
    copy->datagram.bytes = bytes_of(copy->bytes, datagram->bytes.size);
    struct pair_datagram **place = &pair->datagrams;
    while (*place != NULL && (*place)->arrives <= arrives) {
        place = &(*place)->next;
    }
    copy->next = *place;
    *place = copy;
}

/* One datagram, or a batch of equal ones, enters the network. */
static inline void pair_send(struct pair *pair, int from, struct quic_datagram *datagram) {
    const struct pair_network *network = &pair->network;
    pair->sent_datagrams++;
    if (network->cut[from] || pair_chance(pair, network->loss_percent) ||
        (network->mtu > 0 && datagram->bytes.size > network->mtu) ||
        (pair->filter != NULL && !pair->filter(pair, from, datagram))) {
        return;
    }
    nanos delay = network->delay;
    delay += pair_chance(pair, network->reorder_percent) ? network->delay : 0;
    int to = 1 - from;
    pair_enqueue(pair, to, datagram, pair->now + delay);
    if (pair_chance(pair, network->duplicate_percent)) {
        pair_enqueue(pair, to, datagram, pair->now + delay + network->delay / 2);
    }
}

static inline bool pair_is_perfect(const struct pair *pair) {
    const struct pair_network *network = &pair->network;
    return network->loss_percent == 0 && network->duplicate_percent == 0 &&
           network->reorder_percent == 0 && network->mtu == 0 && pair->filter == NULL &&
           !network->no_gro;
}

static inline bool pair_transmit(struct pair *pair, int from) {
    static uint8_t room[QUIC_BATCH_SIZE_MAX];
    struct quic_packet packet;
    size_t size = pair->network.no_gso ? QUIC_PACKET_SIZE_MAX : sizeof(room);
    if (!quic_transmit(pair->sides[from].endpoint, (struct span){.data = room, .size = size},
                       pair->now, &packet)) {
        return false;
    }
    assert_true(packet.size > 0 && packet.size <= size);
    assert_true(packet.segment_size > 0 && packet.segment_size <= QUIC_DATAGRAM_SIZE_MAX);
    assert_true(packet.segment_size <= QUIC_PACKET_SIZE_MAX || netaddr_is_loopback(&packet.remote));
    assert_int_equal(packet.local.family, NETADDR_IP4);
    struct quic_datagram datagram = {.local = packet.remote,
                                     .remote = packet.local,
                                     .ecn = packet.ecn,
                                     .bytes = bytes_of(room, packet.size)};
    if (netaddr_is_unspecified(&datagram.remote)) {
        datagram.remote = pair->sides[from].address;
    }
    if (pair_is_perfect(pair)) {
        datagram.segment_size = packet.segment_size;
        pair_send(pair, from, &datagram);
        return true;
    }
    for (size_t at = 0; at < packet.size; at += packet.segment_size) {
        datagram.bytes = bytes_slice(bytes_of(room, packet.size), at, packet.segment_size);
        pair_send(pair, from, &datagram);
    }
    return true;
}

static inline void pair_note(struct pair *pair, int index, const struct quic_event *event) {
    struct pair_side *side = &pair->sides[index];
    switch (event->type) {
    case QUIC_CONNECTED:
        assert_non_null(event->identity);
        side->peer = event->identity->peer_id;
        side->conn = event->conn;
        side->connected++;
        break;
    case QUIC_CLOSED:
        assert_non_null(event->text);
        snprintf(side->closed_text, sizeof(side->closed_text), "%s", event->text);
        side->last_closed = *event;
        side->closed++;
        if (side->conn == event->conn) {
            side->conn = NULL;
        }
        break;
    case QUIC_PATH_CHANGED:
        side->path_changed++;
        break;
    default:
        break;
    }
}

/* Takes events and sends packets until both sides are still. */
static inline void pair_flush(struct pair *pair) {
    bool busy = true;
    while (busy) {
        busy = false;
        for (int i = 0; i < 2; i++) {
            struct quic_event event;
            if (pair->sides[i].endpoint == NULL) {
                continue;
            }
            while (quic_next_event(pair->sides[i].endpoint, &event)) {
                pair_note(pair, i, &event);
                if (pair->on_event != NULL) {
                    pair->on_event(pair, i, &event);
                }
                busy = true;
            }
            while (pair_transmit(pair, i)) {
                busy = true;
            }
            assert_true(++pair->steps < PAIR_STEPS_MAX);
        }
    }
}

static inline nanos pair_next(const struct pair *pair) {
    nanos next = pair->datagrams != NULL ? pair->datagrams->arrives : NANOS_NEVER;
    for (int i = 0; i < 2; i++) {
        if (pair->sides[i].endpoint != NULL) {
            next = nanos_min(next, quic_deadline(pair->sides[i].endpoint));
        }
    }
    return next;
}

static inline void pair_deliver(struct pair *pair) {
    struct pair_datagram *first = pair->datagrams;
    pair->datagrams = first->next;
    struct pair_side *side = &pair->sides[first->to];
    if (side->endpoint != NULL) {
        quic_receive(side->endpoint, &first->datagram, pair->now, pair->unix_seconds);
    }
    free(first);
}

/* To the next thing that happens, at `until` at the latest. False when that is reached. */
static inline bool pair_step(struct pair *pair, nanos until) {
    pair_flush(pair);
    nanos next = pair_next(pair);
    if (next > until) {
        pair->now = nanos_max(pair->now, until);
        return false;
    }
    pair->now = nanos_max(pair->now, next);
    while (pair->datagrams != NULL && pair->datagrams->arrives <= pair->now) {
        pair_deliver(pair);
    }
    for (int i = 0; i < 2; i++) {
        if (pair->sides[i].endpoint != NULL &&
            quic_deadline(pair->sides[i].endpoint) <= pair->now) {
            quic_expire(pair->sides[i].endpoint, pair->now);
        }
    }
    assert_true(++pair->steps < PAIR_STEPS_MAX);
    return true;
}

/* For `duration`, or until nothing is left to happen. */
static inline void pair_run(struct pair *pair, nanos duration) {
    nanos until = pair->now + duration;
    while (pair_step(pair, until)) {
    }
    pair_flush(pair);
}

static inline int pair_try_dial(struct pair *pair, const struct peer_id *expected) {
    struct pair_side *client = &pair->sides[CLIENT];
    return quic_dial(client->endpoint, &pair->sides[SERVER].address, NULL, expected, 0, pair->now,
                     &client->conn);
}

static inline void pair_dial(struct pair *pair) {
    assert_int_equal(pair_try_dial(pair, &pair->sides[SERVER].id), 0);
}

/* Both connected. */
static inline void pair_connect(struct pair *pair) {
    pair_dial(pair);
    pair_run(pair, NANOS_SECOND);
    assert_non_null(pair->sides[CLIENT].conn);
    assert_non_null(pair->sides[SERVER].conn);
    assert_int_equal(pair->sides[CLIENT].connected, 1);
    assert_int_equal(pair->sides[SERVER].connected, 1);
}

/* Bytes that tell where they are from. */
static inline struct block *pair_block(struct pair *pair, int side, uint64_t offset, size_t size) {
    struct block *block = block_new(&pair->sides[side].memory.memory, size);
    if (block != NULL) {
        for (size_t i = 0; i < size; i++) {
            uint64_t at = offset + i;
            block->data[i] = (uint8_t)(at ^ (at >> 8) ^ (at >> 16));
        }
    }
    return block;
}

static inline void pair_check_bytes(struct bytes bytes, uint64_t offset) {
    for (size_t i = 0; i < bytes.size; i++) {
        uint64_t at = offset + i;
        if (bytes.data[i] != (uint8_t)(at ^ (at >> 8) ^ (at >> 16))) {
            fail_msg("wrong byte at %llu", (unsigned long long)at);
        }
    }
}

static inline int pair_crypto(void **state) {
    (void)state;
    return crypto_init();
}

#endif
