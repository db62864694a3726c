/* Tries to get out of the walls, from behind each of them, as root and as an ordinary user.
 *
 * The attempts are those of program/escape.c. Where the kernel lacks a wall (no Landlock, no
 * namespaces) the attempts that only this wall stops are left out, with a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/runner_testing.h"
#include "runner/sandbox/sandbox.h"
#include "walls/process.h"

#define NOBODY 65534

enum expected {
    KILLED,  /* by seccomp */
    REFUSED, /* with an errno */
    ALLOWED, /* of this role's own work */
};

/* What plasm-run-escape exits with. */
enum { EXIT_ESCAPED = 0, EXIT_REFUSED = 10, EXIT_SIGSYS = 128 + SIGSYS };

static int escape_program; /* open, so that a user without access to the build tree can run it */
static int runner_program;
static char tcp_port[8];
static char abstract_name[32];

static void listen_for_escapes(void) {
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(tcp);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&tcp, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&tcp, &size), 0);
    snprintf(tcp_port, sizeof(tcp_port), "%u", ntohs(tcp.sin_port));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(abstract_name, sizeof(abstract_name), "plasm-walls-%d", (int)getpid());
    memcpy(local.sun_path + 1, abstract_name, strlen(abstract_name));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(listener, (struct sockaddr *)&local,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract_name))),
        0);
    assert_int_equal(listen(listener, 64), 0);
}

static int set_up(void **state) {
    (void)state;
    escape_program = open(PLASM_BUILD_DIR "/tests/plasm-run-escape", O_RDONLY);
    runner_program = open(PLASM_BUILD_DIR "/bin/plasm-run", O_RDONLY);
    assert_true(escape_program >= 0 && runner_program >= 0);
    listen_for_escapes();
    return 0;
}

/* Becomes an ordinary user; what the tests need is open already. */
static void become_nobody(void) {
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        _exit(99);
    }
}

static void become_nobody_from_root(void) {
    if (geteuid() == 0) {
        become_nobody();
    }
}

/* Runs one attempt; gives the exit code. */
static int try_to(const char *role, const char *walls, const char *attempt, bool nobody) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const char *argument = strstr(attempt, "tcp") != NULL ? tcp_port : abstract_name;
        char secret[] = "PLASM_SECRET=0123456789abcdef";
        char *environment[] = {secret, NULL};
        char path[32];
        int null = open("/dev/null", O_RDONLY);
        for (int fd = 100; fd <= 120; fd++) {
            dup2(null, fd);
        }
        if (nobody) {
            become_nobody();
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", escape_program);
        execle(path, "plasm-run-escape", role, walls, attempt, argument, NULL, environment);
        _exit(98);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct attempt {
    const char *name;
    enum expected zygote;
    enum expected compile;
    enum expected runner;
};

static const struct attempt attempts[] = {
    {"reads_a_file", REFUSED, REFUSED, KILLED},
    {"reads_the_root", REFUSED, REFUSED, KILLED},
    {"writes_a_file", REFUSED, REFUSED, KILLED},
    {"writes_to_the_root", KILLED, KILLED, KILLED},
    {"finds_a_file", KILLED, KILLED, KILLED},
    {"connects_by_tcp", KILLED, KILLED, KILLED},
    {"connects_to_an_abstract_socket", KILLED, KILLED, KILLED},
    {"makes_a_socket", KILLED, KILLED, KILLED},
    {"makes_a_process", ALLOWED, KILLED, KILLED},
    {"makes_a_thread", KILLED, KILLED, KILLED},
    {"executes", KILLED, KILLED, KILLED},
    {"traces", KILLED, KILLED, KILLED},
    {"reads_memory_of_another", KILLED, KILLED, KILLED},
    {"signals_another", KILLED, KILLED, KILLED},
    {"signals_everybody", KILLED, KILLED, KILLED},
    {"maps_executable", ALLOWED, ALLOWED, KILLED},
    {"makes_executable", ALLOWED, ALLOWED, KILLED},
    {"makes_a_memfd", ALLOWED, KILLED, KILLED},
    {"maps_shared", KILLED, KILLED, KILLED},
    {"maps_growing", KILLED, KILLED, KILLED},
    {"takes_much_memory", REFUSED, REFUSED, REFUSED},
    {"raises_a_limit", REFUSED, KILLED, KILLED},
    {"becomes_root", KILLED, KILLED, KILLED},
    {"becomes_dumpable", KILLED, KILLED, KILLED},
    {"enters_a_namespace", KILLED, KILLED, KILLED},
    {"enters_a_user_namespace", KILLED, KILLED, KILLED},
    {"mounts", KILLED, KILLED, KILLED},
    {"changes_its_root", KILLED, KILLED, KILLED},
    {"uses_keys", KILLED, KILLED, KILLED},
    {"uses_io_uring", KILLED, KILLED, KILLED},
    {"uses_bpf", KILLED, KILLED, KILLED},
    {"uses_userfaultfd", KILLED, KILLED, KILLED},
    {"makes_reading_executing", KILLED, KILLED, KILLED},
    {"has_a_descriptor_left", REFUSED, REFUSED, REFUSED},
    {"has_an_environment", REFUSED, REFUSED, REFUSED},
};

static void expect(const char *role, const char *walls, const char *attempt, bool nobody,
                   enum expected expected) {
    static const int codes[] = {
        [KILLED] = EXIT_SIGSYS, [REFUSED] = EXIT_REFUSED, [ALLOWED] = EXIT_ESCAPED};
    if (WALLS_SANITIZED && strcmp(attempt, "takes_much_memory") == 0) {
        return; /* RLIMIT_DATA is not set then */
    }
    int code = try_to(role, walls, attempt, nobody);
    if (code != codes[expected]) {
        fail_msg("%s %s %s as %s: %d instead of %d", role, walls, attempt,
                 nobody ? "nobody" : "root", code, codes[expected]);
    }
}

static void nothing_gets_out(bool nobody) {
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        expect("zygote", "all", attempts[i].name, nobody, attempts[i].zygote);
        expect("compile", "all", attempts[i].name, nobody, attempts[i].compile);
        expect("runner", "all", attempts[i].name, nobody, attempts[i].runner);
    }
    /* The zygote may, as far as seccomp is concerned: see seccomp.c. */
    expect("compile", "all", "aborts_another", nobody, KILLED);
    expect("runner", "all", "aborts_another", nobody, KILLED);
}

