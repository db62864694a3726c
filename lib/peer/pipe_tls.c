/* Translation between TLS and what a pipe transport asks of a secure channel. */
#include "peer/pipe_tls.h"

static int start_tls(const struct pipe_security *security,
                     const struct pipe_security_config *config, void **ret_channel) {
    const struct pipe_tls *own = CONTAINER_OF(security, const struct pipe_tls, security);
    struct tls_config tls = {.initiator = config->initiator,
                             .identity = own->identity,
                             .expected = config->expected,
                             .muxers = config->muxers,
                             .muxer_count = config->muxer_count,
                             .unix_seconds = config->unix_seconds,
                             .memory = config->memory};
    struct tls *channel;
    int error = tls_new(&tls, &channel);
    if (error == 0) {
        *ret_channel = channel;
    }
    return error;
}

static void free_tls(void *channel) {
    tls_free(channel);
}

static int receive_tls(void *channel, struct span input) {
    return tls_receive(channel, input);
}

static bool next_tls_event(void *channel, struct pipe_security_event *ret_event) {
    static const enum pipe_security_event_type types[] = {
        [TLS_READY] = SECURITY_READY,
        [TLS_DATA] = SECURITY_DATA,
        [TLS_END] = SECURITY_END,
        [TLS_FAILED] = SECURITY_FAILED,
    };
    struct tls_event event;
    if (!tls_next_event(channel, &event)) {
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

static size_t transmit_tls(void *channel, struct span room) {
    return tls_transmit(channel, room);
}

static size_t seal_tls(void *channel, const struct bytes *pieces, size_t count, struct span room,
                       size_t *ret_taken) {
    return tls_seal(channel, pieces, count, room, ret_taken);
}

static void close_tls(void *channel) {
    tls_close(channel);
}

void pipe_tls_init(struct pipe_tls *tls, struct tls_identity *identity) {
    *tls = (struct pipe_tls){.security = {.protocol = TLS_PROTOCOL,
                                          .start = start_tls,
                                          .free = free_tls,
                                          .receive = receive_tls,
                                          .next_event = next_tls_event,
                                          .transmit = transmit_tls,
                                          .seal = seal_tls,
                                          .close = close_tls},
                             .identity = identity};
}
