/* Finding workers: ask the DHT who provides the workers' tag, connect to each, take the record it
 * pushes. A worker among the bootstrap peers is found without the DHT. */
#include "client/core/internal.h"

#include "proto/identify/identify.h"
#include "util/ensure.h"

static struct core_candidate *find_candidate(const struct core *core, const struct peer_id *id) {
    for (struct list_node *node = list_first(&core->candidates); node != NULL;
         node = list_next(&core->candidates, node)) {
        struct core_candidate *candidate = CONTAINER_OF(node, struct core_candidate, node);
        if (peer_id_equal(&candidate->id, id)) {
            return candidate;
        }
    }
    return NULL;
}

static struct core_candidate *find_request(const struct core *core, uint64_t request) {
    for (struct list_node *node = list_first(&core->candidates); node != NULL && request != 0;
         node = list_next(&core->candidates, node)) {
        struct core_candidate *candidate = CONTAINER_OF(node, struct core_candidate, node);
        if (candidate->request == request) {
            return candidate;
        }
    }
    return NULL;
}

static struct core_candidate *make_candidate(struct core *core, const struct peer_id *id) {
    if (core->candidates.size >= CORE_CANDIDATES_MAX) {
        return NULL;
    }
    struct core_candidate *candidate = memory_zero(core->memory, sizeof(*candidate));
    if (candidate != NULL) {
        candidate->id = *id;
        candidate->deadline = NANOS_NEVER;
        list_append(&core->candidates, &candidate->node);
    }
    return candidate;
}

static void forget_candidates(struct core *core) {
    struct list_node *node;
    while ((node = list_first(&core->candidates)) != NULL) {
        list_remove(&core->candidates, node);
        memory_put(core->memory, CONTAINER_OF(node, struct core_candidate, node),
                   sizeof(struct core_candidate));
    }
}

struct core_node *core_node_get(struct core *core, const struct peer_id *id) {
    for (struct list_node *node = list_first(&core->nodes); node != NULL;
         node = list_next(&core->nodes, node)) {
        struct core_node *known = CONTAINER_OF(node, struct core_node, node);
        if (peer_id_equal(&known->id, id)) {
            return known;
        }
    }
    return NULL;
}

void discovery_free(struct core *core) {
    forget_candidates(core);
    struct list_node *node;
    while ((node = list_first(&core->nodes)) != NULL) {
        list_remove(&core->nodes, node);
        memory_put(core->memory, CONTAINER_OF(node, struct core_node, node),
                   sizeof(struct core_node));
    }
}

const struct core_node *core_next_match(const struct core *core,
                                        const struct capability_query *query,
                                        const struct core_node *after) {
    struct list_node *node =
        after == NULL ? list_first(&core->nodes) : list_next(&core->nodes, &after->node);
    for (; node != NULL; node = list_next(&core->nodes, node)) {
        const struct core_node *known = CONTAINER_OF(node, struct core_node, node);
        if (known->connection != NULL && capability_match(&known->capability, query)) {
            return known;
        }
    }
    return NULL;
}

struct bytes core_tried(const struct core *core) {
    return buffer_bytes(&core->tried);
}

/* A line more in what was tried; a full buffer drops it. */
static void note_failure(struct core *core, struct bytes text) {
    if (text.size + 1 <= core->tried.size_max - core->tried.size &&
        (buffer_append(&core->tried, text) != 0 ||
         buffer_append(&core->tried, BYTES_LITERAL("\n")) != 0)) {
        log_event(core->config.log, LOG_LEVEL_WARNING, "core", "out of memory");
    }
}

static size_t match_count(const struct core *core) {
    size_t count = 0;
    const struct core_node *node = NULL;
    while ((node = core_next_match(core, &core->discovery.options.query, node)) != NULL) {
        count++;
    }
    return count;
}

static bool all_settled(const struct core *core) {
    for (struct list_node *node = list_first(&core->candidates); node != NULL;
         node = list_next(&core->candidates, node)) {
        if (!CONTAINER_OF(node, struct core_candidate, node)->settled) {
            return false;
        }
    }
    return true;
}

static void end_discovery(struct core *core) {
    struct core_discovery *discovery = &core->discovery;
    discovery->active = false;
    discovery->done = true;
    while (discovery->lookup_count > 0) {
        peer_lookup_cancel(core->config.peer, discovery->lookups[--discovery->lookup_count]);
    }
}

bool core_is_cut_off(const struct core *core) {
    return core->now >= core->nearby_until &&
           core->bootstrap_failures >= core->config.bootstrap_count &&
           peer_connection_count(core->config.peer) == 0;
}

/* Is there anything left to hope for? */
static void judge(struct core *core, nanos now) {
    struct core_discovery *discovery = &core->discovery;
    if (!discovery->active) {
        return;
    }
    size_t matches = match_count(core);
    if (matches > 0 && discovery->settled_at == NANOS_NEVER) {
        discovery->settled_at = nanos_add(now, discovery->options.settle);
    }
    bool nobody = core_is_cut_off(core) && discovery->lookup_count == 0;
    bool exhausted = discovery->looked_up && discovery->lookup_count == 0;
    if (matches >= discovery->options.count_max || now >= discovery->settled_at ||
        now >= discovery->deadline || (all_settled(core) && (exhausted || nobody))) {
        end_discovery(core);
    }
}

