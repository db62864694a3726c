/* Translation between Noise and what a pipe transport asks of a secure channel. */
#include "peer/pipe_noise.h"

static int start_noise(const struct pipe_security *security,
                       const struct pipe_security_config *config, void **ret_channel) {
    const struct pipe_noise *own = CONTAINER_OF(security, const struct pipe_noise, security);
    struct noise_config noise = {.initiator = config->initiator,
                                 .identity = own->identity,
                                 .expected = config->expected,
                                 .muxers = config->muxers,
                                 .muxer_count = config->muxer_count,
                                 .memory = config->memory,
                                 .random = config->random};
    struct noise *channel;
    int error = noise_new(&noise, &channel);
    if (error == 0) {
        *ret_channel = channel;
    }
    return error;
}

static void free_noise(void *channel) {
    noise_free(channel);
}

static int receive_noise(void *channel, struct span input) {
    return noise_receive(channel, input);
}

static bool next_noise_event(void *channel, struct pipe_security_event *ret_event) {
    static const enum pipe_security_event_type types[] = {
        [NOISE_READY] = SECURITY_READY,
        [NOISE_DATA] = SECURITY_DATA,
        [NOISE_END] = SECURITY_END,
        [NOISE_FAILED] = SECURITY_FAILED,
    };
    struct noise_event event;
    if (!noise_next_event(channel, &event)) {
        return false;
    }
    *ret_event = (struct pipe_security_event){.type = types[event.type],
                                              .error = event.error,
                                              .peer_id = event.peer_id,
                                              .key = event.key,
                                              .muxer = event.muxer,
                                              .data = event.data,
                                              .text = event.text};
    return true;
}

static size_t transmit_noise(void *channel, struct span room) {
    return noise_transmit(channel, room);
}

static size_t seal_noise(void *channel, const struct bytes *pieces, size_t count, struct span room,
                         size_t *ret_taken) {
    return noise_seal(channel, pieces, count, room, ret_taken);
}

/* Noise has no goodbye. */
static void close_noise(void *channel) {
    (void)channel;
}

void pipe_noise_init(struct pipe_noise *noise, const struct noise_identity *identity) {
    *noise = (struct pipe_noise){.security = {.protocol = NOISE_PROTOCOL,
                                              .everywhere = true,
                                              .start = start_noise,
                                              .free = free_noise,
                                              .receive = receive_noise,
                                              .next_event = next_noise_event,
                                              .transmit = transmit_noise,
                                              .seal = seal_noise,
                                              .close = close_noise},
                                 .identity = identity};
}
