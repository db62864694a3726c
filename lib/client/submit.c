/* Jobs through the public interface. */
#include <stdlib.h>

#include "client/client.h"
#include "wire/multibase.h"

/* Limits asked for where the caller names none: the guide's. */
#define LIMIT_MEMORY_BYTES (UINT64_C(128) << 20)
#define LIMIT_WALL_MS      30000
#define LIMIT_OUTPUT_BYTES (UINT64_C(1) << 20)
/* deterministic/1 is always metered. */
#define LIMIT_FUEL_DETERMINISTIC UINT64_C(10000000000)
/* What a worker needs besides a job's wall time to answer. */
#define ANSWER_SLACK_MS 15000

static int read_strings(const json_t *options, const char *key, struct client_strings *strings) {
    const json_t *list = json_object_get(options, key);
    strings->count = 0;
    if (list == NULL || json_is_null(list)) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) > CLIENT_STRINGS_MAX) {
        return client_fail(PLASM_INVALID, "%s must be a list of at most %d strings", key,
                           CLIENT_STRINGS_MAX);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item)) {
            return client_fail(PLASM_INVALID, "%s must be a list of strings", key);
        }
        strings->items[strings->count++] =
            bytes_of(json_string_value(item), json_string_length(item));
    }
    return 0;
}

static int read_limit(const json_t *limits, const char *key, uint64_t *limit) {
    int64_t value = (int64_t)*limit;
    int error = limits != NULL ? client_option_integer(limits, key, &value) : 0;
    *limit = (uint64_t)value;
    return error;
}

static int read_limits(const json_t *options, struct manifest *manifest) {
    const json_t *limits = json_object_get(options, "limits");
    if (limits != NULL && !json_is_null(limits) && !json_is_object(limits)) {
        return client_fail(PLASM_INVALID, "limits must be an object");
    }
    bool deterministic = manifest->profile == PROFILE_DETERMINISTIC_1;
    manifest->limits = (struct job_limits){.fuel = deterministic ? LIMIT_FUEL_DETERMINISTIC : 0,
                                           .memory_bytes = LIMIT_MEMORY_BYTES,
                                           .wall_ms = LIMIT_WALL_MS,
                                           .output_bytes = LIMIT_OUTPUT_BYTES};
    int error = read_limit(limits, "fuel", &manifest->limits.fuel);
    if (error == 0) {
        error = read_limit(limits, "memory_bytes", &manifest->limits.memory_bytes);
    }
    if (error == 0) {
        error = read_limit(limits, "wall_ms", &manifest->limits.wall_ms);
    }
    return error == 0 ? read_limit(limits, "output_bytes", &manifest->limits.output_bytes) : error;
}

static int read_name(const json_t *options, const char *key, char *room, size_t room_size) {
    const char *text = "";
    int error = client_option_string(options, key, &text);
    if (error == 0 && bytes_to_string(bytes_of_string(text), room, room_size) != 0) {
        error = client_fail(PLASM_INVALID, "%s is too long", key);
    }
    return error;
}

static int read_manifest(const json_t *options, struct manifest *manifest) {
    const char *profile = "wasip1";
    int error = client_option_string(options, "profile", &profile);
    if (error == 0 && job_profile_parse(bytes_of_string(profile), &manifest->profile) != 0) {
        error =
            client_fail(PLASM_INVALID, "profile '%s' is none of wasip1, deterministic/1", profile);
    }
    if (error == 0) {
        error = read_name(options, "arch", manifest->arch, sizeof(manifest->arch));
    }
    if (error == 0) {
        error = read_name(options, "runtime", manifest->runtime, sizeof(manifest->runtime));
    }
    if (error == 0) {
        error = read_name(options, "job_id", manifest->job_id, sizeof(manifest->job_id));
    }
    return error == 0 ? read_limits(options, manifest) : error;
}

