/* Who does what when, and what came of it. */
#include "scenario.h"

#include "node.h"
#include "proto/kad/distance.h"
#include "sybil.h"
#include "util/ensure.h"
#include "wire/multihash.h"

/* Nodes that others join through, which never die; and one of so many others is a worker. */
#define BOOTSTRAP_COUNT_MAX   4
#define BOOTSTRAP_SHARE       8
#define WORKER_SHARE          20
#define WORKER_COUNT_MIN      3
#define PROVIDER_COUNT_MAX    500 /* of a key of their own */
#define SEARCH_COUNT_MIN      50
#define SEARCH_COUNT_MAX      2000
#define SEARCH_ATTACKED_COUNT 200
#define CLIENT_SHARE          20
#define CLIENT_COUNT_MIN      5
#define CLIENT_COUNT_MAX      200
#define AGENT                 "plasm-sim/0.1.0"
#define CAPABILITY_RENEWAL    (CAPABILITY_LIFE_S * NANOS_SECOND / 3)
#define PARTING_SHARE         5 /* the network parts after this share of the steady time */

/* One node joins in each pause on average. */
#define JOIN_PAUSE    (20 * NANOS_MILLISECOND)
#define JOIN_TIME_MIN (10 * NANOS_SECOND)
/* After the deaths: when the searches begin, and how long they may take. */
#define SEARCH_DELAY NANOS_SECOND
#define SEARCH_TIME  NANOS_MINUTE

/* As the command plasm asks. */
#define DISCOVERY_COUNT_MAX 20
#define DISCOVERY_TIMEOUT   (4 * NANOS_SECOND)

const struct scenario_options scenario_options_default = {
    .seed = 1,
    .node_count = 1000,
    .loss_ppm = 10000,
    .dead_percent = 20,
    .settle = NANOS_MINUTE,
    .steady = NANOS_MINUTE,
    .parted = 5 * NANOS_MINUTE,
    .sybil_networks = 20,
};

struct participant {
    struct node node;
    const struct node_config *config;
    struct scenario *scenario;
    struct timer join;
    struct timer renewal; /* of a worker's capability record */
    bool is_worker;
    bool was_away; /* in the smaller part of the network while it was in two */
    bool has_key;  /* provides one of its own */
    bool has_provided;
    bool is_provided;      /* its own key: somebody has got it */
    uint64_t provides_key; /* the request that says so */
    struct search *search; /* under way */
    size_t sought;         /* searches for it under way */
    /* A client's. */
    nanos begun;
    nanos first;
    bool has_ended;
};

/* One looks for another's key. */
struct search {
    struct timer timer;
    struct scenario *scenario;
    struct participant *wanted;
    uint64_t request;
    nanos begun;
    bool is_found;
    bool is_parted;   /* began while the network was in two parts */
    bool is_healed;   /* the two were in different ones before */
    bool is_attacked; /* of the key that sybils are nearest to */
};

struct scenario {
    struct scenario_options options;
    struct scenario_report *report;
    struct sim sim;
    struct network network;
    struct links links;
    struct node_listener listener;
    struct node_config server_config;
    struct node_config natted_config;
    struct node_config client_config;
    size_t bootstrap_count;
    struct multiaddr bootstrap[BOOTSTRAP_COUNT_MAX];
    size_t node_count;
    size_t come_count; /* places for those who come later */
    size_t client_count;
    struct sybils sybils;
    struct node_config sybil_config;
    struct participant *victim; /* whose key they are nearest to */
    /* Bootstrap nodes, workers, other nodes; those who come later; clients; sybils. */
    struct participant *participants;
    size_t search_count;
    struct search *searches;
    size_t unfinished; /* searches and discoveries */
    struct timer deaths;
    struct timer churn;
    nanos churn_pause;
    struct timer parting; /* then healing */
    bool is_parted;
    nanos (*clock)(void);
};

static struct participant *of_node(struct node *node) {
    return CONTAINER_OF(node, struct participant, node);
}

