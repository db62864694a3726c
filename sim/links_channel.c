/* The life of a connection: dialling, idleness, its end. */
#include "links_internal.h"

#include "util/ensure.h"

void end_release(struct end *end) {
    struct list_node *node;
    while ((node = list_first(&end->streams)) != NULL) {
        stream_release(CONTAINER_OF(node, struct stream_end, node));
    }
    end->state = END_GONE;
    list_remove(&end->hub->ends, &end->node);
    end->hub = NULL;
    channel_unref(end->channel);
}

static void end_attach(struct end *end, struct hub *hub) {
    end->hub = hub;
    end->site = hub->site;
    end->link.transport = &hub->transport;
    end->channel->references++;
    list_append(&hub->ends, &end->node);
}

/* The end is over for its own peer: it hears of it next. */
static void end_fail(struct end *end, int error, uint64_t code) {
    end->state = END_ENDING;
    struct frame *frame = frame_tell(end, NULL, FRAME_CLOSED);
    frame->error = error;
    frame->number = code;
}

static nanos idle_at(const struct end *end) {
    return end->state == END_OPEN ? nanos_add(end->heard, LINKS_IDLE_TIMEOUT) : NANOS_NEVER;
}

static void idle_rearm(struct channel *channel) {
    sim_at(sim_of(channel->links), &channel->timer,
           nanos_min(idle_at(&channel->ends[0]), idle_at(&channel->ends[1])));
}

static bool is_present(const struct end *end) {
    return end->state == END_OPEN || end->state == END_NEW;
}

/* When keep-alives, which are not sent in fact, were answered last. */
static nanos kept_alive(struct end *end) {
    struct end *other = end_twin(end);
    if ((!end->keep_alive && !other->keep_alive) || network_parts(end->site, other->site)) {
        return 0;
    }
    return is_present(other) ? sim_of(end->channel->links)->now : other->site->died;
}

