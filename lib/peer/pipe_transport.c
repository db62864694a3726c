/* The life of pipes and their links: who is told what, what providers have to do, and time. */
#include "peer/pipe_internal.h"

#include "util/ensure.h"

const struct pipe_limits pipe_limits_default = {
    .handshake_timeout = 10 * NANOS_SECOND,
    /* Longer than the pause between the keep-alives of go-libp2p and js-libp2p. */
    .idle_timeout = 45 * NANOS_SECOND,
    .linger_timeout = 2 * NANOS_SECOND,
    .bytes_max = (size_t)256 * 1024 * 1024,
};

static struct pipe_transport *of_transport(struct transport *transport) {
    return CONTAINER_OF(transport, struct pipe_transport, transport);
}

/* --- what waits ------------------------------------------------------------------------------- */

void pipe_wake(struct pipe *pipe) {
    if (!list_linked(&pipe->ready) && !pipe->told) {
        list_append(&pipe->transport->ready, &pipe->ready);
    }
}

void pipe_touch(struct pipe *pipe) {
    pipe->drained = false;
    if (pipe->owned && !list_linked(&pipe->waiting)) {
        list_append(&pipe->provider->waiting, &pipe->waiting);
    }
}

static void drop(struct pipe *pipe) {
    pipe->wants_drop = true;
    pipe_touch(pipe);
}

void pipe_set_timer(struct pipe *pipe) {
    nanos deadline = PIPE_PARKED;
    if (!pipe->owned) {
        deadline = PIPE_PARKED;
    } else if (pipe->over) {
        deadline = pipe->linger_deadline;
    } else if (pipe->stage != PIPE_OPEN) {
        deadline = pipe->handshake_deadline;
    } else {
        nanos idle = pipe->keeps_alive
                         ? NANOS_NEVER
                         : nanos_add(pipe->heard, pipe->transport->config.limits.idle_timeout);
        deadline = nanos_min(idle, yamux_deadline(pipe->mux));
    }
    int error = heap_set(&pipe->transport->timers, &pipe->timer, nanos_min(deadline, PIPE_PARKED));
    ENSURE(error == 0); /* its place in the heap is there */
}

/* --- beginning and end ------------------------------------------------------------------------ */

static int pipe_new(struct pipe_transport *transport, struct pipe_provider *provider,
                    const struct multiaddr *address, bool listener, nanos now,
                    struct pipe **ret_pipe) {
    struct pipe *pipe = memory_zero(transport->memory, sizeof(*pipe));
    if (pipe == NULL) {
        return PLASM_NO_MEMORY;
    }
    pipe->handshake_deadline = nanos_add(now, transport->config.limits.handshake_timeout);
    if (heap_set(&transport->timers, &pipe->timer, pipe->handshake_deadline) != 0) {
        memory_put(transport->memory, pipe, sizeof(*pipe));
        return PLASM_NO_MEMORY;
    }
    transport->now = now;
    pipe->link.transport = &transport->transport;
    pipe->transport = transport;
    pipe->provider = provider;
    pipe->listener = listener;
    pipe->owned = true;
    pipe->heard = now;
    pipe->address = *address;
    list_init(&pipe->copies);
    list_init(&pipe->streams);
    list_append(&transport->pipes, &pipe->node);
    *ret_pipe = pipe;
    return 0;
}

static void free_copies(struct pipe *pipe) {
    struct list_node *node;
    while ((node = list_first(&pipe->copies)) != NULL) {
        struct pipe_input *input = CONTAINER_OF(node, struct pipe_input, node);
        list_remove(&pipe->copies, node);
        memory_put(pipe->transport->memory, input, sizeof(*input) + input->size);
    }
    pipe->transport->budget->bytes -= pipe->copied_bytes;
    pipe->copied_bytes = 0;
}

/* Frees the pipe when neither the peer nor the provider can hold it any more. */
static void pipe_release(struct pipe *pipe) {
    struct pipe_transport *transport = pipe->transport;
    if (pipe->owned || !pipe->told || transport->told == pipe) {
        return;
    }
    streams_done(pipe);
    upgrade_done(pipe);
    free_copies(pipe);
    if (list_linked(&pipe->ready)) {
        list_remove(&transport->ready, &pipe->ready);
    }
    list_remove(&transport->pipes, &pipe->node);
    heap_remove(&transport->timers, &pipe->timer);
    memory_put(transport->memory, pipe, sizeof(*pipe));
}

