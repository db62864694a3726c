/* Nodes by name: connecting, pinging, asking who they are, finding all. */
#include <stdio.h>
#include <stdlib.h>

#include "client/client.h"
#include "host/address.h"
#include "proto/identify/identify.h"

#define PING_COUNT_MAX 1000

int client_parse_node(struct plasm_client *client, const char *text, struct peer_id *ret_id,
                      struct multiaddr *ret_address) {
    struct peer_id id = {.size = 0};
    struct multiaddr address = {.size = 0};
    struct bytes name = bytes_of_string(text);
    if (peer_id_parse(name, &id) != 0) {
        id.size = 0;
        if (address_parse(name, &address) != 0) {
            return client_fail(PLASM_INVALID,
                               "'%s' is no node: write a peer id, a multiaddr, or host[:port]",
                               text);
        }
        struct bytes named = multiaddr_peer_id(&address);
        const struct peer_id *known = state_identity(&client->state, &address);
        if (named.size > 0 && peer_id_decode(named, &id) != 0) {
            return client_fail(PLASM_INVALID, "'%s' names a peer id that is not valid", text);
        }
        if (known != NULL) {
            id = *known;
        }
    }
    *ret_id = id;
    *ret_address = address;
    return 0;
}

static bool wait_done(const void *context) {
    return ((const struct plasm_client *)context)->wait.done;
}

int client_wait_for(struct plasm_client *client, uint64_t request, nanos deadline) {
    client->wait.request = request;
    client->wait.done = false;
    client->wait.error = 0;
    client->wait.text[0] = '\0';
    int error = client_run(client, wait_done, client, deadline);
    client->wait.request = 0;
    return error != 0 ? error : client->wait.error;
}

void client_trust(struct plasm_client *client, const struct multiaddr *address,
                  const struct peer_id *id) {
    if (state_identity(&client->state, address) != NULL) {
        return;
    }
    state_remember_identity(&client->state, address, id);
    char where[MULTIADDR_TEXT_MAX];
    char who[PEER_ID_TEXT_MAX];
    peer_id_format(id, who);
    if (multiaddr_format(address, where, sizeof(where)) != 0) {
        return;
    }
    client->warnings = client->warnings != NULL ? client->warnings : json_array();
    (void)json_array_append_new(
        client->warnings,
        json_sprintf("%s was named without a peer id: trusting %s, and remembering it", where,
                     who));
}

void client_remember(struct plasm_client *client, const struct peer_connection *connection) {
    struct multiaddr address = *peer_connection_remote(connection);
    if (multiaddr_append(&address, MULTIADDR_P2P, peer_id_bytes(peer_connection_id(connection))) ==
        0) {
        state_remember(&client->state, &address);
    }
}

int client_connect(struct plasm_client *client, const char *node, nanos deadline,
                   struct peer_connection **ret_connection) {
    struct peer_id id;
    struct multiaddr address;
    int error = client_parse_node(client, node, &id, &address);
    if (error != 0) {
        return error;
    }
    struct peer *peer = host_peer(client->host);
    struct peer_connection *open = id.size > 0 ? peer_connection_to(peer, &id) : NULL;
    if (open != NULL) {
        *ret_connection = open;
        return 0;
    }
    if (address.size == 0) {
        /* Known by discovery only: its record names where it is. */
        struct capability_query any = {.arch = NULL};
        error = client_discover(client, &any, SIZE_MAX,
                                DISCOVER_TIMEOUT_MS_DEFAULT * NANOS_MILLISECOND, NANOS_NEVER);
        open = peer_connection_to(peer, &id);
        if (open == NULL) {
            return client_fail(error != 0 ? error : PLASM_NOT_FOUND,
                               "%s was not found: is it running, and is --bootstrap right?", node);
        }
        *ret_connection = open;
        return 0;
    }
    uint64_t request;
    client->wait.connection = NULL;
    error = peer_connect(peer, id.size > 0 ? &id : NULL, &address, 1, host_now(), &request);
    if (error == 0) {
        error = client_wait_for(client, request, deadline);
    }
    if (error == PLASM_UNTRUSTED && state_identity(&client->state, &address) != NULL) {
        return client_fail(error,
                           "%s has not the identity that is remembered for it: it was set up anew, "
                           "or somebody is in between. Remove its line from %s/known_nodes to "
                           "trust it again",
                           node, client->state.directory);
    }
    if (error != 0) {
        return client_fail(error, "cannot connect to %s: %s", node,
                           client->wait.text[0] != '\0' ? client->wait.text
                                                        : plasm_error_message(error));
    }
    *ret_connection = client->wait.connection;
    if (multiaddr_peer_id(&address).size == 0) {
        client_trust(client, &address, peer_connection_id(client->wait.connection));
    }
    return 0;
}

