/* The subcommands that ask nodes: client, discover, ping, identify. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define PING_COUNT_DEFAULT 5

/* The client's options: what a program gave, and flags over it. */
int cli_client(const struct cli_options *options, struct plasm_client **ret_client) {
    json_t *settings =
        options->client_json != NULL ? cli_parse(options->client_json) : json_object();
    if (!json_is_object(settings)) {
        json_decref(settings);
        return cli_fail(options, PLASM_INVALID, PLASM_INVALID,
                        "--client-json must be a JSON object");
    }
    if (options->bootstrap.count > 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < options->bootstrap.count; i++) {
            (void)json_array_append_new(list, json_string(options->bootstrap.items[i]));
        }
        (void)json_object_set_new(settings, "bootstrap", list);
    }
    if (options->identity != NULL) {
        (void)json_object_set_new(settings, "identity", json_string(options->identity));
    }
    if (options->state_dir != NULL) {
        (void)json_object_set_new(settings, "state_dir", json_string(options->state_dir));
    }
    if (options->no_mdns) {
        (void)json_object_set_new(settings, "mdns", json_false());
    }
    if (options->trace) {
        (void)json_object_set_new(settings, "trace", json_true());
    }
    char *text = json_dumps(settings, JSON_COMPACT);
    json_decref(settings);
    int error = plasm_client_new(text, ret_client);
    free(text);
    return error != 0 ? cli_fail_last(options, error, error) : 0;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void print_list(const char *title, const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf("  %-14s %s\n", i == 0 ? title : "", json_string_value(json_array_get(list, i)));
    }
}

static void print_node(const json_t *node) {
    const json_t *limits = json_object_get(node, "limits");
    printf("%s\n", text_of(node, "peer_id"));
    printf("  %-14s %s, %s\n", "runs on", text_of(node, "arch"), text_of(node, "runtime"));
    print_list("profiles", json_object_get(node, "profiles"));
    printf("  %-14s memory %lld MiB, time %lld ms, output %lld KiB\n", "limits",
           (long long)json_integer_value(json_object_get(limits, "memory_bytes")) >> 20,
           (long long)json_integer_value(json_object_get(limits, "wall_ms")),
           (long long)json_integer_value(json_object_get(limits, "output_bytes")) >> 10);
    printf("  %-14s %lld\n", "free slots",
           (long long)json_integer_value(json_object_get(node, "free_slots")));
    print_list("addresses", json_object_get(node, "addresses"));
}

static void print_tried(const json_t *tried) {
    for (size_t i = 0; i < json_array_size(tried); i++) {
        const json_t *entry = json_array_get(tried, i);
        (void)fprintf(stderr, "plasm: tried %s: %s\n", text_of(entry, "address"),
                      text_of(entry, "error"));
    }
}

static char *discovery_query(const struct cli_options *options) {
    json_t *query =
        options->request_json != NULL ? cli_parse(options->request_json) : json_object();
    if (!json_is_object(query)) {
        json_decref(query);
        return NULL;
    }
    if (options->arch != NULL) {
        (void)json_object_set_new(query, "arch", json_string(options->arch));
    }
    if (options->runtime != NULL) {
        (void)json_object_set_new(query, "runtime", json_string(options->runtime));
    }
    if (options->profile != NULL) {
        (void)json_object_set_new(query, "profile", json_string(options->profile));
    }
    char *text = json_dumps(query, JSON_COMPACT);
    json_decref(query);
    return text;
}

static int print_discovery(const struct cli_options *options, int error, const char *answer) {
    json_t *found = cli_parse(answer);
    const json_t *nodes = json_object_get(found, "nodes");
    if (options->json) {
        (void)cli_print_event("discovery", found);
        return error == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    cli_print_sentences(json_object_get(found, "warnings"));
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        print_node(json_array_get(nodes, i));
    }
    json_int_t nearby = json_integer_value(json_object_get(found, "nearby"));
    if (nearby > 0) {
        printf("%lld peer%s on the local network\n", (long long)nearby, nearby == 1 ? "" : "s");
    }
    if (error != 0) {
        print_tried(json_object_get(found, "tried"));
    }
    json_decref(found);
    return error == 0 ? EXIT_DONE : cli_fail_last(options, EXIT_FAILED, error);
}

int command_discover(struct cli_options *options) {
    struct plasm_client *client;
    char *query = discovery_query(options);
    if (query == NULL) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--request-json must be an object");
    }
    int code = EXIT_FAILED;
    if (cli_client(options, &client) == 0) {
        const char *answer = NULL;
        int error = plasm_discover(client, query, &answer);
        code = error == 0 || (error == PLASM_NOT_FOUND && answer != NULL)
                   ? print_discovery(options, error, answer)
                   : cli_fail_last(options, EXIT_FAILED, error);
        cli_print_warnings(client);
        plasm_client_free(client);
    }
    free(query);
    return code;
}

int command_ping(struct cli_options *options) {
    int64_t count = PING_COUNT_DEFAULT;
    if (options->count != NULL && !cli_number(options->count, false, &count)) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID, "--count must be a number");
    }
    struct plasm_client *client;
    if (cli_client(options, &client) != 0) {
        return EXIT_FAILED;
    }
    const char *answer;
    int error =
        plasm_ping(client, options->arguments[0], count > INT32_MAX ? -1 : (int)count, &answer);
    if (error != 0) {
        plasm_client_free(client);
        return cli_fail_last(options, EXIT_FAILED, error);
    }
    json_t *result = cli_parse(answer);
    cli_print_warnings(client);
    plasm_client_free(client);
    if (options->json) {
        (void)cli_print_event("ping", result);
        return EXIT_DONE;
    }
    const json_t *rtts = json_object_get(result, "rtts_us");
    for (size_t i = 0; i < json_array_size(rtts); i++) {
        double ms = (double)json_integer_value(json_array_get(rtts, i)) / 1000;
        printf("%s: %.3f ms\n", text_of(result, "peer_id"), ms);
    }
    json_decref(result);
    return EXIT_DONE;
}

static void print_identity(const json_t *result) {
    printf("%s\n", text_of(result, "peer_id"));
    printf("  %-14s %s\n", "agent", text_of(result, "agent"));
    printf("  %-14s %s\n", "version", text_of(result, "protocol_version"));
    print_list("protocols", json_object_get(result, "protocols"));
    print_list("addresses", json_object_get(result, "addresses"));
    printf("  %-14s %s\n", "sees us at", text_of(result, "observed_address"));
    printf("  %-14s %s\n", "signed record",
           json_is_true(json_object_get(result, "signed_record")) ? "yes" : "no");
    const json_t *capability = json_object_get(result, "capability");
    if (json_is_object(capability)) {
        printf("worker ");
        print_node(capability);
    }
}

int command_identify(struct cli_options *options) {
    struct plasm_client *client;
    if (cli_client(options, &client) != 0) {
        return EXIT_FAILED;
    }
    const char *answer;
    int error = plasm_identify(client, options->arguments[0], &answer);
    json_t *result = error == 0 ? cli_parse(answer) : NULL;
    cli_print_warnings(client);
    plasm_client_free(client);
    if (error != 0) {
        return cli_fail_last(options, EXIT_FAILED, error);
    }
    if (options->json) {
        (void)cli_print_event("identify", result);
        return EXIT_DONE;
    }
    print_identity(result);
    json_decref(result);
    return EXIT_DONE;
}