/* No more of the link: what it still holds is only there for the goodbye. */
static void link_over(struct pipe *pipe) {
    struct pipe_transport *transport = pipe->transport;
    pipe->over = true;
    if (pipe->stage == PIPE_OPEN) {
        transport->stats.links--;
        transport->stats.links_inbound -= pipe->link.inbound;
    } else if (pipe->listener) {
        transport->stats.handshakes_failed++;
    }
    if (list_linked(&pipe->handshake)) {
        list_remove(&transport->handshakes, &pipe->handshake);
    }
    if (pipe->link.admission != NULL) {
        admission_end(transport->config.admission, &pipe->ticket);
    }
    pipe->linger_deadline = nanos_add(transport->now, transport->config.limits.linger_timeout);
    if (pipe->known) {
        pipe_wake(pipe);
    } else {
        pipe->told = true; /* nobody has heard of it */
    }
    if (pipe->owned && pipe->stage == PIPE_MAKING) {
        drop(pipe);
    }
    pipe_set_timer(pipe);
    pipe_touch(pipe);
}

void pipe_fail(struct pipe *pipe, int error, uint64_t code, const char *text) {
    if (pipe->over) {
        return;
    }
    pipe->end_error = error;
    pipe->end_code = code;
    bytes_cut_string(bytes_of_string(text), pipe->reason, sizeof(pipe->reason));
    if (pipe->stage != PIPE_OPEN) {
        char address[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&pipe->address, address, sizeof(address)) == 0) {
            log_event(pipe->transport->log, LOG_LEVEL_DEBUG, "pipe", "%s %s: %s: %s",
                      pipe->listener ? "handshake of" : "dialling", address,
                      plasm_error_message(error), text);
        }
    }
    if (pipe->mux != NULL) {
        yamux_close(pipe->mux,
                    error == PLASM_MALFORMED ? YAMUX_CODE_PROTOCOL : YAMUX_CODE_INTERNAL);
    }
    link_over(pipe);
}

static void pipe_link_close(struct link *link, uint64_t code, const char *reason, nanos now) {
    struct pipe *pipe = pipe_of(link);
    if (pipe->over) {
        return;
    }
    pipe->transport->now = now;
    pipe->end_error = code != 0 ? PLASM_CLOSED : 0;
    pipe->end_code = code;
    bytes_cut_string(bytes_of_string(reason), pipe->reason, sizeof(pipe->reason));
    if (pipe->mux != NULL) {
        yamux_close(pipe->mux, code == 0 ? YAMUX_CODE_NORMAL : YAMUX_CODE_INTERNAL);
    }
    link_over(pipe);
}

/* --- events ----------------------------------------------------------------------------------- */

/* What ended with the last event. */
static void reap(struct pipe_transport *transport) {
    if (transport->closed_stream != NULL) {
        pipe_stream_free(transport->closed_stream);
        transport->closed_stream = NULL;
    }
    if (transport->told != NULL) {
        struct pipe *pipe = transport->told;
        transport->told = NULL;
        struct list_node *node;
        while ((node = list_first(&pipe->streams)) != NULL) {
            pipe_stream_free(CONTAINER_OF(node, struct pipe_stream, node));
        }
        pipe_release(pipe);
    }
}

/* Hands the next piece of input on; false when there is none. */
static bool take_input(struct pipe *pipe) {
    if (pipe->used != NULL) { /* everything that came of it was taken */
        list_remove(&pipe->copies, &pipe->used->node);
        pipe->copied_bytes -= pipe->used->size;
        pipe->transport->budget->bytes -= pipe->used->size;
        memory_put(pipe->transport->memory, pipe->used, sizeof(*pipe->used) + pipe->used->size);
        pipe->used = NULL;
    }
    struct span input = pipe->input;
    pipe->input = (struct span){NULL, 0};
    if (input.size == 0 && !list_empty(&pipe->copies)) {
        pipe->used = CONTAINER_OF(list_first(&pipe->copies), struct pipe_input, node);
        input = (struct span){pipe->used->data, pipe->used->size};
    }
    if (input.size == 0) {
        return false;
    }
    upgrade_receive(pipe, input);
    return true;
}