static bool look_up(struct core *core, const char *tag, nanos now) {
    struct core_discovery *discovery = &core->discovery;
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(bytes_of_string(tag), key);
    ENSURE(discovery->lookup_count < CORE_LOOKUPS_MAX);
    /* All of them even when one is enough: the first to answer is the one that counts. */
    if (peer_find_providers(core->config.peer, BYTES_ARRAY(key), 0, now,
                            &discovery->lookups[discovery->lookup_count]) != 0) {
        return false;
    }
    discovery->lookup_count++;
    return true;
}

static void begin_lookup(struct core *core, nanos now) {
    struct core_discovery *discovery = &core->discovery;
    if (discovery->active && !discovery->looked_up && discovery->lookup_count == 0) {
        discovery->shards_asked = CAPABILITY_SHARDS;
        discovery->looked_up = look_up(core, CAPABILITY_TAG_WORKER, now);
    }
}

static void ask_shards(struct core *core, nanos now) {
    struct core_discovery *discovery = &core->discovery;
    while (discovery->active && discovery->shards_asked < CAPABILITY_SHARDS &&
           discovery->lookup_count < CORE_LOOKUPS_MAX) {
        char tag[CAPABILITY_TAG_MAX];
        capability_tag_of_shard(discovery->shards_asked, tag);
        if (!look_up(core, tag, now)) {
            discovery->shards_asked = CAPABILITY_SHARDS;
            return;
        }
        discovery->shards_asked++;
    }
}

