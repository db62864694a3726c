/* plasmd: the command line of the daemon. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/sign.h"
#include "plasmd/audit.h"
#include "plasmd/key_command.h"
#include "plasmd/worker.h"
#include "util/shell_completion.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: plasmd [OPTIONS]                run a worker\n"
    "       plasmd [OPTIONS] check-config   check the configuration and say what is wrong\n"
    "       plasmd [OPTIONS] show-config    every setting with its default and meaning\n"
    "       plasmd [OPTIONS] key show       peer id and public key\n"
    "       plasmd [OPTIONS] key rotate     a new identity; the old key is kept\n"
    "       plasmd [OPTIONS] audit          what ran, for whom, and how it ended\n"
    "       plasmd completion SHELL         a completion script for bash, zsh or fish\n"
    "\n"
    "  --config FILE            default /etc/plasm/plasmd.conf, which may be missing\n"
    "  --listen MULTIADDR       repeatable; default UDP (QUIC) and TCP port 4001 of IPv4 and IPv6\n"
    "  --bootstrap ADDRESS      repeatable: multiaddr or host[:port] of a node to join through\n"
    "  --relay MULTIADDR        repeatable: a relay to be reached through, ending in /p2p/…\n"
    "  --mdns on|off            announce on the local network and find others there; default on\n"
    "  --state-dir DIR          default /var/lib/plasm\n"
    "  --ephemeral              a new identity, kept nowhere\n"
    "  --log-format text|json\n"
    "  --log-level error|warning|info|debug\n"
    "  --print-addresses FILE   write the full multiaddrs there once listening\n"
    "  --runner FILE            plasm-run, the sandbox's program\n"
    "  --signer fork|auto|PATH  who has the key: a process of its own, or a service's socket\n"
    "  --status-page ADDRESS|PATH|off  where it is; default 127.0.0.1:4002\n"
    "  --deny PREFIX|PEER|all   repeatable: whom to refuse\n"
    "  --allow PREFIX|PEER      repeatable: exceptions\n"
    "  --json                   key show, audit: as JSON, one object a line\n"
    "  --client PEER            audit: only this client's jobs\n"
    "  --module HASH            audit: only of this module, or of those whose hash begins so\n"
    "  --status STATUS          audit: only those that ended so; lost, running\n"
    "  --since, --until TIME    audit: 2026-11-25, 2026-11-25T14:00:00 (UTC), 30m, 12h or 7d ago\n"
    "  --limit N                audit: the newest so many; default 100\n"
    "  --summary client|module  audit: totals\n"
    "  --follow                 audit: and those that end from now on\n"
    "  --force                  key rotate: also while a worker uses the key\n"
    "  --help, --version\n"
    "\n"
    "See plasmd(8) and plasmd.conf(5).\n";

enum option_value {
    OPTION_CONFIG = 256,
    OPTION_LISTEN,
    OPTION_BOOTSTRAP,
    OPTION_RELAY,
    OPTION_MDNS,
    OPTION_STATE_DIR,
    OPTION_EPHEMERAL,
    OPTION_LOG_FORMAT,
    OPTION_LOG_LEVEL,
    OPTION_PRINT_ADDRESSES,
    OPTION_RUNNER,
    OPTION_SIGNER,
    OPTION_JSON,
    OPTION_FORCE,
    OPTION_STATUS_PAGE,
    OPTION_DENY,
    OPTION_ALLOW,
    OPTION_CLIENT,
    OPTION_MODULE,
    OPTION_STATUS,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_LIMIT,
    OPTION_SUMMARY,
    OPTION_FOLLOW,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"bootstrap", required_argument, NULL, OPTION_BOOTSTRAP},
    {"relay", required_argument, NULL, OPTION_RELAY},
    {"mdns", required_argument, NULL, OPTION_MDNS},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"ephemeral", no_argument, NULL, OPTION_EPHEMERAL},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"print-addresses", required_argument, NULL, OPTION_PRINT_ADDRESSES},
    {"runner", required_argument, NULL, OPTION_RUNNER},
    {"signer", required_argument, NULL, OPTION_SIGNER},
    {"json", no_argument, NULL, OPTION_JSON},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"status-page", required_argument, NULL, OPTION_STATUS_PAGE},
    {"deny", required_argument, NULL, OPTION_DENY},
    {"allow", required_argument, NULL, OPTION_ALLOW},
    {"client", required_argument, NULL, OPTION_CLIENT},
    {"module", required_argument, NULL, OPTION_MODULE},
    {"status", required_argument, NULL, OPTION_STATUS},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"summary", required_argument, NULL, OPTION_SUMMARY},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* The setting that an option is. */
