/* Processes as the parent sees them: slots, sockets, pidfds, from fork to exit. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/packet.h"
#include "util/ensure.h"

/* How long a zygote that has closed its socket may take to be gone. */
#define ZYGOTE_EXIT_MS 100

struct list *client_list(struct runner_client *client, enum process_state state) {
    switch (state) {
    case PROCESS_FREE:
        return &client->free;
    case PROCESS_WARM:
        return &client->warm;
    case PROCESS_IDLE:
        return &client->idle;
    case PROCESS_BUSY:
        return &client->busy;
    case PROCESS_COMPILING:
        return &client->compiling;
    case PROCESS_ENDING:
        break;
    }
    return &client->ending;
}

void process_move(struct process *process, enum process_state state) {
    struct runner_client *client = process->client;
    struct list *from =
        process->concluded ? &client->concluded : client_list(client, process->state);
    list_remove(from, &process->link);
    process->concluded = false;
    process->state = state;
    struct list *to = client_list(client, state);
    list_append(to, &process->link);
}

struct process *process_find(struct runner_client *client, uint32_t token) {
    struct process *process = &client->processes[token % client->slot_count];
    return token != 0 && process->token == token ? process : NULL;
}

/* Takes a free slot with a token never used before (or not for four thousand million forks). */
static struct process *slot_take(struct runner_client *client) {
    struct process *process = LIST_ENTRY(list_first(&client->free), struct process, link);
    if (process == NULL) {
        return NULL;
    }
    uint32_t slot = (uint32_t)(process - client->processes);
    uint32_t slots = (uint32_t)client->slot_count;
    uint32_t generation = (uint32_t)++client->forks;
    process->token = generation % (UINT32_MAX / slots) * slots + slot;
    if (process->token == 0) {
        process->token = slots * (UINT32_MAX / slots - 1) + slot;
    }
    process->socket = -1;
    process->pidfd = -1;
    process->kill_due = false;
    process->distrusted = false;
    process->was_busy = false;
    process->job = (struct runner_job){.process = process};
    process->exited = false;
    process->pid = 0;
    process->exit_code = 0;
    process->signal = 0;
    process->cpu_us = 0;
    process->key_size = 0;
    return process;
}

static int pair_new(int *ret_ours, int *ret_theirs) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return PLASM_IO;
    }
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
        close(pair[0]);
        close(pair[1]);
        return PLASM_IO;
    }
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

/* A paused one is left in epoll but for its edges: a hang-up would be told for ever. */
void process_pause(struct process *process, bool paused) {
    struct epoll_event event = {.events = paused ? EPOLLET : EPOLLIN, .data.u32 = process->token};
    if (process->socket >= 0) {
        ENSURE(epoll_ctl(process->client->epoll, EPOLL_CTL_MOD, process->socket, &event) == 0);
    }
}

void process_conclude(struct process *process) {
    struct runner_client *client = process->client;
    ENSURE(process->exited && process->socket < 0 && !process->concluded);
    list_remove(client_list(client, process->state), &process->link);
    list_append(&client->concluded, &process->link);
    process->concluded = true;
}

static void abandon(struct process *process) {
    close(process->socket);
    process->socket = -1;
    process->token = 0;
}

/* Sends the zygote a request with the process's end of a new pair as its first descriptor. */
static int spawn(struct runner_client *client, struct runner_message *request, uint32_t *token,
                 const int *more_fds, enum process_state state, struct process **ret_process) {
    if (client->zygote_socket < 0 || client->stopping) {
        return PLASM_STATE;
    }
    struct process *process = slot_take(client);
    if (process == NULL) {
        return PLASM_LIMIT;
    }
    int fds[PACKET_FDS_MAX] = {-1, more_fds != NULL ? more_fds[0] : -1,
                               more_fds != NULL ? more_fds[1] : -1};
    int error = pair_new(&process->socket, &fds[0]);
    if (error != 0) {
        process->token = 0;
        return error;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = process->token};
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, process->socket, &event) != 0) {
        close(fds[0]);
        abandon(process);
        return PLASM_IO;
    }
    *token = process->token;
    uint8_t room[128];
    size_t size;
    ENSURE(runner_message_encode(request, (struct span){room, sizeof(room)}, &size) == 0);
    error = packet_send(client->zygote_socket, bytes_of(room, size), fds,
                        more_fds != NULL ? PACKET_FDS_MAX : 1);
    close(fds[0]);
    if (error != 0) {
        abandon(process);
        return error == PLASM_STATE ? PLASM_LIMIT : PLASM_STATE;
    }
    process_move(process, state);
    *ret_process = process;
    return 0;
}

int process_spawn_runner(struct runner_client *client, struct process **ret_process) {
    struct runner_message request = {.type = RUNNER_MESSAGE_SPAWN};
    return spawn(client, &request, &request.spawn.token, NULL, PROCESS_WARM, ret_process);
}

