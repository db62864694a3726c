/* The peers of a lookup in the order of their distance, and the paths over them. */
#include "proto/kad/query.h"

#include "proto/kad/distance.h"
#include "util/ensure.h"

#define CAPACITY_MIN 32
/* A peer is given up after so many times what an answer took on average. */
#define STRAGGLER_FACTOR 4

void query_init(struct query *query, struct memory *memory, const struct kad_limits *limits,
                const struct sha256_digest *target, uint64_t spacing) {
    *query = (struct query){.memory = memory,
                            .limits = limits,
                            .target = *target,
                            .spacing = spacing,
                            .first_asked = NANOS_NEVER,
                            .path_count = KAD_PATHS_MAX,
                            .window = KAD_ALPHA};
}

static void peer_free(struct query *query, struct query_peer *peer) {
    memory_put(query->memory, peer, sizeof(*peer) + peer->addresses_size);
}

void query_done(struct query *query) {
    for (size_t i = 0; i < query->size; i++) {
        peer_free(query, query->peers[i]);
    }
    memory_put(query->memory, query->peers, query->capacity * sizeof(query->peers[0]));
    query->peers = NULL;
    query->size = 0;
    query->capacity = 0;
}

static bool on_path(const struct query_peer *peer, size_t path) {
    return (peer->paths >> path & 1) != 0;
}

/* The place of the peer at this distance, or where it would go. */
static size_t find_place(const struct query *query, const struct sha256_digest *distance,
                         bool *ret_found) {
    size_t low = 0;
    size_t high = query->size;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = kad_distance_compare(&query->peers[middle]->distance, distance);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = false;
    return low;
}

static void remove_at(struct query *query, size_t place) {
    peer_free(query, query->peers[place]);
    query->size--;
    memmove(&query->peers[place], &query->peers[place + 1],
            (query->size - place) * sizeof(query->peers[0]));
}

/* Makes the path forget its farthest candidate when it has too many. */
static void trim_path(struct query *query, size_t path) {
    if (query->candidates[path] <= KAD_PATH_CANDIDATES_MAX) {
        return;
    }
    size_t farthest = query->size - 1;
    while (!on_path(query->peers[farthest], path) || query->peers[farthest]->state != QUERY_HEARD) {
        ENSURE(farthest > 0);
        farthest--;
    }
    struct query_peer *peer = query->peers[farthest];
    peer->paths &= (uint8_t) ~(1u << path);
    query->candidates[path]--;
    if (peer->paths == 0) {
        remove_at(query, farthest);
    }
}

/* Lets the path know the peer. */
static void join_path(struct query *query, struct query_peer *peer, size_t path) {
    if (!on_path(peer, path)) {
        peer->paths |= (uint8_t)(1u << path);
        if (peer->state == QUERY_HEARD) {
            query->candidates[path]++;
            trim_path(query, path);
        }
    }
}

static int insert_at(struct query *query, size_t place, struct query_peer *peer) {
    if (query->size == query->capacity) {
        size_t capacity = query->capacity > 0 ? query->capacity * 2 : CAPACITY_MIN;
        struct query_peer **peers =
            memory_resize(query->memory, query->peers, query->capacity * sizeof(peers[0]),
                          capacity * sizeof(peers[0]));
        if (peers == NULL) {
            return PLASM_NO_MEMORY;
        }
        query->peers = peers;
        query->capacity = capacity;
    }
    memmove(&query->peers[place + 1], &query->peers[place],
            (query->size - place) * sizeof(query->peers[0]));
    query->peers[place] = peer;
    query->size++;
    return 0;
}

/* Counts towards a source what is known of a peer it names. */
static void judge_by_state(struct query_peer *source, enum query_state state) {
    source->asking = (uint16_t)(source->asking + (state == QUERY_WAITING));
    source->silent = (uint16_t)(source->silent + (state == QUERY_SLOW || state == QUERY_FAILED));
    source->proven = (uint16_t)(source->proven + (state == QUERY_ANSWERED));
}

