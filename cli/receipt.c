/* plasm receipt: what became of an earlier job, fetched again from the worker and checked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "util/bytes.h"
#include "wire/multibase.h"

/* The bytes of a base64 member, freed by the caller; NULL where it has none. */
static uint8_t *decode(const json_t *result, const char *key, size_t *ret_size) {
    const char *text = json_string_value(json_object_get(result, key));
    size_t room = text != NULL ? strlen(text) + 1 : 1;
    uint8_t *bytes = malloc(room);
    if (bytes == NULL || text == NULL ||
        base64_decode(bytes_of_string(text), (struct span){bytes, room}, ret_size) != 0) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static int write_output(const struct cli_options *options, const uint8_t *bytes, size_t size) {
    FILE *file = fopen(options->output_file, "wbe");
    bool written = file != NULL && fwrite(bytes, 1, size, file) == size;
    int saved = errno;
    if (file != NULL && fclose(file) != 0) {
        written = false;
        saved = errno;
    }
    return written ? EXIT_DONE
                   : cli_fail(options, EXIT_RUN, PLASM_IO, "%s: %s", options->output_file,
                              strerror(saved));
}

/* Standard output to the file or to ours, standard error to ours. */
static int show_output(const struct cli_options *options, const json_t *result) {
    static const char *const keys[] = {"stdout_base64", "stderr_base64"};
    if (!json_is_true(json_object_get(result, "output_given"))) {
        return options->json
                   ? EXIT_DONE
                   : cli_fail(options, EXIT_RUN, PLASM_NOT_FOUND,
                              "the receipt holds, but the worker does not have the output "
                              "any more");
    }
    int code = EXIT_DONE;
    for (int stream = 1; stream <= 2 && code == EXIT_DONE; stream++) {
        size_t size = 0;
        uint8_t *bytes = decode(result, keys[stream - 1], &size);
        if (bytes == NULL) {
            return cli_fail(options, EXIT_RUN, PLASM_NO_MEMORY, "out of memory");
        }
        if (stream == 1 && options->output_file != NULL) {
            code = write_output(options, bytes, size);
        } else if (size > 0 && !options->json) {
            (void)cli_print_output(options, stream, bytes, size);
        }
        free(bytes);
    }
    return code;
}

static int conclude(const struct cli_options *options, json_t *result) {
    int code = cli_write_receipt(options, result);
    if (code == EXIT_DONE) {
        code = show_output(options, result);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    code = cli_exit_code(options, result);
    if (options->json) {
        (void)cli_print_event("result", json_incref(result));
    }
    return code;
}

static char *make_request(const struct cli_options *options) {
    json_t *request = json_pack("{s:s}", "job_id", options->arguments[0]);
    if (options->node != NULL) {
        (void)json_object_set_new(request, "node", json_string(options->node));
    }
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    return text;
}

int command_receipt(struct cli_options *options) {
    struct plasm_client *client;
    if (cli_client(options, &client) != 0) {
        return EXIT_RUN;
    }
    char *request = make_request(options);
    const char *answer = NULL;
    int error = plasm_receipt(client, request, &answer);
    free(request);
    cli_print_warnings(client);
    int code;
    if (error != 0) {
        code = cli_fail_last(options, EXIT_RUN, error);
    } else {
        json_t *result = cli_parse(answer);
        code = conclude(options, result);
        json_decref(result);
    }
    plasm_client_free(client);
    return code;
}
