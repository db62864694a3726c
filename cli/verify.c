/* plasm verify: a receipt file against what its holder knows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "receipt/text.h"

static int expect_hash(const struct cli_options *options, json_t *expected, const char *key,
                       const char *path) {
    if (path == NULL) {
        return EXIT_DONE;
    }
    size_t size = 0;
    uint8_t *bytes = cli_read_file(path, &size);
    if (bytes == NULL) {
        return cli_fail(options, EXIT_FAILED, PLASM_IO, "%s: %s", path, strerror(errno));
    }
    struct sha256_digest digest = sha256(bytes_of(bytes, size));
    char text[HASH_TEXT_SIZE];
    hash_format(&digest, text);
    (void)json_object_set_new(expected, key, json_string(text));
    free(bytes);
    return EXIT_DONE;
}

static int print_verdict(const struct cli_options *options, int error, const char *answer) {
    json_t *verdict = cli_parse(answer);
    if (options->json) {
        (void)cli_print_event("verdict", json_incref(verdict));
    } else if (error == 0) {
        printf("verified: job %s, status %s, by %s\n",
               json_string_value(json_object_get(verdict, "job_id")),
               json_string_value(json_object_get(verdict, "status")),
               json_string_value(json_object_get(verdict, "worker")));
    } else if (error == PLASM_STATE) {
        printf("unpinned: it holds under the key of %s; give --key to say whose it must be\n",
               json_string_value(json_object_get(verdict, "worker")));
    } else {
        const char *reason = json_string_value(json_object_get(verdict, "reason"));
        printf("refused: %s\n", reason != NULL ? reason : "it does not hold");
    }
    json_decref(verdict);
    if (error == 0) {
        return EXIT_DONE;
    }
    return error == PLASM_STATE ? EXIT_UNPINNED : EXIT_FAILED;
}

int command_verify(struct cli_options *options) {
    size_t size = 0;
    const char *path = options->arguments[0];
    uint8_t *bytes = cli_read_file(path, &size);
    char *text = bytes != NULL ? strndup((const char *)bytes, size) : NULL;
    free(bytes);
    if (text == NULL) {
        return cli_fail(options, EXIT_FAILED, PLASM_IO, "%s: %s", path, strerror(errno));
    }
    json_t *expected = json_object();
    if (options->key != NULL) {
        (void)json_object_set_new(expected, "key", json_string(options->key));
    }
    int code = expect_hash(options, expected, "module_hash", options->module);
    if (code == EXIT_DONE) {
        code = expect_hash(options, expected, "input_hash", options->stdin_file);
    }
    if (code == EXIT_DONE) {
        code = expect_hash(options, expected, "stdout_hash", options->stdout_file);
    }
    if (code == EXIT_DONE) {
        char *expect_text = json_dumps(expected, JSON_COMPACT);
        const char *answer = NULL;
        int error = plasm_verify(text, expect_text, &answer);
        code = answer != NULL ? print_verdict(options, error, answer)
                              : cli_fail_last(options, EXIT_FAILED, error);
        free(expect_text);
    }
    json_decref(expected);
    free(text);
    return code;
}
