/* Start-time fair queueing between shares, round robin between the clients of one. */
#include "plasmd/scheduler.h"

#include "util/ensure.h"

struct scheduler_share {
    struct map_node node;
    struct heap_node turn; /* in `turns` or `idle`; its deadline is `used` */
    nanos used;
    nanos usual; /* what its jobs use: the running mean */
    size_t jobs;
    size_t waiting;
    struct list clients; /* with jobs that wait: the first is the next */
    size_t key_size;
    uint8_t key[SCHEDULER_SHARE_SIZE_MAX];
};

struct scheduler_client {
    struct map_node node;
    struct list_node turn; /* in share->clients */
    struct scheduler_share *share;
    struct list queue; /* jobs that wait */
    size_t jobs;
    uint64_t next_number;
    size_t key_size;
    uint8_t key[SCHEDULER_CLIENT_SIZE_MAX];
};

void scheduler_init(struct scheduler *scheduler, struct memory *memory, const uint64_t secret[2]) {
    *scheduler = (struct scheduler){.memory = memory};
    map_init(&scheduler->shares, memory, secret);
    map_init(&scheduler->clients, memory, secret);
    heap_init(&scheduler->turns, memory);
    heap_init(&scheduler->idle, memory);
}

static void free_share(struct scheduler *scheduler, struct scheduler_share *share) {
    heap_remove(&scheduler->idle, &share->turn);
    map_remove(&scheduler->shares, &share->node);
    memory_put(scheduler->memory, share, sizeof(*share));
}

void scheduler_done(struct scheduler *scheduler) {
    struct heap_node *node;
    while ((node = heap_first(&scheduler->idle)) != NULL) {
        free_share(scheduler, CONTAINER_OF(node, struct scheduler_share, turn));
    }
    ENSURE(scheduler->shares.size == 0 && scheduler->clients.size == 0);
    heap_done(&scheduler->turns);
    heap_done(&scheduler->idle);
    map_done(&scheduler->shares);
    map_done(&scheduler->clients);
}

/* --- Shares and clients --------------------------------------------------------------------- */

static struct scheduler_share *find_share(const struct scheduler *scheduler, struct bytes key) {
    return MAP_ENTRY(map_get(&scheduler->shares, key), struct scheduler_share, node);
}

static struct scheduler_client *find_client(const struct scheduler *scheduler, struct bytes key) {
    return MAP_ENTRY(map_get(&scheduler->clients, key), struct scheduler_client, node);
}

static struct scheduler_share *new_share(struct scheduler *scheduler, struct bytes key) {
    struct scheduler_share *share = memory_zero(scheduler->memory, sizeof(*share));
    if (share == NULL) {
        return NULL;
    }
    share->usual = SCHEDULER_COST_MIN;
    share->key_size = key.size;
    memcpy(share->key, key.data, key.size);
    list_init(&share->clients);
    if (map_put(&scheduler->shares, &share->node, bytes_of(share->key, key.size)) != 0) {
        memory_put(scheduler->memory, share, sizeof(*share));
        return NULL;
    }
    return share;
}