int client_request_manifest(const json_t *options, struct client_strings *args,
                            struct client_strings *env, struct manifest *ret_manifest) {
    int error = read_manifest(options, ret_manifest);
    if (error == 0) {
        error = read_strings(options, "args", args);
    }
    if (error == 0) {
        error = read_strings(options, "env", env);
    }
    ret_manifest->args = args->items;
    ret_manifest->arg_count = args->count;
    ret_manifest->env = env->items;
    ret_manifest->env_count = env->count;
    return error;
}

static bool accepted(const void *context) {
    struct core_job_view view;
    core_job_view(context, &view);
    return view.state >= CORE_JOB_ACCEPTED;
}

static json_t *parsed(struct bytes json) {
    return json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
}

static int give_info(struct plasm_job *job) {
    struct core_job_view view;
    core_job_view(job->job, &view);
    char node[PEER_ID_TEXT_MAX];
    char module_hash[HASH_TEXT_SIZE];
    char manifest_hash[HASH_TEXT_SIZE];
    char secret[2 * FETCH_SECRET_SIZE + 1];
    peer_id_format(&view.node, node);
    hash_format(&view.module_hash, module_hash);
    hash_format(&view.manifest_hash, manifest_hash);
    bytes_to_hex(bytes_of(view.fetch_secret, FETCH_SECRET_SIZE), secret, sizeof(secret));
    json_t *limits =
        json_pack("{s:I, s:I, s:I, s:I}", "fuel", (json_int_t)view.limits.fuel, "memory_bytes",
                  (json_int_t)view.limits.memory_bytes, "wall_ms", (json_int_t)view.limits.wall_ms,
                  "output_bytes", (json_int_t)view.limits.output_bytes);
    json_t *info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:o}", "job_id", view.job_id,
                             "node", node, "module_hash", module_hash, "manifest_hash",
                             manifest_hash, "fetch_secret", secret, "limits", limits, "clamped",
                             view.clamped, "manifest", parsed(view.manifest_json));
    crypto_wipe(secret, sizeof(secret));
    const char *text;
    return client_give_json(&job->info, info, &text);
}

/* Whom to ask, from the request's `node`; without one the workers are discovered first. */
static int choose_node(struct plasm_client *client, const json_t *options,
                       struct core_submission *submission, struct peer_id *id,
                       struct multiaddr *address, bool may_wait) {
    const char *node = NULL;
    int error = client_option_string(options, "node", &node);
    if (error == 0 && node != NULL) {
        error = client_parse_node(client, node, id, address);
        submission->node = id->size > 0 ? id : NULL;
        submission->addresses = address;
        submission->address_count = address->size > 0;
        if (error == 0 && address->size == 0) {
            client_look_nearby(client);
        }
        return error;
    }
    struct capability_query query = {.arch = submission->manifest.arch,
                                     .runtime = submission->manifest.runtime,
                                     .profile = job_profile_name(submission->manifest.profile)};
    if (error == 0 && core_next_match(client->core, &query, NULL) == NULL) {
        client_look_nearby(client);
    }
    if (error == 0 && may_wait && core_next_match(client->core, &query, NULL) == NULL) {
        error =
            client_discover(client, &query, 1, DISCOVER_TIMEOUT_MS_DEFAULT * NANOS_MILLISECOND, 0);
    }
    return error;
}

