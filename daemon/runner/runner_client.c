/* The parent's side of plasm-run: starting it, giving it jobs and modules. */
#include "runner/runner_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/packet.h"
#include "util/ensure.h"

/* What a runner needs besides the memory of its job: its heap, the module's code twice (loading),
 * the reserved places of tables. */
#define RUNNER_OWN_BYTES (UINT64_C(96) << 20)
/* A cancelled job has this long to end by itself. */
#define CANCEL_GRACE (50 * NANOS_MILLISECOND)
/* A compile process that gets no processor time is not waited for endlessly. */
#define COMPILE_GRACE (20 * NANOS_SECOND)

void runner_client_config_default(struct runner_client_config *ret_config) {
    *ret_config = (struct runner_client_config){
        .program = "plasm-run",
        .runners_max = 64,
        .runners_warm = 2,
        .idle_timeout = 30 * NANOS_SECOND,
        .kill_grace = 2 * NANOS_SECOND,
        .memory_bytes_max = UINT64_C(128) << 20,
        .compiles_max = 1,
    };
    runner_compile_limits_default(&ret_config->compile);
}

enum runner_flavour runner_flavour(bool deterministic, uint64_t fuel) {
    return deterministic || fuel > 0 ? RUNNER_FLAVOUR_METERED : RUNNER_FLAVOUR_PLAIN;
}

static bool config_is_valid(const struct runner_client_config *config) {
    return config->program != NULL && config->runners_max > 0 && config->runners_max <= 1024 &&
           config->runners_warm <= config->runners_max && config->compiles_max > 0 &&
           config->compiles_max <= 64 && config->memory_bytes_max > 0 &&
           config->memory_bytes_max <= UINT64_C(1) << 40 && config->compile.memory_bytes_max > 0 &&
           config->compile.cpu_s_max > 0 && config->compile.cpu_s_max < 3600;
}

/* Slots, each with room in the heap of deadlines, so that no later step can fail for memory. */
static int slots_init(struct runner_client *client) {
    /* Twice: those that are let go before their pidfd has come still hold their slot. */
    client->slot_count = 2 * (client->config.runners_max + client->config.compiles_max);
    client->processes =
        memory_zero(client->memory, client->slot_count * sizeof(*client->processes));
    if (client->processes == NULL) {
        return PLASM_NO_MEMORY;
    }
    for (size_t i = 0; i < client->slot_count; i++) {
        struct process *process = &client->processes[i];
        process->client = client;
        process->job.process = process;
        process->compile.process = process;
        process->compile.image_fd = -1;
        process->socket = -1;
        process->pidfd = -1;
        list_append(&client->free, &process->link);
        if (heap_set(&client->due, &process->due, 0) != 0) {
            return PLASM_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < client->slot_count; i++) {
        heap_remove(&client->due, &client->processes[i].due);
    }
    return 0;
}

int runner_client_new(const struct runner_client_config *config, struct memory *memory,
                      struct runner_client **ret_client) {
    if (!config_is_valid(config)) {
        return PLASM_INVALID;
    }
    struct runner_client *client = memory_zero(memory, sizeof(*client));
    if (client == NULL) {
        return PLASM_NO_MEMORY;
    }
    client->config = *config;
    client->memory = memory;
    client->zygote_socket = -1;
    client->zygote_pidfd = -1;
    list_init(&client->free);
    list_init(&client->warm);
    list_init(&client->idle);
    list_init(&client->busy);
    list_init(&client->compiling);
    list_init(&client->ending);
    list_init(&client->concluded);
    heap_init(&client->due, memory);
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    int error = client->epoll < 0 ? PLASM_IO : slots_init(client);
    if (error != 0) {
        runner_client_free(client);
        return error;
    }
    *ret_client = client;
    return 0;
}

void runner_client_free(struct runner_client *client) {
    if (client == NULL) {
        return;
    }
    client_stop(client, "");
    for (size_t i = 0; client->processes != NULL && i < client->slot_count; i++) {
        struct process *process = &client->processes[i];
        if (process->state == PROCESS_COMPILING && process->compile.image_fd >= 0) {
            close(process->compile.image_fd);
        }
        if (process->state != PROCESS_FREE) {
            process_free(process);
        }
    }
    if (client->epoll >= 0) {
        close(client->epoll);
    }
    heap_done(&client->due);
    memory_put(client->memory, client->processes, client->slot_count * sizeof(*client->processes));
    memory_put(client->memory, client, sizeof(*client));
}

void runner_client_arguments(struct runner_arguments *ret_arguments) {
    static char name[] = "plasm-run";
    static char option[] = "--zygote";
    static char fd[] = "3"; /* RUNNER_ZYGOTE_FD */
    *ret_arguments = (struct runner_arguments){{name, option, fd, NULL}};
}

/* Without environment, signals as at the beginning, and one descriptor. */
static int spawn_program(struct runner_client *client, int socket, pid_t *ret_pid) {
    const struct runner_client_config *config = &client->config;
    struct runner_arguments arguments;
    runner_client_arguments(&arguments);
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return PLASM_NO_MEMORY;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return PLASM_NO_MEMORY;
    }
    int error = posix_spawn_file_actions_adddup2(&actions, socket, RUNNER_ZYGOTE_FD);
    if (error == 0) {
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        error = posix_spawn(ret_pid, config->program, &actions, &attributes, arguments.list,
                            environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = error;
    return error == 0 ? 0 : PLASM_IO;
}

static int start_program(struct runner_client *client, int *ret_socket) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return PLASM_IO;
    }
    const struct runner_client_config *config = &client->config;
    int error = config->start != NULL
                    ? config->start(config->start_context, pair[1], &client->zygote_pid)
                    : spawn_program(client, pair[1], &client->zygote_pid);
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        return error;
    }
    *ret_socket = pair[0];
    return 0;
}

