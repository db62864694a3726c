/* A poll loop around a runner client. */
#include "runner/runner_testing.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "util/ensure.h"

#ifndef PLASM_BUILD_DIR
#define PLASM_BUILD_DIR "."
#endif

nanos testing_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nanos)now.tv_sec * NANOS_SECOND + (nanos)now.tv_nsec;
}

void testing_config(struct runner_client_config *ret_config) {
    runner_client_config_default(ret_config);
    ret_config->program = PLASM_BUILD_DIR "/bin/plasm-run";
}

static void take_output(struct testing_job *job, const struct runner_event_output *output) {
    struct buffer *buffer = output->stream == RUNNER_STDOUT ? &job->output : &job->errors;
    ENSURE(buffer_append(buffer, output->data) == 0);
    job->chunks++;
    job->largest_chunk =
        output->data.size > job->largest_chunk ? output->data.size : job->largest_chunk;
}

static void take_compiled(const struct runner_event_compiled *compiled) {
    struct testing_image *image = compiled->user;
    image->over = true;
    image->outcome = compiled->outcome;
    snprintf(image->text, sizeof(image->text), "%s", compiled->text);
    image->fd = compiled->image_fd;
    image->size = compiled->image_size;
    image->cpu_us = compiled->cpu_us;
}

static void take_finished(const struct runner_event_finished *finished) {
    struct testing_job *job = finished->user;
    job->over = true;
    job->result = finished->result;
    snprintf(job->text, sizeof(job->text), "%.*s", (int)finished->result.text.size,
             (const char *)finished->result.text.data);
    job->result.text = bytes_of_string(job->text);
}

static void take_event(struct testing *testing, const struct runner_event *event) {
    switch (event->type) {
    case RUNNER_EVENT_STARTED:
        testing->started = true;
        testing->walls = event->started.walls;
        testing->landlock_abi = event->started.landlock_abi;
        break;
    case RUNNER_EVENT_STOPPED:
        testing->stops++;
        fprintf(stderr, "stopped: %s\n", event->stopped.text);
        break;
    case RUNNER_EVENT_OUTPUT:
        take_output(event->output.user, &event->output);
        break;
    case RUNNER_EVENT_FINISHED:
        take_finished(&event->finished);
        break;
    case RUNNER_EVENT_DIED:
        testing->deaths++;
        testing->death_signal = event->died.signal;
        fprintf(stderr, "runner %d died: %s\n", (int)event->died.pid, event->died.text);
        break;
    case RUNNER_EVENT_COMPILED:
        take_compiled(&event->compiled);
        break;
    }
}

static void step(struct testing *testing, nanos until) {
    struct pollfd watched = {.fd = runner_client_fd(testing->client), .events = POLLIN};
    nanos now = testing_now();
    nanos deadline = nanos_min(until, runner_client_deadline(testing->client));
    int timeout_ms =
        (int)((nanos_since(deadline, now) + NANOS_MILLISECOND - 1) / NANOS_MILLISECOND);
    (void)poll(&watched, 1, timeout_ms);
    now = testing_now();
    runner_client_receive(testing->client, now);
    runner_client_expire(testing->client, now);
    struct runner_event event;
    while (runner_client_next_event(testing->client, &event)) {
        take_event(testing, &event);
    }
}

bool testing_loop(struct testing *testing, const bool *condition, nanos timeout) {
    nanos until = testing_now() + timeout;
    while (!*condition && testing_now() < until) {
        step(testing, until);
    }
    return *condition;
}

void testing_wait(struct testing *testing, nanos time) {
    const bool never = false;
    (void)!testing_loop(testing, &never, time);
}

bool testing_start(struct testing *testing, const struct runner_client_config *config) {
    *testing = (struct testing){.client = NULL};
    memory_init(&testing->memory, SIZE_MAX);
    if (runner_client_new(config, &testing->memory, &testing->client) != 0 ||
        runner_client_start(testing->client) != 0) {
        perror(config->program);
        return false;
    }
    return testing_loop(testing, &testing->started, 10 * NANOS_SECOND);
}

void testing_stop(struct testing *testing) {
    runner_client_free(testing->client);
    ENSURE(testing->memory.used == 0);
}

struct bytes testing_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    ENSURE(fseek(file, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size + 1);
    ENSURE(data != NULL && fread(data, 1, size, file) == size);
    fclose(file);
    return bytes_of(data, size);
}

struct bytes testing_module(const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/wasm-tests/%s.wasm", PLASM_BUILD_DIR, name);
    return testing_file(path);
}

void testing_compile(struct testing *testing, struct bytes module, enum runner_flavour flavour,
                     struct testing_image *ret_image) {
    struct runner_compile *compile;
    *ret_image = (struct testing_image){.fd = -1};
    int error =
        runner_client_compile(testing->client, module, flavour, ret_image, testing_now(), &compile);
    ENSURE(error == 0);
    ENSURE(testing_loop(testing, &ret_image->over, 60 * NANOS_SECOND));
}

void testing_image_done(struct testing_image *image) {
    if (image->fd >= 0) {
        close(image->fd);
    }
}

void testing_request(const struct testing_image *image, const char *const *arguments,
                     struct testing_strings *storage, struct runner_request *ret_request) {
    *ret_request = (struct runner_request){
        .key = BYTES_LITERAL("test"),
        .image_fd = image->fd,
        .image_size = image->size,
        .args = storage->args,
        .stdin_fd = -1,
        .limits = {.memory_bytes = 64 << 20, .wall_ms = 5000, .output_bytes = 1 << 20},
    };
    for (; arguments[ret_request->arg_count] != NULL; ret_request->arg_count++) {
        ENSURE(ret_request->arg_count < ARRAY_SIZE(storage->args));
        storage->args[ret_request->arg_count] = bytes_of_string(arguments[ret_request->arg_count]);
    }
}

void testing_submit(struct testing *testing, struct runner_request *request,
                    struct testing_job *job) {
    *job = (struct testing_job){.over = false};
    buffer_init(&job->output, &testing->memory, TESTING_OUTPUT_MAX);
    buffer_init(&job->errors, &testing->memory, TESTING_OUTPUT_MAX);
    request->user = job;
    int error = runner_client_submit(testing->client, request, testing_now(), &job->job);
    if (error != 0) {
        fprintf(stderr, "submit: %s\n", plasm_error_name(error));
        abort();
    }
}

void testing_run(struct testing *testing, struct runner_request *request, struct testing_job *job) {
    testing_submit(testing, request, job);
    ENSURE(testing_loop(testing, &job->over, 30 * NANOS_SECOND));
}

void testing_job_done(struct testing_job *job) {
    buffer_done(&job->output);
    buffer_done(&job->errors);
}
