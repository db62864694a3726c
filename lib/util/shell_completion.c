/* Writes completion scripts: one walk over the tables for each shell's own language. */
#include "util/shell_completion.h"

#include <string.h>

bool shell_from_name(const char *name, enum shell *ret_shell) {
    static const char *const names[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_shell = (enum shell)i;
            return true;
        }
    }
    return false;
}

static bool is_path(const char *value) {
    return value != NULL && (strcmp(value, "FILE") == 0 || strcmp(value, "DIR") == 0);
}

static bool is_directory(const char *value) {
    return strcmp(value, "DIR") == 0;
}

/* The command's argument, without what may follow it: "MODULE [-- ARGS]" is a MODULE. */
static bool argument_is(const struct completion_command *command, const char *name) {
    return strncmp(command->argument, name, strlen(name)) == 0;
}

static bool takes_file(const struct completion_command *command) {
    return argument_is(command, "RECEIPT") || argument_is(command, "FILE");
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_words(FILE *out, const char *words) {
    (void)fprintf(out, "mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$current\"); ", words);
}

static void bash_value(FILE *out, const char *command, const struct completion_option *option) {
    if (option->value == NULL) {
        return;
    }
    (void)fprintf(out, "    %s/--%s) ", command, option->name);
    if (option->choices != NULL) {
        bash_words(out, option->choices);
    } else if (is_path(option->value)) {
        (void)fprintf(
            out, "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -%c -- \"$current\"); ",
            is_directory(option->value) ? 'd' : 'f');
    }
    (void)fprintf(out, "return ;;\n");
}

/* Those of a command (NULL: none is given yet) and those of all. */
static void bash_options(FILE *out, const struct completion *completion,
                         const struct completion_command *command) {
    (void)fprintf(out, "        '%s') mapfile -t COMPREPLY < <(compgen -W '",
                  command != NULL ? command->name : "");
    for (size_t i = 0; command != NULL && i < command->option_count; i++) {
        (void)fprintf(out, "--%s ", command->options[i].name);
    }
    for (size_t i = 0; i < completion->option_count; i++) {
        (void)fprintf(out, "--%s ", completion->options[i].name);
    }
    (void)fprintf(out, "--help' -- \"$current\") ;;\n");
}

static void bash_argument(FILE *out, const struct completion_command *command) {
    if (command->choices != NULL) {
        (void)fprintf(out, "    %s) ", command->name);
        bash_words(out, command->choices);
        (void)fprintf(out, ";;\n");
    } else if (argument_is(command, "MODULE")) {
        (void)fprintf(out,
                      "    %s) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -X "
                      "'!*.wasm' -- \"$current\"; compgen -d -- \"$current\") ;;\n",
                      command->name);
    } else if (takes_file(command)) {
        (void)fprintf(out,
                      "    %s) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "
                      "\"$current\") ;;\n",
                      command->name);
    }
}

static void write_bash(const struct completion *completion, FILE *out) {
    const char *program = completion->program;
    (void)fprintf(
        out,
        "# %s completion for bash, written by: %s completion bash\n"
        "_%s() {\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command= word\n"
        "    COMPREPLY=()\n"
        "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
        "        case $word in\n"
        "        ",
        program, program, program);
    for (size_t i = 0; i < completion->command_count; i++) {
        (void)fprintf(out, "%s%s", i > 0 ? "|" : "", completion->commands[i].name);
    }
    (void)fprintf(out, ") command=$word; break ;;\n        esac\n    done\n"
                       "    case $command/$previous in\n");
    for (size_t i = 0; i < completion->option_count; i++) {
        bash_value(out, "*", &completion->options[i]);
    }
    for (size_t i = 0; i < completion->command_count; i++) {
        const struct completion_command *command = &completion->commands[i];
        for (size_t j = 0; j < command->option_count; j++) {
            bash_value(out, command->name, &command->options[j]);
        }
    }
    (void)fprintf(out, "    esac\n    if [[ $current == -* ]]; then\n        case $command in\n");
    bash_options(out, completion, NULL);
    for (size_t i = 0; i < completion->command_count; i++) {
        bash_options(out, completion, &completion->commands[i]);
    }
    (void)fprintf(out, "        esac\n        return\n    fi\n    case $command in\n"
                       "    '') mapfile -t COMPREPLY < <(compgen -W '");
    for (size_t i = 0; i < completion->command_count; i++) {
        (void)fprintf(out, "%s ", completion->commands[i].name);
    }
    (void)fprintf(out, "' -- \"$current\") ;;\n");
    for (size_t i = 0; i < completion->command_count; i++) {
        bash_argument(out, &completion->commands[i]);
    }
    (void)fprintf(out, "    esac\n}\ncomplete -F _%s %s\n", program, program);
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Inside single quotes; `special` are characters that the word's own syntax would see. */
static void quoted(FILE *out, const char *text, const char *special, const char *apostrophe) {
    for (const char *at = text != NULL ? text : ""; *at != '\0'; at++) {
        if (*at == '\'') {
            (void)fputs(apostrophe, out);
            continue;
        }
        if (strchr(special, *at) != NULL) {
            (void)fputc('\\', out);
        }
        (void)fputc(*at, out);
    }
}

static void zsh_option(FILE *out, const struct completion_option *option) {
    (void)fprintf(out, " \\\n            '*--%s%s[", option->name,
                  option->value != NULL ? "=" : "");
    quoted(out, option->help, "[]:\\", "'\\''");
    (void)fputc(']', out);
    if (option->value != NULL) {
        (void)fprintf(out, ":%s:", option->value);
        if (option->choices != NULL) {
            (void)fprintf(out, "(%s)", option->choices);
        } else if (is_path(option->value)) {
            (void)fputs(is_directory(option->value) ? "_files -/" : "_files", out);
        } else {
            (void)fputc(' ', out);
        }
    }
    (void)fputc('\'', out);
}

static void zsh_command(FILE *out, const struct completion *completion,
                        const struct completion_command *command) {
    (void)fprintf(out, "        %s) _arguments '--help[show its options]'", command->name);
    for (size_t i = 0; i < command->option_count; i++) {
        zsh_option(out, &command->options[i]);
    }
    for (size_t i = 0; i < completion->option_count; i++) {
        zsh_option(out, &completion->options[i]);
    }
    if (command->choices != NULL) {
        (void)fprintf(out, " \\\n            '*:word:(%s)'", command->choices);
    } else if (argument_is(command, "MODULE")) {
        (void)fputs(" \\\n            '*:module:_files -g \"*.wasm\"'", out);
    } else if (takes_file(command)) {
        (void)fputs(" \\\n            '*:file:_files'", out);
    }
    (void)fputs(" ;;\n", out);
}

static void write_zsh(const struct completion *completion, FILE *out) {
    const char *program = completion->program;
    (void)fprintf(out,
                  "#compdef %s\n"
                  "# %s completion for zsh, written by: %s completion zsh\n"
                  "_%s() {\n"
                  "    local context state state_descr line\n"
                  "    typeset -A opt_args\n"
                  "    local -a commands\n"
                  "    commands=(\n",
                  program, program, program, program);
    for (size_t i = 0; i < completion->command_count; i++) {
        (void)fprintf(out, "        '%s:", completion->commands[i].name);
        quoted(out, completion->commands[i].help, ":\\", "'\\''");
        (void)fputs("'\n", out);
    }
    (void)fputs("    )\n    _arguments -C '--help[show help]'", out);
    for (size_t i = 0; i < completion->option_count; i++) {
        zsh_option(out, &completion->options[i]);
    }
    (void)fputs(" \\\n            ':command:->command' '*::argument:->argument'\n"
                "    case $state in\n"
                "    command) _describe command commands ;;\n"
                "    argument)\n"
                "        case $line[1] in\n",
                out);
    for (size_t i = 0; i < completion->command_count; i++) {
        zsh_command(out, completion, &completion->commands[i]);
    }
    (void)fprintf(out,
                  "        esac ;;\n    esac\n}\n"
                  "if [[ $funcstack[1] == _%s ]]; then\n    _%s \"$@\"\nelse\n"
                  "    compdef _%s %s\nfi\n",
                  program, program, program, program);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_option(FILE *out, const char *program, const char *command,
                        const struct completion_option *option) {
    (void)fprintf(out, "complete -c %s", program);
    if (command != NULL) {
        (void)fprintf(out, " -n '__fish_seen_subcommand_from %s'", command);
    }
    (void)fprintf(out, " -l %s", option->name);
    if (option->value != NULL) {
        if (option->choices != NULL) {
            (void)fprintf(out, " -x -a '%s'", option->choices);
        } else if (is_path(option->value)) {
            (void)fputs(is_directory(option->value) ? " -x -a '(__fish_complete_directories)'"
                                                    : " -r -F",
                        out);
        } else {
            (void)fputs(" -x", out);
        }
    }
    if (option->help != NULL) {
        (void)fputs(" -d '", out);
        quoted(out, option->help, "\\", "\\'");
        (void)fputc('\'', out);
    }
    (void)fputc('\n', out);
}

static void fish_command(FILE *out, const char *program, const struct completion_command *command) {
    (void)fprintf(out, "complete -c %s -n __fish_use_subcommand -a %s -d '", program,
                  command->name);
    quoted(out, command->help, "\\", "\\'");
    (void)fputs("'\n", out);
    if (command->choices != NULL) {
        (void)fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -a '%s'\n", program,
                      command->name, command->choices);
    } else if (argument_is(command, "MODULE") || takes_file(command)) {
        (void)fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -F\n", program,
                      command->name);
    }
    for (size_t i = 0; i < command->option_count; i++) {
        fish_option(out, program, command->name, &command->options[i]);
    }
}

static void write_fish(const struct completion *completion, FILE *out) {
    (void)fprintf(out,
                  "# %s completion for fish, written by: %s completion fish\n"
                  "complete -c %s -f\n"
                  "complete -c %s -l help -d 'show help'\n",
                  completion->program, completion->program, completion->program,
                  completion->program);
    for (size_t i = 0; i < completion->option_count; i++) {
        fish_option(out, completion->program, NULL, &completion->options[i]);
    }
    for (size_t i = 0; i < completion->command_count; i++) {
        fish_command(out, completion->program, &completion->commands[i]);
    }
}

void shell_completion_write(const struct completion *completion, enum shell shell, FILE *out) {
    switch (shell) {
    case SHELL_BASH:
        write_bash(completion, out);
        break;
    case SHELL_ZSH:
        write_zsh(completion, out);
        break;
    case SHELL_FISH:
        write_fish(completion, out);
        break;
    }
}
