/* A runner that was taken over, or a program that is not plasm-run at all: the client believes none
 * of it, and stays whole. The liar is this program itself, started as if it were plasm-run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/packet.h"
#include "runner/runner_testing.h"

/* Sizes of images that tell the liar's zygote what to do. */
enum { HONEST_ZYGOTE = 1000, OTHER_VERSION = 1001, GARBAGE_HELLO = 1002, EARLY_EXIT = 1003 };

static void send_message(int socket, const struct runner_message *message, const int *fds,
                         size_t fd_count) {
    static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];
    size_t size;
    if (runner_message_encode(message, (struct span){room, sizeof(room)}, &size) != 0 ||
        packet_send(socket, bytes_of(room, size), fds, fd_count) != 0) {
        _exit(EXIT_FAILURE);
    }
}

static struct runner_message finished(uint32_t job) {
    return (struct runner_message){
        .type = RUNNER_MESSAGE_FINISHED,
        .finished = {.job = job, .result = {.status = RUNNER_STATUS_OK}},
    };
}

/* Answers a job with the lie that its first argument names. */
static void lie(int socket, const struct runner_job_message *job) {
    static uint8_t segments[RUNNER_OUTPUT_SIZE_MAX];
    const char *name = (const char *)job->args.data;
    struct runner_message message = finished(job->job);
    runner_segment_head(segments, RUNNER_STDOUT, 101);
    if (strcmp(name, "garbage") == 0) {
        (void)!packet_send(socket, BYTES_LITERAL("\x0b\xff\xff\xff\xff\xff"), NULL, 0);
        return;
    }
    if (strcmp(name, "too large a packet") == 0) {
        static uint8_t large[RUNNER_OUTPUT_SIZE_MAX + 4096];
        (void)!packet_send(socket, BYTES_ARRAY(large), NULL, 0);
        return;
    }
    if (strcmp(name, "too much output") == 0) {
        message = (struct runner_message){
            .type = RUNNER_MESSAGE_OUTPUT,
            .output = {bytes_of(segments, RUNNER_SEGMENT_HEAD_SIZE + 101)},
        };
    } else if (strcmp(name, "too much output at the end") == 0) {
        message.finished.segments = bytes_of(segments, RUNNER_SEGMENT_HEAD_SIZE + 101);
    } else if (strcmp(name, "another job") == 0) {
        message.finished.job++;
    } else if (strcmp(name, "more fuel than it had") == 0) {
        message.finished.result.fuel = job->limits.fuel + 1;
    } else if (strcmp(name, "a message out of place") == 0) {
        message = (struct runner_message){.type = RUNNER_MESSAGE_HELLO};
    } else if (strcmp(name, "a silent end") == 0) {
        _exit(EXIT_SUCCESS);
    } else if (strcmp(name, "a descriptor") == 0) {
        const int fds[] = {STDIN_FILENO, STDOUT_FILENO};
        send_message(socket, &message, fds, ARRAY_SIZE(fds));
        return;
    }
    send_message(socket, &message, NULL, 0);
    if (strcmp(name, "an answer twice") == 0) {
        send_message(socket, &message, NULL, 0);
    }
}

_Noreturn static void lying_runner(int socket) {
    static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];
    while (true) {
        int fd;
        struct bytes packet;
        struct runner_message message;
        if (packet_receive(socket, (struct span){room, sizeof(room)}, &fd, 1, &packet) != 0 ||
            runner_message_decode(packet, &message) != 0) {
            _exit(EXIT_SUCCESS);
        }
        if (message.type == RUNNER_MESSAGE_JOB) {
            lie(socket, &message.job);
        }
    }
}

/* Says that it has compiled, and has written nothing. */
_Noreturn static void lying_compiler(int socket) {
    const struct runner_message message = {
        .type = RUNNER_MESSAGE_COMPILED,
        .compiled = {.outcome = RUNNER_COMPILE_OK, .image_size = 4096},
    };
    send_message(socket, &message, NULL, 0);
    _exit(EXIT_SUCCESS);
}