static nanos now_of(const struct scenario *scenario) {
    return scenario->sim.now;
}

/* --- Providing ------------------------------------------------------------------------------- */

static void own_key(const struct participant *participant, uint8_t ret_key[CONTENT_KEY_SIZE]) {
    content_key(peer_id_bytes(&participant->node.id), ret_key);
}

static uint64_t provide(struct participant *participant, const uint8_t key[CONTENT_KEY_SIZE]) {
    struct scenario *scenario = participant->scenario;
    uint64_t request;
    int error = peer_provide(participant->node.peer, bytes_of(key, CONTENT_KEY_SIZE),
                             now_of(scenario), &request);
    scenario->report->provides.count++;
    ENSURE(error == 0);
    return request;
}

static void provide_tag(struct participant *participant, const char *tag) {
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(bytes_of_string(tag), key);
    (void)provide(participant, key);
}

/* As plasmd does. */
static void begin_work(struct participant *participant) {
    struct node *node = &participant->node;
    char tag[CAPABILITY_TAG_MAX];
    node_set_capability(node);
    sim_at(node->sim, &participant->renewal, nanos_add(node->sim->now, CAPABILITY_RENEWAL));
    provide_tag(participant, CAPABILITY_TAG_WORKER);
    if (capability_tag_arch(NODE_ARCH, tag) == 0) {
        provide_tag(participant, tag);
    }
    if (capability_tag_runtime(NODE_RUNTIME, tag) == 0) {
        provide_tag(participant, tag);
    }
    capability_tag_shard(&node->id, tag);
    provide_tag(participant, tag);
}

static void renewal_due(struct timer *timer) {
    struct participant *participant = CONTAINER_OF(timer, struct participant, renewal);
    struct node *node = &participant->node;
    if (node->peer != NULL) {
        node_set_capability(node);
        sim_at(node->sim, timer, nanos_add(node->sim->now, CAPABILITY_RENEWAL));
        node_settle(node);
    }
}

static void take_bootstrapped(struct participant *participant) {
    if (participant->has_provided) {
        return;
    }
    participant->has_provided = true;
    if (participant->is_worker) {
        begin_work(participant);
    }
    if (participant->has_key) {
        uint8_t key[CONTENT_KEY_SIZE];
        own_key(participant, key);
        participant->provides_key = provide(participant, key);
    }
}

/* --- Searching ------------------------------------------------------------------------------- */

static bool is_there(const struct participant *participant) {
    return participant->node.peer != NULL;
}

/* Anybody of the nodes that `wants` accepts, or NULL after too many tries. */
static struct participant *choose(struct scenario *scenario,
                                  bool (*wants)(const struct participant *)) {
    size_t count = scenario->node_count + scenario->report->came;
    for (size_t i = 0; i < 100 * count; i++) {
        struct participant *one =
            &scenario->participants[random_below(&scenario->sim.random, count)];
        if (wants(one)) {
            return one;
        }
    }
    return NULL;
}

static bool is_free(const struct participant *participant) {
    return is_there(participant) && participant->search == NULL;
}

static bool provides_key(const struct participant *participant) {
    return is_there(participant) && participant->is_provided;
}

static struct attempts *attempts_of(const struct search *search) {
    struct scenario_report *report = search->scenario->report;
    if (search->is_attacked) {
        return &report->eclipsed;
    }
    return search->is_parted ? &report->parted_lookups : &report->lookups;
}

