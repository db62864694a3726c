/* Commands on relays: being one, reserving a place on one. */
#include "node.h"

#include "peer/relay.h"

static struct peer *peer_of(const struct request *request) {
    return host_peer(request->node->host);
}

static void serve_relay_begin(struct request *request) {
    struct relay_limits limits = relay_limits_default;
    json_int_t size;
    if (!field_number(request, "size", 0, 0, INT32_MAX, &size)) {
        return;
    }
    if (size > 0) {
        limits.circuit_bytes_max = (uint64_t)size;
    }
    int error = peer_serve_relay(peer_of(request), &limits, host_now());
    if (error != 0) {
        request_fail_error(request, "serve_relay", error);
        return;
    }
    request_done(request, NULL);
}

static void answer_reserved(struct request *request) {
    struct multiaddr own[PEER_OWN_ADDRESSES_MAX];
    size_t count = peer_relay_addresses(peer_of(request), own, ARRAY_SIZE(own));
    json_t *addrs = json_array();
    for (size_t i = 0; i < count; i++) {
        if (multiaddr_append(&own[i], MULTIADDR_P2P, peer_id_bytes(&request->node->id)) == 0) {
            json_array_append_new(addrs, json_of_address(multiaddr_bytes(&own[i])));
        }
    }
    request_done(request, json_pack("{s:o}", "addrs", addrs));
}

static void reserve_begin(struct request *request) {
    struct multiaddr relay;
    int error = multiaddr_parse(bytes_of_string(field_text(request, "addr")), &relay);
    if (error == 0) {
        error = peer_add_relay(peer_of(request), &relay, host_now());
    }
    if (error != 0) {
        request_fail_error(request, "reserve", error);
        return;
    }
    request->awaits_relayed = true;
    peer_use_relays(peer_of(request), true, host_now());
    struct multiaddr own;
    if (peer_relay_addresses(peer_of(request), &own, 1) > 0) {
        answer_reserved(request);
    }
}

static void reserve_event(struct request *request, const struct peer_event *event) {
    if (event->type == PEER_EVENT_RELAYED && event->count > 0) {
        answer_reserved(request);
    }
}

static void relay_stats_begin(struct request *request) {
    struct peer_relay_stats stats;
    peer_relay_stats(peer_of(request), &stats);
    request_done(request,
                 json_pack("{s:I, s:I, s:I, s:I, s:I}", "reservations_held",
                           (json_int_t)stats.reservations_held, "reservations",
                           (json_int_t)stats.reservations, "circuits", (json_int_t)stats.circuits,
                           "bytes_relayed", (json_int_t)stats.bytes_relayed, "refused",
                           (json_int_t)stats.refused));
}

const struct command commands_relay[] = {
    {"serve_relay", TARGET_NONE, serve_relay_begin, NULL, NULL},
    {"reserve", TARGET_NONE, reserve_begin, reserve_event, NULL},
    {"relay_stats", TARGET_NONE, relay_stats_begin, NULL, NULL},
    {NULL, TARGET_NONE, NULL, NULL, NULL},
};
