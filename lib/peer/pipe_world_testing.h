/* A world whose nodes are joined by pipes in memory: what is written comes out in order, cut
 * anywhere. Which secure channels they have is a setting. */
#ifndef PEER_PIPE_WORLD_TESTING_H
#define PEER_PIPE_WORLD_TESTING_H

#include "peer/pipe_plain_testing.h"
#include "peer/pipe_security.h"
#include "peer/pipe_transport.h"
#include "peer/world_testing.h"
#include "util/admission.h"
#include "util/list.h"

/* How the next worlds are, set by a test before it makes one. */
struct pipe_world_settings {
    /* Fills in the node's ways to secure a pipe, in order of preference; how many. */
    size_t (*secure)(struct world_node *node, const struct pipe_security **ret_securities);
    void (*unsecure)(struct world_node *node);
    bool whole;            /* nothing is cut */
    bool admits;           /* the transport asks an admission of its own */
    struct budget *budget; /* of all nodes; NULL: each has its own */
};

static inline struct pipe_world_settings *pipe_world_settings(void) {
    static struct pipe_world_settings settings;
    return &settings;
}

/* What is on its way to an end. */
enum pipe_world_kind { PIPE_WORLD_BYTES, PIPE_WORLD_END, PIPE_WORLD_MADE, PIPE_WORLD_REFUSED };
struct pipe_world_chunk {
    struct list_node node;
    nanos at;
    uint64_t number; /* they arrive in the order they were sent in */
    enum pipe_world_kind kind;
    size_t size;
    uint8_t bytes[];
};

/* One end; its pipe is NULL once it was ended. */
struct pipe_world_end {
    struct list_node node; /* in pipe_world_node.ends */
    struct pipe_world_node *owner;
    struct pipe *pipe;
    struct pipe_world_end *far; /* NULL once it is gone */
    struct list chunks;
    bool finished;
};

struct pipe_world_node {
    struct pipe_provider provider;
    struct world *world;
    struct transport *transport;
    struct admission admission;
    const struct pipe_security *securities[PIPE_SECURITIES_MAX];
    void *security; /* the setting's own */
    struct list ends;
    uint64_t seed; /* of the cuts */
};

static inline bool pipe_world_dials(const struct pipe_provider *provider,
                                    const struct multiaddr *address) {
    (void)provider;
    struct netaddr remote;
    struct bytes id;
    return multiaddr_to_tcp(address, &remote, &id) == 0;
}

static inline bool pipe_world_start(struct world_node *node) {
    struct pipe_world_node *pipes = calloc(1, sizeof(*pipes));
    ENSURE(pipes != NULL);
    pipes->world = node->world;
    list_init(&pipes->ends);
    pipes->seed = node->index * 1000 + 77;
    pipes->provider.dials = pipe_world_dials;
    node->transport = pipes;
    struct pipe_config config = {.securities = pipes->securities,
                                 .memory = &node->memory.memory,
                                 .limits = pipe_limits_default,
                                 .budget = pipe_world_settings()->budget,
                                 .admission =
                                     pipe_world_settings()->admits ? &pipes->admission : NULL};
    static const uint64_t secret[2] = {1, 2};
    admission_init(&pipes->admission, &node->config.limits.resources.admission,
                   &node->memory.memory, secret);
    config.security_count = pipe_world_settings()->secure(node, pipes->securities);
    test_random_fill(&pipes->seed, config.seed, sizeof(config.seed));
    int error = config.security_count > 0 ? pipe_transport_new(&config, &pipes->transport)
                                          : PLASM_NO_MEMORY;
    if (error == 0) {
        pipe_transport_set_time(pipes->transport, node->world->unix_seconds);
        error = pipe_transport_add_provider(pipes->transport, &pipes->provider);
    }
    if (error == 0 && peer_add_transport(node->peer, pipes->transport) == 0) {
        return true;
    }
    pipe_transport_free(pipes->transport);
    admission_done(&pipes->admission);
    pipe_world_settings()->unsecure(node);
    free(pipes);
    node->transport = NULL;
    return false;
}

static inline struct pipe_world_end *pipe_world_end_new(struct pipe_world_node *owner,
                                                        struct pipe *pipe) {
    struct pipe_world_end *end = calloc(1, sizeof(*end));
    ENSURE(end != NULL);
    end->owner = owner;
    end->pipe = pipe;
    list_init(&end->chunks);
    list_append(&owner->ends, &end->node);
    *pipe_user(pipe) = end;
    return end;
}

static inline void pipe_world_end_free(struct pipe_world_end *end) {
    struct list_node *node;
    while ((node = list_first(&end->chunks)) != NULL) {
        list_remove(&end->chunks, node);
        free(CONTAINER_OF(node, struct pipe_world_chunk, node));
    }
    if (end->far != NULL) {
        end->far->far = NULL;
    }
    list_remove(&end->owner->ends, &end->node);
    free(end);
}

