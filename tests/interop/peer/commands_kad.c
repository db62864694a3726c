/* Commands on the DHT: providers, peers, values and the routing table. */
#include "node.h"

#include <stdlib.h>

#include "proto/kad/addresses.h"
#include "wire/multibase.h"
#include "wire/multihash.h"

#define CID_TEXT_MAX 80

static struct peer *peer_of(const struct request *request) {
    return host_peer(request->node->host);
}

/* What a lookup found so far: peers by id, or a value. */
struct lookup {
    json_t *peers; /* peer id: list of addresses */
    json_t *value; /* {"hex", "value"} */
    nanos begun;
    nanos first; /* until the first provider, 0 for none */
    char cid[CID_TEXT_MAX];
};

static struct lookup *lookup_begin(struct request *request) {
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        abort();
    }
    lookup->peers = json_object();
    lookup->begun = host_now();
    request->work = lookup;
    return lookup;
}

static void lookup_release(struct request *request) {
    struct lookup *lookup = request->work;
    if (request->waiting != 0 && !request->ended) {
        peer_lookup_cancel(peer_of(request), request->waiting);
    }
    if (lookup != NULL) {
        json_decref(lookup->peers);
        json_decref(lookup->value);
        free(lookup);
    }
}

static void started(struct request *request, const char *what, int error) {
    if (error != 0) {
        request->waiting = 0;
        request_fail_error(request, what, error);
    }
}

/* The key and CID (version 1, raw, sha2-256) of the tag in field `key`. */
static bool tag_key(struct request *request, uint8_t key[CONTENT_KEY_SIZE], struct lookup *lookup) {
    struct bytes tag = bytes_of_string(field_text(request, "key"));
    if (tag.size == 0) {
        request_fail(request, "key is empty");
        return false;
    }
    content_key(tag, key);
    uint8_t cid[2 + CONTENT_KEY_SIZE] = {1, 0x55};
    memcpy(cid + 2, key, CONTENT_KEY_SIZE);
    int error = multibase_encode(MULTIBASE_BASE32, BYTES_ARRAY(cid), lookup->cid, CID_TEXT_MAX);
    if (error != 0) {
        request_fail_error(request, "cid", error);
    }
    return error == 0;
}

static void note_peer(struct lookup *lookup, const struct peer_event *event) {
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&event->peer_id, id);
    json_t *addresses = json_array();
    struct bytes packed = event->data;
    struct bytes address;
    while (kad_address_next(&packed, &address)) {
        json_array_append_new(addresses, json_of_address(address));
    }
    json_object_set_new(lookup->peers, id, addresses);
}

/* --- providers ------------------------------------------------------------------------------- */

static void provide_begin(struct request *request) {
    uint8_t key[CONTENT_KEY_SIZE];
    if (tag_key(request, key, lookup_begin(request))) {
        started(request, "provide",
                peer_provide(peer_of(request), BYTES_ARRAY(key), host_now(), &request->waiting));
    }
}

static void provide_event(struct request *request, const struct peer_event *event) {
    const struct lookup *lookup = request->work;
    if (event->type != PEER_EVENT_LOOKUP_DONE) {
        return;
    }
    if (event->error != 0) {
        request_fail_error(request, "provide", event->error);
    } else {
        request_done(request, json_pack("{s:s, s:I}", "cid", lookup->cid, "servers",
                                        (json_int_t)event->count));
    }
}

static void find_providers_begin(struct request *request) {
    uint8_t key[CONTENT_KEY_SIZE];
    json_int_t count;
    if (!field_number(request, "count", 0, 1, 256, &count) ||
        !tag_key(request, key, lookup_begin(request))) {
        return;
    }
    started(request, "find_providers",
            peer_find_providers(peer_of(request), BYTES_ARRAY(key), (size_t)count, host_now(),
                                &request->waiting));
}

static void find_providers_event(struct request *request, const struct peer_event *event) {
    struct lookup *lookup = request->work;
    nanos elapsed = nanos_since(host_now(), lookup->begun);
    if (event->type == PEER_EVENT_PROVIDER) {
        note_peer(lookup, event);
        lookup->first = lookup->first == 0 ? elapsed : lookup->first;
    }
    if (event->type != PEER_EVENT_LOOKUP_DONE) {
        return;
    }
    json_t *providers = json_array();
    const char *id;
    json_t *addresses;
    json_object_foreach(lookup->peers, id, addresses) {
        json_array_append_new(providers,
                              json_pack("{s:s, s:O}", "peer_id", id, "addrs", addresses));
    }
    bool failed = event->error != 0 && event->error != PLASM_NOT_FOUND;
    if (failed && json_array_size(providers) == 0) {
        json_decref(providers);
        request_fail_error(request, "find_providers", event->error);
    } else {
        request_done(request,
                     json_pack("{s:s, s:o, s:I, s:I}", "cid", lookup->cid, "providers", providers,
                               "first_us", (json_int_t)(lookup->first / NANOS_MICROSECOND),
                               "elapsed_us", (json_int_t)(elapsed / NANOS_MICROSECOND)));
    }
}

