/* plasm completion: what the tables of options and subcommands hold, as a shell's script. */
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "util/shell_completion.h"

static const char *choices_of(const struct option_row *row) {
    return strcmp(row->name, "profile") == 0 ? "wasip1 deterministic/1" : NULL;
}

static size_t options_of(const struct command *command, struct completion_option *room) {
    size_t count = 0;
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        if ((row->bits & command->options) != 0) {
            room[count++] = (struct completion_option){.name = row->name,
                                                       .value = row->value,
                                                       .help = row->help,
                                                       .choices = choices_of(row)};
        }
    }
    return count;
}

int command_completion(struct cli_options *options) {
    enum shell shell;
    if (!shell_from_name(options->arguments[0], &shell)) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID,
                        "%s: completions are written for bash, zsh and fish",
                        options->arguments[0]);
    }
    struct completion_option *rows = calloc(command_count * option_row_count, sizeof(*rows));
    struct completion_command *table = calloc(command_count, sizeof(*table));
    if (rows == NULL || table == NULL) {
        free(rows);
        free(table);
        return cli_fail(options, EXIT_FAILED, PLASM_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < command_count; i++) {
        struct completion_option *own = rows + i * option_row_count;
        table[i] = (struct completion_command){.name = commands[i].name,
                                               .argument = commands[i].arguments,
                                               .help = commands[i].help,
                                               .options = own,
                                               .option_count = options_of(&commands[i], own)};
        if (commands[i].run == command_completion) {
            table[i].choices = "bash zsh fish";
        }
    }
    const struct completion completion = {
        .program = "plasm", .commands = table, .command_count = command_count};
    shell_completion_write(&completion, shell, stdout);
    free(rows);
    free(table);
    return EXIT_DONE;
}
