/* plasm-sign: the process that alone holds the worker's private key. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/identity_file.h"
#include "signer/program/confine.h"
#include "signer/program/key.h"
#include "signer/program/serve.h"

#define EXIT_USAGE 64

/* A service that nobody needs ends; the next connection starts it again. */
#define IDLE_MS 30000
/* The first descriptor that systemd hands over. */
#define SYSTEMD_FD 3
/* Requests are small, and are done one after the other. */
#define MEMORY_MAX ((size_t)1 * 1024 * 1024)

static const char usage[] =
    "usage: plasm-sign [--key FILE] [--existing] [--key-fd N] [--fd N]\n"
    "       plasm-sign --rotate [--force] --key FILE\n"
    "       plasm-sign --version\n"
    "\n"
    "Started by plasmd, or by systemd for a connection. Signs what plasmd asks for: only messages "
    "of\n"
    "known types, which it checks and builds itself, and only under its own name.\n";

enum option_value {
    OPTION_KEY = 256,
    OPTION_EXISTING,
    OPTION_KEY_FD,
    OPTION_FD,
    OPTION_ROTATE,
    OPTION_FORCE,
    OPTION_VERSION
};

static const struct option options[] = {
    {"key", required_argument, NULL, OPTION_KEY},
    {"existing", no_argument, NULL, OPTION_EXISTING},
    {"key-fd", required_argument, NULL, OPTION_KEY_FD},
    {"fd", required_argument, NULL, OPTION_FD},
    {"rotate", no_argument, NULL, OPTION_ROTATE},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

struct arguments {
    struct key_source source;
    int socket; /* -1: systemd's */
    bool rotate;
    bool force;
};

/* In memory of its own that is neither swapped nor dumped. */
static struct signing_identity *identity;

static void wipe(void) {
    if (identity != NULL) {
        crypto_wipe(identity, sizeof(*identity));
    }
}

static void on_end(int number) {
    (void)number;
    wipe();
    _exit(EXIT_SUCCESS);
}

static bool parse_fd(const char *text, int *ret_fd) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 3 || value > 1023) {
        return false;
    }
    *ret_fd = (int)value;
    return true;
}

static bool parse(int argc, char **argv, struct arguments *arguments) {
    int option;
    *arguments = (struct arguments){.source = {.may_make = true, .fd = -1}, .socket = -1};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case OPTION_KEY:
            arguments->source.path = optarg;
            break;
        case OPTION_EXISTING:
            arguments->source.may_make = false;
            break;
        case OPTION_KEY_FD:
            if (!parse_fd(optarg, &arguments->source.fd)) {
                return false;
            }
            break;
        case OPTION_FD:
            if (!parse_fd(optarg, &arguments->socket)) {
                return false;
            }
            break;
        case OPTION_ROTATE:
            arguments->rotate = true;
            break;
        case OPTION_FORCE:
            arguments->force = true;
            break;
        case OPTION_VERSION:
            printf("plasm-sign %s\n", PLASM_VERSION);
            exit(EXIT_SUCCESS);
        default:
            return false;
        }
    }
    return optind == argc && (!arguments->rotate || arguments->source.path != NULL);
}

static bool load(const struct arguments *arguments, int *ret_lock, char *fault) {
    struct ed25519_secret secret;
    struct signing_identity *room =
        mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        snprintf(fault, KEY_FAULT_SIZE, "out of memory");
        return false;
    }
    (void)mlock(room, sizeof(*room)); /* where the limits let us */
    (void)madvise(room, sizeof(*room), MADV_DONTDUMP);
    if (!key_load(&arguments->source, &secret, ret_lock, fault)) {
        return false;
    }
    signing_identity_init(room, &secret);
    ed25519_done(&secret);
    identity = room;
    return true;
}

/* systemd's socket: one that listens. */
static bool find_listener(void) {
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    int listens = 0;
    socklen_t size = sizeof(listens);
    return pid != NULL && count != NULL && strtol(pid, NULL, 10) == (long)getpid() &&
           strcmp(count, "1") == 0 &&
           getsockopt(SYSTEMD_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

/* Answers even without a key: whoever asks hears why. */
static int run(const struct arguments *arguments) {
    char fault[KEY_FAULT_SIZE] = "";
    int lock = -1;
    bool is_service = arguments->socket < 0;
    int keep[2] = {is_service ? SYSTEMD_FD : arguments->socket, -1};
    if (is_service && !find_listener()) {
        (void)fprintf(stderr, "plasm-sign: started by plasmd or systemd only; see plasmd(8)\n");
        return EXIT_USAGE;
    }
    if (!is_service) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    }
    if (!load(arguments, &lock, fault) && is_service) {
        (void)fprintf(stderr, "plasm-sign: %s\n", fault);
    }
    keep[1] = lock;
    json_object_seed(0); /* else it opens a file for it at the first object */
    struct memory memory;
    memory_init(&memory, MEMORY_MAX);
    const struct sign_service service = {.identity = identity, .fault = fault, .memory = &memory};
    if (confine_process(keep, lock >= 0 ? 2 : 1) != 0) {
        (void)!write(STDERR_FILENO, "plasm-sign: cannot lock itself in\n", 34);
        wipe();
        return EXIT_FAILURE;
    }
    int code = is_service ? serve_listener(&service, SYSTEMD_FD, IDLE_MS)
                          : serve_connection(&service, arguments->socket);
    wipe();
    return code;
}

int main(int argc, char **argv) {
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        (void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
        return EXIT_USAGE;
    }
    if (crypto_init() != 0 || confine_memory() != 0) {
        (void)fprintf(stderr, "plasm-sign: cannot protect its memory\n");
        return EXIT_FAILURE;
    }
    if (arguments.rotate) {
        return key_rotate(arguments.source.path, arguments.force);
    }
    struct sigaction action = {.sa_handler = on_end};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGINT, SIG_IGN); /* a terminal's is plasmd's */
    return run(&arguments);
}
