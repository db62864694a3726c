/* A network of DHT machines in virtual time, for tests and benchmarks: delays, dead, slow and lying
 * nodes. A connection is made at the first request, costs a handshake and is identified at both
 * ends. */
#ifndef PROTO_KAD_NETWORK_TESTING_H
#define PROTO_KAD_NETWORK_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "proto/kad/distance.h"
#include "proto/kad/kad.h"
#include "proto/kad/kad_testing.h"
#include "proto/kad/message.h"
#include "util/ensure.h"
#include "util/heap.h"
#include "util/map.h"
#include "wire/multiaddr.h"

/* What a dial to a dead node costs, as QUIC's does. */
#define NETWORK_DIAL_TIMEOUT (5 * NANOS_SECOND)

enum behaviour {
    HONEST,
    CLIENT,  /* honest, in client mode */
    DEAD,    /* silent */
    REFUSED, /* dials fail at once */
    SLOW,    /* answers after three seconds */
    BOGUS,   /* names twenty peers that do not exist, close to the key */
    ECLIPSE, /* names only the other liars, as if they were the closest */
    GARBAGE, /* answers what is no message */
    HUGE,    /* answers more than a message may have */
    SELFISH, /* names itself, the asker and the same peer again and again */
};

struct network_node {
    struct kad *kad;
    struct memory memory;
    struct random random;
    struct peer_id id;
    struct sha256_digest hash;
    struct netaddr address;
    struct multiaddr multiaddr;
    enum behaviour behaviour;
    uint8_t *connected; /* bit i: to node i */
    struct heap_node timer;
    struct map_node by_id;
};

/* Something on its way. */
struct network_message {
    struct heap_node timer;
    uint64_t order; /* of two at the same time the first sent arrives first */
    enum { NETWORK_REQUEST, NETWORK_ANSWER, NETWORK_FAILURE } kind;
    size_t from;
    size_t to;
    uint64_t request;
    bool expects_answer;
    int error;
    size_t size;
    uint8_t bytes[];
};

/* What an operation brought. */
struct network_result {
    uint64_t operation;
    bool is_done;
    struct kad_done done;
    size_t found_count;
    struct peer_id found[KAD_LOOKUP_PROVIDERS_MAX];
    nanos first_found; /* when; 0 for never */
    size_t value_size;
    uint8_t value[KAD_VALUE_SIZE_MAX];
};

struct network {
    struct memory memory;
    struct random random;
    struct heap timers;
    struct map by_id;
    nanos now;
    uint64_t order;
    size_t count;
    size_t capacity;
    struct network_node *nodes;
    nanos delay_min; /* one way */
    nanos delay_max;
    size_t observed; /* the node whose operation `result` follows */
    struct network_result result;
    struct hash *trace;    /* of every event of every node */
    size_t requests;       /* sent in all */
    bool public_addresses; /* each honest node in a network of its own, all eclipsers in one */
    struct bytes eclipsed; /* the key that eclipsers' ids are chosen to be close to, or empty */
    struct kad_limits limits;
};

static inline void network_init(struct network *network, size_t capacity, uint8_t seed) {
    uint8_t seeds[32] = {seed};
    *network = (struct network){.capacity = capacity,
                                .now = NANOS_SECOND,
                                .delay_min = 5 * NANOS_MILLISECOND,
                                .delay_max = 50 * NANOS_MILLISECOND};
    memory_init(&network->memory, SIZE_MAX);
    random_init(&network->random, seeds);
    heap_init(&network->timers, &network->memory);
    map_init(&network->by_id, &network->memory, (const uint64_t[2]){1, 2});
    kad_limits_default(&network->limits);
    network->trace = hash_new();
    network->nodes = memory_zero(&network->memory, capacity * sizeof(network->nodes[0]));
    ENSURE(network->trace != NULL && network->nodes != NULL);
}