/* Packets only note the time; here it turns out whether it is long ago. */
static void idle_due(struct timer *timer) {
    struct channel *channel = CONTAINER_OF(timer, struct channel, timer);
    struct sim *sim = sim_of(channel->links);
    struct end *ends = channel->ends;
    channel->references++;
    for (size_t i = 0; i < 2; i++) {
        if (idle_at(&ends[i]) <= sim->now) {
            ends[i].heard = nanos_max(ends[i].heard, kept_alive(&ends[i]));
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (idle_at(&ends[i]) <= sim->now) {
            TRACE(&sim->trace, sim->now, "idle", ends[i].site->number);
            end_fail(&ends[i], PLASM_TIMEOUT, 0);
            ends[i].site->arrived(ends[i].site);
        }
    }
    /* Accepted, but nothing ever came of it. */
    if (ends[1].state == END_NEW && !is_present(&ends[0])) {
        end_release(&ends[1]);
    }
    idle_rearm(channel);
    channel_unref(channel);
}

static void dial_failed(struct channel *channel, int error) {
    struct sim *sim = sim_of(channel->links);
    struct site *site = channel->ends[0].site;
    channel->links->network->counts.dials_failed++;
    TRACE(&sim->trace, sim->now, "dial-failed", site->number, (uint64_t)-error);
    end_fail(&channel->ends[0], error, 0);
    site->arrived(site);
}

static void handshake_due(struct timer *timer) {
    struct channel *channel = CONTAINER_OF(timer, struct channel, timer);
    struct network *network = channel->links->network;
    struct sim *sim = network->sim;
    struct end *dialler = &channel->ends[0];
    struct end *acceptor = &channel->ends[1];
    struct site *there = network_find(network, &channel->address);
    nanos last = channel->dialled + LINKS_DIAL_TIMEOUT;
    if (sim->now >= last) {
        dial_failed(channel, PLASM_TIMEOUT);
        return;
    }
    if (!channel->is_answered || there == NULL || !network_answers(there) ||
        network_parts(dialler->site, there)) {
        sim_at(sim, &channel->timer, last);
        return;
    }
    if (channel->expected.size > 0 && !peer_id_equal(&channel->expected, there->id)) {
        dial_failed(channel, PLASM_UNTRUSTED);
        return;
    }
    end_attach(acceptor, there->port);
    dialler->heard = sim->now;
    acceptor->heard = sim->now;
    (void)frame_tell(dialler, NULL, FRAME_CONNECTED);
    (void)frame_send(dialler, NULL, FRAME_CONNECTED);
    channel->timer.due = idle_due;
    sim_at(sim, &channel->timer, nanos_add(sim->now, LINKS_IDLE_TIMEOUT));
    network->counts.connections++;
    struct site *here = dialler->site;
    TRACE(&sim->trace, sim->now, "handshake", here->number, there->number);
    here->arrived(here);
}

/* When the dial's end is known. Nothing of what may happen until then is assumed here. */
static nanos handshake_time(struct channel *channel, struct hub *hub) {
    struct network *network = channel->links->network;
    const struct site *there = network_find(network, &channel->address);
    if (there == NULL || !network_answers(there) || network_parts(hub->site, there)) {
        (void)network_retransmission(network, NETWORK_DATAGRAM_BYTES, LINKS_HANDSHAKE_RESEND);
        return LINKS_DIAL_TIMEOUT;
    }
    nanos time =
        network_delay(network, hub->site, there) + network_delay(network, there, hub->site);
    for (int flight = 0; flight < 2; flight++) {
        nanos late =
            network_retransmission(network, NETWORK_DATAGRAM_BYTES, LINKS_HANDSHAKE_RESEND);
        time = nanos_add(time, late);
    }
    channel->is_answered = time < LINKS_DIAL_TIMEOUT;
    return nanos_min(time, LINKS_DIAL_TIMEOUT);
}

bool hub_dials(const struct transport *transport, const struct multiaddr *address) {
    (void)transport;
    struct netaddr remote;
    struct bytes id;
    return multiaddr_to_quic(address, &remote, &id) == 0 && remote.family == NETADDR_IP4;
}

int hub_dial(struct transport *transport, const struct multiaddr *address,
             const struct peer_id *expected, nanos hint, nanos now, struct link **ret_link) {
    (void)hint;
    struct hub *hub = hub_of(transport);
    struct netaddr remote;
    struct bytes id;
    int error = multiaddr_to_quic(address, &remote, &id);
    if (error != 0) {
        return error;
    }
    struct channel *channel = pool_get(&hub->links->channels);
    channel->links = hub->links;
    channel->address = remote;
    channel->dialled = now;
    channel->timer.due = handshake_due;
    if (expected != NULL) {
        channel->expected = *expected;
    }
    for (size_t i = 0; i < 2; i++) {
        channel->ends[i].channel = channel;
        channel->ends[i].link.inbound = i == 1;
        list_init(&channel->ends[i].streams);
    }
    end_attach(&channel->ends[0], hub);
    hub->links->network->counts.dials++;
    sim_at(sim_of(hub->links), &channel->timer, now + handshake_time(channel, hub));
    *ret_link = &channel->ends[0].link;
    return 0;
}

void link_close(struct link *link, uint64_t code, const char *reason, nanos now) {
    (void)now;
    struct end *end = end_of(link);
    if (end->state == END_ENDING || end->state == END_GONE) {
        return;
    }
    bool dials = end->channel->timer.due == handshake_due;
    if (!dials) {
        struct frame *frame = frame_send(end, NULL, FRAME_CLOSED);
        frame->error = code != 0 ? PLASM_CLOSED : 0;
        frame->number = code;
        frame->size = strlen(reason);
        frame->block = block_copy(&sim_of(end->channel->links)->memory, bytes_of_string(reason));
        ENSURE(frame->block != NULL);
    }
    end_fail(end, code != 0 ? PLASM_CLOSED : 0, code);
    if (dials) {
        sim_cancel(sim_of(end->channel->links), &end->channel->timer);
    }
}

void link_keep_alive(struct link *link, bool on) {
    end_of(link)->keep_alive = on;
}

static bool take_connected(struct hub *hub, struct end *end, struct link_event *ret_event) {
    if (end->state != END_NEW) {
        return false;
    }
    const struct site *there = end_twin(end)->site;
    end->state = END_OPEN;
    ret_event->type = LINK_CONNECTED;
    ret_event->peer_id = *there->id;
    ENSURE(peer_id_key(there->id, &hub->links->key) == 0);
    ret_event->key = &hub->links->key;
    multiaddr_from_quic(&there->address, &ret_event->remote);
    return true;
}

static bool take_closed(struct hub *hub, const struct frame *frame, struct link_event *ret_event) {
    struct end *end = frame->end;
    if (end->state == END_GONE) {
        return false;
    }
    end->state = END_ENDING;
    hub->ended_end = end;
    ret_event->type = LINK_CLOSED;
    ret_event->error = frame->error;
    ret_event->code = frame->number;
    ret_event->data = frame->block != NULL ? block_bytes(frame->block) : bytes_of(NULL, 0);
    return true;
}

bool channel_take(struct hub *hub, const struct frame *frame, struct link_event *ret_event) {
    return frame->kind == FRAME_CONNECTED ? take_connected(hub, frame->end, ret_event)
                                          : take_closed(hub, frame, ret_event);
}

void end_abandon(struct end *end) {
    if (end->channel->timer.due == handshake_due) {
        sim_cancel(sim_of(end->channel->links), &end->channel->timer);
    }
    end_release(end);
}