static int submit(struct plasm_job *job, const json_t *options, struct bytes module,
                  struct bytes input, struct client_strings *strings, bool may_wait) {
    struct plasm_client *client = job->client;
    struct core_submission submission = {.module = module,
                                         .input = input,
                                         .want_summary =
                                             json_is_true(json_object_get(options, "summary"))};
    struct peer_id id = {.size = 0};
    struct multiaddr address = {.size = 0};
    int64_t timeout_ms = client->timeout_ms;
    int error = client_request_manifest(options, &strings[0], &strings[1], &submission.manifest);
    if (error == 0) {
        error = client_option_integer(options, "timeout_ms", &timeout_ms);
    }
    if (error == 0) {
        error = choose_node(client, options, &submission, &id, &address, may_wait);
    }
    if (error != 0) {
        return error;
    }
    submission.timeout = (nanos)timeout_ms * NANOS_MILLISECOND;
    job->want_summary = submission.want_summary;
    struct fault fault = {.field = "request", .text = "is not valid"};
    error = core_submit(client->core, &submission, host_now(), host_unix_ms(), &job->job, &fault);
    job->accept_by = nanos_add(host_now(), submission.timeout);
    if (error == 0 && json_is_true(json_object_get(options, "remember"))) {
        client_ticket_save(job);
    }
    return error != 0 ? client_fail(error, "%s %s", fault.field, fault.text) : 0;
}

/* Until a worker has accepted. */
static int wait_accepted(struct plasm_job *job) {
    int error = client_run(job->client, accepted, job->job, job->accept_by);
    struct core_job_view view;
    core_job_view(job->job, &view);
    if (job->remembered && error == 0 && view.state <= CORE_JOB_FINISHED) {
        client_ticket_save(job); /* who it is is known now */
    } else if (job->remembered && view.state == CORE_JOB_REJECTED) {
        client_ticket_forget(job);
    }
    if (error == 0 && view.state > CORE_JOB_FINISHED) {
        error = client_fail(view.error, "%s", view.text);
    }
    return error;
}

struct plasm_job *client_job_new(struct plasm_client *client) {
    struct plasm_job *job = calloc(1, sizeof(*job));
    if (job != NULL) {
        job->client = client;
        job->submitted_at = host_now();
        for (size_t i = 0; i < ARRAY_SIZE(job->kept); i++) {
            buffer_init(&job->kept[i], &client->memory, CLIENT_MEMORY_MAX);
        }
    }
    return job;
}

static int begin(struct plasm_client *client, const char *request_json, struct bytes module,
                 struct bytes input, bool may_wait, struct plasm_job **ret_job) {
    *ret_job = NULL;
    int error = client_enter(client);
    json_t *options = NULL;
    if (error == 0) {
        error = client_options(request_json, "request", &options);
    }
    if (error != 0) {
        return error;
    }
    struct plasm_job *job = client_job_new(client);
    struct client_strings *strings = calloc(2, sizeof(*strings)); /* args and env: large */
    if (job == NULL || strings == NULL) {
        error = client_fail(PLASM_NO_MEMORY, "out of memory");
        free(job);
    } else {
        error = submit(job, options, module, input, strings, may_wait);
        if (error == 0) {
            *ret_job = job;
        } else {
            plasm_job_free(job);
        }
    }
    free(strings);
    json_decref(options);
    return error;
}

int plasm_submit(struct plasm_client *client, const char *request_json, const uint8_t *module,
                 size_t module_size, const uint8_t *input, size_t input_size,
                 struct plasm_job **ret_job) {
    struct plasm_job *job;
    int error = begin(client, request_json, bytes_of(module, module_size),
                      bytes_of(input, input_size), true, &job);
    if (error == 0) {
        error = wait_accepted(job);
        if (error != 0) {
            plasm_job_free(job);
            job = NULL;
        }
    }
    *ret_job = job;
    return error;
}

int plasm_submit_start(struct plasm_client *client, const char *request_json, const uint8_t *module,
                       size_t module_size, const uint8_t *input, size_t input_size,
                       struct plasm_job **ret_job) {
    return begin(client, request_json, bytes_of(module, module_size), bytes_of(input, input_size),
                 false, ret_job);
}

int plasm_job_state(const struct plasm_job *job) {
    if (core_job_over(job->job)) {
        return 2;
    }
    return accepted(job->job) ? 1 : 0;
}

const char *plasm_job_info(struct plasm_job *job) {
    return give_info(job) == 0 ? job->info : "{}";
}