static inline struct kad_peer network_peer(const struct network *network, size_t node,
                                           struct bytes *address) {
    const struct network_node *of = &network->nodes[node];
    *address = multiaddr_bytes(&of->multiaddr);
    return (struct kad_peer){.id = of->id,
                             .addresses = address,
                             .address_count = 1,
                             .remote = &of->address,
                             .is_server = of->behaviour != CLIENT,
                             .is_connected = true};
}

/* Of `tries` random ids the one nearest to the key. */
static inline struct peer_id network_near_id(struct random *random, struct bytes key, int tries) {
    struct sha256_digest target = sha256(key);
    struct sha256_digest best = {0};
    struct peer_id nearest = {0};
    for (int i = 0; i < tries; i++) {
        struct peer_id id = testing_peer(random);
        struct sha256_digest hash = testing_hash(&id);
        struct sha256_digest distance = kad_distance(&hash, &target);
        if (i == 0 || kad_distance_compare(&distance, &best) < 0) {
            best = distance;
            nearest = id;
        }
    }
    return nearest;
}

static inline void network_address(const struct network *network, enum behaviour behaviour,
                                   size_t number, uint8_t *ip) {
    ip[0] = network->public_addresses ? (uint8_t)(11 + number % 100) : 10;
    ip[1] = (uint8_t)(number / 100);
    ip[2] = (uint8_t)(number >> 8);
    ip[3] = (uint8_t)number;
    if (network->public_addresses && behaviour == ECLIPSE) {
        ip[0] = 200;
        ip[1] = 200;
    }
}

/* Adds a node and returns its number. In the memory given, or its own when NULL. */
static inline size_t network_add(struct network *network, enum behaviour behaviour,
                                 struct memory *memory, int *ret_error) {
    ENSURE(network->count < network->capacity);
    size_t number = network->count;
    struct network_node *node = &network->nodes[number];
    memory_init(&node->memory, SIZE_MAX);
    uint8_t seed[32];
    random_fill(&network->random, (struct span){seed, sizeof(seed)});
    random_init(&node->random, seed);
    node->id = behaviour == ECLIPSE && network->eclipsed.size > 0
                   ? network_near_id(&network->random, network->eclipsed, 2000)
                   : testing_peer(&network->random);
    node->hash = sha256(peer_id_bytes(&node->id));
    node->behaviour = behaviour;
    node->address = (struct netaddr){.family = NETADDR_IP4, .port = 4001};
    network_address(network, behaviour, number, node->address.ip);
    multiaddr_from_quic(&node->address, &node->multiaddr);
    struct kad_config config = {.own_id = node->id,
                                .mode = behaviour == CLIENT ? KAD_CLIENT : KAD_SERVER,
                                .limits = network->limits,
                                .random = &node->random};
    int error = kad_new(&config, memory != NULL ? memory : &node->memory, network->now, &node->kad);
    if (error == 0) {
        node->connected = memory_zero(&network->memory, network->capacity / 8 + 1);
        ENSURE(node->connected != NULL);
        struct bytes address = multiaddr_bytes(&node->multiaddr);
        error = kad_set_addresses(node->kad, &address, 1, network->now);
        ENSURE(error == 0);
        error = map_put(&network->by_id, &node->by_id, peer_id_bytes(&node->id));
        ENSURE(error == 0);
        network->count++;
    }
    if (ret_error != NULL) {
        *ret_error = error;
    } else {
        ENSURE(error == 0);
    }
    return number;
}

static inline void network_done(struct network *network) {
    struct heap_node *timer;
    for (size_t i = 0; i < network->count; i++) {
        struct network_node *node = &network->nodes[i];
        heap_remove(&network->timers, &node->timer);
        kad_free(node->kad);
        ENSURE(node->memory.used == 0);
        memory_put(&network->memory, node->connected, network->capacity / 8 + 1);
    }
    while ((timer = heap_first(&network->timers)) != NULL) {
        struct network_message *message = CONTAINER_OF(timer, struct network_message, timer);
        heap_remove(&network->timers, timer);
        memory_put(&network->memory, message, sizeof(*message) + message->size);
    }
    heap_done(&network->timers);
    map_done(&network->by_id);
    memory_put(&network->memory, network->nodes, network->capacity * sizeof(network->nodes[0]));
    hash_free(network->trace);
    ENSURE(network->memory.used == 0);
}

