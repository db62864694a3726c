/* Both sides of the starter: plasmd's calls, and the process itself. */
#include "plasmd/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/identity_file.h"
#include "runner/packet.h"
#include "util/ensure.h"

/* The starter's own descriptors begin here: those below are for what it starts. */
#define OWN_FDS          16
#define PROGRAM_NAME     "plasm-start"
#define EXIT_NO_PROGRAM  127
#define ENVIRONMENT_SIZE 4200

struct starter {
    int socket;
    int pid;
};

/* What the process has. */
struct process {
    const struct starter_plan *plans;
    int socket;
    int key_fd;                         /* -1: none */
    char environment[ENVIRONMENT_SIZE]; /* where systemd's credentials are, for plasm-sign */
};

/* In the new process. */
_Noreturn static void become(const struct process *process, enum starter_program program, int fd) {
    const struct starter_plan *plan = &process->plans[program];
    bool is_signer = program == STARTER_SIGNER;
    char *const environment[] = {is_signer && process->environment[0] != '\0'
                                     ? (char *)(uintptr_t)process->environment
                                     : NULL,
                                 NULL};
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int first = STARTER_SOCKET_FD + 1;
    if (fd == STARTER_SOCKET_FD ? fcntl(fd, F_SETFD, 0) != 0 : dup2(fd, STARTER_SOCKET_FD) < 0) {
        _exit(EXIT_NO_PROGRAM);
    }
    if (is_signer && process->key_fd >= 0) {
        first = STARTER_KEY_FD + 1;
        if (dup2(process->key_fd, STARTER_KEY_FD) < 0) {
            _exit(EXIT_NO_PROGRAM);
        }
    }
    (void)syscall(SYS_close_range, first, ~0u, 0);
    (void)execve(plan->path, plan->arguments, environment);
    _exit(EXIT_NO_PROGRAM);
}

/* plasmd's child, not ours: it waits for it, and its death ends it. */
static int start(const struct process *process, enum starter_program program, int fd) {
    long pid = syscall(SYS_clone, (long)CLONE_PARENT, 0L, 0L, 0L, 0L);
    if (pid == 0) {
        become(process, program, fd);
    }
    return pid < 0 ? -errno : (int)pid;
}

_Noreturn static void serve(const struct process *process) {
    while (true) {
        uint8_t room[2];
        struct bytes packet;
        int fd = -1;
        int error =
            packet_receive(process->socket, (struct span){room, sizeof(room)}, &fd, 1, &packet);
        if (error != 0 || packet.size != 1 || room[0] >= STARTER_PROGRAMS || fd < 0) {
            _exit(EXIT_SUCCESS); /* plasmd is gone */
        }
        int result = start(process, (enum starter_program)room[0], fd);
        close(fd);
        if (packet_send(process->socket, bytes_of(&result, sizeof(result)), NULL, 0) != 0) {
            _exit(EXIT_SUCCESS);
        }
    }
}

/* A key in memory alone. */
static int make_key(void) {
    struct ed25519_secret secret;
    uint8_t protobuf[PRIVATE_KEY_ENCODED_SIZE];
    int low = memfd_create("key", MFD_CLOEXEC);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, OWN_FDS);
    identity_fresh(&secret);
    private_key_encode(&secret, protobuf);
    bool is_written = fd >= 0 && write(fd, protobuf, sizeof(protobuf)) == (ssize_t)sizeof(protobuf);
    crypto_wipe(protobuf, sizeof(protobuf));
    ed25519_done(&secret);
    if (!is_written) {
        _exit(EXIT_FAILURE);
    }
    close(low);
    return fd;
}

/* Keeps nothing of plasmd's but standard error and the socket, and not its terminal's signals. */
_Noreturn static void begin(const struct starter_plan *plans, int socket, bool ephemeral,
                            pid_t plasmd) {
    static struct process process;
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    process.plans = plans;
    process.key_fd = -1;
    if (credentials != NULL) {
        snprintf(process.environment, sizeof(process.environment), "CREDENTIALS_DIRECTORY=%s",
                 credentials);
    }
    process.socket = fcntl(socket, F_DUPFD_CLOEXEC, OWN_FDS);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (process.socket < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 ||
        syscall(SYS_close_range, 3u, (unsigned)process.socket - 1, 0) != 0 ||
        syscall(SYS_close_range, (unsigned)process.socket + 1, ~0u, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        getppid() != plasmd) {
        _exit(EXIT_FAILURE);
    }
    (void)prctl(PR_SET_NAME, PROGRAM_NAME, 0, 0, 0);
    (void)setpgid(0, 0);
    if (ephemeral) {
        process.key_fd = make_key();
    }
    serve(&process);
}

int starter_new(const struct starter_plan plans[STARTER_PROGRAMS], bool ephemeral,
                struct starter **ret_starter) {
    int pair[2];
    pid_t plasmd = getpid();
    struct starter *starter = calloc(1, sizeof(*starter));
    if (starter == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(starter);
        return PLASM_IO;
    }
    pid_t child = fork();
    if (child == 0) {
        begin(plans, pair[1], ephemeral, plasmd);
    }
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        free(starter);
        return PLASM_IO;
    }
    starter->socket = pair[0];
    starter->pid = child;
    *ret_starter = starter;
    return 0;
}

int starter_start(struct starter *starter, enum starter_program program, int socket, int *ret_pid) {
    const uint8_t request = (uint8_t)program;
    int result;
    struct bytes packet;
    int error = packet_send(starter->socket, bytes_of(&request, sizeof(request)), &socket, 1);
    if (error == 0) {
        error = packet_receive(starter->socket, (struct span){(uint8_t *)&result, sizeof(result)},
                               NULL, 0, &packet);
    }
    if (error != 0 || packet.size != sizeof(result)) {
        errno = EPIPE;
        return PLASM_IO;
    }
    if (result <= 0) {
        errno = -result;
        return PLASM_IO;
    }
    *ret_pid = result;
    return 0;
}

void starter_free(struct starter *starter) {
    if (starter == NULL) {
        return;
    }
    close(starter->socket); /* it ends by itself */
    while (waitpid(starter->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    free(starter);
}
