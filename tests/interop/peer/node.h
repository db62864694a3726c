/* The test peer: a host, the commands under way on it, and the streams they use. The commands are
 * those of ../README.md; each has one function that begins it and one that sees events. */
#ifndef INTEROP_PEER_NODE_H
#define INTEROP_PEER_NODE_H

#include <jansson.h>

#include "host/host.h"
#include "proto/identify/identify.h"
#include "util/list.h"

#define ECHO_PROTOCOL       "/phase/interop/echo/1.0.0"
#define ECHO_STREAMS_MAX    256
#define REPLY_SIZE_MAX      (1 << 20)
#define ERROR_TEXT_MAX      1024
#define PROTOCOLS_ADDED_MAX 8

struct node {
    struct host *host;
    struct memory memory;
    struct peer_id id;
    char id_text[PEER_ID_TEXT_MAX];
    struct list requests;
    struct list echoes;  /* streams served now */
    struct dials *dials; /* the latest `dials`, NULL for none */
    size_t added_count;
    char *added[PROTOCOLS_ADDED_MAX]; /* names of add_protocol */
    bool quitting;
};

/* Whoever speaks on a stream: the first member of what its user pointer leads to. */
struct speaker {
    void (*on_event)(struct speaker *speaker, const struct peer_event *event);
};

/* One command on its way. It ends by exactly one of request_done and request_fail, which free it.
 */
struct request {
    struct list_node node_link;
    struct node *node;
    json_t *id;
    json_t *body;
    const struct command *command;
    nanos deadline;
    struct peer_id target;
    uint64_t connecting; /* peer_connect's request, 0 for none */
    struct peer_connection *connection;
    uint64_t waiting;    /* a ping or a lookup, 0 for none */
    void *work;          /* the command's own, freed by its `release` */
    bool awaits_relayed; /* PEER_EVENT_RELAYED is for it, too */
    bool begun;          /* the command's own part */
    bool ended;          /* answered; freed at the next event */
};

enum command_target { TARGET_NONE, TARGET_PEER };

struct command {
    const char *name;
    enum command_target target;
    /* Called when the target, if any, is connected and identified. */
    void (*begin)(struct request *request);
    /* Sees events that carry `waiting`; may be NULL. */
    void (*on_event)(struct request *request, const struct peer_event *event);
    /* Lets go of `work`, also when the command is cut short; may be NULL. */
    void (*release)(struct request *request);
};

extern const struct command commands_connection[]; /* end with a nameless one */
extern const struct command commands_stream[];
extern const struct command commands_kad[];
extern const struct command commands_reachability[];
extern const struct command commands_relay[];

/* request.c */
/* Takes one line of input. */
void request_line(struct node *node, struct bytes line);
/* Answers with `result` (a new reference, may be NULL) and "ok". */
void request_done(struct request *request, json_t *result);
void request_fail(struct request *request, const char *format, ...) PRINTF_FORMAT(2, 3);
/* request_fail with an error's text. */
void request_fail_error(struct request *request, const char *what, int error);
void commands_event(struct node *node, const struct peer_event *event);
void commands_expire(struct node *node);
nanos commands_deadline(const struct node *node);
void commands_free(struct node *node);
/* Fields of the request. The last two fail the request where the field is bad. */
const char *field_text(const struct request *request, const char *name);
bool field_number(struct request *request, const char *name, json_int_t otherwise, json_int_t min,
                  json_int_t max, json_int_t *ret_number);
/* Bytes of hexadecimal text, to be freed. */
bool field_hex(struct request *request, const char *name, uint8_t **ret_bytes, size_t *ret_size);

/* lines.c: what is written to standard output, one object a line */
void line_write(json_t *object);
json_t *json_of_address(struct bytes binary);
json_t *json_of_peer_id(const struct peer_id *id);
/* Text as it is; bytes that are no UTF-8 become question marks. */
json_t *json_of_bytes(struct bytes bytes);
json_t *json_of_hex(struct bytes bytes);

/* streams.c */
/* Serves a stream that the other side opened. */
void echo_serve(struct node *node, struct peer_stream *stream);
/* Ends all that are served. */
void echoes_free(struct node *node);

/* dials.c */
void dials_command_begin(struct request *request);
void dials_command_release(struct request *request);
/* Closes the connections that are held. */
void dials_command_free(struct node *node);

/* newcomer.c */
void newcomers_begin(struct request *request);

/* identify.c */
/* What an identify message says, as the answer of `identify`. */
json_t *identify_report(const struct identify *message, const struct peer_id *id);
/* "none", "valid" or "invalid"; fills in the addresses of a valid one. */
const char *identify_record(const struct identify *message, const struct peer_id *id,
                            json_t *addresses, int *ret_error);

#endif