static void search_due(struct timer *timer) {
    struct search *search = CONTAINER_OF(timer, struct search, timer);
    struct scenario *scenario = search->scenario;
    struct participant *seeker = choose(scenario, is_free);
    search->wanted = search->is_attacked ? scenario->victim : choose(scenario, provides_key);
    if (seeker == NULL || search->wanted == NULL || seeker == search->wanted ||
        network_parts(&seeker->node.site, &search->wanted->node.site)) {
        /* Everybody is busy, it would find itself or cannot find it: later. */
        sim_at(&scenario->sim, timer, nanos_add(now_of(scenario), NANOS_SECOND / 10));
        return;
    }
    uint8_t key[CONTENT_KEY_SIZE];
    own_key(search->wanted, key);
    int error = peer_find_providers(seeker->node.peer, BYTES_ARRAY(key), 0, now_of(scenario),
                                    &search->request);
    ENSURE(error == 0);
    search->begun = now_of(scenario);
    seeker->search = search;
    search->wanted->sought++;
    search->is_parted = scenario->is_parted;
    search->is_healed = !scenario->is_parted && !search->is_attacked &&
                        seeker->was_away != search->wanted->was_away;
    scenario->report->healed_lookups.count += search->is_healed;
    attempts_of(search)->count++;
    TRACE(&scenario->sim.trace, now_of(scenario), "search", seeker->node.site.number,
          search->wanted->node.site.number);
    node_settle(&seeker->node);
}

static void take_provider(struct participant *seeker, const struct peer_event *event) {
    struct search *search = seeker->search;
    if (search != NULL && event->request == search->request && !search->is_found &&
        peer_id_equal(&event->peer_id, &search->wanted->node.id)) {
        search->is_found = true;
        samples_add(&seeker->scenario->report->measures[MEASURE_LOOKUP_FIRST],
                    now_of(seeker->scenario) - search->begun);
    }
}

static void take_lookup_done(struct participant *participant, const struct peer_event *event) {
    struct scenario *scenario = participant->scenario;
    struct scenario_report *report = scenario->report;
    struct search *search = participant->search;
    if (search == NULL || event->request != search->request) {
        report->provides.succeeded += event->error == 0;
        participant->is_provided |=
            event->error == 0 && event->request == participant->provides_key;
        samples_add(&report->measures[MEASURE_STORED], event->count);
        return;
    }
    samples_add(&report->measures[MEASURE_HOPS], event->hops);
    samples_add(&report->measures[MEASURE_REQUESTS], event->asked);
    samples_add(&report->measures[MEASURE_LOOKUP_END], event->elapsed);
    attempts_of(search)->succeeded += search->is_found;
    report->healed_lookups.succeeded += search->is_healed && search->is_found;
    TRACE(&scenario->sim.trace, now_of(scenario), "searched", participant->node.site.number,
          search->is_found, event->asked, event->hops);
    participant->search = NULL;
    search->wanted->sought--;
    scenario->unfinished--;
}

/* --- Clients --------------------------------------------------------------------------------- */

static void begin_discovery(struct participant *client) {
    struct scenario *scenario = client->scenario;
    struct core_discovery_options options = {
        .count_max = DISCOVERY_COUNT_MAX, .timeout = DISCOVERY_TIMEOUT, .settle = NANOS_NEVER};
    client->begun = now_of(scenario);
    scenario->report->discoveries.count++;
    core_discover(client->node.core, &options, now_of(scenario));
    node_settle(&client->node);
}

static void look_at_discovery(struct participant *client) {
    struct scenario *scenario = client->scenario;
    struct scenario_report *report = scenario->report;
    static const struct capability_query anything;
    const struct core_node *found = core_next_match(client->node.core, &anything, NULL);
    if (found != NULL && client->first == 0) {
        client->first = now_of(scenario);
        samples_add(&report->measures[MEASURE_DISCOVERY_FIRST], client->first - client->begun);
    }
    if (!core_discover_done(client->node.core) || client->begun == 0) {
        return;
    }
    size_t count = 0;
    for (; found != NULL; found = core_next_match(client->node.core, &anything, found)) {
        count++;
    }
    client->has_ended = true;
    samples_add(&report->measures[MEASURE_DISCOVERY_END], now_of(scenario) - client->begun);
    samples_add(&report->measures[MEASURE_DISCOVERED], count);
    report->discoveries.succeeded += count > 0;
    TRACE(&scenario->sim.trace, now_of(scenario), "discovered", client->node.site.number, count);
    scenario->unfinished--;
}

/* --- What the nodes do ----------------------------------------------------------------------- */

