/* plasm top: a worker of this machine in the terminal, over its local API. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/cli.h"

#define REFRESH_MS   1000
#define ROWS_DEFAULT 24
#define COLS_DEFAULT 80
#define COLS_MAX     400
/* Lines above the lists, and those of the lists' own heads. */
#define HEAD_ROWS 8

#define BOLD   "\x1b[1m"
#define DIM    "\x1b[2m"
#define PLAIN  "\x1b[0m"
#define SCREEN "\x1b[?1049h\x1b[?25l"
#define NORMAL "\x1b[?25h\x1b[?1049l"

struct view {
    json_t *status;
    json_t *jobs;
    json_t *peers;
};

/* What the rates are reckoned from. */
struct sample {
    json_int_t unix_ms;
    json_int_t ended;
    json_int_t received;
    json_int_t sent;
};

struct screen {
    FILE *out;
    size_t rows;
    size_t cols;
    size_t row;
    bool plain; /* no control sequences, as many lines as there are */
};

static struct termios saved;
static volatile sig_atomic_t terminal_is_ours;
static volatile sig_atomic_t ended_by;

/* Only calls that may be made from a signal handler. */
static void restore_terminal(void) {
    if (terminal_is_ours) {
        terminal_is_ours = 0;
        (void)!write(STDOUT_FILENO, NORMAL, sizeof(NORMAL) - 1);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    }
}

static void on_end(int number) {
    ended_by = number;
}

/* Our own fault: the terminal is put right and the signal takes its course. */
static void on_crash(int number) {
    restore_terminal();
    (void)raise(number); /* SA_RESETHAND */
}

/* A stop by the terminal gives it back as it was; going on takes it again. */
static void on_resize(int number) {
    (void)number; /* it interrupts poll() */
}

static void take_signals(void) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = on_end};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)sigaction(ends[i], &action, NULL);
    }
    action = (struct sigaction){.sa_handler = on_resize};
    (void)sigaction(SIGWINCH, &action, NULL);
    action = (struct sigaction){.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
        (void)sigaction(crashes[i], &action, NULL);
    }
}

static bool take_terminal(void) {
    if (tcgetattr(STDIN_FILENO, &saved) != 0) {
        return false;
    }
    struct termios raw = saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    take_signals();
    (void)atexit(restore_terminal);
    terminal_is_ours = 1;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0) {
        terminal_is_ours = 0;
        return false;
    }
    (void)!write(STDOUT_FILENO, SCREEN, sizeof(SCREEN) - 1);
    return true;
}

static const char *text_at(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static json_int_t number_at(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

/* One line, cut to the screen's width; what comes from the API is ASCII or is made so. */
static void line(struct screen *screen, const char *style, const char *format, ...)
    PRINTF_FORMAT(3, 4);
static void line(struct screen *screen, const char *style, const char *format, ...) {
    char text[COLS_MAX + 1];
    if (!screen->plain && screen->row >= screen->rows) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f) {
            *at = '?';
        }
    }
    if (screen->plain) {
        (void)fprintf(screen->out, "%s\n", text);
    } else {
        (void)fprintf(screen->out, "%s%s%.*s%s\x1b[K", screen->row > 0 ? "\r\n" : "", style,
                      (int)screen->cols, text, PLAIN);
    }
    screen->row++;
}

