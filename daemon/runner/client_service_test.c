/* plasm-run started by a service's socket, as systemd does with Accept=yes: not our child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/client_internal.h"
#include "runner/runner_testing.h"
#include "util/ensure.h"

#define SERVICE_FD 3

static char directory[] = "/tmp/plasm-service-XXXXXX";
static char path[64];
static const char *program;
static int ended; /* a byte for each plasm-run that the service has seen end */

/* Each connection is a plasm-run's descriptor 3. */
_Noreturn static void serve(int listener, int report) {
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        ENSURE(connection >= 0);
        pid_t child = fork();
        if (child == 0) {
            ENSURE(dup2(connection, SERVICE_FD) == SERVICE_FD);
            execl(program, "plasm-run", "--zygote", "3", (char *)NULL);
            _exit(EXIT_FAILURE);
        }
        close(connection);
        ENSURE(waitpid(child, NULL, 0) == child && write(report, ".", 1) == 1);
    }
}

static int start_service(void **state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct runner_client_config config;
    int reports[2];
    testing_config(&config);
    program = config.program;
    ENSURE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/run.sock", directory);
    memcpy(address.sun_path, path, strlen(path));
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ENSURE(listener >= 0 && pipe(reports) == 0);
    ENSURE(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0);
    ENSURE(listen(listener, 4) == 0);
    pid_t *service = malloc(sizeof(*service));
    ENSURE(service != NULL);
    *service = fork();
    if (*service == 0) {
        serve(listener, reports[1]);
    }
    close(listener);
    close(reports[1]);
    ended = reports[0];
    *state = service;
    return 0;
}

static int stop_service(void **state) {
    pid_t *service = *state;
    ENSURE(kill(*service, SIGKILL) == 0 && waitpid(*service, NULL, 0) == *service);
    free(service);
    (void)unlink(path);
    (void)rmdir(directory);
    return 0;
}

static void one_has_ended(void) {
    char byte;
    alarm(10); /* instead of waiting for ever */
    assert_int_equal(read(ended, &byte, 1), 1);
    alarm(0);
}

static void run_well(struct testing *testing, const struct testing_image *image) {
    const char *arguments[] = {"limits", "nothing", "0", NULL};
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    testing_request(image, arguments, &strings, &request);
    testing_run(testing, &request, &job);
    assert_int_equal(job.result.status, RUNNER_STATUS_OK);
    testing_job_done(&job);
}

static void jobs_run_and_what_ends_it_is_noticed(void **state) {
    struct runner_client_config config;
    struct testing testing;
    struct testing_image image;
    struct bytes module = testing_module("limits");
    (void)state;
    testing_config(&config);
    config.program = path;
    config.is_service = true;
    assert_true(testing_start(&testing, &config));
    assert_int_equal(testing.client->zygote_pid, 0);
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    assert_int_equal(image.outcome, RUNNER_COMPILE_OK);
    run_well(&testing, &image);

    assert_true(testing.client->zygote_pidfd >= 0);
    assert_int_equal(syscall(SYS_pidfd_send_signal, testing.client->zygote_pidfd, SIGKILL, NULL, 0),
                     0);
    one_has_ended();
    for (int tries = 0; tries < 100 && testing.stops == 0; tries++) {
        testing_wait(&testing, 20 * NANOS_MILLISECOND);
    }
    assert_int_equal(testing.stops, 1);
    assert_int_equal(runner_client_start(testing.client), 0);
    run_well(&testing, &image);

    testing_image_done(&image);
    testing_stop(&testing);
    one_has_ended();
    free((void *)(uintptr_t)module.data);
}

static void a_service_that_is_not_there_cannot_be_started(void **state) {
    char long_path[256];
    struct runner_client_config config;
    struct runner_client *client;
    struct memory memory;
    (void)state;
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    memory_init(&memory, SIZE_MAX);
    testing_config(&config);
    config.is_service = true;
    config.program = "/nonexistent/run.sock";
    assert_int_equal(runner_client_new(&config, &memory, &client), 0);
    assert_int_equal(runner_client_start(client), PLASM_IO);
    assert_int_equal(errno, ENOENT);
    runner_client_free(client);
    config.program = long_path;
    assert_int_equal(runner_client_new(&config, &memory, &client), 0);
    assert_int_equal(runner_client_start(client), PLASM_INVALID);
    runner_client_free(client);
    assert_int_equal(memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_and_what_ends_it_is_noticed),
        cmocka_unit_test(a_service_that_is_not_there_cannot_be_started),
    };
    return cmocka_run_group_tests(tests, start_service, stop_service);
}