static const char *const settings[][3] = {
    {"listen", "node", "listen"},
    {"bootstrap", "node", "bootstrap"},
    {"state-dir", "node", "state_dir"},
    {"ephemeral", "node", "ephemeral"},
    {"log-format", "log", "format"},
    {"log-level", "log", "level"},
    {"relay", "node", "relays"},
    {"runner", "node", "runner"},
    {"mdns", "node", "mdns"},
    {"deny", "access", "deny"},
    {"allow", "access", "allow"},
    {"signer", "node", "signer"},
    {"status-page", "status", "listen"},
};

/* Options of commands. */
struct flags {
    bool json;
    bool force;
    struct audit_options audit;
};

static int refuse(const char *text) {
    (void)fprintf(stderr, "plasmd: %s\n", text);
    return EXIT_USAGE;
}

static bool apply(struct config *config, const char *name, const char *value,
                  char fault[CONFIG_FAULT_SIZE]) {
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (strcmp(settings[i][0], name) == 0) {
            return config_set(config, settings[i][1], settings[i][2], value != NULL ? value : "yes",
                              fault);
        }
    }
    return true;
}

/* The file first, then the command line over it: lists that the command line gives replace. */
static bool configure(struct config *config, int argc, char **argv, char fault[CONFIG_FAULT_SIZE]) {
    const char *path = NULL;
    bool listens = false;
    bool bootstraps = false;
    bool relays = false;
    int option;
    int index = 0;
    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        path = option == OPTION_CONFIG ? optarg : path;
        listens = listens || option == OPTION_LISTEN;
        bootstraps = bootstraps || option == OPTION_BOOTSTRAP;
        relays = relays || option == OPTION_RELAY;
    }
    config_default(config);
    snprintf(config->path, sizeof(config->path), "%s", path != NULL ? path : CONFIG_PATH_DEFAULT);
    if (!config_read(config, path != NULL ? path : CONFIG_PATH_DEFAULT, path != NULL, fault)) {
        return false;
    }
    config->listen_count = listens ? 0 : config->listen_count;
    config->bootstrap_count = bootstraps ? 0 : config->bootstrap_count;
    config->relay_count = relays ? 0 : config->relay_count;
    const char *environment = getenv("PLASM_BOOTSTRAP");
    if (config->bootstrap_count == 0 && !bootstraps && environment != NULL &&
        !config_set(config, "node", "bootstrap", environment, fault)) {
        return false;
    }
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == OPTION_PRINT_ADDRESSES) {
            snprintf(config->print_addresses, sizeof(config->print_addresses), "%s", optarg);
        } else if (option != '?' && !apply(config, options[index].name, optarg, fault)) {
            return false;
        }
    }
    return config_finish(config, fault);
}

struct command_line {
    int argc;
    char **argv;
    struct flags flags;
};

static bool configure_again(void *context, struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    const struct command_line *line = context;
    return configure(config, line->argc, line->argv, fault);
}

/* Everything but running a worker. `word` is what follows, one of `choices`; NULL where there are
 * none. */
struct command {
    const char *name;
    const char *choices;
    const char *help;
    int (*run)(struct config *config, struct command_line *line, const char *word);
};

static int run_check(struct config *config, struct command_line *line, const char *word);
static int run_show(struct config *config, struct command_line *line, const char *word);
static int run_key(struct config *config, struct command_line *line, const char *word);
static int run_audit(struct config *config, struct command_line *line, const char *word);
static int run_completion(struct config *config, struct command_line *line, const char *word);

static const struct command commands[] = {
    {"check-config", NULL, "check the configuration", run_check},
    {"show-config", NULL, "every setting with its meaning", run_show},
    {"key", "show rotate", "peer id and public key, or a new identity", run_key},
    {"audit", NULL, "what ran, for whom, and how it ended", run_audit},
    {"completion", "bash zsh fish", "a script for one", run_completion},
};

/* The options as the completion has them; their count. */
static size_t completion_options(struct completion_option table[ARRAY_SIZE(options)]) {
    size_t count = 0;
    for (const struct option *option = options; option->name != NULL; option++) {
        if (option->val == OPTION_HELP) {
            continue; /* every script has it */
        }
        struct completion_option *row = &table[count++];
        *row = (struct completion_option){.name = option->name,
                                          .value = option->has_arg == no_argument ? NULL : "VALUE"};
        switch (option->val) {
        case OPTION_CONFIG:
        case OPTION_PRINT_ADDRESSES:
        case OPTION_RUNNER:
            row->value = "FILE";
            break;
        case OPTION_STATE_DIR:
            row->value = "DIR";
            break;
        case OPTION_LOG_FORMAT:
            row->choices = "text json";
            break;
        case OPTION_LOG_LEVEL:
            row->choices = "error warning info debug";
            break;
        case OPTION_MDNS:
            row->choices = "on off";
            break;
        case OPTION_SUMMARY:
            row->choices = "client module";
            break;
        default:
            break;
        }
    }
    return count;
}

