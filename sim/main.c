/* plasm-sim: runs a simulated network from a seed, says what came of it, and fails when too little
 * did. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/sign.h"
#include "report.h"
#include "util/compiler.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: plasm-sim [OPTIONS]\n"
    "\n"
    "Runs a network of nodes in virtual time: they join, provide and find, while datagrams are\n"
    "lost and nodes die. The same options give the same run.\n"
    "\n"
    "  --seed N          default 1\n"
    "  --nodes N         default 1000\n"
    "  --loss PERCENT    of the datagrams, default 1\n"
    "  --dead PERCENT    of the nodes die without a word before anything is looked for, default "
    "20\n"
    "  --nat PERCENT     of the nodes cannot be dialled, default 0\n"
    "  --settle SECONDS  between the last join and the deaths, default 60\n"
    "  --steady SECONDS  after the deaths: the time over which all is looked for, default 60\n"
    "  --churn PERCENT   of the nodes die without a word in an hour of it, each replaced by a new\n"
    "                    one, default 0\n"
    "  --part PERCENT    of the nodes are cut off from the others after a fifth of it, default 0\n"
    "  --part-time SECONDS  and heal after that, default 300\n"
    "  --sybils PERCENT  so many more nodes have chosen ids nearest to one key and hide its\n"
    "                    provider, default 0\n"
    "  --sybil-nets N    the /16 networks they are in, default 20\n"
    "  --quic            the real bytes of QUIC, for few nodes\n"
    "  --want PERCENT    exit with 1 when less is found, default 99\n"
    "  --trace FILE      write every event there, a line each; its SHA-256 is always printed\n"
    "  --json            one JSON object instead of text\n"
    "  --help\n";

enum option_value {
    OPTION_SEED = 256,
    OPTION_NODES,
    OPTION_LOSS,
    OPTION_DEAD,
    OPTION_NAT,
    OPTION_SETTLE,
    OPTION_STEADY,
    OPTION_CHURN,
    OPTION_PART,
    OPTION_PART_TIME,
    OPTION_SYBILS,
    OPTION_SYBIL_NETS,
    OPTION_QUIC,
    OPTION_WANT,
    OPTION_TRACE,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option options_known[] = {
    {"seed", required_argument, NULL, OPTION_SEED},
    {"nodes", required_argument, NULL, OPTION_NODES},
    {"loss", required_argument, NULL, OPTION_LOSS},
    {"dead", required_argument, NULL, OPTION_DEAD},
    {"nat", required_argument, NULL, OPTION_NAT},
    {"settle", required_argument, NULL, OPTION_SETTLE},
    {"steady", required_argument, NULL, OPTION_STEADY},
    {"churn", required_argument, NULL, OPTION_CHURN},
    {"part", required_argument, NULL, OPTION_PART},
    {"part-time", required_argument, NULL, OPTION_PART_TIME},
    {"sybils", required_argument, NULL, OPTION_SYBILS},
    {"sybil-nets", required_argument, NULL, OPTION_SYBIL_NETS},
    {"quic", no_argument, NULL, OPTION_QUIC},
    {"want", required_argument, NULL, OPTION_WANT},
    {"trace", required_argument, NULL, OPTION_TRACE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct command {
    struct scenario_options scenario;
    double want_percent;
    const char *trace_path;
    bool json;
    bool help;
};

static bool parse_whole(const char *text, uint64_t low, uint64_t high, uint64_t *ret_number) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < low ||
        number > high) {
        return false;
    }
    *ret_number = number;
    return true;
}

static bool parse_percent(const char *text, double high, double *ret_percent) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= 0 && number <= high)) {
        return false;
    }
    *ret_percent = number;
    return true;
}

static bool take_option(struct command *command, int option, const char *text) {
    struct scenario_options *scenario = &command->scenario;
    uint64_t number = 0;
    double percent = 0;
    bool good = true;
    switch (option) {
    case OPTION_SEED:
        return parse_whole(text, 0, UINT64_MAX, &scenario->seed);
    case OPTION_NODES:
        good = parse_whole(text, SCENARIO_NODES_MIN, SCENARIO_NODES_MAX, &number);
        scenario->node_count = number;
        return good;
    case OPTION_LOSS:
        good = parse_percent(text, NETWORK_LOSS_PPM_MAX / 10000.0, &percent);
        scenario->loss_ppm = (uint32_t)lround(percent * 10000);
        return good;
    case OPTION_DEAD:
        good = parse_whole(text, 0, SCENARIO_PERCENT_MAX, &number);
        scenario->dead_percent = (unsigned)number;
        return good;
    case OPTION_NAT:
        good = parse_whole(text, 0, SCENARIO_PERCENT_MAX, &number);
        scenario->nat_percent = (unsigned)number;
        return good;
    case OPTION_SETTLE:
        good = parse_whole(text, 0, SCENARIO_SETTLE_MAX / NANOS_SECOND, &number);
        scenario->settle = number * NANOS_SECOND;
        return good;
    case OPTION_STEADY:
        good = parse_whole(text, 1, SCENARIO_STEADY_MAX / NANOS_SECOND, &number);
        scenario->steady = number * NANOS_SECOND;
        return good;
    case OPTION_CHURN:
        good = parse_whole(text, 0, SCENARIO_PERCENT_MAX, &number);
        scenario->churn_percent = (unsigned)number;
        return good;
    case OPTION_PART:
        good = parse_whole(text, 0, SCENARIO_PERCENT_MAX, &number);
        scenario->parted_percent = (unsigned)number;
        return good;
    case OPTION_PART_TIME:
        good = parse_whole(text, 1, SCENARIO_STEADY_MAX / NANOS_SECOND, &number);
        scenario->parted = number * NANOS_SECOND;
        return good;
    case OPTION_SYBILS:
        good = parse_whole(text, 0, SCENARIO_PERCENT_MAX, &number);
        scenario->sybil_percent = (unsigned)number;
        return good;
    case OPTION_SYBIL_NETS:
        good = parse_whole(text, 1, SCENARIO_SYBIL_NETWORKS_MAX, &number);
        scenario->sybil_networks = (unsigned)number;
        return good;
    case OPTION_QUIC:
        scenario->quic = true;
        return true;
    case OPTION_WANT:
        return parse_percent(text, 100, &command->want_percent);
    case OPTION_TRACE:
        command->trace_path = text;
        return true;
    case OPTION_JSON:
        command->json = true;
        return true;
    case OPTION_HELP:
        command->help = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct command *ret_command) {
    int option;
    while ((option = getopt_long(argc, argv, "", options_known, NULL)) != -1) {
        if (option == '?') {
            return false; /* getopt has said why */
        }
        if (!take_option(ret_command, option, optarg)) {
            fprintf(stderr, "plasm-sim: \"%s\" is out of range\n", optarg);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "plasm-sim: unexpected argument \"%s\"\n", argv[optind]);
        return false;
    }
    if (ret_command->scenario.quic &&
        (ret_command->scenario.nat_percent > 0 || ret_command->scenario.parted_percent > 0 ||
         ret_command->scenario.sybil_percent > 0)) {
        fprintf(stderr, "plasm-sim: --nat, --part and --sybils are for simulated links only\n");
        return false;
    }
    return true;
}

