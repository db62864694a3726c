/* What the processes send, turned into events. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/packet.h"
#include "util/ensure.h"

void runner_client_receive(struct runner_client *client, nanos now) {
    client->now = now;
    int count = epoll_wait(client->epoll, client->ready, CLIENT_READY_MAX, 0);
    client->ready_count = count > 0 ? (size_t)count : 0;
    client->ready_next = 0;
    client->burst = 0;
}

/* Too late: a job, a compilation; or idle for long enough. */
static void expire_process(struct process *process) {
    process_set_due(process, NANOS_NEVER);
    switch (process->state) {
    case PROCESS_IDLE:
        process_let_go(process);
        break;
    case PROCESS_BUSY:
        process->job.killed = true;
        process->job.killed_status =
            process->job.cancelled ? RUNNER_STATUS_CANCELLED : RUNNER_STATUS_TIMEOUT;
        process_kill(process);
        break;
    case PROCESS_COMPILING:
        process->compile.late = true;
        process_kill(process);
        break;
    default:
        break;
    }
}

void runner_client_expire(struct runner_client *client, nanos now) {
    client->now = now;
    while (heap_deadline(&client->due) <= now) {
        expire_process(CONTAINER_OF(heap_first(&client->due), struct process, due));
    }
}

static void event_finished(const struct process *process, const struct runner_result *result,
                           struct runner_event *ret_event) {
    *ret_event = (struct runner_event){
        .type = RUNNER_EVENT_FINISHED,
        .finished = {.user = process->job.user, .result = *result},
    };
}

/* The runner is free for the next job of its client, or not wanted any more. */
static void job_over(struct process *process) {
    struct runner_client *client = process->client;
    if (client->config.runner_per_job || client->stopping || process->job.killed) {
        process_let_go(process);
        return;
    }
    process_move(process, PROCESS_IDLE);
    process_set_due(process, nanos_add(client->now, client->config.idle_timeout));
}

/* The next event out of the packet in `room`; false when it is told. */
static bool tell_packet(struct runner_client *client, struct runner_event *ret_event) {
    struct process *process = client->telling;
    enum runner_stream stream;
    struct bytes data;
    if (process == NULL) {
        return false;
    }
    if (runner_segment_next(&client->segments, &stream, &data)) {
        *ret_event = (struct runner_event){
            .type = RUNNER_EVENT_OUTPUT,
            .output = {&process->job, process->job.user, stream, data},
        };
        return true;
    }
    client->telling = NULL;
    if (!client->finished_due) {
        return false;
    }
    event_finished(process, &client->result, ret_event);
    job_over(process);
    return true;
}

PRINTF_FORMAT(2, 3)
static void set_text(struct runner_client *client, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->text, sizeof(client->text), format, arguments);
    va_end(arguments);
}

/* How a process ended, for people. */
static void describe_exit(const struct process *process) {
    struct runner_client *client = process->client;
    if (client->stopping) {
        set_text(client, "%s", client->stopped_text);
    } else if (process->pid == 0) {
        set_text(client, "the process could not be made (errno %d)", process->exit_code);
    } else if (process->distrusted) {
        set_text(client, "killed: it broke the protocol");
    } else if (process->signal == SIGSYS) {
        set_text(client, "killed: it made a system call that seccomp does not allow");
    } else if (process->signal != 0) {
        set_text(client, "killed by signal %d", process->signal);
    } else {
        set_text(client, "it exited with code %d", process->exit_code);
    }
}

/* FINISHED of a job whose runner is gone. */
static void finish_for_the_dead(struct process *process, struct runner_event *ret_event) {
    struct runner_client *client = process->client;
    struct runner_job *job = &process->job;
    struct runner_result result = {
        .status = job->killed ? job->killed_status : RUNNER_STATUS_FAILED,
        .exit_code = -1,
        .wall_us = nanos_since(client->now, job->started) / NANOS_MICROSECOND,
    };
    if (result.status == RUNNER_STATUS_TIMEOUT) {
        set_text(client, "it ran over its time and was killed");
    } else if (result.status == RUNNER_STATUS_CANCELLED) {
        set_text(client, "cancelled");
    } else {
        describe_exit(process);
    }
    result.text = bytes_of_string(client->text);
    event_finished(process, &result, ret_event);
    process->was_busy = true;
}

static void event_compiled(struct process *process, enum runner_compile_outcome outcome,
                           uint64_t image_size, struct runner_event *ret_event) {
    struct runner_compile *compile = &process->compile;
    bool done = outcome == RUNNER_COMPILE_OK;
    if (!done) {
        close(compile->image_fd);
        compile->image_fd = -1;
    }
    *ret_event = (struct runner_event){
        .type = RUNNER_EVENT_COMPILED,
        .compiled = {.user = compile->user,
                     .outcome = outcome,
                     .text = process->client->text,
                     .image_fd = compile->image_fd,
                     .image_size = image_size,
                     .cpu_us = process->cpu_us},
    };
    compile->image_fd = -1;
}

