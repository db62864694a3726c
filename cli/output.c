/* What the command prints and reads: errors, events, numbers, files. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define READ_STEP 65536

int cli_fail(const struct cli_options *options, int code, int error, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (options->json) {
        (void)cli_print_event(
            "error", json_pack("{s:s, s:s}", "error", plasm_error_name(error), "message", text));
    } else {
        (void)fprintf(stderr, "plasm: %s\n", text);
    }
    return code;
}

int cli_fail_last(const struct cli_options *options, int code, int error) {
    return cli_fail(options, code, error, "%s", plasm_last_error());
}

bool cli_print_event(const char *name, json_t *members) {
    json_t *event = json_pack("{s:s}", "event", name);
    if (members != NULL) {
        (void)json_object_update(event, members);
        json_decref(members);
    }
    char *text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    bool written = text != NULL && printf("%s\n", text) >= 0 && fflush(stdout) == 0;
    free(text);
    return written;
}

void cli_print_sentences(const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        (void)fprintf(stderr, "plasm: %s\n", json_string_value(json_array_get(list, i)));
    }
}

void cli_print_warnings(struct plasm_client *client) {
    json_t *warnings = cli_parse(plasm_client_warnings(client));
    cli_print_sentences(warnings);
    json_decref(warnings);
}

json_t *cli_parse(const char *text) {
    return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

bool cli_number(const char *text, bool bytes, int64_t *ret_number) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0 || number < 0) {
        return false;
    }
    static const char suffixes[] = "KMG";
    const char *suffix = bytes && *end != '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    if (suffix != NULL) {
        end++;
    }
    if (*end != '\0' || number > INT64_MAX >> shift) {
        return false;
    }
    *ret_number = (int64_t)number << shift;
    return true;
}

uint8_t *cli_read_file(const char *path, size_t *ret_size) {
    bool own = strcmp(path, "-") == 0;
    FILE *file = own ? stdin : fopen(path, "rbe");
    if (file == NULL) {
        return NULL;
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        if (capacity - size < READ_STEP) {
            capacity = 2 * capacity + READ_STEP;
            uint8_t *grown = realloc(bytes, capacity);
            if (grown == NULL) {
                break;
            }
            bytes = grown;
        }
        size_t part = fread(bytes + size, 1, capacity - size, file);
        size += part;
        if (part == 0) {
            break;
        }
    }
    bool failed = ferror(file) != 0 || feof(file) == 0;
    int saved = errno;
    if (!own) {
        (void)fclose(file);
    }
    errno = saved;
    if (failed) {
        free(bytes);
        return NULL;
    }
    *ret_size = size;
    return bytes;
}