static inline void pipe_world_post(struct pipe_world_end *to, nanos delay,
                                   enum pipe_world_kind kind, struct bytes bytes) {
    static uint64_t number;
    struct pipe_world_chunk *chunk = calloc(1, sizeof(*chunk) + bytes.size);
    ENSURE(chunk != NULL);
    chunk->at = to->owner->world->now + delay;
    chunk->number = ++number;
    chunk->kind = kind;
    chunk->size = bytes.size;
    if (bytes.size > 0) {
        memcpy(chunk->bytes, bytes.data, bytes.size);
    }
    list_append(&to->chunks, &chunk->node);
}

static inline struct world_node *pipe_world_at(struct world *world,
                                               const struct multiaddr *address) {
    for (size_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].peer != NULL && multiaddr_equal(&world->nodes[i].address, address)) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

static inline void pipe_world_dial(struct world_node *node, struct pipe *pipe) {
    struct world *world = node->world;
    struct world_node *to = pipe_world_at(world, pipe_address(pipe));
    struct pipe *accepted;
    struct pipe_world_node *far = to != NULL ? to->transport : NULL;
    struct pipe_world_end *near_end = pipe_world_end_new(node->transport, pipe);
    if (to == NULL ||
        pipe_accept(far->transport, &far->provider, &node->address, world->now, &accepted) != 0) {
        pipe_world_post(near_end, 2 * world->delay, PIPE_WORLD_REFUSED, bytes_of(NULL, 0));
        return;
    }
    struct pipe_world_end *far_end = pipe_world_end_new(far, accepted);
    near_end->far = far_end;
    far_end->far = near_end;
    pipe_world_post(near_end, 2 * world->delay, PIPE_WORLD_MADE, bytes_of(NULL, 0));
}

static inline void pipe_world_transmit(struct world_node *node, struct pipe_world_end *end) {
    static uint8_t room[PIPE_ROOM_SIZE];
    struct pipe_world_node *pipes = node->transport;
    size_t size;
    do {
        size_t room_size = pipe_world_settings()->whole
                               ? PIPE_ROOM_SIZE
                               : PIPE_ROOM_SIZE_MIN + test_random(&pipes->seed) % 60000;
        size = pipe_transmit(end->pipe, test_span(room, room_size), node->world->now);
        if (size > 0 && end->far != NULL) {
            pipe_world_post(end->far, node->world->delay, PIPE_WORLD_BYTES, bytes_of(room, size));
        }
    } while (size > 0);
}

/* Ends one end, and the other's input. */
static inline void pipe_world_drop(struct world_node *node, struct pipe_world_end *end) {
    struct pipe *pipe = end->pipe;
    if (end->far != NULL && !end->finished) {
        pipe_world_post(end->far, node->world->delay, PIPE_WORLD_END, bytes_of(NULL, 0));
    }
    pipe_world_end_free(end);
    pipe_ended(pipe, PLASM_CLOSED, node->world->now);
}

static inline bool pipe_world_serve(struct world_node *node) {
    struct pipe_world_node *pipes = node->transport;
    struct pipe *pipe;
    enum pipe_task task;
    bool any = false;
    while (pipe_provider_next(&pipes->provider, &pipe, &task)) {
        struct pipe_world_end *end = *pipe_user(pipe);
        any = true;
        switch (task) {
        case PIPE_DIAL:
            pipe_world_dial(node, pipe);
            break;
        case PIPE_SEND:
            pipe_world_transmit(node, end);
            break;
        case PIPE_FINISH:
            end->finished = true;
            if (end->far != NULL) {
                pipe_world_post(end->far, node->world->delay, PIPE_WORLD_END, bytes_of(NULL, 0));
            }
            break;
        case PIPE_DROP:
            if (end != NULL) {
                pipe_world_drop(node, end);
            } else {
                pipe_ended(pipe, PLASM_CLOSED, node->world->now);
            }
            break;
        }
    }
    return any;
}