/* What a blocking read waits for: output, or the end. */
struct read_wait {
    struct plasm_job *job;
    enum job_stream stream;
    struct bytes data;
    bool has_data;
};

static bool readable(const void *context) {
    struct read_wait *wait = (struct read_wait *)(uintptr_t)context;
    if (!wait->has_data) {
        wait->has_data = core_job_output(wait->job->job, &wait->stream, &wait->data);
    }
    return wait->has_data || core_job_over(wait->job->job);
}

int plasm_job_read(struct plasm_job *job, int timeout_ms, int *ret_stream, const uint8_t **ret_data,
                   size_t *ret_size) {
    int error = client_enter(job->client);
    struct read_wait wait = {.job = job};
    int64_t wait_ms = timeout_ms;
    if (timeout_ms < 0) {
        wait_ms = (int64_t)core_job_wall_ms(job->job) + ANSWER_SLACK_MS;
    }
    if (error == 0) {
        error = client_run(job->client, readable, &wait, client_deadline(wait_ms));
    }
    if (error == PLASM_TIMEOUT && timeout_ms < 0) {
        return client_fail(error, "the worker did not answer in the job's time");
    }
    if (error != 0) {
        return error;
    }
    if (!wait.has_data) {
        return 0;
    }
    *ret_stream = (int)wait.stream;
    *ret_data = wait.data.data;
    *ret_size = wait.data.size;
    return 1;
}

static bool over(const void *context) {
    const struct plasm_job *job = context;
    enum job_stream stream;
    struct bytes data;
    while (core_job_output(job->job, &stream, &data)) {
        struct plasm_job *writable = (struct plasm_job *)(uintptr_t)job;
        if (buffer_append(&writable->kept[stream], data) != 0) {
            writable->result_error = PLASM_NO_MEMORY;
        }
    }
    return core_job_over(job->job);
}

static json_t *base64_json(struct bytes bytes) {
    size_t size = base64_size(bytes.size) + 1;
    char *text = malloc(size);
    json_t *value =
        text != NULL && base64_encode(bytes, text, size) == 0 ? json_string(text) : NULL;
    free(text);
    return value;
}

static json_t *file_json(const struct plasm_job *job, const struct core_job_view *view) {
    struct buffer file;
    buffer_init(&file, &job->client->memory, RECEIPT_FILE_SIZE_MAX);
    json_t *value = NULL;
    if (receipt_file_encode(view->manifest_json, view->receipt_json, view->signature,
                            view->public_key, &file) == 0) {
        value = parsed(buffer_bytes(&file));
    }
    buffer_done(&file);
    return value;
}

static json_t *summary_json(const struct plasm_job *job, const struct core_job_view *view) {
    struct buffer summary;
    buffer_init(&summary, &job->client->memory, SUMMARY_SIZE_MAX);
    json_t *value = json_null();
    if (view->summary_signature != NULL && receipt_summary_encode(view->receipt, &summary) == 0) {
        value = json_pack("{s:o, s:o}", "receipt", parsed(buffer_bytes(&summary)), "signature",
                          base64_json(bytes_of(view->summary_signature, ED25519_SIGNATURE_SIZE)));
    }
    buffer_done(&summary);
    return value;
}

static json_t *times_json(const struct plasm_job *job, const struct core_job_view *view) {
    const struct core_job_times *times = &view->times;
    uint64_t execute = view->receipt->wall_time_us;
    uint64_t after = nanos_since(times->finished, times->accepted) / NANOS_MICROSECOND;
    uint64_t total = nanos_since(times->finished, job->submitted_at) / NANOS_MICROSECOND;
    uint64_t discover = nanos_since(times->offered, job->submitted_at) / NANOS_MICROSECOND;
    /* A job that is done at once is accepted and finished in one answer: what it ran is then a
     * part of the round trip of the submission. */
    uint64_t submit_us = nanos_since(times->accepted, times->offered) / NANOS_MICROSECOND;
    uint64_t inside = after < execute ? execute - after : 0;
    submit_us = submit_us > inside ? submit_us - inside : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "discover", (json_int_t)discover, "submit",
                     (json_int_t)submit_us, "execute", (json_int_t)execute, "return",
                     (json_int_t)(after > execute ? after - execute : 0), "total",
                     (json_int_t)total);
}