/* The service's socket starts a plasm-run for this connection. */
static int start_service(const struct runner_client *client, int *ret_socket) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(client->config.program) >= sizeof(address.sun_path)) {
        return PLASM_INVALID;
    }
    memcpy(address.sun_path, client->config.program, strlen(client->config.program));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return PLASM_IO;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return PLASM_IO;
    }
    *ret_socket = fd;
    return 0;
}

static int send_limits(const struct runner_client *client) {
    const struct runner_client_config *config = &client->config;
    const struct runner_message message = {
        .type = RUNNER_MESSAGE_CONFIGURE,
        .configure = {.data_bytes_max = config->memory_bytes_max + RUNNER_OWN_BYTES +
                                        config->compile.image_bytes_max,
                      .compile_data_bytes_max = config->compile.memory_bytes_max,
                      .file_bytes_max = config->compile.image_bytes_max}};
    uint8_t room[64];
    size_t size;
    ENSURE(runner_message_encode(&message, (struct span){room, sizeof(room)}, &size) == 0);
    return packet_send(client->zygote_socket, bytes_of(room, size), NULL, 0);
}

int runner_client_start(struct runner_client *client) {
    if (client->zygote_socket >= 0 || client->stopping) {
        return PLASM_STATE;
    }
    int socket;
    int error =
        client->config.is_service ? start_service(client, &socket) : start_program(client, &socket);
    if (error != 0) {
        return error;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 0};
    client->zygote_socket = socket;
    client->zygote_said_hello = false;
    /* One that has ended already is told by its socket. */
    error = send_limits(client);
    if ((error != 0 && error != PLASM_CLOSED) || fcntl(socket, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(client->epoll, EPOLL_CTL_ADD, socket, &event) != 0) {
        client_stop(client, "");
        client->stopping = false;
        return PLASM_IO;
    }
    return 0;
}

int runner_client_fd(const struct runner_client *client) {
    return client->epoll;
}

nanos runner_client_deadline(const struct runner_client *client) {
    return heap_deadline(&client->due);
}

/* Concatenates strings, each with its NUL, into `room`; gives how much that was. */
static int join_strings(const struct bytes *strings, size_t count, struct span *room,
                        struct bytes *ret_joined) {
    const uint8_t *start = room->data;
    if (count > RUNNER_STRINGS_MAX) {
        return PLASM_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes string = strings[i];
        if (string.size >= room->size) {
            return PLASM_TOO_LARGE;
        }
        if (string.size > 0) {
            if (memchr(string.data, 0, string.size) != NULL) {
                return PLASM_INVALID;
            }
            memcpy(room->data, string.data, string.size);
        }
        room->data[string.size] = 0;
        room->data += string.size + 1;
        room->size -= string.size + 1;
    }
    *ret_joined = bytes_of(start, (size_t)(room->data - start));
    return 0;
}

static bool request_is_valid(const struct runner_client *client,
                             const struct runner_request *request) {
    const struct runner_limits *limits = &request->limits;
    return request->key.size > 0 && request->key.size <= RUNNER_KEY_SIZE_MAX &&
           request->image_fd >= 0 && request->image_size > 0 &&
           (request->stdin_fd >= 0 || (request->stdin_bytes.size <= RUNNER_STDIN_INLINE_MAX)) &&
           limits->memory_bytes <= client->config.memory_bytes_max && limits->wall_ms > 0 &&
           (!request->deterministic || limits->fuel > 0);
}

/* Kept for this key and flavour, and alive as far as is known. */
static struct process *find_idle(struct runner_client *client, struct bytes key,
                                 enum runner_flavour flavour) {
    /* From the end: the one used last is the one still in the caches. */
    for (struct list_node *node = client->idle.head.prev; node != &client->idle.head;
         node = node->prev) {
        struct process *process = CONTAINER_OF(node, struct process, link);
        if (process->flavour == flavour && process->socket >= 0 && !process->exited &&
            bytes_equal(bytes_of(process->key, process->key_size), key)) {
            return process;
        }
    }
    return NULL;
}

static struct process *find_warm(struct runner_client *client) {
    for (struct list_node *node = list_first(&client->warm); node != NULL;
         node = list_next(&client->warm, node)) {
        struct process *process = CONTAINER_OF(node, struct process, link);
        if (process->socket >= 0 && !process->exited) {
            return process;
        }
    }
    return NULL;
}

/* A runner without a module: waiting, or forked now, if need be in the place of the one that has
 * been idle longest. */
static int fresh_runner(struct runner_client *client, struct process **ret_process) {
    struct process *process = find_warm(client);
    if (process != NULL) {
        *ret_process = process;
        return 0;
    }
    if (client->warm.size + client->idle.size + client->busy.size >= client->config.runners_max) {
        struct process *oldest = LIST_ENTRY(list_first(&client->idle), struct process, link);
        if (oldest == NULL) {
            return PLASM_LIMIT;
        }
        process_let_go(oldest);
    }
    return process_spawn_runner(client, ret_process);
}

static int load_runner(struct process *process, const struct runner_request *request,
                       enum runner_flavour flavour) {
    struct runner_message message = {
        .type = RUNNER_MESSAGE_LOAD,
        .load = {flavour, request->image_size},
    };
    int error = process_send(process, &message, request->image_fd);
    if (error != 0) {
        return error;
    }
    process->flavour = flavour;
    process->key_size = request->key.size;
    memcpy(process->key, request->key.data, request->key.size);
    return 0;
}

/* Sends the job to a runner that serves its key, or a new one. A runner that turns out to be gone
 * is let go, and another one tried. */
static int send_job(struct runner_client *client, const struct runner_request *request,
                    const struct runner_message *message, struct process **ret_process) {
    enum runner_flavour flavour = runner_flavour(request->deterministic, request->limits.fuel);
    for (size_t tries = 0; tries < client->slot_count; tries++) {
        struct process *process = find_idle(client, request->key, flavour);
        int error = 0;
        if (process == NULL) {
            error = fresh_runner(client, &process);
            if (error != 0) {
                return error;
            }
            error = load_runner(process, request, flavour);
        }
        if (error == 0) {
            error = process_send(process, message, request->stdin_fd);
        }
        if (error == 0) {
            *ret_process = process;
            return 0;
        }
        client->deaths++;
        process_let_go(process);
    }
    return PLASM_IO;
}

int runner_client_submit(struct runner_client *client, const struct runner_request *request,
                         nanos now, struct runner_job **ret_job) {
    uint8_t strings[RUNNER_STRINGS_SIZE_MAX];
    struct span room = {strings, sizeof(strings)};
    if (!request_is_valid(client, request)) {
        return PLASM_INVALID;
    }
    bool from_file = request->stdin_fd >= 0;
    struct runner_message message = {
        .type = RUNNER_MESSAGE_JOB,
        .job = {.job = ++client->next_job,
                .deterministic = request->deterministic,
                .limits = request->limits,
                .seed = bytes_of(request->seed, request->deterministic ? RUNNER_SEED_SIZE : 0),
                .arg_count = (uint32_t)request->arg_count,
                .env_count = (uint32_t)request->env_count,
                .stdin_is_file = from_file,
                .stdin_size = from_file ? request->stdin_size : request->stdin_bytes.size,
                .stdin_bytes = from_file ? bytes_of(NULL, 0) : request->stdin_bytes},
    };
    int error = join_strings(request->args, request->arg_count, &room, &message.job.args);
    error = error != 0 ? error
                       : join_strings(request->env, request->env_count, &room, &message.job.env);
    struct process *process;
    error = error != 0 ? error : send_job(client, request, &message, &process);
    if (error != 0) {
        return error;
    }
    process_move(process, PROCESS_BUSY);
    nanos wall = request->limits.wall_ms < NANOS_NEVER / NANOS_MILLISECOND
                     ? request->limits.wall_ms * NANOS_MILLISECOND
                     : NANOS_NEVER;
    process->job = (struct runner_job){
        .process = process,
        .number = message.job.job,
        .user = request->user,
        .fuel_max = request->limits.fuel,
        .output_left_bytes = request->limits.output_bytes,
        .started = now,
        .deadline = nanos_add(now, nanos_add(wall, client->config.kill_grace)),
    };
    client->now = now;
    process_set_due(process, process->job.deadline);
    *ret_job = &process->job;
    return 0;
}

void runner_job_cancel(struct runner_job *job, nanos now) {
    struct process *process = job->process;
    if (process->state != PROCESS_BUSY || job->cancelled) {
        return;
    }
    job->cancelled = true;
    process->client->now = now;
    runner_job_resume(job); /* nothing may keep its last message back */
    process_set_due(process, nanos_add(now, CANCEL_GRACE));
    struct runner_message message = {.type = RUNNER_MESSAGE_CANCEL, .cancel = {job->number}};
    if (process->socket >= 0 && process_send(process, &message, -1) == 0 && process->pidfd >= 0) {
        /* Where it computes, this makes it look at its socket. */
        (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGUSR1, NULL, 0);
    }
}

void runner_job_pause(struct runner_job *job) {
    if (job->process->state == PROCESS_BUSY && !job->paused && !job->cancelled) {
        job->paused = true;
        process_pause(job->process, true);
        /* It may have finished long since, behind output that is not read. */
        process_set_due(job->process, NANOS_NEVER);
    }
}

void runner_job_resume(struct runner_job *job) {
    if (job->paused) {
        struct runner_client *client = job->process->client;
        job->paused = false;
        process_pause(job->process, false);
        process_set_due(job->process, nanos_max(job->deadline,
                                                nanos_add(client->now, client->config.kill_grace)));
    }
}

void runner_client_forget(struct runner_client *client, struct bytes key) {
    struct list_node *next;
    for (struct list_node *node = list_first(&client->idle); node != NULL; node = next) {
        struct process *process = CONTAINER_OF(node, struct process, link);
        next = list_next(&client->idle, node);
        if (bytes_equal(bytes_of(process->key, process->key_size), key)) {
            process_let_go(process);
        }
    }
}

int runner_memfd(struct bytes bytes, int *ret_fd) {
    int fd = memfd_create("plasm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return PLASM_IO;
    }
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            close(fd);
            return PLASM_IO;
        }
        bytes = bytes_slice(bytes, (size_t)written, bytes.size);
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        close(fd);
        return PLASM_IO;
    }
    *ret_fd = fd;
    return 0;
}