int plasm_ping(struct plasm_client *client, const char *node, int count, const char **ret_json) {
    if (count < 1 || count > PING_COUNT_MAX) {
        return client_fail(PLASM_INVALID, "count must be 1 to %d", PING_COUNT_MAX);
    }
    int error = client_enter(client);
    struct peer_connection *connection = NULL;
    if (error == 0) {
        error = client_connect(client, node, client_deadline(client->timeout_ms), &connection);
    }
    json_t *rtts = json_array();
    for (int i = 0; i < count && error == 0; i++) {
        uint64_t request;
        error = peer_ping(host_peer(client->host), connection, host_now(), &request);
        client->wait.connection = connection;
        if (error == 0) {
            error = client_wait_for(client, request, client_deadline(client->timeout_ms));
        }
        if (error == 0) {
            (void)json_array_append_new(
                rtts, json_integer((json_int_t)(client->wait.elapsed / NANOS_MICROSECOND)));
        } else {
            error = client_fail(error, "ping of %s: %s", node, plasm_error_message(error));
        }
    }
    if (error != 0) {
        json_decref(rtts);
        return error;
    }
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(peer_connection_id(connection), id);
    return client_give_json(&client->text, json_pack("{s:s, s:o}", "peer_id", id, "rtts_us", rtts),
                            ret_json);
}

/* Whether the node has been identified, and has had time to push its record. */
struct identify_wait {
    struct plasm_client *client;
    struct peer_connection *connection;
    nanos record_until;
};

static const struct core_node *node_of(const struct plasm_client *client,
                                       const struct peer_connection *connection) {
    struct capability_query any = {.arch = NULL};
    const struct core_node *node = NULL;
    while ((node = core_next_match(client->core, &any, node)) != NULL) {
        if (node->connection == connection) {
            return node;
        }
    }
    return NULL;
}

static bool identified(const void *context) {
    const struct identify_wait *wait = context;
    struct identify message = {0};
    struct bytes bytes = peer_connection_identify(wait->connection);
    if (wait->client->wait.done) {
        return true; /* the connection was lost */
    }
    if (bytes.size == 0 || identify_merge(bytes, &message) != 0) {
        return false;
    }
    return !identify_has_protocol(&message, CAPABILITY_PROTOCOL) ||
           node_of(wait->client, wait->connection) != NULL || host_now() >= wait->record_until;
}

static json_t *address_json(struct bytes binary) {
    struct multiaddr address;
    char text[MULTIADDR_TEXT_MAX];
    if (multiaddr_decode(binary, &address) != 0 ||
        multiaddr_format(&address, text, sizeof(text)) != 0) {
        return NULL;
    }
    return json_string(text);
}

static json_t *text_json(struct bytes text) {
    return json_stringn((const char *)text.data, text.size);
}