/* Hands a chunk in, whole or in pieces, sometimes where it is and sometimes as a copy. */
static inline void pipe_world_deliver(struct world_node *node, struct pipe_world_end *end,
                                      struct pipe_world_chunk *chunk) {
    struct pipe_world_node *pipes = node->transport;
    struct pipe *pipe = end->pipe;
    nanos now = node->world->now;
    if (chunk->kind == PIPE_WORLD_MADE) {
        pipe_connected(pipe, now);
    } else if (chunk->kind != PIPE_WORLD_BYTES) {
        pipe_world_end_free(end);
        pipe_ended(pipe, chunk->kind == PIPE_WORLD_END ? 0 : PLASM_UNREACHABLE, now);
    }
    size_t done = 0;
    while (done < chunk->size) {
        size_t left = chunk->size - done;
        size_t size = left;
        if (!pipe_world_settings()->whole) {
            size =
                1 + test_random(&pipes->seed) % (test_random(&pipes->seed) % 4 == 0 ? 20U : 20000U);
            size = size < left ? size : left;
        }
        if (test_random(&pipes->seed) % 4 == 0) {
            pipe_receive_copy(pipe, bytes_of(chunk->bytes + done, size), now);
        } else {
            pipe_receive(pipe, test_span(chunk->bytes + done, size), now);
            (void)world_drain(node);
        }
        done += size;
    }
    (void)world_drain(node);
}

/* The next to arrive, of all nodes. */
static inline struct pipe_world_chunk *pipe_world_next(const struct world *world,
                                                       struct world_node **ret_node,
                                                       struct pipe_world_end **ret_end) {
    struct pipe_world_chunk *next = NULL;
    for (size_t i = 0; i < world->node_count; i++) {
        const struct pipe_world_node *pipes = world->nodes[i].transport;
        struct list_node *node = world->nodes[i].peer != NULL ? list_first(&pipes->ends) : NULL;
        for (; node != NULL; node = list_next(&pipes->ends, node)) {
            struct pipe_world_end *end = CONTAINER_OF(node, struct pipe_world_end, node);
            struct pipe_world_chunk *chunk =
                LIST_ENTRY(list_first(&end->chunks), struct pipe_world_chunk, node);
            if (chunk != NULL && (next == NULL || chunk->at < next->at ||
                                  (chunk->at == next->at && chunk->number < next->number))) {
                next = chunk;
                *ret_end = end;
                *ret_node = (struct world_node *)(uintptr_t)&world->nodes[i];
            }
        }
    }
    return next;
}

static inline bool pipe_world_move(struct world *world) {
    bool any = false;
    for (size_t i = 0; i < world->node_count; i++) {
        any = (world->nodes[i].peer != NULL && pipe_world_serve(&world->nodes[i])) || any;
    }
    struct world_node *node = NULL;
    struct pipe_world_end *end = NULL;
    struct pipe_world_chunk *chunk = pipe_world_next(world, &node, &end);
    if (chunk == NULL || chunk->at > world->now) {
        return any;
    }
    list_remove(&end->chunks, &chunk->node);
    pipe_world_deliver(node, end, chunk);
    free(chunk);
    return true;
}

static inline nanos pipe_world_deadline(const struct world *world) {
    struct world_node *node;
    struct pipe_world_end *end;
    const struct pipe_world_chunk *chunk = pipe_world_next(world, &node, &end);
    return chunk != NULL ? chunk->at : NANOS_NEVER;
}

static inline void pipe_world_stop(struct world_node *node) {
    struct pipe_world_node *pipes = node->transport;
    pipe_transport_close(pipes->transport, node->world->now);
    (void)pipe_world_serve(node);
    struct list_node *first;
    while ((first = list_first(&pipes->ends)) != NULL) {
        pipe_world_drop(node, CONTAINER_OF(first, struct pipe_world_end, node));
    }
    pipe_transport_free(pipes->transport);
    admission_done(&pipes->admission);
    pipe_world_settings()->unsecure(node);
    free(pipes);
    node->transport = NULL;
}

static inline void pipe_world_address(struct world_node *node) {
    const struct netaddr address = {
        .family = NETADDR_IP4, .ip = {10, 0, 0, (uint8_t)(node->index + 1)}, .port = 4001};
    multiaddr_from_tcp(&address, &node->address);
}

/* --- the plain channel ------------------------------------------------------------------------ */

static inline size_t pipe_world_plain(struct world_node *node,
                                      const struct pipe_security **ret_securities) {
    struct plain_security *plain = malloc(sizeof(*plain));
    ENSURE(plain != NULL);
    plain_security_init(plain, "/plain/1", &node->key, true, true);
    ((struct pipe_world_node *)node->transport)->security = plain;
    ret_securities[0] = &plain->security;
    return 1;
}

static inline void pipe_world_unplain(struct world_node *node) {
    free(((struct pipe_world_node *)node->transport)->security);
}

#define PIPE_WORLD(kind_name, text)                                                                \
    static const struct world_kind kind_name = {.name = (text),                                    \
                                                .start = pipe_world_start,                         \
                                                .stop = pipe_world_stop,                           \
                                                .move = pipe_world_move,                           \
                                                .deadline = pipe_world_deadline,                   \
                                                .address = pipe_world_address}

#endif