int runner_client_compile(struct runner_client *client, struct bytes module,
                          enum runner_flavour flavour, void *user, nanos now,
                          struct runner_compile **ret_compile) {
    if (client->compiling.size >= client->config.compiles_max) {
        return PLASM_LIMIT;
    }
    int module_fd;
    int error = runner_memfd(module, &module_fd);
    if (error != 0) {
        return error;
    }
    int image_fd = memfd_create("plasm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (image_fd < 0) {
        close(module_fd);
        return PLASM_IO;
    }
    const struct runner_compile_message request = {
        .flavour = flavour,
        .limits = client->config.compile,
        .module_size = module.size,
    };
    struct process *process;
    error = process_spawn_compile(client, &request, module_fd, image_fd, &process);
    close(module_fd);
    if (error != 0) {
        close(image_fd);
        return error;
    }
    process->compile = (struct runner_compile){process, user, image_fd, false, false};
    process_set_due(process, nanos_add(now, client->config.compile.cpu_s_max * 2 * NANOS_SECOND +
                                                COMPILE_GRACE));
    *ret_compile = &process->compile;
    return 0;
}

void runner_compile_cancel(struct runner_compile *compile) {
    if (compile->process->state == PROCESS_COMPILING) {
        compile->cancelled = true;
        process_kill(compile->process);
    }
}

struct runner_client_counts runner_client_counts(const struct runner_client *client) {
    return (struct runner_client_counts){
        .runners_busy = client->busy.size,
        .runners_idle = client->idle.size,
        .runners_warm = client->warm.size,
        .compiles = client->compiling.size,
        .forks = client->forks,
        .deaths = client->deaths,
    };
}
