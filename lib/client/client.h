/* What the files of libplasm share. Nothing outside lib/client includes this. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <jansson.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "client/core/core.h"
#include "host/host.h"
#include "host/state.h"
#include "plasm.h"

#define CLIENT_TIMEOUT_MS_DEFAULT   30000
#define DISCOVER_TIMEOUT_MS_DEFAULT 4000
/* Workers on the local network answer within 120 ms; a lost question is repeated after a second. */
#define NEARBY_TIMEOUT    (2500 * NANOS_MILLISECOND)
#define CLIENT_MEMORY_MAX ((size_t)2 * 1024 * 1024 * 1024)

/* No peer's request: waits for the connection to be identified. */
#define WAIT_IDENTIFIED UINT64_MAX

/* A ping, identify or connect that a blocking call waits for. */
struct client_wait {
    uint64_t request;
    bool done;
    int error;
    struct peer_connection *connection;
    nanos elapsed;
    nanos elapsed_down;
    char text[CORE_TEXT_SIZE];
};

struct plasm_client {
    pid_t pid; /* of the process it was made in: a fork cannot use it */
    struct memory memory;
    struct random random;
    struct ed25519_secret secret;
    struct signer *signer;
    struct host *host;
    struct core *core;
    struct state state;
    struct log_sink log;
    char kad_protocol[128];
    char peer_id[PEER_ID_TEXT_MAX];
    int64_t timeout_ms;
    size_t bootstrap_count;
    struct multiaddr bootstrap[PEER_BOOTSTRAP_MAX]; /* as given */
    bool mdns; /* look on the local network, when somebody is looked for */
    bool looked_nearby;
    bool jobs_pruned; /* those remembered */
    struct client_wait wait;
    atomic_bool interrupted;
    char *text; /* the last JSON given */
    char *warnings_text;
    json_t *warnings;
};

struct plasm_job {
    struct plasm_client *client;
    struct core_job *job;
    nanos submitted_at;
    nanos accept_by;
    bool want_summary;
    bool remembered;       /* in the state directory, to ask for it again */
    struct buffer kept[3]; /* output not read by the application, by stream */
    char *info;
    char *result;
    int result_error;
};

#define CLIENT_STRINGS_MAX 1024
/* Arguments or variables of a request; borrowed from its JSON. */
struct client_strings {
    struct bytes items[CLIENT_STRINGS_MAX];
    size_t count;
};

/* submit.c: what a request says of a manifest, whose lists are in `args` and `env`. */
MUST_CHECK int client_request_manifest(const json_t *options, struct client_strings *args,
                                       struct client_strings *env, struct manifest *ret_manifest);

/* error.c: sets the thread's last error text and returns `error`. */
int client_fail(int error, const char *format, ...) PRINTF_FORMAT(2, 3);

/* loop.c: runs the client's loop until `done` says so: 0; PLASM_TIMEOUT, PLASM_CANCELLED. */
MUST_CHECK int client_run(struct plasm_client *client, bool (*done)(const void *context),
                          const void *context, nanos deadline);
/* 0, or PLASM_STATE in a forked child; clears an old interrupt. */
MUST_CHECK int client_enter(struct plasm_client *client);
nanos client_deadline(int64_t timeout_ms);
/* Keeps `value` as the handle's text; steals the reference. */
MUST_CHECK int client_give_json(char **place, json_t *value, const char **ret_text);
/* Parses an options object; NULL gives an empty one. *ret_object is a new reference. */
MUST_CHECK int client_options(const char *text, const char *what, json_t **ret_object);
/* Optional members: false and a message when the type is wrong. */
MUST_CHECK int client_option_string(const json_t *object, const char *key, const char **value);
MUST_CHECK int client_option_integer(const json_t *object, const char *key, int64_t *value);

/* submit.c: a handle without a job; plasm_job_free frees it. NULL: no memory. */
struct plasm_job *client_job_new(struct plasm_client *client);
/* fetch.c: remembers the job in the state directory, with the fetch secret. */
void client_ticket_save(struct plasm_job *job);
void client_ticket_forget(struct plasm_job *job);

/* node.c: waits for the answer to `request`, which is then in `wait`. */
MUST_CHECK int client_wait_for(struct plasm_client *client, uint64_t request, nanos deadline);
/* "12D3Koo..." or a multiaddr or host[:port]. */
MUST_CHECK int client_parse_node(struct plasm_client *client, const char *text,
                                 struct peer_id *ret_id, struct multiaddr *ret_address);
/* Connects and gives the connection. */
MUST_CHECK int client_connect(struct plasm_client *client, const char *node, nanos deadline,
                              struct peer_connection **ret_connection);
/* Remembers who was found at an address named without a peer id, and says so once. */
void client_trust(struct plasm_client *client, const struct multiaddr *address,
                  const struct peer_id *id);
/* What was to be said so far, a new reference; forgets it. */
json_t *client_take_warnings(struct plasm_client *client);
/* Somebody is looked for: from now on on the local network, too, where that is wanted. */
void client_look_nearby(struct plasm_client *client);
/* Notes a connection's address for the next run. */
void client_remember(struct plasm_client *client, const struct peer_connection *connection);
/* Discovery with the given query, for submit without a node too. */
MUST_CHECK int client_discover(struct plasm_client *client, const struct capability_query *query,
                               size_t count_max, nanos timeout, nanos settle);
json_t *client_tried(const struct plasm_client *client);
json_t *client_capability_json(const struct capability *capability);

#endif