/* COMPILED of a process that ended without a word. */
static void compiled_by_the_dead(struct process *process, struct runner_event *ret_event) {
    enum runner_compile_outcome outcome = RUNNER_COMPILE_FAILED;
    if (process->compile.cancelled) {
        set_text(process->client, "cancelled");
    } else if (process->compile.late ||
               (process->signal == SIGKILL && !process->client->stopping)) {
        /* By us, by RLIMIT_CPU's second limit, or because the machine had no memory left. */
        set_text(process->client, "compiling it takes too much time or memory");
        outcome = RUNNER_COMPILE_LIMIT;
    } else {
        describe_exit(process);
    }
    event_compiled(process, outcome, 0, ret_event);
}

/* The next event about a process that is gone; false when all is told. */
static bool tell_concluded(struct runner_client *client, struct runner_event *ret_event) {
    struct process *process = LIST_ENTRY(list_first(&client->concluded), struct process, link);
    if (process == NULL) {
        return false;
    }
    process_set_due(process, NANOS_NEVER);
    if (process->state == PROCESS_COMPILING) {
        compiled_by_the_dead(process, ret_event);
        process_free(process);
        return true;
    }
    if (process->state == PROCESS_BUSY && !process->was_busy) {
        finish_for_the_dead(process, ret_event);
        return true;
    }
    bool asked_for = process->job.killed || client->stopping;
    if (asked_for) {
        process_free(process);
        return tell_concluded(client, ret_event);
    }
    describe_exit(process);
    *ret_event = (struct runner_event){
        .type = RUNNER_EVENT_DIED,
        .died = {.pid = process->pid,
                 .exit_code = process->exit_code,
                 .signal = process->signal,
                 .busy = process->was_busy,
                 .text = client->text},
    };
    client->deaths++;
    process_free(process);
    return true;
}

/* It broke the protocol: nothing more is believed of it. */
static void distrust(struct process *process) {
    process->distrusted = true;
    process_kill(process);
    process_hang_up(process);
    if (process->exited) {
        process_conclude(process);
    }
}

