/* Commands on connections: connect, ping, close, and what the peer knows of others. */
#include "node.h"

#include <stdlib.h>

static struct peer *peer_of(const struct request *request) {
    return host_peer(request->node->host);
}

static void connect_begin(struct request *request) {
    request_done(request, json_pack("{s:o}", "peer_id", json_of_peer_id(&request->target)));
}

/* --- ping ------------------------------------------------------------------------------------ */

struct pings {
    json_int_t count;
    json_t *round_trips;
};

static void ping_next(struct request *request) {
    int error = peer_ping(peer_of(request), request->connection, host_now(), &request->waiting);
    if (error != 0) {
        request_fail_error(request, "ping", error);
    }
}

static void ping_begin(struct request *request) {
    json_int_t count;
    if (!field_number(request, "count", 0, 1, 10000, &count)) {
        return;
    }
    struct pings *pings = calloc(1, sizeof(*pings));
    if (pings == NULL) {
        abort();
    }
    pings->count = count;
    pings->round_trips = json_array();
    request->work = pings;
    ping_next(request);
}

static void ping_event(struct request *request, const struct peer_event *event) {
    struct pings *pings = request->work;
    if (event->error != 0) {
        request_fail_error(request, "ping", event->error);
        return;
    }
    json_array_append_new(pings->round_trips,
                          json_real((double)event->elapsed / (double)NANOS_MICROSECOND));
    if ((json_int_t)json_array_size(pings->round_trips) < pings->count) {
        ping_next(request);
        return;
    }
    request_done(request, json_pack("{s:O}", "rtts_us", pings->round_trips));
}

static void ping_release(struct request *request) {
    struct pings *pings = request->work;
    if (pings != NULL) {
        json_decref(pings->round_trips);
        free(pings);
    }
}

/* --- perf ------------------------------------------------------------------------------------ */

static void perf_begin(struct request *request) {
    json_int_t up;
    json_int_t down;
    if (!field_number(request, "up", 0, 0, INT64_MAX, &up) ||
        !field_number(request, "down", 0, 0, INT64_MAX, &down)) {
        return;
    }
    int error = peer_perf(peer_of(request), request->connection, (uint64_t)up, (uint64_t)down,
                          host_now(), &request->waiting);
    if (error != 0) {
        request_fail_error(request, "perf", error);
    }
}

static void perf_event(struct request *request, const struct peer_event *event) {
    if (event->error != 0) {
        request_fail_error(request, "perf", event->error);
        return;
    }
    request_done(request,
                 json_pack("{s:I, s:I}", "up_us", (json_int_t)(event->elapsed / NANOS_MICROSECOND),
                           "down_us", (json_int_t)(event->elapsed_down / NANOS_MICROSECOND)));
}

/* --- what is there --------------------------------------------------------------------------- */

static void known_begin(struct request *request) {
    struct peer_id id;
    if (peer_id_parse(bytes_of_string(field_text(request, "peer_id")), &id) != 0) {
        request_fail(request, "peer_id is no peer id");
        return;
    }
    struct peer_connection *connection = peer_connection_to(peer_of(request), &id);
    struct identify message = {0};
    if (connection == NULL || peer_connection_identify(connection).size == 0 ||
        identify_merge(peer_connection_identify(connection), &message) != 0) {
        request_fail(request, "nothing is known of this peer");
        return;
    }
    json_t *report = identify_report(&message, &id);
    json_t *signed_addresses = json_array();
    int error = 0;
    const char *record = identify_record(&message, &id, signed_addresses, &error);
    json_t *result = json_pack(
        "{s:O, s:O, s:O, s:O, s:b}", "peer_id", json_object_get(report, "peer_id"), "protocols",
        json_object_get(report, "protocols"), "addrs", json_object_get(report, "listen_addrs"),
        "agent_version", json_object_get(report, "agent_version"), "signed_record",
        strcmp(record, "valid") == 0);
    json_decref(signed_addresses);
    json_decref(report);
    request_done(request, result);
}

static void add_protocol_begin(struct request *request) {
    struct node *node = request->node;
    const char *name = field_text(request, "protocol");
    if (name[0] == '\0' || node->added_count == PROTOCOLS_ADDED_MAX) {
        request_fail(request, "no protocol, or too many");
        return;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        abort();
    }
    int error = peer_add_protocol(peer_of(request), copy, host_now());
    if (error != 0) {
        free(copy);
        request_fail_error(request, "add_protocol", error);
        return;
    }
    node->added[node->added_count++] = copy;
    request_done(request, NULL);
}

static void peers_begin(struct request *request) {
    json_t *list = json_array();
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer_of(request), connection)) != NULL) {
        const struct multiaddr *remote = peer_connection_remote(connection);
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:s}", "peer_id", json_of_peer_id(peer_connection_id(connection)),
                      "addr", json_of_address(multiaddr_bytes(remote)), "direction",
                      peer_connection_inbound(connection) ? "inbound" : "outbound"));
    }
    request_done(request, json_pack("{s:o}", "peers", list));
}

static void close_begin(struct request *request) {
    struct peer_id id = request->target;
    const char *text = field_text(request, "peer_id");
    int error;
    if (text[0] != '\0') {
        error = peer_id_parse(bytes_of_string(text), &id);
    } else {
        struct multiaddr address;
        error = multiaddr_parse(bytes_of_string(field_text(request, "addr")), &address);
        if (error == 0) {
            error = peer_id_decode(multiaddr_peer_id(&address), &id);
        }
    }
    if (error != 0) {
        request_fail_error(request, "peer_id or addr", error);
        return;
    }
    size_t closed = 0;
    struct peer_connection *connection = NULL;
    while ((connection = peer_connection_next(peer_of(request), connection)) != NULL) {
        if (peer_id_equal(peer_connection_id(connection), &id)) {
            peer_disconnect(peer_of(request), connection, host_now());
            closed++;
        }
    }
    request_done(request, json_pack("{s:I}", "closed", (json_int_t)closed));
}

static void stats_begin(struct request *request) {
    struct quic_stats quic;
    host_quic_stats(request->node->host, &quic);
    request_done(request,
                 json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
                           (json_int_t)peer_connection_count(peer_of(request)), "streams",
                           (json_int_t)peer_stream_count(peer_of(request)), "routing_table",
                           (json_int_t)peer_routing_size(peer_of(request)), "memory_bytes",
                           (json_int_t)request->node->memory.used, "handshakes_failed",
                           (json_int_t)quic.handshakes_failed, "datagrams_received",
                           (json_int_t)quic.datagrams_received, "packets_sent",
                           (json_int_t)quic.packets_sent));
}

const struct command commands_connection[] = {
    {"connect", TARGET_PEER, connect_begin, NULL, NULL},
    {"ping", TARGET_PEER, ping_begin, ping_event, ping_release},
    {"perf", TARGET_PEER, perf_begin, perf_event, NULL},
    {"dials", TARGET_NONE, dials_command_begin, NULL, dials_command_release},
    {"known", TARGET_NONE, known_begin, NULL, NULL},
    {"add_protocol", TARGET_NONE, add_protocol_begin, NULL, NULL},
    {"peers", TARGET_NONE, peers_begin, NULL, NULL},
    {"close", TARGET_NONE, close_begin, NULL, NULL},
    {"stats", TARGET_NONE, stats_begin, NULL, NULL},
    {NULL, TARGET_NONE, NULL, NULL, NULL},
};
