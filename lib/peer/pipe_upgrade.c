/* From a bare pipe to streams: multistream-select, the secure channel's handshake and, where that
 * did not agree on a muxer by the way, multistream-select again inside of it. */
#include "peer/pipe_internal.h"
#include "util/ensure.h"

static const char *const muxers[] = {YAMUX_PROTOCOL};

static int select_begin(struct pipe *pipe, const char *const *names, size_t count) {
    pipe->select = memory_get(pipe->transport->memory, sizeof(*pipe->select));
    if (pipe->select == NULL) {
        return PLASM_NO_MEMORY;
    }
    multistream_init(pipe->select, pipe->listener ? MULTISTREAM_LISTENER : MULTISTREAM_DIALLER,
                     names, count);
    return 0;
}

static void select_end(struct pipe *pipe) {
    memory_put(pipe->transport->memory, pipe->select, sizeof(*pipe->select));
    pipe->select = NULL;
}

static int channel_begin(struct pipe *pipe, const struct pipe_security *security) {
    struct pipe_transport *transport = pipe->transport;
    struct pipe_security_config config = {.initiator = !pipe->listener,
                                          .expected = pipe_expected(pipe),
                                          .muxers = muxers,
                                          .muxer_count = ARRAY_SIZE(muxers),
                                          .unix_seconds = transport->unix_seconds,
                                          .memory = transport->memory,
                                          .random = &transport->random};
    int error = security->start(security, &config, &pipe->channel);
    if (error == 0) {
        pipe->security = security;
    }
    return error;
}

void upgrade_begin(struct pipe *pipe) {
    struct pipe_transport *transport = pipe->transport;
    const struct pipe_security *first = transport->config.securities[0];
    /* The handshake's first message goes out with the proposal where that cannot be refused: a
     * refused proposal's message would be taken for the next proposal. */
    bool at_once = !pipe->listener && first->everywhere;
    pipe->stage = PIPE_SELECTING;
    int error =
        select_begin(pipe, transport->protocols, at_once ? 1 : transport->config.security_count);
    if (error == 0 && at_once) {
        error = channel_begin(pipe, first);
    }
    if (error != 0) {
        pipe_fail(pipe, error, 0, "out of memory");
    }
    pipe_touch(pipe);
}

/* Feeds a negotiation; false when it is not done with these bytes. */
static bool select_receive(struct pipe *pipe, struct bytes data, size_t *ret_consumed) {
    int error = multistream_receive(pipe->select, data, ret_consumed);
    pipe_touch(pipe);
    if (error != 0) {
        pipe_fail(pipe, error, 0,
                  error == PLASM_UNSUPPORTED ? "no protocol in common"
                                             : "it does not speak multistream-select");
        return false;
    }
    return pipe->select->done;
}

/* True when the secure channel is there for what follows. */
static bool secured_by(struct pipe *pipe, struct bytes data, size_t *ret_consumed) {
    if (!select_receive(pipe, data, ret_consumed)) {
        return false;
    }
    const struct pipe_security *security =
        pipe->transport->config.securities[pipe->select->selected];
    int error = pipe->channel == NULL ? channel_begin(pipe, security) : 0;
    pipe->stage = PIPE_SECURING;
    if (error != 0) {
        pipe_fail(pipe, error, 0, "the secure channel cannot begin");
        return false;
    }
    return true;
}

void upgrade_receive(struct pipe *pipe, struct span input) {
    if (pipe->stage == PIPE_SELECTING) {
        size_t consumed = 0;
        if (!secured_by(pipe, bytes_of(input.data, input.size), &consumed)) {
            return;
        }
        input.data += consumed;
        input.size -= consumed;
    }
    int error = input.size > 0 ? pipe->security->receive(pipe->channel, input) : 0;
    if (error == PLASM_NO_MEMORY) {
        pipe_fail(pipe, error, 0, "out of memory");
    } /* other errors are events, with a text */
    pipe_touch(pipe);
}

/* Keeps who the other side is until a muxer is agreed on. */
static int keep_identity(struct pipe *pipe, const struct pipe_security_event *event) {
    size_t size = PIPE_IDENTITY_SIZE(event->key->size);
    pipe->identity = memory_get(pipe->transport->memory, size);
    if (pipe->identity == NULL) {
        return PLASM_NO_MEMORY;
    }
    pipe->identity->id = event->peer_id;
    /* Keys of unusual types are large: keep what the key needs, not the largest. */
    memcpy(&pipe->identity->key, event->key, offsetof(struct public_key, data) + event->key->size);
    return 0;
}

