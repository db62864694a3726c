/* The peer over pipes in memory, cut at random: the conformance list with each way to secure them.
 */
#include "peer/conformance_testing.h"
#include "peer/pipe_secure_testing.h"

/* Without early negotiation the muxer is agreed on inside the secure channel. */
static size_t late_and_early(struct world_node *node, const struct pipe_security **ret_securities) {
    size_t count = pipe_world_plain(node, ret_securities);
    struct plain_security *plain = ((struct pipe_world_node *)node->transport)->security;
    plain->identity.early = node->index % 2 == 0;
    plain->security.everywhere = false;
    return count;
}

int main(void) {
    if (crypto_init() != 0) {
        return 1;
    }
    PIPE_WORLD(plain, "peer over plain Yamux");
    PIPE_WORLD(late, "peer over Yamux, negotiated late or early");
    PIPE_WORLD(noise, "peer over Noise and Yamux");
    PIPE_WORLD(tls, "peer over TLS and Yamux");
    PIPE_WORLD(both, "peer over TLS or Noise and Yamux");
    struct pipe_world_settings *settings = pipe_world_settings();
    *settings =
        (struct pipe_world_settings){.secure = pipe_world_plain, .unsecure = pipe_world_unplain};
    int failed = conformance_run(&plain);
    settings->secure = late_and_early;
    failed += conformance_run(&late);
    *settings =
        (struct pipe_world_settings){.secure = pipe_world_noise, .unsecure = pipe_world_unsecure};
    failed += conformance_run(&noise);
    settings->secure = pipe_world_tls;
    failed += conformance_run(&tls);
    settings->secure = pipe_world_both;
    failed += conformance_run(&both);
    return failed;
}
