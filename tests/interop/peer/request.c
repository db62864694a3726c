/* The life of a command: read from a line, its peer dialled where it names one, answered once. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 10000
#define TIMEOUT_MAX_MS     120000

static const struct command *find_command(const char *name) {
    const struct command *const tables[] = {commands_connection, commands_stream, commands_kad,
                                            commands_relay, commands_reachability};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct command *command = tables[i]; command->name != NULL; command++) {
            if (strcmp(command->name, name) == 0) {
                return command;
            }
        }
    }
    return NULL;
}

static void request_free(struct request *request) {
    if (request->command != NULL && request->command->release != NULL) {
        request->command->release(request);
    }
    if (request->connecting != 0) {
        peer_connect_cancel(host_peer(request->node->host), request->connecting, host_now());
    }
    list_remove(&request->node->requests, &request->node_link);
    json_decref(request->id);
    json_decref(request->body);
    free(request);
}

static void answer(json_t *id, bool ok, json_t *result, const char *error) {
    json_t *line = result != NULL ? result : json_object();
    json_object_set_new(line, "id", id != NULL ? json_incref(id) : json_null());
    json_object_set_new(line, "ok", json_boolean(ok));
    if (error != NULL) {
        json_object_set_new(line, "error", json_of_bytes(bytes_of_string(error)));
    }
    line_write(line);
    json_decref(line);
}

void request_done(struct request *request, json_t *result) {
    answer(request->id, true, result, NULL);
    request->ended = true;
}

void request_fail(struct request *request, const char *format, ...) {
    char text[ERROR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    answer(request->id, false, NULL, text);
    request->ended = true;
}

void request_fail_error(struct request *request, const char *what, int error) {
    request_fail(request, "%s: %s", what, plasm_error_message(error));
}

const char *field_text(const struct request *request, const char *name) {
    const char *text = json_string_value(json_object_get(request->body, name));
    return text != NULL ? text : "";
}

bool field_number(struct request *request, const char *name, json_int_t otherwise, json_int_t min,
                  json_int_t max, json_int_t *ret_number) {
    const json_t *field = json_object_get(request->body, name);
    json_int_t number = field == NULL ? otherwise : json_integer_value(field);
    if ((field != NULL && !json_is_integer(field)) || number < min || number > max) {
        request_fail(request, "%s must be a number from %lld to %lld", name, (long long)min,
                     (long long)max);
        return false;
    }
    *ret_number = number;
    return true;
}

bool field_hex(struct request *request, const char *name, uint8_t **ret_bytes, size_t *ret_size) {
    struct bytes hex = bytes_of_string(field_text(request, name));
    size_t size = hex.size / 2;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL ||
        bytes_from_hex(hex, (struct span){.data = bytes, .size = size}, &size) != 0) {
        free(bytes);
        request_fail(request, "%s is no hexadecimal text", name);
        return false;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return true;
}

static void begin_command(struct request *request) {
    if (!request->begun) {
        request->begun = true;
        request->command->begin(request);
    }
}

/* A connection whose identify has not ended is waited for; see request_event. */
static void begin_when_identified(struct request *request) {
    if (*peer_connection_user(request->connection) != NULL) {
        begin_command(request);
    }
}

static void use_existing(struct request *request) {
    struct peer_connection *connection =
        peer_connection_to(host_peer(request->node->host), &request->target);
    if (connection == NULL) {
        request_fail(request, "not connected to this peer");
        return;
    }
    request->connection = connection;
    begin_when_identified(request);
}

static void dial(struct request *request, const char *text) {
    struct multiaddr address;
    int error = multiaddr_parse(bytes_of_string(text), &address);
    struct bytes id = error == 0 ? multiaddr_peer_id(&address) : bytes_of(NULL, 0);
    if (error == 0) {
        error = id.size == 0 ? PLASM_INVALID : peer_id_decode(id, &request->target);
    }
    if (error != 0) {
        request_fail_error(request, "addr", error);
        return;
    }
    error = peer_connect(host_peer(request->node->host), &request->target, &address, 1, host_now(),
                         &request->connecting);
    if (error != 0) {
        request->connecting = 0;
        request_fail_error(request, "connect", error);
    }
}

