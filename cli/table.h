/* The tables of options and subcommands, for whoever parses them or writes them down. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/cli.h"

/* Options by their bits: a subcommand lists those it takes. */
enum option_bit {
    TAKES_BOOTSTRAP = 1 << 0,
    TAKES_NODE = 1 << 1,
    TAKES_JOB = 1 << 2,
    TAKES_RECEIPT = 1 << 3,
    TAKES_QUERY = 1 << 4,
    TAKES_EXPECT = 1 << 5,
    TAKES_COUNT = 1 << 6,
    TAKES_CONCURRENCY = 1 << 7,
    TAKES_STDIN = 1 << 8,
    TAKES_ALWAYS = 1 << 9,
    TAKES_PERF = 1 << 10,
    TAKES_OUTPUT = 1 << 11,
    TAKES_TOP = 1 << 12,
};

enum kind { KIND_TEXT, KIND_LIST, KIND_FLAG };

struct option_row {
    const char *name;
    enum kind kind;
    unsigned bits;
    size_t offset;
    const char *value;
    const char *help;
};

struct command {
    const char *name;
    const char *arguments;
    int argument_min;
    int argument_max; /* -1: any number */
    unsigned options;
    int (*run)(struct cli_options *options);
    const char *help;
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;
extern const struct command commands[];
extern const size_t command_count;

#endif
