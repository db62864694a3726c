/* Why and why not: dry runs with every worker there is. */
#include <stdlib.h>

#include "client/client.h"

/* Workers asked at the same time. */
#define EXPLAIN_AT_ONCE   64
#define EXPLAIN_NODES_MAX 256

struct explanation {
    struct plasm_client *client;
    struct core_submission submission;
    struct manifest decoded; /* of "manifest": owns its strings */
    struct client_strings *strings;
    size_t count;
    struct core_job *jobs[EXPLAIN_NODES_MAX];
    size_t under_way; /* from this one on they are waited for */
};

static bool all_over(const void *context) {
    const struct explanation *explanation = context;
    for (size_t i = explanation->under_way; i < explanation->count; i++) {
        if (!core_job_over(explanation->jobs[i])) {
            return false;
        }
    }
    return true;
}

static int read_question(struct explanation *explanation, const json_t *options,
                         struct bytes module) {
    struct manifest *manifest = &explanation->submission.manifest;
    const json_t *given = json_object_get(options, "manifest");
    if (given == NULL) {
        int error = client_request_manifest(options, &explanation->strings[0],
                                            &explanation->strings[1], manifest);
        manifest->module_hash = sha256(module);
        manifest->module_size = module.size;
        manifest->stdin_hash = sha256(bytes_of(NULL, 0));
        return error;
    }
    struct fault fault = {.field = "manifest", .text = "is no manifest"};
    if (manifest_from_json(given, &explanation->client->memory, &explanation->decoded, &fault) !=
        0) {
        return client_fail(PLASM_INVALID, "%s %s", fault.field, fault.text);
    }
    *manifest = explanation->decoded;
    manifest->memory = NULL; /* borrowed */
    manifest->job_id[0] = '\0';
    return 0;
}

static int wait_all(struct explanation *explanation) {
    nanos deadline =
        nanos_add(host_now(), nanos_add(explanation->submission.timeout, NANOS_SECOND));
    int error = client_run(explanation->client, all_over, explanation, deadline);
    explanation->under_way = explanation->count;
    return error == PLASM_TIMEOUT ? 0 : error;
}

static int ask(struct explanation *explanation, const struct peer_id *id,
               const struct multiaddr *address) {
    struct core_submission *submission = &explanation->submission;
    submission->node = id != NULL && id->size > 0 ? id : NULL;
    submission->addresses = address;
    submission->address_count = address != NULL && address->size > 0;
    struct fault fault = {.field = "request", .text = "is not valid"};
    int error = core_submit(explanation->client->core, submission, host_now(), host_unix_ms(),
                            &explanation->jobs[explanation->count], &fault);
    if (error != 0) {
        return client_fail(error, "%s %s", fault.field, fault.text);
    }
    explanation->count++;
    return explanation->count - explanation->under_way >= EXPLAIN_AT_ONCE ? wait_all(explanation)
                                                                          : 0;
}

/* All that are found, whatever they are: why not is the question. */
static int ask_everybody(struct explanation *explanation) {
    const struct capability_query query = {.arch = NULL};
    int error = client_discover(explanation->client, &query, EXPLAIN_NODES_MAX,
                                DISCOVER_TIMEOUT_MS_DEFAULT * NANOS_MILLISECOND, NANOS_NEVER);
    const struct core_node *node = NULL;
    while (error == 0 && explanation->count < EXPLAIN_NODES_MAX &&
           (node = core_next_match(explanation->client->core, &query, node)) != NULL) {
        error = ask(explanation, &node->id, NULL);
    }
    return error;
}

static void add_over(json_t *list, const char *name, uint64_t asked, uint64_t allowed) {
    (void)json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "limit", name, "asked",
                                                (json_int_t)asked, "allowed", (json_int_t)allowed));
}

/* The limits that are asked to be higher than `allowed`; of fuel 0 is none. */
static json_t *over_json(const struct core_job_view *view, const struct job_limits *allowed) {
    const struct job_limits *asked = &view->manifest->limits;
    json_t *list = json_array();
    if (asked->memory_bytes > allowed->memory_bytes) {
        add_over(list, "memory_bytes", asked->memory_bytes, allowed->memory_bytes);
    }
    if (asked->wall_ms > allowed->wall_ms) {
        add_over(list, "wall_ms", asked->wall_ms, allowed->wall_ms);
    }
    if (asked->output_bytes > allowed->output_bytes) {
        add_over(list, "output_bytes", asked->output_bytes, allowed->output_bytes);
    }
    if (allowed->fuel > 0 && (asked->fuel == 0 || asked->fuel > allowed->fuel)) {
        add_over(list, "fuel", asked->fuel, allowed->fuel);
    }
    return list;
}

static json_t *accepted_json(const struct core_job_view *view) {
    const struct job_estimate *estimate = &view->estimate;
    const struct job_limits *limits = &estimate->limits;
    json_t *effective =
        json_pack("{s:I, s:I, s:I, s:I}", "fuel", (json_int_t)limits->fuel, "memory_bytes",
                  (json_int_t)limits->memory_bytes, "wall_ms", (json_int_t)limits->wall_ms,
                  "output_bytes", (json_int_t)limits->output_bytes);
    return json_pack("{s:b, s:I, s:I, s:b, s:o, s:o}", "accepted", 1, "price",
                     (json_int_t)estimate->price, "queue_position",
                     (json_int_t)estimate->queue_position, "module_held", estimate->module_held,
                     "limits", effective, "over", over_json(view, limits));
}

