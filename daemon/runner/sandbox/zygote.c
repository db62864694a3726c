/* The loop of the zygote: fork what plasmd asks for, say when it ended. */
#include "runner/sandbox/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/packet.h"
#include "runner/sandbox/compile_process.h"
#include "runner/sandbox/runner.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/seccomp.h"
#include "util/ensure.h"

/* Processes alive at once; plasmd's own bounds are far below. */
#define ZYGOTE_CHILDREN_MAX 4096

struct child {
    pid_t pid;
    uint32_t token;
};

struct zygote {
    int socket;
    struct runner_configure limits;
    struct job_host host;
    struct child children[ZYGOTE_CHILDREN_MAX];
    size_t child_count;
};

static void send_message(const struct zygote *zygote, const struct runner_message *message,
                         const int *fds, size_t fd_count) {
    uint8_t room[64];
    size_t size;
    ENSURE(runner_message_encode(message, (struct span){room, sizeof(room)}, &size) == 0);
    if (packet_send(zygote->socket, bytes_of(room, size), fds, fd_count) != 0) {
        _exit(EXIT_SUCCESS); /* plasmd is gone */
    }
}

static uint64_t micros(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void report_exit(struct zygote *zygote, size_t index, int status,
                        const struct rusage *usage) {
    struct runner_message message = {
        .type = RUNNER_MESSAGE_EXITED,
        .exited = {.token = zygote->children[index].token,
                   .exit_code = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
                   .signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
                   .cpu_us = micros(usage->ru_utime) + micros(usage->ru_stime)},
    };
    zygote->children[index] = zygote->children[--zygote->child_count];
    send_message(zygote, &message, NULL, 0);
}

static void reap(struct zygote *zygote) {
    while (true) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) {
            return;
        }
        for (size_t i = 0; i < zygote->child_count; i++) {
            if (zygote->children[i].pid == pid) {
                report_exit(zygote, i, status, &usage);
                break;
            }
        }
    }
}

/* SIGCHLD is blocked but while the zygote waits for a message. */
static void block_child_signal(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    ENSURE(sigprocmask(how, &set, NULL) == 0);
}

static void on_child(int signal) {
    (void)signal;
}

/* What a forked child does first. */
static void enter_child(const struct zygote *zygote, pid_t parent) {
    block_child_signal(SIG_UNBLOCK);
    ENSURE(sandbox_enter_runner(parent) == 0);
    close(zygote->socket);
}

/* Forks, and tells plasmd. True in the child. */
static bool fork_child(struct zygote *zygote, uint32_t token) {
    pid_t parent = getpid();
    struct runner_message message = {.type = RUNNER_MESSAGE_SPAWNED, .spawned = {.token = token}};
    pid_t pid = zygote->child_count < ZYGOTE_CHILDREN_MAX ? fork() : -1;
    if (pid == 0) {
        enter_child(zygote, parent);
        return true;
    }
    if (pid < 0) {
        message.spawned.error = (uint32_t)errno;
        send_message(zygote, &message, NULL, 0);
        return false;
    }
    zygote->children[zygote->child_count++] = (struct child){pid, token};
    message.spawned.pid = (uint32_t)pid;
    /* Only now, so that the number is still the child's: nobody else reaps it. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    send_message(zygote, &message, &pidfd, pidfd >= 0 ? 1 : 0);
    if (pidfd >= 0) {
        close(pidfd);
    }
    return false;
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void receive(struct zygote *zygote) {
    uint8_t room[128];
    int fds[PACKET_FDS_MAX];
    struct bytes packet;
    struct runner_message message;
    int error = packet_receive(zygote->socket, (struct span){room, sizeof(room)}, fds,
                               ARRAY_SIZE(fds), &packet);
    if (error != 0) {
        _exit(EXIT_SUCCESS); /* plasmd is gone, and with this process all runners go */
    }
    ENSURE(runner_message_decode(packet, &message) == 0);
    if (message.type == RUNNER_MESSAGE_SPAWN) {
        ENSURE(fds[0] >= 0);
        if (fork_child(zygote, message.spawn.token)) {
            runner_serve(&zygote->host, fds[0], zygote->limits.data_bytes_max);
        }
    } else {
        ENSURE(message.type == RUNNER_MESSAGE_COMPILE && fds[2] >= 0);
        if (fork_child(zygote, message.compile.token)) {
            compile_process_run(&message.compile, fds[0], fds[1], fds[2]);
        }
    }
    close_all(fds, ARRAY_SIZE(fds));
}

