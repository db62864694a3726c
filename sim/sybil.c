/* What a sybil answers, and how it gets near a key. */
#include "sybil.h"

#include "proto/kad/distance.h"
#include "proto/kad/message.h"
#include "util/ensure.h"
#include "wire/varint.h"

/* The networks are apart from each other: 45.0.0.0/16, 46.1.0.0/16, … */
#define FIRST_NETWORK 45
#define NETWORKS_MAX  150

void sybil_place(struct network *network, struct site *site, size_t number, size_t network_count) {
    size_t which = number % network_count;
    struct netaddr address = {.family = NETADDR_IP4, .port = 4001};
    address.ip[0] = (uint8_t)(FIRST_NETWORK + which % NETWORKS_MAX);
    address.ip[1] = (uint8_t)(which / NETWORKS_MAX);
    do {
        uint64_t rest = random_u64(&network->sim->random);
        address.ip[2] = (uint8_t)rest;
        address.ip[3] = (uint8_t)(rest >> 8);
    } while (network_find(network, &address) != NULL);
    site->address = address;
}

void sybil_pose(struct node *node, const struct sha256_digest *key, unsigned bits) {
    struct ed25519_secret *secret = &node->secret;
    uint64_t counter = random_u64(&node->sim->random);
    struct sha256_digest digest;
    do {
        /* No secret belongs to it, but nobody on simulated links asks for one. */
        counter++;
        memcpy(secret->public_key, &counter, sizeof(counter));
        struct public_key public_key;
        public_key_from_ed25519(secret->public_key, &public_key);
        peer_id_from_key(&public_key, &node->id);
        digest = sha256(peer_id_bytes(&node->id));
    } while (kad_common_prefix(key, &digest) < bits);
}

static void put_other(const struct sybils *sybils, struct node *node, struct writer *writer) {
    const struct node *other = sybils->nodes[random_below(&node->sim->random, sybils->count)];
    struct multiaddr address;
    multiaddr_from_quic(&other->site.address, &address);
    struct kad_addresses packed = {0};
    if (kad_addresses_add(&packed, &other->id, multiaddr_bytes(&address))) {
        (void)kad_message_put_peer(writer, KAD_LIST_CLOSER, &other->id,
                                   kad_addresses_bytes(&packed), KAD_CONNECTED, false, SIZE_MAX);
    }
}

static void answer(const struct sybils *sybils, struct node *node, struct peer_stream *stream,
                   const struct kad_message *request) {
    uint8_t room[KAD_MESSAGE_SIZE_MAX];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, request->type, request->key);
    for (size_t i = 0; i < SYBIL_ANSWER_COUNT; i++) {
        put_other(sybils, node, &writer);
    }
    ENSURE(writer.error == 0);
    struct block *block = block_new(&node->memory, uvarint_size(writer.size) + writer.size);
    ENSURE(block != NULL);
    struct writer frame = writer_of((struct span){block->data, block->size});
    uvarint_write(&frame, writer.size);
    writer_bytes_put(&frame, writer_bytes(&writer));
    size_t accepted;
    int error = peer_stream_write(stream, block, 0, block->size, true, &accepted);
    ENSURE(error != 0 || accepted == block->size);
    block_unref(block);
}

/* Requests come whole here: one leaves in one packet. */
static void take_data(const struct sybils *sybils, struct node *node,
                      const struct peer_event *event) {
    void **has_ended = peer_stream_user(event->stream);
    struct bytes payload;
    size_t size;
    struct kad_message request;
    peer_stream_consume(event->stream, event->data.size);
    if (*has_ended == NULL && frame_read(event->data, KAD_MESSAGE_SIZE_MAX, &payload, &size) == 0 &&
        kad_message_decode(payload, &request) == 0 && request.type != KAD_MESSAGE_ADD_PROVIDER) {
        *has_ended = node;
        answer(sybils, node, event->stream, &request);
    } else if (*has_ended == NULL && event->fin) {
        *has_ended = node;
        size_t accepted;
        int error = peer_stream_write(event->stream, NULL, 0, 0, true, &accepted);
        (void)error; /* it is over either way */
    }
}

void sybil_take(const struct sybils *sybils, struct node *node, const struct peer_event *event) {
    if (event->type == PEER_EVENT_STREAM_DATA) {
        take_data(sybils, node, event);
    }
}
