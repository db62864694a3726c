/* The subcommand that measures throughput. */
#include <stdio.h>

#include "cli/cli.h"

#define BYTES_DEFAULT ((int64_t)64 << 20)

static bool bytes_of_option(const char *text, int64_t *ret_bytes) {
    *ret_bytes = BYTES_DEFAULT;
    return text == NULL || (cli_number(text, true, ret_bytes) && *ret_bytes >= 0);
}

static void print_direction(const json_t *result, const char *name, const char *bytes_key,
                            const char *time_key) {
    double bytes = (double)json_integer_value(json_object_get(result, bytes_key));
    double seconds = (double)json_integer_value(json_object_get(result, time_key)) / 1e6;
    printf("%-5s %8.1f MiB in %8.3f s  %8.1f MB/s\n", name, bytes / (1 << 20), seconds,
           seconds > 0 ? bytes / 1e6 / seconds : 0);
}

int command_perf(struct cli_options *options) {
    int64_t up;
    int64_t down;
    if (!bytes_of_option(options->up, &up) || !bytes_of_option(options->down, &down)) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID,
                        "--up and --down must be numbers of bytes");
    }
    struct plasm_client *client;
    if (cli_client(options, &client) != 0) {
        return EXIT_FAILED;
    }
    const char *answer;
    int error = plasm_perf(client, options->arguments[0], (uint64_t)up, (uint64_t)down, &answer);
    json_t *result = error == 0 ? cli_parse(answer) : NULL;
    cli_print_warnings(client);
    plasm_client_free(client);
    if (error != 0) {
        return cli_fail_last(options, EXIT_FAILED, error);
    }
    if (options->json) {
        (void)cli_print_event("perf", result);
        return EXIT_DONE;
    }
    print_direction(result, "up", "up_bytes", "up_us");
    print_direction(result, "down", "down_bytes", "down_us");
    json_decref(result);
    return EXIT_DONE;
}
