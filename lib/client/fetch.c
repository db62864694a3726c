/* Asking again for a job: what is remembered of it, and plasm_receipt. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "host/state_jobs.h"
#include "wire/json.h"
#include "wire/multibase.h"

/* What one has to know to ask again. */
struct ticket {
    struct manifest manifest;
    uint8_t secret[FETCH_SECRET_SIZE];
    struct peer_id node;      /* size 0: not known */
    struct multiaddr address; /* where it was; size 0 likewise */
};

static json_t *ticket_json(const struct core_job_view *view) {
    char node[PEER_ID_TEXT_MAX] = "";
    char address[MULTIADDR_TEXT_MAX] = "";
    char secret[2 * FETCH_SECRET_SIZE + 1];
    json_t *manifest = NULL;
    if (view->node.size > 0) {
        peer_id_format(&view->node, node);
    }
    if (view->remote.size == 0 || multiaddr_format(&view->remote, address, sizeof(address)) != 0) {
        address[0] = '\0';
    }
    bytes_to_hex(bytes_of(view->fetch_secret, FETCH_SECRET_SIZE), secret, sizeof(secret));
    (void)!json_read(view->manifest_json, &manifest);
    json_t *ticket = json_pack("{s:s, s:s, s:s, s:o}", "node", node, "address", address,
                               "fetch_secret", secret, "manifest", manifest);
    crypto_wipe(secret, sizeof(secret));
    return ticket;
}