static void on_event(void *context, struct node *node, const struct peer_event *event) {
    (void)context;
    struct participant *participant = of_node(node);
    if (node->config.is_sybil) {
        sybil_take(&participant->scenario->sybils, node, event);
        return;
    }
    if (node->core != NULL) {
        return; /* its core has taken it */
    }
    if (event->type == PEER_EVENT_BOOTSTRAPPED) {
        take_bootstrapped(participant);
    } else if (event->type == PEER_EVENT_PROVIDER) {
        take_provider(participant, event);
    } else if (event->type == PEER_EVENT_LOOKUP_DONE) {
        take_lookup_done(participant, event);
    }
}

static void on_settled(void *context, struct node *node) {
    (void)context;
    struct participant *participant = of_node(node);
    if (!participant->has_ended) {
        look_at_discovery(participant);
    }
}

static void join_due(struct timer *timer) {
    struct participant *participant = CONTAINER_OF(timer, struct participant, join);
    struct scenario *scenario = participant->scenario;
    node_start(&participant->node, scenario->bootstrap, scenario->bootstrap_count);
    if (participant->node.core != NULL) {
        begin_discovery(participant);
    }
}

static void deaths_due(struct timer *timer) {
    struct scenario *scenario = CONTAINER_OF(timer, struct scenario, deaths);
    struct scenario_report *report = scenario->report;
    size_t wanted = scenario->node_count * scenario->options.dead_percent / 100;
    while (report->died < wanted) {
        struct participant *victim = choose(scenario, is_there);
        if (victim == NULL) {
            return;
        }
        if (victim >= scenario->participants + scenario->bootstrap_count) {
            node_die(&victim->node);
            report->died++;
        }
    }
    for (size_t i = 0; i < scenario->node_count; i++) {
        const struct participant *one = &scenario->participants[i];
        report->workers_alive += one->is_worker && is_there(one);
    }
    report->real_steady_begun = scenario->clock();
    report->steady_steps = scenario->sim.steps;
    report->steady_elapsed = now_of(scenario);
    if (scenario->come_count > 0) {
        sim_at(&scenario->sim, &scenario->churn, now_of(scenario) + scenario->churn_pause);
    }
    if (scenario->options.parted_percent > 0) {
        sim_at(&scenario->sim, &scenario->parting,
               now_of(scenario) + scenario->options.steady / PARTING_SHARE);
    }
}

/* --- Going and coming ------------------------------------------------------------------------ */

static void add_participant(struct scenario *scenario, size_t number,
                            const struct node_config *config, nanos join) {
    struct participant *participant = &scenario->participants[number];
    participant->scenario = scenario;
    participant->config = config;
    participant->join.due = join_due;
    participant->renewal.due = renewal_due;
    node_init(&participant->node, config, (uint32_t)number);
    sim_at(&scenario->sim, &participant->join, join);
}

static void churn_due(struct timer *timer) {
    struct scenario *scenario = CONTAINER_OF(timer, struct scenario, churn);
    struct scenario_report *report = scenario->report;
    struct participant *victim = choose(scenario, is_there);
    bool may_go = victim != NULL && victim >= scenario->participants + scenario->bootstrap_count;
    may_go = may_go && victim->search == NULL && victim->sought == 0;
    if (may_go) {
        node_die(&victim->node);
        size_t number = scenario->node_count + report->came;
        struct participant *one = &scenario->participants[number];
        one->is_worker = victim->is_worker;
        one->has_key = victim->has_key;
        add_participant(scenario, number, victim->config, now_of(scenario));
        one->node.site.side = victim->node.site.side;
        one->was_away = one->node.site.side != 0;
        report->came++;
    }
    if (report->came < scenario->come_count) {
        /* Somebody else shortly, where this one could not go. */
        nanos pause = may_go ? scenario->churn_pause : NANOS_MILLISECOND;
        sim_at(&scenario->sim, timer, now_of(scenario) + pause);
    }
}