static void find_target(struct request *request) {
    const char *id = field_text(request, "peer_id");
    const char *addr = field_text(request, "addr");
    if (id[0] != '\0') {
        if (peer_id_parse(bytes_of_string(id), &request->target) != 0) {
            request_fail(request, "peer_id is no peer id");
        } else {
            use_existing(request);
        }
    } else if (addr[0] != '\0') {
        dial(request, addr);
    } else {
        request_fail(request, "needs peer_id or addr");
    }
}

static void begin(struct request *request) {
    const char *name = field_text(request, "cmd");
    json_int_t timeout;
    if (!field_number(request, "timeout_ms", TIMEOUT_DEFAULT_MS, 1, INT32_MAX, &timeout)) {
        return;
    }
    timeout = timeout < TIMEOUT_MAX_MS ? timeout : TIMEOUT_MAX_MS;
    request->deadline = nanos_add(host_now(), (nanos)timeout * NANOS_MILLISECOND);
    if (strcmp(name, "quit") == 0) {
        request->node->quitting = true;
        request_done(request, NULL);
        return;
    }
    request->command = find_command(name);
    if (request->command == NULL) {
        request_fail(request, "unknown command \"%s\"", name);
    } else if (request->command->target == TARGET_PEER) {
        find_target(request);
    } else {
        begin_command(request);
    }
}

void request_line(struct node *node, struct bytes line) {
    json_error_t error;
    json_t *body = json_loadb((const char *)line.data, line.size, 0, &error);
    if (!json_is_object(body)) {
        answer(NULL, false, NULL, "the line is no JSON object");
        json_decref(body);
        return;
    }
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        abort();
    }
    request->node = node;
    request->body = body;
    request->id = json_incref(json_object_get(body, "id"));
    list_append(&node->requests, &request->node_link);
    begin(request);
    if (request->ended) {
        request_free(request);
    }
}

static void request_event(struct request *request, const struct peer_event *event) {
    if (event->request != 0 && event->request == request->connecting) {
        request->connecting = 0;
        if (event->type == PEER_EVENT_CONNECT_FAILED) {
            request_fail(request, "connect: %s: %.*s", plasm_error_message(event->error),
                         (int)event->data.size, (const char *)event->data.data);
        } else {
            request->connection = event->connection;
            begin_when_identified(request);
        }
        return;
    }
    if (event->connection != NULL && event->connection == request->connection) {
        if (event->type == PEER_EVENT_IDENTIFIED) {
            begin_command(request);
            return;
        }
        if (event->type == PEER_EVENT_DISCONNECTED) {
            request_fail_error(request, "the connection ended", event->error);
            return;
        }
    }
    if ((event->request != 0 && event->request == request->waiting) ||
        (event->type == PEER_EVENT_RELAYED && request->awaits_relayed)) {
        request->command->on_event(request, event);
    }
}

void commands_event(struct node *node, const struct peer_event *event) {
    if (event->type == PEER_EVENT_IDENTIFIED) {
        *peer_connection_user(event->connection) = node; /* identify has ended */
    }
    struct list_node *link = list_first(&node->requests);
    while (link != NULL) {
        struct request *request = CONTAINER_OF(link, struct request, node_link);
        link = list_next(&node->requests, link);
        if (!request->ended) {
            request_event(request, event);
        }
        if (request->ended) {
            request_free(request);
        }
    }
}

nanos commands_deadline(const struct node *node) {
    nanos deadline = NANOS_NEVER;
    for (struct list_node *link = list_first(&node->requests); link != NULL;
         link = list_next(&node->requests, link)) {
        deadline = nanos_min(deadline, CONTAINER_OF(link, struct request, node_link)->deadline);
    }
    return deadline;
}

void commands_expire(struct node *node) {
    nanos now = host_now();
    struct list_node *link = list_first(&node->requests);
    while (link != NULL) {
        struct request *request = CONTAINER_OF(link, struct request, node_link);
        link = list_next(&node->requests, link);
        if (!request->ended && request->deadline <= now) {
            request_fail(request, "timed out");
        }
        if (request->ended) {
            request_free(request);
        }
    }
}

void commands_free(struct node *node) {
    struct list_node *link;
    while ((link = list_first(&node->requests)) != NULL) {
        request_free(CONTAINER_OF(link, struct request, node_link));
    }
}
