/* The loop of a runner: load once, run what comes, answer. */
#include "runner/sandbox/runner.h"

#include <sys/resource.h>
#include <unistd.h>

#include "runner/packet.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/seccomp.h"
#include "util/ensure.h"
#include "walls/process.h"

/* Descriptors of a runner: 0 to 2, its socket, a job's standard input. */
#define RUNNER_FILES_MAX 8

int runner_enter(uint64_t data_bytes_max) {
    int error = walls_limit(RLIMIT_FSIZE, 0);
    error = error != 0 ? error : walls_limit(RLIMIT_NOFILE, RUNNER_FILES_MAX);
    error = error != 0 ? error : sandbox_limit_data(data_bytes_max);
    return error != 0 ? error : seccomp_enter(SECCOMP_ROLE_RUNNER);
}

static void load(struct job_host *host, const struct runner_load *load, int socket, int image_fd,
                 uint64_t data_bytes_max, struct job_code *code) {
    ENSURE(code->engine == NULL && image_fd >= 0);
    job_load(host, load, image_fd, code);
    close(image_fd);
    control_init(&host->control, socket, code->engine->engine);
    ENSURE(runner_enter(data_bytes_max) == 0);
}

static void run(struct job_host *host, const struct job_code *code,
                const struct runner_job_message *job, int stdin_fd) {
    struct job_ending ending;
    wasmtime_store_t *store;
    job_run(host, code, job, stdin_fd, &ending, &store);
    const struct runner_finished finished = {
        .job = job->job,
        .result = {.status = ending.status,
                   .exit_code = ending.exit_code,
                   .fuel = ending.fuel,
                   .wall_us = (control_now() - host->control.started) / NANOS_MICROSECOND,
                   .text = bytes_of_string(ending.text)},
    };
    /* The answer first: giving the memory back takes as long as a short job. */
    output_finish(&host->output, &finished);
    job_clean(store);
    if (stdin_fd >= 0) {
        close(stdin_fd);
    }
}

void runner_serve(struct job_host *host, int socket, uint64_t data_bytes_max) {
    static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];
    struct job_code code = {.engine = NULL};
    while (true) {
        int fd = -1;
        struct bytes packet;
        struct runner_message message;
        if (packet_receive(socket, (struct span){room, sizeof(room)}, &fd, 1, &packet) != 0) {
            _exit(0); /* the parent is gone */
        }
        ENSURE(runner_message_decode(packet, &message) == 0);
        switch (message.type) {
        case RUNNER_MESSAGE_LOAD:
            load(host, &message.load, socket, fd, data_bytes_max, &code);
            break;
        case RUNNER_MESSAGE_JOB:
            ENSURE(code.engine != NULL);
            run(host, &code, &message.job, fd);
            break;
        case RUNNER_MESSAGE_CANCEL: /* for a job that is over */
            break;
        default:
            ENSURE(false);
        }
    }
}