/* The first nodes, through whom the others join, stay on the larger side but for one. */
static void parting_due(struct timer *timer) {
    struct scenario *scenario = CONTAINER_OF(timer, struct scenario, parting);
    scenario->is_parted = !scenario->is_parted;
    TRACE(&scenario->sim.trace, now_of(scenario), scenario->is_parted ? "parted" : "healed", 0);
    size_t count = scenario->node_count + scenario->report->came;
    for (size_t i = 0; i < count; i++) {
        struct search *search = scenario->participants[i].search;
        if (search != NULL && scenario->is_parted) { /* it may be cut off from what it looks for */
            attempts_of(search)->count--;
            search->is_parted = true;
            attempts_of(search)->count++;
        }
        struct site *site = &scenario->participants[i].node.site;
        bool is_away = i < scenario->bootstrap_count ? i + 1 == scenario->bootstrap_count && i > 0
                                                     : random_below(&scenario->sim.random, 100) <
                                                           scenario->options.parted_percent;
        site->side = scenario->is_parted && is_away;
        if (scenario->is_parted) {
            scenario->participants[i].was_away = is_away;
        }
    }
    if (scenario->is_parted) {
        sim_at(&scenario->sim, timer, now_of(scenario) + scenario->options.parted);
    }
}

/* --- Making it ------------------------------------------------------------------------------- */

