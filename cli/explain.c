/* plasm explain: which worker would take a job, on what terms, and why the others would not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

/* The worker's words, without what would move the cursor. */
static void print_safely(const char *text) {
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < ' ' || *text == 0x7f;
        (void)putchar(control ? '?' : *text);
    }
    printf("\n");
}

static void print_over(const char *what, const json_t *over) {
    for (size_t i = 0; i < json_array_size(over); i++) {
        const json_t *item = json_array_get(over, i);
        printf("    %s %-12s %lld asked, %lld allowed\n", what, text_of(item, "limit"),
               number_of(item, "asked"), number_of(item, "allowed"));
    }
}

static void print_node(const json_t *node) {
    const json_t *over = json_object_get(node, "over");
    const char *id = text_of(node, "peer_id");
    printf("%-52s  ", id[0] != '\0' ? id : "(unknown)");
    if (!json_is_true(json_object_get(node, "accepted"))) {
        printf("no   ");
        print_safely(text_of(node, "reason"));
        print_over("over:   ", over);
        return;
    }
    long long position = number_of(node, "queue_position");
    printf("yes  price %lld, module %s, ", number_of(node, "price"),
           json_is_true(json_object_get(node, "module_held")) ? "held" : "to be sent");
    if (position == 0) {
        printf("runs at once\n");
    } else {
        printf("%lld before it\n", position);
    }
    print_over("lowered:", over);
}

/* The manifest in a JSON file, a receipt file's or by itself; NULL where it is no JSON. */
static json_t *manifest_of(const uint8_t *file, size_t size) {
    json_t *object = json_loadb((const char *)file, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *inner = json_object_get(object, "manifest");
    if (inner != NULL) {
        json_incref(inner);
        json_decref(object);
        return inner;
    }
    return object;
}

static int ask(const struct cli_options *options, const struct cli_job *job) {
    struct plasm_client *client;
    if (cli_client(options, &client) != 0) {
        return EXIT_FAILED;
    }
    json_t *manifest = manifest_of(job->module, job->module_size);
    char *request = job->request;
    if (manifest != NULL) {
        json_t *object = cli_parse(job->request);
        (void)json_object_set_new(object, "manifest", manifest);
        request = json_dumps(object, JSON_COMPACT);
        json_decref(object);
    }
    const char *answer = NULL;
    int error =
        plasm_explain(client, request, job->module, job->module_size, job->input_size, &answer);
    json_t *result = answer != NULL ? cli_parse(answer) : NULL;
    cli_print_warnings(client);
    if (manifest != NULL) {
        free(request);
    }
    bool any = number_of(result, "accepted") > 0;
    if (options->json && result != NULL) {
        (void)cli_print_event("explanation", json_incref(result));
    } else {
        const json_t *nodes = json_object_get(result, "nodes");
        for (size_t i = 0; i < json_array_size(nodes); i++) {
            print_node(json_array_get(nodes, i));
        }
    }
    json_decref(result);
    plasm_client_free(client);
    if (error != 0) {
        return cli_fail_last(options, EXIT_FAILED, error);
    }
    return any ? EXIT_DONE : EXIT_FAILED;
}

int command_explain(struct cli_options *options) {
    struct cli_job job;
    int code = cli_job_read(options, false, &job);
    if (code != EXIT_DONE) {
        return code;
    }
    code = ask(options, &job);
    cli_job_done(&job);
    return code;
}