static void input_over(struct pipe *pipe) {
    int error = pipe->input_error != 0 ? pipe->input_error : PLASM_CLOSED;
    pipe_fail(pipe, error, 0, plasm_error_message(error));
}

/* The next event of one pipe; false when it has none. */
static bool pipe_step(struct pipe *pipe, struct link_event *ret_event) {
    while (!pipe->over) {
        bool any = false;
        if (streams_event(pipe, ret_event, &any)) {
            return true;
        }
        if (any) {
            continue;
        }
        if (upgrade_event(pipe, ret_event, &any)) {
            return true;
        }
        if (any || take_input(pipe)) {
            continue;
        }
        if (!pipe->input_ended) {
            return false;
        }
        input_over(pipe);
    }
    pipe->input = (struct span){NULL, 0};
    if (pipe->told) {
        return false;
    }
    pipe->told = true;
    pipe->transport->told = pipe;
    *ret_event = (struct link_event){.type = LINK_CLOSED,
                                     .link = &pipe->link,
                                     .error = pipe->end_error,
                                     .code = pipe->end_code,
                                     .data = bytes_of_string(pipe->reason)};
    return true;
}

static bool pipe_next_event(struct transport *transport, struct link_event *ret_event) {
    struct pipe_transport *pipes = of_transport(transport);
    for (;;) {
        reap(pipes);
        struct list_node *node = list_first(&pipes->ready);
        if (node == NULL) {
            return false;
        }
        struct pipe *pipe = CONTAINER_OF(node, struct pipe, ready);
        *ret_event = (struct link_event){.type = LINK_CLOSED, .link = &pipe->link};
        if (pipe_step(pipe, ret_event)) {
            return true;
        }
        list_remove(&pipes->ready, &pipe->ready);
        pipe_set_timer(pipe);
        pipe_release(pipe);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static nanos pipe_deadline(const struct transport *transport) {
    const struct pipe_transport *pipes =
        CONTAINER_OF(transport, const struct pipe_transport, transport);
    if (!list_empty(&pipes->ready)) {
        return pipes->now;
    }
    for (size_t i = 0; i < pipes->provider_count; i++) {
        if (!list_empty(&pipes->providers[i]->waiting)) {
            return pipes->now;
        }
    }
    nanos deadline = heap_deadline(&pipes->timers);
    return deadline != PIPE_PARKED ? deadline : NANOS_NEVER;
}

static void pipe_expire_one(struct pipe *pipe, nanos now) {
    const struct pipe_limits *limits = &pipe->transport->config.limits;
    if (pipe->over) {
        drop(pipe);
        pipe->linger_deadline = PIPE_PARKED;
    } else if (pipe->stage != PIPE_OPEN) {
        pipe_fail(pipe, PLASM_TIMEOUT, 0, "the handshake takes too long");
        drop(pipe);
    } else if (!pipe->keeps_alive && now >= nanos_add(pipe->heard, limits->idle_timeout)) {
        pipe_fail(pipe, PLASM_TIMEOUT, 0, "nothing was heard for too long");
    } else if (yamux_deadline(pipe->mux) <= now) {
        yamux_expire(pipe->mux, now);
        pipe_wake(pipe);
        pipe_touch(pipe);
    }
    pipe_set_timer(pipe);
}

static void pipe_expire(struct transport *transport, nanos now) {
    struct pipe_transport *pipes = of_transport(transport);
    pipes->now = now;
    while (heap_deadline(&pipes->timers) <= now) {
        pipe_expire_one(CONTAINER_OF(heap_first(&pipes->timers), struct pipe, timer), now);
    }
}

/* --- links ------------------------------------------------------------------------------------ */

static struct pipe_provider *provider_of(const struct pipe_transport *pipes,
                                         const struct multiaddr *address) {
    for (size_t i = 0; i < pipes->provider_count; i++) {
        if (pipes->providers[i]->dials(pipes->providers[i], address)) {
            return pipes->providers[i];
        }
    }
    return NULL;
}

static bool pipe_dials(const struct transport *transport, const struct multiaddr *address) {
    return provider_of(CONTAINER_OF(transport, const struct pipe_transport, transport), address) !=
           NULL;
}

int pipe_transport_punch(struct transport *transport, const struct multiaddr *address,
                         const struct peer_id *expected, bool listener, nanos now,
                         struct link **ret_link) {
    struct pipe_transport *pipes = of_transport(transport);
    struct pipe_provider *provider = provider_of(pipes, address);
    if (provider == NULL || pipes->closed) {
        return PLASM_UNSUPPORTED;
    }
    struct pipe *pipe;
    int error = pipe_new(pipes, provider, address, listener, now, &pipe);
    if (error != 0) {
        return error;
    }
    if (expected != NULL) {
        pipe->expected = *expected;
    }
    pipe->known = true;
    pipe->wants_dial = true;
    pipe_touch(pipe);
    pipes->stats.dialled++;
    *ret_link = &pipe->link;
    return 0;
}

static int pipe_dial(struct transport *transport, const struct multiaddr *address,
                     const struct peer_id *expected, nanos hint, nanos now,
                     struct link **ret_link) {
    (void)hint;
    return pipe_transport_punch(transport, address, expected, false, now, ret_link);
}

static void pipe_keep_alive(struct link *link, bool on) {
    struct pipe *pipe = pipe_of(link);
    if (pipe->keeps_alive == on || pipe->over || pipe->mux == NULL) {
        return;
    }
    pipe->keeps_alive = on;
    yamux_keep_alive(pipe->mux, on, pipe->transport->now);
    pipe_set_timer(pipe);
}

/* --- for providers ---------------------------------------------------------------------------- */

/* Whether there is room for one more; the oldest handshake makes some. */
static int admit(struct pipe_transport *pipes, const struct netaddr *origin, nanos now) {
    struct admission *admission = pipes->config.admission;
    const char *reason;
    if (admission == NULL) {
        return 0;
    }
    if (admission_ask(admission, origin, true, now, &reason) != ADMISSION_WELCOME) {
        return PLASM_REFUSED;
    }
    while (admission_is_full_of_handshakes(admission, pipes->handshakes.size)) {
        struct pipe *oldest = CONTAINER_OF(list_first(&pipes->handshakes), struct pipe, handshake);
        pipes->stats.handshakes_evicted++;
        pipe_fail(oldest, PLASM_LIMIT, 0, "too many handshakes at a time");
        drop(oldest);
    }
    return 0;
}

int pipe_accept(struct transport *transport, struct pipe_provider *provider,
                const struct multiaddr *remote, nanos now, struct pipe **ret_pipe) {
    struct pipe_transport *pipes = of_transport(transport);
    if (pipes->closed) {
        return PLASM_LIMIT;
    }
    struct netaddr origin = resources_origin(remote);
    int error = admit(pipes, &origin, now);
    if (error != 0) {
        return error;
    }
    struct pipe *pipe;
    error = pipe_new(pipes, provider, remote, true, now, &pipe);
    if (error != 0) {
        return error;
    }
    pipe->link.inbound = true;
    list_append(&pipes->handshakes, &pipe->handshake);
    if (pipes->config.admission != NULL) {
        pipe->link.admission = pipes->config.admission;
        admission_begin(pipes->config.admission, &pipe->ticket, &origin, true);
    }
    upgrade_begin(pipe);
    *ret_pipe = pipe;
    return 0;
}

void pipe_connected(struct pipe *pipe, nanos now) {
    pipe->transport->now = now;
    pipe->heard = now;
    if (!pipe->over && pipe->stage == PIPE_MAKING) {
        upgrade_begin(pipe);
    }
}

/* Counts what came; false when it is not wanted. */
static bool heard(struct pipe *pipe, size_t size, nanos now) {
    pipe->transport->now = now;
    pipe->transport->stats.bytes_received += size;
    if (pipe->over || pipe->input_ended || size == 0 || pipe->stage == PIPE_MAKING) {
        return false;
    }
    pipe->heard = now;
    pipe_wake(pipe);
    return true;
}

void pipe_receive(struct pipe *pipe, struct span input, nanos now) {
    if (pipe->input.size > 0 || !list_empty(&pipe->copies)) { /* behind what came before */
        pipe_receive_copy(pipe, bytes_of(input.data, input.size), now);
    } else if (heard(pipe, input.size, now)) {
        pipe->input = input;
    }
}

void pipe_receive_copy(struct pipe *pipe, struct bytes input, nanos now) {
    if (!heard(pipe, input.size, now)) {
        return;
    }
    struct budget *budget = pipe->transport->budget;
    if (input.size > PIPE_COPIED_BYTES_MAX - pipe->copied_bytes ||
        (pipe->copied_bytes + input.size > PIPE_COPIED_BYTES_GUARANTEED &&
         !budget_has(budget, input.size))) {
        pipe_fail(pipe, PLASM_LIMIT, 0, "too much at once");
        return;
    }
    struct pipe_input *copy = memory_get(pipe->transport->memory, sizeof(*copy) + input.size);
    if (copy == NULL) {
        pipe_fail(pipe, PLASM_NO_MEMORY, 0, "out of memory");
        return;
    }
    copy->node = (struct list_node){NULL, NULL};
    copy->size = input.size;
    memcpy(copy->data, input.data, input.size);
    list_append(&pipe->copies, &copy->node);
    pipe->copied_bytes += input.size;
    budget->bytes += input.size;
}

size_t pipe_transmit(struct pipe *pipe, struct span room, nanos now) {
    pipe->transport->now = now;
    if (room.size < PIPE_ROOM_SIZE_MIN || pipe->stage == PIPE_MAKING) {
        return 0;
    }
    size_t written = upgrade_transmit(pipe, room);
    written += streams_transmit(pipe, (struct span){room.data + written, room.size - written});
    if (written == 0 && pipe->over && pipe->channel != NULL && !pipe->said_goodbye) {
        pipe->said_goodbye = true; /* the secure channel's is the last */
        pipe->security->close(pipe->channel);
        written = upgrade_transmit(pipe, room);
    }
    pipe->transport->stats.bytes_sent += written;
    if (written == 0) {
        pipe->sending = false;
        pipe->drained = true;
        if (pipe->over && !pipe->finished && !list_linked(&pipe->waiting) && pipe->owned) {
            list_append(&pipe->provider->waiting, &pipe->waiting);
        }
    } else if (!pipe->over) {
        pipe_wake(pipe); /* there may be room to write again */
    }
    return written;
}

void pipe_ended(struct pipe *pipe, int error, nanos now) {
    pipe->transport->now = now;
    ENSURE(pipe->owned);
    pipe->owned = false;
    if (list_linked(&pipe->waiting)) {
        list_remove(&pipe->provider->waiting, &pipe->waiting);
    }
    if (!pipe->over) {
        pipe->input_ended = true;
        pipe->input_error = error;
        pipe_wake(pipe);
        if (!pipe->known && pipe->input.size == 0 && list_empty(&pipe->copies)) {
            input_over(pipe); /* nothing that could still make it known */
        }
    }
    pipe_set_timer(pipe);
    pipe_release(pipe);
}

bool pipe_provider_next(struct pipe_provider *provider, struct pipe **ret_pipe,
                        enum pipe_task *ret_task) {
    struct list_node *node;
    while ((node = list_first(&provider->waiting)) != NULL) {
        struct pipe *pipe = CONTAINER_OF(node, struct pipe, waiting);
        list_remove(&provider->waiting, node);
        *ret_pipe = pipe;
        if (pipe->wants_drop) {
            *ret_task = PIPE_DROP;
            return true;
        }
        if (pipe->stage == PIPE_MAKING) {
            if (pipe->wants_dial) {
                pipe->wants_dial = false;
                *ret_task = PIPE_DIAL;
                return true;
            }
            continue;
        }
        if (!pipe->drained && !pipe->sending) {
            pipe->sending = true;
            *ret_task = PIPE_SEND;
            return true;
        }
        if (pipe->drained && pipe->over && !pipe->finished) {
            pipe->finished = true;
            *ret_task = PIPE_FINISH;
            return true;
        }
    }
    return false;
}

const struct multiaddr *pipe_address(const struct pipe *pipe) {
    return &pipe->address;
}

const struct peer_id *pipe_expected(const struct pipe *pipe) {
    return pipe->expected.size > 0 ? &pipe->expected : NULL;
}

void **pipe_user(struct pipe *pipe) {
    return &pipe->user;
}

bool pipe_inbound(const struct pipe *pipe) {
    return pipe->link.inbound;
}

struct pipe *pipe_of_link(struct link *link) {
    struct pipe *pipe = pipe_of(link);
    return pipe->owned ? pipe : NULL;
}

/* --- the transport ---------------------------------------------------------------------------- */

static int pipe_punch(struct transport *transport, const struct multiaddr *address,
                      const struct peer_id *expected, bool listener, nanos rtt, nanos now,
                      struct link **ret_link) {
    (void)rtt;
    return pipe_transport_punch(transport, address, expected, listener, now, ret_link);
}

static const struct transport_verbs pipe_verbs = {
    .dials = pipe_dials,
    .dial = pipe_dial,
    .punch = pipe_punch,
    .next_event = pipe_next_event,
    .deadline = pipe_deadline,
    .expire = pipe_expire,
    .close = pipe_link_close,
    .keep_alive = pipe_keep_alive,
    .open = pipe_link_open,
    .write = pipe_stream_write,
    .consume = pipe_stream_consume,
    .reset = pipe_stream_reset,
};

int pipe_transport_new(const struct pipe_config *config, struct transport **ret_transport) {
    if (config->security_count == 0 || config->security_count > PIPE_SECURITIES_MAX) {
        return PLASM_INVALID;
    }
    struct pipe_transport *pipes = memory_zero(config->memory, sizeof(*pipes));
    if (pipes == NULL) {
        return PLASM_NO_MEMORY;
    }
    pipes->transport.verbs = &pipe_verbs;
    pipes->config = *config;
    pipes->memory = config->memory;
    pipes->log = config->log;
    for (size_t i = 0; i < config->security_count; i++) {
        pipes->protocols[i] = config->securities[i]->protocol;
    }
    random_init(&pipes->random, config->seed);
    list_init(&pipes->pipes);
    list_init(&pipes->ready);
    list_init(&pipes->handshakes);
    heap_init(&pipes->timers, pipes->memory);
    pipes->own_budget.bytes_max = config->limits.bytes_max;
    pipes->budget = config->budget != NULL ? config->budget : &pipes->own_budget;
    *ret_transport = &pipes->transport;
    return 0;
}

void pipe_transport_free(struct transport *transport) {
    if (transport == NULL) {
        return;
    }
    struct pipe_transport *pipes = of_transport(transport);
    reap(pipes);
    struct list_node *node;
    while ((node = list_first(&pipes->pipes)) != NULL) {
        struct pipe *pipe = CONTAINER_OF(node, struct pipe, node);
        ENSURE(!pipe->owned);
        pipe->told = true;
        pipe_release(pipe);
    }
    heap_done(&pipes->timers);
    random_done(&pipes->random);
    memory_put(pipes->memory, pipes, sizeof(*pipes));
}

int pipe_transport_add_provider(struct transport *transport, struct pipe_provider *provider) {
    struct pipe_transport *pipes = of_transport(transport);
    if (pipes->provider_count == PIPE_PROVIDERS_MAX) {
        return PLASM_LIMIT;
    }
    list_init(&provider->waiting);
    pipes->providers[pipes->provider_count++] = provider;
    return 0;
}

void pipe_transport_set_time(struct transport *transport, int64_t unix_seconds) {
    of_transport(transport)->unix_seconds = unix_seconds;
}

void pipe_transport_close(struct transport *transport, nanos now) {
    struct pipe_transport *pipes = of_transport(transport);
    pipes->closed = true;
    for (struct list_node *node = list_first(&pipes->pipes); node != NULL;
         node = list_next(&pipes->pipes, node)) {
        pipe_link_close(&CONTAINER_OF(node, struct pipe, node)->link, 0, "", now);
    }
}

void pipe_transport_stats(const struct transport *transport, struct pipe_stats *ret_stats) {
    const struct pipe_transport *pipes =
        CONTAINER_OF(transport, const struct pipe_transport, transport);
    *ret_stats = pipes->stats;
    ret_stats->handshakes_inbound = pipes->handshakes.size;
}