static size_t clamp(size_t value, size_t low, size_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Returns when the last has joined. */
static nanos add_nodes(struct scenario *scenario) {
    struct sim *sim = &scenario->sim;
    size_t count = scenario->node_count;
    size_t workers = clamp(count / WORKER_SHARE, WORKER_COUNT_MIN, count / 2);
    size_t first_worker = scenario->bootstrap_count;
    size_t first_natted =
        count - (count - first_worker - workers) * scenario->options.nat_percent / 100;
    size_t key_stride = 1 + count / PROVIDER_COUNT_MAX;
    nanos begin = SIM_START + NANOS_SECOND;
    nanos end = begin + nanos_max(JOIN_TIME_MIN, count * JOIN_PAUSE);
    for (size_t i = 0; i < count; i++) {
        bool is_natted = i >= first_natted;
        bool is_bootstrap = i < first_worker;
        add_participant(scenario, i,
                        is_natted ? &scenario->natted_config : &scenario->server_config,
                        is_bootstrap ? SIM_START : sim_between(sim, begin, end));
        struct participant *participant = &scenario->participants[i];
        participant->is_worker = !is_bootstrap && i < first_worker + workers;
        participant->has_key = !is_bootstrap && i % key_stride == 0;
        if (is_bootstrap) {
            node_address(&participant->node, &scenario->bootstrap[i]);
        }
    }
    scenario->report->nodes = count;
    scenario->report->workers = workers;
    return end;
}

static size_t participant_count(const struct scenario *scenario) {
    return scenario->node_count + scenario->come_count + scenario->client_count +
           scenario->sybils.count;
}

/* They join as the others do, and are nearer to the key than anybody else by chance. */
static void add_sybils(struct scenario *scenario, nanos end) {
    struct sybils *sybils = &scenario->sybils;
    if (sybils->count == 0) {
        return;
    }
    scenario->report->sybils = sybils->count;
    scenario->victim = &scenario->participants[scenario->bootstrap_count];
    while (!scenario->victim->has_key) {
        scenario->victim++;
    }
    scenario->victim->sought = 1; /* it stays */
    uint8_t key[CONTENT_KEY_SIZE];
    own_key(scenario->victim, key);
    struct sha256_digest target = sha256(BYTES_ARRAY(key));
    unsigned bits = 1;
    while (scenario->node_count >> bits > 0) {
        bits++;
    }
    size_t first = participant_count(scenario) - sybils->count;
    for (size_t i = 0; i < sybils->count; i++) {
        struct participant *one = &scenario->participants[first + i];
        sybil_place(&scenario->network, &one->node.site, i, scenario->options.sybil_networks);
        add_participant(scenario, first + i, &scenario->sybil_config,
                        sim_between(&scenario->sim, SIM_START + NANOS_SECOND, end));
        sybil_pose(&one->node, &target, bits);
        sybils->nodes[i] = &one->node;
    }
}

static void add_searches(struct scenario *scenario, nanos begin) {
    struct sim *sim = &scenario->sim;
    for (size_t i = 0; i < scenario->search_count; i++) {
        struct search *search = &scenario->searches[i];
        search->scenario = scenario;
        search->is_attacked = scenario->victim != NULL && i < SEARCH_ATTACKED_COUNT;
        search->timer.due = search_due;
        sim_at(sim, &search->timer, sim_between(sim, begin, begin + scenario->options.steady));
    }
    for (size_t i = 0; i < scenario->client_count; i++) {
        add_participant(scenario, scenario->node_count + scenario->come_count + i,
                        &scenario->client_config,
                        sim_between(sim, begin, begin + scenario->options.steady));
    }
    scenario->report->clients = scenario->client_count;
    scenario->unfinished = scenario->search_count + scenario->client_count;
}

static void configure_nodes(struct scenario *scenario) {
    scenario->listener =
        (struct node_listener){.event = on_event, .settled = on_settled, .context = scenario};
    bool quic = scenario->options.quic;
    struct node_config config = {.network = &scenario->network,
                                 .links = quic ? NULL : &scenario->links,
                                 .listener = &scenario->listener,
                                 .agent = AGENT,
                                 .signs_records = quic};
    scenario->server_config = config;
    scenario->server_config.kad_server = true;
    scenario->natted_config = config;
    scenario->natted_config.is_natted = true;
    scenario->natted_config.relay = &scenario->bootstrap[0];
    scenario->sybil_config = config;
    scenario->sybil_config.is_sybil = true;
    scenario->client_config = config;
    scenario->client_config.is_client = true;
}

static void scenario_init(struct scenario *scenario, const struct scenario_options *options,
                          struct scenario_report *report) {
    *scenario = (struct scenario){.options = *options, .report = report};
    sim_init(&scenario->sim, options->seed, options->trace_file);
    struct memory *memory = &scenario->sim.memory;
    struct network_options network = network_options_default;
    network.loss_ppm = options->loss_ppm;
    network_init(&scenario->network, &scenario->sim, &network);
    links_init(&scenario->links, &scenario->network);
    configure_nodes(scenario);
    size_t count = options->node_count;
    scenario->node_count = count;
    scenario->bootstrap_count = clamp(count / BOOTSTRAP_SHARE, 1, BOOTSTRAP_COUNT_MAX);
    scenario->client_count = clamp(count / CLIENT_SHARE, CLIENT_COUNT_MIN, CLIENT_COUNT_MAX);
    scenario->search_count = clamp(count / 2, SEARCH_COUNT_MIN, SEARCH_COUNT_MAX);
    if (options->churn_percent > 0) {
        scenario->come_count =
            count * options->churn_percent * (options->steady / NANOS_SECOND) / (100 * 3600);
        scenario->churn_pause = options->steady / (scenario->come_count + 1);
    }
    if (options->sybil_percent > 0) {
        scenario->sybils.count = clamp(count * options->sybil_percent / 100, 1, count);
        scenario->sybils.nodes =
            memory_zero(memory, scenario->sybils.count * sizeof(struct node *));
        ENSURE(scenario->sybils.nodes != NULL);
        scenario->search_count += SEARCH_ATTACKED_COUNT;
    }
    scenario->participants =
        memory_zero(memory, participant_count(scenario) * sizeof(struct participant));
    scenario->searches = memory_zero(memory, scenario->search_count * sizeof(struct search));
    ENSURE(scenario->participants != NULL && scenario->searches != NULL);
}

static void scenario_done(struct scenario *scenario) {
    struct memory *memory = &scenario->sim.memory;
    size_t count = participant_count(scenario);
    sim_cancel(&scenario->sim, &scenario->churn);
    sim_cancel(&scenario->sim, &scenario->parting);
    for (size_t i = 0; i < count; i++) {
        struct participant *participant = &scenario->participants[i];
        sim_cancel(&scenario->sim, &participant->join);
        sim_cancel(&scenario->sim, &participant->renewal);
        node_die(&participant->node);
    }
    for (size_t i = 0; i < scenario->search_count; i++) {
        sim_cancel(&scenario->sim, &scenario->searches[i].timer);
    }
    sim_run_out(&scenario->sim);
    for (size_t i = 0; i < count; i++) {
        if (scenario->participants[i].scenario != NULL) { /* else it never came */
            node_done(&scenario->participants[i].node);
        }
    }
    memory_put(memory, scenario->sybils.nodes, scenario->sybils.count * sizeof(struct node *));
    memory_put(memory, scenario->participants, count * sizeof(struct participant));
    memory_put(memory, scenario->searches, scenario->search_count * sizeof(struct search));
    links_done(&scenario->links);
    network_done(&scenario->network);
    sim_done(&scenario->sim);
}

/* --- What came of it ------------------------------------------------------------------------- */

static void report_init(struct scenario_report *report) {
    *report = (struct scenario_report){0};
    memory_init(&report->memory, SIZE_MAX);
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        samples_init(&report->measures[i], &report->memory);
    }
}