/* Seals what was compiled, as long as it is as large as was said. */
static bool image_is_whole(int image_fd, uint64_t image_size) {
    struct stat status;
    return fstat(image_fd, &status) == 0 && image_size > 0 &&
           (uint64_t)status.st_size == image_size &&
           fcntl(image_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
               0;
}

static void take_compiled(struct process *process, const struct runner_compiled *compiled,
                          struct runner_event *ret_event) {
    struct runner_client *client = process->client;
    enum runner_compile_outcome outcome = compiled->outcome;
    set_text(client, "%.*s", (int)compiled->text.size, (const char *)compiled->text.data);
    process->cpu_us = compiled->cpu_us;
    if (outcome == RUNNER_COMPILE_OK &&
        !image_is_whole(process->compile.image_fd, compiled->image_size)) {
        set_text(client, "the compile process did not write what it said");
        outcome = RUNNER_COMPILE_FAILED;
    }
    event_compiled(process, outcome, compiled->image_size, ret_event);
    process_let_go(process);
}

/* Whether the job may still give that much; counts it. */
static bool take_output(struct runner_job *job, struct bytes segments) {
    enum runner_stream stream;
    struct bytes data;
    uint64_t total = 0;
    while (runner_segment_next(&segments, &stream, &data)) {
        total += data.size;
    }
    if (total > job->output_left_bytes) {
        return false;
    }
    job->output_left_bytes -= total;
    return true;
}

/* Takes in one packet of a process. True where it is an event already. */
static bool take_packet(struct process *process, struct bytes packet,
                        struct runner_event *ret_event) {
    struct runner_client *client = process->client;
    struct runner_message message;
    if (runner_message_decode(packet, &message) != 0) {
        distrust(process);
        return false;
    }
    bool busy = process->state == PROCESS_BUSY;
    if (busy && message.type == RUNNER_MESSAGE_OUTPUT &&
        take_output(&process->job, message.output.segments)) {
        client->telling = process;
        client->segments = message.output.segments;
        client->finished_due = false;
    } else if (busy && message.type == RUNNER_MESSAGE_FINISHED &&
               message.finished.job == process->job.number &&
               message.finished.result.fuel <= process->job.fuel_max &&
               take_output(&process->job, message.finished.segments)) {
        client->telling = process;
        client->segments = message.finished.segments;
        client->result = message.finished.result;
        client->finished_due = true;
    } else if (process->state == PROCESS_COMPILING && message.type == RUNNER_MESSAGE_COMPILED) {
        take_compiled(process, &message.compiled, ret_event);
        return true;
    } else {
        distrust(process);
    }
    return false;
}

/* The zygote has made a process: from now on it can be killed. */
static void take_spawned(struct runner_client *client, const struct runner_spawned *spawned,
                         int pidfd) {
    struct process *process = process_find(client, spawned->token);
    if (process == NULL || process->pidfd >= 0) {
        if (pidfd >= 0) {
            close(pidfd);
        }
        return;
    }
    process->pid = (pid_t)spawned->pid;
    process->pidfd = pidfd;
    if (spawned->pid == 0) {
        process->exited = true;
        process->exit_code = (int)spawned->error;
        if (process->state == PROCESS_ENDING) {
            process_free(process);
        }
    } else if (pidfd < 0) {
        client_stop(client, "plasm-run gave no handle of a process: it could not be killed");
    } else if (process->kill_due) {
        process_kill(process);
        if (process->state == PROCESS_ENDING) {
            process_free(process);
        }
    }
}

static void take_exited(struct runner_client *client, const struct runner_exited *exited) {
    struct process *process = process_find(client, exited->token);
    if (process == NULL) {
        return;
    }
    process->exited = true;
    process->exit_code = (int)exited->exit_code;
    process->signal = (int)exited->signal;
    process->cpu_us = exited->cpu_us;
    if (process->state == PROCESS_ENDING) {
        process_free(process);
    } else if (process->socket < 0) {
        process_conclude(process);
    }
}

static void close_fd(int fd) {
    if (fd >= 0) {
        close(fd);
    }
}

/* One packet of the zygote's. True where it is an event. */
static bool take_zygote_packet(struct runner_client *client, struct bytes packet, int fd,
                               struct runner_event *ret_event) {
    struct runner_message message;
    if (runner_message_decode(packet, &message) != 0) {
        close_fd(fd);
        client_stop(client, "plasm-run sent what is no message");
        return false;
    }
    switch (message.type) {
    case RUNNER_MESSAGE_HELLO:
        if (message.hello.version != RUNNER_PROTOCOL_VERSION) {
            close_fd(fd);
            client_stop(client, "plasm-run is of another version: install both from one package");
            return false;
        }
        if (client->zygote_said_hello) {
            close_fd(fd);
            client_stop(client, "plasm-run said hello twice");
            return false;
        }
        client->zygote_said_hello = true;
        client->zygote_pidfd = fd;
        *ret_event = (struct runner_event){
            .type = RUNNER_EVENT_STARTED,
            .started = {message.hello.walls, message.hello.landlock_abi, client->zygote_pid},
        };
        return true;
    case RUNNER_MESSAGE_SPAWNED:
        take_spawned(client, &message.spawned, fd);
        return false;
    case RUNNER_MESSAGE_EXITED:
        close_fd(fd);
        take_exited(client, &message.exited);
        return false;
    default:
        close_fd(fd);
        client_stop(client, "plasm-run sent a message out of place");
        return false;
    }
}

static bool read_zygote(struct runner_client *client, struct runner_event *ret_event) {
    int fd = -1;
    struct bytes packet;
    int error =
        packet_receive(client->zygote_socket, (struct span){client->room, 64}, &fd, 1, &packet);
    if (error == 0) {
        return take_zygote_packet(client, packet, fd, ret_event);
    }
    client->burst = CLIENT_BURST_PACKETS;
    if (error != PLASM_STATE) {
        client_zygote_ended(client);
    }
    return false;
}

static bool read_process(struct process *process, struct runner_event *ret_event) {
    struct runner_client *client = process->client;
    struct bytes packet;
    int error = packet_receive(process->socket, (struct span){client->room, sizeof(client->room)},
                               NULL, 0, &packet);
    if (error == 0) {
        return take_packet(process, packet, ret_event);
    }
    client->burst = CLIENT_BURST_PACKETS;
    if (error == PLASM_STATE) {
        return false;
    }
    if (error != PLASM_CLOSED) {
        distrust(process);
        return false;
    }
    process_hang_up(process);
    if (process->exited) {
        process_conclude(process);
    }
    return false;
}

/* Reads one packet of the socket whose turn it is. True where it is an event already. */
static bool read_ready(struct runner_client *client, struct runner_event *ret_event) {
    uint32_t token = client->ready[client->ready_next].data.u32;
    struct process *process = token != 0 ? process_find(client, token) : NULL;
    bool event = false;
    client->burst++;
    if (token == 0 && client->zygote_socket >= 0) {
        event = read_zygote(client, ret_event);
    } else if (process != NULL && process->socket >= 0 && !process->job.paused) {
        event = read_process(process, ret_event);
    } else {
        client->burst = CLIENT_BURST_PACKETS;
    }
    if (client->burst >= CLIENT_BURST_PACKETS) {
        client->ready_next++;
        client->burst = 0;
    }
    return event;
}

static bool tell_stopped(struct runner_client *client, struct runner_event *ret_event) {
    if (!client->stopping || client->free.size != client->slot_count) {
        return false;
    }
    client->stopping = false;
    set_text(client, "%s", client->stopped_text);
    *ret_event = (struct runner_event){
        .type = RUNNER_EVENT_STOPPED,
        .stopped = {client->text},
    };
    return true;
}

bool runner_client_next_event(struct runner_client *client, struct runner_event *ret_event) {
    while (true) {
        if (tell_packet(client, ret_event) || tell_concluded(client, ret_event)) {
            return true;
        }
        if (client->ready_next < client->ready_count) {
            if (read_ready(client, ret_event)) {
                return true;
            }
            continue;
        }
        if (tell_stopped(client, ret_event)) {
            return true;
        }
        client_warm_up(client);
        return false;
    }
}