static struct scheduler_client *new_client(struct scheduler *scheduler,
                                           struct scheduler_share *share, struct bytes name) {
    struct scheduler_client *client = memory_zero(scheduler->memory, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->share = share;
    list_init(&client->queue);
    client->key_size = name.size;
    memcpy(client->key, name.data, name.size);
    if (map_put(&scheduler->clients, &client->node, bytes_of(client->key, client->key_size)) != 0) {
        memory_put(scheduler->memory, client, sizeof(*client));
        return NULL;
    }
    return client;
}

/* A share without jobs is remembered as long as it is ahead of the others. */
static void retire_share(struct scheduler *scheduler, struct scheduler_share *share) {
    if (share->used <= scheduler->level ||
        heap_set(&scheduler->idle, &share->turn, share->used) != 0) {
        free_share(scheduler, share);
        return;
    }
    if (scheduler->idle.size > SCHEDULER_IDLE_MAX) {
        free_share(scheduler,
                   CONTAINER_OF(heap_first(&scheduler->idle), struct scheduler_share, turn));
    }
}

static void forget_idle(struct scheduler *scheduler) {
    while (heap_deadline(&scheduler->idle) <= scheduler->level) {
        free_share(scheduler,
                   CONTAINER_OF(heap_first(&scheduler->idle), struct scheduler_share, turn));
    }
}

/* The share of a client that has no job. */
static struct scheduler_share *share_of_new(struct scheduler *scheduler, struct bytes name) {
    struct scheduler_share *share = find_share(scheduler, name);
    return share != NULL ? share : new_share(scheduler, name);
}

int scheduler_enter(struct scheduler *scheduler, struct scheduler_job *job, struct bytes share_name,
                    struct bytes client_name) {
    ENSURE(share_name.size <= SCHEDULER_SHARE_SIZE_MAX &&
           client_name.size <= SCHEDULER_CLIENT_SIZE_MAX);
    struct scheduler_client *client = find_client(scheduler, client_name);
    struct scheduler_share *share =
        client != NULL ? client->share : share_of_new(scheduler, share_name);
    if (share == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (client == NULL) {
        client = new_client(scheduler, share, client_name);
    }
    if (client == NULL) {
        if (share->jobs == 0 && !heap_linked(&share->turn)) {
            free_share(scheduler, share);
        }
        return PLASM_NO_MEMORY;
    }
    if (share->jobs == 0) {
        heap_remove(&scheduler->idle, &share->turn);
    }
    *job = (struct scheduler_job){.client = client};
    client->jobs++;
    share->jobs++;
    return 0;
}

/* --- Turns ---------------------------------------------------------------------------------- */

int scheduler_ready(struct scheduler *scheduler, struct scheduler_job *job) {
    struct scheduler_client *client = job->client;
    struct scheduler_share *share = client->share;
    ENSURE(!job->running && !list_linked(&job->node));
    if (share->waiting == 0) {
        share->used = share->used > scheduler->level ? share->used : scheduler->level;
        if (heap_set(&scheduler->turns, &share->turn, share->used) != 0) {
            return PLASM_NO_MEMORY;
        }
    }
    if (list_empty(&client->queue)) {
        list_append(&share->clients, &client->turn);
    }
    job->number = client->next_number++;
    list_append(&client->queue, &job->node);
    share->waiting++;
    scheduler->waiting++;
    return 0;
}

struct scheduler_job *scheduler_next(const struct scheduler *scheduler) {
    struct heap_node *turn = heap_first(&scheduler->turns);
    if (turn == NULL) {
        return NULL;
    }
    const struct scheduler_share *share = CONTAINER_OF(turn, struct scheduler_share, turn);
    const struct scheduler_client *client =
        CONTAINER_OF(list_first(&share->clients), struct scheduler_client, turn);
    return CONTAINER_OF(list_first(&client->queue), struct scheduler_job, node);
}

/* Takes a job that waits out of its queue; `moves`: its client's turn is over. */
static void unqueue(struct scheduler *scheduler, struct scheduler_job *job, bool moves) {
    struct scheduler_client *client = job->client;
    struct scheduler_share *share = client->share;
    list_remove(&client->queue, &job->node);
    scheduler->waiting--;
    share->waiting--;
    if (list_empty(&client->queue)) {
        list_remove(&share->clients, &client->turn);
    } else if (moves) {
        list_remove(&share->clients, &client->turn);
        list_append(&share->clients, &client->turn);
    }
    if (share->waiting == 0) {
        heap_remove(&scheduler->turns, &share->turn);
    }
}

static void set_used(struct scheduler *scheduler, struct scheduler_share *share, nanos used) {
    share->used = used;
    if (share->waiting > 0) {
        int error = heap_set(&scheduler->turns, &share->turn, used);
        ENSURE(error == 0); /* it is in */
    }
}

void scheduler_take(struct scheduler *scheduler, struct scheduler_job *job) {
    struct scheduler_share *share = job->client->share;
    ENSURE(list_linked(&job->node));
    unqueue(scheduler, job, true);
    scheduler->level = share->used > scheduler->level ? share->used : scheduler->level;
    job->running = true;
    job->reckoned = share->usual;
    set_used(scheduler, share, nanos_add(share->used, job->reckoned));
    forget_idle(scheduler);
}

void scheduler_spent(struct scheduler *scheduler, struct scheduler_job *job, nanos used) {
    struct scheduler_share *share = job->client->share;
    ENSURE(job->running);
    used = used > SCHEDULER_COST_MIN ? used : SCHEDULER_COST_MIN;
    set_used(scheduler, share, nanos_add(share->used - job->reckoned, used));
    share->usual = (7 * share->usual + used) / 8;
    job->reckoned = used;
    job->running = false;
}

void scheduler_leave(struct scheduler *scheduler, struct scheduler_job *job) {
    struct scheduler_client *client = job->client;
    if (client == NULL) {
        return;
    }
    struct scheduler_share *share = client->share;
    if (list_linked(&job->node)) {
        unqueue(scheduler, job, false);
    }
    job->client = NULL;
    job->running = false;
    client->jobs--;
    share->jobs--;
    if (client->jobs == 0) {
        map_remove(&scheduler->clients, &client->node);
        memory_put(scheduler->memory, client, sizeof(*client));
    }
    if (share->jobs == 0) {
        retire_share(scheduler, share);
    }
}

/* --- Questions ------------------------------------------------------------------------------ */

/* Jobs before the one that has `ahead` of its client before it: its share's clients take turns, and
 * so do the shares. */
static size_t position(const struct scheduler *scheduler, const struct scheduler_share *share,
                       size_t ahead, size_t own) {
    size_t waiting = share != NULL ? share->waiting : 0;
    size_t clients = share != NULL && share->clients.size > 0 ? share->clients.size : 1;
    size_t siblings = waiting > own ? waiting - own : 0;
    size_t of_siblings = ahead * (clients - 1);
    size_t in_share = ahead + (of_siblings < siblings ? of_siblings : siblings);
    size_t others = scheduler->waiting - waiting;
    size_t shares = scheduler->turns.size > 0 ? scheduler->turns.size - 1 : 0;
    size_t of_others = in_share * shares;
    return in_share + (of_others < others ? of_others : others);
}

size_t scheduler_position(const struct scheduler *scheduler, const struct scheduler_job *job) {
    if (!list_linked(&job->node)) {
        return 0;
    }
    const struct scheduler_client *client = job->client;
    const struct scheduler_job *first =
        CONTAINER_OF(list_first(&client->queue), struct scheduler_job, node);
    return position(scheduler, client->share, (size_t)(job->number - first->number),
                    client->queue.size);
}

size_t scheduler_position_of_new(const struct scheduler *scheduler, struct bytes share,
                                 struct bytes client) {
    const struct scheduler_client *known = find_client(scheduler, client);
    size_t own = known != NULL ? known->queue.size : 0;
    return position(scheduler, known != NULL ? known->share : find_share(scheduler, share), own,
                    own);
}

size_t scheduler_share_jobs(const struct scheduler *scheduler, struct bytes share) {
    const struct scheduler_share *known = find_share(scheduler, share);
    return known != NULL ? known->jobs : 0;
}

size_t scheduler_client_jobs(const struct scheduler *scheduler, struct bytes client) {
    const struct scheduler_client *known = find_client(scheduler, client);
    return known != NULL ? known->jobs : 0;
}
