/* Making and freeing a client. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/client.h"
#include "host/address.h"
#include "host/identity_file.h"
#include "proto/kad/kad.h"

#define AGENT "plasm/" PLASM_VERSION

static void on_log(void *context, enum log_level level, const char *topic, const char *text) {
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    (void)context;
    (void)fprintf(stderr, "%s %s: %s\n", names[level], topic, text);
}

/* A host named without its peer id is trusted on first use and remembered. */
static void note_identity(struct plasm_client *client, const struct peer_event *event) {
    if (event->connection == NULL || peer_connection_inbound(event->connection) ||
        event->request != 0 || event->count >= client->bootstrap_count) {
        return;
    }
    const struct multiaddr *given = &client->bootstrap[event->count];
    if (multiaddr_peer_id(given).size == 0) {
        client_trust(client, given, peer_connection_id(event->connection));
    }
}

static void note_wait(struct plasm_client *client, const struct peer_event *event) {
    struct client_wait *wait = &client->wait;
    if (wait->request == 0 || wait->done) {
        return;
    }
    bool mine = event->request == wait->request;
    bool identified = event->type == PEER_EVENT_IDENTIFIED && wait->request == WAIT_IDENTIFIED &&
                      event->connection == wait->connection && wait->connection != NULL;
    bool lost = event->type == PEER_EVENT_DISCONNECTED && event->connection == wait->connection &&
                wait->connection != NULL;
    if (!mine && !identified && !lost) {
        return;
    }
    wait->done = true;
    wait->error = lost ? PLASM_CLOSED : event->error;
    wait->elapsed = event->elapsed;
    wait->elapsed_down = event->elapsed_down;
    if (event->type == PEER_EVENT_CONNECTED) {
        wait->connection = event->connection;
    }
    if (event->type == PEER_EVENT_CONNECT_FAILED) {
        bytes_cut_string(event->data, wait->text, sizeof(wait->text));
    }
}

static void on_event(void *context, const struct peer_event *event) {
    struct plasm_client *client = context;
    if (event->type == PEER_EVENT_CONNECTED) {
        note_identity(client, event);
        if (!peer_connection_inbound(event->connection)) {
            client_remember(client, event->connection);
        }
    }
    note_wait(client, event);
    core_handle(client->core, event, host_now(), host_unix_ms());
}

static int add_bootstrap(struct plasm_client *client, struct bytes text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = bytes_slice(text, 1, text.size);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\n')) {
        text.size--;
    }
    if (text.size == 0 || client->bootstrap_count == PEER_BOOTSTRAP_MAX) {
        return 0;
    }
    struct multiaddr *address = &client->bootstrap[client->bootstrap_count];
    if (address_parse(text, address) != 0) {
        return client_fail(PLASM_INVALID,
                           "bootstrap address '%.*s' is not valid: write a host, host:port, or a "
                           "multiaddr such as /ip4/192.0.2.1/udp/4001/quic-v1",
                           (int)text.size, (const char *)text.data);
    }
    client->bootstrap_count++;
    return 0;
}

/* The caller's addresses; else PLASM_BOOTSTRAP's; else those of earlier runs, and whoever is on the
 * local network. */
static int collect_bootstrap(struct plasm_client *client, const json_t *options) {
    const json_t *list = json_object_get(options, "bootstrap");
    if (list != NULL && !json_is_null(list) && !json_is_array(list)) {
        return client_fail(PLASM_INVALID, "bootstrap must be a list of addresses");
    }
    int error = 0;
    for (size_t i = 0; i < json_array_size(list) && error == 0; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        error = text == NULL ? client_fail(PLASM_INVALID, "bootstrap must be a list of strings")
                             : add_bootstrap(client, bytes_of_string(text));
    }
    const char *environment = getenv("PLASM_BOOTSTRAP");
    if (error == 0 && client->bootstrap_count == 0 && environment != NULL) {
        struct bytes rest = bytes_of_string(environment);
        while (rest.size > 0 && error == 0) {
            const uint8_t *comma = memchr(rest.data, ',', rest.size);
            size_t size = comma != NULL ? (size_t)(comma - rest.data) : rest.size;
            error = add_bootstrap(client, bytes_slice(rest, 0, size));
            rest = bytes_slice(rest, size + 1, rest.size);
        }
    }
    const json_t *mdns = json_object_get(options, "mdns");
    client->mdns =
        mdns != NULL && !json_is_null(mdns) ? json_is_true(mdns) : client->bootstrap_count == 0;
    if (error == 0 && client->bootstrap_count == 0) {
        client->bootstrap_count = client->state.peer_count;
        memcpy(client->bootstrap, client->state.peers,
               client->state.peer_count * sizeof(client->state.peers[0]));
    }
    return error;
}

