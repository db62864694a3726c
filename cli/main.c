/* plasm: which subcommand, with which options. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"

#define AT(field) offsetof(struct cli_options, field)

const struct option_row option_rows[] = {
    {"node", KIND_TEXT, TAKES_NODE, AT(node), "NODE",
     "a peer id, a multiaddr, or host[:port]; default: the first worker found, or the job's"},
    {"stdin", KIND_TEXT, TAKES_STDIN, AT(stdin_file), "FILE", "the job's input; - is our own"},
    {"env", KIND_LIST, TAKES_JOB, AT(env), "K=V", "a variable for the module; repeatable"},
    {"memory", KIND_TEXT, TAKES_JOB, AT(memory), "BYTES", "memory limit; K, M, G may follow"},
    {"fuel", KIND_TEXT, TAKES_JOB, AT(fuel), "UNITS", "meter the run and stop it there"},
    {"timeout", KIND_TEXT, TAKES_JOB, AT(timeout), "SECONDS", "time limit of the run"},
    {"output", KIND_TEXT, TAKES_JOB, AT(output), "BYTES", "output limit; K, M, G may follow"},
    {"output", KIND_TEXT, TAKES_OUTPUT, AT(output_file), "FILE",
     "write the job's standard output there; default: show it"},
    {"profile", KIND_TEXT, TAKES_JOB | TAKES_QUERY, AT(profile), "NAME",
     "wasip1 (default) or deterministic/1"},
    {"arch", KIND_TEXT, TAKES_JOB | TAKES_QUERY, AT(arch), "NAME", "only such workers, x86_64"},
    {"runtime", KIND_TEXT, TAKES_JOB | TAKES_QUERY, AT(runtime), "NAME",
     "only such workers, wasmtime-48"},
    {"receipt", KIND_TEXT, TAKES_RECEIPT, AT(receipt), "FILE",
     "write the receipt there, however the job ended"},
    {"key", KIND_TEXT, TAKES_EXPECT, AT(key), "KEY",
     "the worker's peer id, or its key in base64 or hex"},
    {"module", KIND_TEXT, TAKES_EXPECT, AT(module), "FILE", "the module it must be about"},
    {"stdout", KIND_TEXT, TAKES_EXPECT, AT(stdout_file), "FILE", "the output it must be about"},
    {"count", KIND_TEXT, TAKES_COUNT, AT(count), "N", "how many times"},
    {"concurrency", KIND_TEXT, TAKES_CONCURRENCY, AT(concurrency), "N", "jobs in flight at a time"},
    {"up", KIND_TEXT, TAKES_PERF, AT(up), "BYTES", "to send; K, M, G may follow; default 64M"},
    {"down", KIND_TEXT, TAKES_PERF, AT(down), "BYTES", "to receive, likewise"},
    {"bootstrap", KIND_LIST, TAKES_BOOTSTRAP, AT(bootstrap), "NODE",
     "a node to begin with; repeatable; default PLASM_BOOTSTRAP, then remembered ones and "
     "those on the local network"},
    {"identity", KIND_TEXT, TAKES_BOOTSTRAP, AT(identity), "FILE",
     "be who this key says, made when missing; default: a fresh key"},
    {"state-dir", KIND_TEXT, TAKES_BOOTSTRAP, AT(state_dir), "DIR",
     "where nodes are remembered; '' remembers none"},
    {"client-json", KIND_TEXT, TAKES_BOOTSTRAP, AT(client_json), "JSON",
     "options of the library's client (plasm.h), for programs"},
    {"request-json", KIND_TEXT, TAKES_JOB | TAKES_QUERY, AT(request_json), "JSON",
     "the request as the library takes it (plasm.h), for programs"},
    {"no-mdns", KIND_FLAG, TAKES_BOOTSTRAP, AT(no_mdns), NULL,
     "do not look for workers on the local network"},
    {"trace", KIND_FLAG, TAKES_BOOTSTRAP, AT(trace), NULL, "protocol events on standard error"},
    {"node-url", KIND_TEXT, TAKES_TOP, AT(node_url), "URL|PATH",
     "the worker's status page: http://host:port or a socket; default http://127.0.0.1:4002"},
    {"once", KIND_FLAG, TAKES_TOP, AT(once), NULL, "print once and end"},
    {"json", KIND_FLAG, TAKES_ALWAYS, AT(json), NULL, "JSON lines instead of text"},
};

#define NETWORK (TAKES_BOOTSTRAP | TAKES_ALWAYS)

const struct command commands[] = {
    {"discover", "", 0, 0, NETWORK | TAKES_QUERY, command_discover, "list the workers that answer"},
    {"run", "MODULE [-- ARGS]", 1, -1,
     NETWORK | TAKES_NODE | TAKES_JOB | TAKES_STDIN | TAKES_RECEIPT, command_run,
     "run a module on a worker and check its receipt"},
    {"explain", "MODULE|MANIFEST [-- ARGS]", 1, -1, NETWORK | TAKES_NODE | TAKES_JOB | TAKES_STDIN,
     command_explain, "ask the workers whether they would take a job, and why not"},
    {"receipt", "JOB_ID", 1, 1, NETWORK | TAKES_NODE | TAKES_RECEIPT | TAKES_OUTPUT,
     command_receipt, "fetch the receipt and output of an earlier job again, and check them"},
    {"verify", "RECEIPT", 1, 1, TAKES_ALWAYS | TAKES_EXPECT | TAKES_STDIN, command_verify,
     "check a receipt file, without network"},
    {"ping", "NODE", 1, 1, NETWORK | TAKES_COUNT, command_ping, "measure round trips to a node"},
    {"perf", "NODE", 1, 1, NETWORK | TAKES_PERF, command_perf,
     "measure the throughput to a node and from it"},
    {"identify", "NODE", 1, 1, NETWORK, command_identify, "show what a node says of itself"},
    {"doctor", "[NODE ...]", 0, -1, NETWORK, command_doctor,
     "find out what works and what does not, and what to do about it"},
    {"bench", "MODULE [-- ARGS]", 1, -1,
     NETWORK | TAKES_NODE | TAKES_JOB | TAKES_STDIN | TAKES_COUNT | TAKES_CONCURRENCY,
     command_bench, "run a module many times and print latency and throughput"},
    {"top", "", 0, 0, TAKES_TOP | TAKES_ALWAYS, command_top,
     "watch the worker on this machine: jobs, rates, peers"},
    {"completion", "SHELL", 1, 1, 0, command_completion,
     "write a completion script for bash, zsh or fish"},
};

#define OPTION_ROWS ARRAY_SIZE(option_rows)
#define COMMANDS    ARRAY_SIZE(commands)

const size_t option_row_count = OPTION_ROWS;
const size_t command_count = COMMANDS;

static void print_usage(FILE *out) {
    (void)fprintf(out, "usage: plasm COMMAND [OPTIONS] ...\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)fprintf(out, "  %-10s %-18s %s\n", commands[i].name, commands[i].arguments,
                      commands[i].help);
    }
    (void)fprintf(out,
                  "\nplasm COMMAND --help tells its options; plasm --version. See plasm(1).\n");
}

static void print_help(const struct command *command) {
    printf("usage: plasm %s [OPTIONS] %s\n\n%s.\n\n", command->name, command->arguments,
           command->help);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if ((option_rows[i].bits & command->options) != 0) {
            char left[40];
            snprintf(left, sizeof(left), "--%s %s", option_rows[i].name,
                     option_rows[i].value != NULL ? option_rows[i].value : "");
            printf("  %-22s %s\n", left, option_rows[i].help);
        }
    }
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

#define OPTION_BASE 256
#define OPTION_HELP 1

static void make_table(const struct command *command, struct option *table) {
    size_t count = 0;
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if ((option_rows[i].bits & command->options) != 0) {
            table[count++] = (struct option){
                .name = option_rows[i].name,
                .has_arg = option_rows[i].kind == KIND_FLAG ? no_argument : required_argument,
                .val = OPTION_BASE + (int)i};
        }
    }
    table[count++] = (struct option){.name = "help", .has_arg = no_argument, .val = OPTION_HELP};
    table[count] = (struct option){.name = NULL};
}

static bool take_option(struct cli_options *options, const struct option_row *row,
                        const char *value) {
    void *place = (char *)options + row->offset;
    struct cli_list *list = place;
    switch (row->kind) {
    case KIND_TEXT:
        *(const char **)place = value;
        return true;
    case KIND_FLAG:
        *(bool *)place = true;
        return true;
    case KIND_LIST:
        if (list->count == CLI_LIST_MAX) {
            return false;
        }
        list->items[list->count++] = value;
        return true;
    }
    return false;
}

static int run_command(const struct command *command, int argc, char **argv) {
    static struct cli_options options;
    struct option table[OPTION_ROWS + 2];
    make_table(command, table);
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == OPTION_HELP) {
            print_help(command);
            return EXIT_DONE;
        }
        if (option < OPTION_BASE ||
            !take_option(&options, &option_rows[option - OPTION_BASE], optarg)) {
            (void)fprintf(stderr,
                          "plasm %s: %s: unknown option, or its value is missing; see plasm %s "
                          "--help\n",
                          command->name, argv[optind - 1], command->name);
            return EXIT_USAGE;
        }
    }
    options.argument_count = argc - optind;
    options.arguments = argv + optind;
    if (options.argument_count < command->argument_min ||
        (command->argument_max >= 0 && options.argument_count > command->argument_max)) {
        (void)fprintf(stderr, "usage: plasm %s [OPTIONS] %s\n", command->name, command->arguments);
        return EXIT_USAGE;
    }
    return command->run(&options);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("plasm %s\n", plasm_version());
        return EXIT_DONE;
    }
    const struct command *command = find_command(argv[1]);
    if (command == NULL) {
        (void)fprintf(stderr, "plasm: there is no command '%s'\n\n", argv[1]);
        print_usage(stderr);
        return EXIT_USAGE;
    }
    return run_command(command, argc - 1, argv + 1);
}