/* The node's number, or `count` when there is none. */
static inline size_t network_find(const struct network *network, const struct peer_id *id) {
    struct map_node *node = map_get(&network->by_id, peer_id_bytes(id));
    return node != NULL ? (size_t)(CONTAINER_OF(node, struct network_node, by_id) - network->nodes)
                        : network->count;
}

static inline bool network_is_connected(const struct network *network, size_t a, size_t b) {
    return (network->nodes[a].connected[b / 8] >> b % 8 & 1) != 0;
}

static inline void network_send(struct network *network, struct network_message *message,
                                nanos delay) {
    /* The order sent breaks ties, so that a run can be repeated. */
    message->order = network->order++;
    int error =
        heap_set(&network->timers, &message->timer, network->now + delay + message->order % 1000);
    ENSURE(error == 0);
}

static inline struct network_message *network_message_new(struct network *network,
                                                          struct bytes bytes) {
    struct network_message *message = memory_zero(&network->memory, sizeof(*message) + bytes.size);
    ENSURE(message != NULL);
    message->size = bytes.size;
    if (bytes.size > 0) {
        memcpy(message->bytes, bytes.data, bytes.size);
    }
    return message;
}

static inline nanos network_delay(struct network *network) {
    return network->delay_min +
           random_below(&network->random, network->delay_max - network->delay_min + 1);
}

/* Tells both ends of each other, as identify does. */
static inline void network_connect(struct network *network, size_t a, size_t b) {
    network->nodes[a].connected[b / 8] |= (uint8_t)(1u << b % 8);
    network->nodes[b].connected[a / 8] |= (uint8_t)(1u << a % 8);
    size_t ends[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        struct bytes address;
        struct kad_peer peer = network_peer(network, ends[1 - i], &address);
        if (network->nodes[ends[i]].behaviour == DEAD) {
            continue;
        }
        int error = kad_peer_identified(network->nodes[ends[i]].kad, &peer, network->now);
        ENSURE(error == 0 || error == PLASM_NO_MEMORY);
    }
}

static inline void network_take_ask(struct network *network, size_t from,
                                    const struct kad_ask *ask) {
    size_t to = network_find(network, &ask->peer);
    bool exists = to < network->count;
    enum behaviour behaviour = exists ? network->nodes[to].behaviour : DEAD;
    struct network_message *message = network_message_new(network, ask->request);
    message->from = from;
    message->to = to;
    message->request = ask->id;
    message->expects_answer = ask->expects_answer;
    nanos delay = network_delay(network);
    network->requests++;
    if (behaviour == DEAD || behaviour == REFUSED || behaviour == CLIENT) {
        message->kind = NETWORK_FAILURE;
        message->to = from;
        message->error = behaviour == CLIENT ? PLASM_UNSUPPORTED : PLASM_UNREACHABLE;
        delay = behaviour == DEAD ? NETWORK_DIAL_TIMEOUT : 2 * delay;
    } else {
        message->kind = NETWORK_REQUEST;
        /* A handshake takes a round trip and a half more. */
        delay += network_is_connected(network, from, to) ? 0 : 3 * delay;
    }
    network_send(network, message, delay);
}