/* The addresses to dial: with the identity that was found there before. */
static void start_bootstrap(struct plasm_client *client) {
    struct multiaddr addresses[PEER_BOOTSTRAP_MAX];
    for (size_t i = 0; i < client->bootstrap_count; i++) {
        addresses[i] = client->bootstrap[i];
        const struct peer_id *known = state_identity(&client->state, &addresses[i]);
        if (known != NULL &&
            multiaddr_append(&addresses[i], MULTIADDR_P2P, peer_id_bytes(known)) != 0) {
            addresses[i] = client->bootstrap[i];
        }
    }
    peer_bootstrap(host_peer(client->host), addresses, client->bootstrap_count, host_now());
}

static int make_identity(struct plasm_client *client, const char *path) {
    if (path == NULL) {
        identity_fresh(&client->secret);
    } else {
        int error = identity_file_ensure(path, &client->secret);
        if (error != 0) {
            return client_fail(error, "identity file %s: %s", path,
                               error == PLASM_UNTRUSTED
                                   ? "others may read it, or it is damaged: chmod 600 it"
                                   : plasm_error_message(error));
        }
    }
    return signer_local_new(&client->secret, &client->memory, &client->signer);
}

static int make_host(struct plasm_client *client) {
    struct host_config config = {.signer = client->signer,
                                 .memory = &client->memory,
                                 .agent = AGENT,
                                 .kad_protocol = client->kad_protocol,
                                 .capability_reader = true,
                                 .log = client->log.write != NULL ? &client->log : NULL,
                                 .on_event = on_event,
                                 .context = client};
    int error = host_new(&config, &client->host, NULL);
    if (error != 0) {
        return client_fail(error, "cannot open UDP sockets: %s", plasm_error_message(error));
    }
    struct core_config core = {.peer = host_peer(client->host),
                               .memory = &client->memory,
                               .random = &client->random,
                               .bootstrap_count = client->bootstrap_count,
                               .log = config.log};
    return core_new(&core, &client->core);
}

static int configure(struct plasm_client *client, const json_t *options) {
    const char *state_dir = NULL;
    const char *identity = NULL;
    const char *kad_protocol = KAD_PROTOCOL;
    client->timeout_ms = CLIENT_TIMEOUT_MS_DEFAULT;
    int error = client_option_string(options, "state_dir", &state_dir);
    if (error == 0) {
        error = client_option_string(options, "identity", &identity);
    }
    if (error == 0) {
        error = client_option_string(options, "kad_protocol", &kad_protocol);
    }
    if (error == 0) {
        error = client_option_integer(options, "timeout_ms", &client->timeout_ms);
    }
    if (error == 0 && bytes_to_string(bytes_of_string(kad_protocol), client->kad_protocol,
                                      sizeof(client->kad_protocol)) != 0) {
        error = client_fail(PLASM_INVALID, "kad_protocol is too long");
    }
    if (json_is_true(json_object_get(options, "trace"))) {
        client->log = (struct log_sink){.write = on_log, .level = LOG_LEVEL_DEBUG};
    }
    if (error == 0) {
        state_load(&client->state, state_dir);
        error = collect_bootstrap(client, options);
    }
    return error == 0 ? make_identity(client, identity) : error;
}

int plasm_client_new(const char *options_json, struct plasm_client **ret_client) {
    *ret_client = NULL;
    int error = crypto_init();
    if (error != 0) {
        return client_fail(error, "the cryptographic libraries cannot start");
    }
    json_t *options = NULL;
    error = client_options(options_json, "options", &options);
    if (error != 0) {
        return error;
    }
    struct plasm_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        json_decref(options);
        return client_fail(PLASM_NO_MEMORY, "out of memory");
    }
    client->pid = getpid();
    memory_init(&client->memory, CLIENT_MEMORY_MAX);
    uint8_t seed[32];
    host_random((struct span){seed, sizeof(seed)});
    random_init(&client->random, seed);
    error = configure(client, options);
    json_decref(options);
    if (error == 0) {
        error = make_host(client);
    }
    if (error != 0) {
        plasm_client_free(client);
        return error;
    }
    struct peer_id id;
    peer_id_from_key(signer_public_key(client->signer), &id);
    peer_id_format(&id, client->peer_id);
    start_bootstrap(client);
    *ret_client = client;
    return 0;
}

void plasm_client_free(struct plasm_client *client) {
    if (client == NULL) {
        return;
    }
    if (client->pid == getpid()) {
        state_save(&client->state);
        host_free(client->host); /* its last events still reach the core */
        core_free(client->core);
        signer_free(client->signer);
        random_done(&client->random);
    }
    ed25519_done(&client->secret);
    free(client->text);
    free(client->warnings_text);
    json_decref(client->warnings);
    free(client);
}

json_t *client_take_warnings(struct plasm_client *client) {
    json_t *warnings = client->warnings != NULL ? client->warnings : json_array();
    client->warnings = NULL;
    return warnings;
}

const char *plasm_client_warnings(struct plasm_client *client) {
    const char *text;
    int error = client_give_json(&client->warnings_text, client_take_warnings(client), &text);
    return error == 0 ? text : "[]";
}

const char *plasm_client_peer_id(const struct plasm_client *client) {
    return client->peer_id;
}
