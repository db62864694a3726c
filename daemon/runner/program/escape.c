/* For the tests: goes behind the same walls as plasm-run, by the same calls, and tries to get out.
 *
 *   plasm-run-escape ROLE WALLS ATTEMPT [ARGUMENT]
 *
 * ROLE is zygote, compile or runner; WALLS is all, or unfiltered to leave seccomp out and see what
 * the others are worth, or none to see that an attempt can succeed. Exit code 0: it got out; 10:
 * refused with an errno; 11: the walls could not be built; 12: no such attempt; otherwise what
 * killed it, plus 128. Never installed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/sandbox/runner.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/seccomp.h"

enum { ESCAPED = 0, REFUSED = 10, NO_WALLS = 11, NO_ATTEMPT = 12 };

#define DATA_BYTES (UINT64_C(256) << 20)

static const char *argument;  /* the last of the command line */
static const char *secret_at; /* where a variable of the environment was */
static pid_t starter;         /* who started this, as numbered outside */

/* Each returns true when it got what it should not get. */

static bool reads_a_file(void) {
    return open("/etc/passwd", O_RDONLY) >= 0;
}
static bool reads_the_root(void) {
    int root = open("/", O_RDONLY | O_DIRECTORY);
    char room[4096];
    /* An empty root has two entries, of 24 bytes each. */
    return root >= 0 && syscall(SYS_getdents64, root, room, sizeof(room)) > 48;
}
static bool writes_a_file(void) {
    return open("/tmp/plasm-escape", O_WRONLY | O_CREAT, 0600) >= 0 &&
           unlink("/tmp/plasm-escape") == 0;
}
static bool writes_to_the_root(void) {
    return mkdir("/plasm-escape", 0700) == 0 && rmdir("/plasm-escape") == 0;
}
static bool finds_a_file(void) {
    struct stat status;
    return stat("/etc/passwd", &status) == 0;
}
static bool connects_to(const struct sockaddr *address, socklen_t size) {
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, address, size) == 0;
}
/* `argument` is a port on which the test listens. */
static bool connects_by_tcp(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argument, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connects_to((const struct sockaddr *)&address, sizeof(address));
}
/* `argument` is an abstract name on which the test listens. */
static bool connects_to_an_abstract_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(argument);
    memcpy(address.sun_path + 1, argument, size);
    return connects_to((const struct sockaddr *)&address,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size));
}
static bool makes_a_socket(void) {
    return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}