static inline void network_take_event(struct network *network, size_t number,
                                      const struct kad_event *event) {
    struct network_result *result = &network->result;
    uint64_t noted[8] = {number,
                         event->kind,
                         event->operation,
                         event->peer.size > 8 ? event->peer.bytes[8] : 0,
                         event->table_size,
                         (uint64_t)event->done.status,
                         event->done.asked,
                         network->now};
    hash_update(network->trace, bytes_of(noted, sizeof(noted)));
    if (number != network->observed || event->operation != result->operation ||
        result->operation == 0) {
        return;
    }
    switch (event->kind) {
    case KAD_PROVIDER_FOUND:
    case KAD_PEER_FOUND:
        result->first_found = result->first_found == 0 ? network->now : result->first_found;
        for (size_t i = 0; i < result->found_count; i++) {
            if (peer_id_equal(&result->found[i], &event->peer)) {
                return;
            }
        }
        result->found[result->found_count++] = event->peer;
        break;
    case KAD_VALUE_FOUND:
        result->value_size = event->value.size;
        memcpy(result->value, event->value.data, event->value.size);
        break;
    case KAD_OPERATION_DONE:
        result->is_done = true;
        result->done = event->done;
        break;
    default:
        break;
    }
}

/* After every input of a node. */
static inline void network_drain(struct network *network, size_t number) {
    struct network_node *node = &network->nodes[number];
    struct kad_event event;
    struct kad_ask ask;
    while (kad_next_event(node->kad, &event)) {
        network_take_event(network, number, &event);
    }
    while (kad_next_ask(node->kad, network->now, &ask)) {
        network_take_ask(network, number, &ask);
    }
    int error = heap_set(&network->timers, &node->timer, kad_deadline(node->kad));
    ENSURE(error == 0);
}

/* --- Lies ----------------------------------------------------------------------------------- */

static inline void network_put_peer(struct writer *writer, const struct peer_id *id,
                                    const struct multiaddr *address) {
    struct kad_addresses packed = {0};
    kad_addresses_add(&packed, id, multiaddr_bytes(address));
    (void)kad_message_put_peer(writer, KAD_LIST_CLOSER, id, kad_addresses_bytes(&packed),
                               KAD_CONNECTED, false, KAD_MESSAGE_SIZE_MAX);
}

/* The answer a liar gives; `room` has more than a message may have. */
static inline size_t network_lie(struct network *network, size_t number, size_t asker,
                                 const struct kad_message *request, struct span room) {
    struct network_node *node = &network->nodes[number];
    struct writer writer = writer_of(room);
    if (node->behaviour == GARBAGE) {
        random_fill(&network->random, (struct span){room.data, 200});
        return 200;
    }
    kad_message_put_head(&writer, request->type, request->key);
    if (node->behaviour == HUGE) {
        static const uint8_t large[KAD_MESSAGE_SIZE_MAX];
        kad_message_put_record(&writer, request->key, BYTES_ARRAY(large));
    } else if (node->behaviour == BOGUS) {
        for (size_t i = 0; i < KAD_K; i++) {
            struct peer_id id = network_near_id(&network->random, request->key, 64);
            network_put_peer(&writer, &id, &node->multiaddr);
        }
    } else if (node->behaviour == ECLIPSE) {
        size_t first = (size_t)random_below(&network->random, network->count);
        for (size_t i = 0, named = 0; i < network->count && named < KAD_K; i++) {
            const struct network_node *other = &network->nodes[(first + i) % network->count];
            if (other->behaviour == ECLIPSE && other != node) {
                network_put_peer(&writer, &other->id, &other->multiaddr);
                named++;
            }
        }
    } else {
        for (size_t i = 0; i < KAD_K; i++) {
            size_t named = i % 3 == 0 ? asker : number;
            network_put_peer(&writer, &network->nodes[named].id, &network->nodes[named].multiaddr);
        }
    }
    return writer.size;
}

/* --- The course of time --------------------------------------------------------------------- */