static void add_source(struct query_peer *peer, struct query_peer *from) {
    for (size_t i = 0; i < peer->source_count; i++) {
        if (peer->sources[i] == from) {
            return;
        }
    }
    /* What our own table holds needs nobody's word. */
    bool is_seed = peer->hops == 0;
    if (!is_seed && peer->source_count < QUERY_SOURCES_MAX) {
        peer->sources[peer->source_count++] = from;
        judge_by_state(from, peer->state);
    }
}

/* `from` is NULL for a seed. */
static int query_add(struct query *query, const struct peer_id *id,
                     const struct sha256_digest *hash, struct bytes addresses, size_t path,
                     struct query_peer *from) {
    struct sha256_digest distance = kad_distance(&query->target, hash);
    bool found;
    size_t place = find_place(query, &distance, &found);
    query->is_exhausted = false;
    if (found) {
        if (from != NULL) {
            add_source(query->peers[place], from);
        }
        join_path(query, query->peers[place], path);
        return 0;
    }
    struct query_peer *peer = memory_get(query->memory, sizeof(*peer) + addresses.size);
    if (peer == NULL) {
        return PLASM_NO_MEMORY;
    }
    *peer = (struct query_peer){.distance = distance,
                                .id = *id,
                                .state = QUERY_HEARD,
                                .addresses_size = (uint16_t)addresses.size,
                                .groups = kad_groups_of(NULL, addresses)};
    if (from != NULL) {
        peer->hops = from->hops < UINT8_MAX ? (uint8_t)(from->hops + 1) : UINT8_MAX;
        add_source(peer, from);
    }
    if (addresses.size > 0) {
        memcpy(peer->addresses, addresses.data, addresses.size);
    }
    int error = insert_at(query, place, peer);
    if (error != 0) {
        peer_free(query, peer);
        return error;
    }
    join_path(query, peer, path);
    return 0;
}

int query_seed(struct query *query, const struct peer_id *id, const struct sha256_digest *hash,
               struct bytes addresses) {
    struct sha256_digest distance = kad_distance(&query->target, hash);
    bool found;
    (void)find_place(query, &distance, &found);
    if (found) {
        return 0;
    }
    int error = query_add(query, id, hash, addresses, query->seed_count % query->path_count, NULL);
    if (error == 0) {
        query->seed_count++;
    }
    return error;
}

struct query_peer *query_find(const struct query *query, const struct sha256_digest *hash) {
    struct sha256_digest distance = kad_distance(&query->target, hash);
    bool found;
    size_t place = find_place(query, &distance, &found);
    return found ? query->peers[place] : NULL;
}

int query_hear(struct query *query, struct query_peer *from, const struct peer_id *id,
               const struct sha256_digest *hash, struct bytes addresses) {
    size_t path = from->path;
    /* With fewer seeds than paths the empty ones begin at what the seeds tell. */
    if (from->hops == 0 && query->seed_count < query->path_count) {
        path = query->dealt++ % query->path_count;
    }
    return query_add(query, id, hash, addresses, path, from);
}

enum belief {
    BELIEF_YES,
    BELIEF_WAIT, /* peers the same sources named are being asked: see how they do first */
    BELIEF_NO,
};

/* What the word of those who named the peer is worth. */
static enum belief belief_in(const struct query_peer *peer) {
    enum belief best = peer->source_count > 0 ? BELIEF_NO : BELIEF_YES;
    for (size_t i = 0; i < peer->source_count; i++) {
        const struct query_peer *source = peer->sources[i];
        int credit = QUERY_SILENT_MAX + source->proven - source->silent;
        if (credit > source->asking) {
            return BELIEF_YES;
        }
        if (credit > 0) {
            best = BELIEF_WAIT;
        }
    }
    return best;
}

