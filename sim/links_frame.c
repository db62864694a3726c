/* Frames, and the packets that carry them from one end to the other. */
#include "links_internal.h"

#include "util/ensure.h"

/* Bytes of a frame and of a packet besides the data. */
#define FRAME_OVERHEAD  8
#define PACKET_OVERHEAD 40

void channel_unref(struct channel *channel) {
    ENSURE(channel->references > 0);
    channel->references--;
    if (channel->references == 0) {
        sim_cancel(sim_of(channel->links), &channel->timer);
        pool_put(&channel->links->channels, channel);
    }
}

void pair_unref(struct stream_pair *pair) {
    ENSURE(pair->references > 0);
    pair->references--;
    if (pair->references == 0) {
        struct channel *channel = pair->channel;
        pool_put(&channel->links->streams, pair);
        channel_unref(channel);
    }
}

static struct frame *frame_new(struct end *end, struct stream_end *stream, enum frame_kind kind) {
    struct frame *frame = pool_get(&end->channel->links->frames);
    frame->kind = kind;
    frame->end = end;
    frame->stream = stream;
    end->channel->references++;
    if (stream != NULL) {
        stream->pair->references++;
    }
    return frame;
}

void frame_free(struct frame *frame) {
    struct channel *channel = frame->end->channel;
    block_unref(frame->block);
    if (frame->stream != NULL) {
        pair_unref(frame->stream->pair);
    }
    pool_put(&channel->links->frames, frame);
    channel_unref(channel);
}

static void queue_put(struct queue *queue, struct frame *frame) {
    if (queue->first == NULL) {
        queue->first = frame;
    } else {
        queue->last->next = frame;
    }
    queue->last = frame;
}

struct frame *queue_take(struct queue *queue) {
    struct frame *frame = queue->first;
    if (frame != NULL) {
        queue->first = frame->next;
        frame->next = NULL;
    }
    return frame;
}

void queue_drop(struct queue *queue) {
    struct frame *frame;
    while ((frame = queue_take(queue)) != NULL) {
        frame_free(frame);
    }
}

struct frame *frame_send(struct end *from, struct stream_end *stream, enum frame_kind kind) {
    struct frame *frame =
        frame_new(end_twin(from), stream != NULL ? stream_twin(stream) : NULL, kind);
    queue_put(&from->out, frame);
    if (!from->is_dirty) {
        from->is_dirty = true;
        from->next_dirty = from->hub->dirty;
        from->hub->dirty = from;
    }
    return frame;
}

struct frame *frame_tell(struct end *end, struct stream_end *stream, enum frame_kind kind) {
    struct frame *frame = frame_new(end, stream, kind);
    queue_put(&end->hub->inbox, frame);
    return frame;
}

static void packet_due(struct timer *timer) {
    struct packet *packet = CONTAINER_OF(timer, struct packet, timer);
    struct end *to = packet->to;
    struct end *from = end_twin(to);
    struct links *links = to->channel->links;
    struct sim *sim = sim_of(links);
    struct hub *hub = to->hub;
    if (hub == NULL) {
        queue_drop(&packet->frames); /* nobody acknowledges it: the sender will time out */
        pool_put(&links->packets, packet);
        return;
    }
    to->heard = sim->now;
    to->is_unheard = false;
    from->heard = sim->now;
    from->is_unheard = false;
    size_t count = 0;
    size_t bytes = 0;
    struct frame *frame;
    while ((frame = queue_take(&packet->frames)) != NULL) {
        count++;
        bytes += frame->size;
        queue_put(&hub->inbox, frame);
    }
    pool_put(&links->packets, packet);
    TRACE(&sim->trace, sim->now, "packet", from->site->number, to->site->number, count, bytes);
    hub->site->arrived(hub->site);
}

/* How long without an acknowledgement until a packet is sent again. */
static nanos resend_time(const struct site *a, const struct site *b) {
    return 2 * network_round_trip(a, b) + LINKS_ACKNOWLEDGED_LATER;
}

static bool only_acknowledges(const struct queue *frames) {
    const struct frame *frame = frames->first;
    while (frame != NULL && frame->kind == FRAME_FIN_RECEIVED) {
        frame = frame->next;
    }
    return frame == NULL;
}

static void deliver_lazily(struct end *from) {
    struct end *to = end_twin(from);
    struct network *network = from->channel->links->network;
    network->counts.datagrams++;
    network->counts.bytes += PACKET_OVERHEAD;
    to->heard = sim_of(from->channel->links)->now;
    to->is_unheard = false;
    struct frame *frame;
    while ((frame = queue_take(&from->out)) != NULL) {
        queue_put(&to->hub->inbox, frame);
    }
}

static void end_flush(struct end *end) {
    struct links *links = end->channel->links;
    struct sim *sim = sim_of(links);
    struct network *network = links->network;
    struct end *to = end_twin(end);
    bool is_cut = network_parts(end->site, to->site);
    if (links->lazy && to->hub != NULL && !is_cut && only_acknowledges(&end->out)) {
        deliver_lazily(end);
        return;
    }
    size_t bytes = PACKET_OVERHEAD;
    for (struct frame *frame = end->out.first; frame != NULL; frame = frame->next) {
        bytes += FRAME_OVERHEAD + frame->size;
    }
    if (!end->is_unheard) {
        end->is_unheard = true;
        end->heard = sim->now;
    }
    nanos late = network_retransmission(network, bytes, resend_time(end->site, to->site));
    if (to->hub == NULL || is_cut || late >= LINKS_IDLE_TIMEOUT) {
        queue_drop(&end->out); /* both ends give up before it gets through */
        return;
    }
    nanos arrival = sim->now + network_delay(network, end->site, to->site) + late;
    end->arrival = nanos_max(end->arrival + 1, arrival);
    struct packet *packet = pool_get(&links->packets);
    packet->timer.due = packet_due;
    packet->to = to;
    packet->frames = end->out;
    end->out = (struct queue){0};
    sim_at(sim, &packet->timer, end->arrival);
}

void hub_flush(struct hub *hub) {
    while (hub->dirty != NULL) {
        struct end *end = hub->dirty;
        hub->dirty = end->next_dirty;
        end->is_dirty = false;
        end_flush(end);
    }
}
