/* Namespaces, an empty root, an unprivileged user, rlimits, Landlock. */
#include "runner/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/sandbox/seccomp.h"
#include "walls/landlock.h"
#include "walls/process.h"

/* The compiler recurses; a module's own stack is the engine's to bound. */
#define SANDBOX_STACK_BYTES_MAX (UINT64_C(8) << 20)
#define SANDBOX_FILES_MAX       64 /* descriptors of a zygote: two a spawn under way, and its own */

void sandbox_forget_environment(char **environment) {
    for (char **variable = environment; *variable != NULL; variable++) {
        memset(*variable, 0, strlen(*variable));
    }
    (void)clearenv();
}

int sandbox_limit_data(uint64_t value) {
#if WALLS_SANITIZED
    (void)value;
    return 0;
#else
    return walls_limit(RLIMIT_DATA, value);
#endif
}

static bool is_kept(const struct sandbox_options *options, int fd) {
    for (size_t i = 0; i < options->keep_count; i++) {
        if (options->keep[i] == fd) {
            return true;
        }
    }
    return false;
}

static int replace_standard_streams(const struct sandbox_options *options) {
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0) {
        return PLASM_IO;
    }
    for (int fd = 0; fd <= 2; fd++) {
        if (!is_kept(options, fd) && fd != nothing && dup2(nothing, fd) < 0) {
            return PLASM_IO;
        }
    }
    if (nothing > 2) {
        close(nothing);
    }
    return 0;
}

static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return written;
}

/* A user namespace in which we are who we were. Makes the other namespaces possible for an ordinary
 * user; root needs none of it. */
static bool enter_user_namespace(void) {
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) != 0) {
        return false;
    }
    (void)write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    bool mapped = write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return write_file("/proc/self/gid_map", map) && mapped;
}

/* Each by itself: some kernels allow the one and refuse the other. */
static uint32_t enter_namespaces(void) {
    static const struct {
        int flag;
        uint32_t wall;
    } namespaces[] = {
        {CLONE_NEWNET, RUNNER_WALL_NETWORK_NAMESPACE}, {CLONE_NEWIPC, RUNNER_WALL_IPC_NAMESPACE},
        {CLONE_NEWUTS, RUNNER_WALL_UTS_NAMESPACE},     {CLONE_NEWNS, RUNNER_WALL_MOUNT_NAMESPACE},
        {CLONE_NEWPID, RUNNER_WALL_PID_NAMESPACE},
    };
    uint32_t walls = 0;
    if (geteuid() != 0 && enter_user_namespace()) {
        walls |= RUNNER_WALL_USER_NAMESPACE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
        if (unshare(namespaces[i].flag) == 0) {
            walls |= namespaces[i].wall;
        }
    }
    return walls;
}

/* An empty, read-only directory as root; everything else is unmounted. */
static bool empty_root(void) {
    static const char *const places[] = {"/proc", "/tmp", "/mnt"};
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return false;
    }
    bool mounted = false;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    for (size_t i = 0; i < ARRAY_SIZE(places) && !mounted; i++) {
        mounted = mount("tmpfs", places[i], "tmpfs", flags, "size=4k,nr_inodes=1,mode=555") == 0 &&
                  chdir(places[i]) == 0;
    }
    return mounted && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
           chdir("/") == 0 &&
           mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) == 0;
}

/* Root becomes nobody. False where that is not so afterwards. */
static bool become_nobody(void) {
    return geteuid() == 0 && setgroups(0, NULL) == 0 &&
           setresgid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) == 0 &&
           setresuid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) == 0;
}

static int set_limits(const struct sandbox_options *options) {
    int error = walls_limit(RLIMIT_CORE, 0);
    error = error != 0 ? error : walls_limit(RLIMIT_MEMLOCK, 0);
    error = error != 0 ? error : walls_limit(RLIMIT_MSGQUEUE, 0);
    error = error != 0 ? error : walls_limit(RLIMIT_STACK, SANDBOX_STACK_BYTES_MAX);
    error = error != 0 ? error : walls_limit(RLIMIT_NOFILE, SANDBOX_FILES_MAX);
    error = error != 0 ? error : walls_limit(RLIMIT_FSIZE, options->file_bytes_max);
    return error != 0 ? error : sandbox_limit_data(options->data_bytes_max);
}

/* Gone when `parent` is, even when it went just now. */
static int die_with(int parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        return PLASM_IO;
    }
    if (getppid() != parent) {
        _exit(0);
    }
    return 0;
}

/* The process outside the process namespace: waits for the one inside, ends as it did. It is the
 * same user as that one: else its death would not be allowed to kill it. */
_Noreturn static void wait_outside(pid_t child, pid_t starter) {
    int status;
    (void)become_nobody();
    if (die_with(starter) != 0 || walls_close_others(NULL, 0, 0) != 0 ||
        walls_drop_privileges() != 0 || seccomp_enter(SECCOMP_ROLE_WAIT) != 0) {
        _exit(EXIT_FAILURE);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            _exit(EXIT_FAILURE);
        }
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Inside a new process namespace, as its first process; outside it is left to wait. */
static int enter_process_namespace(pid_t starter) {
    pid_t child = fork();
    if (child < 0) {
        return PLASM_IO;
    }
    if (child > 0) {
        wait_outside(child, starter);
    }
    return 0;
}

int sandbox_enter(const struct sandbox_options *options, struct sandbox_walls *ret_walls) {
    pid_t starter = getppid();
    struct sandbox_walls walls = {.walls = 0};
    if (replace_standard_streams(options) != 0 ||
        walls_close_others(options->keep, options->keep_count, 3) != 0) {
        return PLASM_IO;
    }
    walls.walls = enter_namespaces();
    if ((walls.walls & RUNNER_WALL_PID_NAMESPACE) != 0) {
        if (enter_process_namespace(starter) != 0) {
            return PLASM_IO;
        }
        starter = 0; /* as seen from inside */
    }
    if ((walls.walls & RUNNER_WALL_MOUNT_NAMESPACE) != 0 && !empty_root()) {
        walls.walls &= ~(uint32_t)RUNNER_WALL_MOUNT_NAMESPACE;
    }
    if (become_nobody()) {
        walls.walls |= RUNNER_WALL_OTHER_USER;
    }
    /* Changing the user has cleared the parent-death signal. */
    if (walls_drop_privileges() != 0 || set_limits(options) != 0 || die_with(starter) != 0) {
        return PLASM_IO;
    }
    walls.landlock_abi = landlock_enter();
    walls.walls |= walls.landlock_abi > 0 ? RUNNER_WALL_LANDLOCK : 0;
    walls.walls |= RUNNER_WALL_RLIMITS | RUNNER_WALL_NO_NEW_PRIVILEGES | RUNNER_WALL_NOT_DUMPABLE;
    *ret_walls = walls;
    return 0;
}

int sandbox_enter_runner(int parent) {
    int error = die_with(parent);
    return error != 0 ? error : walls_limit(RLIMIT_NPROC, 0);
}
