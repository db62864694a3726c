/* New clients, one after the other, that begin with nothing and end when they know a provider: what
 * a first lookup costs. */
#include "host/identity_file.h"
#include "node.h"
#include "wire/multihash.h"

#define NEWCOMERS_MAX 1000

struct newcomer {
    struct host *host;
    struct memory memory;
    uint64_t connecting;
    bool is_identified;
    bool is_found;
    bool has_ended; /* found or not */
    uint64_t finding;
};

static void on_event(void *context, const struct peer_event *event) {
    struct newcomer *newcomer = context;
    newcomer->is_identified |= event->type == PEER_EVENT_IDENTIFIED && event->error == 0;
    newcomer->is_found |= event->type == PEER_EVENT_PROVIDER;
    newcomer->has_ended |= event->type == PEER_EVENT_CONNECT_FAILED ||
                           event->type == PEER_EVENT_LOOKUP_DONE || newcomer->is_found;
}

/* Until it has found one; false when it does not before the deadline. */
static bool find(struct newcomer *newcomer, const struct multiaddr *to, struct bytes key,
                 nanos deadline) {
    struct peer *peer = host_peer(newcomer->host);
    if (peer_connect(peer, NULL, to, 1, host_now(), &newcomer->connecting) != 0) {
        return false;
    }
    while (!newcomer->has_ended && host_now() < deadline) {
        if (newcomer->is_identified && newcomer->finding == 0 &&
            peer_find_providers(peer, key, 1, host_now(), &newcomer->finding) != 0) {
            return false;
        }
        host_wait(newcomer->host, deadline);
    }
    return newcomer->is_found;
}

/* From a fresh identity to a provider. */
static bool live(const struct multiaddr *to, struct bytes key, nanos deadline, nanos *ret_elapsed) {
    nanos begun = host_now();
    struct newcomer newcomer = {.host = NULL};
    memory_init(&newcomer.memory, SIZE_MAX);
    struct ed25519_secret secret;
    struct signer *signer;
    identity_fresh(&secret);
    int error = signer_local_new(&secret, &newcomer.memory, &signer);
    ed25519_done(&secret);
    if (error != 0) {
        return false;
    }
    struct host_config config = {.signer = signer,
                                 .memory = &newcomer.memory,
                                 .agent = "plasm-peer/newcomer",
                                 .kad_protocol = "/phase/kad/1.0.0",
                                 .on_event = on_event,
                                 .context = &newcomer};
    struct host_fault fault;
    bool found = false;
    if (host_new(&config, &newcomer.host, &fault) == 0) {
        found = find(&newcomer, to, key, deadline);
        *ret_elapsed = nanos_since(host_now(), begun);
        host_free(newcomer.host);
    }
    signer_free(signer);
    return found;
}

void newcomers_begin(struct request *request) {
    json_int_t count;
    struct multiaddr to;
    uint8_t key[CONTENT_KEY_SIZE];
    if (!field_number(request, "count", 1, 1, NEWCOMERS_MAX, &count)) {
        return;
    }
    if (multiaddr_parse(bytes_of_string(field_text(request, "to")), &to) != 0) {
        request_fail(request, "to is no multiaddr");
        return;
    }
    content_key(bytes_of_string(field_text(request, "key")), key);
    json_t *list = json_array();
    for (json_int_t i = 0; i < count; i++) {
        nanos elapsed = 0;
        if (!live(&to, BYTES_ARRAY(key), request->deadline, &elapsed)) {
            json_decref(list);
            request_fail(request, "newcomer %lld found no provider", (long long)i);
            return;
        }
        json_array_append_new(list, json_integer((json_int_t)(elapsed / NANOS_MICROSECOND)));
    }
    request_done(request, json_pack("{s:o}", "elapsed_us", list));
}