/* The peer comes to be in another state, which tells of those who named it. */
static void set_state(struct query_peer *peer, enum query_state state) {
    for (size_t i = 0; i < peer->source_count; i++) {
        struct query_peer *source = peer->sources[i];
        source->asking = (uint16_t)(source->asking - (peer->state == QUERY_WAITING));
        source->silent = (uint16_t)(source->silent - (peer->state == QUERY_SLOW));
        judge_by_state(source, state);
    }
    peer->state = (uint8_t)state;
}

/* How long a peer may be silent before nobody waits for it. */
static nanos straggler_time(const struct query *query) {
    const struct kad_limits *limits = query->limits;
    if (query->answered == 0) {
        return limits->straggler_max;
    }
    nanos average = query->answer_times / query->answered;
    return nanos_max(limits->straggler_min,
                     nanos_min(average * STRAGGLER_FACTOR, limits->straggler_max));
}

/* The one that was waited for longest is not any more: finds the next. */
static void renew_first_asked(struct query *query) {
    query->first_asked = NANOS_NEVER;
    for (size_t i = 0; query->waiting > 0 && i < query->size; i++) {
        if (query->peers[i]->state == QUERY_WAITING) {
            query->first_asked = nanos_min(query->first_asked, query->peers[i]->asked);
        }
    }
}

void query_expire(struct query *query, nanos now) {
    nanos patience = straggler_time(query);
    if (nanos_add(query->first_asked, patience) > now) {
        return;
    }
    for (size_t i = 0; query->waiting > 0 && i < query->size; i++) {
        struct query_peer *peer = query->peers[i];
        if (peer->state == QUERY_WAITING && nanos_add(peer->asked, patience) <= now) {
            set_state(peer, QUERY_SLOW);
            query->asking[peer->path]--;
            query->waiting--;
            query->slow++;
            query->is_exhausted = false;
        }
    }
    renew_first_asked(query);
    /* Silence costs time: try more at once. */
    if (query->window < KAD_LOOKUP_WINDOW_MAX) {
        query->window += KAD_ALPHA;
    }
}

nanos query_deadline(const struct query *query) {
    return nanos_add(query->first_asked, straggler_time(query));
}

/* The groups of the peers that count so far. */
struct group_tally {
    struct kad_groups groups[QUERY_RESULT_MAX];
    size_t count;
};

/* True when there are few of these groups yet. */
static bool tally_allows(const struct group_tally *tally, const struct kad_groups *groups) {
    size_t same = 0;
    for (size_t i = 0; i < tally->count; i++) {
        same += kad_groups_meet(&tally->groups[i], groups);
    }
    return same < KAD_LOOKUP_PER_GROUP_MAX;
}

static void tally_add(struct group_tally *tally, const struct kad_groups *groups) {
    if (kad_groups_any(groups)) {
        tally->groups[tally->count++] = *groups;
    }
}

/* True when so many nearer ones that count are too many for this one to count as well. */
static bool is_crowded(const struct query *query, const struct query_peer *peer, size_t nearer) {
    return nearer >= kad_crowd_max(kad_head(&peer->distance), query->spacing);
}

/* What there is to do on a path: the nearest peer that was not asked among the k that count (or
 * NULL), and how many of them are being waited for. */
struct path_view {
    struct query_peer *next;
    size_t pending;
};

static struct path_view view_path(const struct query *query, size_t path) {
    struct path_view view = {0};
    struct group_tally tally;
    size_t counted = 0;
    tally.count = 0;
    for (size_t i = 0; i < query->size && counted < KAD_K; i++) {
        struct query_peer *peer = query->peers[i];
        if (!on_path(peer, path) || peer->state == QUERY_FAILED || peer->state == QUERY_SLOW) {
            continue;
        }
        enum belief belief = peer->state == QUERY_HEARD ? belief_in(peer) : BELIEF_YES;
        if (belief == BELIEF_NO || !tally_allows(&tally, &peer->groups) ||
            is_crowded(query, peer, counted)) {
            continue;
        }
        tally_add(&tally, &peer->groups);
        counted++;
        if (peer->state == QUERY_WAITING || belief == BELIEF_WAIT) {
            view.pending++;
        } else if (peer->state == QUERY_HEARD && view.next == NULL) {
            view.next = peer;
        }
    }
    return view;
}

