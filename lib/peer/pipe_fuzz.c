/* Fuzz target: whatever the other side of a pipe may say, in both roles, through the negotiation
 * and a secure channel that secures nothing to the streams of a peer. The first byte says which
 * role and which channel; then pieces follow, each with its size, or a time that passes. */
#include "peer/pipe_raw_testing.h"
#include "peer/pipe_secure_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES_MAX 256

/* A piece of size 0 lets this times the next byte pass. */
#define WAIT_UNIT (100 * NANOS_MILLISECOND)

static uint8_t choice;

static size_t secure(struct world_node *node, const struct pipe_security **ret_securities) {
    if ((choice & 2) != 0) {
        return pipe_world_both(node, ret_securities);
    }
    size_t count = pipe_world_plain(node, ret_securities);
    struct plain_security *plain = pipe_raw_node(node)->security;
    plain->identity.early = (choice & 4) == 0;
    plain->security.everywhere = (choice & 8) == 0;
    return count;
}

static void unsecure(struct world_node *node) {
    if ((choice & 2) != 0) {
        pipe_world_unsecure(node);
    } else {
        pipe_world_unplain(node);
    }
}

static void say_all(struct world_node *node, struct pipe *pipe, struct bytes input) {
    for (int i = 0; i < PIECES_MAX && input.size >= 2 && pipe_raw_end(node, pipe) != NULL; i++) {
        size_t length = input.data[0];
        input = bytes_slice(input, 1, input.size);
        if (length == 0) {
            world_run(node->world, input.data[0] * WAIT_UNIT);
            input = bytes_slice(input, 1, input.size);
            continue;
        }
        struct bytes piece = bytes_slice(input, 0, length);
        input = bytes_slice(input, piece.size, input.size);
        pipe_raw_say(node, pipe, piece);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || crypto_init() != 0) {
        return 0;
    }
    choice = data[0];
    *pipe_world_settings() =
        (struct pipe_world_settings){.secure = secure, .unsecure = unsecure, .whole = true};
    PIPE_WORLD(kind, "fuzz");
    struct world world;
    world_init(&world, &kind);
    struct world_node *node = world_add(&world);
    bool started = world_start(node);
    ENSURE(started);
    struct pipe *pipe = (choice & 1) != 0 ? pipe_raw_dial(node) : pipe_raw_accept(node, 1);
    ENSURE(pipe != NULL);
    pipe_raw_settle(node);
    say_all(node, pipe, bytes_of(data + 1, size - 1));
    pipe_raw_hang_up(node, pipe);
    world_run(&world, NANOS_MINUTE);
    ENSURE(peer_connection_count(node->peer) == 0);
    ENSURE(node->memory.memory.used < 4 * 1024 * 1024);
    world_done(&world);
    return 0;
}