static void nothing_gets_out_as_root(void **state) {
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    nothing_gets_out(false);
}

static void nothing_gets_out_as_an_ordinary_user(void **state) {
    (void)state;
    nothing_gets_out(geteuid() == 0);
}

/* What the walls of a client's zygote are, started as root or as nobody. */
static uint32_t walls_of(bool nobody) {
    int pipe_fds[2];
    uint32_t walls = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct runner_client_config config;
        struct testing testing;
        char path[32];
        if (nobody) {
            become_nobody();
        }
        testing_config(&config);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", runner_program);
        config.program = path;
        if (testing_start(&testing, &config)) {
            char text[RUNNER_WALLS_TEXT_SIZE];
            runner_walls_text(testing.walls, testing.landlock_abi, text);
            print_message("%s: %s\n", nobody ? "nobody" : "as we are", text);
            (void)!write(pipe_fds[1], &testing.walls, sizeof(testing.walls));
            testing_stop(&testing);
        }
        _exit(0);
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &walls, sizeof(walls)), sizeof(walls));
    close(pipe_fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return walls;
}

/* Without seccomp the others still hold: each attempt with the walls of which one is enough. */
static const struct {
    const char *attempt;
    uint32_t walls;
} unfiltered[] = {
    {"reads_a_file", RUNNER_WALL_LANDLOCK | RUNNER_WALL_MOUNT_NAMESPACE},
    {"reads_the_root", RUNNER_WALL_LANDLOCK | RUNNER_WALL_MOUNT_NAMESPACE},
    {"writes_a_file", RUNNER_WALL_LANDLOCK | RUNNER_WALL_MOUNT_NAMESPACE},
    {"writes_to_the_root", RUNNER_WALL_LANDLOCK | RUNNER_WALL_MOUNT_NAMESPACE},
    {"finds_a_file", RUNNER_WALL_MOUNT_NAMESPACE},
    {"connects_by_tcp", RUNNER_WALL_NETWORK_NAMESPACE},
    {"connects_to_an_abstract_socket", RUNNER_WALL_NETWORK_NAMESPACE},
    {"executes", RUNNER_WALL_LANDLOCK | RUNNER_WALL_MOUNT_NAMESPACE},
    {"traces", RUNNER_WALL_PID_NAMESPACE},
    {"reads_memory_of_another", RUNNER_WALL_PID_NAMESPACE},
    {"signals_another", RUNNER_WALL_PID_NAMESPACE},
    {"takes_much_memory", RUNNER_WALL_RLIMITS},
    {"raises_a_limit", RUNNER_WALL_RLIMITS},
    {"enters_a_namespace", RUNNER_WALL_NO_NEW_PRIVILEGES},
    {"mounts", RUNNER_WALL_NO_NEW_PRIVILEGES},
    {"changes_its_root", RUNNER_WALL_NO_NEW_PRIVILEGES},
    {"becomes_root", RUNNER_WALL_OTHER_USER | RUNNER_WALL_USER_NAMESPACE},
    {"has_a_descriptor_left", RUNNER_WALL_RLIMITS},
    {"has_an_environment", RUNNER_WALL_RLIMITS},
};

