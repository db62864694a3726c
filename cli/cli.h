/* The command plasm: a table of subcommands over libplasm. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plasm.h"
#include "util/compiler.h"

/* Exit codes of the command itself; `run` else exits with the module's. */
#define EXIT_DONE     0
#define EXIT_FAILED   1
#define EXIT_USAGE    2
#define EXIT_UNPINNED 3
#define EXIT_RUN      125

#define CLI_LIST_MAX 256

/* A list of texts given by a repeatable option. */
struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
};

/* Everything the options of all subcommands may say; NULL and 0 where they did not. */
struct cli_options {
    struct cli_list bootstrap;
    struct cli_list env;
    const char *node;
    const char *stdin_file;
    const char *memory;
    const char *fuel;
    const char *timeout;
    const char *output;
    const char *output_file;
    const char *profile;
    const char *receipt;
    const char *arch;
    const char *runtime;
    const char *key;
    const char *module;
    const char *stdout_file;
    const char *identity;
    const char *state_dir;
    const char *count;
    const char *concurrency;
    const char *up;
    const char *down;
    const char *client_json;
    const char *request_json;
    const char *node_url;
    bool once;
    bool json;
    bool trace;
    bool no_mdns;
    int argument_count;
    char **arguments;
};

/* output.c */
/* "plasm: TEXT" on standard error, or {"event":"error"} on standard output; gives `code`. */
int cli_fail(const struct cli_options *options, int code, int error, const char *format, ...)
    PRINTF_FORMAT(4, 5);
/* The library's last error, likewise. */
int cli_fail_last(const struct cli_options *options, int code, int error);
/* Prints and frees {"event": name, ...members}; flushes. False when nobody reads any more. */
bool cli_print_event(const char *name, json_t *members);
/* Parses what the library gave. */
json_t *cli_parse(const char *text);
/* A whole number with K, M, G behind it where `bytes`; false where it is none. */
bool cli_number(const char *text, bool bytes, int64_t *ret_number);
/* All of a file, or of standard input for "-"; freed by the caller. NULL: errno. */
uint8_t *cli_read_file(const char *path, size_t *ret_size);

/* Shows what the library has to say to a person, on standard error. */
void cli_print_sentences(const json_t *list);
void cli_print_warnings(struct plasm_client *client);

/* run.c: shows a piece of a job's output, as it is or as an event. False: nobody reads any more. */
bool cli_print_output(const struct cli_options *options, int stream, const uint8_t *data,
                      size_t size);
/* Writes the receipt file where --receipt says; a result's exit code, after it was explained. */
int cli_write_receipt(const struct cli_options *options, const json_t *result);
int cli_exit_code(const struct cli_options *options, const json_t *result);

/* connect.c */
MUST_CHECK int cli_client(const struct cli_options *options, struct plasm_client **ret_client);

/* Subcommands: the exit code. */
int command_discover(struct cli_options *options);
int command_run(struct cli_options *options);
int command_receipt(struct cli_options *options);
int command_verify(struct cli_options *options);
int command_ping(struct cli_options *options);
int command_perf(struct cli_options *options);
int command_identify(struct cli_options *options);
int command_doctor(struct cli_options *options);
int command_bench(struct cli_options *options);
int command_explain(struct cli_options *options);
int command_top(struct cli_options *options);
int command_completion(struct cli_options *options);

#endif
