/* Throughput to a node and from it. */
#include "client/client.h"

static int answer(struct plasm_client *client, const struct peer_connection *connection,
                  uint64_t up_bytes, uint64_t down_bytes, const char **ret_json) {
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(peer_connection_id(connection), id);
    const struct client_wait *wait = &client->wait;
    json_t *object = json_object();
    (void)json_object_set_new(object, "peer_id", json_string(id));
    (void)json_object_set_new(object, "up_bytes", json_integer((json_int_t)up_bytes));
    (void)json_object_set_new(object, "up_us",
                              json_integer((json_int_t)(wait->elapsed / NANOS_MICROSECOND)));
    (void)json_object_set_new(object, "down_bytes", json_integer((json_int_t)down_bytes));
    (void)json_object_set_new(object, "down_us",
                              json_integer((json_int_t)(wait->elapsed_down / NANOS_MICROSECOND)));
    return client_give_json(&client->text, object, ret_json);
}

int plasm_perf(struct plasm_client *client, const char *node, uint64_t up_bytes,
               uint64_t down_bytes, const char **ret_json) {
    if (up_bytes > INT64_MAX || down_bytes > INT64_MAX) {
        return client_fail(PLASM_INVALID, "so many bytes cannot be counted");
    }
    int error = client_enter(client);
    struct peer_connection *connection = NULL;
    if (error == 0) {
        error = client_connect(client, node, client_deadline(client->timeout_ms), &connection);
    }
    if (error != 0) {
        return error;
    }
    uint64_t request;
    error =
        peer_perf(host_peer(client->host), connection, up_bytes, down_bytes, host_now(), &request);
    client->wait.connection = connection;
    if (error == 0) {
        error = client_wait_for(client, request, NANOS_NEVER);
    }
    if (error == PLASM_UNSUPPORTED) {
        return client_fail(error,
                           "%s does not answer /perf/1.0.0: its operator can allow it with "
                           "perf = yes in plasmd.conf",
                           node);
    }
    if (error != 0) {
        return client_fail(error, "perf of %s: %s", node, plasm_error_message(error));
    }
    return answer(client, connection, up_bytes, down_bytes, ret_json);
}