static void short_bytes(double bytes, char room[24]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(room, 24, unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static struct sample sample_of(const json_t *status) {
    const json_t *network = json_object_get(status, "network");
    struct sample sample = {.unix_ms = number_at(status, "unix_ms"),
                            .received = number_at(network, "received_bytes"),
                            .sent = number_at(network, "sent_bytes")};
    const char *name;
    json_t *count;
    json_object_foreach(json_object_get(json_object_get(status, "jobs"), "ended"), name, count) {
        sample.ended += json_integer_value(count);
    }
    return sample;
}

static void show_head(struct screen *screen, const json_t *status, const struct sample *before,
                      const struct sample *now) {
    const json_t *jobs = json_object_get(status, "jobs");
    const json_t *network = json_object_get(status, "network");
    const json_t *runners = json_object_get(status, "runners");
    char memory[24];
    char in[24];
    char out[24];
    double seconds = (double)(now->unix_ms - before->unix_ms) / 1000;
    seconds = seconds > 0 ? seconds : 1;
    short_bytes((double)number_at(json_object_get(status, "memory"), "used_bytes"), memory);
    short_bytes((double)(now->received - before->received) / seconds, in);
    short_bytes((double)(now->sent - before->sent) / seconds, out);
    line(screen, BOLD, "%s  %s  up %lld s  plasmd %s", text_at(status, "peer_id"),
         text_at(status, "state"), (long long)number_at(status, "uptime_s"),
         text_at(status, "version"));
    line(screen, "",
         "jobs     %lld of %lld running, %lld queued, %lld compiling, %lld ended, %.1f/s",
         (long long)number_at(jobs, "running"), (long long)number_at(jobs, "slots"),
         (long long)number_at(jobs, "queued"), (long long)number_at(jobs, "compiling"),
         (long long)now->ended, (double)(now->ended - before->ended) / seconds);
    line(screen, "", "network  %lld connections, %lld streams, in %s/s, out %s/s, %s",
         (long long)number_at(network, "connections"), (long long)number_at(network, "streams"), in,
         out, text_at(network, "reachability"));
    line(screen, "", "dht      %lld peers in the routing table, %lld provider records",
         (long long)number_at(json_object_get(status, "dht"), "routing_table_peers"),
         (long long)number_at(json_object_get(status, "dht"), "provider_records"));
    line(screen, "", "runners  %lld busy, %lld kept, %lld warm, %lld died; %s held by plasmd",
         (long long)number_at(runners, "busy"), (long long)number_at(runners, "idle"),
         (long long)number_at(runners, "warm"), (long long)number_at(runners, "deaths"), memory);
    line(screen, "", "%s", "");
}

/* A third of the room for each list, more where the others need less. */
static size_t room_for(const struct screen *screen, size_t wanted) {
    size_t left = screen->rows > HEAD_ROWS ? screen->rows - HEAD_ROWS : 3;
    return screen->plain || wanted < left / 3 ? wanted : left / 3;
}

static void show_jobs(struct screen *screen, const json_t *jobs) {
    const json_t *now = json_object_get(jobs, "now");
    const json_t *recent = json_object_get(jobs, "recent");
    size_t count = room_for(screen, json_array_size(now));
    line(screen, BOLD, "%-37s %-10s %10s  %s", "JOB", "PHASE", "AGE", "CLIENT");
    for (size_t i = 0; i < count; i++) {
        const json_t *job = json_array_get(now, i);
        line(screen, "", "%-37s %-10s %8.1f s  %s", text_at(job, "job_id"), text_at(job, "phase"),
             (double)number_at(job, "age_ms") / 1000, text_at(job, "client"));
    }
    count = room_for(screen, json_array_size(recent));
    for (size_t i = 0; i < count; i++) {
        const json_t *job = json_array_get(recent, i);
        line(screen, DIM, "%-37s %-10s %7.1f ms  %s", text_at(job, "job_id"),
             text_at(job, "status"), (double)number_at(job, "wall_us") / 1000,
             text_at(job, "client"));
    }
    line(screen, "", "%s", "");
}

static void show_peers(struct screen *screen, const json_t *peers) {
    const json_t *list = json_object_get(peers, "peers");
    line(screen, BOLD, "%-53s %-6s %-4s %s", "PEER", "WAY", "", "RUNS");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *peer = json_array_get(list, i);
        line(screen, "", "%-53s %-6s %-4s %s", text_at(peer, "peer_id"), text_at(peer, "transport"),
             json_is_true(json_object_get(peer, "inbound")) ? "in" : "out", text_at(peer, "agent"));
    }
}

static bool get_view(const char *url, struct view *view) {
    view->status = api_get(url, "/api/v1/status");
    view->jobs = view->status != NULL ? api_get(url, "/api/v1/jobs") : NULL;
    view->peers = view->jobs != NULL ? api_get(url, "/api/v1/peers") : NULL;
    return view->peers != NULL;
}

static void drop_view(struct view *view) {
    json_decref(view->status);
    json_decref(view->jobs);
    json_decref(view->peers);
    memset(view, 0, sizeof(*view));
}

static void measure(struct screen *screen) {
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    screen->rows = known ? size.ws_row : ROWS_DEFAULT;
    screen->cols = known && size.ws_col < COLS_MAX ? size.ws_col : COLS_DEFAULT;
    screen->row = 0;
}

static void show(struct screen *screen, const struct view *view, const struct sample *before) {
    struct sample now = sample_of(view->status);
    show_head(screen, view->status, before, &now);
    show_jobs(screen, view->jobs);
    show_peers(screen, view->peers);
}

/* Waits for the next turn; false: the user has had enough. */
static bool wait_turn(void) {
    struct pollfd key = {.fd = STDIN_FILENO, .events = POLLIN};
    char pressed = 0;
    int ready = ended_by == 0 ? poll(&key, 1, REFRESH_MS) : 0;
    if (ready > 0 && read(STDIN_FILENO, &pressed, 1) <= 0) {
        return false; /* the terminal is gone */
    }
    return ended_by == 0 && pressed != 'q' && pressed != 'Q';
}

static int watch(const struct cli_options *options, const char *url) {
    struct view view = {.status = NULL};
    struct sample before = {0};
    struct screen screen = {.out = stdout};
    if (!isatty(STDOUT_FILENO) || !take_terminal()) {
        return cli_fail(options, EXIT_USAGE, PLASM_INVALID,
                        "top needs a terminal; --once or --json do not");
    }
    do {
        measure(&screen);
        (void)fputs("\x1b[H", stdout);
        if (get_view(url, &view)) {
            struct sample now = sample_of(view.status);
            show(&screen, &view, before.unix_ms > 0 ? &before : &now);
            before = now;
        } else {
            line(&screen, BOLD, "%s: %s; trying again, q quits", url, strerror(errno));
        }
        drop_view(&view);
        (void)fputs("\x1b[J", stdout);
        (void)fflush(stdout);
    } while (wait_turn());
    restore_terminal();
    if (ended_by != 0) {
        (void)signal(ended_by, SIG_DFL);
        (void)raise(ended_by);
    }
    return EXIT_DONE;
}

int command_top(struct cli_options *options) {
    const char *url = options->node_url != NULL ? options->node_url : API_URL_DEFAULT;
    struct view view = {.status = NULL};
    if (!options->once && !options->json) {
        return watch(options, url);
    }
    if (!get_view(url, &view)) {
        int error = errno;
        drop_view(&view);
        return cli_fail(options, EXIT_FAILED, PLASM_UNREACHABLE, "%s: %s", url, strerror(error));
    }
    if (options->json) {
        (void)cli_print_event("top", json_pack("{s:O,s:O,s:O}", "status", view.status, "jobs",
                                               view.jobs, "peers", view.peers));
    } else {
        struct screen screen = {.out = stdout, .plain = true};
        struct sample now = sample_of(view.status);
        show(&screen, &view, &now);
    }
    drop_view(&view);
    return EXIT_DONE;
}