_Noreturn static void serve(struct zygote *zygote) {
    sigset_t waiting;
    sigemptyset(&waiting);
    struct pollfd watched = {.fd = zygote->socket, .events = POLLIN};
    while (true) {
        int ready = ppoll(&watched, 1, NULL, &waiting);
        ENSURE(ready >= 0 || errno == EINTR);
        reap(zygote);
        if (ready > 0) {
            receive(zygote);
        }
    }
}

/* What ends plasmd's other processes does not end these: plasmd decides, by closing the socket. So
 * Ctrl-C or systemd's SIGTERM to all leaves running jobs to it. */
static void ignore_signals(void) {
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        ENSURE(signal(ignored[i], SIG_IGN) != SIG_ERR);
    }
}

/* Waits for the first message: nothing else is taken before it. */
static int take_limits(struct zygote *zygote) {
    uint8_t room[64];
    struct bytes packet;
    struct runner_message message;
    int error = packet_receive(zygote->socket, (struct span){room, sizeof(room)}, NULL, 0, &packet);
    error = error != 0 ? error : runner_message_decode(packet, &message);
    if (error != 0 || message.type != RUNNER_MESSAGE_CONFIGURE) {
        return PLASM_MALFORMED;
    }
    zygote->limits = message.configure;
    return 0;
}

static int enter_sandbox(const struct zygote *zygote, struct sandbox_walls *ret_walls) {
    const uint64_t runner = zygote->limits.data_bytes_max;
    const uint64_t compile = zygote->limits.compile_data_bytes_max;
    const struct sandbox_options sandbox = {
        .keep = &zygote->socket,
        .keep_count = 1,
        .data_bytes_max = runner > compile ? runner : compile,
        .file_bytes_max = zygote->limits.file_bytes_max,
    };
    return sandbox_enter(&sandbox, ret_walls);
}

static int prepare_seccomp(void) {
    int error = 0;
    for (int role = SECCOMP_ROLE_ZYGOTE; role < SECCOMP_ROLE_COUNT && error == 0; role++) {
        error = seccomp_prepare((enum seccomp_role)role);
    }
    return error != 0 ? error : seccomp_enter(SECCOMP_ROLE_ZYGOTE);
}

/* Whoever started us by a service cannot know our number: this handle ends us all the same. */
static void say_hello(const struct zygote *zygote, const struct sandbox_walls *walls) {
    struct runner_message message = {
        .type = RUNNER_MESSAGE_HELLO,
        .hello = {.version = RUNNER_PROTOCOL_VERSION,
                  .walls = walls->walls | RUNNER_WALL_SECCOMP,
                  .landlock_abi = walls->landlock_abi},
    };
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    send_message(zygote, &message, &pidfd, pidfd >= 0 ? 1 : 0);
    if (pidfd >= 0) {
        close(pidfd);
    }
}

int zygote_main(int socket) {
    static struct zygote zygote;
    const struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
    struct sandbox_walls walls;
    zygote.socket = socket;
    ignore_signals();
    if (take_limits(&zygote) != 0 || enter_sandbox(&zygote, &walls) != 0) {
        return RUNNER_ZYGOTE_NO_SANDBOX;
    }
    block_child_signal(SIG_BLOCK);
    ENSURE(sigaction(SIGCHLD, &action, NULL) == 0);
    if (job_host_init(&zygote.host) != 0) {
        return RUNNER_ZYGOTE_NO_ENGINE;
    }
    if (prepare_seccomp() != 0) {
        return RUNNER_ZYGOTE_NO_SECCOMP;
    }
    say_hello(&zygote, &walls);
    serve(&zygote);
}