/* Streams begin: the link is connected. */
static bool connected(struct pipe *pipe, const struct peer_id *id, const struct public_key *key,
                      struct link_event *ret_event) {
    struct pipe_transport *transport = pipe->transport;
    if (streams_begin(pipe) != 0 ||
        (pipe->link.admission != NULL &&
         admission_connect(transport->config.admission, &pipe->ticket) != 0)) {
        pipe_fail(pipe, PLASM_NO_MEMORY, 0, "out of memory");
        return false;
    }
    pipe->stage = PIPE_OPEN;
    pipe->known = true;
    if (list_linked(&pipe->handshake)) {
        list_remove(&transport->handshakes, &pipe->handshake);
    }
    transport->stats.links++;
    transport->stats.links_inbound += pipe->link.inbound;
    transport->stats.accepted += pipe->link.inbound;
    pipe_set_timer(pipe);
    pipe_touch(pipe);
    ret_event->type = LINK_CONNECTED;
    ret_event->link = &pipe->link;
    ret_event->peer_id = *id;
    ret_event->key = key;
    ret_event->remote = pipe->address;
    return true;
}

static bool secured(struct pipe *pipe, const struct pipe_security_event *event,
                    struct link_event *ret_event) {
    if (pipe->select != NULL && pipe->select->out_size == 0) {
        select_end(pipe);
    }
    if (pipe->select != NULL) { /* before it can have heard from us */
        pipe_fail(pipe, PLASM_MALFORMED, 0, "it did not wait for an answer");
        return false;
    }
    if (event->muxer != NULL) {
        return connected(pipe, &event->peer_id, event->key, ret_event);
    }
    pipe->stage = PIPE_SELECTING_MUX;
    int error = select_begin(pipe, muxers, ARRAY_SIZE(muxers));
    if (error == 0 && !pipe->listener) {
        /* There is one muxer to propose: what it has to say follows at once. */
        return connected(pipe, &event->peer_id, event->key, ret_event);
    }
    error = error == 0 ? keep_identity(pipe, event) : error;
    if (error != 0) {
        pipe_fail(pipe, error, 0, "out of memory");
    }
    pipe_touch(pipe);
    return false;
}

/* Bytes from inside the secure channel. */
static bool plain_data(struct pipe *pipe, struct bytes data, struct link_event *ret_event) {
    bool told = false;
    if (pipe->select != NULL && !pipe->select->done) {
        size_t consumed = 0;
        if (!select_receive(pipe, data, &consumed)) {
            return false;
        }
        data = bytes_slice(data, consumed, data.size);
        told =
            pipe->listener && connected(pipe, &pipe->identity->id, &pipe->identity->key, ret_event);
    }
    if (!pipe->over && data.size > 0) {
        streams_receive(pipe, data);
    }
    return told;
}

bool upgrade_event(struct pipe *pipe, struct link_event *ret_event, bool *ret_any) {
    struct pipe_security_event event = {.error = 0};
    *ret_any = pipe->channel != NULL && pipe->security->next_event(pipe->channel, &event);
    if (!*ret_any) {
        return false;
    }
    switch (event.type) {
    case SECURITY_READY:
        return secured(pipe, &event, ret_event);
    case SECURITY_DATA:
        return plain_data(pipe, event.data, ret_event);
    case SECURITY_END:
        pipe->input_ended = true;
        pipe_wake(pipe);
        return false;
    case SECURITY_FAILED:
        pipe_fail(pipe, event.error, 0, event.text);
        return false;
    }
    return false;
}

/* The negotiation inside the secure channel speaks through it. Its last words are still sent when
 * the muxer has begun. */
static size_t transmit_inside(struct pipe *pipe, struct span room) {
    size_t written = 0;
    if (pipe->stage >= PIPE_SELECTING_MUX && pipe->select != NULL && pipe->select->out_size > 0) {
        struct bytes piece = bytes_of(pipe->select->out, pipe->select->out_size);
        size_t taken = 0;
        written = pipe->security->seal(pipe->channel, &piece, 1, room, &taken);
        uint8_t sent[MULTISTREAM_TRANSMIT_MAX];
        (void)multistream_transmit(pipe->select, (struct span){sent, taken});
    }
    if (pipe->select != NULL && pipe->select->done && pipe->select->out_size == 0) {
        select_end(pipe);
    }
    return written;
}

size_t upgrade_transmit(struct pipe *pipe, struct span room) {
    size_t written = 0;
    if (pipe->stage <= PIPE_SECURING && pipe->select != NULL) {
        written = multistream_transmit(pipe->select, room);
        if (pipe->stage == PIPE_SECURING && pipe->select->out_size == 0) {
            select_end(pipe);
        }
    }
    if (pipe->channel != NULL) {
        written += pipe->security->transmit(
            pipe->channel, (struct span){room.data + written, room.size - written});
        written += transmit_inside(pipe, (struct span){room.data + written, room.size - written});
    }
    return written;
}

void upgrade_done(struct pipe *pipe) {
    struct memory *memory = pipe->transport->memory;
    if (pipe->select != NULL) {
        select_end(pipe);
    }
    if (pipe->channel != NULL) {
        pipe->security->free(pipe->channel);
        pipe->channel = NULL;
    }
    if (pipe->identity != NULL) {
        memory_put(memory, pipe->identity, PIPE_IDENTITY_SIZE(pipe->identity->key.size));
        pipe->identity = NULL;
    }
}