static json_t *identify_json(const struct plasm_client *client,
                             const struct peer_connection *connection) {
    struct identify message = {0};
    if (identify_merge(peer_connection_identify(connection), &message) != 0) {
        return NULL;
    }
    json_t *protocols = json_array();
    for (size_t i = 0; i < message.protocol_count; i++) {
        (void)json_array_append_new(protocols, text_json(message.protocols[i]));
    }
    json_t *addresses = json_array();
    for (size_t i = 0; i < message.address_count; i++) {
        (void)json_array_append_new(addresses, address_json(message.addresses[i]));
    }
    const struct core_node *node = node_of(client, connection);
    json_t *observed = address_json(message.observed);
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(peer_connection_id(connection), id);
    json_t *object = json_object();
    (void)json_object_set_new(object, "peer_id", json_string(id));
    (void)json_object_set_new(object, "agent", text_json(message.agent));
    (void)json_object_set_new(object, "protocol_version", text_json(message.protocol_version));
    (void)json_object_set_new(object, "protocols", protocols);
    (void)json_object_set_new(object, "addresses", addresses);
    (void)json_object_set_new(object, "observed_address",
                              observed != NULL ? observed : json_null());
    (void)json_object_set_new(object, "signed_record",
                              json_boolean(message.signed_record.size > 0));
    (void)json_object_set_new(object, "capability",
                              node != NULL ? client_capability_json(&node->capability)
                                           : json_null());
    return object;
}

int plasm_identify(struct plasm_client *client, const char *node, const char **ret_json) {
    int error = client_enter(client);
    if (error != 0) {
        return error;
    }
    nanos deadline = client_deadline(client->timeout_ms);
    struct identify_wait wait = {.client = client};
    error = client_connect(client, node, deadline, &wait.connection);
    if (error != 0) {
        return error;
    }
    wait.record_until = nanos_add(host_now(), CORE_CAPABILITY_TIMEOUT);
    client->wait = (struct client_wait){.request = WAIT_IDENTIFIED, .connection = wait.connection};
    do {
        client->wait.done = false;
        error = client_run(client, identified, &wait, nanos_min(deadline, wait.record_until));
    } while (error == 0 && client->wait.done && client->wait.error == 0 && !identified(&wait));
    client->wait.request = 0;
    if (client->wait.error != 0) {
        return client_fail(client->wait.error, "%s closed the connection", node);
    }
    if (error != 0 && peer_connection_identify(wait.connection).size == 0) {
        return client_fail(error, "%s did not identify itself in time", node);
    }
    return client_give_json(&client->text, identify_json(client, wait.connection), ret_json);
}

static bool discovered(const void *context) {
    return core_discover_done(((const struct plasm_client *)context)->core);
}

void client_look_nearby(struct plasm_client *client) {
    if (client->mdns && !client->looked_nearby && host_mdns_start(client->host) == 0) {
        client->looked_nearby = true;
        core_expect_nearby(client->core, nanos_add(host_now(), NEARBY_TIMEOUT));
    }
}

int client_discover(struct plasm_client *client, const struct capability_query *query,
                    size_t count_max, nanos timeout, nanos settle) {
    nanos now = host_now();
    struct core_discovery_options options = {
        .query = *query, .count_max = count_max, .timeout = timeout, .settle = settle};
    client_look_nearby(client);
    core_discover(client->core, &options, now);
    return client_run(client, discovered, client, nanos_add(now, nanos_add(timeout, timeout)));
}

/* The lines of what was tried, "ADDRESS: ERROR; ADDRESS: ERROR", as objects. */
json_t *client_tried(const struct plasm_client *client) {
    json_t *tried = json_array();
    struct bytes rest = core_tried(client->core);
    while (rest.size > 0) {
        size_t end = 0;
        while (end < rest.size && rest.data[end] != '\n' && rest.data[end] != ';') {
            end++;
        }
        struct bytes entry = bytes_slice(rest, 0, end);
        while (entry.size > 0 && entry.data[0] == ' ') {
            entry = bytes_slice(entry, 1, entry.size);
        }
        rest = bytes_slice(rest, end + 1, rest.size);
        const void *colon = entry.size > 0 ? memmem(entry.data, entry.size, ": ", 2) : NULL;
        if (colon == NULL) {
            continue;
        }
        size_t size = (size_t)((const uint8_t *)colon - entry.data);
        (void)json_array_append_new(
            tried, json_pack("{s:o, s:o}", "address", text_json(bytes_slice(entry, 0, size)),
                             "error", text_json(bytes_slice(entry, size + 2, entry.size))));
    }
    return tried;
}