static json_t *rejected_json(const struct explanation *explanation,
                             const struct core_job_view *view) {
    bool asked = view->state == CORE_JOB_REJECTED;
    bool older = asked && view->code == JOB_REJECTED_NOT_FOUND;
    json_t *over =
        view->has_worker_limits ? over_json(view, &view->worker_limits.job) : json_array();
    if (view->has_worker_limits && view->manifest->module_size > view->worker_limits.module_bytes) {
        add_over(over, "module_bytes", view->manifest->module_size,
                 view->worker_limits.module_bytes);
    }
    if (view->has_worker_limits &&
        explanation->submission.stdin_size > view->worker_limits.stdin_bytes) {
        add_over(over, "stdin_bytes", explanation->submission.stdin_size,
                 view->worker_limits.stdin_bytes);
    }
    const char *code = older ? "unknown" : asked ? job_rejection_name(view->code) : "unreachable";
    const char *reason = older ? "an older worker: it cannot say without running the job"
                         : view->text != NULL ? view->text
                                              : "no answer";
    return json_pack("{s:b, s:s, s:s, s:o}", "accepted", 0, "code", code, "reason", reason, "over",
                     over);
}

static json_t *node_json(const struct explanation *explanation, const struct core_job *job) {
    struct core_job_view view;
    core_job_view(job, &view);
    json_t *node =
        view.state == CORE_JOB_ESTIMATED ? accepted_json(&view) : rejected_json(explanation, &view);
    char id[PEER_ID_TEXT_MAX] = "";
    char address[MULTIADDR_TEXT_MAX] = "";
    if (view.node.size > 0) {
        peer_id_format(&view.node, id);
    }
    if (view.remote.size == 0 || multiaddr_format(&view.remote, address, sizeof(address)) != 0) {
        address[0] = '\0';
    }
    (void)json_object_set_new(node, "peer_id", json_string(id));
    (void)json_object_set_new(node, "address", json_string(address));
    return node;
}

static int give(struct explanation *explanation, const char **ret_json) {
    json_t *nodes = json_array();
    size_t accepted = 0;
    for (size_t i = 0; i < explanation->count; i++) {
        json_t *node = node_json(explanation, explanation->jobs[i]);
        accepted += json_is_true(json_object_get(node, "accepted"));
        (void)json_array_append_new(nodes, node);
    }
    int error = client_give_json(&explanation->client->text,
                                 json_pack("{s:o, s:I, s:o}", "nodes", nodes, "accepted",
                                           (json_int_t)accepted, "tried",
                                           client_tried(explanation->client)),
                                 ret_json);
    return error == 0 && explanation->count == 0
               ? client_fail(PLASM_NOT_FOUND, "no worker was found to ask")
               : error;
}

static int explain(struct explanation *explanation, const json_t *options, struct bytes module,
                   const char **ret_json) {
    struct plasm_client *client = explanation->client;
    const char *text = NULL;
    int64_t timeout_ms = client->timeout_ms;
    int error = read_question(explanation, options, module);
    if (error == 0) {
        error = client_option_integer(options, "timeout_ms", &timeout_ms);
    }
    if (error == 0) {
        error = client_option_string(options, "node", &text);
    }
    explanation->submission.timeout = (nanos)timeout_ms * NANOS_MILLISECOND;
    if (error == 0 && text != NULL) {
        struct peer_id id = {.size = 0};
        struct multiaddr address = {.size = 0};
        error = client_parse_node(client, text, &id, &address);
        if (error == 0) {
            error = ask(explanation, &id, &address);
        }
    } else if (error == 0) {
        error = ask_everybody(explanation);
    }
    if (error == 0) {
        error = wait_all(explanation);
    }
    return error == 0 ? give(explanation, ret_json) : error;
}

int plasm_explain(struct plasm_client *client, const char *request_json, const uint8_t *module,
                  size_t module_size, uint64_t input_size, const char **ret_json) {
    int error = client_enter(client);
    json_t *options = NULL;
    if (error == 0) {
        error = client_options(request_json, "request", &options);
    }
    if (error != 0) {
        return error;
    }
    struct explanation *explanation = calloc(1, sizeof(*explanation));
    struct client_strings *strings = calloc(2, sizeof(*strings));
    if (explanation == NULL || strings == NULL) {
        error = client_fail(PLASM_NO_MEMORY, "out of memory");
    } else {
        explanation->client = client;
        explanation->strings = strings;
        explanation->submission.dry_run = true;
        explanation->submission.stdin_size = input_size;
        error = explain(explanation, options, bytes_of(module, module_size), ret_json);
        for (size_t i = 0; i < explanation->count; i++) {
            core_job_free(explanation->jobs[i], host_now());
        }
        manifest_done(&explanation->decoded);
    }
    free(strings);
    free(explanation);
    json_decref(options);
    return error;
}