static inline void network_take_request(struct network *network,
                                        const struct network_message *message) {
    struct network_node *node = &network->nodes[message->to];
    static uint8_t room[2 * KAD_MESSAGE_SIZE_MAX];
    size_t size = 0;
    if (!network_is_connected(network, message->from, message->to)) {
        network_connect(network, message->from, message->to);
        network_drain(network, message->from);
    }
    struct bytes bytes = bytes_of(message->bytes, message->size);
    struct kad_message request;
    int error = kad_message_decode(bytes, &request);
    ENSURE(error == 0);
    bool lies = node->behaviour >= BOGUS && request.type != KAD_MESSAGE_ADD_PROVIDER;
    if (lies) {
        size = network_lie(network, message->to, message->from, &request,
                           (struct span){room, sizeof(room)});
    } else if (node->behaviour < BOGUS) {
        error = kad_request(node->kad, &network->nodes[message->from].id,
                            &network->nodes[message->from].address, bytes,
                            (struct span){room, KAD_MESSAGE_SIZE_MAX}, network->now, &size);
        ENSURE(size <= KAD_MESSAGE_SIZE_MAX);
    }
    struct network_message *answer = network_message_new(network, bytes_of(room, size));
    answer->kind = error == 0 ? NETWORK_ANSWER : NETWORK_FAILURE;
    answer->error = PLASM_RESET;
    answer->to = message->from;
    answer->request = message->request;
    network_send(network, answer,
                 network_delay(network) + (node->behaviour == SLOW ? 3 * NANOS_SECOND : 0));
    network_drain(network, message->to);
}

static inline void network_deliver(struct network *network, struct network_message *message) {
    struct network_node *node = &network->nodes[message->to];
    if (node->behaviour == DEAD) {
        /* It died with something on its way to it: the sender's own time-out tells. */
    } else if (message->kind == NETWORK_REQUEST) {
        network_take_request(network, message);
    } else {
        if (message->kind == NETWORK_ANSWER) {
            kad_answer(node->kad, message->request, bytes_of(message->bytes, message->size),
                       network->now);
        } else {
            kad_answer_failed(node->kad, message->request, message->error, network->now);
        }
        network_drain(network, message->to);
    }
    memory_put(&network->memory, message, sizeof(*message) + message->size);
}

/* Lets the next thing happen; false when there is none before `until`. */
static inline bool network_step(struct network *network, nanos until) {
    struct heap_node *timer = heap_first(&network->timers);
    if (timer == NULL || timer->deadline > until) {
        network->now = nanos_max(network->now, until);
        return false;
    }
    network->now = nanos_max(network->now, timer->deadline);
    uintptr_t first = (uintptr_t)network->nodes;
    if ((uintptr_t)timer >= first &&
        (uintptr_t)timer < (uintptr_t)(network->nodes + network->count)) {
        size_t number = ((uintptr_t)timer - first) / sizeof(network->nodes[0]);
        heap_remove(&network->timers, timer);
        if (network->nodes[number].behaviour != DEAD) {
            kad_expire(network->nodes[number].kad, network->now);
            network_drain(network, number);
        }
        return true;
    }
    struct network_message *message = CONTAINER_OF(timer, struct network_message, timer);
    heap_remove(&network->timers, timer);
    network_deliver(network, message);
    return true;
}

static inline void network_run(struct network *network, nanos duration) {
    nanos until = network->now + duration;
    while (network_step(network, until)) {
    }
}

/* Runs until the operation of `node` has ended. */
static inline const struct network_result *network_finish(struct network *network, size_t node,
                                                          uint64_t operation) {
    memset(&network->result, 0, sizeof(network->result));
    network->observed = node;
    network->result.operation = operation;
    network_drain(network, node);
    nanos until = network->now + NANOS_HOUR;
    while (!network->result.is_done && network_step(network, until)) {
    }
    return &network->result;
}

/* A node meets another and bootstraps. */
static inline void network_join(struct network *network, size_t node, size_t through) {
    network_connect(network, node, through);
    network_drain(network, through);
    uint64_t operation;
    int error = kad_bootstrap(network->nodes[node].kad, NULL, network->now, &operation);
    ENSURE(error == 0);
    network_finish(network, node, operation);
}

