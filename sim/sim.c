/* The queue is a heap; what is due at the same time comes in an order that repeats. */
#include "sim.h"

#include "util/ensure.h"

/* So many things at the same moment are a machine that wakes itself for ever. */
#define STEPS_NOW_MAX 10000000

void sim_init(struct sim *sim, uint64_t seed, FILE *trace_file) {
    sim->now = SIM_START;
    memory_init(&sim->memory, SIZE_MAX);
    heap_init(&sim->timers, &sim->memory);
    char text[64];
    int size = snprintf(text, sizeof(text), "plasm-sim %llu", (unsigned long long)seed);
    ENSURE(size > 0 && (size_t)size < sizeof(text));
    random_init(&sim->random, sha256(bytes_of(text, (size_t)size)).bytes);
    trace_init(&sim->trace, trace_file);
    sim->steps = 0;
    sim->steps_now = 0;
}

void sim_done(struct sim *sim) {
    trace_done(&sim->trace);
    heap_done(&sim->timers);
    random_done(&sim->random);
    ENSURE(sim->memory.used == 0);
}

int64_t sim_unix_ms(const struct sim *sim) {
    return SIM_START_UNIX_MS + (int64_t)((sim->now - SIM_START) / NANOS_MILLISECOND);
}

void sim_at(struct sim *sim, struct timer *timer, nanos when) {
    int error = heap_set(&sim->timers, &timer->node, nanos_max(when, sim->now));
    ENSURE(error == 0);
}

void sim_cancel(struct sim *sim, struct timer *timer) {
    heap_remove(&sim->timers, &timer->node);
}

bool sim_step(struct sim *sim, nanos until) {
    struct heap_node *node = heap_first(&sim->timers);
    if (node == NULL || node->deadline > until) {
        sim->now = nanos_max(sim->now, until);
        return false;
    }
    if (node->deadline > sim->now) {
        sim->now = node->deadline;
        sim->steps_now = 0;
    }
    sim->steps++;
    sim->steps_now++;
    ENSURE(sim->steps_now < STEPS_NOW_MAX);
    heap_remove(&sim->timers, node);
    struct timer *timer = CONTAINER_OF(node, struct timer, node);
    timer->due(timer);
    return true;
}

void sim_run_out(struct sim *sim) {
    while (heap_first(&sim->timers) != NULL) {
        (void)sim_step(sim, heap_deadline(&sim->timers));
    }
}

uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high) {
    ENSURE(low <= high && high - low < UINT64_MAX);
    return low + random_below(&sim->random, high - low + 1);
}

void sim_seed(struct sim *sim, uint8_t ret_seed[32]) {
    random_fill(&sim->random, (struct span){ret_seed, 32});
}