static int give_result(struct plasm_job *job, const struct core_job_view *view,
                       const char **ret_json) {
    json_t *result = json_object();
    (void)json_object_set_new(result, "file", file_json(job, view));
    (void)json_object_set_new(result, "status",
                              json_string(job_status_name(view->receipt->status)));
    (void)json_object_set_new(result, "exit_code", json_integer(view->receipt->exit_code));
    (void)json_object_set_new(result, "stdout_base64",
                              base64_json(buffer_bytes(&job->kept[JOB_STDOUT])));
    (void)json_object_set_new(result, "stderr_base64",
                              base64_json(buffer_bytes(&job->kept[JOB_STDERR])));
    (void)json_object_set_new(result, "message",
                              json_stringn((const char *)view->message.data, view->message.size));
    (void)json_object_set_new(result, "output_given", json_boolean(view->output_given));
    (void)json_object_set_new(result, "summary", summary_json(job, view));
    (void)json_object_set_new(result, "timings_us", times_json(job, view));
    return client_give_json(&job->result, result, ret_json);
}

int plasm_job_result(struct plasm_job *job, const char **ret_json) {
    int error = client_enter(job->client);
    struct core_job_view view;
    core_job_view(job->job, &view);
    int64_t wait_ms = (int64_t)core_job_wall_ms(job->job) + ANSWER_SLACK_MS;
    if (error == 0) {
        error = client_run(job->client, over, job, client_deadline(wait_ms));
    }
    if (error != 0) {
        return error == PLASM_TIMEOUT
                   ? client_fail(error, "the worker did not answer in the job's time")
                   : error;
    }
    if (job->result_error != 0) {
        return client_fail(job->result_error, "no memory for the job's output");
    }
    core_job_view(job->job, &view);
    if (view.state != CORE_JOB_FINISHED) {
        return client_fail(view.error, "%s", view.text);
    }
    error = give_result(job, &view, ret_json);
    if (error == 0 && view.verdict != VERDICT_VERIFIED) {
        error = client_fail(PLASM_UNTRUSTED, "the receipt does not hold: %s %s",
                            view.fault.field != NULL ? view.fault.field : "",
                            view.fault.text != NULL ? view.fault.text : "");
    }
    return error;
}

int plasm_job_verdict(const struct plasm_job *job, int64_t *ret_exit_code) {
    struct core_job_view view;
    core_job_view(job->job, &view);
    if (!core_job_over(job->job)) {
        return client_fail(PLASM_STATE, "the job is not over");
    }
    if (view.state != CORE_JOB_FINISHED) {
        return client_fail(view.error, "%s", view.text);
    }
    if (view.verdict != VERDICT_VERIFIED) {
        return client_fail(PLASM_UNTRUSTED, "the receipt does not hold: %s %s", view.fault.field,
                           view.fault.text);
    }
    *ret_exit_code = view.receipt->exit_code;
    return 0;
}

int plasm_job_cancel(struct plasm_job *job) {
    int error = client_enter(job->client);
    if (error == 0) {
        core_job_cancel(job->job, host_now());
    }
    return error;
}

void plasm_job_free(struct plasm_job *job) {
    if (job == NULL) {
        return;
    }
    core_job_free(job->job, host_now());
    for (size_t i = 0; i < ARRAY_SIZE(job->kept); i++) {
        buffer_done(&job->kept[i]);
    }
    free(job->info);
    free(job->result);
    free(job);
}