void client_ticket_save(struct plasm_job *job) {
    struct plasm_client *client = job->client;
    struct core_job_view view;
    core_job_view(job->job, &view);
    if (!job->remembered && state_job_known(&client->state, view.job_id)) {
        return; /* an earlier job of this id: this one will be refused, that one can be asked for */
    }
    json_t *ticket = ticket_json(&view);
    char *text = ticket != NULL ? json_dumps(ticket, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(ticket);
    /* As with known nodes: what cannot be kept is no error of the job's. */
    job->remembered =
        text != NULL && state_job_save(&client->state, view.job_id, bytes_of_string(text)) == 0;
    if (text != NULL) {
        crypto_wipe(text, strlen(text));
    }
    free(text);
    if (!client->jobs_pruned) {
        client->jobs_pruned = true;
        state_jobs_prune(&client->state, host_unix_ms() / 1000);
    }
}

void client_ticket_forget(struct plasm_job *job) {
    struct core_job_view view;
    core_job_view(job->job, &view);
    state_job_forget(&job->client->state, view.job_id);
    job->remembered = false;
}

static int load_ticket(struct plasm_client *client, const char *job_id, json_t **ret_ticket) {
    struct buffer text;
    buffer_init(&text, &client->memory, STATE_JOB_SIZE_MAX);
    int error = state_job_load(&client->state, job_id, &text);
    if (error == PLASM_INVALID) {
        error = client_fail(error, "'%s' is not a job id", job_id);
    } else if (error == PLASM_NOT_FOUND) {
        error = client_fail(error,
                            "nothing is remembered of job %s: it was not submitted from this state "
                            "directory, or more than a day ago",
                            job_id);
    } else if (error != 0) {
        error = client_fail(error, "what is remembered of job %s cannot be read: %s", job_id,
                            error == PLASM_IO ? strerror(errno) : plasm_error_message(error));
    } else if (json_read(buffer_bytes(&text), ret_ticket) != 0) {
        error = client_fail(PLASM_MALFORMED, "what is remembered of job %s is damaged", job_id);
    }
    if (text.size > 0) {
        crypto_wipe(text.data + text.start, text.size);
    }
    buffer_done(&text);
    return error;
}

static int read_secret(const json_t *object, uint8_t secret[FETCH_SECRET_SIZE]) {
    const char *text = NULL;
    size_t size = 0;
    int error = client_option_string(object, "fetch_secret", &text);
    if (error == 0 && (text == NULL || strlen(text) != 2 * (size_t)FETCH_SECRET_SIZE ||
                       bytes_from_hex(bytes_of_string(text),
                                      (struct span){secret, FETCH_SECRET_SIZE}, &size) != 0)) {
        error = client_fail(PLASM_INVALID, "fetch_secret must be 64 hexadecimal digits");
    }
    return error;
}

/* Reads the members of a ticket, the caller's or a remembered one. The manifest is to be freed with
 * manifest_done. */
static int read_ticket(struct plasm_client *client, const json_t *object, struct ticket *ticket) {
    struct fault fault = {.field = "manifest", .text = "is missing"};
    int error = read_secret(object, ticket->secret);
    if (error == 0 && manifest_from_json(json_object_get(object, "manifest"), &client->memory,
                                         &ticket->manifest, &fault) != 0) {
        error = client_fail(PLASM_INVALID, "manifest: %s %s", fault.field, fault.text);
    }
    struct sha256_digest hash = sha256(BYTES_ARRAY(ticket->secret));
    if (error == 0 &&
        (!ticket->manifest.fetchable || !sha256_equal(&hash, &ticket->manifest.fetch_hash))) {
        error = client_fail(PLASM_INVALID, "the fetch_secret is not this manifest's");
    }
    const char *node = "";
    const char *address = "";
    if (error == 0) {
        error = client_option_string(object, "address", &address);
    }
    if (error == 0) {
        error = client_option_string(object, "node", &node);
    }
    if (error == 0 && address[0] != '\0' &&
        multiaddr_parse(bytes_of_string(address), &ticket->address) != 0) {
        ticket->address.size = 0;
    }
    if (error == 0 && node[0] != '\0') {
        struct multiaddr at = {.size = 0};
        error = client_parse_node(client, node, &ticket->node, &at);
        ticket->address = at.size > 0 ? at : ticket->address;
    }
    return error;
}

/* From the request: a ticket of its own, or the remembered one; `node` over it. */
static int find_ticket(struct plasm_client *client, const json_t *request, struct ticket *ticket) {
    const char *job_id = NULL;
    const char *node = NULL;
    int error = client_option_string(request, "job_id", &job_id);
    if (error == 0 && json_object_get(request, "manifest") != NULL) {
        error = read_ticket(client, request, ticket);
    } else if (error == 0 && job_id == NULL) {
        error = client_fail(PLASM_INVALID, "a job_id, or manifest and fetch_secret, must be given");
    } else if (error == 0) {
        json_t *remembered = NULL;
        error = load_ticket(client, job_id, &remembered);
        if (error == 0) {
            error = read_ticket(client, remembered, ticket);
        }
        json_decref(remembered);
        if (error == 0) {
            error = client_option_string(request, "node", &node);
        }
        if (error == 0 && node != NULL) {
            struct peer_id id = {.size = 0};
            ticket->address.size = 0;
            error = client_parse_node(client, node, &id, &ticket->address);
            /* An address alone is another way to the same node. */
            ticket->node = id.size > 0 ? id : ticket->node;
        }
    }
    if (error == 0 && ticket->node.size == 0 && ticket->address.size == 0) {
        error = client_fail(PLASM_INVALID, "which node accepted the job is not known: name it");
    }
    return error;
}

static bool is_over(const void *context) {
    return core_job_over(context);
}

static bool is_accepted(const void *context) {
    struct core_job_view view;
    core_job_view(context, &view);
    return view.state >= CORE_JOB_ACCEPTED;
}

/* One question. *ret_job is the caller's to free. */
static int ask(struct plasm_client *client, const struct ticket *ticket, int64_t timeout_ms,
               struct plasm_job **ret_job) {
    struct core_submission submission = {.node = ticket->node.size > 0 ? &ticket->node : NULL,
                                         .addresses = &ticket->address,
                                         .address_count = ticket->address.size > 0,
                                         .manifest = ticket->manifest,
                                         .want_summary = true,
                                         .fetch_only = true,
                                         .fetch_secret = BYTES_ARRAY(ticket->secret),
                                         .timeout = (nanos)timeout_ms * NANOS_MILLISECOND};
    struct plasm_job *job = client_job_new(client);
    if (job == NULL) {
        return client_fail(PLASM_NO_MEMORY, "out of memory");
    }
    job->want_summary = true;
    submission.manifest.memory = NULL; /* borrowed from the ticket */
    struct fault fault = {.field = "request", .text = "is not valid"};
    int error =
        core_submit(client->core, &submission, host_now(), host_unix_ms(), &job->job, &fault);
    if (error != 0) {
        error = client_fail(error, "%s %s", fault.field, fault.text);
        plasm_job_free(job);
        return error;
    }
    error = client_run(client, is_accepted, job->job, nanos_add(host_now(), submission.timeout));
    if (error != 0) {
        plasm_job_free(job);
        return error;
    }
    *ret_job = job;
    return 0;
}

/* A job that had not ended gives its receipt alone at its end: then it is asked for once more. A
 * node that is not where it was is looked up. */
static int ask_until_whole(struct plasm_client *client, struct ticket *ticket, int64_t timeout_ms,
                           const char **ret_json) {
    int error = 0;
    for (int round = 0; round < 3; round++) {
        struct plasm_job *job = NULL;
        const char *json = NULL;
        error = ask(client, ticket, timeout_ms, &job);
        if (error != 0) {
            return error;
        }
        bool waited = !is_over(job->job);
        error = plasm_job_result(job, &json);
        struct core_job_view view;
        core_job_view(job->job, &view);
        bool moved = error == PLASM_UNREACHABLE && ticket->node.size > 0 &&
                     ticket->address.size > 0 && client->bootstrap_count > 0;
        bool again = moved || (error == 0 && waited && round < 2 && !view.output_given);
        ticket->address.size = moved ? 0 : ticket->address.size;
        if (json != NULL && !again) {
            free(client->text);
            client->text = job->result;
            job->result = NULL;
            *ret_json = client->text;
        }
        plasm_job_free(job);
        if (!again) {
            return error;
        }
    }
    return error;
}

int plasm_receipt(struct plasm_client *client, const char *request_json, const char **ret_json) {
    *ret_json = NULL;
    json_t *request = NULL;
    int64_t timeout_ms = client->timeout_ms;
    struct ticket ticket = {.manifest = {.memory = NULL}};
    int error = client_enter(client);
    if (error == 0) {
        error = client_options(request_json, "request", &request);
    }
    if (error == 0) {
        error = client_option_integer(request, "timeout_ms", &timeout_ms);
    }
    if (error == 0) {
        error = find_ticket(client, request, &ticket);
    }
    if (error == 0) {
        error = ask_until_whole(client, &ticket, timeout_ms, ret_json);
    }
    manifest_done(&ticket.manifest);
    crypto_wipe(ticket.secret, sizeof(ticket.secret));
    json_decref(request);
    return error;
}