void scenario_report_done(struct scenario_report *report) {
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        samples_done(&report->measures[i]);
    }
    ENSURE(report->memory.used == 0);
}

static void report_network(struct scenario *scenario) {
    struct scenario_report *report = scenario->report;
    for (size_t i = 0; i < scenario->node_count + report->came; i++) {
        const struct participant *one = &scenario->participants[i];
        if (is_there(one)) {
            samples_add(&report->measures[MEASURE_TABLE_SIZE], peer_routing_size(one->node.peer));
            samples_add(&report->measures[MEASURE_NODE_BYTES], one->node.memory.used);
        }
    }
    report->simulator_bytes = scenario->sim.memory.used;
    report->counts = scenario->network.counts;
    report->steps = scenario->sim.steps;
    report->elapsed = now_of(scenario) - SIM_START;
    report->steady_steps = report->steps - report->steady_steps;
    report->steady_elapsed = now_of(scenario) - report->steady_elapsed;
    report->trace = trace_end(&scenario->sim.trace);
    report->trace_lines = scenario->sim.trace.lines;
    report->is_trace_broken = scenario->sim.trace.is_file_broken;
}

double scenario_success_percent(const struct scenario_report *report) {
    size_t count = report->lookups.count + report->eclipsed.count + report->discoveries.count;
    size_t succeeded =
        report->lookups.succeeded + report->eclipsed.succeeded + report->discoveries.succeeded;
    return count > 0 ? 100.0 * (double)succeeded / (double)count : 0;
}

void scenario_run(const struct scenario_options *options, nanos (*clock)(void),
                  struct scenario_report *ret_report) {
    ENSURE(options->node_count >= SCENARIO_NODES_MIN && options->node_count <= SCENARIO_NODES_MAX &&
           options->dead_percent <= SCENARIO_PERCENT_MAX &&
           options->nat_percent <= SCENARIO_PERCENT_MAX && options->settle <= SCENARIO_SETTLE_MAX);
    report_init(ret_report);
    struct scenario scenario;
    scenario_init(&scenario, options, ret_report);
    scenario.clock = clock;
    scenario.churn.due = churn_due;
    scenario.parting.due = parting_due;
    scenario.links.lazy = true;
    ret_report->real_begun = clock();
    nanos joined = add_nodes(&scenario);
    add_sybils(&scenario, joined);
    nanos die = joined + options->settle;
    scenario.deaths.due = deaths_due;
    sim_at(&scenario.sim, &scenario.deaths, die);
    add_searches(&scenario, die + SEARCH_DELAY);
    nanos end = die + SEARCH_DELAY + options->steady + SEARCH_TIME;
    while (scenario.unfinished > 0 && sim_step(&scenario.sim, end)) {
    }
    ret_report->real_ended = clock();
    report_network(&scenario);
    scenario_done(&scenario);
}
