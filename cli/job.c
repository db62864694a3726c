/* Building a job's request from options and files. */
#include "cli/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_limit(const struct cli_options *options, json_t *limits, const char *key,
                     const char *flag, const char *value, bool bytes, int64_t factor) {
    int64_t number;
    if (value == NULL) {
        return EXIT_DONE;
    }
    if (!cli_number(value, bytes, &number) || number > INT64_MAX / factor) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--%s %s is not a number", flag, value);
    }
    (void)json_object_set_new(limits, key, json_integer(number * factor));
    return EXIT_DONE;
}

static int set_limits(const struct cli_options *options, json_t *request) {
    json_t *limits = json_object_get(request, "limits");
    if (!json_is_object(limits)) {
        limits = json_object();
        (void)json_object_set_new(request, "limits", limits);
    }
    int code = set_limit(options, limits, "memory_bytes", "memory", options->memory, true, 1);
    if (code == EXIT_DONE) {
        code = set_limit(options, limits, "fuel", "fuel", options->fuel, false, 1);
    }
    if (code == EXIT_DONE) {
        code = set_limit(options, limits, "wall_ms", "timeout", options->timeout, false, 1000);
    }
    return code != EXIT_DONE
               ? code
               : set_limit(options, limits, "output_bytes", "output", options->output, true, 1);
}

static void set_list(json_t *request, const char *key, const char *const *items, size_t count) {
    if (count == 0) {
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_string(items[i]));
    }
    (void)json_object_set_new(request, key, list);
}

static void set_text(json_t *request, const char *key, const char *text) {
    if (text != NULL) {
        (void)json_object_set_new(request, key, json_string(text));
    }
}

/* The module's arguments begin with its own name, as a program's do. */
static void set_arguments(const struct cli_options *options, json_t *request) {
    const char *slash = strrchr(options->arguments[0], '/');
    json_t *list = json_array();
    (void)json_array_append_new(list,
                                json_string(slash != NULL ? slash + 1 : options->arguments[0]));
    for (int i = 1; i < options->argument_count; i++) {
        (void)json_array_append_new(list, json_string(options->arguments[i]));
    }
    (void)json_object_set_new(request, "args", list);
}

static int make_request(const struct cli_options *options, bool remember, char **ret_request) {
    bool given = options->request_json != NULL;
    json_t *request = given ? cli_parse(options->request_json) : json_object();
    if (!json_is_object(request)) {
        json_decref(request);
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--request-json must be an object");
    }
    int code = set_limits(options, request);
    set_text(request, "node", options->node);
    if (remember && json_object_get(request, "remember") == NULL) {
        (void)json_object_set_new(request, "remember", json_true());
    }
    set_text(request, "profile", options->profile);
    set_text(request, "arch", options->arch);
    set_text(request, "runtime", options->runtime);
    set_list(request, "env", options->env.items, options->env.count);
    if (!given || options->argument_count > 1) {
        set_arguments(options, request);
    }
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (code == EXIT_DONE && text == NULL) {
        code =
            cli_fail(options, EXIT_USAGE, PLASM_INVALID, "arguments and variables must be UTF-8");
    }
    if (code != EXIT_DONE) {
        free(text);
        return code;
    }
    *ret_request = text;
    return EXIT_DONE;
}

int cli_job_read(const struct cli_options *options, bool remember, struct cli_job *ret_job) {
    struct cli_job job = {.module = NULL};
    const char *path = options->arguments[0];
    job.module = cli_read_file(path, &job.module_size);
    if (job.module == NULL) {
        return cli_fail(options, EXIT_RUN, PLASM_IO, "%s: %s", path, strerror(errno));
    }
    const char *input = options->stdin_file;
    if (input == NULL && !isatty(STDIN_FILENO)) {
        input = "-";
    }
    if (input != NULL) {
        job.input = cli_read_file(input, &job.input_size);
        if (job.input == NULL) {
            cli_job_done(&job);
            return cli_fail(options, EXIT_RUN, PLASM_IO, "%s: %s", input, strerror(errno));
        }
    }
    int code = make_request(options, remember, &job.request);
    if (code != EXIT_DONE) {
        cli_job_done(&job);
        return code;
    }
    *ret_job = job;
    return EXIT_DONE;
}

void cli_job_done(struct cli_job *job) {
    free(job->module);
    free(job->input);
    free(job->request);
}