/* The honest servers nearest to a key, by looking at all of them. Returns how many. */
static inline size_t network_closest(const struct network *network, struct bytes key, size_t except,
                                     size_t *ret_nodes, size_t n) {
    struct sha256_digest target = sha256(key);
    size_t count = 0;
    for (size_t i = 0; i < network->count; i++) {
        if (network->nodes[i].behaviour != HONEST || i == except) {
            continue;
        }
        struct sha256_digest distance = kad_distance(&network->nodes[i].hash, &target);
        size_t place = count < n ? count : n;
        while (place > 0) {
            struct sha256_digest other =
                kad_distance(&network->nodes[ret_nodes[place - 1]].hash, &target);
            if (kad_distance_compare(&distance, &other) > 0) {
                break;
            }
            place--;
        }
        if (place < n) {
            count += count < n;
            memmove(&ret_nodes[place + 1], &ret_nodes[place],
                    (count - place - 1) * sizeof(ret_nodes[0]));
            ret_nodes[place] = i;
        }
    }
    return count;
}

/* A network of honest servers that have all joined through one another. */
static inline void network_grow(struct network *network, size_t honest) {
    for (size_t i = 0; i < honest; i++) {
        size_t node = network_add(network, HONEST, NULL, NULL);
        if (node > 0) {
            network_join(network, node, (size_t)random_below(&network->random, node));
        }
    }
}

static inline struct bytes network_random_key(struct network *network, uint8_t room[34]) {
    room[0] = 0x12;
    room[1] = 0x20;
    random_fill(&network->random, (struct span){room + 2, 32});
    return bytes_of(room, 34);
}

static inline size_t network_random_node(struct network *network, enum behaviour behaviour) {
    for (;;) {
        size_t node = (size_t)random_below(&network->random, network->count);
        if (network->nodes[node].behaviour == behaviour) {
            return node;
        }
    }
}

static inline const struct network_result *network_find_closest(struct network *network,
                                                                size_t node, struct bytes key) {
    uint64_t operation;
    int error = kad_find_closest(network->nodes[node].kad, key, NULL, network->now, &operation);
    ENSURE(error == 0);
    return network_finish(network, node, operation);
}

static inline const struct network_result *network_provide(struct network *network, size_t node,
                                                           struct bytes key) {
    uint64_t operation;
    int error = kad_provide(network->nodes[node].kad, key, NULL, network->now, &operation);
    ENSURE(error == 0);
    return network_finish(network, node, operation);
}

static inline const struct network_result *
network_find_providers(struct network *network, size_t node, struct bytes key, size_t count_max) {
    uint64_t operation;
    struct kad_options options = {.count_max = count_max};
    int error =
        kad_find_providers(network->nodes[node].kad, key, &options, network->now, &operation);
    ENSURE(error == 0);
    return network_finish(network, node, operation);
}

static inline bool network_has_found(const struct network_result *result,
                                     const struct peer_id *id) {
    for (size_t i = 0; i < result->found_count; i++) {
        if (peer_id_equal(&result->found[i], id)) {
            return true;
        }
    }
    return false;
}

/* How many of the k closest honest servers the result names. */
static inline size_t network_count_right(const struct network *network,
                                         const struct network_result *result, struct bytes key,
                                         size_t asker) {
    size_t closest[KAD_K];
    size_t count = network_closest(network, key, asker, closest, KAD_K);
    size_t right = 0;
    for (size_t i = 0; i < count; i++) {
        right += network_has_found(result, &network->nodes[closest[i]].id);
    }
    return right;
}

/* Turns some of the honest nodes into something else. */
static inline void network_turn(struct network *network, size_t count, enum behaviour behaviour) {
    for (size_t i = 0; i < count; i++) {
        network->nodes[network_random_node(network, HONEST)].behaviour = behaviour;
    }
}

#endif