int process_spawn_compile(struct runner_client *client,
                          const struct runner_compile_message *compile, int module_fd, int image_fd,
                          struct process **ret_process) {
    struct runner_message request = {.type = RUNNER_MESSAGE_COMPILE, .compile = *compile};
    const int fds[] = {module_fd, image_fd};
    return spawn(client, &request, &request.compile.token, fds, PROCESS_COMPILING, ret_process);
}

int process_send(struct process *process, const struct runner_message *message, int fd) {
    struct runner_client *client = process->client;
    const struct span room = {client->send_room, sizeof(client->send_room)};
    size_t size;
    int error = runner_message_encode(message, room, &size);
    if (error != 0) {
        return error;
    }
    return packet_send(process->socket, bytes_of(room.data, size), &fd, fd >= 0 ? 1 : 0);
}

void process_kill(struct process *process) {
    if (process->exited) {
        return;
    }
    if (process->pidfd < 0) {
        process->kill_due = true;
        return;
    }
    /* It may be gone already; that will be told. */
    (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

void process_hang_up(struct process *process) {
    if (process->socket >= 0) {
        close(process->socket);
        process->socket = -1;
    }
}

void process_let_go(struct process *process) {
    process_set_due(process, NANOS_NEVER);
    process_hang_up(process);
    process_kill(process);
    if (process->exited || process->pidfd >= 0) {
        process_free(process); /* what the zygote will say of its end is for nobody */
    } else {
        process_move(process, PROCESS_ENDING);
    }
}

void process_set_due(struct process *process, nanos deadline) {
    struct heap *heap = &process->client->due;
    /* The heap has had room for every slot since the start. */
    ENSURE(heap_set(heap, &process->due, deadline) == 0);
}

void process_free(struct process *process) {
    process_set_due(process, NANOS_NEVER);
    process_hang_up(process);
    if (process->pidfd >= 0) {
        close(process->pidfd);
        process->pidfd = -1;
    }
    process->token = 0;
    process_move(process, PROCESS_FREE);
}

void client_warm_up(struct runner_client *client) {
    const struct runner_client_config *config = &client->config;
    while (client->warm.size < config->runners_warm &&
           client->warm.size + client->idle.size + client->busy.size < config->runners_max) {
        struct process *process;
        if (process_spawn_runner(client, &process) != 0) {
            return;
        }
    }
}

/* Its exit code, or -1 where it does not exit within a moment or was killed. */
static int zygote_exit_code(const struct runner_client *client) {
    siginfo_t info = {.si_pid = 0};
    if (client->zygote_pid == 0) {
        return -1;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, client->zygote_pid, 0);
    if (pidfd < 0) {
        return -1;
    }
    struct pollfd watched = {.fd = pidfd, .events = POLLIN};
    (void)poll(&watched, 1, ZYGOTE_EXIT_MS);
    close(pidfd);
    if (waitid(P_PID, (id_t)client->zygote_pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0 || info.si_code != CLD_EXITED) {
        return -1;
    }
    return info.si_status;
}

void client_zygote_ended(struct runner_client *client) {
    char text[CLIENT_TEXT_SIZE];
    int code = zygote_exit_code(client);
    switch (code) {
    case RUNNER_ZYGOTE_NO_SANDBOX:
        client_stop(client, "plasm-run could not give up its privileges or set its limits");
        break;
    case RUNNER_ZYGOTE_NO_SECCOMP:
        client_stop(client, "plasm-run could not set its seccomp filter: does the kernel have it?");
        break;
    case RUNNER_ZYGOTE_NO_ENGINE:
        client_stop(client, "plasm-run could not start wasmtime on this machine");
        break;
    default:
        if (client->zygote_pid == 0) {
            snprintf(text, sizeof(text), "plasm-run's service ended; its log says why");
        } else {
            snprintf(text, sizeof(text), "plasm-run ended (code %d)", code);
        }
        client_stop(client, text);
        break;
    }
}

/* With the zygote all that it forked goes. A service's is not ours to wait for. */
static void end_zygote(struct runner_client *client) {
    if (client->zygote_pid > 0) {
        (void)kill(client->zygote_pid, SIGKILL);
        while (waitpid(client->zygote_pid, NULL, 0) < 0 && errno == EINTR) {
        }
        client->zygote_pid = 0;
    }
    if (client->zygote_pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, client->zygote_pidfd, SIGKILL, NULL, 0);
        close(client->zygote_pidfd);
        client->zygote_pidfd = -1;
    }
}

void client_stop(struct runner_client *client, const char *text) {
    if (client->zygote_socket < 0) {
        return;
    }
    close(client->zygote_socket);
    client->zygote_socket = -1;
    client->stopping = true;
    snprintf(client->stopped_text, sizeof(client->stopped_text), "%s", text);
    end_zygote(client);
    for (size_t i = 0; i < client->slot_count; i++) {
        struct process *process = &client->processes[i];
        if (process->state == PROCESS_FREE) {
            continue;
        }
        process_kill(process);
        process->exited = true;
        process->signal = SIGKILL;
        if (process->state != PROCESS_BUSY && process->state != PROCESS_COMPILING) {
            process_free(process);
        } else if (process->socket < 0 && !process->concluded) {
            process_conclude(process);
        }
    }
}
