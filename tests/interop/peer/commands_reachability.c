/* Commands on our own addresses: asking to be dialled back, and what the address book says. */
#include "node.h"

#include "peer/reachability.h"

#define ADDRESSES_ASKED_MAX 16

static struct peer *peer_of(const struct request *request) {
    return host_peer(request->node->host);
}

static void serve_begin(struct request *request) {
    request_done(request, NULL); /* whoever listens serves */
}

static void autonat_begin(struct request *request) {
    json_t *list = json_object_get(request->body, "addrs");
    struct multiaddr addresses[ADDRESSES_ASKED_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(list) && count < ADDRESSES_ASKED_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || multiaddr_parse(bytes_of_string(text), &addresses[count]) != 0) {
            request_fail(request, "addrs: no multiaddr");
            return;
        }
        count++;
    }
    int error = peer_probe(peer_of(request), request->connection, addresses, count, host_now(),
                           &request->waiting);
    if (error != 0) {
        request_fail_error(request, "autonat", error);
    }
}

static void autonat_event(struct request *request, const struct peer_event *event) {
    if (event->error == PLASM_REFUSED) {
        request_done(request, json_pack("{s:s}", "outcome", "refused"));
    } else if (event->error == 0 || event->error == PLASM_UNREACHABLE) {
        request_done(request, json_pack("{s:s, s:I}", "outcome",
                                        event->error == 0 ? "reached" : "not_reached", "index",
                                        (json_int_t)event->count));
    } else {
        request_fail_error(request, "autonat", event->error);
    }
}

static void addresses_begin(struct request *request) {
    struct own_address own[OWN_ADDRESSES_MAX];
    size_t count = peer_own_addresses(peer_of(request), own, ARRAY_SIZE(own));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:s, s:b, s:I}", "addr",
                            json_of_address(multiaddr_bytes(&own[i].address)), "source",
                            own_source_name(own[i].source), "reachability",
                            reachability_name(own[i].reachability), "published", own[i].published,
                            "observers", (json_int_t)own[i].observers));
    }
    const struct peer *peer = peer_of(request);
    request_done(request, json_pack("{s:o, s:s, s:s}", "addresses", list, "reachability",
                                    reachability_name(peer_reachability(peer)), "nat",
                                    nat_type_name(peer_nat_type(peer, false))));
}

const struct command commands_reachability[] = {
    {"serve_autonat", TARGET_NONE, serve_begin, NULL, NULL},
    {"autonat", TARGET_PEER, autonat_begin, autonat_event, NULL},
    {"addresses", TARGET_NONE, addresses_begin, NULL, NULL},
    {NULL, TARGET_NONE, NULL, NULL, NULL},
};