static void serve(int socket, const struct runner_message *message, int *fds) {
    uint32_t token = message->spawn.token; /* as compile.token: the first of both */
    pid_t child = fork();
    if (child == 0) {
        close(socket);
        if (message->type == RUNNER_MESSAGE_SPAWN) {
            lying_runner(fds[0]);
        }
        lying_compiler(fds[0]);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    const struct runner_message spawned = {
        .type = RUNNER_MESSAGE_SPAWNED,
        .spawned = {.token = token, .pid = (uint32_t)child},
    };
    send_message(socket, &spawned, &pidfd, 1);
    close(pidfd);
    for (size_t i = 0; i < PACKET_FDS_MAX; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    /* Waits for each in turn: these tests have one process at a time. */
    int status = 0;
    waitpid(child, &status, 0);
    const struct runner_message exited = {
        .type = RUNNER_MESSAGE_EXITED,
        .exited = {.token = token,
                   .exit_code = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
                   .signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0},
    };
    send_message(socket, &exited, NULL, 0);
}

static uint64_t told_image_bytes(int socket) {
    uint8_t room[64];
    struct bytes packet;
    struct runner_message message;
    if (packet_receive(socket, (struct span){room, sizeof(room)}, NULL, 0, &packet) != 0 ||
        runner_message_decode(packet, &message) != 0 || message.type != RUNNER_MESSAGE_CONFIGURE) {
        return EARLY_EXIT;
    }
    return message.configure.file_bytes_max;
}

static int lying_zygote(int socket) {
    const uint64_t image_bytes = told_image_bytes(socket);
    struct runner_message hello = {
        .type = RUNNER_MESSAGE_HELLO,
        .hello = {.version = RUNNER_PROTOCOL_VERSION + (image_bytes == OTHER_VERSION)},
    };
    if (image_bytes == EARLY_EXIT) {
        return RUNNER_ZYGOTE_NO_SECCOMP;
    }
    if (image_bytes == GARBAGE_HELLO) {
        (void)!packet_send(socket, BYTES_LITERAL("hello"), NULL, 0);
        pause();
    }
    send_message(socket, &hello, NULL, 0);
    while (true) {
        uint8_t room[256];
        int fds[PACKET_FDS_MAX];
        struct bytes packet;
        struct runner_message message;
        if (packet_receive(socket, (struct span){room, sizeof(room)}, fds, PACKET_FDS_MAX,
                           &packet) != 0 ||
            runner_message_decode(packet, &message) != 0) {
            return EXIT_SUCCESS;
        }
        serve(socket, &message, fds);
    }
}

static void config_of_the_liar(struct runner_client_config *ret_config, uint64_t image_bytes) {
    testing_config(ret_config);
    ret_config->program = "/proc/self/exe";
    ret_config->runners_warm = 0;
    ret_config->compile.image_bytes_max = image_bytes;
}

static size_t open_descriptors(void) {
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void run_a_lie(struct testing *testing, const char *name, struct testing_job *job) {
    const char *arguments[] = {name, NULL};
    struct testing_image image = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .size = 1};
    struct testing_strings strings;
    struct runner_request request;
    testing_request(&image, arguments, &strings, &request);
    request.limits.output_bytes = 100;
    testing_run(testing, &request, job);
    testing_image_done(&image);
}

static void lies_fail_the_job(void **state) {
    static const char *const lies[] = {
        "garbage",      "too large a packet",         "too much output",
        "another job",  "too much output at the end", "more fuel than it had",
        "a silent end", "a message out of place",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct runner_client_config config;
        struct testing testing;
        struct testing_job job;
        config_of_the_liar(&config, HONEST_ZYGOTE);
        assert_true(testing_start(&testing, &config));
        run_a_lie(&testing, lies[i], &job);
        if (job.result.status != RUNNER_STATUS_FAILED || job.output.size != 0) {
            fail_msg("%s: %s, %zu bytes", lies[i], runner_status_name(job.result.status),
                     job.output.size);
        }
        testing_job_done(&job);
        testing_wait(&testing, NANOS_MILLISECOND);
        assert_int_equal(testing.deaths, 1);
        testing_stop(&testing);
    }
}

/* Nothing that is sent after the job's end reaches the next job. */
static void an_answer_too_many_ends_the_runner(void **state) {
    struct runner_client_config config;
    struct testing testing;
    struct testing_job job;
    (void)state;
    config_of_the_liar(&config, HONEST_ZYGOTE);
    assert_true(testing_start(&testing, &config));
    run_a_lie(&testing, "an answer twice", &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_OK);
    testing_job_done(&job);
    testing_wait(&testing, 100 * NANOS_MILLISECOND);
    assert_int_equal(testing.deaths, 1);
    assert_int_equal(runner_client_counts(testing.client).runners_idle, 0);
    testing_stop(&testing);
}

/* Of the one runner there is. */
static int job_pidfd(const struct testing *testing) {
    const struct list_node *node = list_first(&testing->client->idle);
    return node != NULL ? CONTAINER_OF(node, struct process, link)->pidfd : -1;
}

static void descriptors_it_sends_are_not_kept(void **state) {
    struct runner_client_config config;
    struct testing testing;
    struct testing_job job;
    (void)state;
    config_of_the_liar(&config, HONEST_ZYGOTE);
    assert_true(testing_start(&testing, &config));
    run_a_lie(&testing, "nothing", &job);
    testing_job_done(&job);
    while (job_pidfd(&testing) < 0) {
        testing_wait(&testing, NANOS_MILLISECOND); /* its pidfd may come after its answer */
    }
    size_t before = open_descriptors();
    for (int i = 0; i < 3; i++) {
        run_a_lie(&testing, "a descriptor", &job);
        assert_int_equal(job.result.status, RUNNER_STATUS_OK);
        testing_job_done(&job);
    }
    assert_int_equal(open_descriptors(), before);
    testing_stop(&testing);
}

static void an_image_that_was_not_written_is_refused(void **state) {
    struct runner_client_config config;
    struct testing testing;
    struct testing_image image;
    (void)state;
    config_of_the_liar(&config, HONEST_ZYGOTE);
    assert_true(testing_start(&testing, &config));
    testing_compile(&testing, BYTES_LITERAL("module"), RUNNER_FLAVOUR_PLAIN, &image);
    assert_int_equal(image.outcome, RUNNER_COMPILE_FAILED);
    assert_int_equal(image.fd, -1);
    testing_stop(&testing);
}

static void a_zygote_of_another_kind_is_stopped(void **state) {
    static const uint64_t kinds[] = {OTHER_VERSION, GARBAGE_HELLO, EARLY_EXIT};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct runner_client_config config;
        struct testing testing = {.client = NULL};
        config_of_the_liar(&config, kinds[i]);
        memory_init(&testing.memory, SIZE_MAX);
        assert_int_equal(runner_client_new(&config, &testing.memory, &testing.client), 0);
        assert_int_equal(runner_client_start(testing.client), 0);
        for (int tries = 0; tries < 100 && testing.stops == 0; tries++) {
            testing_wait(&testing, 20 * NANOS_MILLISECOND);
        }
        assert_int_equal(testing.stops, 1);
        assert_false(testing.started);
        testing_stop(&testing);
    }
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--zygote") == 0) {
        return lying_zygote((int)strtol(argv[2], NULL, 10));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_fail_the_job),
        cmocka_unit_test(an_answer_too_many_ends_the_runner),
        cmocka_unit_test(descriptors_it_sends_are_not_kept),
        cmocka_unit_test(an_image_that_was_not_written_is_refused),
        cmocka_unit_test(a_zygote_of_another_kind_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