static bool makes_a_process(void) {
    return fork() >= 0;
}
static bool makes_a_thread(void) {
    static uint8_t stack[16384];
    return syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, stack + sizeof(stack), NULL,
                   NULL, NULL) >= 0;
}
static bool executes(void) {
    char name[] = "true";
    char *arguments[] = {name, NULL};
    execv("/bin/true", arguments); /* its exit code is 0: it got out */
    return false;
}
static bool traces(void) {
    return ptrace(PTRACE_ATTACH, starter, NULL, NULL) == 0;
}
static bool reads_memory_of_another(void) {
    char room[16];
    struct iovec local = {room, sizeof(room)};
    struct iovec remote = {(void *)(uintptr_t)secret_at, sizeof(room)};
    return process_vm_readv(starter, &local, 1, &remote, 1, 0) > 0;
}
static bool signals_another(void) {
    return kill(starter, 0) == 0;
}
static bool signals_everybody(void) {
    return kill(-1, 0) == 0;
}
static bool maps_executable(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static bool makes_executable(void) {
    void *room = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && mprotect(room, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool makes_a_memfd(void) {
    return memfd_create("escape", 0) >= 0;
}
/* Memory that RLIMIT_DATA does not count. */
static bool maps_shared(void) {
    return mmap(NULL, 2 * DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static bool maps_growing(void) {
    return mmap(NULL, 2 * DATA_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) != MAP_FAILED;
}
static bool aborts_another(void) {
    const pid_t another = getpid() == 1 ? 2 : 1;
    return syscall(SYS_tgkill, another, another, SIGABRT) == 0;
}
static bool takes_much_memory(void) {
    return mmap(NULL, 2 * DATA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static bool raises_a_limit(void) {
    struct rlimit limit = {1024, 1024};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}
static bool becomes_root(void) {
    return setresuid(0, 0, 0) == 0;
}
static bool becomes_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}
static bool enters_a_namespace(void) {
    return unshare(CLONE_NEWNS) == 0;
}
static bool enters_a_user_namespace(void) {
    return unshare(CLONE_NEWUSER) == 0;
}
static bool mounts(void) {
    return mount("proc", "/", "proc", 0, NULL) == 0;
}
static bool changes_its_root(void) {
    return chroot("/") == 0;
}
static bool uses_keys(void) {
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1) >= 0;
}
static bool uses_io_uring(void) {
    uint8_t parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) >= 0;
}
static bool uses_bpf(void) {
    return syscall(SYS_bpf, 0, NULL, 0) >= 0;
}
static bool uses_userfaultfd(void) {
    return syscall(SYS_userfaultfd, 0) >= 0;
}
static bool makes_reading_executing(void) {
    return personality(READ_IMPLIES_EXEC) >= 0;
}
/* The test opened descriptors 100 to 120 for it. */
static bool has_a_descriptor_left(void) {
    for (int fd = 3; fd <= 200; fd++) {
        if (close(fd) == 0) {
            return true;
        }
    }
    return false;
}
/* The test gave it PLASM_SECRET. */
static bool has_an_environment(void) {
    return getenv("PLASM_SECRET") != NULL || secret_at == NULL || *secret_at != '\0';
}

static const struct {
    const char *name;
    bool (*attempt)(void);
} attempts[] = {
    {"reads_a_file", reads_a_file},
    {"reads_the_root", reads_the_root},
    {"writes_a_file", writes_a_file},
    {"writes_to_the_root", writes_to_the_root},
    {"finds_a_file", finds_a_file},
    {"connects_by_tcp", connects_by_tcp},
    {"connects_to_an_abstract_socket", connects_to_an_abstract_socket},
    {"makes_a_socket", makes_a_socket},
    {"makes_a_process", makes_a_process},
    {"makes_a_thread", makes_a_thread},
    {"executes", executes},
    {"traces", traces},
    {"reads_memory_of_another", reads_memory_of_another},
    {"signals_another", signals_another},
    {"signals_everybody", signals_everybody},
    {"maps_executable", maps_executable},
    {"makes_executable", makes_executable},
    {"makes_a_memfd", makes_a_memfd},
    {"maps_shared", maps_shared},
    {"maps_growing", maps_growing},
    {"aborts_another", aborts_another},
    {"takes_much_memory", takes_much_memory},
    {"raises_a_limit", raises_a_limit},
    {"becomes_root", becomes_root},
    {"becomes_dumpable", becomes_dumpable},
    {"enters_a_namespace", enters_a_namespace},
    {"enters_a_user_namespace", enters_a_user_namespace},
    {"mounts", mounts},
    {"changes_its_root", changes_its_root},
    {"uses_keys", uses_keys},
    {"uses_io_uring", uses_io_uring},
    {"uses_bpf", uses_bpf},
    {"uses_userfaultfd", uses_userfaultfd},
    {"makes_reading_executing", makes_reading_executing},
    {"has_a_descriptor_left", has_a_descriptor_left},
    {"has_an_environment", has_an_environment},
};

static void attempt(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        if (strcmp(attempts[i].name, name) == 0) {
            _exit(attempts[i].attempt() ? ESCAPED : REFUSED);
        }
    }
    _exit(NO_ATTEMPT);
}

static void give_up_unless(bool holds) {
    if (!holds) {
        _exit(NO_WALLS);
    }
}

/* A runner is a child of the zygote, under both filters. */
static void enter_runner(bool filtered) {
    pid_t zygote = getpid();
    pid_t child = fork();
    give_up_unless(child >= 0);
    if (child > 0) {
        int status = 0;
        give_up_unless(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    give_up_unless(sandbox_enter_runner(zygote) == 0);
    if (filtered) {
        give_up_unless(runner_enter(DATA_BYTES) == 0);
    }
}

static void enter(const char *role, bool filtered) {
    const struct sandbox_options options = {
        .keep = NULL,
        .data_bytes_max = DATA_BYTES,
        .file_bytes_max = 1 << 20,
    };
    struct sandbox_walls walls;
    sandbox_forget_environment(environ);
    give_up_unless(sandbox_enter(&options, &walls) == 0);
    for (int each = 0; each < SECCOMP_ROLE_COUNT && filtered; each++) {
        give_up_unless(seccomp_prepare((enum seccomp_role)each) == 0);
    }
    give_up_unless(!filtered || seccomp_enter(SECCOMP_ROLE_ZYGOTE) == 0);
    if (strcmp(role, "runner") == 0) {
        enter_runner(filtered);
    } else if (strcmp(role, "compile") == 0 && filtered) {
        give_up_unless(seccomp_enter(SECCOMP_ROLE_COMPILE) == 0);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        return NO_ATTEMPT;
    }
    argument = argc > 4 ? argv[4] : "";
    secret_at = getenv("PLASM_SECRET");
    starter = getppid();
    if (strcmp(argv[2], "none") != 0) {
        enter(argv[1], strcmp(argv[2], "all") == 0);
    }
    attempt(argv[3]);
}
