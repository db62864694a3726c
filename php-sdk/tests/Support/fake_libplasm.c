/* A libplasm without a network, for tests of how PHP calls the real one: it writes every call to
 * the file FAKE_LIBPLASM_LOG and answers from the files of the directory FAKE_LIBPLASM_ANSWERS. */
#include "plasm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_SIZE_MAX (1024 * 1024)
#define CLIENTS_MAX     16

struct plasm_client {
    int number;
    int is_used;
};

struct plasm_job {
    int reads;
};

static struct plasm_client clients[CLIENTS_MAX];
static char answer[ANSWER_SIZE_MAX];

static void note(const char *format, ...) {
    FILE *log = fopen(getenv("FAKE_LIBPLASM_LOG"), "a");
    if (log == NULL) {
        abort();
    }
    va_list arguments;
    va_start(arguments, format);
    vfprintf(log, format, arguments);
    va_end(arguments);
    fputc('\n', log);
    fclose(log);
}

/* The answer's file, or "" where the test gives none. */
static const char *read_answer(const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", getenv("FAKE_LIBPLASM_ANSWERS"), name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return "";
    }
    size_t size = fread(answer, 1, sizeof(answer) - 1, file);
    fclose(file);
    answer[size] = '\0';
    return answer;
}

/* The call's error code from its file, 0 where there is none. */
static int read_error(const char *name) {
    return (int)strtol(read_answer(name), NULL, 10);
}

const char *plasm_version(void) {
    const char *version = read_answer("version");
    return version[0] != '\0' ? version : "0.1.99";
}

const char *plasm_error_name(int error) {
    return error == PLASM_REFUSED ? "refused" : "failed";
}

const char *plasm_error_message(int error) {
    return error == PLASM_REFUSED ? "the general message" : "failed";
}

const char *plasm_last_error(void) {
    return read_answer("last_error");
}

int plasm_client_new(const char *options_json, struct plasm_client **ret_client) {
    int error = read_error("client_new.error");
    note("client_new %s", options_json);
    if (error != 0) {
        return error;
    }
    int number = 0;
    while (number < CLIENTS_MAX - 1 && clients[number].is_used) {
        number++;
    }
    clients[number] = (struct plasm_client){.number = number, .is_used = 1};
    *ret_client = &clients[number];
    return 0;
}

void plasm_client_free(struct plasm_client *client) {
    note("client_free %d", client->number);
    client->is_used = 0;
}

const char *plasm_client_peer_id(const struct plasm_client *client) {
    (void)client;
    return "12D3KooW";
}

const char *plasm_client_warnings(struct plasm_client *client) {
    (void)client;
    return "[]";
}

int plasm_client_wait(struct plasm_client *client, int timeout_ms) {
    note("client_wait %d %d", client->number, timeout_ms);
    return 0;
}

int plasm_discover(struct plasm_client *client, const char *query_json, const char **ret_json) {
    int error = read_error("discover.error");
    note("discover %d %s", client->number, query_json);
    const char *json = read_answer("discover");
    *ret_json = json[0] != '\0' ? json : NULL;
    return error;
}

int plasm_job_state(const struct plasm_job *job) {
    return job->reads > 0 ? 1 : 0;
}

int plasm_job_verdict(const struct plasm_job *job, int64_t *ret_exit_code) {
    (void)job;
    *ret_exit_code = 0;
    return 0;
}

int plasm_submit_start(struct plasm_client *client, const char *request_json, const uint8_t *module,
                       size_t module_size, const uint8_t *input, size_t input_size,
                       struct plasm_job **ret_job) {
    return plasm_submit(client, request_json, module, module_size, input, input_size, ret_job);
}

int plasm_submit(struct plasm_client *client, const char *request_json, const uint8_t *module,
                 size_t module_size, const uint8_t *input, size_t input_size,
                 struct plasm_job **ret_job) {
    int error = read_error("submit.error");
    unsigned sum = 0;
    for (size_t i = 0; i < module_size; i++) {
        sum += module[i];
    }
    for (size_t i = 0; i < input_size; i++) {
        sum += input[i];
    }
    note("submit %d %s %zu %zu sum %u", client->number, request_json, module_size, input_size, sum);
    if (error == 0) {
        *ret_job = calloc(1, sizeof(**ret_job));
    }
    return error;
}

int plasm_receipt(struct plasm_client *client, const char *request_json, const char **ret_json) {
    int error = read_error("receipt.error");
    note("receipt %d %s", client->number, request_json);
    if (error == 0) {
        *ret_json = read_answer("receipt");
    }
    return error;
}

const char *plasm_job_info(struct plasm_job *job) {
    (void)job;
    return read_answer("info");
}

/* Three chunks, one of them late, with a NUL and an empty one among them; then the end. */
int plasm_job_read(struct plasm_job *job, int timeout_ms, int *ret_stream, const uint8_t **ret_data,
                   size_t *ret_size) {
    static const struct {
        int stream;
        const char *data;
        size_t size;
    } chunks[] = {{1, "a\0b", 3}, {0, NULL, 0}, {2, "err", 3}, {1, "", 0}};
    int error = read_error("read.error");
    if (error != 0) {
        if (error == PLASM_TIMEOUT) {
            usleep((useconds_t)timeout_ms * 1000);
        }
        return error;
    }
    if (job->reads >= 4) {
        return 0;
    }
    int at = job->reads++;
    if (chunks[at].stream == 0) {
        return PLASM_TIMEOUT;
    }
    *ret_stream = chunks[at].stream;
    *ret_data = (const uint8_t *)chunks[at].data;
    *ret_size = chunks[at].size;
    return 1;
}

int plasm_job_result(struct plasm_job *job, const char **ret_json) {
    (void)job;
    int error = read_error("result.error");
    if (error == 0) {
        *ret_json = read_answer("result");
    }
    return error;
}

int plasm_job_cancel(struct plasm_job *job) {
    (void)job;
    note("job_cancel");
    return 0;
}

void plasm_job_free(struct plasm_job *job) {
    note("job_free");
    free(job);
}

int plasm_ping(struct plasm_client *client, const char *node, int count, const char **ret_json) {
    (void)client, (void)node, (void)count, (void)ret_json;
    return PLASM_UNSUPPORTED;
}

int plasm_explain(struct plasm_client *client, const char *request_json, const uint8_t *module,
                  size_t module_size, uint64_t input_size, const char **ret_json) {
    (void)module;
    note("explain %d %s %zu %llu", client->number, request_json, module_size,
         (unsigned long long)input_size);
    *ret_json = read_answer("explain");
    return 0;
}

int plasm_perf(struct plasm_client *client, const char *node, uint64_t up_bytes,
               uint64_t down_bytes, const char **ret_json) {
    (void)client, (void)node, (void)up_bytes, (void)down_bytes, (void)ret_json;
    return PLASM_UNSUPPORTED;
}

int plasm_identify(struct plasm_client *client, const char *node, const char **ret_json) {
    (void)client, (void)node, (void)ret_json;
    return PLASM_UNSUPPORTED;
}

int plasm_verify(const char *receipt_file_json, const char *expect_json, const char **ret_json) {
    (void)receipt_file_json, (void)expect_json, (void)ret_json;
    return PLASM_UNSUPPORTED;
}

int plasm_client_fd(struct plasm_client *client) {
    (void)client;
    return -1;
}

int64_t plasm_client_deadline_ms(struct plasm_client *client) {
    (void)client;
    return -1;
}

int plasm_client_poll(struct plasm_client *client) {
    (void)client;
    return 0;
}

void plasm_client_interrupt(struct plasm_client *client) {
    (void)client;
}
