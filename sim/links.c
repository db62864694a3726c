/* The hub: what arrives at one node, as its peer sees it. */
#include "links_internal.h"

#include "util/ensure.h"

/* The frame's meaning. *ret_keep: it has to be taken once more. */
static bool take_frame(struct hub *hub, struct frame *frame, struct link_event *ret_event,
                       bool *ret_keep) {
    struct end *end = frame->end;
    struct stream_end *stream = frame->stream;
    *ret_event = (struct link_event){.link = &end->link};
    if (stream == NULL) {
        return channel_take(hub, frame, ret_event);
    }
    if (end->state != END_OPEN) {
        return false;
    }
    if (frame->kind == FRAME_STREAM_OVER) {
        ret_event->type = LINK_STREAM_CLOSED;
        ret_event->stream = &stream->stream;
        hub->ended_stream = stream;
        return true;
    }
    if (!stream->is_held && !stream->is_over && frame->kind == FRAME_DATA) {
        stream_hold(end, stream);
        ret_event->type = LINK_STREAM_OPENED;
        ret_event->stream = &stream->stream;
        *ret_keep = true;
        return true;
    }
    return stream->is_held && !stream->is_over && stream_take(stream, frame, ret_event);
}

/* What ended with the last event is forgotten now. */
static void hub_reap(struct hub *hub) {
    if (hub->ended_stream != NULL) {
        stream_release(hub->ended_stream);
        hub->ended_stream = NULL;
    }
    if (hub->ended_end != NULL) {
        end_release(hub->ended_end);
        hub->ended_end = NULL;
    }
    if (hub->taken != NULL) {
        frame_free(hub->taken);
        hub->taken = NULL;
    }
}

static bool hub_next_event(struct transport *transport, struct link_event *ret_event) {
    struct hub *hub = hub_of(transport);
    hub_reap(hub);
    while (hub->inbox.first != NULL) {
        bool keep = false;
        bool is_event = take_frame(hub, hub->inbox.first, ret_event, &keep);
        if (keep) {
            return true;
        }
        hub->taken = queue_take(&hub->inbox);
        if (is_event) {
            return true;
        }
        hub_reap(hub);
    }
    return false;
}

/* Links have no timers of their own: the simulation runs them. */
static nanos hub_deadline(const struct transport *transport) {
    (void)transport;
    return NANOS_NEVER;
}

static void hub_expire(struct transport *transport, nanos now) {
    (void)transport;
    (void)now;
}

static const struct transport_verbs hub_verbs = {
    .dials = hub_dials,
    .dial = hub_dial,
    .next_event = hub_next_event,
    .deadline = hub_deadline,
    .expire = hub_expire,
    .close = link_close,
    .keep_alive = link_keep_alive,
    .open = link_open,
    .write = link_write,
    .consume = link_consume,
    .reset = link_reset,
};

void links_init(struct links *links, struct network *network) {
    struct memory *memory = &network->sim->memory;
    *links = (struct links){.network = network};
    pool_init(&links->channels, memory, sizeof(struct channel), 64);
    pool_init(&links->streams, memory, sizeof(struct stream_pair), 64);
    pool_init(&links->frames, memory, sizeof(struct frame), 256);
    pool_init(&links->packets, memory, sizeof(struct packet), 256);
}

void links_done(struct links *links) {
    ENSURE(links->frames.out == 0 && links->streams.out == 0 && links->channels.out == 0 &&
           links->packets.out == 0);
    pool_done(&links->packets);
    pool_done(&links->frames);
    pool_done(&links->streams);
    pool_done(&links->channels);
}

struct transport *links_transport_new(struct links *links, struct site *site) {
    struct hub *hub = memory_zero(&sim_of(links)->memory, sizeof(*hub));
    ENSURE(hub != NULL && site->port == NULL);
    hub->transport.verbs = &hub_verbs;
    hub->links = links;
    hub->site = site;
    list_init(&hub->ends);
    site->port = hub;
    return &hub->transport;
}

void links_transport_flush(struct transport *transport) {
    hub_flush(hub_of(transport));
}

void links_transport_free(struct transport *transport) {
    struct hub *hub = hub_of(transport);
    struct memory *memory = &sim_of(hub->links)->memory;
    hub_reap(hub);
    queue_drop(&hub->inbox);
    while (hub->dirty != NULL) {
        struct end *end = hub->dirty;
        hub->dirty = end->next_dirty;
        end->is_dirty = false;
        queue_drop(&end->out);
    }
    struct list_node *node;
    while ((node = list_first(&hub->ends)) != NULL) {
        end_abandon(CONTAINER_OF(node, struct end, node));
    }
    hub->site->port = NULL;
    memory_put(memory, hub, sizeof(*hub));
}
