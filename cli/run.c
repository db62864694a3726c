/* plasm run: one job, its output as it is made, its receipt checked and kept. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/job.h"
#include "util/bytes.h"
#include "wire/multibase.h"

static struct plasm_client *volatile signal_client;
static volatile sig_atomic_t signals_seen;

/* The first signal stops the job and waits for its receipt, the second one ends the command. */
static void on_signal(int number) {
    signals_seen++;
    if (signals_seen > 1) {
        _exit(128 + number);
    }
    if (signal_client != NULL) {
        plasm_client_interrupt(signal_client);
    }
}

static void catch_signals(struct plasm_client *client) {
    struct sigaction action = {.sa_handler = on_signal};
    signal_client = client;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

struct following {
    struct plasm_client *client;
    struct plasm_job *job;
    bool cancelled;
};

/* The job whose output is shown, that a signal cancels; NULL: none. */
static struct following *followed;

/* Tells the worker at once, also while our own reader keeps us waiting. */
static void cancel_now(void) {
    if (!followed->cancelled) {
        followed->cancelled = true;
        (void)plasm_job_cancel(followed->job);
        (void)plasm_client_poll(followed->client);
    }
}

/* Writes until all is written, or a signal came that was not acted upon; then `*ret_written` is
 * less than the size. False: nobody reads. */
static bool write_some(int fd, const uint8_t *data, size_t size, size_t *ret_written) {
    *ret_written = 0;
    while (*ret_written < size && (signals_seen == 0 || followed == NULL || followed->cancelled)) {
        ssize_t written = write(fd, data + *ret_written, size - *ret_written);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        *ret_written += (size_t)written;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *data, size_t size) {
    size_t written;
    if (!write_some(fd, data, size, &written)) {
        return false;
    }
    if (written == size) {
        return true;
    }
    /* The data is the library's, and goes with the next call. */
    size_t left = size - written;
    uint8_t *copy = malloc(left);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, data + written, left);
    cancel_now();
    bool all = write_some(fd, copy, left, &written);
    free(copy);
    return all;
}

bool cli_print_output(const struct cli_options *options, int stream, const uint8_t *data,
                      size_t size) {
    if (!options->json) {
        return write_all(stream == 2 ? STDERR_FILENO : STDOUT_FILENO, data, size);
    }
    size_t room = base64_size(size) + 1;
    char *text = malloc(room);
    bool printed =
        text != NULL && base64_encode(bytes_of(data, size), text, room) == 0 &&
        cli_print_event("output", json_pack("{s:i, s:s}", "stream", stream, "data", text));
    free(text);
    return printed;
}

/* Shows the output until the job is over. A signal, or nobody reading us, cancels the job. */
static int follow(const struct cli_options *options, struct plasm_client *client,
                  struct plasm_job *job) {
    struct following following = {.client = client, .job = job};
    bool readable = true;
    followed = &following;
    for (;;) {
        int stream = 0;
        const uint8_t *data = NULL;
        size_t size = 0;
        if (signals_seen > 0) { /* it came while nobody waited: the library has forgotten it */
            cancel_now();
        }
        int status = plasm_job_read(job, -1, &stream, &data, &size);
        if (status == 0 || (status < 0 && status != PLASM_CANCELLED)) {
            followed = NULL;
            return status;
        }
        if (status == 1 && readable) {
            readable = cli_print_output(options, stream, data, size);
        }
        if (status == PLASM_CANCELLED || !readable) {
            cancel_now();
        }
    }
}

int cli_write_receipt(const struct cli_options *options, const json_t *result) {
    if (options->receipt == NULL) {
        return EXIT_DONE;
    }
    char *text = json_dumps(json_object_get(result, "file"), JSON_INDENT(2) | JSON_SORT_KEYS);
    FILE *file = text != NULL ? fopen(options->receipt, "we") : NULL;
    bool written = file != NULL && fprintf(file, "%s\n", text) > 0;
    if (file != NULL && fclose(file) != 0) {
        written = false;
    }
    free(text);
    return written
               ? EXIT_DONE
               : cli_fail(options, EXIT_RUN, PLASM_IO, "%s: %s", options->receipt, strerror(errno));
}

/* The module's own; 125 for a job that did not end by itself. */
int cli_exit_code(const struct cli_options *options, const json_t *result) {
    json_int_t code = json_integer_value(json_object_get(result, "exit_code"));
    if (code >= 0) {
        return (int)(code > 255 ? 255 : code);
    }
    if (!options->json) {
        const char *message = json_string_value(json_object_get(result, "message"));
        (void)fprintf(stderr, "plasm: the job ended with status %s%s%s\n",
                      json_string_value(json_object_get(result, "status")),
                      message != NULL && message[0] != '\0' ? ": " : "",
                      message != NULL ? message : "");
    }
    return EXIT_RUN;
}

static int conclude(const struct cli_options *options, struct plasm_job *job) {
    const char *answer = NULL;
    int error = plasm_job_result(job, &answer);
    if (error == PLASM_CANCELLED) { /* a signal that came when all was over */
        error = plasm_job_result(job, &answer);
    }
    if (answer == NULL) {
        return cli_fail_last(options, EXIT_RUN, error);
    }
    json_t *result = cli_parse(answer);
    int code = cli_write_receipt(options, result);
    if (error != 0) {
        code = cli_fail_last(options, EXIT_RUN, error);
    } else if (code == EXIT_DONE) {
        code = cli_exit_code(options, result);
        if (options->json) {
            (void)cli_print_event("result", json_incref(result));
        }
    }
    json_decref(result);
    return code;
}

static int run_job(const struct cli_options *options, struct plasm_client *client,
                   const struct cli_job *files) {
    struct plasm_job *job;
    int error = plasm_submit(client, files->request, files->module, files->module_size,
                             files->input, files->input_size, &job);
    if (error != 0) {
        return cli_fail_last(options, EXIT_RUN, error);
    }
    json_t *info = cli_parse(plasm_job_info(job));
    cli_print_warnings(client);
    if (json_is_true(json_object_get(info, "clamped"))) {
        char *limits = json_dumps(json_object_get(info, "limits"), JSON_SORT_KEYS);
        (void)fprintf(stderr, "plasm: the worker lowered the limits to %s\n", limits);
        free(limits);
    }
    if (options->json) {
        (void)cli_print_event("submitted", json_incref(info));
    }
    json_decref(info);
    error = follow(options, client, job);
    int code = error == 0 ? conclude(options, job) : cli_fail_last(options, EXIT_RUN, error);
    plasm_job_free(job);
    return code;
}

int command_run(struct cli_options *options) {
    struct cli_job files;
    int code = cli_job_read(options, true, &files);
    if (code != EXIT_DONE) {
        return code;
    }
    struct plasm_client *client;
    code = EXIT_RUN;
    if (cli_client(options, &client) == 0) {
        catch_signals(client);
        code = run_job(options, client, &files);
        signal_client = NULL;
        plasm_client_free(client);
    }
    cli_job_done(&files);
    return code;
}