static void other_walls_hold(bool nobody) {
    uint32_t walls = walls_of(nobody);
    const uint32_t always = RUNNER_WALL_SECCOMP | RUNNER_WALL_RLIMITS |
                            RUNNER_WALL_NO_NEW_PRIVILEGES | RUNNER_WALL_NOT_DUMPABLE;
    assert_int_equal(walls & always, always);
    for (size_t i = 0; i < ARRAY_SIZE(unfiltered); i++) {
        if ((walls & unfiltered[i].walls) == 0) {
            print_message("%s: no wall but seccomp against it here\n", unfiltered[i].attempt);
            continue;
        }
        expect("zygote", "unfiltered", unfiltered[i].attempt, nobody, REFUSED);
        expect("runner", "unfiltered", unfiltered[i].attempt, nobody, REFUSED);
    }
    /* RLIMIT_NPROC is a runner's only. */
    expect("runner", "unfiltered", "makes_a_process", nobody, REFUSED);
}

static void other_walls_hold_as_root(void **state) {
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    other_walls_hold(false);
}

static void other_walls_hold_as_an_ordinary_user(void **state) {
    (void)state;
    other_walls_hold(geteuid() == 0);
}

/* The attempts are worth something: without walls they succeed. */
static void without_walls_the_attempts_succeed(void **state) {
    static const char *const possible[] = {
        "reads_a_file",     "reads_the_root",     "writes_a_file",
        "finds_a_file",     "connects_by_tcp",    "connects_to_an_abstract_socket",
        "makes_a_socket",   "makes_a_process",    "executes",
        "signals_another",  "maps_executable",    "makes_executable",
        "makes_a_memfd",    "takes_much_memory",  "raises_a_limit",
        "becomes_dumpable", "has_an_environment", "has_a_descriptor_left",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(possible); i++) {
        expect("runner", "none", possible[i], false, ALLOWED);
    }
    if (geteuid() == 0) {
        expect("runner", "none", "writes_to_the_root", false, ALLOWED);
        expect("runner", "none", "changes_its_root", false, ALLOWED);
        expect("runner", "none", "becomes_root", false, ALLOWED);
    }
}

/* Compiles, runs, and looks at the walls: 0 when all is well and the `absent` ones are not there.
 */
static int run_a_job(struct bytes module, uint32_t absent) {
    const char *arguments[] = {"streams", "echo", NULL};
    struct runner_client_config config;
    struct testing testing;
    struct testing_image image;
    struct testing_strings strings;
    struct runner_request request;
    struct testing_job job;
    char path[32];
    testing_config(&config);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", runner_program);
    config.program = path;
    if (!testing_start(&testing, &config)) {
        return 1;
    }
    char text[RUNNER_WALLS_TEXT_SIZE];
    runner_walls_text(testing.walls, testing.landlock_abi, text);
    print_message("%s\n", text);
    testing_compile(&testing, module, RUNNER_FLAVOUR_PLAIN, &image);
    testing_request(&image, arguments, &strings, &request);
    request.stdin_bytes = BYTES_LITERAL("in and out");
    testing_run(&testing, &request, &job);
    bool right = job.result.status == RUNNER_STATUS_OK &&
                 bytes_equal(buffer_bytes(&job.output), request.stdin_bytes) &&
                 (testing.walls & absent) == 0;
    testing_job_done(&job);
    testing_image_done(&image);
    testing_stop(&testing);
    return right ? 0 : 2;
}

/* A job in a child process, after `change` has changed what that child may do. */
static void run_in_child(void (*change)(void), uint32_t absent) {
    struct bytes module = testing_module("streams");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        change();
        _exit(run_a_job(module, absent));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    free((void *)(uintptr_t)module.data);
}

/* The whole way as an ordinary user: compile, run, and be told. */
static void an_ordinary_user_can_run_jobs(void **state) {
    (void)state;
    run_in_child(become_nobody_from_root, 0);
}

/* A kernel, or its administrator, that refuses namespaces and Landlock. */
static void refuse_optional_walls(void) {
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444 /* landlock_create_ruleset */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {ARRAY_SIZE(instructions), instructions};
    become_nobody_from_root();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(97);
    }
}

static void without_optional_walls_it_runs_and_says_so(void **state) {
    (void)state;
    run_in_child(refuse_optional_walls, RUNNER_WALL_LANDLOCK | RUNNER_WALL_USER_NAMESPACE |
                                            RUNNER_WALL_NETWORK_NAMESPACE |
                                            RUNNER_WALL_MOUNT_NAMESPACE |
                                            RUNNER_WALL_PID_NAMESPACE | RUNNER_WALL_IPC_NAMESPACE |
                                            RUNNER_WALL_UTS_NAMESPACE | RUNNER_WALL_OTHER_USER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gets_out_as_root),
        cmocka_unit_test(nothing_gets_out_as_an_ordinary_user),
        cmocka_unit_test(other_walls_hold_as_root),
        cmocka_unit_test(other_walls_hold_as_an_ordinary_user),
        cmocka_unit_test(without_walls_the_attempts_succeed),
        cmocka_unit_test(an_ordinary_user_can_run_jobs),
        cmocka_unit_test(without_optional_walls_it_runs_and_says_so),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