static bool may_ask(const struct query *query) {
    return query->asked < KAD_LOOKUP_REQUESTS_MAX && query->waiting < query->window &&
           query->waiting + query->slow < KAD_LOOKUP_IN_FLIGHT_MAX;
}

static void ask(struct query *query, struct query_peer *peer, size_t path, nanos now) {
    for (size_t i = 0; i < query->path_count; i++) {
        query->candidates[i] -= on_path(peer, i);
    }
    set_state(peer, QUERY_WAITING);
    peer->path = (uint8_t)path;
    peer->asked = now;
    query->first_asked = nanos_min(query->first_asked, now);
    query->asking[path]++;
    query->waiting++;
    query->asked++;
    query->turn = path + 1;
}

struct query_peer *query_next(struct query *query, nanos now) {
    if (query->is_exhausted) {
        return NULL;
    }
    size_t share = (query->window + query->path_count - 1) / query->path_count;
    for (size_t i = 0; i < query->path_count && may_ask(query); i++) {
        size_t path = (query->turn + i) % query->path_count;
        struct query_peer *next = query->asking[path] < share ? view_path(query, path).next : NULL;
        if (next != NULL) {
            ask(query, next, path, now);
            return next;
        }
    }
    query->is_exhausted = true;
    return NULL;
}

/* The peer is not asked any more. */
static void settle(struct query *query, struct query_peer *peer, enum query_state state) {
    if (peer->state == QUERY_WAITING) {
        query->asking[peer->path]--;
        query->waiting--;
    } else {
        ENSURE(peer->state == QUERY_SLOW);
        query->slow--;
    }
    query->is_exhausted = false;
    set_state(peer, state);
    if (peer->asked == query->first_asked) {
        renew_first_asked(query);
    }
}

void query_answered(struct query *query, struct query_peer *peer, nanos now) {
    settle(query, peer, QUERY_ANSWERED);
    query->answered++;
    query->answer_times += nanos_since(now, peer->asked);
    if (peer->hops > query->hops) {
        query->hops = peer->hops;
    }
}

void query_failed(struct query *query, struct query_peer *peer) {
    settle(query, peer, QUERY_FAILED);
    query->failed++;
}

bool query_finished(const struct query *query) {
    if (query->answered == 0 && query->slow > 0) {
        return false; /* as long as there is nobody better, the slow are waited for */
    }
    bool may_go_on = query->asked < KAD_LOOKUP_REQUESTS_MAX;
    for (size_t path = 0; path < query->path_count; path++) {
        struct path_view view = view_path(query, path);
        if (view.pending > 0 || (view.next != NULL && may_go_on)) {
            return false;
        }
    }
    return true;
}

size_t query_result(const struct query *query, struct query_peer *ret_peers[QUERY_RESULT_MAX]) {
    size_t count = 0;
    size_t of_all = 0;
    size_t of_path[KAD_PATHS_MAX] = {0};
    size_t path_share = KAD_K / query->path_count;
    struct group_tally tally;
    tally.count = 0;
    for (size_t i = 0; i < query->size && count < QUERY_RESULT_MAX; i++) {
        struct query_peer *peer = query->peers[i];
        if (peer->state != QUERY_ANSWERED || !tally_allows(&tally, &peer->groups)) {
            continue;
        }
        bool wanted = of_all < KAD_K && !is_crowded(query, peer, of_all);
        of_all += wanted;
        for (size_t path = 0; path < query->path_count; path++) {
            bool counts = on_path(peer, path) && of_path[path] < path_share &&
                          !is_crowded(query, peer, of_path[path]);
            of_path[path] += counts;
            wanted |= counts;
        }
        if (wanted) {
            tally_add(&tally, &peer->groups);
            ret_peers[count++] = peer;
        }
    }
    return count;
}