/* Addresses that have not even failed yet: what a firewall that drops everything looks like. */
static void add_silent(const struct plasm_client *client, json_t *tried) {
    if (peer_connection_count(host_peer(client->host)) > 0) {
        return;
    }
    for (size_t i = 0; i < client->bootstrap_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        bool listed = multiaddr_format(&client->bootstrap[i], text, sizeof(text)) != 0;
        for (size_t j = 0; j < json_array_size(tried) && !listed; j++) {
            const char *address =
                json_string_value(json_object_get(json_array_get(tried, j), "address"));
            listed = strncmp(text, address, strlen(address)) == 0;
        }
        if (!listed) {
            (void)json_array_append_new(tried, json_pack("{s:s, s:s}", "address", text, "error",
                                                         plasm_error_message(PLASM_TIMEOUT)));
        }
    }
}

static json_t *nodes_json(const struct plasm_client *client, const struct capability_query *query) {
    json_t *nodes = json_array();
    const struct core_node *node = NULL;
    while ((node = core_next_match(client->core, query, node)) != NULL) {
        json_t *object = client_capability_json(&node->capability);
        (void)json_object_set_new(object, "agent", json_string(node->agent));
        (void)json_object_set_new(
            object, "connect_us",
            json_integer((json_int_t)(node->connect_time / NANOS_MICROSECOND)));
        (void)json_array_append_new(nodes, object);
    }
    return nodes;
}

static int parse_query(const json_t *options, struct capability_query *query, int64_t *max,
                       int64_t *timeout_ms, int64_t *settle_ms) {
    int error = client_option_string(options, "arch", &query->arch);
    if (error == 0) {
        error = client_option_string(options, "runtime", &query->runtime);
    }
    if (error == 0) {
        error = client_option_string(options, "profile", &query->profile);
    }
    if (error == 0) {
        error = client_option_integer(options, "max", max);
    }
    if (error == 0) {
        error = client_option_integer(options, "timeout_ms", timeout_ms);
    }
    return error == 0 ? client_option_integer(options, "settle_ms", settle_ms) : error;
}

int plasm_discover(struct plasm_client *client, const char *query_json, const char **ret_json) {
    int error = client_enter(client);
    json_t *options = NULL;
    if (error == 0) {
        error = client_options(query_json, "query", &options);
    }
    struct capability_query query = {.arch = NULL};
    int64_t max = 20;
    int64_t timeout_ms = DISCOVER_TIMEOUT_MS_DEFAULT;
    int64_t settle_ms = -1;
    if (error == 0) {
        error = parse_query(options, &query, &max, &timeout_ms, &settle_ms);
    }
    nanos begun = host_now();
    if (error == 0) {
        nanos settle = settle_ms < 0 ? NANOS_NEVER : (nanos)settle_ms * NANOS_MILLISECOND;
        error = client_discover(client, &query, max > 0 ? (size_t)max : 1,
                                (nanos)timeout_ms * NANOS_MILLISECOND, settle);
    }
    if (error == 0) {
        json_t *nodes = nodes_json(client, &query);
        bool found = json_array_size(nodes) > 0;
        json_int_t elapsed = (json_int_t)(nanos_since(host_now(), begun) / NANOS_MICROSECOND);
        size_t networks;
        json_t *tried = client_tried(client);
        add_silent(client, tried);
        error = client_give_json(&client->text,
                                 json_pack("{s:o, s:o, s:o, s:I, s:I}", "nodes", nodes, "tried",
                                           tried, "warnings", client_take_warnings(client),
                                           "elapsed_us", elapsed, "nearby",
                                           (json_int_t)host_mdns_peers(client->host, &networks)),
                                 ret_json);
        if (error == 0 && !found) {
            error = client_fail(PLASM_NOT_FOUND,
                                client->bootstrap_count > 0 ? "no worker was found"
                                : client->looked_nearby
                                    ? "no worker was found: nobody to ask, and nobody on the local "
                                      "network answered. Name a node with --bootstrap or "
                                      "PLASM_BOOTSTRAP"
                                    : "no worker was found: nobody to ask. Name a node with "
                                      "--bootstrap or PLASM_BOOTSTRAP");
        }
    }
    json_decref(options);
    if (error == 0) {
        state_save(&client->state);
    }
    return error;
}