/* --- peers ----------------------------------------------------------------------------------- */

static void find_peer_begin(struct request *request) {
    if (peer_id_parse(bytes_of_string(field_text(request, "peer_id")), &request->target) != 0) {
        request_fail(request, "peer_id is no peer id");
        return;
    }
    (void)lookup_begin(request);
    started(request, "find_peer",
            peer_find_peer(peer_of(request), &request->target, host_now(), &request->waiting));
}

static void find_peer_event(struct request *request, const struct peer_event *event) {
    struct lookup *lookup = request->work;
    if (event->type == PEER_EVENT_PROVIDER) {
        note_peer(lookup, event);
    }
    if (event->type != PEER_EVENT_LOOKUP_DONE) {
        return;
    }
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&request->target, id);
    json_t *addresses = json_object_get(lookup->peers, id);
    if (json_array_size(addresses) == 0) {
        request_fail_error(request, "find_peer",
                           event->error != 0 ? event->error : PLASM_NOT_FOUND);
    } else {
        request_done(request, json_pack("{s:s, s:O}", "peer_id", id, "addrs", addresses));
    }
}

/* --- values ---------------------------------------------------------------------------------- */

static void put_value_begin(struct request *request) {
    struct bytes key = bytes_of_string(field_text(request, "key"));
    struct bytes value = bytes_of_string(field_text(request, "value"));
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (json_object_get(request->body, "hex") != NULL) {
        if (!field_hex(request, "hex", &bytes, &size)) {
            return;
        }
        value = bytes_of(bytes, size);
    }
    (void)lookup_begin(request);
    started(request, "put_value",
            peer_put_value(peer_of(request), key, value, host_now(), &request->waiting));
    free(bytes);
}

static void put_value_event(struct request *request, const struct peer_event *event) {
    if (event->type != PEER_EVENT_LOOKUP_DONE) {
        return;
    }
    if (event->error != 0) {
        request_fail_error(request, "put_value", event->error);
    } else {
        request_done(request, json_pack("{s:I}", "servers", (json_int_t)event->count));
    }
}

static void get_value_begin(struct request *request) {
    (void)lookup_begin(request);
    started(request, "get_value",
            peer_get_value(peer_of(request), bytes_of_string(field_text(request, "key")),
                           host_now(), &request->waiting));
}

static void get_value_event(struct request *request, const struct peer_event *event) {
    struct lookup *lookup = request->work;
    if (event->type == PEER_EVENT_VALUE) {
        json_decref(lookup->value);
        lookup->value = json_pack("{s:o, s:o}", "hex", json_of_hex(event->data), "value",
                                  json_of_bytes(event->data));
    }
    if (event->type != PEER_EVENT_LOOKUP_DONE) {
        return;
    }
    if (lookup->value == NULL) {
        request_fail_error(request, "get_value",
                           event->error != 0 ? event->error : PLASM_NOT_FOUND);
    } else {
        request_done(request, json_incref(lookup->value));
    }
}

/* --- the table ------------------------------------------------------------------------------- */

static void routing_table_begin(struct request *request) {
    struct peer_id ids[20];
    size_t count = peer_routing_closest(peer_of(request), peer_id_bytes(&request->node->id), ids,
                                        ARRAY_SIZE(ids));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_of_peer_id(&ids[i]));
    }
    request_done(request, json_pack("{s:o}", "peers", list));
}

const struct command commands_kad[] = {
    {"provide", TARGET_NONE, provide_begin, provide_event, lookup_release},
    {"find_providers", TARGET_NONE, find_providers_begin, find_providers_event, lookup_release},
    {"find_peer", TARGET_NONE, find_peer_begin, find_peer_event, lookup_release},
    {"put_value", TARGET_NONE, put_value_begin, put_value_event, lookup_release},
    {"get_value", TARGET_NONE, get_value_begin, get_value_event, lookup_release},
    {"routing_table", TARGET_NONE, routing_table_begin, NULL, NULL},
    {"newcomers", TARGET_NONE, newcomers_begin, NULL, NULL},
    {NULL, TARGET_NONE, NULL, NULL, NULL},
};
