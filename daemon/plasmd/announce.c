/* What the DHT knows a worker under: its tags, and when there are too many workers for one. */
#include <stdio.h>

#include "plasmd/log.h"
#include "plasmd/worker.h"
#include "proto/capability/capability.h"
#include "wire/multihash.h"

/* How often the workers are counted: as often as they announce themselves. */
#define CENSUS_INTERVAL (30 * NANOS_MINUTE)
/* A server keeps 256 providers of a key: where so many are seen, we make room for others. */
#define CROWD_MIN 200

static void provide_tag(struct worker *worker, const char *tag) {
    uint8_t key[CONTENT_KEY_SIZE];
    uint64_t request;
    content_key(bytes_of_string(tag), key);
    if (peer_provide(host_peer(worker->host), BYTES_ARRAY(key), host_now(), &request) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "kad: cannot provide %s", tag);
    }
}

void announce_start(struct worker *worker) {
    char tag[CAPABILITY_TAG_MAX];
    provide_tag(worker, CAPABILITY_TAG_WORKER);
    if (capability_tag_arch(worker->arch, tag) == 0) {
        provide_tag(worker, tag);
    }
    if (capability_tag_runtime(RUNNER_RUNTIME, tag) == 0) {
        provide_tag(worker, tag);
    }
    capability_tag_shard(&worker->id, tag);
    provide_tag(worker, tag);
}

void announce_expire(struct worker *worker, nanos now) {
    if (worker->census != 0 || now < worker->next_census) {
        return;
    }
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(bytes_of_string(CAPABILITY_TAG_WORKER), key);
    worker->next_census = nanos_add(now, CENSUS_INTERVAL);
    if (peer_find_providers(host_peer(worker->host), BYTES_ARRAY(key), 0, now, &worker->census) !=
        0) {
        worker->census = 0;
    }
}

void announce_event(struct worker *worker, const struct peer_event *event) {
    if (worker->census == 0 || event->request != worker->census) {
        return;
    }
    worker->census = 0;
    bool is_crowded = event->count >= CROWD_MIN;
    if (event->error != 0 || is_crowded == worker->is_crowded) {
        return;
    }
    worker->is_crowded = is_crowded;
    if (!is_crowded) {
        provide_tag(worker, CAPABILITY_TAG_WORKER);
        return;
    }
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(bytes_of_string(CAPABILITY_TAG_WORKER), key);
    peer_provide_stop(host_peer(worker->host), BYTES_ARRAY(key));
    daemon_log(LOG_LEVEL_INFO, "kad: %zu workers in one place, staying with our shard's",
               event->count);
}
