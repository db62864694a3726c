/* Completion scripts for bash, zsh and fish, written from a program's own tables, so that they
 * offer what the program has and nothing else. */
#ifndef UTIL_SHELL_COMPLETION_H
#define UTIL_SHELL_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "util/compiler.h"

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };

/* `value` NULL: a flag. FILE and DIR complete paths; other names complete nothing, unless `choices`
 * has words, separated by spaces. */
struct completion_option {
    const char *name; /* without the dashes */
    const char *value;
    const char *help; /* may be NULL */
    const char *choices;
};

/* `argument` is what follows the command: "MODULE" completes *.wasm, "RECEIPT" and "FILE" any file,
 * anything else nothing, unless `choices` has words. */
struct completion_command {
    const char *name;
    const char *argument;
    const char *choices; /* may be NULL */
    const char *help;
    const struct completion_option *options;
    size_t option_count;
};

struct completion {
    const char *program;
    const struct completion_option *options; /* of every command, and without one */
    size_t option_count;
    const struct completion_command *commands;
    size_t command_count;
};

/* False: no shell of that name. */
MUST_CHECK bool shell_from_name(const char *name, enum shell *ret_shell);
/* Writes the whole script. */
void shell_completion_write(const struct completion *completion, enum shell shell, FILE *out);

#endif
