/* The story that a run tells: nodes join through a few others, workers and others provide, a part
 * dies without a word, and those who are left look for what was provided, while some go and others
 * come, the network falls into two parts and is one again. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "network.h"
#include "samples.h"

/* Bounds. */
#define SCENARIO_NODES_MIN          8
#define SCENARIO_NODES_MAX          100000
#define SCENARIO_SETTLE_MAX         (24 * NANOS_HOUR)
#define SCENARIO_PERCENT_MAX        90
#define SCENARIO_SYBIL_NETWORKS_MAX 30000
#define SCENARIO_STEADY_MAX         (24 * NANOS_HOUR)

struct scenario_options {
    uint64_t seed;
    size_t node_count;
    uint32_t loss_ppm;
    unsigned dead_percent;
    unsigned nat_percent; /* of the nodes: cannot be dialled, and are clients of the DHT */
    nanos settle;         /* after the last joined, until the deaths */
    nanos steady;         /* the time over which everything is looked for */
    /* In that time: nodes that die without a word in an hour, each replaced by a new one; */
    unsigned churn_percent;
    /* nodes that are cut off from the others, after a fifth of the time and for so long. */
    unsigned parted_percent;
    nanos parted;
    /* Sybils for 100 nodes, all nearest to one key, and the /16 networks they are in. */
    unsigned sybil_percent;
    unsigned sybil_networks;
    bool quic;        /* the real bytes of QUIC instead of simulated connections */
    FILE *trace_file; /* borrowed, may be NULL */
};
extern const struct scenario_options scenario_options_default;

/* What was tried and what came of it. */
struct attempts {
    size_t count;
    size_t succeeded;
};

/* What is measured many times. Times are in nanoseconds. */
enum measure {
    MEASURE_STORED, /* servers that got an announcement */
    /* Looking for one that provides, from a node that is there. */
    MEASURE_HOPS,
    MEASURE_REQUESTS,
    MEASURE_LOOKUP_FIRST, /* until the provider was named */
    MEASURE_LOOKUP_END,
    /* A new client that looks for workers. */
    MEASURE_DISCOVERY_FIRST, /* from its start to the first worker it could use */
    MEASURE_DISCOVERY_END,
    MEASURE_DISCOVERED, /* workers */
    /* The network at the end. */
    MEASURE_TABLE_SIZE,
    MEASURE_NODE_BYTES, /* of the peer and core of one node */
};
#define MEASURE_COUNT 10

struct scenario_report {
    struct memory memory; /* of the samples */
    size_t nodes;
    size_t workers;
    size_t died;
    size_t workers_alive;
    size_t clients;
    size_t sybils;
    size_t came; /* in the place of those who went */
    struct attempts provides;
    struct attempts lookups;
    struct attempts eclipsed;       /* lookups of the key that sybils are nearest to */
    struct attempts parted_lookups; /* while the network was in two parts, within one */
    struct attempts healed_lookups; /* of `lookups`: from one part to the other, after that */
    struct attempts discoveries;
    struct samples measures[MEASURE_COUNT];
    size_t simulator_bytes; /* of all that is not the nodes' own */
    struct network_counts counts;
    uint64_t steps;
    nanos elapsed;         /* virtual */
    uint64_t steady_steps; /* of them, and of the time: from the deaths on */
    nanos steady_elapsed;
    nanos real_steady_begun; /* by the caller's clock */
    nanos real_begun;
    nanos real_ended;
    uint64_t trace_lines;
    bool is_trace_broken; /* the file could not be written */
    struct sha256_digest trace;
};

/* Runs it. The report is to be freed. `clock` tells real time, which the run does not depend on. */
void scenario_run(const struct scenario_options *options, nanos (*clock)(void),
                  struct scenario_report *ret_report);
void scenario_report_done(struct scenario_report *report);
/* Of all lookups and discoveries, in percent. */
double scenario_success_percent(const struct scenario_report *report);

#endif
