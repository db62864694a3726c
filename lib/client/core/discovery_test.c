/* Discovery: a tag that so many workers provide that no server names them all. */
#define WORLD_NODES_MAX 64
#include "client/core/core.h"
#include "peer/memory_world_testing.h"
#include "peer/relayed_world_testing.h"
#include "peer/world_testing.h"
#include "wire/multihash.h"

#define WORKERS 45

struct seeker {
    struct world_node *node;
    struct core *core;
};

static void on_seeker_event(struct world_node *node, const struct peer_event *event) {
    struct seeker *seeker = node->world->test;
    if (seeker->core != NULL && node == seeker->node) {
        core_handle(seeker->core, event, node->world->now, node->world->unix_seconds * 1000);
    }
}

static void provide(struct world_node *worker, const char *tag) {
    uint8_t key[CONTENT_KEY_SIZE];
    uint64_t request;
    content_key(bytes_of_string(tag), key);
    assert_int_equal(peer_provide(worker->peer, BYTES_ARRAY(key), worker->world->now, &request), 0);
    assert_int_equal(world_await(worker, PEER_EVENT_LOOKUP_DONE, request, WORLD_PATIENCE)->error,
                     0);
}

static void offer_capability(struct world_node *worker) {
    const struct world *world = worker->world;
    struct capability capability = {.worker = worker->id,
                                    .arch = "x86_64",
                                    .runtime = "wasmtime-48",
                                    .profiles = {"wasip1"},
                                    .profile_count = 1,
                                    .limits = {.memory_bytes = 1, .wall_ms = 1},
                                    .addresses = {worker->address},
                                    .address_count = 1,
                                    .seq = 1,
                                    .expires_s = world->unix_seconds + 600};
    struct memory memory;
    struct buffer payload;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&payload, &memory, CAPABILITY_PAYLOAD_SIZE_MAX);
    assert_int_equal(capability_encode(&capability, &payload), 0);
    assert_int_equal(peer_set_capability(worker->peer, buffer_bytes(&payload), world->now), 0);
    buffer_done(&payload);
}

/* A client of the DHT, so that one server has every record. */
static void add_worker(struct world *world, const struct world_node *server, bool crowded) {
    struct world_node *worker = world_add(world);
    worker->config.kad_server = false;
    assert_true(world_start(worker));
    offer_capability(worker);
    world_bootstrap(worker, server);
    char tag[CAPABILITY_TAG_MAX];
    capability_tag_shard(&worker->id, tag);
    provide(worker, tag);
    if (!crowded) {
        provide(worker, CAPABILITY_TAG_WORKER);
    }
}

static size_t discovered(struct world *world, struct seeker *seeker, size_t count_max) {
    struct core_discovery_options options = {
        .count_max = count_max, .timeout = 30 * NANOS_SECOND, .settle = NANOS_NEVER};
    core_discover(seeker->core, &options, world->now);
    nanos end = world->now + 40 * NANOS_SECOND;
    while (!core_discover_done(seeker->core) && world->now < end) {
        world_run(world, 10 * NANOS_MILLISECOND);
        core_expire(seeker->core, world->now);
    }
    assert_true(core_discover_done(seeker->core));
    size_t count = 0;
    const struct core_node *node = NULL;
    while ((node = core_next_match(seeker->core, &options.query, node)) != NULL) {
        count++;
    }
    return count;
}

static void seek(size_t workers, size_t crowded, size_t count_max, size_t least, size_t most) {
    struct world world;
    struct seeker seeker = {.core = NULL};
    world_init(&world, memory_world());
    world.test = &seeker;
    struct world_node *server = world_node_new(&world);
    for (size_t i = 0; i < workers; i++) {
        add_worker(&world, server, i < crowded);
    }
    seeker.node = world_add(&world);
    seeker.node->config.kad_server = false;
    seeker.node->config.capability_reader = true;
    seeker.node->on_event = on_seeker_event;
    assert_true(world_start(seeker.node));
    static const uint8_t seed[32] = {9};
    struct random random;
    random_init(&random, seed);
    struct core_config config = {.peer = seeker.node->peer,
                                 .memory = &seeker.node->memory.memory,
                                 .random = &random,
                                 .bootstrap_count = 1};
    assert_int_equal(core_new(&config, &seeker.core), 0);
    world_bootstrap(seeker.node, server);
    assert_in_range(discovered(&world, &seeker, count_max), least, most);
    core_free(seeker.core);
    seeker.core = NULL;
    random_done(&random);
    world_done(&world);
}

static void few_are_all_found(void **state) {
    (void)state;
    seek(5, 0, SIZE_MAX, 5, 5);
}

/* The server names 20 of those that provide the tag, and not at all those that left it alone. */
static void a_crowd_is_found_by_its_shards(void **state) {
    (void)state;
    seek(WORKERS, 10, SIZE_MAX, WORKERS, WORKERS);
}

static void one_needs_no_shards(void **state) {
    (void)state;
    seek(WORKERS, 0, 1, 1, 20);
}

static void open_door(struct world_node *node) {
    struct relayed_world_node *own = node->transport;
    own->direct->guarded = false;
    peer_set_addresses(node->peer, &own->direct->address, 1, node->world->now, node->world->now);
    world_run(node->world, 20 * node->world->delay);
}

/* A worker that was met through a relay and is connected to directly by now stays a worker, and the
 * direct connection is the one that is used. */
static void the_direct_connection_is_used(void **state) {
    (void)state;
    struct world world;
    struct seeker seeker = {.core = NULL};
    world_init(&world, relayed_world());
    world.test = &seeker;
    struct world_node *worker = world_node_new(&world);
    seeker.node = world_add(&world);
    seeker.node->config.capability_reader = true;
    seeker.node->on_event = on_seeker_event;
    assert_true(world_start(seeker.node));
    offer_capability(worker);
    static const uint8_t seed[32] = {9};
    struct random random;
    random_init(&random, seed);
    struct core_config config = {.peer = seeker.node->peer,
                                 .memory = &seeker.node->memory.memory,
                                 .random = &random,
                                 .bootstrap_count = 1};
    assert_int_equal(core_new(&config, &seeker.core), 0);
    open_door(worker);
    open_door(seeker.node);
    uint64_t request = 0;
    struct multiaddr address = worker->address;
    assert_int_equal(peer_connect(seeker.node->peer, &worker->id, &address, 1, world.now, &request),
                     0);
    const struct peer_event *connected =
        world_await(seeker.node, PEER_EVENT_CONNECTED, request, WORLD_PATIENCE);
    assert_non_null(connected);
    assert_true(peer_connection_relayed(connected->connection));
    assert_non_null(world_await(seeker.node, PEER_EVENT_DISCONNECTED, 0, 60 * NANOS_SECOND));
    world_run(&world, NANOS_SECOND);
    struct capability_query any = {.arch = NULL};
    const struct core_node *node = core_next_match(seeker.core, &any, NULL);
    assert_non_null(node);
    assert_false(peer_connection_relayed(node->connection));
    core_free(seeker.core);
    seeker.core = NULL;
    random_done(&random);
    world_done(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_all_found),
        cmocka_unit_test(a_crowd_is_found_by_its_shards),
        cmocka_unit_test(one_needs_no_shards),
        cmocka_unit_test(the_direct_connection_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