static int run_completion(struct config *config, struct command_line *line, const char *word) {
    (void)config;
    (void)line;
    enum shell shell;
    struct completion_option table[ARRAY_SIZE(options)];
    struct completion_command rows[ARRAY_SIZE(commands)];
    if (!shell_from_name(word, &shell)) {
        return refuse("completions are written for bash, zsh and fish");
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        rows[i] = (struct completion_command){.name = commands[i].name,
                                              .argument = "",
                                              .choices = commands[i].choices,
                                              .help = commands[i].help};
    }
    const struct completion completion = {.program = "plasmd",
                                          .options = table,
                                          .option_count = completion_options(table),
                                          .commands = rows,
                                          .command_count = ARRAY_SIZE(rows)};
    shell_completion_write(&completion, shell, stdout);
    return 0;
}

static int run_check(struct config *config, struct command_line *line, const char *word) {
    (void)config; /* it was read and found good */
    (void)line;
    (void)word;
    printf("The configuration is good.\n");
    return 0;
}

static int run_show(struct config *config, struct command_line *line, const char *word) {
    (void)config;
    (void)line;
    (void)word;
    config_print_schema();
    return 0;
}

static int run_key(struct config *config, struct command_line *line, const char *word) {
    if (strcmp(word, "show") == 0) {
        return key_show(config, line->flags.json);
    }
    return strcmp(word, "rotate") == 0 ? key_rotate(config, line->flags.force)
                                       : refuse("key: show or rotate; see plasmd --help");
}

static void take_audit_option(struct audit_options *audit, int option, const char *value) {
    audit->client = option == OPTION_CLIENT ? value : audit->client;
    audit->module = option == OPTION_MODULE ? value : audit->module;
    audit->status = option == OPTION_STATUS ? value : audit->status;
    audit->since = option == OPTION_SINCE ? value : audit->since;
    audit->until = option == OPTION_UNTIL ? value : audit->until;
    audit->limit = option == OPTION_LIMIT ? value : audit->limit;
    audit->summary = option == OPTION_SUMMARY ? value : audit->summary;
    audit->follow = audit->follow || option == OPTION_FOLLOW;
}

static int run_audit(struct config *config, struct command_line *line, const char *word) {
    (void)word;
    line->flags.audit.json = line->flags.json;
    return audit_run(config->state_dir, &line->flags.audit);
}

static int run_command(struct config *config, struct command_line *line) {
    int count = line->argc - optind;
    char **words = line->argv + optind;
    if (count == 0) {
        return worker_run(config, configure_again, line);
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *command = &commands[i];
        if (strcmp(words[0], command->name) == 0 && count == (command->choices != NULL ? 2 : 1)) {
            return command->run(config, line, command->choices != NULL ? words[1] : NULL);
        }
    }
    return refuse("no such command; see plasmd --help");
}

int main(int argc, char **argv) {
    int option;
    struct flags flags = {.json = false};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            printf("%s", usage);
            return 0;
        }
        if (option == OPTION_VERSION) {
            printf("plasmd %s\n", WORKER_VERSION);
            return 0;
        }
        flags.json = flags.json || option == OPTION_JSON;
        take_audit_option(&flags.audit, option, optarg);
        flags.force = flags.force || option == OPTION_FORCE;
        if (option == '?') {
            char text[224];
            snprintf(text, sizeof(text),
                     "%.100s: unknown option, or its value is missing; "
                     "see plasmd --help",
                     argv[optind - 1]);
            return refuse(text);
        }
    }
    if (crypto_init() != 0) {
        return refuse("the cryptographic libraries cannot start");
    }
    struct config *config = malloc(sizeof(*config));
    char fault[CONFIG_FAULT_SIZE];
    int code = EXIT_USAGE;
    if (config == NULL) {
        return refuse("out of memory");
    }
    if (configure(config, argc, argv, fault)) {
        daemon_log_init(config->log_format, config->log_level);
        code =
            run_command(config, &(struct command_line){.argc = argc, .argv = argv, .flags = flags});
    } else {
        (void)refuse(fault);
    }
    free(config);
    return code;
}
