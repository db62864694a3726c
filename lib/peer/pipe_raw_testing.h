/* A pipe whose other end is not a peer of ours: a test says every byte. */
#ifndef PEER_PIPE_RAW_TESTING_H
#define PEER_PIPE_RAW_TESTING_H

#include "peer/pipe_world_testing.h"

static inline struct pipe_world_node *pipe_raw_node(struct world_node *node) {
    return node->transport;
}

/* What the node wants done and says goes nowhere. */
static inline void pipe_raw_settle(struct world_node *node) {
    world_settle(node->world);
}

/* A pipe from somewhere else, the `number`th; NULL when it is refused. */
static inline struct pipe *pipe_raw_accept(struct world_node *node, uint8_t number) {
    struct pipe_world_node *pipes = pipe_raw_node(node);
    struct netaddr from = {
        .family = NETADDR_IP4, .ip = {192, 0, 2, number}, .port = (uint16_t)(1000 + number)};
    struct multiaddr remote;
    multiaddr_from_tcp(&from, &remote);
    struct pipe *pipe;
    if (pipe_accept(pipes->transport, &pipes->provider, &remote, node->world->now, &pipe) != 0) {
        return NULL;
    }
    (void)pipe_world_end_new(pipes, pipe);
    return pipe;
}

/* A pipe that the node dials; NULL when it does not. */
static inline struct pipe *pipe_raw_dial(struct world_node *node) {
    struct pipe_world_node *pipes = pipe_raw_node(node);
    const struct netaddr to = {.family = NETADDR_IP4, .ip = {192, 0, 2, 1}, .port = 1};
    struct multiaddr address;
    multiaddr_from_tcp(&to, &address);
    uint64_t request = 0;
    struct pipe *pipe = NULL;
    enum pipe_task task;
    if (peer_connect(node->peer, NULL, &address, 1, node->world->now, &request) != 0) {
        return NULL;
    }
    peer_expire(node->peer, node->world->now);
    if (!pipe_provider_next(&pipes->provider, &pipe, &task) || task != PIPE_DIAL) {
        return NULL;
    }
    (void)pipe_world_end_new(pipes, pipe);
    pipe_connected(pipe, node->world->now);
    return pipe;
}

/* Its end, as long as the node has not let go of it. */
static inline struct pipe_world_end *pipe_raw_end(struct world_node *node,
                                                  const struct pipe *pipe) {
    struct list *ends = &pipe_raw_node(node)->ends;
    for (struct list_node *at = list_first(ends); at != NULL; at = list_next(ends, at)) {
        if (CONTAINER_OF(at, struct pipe_world_end, node)->pipe == pipe) {
            return CONTAINER_OF(at, struct pipe_world_end, node);
        }
    }
    return NULL;
}

static inline void pipe_raw_say(struct world_node *node, struct pipe *pipe, struct bytes bytes) {
    if (pipe_raw_end(node, pipe) != NULL && bytes.size > 0) {
        uint8_t *copy = malloc(bytes.size); /* of this very size, for the sanitizer */
        ENSURE(copy != NULL);
        memcpy(copy, bytes.data, bytes.size);
        pipe_receive(pipe, test_span(copy, bytes.size), node->world->now);
        (void)world_drain(node);
        free(copy);
    }
    pipe_raw_settle(node);
}

/* The other side ends. */
static inline void pipe_raw_hang_up(struct world_node *node, struct pipe *pipe) {
    struct pipe_world_end *end = pipe_raw_end(node, pipe);
    if (end != NULL) {
        pipe_world_end_free(end);
        pipe_ended(pipe, 0, node->world->now);
    }
    pipe_raw_settle(node);
}

#endif