static bool is_ours(const struct core_discovery *discovery, uint64_t request, size_t *ret_at) {
    for (size_t i = 0; i < discovery->lookup_count; i++) {
        if (discovery->lookups[i] == request) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static void lookup_done(struct core *core, const struct peer_event *event, size_t at, nanos now) {
    struct core_discovery *discovery = &core->discovery;
    discovery->lookups[at] = discovery->lookups[--discovery->lookup_count];
    if (!discovery->sharded) { /* it was the first key's */
        /* Nobody could be asked: the next server that is found may know more. */
        discovery->looked_up = event->error != PLASM_NOT_FOUND || event->count > 0 ||
                               peer_routing_size(core->config.peer) > 0;
        if (event->count >= CAPABILITY_HOT_MIN) {
            discovery->sharded = true;
            discovery->shards_asked = 0;
        }
    }
    ask_shards(core, now);
}

void core_expect_nearby(struct core *core, nanos until) {
    core->nearby_until = until;
}

void core_discover(struct core *core, const struct core_discovery_options *options, nanos now) {
    core->now = now;
    end_discovery(core);
    forget_candidates(core);
    core->discovery = (struct core_discovery){.active = true,
                                              .options = *options,
                                              .deadline = nanos_add(now, options->timeout),
                                              .settled_at = NANOS_NEVER};
    if (peer_connection_count(core->config.peer) > 0) {
        begin_lookup(core, now);
    }
    judge(core, now);
}

bool core_discover_done(const struct core *core) {
    return core->discovery.done;
}

/* The record of a connected worker replaces what was known of it. */
static void take_capability(struct core *core, const struct peer_event *event, nanos now,
                            int64_t unix_ms) {
    struct capability capability;
    const struct peer_id *id = peer_connection_id(event->connection);
    int error = capability_open(event->data, unix_ms / 1000, &capability);
    struct core_candidate *candidate = find_candidate(core, id);
    if (error == 0 && !peer_id_equal(&capability.worker, id)) {
        error = PLASM_UNTRUSTED;
    }
    struct core_node *node = core_node_get(core, id);
    if (error == 0 && node == NULL && core->nodes.size < CORE_NODES_MAX) {
        node = memory_zero(core->memory, sizeof(*node));
        if (node != NULL) {
            node->id = *id;
            node->core = core;
            list_append(&core->nodes, &node->node);
        }
    }
    if (candidate != NULL) {
        candidate->settled = true;
    }
    if (error != 0 || node == NULL) {
        char text[PEER_ID_TEXT_MAX];
        peer_id_format(id, text);
        log_event(core->config.log, LOG_LEVEL_WARNING, "core", "record of %s: %s", text,
                  plasm_error_message(error != 0 ? error : PLASM_NO_MEMORY));
        return;
    }
    node->capability = capability;
    node->connection = event->connection;
    if (candidate != NULL && candidate->begun != 0 && node->connect_time == 0) {
        node->connect_time = nanos_since(now, candidate->begun);
    }
    struct identify message = {0};
    if (identify_merge(peer_connection_identify(event->connection), &message) == 0) {
        bytes_cut_string(message.agent, node->agent, sizeof(node->agent));
    }
}

static void take_provider(struct core *core, const struct peer_event *event, nanos now) {
    struct core_candidate *candidate = find_candidate(core, &event->peer_id);
    struct core_node *node = core_node_get(core, &event->peer_id);
    if (node != NULL && node->connection != NULL) {
        return;
    }
    if (candidate == NULL) {
        candidate = make_candidate(core, &event->peer_id);
    }
    if (candidate == NULL || candidate->settled || candidate->request != 0) {
        return;
    }
    struct multiaddr addresses[PEER_DIAL_ADDRESSES_MAX];
    size_t count = 0;
    struct bytes packed = event->data;
    struct bytes address;
    while (count < PEER_DIAL_ADDRESSES_MAX && kad_address_next(&packed, &address)) {
        count += multiaddr_decode(address, &addresses[count]) == 0;
    }
    candidate->begun = now;
    if (peer_connect(core->config.peer, &candidate->id, addresses, count, now,
                     &candidate->request) != 0) {
        candidate->settled = true;
    }
}

/* Who lists the capability protocol has a record, or reads them: if it has one it comes now. */
static void expect_record(struct core *core, struct peer_connection *connection, nanos now) {
    struct identify message = {0};
    if (!core->discovery.active ||
        identify_merge(peer_connection_identify(connection), &message) != 0 ||
        !identify_has_protocol(&message, CAPABILITY_PROTOCOL) ||
        core_node_get(core, peer_connection_id(connection)) != NULL) {
        return;
    }
    struct core_candidate *candidate = find_candidate(core, peer_connection_id(connection));
    if (candidate == NULL) {
        candidate = make_candidate(core, peer_connection_id(connection));
    }
    if (candidate != NULL && !candidate->settled) {
        candidate->deadline = nanos_add(now, CORE_CAPABILITY_TIMEOUT);
    }
}

static void take_connected(struct core *core, const struct peer_event *event, nanos now) {
    core->bootstrap_failures = 0;
    struct core_candidate *candidate = find_request(core, event->request);
    if (candidate != NULL) {
        candidate->request = 0;
        candidate->deadline = nanos_add(now, CORE_CAPABILITY_TIMEOUT);
    }
}

static void take_failure(struct core *core, const struct peer_event *event) {
    struct core_candidate *candidate = find_request(core, event->request);
    if (candidate != NULL) {
        candidate->request = 0;
        candidate->settled = true;
        note_failure(core, event->data);
    } else if (event->request == 0) {
        core->bootstrap_failures += event->count != PEER_NEARBY;
        note_failure(core, event->data);
    }
}

static void take_disconnected(struct core *core, const struct peer_event *event) {
    struct core_node *node = core_node_get(core, &event->peer_id);
    if (node != NULL && node->connection == event->connection) { /* unless there is another */
        node->connection = peer_connection_to(core->config.peer, &event->peer_id);
    }
}

void discovery_handle(struct core *core, const struct peer_event *event, nanos now,
                      int64_t unix_ms) {
    size_t at;
    switch (event->type) {
    case PEER_EVENT_CAPABILITY:
        take_capability(core, event, now, unix_ms);
        break;
    case PEER_EVENT_IDENTIFIED:
        expect_record(core, event->connection, now);
        begin_lookup(core, now);
        break;
    case PEER_EVENT_CONNECTED:
        take_connected(core, event, now);
        break;
    case PEER_EVENT_CONNECT_FAILED:
        take_failure(core, event);
        break;
    case PEER_EVENT_DISCONNECTED:
        take_disconnected(core, event);
        break;
    case PEER_EVENT_PROVIDER:
        if (is_ours(&core->discovery, event->request, &at)) {
            take_provider(core, event, now);
        }
        break;
    case PEER_EVENT_LOOKUP_DONE:
        if (is_ours(&core->discovery, event->request, &at)) {
            lookup_done(core, event, at, now);
        }
        break;
    default:
        return;
    }
    judge(core, now);
}

nanos discovery_deadline(const struct core *core) {
    const struct core_discovery *discovery = &core->discovery;
    if (!discovery->active) {
        return NANOS_NEVER;
    }
    nanos deadline = nanos_min(discovery->deadline, discovery->settled_at);
    if (core->now < core->nearby_until) {
        deadline = nanos_min(deadline, core->nearby_until);
    }
    for (struct list_node *node = list_first(&core->candidates); node != NULL;
         node = list_next(&core->candidates, node)) {
        struct core_candidate *candidate = CONTAINER_OF(node, struct core_candidate, node);
        if (!candidate->settled) {
            deadline = nanos_min(deadline, candidate->deadline);
        }
    }
    return deadline;
}

void discovery_expire(struct core *core, nanos now) {
    for (struct list_node *node = list_first(&core->candidates); node != NULL;
         node = list_next(&core->candidates, node)) {
        struct core_candidate *candidate = CONTAINER_OF(node, struct core_candidate, node);
        candidate->settled = candidate->settled || candidate->deadline <= now;
    }
    judge(core, now);
}