/* Processor time of this only thread: what the run would take were the machine its own. */
static nanos real_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (nanos)now.tv_sec * NANOS_SECOND + (nanos)now.tv_nsec;
}

static int run(const struct command *command) {
    struct scenario_report report;
    scenario_run(&command->scenario, real_now, &report);
    if (command->json) {
        report_json(&report, &command->scenario, stdout);
    } else {
        report_text(&report, &command->scenario, stdout);
    }
    bool is_enough = scenario_success_percent(&report) >= command->want_percent;
    bool is_traced = !report.is_trace_broken;
    scenario_report_done(&report);
    if (!is_enough) {
        fprintf(stderr, "plasm-sim: less than %g %% was found\n", command->want_percent);
    }
    if (!is_traced) {
        fprintf(stderr, "plasm-sim: %s is not complete\n", command->trace_path);
    }
    return is_enough && is_traced ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct command command = {.scenario = scenario_options_default, .want_percent = 99};
    if (!parse(argc, argv, &command)) {
        return EXIT_USAGE;
    }
    if (command.help) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (crypto_init() != 0) {
        fprintf(stderr, "plasm-sim: the cryptographic libraries cannot start\n");
        return EXIT_FAILURE;
    }
    if (command.trace_path != NULL) {
        command.scenario.trace_file = fopen(command.trace_path, "w");
        if (command.scenario.trace_file == NULL) {
            perror(command.trace_path);
            return EXIT_FAILURE;
        }
    }
    int status = run(&command);
    if (command.scenario.trace_file != NULL && fclose(command.scenario.trace_file) != 0) {
        perror(command.trace_path);
        status = EXIT_FAILURE;
    }
    return status;
}
